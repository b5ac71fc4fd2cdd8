//! What is kept of evaluations: a log of decisions, and one of whole requests for those who ask for it.
//!
//! Owns the queue, the thread that writes and what a line holds. A line that does not fit into the queue, or that cannot
//! be written, is counted and left out: no request waits for a disk or fails because of one.

#![allow(clippy::disallowed_methods, reason = "a journal is a file, and says when")]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use prost::Message;
use serde_json::{Value, json};
use tonic::Code;

use super::metrics::{code_name, outcome_name, urgency_name};
use super::traffic::Traffic;
use crate::grpc::json::encode;
use crate::grpc::origin::Origin;
use crate::grpc::proto;

/// How many entries may wait to be written.
const QUEUE: usize = 4096;
/// How many bytes of requests and answers may wait, of which there are only few in a log of decisions.
const QUEUED_BYTES: usize = 64 * 1024 * 1024;
/// How long a written line may wait to leave the process.
const FLUSH: Duration = Duration::from_millis(200);
/// How long the end of the process waits for what is still in the queue.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The name that stands for standard output.
const STDOUT: &str = "stdout";

/// One evaluation, or the attempt at one.
#[derive(Debug)]
pub struct Entry {
    /// The method.
    pub method: &'static str,
    /// Where the call came from.
    pub origin: Arc<Origin>,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub code: Code,
    /// What was asked; kept for the log of whole requests alone.
    pub request: Option<proto::EvaluateRequest>,
    /// What was answered; whole for the log of whole requests alone.
    pub response: Option<Box<proto::EvaluateResponse>>,
}

/// What the operator wants to be kept.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The log of decisions: a file, or `stdout`.
    pub decisions: Option<PathBuf>,
    /// Whether it holds what was decided: the urgency and the outcome.
    pub outcomes: bool,
    /// The log of whole requests.
    pub requests: Option<PathBuf>,
}

/// An entry on its way to the thread that writes.
struct Kept {
    at: SystemTime,
    entry: Entry,
    size: usize,
}

enum Order {
    Keep(Box<Kept>),
    Reopen,
    Finish(SyncSender<()>),
}

/// The door to the thread that writes.
pub struct Journal {
    orders: SyncSender<Order>,
    /// How many bytes wait in the queue.
    queued: Arc<AtomicUsize>,
    traffic: Arc<Traffic>,
    wanted: Wanted,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Journal")
    }
}

impl Journal {
    /// Opens the files and starts to write; `None` where nothing is to be kept.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn open(wanted: Wanted, traffic: Arc<Traffic>) -> Result<Option<Arc<Self>>, String> {
        let open = |flag: &str, name: &'static str, path: &Option<PathBuf>| {
            let Some(path) = path else { return Ok(None) };
            let sink = Sink::open(name, path.clone(), Arc::clone(&traffic));
            sink.map(Some).map_err(|error| format!("{flag}: `{}` cannot be written: {error}", path.display()))
        };
        let decisions = open("--decision-log", "decisions", &wanted.decisions)?;
        let requests = open("--replay-log", "requests", &wanted.requests)?;
        if decisions.is_none() && requests.is_none() {
            return Ok(None);
        }
        if let Some(path) = &wanted.requests {
            tracing::warn!(
                file = %path.display(),
                "WHOLE REQUESTS ARE KEPT, with everything that is said about patients: guard this file as a patient \
                 record, and leave --replay-log out where nobody needs it"
            );
        }
        let (orders, queue) = sync_channel(QUEUE);
        let queued = Arc::new(AtomicUsize::new(0));
        let writer = Writer { outcomes: wanted.outcomes, decisions, requests, queued: Arc::clone(&queued) };
        std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(&queue))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Some(Arc::new(Self { orders, queued, traffic, wanted })))
    }

    /// Whether whole requests and answers are wanted.
    #[must_use]
    pub fn wants_requests(&self) -> bool {
        self.wanted.requests.is_some()
    }

    /// Keeps an entry, if there is room. Never waits.
    pub fn keep(&self, entry: Entry) {
        let size = entry.request.as_ref().map_or(0, Message::encoded_len)
            + entry.response.as_ref().map_or(0, |response| response.encoded_len());
        let before = self.queued.fetch_add(size, Ordering::Relaxed);
        let kept = Order::Keep(Box::new(Kept { at: SystemTime::now(), entry, size }));
        let is_kept = before + size <= QUEUED_BYTES && self.orders.try_send(kept).is_ok();
        if !is_kept {
            self.queued.fetch_sub(size, Ordering::Relaxed);
            for (log, path) in [("decisions", &self.wanted.decisions), ("requests", &self.wanted.requests)] {
                if path.is_some() {
                    self.traffic.line_dropped(log);
                }
            }
        }
    }

    /// Opens the files anew, after they were renamed. It waits for room in the queue.
    pub fn reopen(&self) {
        let _ = self.orders.send(Order::Reopen);
    }

    /// Writes what is in the queue, for as long as is decent.
    pub fn finish(&self) {
        let (done, finished) = sync_channel(1);
        if self.orders.try_send(Order::Finish(done)).is_ok() {
            let _ = finished.recv_timeout(LAST_WORDS);
        }
    }
}

struct Writer {
    outcomes: bool,
    decisions: Option<Sink>,
    requests: Option<Sink>,
    queued: Arc<AtomicUsize>,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Order>) {
        loop {
            match queue.recv_timeout(FLUSH) {
                Ok(Order::Keep(kept)) => {
                    let Kept { at, entry, size } = *kept;
                    self.queued.fetch_sub(size, Ordering::Relaxed);
                    self.write(at, &entry);
                }
                Ok(Order::Reopen) => self.sinks().for_each(Sink::reopen),
                Ok(Order::Finish(done)) => {
                    self.sinks().for_each(Sink::flush);
                    let _ = done.try_send(());
                }
                Err(RecvTimeoutError::Timeout) => self.sinks().for_each(Sink::flush),
                Err(RecvTimeoutError::Disconnected) => {
                    self.sinks().for_each(Sink::flush);
                    return;
                }
            }
        }
    }

    fn sinks(&mut self) -> impl Iterator<Item = &mut Sink> {
        self.decisions.iter_mut().chain(self.requests.iter_mut())
    }

    fn write(&mut self, at: SystemTime, entry: &Entry) {
        let time = prost_types::Timestamp::from(at).to_string();
        if let Some(sink) = &mut self.decisions {
            sink.line(&decision(&time, entry, self.outcomes));
        }
        if let (Some(sink), Some(request)) = (&mut self.requests, &entry.request) {
            let line = json!({
                "time": time,
                "request_id": &*entry.origin.request_id,
                "status": code_name(entry.code),
                "request": encode(request),
                "response": entry.response.as_deref().map(encode),
            });
            sink.line(&line);
        }
    }
}

/// The line of a decision. Nothing in it comes from an observation, and what was decided only where that is asked for.
fn decision(time: &str, entry: &Entry, outcomes: bool) -> Value {
    let Entry { method, origin, took, code, request: _, response } = entry;
    let Origin { request_id, trace, parent: _, caller } = &**origin;
    let mut line = json!({
        "time": time,
        "request_id": &**request_id,
        "caller": &**caller,
        "method": method,
        "status": code_name(*code),
        "duration_ms": took.as_secs_f64() * 1000.0,
    });
    let mut add = |key: &str, value: &str| line[key] = value.into();
    if let Some(trace) = trace {
        add("trace_id", trace);
    }
    if let Some(response) = response {
        add("evaluation_id", &response.evaluation_id);
        if let Some(rules) = &response.rule_set {
            add("pack", &rules.pack);
            add("digest", &rules.digest);
        }
        if outcomes {
            add("urgency", urgency_name(response.urgency()));
            add("outcome", outcome_name(response.outcome()));
        }
    }
    line
}

/// Lines of one log.
struct Sink {
    name: &'static str,
    path: PathBuf,
    out: Option<Box<dyn Write + Send>>,
    /// Whole lines that have not left the process.
    waiting: Vec<u8>,
    lines: u64,
    is_failing: bool,
    traffic: Arc<Traffic>,
}

/// How much waits before it is written.
const BATCH: usize = 64 * 1024;

impl Sink {
    fn open(name: &'static str, path: PathBuf, traffic: Arc<Traffic>) -> std::io::Result<Self> {
        let out = Some(open(&path)?);
        Ok(Self { name, path, out, waiting: Vec::new(), lines: 0, is_failing: false, traffic })
    }

    fn line(&mut self, line: &Value) {
        // Writing JSON into memory does not fail.
        let _ = serde_json::to_writer(&mut self.waiting, line);
        self.waiting.push(b'\n');
        self.lines += 1;
        if self.waiting.len() >= BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        if self.out.is_none() {
            self.out = open(&self.path).ok();
        }
        let written = match &mut self.out {
            // After a failure a line may stand there half; the next one begins on a line of its own.
            Some(out) if self.is_failing => out.write_all(b"\n").and_then(|()| out.write_all(&self.waiting)),
            Some(out) => out.write_all(&self.waiting),
            None => Err(std::io::ErrorKind::NotFound.into()),
        };
        let count = std::mem::take(&mut self.lines);
        self.waiting.clear();
        match written.and_then(|()| self.out.as_mut().map_or(Ok(()), Write::flush)) {
            Ok(()) => {
                (0..count).for_each(|_| self.traffic.line_written(self.name));
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!(log = self.name, "the log is written again");
                }
            }
            Err(error) => {
                (0..count).for_each(|_| self.traffic.line_dropped(self.name));
                self.out = None;
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!(log = self.name, %error, "a log cannot be written; its lines are dropped");
                }
            }
        }
    }

    fn reopen(&mut self) {
        self.flush();
        self.out = open(&self.path).ok();
    }
}

fn open(path: &Path) -> std::io::Result<Box<dyn Write + Send>> {
    if path == Path::new(STDOUT) {
        return Ok(Box::new(std::io::stdout()));
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file: File = options.open(path)?;
    Ok(Box::new(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn entry(request_id: &str) -> Entry {
        let origin = Origin { request_id: request_id.into(), trace: None, parent: None, caller: "ward".into() };
        Entry {
            method: "Evaluate",
            origin: Arc::new(origin),
            took: Duration::from_millis(2),
            code: Code::Ok,
            request: None,
            response: None,
        }
    }

    #[test]
    fn a_clock_that_jumps_loses_no_line_and_moves_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("decisions");
        let traffic = Arc::new(Traffic::default());
        let sink = Sink::open("decisions", path.clone(), traffic).expect("opened");
        let mut writer = Writer { outcomes: true, decisions: Some(sink), requests: None, queued: Arc::default() };
        let hours = |count: u64| Duration::from_secs(3600 * count);
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        // As it is, hours ahead, hours behind, before 1970, beyond the year 9999, and as it is.
        let times = [now, now + hours(5), now - hours(9), UNIX_EPOCH - hours(1), now + hours(90_000_000), now];
        for (place, at) in times.into_iter().enumerate() {
            writer.write(at, &entry(&place.to_string()));
        }
        writer.sinks().for_each(Sink::flush);
        let text = std::fs::read_to_string(&path).expect("written");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let ids: Vec<_> = lines.iter().map(|line| line["request_id"].as_str().unwrap_or_default()).collect();
        assert_eq!(ids, ["0", "1", "2", "3", "4", "5"], "in the order in which they came");
        let said: Vec<_> = lines[..4].iter().map(|line| line["time"].as_str().unwrap_or_default()).collect();
        let expected = ["2027-01-15T08:00:00Z", "2027-01-15T13:00:00Z", "2027-01-14T23:00:00Z", "1969-12-31T23:00:00Z"];
        assert_eq!(said, expected, "each by the clock as it was then");
        // How long it took is by a clock that does not jump.
        assert!(lines.iter().all(|line| line["duration_ms"] == 2.0));
    }
}
