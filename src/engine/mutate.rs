//! Plans with one thing wrong in them, to find out which rules no worked case would miss.
//!
//! Owns what is changed and what of an evaluation is compared. A mutated plan never leaves this question: it is not
//! served, and no answer is made with it.

use super::answer::Outcome;
use super::case::{self, Case};
use super::evaluate::{Evaluation, FlagState, evaluate};
use super::explain::{AnswerOptions, explain};
use super::plan::{Plan, Rule};
use super::truth::Truth;
use super::urgency::Urgency;
use super::weight::Weight;
use std::collections::BTreeMap;

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The red flag is gone.
    DropFlag,
    /// The weight when True has the other sign.
    FlipIfTrue,
    /// The weight when False has the other sign.
    FlipIfFalse,
    /// The rule has no weight.
    DropRule,
}

/// One change of a plan: of what an author wrote once, so a rule of an evidence set changes in every condition that
/// includes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// What is changed.
    pub kind: Kind,
    /// The red flag, or the rule as it is written.
    pub id: String,
    /// The places of the red flag, or of the rule, in the plan.
    places: Vec<usize>,
}

/// What a mutated plan is compared by: group by group the first place and the outcome; the urgency; the flags that
/// fired, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gist {
    first_places: Vec<Option<usize>>,
    outcomes: Vec<Outcome>,
    urgency: Urgency,
    fired: Vec<String>,
}

/// By what a change was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// Another condition came first.
    FirstPlace,
    /// The urgency was another.
    Urgency,
    /// Other red flags fired.
    RedFlags,
    /// The outcome was another.
    Outcome,
}

impl Notice {
    /// In one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Notice::FirstPlace => "first_place",
            Notice::Urgency => "urgency",
            Notice::RedFlags => "red_flags",
            Notice::Outcome => "outcome",
        }
    }
}

impl Gist {
    /// What `evaluation` says under `plan`.
    #[must_use]
    pub fn of(plan: &Plan, evaluation: &Evaluation) -> Self {
        let fired = |place: &usize| evaluation.groups().iter().any(|group| group.flag(*place) == FlagState::Fired);
        Gist {
            first_places: evaluation.groups().iter().map(|group| group.scores.first_place()).collect(),
            outcomes: evaluation.groups().iter().map(|group| group.scores.outcome()).collect(),
            urgency: evaluation.urgency,
            fired: (0..plan.red_flags.len()).filter(fired).map(|place| plan.red_flags[place].id.clone()).collect(),
        }
    }

    /// How another differs; empty when it does not.
    #[must_use]
    pub fn differs(&self, other: &Gist) -> Vec<Notice> {
        let ways = [
            (self.first_places != other.first_places, Notice::FirstPlace),
            (self.urgency != other.urgency, Notice::Urgency),
            (self.fired != other.fired, Notice::RedFlags),
            (self.outcomes != other.outcomes, Notice::Outcome),
        ];
        ways.into_iter().filter(|(differs, _)| *differs).map(|(_, way)| way).collect()
    }
}

/// Every change that is tried: each red flag dropped, each weight flipped, each rule dropped.
#[must_use]
pub fn all(plan: &Plan) -> Vec<Mutation> {
    let mut written: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, rule) in plan.rules.iter().enumerate() {
        written.entry(&rule.written).or_default().push(place);
    }
    let mut mutations: Vec<Mutation> = plan
        .red_flags
        .iter()
        .enumerate()
        .map(|(place, flag)| Mutation { kind: Kind::DropFlag, id: flag.id.clone(), places: vec![place] })
        .collect();
    for (id, places) in written {
        let weighs = |weight: fn(&Rule) -> Weight| places.iter().any(|&rule| weight(&plan.rules[rule]) != Weight::ZERO);
        let kinds = [
            (weighs(|rule| rule.weight_if_true), Kind::FlipIfTrue),
            (weighs(|rule| rule.weight_if_false), Kind::FlipIfFalse),
            (true, Kind::DropRule),
        ];
        for (_, kind) in kinds.into_iter().filter(|(tried, _)| *tried) {
            mutations.push(Mutation { kind, id: id.to_owned(), places: places.clone() });
        }
    }
    mutations
}

/// Makes one change. Findings that were read for the plan stay valid for it: the vocabulary is the same.
pub fn apply(plan: &mut Plan, mutation: &Mutation) {
    for &place in &mutation.places {
        if mutation.kind == Kind::DropFlag {
            plan.index.alarms[place].silent = true;
            continue;
        }
        let rule = &plan.rules[place];
        let (if_true, if_false) = (rule.weight_if_true, rule.weight_if_false);
        match mutation.kind {
            Kind::FlipIfTrue => plan.reweigh(place, if_true.negate(), if_false),
            Kind::FlipIfFalse => plan.reweigh(place, if_true, if_false.negate()),
            Kind::DropFlag | Kind::DropRule => plan.reweigh(place, Weight::ZERO, Weight::ZERO),
        }
    }
}

/// Takes the change back: a copy of a plan is dear, and there are as many changes as rules and red flags.
pub fn undo(plan: &mut Plan, original: &Plan, mutation: &Mutation) {
    for &place in &mutation.places {
        if mutation.kind == Kind::DropFlag {
            plan.index.alarms[place].silent = false;
        } else {
            let rule = &original.rules[place];
            plan.reweigh(place, rule.weight_if_true, rule.weight_if_false);
        }
    }
}

/// Evaluates a case.
#[must_use]
pub fn evaluate_case(plan: &Plan, case: &Case) -> Evaluation {
    evaluate(plan, &case.findings)
}

/// Evaluates a case under the changed plan, given what the unchanged one made of it.
#[must_use]
pub fn evaluate_changed(plan: &Plan, mutation: &Mutation, case: &Case, unchanged: &Evaluation) -> Evaluation {
    match mutation.kind {
        Kind::DropFlag => evaluate_case(plan, case),
        // Only the scores are another, and reading what was told is most of the work.
        Kind::FlipIfTrue | Kind::FlipIfFalse | Kind::DropRule => unchanged.reweighed(plan),
    }
}

/// Whether a change can make any difference to this evaluation of the unchanged plan. A weight that is not heard adds
/// nothing, so neither its sign nor its rule matters; an excluded red flag does nothing.
#[must_use]
pub fn matters(plan: &Plan, mutation: &Mutation, evaluation: &Evaluation) -> bool {
    evaluation.groups().iter().any(|group| {
        mutation.places.iter().any(|&place| {
            if mutation.kind == Kind::DropFlag {
                return matches!(group.flag(place), FlagState::Fired | FlagState::Precaution);
            }
            let rule = &plan.rules[place];
            let truth = group.evidence(plan, place);
            let if_true = truth == Truth::TRUE && rule.weight_if_true != Weight::ZERO;
            let if_false = truth == Truth::FALSE && rule.weight_if_false != Weight::ZERO;
            match mutation.kind {
                Kind::FlipIfTrue => if_true,
                Kind::FlipIfFalse => if_false,
                Kind::DropFlag | Kind::DropRule => if_true || if_false,
            }
        })
    })
}

/// Whether an expectation of the case breaks: one on the first places, the urgency, the red flags or the outcome. That a
/// rule must count (`because`), and what is asked, is left out. `noticed` says whether the gist is another: where it is
/// not, only an expectation on the first three can break.
#[must_use]
pub fn breaks(plan: &Plan, case: &Case, evaluation: &Evaluation, noticed: bool) -> bool {
    const ASKED: [&str; 9] = [
        "top",
        "top3",
        "not_top",
        "urgency",
        "urgency_at_least",
        "urgency_at_most",
        "red_flags",
        "not_red_flags",
        "outcome",
    ];
    if !noticed && case.expect.top3.is_empty() {
        return false;
    }
    let options = AnswerOptions {
        max_differentials: plan.conditions.len().max(1),
        omit_rationale: true,
        omit_questions: true,
        ..AnswerOptions::default()
    };
    let answer = explain(plan, &case.findings, evaluation, &options);
    case::compare(plan, &case.expect, &answer).iter().any(|failure| ASKED.contains(&failure.key))
}
