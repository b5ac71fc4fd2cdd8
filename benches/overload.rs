//! What a server answers that is asked ten times more at once than it can do: `cargo bench --bench overload`.
//!
//! Callers in a closed loop against the real binary on loopback, some 50 seconds in all, so client and server share the
//! machine. Printed: what is answered and refused a second, latencies, health meanwhile, memory.

#![allow(clippy::disallowed_methods, reason = "a bench looks at the clock")]
#![allow(missing_docs, reason = "a program")]

#[path = "../tests/grpc_support/mod.rs"]
mod grpc_support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use grpc_support::{connect, emergency};
use rubor::grpc::proto;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// How long a caller who was refused waits before the next try.
const PAUSE: Duration = Duration::from_millis(20);

/// What callers in a closed loop saw: calls answered and refused a second, and the 99th percentile of the answered.
struct Seen {
    answered: f64,
    refused: f64,
    p99: Duration,
}

async fn closed_loop(address: SocketAddr, callers: usize, time: Duration) -> Seen {
    let end = Instant::now() + time;
    let mut channels = Vec::new();
    for _ in 0..callers.div_ceil(64) {
        channels.push(connect(address).await);
    }
    let calls = (0..callers).map(|caller| {
        let mut client =
            proto::triage_service_client::TriageServiceClient::new(channels[caller % channels.len()].clone());
        tokio::spawn(async move {
            let (mut took, mut refused) = (Vec::new(), 0_u32);
            while Instant::now() < end {
                let started = Instant::now();
                match client.evaluate(emergency()).await {
                    Ok(_) => took.push(started.elapsed()),
                    Err(status) if status.code() == Code::ResourceExhausted => {
                        refused += 1;
                        tokio::time::sleep(PAUSE).await;
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
    let p99 = took.get(took.len() * 99 / 100).copied().unwrap_or_default();
    Seen { answered: f64::from(count) / time.as_secs_f64(), refused: refused / time.as_secs_f64(), p99 }
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

#[tokio::main]
async fn main() {
    let rules = grpc_support::Rules::small();
    let process = grpc_support::process::Process::start(&rules, "info");
    let (address, _) = process.addresses().await;
    let time = Duration::from_secs(5);
    closed_loop(address, 4, time).await;
    let mut runs = Vec::new();
    for callers in [1, 2, 4, 8, 16, 32] {
        let seen = closed_loop(address, callers, time).await;
        println!(
            "{callers:>4} callers: {:>6.0}/s answered, {:>6.0}/s refused, p99 {:?}",
            seen.answered, seen.refused, seen.p99
        );
        runs.push((callers, seen));
    }
    let peak = runs.iter().map(|(_, seen)| seen.answered).fold(0.0, f64::max);
    let (callers, at) = runs.into_iter().find(|(_, seen)| seen.answered >= 0.95 * peak).expect("a peak");
    let before = resident(process.id());
    let (seen, health) = tokio::join!(closed_loop(address, 10 * callers, 2 * time), worst_health(address, 2 * time));
    let after = resident(process.id());
    println!(
        "saturated by {callers} callers; with {}: {:.0}/s answered ({:.0} % of the peak), {:.0}/s refused, p99 {:?} \
         ({:.1} times), health at worst {health:?}, {before} MB before and {after} MB after",
        10 * callers,
        seen.answered,
        100.0 * seen.answered / peak,
        seen.refused,
        seen.p99,
        seen.p99.as_secs_f64() / at.p99.as_secs_f64(),
    );
}
