//! Calls by the million, and what becomes of memory and answers meanwhile: `cargo bench --bench soak -- 10000000`.
//!
//! After the number of calls (200,000 where none is given) `--minutes M` bounds the time, and `--faults` breaks things
//! while the calls go on: rules, reloads, a disk that is full, a thousand bad clients, and a replica that is killed. The
//! real binary on loopback, with the shipped rules in a folder of their own; client and server share the machine.
//! Printed: answers by status, memory after the first minute (or a quarter of the calls) and at the end. It fails when a
//! call ends as it must not, when equal requests have different answers on the same rules, or when memory changed by more
//! than a tenth.

#![allow(clippy::disallowed_methods, reason = "a bench looks at the clock and the disk")]
#![allow(missing_docs, reason = "a program")]
#![allow(clippy::cast_precision_loss, reason = "counts are divided")]

mod faults;
#[path = "../../tests/grpc_support/mod.rs"]
mod grpc_support;
mod load;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grpc_support::Rules;
use grpc_support::process::Process;
use load::{Requests, Seen};
use rubor::store::RuleSource;
use rubor::store::keeper::Keeper;

/// The allocator of the server, because the client must be cheap.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FIRST: Duration = Duration::from_secs(60);
/// By how much memory may differ at the end from what it was after the first minute; and in a run that is too short for
/// that, from what it was after a quarter of the calls.
const TOLERANCE: f64 = 0.1;
const TOLERANCE_SHORT: f64 = 0.5;

struct Settings {
    calls: u64,
    most: Duration,
    faults: bool,
}

fn settings() -> Settings {
    let mut settings = Settings { calls: 200_000, most: Duration::from_secs(60 * 60), faults: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => {}
            "--faults" => settings.faults = true,
            "--minutes" => {
                let minutes: u64 = arguments.next().and_then(|text| text.parse().ok()).expect("--minutes NUMBER");
                settings.most = Duration::from_secs(60 * minutes);
            }
            number => settings.calls = number.parse().expect("a number of calls, --minutes M or --faults"),
        }
    }
    settings
}

/// Memory of a process, in kB.
fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()
}

/// Looks at the memory each second until the calls are over; gives that of the beginning, and that of the end.
async fn watch(
    seen: &Seen,
    process: u32,
    settings: &Settings,
    begun: Instant,
    is_settled: impl Fn() -> bool,
) -> (u64, u64) {
    let (mut first, mut last, mut most) = (None, 0, 0);
    while !seen.is_over() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let Some(now) = resident(process) else {
            seen.failed("the server is gone".to_owned());
            seen.stop();
            break;
        };
        (last, most) = (now, most.max(now));
        let is_begun = begun.elapsed() >= FIRST || seen.ended() >= settings.calls / 4;
        if first.is_none() && is_begun && is_settled() {
            first = Some(now);
        }
        if begun.elapsed() > settings.most {
            println!("the time is over");
            seen.stop();
        }
    }
    let first = first.unwrap_or(last);
    println!(
        "memory: {:.1} MB at first, {:.1} MB at the end, {:.1} MB at most",
        first as f64 / 1e3,
        last as f64 / 1e3,
        most as f64 / 1e3
    );
    (first, last)
}

#[tokio::main]
async fn main() -> ExitCode {
    let settings = settings();
    let rules = Rules::shipped();
    let keeper = Keeper::open(RuleSource::Folder(rules.folder().to_owned()));
    let Ok(keeper) = keeper else { panic!("the shipped rules are refused") };
    let requests = Requests::of(keeper.current().packs.values().next().expect("a pack"));
    drop(keeper);
    let seen = Arc::new(Seen::new(requests, settings.calls));
    let mut log = faults::Disk::new();
    let kept = log.path.display().to_string();
    let process = if settings.faults {
        Process::start_with(&rules, "info", &["--decision-log", &kept])
    } else {
        Process::start(&rules, "info")
    };
    let (address, admin) = process.addresses().await;
    let begun = Instant::now();
    let rounds = faults::Rounds::default();
    let is_settled = || !settings.faults || rounds.has_been_one();
    let ((first, last), (), ()) =
        tokio::join!(watch(&seen, process.id(), &settings, begun, is_settled), load::run(&seen, address), async {
            if settings.faults {
                faults::run(&seen, &rules, &process, (address, admin), &mut log, &rounds).await;
            }
        });
    let took = begun.elapsed().as_secs_f64();
    println!("{} calls in {took:.0} s, {:.0} a second", seen.ended(), seen.ended() as f64 / took);
    if settings.faults {
        println!("{rounds}");
    }
    process.signal("TERM");
    let (status, _) = process.end();
    if status.code() != Some(0) {
        seen.failed(format!("the server ended with {status}"));
    }
    let grown = last as f64 / first as f64 - 1.0;
    let tolerance = if begun.elapsed() > 5 * FIRST { TOLERANCE } else { TOLERANCE_SHORT };
    if first == 0 || grown.abs() > tolerance {
        seen.failed(format!("memory changed by {:.0} %", grown * 100.0));
    }
    if seen.report() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
