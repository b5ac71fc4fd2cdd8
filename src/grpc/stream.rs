//! Many evaluations over one stream: answers in order, a bad item answered in its place, bounded memory.
//!
//! Owns the loop. Each item is answered just as `Evaluate` would, on the rules that are current when it is read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
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
        let pump = pump(&services, &origin, requests, &answers);
        conduct(pump, &answers, deadline, call).await;
    });
    ReceiverStream::new(receiver)
}

/// Lets `work` answer a stream until it ends or the caller's patience does; tells the caller, and notes how it ended.
pub(super) async fn conduct<T>(
    work: impl Future<Output = Result<(), Status>>,
    answers: &mpsc::Sender<Result<T, Status>>,
    deadline: Deadline,
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

async fn pump(
    services: &Services,
    origin: &Arc<Origin>,
    mut requests: Streaming<proto::EvaluateStreamRequest>,
    answers: &mpsc::Sender<Answer>,
) -> Result<(), Status> {
    let mut draining = services.gate().watch();
    let mut index = 0;
    loop {
        let message = tokio::select! {
            biased;
            message = requests.message() => message,
            () = drained_and_idle(&mut draining) => return Err(Problem::Draining.into()),
            () = tokio::time::sleep(services.stream_idle()) => return Err(Problem::StreamIdle.into()),
        };
        let item = match message {
            Ok(Some(item)) => item,
            Ok(None) => return Ok(()),
            Err(status) => return Err(read_problem(&status, MESSAGE_BYTES).map_or(status, Status::from)),
        };
        let response = answer_one(services, origin, index, item).await;
        if answers.send(Ok(response)).await.is_err() {
            return Err(Status::cancelled("the caller has gone"));
        }
        index += 1;
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
    index: u64,
    item: proto::EvaluateStreamRequest,
) -> EncodedItem {
    let proto::EvaluateStreamRequest { request } = item;
    let request_id = request.as_ref().map(|request| request.request_id.clone()).unwrap_or_default();
    let answered = match request {
        Some(request) => services.recorded("EvaluateStream", origin, request).await,
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
