//! The ranked list, the red flags and the questions in dense ids: each condition with its score, its reasons and the rules
//! that are not decided, each flag with its state and what would decide it.
//!
//! Owns what is listed and in which order. `explain` puts it into words, and whoever only sends an answer away can write
//! the words out of the plan without building them anew.

use super::answer::{Counting, Direction, RedFlagState};
use super::evaluate::Evaluation;
use super::evaluate::flag::{FlagState, sort_last};
use super::evaluate::reading::Facts;
use super::evaluate::score::{Families, Heard, Tally};
use super::explain::AnswerOptions;
use super::plan::Plan;
use super::plan::program::to_u32;
use super::question::Asked;
use super::truth::Truth;
use super::urgency::Urgency;
use super::vocabulary::FindingIndex;
use super::weight::Weight;
use std::ops::Range;

/// How many differentials a group lists where nothing else is asked for.
const DIFFERENTIALS: usize = 10;

/// The red flags, the differentials and the questions of an evaluation. What belongs to each stands side by side in the lists.
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
    /// What to ask, most useful first; `explain` notes them here.
    pub questions: Vec<Asked>,
}

/// What is listed of one group: its findings, a bit each.
struct Told<'a> {
    facts: &'a Facts,
    /// What was told, or follows from what was told.
    told: Vec<u64>,
    /// What was told both ways, or follows from that.
    contradicted: Vec<u64>,
}

impl<'a> Told<'a> {
    fn of(plan: &Plan, facts: &'a Facts) -> Self {
        let words = plan.findings().len() / 64 + 1;
        let (mut told, mut contradicted) = (vec![0; words], vec![0; words]);
        for &(atom, _) in facts.heard_since(0) {
            let finding = plan.index.finding_of[atom as usize];
            let (word, bit) = (finding as usize / 64, 1 << (finding % 64));
            told[word] |= bit;
            if facts.atom(atom as usize).evidence() == Truth::BOTH {
                contradicted[word] |= bit;
            }
        }
        Self { facts, told, contradicted }
    }

    fn is_in(list: &[u64], finding: u32) -> bool {
        list[finding as usize / 64] & (1 << (finding % 64)) != 0
    }
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
        let told: Vec<Told<'_>> = evaluation.groups().iter().map(|group| Told::of(plan, &group.facts)).collect();
        listing.add_red_flags(plan, evaluation, &told);
        let most = if options.max_differentials == 0 { DIFFERENTIALS } else { options.max_differentials };
        for (place, told) in told.iter().enumerate() {
            for (condition, rank) in evaluation.groups()[place].scores.ranking(plan, most).into_iter().zip(1..) {
                let (reasons, undecided) = (listing.reasons.len(), listing.undecided.len());
                if !options.omit_rationale {
                    let heard = evaluation.groups()[place].scores.heard_of(to_u32(condition));
                    listing.add_reasons(plan, told, condition, heard, &mut families);
                    listing.add_undecided(plan, told.facts, condition);
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

    fn add_red_flags(&mut self, plan: &Plan, evaluation: &Evaluation, told: &[Told<'_>]) {
        for (place, (group, told)) in evaluation.groups().iter().zip(told).enumerate() {
            for flagged in &group.flags {
                let state = match flagged.state {
                    FlagState::Fired => RedFlagState::Fired,
                    FlagState::Precaution => RedFlagState::Precaution,
                    FlagState::Open => RedFlagState::Open,
                    FlagState::Dormant | FlagState::Excluded => continue,
                };
                let deciding = if state == RedFlagState::Fired { &[] } else { group.deciding(flagged) };
                let flag = self.red_flag(plan, told, flagged.flag, state, deciding);
                let group = (!plan.index.alarms[flag.flag].about_person).then_some(place);
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

    fn red_flag(
        &mut self,
        plan: &Plan,
        told: &Told<'_>,
        flag: u32,
        state: RedFlagState,
        deciding: &[FindingIndex],
    ) -> ListedFlag {
        let (definition, looked_at) = (&plan.index.alarms[flag as usize], plan.index.flag_findings_of.of(flag));
        let findings = self.told_of(told, looked_at);
        let start = self.findings.len();
        self.findings.extend_from_slice(deciding);
        ListedFlag {
            flag: flag as usize,
            state,
            floor: match state {
                RedFlagState::Precaution => definition.while_unknown.unwrap_or(definition.floor),
                _ => definition.floor,
            },
            group: None,
            contradicted: looked_at.iter().any(|&finding| Told::is_in(&told.contradicted, finding)),
            findings,
            deciding: start..self.findings.len(),
        }
    }

    /// Those of the findings that were told, or follow from what was told.
    fn told_of(&mut self, told: &Told<'_>, looked_at: &[u32]) -> Range<usize> {
        let start = self.findings.len();
        let those = looked_at.iter().filter(|&&finding| Told::is_in(&told.told, finding));
        self.findings.extend(those.map(|&finding| FindingIndex(finding as usize)));
        start..self.findings.len()
    }

    /// The prior, then what was heard: what counts first, the weightiest first.
    fn add_reasons(
        &mut self,
        plan: &Plan,
        told: &Told<'_>,
        condition: usize,
        heard: &[Heard],
        families: &mut Families,
    ) {
        let prior = plan.index.standings[condition].prior;
        self.reasons.push(reason(None, prior, Counting::Counted, None, 0..0));
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
            let told = self.told_of(told, plan.index.findings_of.of(to_u32(rule)));
            self.reasons.push(reason(Some(rule), weight, counting, by.map(|by| by as usize), told));
        }
    }

    fn add_undecided(&mut self, plan: &Plan, facts: &Facts, condition: usize) {
        for rule in plan.conditions[condition].rules.clone() {
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
                sort_last(&mut self.findings, start);
                let findings = Some(start..self.findings.len());
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
