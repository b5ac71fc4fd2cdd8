//! Calls of many kinds, cheap for the caller, and what came of them.
//!
//! Owns what is asked, what may be answered to it, and that equal requests have equal answers on equal rules. Answers
//! are not decoded: what counts of them is which rules they are by, and their bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prost::Message as _;
use prost::bytes::{Buf as _, BufMut as _, Bytes};
use rubor::engine::submission::{Age, Value};
use rubor::grpc::proto;
use rubor::store::LoadedPack;
use tokio_stream::StreamExt as _;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// Connections, and calls in flight on each of them.
const CONNECTIONS: usize = 4;
const IN_FLIGHT: usize = 8;
/// How many different requests take turns, and how many observations each has at most.
const REQUESTS: usize = 64;
const OBSERVATIONS: usize = 8;
/// How many items a stream has.
const ITEMS: u64 = 100;
/// How long the caller with streams rests after one; the server answers them faster than single calls.
const REST: Duration = Duration::from_millis(50);
/// Most answers of one request that are told apart; one for each digest that the rules had.
const MOST_DIGESTS: usize = 4096;
/// Most failures that are told.
const MOST_FAILURES: usize = 20;

/// A connection for a client that gives up calls all the time. Its library remembers fifty of them for a second where it is
/// told nothing else; an answer to one that it has forgotten it takes for a mistake of the server, and after a thousand of
/// those it ends the connection.
async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint.http2_max_concurrent_reset_streams(4096).connect().await.expect("connects")
}

/// Messages as bytes.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// As much of an answer as has to be understood.
#[derive(Clone, PartialEq, prost::Message)]
struct Head {
    #[prost(string, tag = "1")]
    evaluation_id: String,
    #[prost(message, optional, tag = "3")]
    rule_set: Option<proto::RuleSet>,
}

/// The same of an item of a stream.
#[derive(Clone, PartialEq, prost::Message)]
struct Item {
    #[prost(bytes = "bytes", tag = "2")]
    response: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    error: Bytes,
}

/// How a call is made, and what may come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// With a mistake, of which there are several.
    Mistake(usize),
    /// With a deadline that may or may not be met.
    Deadline,
    /// Given up by the caller, now and then before there is an answer.
    Cancelled,
}

/// What mistakes there are, and how each is answered.
const MISTAKES: [Code; 4] = [Code::InvalidArgument, Code::NotFound, Code::FailedPrecondition, Code::ResourceExhausted];

impl Kind {
    /// Of a hundred calls, ninety-two are like any other.
    fn of(call: u64) -> Self {
        match call % 100 {
            3 | 29 | 53 | 71 => Kind::Mistake(usize::try_from(call / 100 % 4).unwrap_or(0)),
            17 | 61 => Kind::Deadline,
            41 | 83 => Kind::Cancelled,
            _ => Kind::Plain,
        }
    }

    fn may_end(self, code: Code) -> bool {
        match self {
            Kind::Plain => code == Code::Ok,
            Kind::Mistake(which) => code == MISTAKES[which],
            // The client, too, gives up when the time is over.
            Kind::Deadline => matches!(code, Code::Ok | Code::DeadlineExceeded | Code::Cancelled),
            Kind::Cancelled => matches!(code, Code::Ok | Code::Cancelled),
        }
    }
}

/// Requests, ready to be sent.
pub struct Requests {
    plain: Vec<Bytes>,
    items: Vec<Bytes>,
    mistakes: Vec<Bytes>,
}

impl Requests {
    /// Made of the worked cases of a pack: a few observations of each, and short answers, as an app would ask.
    pub fn of(pack: &LoadedPack) -> Self {
        let plain: Vec<_> = pack.cases.iter().filter_map(short).take(REQUESTS).collect();
        assert!(plain.len() == REQUESTS, "too few worked cases");
        let first = plain[0].clone();
        let observation = |finding: &str| proto::Observation {
            finding: finding.to_owned(),
            value: Some(proto::observation::Value::Present(true)),
            group: String::new(),
        };
        let mistakes = [
            proto::EvaluateRequest { observations: vec![observation("no_such_finding")], ..first.clone() },
            proto::EvaluateRequest { pack: "no-such-pack".into(), ..first.clone() },
            proto::EvaluateRequest { expected_digest: "0".repeat(64), ..first.clone() },
            proto::EvaluateRequest { observations: vec![observation("fever"); 600], ..first },
        ];
        let item = |request: &proto::EvaluateRequest| proto::EvaluateStreamRequest { request: Some(request.clone()) };
        Self {
            items: plain.iter().map(|request| item(request).encode_to_vec().into()).collect(),
            mistakes: mistakes.iter().map(|request| request.encode_to_vec().into()).collect(),
            plain: plain.iter().map(|request| request.encode_to_vec().into()).collect(),
        }
    }
}

/// A part of a worked case; every sixteenth is answered with everything there is.
fn short(case: &rubor::engine::case::Case) -> Option<proto::EvaluateRequest> {
    let told = case.submission.observations.iter().take(OBSERVATIONS);
    let present = told.filter_map(|told| match told.value {
        Some(Value::Present(present)) => Some(proto::Observation {
            finding: told.finding.clone(),
            value: Some(proto::observation::Value::Present(present)),
            group: told.group.clone(),
        }),
        _ => None,
    });
    let observations: Vec<_> = present.collect();
    let age_years = match case.submission.patient.age {
        Some(Age::Years(years)) => Some(years),
        _ => None,
    };
    let whole = case.id.len().is_multiple_of(16);
    let options = proto::EvaluateOptions {
        max_differentials: 3,
        max_questions: 3,
        omit_rationale: !whole,
        omit_questions: !whole,
    };
    (observations.len() > 1).then(|| proto::EvaluateRequest {
        patient: Some(proto::Patient { age_years, ..Default::default() }),
        observations,
        options: Some(options),
        ..Default::default()
    })
}

/// What came of the calls so far.
pub struct Seen {
    requests: Requests,
    most: u64,
    begun: AtomicU64,
    ended: AtomicU64,
    is_over: AtomicBool,
    /// Something is going on that calls must be seen beside, however many there were.
    goes_on: AtomicBool,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    statuses: BTreeMap<String, u64>,
    /// The answer to each request on each rules, as a number.
    answers: BTreeMap<(String, usize), u64>,
    digests: BTreeSet<String>,
    /// Answers that were not those of the first time.
    differing: u64,
    failures: Vec<String>,
    failed: u64,
}

impl Seen {
    pub fn new(requests: Requests, most: u64) -> Self {
        Self {
            requests,
            most,
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            goes_on: AtomicBool::new(false),
            book: Mutex::default(),
        }
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls have ended.
    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    pub fn is_over(&self) -> bool {
        let is_enough = self.begun.load(Ordering::Relaxed) >= self.most && !self.goes_on.load(Ordering::Relaxed);
        self.is_over.load(Ordering::Relaxed) || is_enough
    }

    /// Whether calls are to go on, even when there were enough of them.
    pub fn go_on(&self, goes_on: bool) {
        self.goes_on.store(goes_on, Ordering::Relaxed);
    }

    /// Begins no more calls.
    pub fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub fn failed(&self, what: String) {
        let mut book = self.book();
        book.failed += 1;
        if book.failures.len() < MOST_FAILURES {
            book.failures.push(what);
        }
    }

    fn begin(&self, calls: u64) -> Option<u64> {
        (!self.is_over()).then(|| self.begun.fetch_add(calls, Ordering::Relaxed))
    }

    fn count(&self, what: String) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        *self.book().statuses.entry(what).or_default() += 1;
    }

    /// Holds an answer against the ones to the same request on the same rules.
    pub fn answered(&self, which: usize, answer: &Bytes) {
        let Ok(Head { evaluation_id, rule_set: Some(rules) }) = Head::decode(answer.clone()) else {
            return self.failed(format!("the answer to request {which} cannot be read"));
        };
        // The id of the evaluation comes first, and is all that may differ.
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write(&answer[2 + evaluation_id.len()..]);
        let number = hasher.finish();
        let mut book = self.book();
        if book.answers.len() < MOST_DIGESTS * REQUESTS {
            book.digests.insert(rules.digest.clone());
            let first = *book.answers.entry((rules.digest, which)).or_insert(number);
            if first != number {
                book.differing += 1;
                drop(book);
                self.failed(format!("two answers to request {which} on the same rules"));
            }
        }
    }

    /// What was seen, for people; and whether all was well.
    pub fn report(&self) -> bool {
        let book = self.book();
        for (status, count) in &book.statuses {
            println!("{count:>10}  {status}");
        }
        let (answers, digests) = (book.answers.len(), book.digests.len());
        println!(
            "{digests} digests; {answers} answers by request and digest, to which {} later ones were not equal",
            book.differing
        );
        if book.failed > 0 {
            println!("{} FAILURES, the first of them:", book.failed);
            book.failures.iter().for_each(|failure| println!("  {failure}"));
        }
        book.failed == 0 && answers > 0
    }
}

/// Calls until there were enough of them.
pub async fn run(seen: &std::sync::Arc<Seen>, address: SocketAddr) {
    let mut callers = Vec::new();
    for connection in 0..CONNECTIONS {
        let channel = connect(address).await;
        for caller in 0..IN_FLIGHT {
            let (seen, channel) = (std::sync::Arc::clone(seen), channel.clone());
            // One caller has streams.
            callers.push(tokio::spawn(async move {
                if caller == 0 && connection == 0 {
                    streams(&seen, &channel).await
                } else {
                    calls(&seen, &channel).await
                }
            }));
        }
    }
    for caller in callers {
        if caller.await.is_err() {
            seen.failed("a caller panicked".to_owned());
        }
    }
}

async fn calls(seen: &Seen, channel: &Channel) {
    while let Some(call) = seen.begin(1) {
        let kind = Kind::of(call);
        let which = usize::try_from(call % REQUESTS as u64).unwrap_or(0);
        let code = match one(seen, channel, kind, which, call).await {
            Ok(answer) => {
                seen.answered(which, &answer);
                Code::Ok
            }
            Err(status) => {
                if !kind.may_end(status.code()) {
                    seen.failed(format!("{kind:?}: {:?}: {}", status.code(), status.message()));
                }
                status.code()
            }
        };
        if code == Code::Ok && !kind.may_end(code) {
            seen.failed(format!("{kind:?} was answered"));
        }
        let kind = if let Kind::Mistake(_) = kind { "Mistake".to_owned() } else { format!("{kind:?}") };
        seen.count(format!("{kind}: {code:?}"));
    }
}

async fn one(seen: &Seen, channel: &Channel, kind: Kind, which: usize, call: u64) -> Result<Bytes, Status> {
    let message = match kind {
        Kind::Mistake(mistake) => &seen.requests.mistakes[mistake],
        _ => &seen.requests.plain[which],
    };
    let mut request = Request::new(message.clone());
    // From too short for anything to long enough for everything.
    let micros = 1_u64 << (call / 100 % 16);
    if kind == Kind::Deadline {
        request.metadata_mut().insert("grpc-timeout", format!("{micros}u").parse().expect("a time"));
    }
    let answer = async {
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static("/rubor.v1.TriageService/Evaluate");
        client.unary(request, path, Raw).await.map(tonic::Response::into_inner)
    };
    if kind == Kind::Cancelled {
        let given_up = tokio::time::timeout(Duration::from_micros(micros), answer).await;
        return given_up.unwrap_or_else(|_| Err(Status::cancelled("by the caller")));
    }
    answer.await
}

async fn streams(seen: &Seen, channel: &Channel) {
    while let Some(first) = seen.begin(ITEMS) {
        // One in eight is given up in the middle.
        let most = if (first / ITEMS).is_multiple_of(8) { ITEMS / 2 } else { ITEMS };
        match stream(seen, channel, first, most).await {
            Ok(answered) if answered == most => {
                (most..ITEMS).for_each(|_| seen.count("Stream: given up".to_owned()));
            }
            Ok(answered) => seen.failed(format!("a stream of {ITEMS} items ended after {answered}")),
            Err(status) => seen.failed(format!("a stream: {:?}: {}", status.code(), status.message())),
        }
        tokio::time::sleep(REST).await;
    }
}

async fn stream(seen: &Seen, channel: &Channel, first: u64, most: u64) -> Result<u64, Status> {
    let which = |at: u64| usize::try_from((first + at) % REQUESTS as u64).unwrap_or(0);
    let items: Vec<_> = (0..ITEMS).map(|at| seen.requests.items[which(at)].clone()).collect();
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/rubor.v1.TriageService/EvaluateStream");
    let asked = Request::new(tokio_stream::iter(items));
    let answers = client.streaming(asked, path, Raw).await?.into_inner();
    let mut answers = answers.take(usize::try_from(most).unwrap_or(usize::MAX));
    let mut at = 0;
    while let Some(item) = answers.next().await {
        let item = Item::decode(item?).map_err(|error| Status::internal(error.to_string()))?;
        if item.error.is_empty() {
            seen.answered(which(at), &item.response);
        } else {
            seen.failed("an item of a stream was refused".to_owned());
        }
        seen.count("Stream: Ok".to_owned());
        at += 1;
    }
    Ok(at)
}

/// The answer to every plain request, one after the other.
pub async fn all_once(seen: &Seen, address: SocketAddr) {
    let channel = connect(address).await;
    for which in 0..REQUESTS {
        match one(seen, &channel, Kind::Plain, which, 0).await {
            Ok(answer) => seen.answered(which, &answer),
            Err(status) => seen.failed(format!("{:?}: {}", status.code(), status.message())),
        }
    }
}
