//! The one method that takes large messages: one caller at a time, seen to before the message is read.
//!
//! Owns the place for that caller. Taken any later, many large messages could lie in memory at once; and a caller who
//! never finishes sending must not keep it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;

use super::limits;
use super::proto::knowledge_service_server::KnowledgeServiceServer;
use super::service::Services;
use super::status::Problem;

/// How long a large message may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);

/// The knowledge service, with room for large messages where one is expected and nowhere else.
#[derive(Debug, Clone)]
pub struct Knowledge {
    small: KnowledgeServiceServer<Services>,
    large: KnowledgeServiceServer<Services>,
    place: Arc<Semaphore>,
    arrival: Duration,
}

impl Knowledge {
    pub(super) fn new(services: &Services) -> Self {
        let server = |bytes| KnowledgeServiceServer::new(services.clone()).max_decoding_message_size(bytes);
        Self {
            small: server(limits::TRANSPORT_BYTES),
            large: server(limits::RULES_BYTES),
            place: Arc::new(Semaphore::new(1)),
            arrival: ARRIVAL,
        }
    }
}

impl NamedService for Knowledge {
    const NAME: &'static str = <KnowledgeServiceServer<Services> as NamedService>::NAME;
}

impl Service<http::Request<Body>> for Knowledge {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != limits::VALIDATE_RULES {
            return self.small.call(request);
        }
        let Ok(permit) = Arc::clone(&self.place).try_acquire_owned() else {
            return Box::pin(async { Ok(Status::from(Problem::Taken).into_http()) });
        };
        let seat = Seat(Arc::new(Mutex::new(Some(permit))));
        request.extensions_mut().insert(seat.clone());
        let (answer, arrival) = (self.large.call(request), self.arrival);
        Box::pin(async move {
            tokio::select! {
                biased;
                answer = answer => answer,
                () = seat.never_taken(arrival) => Ok(Status::from(Problem::TooSlow).into_http()),
            }
        })
    }
}

/// The place of a caller, until the handler takes it: that is when the message has arrived.
#[derive(Debug, Clone)]
pub(super) struct Seat(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Seat {
    /// Takes the place that a request came with, to be held until the work is done.
    pub(super) fn take<T>(request: &tonic::Request<T>) -> Option<OwnedSemaphorePermit> {
        request.extensions().get::<Seat>()?.permit().take()
    }

    async fn never_taken(&self, arrival: Duration) {
        tokio::time::sleep(arrival).await;
        if self.permit().is_none() {
            std::future::pending::<()>().await;
        }
    }

    fn permit(&self) -> std::sync::MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, Body, Duration, Infallible, Knowledge, Service as _, Services, Status, http, limits};
    use crate::grpc::gate::{Gate, Room};
    use crate::observe::metrics::Metrics;
    use crate::store::RuleSource;
    use crate::store::keeper::Keeper;
    use tonic::Code;
    use tonic::codegen::Bytes;

    async fn code(knowledge: &mut Knowledge, body: Body) -> Option<Code> {
        let request = http::Request::post(limits::VALIDATE_RULES).header("content-type", "application/grpc");
        let answer: Result<_, Infallible> = knowledge.call(request.body(body).expect("a request")).await;
        Status::from_header_map(answer.expect("never fails").headers()).map(|status| status.code())
    }

    #[tokio::test]
    async fn a_message_that_never_arrives_gives_its_place_back() {
        let keeper = Keeper::open(RuleSource::Embedded).unwrap_or_else(|_| panic!("the rules inside are good"));
        let keeper = Arc::new(keeper);
        let metrics = Arc::new(Metrics::new(Arc::clone(&keeper)));
        let services =
            Services::new(keeper, None, metrics, Arc::new(Gate::new(Room { calls: 1, streams: 1, work: 1 })));
        let mut knowledge = Knowledge { arrival: Duration::from_millis(50), ..services.knowledge() };
        // It says nothing, and does not end.
        let silent = || Body::new(axum::body::Body::from_stream(tokio_stream::pending::<Result<Bytes, Infallible>>()));
        let mut second = knowledge.clone();
        let (first, second) = tokio::join!(code(&mut knowledge, silent()), code(&mut second, silent()));
        assert_eq!((first, second), (Some(Code::DeadlineExceeded), Some(Code::ResourceExhausted)));
        assert_eq!(code(&mut knowledge, silent()).await, Some(Code::DeadlineExceeded), "the place is free again");
    }
}
