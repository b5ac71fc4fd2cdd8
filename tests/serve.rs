//! The binary as an operator sees it: signals, exit codes, logs; and that no log says what a patient said.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "tests write the rules that they serve")]

mod grpc_support;

use std::process::Command;
use std::time::Duration;

use grpc_support::process::Process;
use grpc_support::{Rules, connect, emergency, http_get, observed, present, request};
use rubor::grpc::proto;
use rubor::grpc::proto::observation::Value;
use rubor::grpc::proto::triage_service_client::TriageServiceClient;
use tokio::time::Instant;
use tokio_stream::StreamExt as _;

const CANARY: &str = "zq9canaryqz";

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_and_exits_with_zero() {
    for signal in ["TERM", "INT"] {
        let rules = Rules::small();
        let process = Process::start(&rules, "info");
        let (address, _) = process.addresses().await;
        let mut client = TriageServiceClient::new(connect(address).await);
        client.evaluate(emergency()).await.expect("answered");
        process.signal(signal);
        let (status, log) = process.end();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains(r#""message":"stopped""#), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let rules = Rules::small();
    let process = Process::start(&rules, "info");
    let (address, _) = process.addresses().await;
    let mut client = TriageServiceClient::new(connect(address).await);
    let busy =
        tokio_stream::iter(std::iter::repeat_with(|| proto::EvaluateStreamRequest { request: Some(emergency()) }));
    // Nobody reads the answers, so this call cannot finish.
    let _answers = client.evaluate_stream(busy).await.expect("opened");
    process.signal("TERM");
    process.entry("stopping").await;
    let started = Instant::now();
    process.signal("TERM");
    let (status, log) = process.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(started.elapsed() < Duration::from_secs(5) && log.contains("stopped at once"), "{log}");
}

/// Has patients evaluated until the server says no; counts those who were answered.
async fn load(channel: tonic::transport::Channel) -> usize {
    let mut client = TriageServiceClient::new(channel);
    let mut answered = 0;
    while client.evaluate(emergency()).await.is_ok() {
        answered += 1;
    }
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_with_open_streams_and_a_silent_connection_it_ends_in_time_and_loses_no_call() {
    let (rules, folder) = (Rules::small(), tempfile::tempdir().expect("a folder"));
    let decisions = folder.path().join("decisions");
    let process = Process::start_with(
        &rules,
        "info",
        &["--drain-timeout", "5s", "--decision-log", &decisions.display().to_string()],
    );
    let (address, _) = process.addresses().await;
    let silent = std::net::TcpStream::connect(address).expect("connects");
    let mut client = TriageServiceClient::new(connect(address).await);
    let idle = tokio_stream::pending::<proto::EvaluateStreamRequest>();
    let mut idle = client.evaluate_stream(idle).await.expect("opened").into_inner();
    let callers: Vec<_> = (0..4).map(|_| async { tokio::spawn(load(connect(address).await)).await }).collect();
    let stopped = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        process.signal("TERM");
        Instant::now()
    };
    let [a, b, c, d] = <[_; 4]>::try_from(callers).ok().expect("four");
    let (a, b, c, d, told, ended) = tokio::join!(a, b, c, d, stopped, idle.message());
    assert_eq!(ended.expect_err("the stream is ended").code(), tonic::Code::Unavailable);
    let (status, log) = process.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(told.elapsed() < Duration::from_secs(8) && log.contains(r#""message":"stopped""#), "{log}");
    drop(silent);
    let answered: usize = [a, b, c, d].map(|count| count.expect("no panic")).iter().sum();
    let kept = std::fs::read_to_string(&decisions).expect("written");
    let evaluated = kept.lines().filter(|line| line.contains(r#""status":"OK""#)).count();
    assert!(answered > 100 && answered == evaluated, "{answered} answered, {evaluated} evaluated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_stream_is_cut_off_with_a_reason() {
    let rules = Rules::small();
    let process = Process::start_with(&rules, "info", &["--drain-pause", "0ms", "--drain-timeout", "1500ms"]);
    let (address, _) = process.addresses().await;
    let mut client = TriageServiceClient::new(connect(address).await);
    let items = tokio_stream::iter(0..).throttle(Duration::from_millis(20));
    let items = items.map(|_: i32| proto::EvaluateStreamRequest { request: Some(emergency()) });
    let mut answers = client.evaluate_stream(items).await.expect("opened").into_inner();
    answers.message().await.expect("answered");
    process.signal("TERM");
    let told = Instant::now();
    let status = loop {
        match answers.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended without a word"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
    assert!(status.message().contains("shut down") && told.elapsed() > Duration::from_secs(1), "{status:?}");
    let (status, log) = process.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(told.elapsed() < Duration::from_secs(4) && log.contains("some calls did not finish in time"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads() {
    let rules = Rules::small();
    let process = Process::start(&rules, "info");
    let before = process.entry("rules loaded").await["digest"].clone();
    process.addresses().await;
    rules.edit("rules.yaml", "when: dome, supports: strong", "when: dome, supports: weak");
    process.signal("HUP");
    assert_ne!(process.entry("rules reloaded").await["digest"], before);
    process.signal("TERM");
    assert_eq!(process.end().0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_a_patient_said_is_logged_at_any_level() {
    let rules = Rules::small();
    let process = Process::start(&rules, "trace");
    let (address, admin) = process.addresses().await;
    let mut client = TriageServiceClient::new(connect(address).await);
    let canary = proto::EvaluateRequest {
        request_id: CANARY.into(),
        observations: vec![
            proto::Observation { group: CANARY.into(), ..present("stays") },
            proto::Observation { group: "other".into(), ..present("fever") },
        ],
        ..Default::default()
    };
    let answer = client.evaluate(canary.clone()).await.expect("answered").into_inner();
    assert_eq!(answer.request_id, CANARY);
    let bad = [
        request(vec![present(CANARY)]),
        request(vec![present(&format!("snomed:{CANARY}"))]),
        request(vec![observed(
            "count",
            Value::Selection(proto::Selection { options: vec![CANARY.into()], complete: true }),
        )]),
        request(vec![observed("temperature", Value::Quantity(proto::Quantity { value: 1.0, unit: CANARY.into() }))]),
        proto::EvaluateRequest { pack: CANARY.into(), ..Default::default() },
        proto::EvaluateRequest { expected_digest: CANARY.into(), ..Default::default() },
        proto::EvaluateRequest { request_id: CANARY.repeat(100), ..Default::default() },
        proto::EvaluateRequest {
            none_of_these: vec![proto::NoneOfThese {
                name: CANARY.into(),
                fingerprint: CANARY.into(),
                group: CANARY.into(),
            }],
            ..Default::default()
        },
    ];
    for request in &bad {
        let status = client.evaluate(request.clone()).await.expect_err("refused");
        assert!(!format!("{status:?}").contains(CANARY), "{status:?}");
        assert!(!String::from_utf8_lossy(status.details()).contains(CANARY));
    }
    let items = bad.into_iter().chain([canary]).map(|request| proto::EvaluateStreamRequest { request: Some(request) });
    let items: Vec<_> = items.collect();
    let mut answers = client.evaluate_stream(tokio_stream::iter(items)).await.expect("opened").into_inner();
    while answers.message().await.expect("the stream goes on").is_some() {}

    let metrics = tokio::task::spawn_blocking(move || http_get(admin, "/metrics").1).await.expect("asked");
    assert!(metrics.contains("rubor_evaluations_total") && !metrics.contains(CANARY), "{metrics}");
    process.signal("TERM");
    let (_, log) = process.end();
    assert!(!log.contains(CANARY), "{log}");
}

#[test]
fn without_rules_it_says_what_to_do_and_exits_with_one() {
    let rules = Rules::small();
    rules.edit("rules.yaml", "sign: fever", "sign: fevr");
    for folder in [rules.folder().to_owned(), rules.path("nowhere")] {
        let output = Command::new(env!("CARGO_BIN_EXE_rubor"))
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "", "--rules"])
            .arg(&folder)
            .output()
            .expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("--rules") && !said.contains("panicked"), "{said}");
    }
}

/// What `rubor serve` prints with these flags and this environment.
fn serve(args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rubor"));
    let output = command.arg("serve").args(args).envs(environment.iter().copied()).output().expect("the binary runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn flags_go_before_the_environment_before_the_file_before_defaults() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rubor.yaml");
    std::fs::write(
        &path,
        "listen: 127.0.0.1:1\ndrain-pause: 1s\ndrain-timeout: 1s\ncors-origin: [https://a.example]\nno-reflection: true\n",
    )
    .expect("written");
    let path = path.display().to_string();
    let environment = [("RUBOR_DRAIN_TIMEOUT", "2s"), ("RUBOR_DRAIN_PAUSE", "2s")];
    let (code, said) = serve(&["--config", &path, "--print-config", "--drain-pause", "3s"], &environment);
    assert_eq!(code, Some(0), "{said}");
    for line in [
        "drain-pause: 3s  # flag",
        "drain-timeout: 2s  # environment",
        "listen: \"127.0.0.1:1\"  # file",
        "cors-origin: [\"https://a.example\"]  # file",
        "no-reflection: true  # file",
        "allow-plaintext: false  # default",
        "jwt-algorithms: [RS256, ES256]  # default",
        "max-in-flight: 256  # default",
        "# tls-cert: not set",
    ] {
        assert!(said.lines().any(|shown| shown == line), "`{line}` is not in\n{said}");
    }
    // What is printed is a file of settings.
    let printed = folder.path().join("printed.yaml");
    std::fs::write(&printed, &said).expect("written");
    let (code, again) = serve(&["--config", &printed.display().to_string(), "--print-config"], &[]);
    assert_eq!(code, Some(0), "{again}");
    assert!(again.contains("drain-pause: 3s  # file"), "{again}");
}

#[test]
fn wrong_settings_are_told_with_their_place_and_serve_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rubor.yaml");
    let attempt = |text: &str| {
        std::fs::write(&path, text).expect("written");
        serve(&["--config", &path.display().to_string()], &[])
    };
    let (code, said) = attempt("listen: 127.0.0.1:0\nmax-in-fligth: 3\ndrain-pause: soon\n");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("rubor.yaml:2:1: unknown setting `max-in-fligth`; did you mean `max-in-flight`?"), "{said}");
    assert!(said.contains("rubor.yaml:3:14: ") && said.contains("500ms"), "{said}");
    let (code, said) = attempt("tls-key: a.pem\n");
    assert!(code == Some(1) && said.contains("--tls-key needs --tls-cert"), "{said}");
    let (code, said) = serve(&["--config", "/nowhere.yaml"], &[]);
    assert!(code == Some(1) && said.contains("--config"), "{said}");
}
