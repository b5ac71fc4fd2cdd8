//! Files on disk (or in the binary) -> the text of each pack, with a digest; bounded, and never a panic.
//!
//! Owns which files belong to a rule set: `*.yaml` and `*.yml`, at any depth up to a limit, links followed, names that
//! begin with a dot skipped (so the visible links of a Kubernetes `ConfigMap` are read and its `..data` folder is not).
//! It does not know what the text means, and it does not decide when to read.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::digest;
use crate::engine::diagnostic::{Code, Diagnostic, Place};
use crate::engine::source::SourceFile;

/// Largest rule file, in bytes.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Largest rule set, in bytes.
pub const MAX_TOTAL_BYTES: u64 = 32 * 1024 * 1024;
/// Most rule files in a rule set.
pub const MAX_FILES: usize = 4096;
/// Deepest folder below the rules folder.
pub const MAX_DEPTH: usize = 8;
/// Most names looked at, rule files or not; ends walks that links make wide.
const MAX_ENTRIES: usize = 65_536;
/// How often a folder that changes under the reader is read again.
const ATTEMPTS: usize = 6;
const PAUSE: Duration = Duration::from_millis(20);

/// All that a rule source holds at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Each pack, by folder.
    pub packs: Vec<PackFiles>,
    /// What could not be read, all at once.
    pub problems: Vec<Diagnostic>,
    /// Digest of everything above.
    pub digest: String,
    /// The folders that were read, for watching.
    pub folders: Vec<PathBuf>,
}

/// The files of one pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFiles {
    /// Folder name below the rules folder; empty where the rules folder is the pack.
    pub folder: String,
    /// Digest of the files.
    pub digest: String,
    /// The files, sorted by path.
    pub files: Vec<SourceFile>,
    /// False when a file or folder of it could not be read; compiling the rest would only report what is missing.
    pub readable: bool,
}

/// Reads a rules folder until two readings in a row agree, so that a set is never half old and half new.
#[must_use]
pub fn folder(root: &Path) -> Content {
    let (mut last, _) = read_once(root);
    for _ in 1..ATTEMPTS {
        let (next, vanished) = read_once(root);
        if next.digest == last.digest && !vanished {
            return next;
        }
        last = next;
        std::thread::sleep(PAUSE);
    }
    if last.problems.is_empty() {
        last.problems.push(
            Diagnostic::error(Code::UnreadableFile, None, "the rules folder kept changing while it was read")
                .help("wait until the files are copied, then reload"),
        );
    }
    last
}

/// Reads a rules folder once, as it is at this moment.
#[must_use]
pub fn folder_once(root: &Path) -> Content {
    read_once(root).0
}

/// The content of a table of files, each path beginning with the pack's folder.
#[must_use]
pub fn table(files: &[(&str, &str)]) -> Content {
    let mut packs: Vec<PackFiles> = Vec::new();
    for (path, text) in files {
        let (folder, rest) = path.split_once('/').unwrap_or(("", path));
        let file = SourceFile { path: rest.to_owned(), text: (*text).to_owned() };
        match packs.iter_mut().find(|pack| pack.folder == folder) {
            Some(pack) => pack.files.push(file),
            None => packs.push(PackFiles {
                folder: folder.to_owned(),
                digest: String::new(),
                files: vec![file],
                readable: true,
            }),
        }
    }
    for pack in &mut packs {
        pack.files.sort_by(|a, b| a.path.cmp(&b.path));
        pack.digest = digest::of_pack(pack.files.iter().map(|file| (file.path.as_str(), file.text.as_bytes())));
    }
    let mut problems = Vec::new();
    if packs.is_empty() {
        problems.push(
            Diagnostic::error(Code::NoRules, None, "this binary was built without rules")
                .help("give a rules folder with `--rules DIR`"),
        );
    }
    finish(packs, problems, Vec::new())
}

/// The content of one pack that was handed over and not read from a folder. Names and sizes are the caller's to check:
/// see [`path_fault`].
#[must_use]
pub fn inline(files: Vec<SourceFile>) -> Content {
    let mut reader = Reader::default();
    let pack = reader.pack("", |_, raws| {
        raws.extend(files.into_iter().map(|file| Raw { path: file.path, bytes: file.text.into_bytes() }));
    });
    finish(pack.into_iter().collect(), reader.problems, Vec::new())
}

/// Why no rule file of a pack's folder can have this path, relative to the folder; `None` when one can.
#[must_use]
pub fn path_fault(path: &str) -> Option<&'static str> {
    let parts = || path.split('/');
    Some(if path.is_empty() {
        "required; the path of the file within the pack's folder, such as `pack.yaml`"
    } else if path.starts_with('/') || path.contains([':', '\\']) {
        "not a relative path with `/` between its parts; write it relative to the pack's folder"
    } else if path.chars().any(char::is_control) {
        "a control character; no file of a pack has one in its name"
    } else if parts().any(str::is_empty) {
        "an empty part; write one `/` between parts, and none at the end"
    } else if parts().any(|part| part == ".." || part == ".") {
        "`.` or `..` as a part; write the path within the pack's folder"
    } else if parts().any(is_skipped) {
        "a part that the loader skips, such as one that begins with a dot; rename it, or leave the file out"
    } else if !parts().next_back().is_some_and(is_rule_file) {
        "not a rule file; its name must end in `.yaml` or `.yml`"
    } else {
        return None;
    })
}

fn read_once(root: &Path) -> (Content, bool) {
    let mut reader = Reader::default();
    let packs = reader.root(root);
    (finish(packs, reader.problems, reader.folders), reader.vanished)
}

fn finish(packs: Vec<PackFiles>, mut problems: Vec<Diagnostic>, folders: Vec<PathBuf>) -> Content {
    problems.sort();
    let digests: Vec<String> = packs.iter().map(|pack| pack.digest.clone()).collect();
    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Content { digest: digest::of_set(&digests, &words), packs, problems, folders }
}

/// One name in a folder.
struct Entry {
    name: String,
    path: PathBuf,
    is_folder: bool,
}

/// One file as read: path relative to its pack, and its bytes.
struct Raw {
    path: String,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Reader {
    problems: Vec<Diagnostic>,
    folders: Vec<PathBuf>,
    /// Something disappeared between being listed and being read.
    vanished: bool,
    /// A limit was reached and reported; nothing more is read.
    full: bool,
    total: u64,
    files: usize,
    entries: usize,
}

impl Reader {
    fn root(&mut self, root: &Path) -> Vec<PackFiles> {
        if let Err(problem) = check_root(root) {
            self.problems.push(problem);
            return Vec::new();
        }
        let mut ancestors = Vec::new();
        let Some(entries) = self.list(root, "", &mut ancestors) else { return Vec::new() };
        let (folders, files): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| entry.is_folder);
        let one_pack = files.iter().any(|file| is_header(&file.name))
            || (!files.is_empty() && !folders.iter().any(|folder| has_header(&folder.path)));

        let mut packs = Vec::new();
        if one_pack {
            packs.extend(self.pack("", |reader, raws| reader.entries(&entries, "", "", &mut ancestors, raws)));
        } else {
            for file in files {
                self.problem(
                    Code::NoRules,
                    &file.name,
                    "this file lies beside the packs and belongs to none of them",
                    "move it into a pack's folder",
                );
            }
            for entry in folders {
                packs.extend(self.pack(&entry.name, |reader, raws| {
                    reader.tree(&entry.path, &entry.name, "", &mut ancestors, raws);
                }));
            }
        }
        if packs.is_empty() && self.problems.is_empty() {
            self.problems.push(
                Diagnostic::error(Code::NoRules, None, format!("the rules folder `{}` holds no rules", root.display()))
                    .help("put a pack there (a folder with a `pack.yaml`), or name another folder with `--rules DIR`"),
            );
        }
        packs
    }

    /// Reads one pack with `read`; `None` when there is nothing in it.
    fn pack(&mut self, folder: &str, read: impl FnOnce(&mut Self, &mut Vec<Raw>)) -> Option<PackFiles> {
        let before = self.problems.len();
        let mut raws = Vec::new();
        read(self, &mut raws);
        raws.sort_by(|a, b| a.path.cmp(&b.path));
        let digest = digest::of_pack(raws.iter().map(|raw| (raw.path.as_str(), raw.bytes.as_slice())));
        let mut files = Vec::with_capacity(raws.len());
        for raw in raws {
            let place = join(folder, &raw.path);
            match to_text(raw.bytes, &place) {
                Ok(text) => files.push(SourceFile { path: raw.path, text }),
                Err(problem) => self.problems.push(problem),
            }
        }
        let readable = self.problems.len() == before;
        // A folder without rule files is no pack: documentation may lie beside the packs.
        (!files.is_empty() || !readable).then(|| PackFiles { folder: folder.to_owned(), digest, files, readable })
    }

    fn tree(&mut self, path: &Path, label: &str, prefix: &str, ancestors: &mut Vec<PathBuf>, raws: &mut Vec<Raw>) {
        let Some(entries) = self.list(path, label, ancestors) else { return };
        self.entries(&entries, label, prefix, ancestors, raws);
        ancestors.pop();
    }

    fn entries(
        &mut self,
        entries: &[Entry],
        label: &str,
        prefix: &str,
        ancestors: &mut Vec<PathBuf>,
        raws: &mut Vec<Raw>,
    ) {
        for entry in entries {
            if self.full {
                return;
            }
            let label = join(label, &entry.name);
            let relative = join(prefix, &entry.name);
            if entry.is_folder {
                self.tree(&entry.path, &label, &relative, ancestors, raws);
            } else if let Some(bytes) = self.file(&entry.path, &label) {
                raws.push(Raw { path: relative, bytes });
            }
        }
    }

    /// The visible rule files and folders of one folder, sorted by name; pushes it on `ancestors` when it can be read.
    fn list(&mut self, path: &Path, label: &str, ancestors: &mut Vec<PathBuf>) -> Option<Vec<Entry>> {
        let canonical = match fs::canonicalize(path) {
            Ok(canonical) => canonical,
            Err(error) => return self.failed(label, "folder", &error),
        };
        if ancestors.contains(&canonical) {
            self.problem(
                Code::UnreadableFile,
                label,
                "this link leads back to a folder that it lies in",
                "remove the link, or hide it with a name that begins with a dot",
            );
            return None;
        }
        if ancestors.len() > MAX_DEPTH {
            self.problem(
                Code::UnreadableFile,
                label,
                &format!("the folders are more than {MAX_DEPTH} deep"),
                "move the files up",
            );
            return None;
        }
        let listing = match fs::read_dir(path) {
            Ok(listing) => listing,
            Err(error) => return self.failed(label, "folder", &error),
        };
        self.folders.push(path.to_owned());
        let mut entries = Vec::new();
        for entry in listing {
            match entry {
                Ok(entry) => entries.extend(self.entry(&entry, label)),
                Err(error) => return self.failed(label, "folder", &error),
            }
            if self.full {
                return None;
            }
        }
        entries.sort_by(|a: &Entry, b: &Entry| a.name.cmp(&b.name));
        ancestors.push(canonical);
        Some(entries)
    }

    fn entry(&mut self, entry: &fs::DirEntry, label: &str) -> Option<Entry> {
        let os_name = entry.file_name();
        let lossy = os_name.to_string_lossy();
        if is_skipped(&lossy) {
            return None;
        }
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            self.limit(format!("the rules folder has more than {MAX_ENTRIES} names in it"));
            return None;
        }
        let path = entry.path();
        let place = join(label, &lossy);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            // A link to nowhere matters where it may have been a rule file or a folder such as `cases`.
            Err(error) if is_rule_file(&lossy) || !lossy.contains('.') => return self.failed(&place, "name", &error),
            Err(_) => return None,
        };
        if !metadata.is_dir() && !is_rule_file(&lossy) {
            return None;
        }
        if os_name.to_str().is_none() {
            self.problem(Code::UnreadableFile, &place, "this name is not UTF-8", "rename it");
            return None;
        }
        Some(Entry { name: lossy.into_owned(), path, is_folder: metadata.is_dir() })
    }

    fn file(&mut self, path: &Path, label: &str) -> Option<Vec<u8>> {
        self.files += 1;
        if self.files > MAX_FILES {
            self.limit(format!("the rules folder has more than {MAX_FILES} rule files"));
            return None;
        }
        // Opening a pipe would wait for ever, so it is looked at first.
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => {
                self.problem(Code::UnreadableFile, label, "this is not an ordinary file", "replace it with one");
                return None;
            }
            Ok(_) => {}
            Err(error) => return self.failed(label, "file", &error),
        }
        let mut bytes = Vec::new();
        let read = fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            return self.failed(label, "file", &error);
        }
        let length = bytes.len() as u64;
        if length > MAX_FILE_BYTES {
            self.problem(
                Code::UnreadableFile,
                label,
                &format!("this file is larger than {} KiB", MAX_FILE_BYTES / 1024),
                "split it; a pack may have many files",
            );
            return None;
        }
        self.total += length;
        if self.total > MAX_TOTAL_BYTES {
            self.limit(format!("the rule files are larger than {} MiB together", MAX_TOTAL_BYTES / 1024 / 1024));
            return None;
        }
        Some(bytes)
    }

    fn failed<T>(&mut self, label: &str, what: &str, error: &io::Error) -> Option<T> {
        self.vanished |= error.kind() == io::ErrorKind::NotFound;
        let message = format!("this {what} cannot be read: {}", error.kind());
        self.problem(Code::UnreadableFile, label, &message, "check that it exists and that the service may read it");
        None
    }

    fn limit(&mut self, message: String) {
        if !self.full {
            self.full = true;
            let help = "is this the right folder? a rules folder holds packs and nothing else";
            self.problems.push(Diagnostic::error(Code::UnreadableFile, None, message).help(help));
        }
    }

    fn problem(&mut self, code: Code, file: &str, message: &str, help: &str) {
        self.problems.push(Diagnostic::error(code, Some(start_of(file)), message).help(help));
    }
}

/// Whether the folder is there at all; the answer says what to do.
fn check_root(root: &Path) -> Result<(), Diagnostic> {
    let shown = root.display();
    match fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Diagnostic::error(Code::NoRules, None, format!("`{shown}` is not a folder"))
            .help("name the folder that holds the packs, or one pack's folder")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Diagnostic::error(Code::NoRules, None, format!("the rules folder `{shown}` does not exist"))
                .help("create it, or name another folder with `--rules DIR`"))
        }
        Err(error) => {
            let message = format!("the rules folder `{shown}` cannot be read: {}", error.kind());
            Err(Diagnostic::error(Code::UnreadableFile, None, message).help("check that the service may read it"))
        }
    }
}

fn to_text(bytes: Vec<u8>, file: &str) -> Result<String, Diagnostic> {
    let save = "save the file as UTF-8 without a byte order mark";
    let error = |place, message: &str| Err(Diagnostic::error(Code::UnreadableFile, Some(place), message).help(save));
    if bytes.starts_with(&[0xef, 0xbb, 0xbf]) || bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return error(start_of(file), "this file begins with a byte order mark");
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(broken) => {
            let good = broken.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(&broken.as_bytes()[..good]).into_owned();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
            let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            let place = Place { file: file.to_owned(), line: number(line), column: number(column), length: 1 };
            error(place, "this file is not UTF-8")
        }
    }
}

fn start_of(file: &str) -> Place {
    Place { file: file.to_owned(), line: 1, column: 1, length: 1 }
}

/// Joins two parts of a path with `/`, on every platform.
#[must_use]
pub fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// `lost+found` is put at the top of a volume by the file system and can be read by nobody.
fn is_skipped(name: &str) -> bool {
    name.starts_with('.') || name == "lost+found"
}

fn is_rule_file(name: &str) -> bool {
    Path::new(name)
        .extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml"))
}

fn is_header(name: &str) -> bool {
    name == "pack.yaml" || name == "pack.yml"
}

fn has_header(folder: &Path) -> bool {
    folder.join("pack.yaml").exists() || folder.join("pack.yml").exists()
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
