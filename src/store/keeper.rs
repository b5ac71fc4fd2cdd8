//! The snapshot that is being served, the last few packs before it, and how the last reload went.
//!
//! Owns publishing: a new snapshot replaces the old one in one step, or not at all. Readers take the current one
//! without a lock. It does not decide when to reload (`watch` and the reload RPC do) and it measures nothing; metrics
//! read [`Keeper::status`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::read::Content;
use super::{LoadedPack, Refusal, RuleSource, Snapshot, admit, cores, read};
use crate::engine::diagnostic::Diagnostic;

/// How many packs are held for pinned requests, beside the one that is served, for each pack id.
pub const HELD: usize = 4;

/// Most diagnostics in one log entry; the status RPC has them all.
const LOGGED: usize = 50;

/// Serves the current snapshot and replaces it.
pub struct Keeper {
    source: RuleSource,
    shelf: ArcSwap<Shelf>,
    book: Mutex<Book>,
    /// Held during a reload, so that two never overlap. Requests never wait for it.
    reloading: Mutex<()>,
    /// Rung after every change of the book.
    changed: watch::Sender<()>,
}

/// What requests read, published together.
struct Shelf {
    snapshot: Arc<Snapshot>,
    /// Newest first, the served pack first of all.
    held: BTreeMap<String, Vec<Arc<LoadedPack>>>,
}

/// What operators read.
#[derive(Debug, Clone)]
struct Book {
    serving_since: SystemTime,
    last_attempt: Attempt,
    last_success: SystemTime,
    refused: Option<Arc<Refused>>,
    published: u64,
    refusals: u64,
    unchanged: u64,
}

/// How a reload went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptResult {
    /// New rules are served.
    Published,
    /// The content is what is served already.
    Unchanged,
    /// The content was refused; the last good rules go on.
    Refused,
}

/// One try to load rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// When it ended.
    pub at: SystemTime,
    /// How.
    pub result: AttemptResult,
}

/// Content that was refused and is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// When it was first refused.
    pub at: SystemTime,
    /// Digest of the content.
    pub digest: String,
    /// Every reason; places are relative to the rules folder.
    pub diagnostics: Vec<Diagnostic>,
}

/// A copy of all that an operator may ask.
#[derive(Debug, Clone)]
pub struct Status {
    /// Where the rules come from, in words.
    pub source: String,
    /// Digest of the served set; that of its pack where it has only one.
    pub serving_digest: String,
    /// Since when.
    pub serving_since: SystemTime,
    /// Digests held for pins, newest first, for each pack id; of a pack that is gone too.
    pub held: BTreeMap<String, Vec<String>>,
    /// The last try; the first load counts.
    pub last_attempt: Attempt,
    /// When the content was last found good: published, or the same as what is served.
    pub last_success: SystemTime,
    /// What lies in the rules folder and is not served; `None` when the folder holds what is served.
    pub refused: Option<Arc<Refused>>,
    /// Reloads that published a new set. The first load is not a reload.
    pub reloads_published: u64,
    /// Reloads that refused a set.
    pub reloads_refused: u64,
    /// Reloads that found the served set.
    pub reloads_unchanged: u64,
}

impl Status {
    /// True unless the rules folder holds something that was refused.
    #[must_use]
    pub fn last_reload_successful(&self) -> bool {
        self.refused.is_none()
    }
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// The content is what is served already.
    Unchanged,
    /// A new set is served.
    Published {
        /// Its digest.
        digest: String,
    },
    /// The last good set goes on.
    Refused {
        /// Digest of what was refused.
        digest: String,
        /// Every reason.
        diagnostics: Vec<Diagnostic>,
    },
}

impl Keeper {
    /// Loads the first snapshot.
    ///
    /// # Errors
    /// The refusal, when there is no valid set to begin with.
    pub fn open(source: RuleSource) -> Result<Keeper, Refusal> {
        let snapshot = Arc::new(super::load(&source)?);
        let now = SystemTime::now();
        let book = Book {
            serving_since: now,
            last_attempt: Attempt { at: now, result: AttemptResult::Published },
            last_success: now,
            refused: None,
            published: 0,
            refusals: 0,
            unchanged: 0,
        };
        tracing::info!(source = %source, digest = %snapshot.digest, packs = %names(&snapshot), "rules loaded");
        let held = shelve(&BTreeMap::new(), &snapshot);
        Ok(Keeper {
            source,
            shelf: ArcSwap::from_pointee(Shelf { snapshot, held }),
            book: Mutex::new(book),
            reloading: Mutex::new(()),
            changed: watch::Sender::new(()),
        })
    }

    /// The snapshot to answer a request with; take it once and keep it to the end of the request.
    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shelf.load().snapshot)
    }

    /// A pack by its digest: the served one, or one of the last few before it.
    #[must_use]
    pub fn held(&self, pack: &str, digest: &str) -> Option<Arc<LoadedPack>> {
        self.shelf.load().held.get(pack)?.iter().find(|held| held.digest == digest).cloned()
    }

    /// The digests that a request may pin, newest first; empty for an unknown pack.
    #[must_use]
    pub fn held_digests(&self, pack: &str) -> Vec<String> {
        self.shelf.load().held.get(pack).map(|held| digests(held)).unwrap_or_default()
    }

    /// Where the rules come from.
    #[must_use]
    pub fn source(&self) -> &RuleSource {
        &self.source
    }

    /// What operators may ask, at this moment.
    #[must_use]
    pub fn status(&self) -> Status {
        // The book is held while the shelf is read, so the digest and the time belong together.
        let book = self.book();
        let shelf = self.shelf.load();
        Status {
            source: self.source.to_string(),
            serving_digest: shelf.snapshot.digest.clone(),
            serving_since: book.serving_since,
            held: shelf.held.iter().map(|(pack, held)| (pack.clone(), digests(held))).collect(),
            last_attempt: book.last_attempt,
            last_success: book.last_success,
            refused: book.refused.clone(),
            reloads_published: book.published,
            reloads_refused: book.refusals,
            reloads_unchanged: book.unchanged,
        }
    }

    /// Changes whenever [`Keeper::status`] does. Whoever is slow sees several changes as one.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Looks at the content and, if it is new, publishes it or refuses it. Blocks; one at a time.
    ///
    /// Content that was refused before is not tried again, unless `force` is set.
    pub fn try_reload(&self, force: bool) -> ReloadOutcome {
        let _alone = self.alone();
        self.take(read(&self.source), force)
    }

    /// Loads content that was seen twice alike as `settled`; `None` when it has changed since.
    pub(super) fn reload_settled(&self, settled: &str) -> Option<ReloadOutcome> {
        let _alone = self.alone();
        let content = read(&self.source);
        (content.digest == settled).then(|| self.take(content, false))
    }

    /// Notes what the poll saw; true when it is new and worth loading.
    pub(super) fn is_news(&self, digest: &str) -> bool {
        if digest == self.shelf.load().snapshot.digest {
            // Somebody put the served rules back: that is healthy again.
            if self.book().refused.is_some() {
                self.record_unchanged();
            }
            return false;
        }
        self.book().refused.as_ref().is_none_or(|refused| refused.digest != digest)
    }

    fn take(&self, content: Content, force: bool) -> ReloadOutcome {
        if content.digest == self.shelf.load().snapshot.digest {
            self.record_unchanged();
            return ReloadOutcome::Unchanged;
        }
        let known = self.book().refused.clone().filter(|refused| refused.digest == content.digest && !force);
        if let Some(refused) = known {
            return ReloadOutcome::Refused { digest: content.digest, diagnostics: refused.diagnostics.clone() };
        }
        // Calls go on meanwhile, and want a core.
        match admit(content, cores() - 1) {
            Ok(snapshot) => self.publish(snapshot),
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn publish(&self, snapshot: Snapshot) -> ReloadOutcome {
        let snapshot = Arc::new(snapshot);
        let digest = snapshot.digest.clone();
        let old = self.shelf.load_full();
        let shelf = Shelf { held: shelve(&old.held, &snapshot), snapshot: Arc::clone(&snapshot) };
        let now = SystemTime::now();
        {
            let mut book = self.book();
            self.shelf.store(Arc::new(shelf));
            book.serving_since = now;
            book.last_attempt = Attempt { at: now, result: AttemptResult::Published };
            book.last_success = now;
            book.refused = None;
            book.published += 1;
        }
        self.changed.send_replace(());
        tracing::info!(digest = %digest, before = %old.snapshot.digest, packs = %names(&snapshot), "rules reloaded");
        ReloadOutcome::Published { digest }
    }

    fn refuse(&self, refusal: Refusal) -> ReloadOutcome {
        let Refusal { digest, diagnostics } = refusal;
        let now = SystemTime::now();
        let known = {
            let mut book = self.book();
            book.last_attempt = Attempt { at: now, result: AttemptResult::Refused };
            book.refusals += 1;
            let known = book.refused.take().filter(|refused| refused.digest == digest);
            let at = known.as_ref().map_or(now, |refused| refused.at);
            book.refused = Some(Arc::new(Refused { at, digest: digest.clone(), diagnostics: diagnostics.clone() }));
            known.is_some()
        };
        self.changed.send_replace(());
        if !known {
            let serving = self.shelf.load().snapshot.digest.clone();
            tracing::error!(
                digest = %digest, serving = %serving, count = diagnostics.len(), diagnostics = %in_words(&diagnostics),
                "rules refused, the last good rules go on"
            );
        }
        ReloadOutcome::Refused { digest, diagnostics }
    }

    fn record_unchanged(&self) {
        let now = SystemTime::now();
        let mended = {
            let mut book = self.book();
            book.last_attempt = Attempt { at: now, result: AttemptResult::Unchanged };
            book.last_success = now;
            book.unchanged += 1;
            book.refused.take().is_some()
        };
        self.changed.send_replace(());
        if mended {
            tracing::info!(digest = %self.shelf.load().snapshot.digest, "the rules folder holds the served rules again");
        }
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.reloading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Every change to the book is a few plain assignments, so a poisoned one is still right.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The new snapshot's packs in front, the last few of before behind them; packs that are gone are still held.
fn shelve(
    before: &BTreeMap<String, Vec<Arc<LoadedPack>>>,
    snapshot: &Snapshot,
) -> BTreeMap<String, Vec<Arc<LoadedPack>>> {
    let mut held = before.clone();
    for (id, pack) in &snapshot.packs {
        let packs = held.entry(id.clone()).or_default();
        packs.retain(|old| old.digest != pack.digest);
        packs.insert(0, Arc::clone(pack));
        packs.truncate(HELD + 1);
    }
    held
}

fn digests(packs: &[Arc<LoadedPack>]) -> Vec<String> {
    packs.iter().map(|pack| pack.digest.clone()).collect()
}

fn names(snapshot: &Snapshot) -> String {
    let names: Vec<String> =
        snapshot.packs.values().map(|pack| format!("{} {}", pack.id, pack.plan.header.version)).collect();
    names.join(", ")
}

fn in_words(diagnostics: &[Diagnostic]) -> String {
    let mut lines: Vec<String> = diagnostics.iter().take(LOGGED).map(ToString::to_string).collect();
    if diagnostics.len() > LOGGED {
        lines.push(format!("and {} more", diagnostics.len() - LOGGED));
    }
    lines.join("\n")
}
