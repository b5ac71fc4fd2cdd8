//! What can be true of a patient at all: a small search over the values that an expression tells apart.
//!
//! Owns the search. It knows ranges of numbers, options of choices, `implies`, `opposite_of` and derived findings, and
//! gives up after a fixed number of steps, so that a warning is never a guess and never slow.

use super::super::check::Checked;
use super::super::check::expr::Expr;
use super::super::check::vocabulary::CheckedTell;
use super::super::plan::{Kind, Test, millionths};
use super::super::vocabulary::{FindingIndex, Vocabulary};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// Most steps of one search. Expressions in rules take some dozens.
const STEPS: usize = 4_000;
/// Most steps of all searches of a pack together; the shipped pack takes a hundredth.
const ALL_STEPS: usize = 3_000_000;

/// Answers whether an expression can be true, or false, of a patient who does not contradict himself.
pub struct Logic<'a> {
    vocabulary: &'a Vocabulary,
    /// What each finding tells present, by `implies`, itself included.
    implied: BTreeMap<FindingIndex, BTreeSet<FindingIndex>>,
    /// Findings that cannot both be there: opposites, and whatever implies one of the two each.
    excluded: BTreeSet<(FindingIndex, FindingIndex)>,
    /// Findings that tell others or are told by others.
    related: BTreeSet<FindingIndex>,
    derived: Vec<(&'a CheckedTell, Vec<FindingIndex>)>,
    steps: Cell<usize>,
}

/// Something that has a value of its own: a finding, or one option of a multiple choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Variable(FindingIndex, Option<usize>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Holds(bool),
    Number(i64),
    Option(usize),
}

/// One patient in the making.
struct World<'e> {
    expr: &'e Expr,
    wanted: bool,
    variables: Vec<(Variable, Vec<Value>)>,
    values: BTreeMap<Variable, Value>,
    derived: Vec<&'e CheckedTell>,
    steps: usize,
}

impl<'a> Logic<'a> {
    /// Over the vocabulary and the tells of a pack.
    pub fn new(checked: &'a Checked<'_>) -> Self {
        let (relations, derived) = checked.tells.split_at(checked.relations);
        let mut direct: BTreeMap<FindingIndex, BTreeSet<FindingIndex>> = BTreeMap::new();
        let mut opposites: BTreeSet<(FindingIndex, FindingIndex)> = BTreeSet::new();
        for tell in relations {
            // The other half of an implication, absent tells absent, follows from the first.
            if let Expr::Test(from, _) = tell.when {
                direct.entry(from).or_default().extend(&tell.present);
                opposites.extend(tell.absent.iter().map(|&to| (from, to)));
            }
        }
        let implied: BTreeMap<FindingIndex, BTreeSet<FindingIndex>> =
            direct.keys().map(|&from| (from, reached(&direct, from))).collect();
        let telling = |finding: FindingIndex| {
            let others = implied.iter().filter(move |(_, all)| all.contains(&finding)).map(|(&from, _)| from);
            others.chain([finding]).collect::<BTreeSet<_>>()
        };
        let mut excluded = BTreeSet::new();
        for (one, other) in opposites {
            for a in telling(one) {
                excluded.extend(telling(other).into_iter().map(|b| (a, b)));
            }
        }
        let touched = |tell: &CheckedTell| {
            let mut findings = findings_of(&tell.when);
            findings.extend(tell.present.iter().chain(&tell.absent));
            findings
        };
        Self {
            vocabulary: &checked.vocabulary,
            implied,
            excluded,
            related: checked.tells.iter().flat_map(touched).collect(),
            derived: derived.iter().map(|tell| (tell, touched(tell))).collect(),
            steps: Cell::new(ALL_STEPS),
        }
    }

    /// The value an expression always has; `None` when it has both, or when that cannot be told in time.
    pub fn constant(&self, expr: &Expr) -> Option<bool> {
        if self.plainly_open(expr) {
            return None;
        }
        let can_be_true = self.possible(expr, true)?;
        if !can_be_true {
            return Some(false);
        }
        (!self.possible(expr, false)?).then_some(true)
    }

    /// Whether everything in an expression can be one way or the other by itself, so that the whole can too.
    fn plainly_open(&self, expr: &Expr) -> bool {
        let mut tests = Vec::new();
        tests_of(expr, &mut tests);
        let findings: BTreeSet<FindingIndex> = tests.iter().map(|(finding, _)| *finding).collect();
        tests.iter().all(|(_, test)| matches!(test, Test::Present | Test::Option(_)))
            && findings.len() == tests.len()
            && findings.iter().filter(|finding| self.related.contains(finding)).count() < 2
    }

    /// Whether some patient makes the expression what is wanted; `None` when that cannot be told in time.
    pub fn possible(&self, expr: &Expr, wanted: bool) -> Option<bool> {
        if self.plainly_open(expr) {
            return Some(true);
        }
        let findings = findings_of(expr);
        let derived: Vec<&CheckedTell> = self
            .derived
            .iter()
            .filter(|(_, all)| all.iter().all(|finding| findings.contains(finding)))
            .map(|(tell, _)| *tell)
            .collect();
        let variables = self.variables(expr, &derived, wanted);
        let steps = STEPS.min(self.steps.get());
        let mut world = World { expr, wanted, variables, values: BTreeMap::new(), derived, steps };
        let found = self.search(&mut world, 0);
        // A look costs as much as the expression is long, also where the first one decides.
        self.steps.set(self.steps.get().saturating_sub(steps - world.steps + findings.len()));
        found
    }

    fn search(&self, world: &mut World<'_>, next: usize) -> Option<bool> {
        world.steps = world.steps.checked_sub(1)?;
        if value_of(world.expr, &world.values) == Some(!world.wanted) {
            return Some(false);
        }
        let Some((variable, values)) = world.variables.get(next).cloned() else { return Some(true) };
        for value in values {
            world.values.insert(variable, value);
            if self.consistent(world, variable, value) && self.search(world, next + 1)? {
                return Some(true);
            }
        }
        world.values.remove(&variable);
        Some(false)
    }

    /// Whether a new value agrees with those before it.
    fn consistent(&self, world: &World<'_>, Variable(new, _): Variable, value: Value) -> bool {
        let Value::Holds(holds) = value else { return self.derived_agree(world) };
        let agree = world.values.iter().all(|(&Variable(other, _), &value)| match value {
            Value::Holds(other_holds) => match (holds, other_holds) {
                (true, true) => !self.excluded.contains(&(new, other)),
                (true, false) => !self.implies(new, other),
                (false, true) => !self.implies(other, new),
                (false, false) => true,
            },
            _ => true,
        });
        agree && self.derived_agree(world)
    }

    fn implies(&self, from: FindingIndex, to: FindingIndex) -> bool {
        self.implied.get(&from).is_some_and(|implied| implied.contains(&to))
    }

    fn derived_agree(&self, world: &World<'_>) -> bool {
        let holds = |finding: &FindingIndex| match world.values.get(&Variable(*finding, None)) {
            Some(Value::Holds(holds)) => Some(*holds),
            _ => None,
        };
        world.derived.iter().all(|tell| {
            value_of(&tell.when, &world.values) != Some(true)
                || (tell.present.iter().all(|finding| holds(finding) != Some(false))
                    && tell.absent.iter().all(|finding| holds(finding) != Some(true)))
        })
    }

    /// What an expression looks at, each with the values that it tells apart, the likeliest first.
    fn variables(&self, expr: &Expr, derived: &[&CheckedTell], wanted: bool) -> Vec<(Variable, Vec<Value>)> {
        let mut tests = Vec::new();
        tests_of(expr, &mut tests);
        derived.iter().for_each(|tell| tests_of(&tell.when, &mut tests));
        let mut variables: BTreeMap<Variable, BTreeSet<i64>> = BTreeMap::new();
        for (finding, test) in tests {
            let kind = &self.vocabulary.get(finding).kind;
            let option = match (kind, test) {
                (Kind::MultipleChoice { .. }, Test::Option(option)) => Some(option),
                _ => None,
            };
            let points = variables.entry(Variable(finding, option)).or_default();
            if let Test::Below(limit) | Test::AtMost(limit) | Test::AtLeast(limit) | Test::Above(limit) = test {
                points.extend([limit - 1, limit, limit + 1]);
            }
        }
        variables
            .into_iter()
            .map(|(variable, points)| {
                let values = match &self.vocabulary.get(variable.0).kind {
                    Kind::Number { low, high, .. } => {
                        let (low, high) = (millionths(*low), millionths(*high));
                        let points = points.into_iter().chain([low, high]);
                        points.filter(|point| (low..=high).contains(point)).map(Value::Number).collect()
                    }
                    Kind::Choice { options } => (0..options.len()).map(Value::Option).collect(),
                    Kind::YesNo | Kind::MultipleChoice { .. } => vec![Value::Holds(wanted), Value::Holds(!wanted)],
                };
                (variable, values)
            })
            .collect()
    }
}

/// The value of an expression as far as it is known.
fn value_of(expr: &Expr, values: &BTreeMap<Variable, Value>) -> Option<bool> {
    match expr {
        Expr::Test(finding, test) => {
            let value = |option| values.get(&Variable(*finding, option)).copied();
            match test {
                Test::Present => match value(None)? {
                    Value::Holds(holds) => Some(holds),
                    _ => None,
                },
                Test::Option(option) => match value(Some(*option)).or_else(|| value(None))? {
                    Value::Holds(holds) => Some(holds),
                    Value::Option(chosen) => Some(chosen == *option),
                    Value::Number(_) => None,
                },
                number => match value(None)? {
                    Value::Number(value) => Some(number.holds(value)),
                    _ => None,
                },
            }
        }
        Expr::Not(inner) => value_of(inner, values).map(|value| !value),
        Expr::Named(_, inner) => value_of(inner, values),
        Expr::All(items) => at_least(items.len(), items, values),
        Expr::Any(items) => at_least(1, items, values),
        Expr::AtLeast(count, items) => at_least(*count, items, values),
    }
}

fn at_least(count: usize, items: &[Expr], values: &BTreeMap<Variable, Value>) -> Option<bool> {
    let (mut holding, mut open) = (0, 0);
    for item in items {
        match value_of(item, values) {
            Some(true) => holding += 1,
            Some(false) => {}
            None => open += 1,
        }
    }
    if holding >= count {
        Some(true)
    } else if holding + open < count {
        Some(false)
    } else {
        None
    }
}

/// The findings an expression looks at, sorted.
pub fn findings_of(expr: &Expr) -> Vec<FindingIndex> {
    let mut findings = Vec::new();
    expr.findings(&mut findings);
    findings.sort_unstable();
    findings.dedup();
    findings
}

fn tests_of(expr: &Expr, into: &mut Vec<(FindingIndex, Test)>) {
    match expr {
        Expr::Test(finding, test) => into.push((*finding, *test)),
        Expr::Not(inner) | Expr::Named(_, inner) => tests_of(inner, into),
        Expr::All(items) | Expr::Any(items) | Expr::AtLeast(_, items) => {
            items.iter().for_each(|item| tests_of(item, into));
        }
    }
}

fn reached(edges: &BTreeMap<FindingIndex, BTreeSet<FindingIndex>>, from: FindingIndex) -> BTreeSet<FindingIndex> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(here) = open.pop() {
        if reached.insert(here) {
            open.extend(edges.get(&here).into_iter().flatten());
        }
    }
    reached
}
