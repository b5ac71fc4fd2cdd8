//! What the answers to a finding change that tells no other: condition by condition, for all answers at once.
//!
//! Owns the walk over the conditions. Along the row of answers a condition stands where it stood except where one of its
//! rules is told something else, so a number with a hundred stretches costs as much as its rules have limits, not a
//! hundred times its rules.

use super::super::super::evaluate::score::{Rank, rank};
use super::super::waiting::{Says, WaitingRule};
use super::{Answers, Change, Supposing, sums_of};

impl Supposing<'_> {
    /// Works out what each answer would change of the scores.
    pub(super) fn columns(&mut self, answers: &Answers) {
        if answers.likely.is_empty() {
            return;
        }
        let rules = std::mem::take(&mut self.waiting.rules);
        self.changes.resize(answers.likely.len(), Change::default());
        let stays = |rank: &&Rank| rules.binary_search_by_key(&rank.2.0, |rule: &WaitingRule| rule.condition).is_err();
        let unmoved = self.ranking.iter().find(stays).copied();
        for same in rules.chunk_by(|a, b| a.condition == b.condition) {
            self.cut(same, answers);
            self.column(same, answers, unmoved);
        }
        self.waiting.rules = rules;
        // What was noted is how an answer differs from the one before it.
        let mut sum = Change::default();
        for change in &mut self.changes {
            sum.odds.iter_mut().zip(change.odds).for_each(|(sum, more)| *sum += more);
            sum.weighted += change.weighted;
            sum.determined += change.determined;
            *change = Change { best: change.best.max(unmoved), ..sum };
        }
    }

    /// Finds the answers from which on a condition may stand elsewhere.
    fn cut(&mut self, rules: &[WaitingRule], answers: &Answers) {
        self.cuts.clear();
        self.cuts.push(0);
        rules.iter().for_each(|rule| self.waiting.cut(self.plan, rule, answers, &mut self.cuts));
        self.cuts.sort_unstable();
        self.cuts.dedup();
    }

    /// Notes where one condition would stand, from cut to cut.
    fn column(&mut self, rules: &[WaitingRule], answers: &Answers, unmoved: Option<Rank>) {
        let (plan, condition) = (self.plan, rules[0].condition);
        let before = self.bounds.before(condition);
        let prior = &plan.index.standings[condition as usize];
        let (mut score, mut sums) = (before.map_or(prior.prior, |(_, before)| before.score), None);
        let mut is_determined = before.is_some_and(|(_, before)| before.families > 1);
        let mut said = std::mem::take(&mut self.said);
        for cut in 0..self.cuts.len() {
            let start = self.cuts[cut];
            said.clear();
            said.extend(rules.iter().map(|rule| {
                let evidence = self.waiting.evidence(plan, rule, answers, start);
                Says { rule: rule.rule, condition, evidence }
            }));
            let now = self.after(&said).or(before.map(|(_, before)| *before));
            let (now_score, families) = now.map_or((prior.prior, 0), |now| (now.score, now.families));
            let was = (now_score != score).then(|| sums.unwrap_or_else(|| self.sums_before(before, condition)));
            let change = &mut self.changes[start as usize];
            if let Some(was) = was {
                let is = sums_of(now_score);
                change.odds[prior.urgency.index()] += is.0 - was.0;
                change.weighted += is.1 - was.1;
                (score, sums) = (now_score, Some(is));
            }
            change.determined += i32::from(families > 1) - i32::from(is_determined);
            is_determined = families > 1;
            let rank = now.filter(|_| families > 0).map(|now| rank(plan, &now));
            if rank > unmoved {
                let end = self.cuts.get(cut + 1).map_or(answers.len(), |end| *end);
                let stretch = &mut self.changes[start as usize..end as usize];
                stretch.iter_mut().for_each(|change| change.best = change.best.max(rank));
            }
        }
        self.said = said;
    }
}
