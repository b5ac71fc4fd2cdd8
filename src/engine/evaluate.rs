//! `(&Plan, &Findings) -> Evaluation`: total, deterministic, in dense ids.
//!
//! Owns what is true of each group of spots, the scores, the red flags and the urgency. It has no words (`explain`) and
//! chooses no question (`question`). It pays for what a request touches, never for what the pack holds: a rule that
//! nothing told can make speak is not read, a condition of which no rule was heard stands at its prior, which was summed
//! when the plan was compiled. An [`Evaluation`] that is used again takes back only what it had touched, and allocates
//! nothing once its lists have grown.

pub(super) mod flag;
mod marks;
pub(super) mod reading;
pub(super) mod score;

use super::answer::{Outcome, UrgencyStatus};
use super::finding::{Findings, GroupFindings};
use super::plan::Plan;
use super::plan::program::to_u32;
use super::truth::Truth;
use super::urgency::Urgency;
use super::vocabulary::FindingIndex;
use flag::Flagged;
use marks::Marks;
use reading::Facts;
use score::{Families, Heard, Scores, Tally};
use std::hint::black_box;

pub use flag::FlagState;
pub(super) use flag::is_askable;

/// How many groups of spots an evaluation that is used again keeps room for; a request with more pays for its own.
const GROUPS_KEPT: usize = 4;

/// Everything that follows from what was told. It can be used again for other findings and other plans.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Those in use come first.
    pool: Vec<GroupEvaluation>,
    used: usize,
    work: Work,
    pub(super) urgency: Urgency,
    pub(super) status: UrgencyStatus,
    pub(super) could_rise_to: Urgency,
}

/// One group of spots, together with the person.
#[derive(Debug, Clone, Default)]
pub struct GroupEvaluation {
    pub(super) facts: Facts,
    pub(super) scores: Scores,
    /// The red flags that were read, ascending. All others are dormant, and nothing makes them of consequence.
    pub(super) flags: Vec<Flagged>,
    /// What would decide those of them that are of consequence.
    pub(super) deciding: Vec<FindingIndex>,
    /// The urgency that conditions demand by their summed shares.
    pub(super) by_conditions: Urgency,
}

/// What an evaluation works with and leaves empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Work {
    pub(super) rules: Marks,
    pub(super) flags: Marks,
    pub(super) families: Families,
    pub(super) ids: Vec<u32>,
}

impl Work {
    pub(super) fn reset(&mut self, plan: &Plan) {
        self.rules.reset(plan.rules.len());
        self.flags.reset(plan.red_flags.len());
        self.families.reset(plan);
    }

    /// Marks every rule that what was heard since the mark can make speak.
    pub(super) fn mark_speakers(&mut self, plan: &Plan, facts: &Facts, mark: usize) {
        facts.shown_since(mark, |literal| {
            plan.index.speakers_of.of(literal).iter().for_each(|&rule| self.rules.mark(rule));
        });
    }

    /// Marks every red flag that looks at what was heard since the mark.
    pub(super) fn mark_flags(&mut self, plan: &Plan, facts: &Facts, mark: usize) {
        for &(atom, _) in facts.heard_since(mark) {
            plan.index.flags_of.of(atom).iter().for_each(|&flag| self.flags.mark(flag));
        }
    }
}

/// Evaluates. Cannot fail: whatever could be wrong was refused when the findings were read.
#[must_use]
pub fn evaluate(plan: &Plan, findings: &Findings) -> Evaluation {
    let mut evaluation = Evaluation::default();
    evaluation.run(plan, findings);
    evaluation
}

impl Default for Evaluation {
    fn default() -> Self {
        Self {
            pool: Vec::new(),
            used: 0,
            work: Work::default(),
            urgency: Urgency::SelfCare,
            status: UrgencyStatus::Final,
            could_rise_to: Urgency::SelfCare,
        }
    }
}

impl Evaluation {
    /// Evaluates into this value, in place of what it held.
    pub fn run(&mut self, plan: &Plan, findings: &Findings) {
        self.used = findings.groups.len();
        self.pool.truncate(self.used.max(GROUPS_KEPT));
        self.pool.resize_with(self.used.max(self.pool.len()), GroupEvaluation::default);
        self.work.reset(plan);
        let Self { work, pool, .. } = self;
        let groups = &mut pool[..findings.groups.len()];
        for (group, told) in groups.iter_mut().zip(&findings.groups) {
            group.run(plan, told, work);
        }
        let fired = groups.iter().filter_map(|group| group.fired_floor(plan)).max();
        groups.iter_mut().for_each(|group| flag::stand_by(plan, group, fired));
        let urgency = groups.iter().map(|group| group.urgency(plan)).max().unwrap_or(Urgency::SelfCare);
        let mut could_rise_to = urgency;
        for (group, told) in groups.iter_mut().zip(&findings.groups) {
            let asked = (urgency, findings.reporter);
            could_rise_to = could_rise_to.max(flag::open(plan, told, group, asked));
        }
        let is_open = |flag: &Flagged| matches!(flag.state, FlagState::Precaution | FlagState::Open);
        let open = groups.iter().flat_map(|group| &group.flags).any(is_open);
        self.status = if open { UrgencyStatus::Provisional } else { UrgencyStatus::Final };
        (self.urgency, self.could_rise_to) = (urgency, could_rise_to);
    }

    /// Group by group, in the order of the findings.
    pub(super) fn groups(&self) -> &[GroupEvaluation] {
        &self.pool[..self.used]
    }

    /// What a rule is evidence of, group by group: what its weight is chosen by.
    #[must_use]
    pub fn rule_truths(&self, plan: &Plan, rule: usize) -> Vec<Truth> {
        self.groups().iter().map(|group| group.evidence(plan, rule)).collect()
    }

    /// Whether the weight of a rule is part of a score in any group.
    #[must_use]
    pub fn rule_counts(&self, plan: &Plan, rule: usize) -> bool {
        let (place, condition) = (to_u32(rule), plan.index.speakers[rule].condition);
        self.groups().iter().any(|group| {
            let heard = group.scores.heard_of(condition);
            heard.iter().position(|heard| heard.rule == place).is_some_and(|place| {
                let mut families = Families::for_one(plan.conditions[condition as usize].families);
                matches!(families.tallies(plan, heard)[place], Tally::Counted(_))
            })
        })
    }

    /// The same under a plan with other weights and nothing else changed. What was told, and with it every red flag,
    /// rests on no weight; whether the urgency is final is left as it was.
    #[must_use]
    pub(super) fn reweighed(&self, plan: &Plan) -> Self {
        let mut changed = self.clone();
        let Self { pool, work, used, .. } = &mut changed;
        pool[..*used].iter_mut().for_each(|group| group.weigh(plan, work));
        let urgency = changed.groups().iter().map(|group| group.urgency(plan)).max();
        changed.urgency = urgency.unwrap_or(Urgency::SelfCare);
        changed
    }

    /// Where a red flag stands, group by group.
    #[must_use]
    pub fn flag_states(&self, flag: usize) -> Vec<FlagState> {
        self.groups().iter().map(|group| group.flag(flag)).collect()
    }

    /// What was told of a red flag's `given`, where it has one, and of its `sign`, group by group.
    #[must_use]
    pub fn flag_truths(&self, plan: &Plan, flag: usize) -> Vec<(Option<Truth>, Truth)> {
        let flag = &plan.index.alarms[flag];
        let truth = |group: &GroupEvaluation, program| group.facts.read(&plan.index.words, program).truth();
        let of_group = |group| (flag.given.map(|given| truth(group, given)), truth(group, flag.sign));
        self.groups().iter().map(of_group).collect()
    }

    /// How many rules were read: what nothing told can make speak is not among them.
    #[must_use]
    pub fn rules_read(&self) -> usize {
        self.groups().iter().map(|group| group.scores.considered.len()).sum()
    }

    /// The rules that say something in one group, ascending, each by its place in the plan.
    pub fn rules_heard(&self, group: usize) -> impl Iterator<Item = usize> {
        self.groups()[group].scores.heard.iter().map(|heard| heard.rule as usize)
    }

    /// The conditions of one group that do not stand at their priors, ascending: each with its place in the plan and its
    /// score in decibans.
    pub fn scores(&self, group: usize) -> impl Iterator<Item = (usize, f64)> {
        let standings = self.groups()[group].scores.standings.iter();
        standings.map(|standing| (standing.condition as usize, standing.score.decibans()))
    }
}

impl GroupEvaluation {
    /// Evaluates one group, with its red flags fired, excluded or dormant.
    fn run(&mut self, plan: &Plan, told: &GroupFindings, work: &mut Work) {
        self.facts.reset(plan);
        told.atoms.iter().for_each(|&(atom, truth)| self.facts.hear(atom, truth));
        self.facts.settle(plan, 0);
        work.mark_speakers(plan, &self.facts, 0);
        self.scores.considered.clear();
        work.rules.drain_into(&mut self.scores.considered);
        // A number of each rule first: the machine fetches the lines of all of them at once, where reading them one by one
        // would wait for each.
        let speakers = &plan.index.speakers;
        black_box(self.scores.considered.iter().fold(0, |all, &rule| all ^ speakers[rule as usize].condition));
        self.weigh(plan, work);
        work.mark_flags(plan, &self.facts, 0);
        work.ids.clear();
        work.flags.drain_into(&mut work.ids);
        self.read_flags(plan, &work.ids);
    }

    /// Reads the red flags that something told touches, among those that need no reading because nothing does; both
    /// ascending.
    fn read_flags(&mut self, plan: &Plan, touched: &[u32]) {
        self.flags.clear();
        self.deciding.clear();
        let mut early = plan.index.early_flags.iter().copied().peekable();
        for &flag in touched {
            while let Some(untouched) = early.next_if(|&early| early < flag) {
                self.flags.push(flag::untouched(plan, untouched));
            }
            early.next_if_eq(&flag);
            self.flags.push(flag::flagged(plan, &self.facts, flag));
        }
        self.flags.extend(early.map(|flag| flag::untouched(plan, flag)));
    }

    /// Weighs what the rules that were read say.
    fn weigh(&mut self, plan: &Plan, work: &mut Work) {
        let scores = &mut self.scores;
        scores.heard.clear();
        for &rule in &scores.considered {
            let speaker = &plan.index.speakers[rule as usize];
            scores.heard.extend(Heard::of(rule, speaker, self.facts.evidence(plan, rule, speaker)));
        }
        scores.tally(plan, &mut work.families);
        self.by_conditions = scores.sums.urgency(plan);
    }

    /// What a rule is evidence of.
    pub(super) fn evidence(&self, plan: &Plan, rule: usize) -> Truth {
        self.facts.evidence(plan, to_u32(rule), &plan.index.speakers[rule])
    }

    /// Where a red flag stands.
    pub(super) fn flag(&self, flag: usize) -> FlagState {
        let place = self.flags.binary_search_by_key(&to_u32(flag), |flagged| flagged.flag);
        place.map_or(FlagState::Dormant, |place| self.flags[place].state)
    }

    /// The findings that would decide a red flag that is open or stands as a precaution, ascending.
    pub(super) fn deciding(&self, flagged: &Flagged) -> &[FindingIndex] {
        &self.deciding[flagged.deciding.0 as usize..flagged.deciding.1 as usize]
    }

    fn floors<'a>(&'a self, plan: &'a Plan, wanted: FlagState) -> impl Iterator<Item = &'a super::plan::Alarm> {
        let flags = self.flags.iter().filter(move |flagged| flagged.state == wanted);
        flags.map(|flagged| &plan.index.alarms[flagged.flag as usize])
    }

    /// The highest floor of the flags that fired.
    pub(super) fn fired_floor(&self, plan: &Plan) -> Option<Urgency> {
        self.floors(plan, FlagState::Fired).map(|flag| flag.floor).max()
    }

    /// The urgency that the group demands: a maximum, so that nothing lowers it.
    pub(super) fn urgency(&self, plan: &Plan) -> Urgency {
        let fired = self.fired_floor(plan);
        let precaution = self.floors(plan, FlagState::Precaution).filter_map(|flag| flag.while_unknown).max();
        let insufficient = (self.scores.outcome() == Outcome::Insufficient).then_some(plan.header.insufficient_urgency);
        fired.max(precaution).max(insufficient).max(Some(self.by_conditions)).unwrap_or(Urgency::SelfCare)
    }
}
