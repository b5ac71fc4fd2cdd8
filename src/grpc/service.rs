//! The two services: take a snapshot, convert, let the engine answer, convert back.
//!
//! Owns the order of those steps and nothing of what they decide.

use std::cell::Cell;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::gate::Gate;
use super::guard::{Call, Deadline};
use super::origin::Origin;
use super::proto::knowledge_service_server::KnowledgeService;
use super::status::Problem;
use super::upload::{Knowledge, Seat};
use super::wire::service::triage_service_server::{TriageService, TriageServiceServer};
use super::wire::{EncodedAnswer, EncodedItem};
use super::{cases, convert, limits, pack, proto, report, resolve, stream, validate, watch};
use crate::engine::submission::Violation;
use crate::engine::{self, AnswerOptions, Evaluation};
use crate::observe::journal::Journal;
use crate::observe::metrics::Metrics;
use crate::store::LoadedPack;
use crate::store::keeper::Keeper;

/// Most rules of a pack whose requests are answered where they are read.
const QUICK_RULES: usize = 20_000;
/// Most observations of such a request.
const QUICK_OBSERVATIONS: usize = 64;

/// What both services share.
#[derive(Clone)]
pub struct Services {
    keeper: Arc<Keeper>,
    default_pack: Option<String>,
    metrics: Arc<Metrics>,
    gate: Arc<Gate>,
    /// A large evaluation is milliseconds of pure computing: no more of them at once than there are cores, and none on
    /// the threads that must see to sockets, health and deadlines.
    cores: Arc<Semaphore>,
    /// One caller at a time has all the cases of a pack run.
    case_runs: Arc<Semaphore>,
    /// Those who watch the status.
    watchers: Arc<Semaphore>,
    /// How long a stream of requests may be silent.
    stream_idle: Duration,
    /// What keeps evaluations, where somebody wants that.
    journal: Option<Arc<Journal>>,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Services")
    }
}

impl Services {
    /// Services for the rules of `keeper`; `default_pack` is for requests that name none, where there are several.
    #[must_use]
    pub fn new(keeper: Arc<Keeper>, default_pack: Option<String>, metrics: Arc<Metrics>, gate: Arc<Gate>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            keeper,
            default_pack,
            metrics,
            gate,
            cores: Arc::new(Semaphore::new(cores)),
            case_runs: Arc::new(Semaphore::new(1)),
            watchers: Arc::new(Semaphore::new(watch::WATCHERS)),
            stream_idle: Duration::MAX,
            journal: None,
        }
    }

    /// The same, with every evaluation kept in a journal.
    #[must_use]
    pub fn with_journal(mut self, journal: Option<Arc<Journal>>) -> Self {
        self.journal = journal;
        self
    }

    pub(super) fn journal(&self) -> Option<&Journal> {
        self.journal.as_deref()
    }

    /// The same, for streams that may be silent for so long.
    #[must_use]
    pub fn with_stream_idle(mut self, stream_idle: Duration) -> Self {
        self.stream_idle = stream_idle;
        self
    }

    pub(super) fn stream_idle(&self) -> Duration {
        self.stream_idle
    }

    /// What tells streams that the server is draining.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The triage service, for a server.
    #[must_use]
    pub fn triage(&self) -> TriageServiceServer<Self> {
        TriageServiceServer::new(self.clone()).max_decoding_message_size(limits::TRANSPORT_BYTES)
    }

    /// The knowledge service, for a server.
    #[must_use]
    pub fn knowledge(&self) -> Knowledge {
        Knowledge::new(self)
    }

    /// Answers one request, on the rules that are current now or that it pins.
    pub(super) async fn answer(&self, request: proto::EvaluateRequest) -> Result<EncodedAnswer, Problem> {
        limits::check(&request)?;
        let pack = self.rules(&request.pack, &request.expected_digest)?;
        if is_quick(&pack, &request) {
            // Handing it to another thread and back would cost as much as the answer.
            return encode(&pack, request, &self.metrics);
        }
        let metrics = Arc::clone(&self.metrics);
        let core = Arc::clone(&self.cores).acquire_owned().await.map_err(|_| Problem::Draining)?;
        blocking(move || {
            // The core is taken until the work is done, even when nobody waits for the answer any more.
            let _core = core;
            encode(&pack, request, &metrics)
        })
        .await?
    }

    fn rules(&self, pack: &str, digest: &str) -> Result<Arc<LoadedPack>, Problem> {
        resolve::rules(&self.keeper, self.default_pack.as_deref(), pack, digest)
    }
}

/// Whether a request takes well below a millisecond: few observations about one group of spots, and a pack of which they
/// can touch only so much.
fn is_quick(pack: &LoadedPack, request: &proto::EvaluateRequest) -> bool {
    let one_group = || request.observations.iter().all(|observation| observation.group.is_empty());
    pack.plan.rules.len() <= QUICK_RULES && request.observations.len() <= QUICK_OBSERVATIONS && one_group()
}

thread_local! {
    /// What a thread evaluates with, again and again. It is taken out for the time, so that a panic leaves none behind.
    static EVALUATION: Cell<Option<Evaluation>> = const { Cell::new(None) };
}

fn encode(pack: &LoadedPack, request: proto::EvaluateRequest, metrics: &Metrics) -> Result<EncodedAnswer, Problem> {
    let mut evaluation = EVALUATION.take().unwrap_or_default();
    let answer = encode_with(&mut evaluation, pack, request, uuid::Uuid::now_v7().to_string());
    EVALUATION.set(Some(evaluation));
    let answer = answer?;
    metrics.evaluated(&pack.id, answer.head.urgency(), answer.head.outcome());
    Ok(answer)
}

/// Evaluates a request on a pack. Its `pack` and `expected_digest` have been heeded by whoever chose the pack.
///
/// # Errors
/// Everything that is wrong with the request, by field.
pub fn evaluate(pack: &LoadedPack, request: proto::EvaluateRequest) -> Result<proto::EvaluateResponse, Problem> {
    evaluate_with(&mut Evaluation::default(), pack, request, uuid::Uuid::now_v7().to_string())
}

/// The same with an evaluation that is used again, and with the id that the answer is to have.
///
/// # Errors
/// Everything that is wrong with the request, by field.
pub fn evaluate_with(
    evaluation: &mut Evaluation,
    pack: &LoadedPack,
    request: proto::EvaluateRequest,
    evaluation_id: String,
) -> Result<proto::EvaluateResponse, Problem> {
    let request_id = request.request_id.clone();
    let convert::Converted { submission, options, violations } = convert::request(request);
    let answer = agreed(engine::answer_with(evaluation, &pack.plan, &submission, &options), violations)?;
    let mut response = convert::response(answer, pack, evaluation_id, request_id);
    forget_stop(&mut response, &options);
    Ok(response)
}

/// The same with the differentials as bytes.
///
/// # Errors
/// Everything that is wrong with the request, by field.
pub fn encode_with(
    evaluation: &mut Evaluation,
    pack: &LoadedPack,
    request: proto::EvaluateRequest,
    evaluation_id: String,
) -> Result<EncodedAnswer, Problem> {
    let request_id = request.request_id.clone();
    let convert::Converted { submission, options, violations } = convert::request(request);
    let answered = engine::answer_listing(evaluation, &pack.plan, &submission, &options);
    let (answer, listing, groups) = agreed(answered, violations)?;
    let mut head = convert::response(answer, pack, evaluation_id, request_id);
    forget_stop(&mut head, &options);
    Ok(EncodedAnswer::new(head, pack, &listing, &groups))
}

/// An answer, unless something was wrong with the request here or there.
fn agreed<T>(answered: Result<T, Vec<Violation>>, mut violations: Vec<Violation>) -> Result<T, Problem> {
    match answered {
        Ok(answer) if violations.is_empty() => Ok(answer),
        Ok(_) => Err(Problem::Invalid(violations)),
        Err(found) => {
            violations.extend(found);
            Err(Problem::Invalid(violations))
        }
    }
}

/// Without questions nobody has looked whether one is left that matters.
fn forget_stop(response: &mut proto::EvaluateResponse, options: &AnswerOptions) {
    if options.omit_questions {
        response.should_stop = None;
    }
}

/// Tells work on another thread whether somebody still waits for it.
#[derive(Default)]
struct Waiting(Arc<AtomicBool>);

impl Waiting {
    fn asked(&self) -> impl Fn() -> bool + Send + use<> {
        let gone = Arc::clone(&self.0);
        move || !gone.load(Ordering::Relaxed)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` on a thread that serves no socket.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    // Where it panicked is logged by the panic hook; what it said is not.
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| if error.is_panic() { Problem::Bug } else { Problem::Draining })
}

#[tonic::async_trait]
impl TriageService for Services {
    async fn evaluate(&self, request: Request<proto::EvaluateRequest>) -> Result<Response<EncodedAnswer>, Status> {
        let deadline = Deadline::of(&request);
        deadline.check()?;
        let (origin, call) = (Origin::of(&request), Call::of(&request));
        let response = self.recorded("Evaluate", &origin, request.into_inner(), &deadline).await?;
        deadline.check()?;
        if let (Some(call), Some(rules)) = (call, &response.head.rule_set) {
            call.answered_by(&rules.digest);
        }
        Ok(Response::new(response))
    }

    type EvaluateStreamStream = ReceiverStream<Result<EncodedItem, Status>>;

    async fn evaluate_stream(
        &self,
        request: Request<Streaming<proto::EvaluateStreamRequest>>,
    ) -> Result<Response<Self::EvaluateStreamStream>, Status> {
        let deadline = Deadline::of(&request);
        let call = Call::of(&request);
        deadline.check()?;
        let origin = Origin::of(&request);
        Ok(Response::new(stream::answer_all(self.clone(), origin, request.into_inner(), deadline, call)))
    }
}

#[tonic::async_trait]
impl KnowledgeService for Services {
    async fn list_packs(
        &self,
        request: Request<proto::ListPacksRequest>,
    ) -> Result<Response<proto::ListPacksResponse>, Status> {
        let proto::ListPacksRequest {} = request.into_inner();
        let snapshot = self.keeper.current();
        let packs: Vec<_> = snapshot.packs.values().map(|item| pack::summary(item)).collect();
        let only = snapshot.packs.keys().next().filter(|_| snapshot.packs.len() == 1);
        let default_pack = self.default_pack.as_ref().or(only).cloned().unwrap_or_default();
        Ok(Response::new(proto::ListPacksResponse { packs, default_pack }))
    }

    async fn get_pack(
        &self,
        request: Request<proto::GetPackRequest>,
    ) -> Result<Response<proto::GetPackResponse>, Status> {
        let proto::GetPackRequest { pack, expected_digest } = request.into_inner();
        let found = self.rules(&pack, &expected_digest)?;
        Ok(Response::new(proto::GetPackResponse { pack: Some(pack::whole(&found)) }))
    }

    async fn get_status(
        &self,
        request: Request<proto::GetStatusRequest>,
    ) -> Result<Response<proto::GetStatusResponse>, Status> {
        let proto::GetStatusRequest {} = request.into_inner();
        Ok(Response::new(report::status(&self.keeper)))
    }

    async fn reload_rules(
        &self,
        request: Request<proto::ReloadRulesRequest>,
    ) -> Result<Response<proto::ReloadRulesResponse>, Status> {
        let proto::ReloadRulesRequest {} = request.into_inner();
        let keeper = Arc::clone(&self.keeper);
        // Loading reads files and runs worked cases; no request waits behind it.
        let response = blocking(move || {
            let outcome = keeper.try_reload(true);
            report::reload(&keeper, outcome)
        });
        Ok(Response::new(response.await?))
    }

    type WatchStatusStream = ReceiverStream<watch::Answer>;

    async fn watch_status(
        &self,
        request: Request<proto::WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let deadline = Deadline::of(&request);
        let call = Call::of(&request);
        let proto::WatchStatusRequest {} = request.into_inner();
        let place = Arc::clone(&self.watchers).try_acquire_owned().map_err(|_| Problem::Taken)?;
        Ok(Response::new(watch::tell(Arc::clone(&self.keeper), &self.gate, place, deadline, call)))
    }

    async fn validate_rules(
        &self,
        request: Request<proto::ValidateRulesRequest>,
    ) -> Result<Response<proto::ValidateRulesResponse>, Status> {
        Deadline::of(&request).check()?;
        let place = Seat::take(&request).ok_or(Problem::Taken)?;
        let request = request.into_inner();
        let served = self.keeper.current();
        let waiting = Waiting::default();
        let is_wanted = waiting.asked();
        let response = blocking(move || {
            // The place is taken until the work is done, even when nobody waits for the answer any more.
            let _place = place;
            validate::verdict(validate::read(request, served)?, is_wanted)
        });
        Ok(Response::new(response.await??))
    }

    async fn run_cases(
        &self,
        request: Request<proto::RunCasesRequest>,
    ) -> Result<Response<proto::RunCasesResponse>, Status> {
        Deadline::of(&request).check()?;
        let request = request.into_inner();
        limits::check_cases(&request)?;
        let proto::RunCasesRequest { pack, expected_digest, filter } = request;
        let pack = self.rules(&pack, &expected_digest)?;
        let place = Arc::clone(&self.case_runs).try_acquire_owned().map_err(|_| Problem::Taken)?;
        let waiting = Waiting::default();
        let is_wanted = waiting.asked();
        let response = blocking(move || {
            let _place = place;
            cases::run(&pack, &filter, is_wanted)
        });
        Ok(Response::new(response.await??))
    }
}
