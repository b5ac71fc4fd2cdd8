//! The text behind diagnostics, for underlining.
//!
//! Owns how a place is called for the reader and where its line is found. It reads again what the loader has read, one
//! file at a time, and only when something is wrong with it.

use std::path::PathBuf;

use crate::render::diagnostic::Files;
use crate::store::read::Content;
use crate::store::{RuleSource, embedded};

/// Files of a rule source.
pub struct Sources<'a> {
    source: &'a RuleSource,
}

impl<'a> Sources<'a> {
    /// The files of `source`.
    #[must_use]
    pub fn new(source: &'a RuleSource) -> Self {
        Sources { source }
    }
}

impl Files for Sources<'_> {
    fn shown(&self, file: &str) -> String {
        match self.source {
            RuleSource::Folder(root) => root.join(file).display().to_string(),
            RuleSource::Embedded => format!("<inside the binary>/{file}"),
        }
    }

    fn line(&self, file: &str, line: u32) -> Option<String> {
        match self.source {
            RuleSource::Folder(root) => nth(&std::fs::read_to_string(root.join(file)).ok()?, line),
            RuleSource::Embedded => {
                let (_, text) = embedded::files().iter().find(|(path, _)| *path == file)?;
                nth(text, line)
            }
        }
    }
}

/// Files that are already in memory, with those under `cases/` taken from elsewhere.
pub struct Loaded<'a> {
    /// What is shown for all other files.
    pub sources: Sources<'a>,
    /// The text.
    pub content: &'a Content,
    /// Where the cases came from, where that is another place than the pack.
    pub cases: Option<PathBuf>,
}

impl Files for Loaded<'_> {
    fn shown(&self, file: &str) -> String {
        match (&self.cases, file.split_once("cases/")) {
            (Some(root), Some((_, rest))) if root.is_dir() => root.join(rest).display().to_string(),
            (Some(root), Some(_)) => root.display().to_string(),
            _ => self.sources.shown(file),
        }
    }

    fn line(&self, file: &str, line: u32) -> Option<String> {
        let (pack, rest) = self.content.packs.iter().find_map(|pack| {
            let whole = pack.folder.is_empty();
            let rest = if whole { file } else { file.strip_prefix(&pack.folder)?.strip_prefix('/')? };
            Some((pack, rest))
        })?;
        match pack.files.iter().find(|known| known.path == rest) {
            Some(known) => nth(&known.text, line),
            None => self.sources.line(file, line),
        }
    }
}

fn nth(text: &str, line: u32) -> Option<String> {
    text.lines().nth((line as usize).checked_sub(1)?).map(str::to_owned)
}
