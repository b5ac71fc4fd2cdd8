//! What a colleague would remark on: a pack that can serve, and yet says something its author hardly meant.
//!
//! Owns the warnings over a checked pack and over what its worked cases showed. It refuses nothing: `check` does. Text is
//! `lint::text`'s, names are `lint::names`', rules are `lint::rules`', and what can be true at all is `lint::logic`'s.

mod logic;
mod names;
mod rules;
mod text;

use super::case::Shown;
use super::check::Checked;
use super::diagnostic::{Code, Diagnostic, Place};
use super::parse::Doc;
use super::plan::Plan;
use std::collections::BTreeMap;

/// Where conditions and red flags are declared, for warnings about what cases show; a plan holds no places.
#[derive(Debug, Clone, Default)]
pub struct Declared {
    header: Option<Place>,
    conditions: BTreeMap<String, Place>,
    red_flags: BTreeMap<String, Place>,
}

impl Declared {
    /// The places of a checked pack.
    pub fn of(checked: &Checked<'_>) -> Self {
        let place = |id: &str, at: super::parse::tree::At<'_>| (id.to_owned(), at.key("id").place());
        Self {
            header: checked.doc.packs.first().map(|pack| checked.doc.at(pack).key("id").place()),
            conditions: checked.conditions.iter().map(|item| place(&item.doc.id, item.at)).collect(),
            red_flags: checked.red_flags.iter().map(|item| place(&item.doc.id, item.at)).collect(),
        }
    }
}

/// Warnings about the words an author wrote in one file, whether or not the rules are right.
pub fn words(doc: &Doc, file: &str, found: &mut Vec<Diagnostic>) {
    text::check(doc, file, found);
}

/// Warnings about names and rules.
pub fn meaning(checked: &Checked<'_>, plan: &Plan, found: &mut Vec<Diagnostic>) {
    names::check(checked, found);
    rules::check(checked, plan, found);
}

/// Warnings about what no case shows.
pub fn unshown(declared: &Declared, shown: &Shown) -> Vec<Diagnostic> {
    if shown.cases == 0 {
        // One remark says it all; one for every red flag would bury the others.
        let message = "this pack has no worked cases, so nothing shows that its rules do what is meant";
        let help = "put a file into `cases/`: a patient, what is told, and what must come of it";
        return vec![Diagnostic::warning(Code::NoCases, declared.header.clone(), message).help(help)];
    }
    let flags = declared.red_flags.iter().filter(|(id, _)| !shown.fired.contains(*id)).map(|(id, place)| {
        let message = format!("no worked case makes the red flag `{id}` fire");
        Diagnostic::warning(Code::SilentRedFlag, Some(place.clone()), message)
            .help("add a case that tells its signs and names it under `expect: red_flags`")
    });
    let conditions = declared.conditions.iter().filter(|(id, _)| !shown.first.contains(*id)).map(|(id, place)| {
        let message = format!("no worked case ranks `{id}` first");
        Diagnostic::warning(Code::NeverFirst, Some(place.clone()), message)
            .help("add a case that tells what is typical of it and expects it under `top`")
    });
    flags.chain(conditions).collect()
}

/// Codings that stand for several conditions, with their ids. A remark and no warning: codes are coarser than conditions.
#[must_use]
pub fn shared_codings(plan: &Plan) -> Vec<(String, Vec<String>)> {
    let mut conditions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for condition in &plan.conditions {
        for coding in &condition.codings {
            conditions.entry(coding).or_default().push(condition.id.clone());
        }
    }
    let shared = conditions.into_iter().filter(|(_, ids)| ids.len() > 1);
    shared.map(|(coding, ids)| (coding.to_owned(), ids)).collect()
}
