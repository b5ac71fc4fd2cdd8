//! Decides when to look at the rules folder again.
//!
//! Owns the loop that turns file events, a steady poll and SIGHUP into reloads. An event is only a hint to look sooner;
//! what decides is the content, compared by digest, and it must be seen twice alike before it is loaded. So a lost
//! event costs a second, and a file that is still being written is waited for. It neither reads nor compiles itself:
//! `read` and `keeper` do, on a thread that serves no request.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::Watcher as _;
use tokio::sync::Notify;

use super::keeper::{Keeper, ReloadOutcome};
use super::{RuleSource, peek};

/// How often the content is compared where nothing else is asked for.
pub const DEFAULT_POLL: Duration = Duration::from_secs(1);
/// How long content must stay the same before it is loaded.
const SETTLE: Duration = Duration::from_millis(200);
/// How long after an event the first look is taken; a burst of events becomes one look.
const BURST: Duration = Duration::from_millis(50);
/// A poll may take one part in this many of the time, however large the rules are.
const POLL_SHARE: u32 = 20;

/// Reloads `keeper` whenever its content changes, until `shutdown` is done. Never fails: what cannot be watched is
/// polled.
pub async fn watch(keeper: Arc<Keeper>, poll: Duration, shutdown: impl Future<Output = ()>) {
    let hint = Arc::new(Notify::new());
    let mut eye = Eye { keeper, folders: Folders::new(&hint), hint, crashed: None };
    let mut hangup = Hangup::new();
    let mut pause = Duration::ZERO;
    tokio::pin!(shutdown);
    loop {
        let forced = tokio::select! {
            biased;
            () = &mut shutdown => return,
            () = hangup.recv() => true,
            () = eye.hint.notified() => false,
            () = tokio::time::sleep(pause) => false,
        };
        let took = tokio::select! {
            biased;
            () = &mut shutdown => return,
            took = eye.look(forced) => took,
        };
        pause = match eye.keeper.source() {
            RuleSource::Folder(_) => poll.max(took * POLL_SHARE),
            // Rules inside the binary do not change; only SIGHUP is answered.
            RuleSource::Embedded => Duration::from_secs(24 * 60 * 60),
        };
    }
}

struct Eye {
    keeper: Arc<Keeper>,
    folders: Folders,
    hint: Arc<Notify>,
    /// Content that made the loader panic; not tried again while it stays.
    crashed: Option<String>,
}

impl Eye {
    /// One look, and a reload when there is something new and settled. Gives the time one reading took.
    async fn look(&mut self, forced: bool) -> Duration {
        if forced {
            let keeper = Arc::clone(&self.keeper);
            if let Some(outcome) = blocking(move || keeper.try_reload(true)).await {
                tracing::info!(outcome = in_a_word(&outcome), "reload asked for by SIGHUP");
            }
            return Duration::ZERO;
        }
        tokio::time::sleep(BURST).await;
        let Some(mut seen) = self.read().await else { return Duration::ZERO };
        while self.keeper.is_news(&seen.digest) && self.crashed.as_ref() != Some(&seen.digest) {
            tokio::time::sleep(SETTLE).await;
            let Some(again) = self.read().await else { break };
            if again.digest == seen.digest {
                self.reload(&again.digest).await;
                return again.took;
            }
            seen = again;
        }
        seen.took
    }

    async fn read(&mut self) -> Option<Seen> {
        let source = self.keeper.source().clone();
        let (content, took) = blocking(move || {
            let start = Instant::now();
            (peek(&source), start.elapsed())
        })
        .await?;
        self.folders.arm(&content.folders);
        Some(Seen { digest: content.digest, took })
    }

    async fn reload(&mut self, digest: &str) {
        let (keeper, settled) = (Arc::clone(&self.keeper), digest.to_owned());
        match blocking(move || keeper.reload_settled(&settled)).await {
            Some(Some(_)) => self.crashed = None,
            // It changed after all: look again at once.
            Some(None) => self.hint.notify_one(),
            None => self.crashed = Some(digest.to_owned()),
        }
    }
}

struct Seen {
    digest: String,
    took: Duration,
}

/// Runs `work` where blocking is allowed; `None` when it panicked, which is our own bug and is logged as one.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => Some(value),
        Err(error) => {
            if error.is_panic() {
                tracing::error!("the rule loader panicked, the last good rules go on; please report this");
            }
            None
        }
    }
}

fn in_a_word(outcome: &ReloadOutcome) -> &'static str {
    match outcome {
        ReloadOutcome::Unchanged => "unchanged",
        ReloadOutcome::Published { .. } => "published",
        ReloadOutcome::Refused { .. } => "refused",
    }
}

/// The folders that are watched for events: each by itself, so that folders behind links count too.
struct Folders {
    watcher: Option<notify::RecommendedWatcher>,
    armed: BTreeMap<PathBuf, Identity>,
    /// True when a watch failed once; that is said once.
    failed: bool,
}

impl Folders {
    fn new(hint: &Arc<Notify>) -> Self {
        let hint = Arc::clone(hint);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own reading raises Access events; answering them would never end.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                hint.notify_one();
            }
        });
        let mut folders = Folders { watcher: None, armed: BTreeMap::new(), failed: false };
        match watcher {
            Ok(watcher) => folders.watcher = Some(watcher),
            Err(error) => folders.warn(&error),
        }
        folders
    }

    /// Watches exactly `folders`: new ones, and those that were replaced by another of the same name.
    fn arm(&mut self, folders: &[PathBuf]) {
        let Some(mut watcher) = self.watcher.take() else { return };
        let wanted: BTreeMap<PathBuf, Identity> =
            folders.iter().filter_map(|folder| Some((folder.clone(), identity(folder)?))).collect();
        if wanted != self.armed {
            for (folder, old) in &self.armed {
                if wanted.get(folder) != Some(old) {
                    // The kernel has forgotten a removed folder already; an error says just that.
                    let _ = watcher.unwatch(folder);
                }
            }
            for (folder, new) in &wanted {
                if self.armed.get(folder) != Some(new)
                    && let Err(error) = watcher.watch(folder, notify::RecursiveMode::NonRecursive)
                {
                    self.warn(&error);
                }
            }
            self.armed = wanted;
        }
        self.watcher = Some(watcher);
    }

    fn warn(&mut self, error: &notify::Error) {
        if !self.failed {
            self.failed = true;
            tracing::warn!(%error, "file events are not available, rules are polled");
        }
    }
}

/// What tells a folder from another that later has its name.
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(folder: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(folder).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(folder: &Path) -> Option<Identity> {
    folder.is_dir().then_some((0, 0))
}

/// SIGHUP, where there is such a thing. Listening for it also keeps it from ending the process.
struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    #[cfg(unix)]
    fn new() -> Self {
        let signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
            .inspect_err(|error| tracing::warn!(%error, "SIGHUP cannot be listened for"))
            .ok();
        Hangup { signal }
    }

    #[cfg(not(unix))]
    fn new() -> Self {
        Hangup {}
    }

    async fn recv(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
