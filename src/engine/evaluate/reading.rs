//! What is read off a literal or a connective: six bits, so that every connective is a handful of bit operations.
//!
//! Owns the truth of programs over what was told, what findings tell of findings, and taking back a supposed answer.

use super::super::plan::program::{Literal, Program, Step, Table, Words};
use super::super::plan::{Plan, Speaker};
use super::super::truth::Truth;
use super::super::vocabulary::FindingIndex;

/// What a program was told, and what may be made of it. Nothing told is all zeros.
///
/// Two of the bits are the told truth, on which red flags fire. Two are the evidence, the same with whatever rests on a
/// contradiction read as Both: scores count only this. Two say that the program cannot be true, or cannot be false, a
/// contradiction being read as the dangerous of its halves. So a contradiction travels through derived findings and an
/// alarm does not: what a contradicted finding tells is told, but it is no evidence and excludes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading(u8);

const TOLD_TRUE: u8 = 1;
const EVIDENCE_TRUE: u8 = 2;
const SURELY_TRUE: u8 = 4;
/// The bits that `all` has when every item has them; those of `any` when one has.
const FOR: u8 = 7;
/// The same bits of the opposite: `all` has them when one item has.
const AGAINST: u8 = FOR << 3;

impl Reading {
    const TRUE: Reading = Reading(FOR);
    const FALSE: Reading = Reading(AGAINST);

    /// The same after hearing more. What is surely so follows from the evidence: one side of it and not the other.
    #[inline]
    fn hear(self, truth: Truth, evidence: Truth) -> Self {
        let half = |told: bool, shown: bool| (u8::from(told) * TOLD_TRUE) | (u8::from(shown) * EVIDENCE_TRUE);
        let bits = self.0 | half(truth.t(), evidence.t()) | (half(truth.f(), evidence.f()) << 3);
        let (shown, denied) = ((bits / EVIDENCE_TRUE) & 1, (bits / (EVIDENCE_TRUE << 3)) & 1);
        let surely = ((shown & !denied) * SURELY_TRUE) | ((denied & !shown) * (SURELY_TRUE << 3));
        Reading((bits & !(SURELY_TRUE | (SURELY_TRUE << 3))) | surely)
    }

    /// As told.
    pub fn truth(self) -> Truth {
        Truth::new(self.0 & TOLD_TRUE != 0, self.0 & (TOLD_TRUE << 3) != 0)
    }

    /// As far as it can count for a score.
    pub fn evidence(self) -> Truth {
        Truth::new(self.0 & EVIDENCE_TRUE != 0, self.0 & (EVIDENCE_TRUE << 3) != 0)
    }

    /// Whether it was told true.
    pub fn is_told_true(self) -> bool {
        self.0 & TOLD_TRUE != 0
    }

    /// Not plainly false.
    pub fn can_be_true(self) -> bool {
        self.0 & (SURELY_TRUE << 3) == 0
    }

    fn negate(self) -> Self {
        Reading(((self.0 & FOR) << 3) | (self.0 >> 3))
    }

    fn and(self, other: Self) -> Self {
        Reading((self.0 & other.0 & FOR) | ((self.0 | other.0) & AGAINST))
    }

    fn or(self, other: Self) -> Self {
        Reading(((self.0 | other.0) & FOR) | (self.0 & other.0 & AGAINST))
    }
}

/// Counts of the six bits over the items of an `at_least`.
#[derive(Default)]
struct Counts([u32; 6]);

impl Counts {
    fn add(&mut self, reading: Reading) {
        for (bit, count) in self.0.iter_mut().enumerate() {
            *count += u32::from((reading.0 >> bit) & 1);
        }
    }

    /// Bits for it need `wanted` items, bits against it more than the others could spare.
    fn read(&self, wanted: u32, of: u32) -> Reading {
        let holds = |bit: usize| self.0[bit] >= if bit < 3 { wanted } else { of - wanted + 1 };
        Reading((0..6).fold(0, |bits, bit| bits | (u8::from(holds(bit)) << bit)))
    }
}

/// What is known of each literal, and the way back.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Two for each atom: itself and its opposite.
    readings: Vec<Reading>,
    /// Atoms that changed, each with what was read of it before.
    log: Vec<(u32, Reading)>,
}

impl Facts {
    /// Forgets everything and makes room for the atoms of a plan.
    pub fn reset(&mut self, plan: &Plan) {
        self.undo(0);
        self.readings.resize(plan.atoms.len() * 2, Reading::default());
    }

    /// How much has been heard, for [`Facts::undo`].
    pub fn mark(&self) -> usize {
        self.log.len()
    }

    /// Takes back everything heard since the mark.
    pub fn undo(&mut self, mark: usize) {
        for (atom, before) in self.log.drain(mark..).rev() {
            self.readings[atom as usize * 2] = before;
            self.readings[atom as usize * 2 + 1] = before.negate();
        }
    }

    /// The atoms that changed since the mark, some more than once, each with what was read of it before.
    pub fn heard_since(&self, mark: usize) -> &[(u32, Reading)] {
        &self.log[mark..]
    }

    /// Sees the literals that became evidence since the mark, some more than once.
    #[inline]
    pub fn shown_since(&self, mark: usize, mut see: impl FnMut(Literal)) {
        for &(atom, before) in &self.log[mark..] {
            let new = self.readings[atom as usize * 2].0 & !before.0;
            if new & EVIDENCE_TRUE != 0 {
                see(atom * 2);
            }
            if new & (EVIDENCE_TRUE << 3) != 0 {
                see(atom * 2 + 1);
            }
        }
    }

    /// What an atom was told.
    pub fn atom(&self, atom: usize) -> Reading {
        self.readings[atom * 2]
    }

    /// What was told of the atoms of a finding, all together.
    pub fn finding(&self, plan: &Plan, finding: FindingIndex) -> Truth {
        let atoms = plan.atoms_of(finding);
        atoms.fold(Truth::UNKNOWN, |truth, atom| truth.hear(self.atom(atom).truth()))
    }

    /// Hears one thing more.
    pub fn hear(&mut self, atom: u32, truth: Truth) {
        self.hear_both(atom, truth, truth);
    }

    #[inline]
    fn hear_both(&mut self, atom: u32, truth: Truth, evidence: Truth) {
        let before = self.readings[atom as usize * 2];
        let now = before.hear(truth, evidence);
        if now != before {
            self.log.push((atom, before));
            self.readings[atom as usize * 2] = now;
            self.readings[atom as usize * 2 + 1] = now.negate();
        }
    }

    /// Lets what was heard since the mark tell other findings, until nothing new is heard. Bits are only ever added, so
    /// this ends, and ends in the same place whatever the order.
    pub fn settle(&mut self, plan: &Plan, mark: usize) {
        let mut next = mark;
        while let Some(&(atom, _)) = self.log.get(next) {
            next += 1;
            for &tell in plan.index.tells_of.of(atom) {
                let tell = &plan.index.tells[tell as usize];
                let when = self.read(&plan.index.words, tell.when);
                if when.is_told_true() {
                    let both = |truth| if when.evidence() == Truth::BOTH { Truth::BOTH } else { truth };
                    for &atom in &tell.present {
                        self.hear_both(atom, Truth::TRUE, both(Truth::TRUE));
                    }
                    for &atom in &tell.absent {
                        self.hear_both(atom, Truth::FALSE, both(Truth::FALSE));
                    }
                }
            }
        }
    }

    /// What a rule looks at, as far as it can count for a score.
    #[inline]
    pub fn evidence(&self, plan: &Plan, rule: u32, speaker: &Speaker) -> Truth {
        if !speaker.has_table {
            return self.read(&plan.index.words, plan.index.programs[rule as usize]).evidence();
        }
        let (shown, denied) = self.sides(speaker);
        speaker.table.truth(shown, denied)
    }

    /// Of the literals of a rule's table those that are evidence, and those whose opposites are; each a bit by its place.
    #[inline]
    pub fn sides(&self, speaker: &Speaker) -> (u32, u32) {
        self.sides_of(speaker, EVIDENCE_TRUE)
    }

    /// What a rule was told, where a table says it; `None` where nothing that the table looks at was told.
    #[inline]
    pub fn told(&self, speaker: &Speaker) -> Option<Truth> {
        let (is_true, is_false) = self.sides_of(speaker, TOLD_TRUE);
        (is_true | is_false != 0).then(|| speaker.table.truth(is_true, is_false))
    }

    /// Of the literals of a rule's table those that have a bit, and those whose opposites do.
    #[inline]
    fn sides_of(&self, speaker: &Speaker, bit: u8) -> (u32, u32) {
        let has = |literal: u32, bit: u8| u32::from(self.readings[literal as usize].0 & bit != 0);
        let literals = &speaker.table.literals;
        if speaker.is_bare {
            let all = (1 << Table::WIDTH) - 1;
            return (has(literals[0], bit) * all, has(literals[0], bit << 3) * all);
        }
        let (mut shown, mut denied) = (0, 0);
        for (i, &literal) in literals.iter().enumerate() {
            shown |= has(literal, bit) << i;
            denied |= has(literal, bit << 3) << i;
        }
        (shown, denied)
    }

    /// Reads a program.
    pub fn read(&self, words: &Words, program: Program) -> Reading {
        self.read_at(words, &mut (program.0 as usize))
    }

    fn read_at(&self, words: &Words, at: &mut usize) -> Reading {
        let step = words.step(at);
        self.read_step(words, step, at)
    }

    fn read_step(&self, words: &Words, step: Step, at: &mut usize) -> Reading {
        // Most items are literals, which are read without another call.
        let item = |at: &mut usize| match words.step(at) {
            Step::Literal(literal) => self.readings[literal as usize],
            step => self.read_step(words, step, at),
        };
        match step {
            Step::Literal(literal) => self.readings[literal as usize],
            Step::All(of) => (0..of).fold(Reading::TRUE, |all, _| all.and(item(at))),
            Step::Any(of) => (0..of).fold(Reading::FALSE, |any, _| any.or(item(at))),
            Step::AtLeast { wanted, of } => {
                let mut counts = Counts::default();
                (0..of).for_each(|_| counts.add(item(at)));
                counts.read(wanted, of)
            }
        }
    }

    /// Adds the findings, not told yet, that could still make a program true, unsorted; says what is read of it.
    pub fn undecided(&self, plan: &Plan, program: Program, into: &mut Vec<FindingIndex>) -> Reading {
        self.undecided_at(plan, &mut (program.0 as usize), into)
    }

    fn undecided_at(&self, plan: &Plan, at: &mut usize, into: &mut Vec<FindingIndex>) -> Reading {
        let before = into.len();
        let words = &plan.index.words;
        let reading = match words.step(at) {
            Step::Literal(literal) => {
                into.push(FindingIndex(plan.index.finding_of[literal as usize / 2] as usize));
                self.readings[literal as usize]
            }
            Step::All(of) => (0..of).fold(Reading::TRUE, |all, _| all.and(self.undecided_at(plan, at, into))),
            Step::Any(of) => (0..of).fold(Reading::FALSE, |any, _| any.or(self.undecided_at(plan, at, into))),
            Step::AtLeast { wanted, of } => {
                let mut counts = Counts::default();
                (0..of).for_each(|_| counts.add(self.undecided_at(plan, at, into)));
                counts.read(wanted, of)
            }
        };
        if reading.is_told_true() || !reading.can_be_true() {
            into.truncate(before);
        }
        reading
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_an_evaluation_reads_of_a_rule_is_one_line_of_the_cache() {
        assert_eq!(size_of::<super::Speaker>(), 64);
    }
}
