//! What stands around every call: the in-flight limit, the drain, the caller's deadline, panics and measurement.
//!
//! Owns one tower layer. It reads no message. Status codes that the transport would give are mended here: a message
//! that is too large or unreadable is the caller's doing, and INTERNAL is kept for bugs of ours.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, Bytes, Service, StdError, http};
use tonic::{Code, Status};
use tower::Layer;

use super::limits;
use super::status::Problem;
use crate::observe::metrics::Metrics;

/// The methods that are measured by name; whatever else is asked for is measured as `other`.
const METHODS: [&str; 13] = [
    "rubor.v1.TriageService/Evaluate",
    "rubor.v1.TriageService/EvaluateStream",
    "rubor.v1.KnowledgeService/ListPacks",
    "rubor.v1.KnowledgeService/GetPack",
    "rubor.v1.KnowledgeService/GetStatus",
    "rubor.v1.KnowledgeService/WatchStatus",
    "rubor.v1.KnowledgeService/ReloadRules",
    "rubor.v1.KnowledgeService/ValidateRules",
    "rubor.v1.KnowledgeService/RunCases",
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Lets calls in, up to a number, until it is shut.
#[derive(Debug)]
pub struct Gate {
    permits: Arc<Semaphore>,
    shut: watch::Sender<bool>,
}

impl Gate {
    /// A gate for so many calls at once.
    #[must_use]
    pub fn new(max_in_flight: usize) -> Self {
        let permits = Arc::new(Semaphore::new(max_in_flight.min(Semaphore::MAX_PERMITS)));
        Self { permits, shut: watch::Sender::new(false) }
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

    fn enter(&self) -> Result<OwnedSemaphorePermit, Problem> {
        if *self.shut.borrow() {
            return Err(Problem::Draining);
        }
        Arc::clone(&self.permits).try_acquire_owned().map_err(|_| Problem::Busy)
    }
}

/// When the caller stops waiting; `None` when it never said.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// The deadline of a request that came through the guard.
    #[must_use]
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        request.extensions().get().copied().unwrap_or(Deadline(None))
    }

    fn read(headers: &http::HeaderMap) -> Self {
        let timeout = headers.get("grpc-timeout").and_then(|value| timeout(value.to_str().ok()?));
        // The transport's own timer wraps this layer and answers CANCELLED, so ours runs out a little earlier.
        let ours = timeout.map(|timeout| timeout.saturating_sub((timeout / 5).min(Duration::from_millis(5))));
        Deadline(ours.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// Whether there is still time.
    ///
    /// # Errors
    /// [`Problem::TooLate`] when there is not.
    pub fn check(self) -> Result<(), Problem> {
        match self.0 {
            Some(deadline) if deadline <= Instant::now() => Err(Problem::TooLate),
            _ => Ok(()),
        }
    }

    /// Waits until the deadline has passed; for ever where there is none.
    pub async fn passed(self) {
        match self.0 {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
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
    started: Instant,
    code: Mutex<Option<Code>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Call {
    /// The call that a request came with; a streaming handler holds it for as long as it answers.
    #[must_use]
    pub fn of<T>(request: &tonic::Request<T>) -> Option<Arc<Self>> {
        request.extensions().get().cloned()
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
        self.metrics.rpc_ended(self.method, code, self.started.elapsed());
    }
}

/// Puts a [`Guard`] around the services.
#[derive(Debug, Clone)]
pub struct GuardLayer {
    gate: Arc<Gate>,
    metrics: Arc<Metrics>,
}

impl GuardLayer {
    /// Guards with one gate for all connections.
    #[must_use]
    pub fn new(gate: Arc<Gate>, metrics: Arc<Metrics>) -> Self {
        Self { gate, metrics }
    }
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
        Box::pin(guarded(self.around.clone(), inner, request))
    }
}

async fn guarded<S, B>(
    around: GuardLayer,
    mut inner: S,
    mut request: http::Request<Body>,
) -> Result<http::Response<Body>, S::Error>
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    let method = method(request.uri().path());
    let largest = limits::message_bytes(request.uri().path());
    // Health and reflection answer when the server is full or draining: that is when they are asked.
    let admitted = if request.uri().path().starts_with("/rubor.") { around.gate.enter().map(Some) } else { Ok(None) };
    let (permit, refused) = match admitted {
        Ok(permit) => (permit, None),
        Err(problem) => (None, Some(problem)),
    };
    let started = Instant::now();
    let call = Arc::new(Call { metrics: around.metrics, method, started, code: Mutex::new(None), _permit: permit });
    if let Some(problem) = refused {
        return Ok(refuse(&call, problem));
    }
    let deadline = Deadline::read(request.headers());
    request.extensions_mut().insert(deadline);
    request.extensions_mut().insert(Arc::clone(&call));
    let response = tokio::select! {
        biased;
        response = inner.call(request) => mend(response?.map(Body::new), largest),
        () = deadline.passed() => return Ok(refuse(&call, Problem::TooLate)),
    };
    match Status::from_header_map(response.headers()) {
        Some(status) => call.ended(status.code()),
        // Only a handler that still holds the call can know better: it is a stream, and says so at its end.
        None if Arc::strong_count(&call) == 1 => call.ended(Code::Ok),
        None => {}
    }
    Ok(response)
}

fn refuse(call: &Call, problem: Problem) -> http::Response<Body> {
    call.ended(problem.code());
    Status::from(problem).into_http()
}

fn method(path: &str) -> &'static str {
    let path = path.strip_prefix('/').unwrap_or(path);
    METHODS.into_iter().find(|method| *method == path).unwrap_or("other")
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
    use super::{Gate, Problem, method, timeout};
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

    #[test]
    fn a_gate_lets_so_many_in_and_none_when_shut() {
        let gate = Gate::new(1);
        let inside = gate.enter().expect("room for one");
        assert_eq!(gate.enter().err(), Some(Problem::Busy));
        drop(inside);
        assert!(gate.enter().is_ok());
        gate.shut();
        assert_eq!(gate.enter().err(), Some(Problem::Draining));
    }

    #[test]
    fn no_caller_can_invent_a_label() {
        assert_eq!(method("/rubor.v1.TriageService/Evaluate"), "rubor.v1.TriageService/Evaluate");
        assert_eq!(method("/rubor.v1.TriageService/fever"), "other");
    }
}
