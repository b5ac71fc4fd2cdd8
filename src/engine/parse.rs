//! YAML text to documents, exactly as written; together with `parse::tree` the only code that knows YAML.
//!
//! Owns syntax, positions and shape. Each list item is read alone, so that one mistake hides no other, and the ids of
//! items that could not be read stay declared. It resolves no name: `check` does.

mod scalar;
pub mod tree;
mod written;
#[cfg(any(test, fuzzing))]
pub mod yardstick;

use super::diagnostic::{Code, Diagnostic};
use super::doc::{
    BoxDoc, CaseDoc, ConditionDoc, DefinitionDoc, DerivedDoc, EvidenceSetDoc, FindingDoc, PackDoc, RedFlagDoc,
    SourceDoc,
};
use super::source::SourceFile;
use super::suggest;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tree::{At, Tree};
use written::Written;

/// The lists that a rule file may hold.
pub const SECTIONS: [&str; 9] =
    ["sources", "findings", "boxes", "derived", "definitions", "evidence_sets", "conditions", "red_flags", "pack"];

/// One thing an author wrote, and where.
#[derive(Debug, Clone)]
pub struct Item<T> {
    /// As written.
    pub doc: T,
    file: u32,
    document: u32,
    /// Its number in the tree of the document.
    node: u32,
}

/// An item that could not be read but whose id is known.
#[derive(Debug, Clone)]
pub struct Broken {
    /// The list it stands in.
    pub section: &'static str,
    /// Its id.
    pub id: String,
}

/// A file of a pack, and where everything stands in it, document by document. Shared, so that a copy is cheap.
#[derive(Debug, Clone)]
struct Parsed {
    path: Arc<str>,
    trees: Arc<[Tree]>,
}

/// Everything that was written in the files of one pack.
#[derive(Debug, Default, Clone)]
pub struct Doc {
    files: Vec<Parsed>,
    pub packs: Vec<Item<PackDoc>>,
    pub sources: Vec<Item<SourceDoc>>,
    pub findings: Vec<Item<FindingDoc>>,
    pub boxes: Vec<Item<BoxDoc>>,
    pub derived: Vec<Item<DerivedDoc>>,
    pub definitions: Vec<Item<DefinitionDoc>>,
    pub evidence_sets: Vec<Item<EvidenceSetDoc>>,
    pub conditions: Vec<Item<ConditionDoc>>,
    pub red_flags: Vec<Item<RedFlagDoc>>,
    pub cases: Vec<Item<CaseDoc>>,
    pub broken: Vec<Broken>,
}

impl Doc {
    /// Where an item stands.
    #[must_use]
    pub fn at<T>(&self, item: &Item<T>) -> At<'_> {
        let file = &self.files[item.file as usize];
        At::new(&file.path, &file.trees[item.document as usize], item.node)
    }

    /// Adds everything of another document.
    fn append(&mut self, other: Doc) {
        let first = number(self.files.len());
        self.files.extend(other.files);
        macro_rules! move_items {
            ($($list:ident),*) => {$(
                self.$list.extend(other.$list.into_iter().map(|item| Item { file: item.file + first, ..item }));
            )*};
        }
        move_items!(packs, sources, findings, boxes, derived, definitions, evidence_sets, conditions, red_flags, cases);
        self.broken.extend(other.broken);
    }
}

/// One file by itself, and what is wrong with it.
#[derive(Debug, Clone)]
pub struct FileDoc {
    path: String,
    /// As written.
    pub doc: Doc,
    /// What is wrong.
    pub found: Vec<Diagnostic>,
}

/// Reads one file.
#[must_use]
pub fn parse(file: &SourceFile) -> FileDoc {
    let mut read = FileDoc { path: file.path.clone(), doc: Doc::default(), found: Vec::new() };
    read_file(file, &mut read.doc, &mut read.found);
    read
}

/// Joins the files of a pack, in the order of their paths. The documents hold whatever could be read.
#[must_use]
pub fn join(files: impl IntoIterator<Item = FileDoc>) -> (Doc, Vec<Diagnostic>) {
    let mut order: Vec<FileDoc> = files.into_iter().collect();
    order.sort_by(|a, b| a.path.cmp(&b.path));
    let mut doc = Doc::default();
    let mut found = Vec::new();
    for file in order {
        doc.append(file.doc);
        found.extend(file.found);
    }
    (doc, found)
}

fn read_file(file: &SourceFile, doc: &mut Doc, found: &mut Vec<Diagnostic>) {
    let text = file.without_mark();
    let (mut documents, problems) = tree::build(&file.path, text);
    if !problems.is_empty() {
        found.extend(problems);
        doc.broken.extend(scalar::declared_anyway(text));
        return;
    }
    documents.retain(|document| !Written::whole(document).is_null());
    let before = found.len();
    let is_case = file.path.starts_with("cases/") || file.path.contains("/cases/");
    let number_of_file = number(doc.files.len());
    for (index, document) in documents.iter().enumerate() {
        if found.len() > before + tree::MAX_PROBLEMS {
            break;
        }
        scalar::ambiguous(document, &file.path, found);
        let mut reader = Reader {
            doc: &mut *doc,
            found: &mut *found,
            path: &file.path,
            file: number_of_file,
            document: number(index),
        };
        let whole = Written::whole(document);
        if is_case { reader.case(whole) } else { reader.rules(whole) }
    }
    let trees = documents.into_iter().map(|document| document.tree).collect();
    doc.files.push(Parsed { path: file.path.as_str().into(), trees });
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

struct Reader<'a> {
    doc: &'a mut Doc,
    found: &'a mut Vec<Diagnostic>,
    path: &'a str,
    file: u32,
    document: u32,
}

impl Reader<'_> {
    /// Reads one item; a mistake in it is reported.
    fn item<T: DeserializeOwned>(&mut self, value: Written<'_>) -> Option<Item<T>> {
        match read(value, self.path) {
            Ok(doc) => {
                scalar::empty(value, self.path, self.found);
                Some(Item { doc, file: self.file, document: self.document, node: value.node() })
            }
            Err(problem) => {
                self.found.push(*problem);
                None
            }
        }
    }

    fn case(&mut self, whole: Written<'_>) {
        let case = self.item(whole);
        self.doc.cases.extend(case);
    }

    fn rules(&mut self, whole: Written<'_>) {
        if !whole.is_map() {
            let message = "a rule file is a mapping of sections";
            let help = format!("begin with one of {}", suggest::quoted(&SECTIONS));
            let place = whole.at(self.path).place();
            self.found.push(Diagnostic::error(Code::Shape, Some(place), message).help(help));
            return;
        }
        let before = self.found.len();
        for (key, value) in whole.entries() {
            if self.found.len() > before + tree::MAX_PROBLEMS {
                return;
            }
            let name = key.as_str().unwrap_or_default();
            let Some(section) = SECTIONS.into_iter().find(|section| *section == name) else {
                let help = suggest::did_you_mean(name, SECTIONS)
                    .unwrap_or_else(|| format!("a rule file holds {}", suggest::quoted(&SECTIONS)));
                let place = whole.at(self.path).key_itself(name).place();
                self.found.push(
                    Diagnostic::error(Code::UnknownKey, Some(place), format!("unknown section `{name}`")).help(help),
                );
                continue;
            };
            self.section(section, value);
        }
    }

    fn section(&mut self, section: &'static str, value: Written<'_>) {
        if section == "pack" {
            match self.item(value) {
                Some(pack) => self.doc.packs.push(pack),
                None => self.doc.broken.push(Broken { section, id: String::new() }),
            }
            return;
        }
        if !value.is_list() && !value.is_null() {
            let message = format!("`{section}` must be a list");
            self.found.push(
                Diagnostic::error(Code::Shape, Some(value.at(self.path).place()), message)
                    .help("write each item on a line that begins with `- id: `"),
            );
            return;
        }
        let before = self.found.len();
        for value in value.items() {
            if self.found.len() > before + tree::MAX_PROBLEMS {
                return;
            }
            self.list_item(section, value);
        }
    }

    fn list_item(&mut self, section: &'static str, value: Written<'_>) {
        macro_rules! keep {
            ($list:ident) => {{
                match self.item(value) {
                    Some(item) => self.doc.$list.push(item),
                    None => {
                        let id = value.get("id").and_then(Written::as_str).map(str::to_owned);
                        self.doc.broken.extend(id.map(|id| Broken { section, id }));
                    }
                }
            }};
        }
        match section {
            "sources" => keep!(sources),
            "findings" => keep!(findings),
            "boxes" => keep!(boxes),
            "derived" => keep!(derived),
            "definitions" => keep!(definitions),
            "evidence_sets" => keep!(evidence_sets),
            "conditions" => keep!(conditions),
            _ => keep!(red_flags),
        }
    }
}

fn read<T: DeserializeOwned>(value: Written<'_>, path: &str) -> Result<T, Box<Diagnostic>> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut way = vec![value.at(path)];
        for segment in error.path() {
            let here = way[way.len() - 1];
            way.push(match segment {
                serde_path_to_error::Segment::Seq { index } => here.index(*index),
                serde_path_to_error::Segment::Map { key } if here.has(key) => here.key(key),
                _ => here,
            });
        }
        Box::new(explain_shape(&error.inner().to_string(), &way))
    })
}

/// Turns serde's words into ours, and points at the key where it is a key that is wrong. `way` leads from the item to
/// the place that serde names, and is never empty.
fn explain_shape(message: &str, way: &[At<'_>]) -> Diagnostic {
    let here = way[way.len() - 1];
    if let Some(rest) = message.strip_prefix("unknown field `")
        && let Some((name, rest)) = rest.split_once('`')
    {
        let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
        let parent = way.iter().rev().find(|at| at.has(name)).copied().unwrap_or(here);
        let help = suggest::did_you_mean(name, known.iter().copied())
            .unwrap_or_else(|| format!("known here: {}", suggest::quoted(&known)));
        return Diagnostic::error(
            Code::UnknownKey,
            Some(parent.key_itself(name).place()),
            format!("unknown key `{name}`"),
        )
        .help(help);
    }
    if let Some(name) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        let message = format!("`{name}` is missing");
        return Diagnostic::error(Code::Shape, Some(here.place()), message)
            .help(format!("add a line `{name}: ...` here"));
    }
    if let Some(rest) = message.strip_prefix("unknown variant `")
        && let Some((name, rest)) = rest.split_once('`')
    {
        let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
        let help = suggest::did_you_mean(name, known.iter().copied())
            .unwrap_or_else(|| format!("write one of {}", suggest::quoted(&known)));
        return Diagnostic::error(
            Code::Shape,
            Some(here.place()),
            format!("`{name}` is not one of the words known here"),
        )
        .help(help);
    }
    let message = message.split(" at line ").next().unwrap_or(message);
    let found_and_expected = ["invalid type: ", "invalid value: ", "invalid length "]
        .iter()
        .find_map(|start| message.strip_prefix(start)?.split_once(", expected "));
    if let Some((found, expected)) = found_and_expected {
        let quotes = expected == "a string" && here.is_plain() && !found.starts_with("unit value");
        let message = format!("expected {}, found {}", in_words(expected), in_words(found));
        return Diagnostic::error(Code::Shape, Some(here.place()), message)
            .maybe_help(quotes.then(|| "put it in double quotes, so that YAML reads it as text".to_owned()));
    }
    Diagnostic::error(Code::Shape, Some(here.place()), message.to_owned())
}

/// Serde's names of shapes in an author's words.
fn in_words(shape: &str) -> String {
    let kinds = [
        ("string", "text"),
        ("floating point", "the number"),
        ("integer", "the number"),
        ("boolean", "the truth value"),
        ("map", "a mapping (`key: value`)"),
        ("sequence", "a list"),
        ("unit value", "nothing"),
    ];
    let whole = match shape {
        "f64" => "a number",
        "a string" => "text",
        "a sequence" => "a list",
        "a boolean" => "`true` or `false`",
        "an array of length 2" => "a list of two numbers",
        _ if shape.starts_with("struct ") => "a mapping (`key: value`)",
        _ => "",
    };
    if !whole.is_empty() {
        return whole.to_owned();
    }
    for (kind, words) in kinds {
        if let Some(rest) = shape.strip_prefix(kind) {
            return format!("{words}{rest}");
        }
    }
    shape.to_owned()
}
