//! What a server answers that is asked ten times more at once than it can do: `cargo bench --bench overload`.
//!
//! Callers in a closed loop against the real binary on loopback, with the shipped rules, about a minute in all. Client and
//! server share the machine, so the client has one thread, decodes no answer and goes first (`nice`): it stands for many
//! machines, and what is to be saturated is the server.
//! A caller who is refused waits for as long as the server asks. Saturated is the server by the fewest callers
//! that get 95 % of the most that any number gets. Printed: what is answered and refused a second, latencies, health
//! meanwhile, memory.

#![allow(clippy::disallowed_methods, reason = "a bench looks at the clock")]
#![allow(missing_docs, reason = "a program")]

#[path = "../tests/grpc_support/mod.rs"]
mod grpc_support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use grpc_support::connect;
use rubor::engine::submission;
use rubor::grpc::proto;
use rubor::store::RuleSource;
use rubor::store::keeper::Keeper;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::{ProstCodec, ProstEncoder};
use tonic_types::StatusExt as _;

/// How long one round of one number of callers takes.
const ROUND: Duration = Duration::from_secs(2);
/// How many rounds there are of each; what is told is the median.
const ROUNDS: usize = 3;
/// How many callers there are on the way to saturation.
const LADDER: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/// How many calls share a connection.
const CALLERS_PER_CONNECTION: usize = 64;

/// What callers in a closed loop saw: calls answered and refused a second, and the 99th percentile of the answered.
#[derive(Debug, Clone, Copy)]
struct Seen {
    answered: f64,
    refused: f64,
    p50: Duration,
    p99: Duration,
}

/// The middle of some values.
fn median<T: PartialOrd + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_by(|one, other| one.partial_cmp(other).expect("comparable"));
    values[values.len() / 2]
}

impl Seen {
    fn middle(rounds: &[Seen]) -> Seen {
        Seen {
            answered: median(rounds.iter().map(|seen| seen.answered)),
            refused: median(rounds.iter().map(|seen| seen.refused)),
            p50: median(rounds.iter().map(|seen| seen.p50)),
            p99: median(rounds.iter().map(|seen| seen.p99)),
        }
    }
}

/// Sends requests, and only counts the bytes of answers.
#[derive(Clone, Copy)]
struct Counting;

impl Codec for Counting {
    type Encode = proto::EvaluateRequest;
    type Decode = usize;
    type Encoder = ProstEncoder<proto::EvaluateRequest>;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<proto::EvaluateRequest, proto::EvaluateResponse>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Decoder for Counting {
    type Item = usize;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<usize>, Status> {
        let length = prost::bytes::Buf::remaining(from);
        prost::bytes::Buf::advance(from, length);
        Ok(Some(length))
    }
}

/// A request of the shipped rules that tells a good deal.
fn asked() -> proto::EvaluateRequest {
    let keeper = Keeper::open(RuleSource::Embedded).expect("the shipped rules hold");
    let snapshot = keeper.current();
    let pack = snapshot.packs.values().next().expect("a pack");
    let told = |case: &submission::Submission| {
        let observations = case.observations.iter().filter_map(|told| match told.value {
            Some(submission::Value::Present(present)) if told.group.is_empty() => {
                let value = if present { grpc_support::present } else { grpc_support::absent };
                Some(value(&told.finding))
            }
            _ => None,
        });
        observations.take(15).collect::<Vec<_>>()
    };
    let longest = pack.cases.iter().map(|case| told(&case.submission)).find(|told| told.len() == 15);
    grpc_support::request(longest.expect("a case that tells fifteen findings"))
}

async fn closed_loop(address: SocketAddr, asked: &proto::EvaluateRequest, callers: usize, time: Duration) -> Seen {
    let mut channels = Vec::new();
    for _ in 0..callers.div_ceil(CALLERS_PER_CONNECTION) {
        channels.push(connect(address).await);
    }
    let end = Instant::now() + time;
    let calls = (0..callers).map(|caller| {
        let mut client = tonic::client::Grpc::new(channels[caller % channels.len()].clone());
        let asked = asked.clone();
        tokio::spawn(async move {
            let (mut took, mut refused) = (Vec::new(), 0_u32);
            while Instant::now() < end {
                let started = Instant::now();
                client.ready().await.expect("the server is there");
                let path = PathAndQuery::from_static("/rubor.v1.TriageService/Evaluate");
                match client.unary(Request::new(asked.clone()), path, Counting).await {
                    Ok(_) => took.push(started.elapsed()),
                    Err(status) if status.code() == Code::ResourceExhausted => {
                        refused += 1;
                        let wait = status.get_details_retry_info().and_then(|info| info.retry_delay);
                        tokio::time::sleep(wait.expect("the server says how long to wait")).await;
                    }
                    Err(status) => panic!("{status:?}"),
                }
            }
            (took, refused)
        })
    });
    let (mut took, mut refused) = (Vec::new(), 0.0);
    for call in calls.collect::<Vec<_>>() {
        let (more, no) = call.await.expect("no panic");
        took.extend(more);
        refused += f64::from(no);
    }
    took.sort();
    let count = u32::try_from(took.len()).expect("a count");
    let (answered, refused) = (f64::from(count) / time.as_secs_f64(), refused / time.as_secs_f64());
    let at = |percent| took.get(took.len() * percent / 100).copied().unwrap_or_default();
    Seen { answered, refused, p50: at(50), p99: at(99) }
}

/// Memory of a process, in MB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}

/// How long health took to answer, at worst, while something else went on.
async fn worst_health(address: SocketAddr, time: Duration) -> Duration {
    let mut client = HealthClient::new(connect(address).await);
    let (end, mut worst) = (Instant::now() + time, Duration::ZERO);
    while Instant::now() < end {
        let started = Instant::now();
        client.check(HealthCheckRequest::default()).await.expect("answered");
        worst = worst.max(started.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    worst
}

#[tokio::main(worker_threads = 1)]
async fn main() {
    let mut server = Command::new("nice");
    server.args(["-n", "10", grpc_support::process::BINARY]);
    let process = grpc_support::process::Process::serving(&mut server, Path::new("rules"), "info", &[]);
    let asked = asked();
    let (address, _) = process.addresses().await;
    closed_loop(address, &asked, 4, ROUND).await;
    let mut rounds = vec![Vec::new(); LADDER.len()];
    for _ in 0..ROUNDS {
        for (callers, seen) in LADDER.into_iter().zip(&mut rounds) {
            seen.push(closed_loop(address, &asked, callers, ROUND).await);
        }
    }
    let runs: Vec<_> = LADDER.into_iter().zip(rounds.iter().map(|rounds| Seen::middle(rounds))).collect();
    for (callers, Seen { answered, refused, p50, p99 }) in &runs {
        println!(
            "{callers:>4} callers: {answered:>6.0}/s answered, {refused:>6.0}/s refused, p50 {p50:.1?}, p99 {p99:.1?}"
        );
    }
    let peak = runs.iter().map(|(_, seen)| seen.answered).fold(0.0, f64::max);
    let (callers, at) = runs.into_iter().find(|(_, seen)| seen.answered >= 0.95 * peak).expect("a peak");
    let before = resident(process.id());
    let (mut rounds, mut health) = (Vec::new(), Duration::ZERO);
    for _ in 0..ROUNDS {
        let (seen, worst) =
            tokio::join!(closed_loop(address, &asked, 10 * callers, ROUND), worst_health(address, ROUND));
        rounds.push(seen);
        health = health.max(worst);
    }
    let (seen, after) = (Seen::middle(&rounds), resident(process.id()));
    println!(
        "saturated by {callers} callers; with {}: {:.0}/s answered ({:.0} % of the peak), {:.0}/s refused, p50 {:.1?}, \
         p99 {:.1?} ({:.1} times), health at worst {health:.1?}, {before} MB before and {after} MB after",
        10 * callers,
        seen.answered,
        100.0 * seen.answered / peak,
        seen.refused,
        seen.p50,
        seen.p99,
        seen.p99.as_secs_f64() / at.p99.as_secs_f64(),
    );
}
