//! Room beside a pack for what an edge makes of its texts once and sends many times.
//!
//! Owns when it is made, which is the first time that it is wanted, and that it goes with the pack. It knows no encoding.

use crate::engine::plan::{Ask, Plan};
use std::sync::OnceLock;

/// What stays the same in every answer that says it; each by its place in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phrase {
    /// A rule as a reason.
    Rule(usize),
    /// A rule of which nothing that it looks at was told.
    Undecided(usize),
    /// The prior of a condition as a reason.
    Prior(usize),
    /// A condition in the list.
    Condition(usize),
    /// A red flag that demands something.
    RedFlag(usize),
    /// A question.
    Question(Ask),
}

/// The phrases of one pack, as bytes.
#[derive(Debug)]
pub struct Phrases {
    rules: usize,
    conditions: usize,
    flags: usize,
    findings: usize,
    said: Box<[OnceLock<Box<[u8]>>]>,
}

impl Phrases {
    /// Room for the phrases of a plan, all of them still to be made.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let (rules, conditions, flags) = (plan.rules.len(), plan.conditions.len(), plan.red_flags.len());
        let findings = plan.findings().len();
        let room = 2 * rules + 2 * conditions + flags + findings + plan.boxes.len();
        Self { rules, conditions, flags, findings, said: (0..room).map(|_| OnceLock::new()).collect() }
    }

    /// The bytes of a phrase; `make` is called where nobody wanted them before.
    pub fn get(&self, phrase: Phrase, make: impl FnOnce() -> Box<[u8]>) -> &[u8] {
        let conditions_from = 2 * self.rules;
        let flags_from = conditions_from + 2 * self.conditions;
        let questions_from = flags_from + self.flags;
        let place = match phrase {
            Phrase::Rule(rule) => rule,
            Phrase::Undecided(rule) => self.rules + rule,
            Phrase::Prior(condition) => conditions_from + condition,
            Phrase::Condition(condition) => conditions_from + self.conditions + condition,
            Phrase::RedFlag(flag) => flags_from + flag,
            Phrase::Question(Ask::Finding(finding)) => questions_from + finding.0,
            Phrase::Question(Ask::Box(place)) => questions_from + self.findings + place,
        };
        self.said[place].get_or_init(make)
    }
}
