//! What is kept of evaluations and what is seen of them; and that no canary is, wherever it was sent.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "tests read the logs that were written")]

mod grpc_support;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grpc_support::process::Process;
use grpc_support::{Rules, Served, connect, emergency, harmless, http_get, observed, present, request, until};
use rubor::grpc::gate::{Gate, Room};
use rubor::grpc::proto;
use rubor::grpc::proto::knowledge_service_client::KnowledgeServiceClient;
use rubor::grpc::proto::observation::Value as Observed;
use rubor::grpc::proto::triage_service_client::TriageServiceClient;
use rubor::grpc::service::Services;
use rubor::grpc::wire::service::triage_service_server::TriageService;
use rubor::observe::journal::{Journal, Wanted};
use rubor::observe::metrics::Metrics;
use serde_json::Value;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status};

const CANARY: &str = "zq9canaryqz";

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

// --- The logs -------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn every_evaluation_has_a_line_that_says_nothing_of_the_patient() {
    for outcomes in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("decisions");
        let kept = path.clone();
        let served = Served::start_with(|args| {
            args.keep.decision_log = Some(kept);
            args.keep.decision_log_outcomes = outcomes;
        })
        .await;
        let mut asked = Request::new(emergency());
        asked.metadata_mut().insert("x-request-id", "ward-3.7".parse().expect("metadata"));
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        asked.metadata_mut().insert("traceparent", trace.parse().expect("metadata"));
        let answer = served.triage().evaluate(asked).await.expect("answered");
        assert_eq!(answer.metadata().get("x-request-id").expect("echoed"), "ward-3.7");
        let answer = answer.into_inner();
        served.evaluate(request(vec![present(CANARY)])).await.expect_err("refused");
        let item = |request| proto::EvaluateStreamRequest { request: Some(request) };
        let items = tokio_stream::iter([item(emergency()), item(request(vec![present(CANARY)]))]);
        let mut answers = served.triage().evaluate_stream(items).await.expect("opened").into_inner();
        while answers.message().await.expect("goes on").is_some() {}

        until(async || lines(&path).len() == 4).await;
        let lines = lines(&path);
        let first = &lines[0];
        assert_eq!(first["evaluation_id"], answer.evaluation_id);
        assert_eq!(first["digest"], answer.rule_set.expect("rules").digest);
        let expected = [
            ("request_id", "ward-3.7"),
            ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
            ("caller", "anonymous"),
            ("status", "OK"),
            ("method", "Evaluate"),
        ];
        for (key, value) in expected {
            assert_eq!(first[key], value, "{first}");
        }
        assert!(first["duration_ms"].as_f64().is_some_and(|took| took > 0.0), "{first}");
        assert!(first["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{first}");
        assert_eq!(first.get("urgency").and_then(Value::as_str), outcomes.then_some("emergency"), "{first}");
        assert_eq!(first.get("outcome").is_some(), outcomes);
        assert_eq!(lines[1]["status"], "INVALID_ARGUMENT");
        // Items of a stream are answered side by side, so their lines come in any order.
        let mut streamed: Vec<_> =
            lines[2..].iter().map(|line| (line["method"].as_str(), line["status"].as_str())).collect();
        streamed.sort_unstable();
        assert_eq!(streamed, ["INVALID_ARGUMENT", "OK"].map(|status| (Some("EvaluateStream"), Some(status))));
        let all = std::fs::read_to_string(&path).expect("written");
        for word in [CANARY, "fever", "stays"] {
            assert!(!all.contains(word), "{word} in {all}");
        }
        let (_, metrics) = served.admin("/metrics").await;
        assert!(metrics.contains(r#"rubor_log_entries_written_total{log="decisions"} 4"#), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_away_before_the_answer_leaves_a_line() {
    let (rules, folder) = (Rules::small(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("decisions");
    let metrics = Arc::new(Metrics::new(rules.keeper()));
    let wanted = Wanted { decisions: Some(path.clone()), ..Wanted::default() };
    let journal = Journal::open(wanted, Arc::clone(metrics.traffic())).expect("opened");
    let gate = Arc::new(Gate::new(Room { calls: 9, streams: 9, work: 9 }));
    let services = Services::new(rules.keeper(), None, metrics, gate).with_journal(journal);
    // So many observations are evaluated on another thread, and waited for.
    let large = || Request::new(request(vec![present("fever"); 512]));
    for _ in 0..20 {
        tokio::select! {
            biased;
            _ = TriageService::evaluate(&services, large()) => {}
            () = std::future::ready(()) => {}
        }
    }
    until(async || lines(&path).len() == 20).await;
    let gone = lines(&path).iter().filter(|line| line["status"] == "CANCELLED").count();
    assert!(gone > 0, "{:?}", lines(&path));
}

#[tokio::test]
async fn counters_are_there_before_the_first_count() {
    let served = Served::start().await;
    // A counter that appears with its first count has grown unseen.
    let (_, metrics) = served.admin("/metrics").await;
    for line in [
        r#"rubor_rules_reloads_total{result="refused"} 0"#,
        r#"rubor_evaluations_total{pack="small",urgency="emergency",outcome="determined"} 0"#,
        r#"rubor_rpc_requests_total{method="rubor.v1.TriageService/Evaluate",code="INTERNAL"} 0"#,
        r#"rubor_rpc_requests_total{method="other",code="UNIMPLEMENTED"} 0"#,
        r#"rubor_rpc_duration_seconds_count{method="rubor.v1.TriageService/Evaluate"} 0"#,
        r#"rubor_calls_shed_total{reason="work"} 0"#,
        r#"rubor_calls_denied_total{reason="expired"} 0"#,
        r#"rubor_connections_refused_total{reason="full"} 0"#,
        r#"rubor_log_entries_dropped_total{log="decisions"} 0"#,
    ] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{line} is not in:\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_counted_and_disturbs_no_call() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let served = Served::start_with(|args| args.keep.decision_log = Some("/dev/full".into())).await;
    for _ in 0..20 {
        served.evaluate(emergency()).await.expect("answered");
    }
    let dropped = r#"rubor_log_entries_dropped_total{log="decisions"} 20"#;
    until(async || served.admin("/metrics").await.1.contains(dropped)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_log_is_opened_anew_and_whole_requests_are_announced() {
    let (rules, folder) = (Rules::small(), tempfile::tempdir().expect("a folder"));
    let [path, old, whole] = ["decisions", "decisions.1", "requests"].map(|name| folder.path().join(name));
    let process = Process::start_with(&rules, "info", &["--decision-log", &text(&path), "--replay-log", &text(&whole)]);
    let (address, _) = process.addresses().await;
    process.entry("WHOLE REQUESTS ARE KEPT").await;
    let mut client = TriageServiceClient::new(connect(address).await);
    client.evaluate(emergency()).await.expect("answered");
    until(async || lines(&path).len() == 1).await;
    std::fs::rename(&path, &old).expect("renamed");
    process.signal("HUP");
    until(async || path.exists()).await;
    client.evaluate(emergency()).await.expect("answered");
    // What is in the queue is written before the end.
    process.signal("TERM");
    assert_eq!(process.end().0.code(), Some(0));
    assert_eq!((lines(&old).len(), lines(&path).len(), lines(&whole).len()), (1, 1, 2));
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(&whole).expect("there").permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

fn replay(log: &Path, rules: &Rules) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rubor"))
        .args(["replay", &text(log), "--rules", &text(rules.folder())])
        .output()
        .expect("the binary runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_requests_are_held_against_their_digest_and_against_other_rules() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("requests");
    let kept = path.clone();
    let served = Served::start_with(|args| args.keep.replay_log = Some(kept)).await;
    let digest = served.keeper.current().packs["small"].digest.clone();
    for asked in [emergency(), harmless(&digest), proto::EvaluateRequest::default()] {
        served.evaluate(asked).await.expect("answered");
    }
    let odd = observed("temperature", Observed::Quantity(proto::Quantity { value: 100.3 / 2.7, unit: "Cel".into() }));
    served.evaluate(request(vec![odd])).await.expect("answered");
    served.evaluate(request(vec![present("nothing")])).await.expect_err("refused");
    until(async || lines(&path).len() == 5).await;

    let same = replay(&path, &served.rules);
    let said = String::from_utf8_lossy(&same.stdout).into_owned();
    assert_eq!(same.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&same.stderr));
    assert!(said.contains("4 on the rules that answered") && said.contains("0 changed"), "{said}");

    served.rules.edit("rules.yaml", "floor: emergency\n    while_unknown", "floor: urgent\n    while_unknown");
    served.rules.edit("cases/small.yaml", "urgency: emergency", "urgency: urgent");
    let changed = replay(&path, &served.rules);
    let said = String::from_utf8_lossy(&changed.stdout).into_owned();
    assert_eq!(changed.status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&changed.stderr));
    assert!(said.contains("urgency: emergency -> urgent") && said.contains("1 changed"), "{said}");

    // A killed process leaves half a line, and that is no reason to give up the others.
    let mut text = std::fs::read_to_string(&path).expect("written");
    text.push_str(r#"{"time":"20"#);
    std::fs::write(&path, &text).expect("written");
    assert_eq!(replay(&path, &served.rules).status.code(), Some(1));
    std::fs::write(&path, format!("{CANARY}\n{text}")).expect("written");
    let broken = replay(&path, &served.rules);
    assert_eq!(broken.status.code(), Some(2));
    assert!(!String::from_utf8_lossy(&broken.stderr).contains(CANARY));
}

// --- The canary -----------------------------------------------------------------------------------------------------

/// A request with the canary in every place where metadata goes.
fn marked<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    for name in ["x-patient", "traceparent", "user-agent", "x-real-ip", "cookie", CANARY] {
        metadata.insert(name, CANARY.parse().expect("metadata"));
    }
    metadata.insert("x-request-id", format!("{CANARY} of a patient").parse().expect("metadata"));
    metadata.insert_bin("patient-bin", tonic::metadata::MetadataValue::from_bytes(CANARY.as_bytes()));
    if let Some(token) = token {
        metadata.insert("authorization", format!("Bearer {token}").parse().expect("metadata"));
    }
    request
}

fn clean<T>(result: Result<T, Status>) -> Option<T> {
    match result {
        Ok(answer) => Some(answer),
        Err(status) => {
            let details = String::from_utf8_lossy(status.details()).into_owned();
            let shown = format!("{} {details} {:?}", status.message(), status.metadata());
            assert!(!shown.contains(CANARY), "{shown}");
            None
        }
    }
}

fn bad_requests() -> Vec<proto::EvaluateRequest> {
    let of = |finding: &str, value| request(vec![observed(finding, value)]);
    let quantity = |unit: &str| Observed::Quantity(proto::Quantity { value: 37.5, unit: unit.into() });
    let selection = Observed::Selection(proto::Selection { options: vec![CANARY.into()], complete: true });
    let named = proto::NoneOfThese { name: CANARY.into(), fingerprint: CANARY.into(), group: CANARY.into() };
    vec![
        request(vec![present(CANARY)]),
        request(vec![present(&format!("snomed:{CANARY}"))]),
        of("temperature", quantity(CANARY)),
        of("count", selection),
        request(vec![present(&CANARY.repeat(200))]),
        proto::EvaluateRequest { pack: CANARY.into(), ..Default::default() },
        proto::EvaluateRequest { expected_digest: CANARY.into(), ..Default::default() },
        proto::EvaluateRequest { request_id: CANARY.repeat(100), ..emergency() },
        proto::EvaluateRequest { request_id: CANARY.into(), ..emergency() },
        proto::EvaluateRequest { none_of_these: vec![named], ..Default::default() },
        request(vec![proto::Observation { group: CANARY.into(), ..present("stays") }]),
    ]
}

/// Every method, with the canary in every place that takes a text.
async fn call_everything(channel: &Channel, token: Option<&str>) {
    let mut triage = TriageServiceClient::new(channel.clone());
    for asked in bad_requests() {
        clean(triage.evaluate(marked(asked, token)).await);
    }
    let items = bad_requests().into_iter().map(|request| proto::EvaluateStreamRequest { request: Some(request) });
    let items: Vec<_> = items.collect();
    if let Some(answers) = clean(triage.evaluate_stream(marked(tokio_stream::iter(items), token)).await) {
        let mut answers = answers.into_inner();
        while let Some(Some(answer)) = clean(answers.message().await) {
            if let Some(proto::evaluate_stream_response::Result::Error(error)) = answer.result {
                let error = proto::ItemError { request_id: String::new(), ..error };
                assert!(!format!("{error:?}").contains(CANARY), "{error:?}");
            }
        }
    }
    let mut knowledge = KnowledgeServiceClient::new(channel.clone());
    clean(knowledge.list_packs(marked(proto::ListPacksRequest {}, token)).await);
    let named = proto::GetPackRequest { pack: CANARY.into(), expected_digest: CANARY.into() };
    clean(knowledge.get_pack(marked(named, token)).await);
    clean(knowledge.get_status(marked(proto::GetStatusRequest {}, token)).await);
    drop(clean(knowledge.watch_status(marked(proto::WatchStatusRequest {}, token)).await));
    clean(knowledge.reload_rules(marked(proto::ReloadRulesRequest {}, token)).await);
    let named = proto::RunCasesRequest { pack: String::new(), expected_digest: String::new(), filter: CANARY.into() };
    clean(knowledge.run_cases(marked(named, token)).await);
    for path in ["pack.yaml".to_owned(), format!("../{CANARY}")] {
        let content = format!("pack: {CANARY}\n{CANARY}: [");
        let files = vec![proto::RuleFile { path, content }];
        // An answer quotes the rules that it is about; an error does not.
        let asked = proto::ValidateRulesRequest { files, pack: String::new() };
        clean(knowledge.validate_rules(marked(asked, token)).await);
    }
    let asked = tonic_health::pb::HealthCheckRequest { service: CANARY.into() };
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    clean(health.check(marked(asked, token)).await);
    unknown_and_unreadable(channel, token).await;
}

async fn unknown_and_unreadable(channel: &Channel, token: Option<&str>) {
    // A message that is no request: a text where the fields should be.
    let text = proto::ListPacksResponse { packs: Vec::new(), default_pack: CANARY.into() };
    for path in [format!("/rubor.v1.TriageService/{CANARY}"), "/rubor.v1.TriageService/Evaluate".to_owned()] {
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.expect("connected");
        let path: PathAndQuery = path.parse().expect("a path");
        let codec = tonic_prost::ProstCodec::<proto::ListPacksResponse, proto::EvaluateResponse>::default();
        clean(client.unary(marked(text.clone(), token), path, codec).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_canary_is_found_nowhere() {
    let (rules, folder) = (Rules::small(), tempfile::tempdir().expect("a folder"));
    let (tokens, decisions) = (folder.path().join("tokens"), folder.path().join("decisions"));
    let (token, line) = rubor::access::token::make("ward", rubor::access::scope::Scopes::all()).expect("made");
    std::fs::write(&tokens, line).expect("written");
    for level in ["trace", "info"] {
        let process = Process::start_with(
            &rules,
            level,
            &["--tokens", &text(&tokens), "--decision-log", &text(&decisions), "--decision-log-outcomes"],
        );
        let (address, admin) = process.addresses().await;
        let channel = connect(address).await;
        for token in [Some(token.as_str()), Some(CANARY), None] {
            call_everything(&channel, token).await;
        }
        let seen = tokio::task::spawn_blocking(move || {
            ["/metrics", "/status", "/readyz", "/healthz"].map(|path| http_get(admin, path).1).concat()
        });
        let seen = seen.await.expect("asked");
        process.signal("TERM");
        let (status, logged) = process.end();
        assert_eq!(status.code(), Some(0));
        let kept = std::fs::read_to_string(&decisions).expect("written");
        assert!(seen.contains("rubor_calls_denied_total") && kept.contains("INVALID_ARGUMENT"));
        for (place, text) in [("the admin port", &seen), ("the log", &logged), ("the decision log", &kept)] {
            assert!(!text.contains(CANARY) && !text.contains(&token), "in {place}: {text}");
        }
    }
}

/// What was logged in this process.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_a_panic_says_is_not_logged() {
    let logged = Logged::default();
    let writer = logged.clone();
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).init();
    let before = std::panic::take_hook();
    rubor::observe::logs::quiet_panics();
    let ended = tokio::spawn(async { panic!("{CANARY}") }).await;
    std::panic::set_hook(before);
    assert!(ended.is_err());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let logged = String::from_utf8_lossy(&logged.0.lock().expect("no panic")).into_owned();
    assert!(
        logged.contains("something panicked") && logged.contains("kept.rs") && !logged.contains(CANARY),
        "{logged}"
    );
}
