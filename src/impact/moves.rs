//! Worked cases under two sets of rules: what moves, and how dangerous that is.
//!
//! Owns the comparison of answers and its order: a lower urgency first, then a red flag that no longer fires.

use std::collections::{BTreeMap, BTreeSet};

use super::words::Change;
use crate::engine;
use crate::engine::AnswerOptions;
use crate::engine::answer::{Answer, Counting, Outcome, RedFlagState, UrgencyReasonKind};
use crate::engine::case::{Case, UNDETERMINED};
use crate::engine::plan::Plan;
use crate::engine::submission::Submission;
use crate::engine::urgency::Urgency;

/// A case to compare by.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The case's id.
    pub id: &'a str,
    /// Its title.
    pub title: &'a str,
    /// Where what is told comes from, where the two packs tell it differently; else empty.
    pub from: &'static str,
    /// What is told.
    pub submission: &'a Submission,
}

/// What one set of rules says to a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The urgency.
    pub urgency: Urgency,
    /// Its weightiest reason, in words.
    pub reason: String,
    /// Each group of spots and its first place, or `undetermined`.
    pub first_places: BTreeMap<String, String>,
    /// The red flags that fired, sorted.
    pub fired: Vec<String>,
}

/// A case whose answer moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The case's id.
    pub case: String,
    /// Its title.
    pub title: String,
    /// Where what is told comes from, where the two packs tell it differently; else empty.
    pub from: &'static str,
    /// How dangerous it is.
    pub danger: Danger,
    /// Under the old rules.
    pub old: Seen,
    /// Under the new rules.
    pub new: Seen,
    /// The changes of rules that both answers rest on, in words.
    pub through: Vec<String>,
}

impl Move {
    /// Red flags that fire no more.
    #[must_use]
    pub fn flags_lost(&self) -> Vec<&str> {
        self.old.fired.iter().filter(|id| !self.new.fired.contains(id)).map(String::as_str).collect()
    }

    /// Red flags that fire now.
    #[must_use]
    pub fn flags_gained(&self) -> Vec<&str> {
        self.new.fired.iter().filter(|id| !self.old.fired.contains(id)).map(String::as_str).collect()
    }
}

/// How dangerous a move is; the order of the variants is the order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Danger {
    /// The urgency fell.
    LessUrgent,
    /// A red flag fires no more.
    FlagLost,
    /// Another condition comes first, or none can be named any more.
    FirstPlace,
    /// A red flag fires that did not.
    FlagGained,
    /// The urgency rose.
    MoreUrgent,
}

impl Danger {
    /// In one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Danger::LessUrgent => "less_urgent",
            Danger::FlagLost => "red_flag_lost",
            Danger::FirstPlace => "first_place",
            Danger::FlagGained => "red_flag_gained",
            Danger::MoreUrgent => "more_urgent",
        }
    }
}

/// A case that one of the two packs cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The case's id.
    pub case: String,
    /// `old` or `new`: whose rules cannot read it.
    pub side: &'static str,
    /// The first thing that is wrong, with its field.
    pub reason: String,
}

/// The cases of both packs, each once; twice where the two tell different things under one id.
#[must_use]
pub fn of_both<'a>(old: &'a [Case], new: &'a [Case]) -> Vec<Told<'a>> {
    fn told<'a>(case: &'a Case, from: &'static str) -> Told<'a> {
        Told { id: &case.id, title: &case.title, from, submission: &case.submission }
    }
    let mut all = Vec::new();
    for case in new {
        match old.iter().find(|other| other.id == case.id) {
            Some(other) if other.submission != case.submission => {
                all.push(told(other, "as the old pack tells it"));
                all.push(told(case, "as the new pack tells it"));
            }
            _ => all.push(told(case, "")),
        }
    }
    all.extend(old.iter().filter(|case| new.iter().all(|other| other.id != case.id)).map(|case| told(case, "")));
    all.sort_by_key(|told| (told.id, told.from));
    all
}

/// Runs every case under both plans; moves come most dangerous first.
#[must_use]
pub fn moves(old: &Plan, new: &Plan, cases: &[Told<'_>], changes: &[Change]) -> (Vec<Move>, Vec<Unreadable>) {
    let options = AnswerOptions { max_differentials: 3, omit_questions: true, ..AnswerOptions::default() };
    let (mut moved, mut unreadable) = (Vec::new(), Vec::new());
    for told in cases {
        let mut answer = |plan: &Plan, side: &'static str| {
            engine::answer(plan, told.submission, &options)
                .map_err(|violations| {
                    let reason = violations.first().map(|first| format!("{}: {}", first.field, first.reason));
                    let reason = reason.unwrap_or_default();
                    unreadable.push(Unreadable { case: told.id.to_owned(), side, reason });
                })
                .ok()
        };
        let (was, is) = (answer(old, "old"), answer(new, "new"));
        if let (Some(was), Some(is)) = (was, is) {
            moved.extend(compare(told, &was, &is, changes));
        }
    }
    // A drop from the top is worse than one from below, and a deeper drop is worse than a small one.
    moved.sort_by_key(|item: &Move| {
        (item.danger, std::cmp::Reverse(item.old.urgency), item.new.urgency, item.case.clone(), item.from)
    });
    (moved, unreadable)
}

fn compare(told: &Told<'_>, was: &Answer, is: &Answer, changes: &[Change]) -> Option<Move> {
    let (old, new) = (seen(was), seen(is));
    let lost = old.fired.iter().any(|id| !new.fired.contains(id));
    let gained = new.fired.iter().any(|id| !old.fired.contains(id));
    let danger = if new.urgency < old.urgency {
        Danger::LessUrgent
    } else if lost {
        Danger::FlagLost
    } else if old.first_places != new.first_places && old.urgency == new.urgency {
        Danger::FirstPlace
    } else if gained && old.urgency == new.urgency {
        Danger::FlagGained
    } else if new.urgency > old.urgency {
        Danger::MoreUrgent
    } else {
        return None;
    };
    let through = through(was, is, changes);
    Some(Move { case: told.id.to_owned(), title: told.title.to_owned(), from: told.from, danger, old, new, through })
}

fn seen(answer: &Answer) -> Seen {
    let first_places = answer.groups.iter().map(|group| {
        let first = if group.outcome == Outcome::Insufficient { UNDETERMINED } else { &group.first_place };
        (group.group.clone(), first.to_owned())
    });
    let fired: BTreeSet<String> =
        answer.red_flags.iter().filter(|flag| flag.state == RedFlagState::Fired).map(|flag| flag.id.clone()).collect();
    Seen {
        urgency: answer.urgency,
        reason: answer.urgency_reasons.first().map_or_else(String::new, |reason| reason.text.clone()),
        first_places: first_places.collect(),
        fired: fired.into_iter().collect(),
    }
}

/// The changes that either answer rests on: its red flags, the rules that count for its first places, its thresholds.
fn through(was: &Answer, is: &Answer, changes: &[Change]) -> Vec<String> {
    let mut ids: BTreeSet<&str> = BTreeSet::new();
    let mut thresholds = false;
    for answer in [was, is] {
        ids.extend(answer.red_flags.iter().map(|flag| flag.id.as_str()));
        for item in &answer.differentials {
            ids.insert(&item.condition.id);
            let counted = item.contributions.iter().filter(|one| one.counting == Counting::Counted);
            ids.extend(counted.map(|one| one.rule_id.as_str()));
        }
        thresholds |= answer.urgency_reasons.first().is_some_and(|reason| {
            matches!(reason.kind, UrgencyReasonKind::Conditions | UrgencyReasonKind::Insufficient)
        });
    }
    let concerns = |change: &&Change| match change.what {
        "red flag" | "condition" => ids.contains(change.id.as_str()),
        // A rule of an evidence set counts under the conditions that include it.
        "rule" => {
            let local = change.id.split_once('.').map_or("", |(_, local)| local);
            ids.contains(change.id.as_str()) || ids.iter().any(|id| id.split_once('.').is_some_and(|(_, l)| l == local))
        }
        "pack" => thresholds,
        _ => false,
    };
    changes
        .iter()
        .filter(concerns)
        .map(|change| format!("{} {} {}: {}", change.what, change.id, change.kind.as_str(), change.words.join("; ")))
        .collect()
}
