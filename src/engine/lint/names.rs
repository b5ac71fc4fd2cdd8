//! Names that lead nowhere, and one name for two things.
//!
//! Owns what counts as used. A finding is used where a rule, a red flag or a derived finding looks at it, also through a
//! definition, or where it tells such a finding by `implies` or `opposite_of`.

use super::super::check::Checked;
use super::super::check::expr::Expr;
use super::super::diagnostic::{Code, Diagnostic};
use super::super::doc::{ExprDoc, FindingDoc};
use super::super::parse::Item;
use super::super::vocabulary::FindingIndex;
use super::logic::findings_of;
use std::collections::{BTreeMap, BTreeSet};

/// All of them.
pub fn check(checked: &Checked<'_>, found: &mut Vec<Diagnostic>) {
    findings(checked, found);
    definitions(checked, found);
    sources(checked, found);
    let included: BTreeSet<&String> = checked.conditions.iter().flat_map(|item| &item.doc.include).collect();
    for item in checked.doc.evidence_sets.iter().filter(|item| !included.contains(&item.doc.id)) {
        let message = format!("no condition includes the evidence set `{}`", item.doc.id);
        found.push(
            Diagnostic::warning(Code::UnusedSet, Some(checked.doc.at(item).key("id").place()), message)
                .help("name it under `include` of a condition, or remove it"),
        );
    }
    shadows(checked, found);
}

/// Every expression that runs, by itself.
pub fn for_each_expr<'c>(checked: &'c Checked<'_>, mut see: impl FnMut(&'c Expr)) {
    checked.tells[checked.relations..].iter().for_each(|tell| see(&tell.when));
    checked.conditions.iter().flat_map(|condition| &condition.evidence).for_each(|rule| see(&rule.when));
    for flag in &checked.red_flags {
        [flag.given.as_ref(), Some(&flag.sign), flag.unless.as_ref()].into_iter().flatten().for_each(&mut see);
    }
}

/// The findings that something looks at, or that tell one of these.
pub fn looked_at(checked: &Checked<'_>) -> BTreeSet<FindingIndex> {
    let mut used = BTreeSet::new();
    for_each_expr(checked, |expr| used.extend(findings_of(expr)));
    let about_kinds = checked.pack.ask_when_contradicted.as_deref();
    used.extend(about_kinds.and_then(|id| checked.vocabulary.by_id(id)));
    loop {
        let before = used.len();
        for tell in &checked.tells[..checked.relations] {
            if tell.present.iter().chain(&tell.absent).any(|target| used.contains(target)) {
                used.extend(findings_of(&tell.when));
            }
        }
        if used.len() == before {
            return used;
        }
    }
}

fn findings(checked: &Checked<'_>, found: &mut Vec<Diagnostic>) {
    let used = looked_at(checked);
    let screen: BTreeSet<&str> = checked.pack.screen.iter().map(String::as_str).collect();
    let mut boxed: BTreeSet<FindingIndex> = BTreeSet::new();
    for (item, (doc, members)) in checked.doc.boxes.iter().zip(&checked.boxes) {
        boxed.extend(members);
        if !screen.contains(doc.id.as_str()) && !members.iter().any(|finding| used.contains(finding)) {
            let message = format!("the box `{}` is never asked: no rule looks at any of its findings", doc.id);
            found.push(
                Diagnostic::warning(Code::UnusedBox, Some(checked.doc.at(item).key("id").place()), message)
                    .help("write rules for its findings, or remove it"),
            );
        }
    }
    let told: BTreeSet<&FindingIndex> =
        checked.tells.iter().flat_map(|tell| tell.present.iter().chain(&tell.absent)).collect();
    for item in &checked.doc.findings {
        let Some(index) = checked.vocabulary.by_id(&item.doc.id) else { continue };
        let (id, at) = (&item.doc.id, checked.doc.at(item));
        let asked = boxed.contains(&index) || screen.contains(id.as_str());
        let of_the_patient = matches!(id.as_str(), "age" | "sex");
        if used.contains(&index) {
            let silent = item.doc.ask.is_empty() && !boxed.contains(&index) && !told.contains(&index);
            if silent && !of_the_patient {
                let message = format!("rules look at `{id}`, and no question asks about it");
                found.push(
                    Diagnostic::warning(Code::Unasked, Some(at.key("id").place()), message)
                        .help("give it an `ask`, put it into a box, or derive it"),
                );
            }
        } else if asked {
            let message = format!("`{id}` is asked, and no rule looks at the answer");
            found.push(
                Diagnostic::warning(Code::IdleQuestion, Some(at.key("id").place()), message)
                    .help("write a rule for it, or take it out of the box or the screen"),
            );
        } else {
            let message = format!("nothing uses the finding `{id}`");
            found.push(
                Diagnostic::warning(Code::UnusedFinding, Some(at.key("id").place()), message)
                    .help("write a rule for it, or remove it"),
            );
        }
    }
}

fn definitions(checked: &Checked<'_>, found: &mut Vec<Diagnostic>) {
    let doc = checked.doc;
    let parts: BTreeMap<&str, &ExprDoc> =
        doc.definitions.iter().map(|item| (item.doc.id.as_str(), &item.doc.when)).collect();
    let mut open: Vec<&str> = Vec::new();
    doc.derived.iter().for_each(|item| names_in(&item.doc.when, &mut open));
    let rules = doc
        .conditions
        .iter()
        .flat_map(|item| &item.doc.evidence)
        .chain(doc.evidence_sets.iter().flat_map(|item| &item.doc.evidence));
    rules.for_each(|rule| names_in(&rule.when, &mut open));
    for Item { doc: flag, .. } in &doc.red_flags {
        let exprs = [flag.given.as_ref(), flag.given_or_unknown.as_ref(), Some(&flag.sign), flag.unless.as_ref()];
        exprs.into_iter().flatten().for_each(|expr| names_in(expr, &mut open));
    }
    let mut used = BTreeSet::new();
    while let Some(name) = open.pop() {
        if let Some(when) = parts.get(name)
            && used.insert(name)
        {
            names_in(when, &mut open);
        }
    }
    for item in doc.definitions.iter().filter(|item| !used.contains(item.doc.id.as_str())) {
        let message = format!("nothing uses the definition `{}`", item.doc.id);
        found.push(
            Diagnostic::warning(Code::UnusedDefinition, Some(doc.at(item).key("id").place()), message)
                .help("use its name in a rule, or remove it"),
        );
    }
}

fn names_in<'d>(expr: &'d ExprDoc, into: &mut Vec<&'d str>) {
    match expr {
        ExprDoc::Name(name) => into.push(name),
        ExprDoc::Map(map) => {
            let lists = [&map.all, &map.any, &map.of];
            lists.into_iter().flatten().flatten().chain(&map.not).for_each(|inner| names_in(inner, into));
        }
    }
}

fn sources(checked: &Checked<'_>, found: &mut Vec<Diagnostic>) {
    let doc = checked.doc;
    let mut cited: BTreeSet<&str> = BTreeSet::new();
    let mut cite = |ids| cited.extend(<[String]>::iter(ids).map(String::as_str));
    doc.derived.iter().for_each(|item| cite(&item.doc.sources));
    doc.red_flags.iter().for_each(|item| cite(&item.doc.sources));
    for condition in doc.conditions.iter().map(|item| &item.doc) {
        cite(&condition.prior_sources);
        condition.evidence.iter().for_each(|rule| cite(&rule.sources));
        condition.next_steps.iter().chain(&condition.care).for_each(|advice| cite(&advice.sources));
    }
    doc.evidence_sets.iter().flat_map(|item| &item.doc.evidence).for_each(|rule| cite(&rule.sources));
    for item in doc.sources.iter().filter(|item| !cited.contains(item.doc.id.as_str())) {
        let message = format!("nothing cites the source `{}`", item.doc.id);
        found.push(
            Diagnostic::warning(Code::UnusedSource, Some(doc.at(item).key("id").place()), message)
                .help("name it under `sources` where it is meant, or remove it"),
        );
    }
}

/// Two things that a reader, or somebody who looks a word up, takes for one.
fn shadows(checked: &Checked<'_>, found: &mut Vec<Diagnostic>) {
    let doc = checked.doc;
    let mut warn = |place, message: String, first, what: &str, help: &str| {
        found.push(
            Diagnostic::warning(Code::Shadowed, Some(place), message).help(help).related(Some(first), what.to_owned()),
        );
    };
    let definitions: BTreeMap<&str, _> = doc.definitions.iter().map(|item| (item.doc.id.as_str(), item)).collect();
    for item in &doc.boxes {
        if let Some(other) = definitions.get(item.doc.id.as_str()) {
            let message = format!("`{}` is a box and a definition", item.doc.id);
            let (place, first) = (doc.at(item).key("id").place(), doc.at(other).key("id").place());
            warn(place, message, first, "the definition is here", "give one of the two another id");
        }
    }
    macro_rules! same_names {
        ($list:ident, $what:literal) => {{
            let mut seen = BTreeMap::new();
            for item in &doc.$list {
                let place = doc.at(item).key("name").place();
                if let Some((other, first)) =
                    seen.insert(item.doc.name.trim().to_lowercase(), (&item.doc.id, place.clone()))
                {
                    let message = format!("`{}` and `{other}` are called the same", item.doc.id);
                    let help = concat!("give one of the two ", $what, " a name that tells them apart");
                    warn(place, message, first, "the other one is here", help);
                }
            }
        }};
    }
    same_names!(findings, "findings");
    same_names!(conditions, "conditions");
    same_names!(red_flags, "red flags");
    let mut words: BTreeMap<String, (&Item<FindingDoc>, Option<usize>)> =
        doc.findings.iter().map(|item| (item.doc.id.replace('_', " "), (item, None))).collect();
    for item in &doc.findings {
        for (i, synonym) in item.doc.synonyms.iter().enumerate() {
            let word = synonym.replace('_', " ").trim().to_lowercase();
            let Some((other, at)) = words.insert(word, (item, Some(i))) else { continue };
            if other.doc.id == item.doc.id {
                continue;
            }
            let first = doc.at(other);
            let first = at.map_or(first.key("id"), |i| first.key("synonyms").index(i)).place();
            let message = format!("the synonym `{synonym}` of `{}` also means `{}`", item.doc.id, other.doc.id);
            let place = doc.at(item).key("synonyms").index(i).place();
            warn(place, message, first, "it is here too", "keep it with the finding that it means");
        }
    }
}
