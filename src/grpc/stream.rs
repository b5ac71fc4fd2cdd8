//! Many evaluations over one stream: answers in order, a bad item answered in its place, bounded memory.
//!
//! Owns the loop. Each item is answered just as `Evaluate` would, on the rules that are current when it is read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::guard::{Call, Deadline, read_problem};
use super::limits::MESSAGE_BYTES;
use super::origin::Origin;
use super::proto;
use super::proto::evaluate_stream_response::Result as ItemResult;
use super::service::Services;
use super::status::Problem;
use super::wire::EncodedItem;
use crate::engine::submission::Violation;

/// How many answers wait for a slow reader before no further item is read.
const BUFFER: usize = 16;
/// How many items of one stream are answered at once: enough that every core has work while one is waited for.
const AT_ONCE: usize = 8;
/// How long a stream may say nothing, while the server drains, before it is ended. A busy one may finish.
const IDLE_WHILE_DRAINING: Duration = Duration::from_secs(1);

type Answer = Result<EncodedItem, Status>;

/// Answers every request of a stream until it, the caller's patience or the server ends.
pub(super) fn answer_all(
    services: Services,
    origin: Arc<Origin>,
    requests: Streaming<proto::EvaluateStreamRequest>,
    deadline: Deadline,
    call: Option<Arc<Call>>,
) -> ReceiverStream<Answer> {
    let (answers, receiver) = mpsc::channel(BUFFER);
    tokio::spawn(async move {
        let pump = pump(&services, &origin, &deadline, requests, &answers);
        conduct(pump, &answers, &deadline, call).await;
    });
    ReceiverStream::new(receiver)
}

/// Lets `work` answer a stream until it ends or the caller's patience does; tells the caller, and notes how it ended.
pub(super) async fn conduct<T>(
    work: impl Future<Output = Result<(), Status>>,
    answers: &mpsc::Sender<Result<T, Status>>,
    deadline: &Deadline,
    call: Option<Arc<Call>>,
) {
    let ended = tokio::select! {
        biased;
        ended = work => ended,
        problem = deadline.passed() => Err(problem.into()),
    };
    let code = match ended {
        Ok(()) => Code::Ok,
        Err(status) => {
            let code = status.code();
            // Nobody may be left to hear it, or be in no hurry to.
            let _ = tokio::time::timeout(IDLE_WHILE_DRAINING, answers.send(Err(status))).await;
            code
        }
    };
    if let Some(call) = call {
        call.ended(code);
    }
}

/// Reads items while there is room, lets each be answered by itself, and sends the answers in the order of the items.
async fn pump(
    services: &Services,
    origin: &Arc<Origin>,
    deadline: &Deadline,
    mut requests: Streaming<proto::EvaluateStreamRequest>,
    answers: &mpsc::Sender<Answer>,
) -> Result<(), Status> {
    let mut draining = services.gate().watch();
    let mut being_answered: VecDeque<JoinHandle<EncodedItem>> = VecDeque::with_capacity(AT_ONCE);
    let (mut index, mut has_ended) = (0, false);
    loop {
        tokio::select! {
            biased;
            answered = first(&mut being_answered), if !being_answered.is_empty() => {
                being_answered.pop_front();
                // A slow reader holds up the reading of further items.
                if answers.send(Ok(answered?)).await.is_err() {
                    return Err(Status::cancelled("the caller has gone"));
                }
            }
            message = requests.message(), if !has_ended && being_answered.len() < AT_ONCE => match message {
                Ok(Some(item)) => {
                    let (services, origin, deadline) = (services.clone(), Arc::clone(origin), deadline.clone());
                    being_answered.push_back(tokio::spawn(async move {
                        answer_one(&services, &origin, &deadline, index, item).await
                    }));
                    index += 1;
                }
                Ok(None) => has_ended = true,
                Err(status) => {
                    // What was read before it is answered first.
                    while let Some(answered) = being_answered.pop_front() {
                        let item = answered.await.map_err(|_| Status::from(Problem::Bug))?;
                        if answers.send(Ok(item)).await.is_err() {
                            break;
                        }
                    }
                    return Err(read_problem(&status, MESSAGE_BYTES).map_or(status, Status::from));
                }
            },
            () = drained_and_idle(&mut draining), if !has_ended && being_answered.is_empty() => {
                return Err(Problem::Draining.into());
            }
            () = tokio::time::sleep(services.stream_idle()), if !has_ended && being_answered.is_empty() => {
                return Err(Problem::StreamIdle.into());
            }
            else => return Ok(()),
        }
    }
}

/// The oldest item that is being answered, when it is.
async fn first(being_answered: &mut VecDeque<JoinHandle<EncodedItem>>) -> Result<EncodedItem, Status> {
    match being_answered.front_mut() {
        Some(oldest) => oldest.await.map_err(|_| Problem::Bug.into()),
        None => std::future::pending().await,
    }
}

async fn drained_and_idle(draining: &mut watch::Receiver<bool>) {
    if draining.wait_for(|draining| *draining).await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(IDLE_WHILE_DRAINING).await;
}

async fn answer_one(
    services: &Services,
    origin: &Arc<Origin>,
    deadline: &Deadline,
    index: u64,
    item: proto::EvaluateStreamRequest,
) -> EncodedItem {
    let proto::EvaluateStreamRequest { request } = item;
    let request_id = request.as_ref().map(|request| request.request_id.clone()).unwrap_or_default();
    let answered = match request {
        Some(request) => services.recorded("EvaluateStream", origin, request, deadline).await,
        None => Err(missing()),
    };
    match answered {
        Ok(answer) => EncodedItem::Answer(index, answer),
        Err(problem) => {
            // An overlong name of a request is refused and not sent back.
            let request_id = if request_id.len() > super::limits::STRING_BYTES { String::new() } else { request_id };
            let result = Some(ItemResult::Error(problem.into_item_error(request_id)));
            EncodedItem::Other(proto::EvaluateStreamResponse { index, result })
        }
    }
}

fn missing() -> Problem {
    let reason = "required; send an empty request to ask where to begin";
    Problem::Invalid(vec![Violation { field: "request".into(), reason: reason.into() }])
}
