//! Which rules the worked cases would miss: every change of a plan tried against every case, on all cores.
//!
//! Owns the trying and the counting. What is changed, and what counts as noticing, is `engine::mutate`'s; what is
//! printed is `cli`'s.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::Evaluation;
use crate::engine::case::Case;
use crate::engine::mutate::{self, Gist, Kind, Mutation, Notice};
use crate::engine::plan::Plan;

/// One change, and what the cases made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// What was changed.
    pub mutation: Mutation,
    /// The red flag, or the rule as it is written, and which weight if it is the one when absent.
    pub name: String,
    /// By what it was noticed; empty when it survived.
    pub notices: BTreeSet<Notice>,
    /// How many cases it could make a difference to: in the others the rule is not heard, or the red flag does nothing.
    pub touched: usize,
    /// How many cases noticed it.
    pub cases: usize,
    /// The first case that noticed it; empty when it survived.
    pub first: String,
    /// The first case of which an expectation breaks (`because` left out); empty when none does.
    pub broken: String,
}

impl Trial {
    /// Whether no case noticed it.
    #[must_use]
    pub fn survived(&self) -> bool {
        self.notices.is_empty()
    }
}

/// All trials of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trials(pub Vec<Trial>);

impl Trials {
    /// How many were noticed.
    #[must_use]
    pub fn noticed(&self) -> usize {
        self.0.iter().filter(|trial| !trial.survived()).count()
    }

    /// How many would be refused at a load, because an expectation breaks.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.0.iter().filter(|trial| !trial.broken.is_empty()).count()
    }

    /// The names of those that no case noticed.
    #[must_use]
    pub fn survivors(&self) -> Vec<&str> {
        self.0.iter().filter(|trial| trial.survived()).map(|trial| trial.name.as_str()).collect()
    }

    /// Of those that no case noticed, how many no case could have noticed: they are told in none.
    #[must_use]
    pub fn untouched(&self) -> usize {
        self.0.iter().filter(|trial| trial.touched == 0).count()
    }

    /// The share that was noticed, 0 to 1; 1 where there is nothing to notice.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.0.is_empty() {
            return 1.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a pack has few rules")]
        let share = self.noticed() as f64 / self.0.len() as f64;
        share
    }
}

/// Everything that was tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Each red flag dropped.
    pub dropped_flags: Trials,
    /// Each weight, as it is written, with the other sign; a rule with a weight in both directions has two.
    pub flipped_weights: Trials,
    /// Each rule dropped.
    pub dropped_rules: Trials,
}

/// Tries every change of the plan against its cases.
#[must_use]
pub fn run(plan: &Plan, cases: &[&Case]) -> Report {
    let unchanged: Vec<(Evaluation, Gist)> = cases
        .iter()
        .map(|case| {
            let evaluation = mutate::evaluate_case(plan, case);
            let gist = Gist::of(plan, &evaluation);
            (evaluation, gist)
        })
        .collect();
    let mutations = mutate::all(plan);
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut done, mut mutant) = (Vec::new(), plan.clone());
        while let Some(mutation) = mutations.get(next.fetch_add(1, Ordering::Relaxed)) {
            mutate::apply(&mut mutant, mutation);
            done.push(attempt((plan, &mutant), cases, &unchanged, mutation));
            mutate::undo(&mut mutant, plan, mutation);
        }
        done
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut trials: Vec<Trial> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    // The order in which cores finish leaves no trace.
    trials.sort_by(|a, b| a.name.cmp(&b.name));
    let mut report = Report::default();
    for trial in trials {
        let list = match trial.mutation.kind {
            Kind::DropFlag => &mut report.dropped_flags,
            Kind::FlipIfTrue | Kind::FlipIfFalse => &mut report.flipped_weights,
            Kind::DropRule => &mut report.dropped_rules,
        };
        list.0.push(trial);
    }
    report
}

fn attempt(
    (plan, mutant): (&Plan, &Plan),
    cases: &[&Case],
    unchanged: &[(Evaluation, Gist)],
    mutation: &Mutation,
) -> Trial {
    let absent = if mutation.kind == Kind::FlipIfFalse { " (when absent)" } else { "" };
    let mut trial = Trial {
        mutation: mutation.clone(),
        name: format!("{}{absent}", mutation.id),
        notices: BTreeSet::new(),
        touched: 0,
        cases: 0,
        first: String::new(),
        broken: String::new(),
    };
    for (case, (evaluation, gist)) in cases.iter().zip(unchanged) {
        if !mutate::matters(plan, mutation, evaluation) {
            continue;
        }
        trial.touched += 1;
        let changed = mutate::evaluate_changed(mutant, mutation, case, evaluation);
        let notices = gist.differs(&Gist::of(mutant, &changed));
        let noticed = !notices.is_empty();
        if noticed {
            trial.cases += 1;
            trial.notices.extend(notices);
            if trial.first.is_empty() {
                trial.first.clone_from(&case.id);
            }
        }
        if trial.broken.is_empty() && mutate::breaks(mutant, case, &changed, noticed) {
            trial.broken.clone_from(&case.id);
        }
    }
    trial
}
