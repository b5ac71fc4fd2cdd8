//! A naive evaluator that reads like the design: it walks every rule recursively, for every request, without any index.
//!
//! Owns the meaning of a pack a second time, told by a pack's own tree. It is slow and simple; what it says must equal what
//! the engine says, bit for bit.

pub mod flags;
pub mod pack;
pub mod questions;
pub mod random;
pub mod scores;

use pack::{Expr, Finding, Kind, Pack};
use rubor::engine::truth::Truth;
use std::collections::{BTreeMap, BTreeSet};

/// A value told.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    Present(bool),
    Number(i64),
    Options(Vec<usize>, bool),
    NotKnown,
}

/// What is known of one group of spots together with the person.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub told: BTreeMap<usize, Vec<Told>>,
    pub not_known: BTreeSet<usize>,
    /// What other findings told of a finding, by what was evidence and by what was contradicted itself.
    derived: BTreeMap<usize, Truth>,
    contested: BTreeSet<usize>,
}

impl Facts {
    /// Hears everything that was told of one group, and what follows from it.
    pub fn new(pack: &Pack, told: impl Iterator<Item = (usize, Told)>) -> Self {
        let mut facts = Facts::default();
        for (finding, value) in told {
            if value == Told::NotKnown {
                facts.not_known.insert(finding);
            } else {
                facts.told.entry(finding).or_default().push(value);
            }
        }
        facts.settle(pack);
        facts
    }

    /// The same with one thing more.
    pub fn suppose(&self, pack: &Pack, finding: usize, value: Told) -> Self {
        let mut facts = self.clone();
        facts.told.entry(finding).or_default().push(value);
        facts.settle(pack);
        facts
    }

    /// Lets findings tell findings until nothing new is heard.
    fn settle(&mut self, pack: &Pack) {
        loop {
            let before = (self.derived.clone(), self.contested.clone());
            for tell in pack.all_tells() {
                if !self.truth(&tell.when).t() {
                    continue;
                }
                let both = self.evidence(&tell.when) == Truth::BOTH;
                let present = tell.present.iter().map(|&finding| (finding, Truth::TRUE));
                for (finding, truth) in present.chain(tell.absent.iter().map(|&finding| (finding, Truth::FALSE))) {
                    let heard = self.derived.entry(finding).or_default();
                    *heard = heard.hear(truth);
                    if both {
                        self.contested.insert(finding);
                    }
                }
            }
            if (&self.derived, &self.contested) == (&before.0, &before.1) {
                return;
            }
        }
    }

    fn values(&self, finding: usize) -> &[Told] {
        self.told.get(&finding).map_or(&[], Vec::as_slice)
    }

    fn hear_all(&self, finding: usize, tells: impl Fn(&Told) -> Truth) -> Truth {
        self.values(finding).iter().fold(Truth::UNKNOWN, |truth, value| truth.hear(tells(value)))
    }

    fn present(&self, finding: usize) -> Truth {
        let told = self.hear_all(finding, |value| match value {
            Told::Present(present) => Truth::told(*present),
            _ => Truth::UNKNOWN,
        });
        told.hear(self.derived.get(&finding).copied().unwrap_or_default())
    }

    fn option(&self, finding: usize, option: usize) -> Truth {
        self.hear_all(finding, |value| match value {
            Told::Options(chosen, _) if chosen.contains(&option) => Truth::TRUE,
            Told::Options(_, true) => Truth::FALSE,
            _ => Truth::UNKNOWN,
        })
    }

    /// As told.
    pub fn truth(&self, expr: &Expr) -> Truth {
        self.read(expr, false)
    }

    /// As told, with whatever rests on a contradiction read as Both.
    pub fn evidence(&self, expr: &Expr) -> Truth {
        self.read(expr, true)
    }

    fn read(&self, expr: &Expr, as_evidence: bool) -> Truth {
        let each = |items: &[Expr]| items.iter().map(|item| self.read(item, as_evidence)).collect::<Vec<Truth>>();
        match expr {
            Expr::Present(finding) if as_evidence && self.contested.contains(finding) => Truth::BOTH,
            Expr::Present(finding) => self.present(*finding),
            Expr::Is(finding, option) => self.option(*finding, *option),
            Expr::Compare(finding, comparison, limit) => self.hear_all(*finding, |value| match value {
                Told::Number(number) => Truth::told(comparison.holds(*number, *limit)),
                _ => Truth::UNKNOWN,
            }),
            Expr::Not(inner) => self.read(inner, as_evidence).negate(),
            Expr::All(items) => each(items).into_iter().reduce(Truth::and).expect("lists are not empty"),
            Expr::Any(items) => each(items).into_iter().reduce(Truth::or).expect("lists are not empty"),
            Expr::AtLeast(k, items) => Truth::at_least(*k, each(items)),
        }
    }

    /// Not plainly the opposite of `wanted`, a contradiction being read as the dangerous of its halves.
    pub fn can_be(&self, expr: &Expr, wanted: bool) -> bool {
        let count = |items: &[Expr]| items.iter().filter(|item| self.can_be(item, wanted)).count();
        match expr {
            Expr::Not(inner) => self.can_be(inner, !wanted),
            Expr::All(items) if wanted => count(items) == items.len(),
            Expr::All(items) => count(items) > 0,
            Expr::Any(items) if wanted => count(items) > 0,
            Expr::Any(items) => count(items) == items.len(),
            Expr::AtLeast(k, items) if wanted => count(items) >= *k,
            Expr::AtLeast(k, items) => count(items) + k > items.len(),
            leaf => self.evidence(leaf) != Truth::told(!wanted),
        }
    }

    /// The findings that could still make `expr` become `wanted`.
    pub fn undecided(&self, expr: &Expr, wanted: bool, into: &mut BTreeSet<usize>) {
        let truth = self.truth(expr);
        let done = if wanted { truth.t() } else { truth.f() };
        if done || !self.can_be(expr, wanted) {
            return;
        }
        match expr {
            Expr::Not(inner) => self.undecided(inner, !wanted, into),
            Expr::All(items) | Expr::Any(items) | Expr::AtLeast(_, items) => {
                items.iter().for_each(|item| self.undecided(item, wanted, into));
            }
            Expr::Present(finding) | Expr::Is(finding, _) | Expr::Compare(finding, ..) => {
                into.insert(*finding);
            }
        }
    }

    /// Whether anything is known of a finding, told or derived.
    pub fn is_known(&self, finding: usize) -> bool {
        !self.values(finding).is_empty() || self.present(finding) != Truth::UNKNOWN
    }

    /// Whether anything about a finding is Both, or rests on something that is.
    pub fn is_both(&self, pack: &Pack, finding: usize) -> bool {
        self.contested.contains(&finding) || self.is_told_both(pack, finding)
    }

    fn is_told_both(&self, pack: &Pack, finding: usize) -> bool {
        match &pack.findings[finding].kind {
            Kind::YesNo => self.present(finding) == Truth::BOTH,
            Kind::Choice(options) | Kind::Multiple(options) => {
                (0..*options).any(|option| self.option(finding, option) == Truth::BOTH)
            }
            Kind::Number => pack.comparisons(finding).iter().any(|expr| self.truth(expr) == Truth::BOTH),
        }
    }

    /// The findings told both ways, by themselves or through others.
    pub fn contradictions(&self, pack: &Pack) -> Vec<usize> {
        let differ = |finding: usize| {
            let in_parts = matches!(pack.findings[finding].kind, Kind::Multiple(_));
            !in_parts && self.values(finding).windows(2).any(|two| two[0] != two[1])
        };
        self.told.keys().copied().filter(|&f| differ(f) || self.is_told_both(pack, f)).collect()
    }

    /// Whether a reporter could still be asked for a finding.
    pub fn is_askable(&self, finding: usize, definition: &Finding, by_clinician: bool) -> bool {
        definition.has_question
            && (definition.asked_of_patient || by_clinician)
            && !self.not_known.contains(&finding)
            && !self.is_known(finding)
    }
}
