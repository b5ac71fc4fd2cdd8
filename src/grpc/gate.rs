//! How many calls are let in: in flight, at work and as streams; and none when the server drains.
//!
//! Owns the counts and the rule by which load is shed. A call is at work while it waits for a core or has one; while its
//! message is still arriving it is in flight alone, so that slow callers do not take the place of others.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::{Bytes, http};

use super::status::Problem;
use crate::access::scope::Method;

/// How long there may be more work than there should be before calls are refused: a burst is not an overload.
const BURST: Duration = Duration::from_millis(50);
/// How long there must be less before a burst is let in again.
const CALM: Duration = Duration::from_secs(1);

/// How much a [`Gate`] lets in.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Calls in flight.
    pub calls: usize,
    /// Streams.
    pub streams: usize,
    /// Calls at work, but for a burst.
    pub work: usize,
}

/// Lets calls in, up to a number, until it is shut. Streams, which may stay open, are counted apart.
#[derive(Debug)]
pub struct Gate {
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    work: Arc<AtomicUsize>,
    most_work: usize,
    load: Mutex<Load>,
    shut: watch::Sender<bool>,
}

/// How the last moments were.
#[derive(Debug, Clone, Copy)]
enum Load {
    /// There is room.
    Low,
    /// There has been too much work since then.
    High(Instant),
    /// Calls are refused; the last time that there was too much work.
    Shedding(Instant),
}

impl Load {
    /// The load after a look at the work, and whether a call is let in.
    fn after(self, is_full: bool, now: Instant) -> (Load, bool) {
        match (self, is_full) {
            (Load::Low, true) => (Load::High(now), true),
            (Load::High(since), true) if now.duration_since(since) < BURST => (self, true),
            (Load::High(_) | Load::Shedding(_), true) => (Load::Shedding(now), false),
            (Load::Shedding(last), false) if now.duration_since(last) < CALM => (self, true),
            (_, false) => (Load::Low, true),
        }
    }
}

impl Gate {
    /// A gate with room for so much at once.
    #[must_use]
    pub fn new(room: Room) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        let Room { calls, streams, work } = room;
        Self {
            calls: places(calls),
            streams: places(streams),
            work: Arc::default(),
            most_work: work,
            load: Mutex::new(Load::Low),
            shut: watch::Sender::new(false),
        }
    }

    /// Lets no further call in. Those inside go on.
    pub fn shut(&self) {
        self.shut.send_replace(true);
    }

    /// Becomes true when the gate is shut.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.shut.subscribe()
    }

    /// A place, or what to say and which limit was met.
    pub(super) fn enter(&self, method: Method) -> Result<Place, (Problem, &'static str)> {
        if *self.shut.borrow() {
            return Err((Problem::Draining, "none"));
        }
        let take = |places: &Arc<Semaphore>, limit| {
            let place = Arc::clone(places).try_acquire_owned();
            place.map(Arc::new).map_err(|_| (Problem::Busy, limit))
        };
        if method.is_stream {
            return Ok(Place { held: take(&self.streams, "streams")?, work: None });
        }
        let held = take(&self.calls, "in_flight")?;
        let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = self.work.load(Ordering::Relaxed) >= self.most_work;
        let (after, is_let_in) = load.after(is_full, Instant::now());
        *load = after;
        if is_let_in { Ok(Place { held, work: Some(Work::begin(&self.work)) }) } else { Err((Problem::Busy, "work")) }
    }
}

/// A place behind the gate.
#[derive(Debug)]
pub(super) struct Place {
    held: Arc<OwnedSemaphorePermit>,
    work: Option<Work>,
}

impl Place {
    /// What must be held for as long as the call is in flight.
    pub(super) fn held(&self) -> Arc<OwnedSemaphorePermit> {
        Arc::clone(&self.held)
    }

    /// What must be held while the call is at work, and the request whose arrival interrupts it.
    pub(super) fn at_work(self, request: http::Request<Body>) -> (Option<Arc<Work>>, http::Request<Body>) {
        let Some(work) = self.work.map(Arc::new) else { return (None, request) };
        let arriving = Arc::clone(&work);
        let request = request.map(|body| Body::new(Arriving { body, work: arriving }));
        (Some(work), request)
    }
}

/// One call at work.
#[derive(Debug)]
pub(super) struct Work {
    count: Arc<AtomicUsize>,
    is_waiting: Mutex<bool>,
}

impl Work {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self { count: Arc::clone(count), is_waiting: Mutex::new(false) }
    }

    /// Notes whether the call waits for its caller.
    fn waits(&self, waits: bool) {
        let mut is_waiting = self.is_waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waits != std::mem::replace(&mut *is_waiting, waits) {
            let add = |count: usize| if waits { count.saturating_sub(1) } else { count + 1 };
            let _ = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| Some(add(count)));
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Whoever waits for its caller is not counted.
        self.waits(true);
    }
}

/// A message that may still be arriving.
struct Arriving {
    body: Body,
    work: Arc<Work>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.work.waits(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, CALM, Gate, Instant, Problem, Room};
    use crate::access::scope;

    #[test]
    fn a_gate_lets_so_many_in_and_none_when_shut() {
        let call = scope::method("/rubor.v1.TriageService/Evaluate");
        let stream = scope::method("/rubor.v1.TriageService/EvaluateStream");
        let gate = Gate::new(Room { calls: 1, streams: 1, work: 9 });
        let inside = gate.enter(call).expect("room for one");
        assert_eq!(gate.enter(call).err(), Some((Problem::Busy, "in_flight")));
        assert!(gate.enter(stream).is_ok(), "streams do not take the place of calls, nor calls that of streams");
        drop(inside);
        assert!(gate.enter(call).is_ok());
        gate.shut();
        assert_eq!(gate.enter(call).err(), Some((Problem::Draining, "none")));
    }

    #[test]
    fn a_burst_is_let_in_and_an_overload_is_not() {
        let start = Instant::now();
        let (mut load, mut told) = (super::Load::Low, Vec::new());
        let times = [
            (BURST / 2, true),
            (BURST, true),
            (2 * BURST, true),
            (2 * BURST, false),
            (3 * BURST, true),
            (3 * BURST + CALM, false),
            (3 * BURST + CALM, true),
        ];
        for (after, is_full) in times {
            let (next, is_let_in) = load.after(is_full, start + after);
            load = next;
            told.push(is_let_in);
        }
        assert_eq!(told, [true, true, false, true, false, true, true]);
    }

    #[test]
    fn who_waits_for_its_caller_is_not_at_work() {
        let call = scope::method("/rubor.v1.TriageService/Evaluate");
        let gate = Gate::new(Room { calls: 9, streams: 9, work: 9 });
        let count = || gate.work.load(super::Ordering::Relaxed);
        let place = gate.enter(call).expect("room");
        assert_eq!(count(), 1);
        let work = place.work.as_ref().expect("at work");
        work.waits(true);
        work.waits(true);
        assert_eq!(count(), 0);
        work.waits(false);
        assert_eq!(count(), 1);
        drop(place);
        assert_eq!(count(), 0);
    }
}
