//! What stands around every call: who may call, the limits in flight, the drain, deadlines, panics and measurement.
//!
//! Owns one tower layer. It reads no message, and who may call is decided by `access`. Status codes that the transport
//! would give are mended here: a message that is too large or unreadable is the caller's doing, and INTERNAL is kept for
//! bugs of ours.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, Bytes, Service, StdError, http};
use tonic::{Code, Status};
use tower::Layer;

use super::arrival::Arriving;
use super::gate::{Gate, Place};
use super::limits;
use super::origin::Origin;
use super::status::Problem;
use crate::access::scope::{self, Method};
use crate::access::{Access, Caller, Peer};
use crate::observe::Ended;
use crate::observe::metrics::Metrics;
use crate::observe::spans::Spans;
use crate::observe::traffic::Opened;

/// How long a caller waits to hear that the server is full. One that asks again at once would else take the time of those
/// who are let in.
const REFUSAL_PAUSE: Duration = Duration::from_millis(20);

/// How long calls may take, whatever their callers say.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A call with one answer, the arrival of its message included.
    pub call: Duration,
    /// A stream.
    pub stream: Duration,
}

/// When a call ends: when its caller stops waiting, or the server does.
#[derive(Debug, Clone)]
pub struct Deadline {
    at: Option<Instant>,
    problem: Problem,
    /// Becomes true when the server ends what is not done by then.
    cut_off: Option<watch::Receiver<bool>>,
}

impl Deadline {
    /// The deadline of a request that came through the guard.
    #[must_use]
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        request.extensions().get().cloned().unwrap_or(Deadline { at: None, problem: Problem::TooLate, cut_off: None })
    }

    fn read(headers: &http::HeaderMap, method: Method, patience: Patience, gate: &Gate) -> Self {
        let cut_off = Some(gate.watch_cut_off());
        let timeout = headers.get("grpc-timeout").and_then(|value| timeout(value.to_str().ok()?));
        // The transport's own timer wraps this layer and answers CANCELLED, so ours runs out a little earlier.
        let theirs = timeout.map(|timeout| timeout.saturating_sub((timeout / 5).min(Duration::from_millis(5))));
        let (ours, problem) = match method {
            // Health and reflection.
            Method { scope: None, .. } => (Duration::MAX, Problem::Overtime),
            Method { is_stream: true, .. } => (patience.stream, Problem::StreamTooOld),
            _ => (patience.call, Problem::Overtime),
        };
        let after = |time: Duration| Instant::now().checked_add(time);
        match theirs {
            Some(theirs) if theirs <= ours => Deadline { at: after(theirs), problem: Problem::TooLate, cut_off },
            _ => Deadline { at: after(ours), problem, cut_off },
        }
    }

    /// Whether there is still time.
    ///
    /// # Errors
    /// What to say when there is not.
    pub fn check(&self) -> Result<(), Problem> {
        match self.at {
            Some(deadline) if deadline <= Instant::now() => Err(self.problem.clone()),
            _ => Ok(()),
        }
    }

    /// Waits until the deadline has passed, or the server ends before; for ever where neither is so. Gives what to say then.
    pub async fn passed(&self) -> Problem {
        let passed = async {
            match self.at {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let mut cut_off = self.cut_off.clone();
        let ended = async {
            let is_cut_off = match &mut cut_off {
                Some(cut_off) => cut_off.wait_for(|is_cut_off| *is_cut_off).await.is_ok(),
                None => false,
            };
            // Without a gate there is nobody who could end the call.
            if !is_cut_off {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = passed => self.problem.clone(),
            () = ended => Problem::CutOff,
        }
    }

    /// Why a call was given up that nobody waits for any more: its time was over, or its caller has gone.
    #[must_use]
    pub fn given_up(&self) -> Code {
        let is_cut_off = self.cut_off.as_ref().is_some_and(|cut_off| *cut_off.borrow());
        match self.check() {
            Err(problem) => problem.code(),
            Ok(()) if is_cut_off => Problem::CutOff.code(),
            Ok(()) => Code::Cancelled,
        }
    }
}

/// Reads a `grpc-timeout`: up to eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_secs(count * 3600),
        'M' => Duration::from_secs(count * 60),
        'S' => Duration::from_secs(count),
        'm' => Duration::from_millis(count),
        'u' => Duration::from_micros(count),
        'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// One call: it is in flight, and will be measured, until the last holder lets go of it.
#[derive(Debug)]
pub struct Call {
    metrics: Arc<Metrics>,
    method: &'static str,
    origin: Arc<Origin>,
    started: Instant,
    code: Mutex<Option<Code>>,
    /// The rules that it was answered by, where somebody wants to know.
    digest: Mutex<Option<String>>,
    spans: Spans,
    _held: Held,
}

/// What a call holds: its part in what is counted as open, and its place behind the gate.
type Held = (Opened, Option<Arc<OwnedSemaphorePermit>>);

impl Call {
    /// The call that a request came with; a streaming handler holds it for as long as it answers.
    #[must_use]
    pub fn of<T>(request: &tonic::Request<T>) -> Option<Arc<Self>> {
        request.extensions().get().cloned()
    }

    /// Notes by which rules it was answered, where somebody wants to know.
    pub fn answered_by(&self, digest: &str) {
        if self.spans.are_wanted() {
            *self.digest.lock().unwrap_or_else(PoisonError::into_inner) = Some(digest.to_owned());
        }
    }

    /// Notes how it ended.
    pub fn ended(&self, code: Code) {
        *self.code.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // A call that never ended was dropped by the caller.
        let code = self.code.get_mut().unwrap_or_else(PoisonError::into_inner).unwrap_or(Code::Cancelled);
        let took = self.started.elapsed();
        self.metrics.rpc_ended(self.method, code, took);
        let digest = self.digest.get_mut().unwrap_or_else(PoisonError::into_inner).as_deref();
        self.spans.ended(&Ended { method: self.method, origin: &self.origin, code, took, digest });
        let Origin { request_id, trace, parent: _, caller } = &*self.origin;
        let (method, trace) = (self.method, trace.as_deref().unwrap_or_default());
        if matches!(code, Code::Internal | Code::Unknown) {
            tracing::warn!(method, ?code, ?took, %request_id, trace, %caller, "call ended badly");
        } else {
            tracing::debug!(method, ?code, ?took, %request_id, trace, %caller, "call ended");
        }
    }
}

/// Puts a [`Guard`] around the services.
#[derive(Debug, Clone)]
pub struct GuardLayer {
    /// One gate for all connections.
    pub gate: Arc<Gate>,
    /// Who may call.
    pub access: Arc<Access>,
    /// How long calls may take.
    pub patience: Patience,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where traces go.
    pub spans: Spans,
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, around: self.clone() }
    }
}

/// The services with the guard around them.
#[derive(Debug, Clone)]
pub struct Guard<S> {
    inner: S,
    around: GuardLayer,
}

impl<S, B> Service<http::Request<Body>> for Guard<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // The service that was polled ready must be the one that is called.
        let fresh = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, fresh);
        let admission = self.around.admit(&request);
        Box::pin(guarded(self.around.clone(), inner, request, admission))
    }
}

/// What became of a call at the gate.
struct Admission {
    method: Method,
    started: Instant,
    opened: Opened,
    /// `None` for what needs no place.
    place: Result<Option<Place>, Problem>,
}

impl GuardLayer {
    fn admit(&self, request: &http::Request<Body>) -> Admission {
        let method = scope::method(request.uri().path());
        // Health and reflection answer when the server is full or draining: that is when they are asked.
        let place = if method.scope.is_none() { Ok(None) } else { self.gate.enter(method).map(Some) };
        let place = place.map_err(|(problem, limit)| {
            if problem == Problem::Busy {
                self.metrics.traffic().call_shed(limit);
            }
            problem
        });
        Admission { method, started: Instant::now(), opened: self.metrics.traffic().call_opened(), place }
    }

    /// A call that is measured from here on, with what it holds for as long as it lasts.
    fn begin(&self, method: Method, origin: &Arc<Origin>, started: Instant, held: Held) -> Arc<Call> {
        Arc::new(Call {
            metrics: Arc::clone(&self.metrics),
            method: method.name,
            origin: Arc::clone(origin),
            started,
            code: Mutex::new(None),
            digest: Mutex::new(None),
            spans: self.spans.clone(),
            _held: held,
        })
    }

    /// Who calls; the token goes no further than this.
    fn caller(&self, method: Method, request: &mut http::Request<Body>) -> Result<Caller, Problem> {
        let authorization = request.headers_mut().remove(http::header::AUTHORIZATION);
        let certificate = request.extensions().get::<Peer>().and_then(|peer| peer.certificate.as_ref());
        let admitted = self.access.admit(method, authorization.as_ref().map(http::HeaderValue::as_bytes), certificate);
        admitted.map_err(|denial| {
            self.metrics.traffic().call_denied(denial.name());
            Problem::Denied(denial)
        })
    }
}

async fn guarded<S, B>(
    around: GuardLayer,
    mut inner: S,
    mut request: http::Request<Body>,
    admission: Admission,
) -> Result<http::Response<Body>, S::Error>
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    let Admission { method, started, opened, place } = admission;
    let largest = limits::message_bytes(request.uri().path());
    // Under load, who is refused anyway costs no check of a token.
    let admitted = place.and_then(|place| Ok((place, around.caller(method, &mut request)?)));
    let (place, caller, refused) = match admitted {
        Ok((place, caller)) => (place, Some(caller.name), None),
        Err(problem) => (None, None, Some(problem)),
    };
    let origin = Arc::new(Origin::read(request.headers(), caller));
    let held = place.as_ref().map(Place::held);
    let call = around.begin(method, &origin, started, (opened, held));
    if let Some(problem) = refused {
        if problem == Problem::Busy {
            tokio::time::sleep(REFUSAL_PAUSE).await;
        }
        return Ok(origin.named(refuse(&call, problem)));
    }
    // What was read is only spawned, and comes here one call after the other. Were each answered at once, no call would see
    // those that wait behind it, and the queue would have no end. So all are let in or refused first.
    if place.is_some() && around.gate.may_be_crowded() {
        tokio::task::yield_now().await;
    }
    let deadline = Deadline::read(request.headers(), method, around.patience, &around.gate);
    request.extensions_mut().insert(deadline.clone());
    request.extensions_mut().insert(Arc::clone(&call));
    request.extensions_mut().insert(Arc::clone(&origin));
    // The call is at work until there is an answer, but for the time that its message takes to arrive.
    let work = place.and_then(Place::at_work);
    let request = Arriving::watch(request, method, around.patience.call, work.clone());
    let response = tokio::select! {
        biased;
        response = inner.call(request) => mend(response?.map(Body::new), largest),
        problem = deadline.passed() => return Ok(origin.named(refuse(&call, problem))),
    };
    match Status::from_header_map(response.headers()) {
        Some(status) => call.ended(status.code()),
        // Only a handler that still holds the call can know better: it is a stream, and says so at its end.
        None if Arc::strong_count(&call) == 1 => call.ended(Code::Ok),
        None => {}
    }
    Ok(origin.named(response))
}

fn refuse(call: &Call, problem: Problem) -> http::Response<Body> {
    call.ended(problem.code());
    Status::from(problem).into_http()
}

/// Answers for a handler that panicked. What it said may hold anything, so it goes nowhere.
#[must_use]
pub fn answer_panic(_payload: Box<dyn Any + Send>) -> http::Response<Body> {
    Status::from(Problem::Bug).into_http()
}

/// The problem that a failed read of a message stands for: the transport calls what the caller did wrong `OUT_OF_RANGE`
/// or `INTERNAL`, and may quote it.
#[must_use]
pub fn read_problem(status: &Status, largest: usize) -> Option<Problem> {
    match status.code() {
        Code::OutOfRange => Some(Problem::TooLarge { limit: largest }),
        Code::Internal if status.message() != Problem::Bug.message() => Some(Problem::Unreadable),
        _ => None,
    }
}

fn mend(response: http::Response<Body>, largest: usize) -> http::Response<Body> {
    match Status::from_header_map(response.headers()).and_then(|status| read_problem(&status, largest)) {
        Some(problem) => Status::from(problem).into_http(),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::timeout;
    use std::time::Duration;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        assert_eq!(timeout("1n"), Some(Duration::from_nanos(1)));
        assert_eq!(timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(timeout("2H"), Some(Duration::from_secs(7200)));
        for wrong in ["", "m", "5", "-1S", "123456789S", "1é"] {
            assert_eq!(timeout(wrong), None, "{wrong}");
        }
    }
}
