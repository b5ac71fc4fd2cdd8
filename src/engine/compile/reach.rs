//! How far an answer can reach: which conditions it can move and by how much, and which red flags look at it.
//!
//! Owns bounds, worked out once for a pack, by which the order of questions passes over what no answer can change. It
//! decides nothing: what is not passed over is supposed in full.

use super::super::odds::odds;
use super::super::plan::program::{Postings, to_u32};
use super::super::plan::{Condition, Move, Reach, Rule, Speaker, Tell};
use super::super::weight::Weight;
use std::ops::Range;

/// What the bounds are worked out from.
pub struct Known<'a> {
    pub finding_atoms: &'a [Range<usize>],
    /// The finding of each atom.
    pub finding_of: &'a [u32],
    pub conditions: &'a [Condition],
    pub rules: &'a [Rule],
    pub speakers: &'a [Speaker],
    pub tells: &'a [Tell],
    pub tells_of: &'a Postings,
    pub rules_of: &'a Postings,
    pub flags_of: &'a Postings,
    pub red_flags: usize,
}

/// Works the bounds out.
pub fn reach(known: &Known<'_>) -> Reach {
    let findings = known.finding_atoms.len();
    let mut reach = Reach {
        starts: vec![0],
        moves: Vec::with_capacity(known.rules.len()),
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
        let atoms = || told.iter().map(|&finding| known.finding_atoms[finding as usize].clone());
        askers.extend(atoms().flat_map(|atoms| known.flags_of.of_all(atoms)).map(|&flag| (flag, finding)));
        rules.clear();
        rules.extend(atoms().flat_map(|atoms| known.rules_of.of_all(atoms)));
        rules.sort_unstable();
        rules.dedup();
        let start = reach.moves.len();
        let condition_of = |rule: u32| known.speakers[rule as usize].condition;
        for same in rules.chunk_by(|&a, &b| condition_of(a) == condition_of(b)) {
            let condition = condition_of(same[0]);
            let most = known.most(condition, same);
            let furthest = &mut reach.furthest[condition as usize];
            *furthest = most.max(*furthest);
            movers.push((condition, finding));
            reach.moves.push(Move { condition, most });
        }
        reach.starts.push(to_u32(reach.moves.len()));
        let highest = |moved: &Move| known.conditions[moved.condition as usize].prior + moved.most;
        let moves = &reach.moves[start..];
        reach.by_odds.push((moves.iter().fold(0.0, |sum, moved| sum + odds(highest(moved))), finding));
        reach.by_height.extend(moves.iter().map(highest).max().map(|highest| (highest, finding)));
    }
    reach.by_odds.sort_by(|a, b| b.0.total_cmp(&a.0));
    reach.by_height.sort_by(|a, b| b.cmp(a));
    reach.movers = Postings::new(known.conditions.len(), movers);
    reach.askers = Postings::new(known.red_flags, askers);
    reach
}

impl Known<'_> {
    /// The finding, and those that an answer to it can tell through others.
    fn told_by(&self, finding: u32, told: &mut Vec<u32>) {
        told.clear();
        told.push(finding);
        let mut next = 0;
        while let Some(&finding) = told.get(next) {
            next += 1;
            for &tell in self.tells_of.of_all(self.finding_atoms[finding as usize].clone()) {
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

    /// How much these rules of a condition can raise or lower its score together. A family counts its largest positive and
    /// its largest negative weight, so it moves by no more than both; a joint rule can silence, and bring back, all of the
    /// families that it stands for.
    fn most(&self, condition: u32, rules: &[u32]) -> Weight {
        let mut families: Vec<(u32, Weight, Weight)> = Vec::new();
        let mut see = |rule: u32| {
            let speaker = &self.speakers[rule as usize];
            let high = speaker.if_true.max(speaker.if_false).max(Weight::ZERO);
            let low = speaker.if_true.min(speaker.if_false).min(Weight::ZERO);
            match families.iter_mut().find(|(family, ..)| *family == speaker.family) {
                Some((_, highest, lowest)) => (*highest, *lowest) = (high.max(*highest), low.min(*lowest)),
                None => families.push((speaker.family, high, low)),
            }
        };
        for &rule in rules {
            see(rule);
            let stands_for = &self.rules[rule as usize].stands_for;
            if !stands_for.is_empty() {
                let all = self.conditions[condition as usize].rules.clone();
                all.map(to_u32)
                    .filter(|&part| stands_for.contains(&self.speakers[part as usize].family))
                    .for_each(&mut see);
            }
        }
        let most =
            families.iter().fold(0_i32, |most, (_, high, low)| most.saturating_add(high.0.saturating_sub(low.0)));
        Weight(most)
    }
}
