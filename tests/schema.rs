//! The JSON Schemas for editors: held to the rule language as the engine reads it, and to the files that are committed.

#![cfg(feature = "server")]
#![allow(clippy::disallowed_methods, reason = "a test reads files")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rubor::engine::outline::outline;
use rubor::schema;
use rubor::store::{self, RuleSource};
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

// --- The language as the engine reads it ----------------------------------------------------------------------------

/// A struct or an enum of the rule language, as its source says.
#[derive(Debug, Default)]
struct Shape {
    /// Each key, and whether it must be there. Empty for an enum.
    keys: BTreeMap<String, bool>,
    /// Words of an enum.
    words: BTreeSet<String>,
    /// Other names of words.
    aliases: BTreeSet<String>,
}

/// Reads the structs and enums off the source: this is plain serde, one field or variant a line.
fn shapes(text: &str) -> BTreeMap<String, Shape> {
    let mut shapes: BTreeMap<String, Shape> = BTreeMap::new();
    let (mut name, mut attributes) = (String::new(), String::new());
    for line in text.lines().map(str::trim) {
        let begins = ["pub struct ", "pub enum "].iter().find_map(|start| line.strip_prefix(start));
        if let Some(rest) = begins.filter(|rest| rest.ends_with('{')) {
            name = rest.trim_end_matches([' ', '{']).to_owned();
            shapes.insert(name.clone(), Shape::default());
            attributes.clear();
        } else if line.starts_with("impl") || line.starts_with("fn ") || line.starts_with("#[cfg(test)]") {
            name.clear();
        } else if line.starts_with("#[") {
            attributes.push_str(line);
        } else if !name.is_empty() && !line.starts_with("//") && !line.is_empty() {
            let shape = shapes.get_mut(&name).expect("it was begun");
            add(shape, line, &attributes);
            attributes.clear();
        }
    }
    shapes
}

fn add(shape: &mut Shape, line: &str, attributes: &str) {
    let value = |key: &str| {
        let rest = attributes.split(&format!("{key} = \"")).nth(1)?;
        rest.split('"').next().map(str::to_owned)
    };
    let field = line.strip_prefix("pub ").unwrap_or(line).split_once(": ");
    match field {
        Some((key, kind)) if key.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()) => {
            let required = !attributes.contains("default") && !kind.starts_with("Option<");
            shape.keys.insert(key.to_owned(), required);
            shape.keys.extend(value("alias").map(|alias| (alias, false)));
        }
        _ => {
            let variant: String = line.chars().take_while(char::is_ascii_alphanumeric).collect();
            if line.trim_end_matches(',') == variant && !variant.is_empty() {
                shape.words.insert(value("rename").unwrap_or_else(|| snake_case(&variant)));
                shape.aliases.extend(value("alias"));
            }
        }
    }
}

fn snake_case(variant: &str) -> String {
    let mut out = String::new();
    for c in variant.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Where each struct and enum stands in the schema: of rule files (`r`) or of cases (`c`).
const PLACES: [(&str, char, &str); 43] = [
    ("PackDoc", 'r', "/definitions/pack"),
    ("ReviewDoc", 'r', "/definitions/pack/properties/review"),
    ("ReviewStatus", 'r', "/definitions/pack/properties/review/properties/status"),
    ("ActAtDoc", 'r', "/definitions/pack/properties/act_at"),
    ("FrequenciesDoc", 'r', "/definitions/pack/properties/frequencies"),
    ("HeadlineDoc", 'r', "/definitions/pack/properties/advice/items"),
    ("SafetyNetDoc", 'r', "/definitions/pack/properties/safety_net/items"),
    ("SourceDoc", 'r', "/definitions/source_item"),
    ("FindingDoc", 'r', "/definitions/finding_item"),
    ("About", 'r', "/definitions/finding_item/properties/about"),
    ("KindDoc", 'r', "/definitions/finding_item/properties/kind"),
    ("AskedOf", 'r', "/definitions/finding_item/properties/asked_of"),
    ("OptionDoc", 'r', "/definitions/finding_item/properties/options/items"),
    ("BoxDoc", 'r', "/definitions/box_item"),
    ("Pick", 'r', "/definitions/box_item/properties/pick"),
    ("DefinitionDoc", 'r', "/definitions/definition_item"),
    ("DerivedDoc", 'r', "/definitions/derived_item"),
    ("EvidenceSetDoc", 'r', "/definitions/evidence_set_item"),
    ("EvidenceDoc", 'r', "/definitions/evidence_item"),
    ("Grade", 'r', "/definitions/evidence_item/properties/grade"),
    ("ProbabilityDoc", 'r', "/definitions/evidence_item/properties/probability"),
    ("Strength", 'r', "/definitions/strength"),
    ("Urgency", 'r', "/definitions/urgency"),
    ("ConditionDoc", 'r', "/definitions/condition_item"),
    ("FrequencyWord", 'r', "/definitions/condition_item/properties/prior/anyOf/0"),
    ("AdviceDoc", 'r', "/definitions/advice_item"),
    ("RedFlagDoc", 'r', "/definitions/red_flag_item"),
    ("ExprMap", 'r', "/definitions/when_mapping"),
    ("CaseDoc", 'c', ""),
    ("CaseKind", 'c', "/properties/kind"),
    ("PatientDoc", 'c', "/properties/patient"),
    ("SexDoc", 'c', "/properties/patient/properties/sex"),
    ("ReporterDoc", 'c', "/properties/reporter"),
    ("ObservationDoc", 'c', "/definitions/observation"),
    ("QuantityDoc", 'c', "/definitions/observation/properties/quantity"),
    ("SelectionDoc", 'c', "/definitions/observation/properties/selection"),
    ("NoneOfTheseDoc", 'c', "/definitions/none_of_these/anyOf/1"),
    ("ExpectDoc", 'c', "/definitions/expect"),
    ("StatusDoc", 'c', "/definitions/expect/properties/status"),
    ("OutcomeDoc", 'c', "/definitions/expect/properties/outcome"),
    ("TruthDoc", 'c', "/definitions/truth"),
    ("TruthUrgencyDoc", 'c', "/definitions/truth/properties/urgency/anyOf/1"),
    ("Urgency", 'c', "/definitions/urgency"),
];

fn strings(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn every_key_and_every_word_of_the_language_is_in_the_schema() {
    let mut language = shapes(&read("src/engine/doc.rs"));
    language.extend(shapes(&read("src/engine/urgency.rs")));
    language.extend(shapes(&read("src/engine/weight.rs")).into_iter().filter(|(name, _)| name == "Strength"));
    let (rules, case) = (schema::rules(None), schema::case(None));
    // A name or a mapping, and a word or a number: they have no keys of their own.
    for name in ["ExprDoc", "PriorDoc"] {
        assert!(language.remove(name).is_some(), "{name} is gone");
    }
    for name in language.keys() {
        assert!(PLACES.iter().any(|(known, ..)| known == name), "say in PLACES where `{name}` stands in the schema");
    }
    for (name, which, pointer) in PLACES {
        let schema = if which == 'r' { &rules } else { &case };
        let here = schema.pointer(pointer).unwrap_or_else(|| panic!("{name}: nothing at {pointer}"));
        let shape = &language[name];
        assert!(shape.keys.len() + shape.words.len() > 1, "{name} was not read: {shape:?}");
        if !shape.keys.is_empty() {
            let keys: BTreeSet<String> = shape.keys.keys().cloned().collect();
            let known = here["properties"].as_object().map(|map| map.keys().cloned().collect::<BTreeSet<_>>());
            assert_eq!(known, Some(keys), "keys of {name} at {pointer}");
            let required: BTreeSet<String> =
                shape.keys.iter().filter(|(_, required)| **required).map(|(key, _)| key.clone()).collect();
            assert_eq!(strings(&here["required"]), required, "required keys of {name} at {pointer}");
            assert_eq!(here["additionalProperties"], false, "{name} at {pointer} lets unknown keys pass");
        } else if shape.aliases.is_empty() {
            assert_eq!(strings(&here["enum"]), shape.words, "words of {name} at {pointer}");
        } else {
            assert_eq!(strings(&here["anyOf"][0]["enum"]), shape.words, "words of {name} at {pointer}");
            assert_eq!(strings(&here["anyOf"][1]["enum"]), shape.aliases, "other words of {name} at {pointer}");
        }
    }
}

#[test]
fn every_section_is_in_the_schema() {
    let parse = read("src/engine/parse.rs");
    let list = parse.split("SECTIONS: [").nth(1).and_then(|rest| rest.split('[').nth(1)).expect("the sections");
    let list = list.split(']').next().expect("their end");
    let sections: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();
    let rules = schema::rules(None);
    let known: BTreeSet<&str> = rules["properties"].as_object().expect("sections").keys().map(String::as_str).collect();
    assert_eq!(known, sections);
}

#[test]
fn every_key_explains_itself() {
    fn walk(value: &Value, path: &str, silent: &mut Vec<String>) {
        if let Some(properties) =
            value.get("properties").and_then(Value::as_object).filter(|_| value.get("type").is_some())
        {
            for (key, property) in properties {
                let said = property["description"].as_str().is_some_and(|text| text.ends_with('.'));
                if !said {
                    silent.push(format!("{path}/{key}"));
                }
            }
        }
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| walk(value, &format!("{path}/{key}"), silent)),
            Value::Array(items) => items.iter().for_each(|item| walk(item, path, silent)),
            _ => {}
        }
    }
    let mut silent = Vec::new();
    walk(&schema::rules(None), "rules", &mut silent);
    walk(&schema::case(None), "case", &mut silent);
    assert!(silent.is_empty(), "no hover text, or one without a full stop: {silent:?}");
}

// --- What is committed ----------------------------------------------------------------------------------------------

fn compare(folder: &str, schemas: [(&str, Value); 2], command: &str) {
    for (name, schema) in schemas {
        let path = format!("{folder}/{name}");
        let committed = std::fs::read_to_string(root().join(&path)).unwrap_or_default();
        assert!(committed == schema::text(&schema), "{path} is out of date: run `{command}`");
    }
}

#[test]
fn the_committed_schemas_are_what_is_generated() {
    let schemas = [(schema::RULES_FILE, schema::rules(None)), (schema::CASE_FILE, schema::case(None))];
    compare("schema", schemas, "cargo run -- schema --write");
}

fn packs() -> Vec<String> {
    let mut packs = Vec::new();
    for parent in ["rules", "examples"] {
        for entry in std::fs::read_dir(root().join(parent)).expect(parent) {
            let entry = entry.expect("an entry");
            if entry.path().join("pack.yaml").is_file() {
                packs.push(format!("{parent}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    packs.sort();
    assert!(packs.len() >= 2, "{packs:?}");
    packs
}

#[test]
fn the_vocabulary_of_every_pack_is_up_to_date() {
    for pack in packs() {
        let content = store::read(&RuleSource::Folder(root().join(&pack)));
        let outline = outline(&content.packs[0].files);
        let schemas =
            [(schema::RULES_FILE, schema::rules(Some(&outline))), (schema::CASE_FILE, schema::case(Some(&outline)))];
        compare(&format!("{pack}/.schema"), schemas, &format!("cargo run -- schema --vocabulary {pack} --write"));
    }
}

#[test]
fn a_vocabulary_is_made_of_a_pack_that_is_not_finished() {
    let file = |path: &str, text: &str| rubor::engine::source::SourceFile { path: path.into(), text: text.into() };
    let broken = "findings:\n  - { id: cough, name: cough }\n  - { id: itch, name: itching, about: spots, kind: yes_no }\n  - id: count\n    name: how many\n    about: spots\n    kind: choice\n    options: [{ id: one, name: one }]\nconditions:\n  - { id: rash }\n";
    let outline = outline(&[file("a.yaml", broken), file("b.yaml", "findings:\n\t- id: in_a_broken_file\n")]);
    let rules = schema::rules(Some(&outline));
    // What cannot be read is declared all the same, and may be anything; so are the ids of a file that is not YAML.
    let findings = ["cough", "count", "in_a_broken_file", "itch"];
    assert_eq!(strings(&rules["definitions"]["finding"]["enum"]), findings.map(str::to_owned).into());
    let yes_no = ["cough", "in_a_broken_file", "itch"];
    assert_eq!(strings(&rules["definitions"]["yes_no"]["enum"]), yes_no.map(str::to_owned).into());
    assert_eq!(strings(&rules["definitions"]["condition"]["enum"]), ["rash".to_owned()].into());
    let empty = schema::case(Some(&rubor::engine::outline::Outline::default()));
    assert_eq!(empty["definitions"]["red_flag"]["enum"], serde_json::json!([]), "what nobody declared is refused");
}

/// The line that editors read, for a file at `path` below its pack.
fn line(path: &Path) -> String {
    let up = "../".repeat(path.components().count() - 1);
    let kind = if path.starts_with("cases") { "case" } else { "rules" };
    format!("# yaml-language-server: $schema={up}.schema/{kind}.schema.json")
}

#[test]
fn the_examples_name_their_schema() {
    for pack in packs().iter().filter(|pack| pack.starts_with("examples/")) {
        let content = store::read(&RuleSource::Folder(root().join(pack)));
        for file in &content.packs[0].files {
            assert_eq!(file.text.lines().next(), Some(line(Path::new(&file.path)).as_str()), "{pack}/{}", file.path);
        }
    }
}
