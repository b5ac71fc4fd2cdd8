//! The binary as an operator sees it: signals, exit codes, logs; and that no log says what a patient said.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "tests write the rules that they serve")]

mod grpc_support;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use grpc_support::{Rules, connect, emergency, http_get, observed, present, request};
use rubor::grpc::proto;
use rubor::grpc::proto::observation::Value;
use rubor::grpc::proto::triage_service_client::TriageServiceClient;
use tokio::time::Instant;

const CANARY: &str = "zq9canaryqz";

/// A running binary and what it has logged so far.
struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Drop for Process {
    /// A test that fails leaves nothing running.
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

impl Process {
    fn start(rules: &Rules, level: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rubor"))
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json", "--rules"])
            .arg(rules.folder())
            .env("RUBOR_LOG", level)
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let log = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let lines = Arc::clone(&log);
        let reader = Some(std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().expect("no panic").push(line);
            }
        }));
        Process { child, log, reader }
    }

    /// Waits for a log entry with this message.
    async fn entry(&self, message: &str) -> serde_json::Value {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(20) {
            for line in self.log.lock().expect("no panic").iter() {
                let entry: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
                if entry["message"].as_str().is_some_and(|text| text.starts_with(message)) {
                    return entry;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no entry `{message}` in {:#?}", self.log.lock().expect("no panic"));
    }

    async fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let entry = self.entry("serving").await;
        let address = |name: &str| entry[name].as_str().expect("an address").parse().expect("an address");
        (address("listen"), address("admin"))
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for the end; gives the exit status and the whole log.
    fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("ends");
        self.reader.take().expect("not joined").join().expect("read");
        let log = self.log.lock().expect("no panic").join("\n");
        (status, log)
    }
}

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
