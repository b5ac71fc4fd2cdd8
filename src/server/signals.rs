//! The signals that tell a server to stop.
//!
//! Owns SIGTERM and ctrl-c. SIGHUP, which asks for a reload, is `store::watch`'s; what it asks of the
//! journal is here.

use std::sync::Arc;

use crate::observe::journal::Journal;

/// Takes SIGHUP away from the system, which would end the process; `store::watch` listens for it later.
///
/// # Errors
/// When the system does not let it.
#[cfg(unix)]
pub fn survive_hangup() -> Result<(), String> {
    let listening = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
    listening.map(drop).map_err(|error| format!("cannot listen for signals: {error}"))
}

/// Takes SIGHUP away from the system.
///
/// # Errors
/// Never, here.
#[cfg(not(unix))]
pub fn survive_hangup() -> Result<(), String> {
    Ok(())
}

/// Opens the files of a journal anew at every SIGHUP, after something has renamed them.
///
/// # Errors
/// When the system does not let it listen.
#[cfg(unix)]
pub fn at_hangup(journal: Arc<Journal>) -> Result<impl Future<Output = ()> + Send, String> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangups = signal(SignalKind::hangup()).map_err(|error| format!("cannot listen for signals: {error}"))?;
    Ok(async move {
        while hangups.recv().await.is_some() {
            let journal = Arc::clone(&journal);
            let _ = tokio::task::spawn_blocking(move || journal.reopen()).await;
        }
    })
}

/// Does nothing: there is no SIGHUP.
///
/// # Errors
/// Never, here.
#[cfg(not(unix))]
pub fn at_hangup(_journal: Arc<Journal>) -> Result<impl Future<Output = ()> + Send, String> {
    Ok(std::future::pending())
}

/// Listens for the signals that mean "stop".
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Listens from now on, so that none is missed.
    ///
    /// # Errors
    /// When the system does not let it.
    #[cfg(unix)]
    pub fn new() -> Result<Self, String> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Listens from now on.
    ///
    /// # Errors
    /// Never, here.
    #[cfg(not(unix))]
    pub fn new() -> Result<Self, String> {
        Ok(Self {})
    }

    /// Waits for the next one.
    pub async fn told_to_stop(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}
