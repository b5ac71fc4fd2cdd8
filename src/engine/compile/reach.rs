//! How far an answer can reach: which conditions it can move and by how much, and which red flags look at it.
//!
//! Owns bounds, worked out once for a pack, by which the order of questions passes over what no answer can change. It
//! decides nothing: what is not passed over is supposed in full.

use super::super::odds::odds;
use super::super::plan::program::{Postings, to_u32};
use super::super::plan::{Condition, Move, Reach, RedFlag, Rule, Speaker, Tell};
use super::super::truth::Truth;
use super::super::weight::Weight;
use std::ops::Range;

/// What the bounds are worked out from.
pub struct Known<'a> {
    /// For each finding where its atoms begin, and where those of the last one end.
    pub atom_starts: &'a [u32],
    /// The finding of each atom.
    pub finding_of: &'a [u32],
    pub conditions: &'a [Condition],
    pub rules: &'a [Rule],
    pub speakers: &'a [Speaker],
    pub tells: &'a [Tell],
    pub tells_of: &'a Postings,
    pub rules_of: &'a Postings,
    pub flags_of: &'a Postings,
    pub red_flags: &'a [RedFlag],
}

/// Works the bounds out.
pub fn reach(known: &Known<'_>) -> Reach {
    let findings = known.atom_starts.len() - 1;
    let mut reach = Reach {
        starts: vec![0],
        moves: Vec::with_capacity(known.rules.len()),
        is_plain: Vec::with_capacity(findings),
        floors: Vec::with_capacity(findings),
        decisive: Vec::new(),
        movers: Postings::default(),
        askers: Postings::default(),
        furthest: vec![Weight::ZERO; known.conditions.len()],
        by_odds: Vec::with_capacity(findings),
        by_height: Vec::with_capacity(findings),
    };
    let (mut movers, mut askers) = (Vec::new(), Vec::new());
    let mut told = Vec::new();
    let mut rules = Vec::new();
    for finding in 0..to_u32(findings) {
        known.told_by(finding, &mut told);
        let atoms = || told.iter().map(|&finding| known.atoms_of(finding));
        let flags = || atoms().flat_map(|atoms| known.flags_of.of_all(atoms));
        askers.extend(flags().map(|&flag| (flag, finding)));
        reach.floors.push(flags().map(|&flag| known.red_flags[flag as usize].floor).max());
        let is_plain = told.len() == 1;
        reach.is_plain.push(is_plain);
        rules.clear();
        rules.extend(atoms().flat_map(|atoms| known.rules_of.of_all(atoms)));
        rules.sort_unstable();
        rules.dedup();
        let start = reach.moves.len();
        let condition_of = |rule: u32| known.speakers[rule as usize].condition;
        for same in rules.chunk_by(|&a, &b| condition_of(a) == condition_of(b)) {
            let condition = condition_of(same[0]);
            let reached = if is_plain { known.alone(condition, same, finding) } else { known.all(condition, same) };
            let Some(reached) = reached else { continue };
            let furthest = &mut reach.furthest[condition as usize];
            *furthest = reached.up.max(*furthest);
            movers.push((condition, finding));
            reach.moves.push(reached);
        }
        reach.starts.push(to_u32(reach.moves.len()));
        if reach.moves[start..].iter().any(|moved| moved.families > 1) {
            reach.decisive.push(finding);
        }
        let highest = |moved: &Move| known.conditions[moved.condition as usize].prior + moved.up;
        let moves = &reach.moves[start..];
        reach.by_odds.push((moves.iter().fold(0.0, |sum, moved| sum + odds(highest(moved))), finding));
        reach.by_height.extend(moves.iter().map(highest).max().map(|highest| (highest, finding)));
    }
    reach.by_odds.sort_by(|a, b| b.0.total_cmp(&a.0));
    reach.by_height.sort_by(|a, b| b.cmp(a));
    reach.movers = Postings::new(known.conditions.len(), movers);
    reach.askers = Postings::new(known.red_flags.len(), askers);
    reach
}

impl Known<'_> {
    fn atoms_of(&self, finding: u32) -> Range<usize> {
        self.atom_starts[finding as usize] as usize..self.atom_starts[finding as usize + 1] as usize
    }

    /// The finding, and those that an answer to it can tell through others.
    fn told_by(&self, finding: u32, told: &mut Vec<u32>) {
        told.clear();
        told.push(finding);
        let mut next = 0;
        while let Some(&finding) = told.get(next) {
            next += 1;
            for &tell in self.tells_of.of_all(self.atoms_of(finding)) {
                let tell = &self.tells[tell as usize];
                for &atom in tell.present.iter().chain(&tell.absent) {
                    let finding = self.finding_of[atom as usize];
                    if !told.contains(&finding) {
                        told.push(finding);
                    }
                }
            }
        }
    }

    /// How much these rules of a condition can move its score together, where what was heard of it may also be silenced or
    /// contradicted.
    fn all(&self, condition: u32, rules: &[u32]) -> Option<Move> {
        let mut families = Families::default();
        for &rule in rules {
            let speaker = &self.speakers[rule as usize];
            families.see(speaker.family, [speaker.if_true, speaker.if_false]);
            self.see_parts(condition, rule, &mut families);
        }
        let (up, down) = families.sums();
        Some(Move { condition, up: up + down, down: up + down, families: 2, loses: true })
    }

    /// How much those of these rules move it that an answer to a finding makes speak by itself. An answer to something of
    /// which nothing was told adds to what is heard: what it brings for a condition can only raise it, and what it brings
    /// against one only lower it. Not so where a joint rule is among them, which silences the families that it stands for.
    fn alone(&self, condition: u32, rules: &[u32], finding: u32) -> Option<Move> {
        let (mut families, mut both_ways, mut loses) = (Families::default(), false, false);
        for &rule in rules {
            let (speaker, says) = (&self.speakers[rule as usize], self.says(rule, finding));
            let weight = |says: bool, weight: Weight| if says { weight } else { Weight::ZERO };
            let weights = [weight(says.t(), speaker.if_true), weight(says.f(), speaker.if_false)];
            if weights != [Weight::ZERO; 2] {
                families.see(speaker.family, weights);
                self.see_parts(condition, rule, &mut families);
                // What is too large for a table may also come to be contradicted, which is known of the others when it is asked.
                both_ways |= speaker.is_joint || !speaker.has_table;
                loses |= speaker.demographic;
            }
        }
        let (up, down) = families.sums();
        if both_ways {
            return Some(Move { condition, up: up + down, down: up + down, families: 2, loses: true });
        }
        let positive = families.0.iter().filter(|(_, high, _)| *high > Weight::ZERO).count();
        let is_something = !families.0.is_empty();
        let families = u8::try_from(positive.min(2)).unwrap_or(2);
        is_something.then_some(Move { condition, up, down, families, loses })
    }

    /// What an answer to a finding can make of a rule while nothing else is told: true, false, either or neither.
    fn says(&self, rule: u32, finding: u32) -> Truth {
        let speaker = &self.speakers[rule as usize];
        if !speaker.has_table {
            return Truth::BOTH;
        }
        let of_it = |literal: u32| self.finding_of[literal as usize / 2] == finding;
        let literals = (0..).zip(&speaker.table.literals).filter(|(_, literal)| of_it(**literal));
        let mask = literals.fold(0, |mask, (bit, _)| mask | 1_u32 << bit);
        speaker.table.truth(mask, mask)
    }

    /// Sees the rules for which a joint rule stands.
    fn see_parts(&self, condition: u32, rule: u32, families: &mut Families) {
        let stands_for = &self.rules[rule as usize].stands_for;
        if !stands_for.is_empty() {
            let parts = &self.speakers[self.conditions[condition as usize].rules.clone()];
            for part in parts.iter().filter(|part| stands_for.contains(&part.family)) {
                families.see(part.family, [part.if_true, part.if_false]);
            }
        }
    }
}

/// Families of one condition, each with its largest weight and its smallest. A family counts the largest positive and the
/// largest negative one, so it moves by no more than both.
#[derive(Default)]
struct Families(Vec<(u32, Weight, Weight)>);

impl Families {
    fn see(&mut self, family: u32, weights: [Weight; 2]) {
        let place = self.0.iter().position(|(other, ..)| *other == family).unwrap_or_else(|| {
            self.0.push((family, Weight::ZERO, Weight::ZERO));
            self.0.len() - 1
        });
        let (_, high, low) = &mut self.0[place];
        for weight in weights {
            (*high, *low) = (weight.max(*high), weight.min(*low));
        }
    }

    /// By how much all of them can raise and lower a score.
    fn sums(&self) -> (Weight, Weight) {
        let sum = |sum: (Weight, Weight), (_, high, low): &(u32, Weight, Weight)| (sum.0 + *high, sum.1 + low.negate());
        self.0.iter().fold((Weight::ZERO, Weight::ZERO), sum)
    }
}
