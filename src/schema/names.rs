//! Names in the schemas: ids as they are declared, and ids as they are referred to.
//!
//! Owns what completes. Without an outline a reference is any well-formed id; with one it is one of the pack's own, each
//! with its name in words, and anything else is underlined.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::build::Definitions;
use crate::engine::outline::{FindingOutline, Named, Outline};
use crate::engine::unit::{self, UNITS};

const ID: &str = "^[a-z][a-z0-9_]{0,79}$";
const ID_HELP: &str = "lower-case words joined by `_`, beginning with a letter, at most 80 characters";
const CODING: &str = "^[a-z0-9-]+:[^\\s]+$";

/// Every definition of a name.
pub fn definitions(outline: Option<&Outline>) -> Definitions {
    let mut all = Definitions::new();
    let mut add = |name: &str, schema: Value| drop(all.insert(name.to_owned(), schema));
    add("new_id", json!({ "type": "string", "pattern": ID, "patternErrorMessage": ID_HELP }));
    add(
        "new_rule_id",
        json!({
            "type": "string", "pattern": ID, "not": { "const": "prior" },
            "patternErrorMessage": format!("{ID_HELP}; `prior` is the id of the prior itself"),
        }),
    );
    add(
        "coding",
        json!({
            "type": "string", "pattern": CODING,
            "patternErrorMessage": "`system:code` in quotes, such as \"snomed:271807003\"",
        }),
    );
    let Some(outline) = outline else {
        for name in [
            "finding",
            "yes_no",
            "when_name",
            "box",
            "screen",
            "condition",
            "condition_or_undetermined",
            "evidence_set",
            "red_flag",
            "option",
        ] {
            add(name, json!({ "type": "string", "pattern": ID, "patternErrorMessage": ID_HELP }));
        }
        add("told", told(any_id()));
        add("told_yes_no", told(any_id()));
        add("source", json!({ "type": "string", "minLength": 1 }));
        add("family", json!({ "type": "string", "minLength": 1 }));
        add("part", any_id());
        add("comparisons", json!({}));
        add("observed", json!({}));
        add("rule", json!({ "type": "string", "pattern": "^[a-z][a-z0-9_]*\\.[a-z][a-z0-9_]*$" }));
        return all;
    };
    all.extend(of_pack(outline));
    all
}

fn any_id() -> Value {
    json!({ "type": "string", "pattern": ID, "patternErrorMessage": ID_HELP })
}

/// A finding in a case: its id, or a coding.
fn told(id: Value) -> Value {
    json!({ "anyOf": [id, { "$ref": "#/definitions/coding" }] })
}

fn of_pack(outline: &Outline) -> Definitions {
    let findings = |kinds: &[&str]| -> Vec<Named> {
        let fits = |finding: &&FindingOutline| kinds.contains(&finding.kind) || finding.kind.is_empty();
        outline.findings.iter().filter(fits).map(plain).collect()
    };
    let every: Vec<Named> = outline.findings.iter().map(plain).collect();
    let yes_no = findings(&["yes_no"]);
    let undetermined = Named { id: "undetermined".to_owned(), name: "no condition can be named".to_owned() };
    let both = |a: &[Named], b: &[Named]| [a, b].concat();
    let part: Vec<Named> = local_rules(outline);
    let families: Vec<Named> =
        outline.families.iter().map(|id| Named { id: id.clone(), name: String::new() }).collect();
    let mut all = Definitions::new();
    let mut add = |name: &str, schema: Value| drop(all.insert(name.to_owned(), schema));
    add("finding", one_of("finding", &every));
    add("yes_no", one_of("yes-or-no finding", &yes_no));
    add("when_name", one_of("yes-or-no finding or definition", &both(&yes_no, &outline.definitions)));
    add("told", told(one_of("finding", &every)));
    add("told_yes_no", told(one_of("yes-or-no finding", &yes_no)));
    add("box", one_of("box", &outline.boxes));
    add("screen", one_of("finding or box", &both(&every, &outline.boxes)));
    add("condition", one_of("condition", &outline.conditions));
    add("condition_or_undetermined", one_of("condition", &both(&outline.conditions, &[undetermined])));
    add("evidence_set", one_of("evidence set", &outline.evidence_sets));
    add("red_flag", one_of("red flag", &outline.red_flags));
    add("source", one_of("source", &outline.sources));
    add("rule", one_of("rule", &outline.rules));
    add("option", any_id());
    // A family is named where it is used, so others are offered and none is refused.
    add("family", offered(&families, json!({ "type": "string", "minLength": 1 })));
    add("part", one_of("rule", &part));
    all.extend(options(outline));
    all
}

fn plain(finding: &FindingOutline) -> Named {
    Named { id: finding.id.clone(), name: finding.name.clone() }
}

/// One of the declared ids. Where nothing of the kind is declared, every id is one that nobody declared.
fn one_of(what: &str, known: &[Named]) -> Value {
    let ids: Vec<&str> = known.iter().map(|one| one.id.as_str()).collect();
    let names: Vec<&str> = known.iter().map(|one| one.name.as_str()).collect();
    json!({
        "type": "string", "enum": ids, "enumDescriptions": names,
        "errorMessage": format!(
            "no {what} of this pack has this id; if it is new, run `rubor schema --vocabulary PACK --write`"
        ),
    })
}

fn offered(known: &[Named], otherwise: Value) -> Value {
    if known.is_empty() {
        return otherwise;
    }
    let ids: Vec<&str> = known.iter().map(|one| one.id.as_str()).collect();
    json!({ "anyOf": [{ "type": "string", "enum": ids }, otherwise] })
}

/// Rules by the ids that they have within their conditions.
fn local_rules(outline: &Outline) -> Vec<Named> {
    let local = |rule: &Named| Some(Named { id: rule.id.split_once('.')?.1.to_owned(), name: String::new() });
    let mut rules: Vec<Named> = outline.rules.iter().filter_map(local).collect();
    rules.sort();
    rules.dedup();
    rules
}

/// What a comparison, and an observation, may say of each finding: options of a choice, units of a number.
fn options(outline: &Outline) -> Definitions {
    let (mut of_when, mut of_case) = choices(outline);
    for (units, ids) in numbers(outline) {
        let unit = json!({ "enum": units, "errorMessage": "this unit does not measure what the finding is" });
        of_when.push(rule(&ids, json!({ "unit": unit, "is": false, "is_one_of": false })));
        let quantity = json!({ "properties": { "unit": unit } });
        of_case.push(rule(&ids, json!({ "quantity": quantity, "present": false, "selection": false })));
    }
    let yes_no: Vec<&str> =
        outline.findings.iter().filter(|one| one.kind == "yes_no").map(|one| one.id.as_str()).collect();
    if !yes_no.is_empty() {
        let none = json!({
            "is": false, "is_one_of": false, "below": false, "at_most": false, "at_least": false, "above": false,
            "unit": false,
        });
        of_when.push(rule(&yes_no, none));
        of_case.push(rule(&yes_no, json!({ "quantity": false, "selection": false })));
    }
    let all = |list: Vec<Value>| if list.is_empty() { json!({}) } else { json!({ "allOf": list }) };
    let mut definitions = Definitions::new();
    definitions.insert("comparisons".to_owned(), all(of_when));
    definitions.insert("observed".to_owned(), all(of_case));
    definitions
}

/// Where `finding` is one of these, the other keys are so.
fn rule(ids: &[&str], keys: Value) -> Value {
    json!({
        "if": { "properties": { "finding": { "enum": ids } }, "required": ["finding"] },
        "then": { "properties": keys },
    })
}

/// For each choice which options it has, in a comparison and in an observation.
fn choices(outline: &Outline) -> (Vec<Value>, Vec<Value>) {
    let (mut of_when, mut of_case) = (Vec::new(), Vec::new());
    for finding in outline.findings.iter().filter(|finding| finding.kind.ends_with("choice")) {
        let known = one_of(&format!("option of `{}`", finding.id), &finding.options);
        let id = [finding.id.as_str()];
        let options = json!({
            "is": known, "is_one_of": { "items": known }, "below": false, "at_most": false, "at_least": false,
            "above": false, "unit": false,
        });
        of_when.push(rule(&id, options));
        let selection = json!({ "properties": { "options": { "items": known } } });
        of_case.push(rule(&id, json!({ "selection": selection, "present": false, "quantity": false })));
    }
    (of_when, of_case)
}

/// Numbers by what they measure: the units that convert into each other, and the findings measured in them.
fn numbers(outline: &Outline) -> BTreeMap<Vec<&'static str>, Vec<&str>> {
    let mut groups: BTreeMap<Vec<&'static str>, Vec<&str>> = BTreeMap::new();
    for finding in outline.findings.iter().filter(|finding| finding.kind == "number") {
        let Some(unit) = unit::find(&finding.unit) else { continue };
        let units: Vec<&'static str> =
            UNITS.iter().filter(|other| other.dimension == unit.dimension).map(|other| other.code).collect();
        groups.entry(units).or_default().push(&finding.id);
    }
    groups
}
