//! The ranked list in dense ids: each condition with its score, its reasons and the rules that are not decided.
//!
//! Owns what is listed and in which order. `explain` puts it into words, and whoever only sends an answer away can write
//! the words out of the plan without building them anew.

use super::answer::{Counting, Direction};
use super::evaluate::Evaluation;
use super::evaluate::score::{Families, Tally};
use super::explain::AnswerOptions;
use super::plan::Plan;
use super::plan::program::to_u32;
use super::truth::Truth;
use super::vocabulary::FindingIndex;
use super::weight::Weight;
use std::ops::Range;

/// How many differentials a group lists where nothing else is asked for.
const DIFFERENTIALS: usize = 10;

/// The differentials of an evaluation. What belongs to each stands side by side in the lists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// Group by group, ranked within each group.
    pub conditions: Vec<Listed>,
    /// The reasons of all.
    pub reasons: Vec<Reason>,
    /// The undecided rules of all.
    pub undecided: Vec<UndecidedRule>,
    /// The findings of all.
    pub findings: Vec<FindingIndex>,
}

/// A condition in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// 1 for the first place in its group.
    pub rank: u32,
    /// The group's place among the groups of the findings.
    pub group: usize,
    /// Its place in the plan.
    pub condition: usize,
    /// Sum of the reasons that count.
    pub score_decibans: f64,
    /// Its own share and those of its children.
    pub share: f64,
    /// Its own share alone.
    pub own_share: f64,
    /// Its stretch of the reasons.
    pub reasons: Range<usize>,
    /// Its stretch of the undecided rules.
    pub undecided: Range<usize>,
}

/// One reason in a score.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// The rule's place in the plan; `None` for the prior.
    pub rule: Option<usize>,
    /// For or against.
    pub direction: Direction,
    /// Weight in decibans.
    pub weight_decibans: f64,
    /// The same weight as a likelihood ratio.
    pub likelihood_ratio: f64,
    /// Whether it counts.
    pub counting: Counting,
    /// The rule that counts in its place.
    pub counted_by: Option<usize>,
    /// Its stretch of the findings: those that were told.
    pub findings: Range<usize>,
}

/// A rule that is not decided yet.
#[derive(Debug, Clone, PartialEq)]
pub struct UndecidedRule {
    /// Its place in the plan.
    pub rule: usize,
    /// Its stretch of the findings: those that would decide it.
    pub findings: Range<usize>,
}

/// The places of the conditions that one group lists.
pub(super) fn listed(plan: &Plan, evaluation: &Evaluation, options: &AnswerOptions, group: usize) -> Vec<usize> {
    let most = if options.max_differentials == 0 { DIFFERENTIALS } else { options.max_differentials };
    evaluation.groups()[group].scores.ranking(plan, most)
}

impl Listing {
    /// Lists what an evaluation holds, as much of it as the caller wants to see.
    #[must_use]
    pub fn of(plan: &Plan, evaluation: &Evaluation, options: &AnswerOptions) -> Self {
        let mut listing = Self::default();
        for place in 0..evaluation.groups().len() {
            for (condition, rank) in listed(plan, evaluation, options, place).into_iter().zip(1..) {
                let (reasons, undecided) = (listing.reasons.len(), listing.undecided.len());
                if !options.omit_rationale {
                    listing.add_reasons(plan, evaluation, place, condition);
                    listing.add_undecided(plan, evaluation, place, condition);
                }
                let scores = &evaluation.groups()[place].scores;
                listing.conditions.push(Listed {
                    rank,
                    group: place,
                    condition,
                    score_decibans: scores.score(plan, condition).decibans(),
                    share: scores.share(plan, condition),
                    own_share: scores.own_share(plan, condition),
                    reasons: reasons..listing.reasons.len(),
                    undecided: undecided..listing.undecided.len(),
                });
            }
        }
        listing
    }

    /// The prior, then what was heard: what counts first, the weightiest first.
    fn add_reasons(&mut self, plan: &Plan, evaluation: &Evaluation, group: usize, index: usize) {
        let condition = &plan.conditions[index];
        self.reasons.push(reason(None, condition.prior, Counting::Counted, None, 0..0));
        let group = &evaluation.groups()[group];
        let heard = group.scores.heard_of(to_u32(index));
        let tallies = Families::for_one(condition.families).tallies(plan, heard);
        let mut rules: Vec<(usize, Weight, Counting, Option<u32>)> = heard
            .iter()
            .zip(tallies)
            .map(|(heard, tally)| {
                let (weight, counting, by) = match tally {
                    Tally::Counted(weight) => (weight, Counting::Counted, None),
                    Tally::AlreadyCounted(weight, by) => (weight, Counting::AlreadyCounted, Some(by)),
                    Tally::Replaced(weight, by) => (weight, Counting::Replaced, Some(by)),
                    Tally::Contradicted(weight) => (weight, Counting::Contradicted, None),
                };
                (heard.rule as usize, weight, counting, by)
            })
            .collect();
        rules.sort_by(|a, b| a.2.cmp(&b.2).then(b.1.0.abs().cmp(&a.1.0.abs())).then(a.0.cmp(&b.0)));
        for (rule, weight, counting, by) in rules {
            let start = self.findings.len();
            let looked_at = plan.rules[rule].findings.iter().copied();
            self.findings.extend(looked_at.filter(|&f| group.facts.finding(plan, f) != Truth::UNKNOWN));
            let told = start..self.findings.len();
            self.reasons.push(reason(Some(rule), weight, counting, by.map(|by| by as usize), told));
        }
    }

    fn add_undecided(&mut self, plan: &Plan, evaluation: &Evaluation, group: usize, index: usize) {
        let facts = &evaluation.groups()[group].facts;
        for rule in plan.conditions[index].rules.clone() {
            let program = plan.index.programs[rule];
            if facts.read(&plan.index.words, program).truth() != Truth::UNKNOWN {
                continue;
            }
            let start = self.findings.len();
            facts.undecided(plan, program, &mut self.findings);
            // Few findings decide a rule.
            self.findings[start..].sort_unstable();
            let mut end = start;
            for next in start..self.findings.len() {
                if next == start || self.findings[next] != self.findings[end - 1] {
                    self.findings[end] = self.findings[next];
                    end += 1;
                }
            }
            self.findings.truncate(end);
            self.undecided.push(UndecidedRule { rule, findings: start..end });
        }
    }
}

fn reason(
    rule: Option<usize>,
    weight: Weight,
    counting: Counting,
    counted_by: Option<usize>,
    findings: Range<usize>,
) -> Reason {
    Reason {
        rule,
        direction: if weight < Weight::ZERO { Direction::ArguesAgainst } else { Direction::Supports },
        weight_decibans: weight.decibans(),
        likelihood_ratio: weight.ratio(),
        counting,
        counted_by,
        findings,
    }
}
