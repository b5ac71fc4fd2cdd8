//! Rules on disk, or in the binary -> a snapshot that can be served, or every reason why not.
//!
//! Owns the one door: [`load`] reads, names by digest, compiles and runs the packs' own worked cases, at start-up and
//! at reload alike. A set is accepted whole or refused whole. It does not know when to load (`watch`), what is being
//! served (`keeper`), or what any rule means (`engine`).

#![allow(clippy::disallowed_methods, reason = "the store owns files, and the times of reloads")]

pub mod digest;
pub mod embedded;
#[cfg(feature = "server")]
pub mod keeper;
pub mod phrases;
pub mod read;
#[cfg(feature = "server")]
pub mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::engine::case::{self, Case, Shown};
use crate::engine::diagnostic::{Code, Diagnostic, Place, Severity};
use crate::engine::plan::Plan;
use crate::engine::source::SourceFile;
use crate::engine::{self, ReadFile};
use phrases::Phrases;
use read::{Content, PackFiles};

/// Where rules come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleSource {
    /// One pack's folder, or a folder of packs.
    Folder(PathBuf),
    /// The packs inside the binary.
    Embedded,
}

impl std::fmt::Display for RuleSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RuleSource::Folder(path) => write!(f, "{}", path.display()),
            RuleSource::Embedded => f.write_str("the rules inside the binary"),
        }
    }
}

/// A whole rule set, compiled and proven by its own cases. Never changes.
pub struct Snapshot {
    /// The packs, by id. Never empty.
    pub packs: BTreeMap<String, Arc<LoadedPack>>,
    /// The pack's digest where there is one pack, else one over the digests of all; as [`fingerprint`] gives it.
    pub digest: String,
}

/// One pack of a snapshot.
pub struct LoadedPack {
    /// The pack's id.
    pub id: String,
    /// Its folder below the rules folder; empty where the rules folder is the pack.
    pub folder: String,
    /// SHA-256 of its files, in lower-case hex.
    pub digest: String,
    /// The compiled rules.
    pub plan: Plan,
    /// Its worked cases; their expectations hold.
    pub cases: Vec<Case>,
    /// What somebody should look at.
    pub warnings: Vec<Diagnostic>,
    /// What is sent of it many times.
    pub phrases: Phrases,
}

/// A rule set that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Digest of the refused content, as [`fingerprint`] would name it; never empty.
    pub digest: String,
    /// Everything wrong with it, in order of place; places are relative to the rules folder.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads, compiles and tries a rule set: the only way to a [`Snapshot`].
///
/// # Errors
/// Every diagnostic of every pack, when anything is wrong with any of them.
pub fn load(source: &RuleSource) -> Result<Snapshot, Refusal> {
    admit(read(source), cores())
}

/// Tries the files of one pack out, through the same functions as [`load`]. What comes back is no snapshot, and so
/// cannot be served.
///
/// # Errors
/// Every diagnostic, when anything is wrong.
pub fn try_out(files: Vec<SourceFile>) -> Result<Arc<LoadedPack>, Refusal> {
    let mut snapshot = admit(read::inline(files), cores() - 1)?;
    match snapshot.packs.pop_first() {
        Some((_, pack)) => Ok(pack),
        None => Err(Refusal { digest: snapshot.digest, diagnostics: Vec::new() }),
    }
}

/// The digest of the content as it is now, without compiling it.
///
/// # Errors
/// What could not be read.
pub fn fingerprint(source: &RuleSource) -> Result<String, Vec<Diagnostic>> {
    let content = peek(source);
    if content.problems.is_empty() { Ok(content.digest) } else { Err(content.problems) }
}

/// The files of every pack, for tools that compile without serving.
#[must_use]
pub fn read(source: &RuleSource) -> Content {
    match source {
        RuleSource::Folder(path) => read::folder(path),
        RuleSource::Embedded => read::table(embedded::files()),
    }
}

/// The content at this moment, read once; it may be half written.
#[must_use]
pub fn peek(source: &RuleSource) -> Content {
    match source {
        RuleSource::Folder(path) => read::folder_once(path),
        RuleSource::Embedded => read::table(embedded::files()),
    }
}

/// The same diagnostic with its places relative to the rules folder, and not to the pack's. One about the whole pack
/// gets the pack's header as its place, so that it can be told which of several packs it is about.
#[must_use]
pub fn in_folder(mut diagnostic: Diagnostic, folder: &str) -> Diagnostic {
    if diagnostic.place.is_none() && !folder.is_empty() {
        diagnostic.place = Some(start_of_header());
    }
    let places = diagnostic.place.iter_mut().chain(diagnostic.related.iter_mut().map(|(place, _)| place));
    for place in places {
        place.file = read::join(folder, &place.file);
    }
    diagnostic
}

fn admit(content: Content, cores: usize) -> Result<Snapshot, Refusal> {
    let mut diagnostics = content.problems;
    let mut packs: BTreeMap<String, Arc<LoadedPack>> = BTreeMap::new();
    for files in content.packs.iter().filter(|files| files.readable) {
        match admit_pack(files, cores) {
            Ok(pack) => {
                if let Some(first) = packs.get(&pack.id) {
                    diagnostics.push(twice(&pack, first));
                }
                packs.insert(pack.id.clone(), Arc::new(pack));
            }
            Err(found) => diagnostics.extend(found),
        }
    }
    if diagnostics.iter().all(|diagnostic| diagnostic.severity == Severity::Warning) && !packs.is_empty() {
        return Ok(Snapshot { packs, digest: content.digest });
    }
    diagnostics.extend(packs.values().flat_map(|pack| pack.warnings.clone()));
    diagnostics.sort();
    Err(Refusal { digest: content.digest, diagnostics })
}

/// Does the same to all items on so many cores; the results are the same, and in the same order, whatever their number.
fn on_cores<T: Sync, R: Send>(cores: usize, items: &[T], work: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    if cores < 2 || items.len() < 2 {
        // A thread would cost more than it brings.
        return if items.is_empty() { Vec::new() } else { vec![work(items)] };
    }
    let chunk = items.len().div_ceil(cores);
    std::thread::scope(|scope| {
        let work = &work;
        let parts: Vec<_> = items.chunks(chunk).map(|part| scope.spawn(move || work(part))).collect();
        // A panic in the work is passed on, and is handled where a panic of the loader is.
        parts.into_iter().map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

fn read_files(files: &[SourceFile], cores: usize) -> Vec<ReadFile> {
    on_cores(cores, files, |part| part.iter().map(ReadFile::read).collect::<Vec<_>>()).into_iter().flatten().collect()
}

/// As many threads as run at once.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn run_cases(plan: &Plan, cases: &[Case], cores: usize) -> (Vec<Diagnostic>, Shown) {
    let (mut broken, mut shown) = (Vec::new(), Shown::default());
    for (more, seen) in on_cores(cores, cases, |part| case::check_all(plan, part)) {
        broken.extend(more);
        shown.merge(seen);
    }
    (broken, shown)
}

fn admit_pack(files: &PackFiles, cores: usize) -> Result<LoadedPack, Vec<Diagnostic>> {
    let placed = |found: Vec<Diagnostic>| -> Vec<Diagnostic> {
        found.into_iter().map(|diagnostic| in_folder(diagnostic, &files.folder)).collect()
    };
    let compiled = engine::compile_read(read_files(&files.files, cores)).map_err(placed)?;
    let (mut found, shown) = run_cases(&compiled.plan, &compiled.cases, cores);
    found.extend(compiled.unshown(&shown));
    found.extend(compiled.warnings);
    found.sort();
    let warnings = placed(found);
    if warnings.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(warnings);
    }
    Ok(LoadedPack {
        id: compiled.plan.header.id.clone(),
        folder: files.folder.clone(),
        digest: files.digest.clone(),
        phrases: Phrases::new(&compiled.plan),
        plan: compiled.plan,
        cases: compiled.cases,
        warnings,
    })
}

fn twice(pack: &LoadedPack, first: &LoadedPack) -> Diagnostic {
    let header = |folder: &str| {
        let place = start_of_header();
        Place { file: read::join(folder, &place.file), ..place }
    };
    Diagnostic::error(Code::DuplicatePack, Some(header(&pack.folder)), format!("pack `{}` is here twice", pack.id))
        .related(Some(header(&first.folder)), "the first one")
        .help("give one of them another id, or remove its folder")
}

fn start_of_header() -> Place {
    Place { file: "pack.yaml".to_owned(), line: 1, column: 1, length: 1 }
}
