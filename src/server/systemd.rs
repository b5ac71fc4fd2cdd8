//! The service manager, where one started this process: it hears how the server is, and may pass sockets.
//!
//! Owns what is said to it and what is taken from it, both as systemd has it. Started by anything else, or on another
//! system, nothing here does anything.

use std::net::TcpListener;
use std::sync::Arc;
#[cfg(unix)]
use std::time::Duration;

#[cfg(unix)]
use sd_notify::NotifyState;

use crate::store::keeper::Keeper;

/// How long a reload may take before the manager hears that it is over.
#[cfg(unix)]
const RELOAD: Duration = Duration::from_secs(60);
/// How long there is between two signs of life at the least.
#[cfg(unix)]
const LEAST_BEAT: Duration = Duration::from_millis(10);

/// Sockets that listen already.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For gRPC: the first that was passed.
    pub calls: Option<TcpListener>,
    /// For the admin port: the second.
    pub admin: Option<TcpListener>,
}

impl Sockets {
    /// The sockets that were passed to this process, if there are any.
    ///
    /// # Errors
    /// More of them than are wanted, or something else than listening TCP sockets.
    #[cfg(unix)]
    pub fn passed() -> Result<Self, String> {
        let mut passed = listenfd::ListenFd::from_env();
        if passed.len() > 2 {
            return Err(format!(
                "{} sockets were passed; at most two are wanted: gRPC, then the admin port",
                passed.len()
            ));
        }
        let mut take = |at: usize| {
            if at >= passed.len() {
                return Ok(None);
            }
            let taken = passed.take_tcp_listener(at);
            taken.map_err(|error| format!("socket {at} that was passed is no TCP socket that listens: {error}"))
        };
        Ok(Self { calls: take(0)?, admin: take(1)? })
    }

    /// No sockets.
    ///
    /// # Errors
    /// Never, here.
    #[cfg(not(unix))]
    pub fn passed() -> Result<Self, String> {
        Ok(Self::default())
    }
}

/// Says that calls are answered from now on.
pub fn ready() {
    #[cfg(unix)]
    tell(&[NotifyState::Ready]);
}

/// Says that the server is about to end.
pub fn stopping() {
    #[cfg(unix)]
    tell(&[NotifyState::Stopping]);
}

/// Says, for as long as it is let, that the server lives, where the manager wants to hear it, and when it reloads.
#[cfg(unix)]
pub async fn keep_told(keeper: Arc<Keeper>) {
    tokio::join!(lives(), reloads(&keeper));
}

#[cfg(unix)]
async fn lives() {
    let Some(within) = sd_notify::watchdog_enabled() else { return };
    loop {
        tell(&[NotifyState::Watchdog]);
        // Half the time: one word may be late.
        tokio::time::sleep((within / 2).max(LEAST_BEAT)).await;
    }
}

#[cfg(unix)]
async fn reloads(keeper: &Keeper) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    let mut changes = keeper.changes();
    while hangups.recv().await.is_some() {
        changes.borrow_and_update();
        let now = NotifyState::monotonic_usec_now().ok();
        tell(&[[NotifyState::Reloading].as_slice(), now.as_slice()].concat());
        // Whatever comes of the reload, what is served goes on.
        let _ = tokio::time::timeout(RELOAD, changes.changed()).await;
        tell(&[NotifyState::Ready]);
    }
}

/// Says nothing.
#[cfg(not(unix))]
pub async fn keep_told(_keeper: Arc<Keeper>) {}

#[cfg(unix)]
fn tell(words: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(words) {
        tracing::debug!(%error, "the service manager did not hear");
    }
}
