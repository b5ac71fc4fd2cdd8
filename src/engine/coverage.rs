//! What worked cases exercise: for each rule and red flag, in how many cases it stood how.
//!
//! Owns the counting over evaluations. Which cases exist is `case`'s, and what is printed of it the shell's.

use super::evaluate::{Evaluation, FlagState};
use super::plan::Plan;
use super::truth::Truth;

/// In how many cases each rule and each red flag stood how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// One a rule, in the order of the plan.
    pub rules: Vec<RuleCoverage>,
    /// One a red flag, in the order of the plan.
    pub red_flags: Vec<FlagCoverage>,
}

/// One rule. A case with two groups of spots may count in several places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleCoverage {
    /// `condition.rule`.
    pub id: String,
    /// Cases in which what it looks at was told True.
    pub told_true: usize,
    /// Cases in which it was told False.
    pub told_false: usize,
    /// Cases in which it was not decided.
    pub unknown: usize,
    /// Cases in which it was told both ways.
    pub both: usize,
    /// Cases in which its weight was part of the score.
    pub counted: usize,
}

/// One red flag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlagCoverage {
    /// Id.
    pub id: String,
    /// Cases in which it fired.
    pub fired: usize,
    /// Cases in which it was excluded.
    pub excluded: usize,
    /// Cases in which it was held as a precaution.
    pub precaution: usize,
    /// Cases in which it was open.
    pub open: usize,
    /// Whether it can be held as a precaution at all.
    pub can_be_precaution: bool,
}

impl Coverage {
    /// Counts over the evaluations of all cases.
    #[must_use]
    pub fn count<'a>(plan: &Plan, evaluations: impl IntoIterator<Item = &'a Evaluation>) -> Self {
        let mut coverage = Coverage {
            rules: plan
                .rules
                .iter()
                .map(|rule| RuleCoverage { id: rule.id.clone(), ..RuleCoverage::default() })
                .collect(),
            red_flags: plan
                .red_flags
                .iter()
                .map(|flag| FlagCoverage {
                    id: flag.id.clone(),
                    can_be_precaution: flag.while_unknown.is_some(),
                    ..FlagCoverage::default()
                })
                .collect(),
        };
        for evaluation in evaluations {
            coverage.add(plan, evaluation);
        }
        coverage
    }

    fn add(&mut self, plan: &Plan, evaluation: &Evaluation) {
        for (place, rule) in self.rules.iter_mut().enumerate() {
            let truths = evaluation.rule_truths(plan, place);
            let told = |wanted: Truth| usize::from(truths.contains(&wanted));
            rule.told_true += told(Truth::TRUE);
            rule.told_false += told(Truth::FALSE);
            rule.unknown += told(Truth::UNKNOWN);
            rule.both += told(Truth::BOTH);
            rule.counted += usize::from(evaluation.rule_counts(plan, place));
        }
        for (place, flag) in self.red_flags.iter_mut().enumerate() {
            let states = evaluation.flag_states(place);
            let stood = |wanted: FlagState| usize::from(states.contains(&wanted));
            flag.fired += stood(FlagState::Fired);
            flag.excluded += stood(FlagState::Excluded);
            flag.precaution += stood(FlagState::Precaution);
            flag.open += stood(FlagState::Open);
        }
    }

    /// Rules that count in some case.
    #[must_use]
    pub fn rules_counted(&self) -> usize {
        self.rules.iter().filter(|rule| rule.counted > 0).count()
    }

    /// Red flags that fire in some case.
    #[must_use]
    pub fn flags_fired(&self) -> usize {
        self.red_flags.iter().filter(|flag| flag.fired > 0).count()
    }

    /// Rules that count in some case and red flags that fire in some case, out of all of both; in per cent. A pack
    /// without any is covered.
    #[must_use]
    pub fn percent(&self) -> f64 {
        let all = self.rules.len() + self.red_flags.len();
        if all == 0 {
            return 100.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a pack has few rules")]
        let share = (self.rules_counted() + self.flags_fired()) as f64 / all as f64;
        share * 100.0
    }
}
