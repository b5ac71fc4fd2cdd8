//! What goes wrong while calls go on: rules, disks, clients, and processes that are killed.
//!
//! Owns breaking things and mending them again, round after round, and holding the server against what it promises
//! meanwhile. None of it may be seen by the calls.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::grpc_support::process::Process;
use crate::grpc_support::{Rules, http_get};
use crate::load::{self, Seen};

/// How many clients that say nothing, or nonsense, at once.
const BAD_CLIENTS: usize = 1000;
/// How long they stay, where nobody closes them.
const THEY_STAY: Duration = Duration::from_secs(2);
/// How long anything may take to come to pass.
const IN_TIME: Duration = Duration::from_secs(20);
/// More than the digests that a server holds for pins.
const VERSIONS: u32 = 6;
const HEADER: &str = "red-spots/pack.yaml";
const SOME_FILE: &str = "red-spots/sources.yaml";

/// A small disk for the log, which fills up; or a file on which no byte finds room.
pub struct Disk {
    folder: tempfile::TempDir,
    pub path: PathBuf,
    is_mounted: bool,
}

impl Disk {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(folder.path()).output();
        let is_mounted = mount.is_ok_and(|done| done.status.success());
        let path = if is_mounted { folder.path().join("decisions") } else { "/dev/full".into() };
        Self { folder, path, is_mounted }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg(self.folder.path()).status();
        }
    }
}

/// How often each fault was brought about.
#[derive(Default)]
pub struct Rounds {
    refused: AtomicU32,
    unreadable: AtomicU32,
    published: AtomicU32,
    bad: AtomicU32,
    killed: AtomicU32,
    full: AtomicU32,
    whole: AtomicU32,
}

impl Rounds {
    pub fn has_been_one(&self) -> bool {
        self.whole.load(Ordering::Relaxed) > 0
    }
}

impl std::fmt::Display for Rounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let said = |count: &AtomicU32| count.load(Ordering::Relaxed);
        write!(
            f,
            "faults: {} sets of broken rules refused, {} that could not be read, {} new sets published, {} bad clients, \
             a full disk {} times, a replica killed {} times",
            said(&self.refused),
            said(&self.unreadable),
            said(&self.published),
            said(&self.bad),
            said(&self.full),
            said(&self.killed)
        )
    }
}

struct Faults<'a> {
    seen: &'a Seen,
    rules: &'a Rules,
    process: &'a Process,
    address: SocketAddr,
    admin: SocketAddr,
    rounds: &'a Rounds,
}

/// Breaks one thing after the other until the calls are over.
pub async fn run(
    seen: &Seen,
    rules: &Rules,
    process: &Process,
    (address, admin): (SocketAddr, SocketAddr),
    disk: &mut Disk,
    rounds: &Rounds,
) {
    // At least one round, however few calls are wanted.
    seen.go_on(true);
    let faults = Faults { seen, rules, process, address, admin, rounds };
    let mut replica = Process::start(rules, "info");
    load::all_once(seen, replica.addresses().await.0).await;
    let mut version = 1;
    while !seen.is_over() {
        faults.broken_rules().await;
        faults.unreadable_rules().await;
        for _ in 0..VERSIONS {
            version += 1;
            faults.new_rules(version).await;
        }
        if seen.is_over() {
            break;
        }
        faults.bad_clients().await;
        faults.full_disk(disk).await;
        replica = faults.kill(replica).await;
        rounds.whole.fetch_add(1, Ordering::Relaxed);
        seen.go_on(false);
    }
    replica.signal("TERM");
    if replica.end().0.code() != Some(0) {
        seen.failed("the replica did not end well".to_owned());
    }
}

impl Faults<'_> {
    async fn ask(&self, path: &'static str) -> String {
        let admin = self.admin;
        tokio::task::spawn_blocking(move || http_get(admin, path).1).await.unwrap_or_default()
    }

    /// The value of a metric.
    async fn metric(&self, name: &str) -> f64 {
        let metrics = self.ask("/metrics").await;
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or(0.0)
    }

    /// Whether it comes to hold in time; that it does not is a failure.
    async fn comes_to<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < IN_TIME {
            if holds().await {
                return true;
            }
            if self.seen.is_over() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.seen.failed(format!("not within {IN_TIME:?}: {what}"));
        false
    }

    async fn is_refused(&self) -> bool {
        self.metric("rubor_rules_last_reload_successful ").await == 0.0
    }

    async fn refused_and_mended(&self, what: &str, mend: impl FnOnce()) -> bool {
        let digest = self.digest().await;
        let refused = self.comes_to(what, || self.is_refused()).await;
        if self.digest().await != digest {
            self.seen.failed(format!("{what}: other rules are served"));
        }
        mend();
        refused & self.comes_to("mended rules are taken", || async { !self.is_refused().await }).await
    }

    async fn broken_rules(&self) {
        let path = self.rules.path(SOME_FILE);
        let text = std::fs::read(&path).expect("read");
        std::fs::write(&path, "sources:\n  - { id: [\n").expect("written");
        if self.refused_and_mended("broken rules are refused", || write(&path, &text)).await {
            self.rounds.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A link to nowhere cannot be read by anybody, not even by root.
    async fn unreadable_rules(&self) {
        let path = self.rules.path(SOME_FILE);
        let text = std::fs::read(&path).expect("read");
        std::fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink("nowhere.yaml", &path).expect("linked");
        let mend = || {
            std::fs::remove_file(&path).expect("removed");
            write(&path, &text);
        };
        if self.refused_and_mended("rules that cannot be read are refused", mend).await {
            self.rounds.unreadable.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn digest(&self) -> String {
        let status: serde_json::Value = serde_json::from_str(&self.ask("/status").await).unwrap_or_default();
        status["digest"].as_str().unwrap_or_default().to_owned()
    }

    async fn new_rules(&self, version: u32) {
        let before = self.digest().await;
        let path = self.rules.path(HEADER);
        let text = std::fs::read_to_string(&path).expect("read");
        let version_of = |line: &str| line.starts_with("  version: ");
        let lines =
            text.lines().map(|line| if version_of(line) { format!("  version: \"{version}\"") } else { line.into() });
        write(&path, (lines.collect::<Vec<_>>().join("\n") + "\n").as_bytes());
        let is_new = || async {
            let now = self.digest().await;
            !now.is_empty() && now != before
        };
        if self.comes_to("new rules are published", is_new).await {
            self.rounds.published.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Silent ones, garbage, half a preface, another protocol; the calls of others go on.
    async fn bad_clients(&self) {
        let address = self.address;
        let open = tokio::task::spawn_blocking(move || {
            let openings: [&[u8]; 6] = [
                b"",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"PRI * HT",
                b"\x16\x03\x01",
                &[0xff; 512],
                b"POST / HTTP/1.1\r\n",
            ];
            let connect = |at: usize| {
                let mut stream = TcpStream::connect(address).ok()?;
                let _ = stream.write_all(openings[at % openings.len()]);
                Some(stream)
            };
            (0..BAD_CLIENTS).filter_map(connect).collect::<Vec<_>>()
        });
        let open = open.await.unwrap_or_default();
        self.rounds.bad.fetch_add(u32::try_from(open.len()).unwrap_or(0), Ordering::Relaxed);
        tokio::time::sleep(THEY_STAY).await;
        // Still there, while they are: a call on a new connection.
        load::all_once(self.seen, address).await;
        drop(open);
        self.comes_to("bad clients are gone", || async { self.metric("rubor_connections ").await < 50.0 }).await;
    }

    /// Lines are dropped and counted; with room again, and the log opened anew, they are written.
    async fn full_disk(&self, disk: &Disk) {
        let written = || self.metric("rubor_log_entries_written_total{log=\"decisions\"}");
        let dropped = || self.metric("rubor_log_entries_dropped_total{log=\"decisions\"}");
        let before = dropped().await;
        let is_full = self.comes_to("the disk is full", || async { dropped().await > before }).await;
        if disk.is_mounted {
            let before = written().await;
            let _ = std::fs::remove_file(&disk.path);
            self.process.signal("HUP");
            self.comes_to("lines are written again", || async { written().await > before }).await;
        }
        self.rounds.full.fetch_add(u32::from(is_full), Ordering::Relaxed);
    }

    /// A replica is killed and started again: it answers the same bytes as the others on the same rules.
    async fn kill(&self, replica: Process) -> Process {
        replica.signal("KILL");
        if replica.end().0.success() {
            self.seen.failed("a killed replica ended well".to_owned());
        }
        let replica = Process::start(self.rules, "info");
        load::all_once(self.seen, replica.addresses().await.0).await;
        self.rounds.killed.fetch_add(1, Ordering::Relaxed);
        replica
    }
}

/// In one step, so that no half of it is ever seen.
fn write(path: &Path, bytes: &[u8]) {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, bytes).expect("written");
    std::fs::rename(&fresh, path).expect("renamed");
}
