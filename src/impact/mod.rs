//! What a change of rules does: the rules in words, and every worked case whose answer moves.
//!
//! Owns the comparison of two packs as values. It reads no file, prints nothing and decides nothing clinical: both
//! packs answer through the engine, and the answers are compared.

pub mod moves;
pub mod words;

use crate::engine::case::Case;
use crate::engine::plan::Plan;
use crate::engine::source::SourceFile;
use moves::{Move, Unreadable};
use words::Change;

/// One of the two packs.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Its files, as the loader reads them.
    pub files: &'a [SourceFile],
    /// The compiled rules.
    pub plan: &'a Plan,
    /// Its worked cases.
    pub cases: &'a [Case],
}

/// Everything that differs between two packs.
#[derive(Debug, Clone, PartialEq)]
pub struct Impact {
    /// Changes of the rules, in words.
    pub changes: Vec<Change>,
    /// Cases whose answer moves, most dangerous first.
    pub moves: Vec<Move>,
    /// Cases that one of the two packs cannot read.
    pub unreadable: Vec<Unreadable>,
    /// How many cases were compared.
    pub cases: usize,
}

impl Impact {
    /// Whether the two packs say the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.moves.is_empty() && self.unreadable.is_empty()
    }
}

/// Compares two packs over the cases of both.
#[must_use]
pub fn between(old: Side<'_>, new: Side<'_>) -> Impact {
    let changes = words::changes(old.files, new.files);
    let told = moves::of_both(old.cases, new.cases);
    let (moves, unreadable) = moves::moves(old.plan, new.plan, &told, &changes);
    Impact { changes, moves, unreadable, cases: told.len() }
}
