//! YAML text to documents, exactly as written; together with `parse::tree` the only code that knows YAML.
//!
//! Owns syntax, positions and shape. Each list item is read alone, so that one mistake hides no other, and the ids of
//! items that could not be read stay declared. It resolves no name: `check` does.

mod scalar;
pub mod tree;

use super::diagnostic::{Code, Diagnostic};
use super::doc::{
    BoxDoc, CaseDoc, ConditionDoc, DefinitionDoc, DerivedDoc, EvidenceSetDoc, FindingDoc, PackDoc, RedFlagDoc,
    SourceDoc,
};
use super::source::SourceFile;
use super::suggest;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_yaml::Value;
use std::sync::Arc;
use tree::{At, Tree};

/// The lists that a rule file may hold.
pub const SECTIONS: [&str; 9] =
    ["sources", "findings", "boxes", "derived", "definitions", "evidence_sets", "conditions", "red_flags", "pack"];

/// One thing an author wrote, and where.
#[derive(Debug, Clone)]
pub struct Item<T> {
    /// As written.
    pub doc: T,
    file: usize,
    document: usize,
    section: &'static str,
    index: usize,
}

/// An item that could not be read but whose id is known.
#[derive(Debug, Clone)]
pub struct Broken {
    /// The list it stands in.
    pub section: &'static str,
    /// Its id.
    pub id: String,
}

/// A file of a pack: its text, and where everything stands in it, document by document. Shared, so that a copy is cheap.
#[derive(Debug, Clone)]
struct Parsed {
    path: String,
    text: Arc<str>,
    trees: Arc<Vec<Tree>>,
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
        let file = &self.files[item.file];
        let at = At::new(&file.path, &file.trees[item.document]);
        match item.section {
            "cases" => at,
            "pack" => at.key("pack"),
            section => at.key(section).index(item.index),
        }
    }

    /// The text of the file an item stands in.
    #[must_use]
    pub fn text_of<T>(&self, item: &Item<T>) -> &str {
        &self.files[item.file].text
    }

    /// Adds everything of another document.
    fn append(&mut self, other: Doc) {
        let first = self.files.len();
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
    let text = file.text.strip_prefix('\u{feff}').unwrap_or(&file.text);
    let file = &SourceFile { path: file.path.clone(), text: text.to_owned() };
    let (trees, problems) = tree::build(file);
    if !problems.is_empty() {
        found.extend(problems);
        doc.broken.extend(scalar::declared_anyway(&file.text));
        return;
    }
    let mut values = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&file.text) {
        match Value::deserialize(document) {
            Ok(value) => values.push(value),
            Err(error) => {
                found.push(Diagnostic::error(
                    Code::Syntax,
                    trees.first().map(|tree| At::new(&file.path, tree).place()),
                    error.to_string(),
                ));
                return;
            }
        }
    }
    // An empty file has no events of a document, and the typed reader makes a null of it.
    values.retain(|value| !value.is_null());
    let mut kept: Vec<Tree> = trees;
    if kept.len() > values.len() {
        kept.retain(|tree| At::new(&file.path, tree).keys().next().is_some());
    }
    if kept.len() != values.len() {
        let place = kept.first().map(|tree| At::new(&file.path, tree).place());
        found.push(
            Diagnostic::error(Code::Syntax, place, "the documents of this file cannot be told apart")
                .help("separate documents with a line `---`"),
        );
        return;
    }
    let number = doc.files.len();
    doc.files.push(Parsed { path: file.path.clone(), text: file.text.as_str().into(), trees: Arc::new(kept) });
    let before = found.len();
    let is_case = file.path.starts_with("cases/") || file.path.contains("/cases/");
    for (document, value) in values.into_iter().enumerate() {
        if found.len() > before + tree::MAX_PROBLEMS {
            return;
        }
        let parsed = &doc.files[number];
        scalar::ambiguous(&value, At::new(&parsed.path, &parsed.trees[document]), found);
        let mut reader = Reader { doc: &mut *doc, found: &mut *found, file: number, document };
        if is_case {
            reader.case(value);
        } else {
            reader.rules(value);
        }
    }
}

struct Reader<'a> {
    doc: &'a mut Doc,
    found: &'a mut Vec<Diagnostic>,
    file: usize,
    document: usize,
}

impl Reader<'_> {
    fn item<T>(&self, doc: T, section: &'static str, index: usize) -> Item<T> {
        Item { doc, file: self.file, document: self.document, section, index }
    }

    fn root(&self) -> At<'_> {
        let file = &self.doc.files[self.file];
        At::new(&file.path, &file.trees[self.document])
    }

    fn case(&mut self, value: Value) {
        let at = self.root();
        let empty = scalar::empty(&value, at);
        match read::<CaseDoc>(value, at) {
            Ok(case) => {
                self.found.extend(empty);
                let item = self.item(case, "cases", 0);
                self.doc.cases.push(item);
            }
            Err(problem) => self.found.push(*problem),
        }
    }

    fn rules(&mut self, value: Value) {
        let Value::Mapping(sections) = value else {
            let place = self.root().place();
            let message = "a rule file is a mapping of sections";
            let help = format!("begin with one of {}", suggest::quoted(&SECTIONS));
            self.found.push(Diagnostic::error(Code::Shape, Some(place), message).help(help));
            return;
        };
        let before = self.found.len();
        for (key, value) in sections {
            if self.found.len() > before + tree::MAX_PROBLEMS {
                return;
            }
            let key = key.as_str().unwrap_or_default();
            let Some(section) = SECTIONS.into_iter().find(|section| *section == key) else {
                let place = self.root().key_itself(key).place();
                let help = suggest::did_you_mean(key, SECTIONS)
                    .unwrap_or_else(|| format!("a rule file holds {}", suggest::quoted(&SECTIONS)));
                self.found.push(
                    Diagnostic::error(Code::UnknownKey, Some(place), format!("unknown section `{key}`")).help(help),
                );
                continue;
            };
            self.section(section, value);
        }
    }

    fn section(&mut self, section: &'static str, value: Value) {
        if section == "pack" {
            let empty = scalar::empty(&value, self.root().key("pack"));
            match read::<PackDoc>(value, self.root().key("pack")) {
                Ok(pack) => {
                    self.found.extend(empty);
                    let item = self.item(pack, section, 0);
                    self.doc.packs.push(item);
                }
                Err(problem) => {
                    self.doc.broken.push(Broken { section, id: String::new() });
                    self.found.push(*problem);
                }
            }
            return;
        }
        let items = match value {
            Value::Sequence(items) => items,
            Value::Null => Vec::new(),
            _ => {
                let place = self.root().key(section).place();
                let message = format!("`{section}` must be a list");
                self.found.push(
                    Diagnostic::error(Code::Shape, Some(place), message)
                        .help("write each item on a line that begins with `- id: `"),
                );
                return;
            }
        };
        let before = self.found.len();
        for (index, value) in items.into_iter().enumerate() {
            if self.found.len() > before + tree::MAX_PROBLEMS {
                return;
            }
            self.list_item(section, index, value);
        }
    }

    fn list_item(&mut self, section: &'static str, index: usize, value: Value) {
        macro_rules! keep {
            ($list:ident) => {{
                let id = value.get("id").and_then(Value::as_str).map(str::to_owned);
                let at = self.root().key(section).index(index);
                let empty = scalar::empty(&value, at);
                match read(value, at) {
                    Ok(doc) => {
                        self.found.extend(empty);
                        let item = self.item(doc, section, index);
                        self.doc.$list.push(item);
                    }
                    Err(problem) => {
                        self.found.push(*problem);
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

fn read<T: DeserializeOwned>(value: Value, at: At<'_>) -> Result<T, Box<Diagnostic>> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut way = vec![at];
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
        "a Value::Tagged enum" => "a word",
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
