//! Red flags: which have fired, which are excluded, and which are still of consequence.
//!
//! Owns their states, precautions, and what could still raise the urgency. Only flags that something told touches are
//! read, and those that matter before anything is told.

use super::super::plan::Plan;
use super::super::plan::program::to_u32;
use super::super::submission::Reporter;
use super::super::urgency::Urgency;
use super::super::vocabulary::{AskedOf, FindingIndex};
use super::reading::Facts;
use super::{GroupEvaluation, GroupFindings, Truth};

/// Where a red flag stands in one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlagState {
    /// Its signs were told.
    Fired,
    /// Live, not answered, and its precaution is what keeps the urgency up.
    Precaution,
    /// Not answered, somebody can answer it, and it could raise the urgency.
    Open,
    /// Not answered, and of no consequence now.
    Dormant,
    /// It cannot fire unless something told is contradicted.
    Excluded,
}

/// A red flag that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flagged {
    pub flag: u32,
    pub state: FlagState,
    /// Whether what makes it worth asking about is there.
    pub live: bool,
    /// Whether its sign was told.
    pub has_sign: bool,
    /// Where the findings that would decide it begin and end among those of the group, where it is of consequence.
    pub deciding: (u32, u32),
}

impl Flagged {
    /// Whether its sign was told, and nothing is missing but what makes it live.
    pub fn is_half_told(&self) -> bool {
        self.state == FlagState::Dormant && self.has_sign
    }
}

/// Reads a red flag: fired, excluded or dormant.
pub fn flagged(plan: &Plan, facts: &Facts, flag: u32) -> Flagged {
    let definition = &plan.index.alarms[flag as usize];
    if definition.silent {
        return Flagged { flag, state: FlagState::Excluded, live: false, has_sign: false, deciding: (0, 0) };
    }
    let words = &plan.index.words;
    let given = definition.given.map(|given| facts.read(words, given));
    let sign = facts.read(words, definition.sign);
    let unless = || definition.unless.is_some_and(|unless| facts.read(words, unless).evidence() == Truth::TRUE);
    let state = if sign.is_told_true() && given.is_none_or(|given| given.is_told_true()) {
        FlagState::Fired
    } else if !sign.can_be_true() || given.is_some_and(|given| !given.can_be_true()) || unless() {
        FlagState::Excluded
    } else {
        FlagState::Dormant
    };
    let live =
        given.is_some_and(|given| given.is_told_true() || (definition.given_may_be_unknown && given.can_be_true()));
    Flagged { flag, state, live, has_sign: sign.is_told_true(), deciding: (0, 0) }
}

/// What [`flagged`] says of a red flag of which nothing that it looks at was told.
pub fn untouched(plan: &Plan, flag: u32) -> Flagged {
    let definition = &plan.index.alarms[flag as usize];
    let live = definition.given.is_some() && definition.given_may_be_unknown && !definition.silent;
    let state = if definition.silent { FlagState::Excluded } else { FlagState::Dormant };
    Flagged { flag, state, live, has_sign: false, deciding: (0, 0) }
}

/// The findings, not told yet, that would decide a red flag; unsorted.
pub fn deciding(plan: &Plan, facts: &Facts, flag: u32, into: &mut Vec<FindingIndex>) {
    let flag = &plan.index.alarms[flag as usize];
    for program in flag.given.into_iter().chain([flag.sign]) {
        facts.undecided(plan, program, into);
    }
}

/// Whether this reporter could still be asked for a finding: not told, not derived, not "don't know", and a question exists.
pub fn is_askable(plan: &Plan, told: &GroupFindings, facts: &Facts, finding: FindingIndex, reporter: Reporter) -> bool {
    let asked_of = plan.index.asked_of[finding.0];
    asked_of.is_some_and(|asked_of| asked_of == AskedOf::Patient || reporter == Reporter::Clinician)
        && facts.finding(plan, finding) == Truth::UNKNOWN
        && !told.is_told(finding)
        && !told.is_not_known(finding)
}

/// Live flags that are not answered stand as precautions. One at or below a floor that has fired for good changes nothing.
pub fn stand_by(plan: &Plan, group: &mut GroupEvaluation, fired: Option<Urgency>) {
    let above = fired.max(Some(Urgency::SelfCare));
    for flagged in &mut group.flags {
        let precaution = plan.index.alarms[flagged.flag as usize].while_unknown;
        if flagged.state == FlagState::Dormant && flagged.live && precaution > above {
            flagged.state = FlagState::Precaution;
        }
    }
}

/// Opens the flags that could raise the urgency and that somebody can answer, and notes what would decide them and those
/// that stand as precautions; returns how far the urgency could rise.
pub fn open(
    plan: &Plan,
    told: &GroupFindings,
    group: &mut GroupEvaluation,
    (urgency, reporter): (Urgency, Reporter),
) -> Urgency {
    let mut highest = urgency;
    let GroupEvaluation { facts, flags, deciding: all, .. } = group;
    for flagged in flags {
        let flag = &plan.index.alarms[flagged.flag as usize];
        let (is_precaution, is_dormant) = (flagged.state == FlagState::Precaution, flagged.state == FlagState::Dormant);
        let could_raise = flag.floor > urgency && (flagged.live || flag.on_screen);
        let is_of_consequence = is_precaution || (is_dormant && could_raise);
        if !is_of_consequence {
            continue;
        }
        let start = all.len();
        deciding(plan, facts, flagged.flag, all);
        sort_last(all, start);
        flagged.deciding = (to_u32(start), to_u32(all.len()));
        let can_ask = |finding: &&FindingIndex| is_askable(plan, told, facts, **finding, reporter);
        let mut asked = all[start..].iter().filter(can_ask);
        if could_raise && asked.any(|finding| flagged.live || plan.index.on_screen[finding.0]) {
            highest = highest.max(flag.floor);
            if is_dormant {
                flagged.state = FlagState::Open;
            }
        }
    }
    highest
}

/// Sorts the last findings of a list, and takes out what is there twice.
pub fn sort_last(findings: &mut Vec<FindingIndex>, start: usize) {
    findings[start..].sort_unstable();
    let mut end = start;
    for next in start..findings.len() {
        if end == start || findings[next] != findings[end - 1] {
            findings[end] = findings[next];
            end += 1;
        }
    }
    findings.truncate(end);
}
