//! How a message arrives: it may not be longer than is read, nor take longer than is waited.
//!
//! Owns the body of a request on its way to whoever reads it. It follows the frames of gRPC, five bytes and a message, and
//! looks at the length alone: a message that is too large is refused by its announcement, before any of it is kept.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, http};

use super::gate::Work;
use super::limits;
use super::status::Problem;
use crate::access::scope::Method;

/// What a message has before it: whether it is compressed, and its length.
const HEADER: usize = 5;

/// The body of a request.
pub(super) struct Arriving {
    body: Body,
    frames: Frames,
    limit: usize,
    /// How long a message that has begun may take.
    patience: Duration,
    /// When the patience with the one that has begun ends.
    end: Option<Pin<Box<Sleep>>>,
    /// The work that waits for the message.
    work: Option<Arc<Work>>,
}

impl Arriving {
    /// A request whose messages arrive in time and are not too large, or are refused. `work` waits while they arrive.
    pub(super) fn watch(
        request: http::Request<Body>,
        method: Method,
        patience: Duration,
        work: Option<Arc<Work>>,
    ) -> http::Request<Body> {
        let limit = limits::arriving_bytes(method, request.uri().path());
        request.map(|body| Body::new(Arriving { body, frames: Frames::default(), limit, patience, end: None, work }))
    }

    /// Whether a message that has begun is still to be waited for.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.frames.is_inside() {
            self.end = None;
            return Poll::Pending;
        }
        let patience = self.patience;
        self.end.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience))).as_mut().poll(cx)
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(work) = &self.work {
            work.waits(polled.is_pending());
        }
        let Poll::Ready(frame) = polled else {
            return self.poll_patience(cx).map(|()| Some(Err(Problem::TooSlow.into())));
        };
        if let Some(bytes) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            let (ended, largest) = self.frames.follow(bytes);
            if ended {
                self.end = None;
            }
            if largest > self.limit {
                let limit = self.limit;
                return Poll::Ready(Some(Err(Problem::TooLarge { limit }.into())));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Where in the frames of gRPC a body is.
#[derive(Debug, Default)]
struct Frames {
    header: [u8; HEADER],
    /// How much of the header is there.
    read: usize,
    /// How much of the message is missing.
    missing: usize,
}

impl Frames {
    /// Whether something has begun and is not whole.
    fn is_inside(&self) -> bool {
        self.read > 0
    }

    /// Goes on by some bytes; gives whether a message ended in them, and the largest that was announced.
    fn follow(&mut self, mut bytes: &[u8]) -> (bool, usize) {
        let (mut ended, mut largest) = (false, 0);
        while !bytes.is_empty() {
            if self.read < HEADER {
                let taken = bytes.len().min(HEADER - self.read);
                self.header[self.read..self.read + taken].copy_from_slice(&bytes[..taken]);
                (self.read, bytes) = (self.read + taken, &bytes[taken..]);
                if self.read < HEADER {
                    break;
                }
                let [_, length @ ..] = self.header;
                self.missing = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                largest = largest.max(self.missing);
            }
            let taken = bytes.len().min(self.missing);
            (self.missing, bytes) = (self.missing - taken, &bytes[taken..]);
            if self.missing == 0 {
                (self.read, ended) = (0, true);
            }
        }
        (ended, largest)
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;

    #[test]
    fn frames_are_followed_however_they_are_cut() {
        let message = |length: u8| [vec![0, 0, 0, 0, length], vec![7; usize::from(length)]].concat();
        let bytes = [message(3), message(0), message(200), message(1)[..4].to_vec()].concat();
        for piece in 1..bytes.len() {
            let mut frames = Frames::default();
            let told: Vec<_> = bytes.chunks(piece).map(|bytes| frames.follow(bytes)).collect();
            assert_eq!(told.iter().map(|(_, largest)| *largest).max(), Some(200), "{piece}");
            assert!(told.iter().any(|(ended, _)| *ended) && frames.is_inside() && frames.missing == 0, "{piece}");
        }
        let mut frames = Frames::default();
        assert_eq!(frames.follow(&[0, 255, 255, 255, 255, 1]).1, usize::try_from(u32::MAX).expect("64 bits"));
        assert!(frames.is_inside());
        let mut whole = Frames::default();
        assert!(whole.follow(&message(9)).0 && !whole.is_inside());
    }
}
