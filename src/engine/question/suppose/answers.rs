//! The possible answers to a question.
//!
//! Owns how likely each answer is with "something else", and what it tells. The answers stand in a row in which every atom
//! is told true along one stretch, so that whoever looks at an atom need only look where the stretch begins and ends.

use super::super::super::plan::program::to_u32;
use super::super::super::plan::{Plan, Test};
use super::super::super::truth::Truth;
use super::super::super::vocabulary::{FindingIndex, Kind};
use std::ops::Range;

/// P(finding | something else) for the order of questions alone, where only an ordinal strength is given.
const ASSUMED_WITHOUT: f64 = 0.2;

/// The answers to a question, in a row.
#[derive(Default)]
pub struct Answers {
    /// How likely each answer is with "something else".
    pub likely: Vec<f64>,
    first_atom: u32,
    /// For each atom of the finding the answers that tell it true.
    stretches: Vec<Range<u32>>,
    /// What the other answers tell of an atom.
    elsewhere: Truth,
    /// The numbers at which another stretch of numbers begins.
    limits: Vec<i64>,
}

impl Answers {
    /// Takes the answers to another question.
    pub fn of(&mut self, plan: &Plan, finding: FindingIndex) {
        let atoms = plan.atoms_of(finding);
        self.first_atom = to_u32(atoms.start);
        self.stretches.clear();
        self.likely.clear();
        self.elsewhere = Truth::FALSE;
        let count = to_u32(atoms.len());
        match &plan.vocabulary.get(finding).kind {
            Kind::YesNo => {
                let without = plan.index.without[finding.0].unwrap_or(ASSUMED_WITHOUT);
                self.likely.extend([without, 1.0 - without]);
                self.stretches.extend((0..count).map(|_| 0..1));
            }
            kind @ (Kind::Choice { .. } | Kind::MultipleChoice { .. }) => {
                if matches!(kind, Kind::MultipleChoice { .. }) {
                    self.elsewhere = Truth::UNKNOWN;
                }
                self.stretches.extend((0..count).map(|chosen| chosen..chosen + 1));
                self.alike_likely(atoms.len(), kind.options().len());
            }
            Kind::Number { .. } => self.numbers(plan, atoms),
        }
    }

    /// One answer for each stretch between the constants that rules compare with.
    fn numbers(&mut self, plan: &Plan, atoms: Range<usize>) {
        let tests = || atoms.clone().map(|atom| plan.atoms[atom].test);
        let limit = |test| match test {
            Test::Below(limit) | Test::AtLeast(limit) => Some(limit),
            Test::AtMost(limit) | Test::Above(limit) => Some(limit + 1),
            Test::Present | Test::Option(_) => None,
        };
        self.limits.clear();
        self.limits.extend(tests().filter_map(limit));
        self.limits.sort_unstable();
        self.limits.dedup();
        let answers = self.limits.len() + usize::from(!self.limits.is_empty());
        for test in tests() {
            let from = limit(test).map_or(0, |limit| to_u32(self.limits.partition_point(|other| *other < limit) + 1));
            self.stretches.push(match test {
                Test::Below(_) | Test::AtMost(_) => 0..from,
                Test::AtLeast(_) | Test::Above(_) => from..to_u32(answers),
                Test::Present | Test::Option(_) => 0..0,
            });
        }
        self.alike_likely(answers, answers);
    }

    fn alike_likely(&mut self, answers: usize, of: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a question has few answers")]
        let even = 1.0 / of.max(1) as f64;
        self.likely.resize(answers, even);
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        to_u32(self.likely.len())
    }

    /// What an answer tells of an atom of the finding.
    #[inline]
    pub fn truth(&self, atom: u32, answer: u32) -> Truth {
        if self.stretch(atom).contains(&answer) { Truth::TRUE } else { self.elsewhere }
    }

    /// The answers that tell an atom of the finding true.
    #[inline]
    pub fn stretch(&self, atom: u32) -> &Range<u32> {
        &self.stretches[(atom - self.first_atom) as usize]
    }

    /// What an answer tells.
    pub fn told(&self, answer: u32) -> impl Iterator<Item = (u32, Truth)> {
        let atoms = self.first_atom..self.first_atom + to_u32(self.stretches.len());
        atoms.map(move |atom| (atom, self.truth(atom, answer))).filter(|(_, truth)| *truth != Truth::UNKNOWN)
    }
}
