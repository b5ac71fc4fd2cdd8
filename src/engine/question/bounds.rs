//! What an answer could change at most, told without supposing it.
//!
//! Owns the choice of the questions that are looked at: it is taken from the rules that one answer away from speaking, and
//! from bounds known since the pack was compiled. It decides nothing: what it leaves out could not be asked, or not among so
//! many as are wanted.

use super::super::evaluate::score::{Rank, Standing};
use super::super::evaluate::{GroupEvaluation, Work};
use super::super::odds::{Sum, entropy, entropy_of, odds, weighted_odds};
use super::super::plan::program::to_u32;
use super::super::plan::{Move, Plan, Speaker};
use super::super::truth::Truth;
use super::super::urgency::Urgency;
use super::super::vocabulary::FindingIndex;
use super::super::weight::Weight;

/// What may be left out when it is asked whether an answer could carry a sum over a threshold, as a part of the way there.
const LIGHT: f64 = 0.1;
/// What the floats of a bound on a gain may be wrong by.
const ROUGH: f64 = 1e-4;

/// Bounds on what asking for a finding could bring.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    /// Whether an answer could raise the urgency, or bring up a red flag above it.
    pub may_rise: bool,
    /// The highest urgency that an answer could lead to, where that is urgent and above what it is.
    pub danger: Option<Urgency>,
    /// The most that the entropy of the shares could drop by.
    pub gain: f64,
}

impl Promise {
    const ANYTHING: Promise = Promise { may_rise: true, danger: Some(Urgency::Emergency), gain: f64::INFINITY };
}

/// By how much the odds of the conditions of each urgency can rise and fall at most.
#[derive(Default)]
struct Swing {
    up: [f64; 5],
    down: [f64; 5],
}

/// Bounds for one group of an evaluation.
pub struct Bounds<'a> {
    plan: &'a Plan,
    base: &'a GroupEvaluation,
    /// The urgency as it is.
    urgency: Urgency,
    /// How much odds may come or go before a sum of shares can cross a threshold; below zero where nothing is known of it.
    slack: f64,
    /// For each urgency that shares can demand, its threshold and by how much odds the sums are over it, or under it.
    margins: Vec<(Urgency, f64, f64)>,
    /// What is demanded whatever the shares are: while no red flag is touched that has a say, and always.
    held: (Urgency, Urgency),
    /// For each condition, one more than its place among the standings; zero for none.
    places: Vec<u32>,
    /// For each condition its odds and what it adds to the second sum of the entropy, as floats.
    odds: Vec<(f64, f64)>,
    /// What rules that something told touches could bring with one answer: for each finding one more than the place of the
    /// first, and for each of them the same of the next.
    first: Vec<u32>,
    touched: Vec<(Move, u32)>,
    /// What the finding in question moves, and by how much at most.
    reached: Vec<Move>,
    /// For each finding whether a red flag that has a say looks at what an answer to it tells, and whether one of those could
    /// change the urgency by itself; a bit each.
    alarming: Vec<u64>,
    decisive: Vec<u64>,
    weighted: f64,
    entropy: f64,
}

impl<'a> Bounds<'a> {
    /// Bounds for a group; `weighted` is the second sum of the entropy.
    pub fn new(plan: &'a Plan, base: &'a GroupEvaluation, urgency: Urgency, weighted: Sum, work: &mut Work) -> Self {
        let mut places = vec![0; plan.conditions.len()];
        let mut all_odds = plan.index.prior_odds.clone();
        for (standing, place) in base.scores.standings.iter().zip(1..) {
            places[standing.condition as usize] = place;
            all_odds[standing.condition as usize] = (odds(standing.score), weighted_odds(standing.score));
        }
        let mut bounds = Self {
            plan,
            base,
            urgency,
            slack: -1.0,
            margins: Vec::new(),
            held: (Urgency::SelfCare, Urgency::SelfCare),
            places,
            odds: all_odds,
            first: vec![0; plan.findings().len()],
            touched: Vec::new(),
            reached: Vec::new(),
            alarming: vec![0; plan.findings().len() / 64 + 1],
            decisive: vec![0; plan.findings().len() / 64 + 1],
            weighted: weighted.value(),
            entropy: entropy(base.scores.sums.total(), weighted),
        };
        for &(atom, _) in base.facts.heard_since(0) {
            plan.index.rules_of.of(atom).iter().for_each(|&rule| work.rules.mark(rule));
        }
        work.ids.clear();
        work.rules.drain_into(&mut work.ids);
        work.ids.iter().for_each(|&rule| bounds.touch(rule));
        bounds
    }

    /// Takes for each urgency that shares can demand by how much odds the sums are over its threshold, or under it, and what
    /// is demanded whatever the shares are: while no red flag is touched that has a say, and always.
    pub fn know(&mut self, margins: Vec<(Urgency, f64, f64)>, held: (Urgency, Urgency)) {
        self.slack = margins.iter().map(|(_, _, margin)| margin.abs()).fold(f64::INFINITY, f64::min) * 0.99;
        self.margins = margins;
        self.held = held;
    }

    /// Notes what one answer more could make of a rule that something told touches. What a finding can bring by itself is
    /// known already, and so is everything of a finding that tells others.
    fn touch(&mut self, rule: u32) {
        let (plan, speaker) = (self.plan, &self.plan.index.speakers[rule as usize]);
        if !speaker.has_table {
            return;
        }
        let (shown, denied) = self.base.facts.sides(speaker);
        let evidence = speaker.table.truth(shown, denied);
        if evidence == Truth::BOTH {
            return;
        }
        let findings = speaker.table.literals.map(|literal| plan.index.finding_of[literal as usize / 2]);
        for (i, &finding) in findings.iter().enumerate() {
            let same = findings.iter().enumerate().map(|(bit, other)| u32::from(*other == finding) << bit);
            let mask = same.fold(0, |mask, bit| mask | bit);
            let is_first = mask.trailing_zeros() as usize == i;
            if !is_first || (shown | denied) & mask != 0 || !plan.index.reach.is_plain[finding as usize] {
                continue;
            }
            let after = speaker.table.truth(shown | mask, denied | mask);
            let alone = speaker.table.truth(mask, mask);
            if let Some(moved) = self.moved(rule, speaker, (evidence, after, alone)) {
                self.touched.push((moved, self.first[finding as usize]));
                self.first[finding as usize] = to_u32(self.touched.len());
            }
        }
    }

    /// What a rule could bring that is `evidence` of so much, and of `after` at most after an answer; `alone` is what the
    /// answer could make of it by itself.
    fn moved(&self, rule: u32, speaker: &Speaker, (evidence, after, alone): (Truth, Truth, Truth)) -> Option<Move> {
        let weight = |speaks: bool, weight: Weight| if speaks { weight } else { Weight::ZERO };
        let (if_true, if_false) = match evidence {
            Truth::UNKNOWN => {
                (weight(after.t() && !alone.t(), speaker.if_true), weight(after.f() && !alone.f(), speaker.if_false))
            }
            // It may come to be contradicted, and what it brought is gone.
            Truth::TRUE => (weight(after.f(), speaker.if_true), Weight::ZERO),
            _ => (Weight::ZERO, weight(after.t(), speaker.if_false)),
        };
        if (if_true, if_false) == (Weight::ZERO, Weight::ZERO) {
            return None;
        }
        let (up, down) = (if_true.max(if_false).max(Weight::ZERO), if_true.min(if_false).min(Weight::ZERO).negate());
        let condition = speaker.condition;
        if evidence == Truth::UNKNOWN && !speaker.is_joint {
            let families = u8::from(up > Weight::ZERO);
            return Some(Move { condition, up, down, families, loses: speaker.demographic });
        }
        let most = up + down + self.silenced(rule, condition);
        Some(Move { condition, up: most, down: most, families: 2, loses: true })
    }

    /// What the rules bring at most for which a joint rule stands.
    fn silenced(&self, rule: u32, condition: u32) -> Weight {
        let stands_for = &self.plan.rules[rule as usize].stands_for;
        let speakers = &self.plan.index.speakers[self.plan.conditions[condition as usize].rules.clone()];
        let parts = speakers.iter().filter(|part| stands_for.contains(&part.family));
        parts.fold(Weight::ZERO, |sum, part| sum + Weight(part.if_true.0.abs().max(part.if_false.0.abs())))
    }

    /// The findings of which an answer might change the urgency or the first place, ascending; all others are idle. Found
    /// from what can change: the conditions that are likely or near the first place, and the findings that reach far from
    /// the priors. So what is far from everything costs nothing.
    pub fn candidates(&self) -> Vec<FindingIndex> {
        let (plan, scores) = (self.plan, &self.base.scores);
        let reach = &plan.index.reach;
        if self.slack < 0.0 {
            return (0..plan.findings().len()).map(FindingIndex).collect();
        }
        let first = self.first_place().map(|first| first.0);
        let mut marks = self.decisive.clone();
        let mut mark = |finding: u32| marks[finding as usize / 64] |= 1 << (finding % 64);
        (0..).zip(&self.first).filter(|(_, first)| **first > 0).for_each(|(finding, _)| mark(finding));
        match first {
            Some(first) => {
                let high = reach.by_height.iter().take_while(|(height, _)| *height >= first);
                high.for_each(|&(_, finding)| mark(finding));
            }
            None => reach.decisive.iter().for_each(|&finding| mark(finding)),
        }
        let likely = reach.by_odds.iter().take_while(|(odds, _)| *odds >= self.slack * LIGHT);
        likely.for_each(|&(_, finding)| mark(finding));
        #[expect(clippy::cast_precision_loss, reason = "so many conditions fit no pack")]
        let little = self.slack * LIGHT / (scores.standings.len() + 1) as f64;
        let mut is_one_determined_marked = false;
        for standing in &scores.standings {
            let height = standing.score + reach.furthest[standing.condition as usize];
            // What takes away the last condition with evidence from two families takes away every one, so also the first.
            let determined = standing.families > 1 && !is_one_determined_marked;
            is_one_determined_marked |= determined;
            let is_near = first.map_or(standing.families > 0, |first| height >= first);
            if determined || is_near || odds(height) >= little {
                reach.movers.of(standing.condition).iter().for_each(|&finding| mark(finding));
            }
        }
        let mut candidates = Vec::new();
        for (word, mut bits) in marks.into_iter().enumerate() {
            while bits != 0 {
                candidates.push(FindingIndex(word * 64 + bits.trailing_zeros() as usize));
                bits &= bits - 1;
            }
        }
        candidates
    }

    fn first_place(&self) -> Option<Rank> {
        let scores = &self.base.scores;
        scores.best.filter(|_| scores.determined > 0)
    }

    /// Takes a red flag that has a say, and whether it could change the urgency by itself.
    pub fn alarm(&mut self, flag: u32, is_decisive: bool) {
        for &finding in self.plan.index.reach.askers.of(flag) {
            let (word, bit) = (finding as usize / 64, 1 << (finding % 64));
            self.alarming[word] |= bit;
            self.decisive[word] |= if is_decisive { bit } else { 0 };
        }
    }

    /// Whether a red flag that has a say looks at what an answer to a finding tells.
    pub fn is_alarming(&self, finding: FindingIndex) -> bool {
        self.alarming[finding.0 / 64] & (1 << (finding.0 % 64)) != 0
    }

    /// Whether one of those could change the urgency by itself.
    fn is_decisive(&self, finding: FindingIndex) -> bool {
        self.decisive[finding.0 / 64] & (1 << (finding.0 % 64)) != 0
    }

    /// Where a condition stands, if a rule of it was heard.
    pub fn before(&self, condition: u32) -> Option<(usize, &'a Standing)> {
        let place = self.places[condition as usize].checked_sub(1)? as usize;
        Some((place, &self.base.scores.standings[place]))
    }

    /// Gathers what an answer to a finding moves.
    fn reach_out(&mut self, finding: FindingIndex) {
        self.reached.clear();
        self.reached.extend_from_slice(self.plan.index.reach.moves_of(finding));
        let known = self.reached.len();
        let mut next = self.first[finding.0];
        while let Some(place) = next.checked_sub(1) {
            let (moved, following) = self.touched[place as usize];
            next = following;
            let (ascending, others) = self.reached.split_at_mut(known);
            let same = match ascending.binary_search_by_key(&moved.condition, |reached| reached.condition) {
                Ok(place) => Some(&mut ascending[place]),
                Err(_) => others.iter_mut().find(|other| other.condition == moved.condition),
            };
            match same {
                Some(same) => {
                    same.up = same.up + moved.up;
                    same.down = same.down + moved.down;
                    same.families = same.families.saturating_add(moved.families);
                    same.loses |= moved.loses;
                }
                None => self.reached.push(moved),
            }
        }
    }

    /// What asking for a finding could bring; `None` where it is plain that no answer changes the urgency or the first place:
    /// no red flag that has a say looks at what it tells, every condition that it moves stays below the first place, all their
    /// odds together are too small to carry a sum of shares over a threshold, and whether there is a first place stays as it
    /// is.
    pub fn promise(&mut self, finding: FindingIndex) -> Option<Promise> {
        if self.slack < 0.0 {
            return Some(Promise::ANYTHING);
        }
        self.reach_out(finding);
        let scores = &self.base.scores;
        let first = self.first_place();
        // Where the first place itself falls, what comes up to it need not rise as far.
        let near = first.map_or(Weight(i32::MAX), |first| {
            let own = self.reached.iter().find(|reached| reached.condition == first.2.0);
            own.map_or(first.0, |own| Weight(first.0.0.saturating_sub(own.down.0)))
        });
        let (mut determined, mut is_idle) = (scores.determined, !self.is_decisive(finding));
        let (mut moved, mut weighted, mut raised) = (0.0, 0.0, 0.0);
        let mut swing = Swing::default();
        for i in 0..self.reached.len() {
            let reached = self.reached[i];
            let before = self.before(reached.condition).map(|(_, before)| before);
            let prior = &self.plan.index.standings[reached.condition as usize];
            let score = before.map_or(prior.prior, |before| before.score);
            let families = before.map_or(0, |before| before.families);
            let likely = odds(score + reached.up);
            let (now, weight) = self.odds[reached.condition as usize];
            swing.up[prior.urgency.index()] += likely - now;
            swing.down[prior.urgency.index()] += now - odds(score + reached.down.negate());
            moved += now;
            weighted += weight;
            raised += likely;
            determined -= usize::from(families > 1 && reached.loses);
            let decides = match first {
                Some(_) => score + reached.up >= near,
                None => families.saturating_add(reached.families) > 1,
            };
            is_idle &= !decides;
        }
        let may_be_lost = first.is_some() && determined == 0;
        let crossed = self.crossed(&swing);
        let held = if self.is_alarming(finding) { self.held.1 } else { self.held.0 };
        if is_idle && !may_be_lost && crossed.is_none_or(|level| level <= held) {
            return None;
        }
        let floor = self.plan.index.reach.floors[finding.0];
        let fires = floor.filter(|_| self.is_alarming(finding));
        let unclear = may_be_lost.then_some(self.plan.header.insufficient_urgency);
        let highest = crossed.max(unclear).max(fires);
        let may_rise = floor.max(highest) > Some(self.urgency);
        let danger = highest.filter(|&highest| highest > self.urgency && highest >= Urgency::Urgent);
        Some(Promise { may_rise, danger, gain: self.gain(moved, weighted, raised) })
    }

    /// The highest urgency of which the sum of shares might cross the threshold.
    fn crossed(&self, swing: &Swing) -> Option<Urgency> {
        let sum = |of: &[f64]| of.iter().sum::<f64>();
        let rough = self.base.scores.total * 1e-9;
        let crosses = |&(level, act_at, margin): &(Urgency, f64, f64)| {
            let (up, up_above) = swing.up.split_at(level.index());
            let (down, down_above) = swing.down.split_at(level.index());
            if margin < 0.0 {
                margin + (1.0 - act_at) * sum(up_above) + act_at * sum(down) >= -rough
            } else {
                margin - (1.0 - act_at) * sum(down_above) - act_at * sum(up) < rough
            }
        };
        self.margins.iter().filter(|margin| crosses(margin)).map(|(level, ..)| *level).max()
    }

    /// A bound on the drop of the entropy when conditions of odds `moved` come to `raised` at most. What is not moved keeps
    /// its entropy within itself, and has a share of at least `rest / (rest + raised)` afterwards.
    fn gain(&self, moved: f64, weighted: f64, raised: f64) -> f64 {
        let total = self.base.scores.total;
        let rest = total - moved;
        if rest < total * 1e-6 {
            return self.entropy + ROUGH;
        }
        let within = entropy_of(rest, self.weighted - weighted).max(0.0);
        self.entropy - rest / (rest + raised) * within + ROUGH
    }
}
