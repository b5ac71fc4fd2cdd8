//! `(&Plan, &Findings) -> Evaluation`: total, deterministic, in dense ids.
//!
//! Owns what is true of each group of spots, the scores, the red flags and the urgency. It has no words (`explain`) and
//! chooses no question (`question`).

pub mod score;

use super::answer::{Outcome, UrgencyStatus};
use super::finding::{Findings, GroupFindings};
use super::plan::{Node, Plan};
use super::submission::Reporter;
use super::truth::Truth;
use super::urgency::Urgency;
use super::vocabulary::{AskedOf, FindingIndex};
use score::Scores;

/// Everything that follows from what was told.
#[derive(Debug, Clone)]
pub struct Evaluation {
    pub(super) groups: Vec<GroupEvaluation>,
    pub(super) urgency: Urgency,
    pub(super) status: UrgencyStatus,
    pub(super) could_rise_to: Urgency,
}

/// One group of spots, together with the person.
#[derive(Debug, Clone)]
pub struct GroupEvaluation {
    pub(super) atoms: Vec<Truth>,
    /// Atoms that were told by something which was itself told both ways.
    pub(super) contested: Vec<bool>,
    pub(super) nodes: Vec<Reading>,
    pub(super) scores: Scores,
    pub(super) red_flags: Vec<FlagState>,
    /// The urgency that conditions demand by their summed shares.
    pub(super) by_conditions: Urgency,
}

/// What a node was told, and what may be made of it.
///
/// A contradiction travels through derived findings, an alarm does not: what a contradicted finding tells is told (so a
/// fired red flag stays fired), but it is no evidence and excludes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// The told bits; red flags fire on them.
    pub(super) truth: Truth,
    /// The same with whatever rests on a contradiction read as Both; scores count only this.
    pub(super) evidence: Truth,
    /// Not plainly false, a contradiction being read as the dangerous of its halves.
    pub(super) can_be_true: bool,
    /// Not plainly true, likewise.
    pub(super) can_be_false: bool,
}

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

impl Evaluation {
    /// What a rule is evidence of, group by group: what its weight is chosen by.
    #[must_use]
    pub fn rule_truths(&self, plan: &Plan, rule: usize) -> Vec<Truth> {
        self.groups.iter().map(|group| group.nodes[plan.rules[rule].node].evidence).collect()
    }

    /// Whether the weight of a rule is part of a score in any group.
    #[must_use]
    pub fn rule_counts(&self, rule: usize) -> bool {
        self.groups.iter().any(|group| matches!(group.scores.tallies[rule], score::Tally::Counted(_)))
    }

    /// The same under a plan with other weights and nothing else changed. What was told, and with it every red flag,
    /// rests on no weight; whether the urgency is final is left as it was.
    #[must_use]
    pub(super) fn reweighed(&self, plan: &Plan) -> Self {
        let mut changed = self.clone();
        for group in &mut changed.groups {
            group.scores = score::scores(plan, &group.nodes);
            group.by_conditions = urgency_of_shares(plan, &group.scores);
        }
        changed.urgency =
            changed.groups.iter().map(|group| group_urgency(plan, group)).max().unwrap_or(Urgency::SelfCare);
        changed
    }

    /// Where a red flag stands, group by group.
    #[must_use]
    pub fn flag_states(&self, flag: usize) -> Vec<FlagState> {
        self.groups.iter().map(|group| group.red_flags[flag]).collect()
    }

    /// What was told of a red flag's `given`, where it has one, and of its `sign`, group by group.
    #[must_use]
    pub fn flag_truths(&self, plan: &Plan, flag: usize) -> Vec<(Option<Truth>, Truth)> {
        let flag = &plan.red_flags[flag];
        self.groups
            .iter()
            .map(|group| (flag.given.map(|node| group.nodes[node].truth), group.nodes[flag.sign].truth))
            .collect()
    }
}

/// Evaluates. Cannot fail: whatever could be wrong was refused when the findings were read.
#[must_use]
pub fn evaluate(plan: &Plan, findings: &Findings) -> Evaluation {
    let mut groups: Vec<GroupEvaluation> = findings.groups.iter().map(|group| evaluate_group(plan, group)).collect();
    let fired = groups.iter().filter_map(|group| fired_floor(plan, group)).max();
    for group in &mut groups {
        let live: Vec<bool> = plan.red_flags.iter().map(|flag| is_live(flag, &group.nodes)).collect();
        for (state, (flag, live)) in group.red_flags.iter_mut().zip(plan.red_flags.iter().zip(live)) {
            // A precaution at or below a floor that has fired for good changes nothing.
            if *state == FlagState::Dormant && live && flag.while_unknown > fired.max(Some(Urgency::SelfCare)) {
                *state = FlagState::Precaution;
            }
        }
    }
    let urgency = groups.iter().map(|group| group_urgency(plan, group)).max().unwrap_or(Urgency::SelfCare);
    let mut could_rise_to = urgency;
    for (group, told) in groups.iter_mut().zip(&findings.groups) {
        let screen = unanswered_screen(plan, told, group, findings.reporter);
        for i in 0..plan.red_flags.len() {
            let flag = &plan.red_flags[i];
            let state = group.red_flags[i];
            if flag.floor <= urgency || !matches!(state, FlagState::Dormant | FlagState::Precaution) {
                continue;
            }
            let deciding = deciding_findings(plan, flag, &group.nodes);
            let on_screen = deciding.iter().any(|finding| screen[finding.0]);
            let answerable = deciding.iter().any(|&finding| is_askable(plan, told, group, finding, findings.reporter));
            if answerable && (is_live(flag, &group.nodes) || on_screen) {
                could_rise_to = could_rise_to.max(flag.floor);
                if state == FlagState::Dormant {
                    group.red_flags[i] = FlagState::Open;
                }
            }
        }
    }
    let open = |group: &GroupEvaluation| {
        group.red_flags.iter().any(|state| matches!(state, FlagState::Precaution | FlagState::Open))
    };
    let status = if groups.iter().any(open) { UrgencyStatus::Provisional } else { UrgencyStatus::Final };
    Evaluation { groups, urgency, status, could_rise_to }
}

/// One group, with its red flags fired, excluded or dormant.
pub(super) fn evaluate_group(plan: &Plan, told: &GroupFindings) -> GroupEvaluation {
    let mut atoms = told.atoms.clone();
    let mut contested = vec![false; atoms.len()];
    let nodes = settle(plan, &mut atoms, &mut contested);
    let scores = score::scores(plan, &nodes);
    let red_flags = plan
        .red_flags
        .iter()
        .map(|flag| {
            let given = flag.given.map(|node| nodes[node]);
            let sign = nodes[flag.sign];
            let unless = flag.unless.is_some_and(|node| nodes[node].evidence == Truth::TRUE);
            if sign.truth.t() && given.is_none_or(|given| given.truth.t()) {
                FlagState::Fired
            } else if unless || !sign.can_be_true || given.is_some_and(|given| !given.can_be_true) {
                FlagState::Excluded
            } else {
                FlagState::Dormant
            }
        })
        .collect();
    let by_conditions = urgency_of_shares(plan, &scores);
    GroupEvaluation { atoms, contested, nodes, scores, red_flags, by_conditions }
}

/// Lets findings tell findings until nothing new is heard, and reads all nodes. Bits are only ever added, so this ends.
fn settle(plan: &Plan, atoms: &mut [Truth], contested: &mut [bool]) -> Vec<Reading> {
    loop {
        let nodes = read_nodes(plan, atoms, contested);
        let mut changed = false;
        for tell in plan.tells.iter().filter(|tell| nodes[tell.node].truth.t()) {
            let both = nodes[tell.node].evidence == Truth::BOTH;
            let present = tell.present.iter().map(|&atom| (atom, Truth::TRUE));
            for (atom, told) in present.chain(tell.absent.iter().map(|&atom| (atom, Truth::FALSE))) {
                let heard = atoms[atom].hear(told);
                changed |= heard != atoms[atom] || (both && !contested[atom]);
                atoms[atom] = heard;
                contested[atom] |= both;
            }
        }
        if !changed {
            return nodes;
        }
    }
}

fn read_nodes(plan: &Plan, atoms: &[Truth], contested: &[bool]) -> Vec<Reading> {
    let mut nodes: Vec<Reading> = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let reading = match node {
            Node::Atom(atom) => {
                let truth = atoms[*atom];
                let evidence = if contested[*atom] { Truth::BOTH } else { truth };
                let (can_be_true, can_be_false) = (evidence.possible(), evidence.negate().possible());
                Reading { truth, evidence, can_be_true, can_be_false }
            }
            Node::Not(inner) => {
                let inner = nodes[*inner];
                Reading {
                    truth: inner.truth.negate(),
                    evidence: inner.evidence.negate(),
                    can_be_true: inner.can_be_false,
                    can_be_false: inner.can_be_true,
                }
            }
            Node::All(items) => items
                .iter()
                .map(|&item| nodes[item])
                .reduce(|a, b| Reading {
                    truth: a.truth.and(b.truth),
                    evidence: a.evidence.and(b.evidence),
                    can_be_true: a.can_be_true && b.can_be_true,
                    can_be_false: a.can_be_false || b.can_be_false,
                })
                .unwrap_or_default(),
            Node::Any(items) => items
                .iter()
                .map(|&item| nodes[item])
                .reduce(|a, b| Reading {
                    truth: a.truth.or(b.truth),
                    evidence: a.evidence.or(b.evidence),
                    can_be_true: a.can_be_true || b.can_be_true,
                    can_be_false: a.can_be_false && b.can_be_false,
                })
                .unwrap_or_default(),
            Node::AtLeast(k, items) => {
                let count = |holds: fn(&Reading) -> bool| items.iter().filter(|&&item| holds(&nodes[item])).count();
                Reading {
                    truth: Truth::at_least(*k, items.iter().map(|&item| nodes[item].truth)),
                    evidence: Truth::at_least(*k, items.iter().map(|&item| nodes[item].evidence)),
                    can_be_true: count(|reading| reading.can_be_true) >= *k,
                    can_be_false: count(|reading| reading.can_be_false) + *k > items.len(),
                }
            }
        };
        nodes.push(reading);
    }
    nodes
}

fn fired_floor(plan: &Plan, group: &GroupEvaluation) -> Option<Urgency> {
    flags_in(plan, group, FlagState::Fired).map(|flag| flag.floor).max()
}

fn flags_in<'a>(
    plan: &'a Plan,
    group: &'a GroupEvaluation,
    wanted: FlagState,
) -> impl Iterator<Item = &'a super::plan::RedFlag> {
    plan.red_flags.iter().zip(&group.red_flags).filter(move |(_, state)| **state == wanted).map(|(flag, _)| flag)
}

/// The urgency that one group demands: a maximum, so that nothing lowers it.
pub(super) fn group_urgency(plan: &Plan, group: &GroupEvaluation) -> Urgency {
    let fired = fired_floor(plan, group);
    let precaution = flags_in(plan, group, FlagState::Precaution).filter_map(|flag| flag.while_unknown).max();
    let insufficient = (group.scores.outcome == Outcome::Insufficient).then_some(plan.header.insufficient_urgency);
    [fired, precaution, insufficient, Some(group.by_conditions)]
        .into_iter()
        .flatten()
        .max()
        .unwrap_or(Urgency::SelfCare)
}

/// Danger is summed over conditions before it is compared: six rare dangers at 4 % each are one danger at 24 %.
fn urgency_of_shares(plan: &Plan, scores: &Scores) -> Urgency {
    Urgency::ALL
        .into_iter()
        .rev()
        .find(|&level| {
            plan.header.act_at[level.index()].is_some_and(|act_at| share_at_or_above(plan, scores, level) >= act_at)
        })
        .unwrap_or(Urgency::SelfCare)
}

/// Summed own shares of all conditions at this urgency or above.
pub(super) fn share_at_or_above(plan: &Plan, scores: &Scores, level: Urgency) -> f64 {
    plan.conditions
        .iter()
        .zip(&scores.own_shares)
        .filter(|(condition, _)| condition.urgency >= level)
        .map(|(_, share)| share)
        .sum()
}

/// Whether what makes a red flag worth asking about is there.
pub(super) fn is_live(flag: &super::plan::RedFlag, nodes: &[Reading]) -> bool {
    flag.given.is_some_and(|node| nodes[node].truth.t() || (flag.given_may_be_unknown && nodes[node].can_be_true))
}

/// The findings, not told yet, that would decide a red flag; sorted.
pub(super) fn deciding_findings(plan: &Plan, flag: &super::plan::RedFlag, nodes: &[Reading]) -> Vec<FindingIndex> {
    let mut findings = Vec::new();
    for node in flag.given.into_iter().chain([flag.sign]) {
        undecided(plan, nodes, node, true, &mut findings);
    }
    findings.sort_unstable();
    findings.dedup();
    findings
}

/// The findings, not told yet, that would decide a node either way; sorted.
pub(super) fn undecided_findings(plan: &Plan, node: usize, nodes: &[Reading]) -> Vec<FindingIndex> {
    let mut findings = Vec::new();
    undecided(plan, nodes, node, true, &mut findings);
    findings.sort_unstable();
    findings.dedup();
    findings
}

/// Collects what could still make `node` become `wanted`.
fn undecided(plan: &Plan, nodes: &[Reading], node: usize, wanted: bool, into: &mut Vec<FindingIndex>) {
    let reading = nodes[node];
    let (done, possible) =
        if wanted { (reading.truth.t(), reading.can_be_true) } else { (reading.truth.f(), reading.can_be_false) };
    if done || !possible {
        return;
    }
    match &plan.nodes[node] {
        Node::Atom(atom) => into.push(plan.atoms[*atom].finding),
        Node::Not(inner) => undecided(plan, nodes, *inner, !wanted, into),
        Node::All(items) | Node::Any(items) | Node::AtLeast(_, items) => {
            items.iter().for_each(|&item| undecided(plan, nodes, item, wanted, into))
        }
    }
}

/// Whether this reporter could still be asked for a finding: not told, not derived, not "don't know", and a question exists.
pub(super) fn is_askable(
    plan: &Plan,
    told: &GroupFindings,
    group: &GroupEvaluation,
    finding: FindingIndex,
    reporter: Reporter,
) -> bool {
    let definition = plan.vocabulary.get(finding);
    let may_answer = definition.asked_of == AskedOf::Patient || reporter == Reporter::Clinician;
    let derived = plan.finding_atoms[finding.0].clone().any(|atom| group.atoms[atom] != Truth::UNKNOWN);
    may_answer && !definition.ask.is_empty() && !told.told[finding.0] && !told.not_known[finding.0] && !derived
}

/// For each finding whether an unanswered screen question asks about it.
fn unanswered_screen(plan: &Plan, told: &GroupFindings, group: &GroupEvaluation, reporter: Reporter) -> Vec<bool> {
    let mut asked = vec![false; plan.findings().len()];
    for ask in &plan.screen {
        let findings = match ask {
            super::plan::Ask::Finding(finding) => std::slice::from_ref(finding),
            super::plan::Ask::Box(place) => &plan.boxes[*place].findings,
        };
        for &finding in findings {
            asked[finding.0] = is_askable(plan, told, group, finding, reporter);
        }
    }
    asked
}
