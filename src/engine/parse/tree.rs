//! One pass over the YAML events of a file: where everything stands, and what rule files may not contain.
//!
//! Owns positions and refusals (duplicate keys, anchors, tags, explicit keys, depth and size). It reads no meaning; the
//! typed reading beside it does.

use super::super::diagnostic::{Code, Diagnostic};
use super::super::source::{Place, SourceFile};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use std::collections::BTreeMap;

/// How deep mappings and lists may nest.
pub const MAX_DEPTH: usize = 48;
/// How many values and keys one file may hold.
pub const MAX_NODES: usize = 400_000;

/// How many things may be wrong with one file before the rest of it is not read.
pub const MAX_PROBLEMS: usize = 100;

/// The place of one value and of everything inside it.
#[derive(Debug, Clone)]
pub struct Tree {
    line: u32,
    column: u32,
    length: u32,
    /// Line and column after the last character; of a collection the same as its beginning.
    end: (u32, u32),
    inside: Inside,
}

#[derive(Debug, Clone)]
enum Inside {
    /// A value; true when it is written without quotes.
    Scalar(bool),
    List(Box<[Tree]>),
    Map(Box<[(Box<str>, Tree, Tree)]>),
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

    /// The values of a mapping or list, in order.
    pub fn inside(self) -> impl Iterator<Item = At<'a>> {
        let trees: Vec<&'a Tree> = match &self.tree.inside {
            Inside::Map(entries) => entries.iter().map(|(_, _, value)| value).collect(),
            Inside::List(items) => items.iter().collect(),
            Inside::Scalar(_) => Vec::new(),
        };
        trees.into_iter().map(move |tree| At { tree, ..self })
    }

    /// The keys of a mapping as written.
    pub fn keys(self) -> impl Iterator<Item = &'a str> {
        let entries: &[_] = match &self.tree.inside {
            Inside::Map(entries) => entries,
            _ => &[],
        };
        entries.iter().map(|(name, _, _)| &**name)
    }

    /// Whether it is a value written without quotes.
    #[must_use]
    pub fn is_plain(self) -> bool {
        matches!(self.tree.inside, Inside::Scalar(true))
    }

    /// Line and column after its last character.
    #[must_use]
    pub fn end(self) -> (u32, u32) {
        self.tree.end
    }

    /// Its place.
    #[must_use]
    pub fn place(self) -> Place {
        Place { file: self.file.to_owned(), line: self.tree.line, column: self.tree.column, length: self.tree.length }
    }

    fn entry(self, name: &str) -> Option<(&'a Tree, &'a Tree)> {
        match &self.tree.inside {
            Inside::Map(entries) => {
                entries.iter().find(|(key, _, _)| &**key == name).map(|(_, key, value)| (key, value))
            }
            _ => None,
        }
    }
}

enum Frame {
    List {
        tree: Tree,
        items: Vec<Tree>,
    },
    Map {
        tree: Tree,
        entries: Vec<(Box<str>, Tree, Tree)>,
        key: Option<(Box<str>, Tree)>,
        /// Line and column of each key.
        known: BTreeMap<Box<str>, (u32, u32)>,
    },
}

/// How far a line has been walked: its number, a column from 0, and the byte there. Events come in the order of the text,
/// so that a line of a megabyte is walked once and not once for each value in it.
#[derive(Default)]
struct Cursor {
    line: usize,
    column: usize,
    byte: usize,
}

struct Builder<'a> {
    file: &'a SourceFile,
    lines: Vec<&'a str>,
    frames: Vec<Frame>,
    documents: Vec<Tree>,
    nodes: usize,
    cursor: Cursor,
    found: Vec<Diagnostic>,
}

/// Reads all documents of a file. An empty list of diagnostics means that the trees can be relied on.
pub fn build(file: &SourceFile) -> (Vec<Tree>, Vec<Diagnostic>) {
    let mut builder = Builder {
        file,
        lines: file.text.lines().collect(),
        frames: Vec::new(),
        documents: Vec::new(),
        nodes: 0,
        cursor: Cursor::default(),
        found: Vec::new(),
    };
    for event in Parser::new_from_str(&file.text) {
        match event {
            Ok((event, span)) => {
                if !builder.event(&event, span) || builder.too_much() {
                    break;
                }
            }
            Err(error) => {
                let problem = builder.syntax_error(error.marker(), error.info());
                builder.found.push(problem);
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
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_features(*anchor, tag.is_some(), span);
                let tree = self.tree(span, Inside::Scalar(*style == ScalarStyle::Plain));
                self.value(tree, Some(text), span)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_features(*anchor, tag.is_some(), span);
                let tree = self.tree(span, Inside::List(Box::default()));
                self.frames.push(Frame::List { tree, items: Vec::new() });
                self.deep_enough(span)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_features(*anchor, tag.is_some(), span);
                let tree = self.tree(span, Inside::List(Box::default()));
                self.frames.push(Frame::Map { tree, entries: Vec::new(), key: None, known: BTreeMap::new() });
                self.deep_enough(span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(_) => {
                self.refuse(
                    span,
                    "aliases (`*name`) are not used in rule files",
                    "write it out, or give it a name under `definitions`",
                );
                let tree = self.tree(span, Inside::Scalar(true));
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
                tree.inside = Inside::List(items.into_boxed_slice());
                self.value(tree, None, span)
            }
            Some(Frame::Map { mut tree, entries, .. }) => {
                tree.inside = Inside::Map(entries.into_boxed_slice());
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
            *key = Some((text.into(), tree));
            self.check_key(text, span);
            return true;
        }
        match self.frames.last_mut() {
            None => self.documents.push(tree),
            Some(Frame::List { items, .. }) => items.push(tree),
            Some(Frame::Map { entries, key, .. }) => {
                if let Some((name, key_tree)) = key.take() {
                    entries.push((name, key_tree, tree));
                }
            }
        }
        true
    }

    fn check_key(&mut self, name: &str, span: Span) {
        let length = number(name.chars().count().max(1));
        let place = Place { length, ..self.place_at(&span.start) };
        if let Some(Frame::Map { known, .. }) = self.frames.last_mut()
            && let Some((line, column)) = known.insert(name.into(), (place.line, place.column))
        {
            let first = Place { line, column, ..place.clone() };
            self.found.push(
                Diagnostic::error(Code::DuplicateKey, Some(place), format!("the key `{name}` is here twice"))
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
        let (before, _) = self.part_line(&span.start);
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
        let problem = self.too_deep(&span.start);
        self.found.push(problem);
        false
    }

    fn too_deep(&self, mark: &Marker) -> Diagnostic {
        let message = format!("this is nested more than {MAX_DEPTH} levels deep");
        Diagnostic::error(Code::Limit, Some(self.place_at(mark)), message)
            .help("give the inner part a name under `definitions`")
    }

    fn syntax_error(&self, mark: &Marker, info: &str) -> Diagnostic {
        // The reader looks ahead in flow style, and gives up before the events come to say how deep it is.
        if info.contains("recursion limit") {
            return self.too_deep(mark);
        }
        // The reader stumbles over the text before or after a tab as often as over the tab itself.
        let near = mark.line().saturating_sub(1)..mark.line() + 2;
        let tab = near.filter_map(|i| Some((i, self.lines.get(i)?))).find_map(|(i, line)| {
            let column = line.chars().take_while(|c| c.is_whitespace()).position(|c| c == '\t')?;
            (!line.trim().is_empty()).then_some((i, column))
        });
        if let Some((line, column)) = tab {
            let place =
                Place { file: self.file.path.clone(), line: number(line + 1), column: number(column + 1), length: 1 };
            return Diagnostic::error(Code::Syntax, Some(place), "this is not YAML: a tab in the indentation")
                .help("YAML indents with spaces: replace the tab");
        }
        Diagnostic::error(Code::Syntax, Some(self.place_at(mark)), format!("this is not YAML: {info}")).maybe_help(
            if info.contains("quoted scalar") {
                Some("close the quote, and write `\\\"` for a quote inside".to_owned())
            } else {
                self.syntax_help(mark)
            },
        )
    }

    fn syntax_help(&self, mark: &Marker) -> Option<String> {
        let line = self.lines.get(mark.line().saturating_sub(1))?;
        let value = line.split_once(": ").map_or("", |(_, value)| value);
        if value.contains(": ") && !value.starts_with(['"', '\'', '{', '[']) {
            return Some("put the text in double quotes: it holds a colon and a space".to_owned());
        }
        Some("compare the indentation, quotes and brackets with the lines above".to_owned())
    }

    fn place_at(&self, mark: &Marker) -> Place {
        Place { file: self.file.path.clone(), line: number(mark.line()), column: number(mark.col() + 1), length: 1 }
    }

    /// The line of a mark, before it and from it on.
    fn part_line(&mut self, mark: &Marker) -> (&str, &str) {
        let line = self.lines.get(mark.line().saturating_sub(1)).copied().unwrap_or_default();
        if self.cursor.line != mark.line() || self.cursor.column > mark.col() {
            self.cursor = Cursor { line: mark.line(), ..Cursor::default() };
        }
        let ahead = mark.col() - self.cursor.column;
        let rest = &line[self.cursor.byte..];
        self.cursor.byte += rest.char_indices().nth(ahead).map_or(rest.len(), |(byte, _)| byte);
        self.cursor.column = mark.col();
        line.split_at(self.cursor.byte)
    }

    /// Ends the reading of a file that is wrong all over; nobody reads that many remarks.
    fn too_much(&mut self) -> bool {
        self.found.len() >= MAX_PROBLEMS
    }

    fn tree(&mut self, span: Span, inside: Inside) -> Tree {
        let length = if span.start.line() == span.end.line() {
            let length = span.end.col().saturating_sub(span.start.col());
            let (_, rest) = self.part_line(&span.start);
            let end = rest.char_indices().nth(length).map_or(rest.len(), |(byte, _)| byte);
            rest[..end].trim_end().chars().count().max(1)
        } else {
            1
        };
        let end = (number(span.end.line()), number(span.end.col() + 1));
        Tree {
            line: number(span.start.line()),
            column: number(span.start.col() + 1),
            length: number(length),
            end,
            inside,
        }
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
