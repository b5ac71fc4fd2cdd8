//! Scores and shares of conditions, and which weight counts.
//!
//! Owns families, joint rules, the silence of contradicted evidence, and the ranking. Evidence is the output, not a trace
//! beside it: a score is by definition the sum of the contributions that are marked as counted. Only conditions of which a
//! rule was heard are looked at; the others stand at their priors.

use super::super::answer::Outcome;
use super::super::odds::{Sum, odds};
use super::super::plan::program::to_u32;
use super::super::plan::{Plan, Speaker};
use super::super::truth::Truth;
use super::super::urgency::Urgency;
use super::super::weight::Weight;
use std::cmp::Reverse;

/// What one rule brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    /// Its weight is part of the score.
    Counted(Weight),
    /// A stronger rule of its family counts.
    AlreadyCounted(Weight, u32),
    /// A joint rule, or the chosen option, stands in its place.
    Replaced(Weight, u32),
    /// What it looks at was told both ways; the weight is what it would have been if true.
    Contradicted(Weight),
}

/// A rule that says something: it has a weight in the direction that holds, or it is contradicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    pub rule: u32,
    /// Zero when contradicted.
    pub weight: Weight,
    /// True, False or Both.
    pub evidence: Truth,
}

impl Heard {
    /// What a rule says, if anything.
    #[inline]
    pub fn of(rule: u32, speaker: &Speaker, evidence: Truth) -> Option<Self> {
        let weight = match evidence {
            Truth::TRUE => speaker.if_true,
            Truth::FALSE => speaker.if_false,
            _ => Weight::ZERO,
        };
        (weight != Weight::ZERO || evidence == Truth::BOTH).then_some(Heard { rule, weight, evidence })
    }
}

/// Where a condition stands of which a rule was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub condition: u32,
    /// Prior and counted weights.
    pub score: Weight,
    /// From how many families positive evidence counts beyond prior, age and sex: none, one, or two and more.
    pub families: u8,
    /// Where what was heard of it begins among all that was heard.
    pub heard: u32,
}

impl Standing {
    /// Whether something told supports it.
    pub fn is_supported(&self) -> bool {
        self.families > 0
    }
}

/// The order of the ranking, the first place being the greatest: by score, then severity, then id.
pub type Rank = (Weight, Urgency, Reverse<u32>);

/// The place of a condition in the ranking.
pub fn rank(plan: &Plan, standing: &Standing) -> Rank {
    let urgency = plan.index.standings[standing.condition as usize].urgency;
    (standing.score, urgency, Reverse(standing.condition))
}

/// Odds that follow from standings.
#[derive(Debug, Clone, Copy, Default)]
pub struct OddsSums {
    /// Of all conditions of each urgency.
    pub by_urgency: [Sum; 5],
}

impl OddsSums {
    /// Puts a condition at a score where it was at another.
    pub fn replace(&mut self, plan: &Plan, condition: u32, before: Option<Weight>, now: Weight) {
        let prior = &plan.index.standings[condition as usize];
        let before = before.map_or(prior.odds, |score| Sum::of(odds(score)));
        let sum = &mut self.by_urgency[prior.urgency.index()];
        *sum -= before;
        *sum += Sum::of(odds(now));
    }

    /// All odds, with those of "something else".
    pub fn total(&self) -> Sum {
        Sum::ONE + self.by_urgency.iter().copied().sum()
    }

    /// Summed share of all conditions at this urgency or above.
    pub fn share_at_or_above(&self, level: Urgency) -> f64 {
        let sum: Sum = self.by_urgency[level.index()..].iter().copied().sum();
        sum.value() / self.total().value()
    }

    /// Danger is summed over conditions before it is compared: six rare dangers at 4 % each are one danger at 24 %.
    pub fn urgency(&self, plan: &Plan) -> Urgency {
        let total = self.total().value();
        let mut sum = Sum::ZERO;
        for level in Urgency::ALL.into_iter().rev() {
            sum += self.by_urgency[level.index()];
            if plan.header.act_at[level.index()].is_some_and(|act_at| sum.value() / total >= act_at) {
                return level;
            }
        }
        Urgency::SelfCare
    }
}

/// The scores of one group.
#[derive(Debug, Clone, Default)]
pub struct Scores {
    /// Rules that were read, ascending: all that can say anything are among them.
    pub considered: Vec<u32>,
    /// Rules that say something, ascending, so those of one condition stand together.
    pub heard: Vec<Heard>,
    /// Conditions of which a rule was heard, ascending.
    pub standings: Vec<Standing>,
    /// The sums behind the shares.
    pub sums: OddsSums,
    /// All odds, as a float.
    pub total: f64,
    /// The best condition that something told supports.
    pub best: Option<Rank>,
    /// How many conditions have positive evidence from two families.
    pub determined: usize,
}

impl Scores {
    /// Tallies what was heard.
    pub fn tally(&mut self, plan: &Plan, families: &mut Families) {
        self.standings.clear();
        self.sums = OddsSums { by_urgency: plan.index.odds };
        (self.best, self.determined) = (None, 0);
        let condition_of = |heard: &Heard| plan.index.speakers[heard.rule as usize].condition;
        let mut start = 0;
        for heard in self.heard.chunk_by(|a, b| condition_of(a) == condition_of(b)) {
            let standing = Standing { heard: to_u32(start), ..families.standing(plan, condition_of(&heard[0]), heard) };
            start += heard.len();
            self.sums.replace(plan, standing.condition, None, standing.score);
            if standing.is_supported() {
                self.best = self.best.max(Some(rank(plan, &standing)));
            }
            self.determined += usize::from(standing.families > 1);
            self.standings.push(standing);
        }
        self.total = self.sums.total().value();
    }

    /// Whether any condition has positive evidence from two families.
    pub fn outcome(&self) -> Outcome {
        if self.determined > 0 { Outcome::Determined } else { Outcome::Insufficient }
    }

    /// The best condition that something told supports; `None` while too little is known.
    pub fn first_place(&self) -> Option<usize> {
        self.best.filter(|_| self.determined > 0).map(|(_, _, Reverse(condition))| condition as usize)
    }

    /// The conditions that something told supports, first place first, at most so many.
    pub fn ranking(&self, plan: &Plan, most: usize) -> Vec<usize> {
        let supported = self.standings.iter().filter(|standing| standing.is_supported());
        let mut ranks: Vec<Rank> = supported.map(|standing| rank(plan, standing)).collect();
        if most < ranks.len() {
            ranks.select_nth_unstable_by(most, |a, b| b.cmp(a));
            ranks.truncate(most);
        }
        ranks.sort_unstable_by(|a, b| b.cmp(a));
        ranks.into_iter().map(|(_, _, Reverse(condition))| condition as usize).collect()
    }

    /// The most likely of all conditions at this urgency or above, told of or not.
    pub fn weightiest(&self, plan: &Plan, level: Urgency) -> Option<usize> {
        let told = self.standings.iter().map(|standing| rank(plan, standing)).filter(|rank| rank.1 >= level).max();
        let untold = plan.index.by_prior[level.index()].iter().find(|&&place| self.standing(place).is_none());
        let untold = untold.map(|&place| {
            let prior = &plan.index.standings[place as usize];
            (prior.prior, prior.urgency, Reverse(place))
        });
        told.max(untold).map(|(_, _, Reverse(condition))| condition as usize)
    }

    /// Where a condition stands, if a rule of it was heard.
    pub fn standing(&self, condition: u32) -> Option<&Standing> {
        let place = self.standings.binary_search_by_key(&condition, |standing| standing.condition).ok()?;
        Some(&self.standings[place])
    }

    /// The score of any condition.
    pub fn score(&self, plan: &Plan, condition: usize) -> Weight {
        let standing = self.standing(to_u32(condition));
        standing.map_or(plan.conditions[condition].prior, |standing| standing.score)
    }

    fn odds(&self, plan: &Plan, condition: usize) -> Sum {
        Sum::of(odds(self.score(plan, condition)))
    }

    /// A condition's own share; with `undetermined` they sum to 1.
    pub fn own_share(&self, plan: &Plan, condition: usize) -> f64 {
        self.odds(plan, condition).value() / self.total
    }

    /// Own share and those of all parts.
    pub fn share(&self, plan: &Plan, condition: usize) -> f64 {
        let parts = plan.index.parts_of.of(to_u32(condition)).iter().map(|&part| self.odds(plan, part as usize));
        (self.odds(plan, condition) + parts.sum()).value() / self.total
    }

    /// Share of "something else".
    pub fn undetermined(&self) -> f64 {
        1.0 / self.total
    }

    /// The summed own shares of all conditions but these.
    pub fn unlisted(&self, plan: &Plan, listed: impl Iterator<Item = usize>) -> f64 {
        let listed: Sum = listed.map(|condition| self.odds(plan, condition)).sum();
        (self.sums.total() - Sum::ONE - listed).value() / self.total
    }

    /// What was heard of one condition.
    pub fn heard_of(&self, condition: u32) -> &[Heard] {
        let Ok(place) = self.standings.binary_search_by_key(&condition, |standing| standing.condition) else {
            return &[];
        };
        let end = self.standings.get(place + 1).map_or(self.heard.len(), |next| next.heard as usize);
        &self.heard[self.standings[place].heard as usize..end]
    }
}

/// The largest positive and the largest negative weight of a family, each with the first rule that holds it, and the joint
/// rule that stands in its place.
#[derive(Debug, Clone, Copy, Default)]
struct Best {
    positive: Option<(u32, Weight)>,
    negative: Option<(u32, Weight)>,
    replaced_by: Option<u32>,
}

impl Best {
    fn see(&mut self, heard: &Heard) {
        let (rule, weight) = (heard.rule, heard.weight);
        if weight > Weight::ZERO && self.positive.is_none_or(|(_, best)| weight > best) {
            self.positive = Some((rule, weight));
        }
        if weight < Weight::ZERO && self.negative.is_none_or(|(_, best)| weight < best) {
            self.negative = Some((rule, weight));
        }
    }

    fn holder(&self, otherwise: u32) -> u32 {
        self.positive.or(self.negative).map_or(otherwise, |(rule, _)| rule)
    }
}

/// What counts of one family: the largest positive and the largest negative weight.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    pub family: u32,
    /// With the first rule that holds it.
    positive: Option<(u32, Weight)>,
    negative: Weight,
    /// Whether that rule looks at age and sex alone.
    demographic: bool,
}

impl Counted {
    /// A family of which nothing was heard.
    pub fn nothing(family: u32) -> Self {
        Self { family, positive: None, negative: Weight::ZERO, demographic: false }
    }

    /// Sees one rule more, in any order.
    pub fn see(&mut self, rule: u32, weight: Weight, demographic: bool) {
        self.negative = self.negative.min(weight);
        let is_first = |(holder, best)| weight > best || (weight == best && rule < holder);
        if weight > Weight::ZERO && self.positive.is_none_or(is_first) {
            (self.positive, self.demographic) = (Some((rule, weight)), demographic);
        }
    }

    /// What the family adds to the score.
    pub fn sum(&self) -> Weight {
        self.positive.map_or(Weight::ZERO, |(_, weight)| weight) + self.negative
    }

    /// Whether positive evidence of it counts beyond age and sex.
    pub fn supports(&self) -> bool {
        self.positive.is_some() && !self.demographic
    }
}

/// The families of one condition at a time.
#[derive(Debug, Clone, Default)]
pub struct Families {
    best: Vec<Best>,
    /// Families whose entry is not empty, some more than once.
    used: Vec<u32>,
}

impl Families {
    /// Makes room for the families of any condition of a plan.
    pub fn reset(&mut self, plan: &Plan) {
        self.clear();
        self.best.resize(plan.index.most_families, Best::default());
    }

    /// With room for one condition of so many families.
    pub fn for_one(families: usize) -> Self {
        Self { best: vec![Best::default(); families], used: Vec::new() }
    }

    fn clear(&mut self) {
        for family in self.used.drain(..) {
            self.best[family as usize] = Best::default();
        }
    }

    fn of(&mut self, family: u32) -> &mut Best {
        self.used.push(family);
        &mut self.best[family as usize]
    }

    /// Where a condition stands after what was heard of it.
    pub fn standing(&mut self, plan: &Plan, condition: u32, heard: &[Heard]) -> Standing {
        let prior = plan.index.standings[condition as usize].prior;
        let mut support = Support::default();
        if let [alone] = heard {
            // Most conditions have one rule that speaks, and nothing can stand against it.
            if alone.weight > Weight::ZERO {
                support.add(plan, alone.rule);
            }
            return Standing { condition, score: prior + alone.weight, families: support.families, heard: 0 };
        }
        self.collect(plan, heard);
        let mut score = prior;
        // A family that was used twice is met twice, and is empty the second time.
        while let Some(family) = self.used.pop() {
            let best = std::mem::take(&mut self.best[family as usize]);
            if let Some((rule, weight)) = best.positive {
                score = score + weight;
                support.add(plan, rule);
            }
            if let Some((_, weight)) = best.negative {
                score = score + weight;
            }
        }
        Standing { condition, score, families: support.families, heard: 0 }
    }

    fn collect(&mut self, plan: &Plan, heard: &[Heard]) {
        let speaker = |heard: &Heard| &plan.index.speakers[heard.rule as usize];
        let joint = || heard.iter().filter(|heard| speaker(heard).is_joint && heard.weight != Weight::ZERO);
        for heard in joint() {
            self.of(speaker(heard).family).see(heard);
        }
        // The joint rule that counts stands for the parts of all joint rules of its family that hold.
        for heard in joint() {
            let counting = self.best[speaker(heard).family as usize].holder(heard.rule);
            for &part in &plan.rules[heard.rule as usize].stands_for {
                self.of(part).replaced_by.get_or_insert(counting);
            }
        }
        for single in heard.iter().filter(|heard| !speaker(heard).is_joint && heard.weight != Weight::ZERO) {
            let family = speaker(single).family;
            if self.best[family as usize].replaced_by.is_none() && silenced(plan, single, heard).is_none() {
                self.of(family).see(single);
            }
        }
    }

    /// Appends what counts of each family; nothing, and false, where a joint rule stands for others.
    pub fn counted(&mut self, plan: &Plan, heard: &[Heard], into: &mut Vec<Counted>) -> bool {
        let speaker = |rule: u32| &plan.index.speakers[rule as usize];
        if heard.iter().any(|heard| speaker(heard.rule).is_joint && heard.weight != Weight::ZERO) {
            return false;
        }
        self.collect(plan, heard);
        while let Some(family) = self.used.pop() {
            let Best { positive, negative, .. } = std::mem::take(&mut self.best[family as usize]);
            if positive.is_some() || negative.is_some() {
                let demographic = positive.is_some_and(|(rule, _)| speaker(rule).demographic);
                let negative = negative.map_or(Weight::ZERO, |(_, weight)| weight);
                into.push(Counted { family, positive, negative, demographic });
            }
        }
        true
    }

    /// What each of the rules of one condition that were heard brings.
    pub fn tallies(&mut self, plan: &Plan, heard: &[Heard]) -> Vec<Tally> {
        self.collect(plan, heard);
        let tallies = heard.iter().map(|one| self.tally(plan, one, heard)).collect();
        self.clear();
        tallies
    }

    fn tally(&self, plan: &Plan, one: &Heard, heard: &[Heard]) -> Tally {
        let speaker = &plan.index.speakers[one.rule as usize];
        if one.evidence == Truth::BOTH {
            let speaks_when_true = speaker.if_true != Weight::ZERO;
            return Tally::Contradicted(if speaks_when_true { speaker.if_true } else { speaker.if_false });
        }
        let best = &self.best[speaker.family as usize];
        if !speaker.is_joint
            && let Some(by) = best.replaced_by.or_else(|| silenced(plan, one, heard))
        {
            return Tally::Replaced(one.weight, by);
        }
        let counting = if one.weight > Weight::ZERO { best.positive } else { best.negative };
        match counting {
            Some((holder, _)) if holder != one.rule => Tally::AlreadyCounted(one.weight, holder),
            _ => Tally::Counted(one.weight),
        }
    }
}

/// A True option silences the False ones of the same choice: the rule that says so.
fn silenced(plan: &Plan, one: &Heard, heard: &[Heard]) -> Option<u32> {
    let choice = plan.index.speakers[one.rule as usize].choice.filter(|_| one.evidence == Truth::FALSE)?;
    let chosen = heard
        .iter()
        .find(|other| other.evidence == Truth::TRUE && plan.index.speakers[other.rule as usize].choice == Some(choice));
    chosen.map(|chosen| chosen.rule)
}

/// Counts families with positive evidence; a joint rule brings those that it stands for.
#[derive(Default)]
struct Support {
    first: Option<u32>,
    families: u8,
}

impl Support {
    fn add(&mut self, plan: &Plan, rule: u32) {
        let speaker = &plan.index.speakers[rule as usize];
        if speaker.demographic {
            return;
        }
        if speaker.is_joint {
            plan.rules[rule as usize].stands_for.iter().for_each(|&family| self.see(family));
        } else {
            self.see(speaker.family);
        }
    }

    fn see(&mut self, family: u32) {
        if *self.first.get_or_insert(family) != family {
            self.families = 2;
        } else {
            self.families = self.families.max(1);
        }
    }
}
