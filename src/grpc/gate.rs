//! How many calls are let in: in flight, at work and as streams; and none when the server drains.
//!
//! Owns the counts and the rule by which load is shed. A call is at work while it waits for a core or has one; while its
//! message is still arriving it is in flight alone, so that slow callers do not take the place of others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::status::Problem;
use crate::access::scope::Method;

/// How long it takes until a burst is let in again that is as large as the first.
const RECOVERY: Duration = Duration::from_secs(2);
/// How long nobody must be refused until an overload is over. Those who were refused have come again by then.
const CALM: Duration = Duration::from_secs(1);
/// Of the work that there may be, one in so many while there is an overload: fewer calls at once are answered as fast, and
/// each of them sooner.
const WHILE_SHEDDING: usize = 3;
/// How often the work that there may be a burst adds to it at the most, however many calls may be in flight.
const BURST: usize = 3;

/// How much a [`Gate`] lets in.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Calls in flight.
    pub calls: usize,
    /// Streams.
    pub streams: usize,
    /// Calls at work; in a burst there may be more.
    pub work: usize,
}

/// Lets calls in, up to a number, until it is shut. Streams, which may stay open, are counted apart.
#[derive(Debug)]
pub struct Gate {
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    work: Arc<AtomicUsize>,
    /// Below so many calls at work nobody is refused.
    least_work: usize,
    load: Mutex<Load>,
    shut: watch::Sender<bool>,
    cut_off: watch::Sender<bool>,
}

/// Whether there is an overload, and how much of a burst is still to be let in.
///
/// A burst is counted and not timed: many callers who wait for their answers before they ask again come in heaps, between
/// which there is no work at all, so every heap by itself looks like a short burst.
#[derive(Debug)]
struct Load {
    most_work: usize,
    /// When the whole burst will be there again.
    whole: Instant,
    /// How long it takes until one more call of it is.
    step: Duration,
    /// Until when there is an overload, if nobody is refused before.
    shedding: Option<Instant>,
}

impl Load {
    fn new(most_work: usize, burst: usize) -> Self {
        let burst = u32::try_from(burst).unwrap_or(u32::MAX).max(1);
        Self { most_work, whole: Instant::now(), step: RECOVERY / burst, shedding: None }
    }

    /// Whether a call is let in beside so much work.
    fn lets_in(&mut self, work: usize, now: Instant) -> bool {
        let is_shedding = self.shedding.is_some_and(|until| now < until);
        let is_let_in = if is_shedding {
            work < (self.most_work / WHILE_SHEDDING).max(1)
        } else {
            work < self.most_work || self.takes_of_burst(now)
        };
        if !is_let_in {
            self.shedding = Some(now + CALM);
        }
        is_let_in
    }

    fn takes_of_burst(&mut self, now: Instant) -> bool {
        let whole = self.whole.max(now) + self.step;
        let is_left = whole <= now + RECOVERY;
        if is_left {
            self.whole = whole;
        }
        is_left
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
            least_work: (work / WHILE_SHEDDING).max(1),
            load: Mutex::new(Load::new(work, calls.saturating_sub(work).min(work.saturating_mul(BURST)))),
            shut: watch::Sender::new(false),
            cut_off: watch::Sender::new(false),
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

    /// Ends those inside, each with a word of why.
    pub fn cut_off(&self) {
        self.cut_off.send_replace(true);
    }

    /// Becomes true when those inside are to end.
    #[must_use]
    pub fn watch_cut_off(&self) -> watch::Receiver<bool> {
        self.cut_off.subscribe()
    }

    /// Whether there may be so many calls that the work could come to a limit. Each has a task of its own, so with fewer
    /// tasks it could not.
    pub(super) fn may_be_crowded(&self) -> bool {
        tokio::runtime::Handle::current().metrics().num_alive_tasks() >= self.least_work
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
        let is_let_in = load.lets_in(self.work.load(Ordering::Relaxed), Instant::now());
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

    /// What must be held while the call is at work.
    pub(super) fn at_work(self) -> Option<Arc<Work>> {
        self.work.map(Arc::new)
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
    pub(super) fn waits(&self, waits: bool) {
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

#[cfg(test)]
mod tests {
    use super::{CALM, Duration, Gate, Load, Problem, RECOVERY, Room};
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
    fn a_burst_is_let_in_once_and_an_overload_ends_with_the_last_refusal() {
        let mut load = Load::new(12, 100);
        let start = load.whole;
        let mut heap = |at: Duration, work| (0..300).filter(|_| load.lets_in(work, start + at)).count();
        assert_eq!(heap(Duration::ZERO, 11), 300, "so much there may be for ever");
        assert_eq!(heap(Duration::ZERO, 12), 100, "a burst");
        // Now there is an overload, and the work is brought down.
        assert_eq!((heap(CALM / 2, 3), heap(CALM / 2, 4)), (300, 0));
        assert_eq!(heap(CALM, 4), 0, "somebody was refused meanwhile");
        assert_eq!(heap(CALM * 2, 4), 300, "nobody was");
        assert_eq!(heap(RECOVERY * 2, 12), 100, "a burst as large as the first");
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
