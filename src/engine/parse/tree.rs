//! One pass over the YAML events of a file: its values, where everything stands, and what rule files may not contain.
//!
//! Owns positions and refusals (duplicate keys, anchors, tags, explicit keys, depth and size). It reads no meaning:
//! `parse::written` says what a text is, and the typed reading what it is for.

use super::super::diagnostic::{Code, Diagnostic};
use super::super::source::Place;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use std::collections::BTreeMap;

/// How deep mappings and lists may nest.
pub const MAX_DEPTH: usize = 48;
/// How many values and keys one file may hold.
pub const MAX_NODES: usize = 400_000;

/// How many things may be wrong with one file before the rest of it is not read.
pub const MAX_PROBLEMS: usize = 100;

/// What a value is, as far as its text alone says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text written without quotes.
    Plain,
    /// Text in quotes, or in a block.
    Quoted,
    List,
    Map,
}

/// The place of one value or key. What is inside a list or mapping stands side by side in the tree; of a mapping, each
/// key before its value.
#[derive(Debug, Clone, Copy)]
struct Node {
    line: u32,
    column: u32,
    length: u32,
    /// Line and column after the last character; of a collection the same as its beginning.
    end: (u32, u32),
    /// Of a list or mapping, where its inside begins in the tree; else the number of its text.
    first: u32,
    /// How many values and keys are directly inside.
    count: u32,
    kind: Kind,
    is_key: bool,
}

/// Where everything stands in one document. The last node is the whole.
#[derive(Debug, Clone)]
pub struct Tree {
    nodes: Box<[Node]>,
    keys: Box<[Box<str>]>,
}

impl Tree {
    /// What is directly inside a node.
    fn inside(&self, node: &Node) -> &[Node] {
        match node.kind {
            Kind::List | Kind::Map => &self.nodes[node.first as usize..(node.first + node.count) as usize],
            Kind::Plain | Kind::Quoted => &[],
        }
    }
}

/// A document as read: its tree, and the texts of its values, which are not needed once they are read.
#[derive(Debug)]
pub struct Document {
    /// Where everything stands.
    pub tree: Tree,
    texts: Vec<String>,
}

impl Document {
    /// The number of the whole in the tree.
    pub(super) fn root(&self) -> u32 {
        number(self.tree.nodes.len().saturating_sub(1))
    }

    pub(super) fn kind(&self, node: u32) -> Kind {
        self.tree.nodes[node as usize].kind
    }

    /// The text of a value or key that is no list and no mapping.
    pub(super) fn text(&self, node: u32) -> &str {
        let node = &self.tree.nodes[node as usize];
        if node.is_key { &self.tree.keys[node.first as usize] } else { &self.texts[node.first as usize] }
    }

    /// The numbers of what is directly inside a list or mapping: of a mapping, each key before its value.
    pub(super) fn inside(&self, node: u32) -> std::ops::Range<u32> {
        let node = &self.tree.nodes[node as usize];
        match node.kind {
            Kind::List | Kind::Map => node.first..node.first + node.count,
            Kind::Plain | Kind::Quoted => 0..0,
        }
    }

    /// The numbers of all values without quotes, keys left out.
    pub(super) fn plain_values(&self) -> impl Iterator<Item = u32> {
        let plain = |(_, node): &(u32, &Node)| node.kind == Kind::Plain && !node.is_key;
        (0..).zip(&self.tree.nodes).filter(plain).map(|(number, _)| number)
    }
}

/// A tree with its file: what a check points at. Going somewhere that does not exist stays at the nearest ancestor.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    file: &'a str,
    tree: &'a Tree,
    node: &'a Node,
}

impl<'a> At<'a> {
    /// The place of a value, by its number in the tree.
    pub(super) fn new(file: &'a str, tree: &'a Tree, number: u32) -> Self {
        Self { file, tree, node: &tree.nodes[number as usize] }
    }

    /// The value under a key.
    #[must_use]
    pub fn key(self, name: &str) -> Self {
        self.entry(name).map_or(self, |(_, value)| Self { node: value, ..self })
    }

    /// The key itself.
    #[must_use]
    pub fn key_itself(self, name: &str) -> Self {
        self.entry(name).map_or(self, |(key, _)| Self { node: key, ..self })
    }

    /// An item of a list.
    #[must_use]
    pub fn index(self, index: usize) -> Self {
        match self.node.kind {
            Kind::List => self.tree.inside(self.node).get(index).map_or(self, |node| Self { node, ..self }),
            _ => self,
        }
    }

    /// Whether the mapping has this key.
    #[must_use]
    pub fn has(self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Whether it is a value written without quotes.
    #[must_use]
    pub fn is_plain(self) -> bool {
        self.node.kind == Kind::Plain
    }

    /// Line and column after its last character.
    #[must_use]
    pub fn end(self) -> (u32, u32) {
        self.node.end
    }

    /// Its place.
    #[must_use]
    pub fn place(self) -> Place {
        Place { file: self.file.to_owned(), line: self.node.line, column: self.node.column, length: self.node.length }
    }

    fn entry(self, name: &str) -> Option<(&'a Node, &'a Node)> {
        if self.node.kind != Kind::Map {
            return None;
        }
        let mut entries = self.tree.inside(self.node).chunks_exact(2);
        entries.find(|entry| &*self.tree.keys[entry[0].first as usize] == name).map(|entry| (&entry[0], &entry[1]))
    }
}

/// A list or mapping that is not closed yet.
struct Frame {
    node: Node,
    /// Where its inside begins among the nodes that wait for the end of their collection.
    start: usize,
    /// Line and column of each key, by the key's number.
    known: BTreeMap<u32, (u32, u32)>,
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
    path: &'a str,
    lines: Vec<&'a str>,
    frames: Vec<Frame>,
    /// What stands in collections that are not closed yet.
    waiting: Vec<Node>,
    nodes: Vec<Node>,
    keys: Vec<Box<str>>,
    /// The numbers of the keys of this document.
    key_numbers: BTreeMap<Box<str>, u32>,
    texts: Vec<String>,
    documents: Vec<Document>,
    /// How many values the file holds so far.
    values: usize,
    cursor: Cursor,
    found: Vec<Diagnostic>,
}

/// Reads all documents of a file. An empty list of diagnostics means that they can be relied on.
pub fn build(path: &str, text: &str) -> (Vec<Document>, Vec<Diagnostic>) {
    let mut builder = Builder {
        path,
        lines: text.lines().collect(),
        frames: Vec::new(),
        waiting: Vec::new(),
        nodes: Vec::new(),
        keys: Vec::new(),
        key_numbers: BTreeMap::new(),
        texts: Vec::new(),
        documents: Vec::new(),
        values: 0,
        cursor: Cursor::default(),
        found: Vec::new(),
    };
    if let Some(problem) = odd_character(path, text) {
        return (Vec::new(), vec![problem]);
    }
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => {
                if !builder.event(event, span) || builder.too_much() {
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

/// A character that some programs take for the end of a line, or for nothing, and others do not: what stands where, and
/// what it says, would depend on who reads it.
fn odd_character(path: &str, text: &str) -> Option<Diagnostic> {
    const RETURN: char = '\r';
    let mut at = 0;
    let (byte, odd) = loop {
        let byte = at + text[at..].find([RETURN, '\u{85}', '\u{2028}', '\u{2029}', '\u{feff}'])?;
        let odd = text[byte..].chars().next()?;
        if odd != RETURN || !text[byte + 1..].starts_with('\n') {
            break (byte, odd);
        }
        at = byte + 1;
    };
    let before = &text[..byte];
    let (line, start) = (before.matches('\n').count(), before.rfind('\n').map_or(0, |end| end + 1));
    let column = before[start..].chars().count();
    let place = Place { file: path.to_owned(), line: number(line + 1), column: number(column + 1), length: 1 };
    let message = format!("the character U+{:04X} ends a line, or is nothing, to some readers only", u32::from(odd));
    Some(
        Diagnostic::error(Code::Syntax, Some(place), message)
            .help("end lines with a line feed, as editors on any system can, and leave invisible characters out"),
    )
}

impl Builder<'_> {
    /// Takes one event; false stops the reading.
    fn event(&mut self, event: Event<'_>, span: Span) -> bool {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_features(anchor, tag.is_some(), span);
                let kind = if style == ScalarStyle::Plain { Kind::Plain } else { Kind::Quoted };
                let node = self.node(span, kind);
                self.value(node, Some(text.into_owned()), span)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_features(anchor, tag.is_some(), span);
                self.open(Kind::List, span)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_features(anchor, tag.is_some(), span);
                self.open(Kind::Map, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(_) => {
                self.refuse(
                    span,
                    "aliases (`*name`) are not used in rule files",
                    "write it out, or give it a name under `definitions`",
                );
                let node = self.node(span, Kind::Plain);
                self.value(node, None, span)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                true
            }
        }
    }

    fn open(&mut self, kind: Kind, span: Span) -> bool {
        let node = self.node(span, kind);
        self.frames.push(Frame { node, start: self.waiting.len(), known: BTreeMap::new() });
        self.deep_enough(span)
    }

    fn close(&mut self, span: Span) -> bool {
        let Some(Frame { mut node, start, .. }) = self.frames.pop() else { return true };
        node.first = number(self.nodes.len());
        node.count = number(self.waiting.len() - start);
        self.nodes.extend(self.waiting.drain(start..));
        self.value(node, None, span)
    }

    /// Puts a value or key where it belongs. Lists and mappings have no text, and aliases, which are refused, have none.
    fn value(&mut self, mut node: Node, text: Option<String>, span: Span) -> bool {
        self.values += 1;
        if self.values > MAX_NODES {
            let place = self.place_at(&span.start);
            let message = format!("this file holds more than {MAX_NODES} values");
            self.found.push(Diagnostic::error(Code::Limit, Some(place), message).help("split it into several files"));
            return false;
        }
        let frame = self.frames.last();
        if frame
            .is_some_and(|frame| frame.node.kind == Kind::Map && (self.waiting.len() - frame.start).is_multiple_of(2))
        {
            let Some(text) = text else {
                self.refuse(span, "a key must be plain text", "write `name: value`");
                return false;
            };
            (node.is_key, node.first) = (true, self.key_number(&text));
            self.waiting.push(node);
            self.check_key(node.first, &text, span);
            return true;
        }
        if node.kind == Kind::Plain && text.as_deref().is_some_and(|text| text.starts_with('?')) {
            self.refuse(span, "unquoted text that begins with `?` is a key to some readers", "put it in double quotes");
        }
        if matches!(node.kind, Kind::Plain | Kind::Quoted) {
            node.first = number(self.texts.len());
            self.texts.push(text.unwrap_or_default());
        }
        if self.frames.is_empty() {
            self.end_document(node)
        } else {
            self.waiting.push(node)
        }
        true
    }

    fn end_document(&mut self, root: Node) {
        self.nodes.push(root);
        self.key_numbers.clear();
        self.documents.push(Document {
            tree: Tree {
                nodes: std::mem::take(&mut self.nodes).into_boxed_slice(),
                keys: std::mem::take(&mut self.keys).into_boxed_slice(),
            },
            texts: std::mem::take(&mut self.texts),
        });
    }

    fn key_number(&mut self, text: &str) -> u32 {
        if let Some(known) = self.key_numbers.get(text) {
            return *known;
        }
        let new = number(self.keys.len());
        self.keys.push(text.into());
        self.key_numbers.insert(text.into(), new);
        new
    }

    fn check_key(&mut self, key: u32, name: &str, span: Span) {
        let length = number(name.chars().count().max(1));
        let place = Place { length, ..self.place_at(&span.start) };
        if let Some(frame) = self.frames.last_mut()
            && let Some((line, column)) = frame.known.insert(key, (place.line, place.column))
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
        if before.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t') {
            // The reader takes some tabs for spaces.
            let problem = self.syntax_error(&span.start, "");
            self.found.push(problem);
            return;
        }
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
                Place { file: self.path.to_owned(), line: number(line + 1), column: number(column + 1), length: 1 };
            return Diagnostic::error(Code::Syntax, Some(place), "this is not YAML: a tab in the indentation")
                .help("YAML indents with spaces: replace the tab");
        }
        let mut place = self.place_at(mark);
        // What the reader stumbled over may be the end of the line, and it may have gone past it.
        let length = self.lines.get(mark.line().saturating_sub(1)).map_or(0, |line| line.chars().count());
        place.column = place.column.min(number(length + 1));
        Diagnostic::error(Code::Syntax, Some(place), format!("this is not YAML: {info}")).maybe_help(
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
        Place { file: self.path.to_owned(), line: number(mark.line()), column: number(mark.col() + 1), length: 1 }
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

    fn node(&mut self, span: Span, kind: Kind) -> Node {
        let length = if span.start.line() == span.end.line() {
            let length = span.end.col().saturating_sub(span.start.col());
            let (_, rest) = self.part_line(&span.start);
            let end = rest.char_indices().nth(length).map_or(rest.len(), |(byte, _)| byte);
            rest[..end].trim_end().chars().count().max(1)
        } else {
            1
        };
        Node {
            line: number(span.start.line()),
            column: number(span.start.col() + 1),
            length: number(length),
            end: (number(span.end.line()), number(span.end.col() + 1)),
            first: 0,
            count: 0,
            kind,
            is_key: false,
        }
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
