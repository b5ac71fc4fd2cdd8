//! The naive evaluator of the bench: one pass over all rules in dense ids, without an allocation, in the same four values.
//! Scores, summed odds and the rules that fire come out; it has no red flags, no first place and nothing to ask.

use crate::synthetic::{Expr, FAMILIES, Kind, RULES_A_CONDITION, Synthetic, Told, prior};
use std::collections::BTreeMap;

/// A leaf reads a literal; a connective reads what follows it.
#[derive(Clone, Copy)]
enum Node {
    /// Twice the atom, and one more for its opposite.
    Literal(u32),
    All(u32),
    Any(u32),
}

pub struct Naive {
    nodes: Vec<Node>,
    /// Where each rule begins, and its weight in thousandths of a deciban.
    rules: Vec<(u32, i32)>,
    priors: Vec<i32>,
    /// For each finding its atoms, each with the option or limit.
    atoms: Vec<Vec<(u32, i64)>>,
    kinds: Vec<Kind>,
    /// Two bits for each literal: told true, told false.
    literals: Vec<u8>,
    pub scores: Vec<i32>,
    pub fired: Vec<u32>,
    /// Summed odds by urgency, from which the shares and their urgency follow.
    pub odds: [f64; 5],
}

fn thousandths(ratio: f64) -> i32 {
    (ratio.log10() * 10_000.0).round() as i32
}

impl Naive {
    pub fn new(pack: &Synthetic) -> Self {
        let mut ids: BTreeMap<(usize, i64), u32> = BTreeMap::new();
        let mut atoms = vec![Vec::new(); pack.kinds.len()];
        let mut nodes = Vec::new();
        let rules = pack
            .rules
            .iter()
            .map(|rule| {
                let start = nodes.len() as u32;
                lower(&rule.when, false, &mut nodes, &mut |finding, value| {
                    let next = ids.len() as u32;
                    *ids.entry((finding, value)).or_insert_with(|| {
                        atoms[finding].push((next, value));
                        next
                    })
                });
                (start, thousandths(10_f64.powf(f64::from(rule.decibans) / 10.0)))
            })
            .collect();
        let conditions = pack.rules.len().div_ceil(RULES_A_CONDITION);
        Self {
            nodes,
            rules,
            priors: (0..conditions).map(|place| thousandths(prior(place))).collect(),
            atoms,
            kinds: pack.kinds.clone(),
            literals: vec![0; ids.len() * 2],
            scores: Vec::with_capacity(conditions),
            fired: Vec::with_capacity(pack.rules.len()),
            odds: [0.0; 5],
        }
    }

    /// Fills `scores` and `fired`.
    pub fn run(&mut self, request: &[Told]) {
        self.tell(request, true);
        self.scores.clear();
        self.odds = [0.0; 5];
        self.fired.clear();
        for (condition, rules) in self.rules.chunks(RULES_A_CONDITION).enumerate() {
            let mut best = [(0_i32, 0_i32); FAMILIES];
            for (i, &(start, weight)) in rules.iter().enumerate() {
                if read(&self.nodes, &self.literals, &mut (start as usize)) == 1 {
                    self.fired.push((condition * RULES_A_CONDITION + i) as u32);
                    let (high, low) = &mut best[i % FAMILIES];
                    *high = weight.max(*high);
                    *low = weight.min(*low);
                }
            }
            let score = self.priors[condition] + best.iter().map(|(high, low)| high + low).sum::<i32>();
            self.scores.push(score);
            self.odds[condition % 5] += 10_f64.powf(f64::from(score) / 10_000.0);
        }
        self.tell(request, false);
    }

    fn tell(&mut self, request: &[Told], known: bool) {
        for told in request {
            for &(atom, value) in &self.atoms[told.finding] {
                let holds = match self.kinds[told.finding] {
                    Kind::Age | Kind::Temperature => told.value >= value,
                    Kind::Coded => told.value == value,
                    Kind::YesNo => told.value == 1,
                };
                let (is, is_not) = if holds { (1, 2) } else { (2, 1) };
                self.literals[atom as usize * 2] = if known { is } else { 0 };
                self.literals[atom as usize * 2 + 1] = if known { is_not } else { 0 };
            }
        }
    }

    /// How many rules look at something that was told.
    pub fn touched(&mut self, request: &[Told]) -> usize {
        self.tell(request, true);
        let ends = self.rules.iter().map(|(start, _)| *start as usize).skip(1).chain([self.nodes.len()]);
        let looks = |(start, end): (usize, usize)| {
            self.nodes[start..end]
                .iter()
                .any(|node| matches!(node, Node::Literal(l) if self.literals[*l as usize] != 0))
        };
        let touched =
            self.rules.iter().map(|(start, _)| *start as usize).zip(ends).filter(|&range| looks(range)).count();
        self.tell(request, false);
        touched
    }
}

/// Yes-or-no findings have one atom, whatever value their leaf was drawn with.
fn lower(expr: &Expr, negated: bool, nodes: &mut Vec<Node>, atom: &mut impl FnMut(usize, i64) -> u32) {
    match expr {
        Expr::Leaf(finding, value, not) => {
            let value = if matches!(finding % 10, 0..=3) { *value } else { 1 };
            let literal = atom(*finding, value) * 2 + u32::from(*not != negated);
            nodes.push(Node::Literal(literal));
        }
        Expr::Group(all, items, not) => {
            let negated = *not != negated;
            nodes.push(if *all != negated { Node::All(items.len() as u32) } else { Node::Any(items.len() as u32) });
            items.iter().for_each(|item| lower(item, negated, nodes, atom));
        }
    }
}

fn read(nodes: &[Node], literals: &[u8], at: &mut usize) -> u8 {
    let node = nodes[*at];
    *at += 1;
    match node {
        Node::Literal(literal) => literals[literal as usize],
        Node::All(items) => (0..items).fold(1, |all, _| {
            let item = read(nodes, literals, at);
            (all & item & 1) | ((all | item) & 2)
        }),
        Node::Any(items) => (0..items).fold(2, |any, _| {
            let item = read(nodes, literals, at);
            ((any | item) & 1) | (any & item & 2)
        }),
    }
}
