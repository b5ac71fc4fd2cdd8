//! Meaning: everything an author wrote, held against everything else, all mistakes at once.
//!
//! Owns `Checked`, which only this module can make, so that `compile` needs no `Result`. Syntax is `parse`'s, lowering
//! is `compile`'s.

pub mod evidence;
pub mod expr;
pub mod names;
pub mod vocabulary;

use super::diagnostic::{Code, Diagnostic, Severity};
use super::doc::{BoxDoc, DefinitionDoc, DerivedDoc, PackDoc};
use super::parse::tree::At;
use super::parse::{Doc, Item};
use super::urgency::Urgency;
use super::vocabulary::{FindingIndex, Vocabulary};
use evidence::{CheckedCondition, CheckedRedFlag};
use expr::{Expr, Resolver};
use names::{Names, check_id};
use std::collections::BTreeSet;
use vocabulary::CheckedTell;

/// A pack without errors: every name resolved, every number in its range.
#[derive(Debug)]
pub struct Checked<'a> {
    pub(super) doc: &'a Doc,
    pub(super) pack: &'a PackDoc,
    pub(super) vocabulary: Vocabulary,
    /// What `implies` and `opposite_of` say, then what `derived` says, in the author's order.
    pub(super) tells: Vec<CheckedTell>,
    /// How many of the tells come from `implies` and `opposite_of`.
    pub(super) relations: usize,
    /// The definitions with where they stand.
    pub(super) definitions: Vec<(&'a DefinitionDoc, At<'a>, Expr)>,
    pub(super) boxes: Vec<(&'a BoxDoc, Vec<FindingIndex>)>,
    pub(super) conditions: Vec<CheckedCondition<'a>>,
    pub(super) red_flags: Vec<CheckedRedFlag<'a>>,
}

/// Checks a pack. `Ok` carries warnings; `Err` carries everything, warnings too.
///
/// # Errors
/// All diagnostics, sorted by place, when any of them is an error.
pub fn check(doc: &Doc, mut found: Vec<Diagnostic>) -> Result<(Checked<'_>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let names = Names::collect(doc, &mut found);
    let pack = header(doc, &mut found);
    let vocabulary = vocabulary::vocabulary(doc, &mut found);
    let boxes = boxes(doc, &vocabulary, &names, &mut found);
    let relations = vocabulary::relations(doc, &vocabulary, &names, &mut found);
    let mut resolver = Resolver::new(doc, &names, &vocabulary);
    let derived = derived(doc, &names, &mut resolver);
    vocabulary::derived_cycles(doc, &derived, &relations, &vocabulary, &mut resolver.found);
    let sets = evidence::evidence_sets(doc, &names, &mut resolver);
    let conditions =
        doc.conditions.iter().map(|item| evidence::condition(doc, item, pack, &sets, &names, &mut resolver)).collect();
    let red_flags =
        doc.red_flags.iter().filter_map(|item| evidence::red_flag(doc, item, &names, &mut resolver)).collect();
    let definitions = doc
        .definitions
        .iter()
        .filter_map(|item| Some((&item.doc, doc.at(item), resolver.resolved(&item.doc.id)?)))
        .collect();
    found.append(&mut resolver.found);
    evidence::parent_cycles(doc, &mut found);
    if let Some(pack) = doc.packs.first() {
        screen(doc, pack, &vocabulary, &names, &mut found);
    }
    found.sort();
    found.dedup();
    let failed = found.iter().any(|problem| problem.severity == Severity::Error);
    match pack {
        Some(pack) if !failed => {
            let count = relations.len();
            let tells = relations.into_iter().chain(derived.into_iter().map(|(_, tell)| tell)).collect();
            Ok((
                Checked { doc, pack, vocabulary, tells, relations: count, definitions, boxes, conditions, red_flags },
                found,
            ))
        }
        _ => Err(found),
    }
}

fn header<'a>(doc: &'a Doc, found: &mut Vec<Diagnostic>) -> Option<&'a PackDoc> {
    let Some(first) = doc.packs.first() else {
        if !doc.broken.iter().any(|broken| broken.section == "pack") {
            let problem = Diagnostic::error(Code::Header, None, "no file of this pack holds a `pack` section");
            found.push(
                problem.help("write a `pack.yaml` with `pack:` and in it `id`, `title`, `version` and the thresholds"),
            );
        }
        return None;
    };
    let at = doc.at(first);
    for second in &doc.packs[1..] {
        let problem = Diagnostic::error(Code::Header, Some(doc.at(second).place()), "a pack has one header");
        found.push(problem.help("leave this one out").related(Some(at.place()), "the first one is here"));
    }
    let id = &first.doc.id;
    if !(id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && id.len() <= 64)
    {
        let problem =
            Diagnostic::error(Code::BadId, Some(at.key("id").place()), format!("`{id}` is not a good id for a pack"));
        found.push(problem.help("use lower-case words joined by `-`, at most 64 characters"));
    }
    thresholds(&first.doc, at, found);
    Some(&first.doc)
}

fn thresholds(pack: &PackDoc, at: At<'_>, found: &mut Vec<Diagnostic>) {
    let act_at = &pack.act_at;
    let levels = [
        ("emergency", Some(act_at.emergency)),
        ("urgent", Some(act_at.urgent)),
        ("prompt", Some(act_at.prompt)),
        ("routine", act_at.routine),
    ];
    let mut last = 0.0;
    for (key, share) in levels {
        let Some(share) = share else { continue };
        let at = at.key("act_at").key(key);
        if !(share > 0.0 && share <= 1.0) {
            found.push(
                Diagnostic::error(Code::Weight, Some(at.place()), "a threshold is a share above 0 and up to 1")
                    .help("write 0.05 for five per cent"),
            );
        } else if share < last {
            let message = "a milder level must not need a smaller share than a more urgent one";
            found.push(
                Diagnostic::error(Code::Weight, Some(at.place()), message)
                    .help("let the thresholds rise from `emergency` to `routine`"),
            );
        }
        last = share;
    }
    let frequencies = &pack.frequencies;
    let words = [
        ("very_rare", frequencies.very_rare),
        ("rare", frequencies.rare),
        ("uncommon", frequencies.uncommon),
        ("common", frequencies.common),
        ("very_common", frequencies.very_common),
    ];
    let mut last = 0.0;
    for (key, odds) in words {
        if !((1e-6..=1e3).contains(&odds) && odds >= last) {
            let message = "a frequency is odds against something else, above the rarer words and at most 1000";
            found.push(
                Diagnostic::error(Code::Weight, Some(at.key("frequencies").key(key).place()), message)
                    .help("let the odds rise from `very_rare` to `very_common`"),
            );
        }
        last = odds;
    }
    for (key, list) in [
        ("advice", pack.advice.iter().map(|item| item.urgency).collect::<Vec<_>>()),
        ("safety_net", pack.safety_net.iter().map(|item| item.urgency).collect()),
    ] {
        let needed = if key == "advice" { Urgency::ALL.as_slice() } else { &Urgency::ALL[..3] };
        for urgency in needed {
            let count = list.iter().filter(|given| *given == urgency).count();
            if count != 1 {
                let message = format!("`{key}` needs exactly one entry for `{urgency}`, and has {count}");
                found.push(
                    Diagnostic::error(Code::Count, Some(at.key(key).place()), message).help("every answer shows it"),
                );
            }
        }
    }
}

fn boxes<'a>(
    doc: &'a Doc,
    vocabulary: &Vocabulary,
    names: &Names,
    found: &mut Vec<Diagnostic>,
) -> Vec<(&'a BoxDoc, Vec<FindingIndex>)> {
    let mut boxes = Vec::new();
    for item in &doc.boxes {
        let at = doc.at(item);
        let members = vocabulary::yes_no_list(&item.doc.findings, at.key("findings"), vocabulary, names, found);
        if item.doc.findings.len() < 2 {
            let problem = Diagnostic::error(
                Code::Count,
                Some(at.key("findings").place()),
                "a box asks about at least two findings",
            );
            found.push(problem.help("let the finding be asked by its own question"));
        }
        if vocabulary.by_id(&item.doc.id).is_some() {
            let problem = Diagnostic::error(
                Code::DuplicateId,
                Some(at.key("id").place()),
                format!("`{}` is a finding and a box", item.doc.id),
            );
            found.push(problem.help("give the box another id: questions are named by it"));
        }
        boxes.push((&item.doc, members));
    }
    boxes
}

fn derived<'a>(
    doc: &'a Doc,
    names: &Names,
    resolver: &mut Resolver<'a, '_>,
) -> Vec<(&'a Item<DerivedDoc>, CheckedTell)> {
    let mut list = Vec::new();
    for item in &doc.derived {
        let at = doc.at(item);
        evidence::check_sources(&item.doc.sources, at.key("sources"), names, &mut resolver.found);
        if item.doc.present.is_empty() && item.doc.absent.is_empty() {
            let problem = Diagnostic::error(Code::Count, Some(at.place()), "a derived finding must tell something");
            resolver.found.push(problem.help("list findings under `present` or `absent`"));
        }
        let vocabulary = resolver.vocabulary();
        let present =
            vocabulary::yes_no_list(&item.doc.present, at.key("present"), vocabulary, names, &mut resolver.found);
        let absent =
            vocabulary::yes_no_list(&item.doc.absent, at.key("absent"), vocabulary, names, &mut resolver.found);
        if let Some(when) = resolver.expr(&item.doc.when, at.key("when")) {
            list.push((item, CheckedTell { when, present, absent }));
        }
    }
    list
}

fn screen(doc: &Doc, pack: &Item<PackDoc>, vocabulary: &Vocabulary, names: &Names, found: &mut Vec<Diagnostic>) {
    let at = doc.at(pack);
    let mut seen = BTreeSet::new();
    for (i, id) in pack.doc.screen.iter().enumerate() {
        if !names.has("findings", id) && !names.has("boxes", id) {
            found.push(names.unknown(
                Code::UnknownBox,
                "finding or box",
                id,
                &["findings", "boxes"],
                at.key("screen").index(i).place(),
            ));
        }
        if !seen.insert(id) {
            found.push(
                Diagnostic::error(
                    Code::DuplicateId,
                    Some(at.key("screen").index(i).place()),
                    format!("`{id}` is in the screen twice"),
                )
                .help("name it once"),
            );
        }
    }
    if let Some(id) = &pack.doc.ask_when_contradicted {
        let place = at.key("ask_when_contradicted").place();
        vocabulary::yes_no_list(std::slice::from_ref(id), at.key("ask_when_contradicted"), vocabulary, names, found);
        check_id(id, &place, found);
    }
    vocabulary::yes_no_list(&pack.doc.ask_when_told, at.key("ask_when_told"), vocabulary, names, found);
}
