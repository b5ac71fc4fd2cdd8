//! What bad, slow and many clients can do, and what they cannot: real connections against a real server.

#![allow(clippy::disallowed_methods, reason = "tests write the rules that they serve, and look at the clock")]

mod grpc_support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use grpc_support::{Served, connect, emergency, until};
use prost::Message as _;
use rubor::grpc::proto;
use tokio_stream::StreamExt as _;
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Body as _, Bytes, Service as _, http};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

/// A call with one answer whose message never arrives.
async fn stall(served: &Served) -> Result<proto::EvaluateResponse, Status> {
    let mut client = tonic::client::Grpc::new(served.channel.clone());
    client.ready().await.expect("connected");
    let path = PathAndQuery::from_static("/rubor.v1.TriageService/Evaluate");
    let nothing = tokio_stream::pending::<proto::EvaluateRequest>();
    client
        .client_streaming(Request::new(nothing), path, tonic_prost::ProstCodec::default())
        .await
        .map(|answer| answer.into_inner())
}

async fn is_healthy(served: &Served) -> bool {
    HealthClient::new(served.channel.clone()).check(HealthCheckRequest::default()).await.is_ok()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_refuses_at_once_and_a_slow_caller_gives_its_place_back() {
    let served = Served::start_with(|args| {
        args.limits.max_in_flight = 1;
        args.limits.request_timeout = Duration::from_secs(1);
    })
    .await;
    let (slow, ()) = tokio::join!(stall(&served), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for _ in 0..20 {
            let started = Instant::now();
            let status = served.evaluate(emergency()).await.expect_err("full");
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert!(started.elapsed() < Duration::from_millis(100), "{:?}", started.elapsed());
            assert!(is_healthy(&served).await);
        }
    });
    assert_eq!(slow.expect_err("too slow").code(), Code::DeadlineExceeded);
    assert!(served.evaluate(emergency()).await.is_ok());
    let (_, metrics) = served.admin("/metrics").await;
    assert!(metrics.contains(r#"rubor_calls_shed_total{reason="in_flight"} 20"#), "{metrics}");
}

/// Calls answered, and calls refused, by so many callers who ask again and again for a while.
async fn closed_loop(served: &Served, callers: usize, time: Duration) -> (usize, Vec<Status>) {
    let end = Instant::now() + time;
    let callers = (0..callers).map(|_| {
        let mut client = served.triage();
        tokio::spawn(async move {
            let (mut answered, mut refused) = (0, Vec::new());
            while Instant::now() < end {
                match client.evaluate(emergency()).await {
                    Ok(_) => answered += 1,
                    Err(status) => {
                        let wait = status.get_details_retry_info().and_then(|info| info.retry_delay);
                        tokio::time::sleep(wait.expect("it says when to try again")).await;
                        refused.push(status);
                    }
                }
            }
            (answered, refused)
        })
    });
    let (mut answered, mut refused) = (0, Vec::new());
    for caller in callers.collect::<Vec<_>>() {
        let (more, no) = caller.await.expect("no panic");
        answered += more;
        refused.extend(no);
    }
    (answered, refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn more_callers_than_it_can_answer_are_told_to_come_later_and_the_others_are_answered() {
    let served = Served::start_with(|args| args.limits.max_at_work = Some(12)).await;
    let time = Duration::from_secs(2);
    // The first heap is a burst, and is let in: the places in flight are for it.
    let burst = (0..40).map(|_| {
        let mut client = served.triage();
        async move { client.evaluate(emergency()).await }
    });
    let burst: Vec<_> = burst.collect::<tokio::task::JoinSet<_>>().join_all().await;
    assert!(burst.iter().all(Result::is_ok));
    let (few, none) = closed_loop(&served, 12, time).await;
    assert!(none.is_empty(), "{none:?}");
    let ((many, refused), slowest) = tokio::join!(closed_loop(&served, 100, time), async {
        let (end, mut slowest) = (Instant::now() + time, Duration::ZERO);
        while Instant::now() < end {
            let started = Instant::now();
            assert!(is_healthy(&served).await);
            slowest = slowest.max(started.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        slowest
    });
    assert!(refused.len() > 100, "{} refused, {many} answered", refused.len());
    for status in refused {
        assert_eq!(status.code(), Code::ResourceExhausted);
        let wait = status.get_details_retry_info().and_then(|info| info.retry_delay).expect("a time");
        assert!((250..=750).contains(&wait.as_millis()), "{wait:?}");
        let pushback = status.metadata().get("grpc-retry-pushback-ms").expect("for libraries that retry");
        assert_eq!(pushback.to_str().expect("text"), wait.as_millis().to_string());
    }
    // Generous, because the machine may have other work; the bench `overload` has the figures.
    assert!(3 * many > few && slowest < Duration::from_secs(1), "{few} and {many} answered, health {slowest:?}");
    let (_, metrics) = served.admin("/metrics").await;
    assert!(metrics.contains(r#"rubor_calls_shed_total{reason="in_flight"} 0"#), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_callers_at_once_are_no_overload() {
    let served = Served::start().await;
    let (answered, refused) = closed_loop(&served, 64, Duration::from_secs(2)).await;
    assert!(answered > 64 && refused.is_empty(), "{answered} answered, {refused:?}");
}

/// How a call ends whose caller sends these bytes, and then nothing.
async fn half_a_message(served: &Served, path: &str, bytes: Vec<u8>) -> Status {
    let sent = tokio_stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from(bytes))]);
    let body = Body::new(axum::body::Body::from_stream(sent.chain(tokio_stream::pending())));
    let request = http::Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    let mut channel = served.channel.clone();
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await.expect("connected");
    let response = channel.call(request.body(body).expect("a request")).await.expect("answered");
    let (head, mut body) = response.into_parts();
    if let Some(status) = Status::from_header_map(&head.headers) {
        return status;
    }
    loop {
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await;
        let frame = frame.expect("trailers before the end").expect("read");
        if let Some(status) = frame.trailers_ref().and_then(Status::from_header_map) {
            return status;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_refused_by_its_length_alone() {
    let served = Served::start().await;
    for (path, length) in [
        ("/rubor.v1.TriageService/Evaluate", 1024 * 1024 + 1),
        ("/rubor.v1.TriageService/EvaluateStream", 4 * 1024 * 1024 + 1),
        ("/rubor.v1.KnowledgeService/GetPack", u32::MAX),
        ("/rubor.v1.KnowledgeService/ValidateRules", 16 * 1024 * 1024 + 1),
        ("/grpc.health.v1.Health/Check", 16 * 1024 + 1),
    ] {
        let bytes = [&[0][..], &length.to_be_bytes()].concat();
        let status = tokio::time::timeout(Duration::from_secs(5), half_a_message(&served, path, bytes));
        let status = status.await.unwrap_or_else(|_| panic!("{path} waits for the rest"));
        assert_eq!(status.code(), Code::ResourceExhausted, "{path}: {status:?}");
        assert!(status.message().contains("over the limit"), "{path}: {status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_stops_half_way_is_given_up() {
    let served = Served::start_with(|args| args.limits.request_timeout = Duration::from_millis(300)).await;
    for path in
        ["/rubor.v1.TriageService/Evaluate", "/rubor.v1.TriageService/EvaluateStream", "/grpc.health.v1.Health/Check"]
    {
        let bytes = [&[0, 0, 0, 0, 200][..], &[10, 100]].concat();
        let status = tokio::time::timeout(Duration::from_secs(5), half_a_message(&served, path, bytes));
        let status = status.await.unwrap_or_else(|_| panic!("{path} waits for the rest"));
        assert_eq!(status.code(), Code::DeadlineExceeded, "{path}: {status:?}");
    }
}

#[tokio::test]
async fn a_stream_is_neither_silent_nor_open_for_ever() {
    let ended = async |served: &Served, busy: bool| {
        let pause = Duration::from_millis(if busy { 20 } else { 60_000 });
        let items = tokio_stream::iter(0..).throttle(pause).skip(1);
        let items = items.map(|_: i32| proto::EvaluateStreamRequest { request: Some(emergency()) });
        let mut answers = served.triage().evaluate_stream(items).await.expect("opened").into_inner();
        loop {
            match answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(status) => return Some((status.code(), status.message().to_owned())),
            }
        }
    };
    let served = Served::start_with(|args| args.limits.stream_idle_timeout = Duration::from_millis(200)).await;
    let (code, message) = ended(&served, false).await.expect("a status");
    assert!(code == Code::ResourceExhausted && message.contains("silent"), "{message}");
    let served = Served::start_with(|args| args.limits.max_stream_age = Duration::from_millis(300)).await;
    let (code, message) = ended(&served, true).await.expect("a status");
    assert!(code == Code::ResourceExhausted && message.contains("open for as long"), "{message}");
}

/// How long a connection stays open that says `bytes` and no more.
fn open_for(address: SocketAddr, bytes: &[u8]) -> Duration {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    let _ = stream.write_all(bytes);
    let _ = stream.read_to_end(&mut Vec::new());
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_only_so_many_connections_and_none_is_silent() {
    let served = Served::start_with(|args| {
        args.limits.max_connections = 3;
        args.limits.handshake_timeout = Duration::from_millis(500);
        args.limits.keepalive_interval = Duration::from_millis(200);
        args.limits.keepalive_timeout = Duration::from_millis(200);
    })
    .await;
    let address = served.running.address();
    // The client of the test has one place; two silent ones take the others.
    let silent = |bytes: &'static [u8]| blocking(move || open_for(address, bytes));
    let (first, second) = (silent(b""), silent(b"PRI * HT"));
    let (first, second, third) = tokio::join!(first, second, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        blocking(move || open_for(address, b"")).await
    });
    assert!(third < Duration::from_millis(300), "one too many is closed at once: {third:?}");
    for silent in [first, second] {
        assert!(silent > Duration::from_millis(400) && silent < Duration::from_secs(4), "{silent:?}");
    }
    // A client that is alive answers pings, however little it asks.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(served.evaluate(emergency()).await.is_ok());
    let (_, metrics) = served.admin("/metrics").await;
    assert!(metrics.contains("rubor_connections 1\n"), "{metrics}");
    assert!(metrics.contains(r#"rubor_connections_refused_total{reason="full"} 1"#), "{metrics}");
}

#[tokio::test]
async fn headers_have_an_end() {
    let served = Served::start().await;
    let mut asked = Request::new(emergency());
    asked.metadata_mut().insert("x-long", "a".repeat(64 * 1024).parse().expect("metadata"));
    assert!(served.triage().evaluate(asked).await.is_err());
    let channel = connect(served.running.address()).await;
    let mut client = proto::triage_service_client::TriageServiceClient::new(channel);
    assert!(client.evaluate(emergency()).await.is_ok());
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes()[..], body].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_taken_back_by_the_thousand_end_the_connection() {
    let served = Served::start().await;
    let address = served.running.address();
    let taken = blocking(move || {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, 0, 0, &[]));
        // POST, http, and a path, as HPACK writes them.
        let head = [&[0x83, 0x86, 0x04, 32][..], b"/rubor.v1.TriageService/Evaluate"].concat();
        for call in 0..20_000 {
            bytes.extend(frame(1, 4, 2 * call + 1, &head));
            bytes.extend(frame(3, 0, 2 * call + 1, &8_u32.to_be_bytes()));
        }
        open_for(address, &bytes)
    });
    assert!(taken.await < Duration::from_secs(8));
    assert!(served.evaluate(emergency()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_bad_clients_disturb_nobody() {
    let served = Served::start_with(|args| args.limits.handshake_timeout = Duration::from_secs(1)).await;
    let address = served.running.address();
    let bad = blocking(move || {
        let openings: [&[u8]; 6] =
            [b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", &[0xff; 512], b"POST "];
        let open = (0..300).map(|at| {
            let mut stream = TcpStream::connect(address).expect("connects");
            let _ = stream.write_all(openings[at % openings.len()]);
            stream
        });
        open.collect::<Vec<_>>()
    });
    let bad = bad.await;
    for _ in 0..50 {
        let started = Instant::now();
        assert!(served.evaluate(emergency()).await.is_ok());
        assert!(is_healthy(&served).await && started.elapsed() < Duration::from_secs(1));
    }
    drop(bad);
    until(async || served.admin("/metrics").await.1.contains("rubor_connections 1\n")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_is_asked_to_end_and_cuts_nothing_off() {
    let served = Served::start_with(|args| args.limits.max_connection_age = Duration::from_millis(200)).await;
    let items = tokio_stream::iter(0..40).throttle(Duration::from_millis(20));
    let items = items.map(|_: i32| proto::EvaluateStreamRequest { request: Some(emergency()) });
    let mut answers = served.triage().evaluate_stream(items).await.expect("opened").into_inner();
    let unary = async {
        for _ in 0..60 {
            // A client that has just heard of the end says so itself, of a call that it did not send.
            if let Err(status) = served.evaluate(emergency()).await {
                assert!(std::error::Error::source(&status).is_some(), "{status:?}");
                served.evaluate(emergency()).await.expect("the client has opened another connection");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let stream = async {
        let mut count = 0;
        while answers.message().await.expect("the stream goes on").is_some() {
            count += 1;
        }
        count
    };
    let ((), count) = tokio::join!(unary, stream);
    assert_eq!(count, 40);
    let (_, metrics) = served.admin("/metrics").await;
    let calls = metrics.lines().filter(|line| line.starts_with("rubor_rpc_requests_total") && !line.ends_with(" 0"));
    assert!(calls.clone().count() > 0 && calls.clone().all(|line| line.contains(r#"code="OK""#)), "{metrics}");
}

// --- Browsers -------------------------------------------------------------------------------------------------------

/// A request of a browser, as bytes; the answer's head and body.
fn ask(address: SocketAddr, method: &str, headers: &[(&str, &str)], body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("connects");
    let mut head = format!("{method} /rubor.v1.TriageService/Evaluate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(&[head.as_bytes(), body].concat()).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    (String::from_utf8_lossy(&answer[..at]).to_lowercase(), answer.split_off(at + 4))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_an_allowed_origin_calls_over_grpc_web() {
    let served = Served::start_with(|args| args.access.cors_origin = vec!["https://ward.example.org".into()]).await;
    let address = served.running.address();
    let preflight = |origin: &'static str| {
        blocking(move || {
            let asks = [
                ("Origin", origin),
                ("Access-Control-Request-Method", "POST"),
                ("Access-Control-Request-Headers", "content-type,x-grpc-web,authorization"),
            ];
            ask(address, "OPTIONS", &asks, b"").0
        })
    };
    let allowed = preflight("https://ward.example.org").await;
    assert!(allowed.contains("access-control-allow-origin: https://ward.example.org"), "{allowed}");
    assert!(allowed.contains("access-control-allow-headers") && allowed.contains("x-grpc-web"), "{allowed}");
    let other = preflight("https://evil.example.org").await;
    assert!(!other.contains("access-control-allow-origin"), "{other}");

    let (head, body) = blocking(move || {
        let message = emergency().encode_to_vec();
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        let asks = [
            ("Origin", "https://ward.example.org"),
            ("Content-Type", "application/grpc-web+proto"),
            ("X-Request-Id", "page-1"),
        ];
        ask(address, "POST", &asks, &[&[0], &length[..], &message].concat())
    })
    .await;
    assert!(head.starts_with("http/1.1 200") && head.contains("x-request-id: page-1"), "{head}");
    assert!(head.contains("access-control-expose-headers") && head.contains("grpc-status"), "{head}");
    let found = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
    assert!(found(b"fever_with_spots_that_stay") && found(b"grpc-status:0"), "{}", String::from_utf8_lossy(&body));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_origin_no_page_of_another_one_may_call() {
    let served = Served::start().await;
    let address = served.running.address();
    let head = blocking(move || {
        let asks = [("Origin", "https://ward.example.org"), ("Access-Control-Request-Method", "POST")];
        ask(address, "OPTIONS", &asks, b"").0
    });
    assert!(!head.await.contains("access-control-allow-origin"));
}
