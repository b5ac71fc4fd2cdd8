//! Connections: how many there may be, how they begin, and when one that says nothing is closed.
//!
//! Owns accepting, the TLS handshake and both clocks of a connection. What is said over it is the transport's.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use super::tls::Greeting;
use crate::access::{Peer, digest_name};
use crate::config::LimitArgs;
use crate::observe::traffic::{Opened, Refused, Traffic};

/// How long to wait after the system refused a connection, which mostly means that it is out of files.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until nobody takes them any more.
pub fn accept(
    listener: TcpListener,
    tls: Option<Arc<Greeting>>,
    limits: &LimitArgs,
    traffic: Arc<Traffic>,
) -> ReceiverStream<io::Result<Connection>> {
    let (taken, connections) = mpsc::channel(1);
    let places = usize::try_from(limits.max_connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
    let door = Door {
        tls,
        traffic,
        places: Arc::new(Semaphore::new(places)),
        handshake: limits.handshake_timeout,
        quiet: limits.keepalive_interval.saturating_add(limits.keepalive_timeout).saturating_mul(2),
    };
    tokio::spawn(async move {
        tokio::select! {
            () = door.stand_open(&listener, &taken) => {}
            () = taken.closed() => {}
        }
    });
    ReceiverStream::new(connections)
}

struct Door {
    tls: Option<Arc<Greeting>>,
    traffic: Arc<Traffic>,
    places: Arc<Semaphore>,
    handshake: Duration,
    quiet: Duration,
}

impl Door {
    async fn stand_open(&self, listener: &TcpListener, taken: &mpsc::Sender<io::Result<Connection>>) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                self.traffic.connection_refused(Refused::System);
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                self.traffic.connection_refused(Refused::Full);
                continue;
            };
            // Answers are small and wanted now. A failure means that the client has gone already.
            let _ = stream.set_nodelay(true);
            let place = Place { _place: place, _opened: self.traffic.connection_opened() };
            let deadline = Instant::now() + self.handshake;
            match &self.tls {
                None => {
                    let connection = Connection::new(Stream::Plain(stream), place, deadline, self.quiet);
                    if taken.send(Ok(connection)).await.is_err() {
                        return;
                    }
                }
                Some(greeting) => self.shake_hands(greeting, stream, place, deadline, taken.clone()),
            }
        }
    }

    fn shake_hands(
        &self,
        greeting: &Greeting,
        stream: TcpStream,
        place: Place,
        deadline: Instant,
        taken: mpsc::Sender<io::Result<Connection>>,
    ) {
        let acceptor = TlsAcceptor::from(greeting.current());
        let (traffic, quiet) = (Arc::clone(&self.traffic), self.quiet);
        tokio::spawn(async move {
            match tokio::time::timeout_at(deadline, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let connection = Connection::new(Stream::Tls(Box::new(stream)), place, deadline, quiet);
                    let _ = taken.send(Ok(connection)).await;
                }
                Ok(Err(_)) => traffic.connection_refused(Refused::Handshake),
                Err(_) => traffic.connection_refused(Refused::Silent),
            }
        });
    }
}

/// Held for as long as a connection is open.
#[derive(Debug)]
struct Place {
    _place: OwnedSemaphorePermit,
    _opened: Opened,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// An open connection.
pub struct Connection {
    stream: Stream,
    peer: Peer,
    /// When it has been silent for too long, unless something was heard since.
    silent: Pin<Box<Sleep>>,
    heard: Option<Instant>,
    quiet: Duration,
    _place: Place,
}

impl Connection {
    fn new(stream: Stream, place: Place, deadline: Instant, quiet: Duration) -> Self {
        let certificate = match &stream {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => stream.get_ref().1.peer_certificates().and_then(<[_]>::first),
        };
        let certificate = certificate.map(|certificate| digest_name("certificate", certificate).into());
        let silent = Box::pin(tokio::time::sleep_until(deadline));
        Self { stream, peer: Peer { certificate }, silent, heard: None, quiet, _place: place }
    }

    /// Whether it has been silent for too long. A client of HTTP/2 that is alive answers pings, so only dead, silent
    /// and stalling ones are.
    fn poll_silent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            std::task::ready!(self.silent.as_mut().poll(cx));
            match self.heard.take() {
                Some(heard) => self.silent.as_mut().reset(heard + self.quiet),
                None => return Poll::Ready(()),
            }
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        match read {
            Poll::Ready(read) => {
                if buffer.filled().len() > before {
                    self.heard = Some(Instant::now());
                }
                Poll::Ready(read)
            }
            Poll::Pending => {
                std::task::ready!(self.poll_silent(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
