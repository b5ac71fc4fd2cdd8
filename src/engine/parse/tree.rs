//! One pass over the YAML events of a file: where everything stands, and what rule files may not contain.
//!
//! Owns positions and refusals (duplicate keys, anchors, tags, explicit keys, depth and size). It reads no meaning; the
//! typed reading beside it does.

use super::super::diagnostic::{Code, Diagnostic};
use super::super::source::{Place, SourceFile};
use saphyr_parser::{Event, Marker, Parser, Span};
use std::cell::Cell;
use std::collections::BTreeMap;

/// How deep mappings and lists may nest.
pub const MAX_DEPTH: usize = 48;
/// How many values and keys one file may hold.
pub const MAX_NODES: usize = 400_000;

/// The place of one value and of everything inside it.
#[derive(Debug, Clone)]
pub struct Tree {
    line: u32,
    column: u32,
    length: u32,
    inside: Inside,
}

#[derive(Debug, Clone)]
enum Inside {
    Scalar,
    List(Vec<Tree>),
    Map(Vec<(String, Tree, Tree)>),
}

/// A tree with its file: what a check points at. Going somewhere that does not exist stays at the nearest ancestor.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    file: &'a str,
    tree: &'a Tree,
}

impl<'a> At<'a> {
    pub(super) fn new(file: &'a str, tree: &'a Tree) -> Self {
        Self { file, tree }
    }

    /// The value under a key.
    #[must_use]
    pub fn key(self, name: &str) -> Self {
        self.entry(name).map_or(self, |(_, value)| Self { tree: value, ..self })
    }

    /// The key itself.
    #[must_use]
    pub fn key_itself(self, name: &str) -> Self {
        self.entry(name).map_or(self, |(key, _)| Self { tree: key, ..self })
    }

    /// An item of a list.
    #[must_use]
    pub fn index(self, index: usize) -> Self {
        match &self.tree.inside {
            Inside::List(items) => items.get(index).map_or(self, |tree| Self { tree, ..self }),
            _ => self,
        }
    }

    /// Whether the mapping has this key.
    #[must_use]
    pub fn has(self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// The keys of a mapping as written.
    pub fn keys(self) -> impl Iterator<Item = &'a str> {
        let entries: &[_] = match &self.tree.inside {
            Inside::Map(entries) => entries,
            _ => &[],
        };
        entries.iter().map(|(name, _, _)| name.as_str())
    }

    /// Its place.
    #[must_use]
    pub fn place(self) -> Place {
        Place { file: self.file.to_owned(), line: self.tree.line, column: self.tree.column, length: self.tree.length }
    }

    fn entry(self, name: &str) -> Option<(&'a Tree, &'a Tree)> {
        match &self.tree.inside {
            Inside::Map(entries) => entries.iter().find(|(key, _, _)| key == name).map(|(_, key, value)| (key, value)),
            _ => None,
        }
    }
}

enum Frame {
    List {
        tree: Tree,
        items: Vec<Tree>,
    },
    /// `names` says where in `entries` each name is.
    Map {
        tree: Tree,
        entries: Vec<(String, Tree, Tree)>,
        names: BTreeMap<String, usize>,
        key: Option<(String, Tree)>,
    },
}

struct Builder<'a> {
    file: &'a SourceFile,
    lines: Vec<&'a str>,
    /// A line, a column of it, and the byte at which that column begins.
    cursor: Cell<(usize, usize, usize)>,
    frames: Vec<Frame>,
    documents: Vec<Tree>,
    nodes: usize,
    found: Vec<Diagnostic>,
}

/// Reads all documents of a file. An empty list of diagnostics means that the trees can be relied on.
pub fn build(file: &SourceFile) -> (Vec<Tree>, Vec<Diagnostic>) {
    let mut builder = Builder {
        file,
        lines: file.text.lines().collect(),
        cursor: Cell::new((0, 0, 0)),
        frames: Vec::new(),
        documents: Vec::new(),
        nodes: 0,
        found: Vec::new(),
    };
    for event in Parser::new_from_str(&file.text) {
        match event {
            Ok((event, span)) => {
                if !builder.event(&event, span) {
                    break;
                }
            }
            Err(error) => {
                let place = builder.place_at(error.marker());
                builder.found.push(
                    Diagnostic::error(Code::Syntax, Some(place), format!("this is not YAML: {}", error.info()))
                        .maybe_help(builder.syntax_help(error.marker())),
                );
                break;
            }
        }
    }
    (builder.documents, builder.found)
}

impl Builder<'_> {
    /// Takes one event; false stops the reading.
    fn event(&mut self, event: &Event<'_>, span: Span) -> bool {
        match event {
            Event::Scalar(text, _, anchor, tag) => {
                self.refuse_features(*anchor, tag.is_some(), span);
                let tree = self.tree(span, Inside::Scalar);
                self.value(tree, Some(text), span)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_features(*anchor, tag.is_some(), span);
                let tree = self.tree(span, Inside::Scalar);
                self.frames.push(Frame::List { tree, items: Vec::new() });
                self.deep_enough(span)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_features(*anchor, tag.is_some(), span);
                let tree = self.tree(span, Inside::Scalar);
                self.frames.push(Frame::Map { tree, entries: Vec::new(), names: BTreeMap::new(), key: None });
                self.deep_enough(span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(_) => {
                self.refuse(
                    span,
                    "aliases (`*name`) are not used in rule files",
                    "write it out, or give it a name under `definitions`",
                );
                let tree = self.tree(span, Inside::Scalar);
                self.value(tree, None, span)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                true
            }
        }
    }

    fn close(&mut self, span: Span) -> bool {
        match self.frames.pop() {
            Some(Frame::List { mut tree, items }) => {
                tree.inside = Inside::List(items);
                self.value(tree, None, span)
            }
            Some(Frame::Map { mut tree, entries, .. }) => {
                tree.inside = Inside::Map(entries);
                self.value(tree, None, span)
            }
            None => true,
        }
    }

    fn value(&mut self, tree: Tree, text: Option<&str>, span: Span) -> bool {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let place = self.place_at(&span.start);
            let message = format!("this file holds more than {MAX_NODES} values");
            self.found.push(Diagnostic::error(Code::Limit, Some(place), message).help("split it into several files"));
            return false;
        }
        if let Some(Frame::Map { key: key @ None, .. }) = self.frames.last_mut() {
            let Some(text) = text else {
                self.refuse(span, "a key must be plain text", "write `name: value`");
                return false;
            };
            *key = Some((text.to_owned(), tree));
            self.check_key(text, span);
            return true;
        }
        match self.frames.last_mut() {
            None => self.documents.push(tree),
            Some(Frame::List { items, .. }) => items.push(tree),
            Some(Frame::Map { entries, names, key, .. }) => {
                if let Some((name, key_tree)) = key.take() {
                    names.entry(name.clone()).or_insert(entries.len());
                    entries.push((name, key_tree, tree));
                }
            }
        }
        true
    }

    fn check_key(&mut self, name: &str, span: Span) {
        let length = number(name.chars().count().max(1));
        let place = Place { length, ..self.place_at(&span.start) };
        if let Some(Frame::Map { entries, names, .. }) = self.frames.last()
            && let Some((_, first, _)) = names.get(name).and_then(|&at| entries.get(at))
        {
            let first = Place { line: first.line, column: first.column, length: first.length, ..place.clone() };
            self.found.push(
                Diagnostic::error(Code::DuplicateKey, Some(place.clone()), format!("the key `{name}` is here twice"))
                    .help("keep one of the two, or join their contents")
                    .related(Some(first), "it is already here"),
            );
        }
        if name == "<<" {
            self.refuse(
                span,
                "merge keys (`<<`) are not used in rule files",
                "write it out, or give it a name under `definitions`",
            );
        }
        let (before, _) = self.split(&span.start);
        if name.starts_with('?') || before.trim_end().ends_with('?') {
            self.refuse(span, "explicit keys (`? key`) are not used in rule files", "write `key: value`");
        }
    }

    fn refuse_features(&mut self, anchor: usize, tagged: bool, span: Span) {
        if anchor != 0 {
            self.refuse(
                span,
                "anchors (`&name`) are not used in rule files",
                "write it out, or give it a name under `definitions`",
            );
        }
        if tagged {
            self.refuse(span, "tags (`!name`) are not used in rule files", "leave the tag out");
        }
    }

    fn refuse(&mut self, span: Span, message: &str, help: &str) {
        let place = self.place_at(&span.start);
        self.found.push(Diagnostic::error(Code::Feature, Some(place), message).help(help));
    }

    fn deep_enough(&mut self, span: Span) -> bool {
        if self.frames.len() <= MAX_DEPTH {
            return true;
        }
        let place = self.place_at(&span.start);
        let message = format!("this is nested more than {MAX_DEPTH} levels deep");
        let help = "give the inner part a name under `definitions`";
        self.found.push(Diagnostic::error(Code::Limit, Some(place), message).help(help));
        false
    }

    fn syntax_help(&self, mark: &Marker) -> Option<String> {
        let line = self.lines.get(mark.line().saturating_sub(1))?;
        if line.trim_start_matches(' ').starts_with('\t') || line.contains('\t') {
            return Some("YAML indents with spaces: replace the tab".to_owned());
        }
        let value = line.split_once(": ").map_or("", |(_, value)| value);
        if value.contains(": ") && !value.starts_with(['"', '\'', '{', '[']) {
            return Some("put the text in double quotes: it holds a colon and a space".to_owned());
        }
        Some("compare the indentation, quotes and brackets with the lines above".to_owned())
    }

    fn place_at(&self, mark: &Marker) -> Place {
        Place { file: self.file.path.clone(), line: number(mark.line()), column: number(mark.col() + 1), length: 1 }
    }

    /// The line of a place, before it and from it on. Places come in the order of the text, so even a line that is a
    /// megabyte long is walked once.
    fn split(&self, mark: &Marker) -> (&str, &str) {
        let line = self.lines.get(mark.line().saturating_sub(1)).copied().unwrap_or_default();
        let (column, mut byte) = match self.cursor.get() {
            (number, column, byte) if number == mark.line() && column <= mark.col() => (column, byte),
            _ => (0, 0),
        };
        byte += line[byte..].chars().take(mark.col() - column).map(char::len_utf8).sum::<usize>();
        self.cursor.set((mark.line(), mark.col(), byte));
        line.split_at(byte)
    }

    fn tree(&self, span: Span, inside: Inside) -> Tree {
        let length = if span.start.line() == span.end.line() {
            let length = span.end.col().saturating_sub(span.start.col());
            let (_, line) = self.split(&span.start);
            let text: String = line.chars().take(length).collect();
            text.trim_end().chars().count().max(1)
        } else {
            1
        };
        Tree { line: number(span.start.line()), column: number(span.start.col() + 1), length: number(length), inside }
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
