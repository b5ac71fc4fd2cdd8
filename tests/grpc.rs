//! The service as a client sees it: a real tonic client against a real server on a loopback port.

#![allow(clippy::disallowed_methods, reason = "tests write the rules that they serve")]

mod grpc_support;

use std::time::Duration;

use grpc_support::{Rules, Served, absent, args, connect, emergency, harmless, observed, present, request};
use rubor::grpc::proto;
use rubor::grpc::proto::evaluate_stream_response::Result as ItemResult;
use rubor::grpc::proto::observation::Value;
use tokio::time::Instant;
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Stands for everything that a patient may have said. It must never come back in a message.
const CANARY: &str = "zq9canaryqz";

fn fields(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().expect("a BadRequest").field_violations;
    violations.into_iter().map(|violation| violation.field).collect()
}

#[tokio::test]
async fn an_answer_names_its_rules_and_its_reasons() {
    let served = Served::start().await;
    let asked = proto::EvaluateRequest { request_id: "r-1".into(), ..emergency() };
    let answer = served.evaluate(asked).await.expect("answered");

    assert_eq!(answer.request_id, "r-1");
    assert_eq!(uuid::Uuid::parse_str(&answer.evaluation_id).expect("a UUID").get_version_num(), 7);
    assert_eq!(answer.urgency(), proto::Urgency::Emergency);
    assert_eq!(answer.should_stop, Some(true));
    assert!(answer.disclaimer.to_lowercase().contains("draft"), "{}", answer.disclaimer);
    let rules = answer.rule_set.expect("rules");
    assert_eq!((rules.pack.as_str(), rules.version.as_str()), ("small", "0.1.0"));
    assert_eq!(rules.digest, served.keeper.current().packs["small"].digest);
    assert_eq!(rules.review_status(), proto::ReviewStatus::Draft);

    let flag = &answer.red_flags[0];
    assert_eq!((flag.id.as_str(), flag.state()), ("fever_with_spots_that_stay", proto::RedFlagState::Fired));
    assert_eq!(flag.sources[0].id, "BOOK");
    for differential in &answer.differentials {
        let counted = differential.contributions.iter().filter(|reason| reason.counting() == proto::Counting::Counted);
        let sum: f64 = counted.map(|reason| reason.weight_decibans).sum();
        assert!((sum - differential.score_decibans).abs() < 0.001);
        assert_eq!(differential.calibrated, Some(false));
    }
}

#[tokio::test]
async fn a_harmless_case_is_final_and_has_a_safety_net() {
    let served = Served::start().await;
    let digest = &served.keeper.current().packs["small"].digest;
    let answer = served.evaluate(harmless(digest)).await.expect("answered");
    assert_eq!(answer.differentials[0].condition.as_ref().expect("a condition").id, "angioma");
    assert_eq!(answer.urgency(), proto::Urgency::SelfCare);
    assert_eq!(answer.urgency_status(), proto::UrgencyStatus::Final);
    assert!(answer.safety_net.is_some_and(|net| !net.watch_for.is_empty()));
}

#[tokio::test]
async fn an_empty_request_is_insufficient_and_asks() {
    let served = Served::start().await;
    let answer = served.evaluate(proto::EvaluateRequest::default()).await.expect("answered");
    assert_eq!(answer.outcome(), proto::Outcome::Insufficient);
    let first = &answer.next_questions[0];
    assert_eq!((first.id.as_str(), first.kind()), ("age", proto::QuestionKind::Number));
    assert!(first.range.is_some());
}

#[tokio::test]
async fn the_same_request_has_the_same_answer_but_for_its_id() {
    let served = Served::start().await;
    let mut first = served.evaluate(emergency()).await.expect("answered");
    let mut second = served.evaluate(emergency()).await.expect("answered");
    assert_ne!(first.evaluation_id, second.evaluation_id);
    first.evaluation_id.clear();
    second.evaluation_id.clear();
    assert_eq!(first, second);
}

#[tokio::test]
async fn every_violation_is_told_at_once_and_none_is_quoted() {
    let served = Served::start().await;
    let bad = proto::EvaluateRequest {
        patient: Some(proto::Patient { age_years: Some(-3.0), age_days: Some(2.0), sex: 77, ..Default::default() }),
        reporter: 99,
        none_of_these: vec![proto::NoneOfThese { name: CANARY.into(), ..Default::default() }],
        ..request(vec![
            present("fevr"),
            present(CANARY),
            proto::Observation { finding: "fever".into(), ..Default::default() },
            observed("temperature", Value::Quantity(proto::Quantity { value: 98.6, unit: "Cel".into() })),
            observed("temperature", Value::Quantity(proto::Quantity { value: f64::NAN, unit: CANARY.into() })),
            observed("count", Value::Selection(proto::Selection { options: vec![CANARY.into()], complete: false })),
            observed("fever", Value::NotKnown(false)),
            present("loinc:8310-5"),
        ])
    };
    let status = served.evaluate(bad).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    let told = fields(&status);
    for field in [
        "patient",
        "patient.sex",
        "patient.age_years",
        "reporter",
        "none_of_these[0].name",
        "observations[0].finding",
        "observations[1].finding",
        "observations[2]",
        "observations[3].quantity.value",
        "observations[4].quantity.unit",
        "observations[5].selection.options[0]",
        "observations[6].not_known",
        "observations[7].finding",
    ] {
        assert!(told.iter().any(|one| one == field), "{field} is not in {told:?}");
    }
    let all = format!("{status:?}");
    assert!(all.contains("did you mean `fever`?") && all.contains("[degF]"), "{all}");
    assert!(!all.contains(CANARY) && !all.contains("98.6"), "{all}");
    assert!(!String::from_utf8_lossy(status.details()).contains(CANARY));
    assert!(status.message().starts_with("13 problems: "), "{}", status.message());
}

#[tokio::test]
async fn an_unknown_pack_is_not_found_and_not_quoted() {
    let served = Served::start().await;
    let status =
        served.evaluate(proto::EvaluateRequest { pack: CANARY.into(), ..emergency() }).await.expect_err("refused");
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), "no such pack; this server has `small`");
    let asked = proto::GetPackRequest { pack: CANARY.into(), ..Default::default() };
    assert_eq!(served.knowledge().get_pack(asked).await.expect_err("refused").code(), Code::NotFound);
}

#[tokio::test]
async fn limits_are_resource_exhausted() {
    let served = Served::start().await;
    let many = |count| request(vec![present("fever"); count]);
    assert!(served.evaluate(many(512)).await.is_ok());
    let boxes = proto::EvaluateRequest { none_of_these: vec![proto::NoneOfThese::default(); 65], ..emergency() };
    let long = proto::EvaluateRequest { request_id: "x".repeat(257), ..emergency() };
    let padded = |bytes| proto::EvaluateRequest { request_id: "x".repeat(bytes), ..emergency() };
    for (name, over) in [
        ("observations", many(513)),
        ("none_of_these", boxes),
        ("request_id", long),
        ("1 MiB", padded(1024 * 1024)),
        ("the transport's limit", padded(5 * 1024 * 1024)),
    ] {
        let status = served.evaluate(over).await.expect_err(name);
        assert_eq!(status.code(), Code::ResourceExhausted, "{name}: {status:?}");
        if status.message().contains("512") {
            let quota = status.get_details_quota_failure().expect("a QuotaFailure");
            assert_eq!(quota.violations[0].subject, "observations");
        }
    }
}

#[tokio::test]
async fn garbage_is_the_callers_doing() {
    let served = Served::start().await;
    let mut client = tonic::client::Grpc::new(served.channel.clone());
    client.ready().await.expect("ready");
    // Field 1 is a string; these bytes are a timestamp, whose field 1 is a number.
    let garbage = prost_types::Timestamp { seconds: 5, nanos: 5 };
    let codec = tonic_prost::ProstCodec::<prost_types::Timestamp, proto::EvaluateResponse>::default();
    let path = "/rubor.v1.TriageService/Evaluate".parse().expect("a path");
    let status = client.unary(tonic::Request::new(garbage), path, codec).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
}

#[tokio::test]
async fn a_deadline_that_has_passed_is_deadline_exceeded() {
    let served = Served::start().await;
    // Sent by hand: the client's own timer would answer for the server.
    let mut asked = tonic::Request::new(emergency());
    asked.metadata_mut().insert("grpc-timeout", "1n".parse().expect("metadata"));
    let status = served.triage().evaluate(asked).await.expect_err("too late");
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&status.code()), "{status:?}");

    let mut asked = tonic::Request::new(tokio_stream::pending());
    asked.metadata_mut().insert("grpc-timeout", "300m".parse().expect("metadata"));
    let started = Instant::now();
    let mut answers = served.triage().evaluate_stream(asked).await.expect("opened").into_inner();
    let status = answers.next().await.expect("an end").expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(started.elapsed() < Duration::from_secs(2));
    let (_, metrics) = served.admin("/metrics").await;
    assert!(metrics.contains(r#"method="rubor.v1.TriageService/Evaluate",code="DEADLINE_EXCEEDED"} 1"#), "{metrics}");
}

#[tokio::test]
async fn a_server_full_of_streams_sheds_streams_alone() {
    let served = Served::start_with(|args| args.limits.max_streams = 1).await;
    let (send, items) = tokio::sync::mpsc::channel(1);
    let items = tokio_stream::wrappers::ReceiverStream::new(items);
    let mut answers = served.triage().evaluate_stream(items).await.expect("opened").into_inner();
    let another = async || served.triage().evaluate_stream(tokio_stream::iter(Vec::new())).await;
    assert_eq!(another().await.expect_err("full").code(), Code::ResourceExhausted);
    assert_eq!(health(&served, "").await, Some(1));
    assert!(served.evaluate(emergency()).await.is_ok(), "a call with one answer has a place of its own");

    send.send(proto::EvaluateStreamRequest { request: Some(emergency()) }).await.expect("sent");
    assert!(answers.next().await.expect("an answer").is_ok());
    drop(send);
    assert!(answers.next().await.is_none());
    // The permit comes back a moment after the stream's end is seen.
    for _ in 0..100 {
        if another().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the stream's place was never given back");
}

#[tokio::test]
async fn a_stream_answers_in_order_and_survives_bad_items() {
    let served = Served::start().await;
    let item = |request| proto::EvaluateStreamRequest { request: Some(request) };
    let large = proto::EvaluateRequest { request_id: "x".repeat(1024 * 1024), ..emergency() };
    let bad = proto::EvaluateRequest { request_id: "bad".into(), ..request(vec![present("fevr"), present("stays")]) };
    let items = vec![
        item(emergency()),
        item(bad),
        proto::EvaluateStreamRequest { request: None },
        item(proto::EvaluateRequest { pack: "other".into(), ..Default::default() }),
        item(proto::EvaluateRequest { expected_digest: "00".into(), ..Default::default() }),
        item(large),
        item(request(vec![present("fever"); 513])),
        item(proto::EvaluateRequest::default()),
    ];
    let answers = served.triage().evaluate_stream(tokio_stream::iter(items)).await.expect("opened").into_inner();
    let answers: Vec<_> = answers.map(|answer| answer.expect("the stream goes on")).collect().await;
    let codes: Vec<i32> = answers
        .iter()
        .enumerate()
        .map(|(at, answer)| {
            assert_eq!(answer.index, at as u64);
            match answer.result.as_ref().expect("a result") {
                ItemResult::Response(_) => 0,
                ItemResult::Error(error) => error.code,
            }
        })
        .collect();
    assert_eq!(codes, [0, 3, 3, 5, 9, 8, 8, 0]);
    let Some(ItemResult::Error(error)) = &answers[1].result else { panic!("no error") };
    assert_eq!(error.request_id, "bad");
    assert_eq!(error.field_violations[0].field, "observations[0].finding");
    assert!(error.field_violations[0].description.contains("`fever`"));
}

#[tokio::test]
async fn a_pin_holds_across_a_reload() {
    let served = Served::start().await;
    let before = served.evaluate(emergency()).await.expect("answered").rule_set.expect("rules").digest;
    served.rules.edit("rules.yaml", "when: dome, supports: strong", "when: dome, supports: weak");
    let reloaded = served.knowledge().reload_rules(proto::ReloadRulesRequest {}).await.expect("reloaded").into_inner();
    // The folder is watched too, and may have been quicker.
    assert_ne!(reloaded.result(), proto::ReloadResult::Refused);
    assert_ne!(reloaded.digest, before);

    let now = served.evaluate(emergency()).await.expect("answered").rule_set.expect("rules").digest;
    assert_eq!(now, served.keeper.current().packs["small"].digest);
    let pinned = proto::EvaluateRequest { expected_digest: before.to_uppercase(), ..emergency() };
    assert_eq!(served.evaluate(pinned).await.expect("held").rule_set.expect("rules").digest, before);

    let unknown = proto::EvaluateRequest { expected_digest: "ab".repeat(32), ..emergency() };
    let status = served.evaluate(unknown).await.expect_err("not held");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains(&before) && status.message().contains(&now), "{}", status.message());
    let held = status.get_details_precondition_failure().expect("a PreconditionFailure").violations;
    assert_eq!(held.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(), [now.as_str(), before.as_str()]);
}

#[tokio::test]
async fn a_refused_reload_says_why_and_changes_nothing() {
    let served = Served::start().await;
    let before = served.knowledge().get_status(proto::GetStatusRequest {}).await.expect("status").into_inner();
    assert!(before.refused.is_none() && before.serving_since.is_some());
    served.rules.edit("rules.yaml", "sign: fever", "sign: fevr");
    let reloaded = served.knowledge().reload_rules(proto::ReloadRulesRequest {}).await.expect("answered").into_inner();
    assert_eq!(reloaded.result(), proto::ReloadResult::Refused);
    assert_eq!(reloaded.digest, before.digest);

    let after = served.knowledge().get_status(proto::GetStatusRequest {}).await.expect("status").into_inner();
    assert_eq!(after.digest, before.digest);
    assert_eq!(after.last_attempt.as_ref().expect("an attempt").result(), proto::ReloadResult::Refused);
    let refused = after.refused.expect("refused");
    let error = refused.diagnostics.iter().find(|found| found.message.contains("fevr")).expect("the error");
    let place = error.place.as_ref().expect("a place");
    assert_eq!((place.file.as_str(), error.severity()), ("rules.yaml", proto::Severity::Error));
    assert!(place.line > 1 && place.column > 1 && error.code.starts_with('R'));
    assert!(served.evaluate(emergency()).await.is_ok());

    let (_, status) = served.admin("/status").await;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["digest"], before.digest.as_str());
    assert_eq!(status["refused"]["digest"], refused.digest.as_str());
    let (_, metrics) = served.admin("/metrics").await;
    assert!(metrics.contains("\nrubor_rules_last_reload_successful 0\n"), "{metrics}");
}

#[tokio::test]
async fn a_saved_file_is_served_soon() {
    let served = Served::start().await;
    let before = served.keeper.current().digest.clone();
    served.rules.edit("rules.yaml", "when: dome, supports: strong", "when: dome, supports: moderate");
    let started = Instant::now();
    while served.keeper.current().digest == before {
        assert!(started.elapsed() < Duration::from_secs(5), "never reloaded");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn packs_are_listed_and_told_in_full() {
    let served = Served::start().await;
    let listed = served.knowledge().list_packs(proto::ListPacksRequest {}).await.expect("listed").into_inner();
    assert_eq!(listed.default_pack, "small");
    let summary = &listed.packs[0];
    assert_eq!(
        (summary.finding_count, summary.condition_count, summary.red_flag_count, summary.case_count),
        (9, 2, 2, 2)
    );

    let pack = served.knowledge().get_pack(proto::GetPackRequest::default()).await.expect("told").into_inner();
    let pack = pack.pack.expect("a pack");
    let finding = |id: &str| pack.findings.iter().find(|finding| finding.id == id).expect("a finding");
    let fever = finding("fever");
    assert_eq!((fever.kind(), fever.about()), (proto::FindingKind::YesNo, proto::FindingSubject::Person));
    assert_eq!((fever.codings[0].as_str(), fever.synonyms[0].as_str()), ("snomed:386661006", "high temperature"));
    assert_eq!(finding("temperature").range, Some(proto::Range { low: 25.0, high: 45.0 }));
    assert_eq!(finding("count").options.len(), 2);
    assert_eq!(finding("stays").help, "Press a glass on them.");
    assert_eq!(pack.boxes[0].findings, ["fever", "confusion"]);
    assert!(!pack.boxes[0].fingerprint.is_empty());
    assert_eq!(pack.screen, ["age", "danger", "stays"]);
    let rule = pack.rules.iter().find(|rule| rule.id == "angioma.dome").expect("a rule");
    assert!((rule.weight_if_true_decibans - 11.761).abs() < 1e-9);
    assert_eq!(rule.sources[0].title, "A book");
    let flag = pack.red_flags.iter().find(|flag| flag.id == "fever_with_spots_that_stay").expect("a flag");
    assert_eq!((flag.floor(), flag.while_unknown()), (proto::Urgency::Emergency, proto::Urgency::Urgent));

    // The box's fingerprint is what a request without a pin needs.
    let answered = proto::NoneOfThese {
        name: "danger".into(),
        fingerprint: pack.boxes[0].fingerprint.clone(),
        ..Default::default()
    };
    let asked = proto::EvaluateRequest { none_of_these: vec![answered], ..request(vec![absent("stays")]) };
    assert!(served.evaluate(asked).await.is_ok());
    let asked = proto::EvaluateRequest {
        none_of_these: vec![proto::NoneOfThese { name: "danger".into(), ..Default::default() }],
        ..Default::default()
    };
    assert_eq!(fields(&served.evaluate(asked).await.expect_err("no fingerprint")), ["none_of_these[0].fingerprint"]);
}

async fn health(served: &Served, service: &str) -> Option<i32> {
    let mut client = tonic_health::pb::health_client::HealthClient::new(served.channel.clone());
    let asked = tonic_health::pb::HealthCheckRequest { service: service.into() };
    client.check(asked).await.ok().map(|answer| answer.into_inner().status)
}

#[tokio::test]
async fn health_is_told_for_the_server_and_for_each_service() {
    let served = Served::start().await;
    for name in ["", "rubor.v1.TriageService", "rubor.v1.KnowledgeService"] {
        assert_eq!(health(&served, name).await, Some(1), "{name}");
    }
    assert_eq!(health(&served, "other").await, None);
    let address = served.running.address().to_string();
    let healthy = tokio::task::spawn_blocking(move || rubor::server::healthcheck(&address)).await.expect("no panic");
    assert!(healthy);
    let admin = format!("http://{}", served.running.admin_address().expect("on"));
    let ready = tokio::task::spawn_blocking(move || rubor::server::healthcheck(&admin)).await.expect("no panic");
    assert!(ready, "the admin port says so too");
    let nobody = tokio::task::spawn_blocking(|| rubor::server::healthcheck("127.0.0.1:9")).await.expect("no panic");
    assert!(!nobody);
}

#[tokio::test]
async fn both_reflections_list_the_services() {
    use tonic_reflection::pb::{v1, v1alpha};
    let served = Served::start().await;
    let names = ["grpc.health.v1.Health", "rubor.v1.KnowledgeService", "rubor.v1.TriageService"];

    let ask = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(served.channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::once(ask)).await.expect("asked").into_inner();
    let answer = answers.next().await.expect("an answer").expect("listed").message_response;
    let Some(v1::server_reflection_response::MessageResponse::ListServicesResponse(list)) = answer else {
        panic!("no list")
    };
    let listed: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.iter().all(|name| listed.iter().any(|one| one == name)), "{listed:?}");

    let ask = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
            "rubor.v1.EvaluateRequest".into(),
        )),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(served.channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::once(ask)).await.expect("asked").into_inner();
    let answer = answers.next().await.expect("an answer").expect("found").message_response;
    assert!(matches!(answer, Some(v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_))));
}

#[tokio::test]
async fn metrics_have_the_names_of_the_contract() {
    let served = Served::start().await;
    served.evaluate(emergency()).await.expect("answered");
    served.evaluate(request(vec![present("fevr")])).await.expect_err("refused");
    let (head, metrics) = served.admin("/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    let digest = &served.keeper.current().packs["small"].digest;
    for line in [
        format!(r#"rubor_rules_info{{pack="small",version="0.1.0",digest="{digest}"}} 1"#),
        "rubor_rules_last_reload_successful 1".into(),
        r#"rubor_rules_reloads_total{result="published"} 0"#.into(),
        r#"rubor_evaluations_total{pack="small",urgency="emergency",outcome="insufficient"} 1"#.into(),
        r#"rubor_rpc_requests_total{method="rubor.v1.TriageService/Evaluate",code="OK"} 1"#.into(),
        r#"rubor_rpc_requests_total{method="rubor.v1.TriageService/Evaluate",code="INVALID_ARGUMENT"} 1"#.into(),
        r#"rubor_rpc_duration_seconds_count{method="rubor.v1.TriageService/Evaluate"} 2"#.into(),
        "# TYPE rubor_rpc_requests_total counter".into(),
        "# TYPE rubor_rpc_duration_seconds histogram".into(),
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line} is not in\n{metrics}");
    }
    assert!(metrics.contains("\nrubor_rules_last_reload_success_timestamp_seconds "));
    assert!(!metrics.contains("fever"));
    for (path, answer) in [("/healthz", r#"{"status":"ok"}"#), ("/readyz", r#"{"status":"ready"}"#)] {
        let (head, body) = served.admin(path).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(body.contains(answer), "{body}");
    }
}

#[tokio::test]
async fn draining_says_unhealthy_finishes_and_stops() {
    let served = Served::start_with(|args| args.drain_pause = Duration::from_millis(600)).await;
    let address = served.running.address();
    let admin = served.running.admin_address().expect("on");
    let mut triage = served.triage();
    let mut health = tonic_health::pb::health_client::HealthClient::new(served.channel.clone());
    let (send, items) = tokio::sync::mpsc::channel(4);
    let items = tokio_stream::wrappers::ReceiverStream::new(items);
    let mut answers = triage.evaluate_stream(items).await.expect("opened").into_inner();

    let stopping = tokio::spawn(served.running.stop());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let asked = tonic_health::pb::HealthCheckRequest::default();
    assert_eq!(health.check(asked).await.expect("told").into_inner().status, 2, "NOT_SERVING");
    let ready = tokio::task::spawn_blocking(move || grpc_support::http_get(admin, "/readyz").0).await.expect("asked");
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(triage.evaluate(emergency()).await.is_ok(), "the pause is for balancers: calls are answered");

    tokio::time::sleep(Duration::from_millis(700)).await;
    send.send(proto::EvaluateStreamRequest { request: Some(emergency()) }).await.expect("sent");
    assert!(answers.next().await.expect("an answer").is_ok(), "what is in flight is finished");
    // An idle stream is ended, so that it does not hold up the stop.
    assert_eq!(answers.next().await.expect("an end").expect_err("draining").code(), Code::Unavailable);
    assert!(stopping.await.expect("no panic"), "nothing had to be cut off");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn a_silent_connection_does_not_hold_up_the_stop() {
    let served = Served::start_with(|args| args.drain_pause = Duration::ZERO).await;
    let _silent = tokio::net::TcpStream::connect(served.running.address()).await.expect("connected");
    let _second = connect(served.running.address()).await;
    let started = Instant::now();
    served.running.stop().await;
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test]
async fn what_cannot_be_served_says_what_to_do() {
    let rules = Rules::small();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut used = args();
    used.listen = taken.local_addr().expect("an address").to_string();
    let error = rubor::server::start(&used, rules.keeper()).await.err().expect("in use");
    assert!(error.contains("--listen"), "{error}");

    let mut wrong = args();
    wrong.default_pack = Some("other".into());
    let error = rubor::server::start(&wrong, rules.keeper()).await.err().expect("no such pack");
    assert!(error.contains("small"), "{error}");

    let mut missing = args();
    missing.rules = Some(rules.path("nowhere"));
    let error = tokio::task::spawn_blocking(move || rubor::server::serve(&missing)).await.expect("no panic");
    let error = error.expect_err("no rules");
    assert!(error.contains("nowhere") && error.contains("--rules"), "{error}");
}

/// A service that has a bug.
#[derive(Clone)]
struct Panics;

impl tonic::codegen::Service<tonic::codegen::http::Request<tonic::body::Body>> for Panics {
    type Response = tonic::codegen::http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: tonic::codegen::http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(async { panic!("{CANARY}") })
    }
}

#[tokio::test]
async fn a_panic_is_internal_and_not_quoted() {
    use rubor::grpc::gate::{Gate, Room};
    use rubor::grpc::guard::{GuardLayer, Patience, answer_panic};
    use tonic::codegen::Service as _;
    use tower::Layer as _;
    let rules = Rules::small();
    let metrics = std::sync::Arc::new(rubor::observe::metrics::Metrics::new(rules.keeper()));
    let patience = Patience { call: Duration::from_secs(30), stream: Duration::from_secs(30) };
    let guard = GuardLayer {
        gate: std::sync::Arc::new(Gate::new(Room { calls: 1, streams: 1, work: 1 })),
        access: std::sync::Arc::default(),
        patience,
        metrics: std::sync::Arc::clone(&metrics),
        spans: rubor::observe::spans::Spans::default(),
    };
    let catch = tower_http::catch_panic::CatchPanicLayer::custom(answer_panic as fn(_) -> _);
    let mut service = guard.layer(catch.layer(Panics));
    for _ in 0..2 {
        let mut asked = tonic::codegen::http::Request::new(tonic::body::Body::empty());
        *asked.uri_mut() = "/rubor.v1.TriageService/Evaluate".parse().expect("a path");
        let answer = service.call(asked).await.expect("answered");
        let status = Status::from_header_map(answer.headers()).expect("a status");
        assert_eq!(status.code(), Code::Internal);
        assert!(!format!("{answer:?}").contains(CANARY));
    }
    assert!(metrics.text().contains(r#"code="INTERNAL"} 2"#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_during_reloads_is_of_one_rule_set() {
    let served = Served::start().await;
    let strengths = ["strong", "moderate", "weak"];
    let keeper = std::sync::Arc::clone(&served.keeper);
    let asking = tokio::spawn({
        let mut triage = served.triage();
        async move {
            let mut seen = std::collections::BTreeMap::new();
            for _ in 0..1500 {
                let answer = triage.evaluate(request(vec![present("dome"), present("years")])).await;
                let answer = answer.expect("no reload disturbs a request").into_inner();
                let reasons = answer.differentials.iter().flat_map(|differential| &differential.contributions);
                let weight =
                    reasons.filter(|reason| reason.rule_id == "angioma.dome").map(|reason| reason.weight_decibans);
                let weights: Vec<String> = weight.map(|weight| format!("{weight:.3}")).collect();
                let before = seen.insert(answer.rule_set.expect("rules").digest, weights.clone());
                assert!(before.is_none_or(|before| before == weights), "one digest, two weights");
            }
            seen
        }
    });
    let mut turn = 0;
    while !asking.is_finished() {
        let (from, to) = (strengths[turn % 3], strengths[(turn + 1) % 3]);
        served.rules.edit(
            "rules.yaml",
            &format!("when: dome, supports: {from}"),
            &format!("when: dome, supports: {to}"),
        );
        let keeper = std::sync::Arc::clone(&keeper);
        tokio::task::spawn_blocking(move || keeper.try_reload(true)).await.expect("no panic");
        turn += 1;
    }
    let seen = asking.await.expect("no panic");
    assert!(turn >= 3 && seen.len() == 3, "{turn} reloads, {seen:?}");
}
