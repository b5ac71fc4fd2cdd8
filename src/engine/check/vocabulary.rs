//! Findings, boxes and derived findings: what can be told, and what tells what.
//!
//! Owns the checks of the vocabulary part of a pack.

use super::super::diagnostic::{Code, Diagnostic};
use super::super::doc::{FindingDoc, KindDoc};
use super::super::parse::tree::At;
use super::super::parse::{Doc, Item};
use super::super::plan::{Finding, Kind, OptionDef};
use super::super::unit;
use super::super::vocabulary::{FindingIndex, Vocabulary};
use super::super::{doc::About, suggest};
use super::expr::Expr;
use super::names::{Names, check_id};
use std::collections::{BTreeMap, BTreeSet};

/// Checks every finding and builds the vocabulary out of the good ones.
pub fn vocabulary(doc: &Doc, found: &mut Vec<Diagnostic>) -> Vocabulary {
    let mut codings: BTreeMap<&str, &str> = BTreeMap::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut findings = Vec::new();
    for item in &doc.findings {
        if !seen.insert(&item.doc.id) {
            continue;
        }
        let at = doc.at(item);
        let mut own_codings = Vec::new();
        for (i, coding) in item.doc.codings.iter().enumerate() {
            let at = at.key("codings").index(i);
            if check_coding(coding, at, found) {
                if let Some(other) = codings.insert(coding, &item.doc.id) {
                    let message = format!("the coding `{coding}` already stands for `{other}`");
                    found.push(
                        Diagnostic::error(Code::Coding, Some(at.place()), message)
                            .help("a coding may stand for one finding only"),
                    );
                } else {
                    own_codings.push(coding.clone());
                }
            }
        }
        if let Some(kind) = kind(&item.doc, at, found) {
            findings.push(finding(&item.doc, kind, own_codings));
        }
    }
    Vocabulary::new(findings)
}

fn finding(doc: &FindingDoc, kind: Kind, codings: Vec<String>) -> Finding {
    Finding {
        id: doc.id.clone(),
        name: doc.name.clone(),
        about_person: doc.about == About::Person,
        kind,
        ask: doc.ask.clone(),
        help: doc.help.clone(),
        asked_of: doc.asked_of,
        family: doc.family.clone().unwrap_or_else(|| doc.id.clone()),
        synonyms: doc.synonyms.clone(),
        codings,
    }
}

/// A coding is `system:code`.
pub fn check_coding(coding: &str, at: At<'_>, found: &mut Vec<Diagnostic>) -> bool {
    let good = coding.split_once(':').is_some_and(|(system, code)| {
        !code.is_empty()
            && !system.is_empty()
            && system.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !coding.contains(char::is_whitespace)
    });
    if !good {
        let message = format!("`{coding}` is not a coding");
        found.push(
            Diagnostic::error(Code::Coding, Some(at.place()), message)
                .help("write `\"system:code\"`, such as `\"snomed:271807003\"`"),
        );
    }
    good
}

fn kind(doc: &FindingDoc, at: At<'_>, found: &mut Vec<Diagnostic>) -> Option<Kind> {
    let before = found.len();
    let number = doc.kind == KindDoc::Number;
    let choice = matches!(doc.kind, KindDoc::Choice | KindDoc::MultipleChoice);
    for (key, given, belongs) in [
        ("unit", doc.unit.is_some(), number),
        ("range", doc.range.is_some(), number),
        ("options", !doc.options.is_empty(), choice),
    ] {
        if given && !belongs {
            let message = format!("`{key}` does not belong to this kind of finding");
            found.push(
                Diagnostic::error(Code::FindingKind, Some(at.key_itself(key).place()), message)
                    .help("leave it out, or change `kind`"),
            );
        }
        if !given && belongs {
            let message = format!("`{}` needs `{key}`", doc.id);
            let help = match key {
                "unit" => "write its UCUM unit, such as `unit: Cel`; `unit: \"1\"` for a pure number",
                "range" => "write the lowest and highest possible value, such as `range: [0, 125]`",
                _ => "list its options, each with `id` and `name`",
            };
            found.push(Diagnostic::error(Code::FindingKind, Some(at.place()), message).help(help));
        }
    }
    let mut options: Vec<OptionDef> = Vec::new();
    for (i, option) in doc.options.iter().enumerate() {
        let place = at.key("options").index(i).key("id").place();
        check_id(&option.id, &place, found);
        if options.iter().any(|known| known.id == option.id) {
            found.push(
                Diagnostic::error(Code::DuplicateId, Some(place), format!("the option `{}` is here twice", option.id))
                    .help("give one of the two another id"),
            );
        }
        options.push(OptionDef { id: option.id.clone(), name: option.name.clone() });
    }
    if let Some(code) = &doc.unit
        && number
        && unit::find(code).is_none()
    {
        let help = suggest::did_you_mean(code, unit::UNITS.iter().map(|unit| unit.code)).unwrap_or_else(|| {
            let known: Vec<&str> = unit::UNITS.iter().map(|unit| unit.code).collect();
            format!("write one of {} (UCUM)", suggest::quoted(&known))
        });
        found.push(
            Diagnostic::error(Code::Unit, Some(at.key("unit").place()), format!("unknown unit `{code}`")).help(help),
        );
    }
    if let Some([low, high]) = doc.range
        && number
        && !(low.is_finite() && high.is_finite() && low < high)
    {
        let message = "a range is two finite numbers, the lower one first";
        found.push(
            Diagnostic::error(Code::Range, Some(at.key("range").place()), message)
                .help("write it as `range: [0, 125]`"),
        );
    }
    if found.len() > before {
        return None;
    }
    Some(match doc.kind {
        KindDoc::YesNo => Kind::YesNo,
        KindDoc::Number => {
            let [low, high] = doc.range?;
            Kind::Number { unit: doc.unit.clone()?, low, high }
        }
        KindDoc::Choice => Kind::Choice { options },
        KindDoc::MultipleChoice => Kind::MultipleChoice { options },
    })
}

/// A list of yes-or-no findings by id.
pub fn yes_no_list(
    ids: &[String],
    at: At<'_>,
    vocabulary: &Vocabulary,
    names: &Names,
    found: &mut Vec<Diagnostic>,
) -> Vec<FindingIndex> {
    let mut list = Vec::new();
    for (i, id) in ids.iter().enumerate() {
        let place = at.index(i).place();
        let Some(index) = vocabulary.by_id(id) else {
            if !names.has("findings", id) {
                found.push(names.unknown(Code::UnknownFinding, "finding", id, &["findings"], place));
            }
            continue;
        };
        let kind = &vocabulary.get(index).kind;
        if *kind != Kind::YesNo {
            let message = format!("`{id}` is {}; only findings that are present or absent belong here", kind.words());
            found.push(
                Diagnostic::error(Code::YesNoOnly, Some(place), message).help("name a finding of `kind: yes_no`"),
            );
        } else if list.contains(&index) {
            found.push(
                Diagnostic::error(Code::DuplicateId, Some(place), format!("`{id}` is in this list twice"))
                    .help("name it once"),
            );
        } else {
            list.push(index);
        }
    }
    list
}

/// One finding tells others: what the plan runs before any rule.
#[derive(Debug, Clone)]
pub struct CheckedTell {
    /// What it looks at.
    pub when: Expr,
    /// Told present.
    pub present: Vec<FindingIndex>,
    /// Told absent.
    pub absent: Vec<FindingIndex>,
}

/// `implies` and `opposite_of` of all findings, as rules that tell.
pub fn relations(doc: &Doc, vocabulary: &Vocabulary, names: &Names, found: &mut Vec<Diagnostic>) -> Vec<CheckedTell> {
    use super::super::plan::Test::Present;
    let mut tells = Vec::new();
    let mut opposites: BTreeSet<(FindingIndex, FindingIndex)> = BTreeSet::new();
    for item in &doc.findings {
        let (Some(own), at) = (vocabulary.by_id(&item.doc.id), doc.at(item)) else { continue };
        let has_relations = !item.doc.implies.is_empty() || !item.doc.opposite_of.is_empty();
        if has_relations && vocabulary.get(own).kind != Kind::YesNo {
            let message = format!("`{}` is {}, so it can imply nothing", item.doc.id, vocabulary.get(own).kind.words());
            found.push(
                Diagnostic::error(Code::YesNoOnly, Some(at.place()), message)
                    .help("write a rule under `derived` instead"),
            );
            continue;
        }
        for implied in yes_no_list(&item.doc.implies, at.key("implies"), vocabulary, names, found) {
            tells.push(CheckedTell { when: Expr::Test(own, Present), present: vec![implied], absent: vec![] });
            let not_implied = Expr::Not(Box::new(Expr::Test(implied, Present)));
            tells.push(CheckedTell { when: not_implied, present: vec![], absent: vec![own] });
        }
        for other in yes_no_list(&item.doc.opposite_of, at.key("opposite_of"), vocabulary, names, found) {
            opposites.insert((own, other));
            opposites.insert((other, own));
        }
    }
    for (one, other) in opposites {
        tells.push(CheckedTell { when: Expr::Test(one, Present), present: vec![], absent: vec![other] });
    }
    tells
}

/// Derived findings, and the circles among them. Relations alone cannot run in a circle that matters: they only repeat
/// what was told.
pub fn derived_cycles(
    doc: &Doc,
    derived: &[(&Item<super::super::doc::DerivedDoc>, CheckedTell)],
    relations: &[CheckedTell],
    vocabulary: &Vocabulary,
    found: &mut Vec<Diagnostic>,
) {
    let mut edges: BTreeMap<FindingIndex, BTreeSet<FindingIndex>> = BTreeMap::new();
    let all = derived.iter().map(|(_, tell)| tell).chain(relations);
    for tell in all {
        let mut from = Vec::new();
        tell.when.findings(&mut from);
        for finding in from {
            edges.entry(finding).or_default().extend(tell.present.iter().chain(&tell.absent));
        }
    }
    for (item, tell) in derived {
        let mut from = Vec::new();
        tell.when.findings(&mut from);
        let reached = reachable(&edges, tell.present.iter().chain(&tell.absent).copied());
        if let Some(back) = from.iter().find(|finding| reached.contains(finding)) {
            let id = &vocabulary.get(*back).id;
            let message = format!("`{}` looks at `{id}` and also tells it, by itself or through others", item.doc.id);
            found.push(
                Diagnostic::error(Code::Cycle, Some(doc.at(item).key("when").place()), message)
                    .help("derived findings must run one way: break the circle, or use `implies` or `opposite_of`"),
            );
        }
    }
}

fn reachable(
    edges: &BTreeMap<FindingIndex, BTreeSet<FindingIndex>>,
    from: impl Iterator<Item = FindingIndex>,
) -> BTreeSet<FindingIndex> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<FindingIndex> = from.collect();
    while let Some(finding) = open.pop() {
        if reached.insert(finding) {
            open.extend(edges.get(&finding).into_iter().flatten());
        }
    }
    reached
}
