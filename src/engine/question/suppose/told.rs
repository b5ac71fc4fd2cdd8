//! What the answers to a question tell, atom by atom.
//!
//! Owns the stretches of answers that tell an atom the same: of the finding itself, and of whatever follows from it.

use super::super::super::evaluate::reading::Facts;
use super::super::super::plan::Plan;
use super::super::super::plan::program::to_u32;
use super::super::super::truth::Truth;
use super::Answers;
use std::ops::Range;

/// Every atom that an answer tells something of, with what is evidence of it along the row of answers.
pub struct Told {
    atoms: Vec<u32>,
    /// For each atom of the plan one more than its place among them; zero for none.
    places: Vec<u32>,
    /// For each of them where its stretches begin and end.
    ranges: Vec<Range<u32>>,
    /// The answer with which a stretch begins, and what is evidence of the atom from there.
    stretches: Vec<(u32, Truth)>,
    /// What was heard: the place of an atom, the answer, and what was evidence of it then.
    heard: Vec<(u32, u32, Truth)>,
    /// The same as a table: a row for each atom.
    rows: Vec<Truth>,
}

impl Told {
    pub fn new(plan: &Plan) -> Self {
        let places = vec![0; plan.atoms.len()];
        let (atoms, ranges, stretches) = (Vec::new(), Vec::new(), Vec::new());
        Self { atoms, places, ranges, stretches, heard: Vec::new(), rows: Vec::new() }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        for atom in self.atoms.drain(..) {
            self.places[atom as usize] = 0;
        }
        self.ranges.clear();
        self.stretches.clear();
        self.heard.clear();
    }

    /// Takes what the answers tell of the finding itself, where nothing follows from it.
    pub fn take(&mut self, answers: &Answers) {
        for (atom, stretch) in answers.stretches() {
            self.place(atom);
            let start = to_u32(self.stretches.len());
            let truth = |answer: u32| if stretch.contains(&answer) { Truth::TRUE } else { answers.elsewhere };
            let mut cuts = [0, stretch.start, stretch.end];
            cuts.sort_unstable();
            for (i, cut) in cuts.into_iter().enumerate() {
                if cut < answers.len() && (i == 0 || cuts[i - 1] != cut) {
                    self.stretches.push((cut, truth(cut)));
                }
            }
            self.ranges.push(start..to_u32(self.stretches.len()));
        }
    }

    /// Notes what was heard since the mark: an answer, and what follows from it.
    pub fn note(&mut self, facts: &Facts, mark: usize, answer: u32) {
        for &(atom, _) in facts.heard_since(mark) {
            let place = self.place(atom);
            self.heard.push((place, answer, facts.atom(atom as usize).evidence()));
        }
    }

    /// Finds the stretches in what was noted; an answer that said nothing of an atom leaves it as it is.
    pub fn settle(&mut self, facts: &Facts, answers: &Answers) {
        let width = answers.len() as usize;
        self.rows.clear();
        for &atom in &self.atoms {
            let evidence = facts.atom(atom as usize).evidence();
            self.rows.extend((0..width).map(|_| evidence));
        }
        for &(place, answer, truth) in &self.heard {
            self.rows[place as usize * width + answer as usize] = truth;
        }
        for row in self.rows.chunks_exact(width) {
            let start = to_u32(self.stretches.len());
            for (answer, truth) in (0..).zip(row) {
                if answer == 0 || row[answer as usize - 1] != *truth {
                    self.stretches.push((answer, *truth));
                }
            }
            self.ranges.push(start..to_u32(self.stretches.len()));
        }
    }

    fn place(&mut self, atom: u32) -> u32 {
        let place = &mut self.places[atom as usize];
        if *place == 0 {
            self.atoms.push(atom);
            *place = to_u32(self.atoms.len());
        }
        *place - 1
    }

    /// All of them.
    pub fn atoms(&self) -> &[u32] {
        &self.atoms
    }

    /// Whether any answer tells something of an atom.
    #[inline]
    pub fn has(&self, atom: u32) -> bool {
        self.places[atom as usize] > 0
    }

    /// The stretches of one of them.
    #[inline]
    pub fn stretches(&self, atom: u32) -> &[(u32, Truth)] {
        let range = &self.ranges[self.places[atom as usize] as usize - 1];
        &self.stretches[range.start as usize..range.end as usize]
    }

    /// What is evidence of one of them after an answer.
    #[inline]
    pub fn truth(&self, atom: u32, answer: u32) -> Truth {
        let begun = self.stretches(atom).iter().take_while(|(start, _)| *start <= answer);
        begun.last().map_or(Truth::UNKNOWN, |(_, truth)| *truth)
    }
}
