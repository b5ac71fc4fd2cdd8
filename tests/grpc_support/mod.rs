//! A small pack in a temporary folder, and a real server on a loopback port with real clients.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod process;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rubor::config::ServeArgs;
use rubor::grpc::proto;
use rubor::grpc::proto::knowledge_service_client::KnowledgeServiceClient;
use rubor::grpc::proto::observation::Value;
use rubor::grpc::proto::triage_service_client::TriageServiceClient;
use rubor::server::{self, Running};
use rubor::store::RuleSource;
use rubor::store::keeper::Keeper;
use tonic::transport::{Channel, Endpoint};

const PACK: &str = r#"pack:
  id: small
  title: A small pack for tests
  version: "0.1.0"
  jurisdiction: nowhere
  summary: Two conditions and two red flags.
  review: { status: draft }
  insufficient_urgency: prompt
  act_at: { emergency: 0.05, urgent: 0.10, prompt: 0.20, routine: 0.5 }
  frequencies: { very_common: 0.2, common: 0.1, uncommon: 0.02, rare: 0.005, very_rare: 0.002 }
  screen: [age, danger, stays]
  advice:
    - { urgency: self_care, text: "Look after it at home.", provisional: "Answer these first." }
    - { urgency: routine, text: "Make an appointment." }
    - { urgency: prompt, text: "See someone within days." }
    - { urgency: urgent, text: "See someone today." }
    - { urgency: emergency, text: "Call an ambulance." }
  safety_net:
    - { urgency: self_care, act_within: "No need.", reassess_after: "Two weeks.", watch_for: ["Spots that stay."] }
    - { urgency: routine, act_within: "Weeks.", reassess_after: "A week.", watch_for: ["Spots that stay."] }
    - { urgency: prompt, act_within: "Days.", reassess_after: "A day.", watch_for: ["Fever."] }
"#;

const RULES: &str = r#"sources:
  - { id: BOOK, title: "A book", url: "https://example.org/book" }
findings:
  - { id: age, name: age, about: person, kind: number, unit: a, range: [0, 120], ask: "How old?" }
  - id: fever
    name: fever
    about: person
    kind: yes_no
    ask: "Is there a fever?"
    synonyms: [high temperature]
    codings: ["snomed:386661006"]
  - { id: temperature, name: temperature, about: person, kind: number, unit: Cel, range: [25, 45], family: fever, ask: "How hot?" }
  - { id: confusion, name: confusion, about: person, kind: yes_no, ask: "Confused?" }
  - { id: stays, name: spots that stay when pressed, about: spots, kind: yes_no, ask: "Do they stay?", help: "Press a glass on them." }
  - { id: dome, name: a smooth dome, about: spots, kind: yes_no, ask: "Is it a dome?" }
  - { id: years, name: there for years, about: spots, kind: yes_no, ask: "For years?" }
  - { id: gums, name: bleeding gums, about: person, kind: yes_no, ask: "Do the gums bleed?" }
  - id: count
    name: how many
    about: spots
    kind: choice
    ask: "How many?"
    options: [{ id: one, name: one }, { id: many, name: many }]
boxes:
  - { id: danger, ask: "Do any of these apply?", pick: any, findings: [fever, confusion] }
derived:
  - id: measured_fever
    when: { finding: temperature, at_least: 38 }
    present: [fever]
    because: "38 degrees or more is a fever."
conditions:
  - id: angioma
    name: cherry angioma
    summary: "Harmless."
    urgency: self_care
    prior: very_common
    evidence:
      - { id: dome, when: dome, supports: strong, because: "It is a dome.", sources: [BOOK] }
      - { id: years, when: years, supports: strong, because: "It has been there for years.", sources: [BOOK] }
      - { id: stays, when: stays, argues_against: strong, because: "It fades when pressed.", sources: [BOOK] }
      - { id: one, when: { finding: count, is: one }, supports: weak, because: "There may be one.", sources: [BOOK] }
    care:
      - { text: "None is needed.", sources: [BOOK] }
  - id: low_platelets
    name: low platelets
    summary: "Too few platelets."
    urgency: urgent
    prior: rare
    evidence:
      - { id: stays, when: stays, supports: strong, because: "Blood does not fade.", sources: [BOOK] }
      - { id: gums, when: gums, supports: moderate, because: "Gums bleed too.", sources: [BOOK] }
red_flags:
  - id: fever_with_spots_that_stay
    name: fever with spots that stay
    given: stays
    sign: fever
    floor: emergency
    while_unknown: urgent
    because: "It may be sepsis."
    action: "Call an ambulance."
    sources: [BOOK]
  - id: confusion
    name: confusion
    sign: confusion
    floor: emergency
    because: "It is dangerous."
    sources: [BOOK]
"#;

const CASES: &str = r"id: an_old_dome
title: A dome for years
present: [dome, years]
absent: [stays]
none_of_these: [danger]
expect:
  top: angioma
  urgency: self_care
---
id: fever_and_spots
title: Fever and spots that stay
present: [fever, stays]
expect:
  red_flags: [fever_with_spots_that_stay]
  urgency: emergency
";

/// Rules in a folder that is gone when this is.
pub struct Rules(tempfile::TempDir);

impl Rules {
    pub fn small() -> Self {
        let rules = Rules(tempfile::tempdir().expect("a folder"));
        std::fs::create_dir_all(rules.folder().join("cases")).expect("a folder");
        rules.write("pack.yaml", PACK);
        rules.write("rules.yaml", RULES);
        rules.write("cases/small.yaml", CASES);
        rules
    }

    /// A copy of the rules of this repository.
    pub fn shipped() -> Self {
        let rules = Rules(tempfile::tempdir().expect("a folder"));
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        let mut open = vec![PathBuf::new()];
        while let Some(folder) = open.pop() {
            std::fs::create_dir_all(rules.folder().join(&folder)).expect("a folder");
            for entry in std::fs::read_dir(from.join(&folder)).expect("the rules") {
                let entry = entry.expect("an entry");
                let path = folder.join(entry.file_name());
                if entry.path().is_dir() {
                    open.push(path);
                } else {
                    std::fs::copy(entry.path(), rules.folder().join(path)).expect("copied");
                }
            }
        }
        rules
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    /// Edits a file: the first `from` becomes `to`.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(name)).expect("read");
        assert!(text.contains(from), "`{from}` is not in {name}");
        self.write(name, &text.replacen(from, to, 1));
    }

    pub fn keeper(&self) -> Arc<Keeper> {
        match Keeper::open(RuleSource::Folder(self.folder().to_owned())) {
            Ok(keeper) => Arc::new(keeper),
            Err(refusal) => {
                panic!("{}", refusal.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

/// A server in this process.
pub struct Served {
    pub rules: Rules,
    pub keeper: Arc<Keeper>,
    pub running: Running,
    pub channel: Channel,
}

impl Served {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut ServeArgs)) -> Self {
        let rules = Rules::small();
        let keeper = rules.keeper();
        let mut args = args();
        change(&mut args);
        let running = server::start(&args, Arc::clone(&keeper)).await.expect("starts");
        let channel = connect(running.address()).await;
        Served { rules, keeper, running, channel }
    }

    pub fn triage(&self) -> TriageServiceClient<Channel> {
        TriageServiceClient::new(self.channel.clone())
    }

    pub fn knowledge(&self) -> KnowledgeServiceClient<Channel> {
        KnowledgeServiceClient::new(self.channel.clone())
    }

    pub async fn evaluate(&self, request: proto::EvaluateRequest) -> Result<proto::EvaluateResponse, tonic::Status> {
        self.triage().evaluate(request).await.map(tonic::Response::into_inner)
    }

    /// An answer of the admin port: its head and its body.
    pub async fn admin(&self, path: &str) -> (String, String) {
        let address = self.running.admin_address().expect("the admin port is on");
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || http_get(address, &path)).await.expect("no panic")
    }
}

pub fn args() -> ServeArgs {
    ServeArgs {
        listen: "127.0.0.1:0".into(),
        admin: "127.0.0.1:0".into(),
        poll_interval: Duration::from_millis(100),
        drain_pause: Duration::from_millis(200),
        drain_timeout: Duration::from_secs(5),
        log: tracing::level_filters::LevelFilter::WARN,
        ..ServeArgs::default()
    }
}

pub async fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).expect("an address").connect().await.expect("connects")
}

pub fn http_get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("connects");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    (head.to_owned(), body.to_owned())
}

pub fn observed(finding: &str, value: Value) -> proto::Observation {
    proto::Observation { finding: finding.into(), value: Some(value), group: String::new() }
}

pub fn present(finding: &str) -> proto::Observation {
    observed(finding, Value::Present(true))
}

pub fn absent(finding: &str) -> proto::Observation {
    observed(finding, Value::Present(false))
}

pub fn request(observations: Vec<proto::Observation>) -> proto::EvaluateRequest {
    proto::EvaluateRequest { observations, ..Default::default() }
}

/// The emergency of the small pack.
pub fn emergency() -> proto::EvaluateRequest {
    request(vec![present("stays"), present("fever")])
}

/// The harmless case of the small pack, pinned so that its box needs no fingerprint.
pub fn harmless(digest: &str) -> proto::EvaluateRequest {
    proto::EvaluateRequest {
        expected_digest: digest.into(),
        patient: Some(proto::Patient { age_years: Some(52.0), ..Default::default() }),
        none_of_these: vec![proto::NoneOfThese { name: "danger".into(), ..Default::default() }],
        ..request(vec![present("dome"), present("years"), absent("stays")])
    }
}

/// Asks again and again until something holds.
pub async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    for _ in 0..200 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it did not come to hold within five seconds");
}
