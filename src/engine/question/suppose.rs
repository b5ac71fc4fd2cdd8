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
use super::bounds::{Bounds, LIGHT};
use super::waiting::{After as Then, Says, SoFar, Waiting};
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
    /// For each urgency that shares can demand, its threshold and by how much odds the sums are over it, or under it.
    margins: Vec<(Urgency, f64, f64)>,
    /// The odds of the conditions of which a rule was heard, in the order of the standings: as a sum, and weighted.
    odds: Vec<(Sum, Sum)>,
    /// What the red flags demand while nothing is supposed.
    demanded: Urgency,
    /// For each rule whether it was read, a bit each.
    considered: Vec<u64>,
    /// The findings that would fire a red flag whose sign was told already.
    waited_for: Vec<FindingIndex>,
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

/// How an answer to the finding in question is to be supposed.
#[derive(Clone, Copy)]
struct Asked {
    /// Whether it tells no other finding, and its rules are gathered.
    is_plain: bool,
    /// Whether something must be read off the facts after it.
    is_heard: bool,
    /// Whether red flags of consequence look at it.
    is_flagged: bool,
}

/// A condition that a supposed answer moves.
struct Moved<'a> {
    /// Where it stood, with its place among the standings; `None` where no rule of it was heard.
    before: Option<(usize, &'a Standing)>,
    /// Its score before.
    score: Weight,
    now: Standing,
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
            margins: margins(plan, &base.scores.sums),
            odds,
            demanded: Urgency::SelfCare,
            considered,
            waited_for: Vec::new(),
            sums: Vec::new(),
        };
        let held = supposing.urgency_with(base.by_conditions, supposing.fired);
        for flag in base.flags.iter().filter(|flag| has_a_say(flag)) {
            let raises = plan.index.alarms[flag.flag as usize].floor > evaluation.urgency;
            let lowers = precaution(plan, flag).is_some_and(|(_, floor)| floor > held);
            supposing.bounds.alarm(flag.flag, raises || lowers);
        }
        for flag in base.flags.iter().filter(|flag| flag.is_half_told()) {
            deciding(plan, &base.facts, flag.flag, &mut supposing.waited_for);
        }
        supposing.demanded = supposing.flags(base.facts.mark()).0;
        let unchanged = supposing.after(&[], Asked { is_plain: false, is_heard: true, is_flagged: true });
        if unchanged.first_place == base.scores.first_place() && unchanged.urgency == evaluation.urgency {
            let always = supposing.fired.max(supposing.others);
            supposing.bounds.know(&supposing.margins, (supposing.demanded.max(always), always));
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
        // It also says which moves could matter.
        if self.bounds.promise(finding).is_none() || !(self.waited_for.contains(&finding) || self.could_tell(finding)) {
            return None;
        }
        let mut answers = std::mem::take(&mut self.answers);
        answers.of(self.plan, finding);
        let reach = &self.plan.index.reach;
        let could_open = reach.floors[finding.0].is_some_and(|floor| floor > self.urgency);
        let is_alarming = self.bounds.is_alarming(finding);
        let is_plain = reach.is_plain[finding.0];
        if is_plain {
            self.waiting.gather(self.plan, &self.facts, finding);
        }
        let is_heard = !is_plain || self.waiting.by_facts || is_alarming;
        let mut asked = Asked { is_plain, is_heard, is_flagged: is_alarming };
        let may_change = answers.iter().any(|(_, told)| self.may_change(told, asked));
        asked.is_flagged |= could_open;
        asked.is_heard |= could_open;
        if !may_change {
            self.answers = answers;
            return None;
        }
        let first_place = self.base.scores.first_place();
        let before = self.base.scores.sums.total();
        let (mut changes, mut highest) = (false, self.urgency);
        let (mut rising, mut total) = (0.0, 0.0);
        let mut sums = std::mem::take(&mut self.sums);
        sums.clear();
        for (assumed, told) in answers.iter() {
            let after = self.after(told, asked);
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

    /// Whether an answer may change the urgency or the first place, by the moves that could matter, in floats: what the others
    /// bring is less than a part of the way to a threshold.
    fn may_change(&mut self, told: &[(u32, Truth)], asked: Asked) -> bool {
        let mark = self.suppose(told, asked, false);
        let changes = self.first_place() != self.base.scores.first_place() || self.may_cross() || {
            let demanded = self.flags_after(mark, asked).0;
            self.urgency_with(self.base.by_conditions, demanded) != self.urgency
        };
        self.facts.undo(mark);
        changes
    }

    /// Whether what was moved, with what was left out, could carry a sum of shares over a threshold.
    fn may_cross(&self) -> bool {
        // By how much the odds of the conditions of each urgency change, and all of them.
        let (mut by_urgency, mut all) = ([0.0; 5], 0.0);
        for moved in &self.moved {
            let change = odds(moved.now.score) - odds(moved.score);
            by_urgency[self.plan.index.standings[moved.now.condition as usize].urgency.index()] += change;
            all += change;
        }
        self.bounds.slack < 0.0
            || self.margins.iter().any(|&(level, act_at, margin)| {
                let above: f64 = by_urgency[level.index()..].iter().sum();
                let after = margin + above - act_at * all;
                (after < 0.0) != (margin < 0.0) || after.abs() < self.bounds.slack * LIGHT * 1.01
            })
    }

    fn after(&mut self, told: &[(u32, Truth)], asked: Asked) -> After {
        let mark = self.suppose(told, asked, true);
        let (sums, weighted) = self.sums();
        let (demanded, opens) = self.flags_after(mark, asked);
        self.facts.undo(mark);
        let urgency = self.urgency_with(sums.urgency(self.plan), demanded);
        After { first_place: self.first_place(), urgency, opens, odds: sums.total(), weighted }
    }

    /// Works out where conditions would stand that the supposed answer moves: all of them, or those that could matter. Says
    /// where what was heard began; nothing need be heard where nothing must be read off the facts.
    fn suppose(&mut self, told: &[(u32, Truth)], asked: Asked, all: bool) -> usize {
        let (plan, mark) = (self.plan, self.facts.mark());
        if asked.is_heard {
            self.hear(told);
        }
        let mut said = std::mem::take(&mut self.said);
        said.clear();
        if asked.is_plain {
            let is_wanted = |condition: u32| all || self.bounds.is_telling[condition as usize];
            self.waiting.answer(plan, &self.facts, told, is_wanted, &mut said);
        } else {
            self.follow(mark, all, &mut said);
        }
        self.moved.clear();
        for same in said.chunk_by(|a, b| a.condition == b.condition) {
            let now = match self.waiting.after(plan, self.so_far(same[0].condition), same, &mut self.work.families) {
                Then::Same => None,
                Then::Moved(now) => Some(now),
                Then::Involved => self.standing(same),
            };
            now.into_iter().for_each(|now| self.moves(now));
        }
        self.said = said;
        mark
    }

    fn moves(&mut self, now: Standing) {
        let before = self.bounds.before(now.condition);
        let prior = self.plan.index.standings[now.condition as usize].prior;
        self.moved.push(Moved { before, score: before.map_or(prior, |(_, before)| before.score), now });
    }

    /// Hears a supposed answer, and says where it began.
    fn hear(&mut self, told: &[(u32, Truth)]) -> usize {
        let mark = self.facts.mark();
        told.iter().for_each(|&(atom, truth)| self.facts.hear(atom, truth));
        self.facts.settle(self.plan, mark);
        mark
    }

    /// What rules would say after a supposed answer that was heard: all that it reaches, or those that could matter.
    fn follow(&mut self, mark: usize, all: bool, said: &mut Vec<Says>) {
        let (plan, Self { work, facts, bounds, considered, .. }) = (self.plan, &mut *self);
        let condition_of = |rule: u32| plan.index.condition_of[rule as usize];
        let mut see = |rule: u32| {
            if all || bounds.is_telling[condition_of(rule) as usize] {
                work.rules.mark(rule);
            }
        };
        // Rules that could say something already, and look at what changed; and those that can only now.
        for &(atom, _) in facts.heard_since(mark) {
            let rules = plan.index.rules_of.of(atom).iter();
            rules.filter(|&&rule| considered[rule as usize / 64] & (1 << (rule % 64)) != 0).for_each(|&rule| see(rule));
        }
        facts.shown_since(mark, |literal| plan.index.speakers_of.of(literal).iter().for_each(|&rule| see(rule)));
        work.ids.clear();
        work.rules.drain_into(&mut work.ids);
        said.extend(work.ids.iter().map(|&rule| {
            let evidence = facts.evidence(plan, rule, &plan.index.speakers[rule as usize]);
            Says { rule, condition: condition_of(rule), evidence }
        }));
    }

    fn is_determined(&self) -> bool {
        let more = self.moved.iter().filter(|moved| moved.now.families > 1).count();
        let fewer =
            self.moved.iter().filter(|moved| moved.before.is_some_and(|(_, before)| before.families > 1)).count();
        self.base.scores.determined + more > fewer
    }

    fn first_place(&self) -> Option<usize> {
        if !self.is_determined() {
            return None;
        }
        let is_moved = |rank: &Rank| self.moved.binary_search_by_key(&rank.2.0, |moved| moved.now.condition).is_ok();
        let unmoved = self.ranking.iter().find(|rank| !is_moved(rank)).copied();
        let moved = self.moved.iter().filter(|moved| moved.now.is_supported()).map(|moved| rank(self.plan, &moved.now));
        moved.max().max(unmoved).map(|(_, _, Reverse(condition))| condition as usize)
    }

    /// The sums behind the shares and behind their entropy.
    fn sums(&self) -> (OddsSums, Sum) {
        let (mut sums, mut weights) = (self.base.scores.sums, self.weighted);
        for Moved { before, score, now } in &self.moved {
            if *score != now.score {
                let prior = &self.plan.index.standings[now.condition as usize];
                let was = before.map_or((prior.odds, prior.weighted), |(place, _)| self.odds[place]);
                let is = sums_of(now.score);
                let sum = &mut sums.by_urgency[prior.urgency.index()];
                *sum -= was.0;
                *sum += is.0;
                weights -= was.1;
                weights += is.1;
            }
        }
        (sums, weights)
    }

    fn urgency_with(&self, by_conditions: Urgency, demanded: Urgency) -> Urgency {
        let insufficient = if self.is_determined() { Urgency::SelfCare } else { self.plan.header.insufficient_urgency };
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

    /// What [`Supposing::flags`] says, without reading any where none looks at the answer.
    fn flags_after(&mut self, mark: usize, asked: Asked) -> (Urgency, bool) {
        if asked.is_flagged { self.flags(mark) } else { (self.demanded, false) }
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
        let range = plan.atoms_of(finding);
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
