//! The status over one stream: at once, and after every change.
//!
//! Owns the loop. A change is only a bell; what is sent is the status as it is then, so a slow reader costs one message
//! of memory and still gets the latest.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::gate::Gate;
use super::guard::{Call, Deadline};
use super::status::Problem;
use super::{proto, report, stream};
use crate::store::keeper::Keeper;

/// Most watchers of one server.
pub(super) const WATCHERS: usize = 64;

pub(super) type Answer = Result<proto::WatchStatusResponse, Status>;

/// Tells the status until the caller, the caller's patience or the server ends. The place is given back then.
pub(super) fn tell(
    keeper: Arc<Keeper>,
    gate: &Gate,
    place: OwnedSemaphorePermit,
    deadline: Deadline,
    call: Option<Arc<Call>>,
) -> ReceiverStream<Answer> {
    let (answers, receiver) = mpsc::channel(1);
    let draining = gate.watch();
    tokio::spawn(async move {
        let _place = place;
        stream::conduct(pump(&keeper, draining, &answers), &answers, &deadline, call).await;
    });
    ReceiverStream::new(receiver)
}

async fn pump(
    keeper: &Keeper,
    mut draining: watch::Receiver<bool>,
    answers: &mpsc::Sender<Answer>,
) -> Result<(), Status> {
    let mut changes = keeper.changes();
    let told = async {
        loop {
            // Room first, so that what is sent is not old already.
            let Ok(room) = answers.reserve().await else { return Status::cancelled("the caller has gone") };
            changes.borrow_and_update();
            room.send(Ok(proto::WatchStatusResponse { status: Some(report::status(keeper)) }));
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return Problem::Draining.into() },
                () = answers.closed() => return Status::cancelled("the caller has gone"),
            }
        }
    };
    tokio::select! {
        ended = told => Err(ended),
        _ = draining.wait_for(|draining| *draining) => Err(Problem::Draining.into()),
    }
}
