//! Scores and shares, every rule of every condition each time.

use super::Facts;
use super::pack::{Condition, Expr, Pack};
use rubor::engine::odds::{Sum, odds, weighted};
use rubor::engine::truth::Truth;
use rubor::engine::urgency::Urgency;
use rubor::engine::weight::Weight;
use std::collections::BTreeSet;

/// What one rule brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    Silent,
    Counted(Weight),
    AlreadyCounted(Weight, usize),
    Replaced(Weight, usize),
    Contradicted(Weight),
}

pub struct Scores {
    /// Condition by condition, rule by rule.
    pub tallies: Vec<Vec<Tally>>,
    pub scores: Vec<Weight>,
    pub supported: Vec<bool>,
    pub determined: bool,
    /// All conditions, first place first.
    pub ranking: Vec<usize>,
    pub total: Sum,
}

impl Scores {
    pub fn new(pack: &Pack, facts: &Facts) -> Self {
        let (mut tallies, mut scores, mut supported) = (Vec::new(), Vec::new(), Vec::new());
        let mut determined = false;
        for condition in &pack.conditions {
            let scored = Scored::new(pack, facts, condition);
            let list: Vec<Tally> = (0..condition.rules.len()).map(|rule| scored.tally(rule)).collect();
            let counted = |tally: &Tally| if let Tally::Counted(weight) = tally { *weight } else { Weight::ZERO };
            let score = list.iter().map(counted).fold(Weight::from_ratio(condition.odds), |sum, weight| sum + weight);
            let mut families: BTreeSet<usize> = BTreeSet::new();
            for (rule, tally) in list.iter().enumerate() {
                let is_demographic = |finding: &usize| ["age", "sex"].contains(&pack.findings[*finding].id.as_str());
                let demographic = || condition.rules[rule].when.findings().iter().all(is_demographic);
                if counted(tally) > Weight::ZERO && !demographic() {
                    let parts = &condition.rules[rule].stands_for;
                    families.extend(parts.iter().map(|&part| scored.family[part]));
                    families.extend(parts.is_empty().then(|| scored.family[rule]));
                }
            }
            determined |= families.len() >= 2;
            tallies.push(list);
            scores.push(score);
            supported.push(!families.is_empty());
        }
        let mut ranking: Vec<usize> = (0..scores.len()).collect();
        ranking.sort_by_key(|&c| (std::cmp::Reverse((scores[c], pack.conditions[c].urgency)), c));
        let total = Sum::ONE + scores.iter().map(|&score| Sum::of(odds(score))).sum();
        Scores { tallies, scores, supported, determined, ranking, total }
    }

    pub fn own_share(&self, condition: usize) -> f64 {
        Sum::of(odds(self.scores[condition])).value() / self.total.value()
    }

    fn share_of(&self, belongs: impl Fn(usize) -> bool) -> f64 {
        let sum: Sum = (0..self.scores.len()).filter(|&c| belongs(c)).map(|c| Sum::of(odds(self.scores[c]))).sum();
        sum.value() / self.total.value()
    }

    /// Own share and those of all parts.
    pub fn share(&self, pack: &Pack, condition: usize) -> f64 {
        self.share_of(|part| pack.is_within(part, condition))
    }

    pub fn share_at_or_above(&self, pack: &Pack, level: Urgency) -> f64 {
        self.share_of(|condition| pack.conditions[condition].urgency >= level)
    }

    pub fn listed(&self) -> Vec<usize> {
        self.ranking.iter().copied().filter(|&condition| self.supported[condition]).collect()
    }

    pub fn unlisted_share(&self) -> f64 {
        self.share_of(|condition| !self.supported[condition])
    }

    pub fn first_place(&self) -> Option<usize> {
        self.listed().first().copied().filter(|_| self.determined)
    }

    pub fn weighted(&self) -> Sum {
        self.scores.iter().map(|&score| weighted(score)).sum()
    }

    /// The urgency that conditions demand by their summed shares.
    pub fn urgency(&self, pack: &Pack) -> Urgency {
        let [emergency, urgent, prompt, routine] = pack.act_at;
        let levels = [
            (Urgency::Emergency, emergency),
            (Urgency::Urgent, urgent),
            (Urgency::Prompt, prompt),
            (Urgency::Routine, routine),
        ];
        let reached = levels.into_iter().find(|&(level, act_at)| self.share_at_or_above(pack, level) >= act_at);
        reached.map_or(Urgency::SelfCare, |(level, _)| level)
    }
}

/// One condition while its rules are tallied.
struct Scored<'a> {
    condition: &'a Condition,
    evidence: Vec<Truth>,
    /// The weight in the direction that holds.
    heard: Vec<Weight>,
    family: Vec<usize>,
}

impl<'a> Scored<'a> {
    fn new(pack: &Pack, facts: &Facts, condition: &'a Condition) -> Self {
        let evidence: Vec<Truth> = condition.rules.iter().map(|rule| facts.evidence(&rule.when)).collect();
        let heard = condition.rules.iter().zip(&evidence).map(|(rule, evidence)| match *evidence {
            Truth::TRUE => rule.says.weights().0,
            Truth::FALSE => rule.says.weights().1,
            _ => Weight::ZERO,
        });
        Scored { condition, heard: heard.collect(), family: families(pack, condition), evidence }
    }

    fn is_joint(&self, rule: usize) -> bool {
        !self.condition.rules[rule].stands_for.is_empty()
    }

    /// The first rule with the largest weight of one sign, among those of a family that are in question.
    fn best(&self, family: usize, positive: bool, among: impl Fn(usize) -> bool) -> Option<usize> {
        let sign = |rule: &usize| (self.heard[*rule] > Weight::ZERO) == positive && self.heard[*rule] != Weight::ZERO;
        let rules = (0..self.heard.len()).filter(|&rule| self.family[rule] == family && among(rule)).filter(sign);
        rules.min_by_key(|&rule| (std::cmp::Reverse(self.heard[rule].0.abs()), rule))
    }

    /// The joint rule that stands in the place of a single rule.
    fn replaced(&self, rule: usize) -> Option<usize> {
        let stands_for = |joint: usize, family: usize| {
            self.condition.rules[joint].stands_for.iter().any(|&part| self.family[part] == family)
        };
        let joint =
            (0..self.heard.len()).find(|&j| self.heard[j] != Weight::ZERO && stands_for(j, self.family[rule]))?;
        let best = |positive| self.best(self.family[joint], positive, |other| self.is_joint(other));
        best(true).or(best(false))
    }

    /// The chosen option that silences the False ones of the same choice.
    fn silenced(&self, rule: usize) -> Option<usize> {
        let choice = |rule: usize| match self.condition.rules[rule].when {
            Expr::Is(finding, _) => Some(finding),
            _ => None,
        };
        let own = choice(rule).filter(|_| self.evidence[rule] == Truth::FALSE)?;
        (0..self.heard.len()).find(|&other| {
            choice(other) == Some(own) && self.evidence[other] == Truth::TRUE && self.heard[other] != Weight::ZERO
        })
    }

    fn tally(&self, rule: usize) -> Tally {
        let weight = self.heard[rule];
        if self.evidence[rule] == Truth::BOTH {
            let (if_true, if_false) = self.condition.rules[rule].says.weights();
            return Tally::Contradicted(if if_true == Weight::ZERO { if_false } else { if_true });
        }
        if weight == Weight::ZERO {
            return Tally::Silent;
        }
        let stood_for = |rule: usize| self.replaced(rule).or_else(|| self.silenced(rule));
        if !self.is_joint(rule)
            && let Some(by) = stood_for(rule)
        {
            return Tally::Replaced(weight, by);
        }
        let in_question = |other: usize| self.is_joint(other) || stood_for(other).is_none();
        match self.best(self.family[rule], weight > Weight::ZERO, in_question) {
            Some(best) if best != rule => Tally::AlreadyCounted(weight, best),
            _ => Tally::Counted(weight),
        }
    }
}

/// Rules that share a finding's family, or a name, are one family; joint rules are by the parts they share.
fn families(pack: &Pack, condition: &Condition) -> Vec<usize> {
    let keys: Vec<BTreeSet<String>> = condition
        .rules
        .iter()
        .map(|rule| {
            let of_finding = |f: usize| pack.findings[f].family.clone().unwrap_or_else(|| pack.findings[f].id.clone());
            match &rule.family {
                _ if !rule.stands_for.is_empty() => {
                    rule.stands_for.iter().map(|part| format!("joint {part}")).collect()
                }
                Some(family) => BTreeSet::from([family.clone()]),
                None => rule.when.findings().into_iter().map(of_finding).collect(),
            }
        })
        .collect();
    let mut group: Vec<usize> = (0..keys.len()).collect();
    loop {
        let before = group.clone();
        for i in 0..keys.len() {
            for j in 0..keys.len() {
                if !keys[i].is_disjoint(&keys[j]) {
                    group[i] = group[i].min(group[j]);
                }
            }
        }
        if group == before {
            return group;
        }
    }
}
