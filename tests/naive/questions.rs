//! The questions, each supposed answer evaluated from the start.

use super::Told;
use super::flags::{Evaluation, Group, State, deciding, is_live};
use super::pack::{Ask, Comparison, Expr, Kind, Pack, Says};
use rubor::engine::odds::entropy;
use rubor::engine::truth::Truth;
use rubor::engine::urgency::Urgency;
use std::collections::{BTreeMap, BTreeSet};

/// What to ask next: an id, and the place of a group of spots.
pub fn questions(pack: &Pack, evaluation: &Evaluation) -> Vec<(Ask, Option<usize>)> {
    let fired = |group: &Group| {
        let mut flags = pack.flags.iter().zip(&group.flags);
        flags.any(|(flag, state)| *state == State::Fired && flag.floor == Urgency::Emergency)
    };
    if evaluation.groups.iter().any(fired) {
        return Vec::new();
    }
    let mut asking = Asking { pack, evaluation, asked: Vec::new() };
    asking.screen();
    asking.two_kinds();
    asking.red_flags();
    asking.ranking();
    asking.asked
}

/// What asking for something is worth.
#[derive(Default)]
struct Worth {
    /// The highest urgency that an answer leads to, where that is urgent and above what it is.
    danger: Option<Urgency>,
    /// How likely an answer raises the urgency, or brings up a red flag above it.
    rise: f64,
    /// The expected drop in the entropy of the shares.
    gain: f64,
}

struct Asking<'a> {
    pack: &'a Pack,
    evaluation: &'a Evaluation,
    asked: Vec<(Ask, Option<usize>)>,
}

impl Asking<'_> {
    fn askable(&self, group: usize, finding: usize) -> bool {
        let definition = &self.pack.findings[finding];
        self.evaluation.groups[group].facts.is_askable(finding, definition, self.evaluation.by_clinician)
    }

    fn push(&mut self, ask: Ask, group: usize) -> bool {
        let findings = match ask {
            Ask::Finding(finding) => vec![finding],
            Ask::Box(place) => self.pack.boxes[place].findings.clone(),
        };
        let about_person = findings.iter().all(|&finding| self.pack.findings[finding].about_person);
        let asked = (ask, (!about_person).then_some(group));
        let is_new = !self.asked.contains(&asked);
        if is_new {
            self.asked.push(asked);
        }
        is_new
    }

    fn screen(&mut self) {
        for &ask in &self.pack.screen {
            for group in 0..self.evaluation.groups.len() {
                let pending = match ask {
                    Ask::Finding(finding) => self.askable(group, finding),
                    Ask::Box(place) => {
                        let item = &self.pack.boxes[place];
                        let facts = &self.evaluation.groups[group].facts;
                        let picked = item.findings.iter().any(|&f| facts.truth(&Expr::Present(f)).t());
                        !(item.pick_one && picked) && item.findings.iter().any(|&f| self.askable(group, f))
                    }
                };
                if pending {
                    self.push(ask, group);
                }
            }
        }
    }

    fn two_kinds(&mut self) {
        let Some(finding) = self.pack.ask_when_contradicted else { return };
        for (place, group) in self.evaluation.groups.iter().enumerate() {
            let contradictions = group.facts.contradictions(self.pack);
            let about_spots = contradictions.iter().any(|&finding| !self.pack.findings[finding].about_person);
            let is_old = self.pack.ask_when_told.iter().any(|&old| group.facts.truth(&Expr::Present(old)).t());
            let contradicted = about_spots && group.name.is_empty();
            if (contradicted || is_old && self.evaluation.groups.len() == 1)
                && self.askable(place, finding)
                && self.push(Ask::Finding(finding), place)
            {
                let asked = self.asked.pop().expect("just pushed");
                self.asked.insert(self.asked.len().min(1), asked);
            }
        }
    }

    fn red_flags(&mut self) {
        let mut open = Vec::new();
        for (place, group) in self.evaluation.groups.iter().enumerate() {
            for (flag, state) in group.flags.iter().enumerate() {
                if matches!(state, State::Open | State::Precaution) {
                    open.push((std::cmp::Reverse(self.pack.flags[flag].floor), flag, place));
                }
            }
        }
        open.sort();
        let mut wanted = Vec::new();
        for (_, flag, group) in open {
            let deciding = deciding(&self.pack.flags[flag], &self.evaluation.groups[group].facts);
            wanted.extend(deciding.into_iter().filter(|&f| self.askable(group, f)).map(|finding| (group, finding)));
        }
        for &(group, finding) in &wanted {
            let ask = self.by_box(group, finding, |other| wanted.contains(&(group, other)));
            self.push(ask, group);
        }
    }

    fn by_box(&self, group: usize, finding: usize, wanted: impl Fn(usize) -> bool) -> Ask {
        let shared = self.pack.boxes.iter().position(|item| {
            let several = item.findings.iter().filter(|&&f| self.askable(group, f) && wanted(f)).count() >= 2;
            item.findings.contains(&finding) && several
        });
        shared.map_or(Ask::Finding(finding), Ask::Box)
    }

    fn ranking(&mut self) {
        let mut order = Vec::new();
        for group in 0..self.evaluation.groups.len() {
            let mut candidates = BTreeSet::new();
            for rule in self.pack.conditions.iter().flat_map(|condition| &condition.rules) {
                self.evaluation.groups[group].facts.undecided(&rule.when, true, &mut candidates);
            }
            for (i, flag) in self.pack.flags.iter().enumerate() {
                if self.is_half_told(group, i) {
                    candidates.extend(deciding(flag, &self.evaluation.groups[group].facts));
                }
            }
            candidates.retain(|&finding| self.askable(group, finding));
            let worths: BTreeMap<usize, Worth> =
                candidates.into_iter().filter_map(|finding| Some((finding, self.worth(group, finding)?))).collect();
            let mut by_ask: BTreeMap<Ask, Worth> = BTreeMap::new();
            for (&finding, worth) in &worths {
                let sum = by_ask.entry(self.by_box(group, finding, |other| worths.contains_key(&other))).or_default();
                sum.danger = sum.danger.max(worth.danger);
                sum.rise += worth.rise;
                sum.gain += worth.gain;
            }
            by_ask.retain(|_, worth| worth.gain >= 0.02 || worth.rise > 0.0);
            order.extend(by_ask.into_iter().map(|(ask, worth)| (worth, ask, group)));
        }
        order.sort_by(|a, b| {
            let dangers = b.0.danger.cmp(&a.0.danger).then(b.0.gain.total_cmp(&a.0.gain));
            dangers.then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2))
        });
        for (_, ask, group) in order {
            self.push(ask, group);
        }
    }

    /// Whether the sign of a red flag was told, and nothing is missing but what makes it live.
    fn is_half_told(&self, group: usize, flag: usize) -> bool {
        let group = &self.evaluation.groups[group];
        group.flags[flag] == State::Dormant && group.facts.truth(&self.pack.flags[flag].sign).t()
    }

    /// What asking is worth; `None` when no answer changes the urgency or the first place.
    fn worth(&self, group: usize, finding: usize) -> Option<Worth> {
        let base = &self.evaluation.groups[group];
        let urgency = self.evaluation.urgency;
        let (mut changes, mut highest) = (false, urgency);
        let (mut rising, mut total, mut expected) = (0.0, 0.0, 0.0);
        for (assumed, told) in self.answers(finding) {
            let after = Group::new(self.pack, &base.name, base.facts.suppose(self.pack, finding, told));
            let becomes = self.urgency_with(group, &after);
            let likely = (assumed * after.scores.total.value() / base.scores.total.value()).clamp(0.01, 0.99);
            changes |= after.scores.first_place() != base.scores.first_place() || becomes != urgency;
            highest = highest.max(becomes);
            if becomes > urgency || self.opens(group, &after) {
                rising += likely;
            }
            total += likely;
            expected += likely * entropy(after.scores.total, after.scores.weighted());
        }
        changes.then(|| Worth {
            danger: Some(highest).filter(|_| highest > urgency && highest >= Urgency::Urgent),
            rise: rising / total,
            gain: entropy(base.scores.total, base.scores.weighted()) - expected / total,
        })
    }

    fn urgency_with(&self, place: usize, after: &Group) -> Urgency {
        let base = &self.evaluation.groups[place];
        let flags = self.pack.flags.iter().enumerate().filter_map(|(i, flag)| match (base.flags[i], after.flags[i]) {
            (State::Fired | State::Open | State::Precaution, State::Fired) => Some(flag.floor),
            (State::Dormant, State::Fired) if self.is_half_told(place, i) => Some(flag.floor),
            (State::Precaution, State::Dormant) if is_live(flag, &after.facts) => flag.while_unknown,
            _ => None,
        });
        let insufficient = (!after.scores.determined).then_some(self.pack.insufficient);
        let groups = self.evaluation.groups.iter().enumerate();
        let others = groups.filter(|(other, _)| *other != place).map(|(_, other)| other.urgency(self.pack));
        flags.chain(others).chain(insufficient).chain([after.scores.urgency(self.pack)]).max().expect("one at least")
    }

    /// Whether a red flag above the urgency would come up that was of no consequence.
    fn opens(&self, place: usize, after: &Group) -> bool {
        let base = &self.evaluation.groups[place];
        self.pack.flags.iter().enumerate().any(|(i, flag)| {
            let was_idle = base.flags[i] == State::Dormant && !is_live(flag, &base.facts);
            let comes_up = match after.flags[i] {
                State::Fired => true,
                State::Dormant => is_live(flag, &after.facts),
                _ => false,
            };
            was_idle && comes_up && flag.floor > self.evaluation.urgency
        })
    }

    /// Each possible answer, and how likely it is with "something else".
    fn answers(&self, finding: usize) -> Vec<(f64, Told)> {
        #[expect(clippy::cast_precision_loss, reason = "a question has few answers")]
        let even = |answers: usize| 1.0 / answers.max(1) as f64;
        match self.pack.findings[finding].kind {
            Kind::YesNo => {
                let alone = |expr: &Expr| expr.findings().iter().all(|&other| other == finding);
                let mut rules = self.pack.conditions.iter().flat_map(|condition| &condition.rules);
                let without = rules.find_map(|rule| match rule.says {
                    Says::Probability(_, without) if alone(&rule.when) => Some(without),
                    _ => None,
                });
                let without = without.unwrap_or(0.2);
                vec![(without, Told::Present(true)), (1.0 - without, Told::Present(false))]
            }
            Kind::Choice(n) => (0..n).map(|option| (even(n), Told::Options(vec![option], true))).collect(),
            Kind::Multiple(n) => (0..n).map(|option| (even(n), Told::Options(vec![option], false))).collect(),
            Kind::Number => {
                let numbers = self.numbers(finding);
                numbers.iter().map(|&number| (even(numbers.len()), Told::Number(number))).collect()
            }
        }
    }

    /// One number for each stretch between constants that rules compare with; values are ten times finer than constants.
    fn numbers(&self, finding: usize) -> Vec<i64> {
        let comparisons: Vec<(Comparison, i64)> = self
            .pack
            .comparisons(finding)
            .into_iter()
            .filter_map(
                |leaf| if let Expr::Compare(_, comparison, limit) = leaf { Some((*comparison, *limit)) } else { None },
            )
            .collect();
        let values: BTreeSet<i64> = comparisons.iter().flat_map(|(_, limit)| [limit - 1, *limit, limit + 1]).collect();
        let outcome = |value: i64| -> Vec<Truth> {
            comparisons.iter().map(|(comparison, limit)| Truth::told(comparison.holds(value, *limit))).collect()
        };
        let mut numbers: Vec<i64> = values.into_iter().collect();
        numbers.dedup_by_key(|value| outcome(*value));
        numbers
    }
}
