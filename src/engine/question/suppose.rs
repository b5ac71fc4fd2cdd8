//! What an answer would change: supposed, followed through, and taken back.
//!
//! Owns the expected gain of a question. Only the rules, conditions and red flags that an answer reaches are read again, and
//! sums are corrected rather than summed anew. What a finding moves that tells no other is worked out condition by
//! condition, for all answers at once (`columns`); otherwise each answer is heard by a copy of the facts and followed.

pub(super) mod answers;
mod columns;

use super::super::evaluate::flag::{FlagState, Flagged, deciding, flagged};
use super::super::evaluate::reading::Facts;
use super::super::evaluate::score::{Heard, OddsSums, Rank, Standing, rank};
use super::super::evaluate::{Evaluation, GroupEvaluation, Work};
use super::super::odds::{Sum, entropy, odds, weighted};
use super::super::plan::Plan;
use super::super::urgency::Urgency;
use super::super::vocabulary::FindingIndex;
use super::super::weight::Weight;
use super::bounds::Bounds;
use super::waiting::{After as Then, Says, SoFar, Waiting};
use answers::Answers;
use std::cmp::Reverse;

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
    /// The red flags that stand as precautions, ascending, each with the floor that holds for it.
    precautions: Vec<(u32, Urgency)>,
    /// The supported conditions, first place first.
    ranking: Vec<Rank>,
    weighted: Sum,
    facts: Facts,
    work: Work,
    /// What could be changed at most.
    pub bounds: Bounds<'a>,
    /// The rules that wait for the finding in question, where it tells no other.
    waiting: Waiting,
    /// Conditions that the supposed answer moves, ascending.
    moved: Vec<Moved<'a>>,
    heard: Vec<Heard>,
    findings: Vec<FindingIndex>,
    said: Vec<Says>,
    answers: Answers,
    /// The odds of the conditions of which a rule was heard, in the order of the standings: as a sum, and weighted.
    odds: Vec<(Sum, Sum)>,
    /// What the red flags demand while nothing is supposed.
    demanded: Urgency,
    /// For each rule whether it was read, a bit each.
    considered: Vec<u64>,
    /// The findings that would fire a red flag whose sign was told already.
    waited_for: Vec<FindingIndex>,
    /// What each answer would change of the scores.
    changes: Vec<Change>,
    /// What the red flags would demand after each answer, and whether one above the urgency would come up.
    demands: Vec<(Urgency, bool)>,
    /// The answers from which on a condition may stand elsewhere.
    cuts: Vec<u32>,
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

/// A condition that a supposed answer moves.
struct Moved<'a> {
    /// Where it stood, with its place among the standings; `None` where no rule of it was heard.
    before: Option<(usize, &'a Standing)>,
    /// Its score before.
    score: Weight,
    now: Standing,
}

/// What an answer would change of the scores.
#[derive(Clone, Copy, Default)]
struct Change {
    /// By how much the odds of the conditions of each urgency change.
    odds: [Sum; 5],
    /// By how much the second sum of the entropy changes.
    weighted: Sum,
    /// How many conditions more have positive evidence from two families.
    determined: i32,
    /// The best condition that would be supported.
    best: Option<Rank>,
}

impl<'a> Supposing<'a> {
    /// Makes a group ready.
    pub fn new(plan: &'a Plan, evaluation: &'a Evaluation, group: usize) -> Self {
        let base = &evaluation.groups()[group];
        let others = evaluation.groups().iter().enumerate().filter(|(other, _)| *other != group);
        let mut ranking: Vec<Rank> =
            base.scores.standings.iter().filter(|s| s.is_supported()).map(|s| rank(plan, s)).collect();
        ranking.sort_unstable_by(|a, b| b.cmp(a));
        let mut work = Work::default();
        work.reset(plan);
        let mut considered = vec![0; plan.rules.len() / 64 + 1];
        for &rule in &base.scores.considered {
            considered[rule as usize / 64] |= 1 << (rule % 64);
        }
        let odds: Vec<(Sum, Sum)> = base.scores.standings.iter().map(|standing| sums_of(standing.score)).collect();
        let mut weighted = plan.index.weighted;
        for (standing, (_, now)) in base.scores.standings.iter().zip(&odds) {
            weighted -= plan.index.standings[standing.condition as usize].weighted;
            weighted += *now;
        }
        let mut supposing = Self {
            plan,
            base,
            urgency: evaluation.urgency,
            others: others.map(|(_, other)| other.urgency(plan)).max().unwrap_or(Urgency::SelfCare),
            flags: &base.flags,
            fired: base.fired_floor(plan).unwrap_or(Urgency::SelfCare),
            precautions: base.flags.iter().filter_map(|flag| precaution(plan, flag)).collect(),
            ranking,
            bounds: Bounds::new(plan, base, evaluation.urgency, weighted, &mut work),
            weighted,
            facts: base.facts.clone(),
            work,
            waiting: Waiting::new(plan),
            moved: Vec::new(),
            heard: Vec::new(),
            findings: Vec::new(),
            said: Vec::new(),
            answers: Answers::default(),
            odds,
            demanded: Urgency::SelfCare,
            considered,
            waited_for: Vec::new(),
            changes: Vec::new(),
            demands: Vec::new(),
            cuts: Vec::new(),
        };
        let held = supposing.urgency_after(&Change::default(), base.by_conditions, supposing.fired);
        for flag in base.flags.iter().filter(|flag| has_a_say(flag)) {
            let raises = plan.index.alarms[flag.flag as usize].floor > evaluation.urgency;
            let lowers = precaution(plan, flag).is_some_and(|(_, floor)| floor > held);
            supposing.bounds.alarm(flag.flag, raises || lowers);
        }
        for flag in base.flags.iter().filter(|flag| flag.is_half_told()) {
            deciding(plan, &base.facts, flag.flag, &mut supposing.waited_for);
        }
        supposing.demanded = supposing.flags(base.facts.mark()).0;
        let unchanged = supposing.urgency_after(&Change::default(), base.by_conditions, supposing.demanded);
        if unchanged == evaluation.urgency {
            let always = supposing.fired.max(supposing.others);
            supposing.bounds.know(margins(plan, &base.scores.sums), (supposing.demanded.max(always), always));
        }
        supposing
    }

    /// Whether any rule still waits for this finding.
    fn could_tell(&mut self, finding: FindingIndex) -> bool {
        let rules = self.plan.index.rules_of.of_all(self.plan.atoms_of(finding));
        rules.iter().any(|&rule| {
            self.findings.clear();
            self.facts.undecided(self.plan, self.plan.index.programs[rule as usize], &mut self.findings);
            self.findings.contains(&finding)
        })
    }

    /// What asking for a finding is worth; `None` when no answer changes the urgency or the first place, or when nothing waits
    /// for one.
    pub fn worth(&mut self, finding: FindingIndex) -> Option<Worth> {
        if !self.waited_for.contains(&finding) && !self.could_tell(finding) {
            return None;
        }
        let mut answers = std::mem::take(&mut self.answers);
        answers.of(self.plan, finding);
        let reach = &self.plan.index.reach;
        let could_open = reach.floors[finding.0].is_some_and(|floor| floor > self.urgency);
        let is_flagged = could_open || self.bounds.is_alarming(finding);
        self.changes.clear();
        self.demands.clear();
        if reach.is_plain[finding.0] {
            self.waiting.gather(self.plan, &self.facts, finding);
            if is_flagged || self.waiting.reads_facts() {
                self.hear_each(&answers, is_flagged);
            } else {
                self.demands.resize(answers.likely.len(), (self.demanded, false));
            }
            self.columns(&answers);
        } else {
            self.follow_each(&answers, is_flagged);
        }
        let worth = self.weigh(&answers);
        self.answers = answers;
        worth
    }

    /// What the answers that were followed are worth together; `None` when none changes the urgency or the first place.
    fn weigh(&self, answers: &Answers) -> Option<Worth> {
        let first_place = self.base.scores.first_place();
        let before = self.base.scores.sums.total();
        let (mut changes, mut highest) = (false, self.urgency);
        let (mut rising, mut total, mut expected) = (0.0, 0.0, 0.0);
        for ((assumed, change), &(demanded, opens)) in answers.likely.iter().zip(&self.changes).zip(&self.demands) {
            let mut sums = self.base.scores.sums;
            sums.by_urgency.iter_mut().zip(change.odds).for_each(|(sum, change)| *sum += change);
            let (odds, weighted) = (sums.total(), self.weighted + change.weighted);
            let urgency = self.urgency_after(change, sums.urgency(self.plan), demanded);
            let likely = (assumed * odds.value() / before.value()).clamp(0.01, 0.99);
            changes |= self.first_place(change) != first_place || urgency != self.urgency;
            highest = highest.max(urgency);
            if opens || urgency > self.urgency {
                rising += likely;
            }
            total += likely;
            expected += likely * entropy(odds, weighted);
        }
        let danger = (highest > self.urgency && highest >= Urgency::Urgent).then_some(highest);
        let gain = || entropy(before, self.weighted) - expected / total;
        changes.then(|| Worth { danger, rise: rising / total, gain: gain() })
    }

    /// Hears each answer to a finding that tells no other, and reads what must be read off the facts.
    fn hear_each(&mut self, answers: &Answers, is_flagged: bool) {
        for answer in 0..answers.len() {
            let mark = self.hear(answers, answer);
            self.waiting.note(self.plan, &self.facts);
            self.demand(mark, is_flagged);
            self.facts.undo(mark);
        }
    }

    /// Hears each answer, and works out what it would change of the scores and demand by red flags.
    fn follow_each(&mut self, answers: &Answers, is_flagged: bool) {
        for answer in 0..answers.len() {
            let mark = self.hear(answers, answer);
            let mut said = std::mem::take(&mut self.said);
            said.clear();
            self.follow(mark, &mut said);
            self.moved.clear();
            for same in said.chunk_by(|a, b| a.condition == b.condition) {
                self.after(same).into_iter().for_each(|now| self.moves(now));
            }
            self.said = said;
            self.changes.push(self.change());
            self.demand(mark, is_flagged);
            self.facts.undo(mark);
        }
    }

    /// Notes what the red flags would demand after what was heard since the mark, where any looks at it.
    fn demand(&mut self, mark: usize, is_flagged: bool) {
        let demands = if is_flagged { self.flags(mark) } else { (self.demanded, false) };
        self.demands.push(demands);
    }

    /// Where a condition would stand, by what its rules would say that an answer could change; `None` where it stands already.
    fn after(&mut self, said: &[Says]) -> Option<Standing> {
        let so_far = self.so_far(said[0].condition);
        match self.waiting.after(self.plan, so_far, said, &mut self.work.families) {
            Then::Same => None,
            Then::Moved(now) => Some(now),
            Then::Involved => self.standing(said),
        }
    }

    fn moves(&mut self, now: Standing) {
        let before = self.bounds.before(now.condition);
        let prior = self.plan.index.standings[now.condition as usize].prior;
        self.moved.push(Moved { before, score: before.map_or(prior, |(_, before)| before.score), now });
    }

    /// Hears a supposed answer, and says where it began.
    fn hear(&mut self, answers: &Answers, answer: u32) -> usize {
        let mark = self.facts.mark();
        answers.told(answer).for_each(|(atom, truth)| self.facts.hear(atom, truth));
        self.facts.settle(self.plan, mark);
        mark
    }

    /// What the rules would say that a supposed answer reaches, which was heard.
    fn follow(&mut self, mark: usize, said: &mut Vec<Says>) {
        let (plan, Self { work, facts, considered, .. }) = (self.plan, &mut *self);
        // Rules that could say something already, and look at what changed; and those that can only now.
        for &(atom, _) in facts.heard_since(mark) {
            let rules = plan.index.rules_of.of(atom).iter();
            let is_read = |rule: u32| considered[rule as usize / 64] & (1 << (rule % 64)) != 0;
            rules.filter(|&&rule| is_read(rule)).for_each(|&rule| work.rules.mark(rule));
        }
        work.mark_speakers(plan, facts, mark);
        work.ids.clear();
        work.rules.drain_into(&mut work.ids);
        said.extend(work.ids.iter().map(|&rule| {
            let evidence = facts.evidence(plan, rule, &plan.index.speakers[rule as usize]);
            Says { rule, condition: plan.index.condition_of[rule as usize], evidence }
        }));
    }

    /// What the conditions that were moved change together.
    fn change(&self) -> Change {
        let mut change = Change::default();
        for Moved { before, score, now } in &self.moved {
            change.determined += i32::from(now.families > 1);
            change.determined -= i32::from(before.is_some_and(|(_, before)| before.families > 1));
            if *score != now.score {
                let prior = &self.plan.index.standings[now.condition as usize];
                let was = self.sums_before(*before, now.condition);
                let is = sums_of(now.score);
                change.odds[prior.urgency.index()] += is.0 - was.0;
                change.weighted += is.1 - was.1;
            }
        }
        let is_moved = |rank: &&Rank| self.moved.binary_search_by_key(&rank.2.0, |moved| moved.now.condition).is_ok();
        let unmoved = self.ranking.iter().find(|rank| !is_moved(rank)).copied();
        let moved = self.moved.iter().filter(|moved| moved.now.is_supported()).map(|moved| rank(self.plan, &moved.now));
        change.best = moved.max().max(unmoved);
        change
    }

    /// What a condition adds to the two sums as it stands.
    fn sums_before(&self, before: Option<(usize, &Standing)>, condition: u32) -> (Sum, Sum) {
        let prior = &self.plan.index.standings[condition as usize];
        before.map_or((prior.odds, prior.weighted), |(place, _)| self.odds[place])
    }

    fn is_determined(&self, change: &Change) -> bool {
        i32::try_from(self.base.scores.determined).is_ok_and(|determined| determined + change.determined > 0)
    }

    fn first_place(&self, change: &Change) -> Option<usize> {
        change.best.filter(|_| self.is_determined(change)).map(|(_, _, Reverse(condition))| condition as usize)
    }

    fn urgency_after(&self, change: &Change, by_conditions: Urgency, demanded: Urgency) -> Urgency {
        let insufficient = self.plan.header.insufficient_urgency;
        let insufficient = if self.is_determined(change) { Urgency::SelfCare } else { insufficient };
        by_conditions.max(insufficient).max(demanded).max(self.others)
    }

    /// Where a condition stands, and what was heard of it.
    fn so_far(&self, condition: u32) -> SoFar<'a> {
        let Some((place, before)) = self.bounds.before(condition) else { return SoFar { standing: None, heard: &[] } };
        let scores = &self.base.scores;
        let end = scores.standings.get(place + 1).map_or(scores.heard.len(), |next| next.heard as usize);
        SoFar { standing: Some(before), heard: &scores.heard[before.heard as usize..end] }
    }

    /// Where a condition would stand; `None` where it stands already. The rules are ascending, and so is what was heard.
    fn standing(&mut self, said: &[Says]) -> Option<Standing> {
        let (plan, condition) = (self.plan, said[0].condition);
        let before = self.so_far(condition).heard;
        self.heard.clear();
        let (mut next, mut changes) = (0, false);
        for &Says { rule, evidence, .. } in said {
            while next < before.len() && before[next].rule < rule {
                self.heard.push(before[next]);
                next += 1;
            }
            let was = before.get(next).filter(|heard| heard.rule == rule);
            next += usize::from(was.is_some());
            let speaker = &plan.index.speakers[rule as usize];
            let is = Heard::of(rule, speaker, evidence);
            changes |= is.as_ref() != was;
            self.heard.extend(is);
        }
        if !changes {
            return None;
        }
        self.heard.extend_from_slice(&before[next..]);
        Some(self.work.families.standing(plan, condition, &self.heard))
    }

    /// The urgency that the red flags of the group would demand, and whether one above the urgency would come up. Only flags
    /// that have a say demand something: an interview asks for what was made possible, not for every flag of the pack.
    fn flags(&mut self, mark: usize) -> (Urgency, bool) {
        self.work.mark_flags(self.plan, &self.facts, mark);
        self.work.ids.clear();
        self.work.flags.drain_into(&mut self.work.ids);
        let (changed, flags) = (&self.work.ids, self.flags);
        let stays = |(flag, _): &&(u32, Urgency)| changed.binary_search(flag).is_err();
        let precautions = self.precautions.iter().filter(stays).map(|(_, floor)| *floor);
        let (mut demanded, mut opens) = (precautions.fold(self.fired, Urgency::max), false);
        for &flag in changed {
            let definition = &self.plan.index.alarms[flag as usize];
            let was = flags.binary_search_by_key(&flag, |was| was.flag).ok().map(|place| flags[place]);
            let (state, live) = was.map_or((FlagState::Dormant, false), |was| (was.state, was.live));
            if matches!(state, FlagState::Fired | FlagState::Excluded) {
                continue;
            }
            let has_a_say = was.as_ref().is_some_and(has_a_say);
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

/// Whether a red flag is of consequence, or its sign was told.
fn has_a_say(flag: &Flagged) -> bool {
    matches!(flag.state, FlagState::Precaution | FlagState::Open) || flag.is_half_told()
}

/// A red flag that stands as a precaution, with the floor that holds for it.
fn precaution(plan: &Plan, flag: &Flagged) -> Option<(u32, Urgency)> {
    let floor = plan.index.alarms[flag.flag as usize].while_unknown;
    floor.filter(|_| flag.state == FlagState::Precaution).map(|floor| (flag.flag, floor))
}

/// What a condition at a score adds to the two sums.
fn sums_of(score: Weight) -> (Sum, Sum) {
    (Sum::of(odds(score)), weighted(score))
}

fn margins(plan: &Plan, sums: &OddsSums) -> Vec<(Urgency, f64, f64)> {
    let total = sums.total().value();
    let mut sum = Sum::ZERO;
    let mut margins = Vec::new();
    for level in Urgency::ALL.into_iter().rev() {
        sum += sums.by_urgency[level.index()];
        if let Some(act_at) = plan.header.act_at[level.index()] {
            margins.push((level, act_at, sum.value() - act_at * total));
        }
    }
    margins
}
