//! The difference between two packs as their authors would say it: `cherry_angioma.dome: strong -> moderate`.
//!
//! Owns the words. It compares what is written, key by key, so that a key that is added to the language tomorrow shows
//! up without a change here; weights alone have words of their own.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize as _;
use serde_yaml::{Mapping, Value};

use crate::engine::source::SourceFile;

/// Sections in the order in which they matter, each with the word for one of its items.
const SECTIONS: [(&str, &str); 12] = [
    ("red_flags", "red flag"),
    ("conditions", "condition"),
    ("rules", "rule"),
    ("pack", "pack"),
    ("definitions", "definition"),
    ("derived", "derived finding"),
    ("findings", "finding"),
    ("boxes", "box"),
    ("evidence_sets", "evidence set"),
    ("sources", "source"),
    ("cases", "case"),
    ("other", "section"),
];

/// What happened to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is still there and says something else.
    Changed,
}

impl ChangeKind {
    /// In one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Changed => "changed",
        }
    }
}

/// One item of a pack that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it is, such as `red flag` or `rule`.
    pub what: &'static str,
    /// Its id; for a rule `condition.rule`, or `set.rule` where it stands in an evidence set.
    pub id: String,
    /// What happened to it.
    pub kind: ChangeKind,
    /// Each difference in words; for an item that is new or gone its name.
    pub words: Vec<String>,
}

/// An item: its section's place, and its id.
type Key = (usize, String);

/// Every difference between two packs, the weightiest section first.
#[must_use]
pub fn changes(old: &[SourceFile], new: &[SourceFile]) -> Vec<Change> {
    let (old, new) = (items(old), items(new));
    let keys: BTreeSet<&Key> = old.keys().chain(new.keys()).collect();
    keys.into_iter().filter_map(|key| change(key, old.get(key), new.get(key), (&old, &new))).collect()
}

fn change(
    key: &Key,
    old: Option<&Value>,
    new: Option<&Value>,
    (all_old, all_new): (&BTreeMap<Key, Value>, &BTreeMap<Key, Value>),
) -> Option<Change> {
    let (what, id) = (SECTIONS[key.0].1, key.1.clone());
    // The rules of a condition that is new or gone as a whole are not named one by one.
    let whole_rule = |items: &BTreeMap<Key, Value>| {
        what == "rule" && owners(&id).into_iter().all(|owner| !items.contains_key(&owner))
    };
    let named = |value: &Value| {
        let name = ["name", "title", "because"].iter().find_map(|key| value.get(*key)?.as_str());
        name.map(|name| vec![name.to_owned()]).unwrap_or_default()
    };
    match (old, new) {
        (Some(old), Some(new)) => {
            let mut words = Vec::new();
            if what == "rule" {
                weights(old, new, &mut words);
            }
            differences("", old, new, &mut words);
            (!words.is_empty()).then_some(Change { what, id, kind: ChangeKind::Changed, words })
        }
        (None, Some(new)) if !whole_rule(all_old) => {
            Some(Change { what, id, kind: ChangeKind::Added, words: named(new) })
        }
        (Some(old), None) if !whole_rule(all_new) => {
            Some(Change { what, id, kind: ChangeKind::Removed, words: named(old) })
        }
        _ => None,
    }
}

/// The condition, or the evidence set, that a rule may stand in.
fn owners(rule: &str) -> [Key; 2] {
    let owner = rule.split('.').next().unwrap_or_default().to_owned();
    [(section("conditions"), owner.clone()), (section("evidence_sets"), owner)]
}

fn section(name: &str) -> usize {
    SECTIONS.iter().position(|(known, _)| *known == name).unwrap_or(SECTIONS.len() - 1)
}

/// Everything that is written, by section and id. Files that are no YAML have been refused before.
fn items(files: &[SourceFile]) -> BTreeMap<Key, Value> {
    let mut items = BTreeMap::new();
    for file in files {
        let is_case = file.path.starts_with("cases/") || file.path.contains("/cases/");
        for document in serde_yaml::Deserializer::from_str(&file.text) {
            let Ok(Value::Mapping(map)) = Value::deserialize(document) else { continue };
            if is_case {
                let id = map.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                items.insert((section("cases"), id), Value::Mapping(map));
            } else {
                for (key, value) in map {
                    add_section(key.as_str().unwrap_or_default(), value, &mut items);
                }
            }
        }
    }
    items
}

fn add_section(name: &str, value: Value, items: &mut BTreeMap<Key, Value>) {
    if name == "pack" {
        items.insert((section("pack"), value.get("id").map(flow).unwrap_or_default()), value);
        return;
    }
    let Value::Sequence(list) = value else { return };
    for mut item in list {
        let id = item.get("id").map(flow).unwrap_or_default();
        if let Value::Mapping(map) = &mut item
            && let Some(Value::Sequence(rules)) = map.remove("evidence")
        {
            for rule in rules {
                let local = rule.get("id").map(flow).unwrap_or_default();
                items.insert((section("rules"), format!("{id}.{local}")), rule);
            }
        }
        items.insert((section(name), id), item);
    }
}

/// The keys that say how much a rule weighs.
const WEIGHTS: [&str; 5] =
    ["supports", "argues_against", "likelihood_ratio", "likelihood_ratio_if_absent", "probability"];

fn weights(old: &Value, new: &Value, into: &mut Vec<String>) {
    let (old, new) = (weight(old), weight(new));
    if old != new {
        into.push(format!("{old} -> {new}"));
    }
}

/// `strong`, `strong against`, `likelihood ratio 6.1, if absent 0.04`, `0.9 with, 0.2 without`.
fn weight(rule: &Value) -> String {
    let part = |key: &str| rule.get(key).map(flow);
    if let Some(strength) = part("supports") {
        return strength;
    }
    if let Some(strength) = part("argues_against") {
        return format!("{strength} against");
    }
    if let Some(probability) = rule.get("probability") {
        let of = |key: &str| probability.get(key).map(flow).unwrap_or_default();
        return format!("{} with, {} without", of("with"), of("without"));
    }
    let parts = [("likelihood ratio", part("likelihood_ratio")), ("if absent", part("likelihood_ratio_if_absent"))];
    let said: Vec<String> =
        parts.into_iter().filter_map(|(what, value)| value.map(|value| format!("{what} {value}"))).collect();
    said.join(", ")
}

/// Every difference between two mappings, key by key; nested keys are joined by dots.
fn differences(prefix: &str, old: &Value, new: &Value, into: &mut Vec<String>) {
    let empty = Mapping::new();
    let (old_map, new_map) = (old.as_mapping().unwrap_or(&empty), new.as_mapping().unwrap_or(&empty));
    let keys: BTreeSet<&str> = old_map.keys().chain(new_map.keys()).filter_map(Value::as_str).collect();
    for key in keys.into_iter().filter(|key| !prefix.is_empty() || !is_weight(old, new, key)) {
        let name = format!("{prefix}{key}");
        match (old_map.get(key), new_map.get(key)) {
            (Some(old), Some(new)) if same(old, new) => {}
            (Some(old @ Value::Mapping(_)), Some(new @ Value::Mapping(_))) if !is_expression(key) => {
                differences(&format!("{name}."), old, new, into);
            }
            (Some(Value::Sequence(old)), Some(Value::Sequence(new))) => into.push(lists(&name, old, new)),
            (Some(old), Some(new)) => into.push(format!("{name}: {} -> {}", flow(old), flow(new))),
            (Some(Value::Sequence(old)), None) => into.push(lists(&name, old, &[])),
            (None, Some(Value::Sequence(new))) => into.push(lists(&name, &[], new)),
            (Some(old), None) => into.push(format!("{name}: {} -> (not given)", flow(old))),
            (None, Some(new)) => into.push(format!("{name}: (not given) -> {}", flow(new))),
            (None, None) => {}
        }
    }
}

/// Whether a key is part of a rule's weight, which has its own words.
fn is_weight(old: &Value, new: &Value, key: &str) -> bool {
    let is_rule = |value: &Value| value.get("when").is_some() && value.get("because").is_some();
    WEIGHTS.contains(&key) && is_rule(old) && is_rule(new)
}

/// Conditions on findings are shown whole: half of one says nothing.
fn is_expression(key: &str) -> bool {
    ["when", "given", "given_or_unknown", "sign", "unless"].contains(&key)
}

/// `sources: + CA, - MLP`.
fn lists(name: &str, old: &[Value], new: &[Value]) -> String {
    let missing = |list: &[Value], item: &Value| !list.iter().any(|other| same(other, item));
    let added = new.iter().filter(|item| missing(old, item)).map(|item| format!("+ {}", flow(item)));
    let removed = old.iter().filter(|item| missing(new, item)).map(|item| format!("- {}", flow(item)));
    let parts: Vec<String> = added.chain(removed).collect();
    let words = if parts.is_empty() { "the same in another order".to_owned() } else { parts.join(", ") };
    format!("{name}: {words}")
}

/// Whether two values mean the same: `38` is `38.0`.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Sequence(a), Value::Sequence(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Mapping(a), Value::Mapping(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

/// A value on one line, as an author could have written it.
fn flow(value: &Value) -> String {
    match value {
        Value::Null => "(nothing)".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.contains(char::is_whitespace) => format!("\"{text}\""),
        Value::String(text) => text.clone(),
        Value::Sequence(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Mapping(map) => {
            let parts: Vec<String> = map.iter().map(|(key, value)| format!("{}: {}", flow(key), flow(value))).collect();
            format!("{{ {} }}", parts.join(", "))
        }
        Value::Tagged(tagged) => flow(&tagged.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(old: &str, new: &str) -> Vec<String> {
        let file = |text: &str| [SourceFile { path: "a.yaml".to_owned(), text: text.to_owned() }];
        changes(&file(old), &file(new))
            .into_iter()
            .map(|change| {
                format!("{} {} {}: {}", change.kind.as_str(), change.what, change.id, change.words.join("; "))
            })
            .collect()
    }

    const OLD: &str = "conditions:\n  - id: a\n    name: A\n    prior: common\n    evidence:\n      - { id: x, when: fever, supports: strong, because: B., sources: [ONE] }\n";

    #[test]
    fn weights_are_said_in_their_own_words() {
        let new = |weight: &str| OLD.replace("supports: strong", weight);
        assert_eq!(words(OLD, OLD), [""; 0]);
        assert_eq!(words(OLD, &new("supports: moderate")), ["changed rule a.x: strong -> moderate"]);
        assert_eq!(words(OLD, &new("argues_against: weak")), ["changed rule a.x: strong -> weak against"]);
        let ratio = "likelihood_ratio: 6.1, likelihood_ratio_if_absent: 0.04";
        assert_eq!(words(OLD, &new(ratio)), ["changed rule a.x: strong -> likelihood ratio 6.1, if absent 0.04"]);
        let probability = "probability: { with: 0.9, without: 0.2 }";
        assert_eq!(words(OLD, &new(probability)), ["changed rule a.x: strong -> 0.9 with, 0.2 without"]);
    }

    #[test]
    fn every_other_key_is_named_with_both_values() {
        let new = OLD.replace("when: fever", "when: { all: [fever, itch] }").replace("[ONE]", "[TWO]");
        assert_eq!(
            words(OLD, &new),
            ["changed rule a.x: sources: + TWO, - ONE; when: fever -> { all: [fever, itch] }"]
        );
        assert_eq!(
            words(OLD, &OLD.replace("name: A\n", "name: A\n    part_of: b\n")),
            ["changed condition a: part_of: (not given) -> b"]
        );
        let pack = "pack:\n  id: p\n  act_at: { urgent: 0.1, prompt: 0.2 }\n";
        assert_eq!(words(pack, &pack.replace("0.1,", "0.05,")), ["changed pack p: act_at.urgent: 0.1 -> 0.05"]);
        assert_eq!(words(pack, &pack.replace("0.2", "0.20")), [""; 0]);
    }

    #[test]
    fn a_condition_that_is_new_or_gone_is_named_once() {
        assert_eq!(words("", OLD), ["added condition a: A"]);
        assert_eq!(words(OLD, ""), ["removed condition a: A"]);
        let more = format!("{OLD}      - {{ id: y, when: itch, supports: weak, because: It itches. }}\n");
        assert_eq!(words(OLD, &more), ["added rule a.y: It itches."]);
        assert_eq!(words(&more, OLD), ["removed rule a.y: It itches."]);
    }
}
