//! YAML text to documents, exactly as written; together with `parse::tree` the only code that knows YAML.
//!
//! Owns syntax, positions and shape. Each list item is read alone, so that one mistake hides no other, and the ids of
//! items that could not be read stay declared. It resolves no name: `check` does.

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
use tree::{At, Tree};

/// The lists that a rule file may hold.
pub const SECTIONS: [&str; 9] =
    ["sources", "findings", "boxes", "derived", "definitions", "evidence_sets", "conditions", "red_flags", "pack"];

/// One thing an author wrote, and where.
#[derive(Debug)]
pub struct Item<T> {
    /// As written.
    pub doc: T,
    file: usize,
    document: usize,
    section: &'static str,
    index: usize,
}

/// An item that could not be read but whose id is known.
#[derive(Debug)]
pub struct Broken {
    /// The list it stands in.
    pub section: &'static str,
    /// Its id.
    pub id: String,
}

/// Everything that was written in the files of one pack.
#[derive(Debug, Default)]
pub struct Doc {
    files: Vec<(String, Vec<Tree>)>,
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
        let (file, trees) = &self.files[item.file];
        let at = At::new(file, &trees[item.document]);
        match item.section {
            "cases" => at,
            "pack" => at.key("pack"),
            section => at.key(section).index(item.index),
        }
    }
}

/// Reads all files of a pack, in the order of their paths. The documents hold whatever could be read.
#[must_use]
pub fn parse(files: &[SourceFile]) -> (Doc, Vec<Diagnostic>) {
    let mut doc = Doc::default();
    let mut found = Vec::new();
    let mut order: Vec<&SourceFile> = files.iter().collect();
    order.sort_by(|a, b| a.path.cmp(&b.path));
    for file in order {
        read_file(file, &mut doc, &mut found);
    }
    (doc, found)
}

fn read_file(file: &SourceFile, doc: &mut Doc, found: &mut Vec<Diagnostic>) {
    let text = file.text.strip_prefix('\u{feff}').unwrap_or(&file.text);
    let file = &SourceFile { path: file.path.clone(), text: text.to_owned() };
    let (trees, problems) = tree::build(file);
    if !problems.is_empty() {
        found.extend(problems);
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
    doc.files.push((file.path.clone(), kept));
    let is_case = file.path.starts_with("cases/") || file.path.contains("/cases/");
    for (document, value) in values.into_iter().enumerate() {
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
        let (file, trees) = &self.doc.files[self.file];
        At::new(file, &trees[self.document])
    }

    fn case(&mut self, value: Value) {
        let at = self.root();
        match read::<CaseDoc>(value, at) {
            Ok(case) => {
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
        for (key, value) in sections {
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
            match read::<PackDoc>(value, self.root().key("pack")) {
                Ok(pack) => {
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
        for (index, value) in items.into_iter().enumerate() {
            self.list_item(section, index, value);
        }
    }

    fn list_item(&mut self, section: &'static str, index: usize, value: Value) {
        macro_rules! keep {
            ($list:ident) => {{
                let id = value.get("id").and_then(Value::as_str).map(str::to_owned);
                match read(value, self.root().key(section).index(index)) {
                    Ok(doc) => {
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
    if let Some(problem) = without_value(&value, at) {
        return Err(Box::new(problem));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut here = at;
        for segment in error.path() {
            here = match segment {
                serde_path_to_error::Segment::Seq { index } => here.index(*index),
                serde_path_to_error::Segment::Map { key } if here.has(key) => here.key(key),
                _ => here,
            };
        }
        Box::new(explain_shape(&error.inner().to_string(), here, at))
    })
}

/// A key with nothing after its colon. Serde would read an optional one as left out, and a red flag whose `given:` is
/// empty would lose its condition in silence.
fn without_value(value: &Value, at: At<'_>) -> Option<Diagnostic> {
    match value {
        Value::Mapping(entries) => entries.iter().find_map(|(key, value)| {
            let key = key.as_str()?;
            if value.is_null() {
                let message = format!("`{key}` has no value");
                let problem = Diagnostic::error(Code::Shape, Some(at.key_itself(key).place()), message);
                return Some(problem.help("write one after the colon, or leave the whole line out"));
            }
            without_value(value, at.key(key))
        }),
        Value::Sequence(items) => items.iter().enumerate().find_map(|(i, item)| without_value(item, at.index(i))),
        _ => None,
    }
}

/// Turns serde's words into ours, and points at the key where it is a key that is wrong.
fn explain_shape(message: &str, here: At<'_>, item: At<'_>) -> Diagnostic {
    if let Some(rest) = message.strip_prefix("unknown field `")
        && let Some((name, rest)) = rest.split_once('`')
    {
        let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
        let parent = [here, item].into_iter().find(|at| at.has(name)).unwrap_or(here);
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
        let message = format!("expected {}, found {}", in_words(expected), in_words(found));
        return Diagnostic::error(Code::Shape, Some(here.place()), message);
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
