//! What to ask next, and when to stop.
//!
//! Owns the order of questions: the screen first, then what decides open red flags, then what an answer would decide.
//! Every supposed answer is evaluated by the same functions as a real one. The words are `explain`'s.

use super::answer::Outcome;
use super::evaluate::{
    Evaluation, FlagState, GroupEvaluation, deciding_findings, evaluate_group, group_urgency, is_askable, is_live,
    undecided_findings,
};
use super::finding::{Findings, GroupFindings};
use super::plan::{Ask, Plan, Test};
use super::truth::Truth;
use super::urgency::Urgency;
use super::vocabulary::{FindingIndex, Kind};
use std::collections::BTreeMap;

/// P(finding | something else) for the order of questions alone, where only an ordinal strength is given.
const ASSUMED_WITHOUT: f64 = 0.2;

/// Why something is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// Every patient is asked this.
    Screen,
    /// Observations contradict each other as if there were two kinds of spots.
    TwoKinds,
    /// It would decide this red flag.
    RedFlag(usize),
    /// It would change the ranking; the condition in first place, where there is one, and the one it speaks most for.
    Ranking,
}

/// One thing to ask.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The finding or box.
    pub ask: Ask,
    /// The group of spots; `None` for the person.
    pub group: Option<usize>,
    /// Why.
    pub why: Why,
}

/// The questions, most useful first, and whether to stop.
#[must_use]
pub fn next_questions(plan: &Plan, findings: &Findings, evaluation: &Evaluation) -> (Vec<Asked>, bool) {
    let emergency_fired = evaluation.groups.iter().any(|group| {
        plan.red_flags
            .iter()
            .zip(&group.red_flags)
            .any(|(flag, state)| *state == FlagState::Fired && flag.floor == Urgency::Emergency)
    });
    if emergency_fired {
        return (Vec::new(), true);
    }
    let mut asking = Asking { plan, findings, evaluation, asked: Vec::new() };
    asking.screen();
    asking.two_kinds();
    asking.red_flags();
    asking.ranking();
    let stop = asking.asked.is_empty();
    (asking.asked, stop)
}

struct Asking<'a> {
    plan: &'a Plan,
    findings: &'a Findings,
    evaluation: &'a Evaluation,
    asked: Vec<Asked>,
}

impl Asking<'_> {
    fn askable(&self, group: usize, finding: FindingIndex) -> bool {
        is_askable(
            self.plan,
            &self.findings.groups[group],
            &self.evaluation.groups[group],
            finding,
            self.findings.reporter,
        )
    }

    /// Adds a question once; questions about the person are asked once for all groups.
    fn push(&mut self, ask: Ask, group: usize, why: Why) {
        let about_person = match ask {
            Ask::Finding(finding) => self.plan.vocabulary.get(finding).about_person,
            Ask::Box(place) => {
                self.plan.boxes[place].findings.iter().all(|&finding| self.plan.vocabulary.get(finding).about_person)
            }
        };
        let group = (!about_person).then_some(group);
        if !self.asked.iter().any(|asked| asked.ask == ask && asked.group == group) {
            self.asked.push(Asked { ask, group, why });
        }
    }

    fn screen(&mut self) {
        for &ask in &self.plan.screen {
            for group in 0..self.evaluation.groups.len() {
                let pending = match ask {
                    Ask::Finding(finding) => self.askable(group, finding),
                    Ask::Box(place) => self.box_is_pending(group, place),
                };
                if pending {
                    self.push(ask, group, Why::Screen);
                }
            }
        }
    }

    /// A box is pending while a member can be asked; one that takes a single pick is done with the first pick.
    fn box_is_pending(&self, group: usize, place: usize) -> bool {
        let item = &self.plan.boxes[place];
        let picked = item.pick_one && item.findings.iter().any(|&finding| self.truth(group, finding).t());
        !picked && item.findings.iter().any(|&finding| self.askable(group, finding))
    }

    fn truth(&self, group: usize, finding: FindingIndex) -> Truth {
        self.plan.finding_atoms[finding.0]
            .clone()
            .map(|atom| self.evaluation.groups[group].atoms[atom])
            .fold(Truth::UNKNOWN, Truth::hear)
    }

    fn two_kinds(&mut self) {
        let Some(finding) = self.plan.ask_when_contradicted else { return };
        for (group, told) in self.findings.groups.iter().enumerate() {
            let about_spots = told.contradicted.iter().any(|&finding| !self.plan.vocabulary.get(finding).about_person)
                || self.plan.findings().iter().enumerate().any(|(i, definition)| {
                    !definition.about_person
                        && told.told[i]
                        && definition.kind == Kind::YesNo
                        && self.truth(group, FindingIndex(i)) == Truth::BOTH
                });
            if about_spots && told.name.is_empty() && self.askable(group, finding) {
                self.push(Ask::Finding(finding), group, Why::TwoKinds);
                // It comes right after the most urgent of the screen, since it sorts all other answers.
                if let Some(asked) = self.asked.pop() {
                    let place = self.asked.len().min(1);
                    self.asked.insert(place, asked);
                }
            }
        }
    }

    fn red_flags(&mut self) {
        let mut open: Vec<(Urgency, usize, usize)> = Vec::new();
        for (group, state) in self.evaluation.groups.iter().enumerate() {
            for (flag, definition) in self.plan.red_flags.iter().enumerate() {
                if matches!(state.red_flags[flag], FlagState::Open | FlagState::Precaution) {
                    open.push((definition.floor, flag, group));
                }
            }
        }
        open.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        let wanted: Vec<(usize, FindingIndex, usize)> = open
            .iter()
            .flat_map(|&(_, flag, group)| {
                let nodes = &self.evaluation.groups[group].nodes;
                deciding_findings(self.plan, &self.plan.red_flags[flag], nodes)
                    .into_iter()
                    .map(move |finding| (group, finding, flag))
            })
            .filter(|&(group, finding, _)| self.askable(group, finding))
            .collect();
        for &(group, finding, flag) in &wanted {
            let ask = self.by_box(group, finding, &|other| wanted.iter().any(|&(g, f, _)| g == group && f == other));
            self.push(ask, group, Why::RedFlag(flag));
        }
    }

    /// The box that asks for a finding together with others that are wanted too, else the finding's own question.
    fn by_box(&self, group: usize, finding: FindingIndex, wanted: &dyn Fn(FindingIndex) -> bool) -> Ask {
        let shared = self.plan.boxes.iter().position(|item| {
            item.findings.contains(&finding)
                && item.findings.iter().filter(|&&other| self.askable(group, other) && wanted(other)).count() >= 2
        });
        shared.map_or(Ask::Finding(finding), Ask::Box)
    }

    /// Everything else by the expected drop in the entropy of the shares, kept only when a single answer can change the
    /// urgency or the first place.
    fn ranking(&mut self) {
        let mut gains: Vec<BTreeMap<FindingIndex, f64>> = Vec::new();
        for group in 0..self.evaluation.groups.len() {
            let mut candidates: Vec<FindingIndex> = Vec::new();
            for rule in &self.plan.rules {
                candidates.extend(undecided_findings(self.plan, rule.node, &self.evaluation.groups[group].nodes));
            }
            candidates.sort_unstable();
            candidates.dedup();
            candidates.retain(|&finding| self.askable(group, finding));
            gains.push(
                candidates.into_iter().filter_map(|finding| Some((finding, self.gain(group, finding)?))).collect(),
            );
        }
        let mut order: Vec<(f64, Ask, usize)> = Vec::new();
        for (group, gains) in gains.iter().enumerate() {
            let mut by_ask: BTreeMap<Ask, f64> = BTreeMap::new();
            for (&finding, gain) in gains {
                let ask = self.by_box(group, finding, &|other| gains.contains_key(&other));
                *by_ask.entry(ask).or_default() += gain;
            }
            order.extend(by_ask.into_iter().map(|(ask, gain)| (gain, ask, group)));
        }
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        for (_, ask, group) in order {
            self.push(ask, group, Why::Ranking);
        }
    }

    /// The expected drop in entropy; `None` when no answer changes the urgency or the first place.
    fn gain(&self, group: usize, finding: FindingIndex) -> Option<f64> {
        let base = &self.evaluation.groups[group];
        let before = base.scores.entropy();
        let (mut changes, mut total, mut expected) = (false, 0.0, 0.0);
        for (assumed, answer) in self.answers(finding) {
            let mut told = self.findings.groups[group].clone();
            for (atom, truth) in answer {
                told.suppose(atom, finding, truth);
            }
            let after = evaluate_group(self.plan, &told);
            changes |= after.scores.first_place() != base.scores.first_place()
                || self.urgency_with(group, &after) != self.evaluation.urgency;
            let likely = (assumed * after.scores.total_odds / base.scores.total_odds).clamp(0.01, 0.99);
            total += likely;
            expected += likely * after.scores.entropy();
        }
        changes.then(|| before - expected / total)
    }

    /// The urgency if one group stood so. Red flags that were of no consequence stay so: an interview asks for what was
    /// made possible, not for every flag of the pack.
    fn urgency_with(&self, group: usize, after: &GroupEvaluation) -> Urgency {
        let base = &self.evaluation.groups[group];
        let flags = self.plan.red_flags.iter().zip(base.red_flags.iter().zip(&after.red_flags)).filter_map(
            |(flag, (was, is))| match (was, is) {
                (FlagState::Fired | FlagState::Open | FlagState::Precaution, FlagState::Fired) => Some(flag.floor),
                (FlagState::Precaution, FlagState::Dormant) if is_live(flag, &after.nodes) => flag.while_unknown,
                _ => None,
            },
        );
        let insufficient =
            (after.scores.outcome == Outcome::Insufficient).then_some(self.plan.header.insufficient_urgency);
        let others = self
            .evaluation
            .groups
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != group)
            .map(|(_, other)| group_urgency(self.plan, other));
        flags.chain(others).chain(insufficient).chain([after.by_conditions]).max().unwrap_or(Urgency::SelfCare)
    }

    /// Each possible answer: how likely with "something else", and what it tells.
    fn answers(&self, finding: FindingIndex) -> Vec<(f64, Vec<(usize, Truth)>)> {
        let atoms = self.plan.finding_atoms[finding.0].clone();
        match &self.plan.vocabulary.get(finding).kind {
            Kind::YesNo => {
                let without = self.assumed_without(finding);
                vec![
                    (without, atoms.clone().map(|atom| (atom, Truth::TRUE)).collect()),
                    (1.0 - without, atoms.map(|atom| (atom, Truth::FALSE)).collect()),
                ]
            }
            Kind::Choice { options } | Kind::MultipleChoice { options } => {
                #[expect(clippy::cast_precision_loss, reason = "a choice has few options")]
                let even = 1.0 / options.len() as f64;
                let single = matches!(self.plan.vocabulary.get(finding).kind, Kind::Choice { .. });
                atoms
                    .clone()
                    .map(|chosen| {
                        let tells = |atom| {
                            if atom == chosen {
                                Some((atom, Truth::TRUE))
                            } else {
                                single.then_some((atom, Truth::FALSE))
                            }
                        };
                        (even, atoms.clone().filter_map(tells).collect())
                    })
                    .collect()
            }
            Kind::Number { .. } => self.numbers(finding),
        }
    }

    /// One answer for each stretch between the constants that rules compare with.
    fn numbers(&self, finding: FindingIndex) -> Vec<(f64, Vec<(usize, Truth)>)> {
        let atoms = self.plan.finding_atoms[finding.0].clone();
        let mut values: Vec<i64> = atoms
            .clone()
            .flat_map(|atom| match self.plan.atoms[atom].test {
                Test::Below(limit) | Test::AtMost(limit) | Test::AtLeast(limit) | Test::Above(limit) => {
                    vec![limit - 1, limit, limit + 1]
                }
                Test::Present | Test::Option(_) => Vec::new(),
            })
            .collect();
        values.sort_unstable();
        values.dedup();
        let mut answers: Vec<Vec<(usize, Truth)>> = values
            .into_iter()
            .map(|value| {
                atoms.clone().map(|atom| (atom, Truth::told(self.plan.atoms[atom].test.holds(value)))).collect()
            })
            .collect();
        answers.dedup();
        #[expect(clippy::cast_precision_loss, reason = "a number has few constants")]
        let even = 1.0 / answers.len().max(1) as f64;
        answers.into_iter().map(|answer| (even, answer)).collect()
    }

    fn assumed_without(&self, finding: FindingIndex) -> f64 {
        let alone = |rule: &&super::plan::Rule| rule.without.is_some() && rule.findings == [finding];
        self.plan.rules.iter().find(alone).and_then(|rule| rule.without).unwrap_or(ASSUMED_WITHOUT)
    }
}

/// Whether a group was told anything both ways.
#[must_use]
pub(super) fn contradicted(plan: &Plan, told: &GroupFindings, group: &GroupEvaluation) -> Vec<FindingIndex> {
    (0..plan.findings().len())
        .map(FindingIndex)
        .filter(|finding| {
            told.contradicted.contains(finding)
                || (told.told[finding.0]
                    && plan.finding_atoms[finding.0].clone().any(|atom| group.atoms[atom] == Truth::BOTH))
        })
        .collect()
}
