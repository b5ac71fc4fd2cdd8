//! What an answer would change: supposed, followed through, and taken back.
//!
//! Owns the expected gain of a question. A supposed answer is heard by a copy of the facts; only the rules, conditions and
//! red flags that it reaches are read again, and sums are corrected rather than summed anew.

use super::super::evaluate::flag::{FlagState, Flagged, deciding, flagged};
use super::super::evaluate::reading::Facts;
use super::super::evaluate::score::{Heard, OddsSums, Rank, Standing, rank};
use super::super::evaluate::{Evaluation, GroupEvaluation, Work};
use super::super::odds::{Sum, entropy, odds, weighted};
use super::super::plan::program::to_u32;
use super::super::plan::{Plan, Test};
use super::super::truth::Truth;
use super::super::urgency::Urgency;
use super::super::vocabulary::{FindingIndex, Kind};
use super::super::weight::Weight;
use std::cmp::Reverse;

/// P(finding | something else) for the order of questions alone, where only an ordinal strength is given.
const ASSUMED_WITHOUT: f64 = 0.2;

/// One group of an evaluation, ready to hear supposed answers.
pub struct Supposing<'a> {
    plan: &'a Plan,
    base: &'a GroupEvaluation,
    /// The urgency as it is.
    urgency: Urgency,
    /// What the other groups demand.
    others: Urgency,
    /// The red flags as they stand; those that nothing touches are not among them.
    flags: &'a [Flagged],
    /// The highest floor that fired.
    fired: Urgency,
    /// The supported conditions, first place first.
    ranking: Vec<Rank>,
    weighted: Sum,
    facts: Facts,
    work: Work,
    /// For each condition, one more than its place among the standings; zero for none.
    places: Vec<u32>,
    /// For each rule whether it was read, a bit each.
    considered: Vec<u64>,
    /// Conditions that the supposed answer moves, ascending, each with its place in the ranking if it is supported.
    moved: Vec<(u32, Option<Rank>)>,
    heard: Vec<Heard>,
    findings: Vec<FindingIndex>,
    answers: Answers,
    /// How much odds may come or go before a sum of shares can cross a threshold; below zero where nothing is known of it.
    slack: f64,
    /// Conditions that a finding is evidence of, each with the weight that it can bring or take.
    reached: Vec<(u32, i32)>,
    /// For each answer how likely it is, and the two sums after it.
    sums: Vec<(f64, Sum, Sum)>,
}

/// What asking for a finding is worth.
#[derive(Debug, Clone, Copy)]
pub struct Worth {
    /// The highest urgency that an answer leads to, where that is urgent and above what it is.
    pub danger: Option<Urgency>,
    /// How likely an answer raises the urgency, or brings up a red flag above it.
    pub rise: f64,
    /// The expected drop in the entropy of the shares.
    pub gain: f64,
}

/// What would be if an answer were given.
struct After {
    first_place: Option<usize>,
    urgency: Urgency,
    /// Whether a red flag above the urgency would come up.
    opens: bool,
    odds: Sum,
    weighted: Sum,
}

impl<'a> Supposing<'a> {
    /// Makes a group ready.
    pub fn new(plan: &'a Plan, evaluation: &'a Evaluation, group: usize) -> Self {
        let base = &evaluation.groups()[group];
        let others = evaluation.groups().iter().enumerate().filter(|(other, _)| *other != group);
        let mut ranking: Vec<Rank> =
            base.scores.standings.iter().filter(|s| s.is_supported()).map(|s| rank(plan, s)).collect();
        ranking.sort_unstable_by(|a, b| b.cmp(a));
        let mut sum = plan.index.weighted;
        for standing in &base.scores.standings {
            sum -= weighted(plan.index.standings[standing.condition as usize].prior);
            sum += weighted(standing.score);
        }
        let mut work = Work::default();
        work.reset(plan);
        let mut places = vec![0; plan.conditions.len()];
        for (standing, place) in base.scores.standings.iter().zip(1..) {
            places[standing.condition as usize] = place;
        }
        let mut considered = vec![0; plan.rules.len() / 64 + 1];
        for &rule in &base.scores.considered {
            considered[rule as usize / 64] |= 1 << (rule % 64);
        }
        let mut supposing = Self {
            plan,
            base,
            urgency: evaluation.urgency,
            others: others.map(|(_, other)| other.urgency(plan)).max().unwrap_or(Urgency::SelfCare),
            flags: &base.flags,
            fired: base.fired_floor(plan).unwrap_or(Urgency::SelfCare),
            ranking,
            weighted: sum,
            facts: base.facts.clone(),
            work,
            places,
            considered,
            moved: Vec::new(),
            heard: Vec::new(),
            findings: Vec::new(),
            answers: Answers::default(),
            slack: -1.0,
            reached: Vec::new(),
            sums: Vec::new(),
        };
        let unchanged = supposing.after(&[]);
        if unchanged.first_place == base.scores.first_place() && unchanged.urgency == evaluation.urgency {
            supposing.slack = slack(plan, &base.scores.sums);
        }
        supposing
    }

    /// Whether it is plain, without supposing anything, that no answer changes the urgency or the first place. A rule that
    /// is not joint moves its condition by its own weights at most, whatever else is known. So nothing changes when a
    /// finding tells no other finding and no red flag, when every condition that it moves stays below the first place, and
    /// when all their odds together are too small to carry a sum of shares over a threshold. Whether the outcome is
    /// determined rests on some condition that it does not move.
    pub fn is_idle(&mut self, finding: FindingIndex) -> bool {
        let (plan, scores) = (self.plan, &self.base.scores);
        let (Some(first), true) = (scores.best, scores.determined > 0 && self.slack >= 0.0) else { return false };
        let atoms = plan.finding_atoms[finding.0].clone();
        let index = &plan.index;
        if !index.tells_of.of_all(atoms.clone()).is_empty() || !index.flags_of.of_all(atoms.clone()).is_empty() {
            return false;
        }
        self.reached.clear();
        for &rule in index.rules_of.of_all(atoms) {
            let speaker = &index.speakers[rule as usize];
            if speaker.is_joint {
                return false;
            }
            let most = speaker.if_true.0.saturating_abs().saturating_add(speaker.if_false.0.saturating_abs());
            self.reached.push((speaker.condition, most));
        }
        self.reached.sort_unstable();
        let (mut highest, mut count, mut determined) = (Weight(i32::MIN), 0.0, scores.determined);
        for rules in self.reached.chunk_by(|a, b| a.0 == b.0) {
            let condition = rules[0].0;
            let before = self.before(condition);
            if condition == first.2.0 {
                return false;
            }
            determined -= usize::from(before.is_some_and(|before| before.families > 1));
            let score = before.map_or(index.standings[condition as usize].prior, |before| before.score);
            highest = rules.iter().fold(score, |score, (_, most)| score + Weight(*most)).max(highest);
            count += 1.0;
        }
        count == 0.0 || (determined > 0 && highest < first.0 && count * odds(highest) < self.slack)
    }

    /// Whether any rule still waits for this finding.
    pub fn could_tell(&mut self, finding: FindingIndex) -> bool {
        let rules = self.plan.index.rules_of.of_all(self.plan.finding_atoms[finding.0].clone());
        rules.iter().any(|&rule| {
            self.findings.clear();
            self.facts.undecided(self.plan, self.plan.index.programs[rule as usize], &mut self.findings);
            self.findings.contains(&finding)
        })
    }

    /// The findings that would fire a red flag whose sign was told already.
    pub fn waited_for(&self) -> Vec<FindingIndex> {
        let mut findings = Vec::new();
        for flag in self.flags.iter().filter(|flag| flag.is_half_told()) {
            deciding(self.plan, &self.facts, &self.plan.red_flags[flag.flag as usize], &mut findings);
        }
        findings
    }

    /// What asking for a finding is worth; `None` when no answer changes the urgency or the first place.
    pub fn worth(&mut self, finding: FindingIndex) -> Option<Worth> {
        let mut answers = std::mem::take(&mut self.answers);
        answers.of(self.plan, finding);
        let first_place = self.base.scores.first_place();
        let before = self.base.scores.sums.total();
        let (mut changes, mut highest) = (false, self.urgency);
        let (mut rising, mut total) = (0.0, 0.0);
        let mut sums = std::mem::take(&mut self.sums);
        sums.clear();
        for (assumed, told) in answers.iter() {
            let after = self.after(told);
            let likely = (assumed * after.odds.value() / before.value()).clamp(0.01, 0.99);
            changes |= after.first_place != first_place || after.urgency != self.urgency;
            highest = highest.max(after.urgency);
            if after.opens || after.urgency > self.urgency {
                rising += likely;
            }
            total += likely;
            sums.push((likely, after.odds, after.weighted));
        }
        self.answers = answers;
        let danger = (highest > self.urgency && highest >= Urgency::Urgent).then_some(highest);
        let worth = changes.then(|| {
            let expected =
                sums.iter().fold(0.0, |sum, &(likely, odds, weighted)| sum + likely * entropy(odds, weighted));
            Worth { danger, rise: rising / total, gain: entropy(before, self.weighted) - expected / total }
        });
        self.sums = sums;
        worth
    }

    fn after(&mut self, told: &[(u32, Truth)]) -> After {
        let mark = self.facts.mark();
        told.iter().for_each(|&(atom, truth)| self.facts.hear(atom, truth));
        self.facts.settle(self.plan, mark);
        let mut after = self.scores(mark);
        let (demanded, opens) = self.flags(mark);
        after.urgency = after.urgency.max(demanded).max(self.others);
        after.opens = opens;
        self.facts.undo(mark);
        after
    }

    /// What would become of the scores, and the urgency that follows from them.
    fn scores(&mut self, mark: usize) -> After {
        let (plan, base) = (self.plan, &self.base.scores);
        // Rules that could say something already, and look at what changed; and those that can only now.
        for &(atom, _) in self.facts.heard_since(mark) {
            for &rule in plan.index.rules_of.of(atom) {
                if self.considered[rule as usize / 64] & (1 << (rule % 64)) != 0 {
                    self.work.rules.mark(rule);
                }
            }
        }
        self.work.mark_speakers(plan, &self.facts, mark);
        let mut rules = std::mem::take(&mut self.work.ids);
        rules.clear();
        self.work.rules.drain_into(&mut rules);
        self.moved.clear();
        let mut moving = Moving { sums: base.sums, weighted: self.weighted, determined: base.determined };
        let condition_of = |rule: u32| plan.index.speakers[rule as usize].condition;
        for rules in rules.chunk_by(|&a, &b| condition_of(a) == condition_of(b)) {
            if let Some(now) = self.standing(condition_of(rules[0]), rules) {
                moving.put(plan, self.before(now.condition), &now);
                self.moved.push((now.condition, now.is_supported().then(|| rank(plan, &now))));
            }
        }
        self.work.ids = rules;
        let is_moved = |rank: &Rank| self.moved.binary_search_by_key(&rank.2.0, |(condition, _)| *condition).is_ok();
        let unmoved = self.ranking.iter().find(|rank| !is_moved(rank)).copied();
        let best = self.moved.iter().filter_map(|(_, rank)| *rank).max().max(unmoved);
        let insufficient = if moving.determined > 0 { Urgency::SelfCare } else { plan.header.insufficient_urgency };
        After {
            first_place: best.filter(|_| moving.determined > 0).map(|(_, _, Reverse(condition))| condition as usize),
            urgency: moving.sums.urgency(plan).max(insufficient),
            opens: false,
            odds: moving.sums.total(),
            weighted: moving.weighted,
        }
    }

    /// Where a condition stands, if a rule of it was heard.
    fn before(&self, condition: u32) -> Option<&'a Standing> {
        let place = self.places[condition as usize].checked_sub(1)?;
        Some(&self.base.scores.standings[place as usize])
    }

    /// What was heard of a condition.
    fn heard_before(&self, condition: u32) -> &'a [Heard] {
        let place = self.places[condition as usize] as usize;
        if place == 0 {
            return &[];
        }
        let scores = &self.base.scores;
        let end = scores.standings.get(place).map_or(scores.heard.len(), |next| next.heard as usize);
        &scores.heard[scores.standings[place - 1].heard as usize..end]
    }

    /// Where a condition would stand; `None` where it stands already. The rules are ascending, and so is what was heard.
    fn standing(&mut self, condition: u32, rules: &[u32]) -> Option<Standing> {
        let plan = self.plan;
        let before = self.heard_before(condition);
        self.heard.clear();
        let (mut next, mut changes) = (0, false);
        for &rule in rules {
            while next < before.len() && before[next].rule < rule {
                self.heard.push(before[next]);
                next += 1;
            }
            let was = before.get(next).filter(|heard| heard.rule == rule);
            next += usize::from(was.is_some());
            let speaker = &plan.index.speakers[rule as usize];
            let is = Heard::of(rule, speaker, self.facts.evidence(plan, rule, speaker));
            changes |= is.as_ref() != was;
            self.heard.extend(is);
        }
        if !changes {
            return None;
        }
        self.heard.extend_from_slice(&before[next..]);
        Some(self.work.families.standing(plan, condition, &self.heard))
    }

    /// The urgency that the red flags of the group would demand, and whether one above the urgency would come up. A flag has
    /// a say when it is of consequence, or its sign was told: an interview asks for what was made possible, not for every
    /// flag of the pack.
    fn flags(&mut self, mark: usize) -> (Urgency, bool) {
        self.work.mark_flags(self.plan, &self.facts, mark);
        self.work.ids.clear();
        self.work.flags.drain_into(&mut self.work.ids);
        let (changed, flags) = (&self.work.ids, self.flags);
        let (mut demanded, mut opens) = (self.fired, false);
        let stays = |flag: &&Flagged| flag.state == FlagState::Precaution && changed.binary_search(&flag.flag).is_err();
        for flag in flags.iter().filter(stays) {
            demanded = demanded.max(self.plan.red_flags[flag.flag as usize].while_unknown.unwrap_or(demanded));
        }
        for &flag in changed {
            let definition = &self.plan.red_flags[flag as usize];
            let was = flags.binary_search_by_key(&flag, |was| was.flag).ok().map(|place| flags[place]);
            let (state, live) = was.map_or((FlagState::Dormant, false), |was| (was.state, was.live));
            if matches!(state, FlagState::Fired | FlagState::Excluded) {
                continue;
            }
            let has_a_say = state != FlagState::Dormant || was.is_some_and(|was| was.is_half_told());
            let can_come_up = !opens && !live && definition.floor > self.urgency;
            if !has_a_say && !can_come_up {
                continue;
            }
            let is = flagged(self.plan, &self.facts, flag);
            match is.state {
                FlagState::Fired if has_a_say => demanded = demanded.max(definition.floor),
                FlagState::Dormant if is.live && state == FlagState::Precaution => {
                    demanded = demanded.max(definition.while_unknown.unwrap_or(demanded));
                }
                FlagState::Fired | FlagState::Dormant => {
                    let comes_up = state == FlagState::Dormant && !live && (is.state == FlagState::Fired || is.live);
                    opens |= comes_up && definition.floor > self.urgency;
                }
                _ => {}
            }
        }
        (demanded, opens)
    }
}

/// How much odds may come or go, at any urgency, before a sum of shares can cross a threshold; a little less than that.
fn slack(plan: &Plan, sums: &OddsSums) -> f64 {
    let total = sums.total().value();
    let mut slack = f64::INFINITY;
    let mut sum = Sum::ZERO;
    for level in Urgency::ALL.into_iter().rev() {
        sum += sums.by_urgency[level.index()];
        if let Some(act_at) = plan.header.act_at[level.index()] {
            slack = slack.min((sum.value() - act_at * total).abs() / (1.0 + act_at));
        }
    }
    slack * 0.99
}

/// Sums that follow conditions as they move.
struct Moving {
    sums: OddsSums,
    weighted: Sum,
    determined: usize,
}

impl Moving {
    fn put(&mut self, plan: &Plan, before: Option<&Standing>, now: &Standing) {
        let score = before.map_or(plan.index.standings[now.condition as usize].prior, |before| before.score);
        if score != now.score {
            self.sums.replace(plan, now.condition, before.map(|before| before.score), now.score);
            self.weighted -= weighted(score);
            self.weighted += weighted(now.score);
        }
        self.determined -= usize::from(before.is_some_and(|before| before.families > 1));
        self.determined += usize::from(now.families > 1);
    }
}

/// Each possible answer to a question: how likely with "something else", and what it tells.
#[derive(Default)]
struct Answers {
    told: Vec<(u32, Truth)>,
    /// How likely, and where what it tells ends.
    ends: Vec<(f64, usize)>,
    values: Vec<i64>,
}

impl Answers {
    fn iter(&self) -> impl Iterator<Item = (f64, &[(u32, Truth)])> {
        let mut start = 0;
        self.ends.iter().map(move |&(assumed, end)| {
            let told = &self.told[start..end];
            start = end;
            (assumed, told)
        })
    }

    fn of(&mut self, plan: &Plan, finding: FindingIndex) {
        self.told.clear();
        self.ends.clear();
        let range = plan.finding_atoms[finding.0].clone();
        let atoms = to_u32(range.start)..to_u32(range.end);
        match &plan.vocabulary.get(finding).kind {
            Kind::YesNo => {
                let without = plan.index.without[finding.0].unwrap_or(ASSUMED_WITHOUT);
                for (assumed, truth) in [(without, Truth::TRUE), (1.0 - without, Truth::FALSE)] {
                    self.told.extend(atoms.clone().map(|atom| (atom, truth)));
                    self.ends.push((assumed, self.told.len()));
                }
            }
            kind @ (Kind::Choice { .. } | Kind::MultipleChoice { .. }) => {
                let single = matches!(kind, Kind::Choice { .. });
                for chosen in atoms.clone() {
                    let told = atoms.clone().filter(|&atom| single || atom == chosen);
                    self.told.extend(told.map(|atom| (atom, Truth::told(atom == chosen))));
                    self.ends.push((0.0, self.told.len()));
                }
                self.alike_likely(kind.options().len());
            }
            Kind::Number { .. } => self.numbers(plan, atoms),
        }
    }

    /// One answer for each stretch between the constants that rules compare with.
    fn numbers(&mut self, plan: &Plan, atoms: std::ops::Range<u32>) {
        let test = |atom: u32| plan.atoms[atom as usize].test;
        self.values.clear();
        for atom in atoms.clone() {
            if let Test::Below(limit) | Test::AtMost(limit) | Test::AtLeast(limit) | Test::Above(limit) = test(atom) {
                self.values.extend([limit - 1, limit, limit + 1]);
            }
        }
        self.values.sort_unstable();
        self.values.dedup();
        let mut last = 0..0;
        for &value in &self.values {
            let start = self.told.len();
            self.told.extend(atoms.clone().map(|atom| (atom, Truth::told(test(atom).holds(value)))));
            if !self.ends.is_empty() && self.told[last.clone()] == self.told[start..] {
                self.told.truncate(start);
            } else {
                last = start..self.told.len();
                self.ends.push((0.0, self.told.len()));
            }
        }
        self.alike_likely(self.ends.len());
    }

    fn alike_likely(&mut self, answers: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a question has few answers")]
        let even = 1.0 / answers.max(1) as f64;
        self.ends.iter_mut().for_each(|(assumed, _)| *assumed = even);
    }
}
