//! Conditions on findings as flat lists of words, and lists of what leads where.
//!
//! Owns the layout that `compile` writes and `evaluate` reads. A program holds no negation but at its leaves (`not all` is
//! `any not`, and `not at_least k of n` is `at_least n - k + 1 of` the opposites), so it reads literals: an atom, or its
//! opposite, each with an id of its own.

use super::super::truth::Truth;
use std::ops::Range;

/// A literal: twice the atom, and one more for its opposite.
pub type Literal = u32;

/// Where a program begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program(pub u32);

/// One step of a program. A connective is followed by its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reads a literal.
    Literal(Literal),
    /// All of so many items.
    All(u32),
    /// Any of so many items.
    Any(u32),
    /// At least `wanted` of so many items.
    AtLeast { wanted: u32, of: u32 },
}

/// The words of all programs of a plan, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Words(Vec<u32>);

impl Words {
    /// Where the next program will begin.
    pub fn end(&self) -> Program {
        Program(to_u32(self.0.len()))
    }

    /// Writes a step.
    pub fn push(&mut self, step: Step) {
        match step {
            Step::Literal(literal) => self.0.push(literal << 2),
            Step::All(of) => self.0.push((of << 2) | 1),
            Step::Any(of) => self.0.push((of << 2) | 2),
            Step::AtLeast { wanted, of } => self.0.extend([(of << 2) | 3, wanted]),
        }
    }

    /// Reads the step at `at` and moves on to the next.
    #[inline]
    pub fn step(&self, at: &mut usize) -> Step {
        let word = self.0[*at];
        *at += 1;
        match word & 3 {
            0 => Step::Literal(word >> 2),
            1 => Step::All(word >> 2),
            2 => Step::Any(word >> 2),
            _ => {
                let wanted = self.0[*at];
                *at += 1;
                Step::AtLeast { wanted, of: word >> 2 }
            }
        }
    }

    /// All literals of a program, in its order.
    pub fn literals(&self, program: Program) -> impl Iterator<Item = Literal> {
        let (mut at, mut open) = (program.0 as usize, 1_u32);
        std::iter::from_fn(move || {
            while open > 0 {
                open -= 1;
                match self.step(&mut at) {
                    Step::Literal(literal) => return Some(literal),
                    Step::All(of) | Step::Any(of) | Step::AtLeast { of, .. } => open += of,
                }
            }
            None
        })
    }
}

/// A program of at most six literals as two tables, so that reading it takes no branch. Connectives are monotone: whether
/// a program is told true depends on which of its literals are told true, and whether it is told false on which are told
/// false.
#[derive(Debug, Clone, Copy, Default)]
pub struct Table {
    /// Six, the last of them idle where it has fewer.
    pub literals: [Literal; Table::WIDTH],
    /// For each set of literals that are true, whether the program is.
    pub holds: u64,
    /// For each set of literals that are false, whether the program is.
    pub fails: u64,
}

impl Table {
    /// How many literals a table reads.
    pub const WIDTH: usize = 6;

    /// The table of a program; `None` where it has too many literals.
    pub fn new(words: &Words, program: Program) -> Option<Self> {
        let mut literals: Vec<Literal> = words.literals(program).collect();
        literals.sort_unstable();
        literals.dedup();
        if literals.len() > Self::WIDTH {
            return None;
        }
        let first = *literals.first()?;
        let mut table =
            Table { literals: std::array::from_fn(|i| *literals.get(i).unwrap_or(&first)), holds: 0, fails: 0 };
        for set in 0..1_u64 << literals.len() {
            let is_in = |literal: Literal| literals.binary_search(&literal).is_ok_and(|i| (set >> i) & 1 != 0);
            let bit = |fails: bool| u64::from(Self::read(words, &mut (program.0 as usize), &is_in, fails)) << set;
            table.holds |= bit(false);
            table.fails |= bit(true);
        }
        // What an idle literal reads does not matter: the tables are alike whether it is in the set or not.
        for idle in literals.len()..Self::WIDTH {
            table.holds |= table.holds << (1 << idle);
            table.fails |= table.fails << (1 << idle);
        }
        Some(table)
    }

    /// What a program is when these literals are true and those are false, each a bit by its place.
    #[inline]
    pub fn truth(&self, are_true: u32, are_false: u32) -> Truth {
        Truth::new((self.holds >> are_true) & 1 != 0, (self.fails >> are_false) & 1 != 0)
    }

    /// Whether a program holds when these literals do; or whether it fails when these fail.
    fn read(words: &Words, at: &mut usize, is_in: &impl Fn(Literal) -> bool, fails: bool) -> bool {
        let (wanted, of) = match words.step(at) {
            Step::Literal(literal) => return is_in(literal),
            Step::All(of) => (of, of),
            Step::Any(of) => (1, of),
            Step::AtLeast { wanted, of } => (wanted, of),
        };
        let count = (0..of).filter(|_| Self::read(words, at, is_in, fails)).count();
        count >= if fails { of - wanted + 1 } else { wanted } as usize
    }
}

/// For each of a dense range of ids a list of ids, all in one piece.
#[derive(Debug, Clone, Default)]
pub struct Postings {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Postings {
    /// From pairs of an id below `ids` and what it leads to, in any order; what is there twice is kept once.
    pub fn new(ids: usize, mut pairs: Vec<(u32, u32)>) -> Self {
        pairs.sort_unstable();
        pairs.dedup();
        let mut starts = vec![0_u32; ids + 1];
        for (id, _) in &pairs {
            starts[*id as usize + 1] += 1;
        }
        for i in 0..ids {
            starts[i + 1] += starts[i];
        }
        Self { starts, items: pairs.into_iter().map(|(_, item)| item).collect() }
    }

    /// What one id leads to, ascending.
    #[inline]
    pub fn of(&self, id: u32) -> &[u32] {
        let id = id as usize;
        &self.items[self.starts[id] as usize..self.starts[id + 1] as usize]
    }

    /// What a stretch of ids leads to, one list after the other.
    pub fn of_all(&self, ids: Range<usize>) -> &[u32] {
        &self.items[self.starts[ids.start] as usize..self.starts[ids.end] as usize]
    }
}

/// Dense ids are 32 bits wide: a pack with four thousand million of anything does not fit this machine otherwise either.
pub fn to_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
