//! Scores and shares of conditions, and which weight counts.
//!
//! Owns families, joint rules, the silence of contradicted evidence, and the ranking. Evidence is the output, not a trace
//! beside it: a score is by definition the sum of the contributions that are marked as counted.

use super::super::answer::Outcome;
use super::super::plan::Plan;
use super::super::truth::Truth;
use super::super::vocabulary::FindingIndex;
use super::super::weight::Weight;
use super::Reading;
use std::ops::Range;

/// What one rule brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    /// Nothing: not decided, or no weight in the direction that holds.
    Silent,
    /// Its weight is part of the score.
    Counted(Weight),
    /// A stronger rule of its family counts.
    AlreadyCounted(Weight, usize),
    /// A joint rule, or the chosen option, stands in its place.
    Replaced(Weight, usize),
    /// What it looks at was told both ways; the weight is what it would have been if true.
    Contradicted(Weight),
}

/// The scores of one group.
#[derive(Debug, Clone)]
pub struct Scores {
    /// One a rule.
    pub tallies: Vec<Tally>,
    /// One a condition: prior and counted weights.
    pub scores: Vec<Weight>,
    /// Each condition's own share; with `undetermined` they sum to 1.
    pub own_shares: Vec<f64>,
    /// Own share and those of all parts.
    pub shares: Vec<f64>,
    /// Share of "something else".
    pub undetermined: f64,
    /// Conditions, first place first.
    pub ranking: Vec<usize>,
    /// Conditions with positive counted evidence beyond prior, age and sex.
    pub supported: Vec<bool>,
    /// Whether any condition has such evidence from two families.
    pub outcome: Outcome,
    /// The sum of odds, for what an answer would be worth.
    pub total_odds: f64,
}

impl Scores {
    /// The best condition that something told supports; `None` while too little is known.
    #[must_use]
    pub fn first_place(&self) -> Option<usize> {
        let supported = || self.ranking.iter().copied().find(|&condition| self.supported[condition]);
        (self.outcome == Outcome::Determined).then(supported).flatten()
    }

    /// Shannon entropy of the shares, in nats.
    #[must_use]
    pub fn entropy(&self) -> f64 {
        let term = |share: f64| if share > 0.0 { -share * libm::log(share) } else { 0.0 };
        self.own_shares.iter().copied().map(term).sum::<f64>() + term(self.undetermined)
    }
}

pub(super) fn scores(plan: &Plan, nodes: &[Reading]) -> Scores {
    let mut tallies = vec![Tally::Silent; plan.rules.len()];
    let mut scores = Vec::with_capacity(plan.conditions.len());
    let mut supported = Vec::with_capacity(plan.conditions.len());
    let mut outcome = Outcome::Insufficient;
    for condition in &plan.conditions {
        let families = tally(plan, condition.rules.clone(), condition.families, nodes, &mut tallies);
        let counted = tallies[condition.rules.clone()].iter().map(|tally| match tally {
            Tally::Counted(weight) => *weight,
            _ => Weight::ZERO,
        });
        scores.push(counted.fold(condition.prior, |sum, weight| sum + weight));
        supported.push(families >= 1);
        if families >= 2 {
            outcome = Outcome::Determined;
        }
    }
    let odds: Vec<f64> = scores.iter().map(|score| score.ratio()).collect();
    let total_odds = 1.0 + odds.iter().sum::<f64>();
    let own_shares: Vec<f64> = odds.iter().map(|odds| odds / total_odds).collect();
    let mut shares = own_shares.clone();
    for (place, condition) in plan.conditions.iter().enumerate() {
        let mut parent = condition.part_of;
        while let Some(ancestor) = parent {
            shares[ancestor] += own_shares[place];
            parent = plan.conditions[ancestor].part_of;
        }
    }
    let mut ranking: Vec<usize> = (0..plan.conditions.len()).collect();
    // Conditions are sorted by id, so a stable sort breaks the last ties by id.
    ranking
        .sort_by(|&a, &b| scores[b].cmp(&scores[a]).then(plan.conditions[b].urgency.cmp(&plan.conditions[a].urgency)));
    Scores {
        tallies,
        scores,
        own_shares,
        shares,
        undetermined: 1.0 / total_odds,
        ranking,
        supported,
        outcome,
        total_odds,
    }
}

/// Tallies the rules of one condition and returns from how many families positive evidence counts.
fn tally(plan: &Plan, rules: Range<usize>, families: usize, nodes: &[Reading], tallies: &mut [Tally]) -> usize {
    let chosen = chosen_options(plan, rules.clone(), nodes);
    let mut best: Vec<Best> = vec![Best::default(); families];
    let mut replaced_by: Vec<Option<usize>> = vec![None; families];
    for rule in rules.clone() {
        let weight = heard_weight(plan, rule, nodes);
        if weight != Weight::ZERO && plan.rules[rule].is_joint() {
            best[plan.rules[rule].family].see(rule, weight);
        }
    }
    // The joint rule that counts stands for the parts of all joint rules of its family that hold.
    for rule in rules.clone() {
        let joint = &plan.rules[rule];
        if joint.is_joint() && heard_weight(plan, rule, nodes) != Weight::ZERO {
            let counting = best[joint.family].holder(rule);
            for &part in &joint.stands_for {
                replaced_by[part].get_or_insert(counting);
            }
        }
    }
    for rule in rules.clone() {
        let weight = heard_weight(plan, rule, nodes);
        let family = plan.rules[rule].family;
        if weight != Weight::ZERO
            && !plan.rules[rule].is_joint()
            && replaced_by[family].is_none()
            && silenced(plan, rule, nodes, &chosen).is_none()
        {
            best[family].see(rule, weight);
        }
    }
    for rule in rules.clone() {
        tallies[rule] = one(plan, rule, nodes, &chosen, &best, &replaced_by);
    }
    positive_families(plan, rules, tallies)
}

fn one(
    plan: &Plan,
    rule: usize,
    nodes: &[Reading],
    chosen: &[(FindingIndex, usize)],
    best: &[Best],
    replaced_by: &[Option<usize>],
) -> Tally {
    let this = &plan.rules[rule];
    if nodes[this.node].evidence == Truth::BOTH {
        let weight = if this.weight_if_true == Weight::ZERO { this.weight_if_false } else { this.weight_if_true };
        return Tally::Contradicted(weight);
    }
    let weight = heard_weight(plan, rule, nodes);
    if weight == Weight::ZERO {
        return Tally::Silent;
    }
    if !this.is_joint() {
        if let Some(by) = replaced_by[this.family] {
            return Tally::Replaced(weight, by);
        }
        if let Some(by) = silenced(plan, rule, nodes, chosen) {
            return Tally::Replaced(weight, by);
        }
    }
    let best = &best[this.family];
    let counting = if weight > Weight::ZERO { best.positive } else { best.negative };
    match counting {
        Some((holder, _)) if holder != rule => Tally::AlreadyCounted(weight, holder),
        _ => Tally::Counted(weight),
    }
}

/// The weight in the direction that holds; zero when undecided or contradicted.
fn heard_weight(plan: &Plan, rule: usize, nodes: &[Reading]) -> Weight {
    let rule = &plan.rules[rule];
    match nodes[rule.node].evidence {
        Truth::TRUE => rule.weight_if_true,
        Truth::FALSE => rule.weight_if_false,
        _ => Weight::ZERO,
    }
}

/// Choices of which an option is True, with the rule that says so.
fn chosen_options(plan: &Plan, rules: Range<usize>, nodes: &[Reading]) -> Vec<(FindingIndex, usize)> {
    rules
        .filter_map(|rule| {
            plan.rules[rule]
                .choice
                .filter(|_| {
                    nodes[plan.rules[rule].node].evidence == Truth::TRUE
                        && plan.rules[rule].weight_if_true != Weight::ZERO
                })
                .map(|choice| (choice, rule))
        })
        .collect()
}

/// A True option silences the False ones of the same choice.
fn silenced(plan: &Plan, rule: usize, nodes: &[Reading], chosen: &[(FindingIndex, usize)]) -> Option<usize> {
    let this = &plan.rules[rule];
    let choice = this.choice.filter(|_| nodes[this.node].evidence == Truth::FALSE)?;
    chosen.iter().find(|(finding, _)| *finding == choice).map(|(_, by)| *by)
}

/// The largest positive and the largest negative weight of a family, each with the first rule that holds it.
#[derive(Debug, Clone, Copy, Default)]
struct Best {
    positive: Option<(usize, Weight)>,
    negative: Option<(usize, Weight)>,
}

impl Best {
    fn see(&mut self, rule: usize, weight: Weight) {
        if weight > Weight::ZERO && self.positive.is_none_or(|(_, best)| weight > best) {
            self.positive = Some((rule, weight));
        }
        if weight < Weight::ZERO && self.negative.is_none_or(|(_, best)| weight < best) {
            self.negative = Some((rule, weight));
        }
    }

    fn holder(&self, otherwise: usize) -> usize {
        self.positive.or(self.negative).map_or(otherwise, |(rule, _)| rule)
    }
}

/// From how many families positive evidence counts; a joint rule brings those that it stands for.
fn positive_families(plan: &Plan, rules: Range<usize>, tallies: &[Tally]) -> usize {
    let mut families: Vec<usize> = Vec::new();
    for rule in rules {
        let this = &plan.rules[rule];
        let counts = matches!(tallies[rule], Tally::Counted(weight) if weight > Weight::ZERO);
        if !counts || this.demographic {
            continue;
        }
        if this.is_joint() { families.extend(&this.stands_for) } else { families.push(this.family) }
    }
    families.sort_unstable();
    families.dedup();
    families.len()
}
