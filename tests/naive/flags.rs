//! Red flags and the urgency, every flag each time.

use super::pack::{Ask, Flag, Pack};
use super::scores::Scores;
use super::{Facts, Told};
use rubor::engine::truth::Truth;
use rubor::engine::urgency::Urgency;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Fired,
    Precaution,
    Open,
    Dormant,
    Excluded,
}

/// One group of spots.
pub struct Group {
    pub name: String,
    pub facts: Facts,
    pub scores: Scores,
    pub flags: Vec<State>,
}

/// What follows from a request.
pub struct Evaluation {
    pub groups: Vec<Group>,
    pub urgency: Urgency,
    pub could_rise_to: Urgency,
    pub by_clinician: bool,
}

/// One thing told: finding, value, group.
pub type Statement = (usize, Told, String);

impl Group {
    pub fn new(pack: &Pack, name: &str, facts: Facts) -> Self {
        let scores = Scores::new(pack, &facts);
        let flags = pack.flags.iter().map(|flag| state(flag, &facts)).collect();
        Group { name: name.to_owned(), facts, scores, flags }
    }

    /// The urgency that the group demands.
    pub fn urgency(&self, pack: &Pack) -> Urgency {
        let floor = |(flag, state): (&Flag, &State)| match state {
            State::Fired => Some(flag.floor),
            State::Precaution => flag.while_unknown,
            _ => None,
        };
        let floors = pack.flags.iter().zip(&self.flags).filter_map(floor);
        let insufficient = (!self.scores.determined).then_some(pack.insufficient);
        floors.chain(insufficient).chain([self.scores.urgency(pack)]).max().expect("one at least")
    }
}

fn state(flag: &Flag, facts: &Facts) -> State {
    let given = flag.given.as_ref();
    if facts.truth(&flag.sign).t() && given.is_none_or(|given| facts.truth(given).t()) {
        return State::Fired;
    }
    let unless = flag.unless.as_ref().is_some_and(|unless| facts.evidence(unless) == Truth::TRUE);
    let possible = facts.can_be(&flag.sign, true) && given.is_none_or(|given| facts.can_be(given, true));
    if unless || !possible { State::Excluded } else { State::Dormant }
}

pub fn is_live(flag: &Flag, facts: &Facts) -> bool {
    flag.given.as_ref().is_some_and(|given| facts.truth(given).t() || (flag.or_unknown && facts.can_be(given, true)))
}

/// The findings that would decide a red flag.
pub fn deciding(flag: &Flag, facts: &Facts) -> BTreeSet<usize> {
    let mut findings = BTreeSet::new();
    for expr in flag.given.iter().chain([&flag.sign]) {
        facts.undecided(expr, true, &mut findings);
    }
    findings
}

pub fn evaluate(pack: &Pack, statements: &[Statement], by_clinician: bool) -> Evaluation {
    let about_person = |finding: usize| pack.findings[finding].about_person;
    let mut by_group: BTreeMap<&str, Vec<(usize, Told)>> = BTreeMap::new();
    for (finding, _, group) in statements {
        if !about_person(*finding) {
            by_group.entry(group).or_default();
        }
    }
    if by_group.is_empty() {
        by_group.insert("", Vec::new());
    }
    for (finding, told, group) in statements {
        for (name, list) in &mut by_group {
            if about_person(*finding) || group == name {
                list.push((*finding, told.clone()));
            }
        }
    }
    let mut groups: Vec<Group> =
        by_group.into_iter().map(|(name, told)| Group::new(pack, name, Facts::new(pack, told.into_iter()))).collect();
    let fired = |group: &Group| {
        pack.flags.iter().zip(&group.flags).filter(|(_, s)| **s == State::Fired).map(|(flag, _)| flag.floor).max()
    };
    let fired = groups.iter().filter_map(fired).max().unwrap_or(Urgency::SelfCare);
    for group in &mut groups {
        for (flag, state) in pack.flags.iter().zip(&mut group.flags) {
            if *state == State::Dormant
                && is_live(flag, &group.facts)
                && flag.while_unknown.is_some_and(|precaution| precaution > fired)
            {
                *state = State::Precaution;
            }
        }
    }
    let urgency = groups.iter().map(|group| group.urgency(pack)).max().expect("one group at least");
    let could_rise_to =
        groups.iter_mut().map(|group| open(pack, group, urgency, by_clinician)).max().unwrap_or(urgency);
    Evaluation { groups, urgency, could_rise_to: could_rise_to.max(urgency), by_clinician }
}

/// Opens the flags that could raise the urgency.
fn open(pack: &Pack, group: &mut Group, urgency: Urgency, by_clinician: bool) -> Urgency {
    let screen: BTreeSet<usize> = pack
        .screen
        .iter()
        .flat_map(|ask| match ask {
            Ask::Finding(finding) => vec![*finding],
            Ask::Box(place) => pack.boxes[*place].findings.clone(),
        })
        .collect();
    let mut highest = urgency;
    for (flag, state) in pack.flags.iter().zip(&mut group.flags) {
        if flag.floor <= urgency || !matches!(state, State::Dormant | State::Precaution) {
            continue;
        }
        let mut answerable = deciding(flag, &group.facts);
        answerable.retain(|&f| group.facts.is_askable(f, &pack.findings[f], by_clinician));
        let of_consequence = is_live(flag, &group.facts) || !answerable.is_disjoint(&screen);
        if !answerable.is_empty() && of_consequence {
            highest = highest.max(flag.floor);
            if *state == State::Dormant {
                *state = State::Open;
            }
        }
    }
    highest
}
