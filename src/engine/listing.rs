//! The ranked list and the red flags in dense ids: each condition with its score, its reasons and the rules that are not
//! decided, each flag with its state and what would decide it.
//!
//! Owns what is listed and in which order. `explain` puts it into words, and whoever only sends an answer away can write
//! the words out of the plan without building them anew.

use super::answer::{Counting, Direction, RedFlagState};
use super::evaluate::Evaluation;
use super::evaluate::flag::{FlagState, deciding};
use super::evaluate::reading::Facts;
use super::evaluate::score::{Families, Tally};
use super::explain::AnswerOptions;
use super::plan::Plan;
use super::plan::program::to_u32;
use super::truth::Truth;
use super::urgency::Urgency;
use super::vocabulary::FindingIndex;
use super::weight::Weight;
use std::ops::Range;

/// How many differentials a group lists where nothing else is asked for.
const DIFFERENTIALS: usize = 10;

/// The red flags and the differentials of an evaluation. What belongs to each stands side by side in the lists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// Fired flags, precautions, then open flags; within each the highest floor first, then by id.
    pub red_flags: Vec<ListedFlag>,
    /// Group by group, ranked within each group.
    pub conditions: Vec<Listed>,
    /// The reasons of all.
    pub reasons: Vec<Reason>,
    /// The undecided rules of all.
    pub undecided: Vec<UndecidedRule>,
    /// The findings of all.
    pub findings: Vec<FindingIndex>,
}

/// A red flag in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedFlag {
    /// Its place in the plan.
    pub flag: usize,
    /// Fired, precaution or open.
    pub state: RedFlagState,
    /// The floor that holds.
    pub floor: Urgency,
    /// The group's place among the groups of the findings; `None` for one about the person.
    pub group: Option<usize>,
    /// A finding it rests on was told both ways.
    pub contradicted: bool,
    /// Its stretch of the findings: those that were told.
    pub findings: Range<usize>,
    /// Its stretch of the findings: those that would decide it.
    pub deciding: Range<usize>,
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
    /// Its stretch of the findings: those that would decide it. `None` stands for all that it looks at: none was told.
    pub findings: Option<Range<usize>>,
}

impl Listing {
    /// Lists what an evaluation holds, as much of it as the caller wants to see.
    #[must_use]
    pub fn of(plan: &Plan, evaluation: &Evaluation, options: &AnswerOptions) -> Self {
        let mut listing = Self {
            reasons: Vec::with_capacity(64),
            undecided: Vec::with_capacity(256),
            findings: Vec::with_capacity(512),
            ..Self::default()
        };
        let mut families = Families::default();
        families.reset(plan);
        listing.add_red_flags(plan, evaluation);
        let most = if options.max_differentials == 0 { DIFFERENTIALS } else { options.max_differentials };
        for place in 0..evaluation.groups().len() {
            for (condition, rank) in evaluation.groups()[place].scores.ranking(plan, most).into_iter().zip(1..) {
                let (reasons, undecided) = (listing.reasons.len(), listing.undecided.len());
                if !options.omit_rationale {
                    listing.add_reasons(plan, evaluation, place, condition, &mut families);
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

    /// The places of the conditions that one group lists, first place first.
    pub(super) fn of_group(&self, group: usize) -> impl Iterator<Item = usize> {
        self.conditions.iter().filter(move |listed| listed.group == group).map(|listed| listed.condition)
    }

    fn add_red_flags(&mut self, plan: &Plan, evaluation: &Evaluation) {
        for (place, group) in evaluation.groups().iter().enumerate() {
            for flagged in &group.flags {
                let state = match flagged.state {
                    FlagState::Fired => RedFlagState::Fired,
                    FlagState::Precaution => RedFlagState::Precaution,
                    FlagState::Open => RedFlagState::Open,
                    FlagState::Dormant | FlagState::Excluded => continue,
                };
                let flag = self.red_flag(plan, &group.facts, flagged.flag as usize, state);
                let group = (!plan.red_flags[flag.flag].about_person).then_some(place);
                self.red_flags.push(ListedFlag { group, ..flag });
            }
        }
        // Flags and groups are sorted by their names, so that their places sort alike.
        self.red_flags.sort_by_key(|flag| (flag.state, std::cmp::Reverse(flag.floor), flag.flag, flag.group));
        let findings = &self.findings;
        let told = |flag: &ListedFlag| (&findings[flag.findings.clone()], &findings[flag.deciding.clone()]);
        self.red_flags.dedup_by(|a, b| {
            let same = |flag: &ListedFlag| (flag.flag, flag.state, flag.floor, flag.group, flag.contradicted);
            same(a) == same(b) && told(a) == told(b)
        });
    }

    fn red_flag(&mut self, plan: &Plan, facts: &Facts, flag: usize, state: RedFlagState) -> ListedFlag {
        let definition = &plan.red_flags[flag];
        let both = |finding: &FindingIndex| {
            plan.finding_atoms[finding.0].clone().any(|atom| facts.atom(atom).evidence() == Truth::BOTH)
        };
        let findings = self.told_of(plan, facts, &definition.findings);
        let start = self.findings.len();
        if state != RedFlagState::Fired {
            deciding(plan, facts, definition, &mut self.findings);
        }
        ListedFlag {
            flag,
            state,
            floor: match state {
                RedFlagState::Precaution => definition.while_unknown.unwrap_or(definition.floor),
                _ => definition.floor,
            },
            group: None,
            contradicted: self.findings[findings.clone()].iter().any(both),
            findings,
            deciding: self.each_once(start),
        }
    }

    /// Those of the findings that were told, or follow from what was told.
    fn told_of(&mut self, plan: &Plan, facts: &Facts, looked_at: &[FindingIndex]) -> Range<usize> {
        let start = self.findings.len();
        let is_told = |finding: &FindingIndex| facts.finding(plan, *finding) != Truth::UNKNOWN;
        self.findings.extend(looked_at.iter().copied().filter(is_told));
        start..self.findings.len()
    }

    /// Sorts the last findings, and takes out what is there twice.
    fn each_once(&mut self, start: usize) -> Range<usize> {
        self.findings[start..].sort_unstable();
        let mut end = start;
        for next in start..self.findings.len() {
            if end == start || self.findings[next] != self.findings[end - 1] {
                self.findings[end] = self.findings[next];
                end += 1;
            }
        }
        self.findings.truncate(end);
        start..end
    }

    /// The prior, then what was heard: what counts first, the weightiest first.
    fn add_reasons(
        &mut self,
        plan: &Plan,
        evaluation: &Evaluation,
        group: usize,
        index: usize,
        families: &mut Families,
    ) {
        let condition = &plan.conditions[index];
        self.reasons.push(reason(None, condition.prior, Counting::Counted, None, 0..0));
        let group = &evaluation.groups()[group];
        let heard = group.scores.heard_of(to_u32(index));
        let tallies = families.tallies(plan, heard);
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
            let told = self.told_of(plan, &group.facts, &plan.rules[rule].findings);
            self.reasons.push(reason(Some(rule), weight, counting, by.map(|by| by as usize), told));
        }
    }

    fn add_undecided(&mut self, plan: &Plan, evaluation: &Evaluation, group: usize, index: usize) {
        let facts = &evaluation.groups()[group].facts;
        for rule in plan.conditions[index].rules.clone() {
            let start = self.findings.len();
            let speaker = &plan.index.speakers[rule];
            match facts.told(speaker) {
                // Most rules: nothing that they look at was told, so all of it would decide them.
                None if speaker.has_table => {
                    self.undecided.push(UndecidedRule { rule, findings: None });
                    continue;
                }
                Some(truth) if speaker.has_table && truth != Truth::UNKNOWN => continue,
                _ => {}
            }
            if facts.undecided(plan, plan.index.programs[rule], &mut self.findings).truth() == Truth::UNKNOWN {
                let findings = Some(self.each_once(start));
                self.undecided.push(UndecidedRule { rule, findings });
            } else {
                self.findings.truncate(start);
            }
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
