//! How often a pack is right about its own worked cases: measured, and never a reason to refuse a set.
//!
//! Owns the counting over cases that carry a `truth`: accuracy (is the right condition first, within three, within
//! five), urgency (exact, over, under), and which rows, red flags and rules the cases touch. What a case *must* show
//! is `engine::case`'s business.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::answer::{Answer, Counting, Outcome, RedFlagState};
use crate::engine::case::{self, Case, UNDETERMINED};
use crate::engine::plan::Plan;
use crate::engine::urgency::Urgency;

/// Figures over the cases of one pack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Cases that name the true condition.
    pub with_condition: usize,
    /// Of those, the true condition is first (M1).
    pub first: usize,
    /// Is among the first three (M3).
    pub within_three: usize,
    /// Is among the first five (M5).
    pub within_five: usize,
    /// Cases whose true condition is not among the first three.
    pub missed: Vec<String>,
    /// Cases that name the true urgency.
    pub with_urgency: usize,
    /// Of those, the urgency is one of the right ones.
    pub exact: usize,
    /// More urgent than any right one.
    pub over: Vec<String>,
    /// Less urgent than any right one: the unsafe side.
    pub under: Vec<String>,
    /// Which cases show which row of the article, in the order of the rows.
    pub rows: Vec<(String, Vec<String>)>,
    /// Red flags that fire in no case.
    pub silent_red_flags: Vec<String>,
    /// Rules that count in no case.
    pub silent_rules: usize,
}

/// Counts over cases and the answers they got.
#[must_use]
pub fn count<'a>(plan: &Plan, results: impl IntoIterator<Item = (&'a Case, &'a Answer)>) -> Figures {
    let mut figures = Figures::default();
    let mut rows: BTreeMap<(String, u64, String), Vec<String>> = BTreeMap::new();
    let mut fired = BTreeSet::new();
    let mut counted = BTreeSet::new();
    for (case, answer) in results {
        figures.accuracy(plan, case, answer);
        figures.urgency(case, answer);
        for row in &case.article_rows {
            rows.entry(natural(row)).or_default().push(case.id.clone());
        }
        let flags = answer.red_flags.iter().filter(|flag| flag.state == RedFlagState::Fired);
        fired.extend(flags.map(|flag| flag.id.clone()));
        let contributions = answer.differentials.iter().flat_map(|item| &item.contributions);
        counted
            .extend(contributions.filter(|item| item.counting == Counting::Counted).map(|item| item.rule_id.clone()));
    }
    figures.rows = rows.into_iter().map(|((_, _, row), cases)| (row, cases)).collect();
    figures.silent_red_flags =
        plan.red_flags.iter().map(|flag| flag.id.clone()).filter(|id| !fired.contains(id)).collect();
    figures.silent_rules = plan.rules.iter().filter(|rule| !counted.contains(&rule.id)).count();
    figures
}

impl Figures {
    fn accuracy(&mut self, plan: &Plan, case: &Case, answer: &Answer) {
        let Some(truth) = &case.truth else { return };
        let right: Vec<&str> = std::iter::once(&truth.condition).chain(&truth.also_right).map(String::as_str).collect();
        self.with_condition += 1;
        let rank = rank_of(plan, answer, &right).unwrap_or(u32::MAX);
        self.first += usize::from(rank <= 1);
        self.within_three += usize::from(rank <= 3);
        self.within_five += usize::from(rank <= 5);
        if rank > 3 {
            self.missed.push(case.id.clone());
        }
    }

    fn urgency(&mut self, case: &Case, answer: &Answer) {
        let Some(truth) = &case.truth else { return };
        let right: Vec<Urgency> = truth.urgency.into_iter().chain(truth.urgency_also_right.iter().copied()).collect();
        let (Some(mildest), Some(highest)) = (right.iter().min(), right.iter().max()) else { return };
        self.with_urgency += 1;
        if answer.urgency > *highest {
            self.over.push(case.id.clone());
        } else if answer.urgency < *mildest {
            self.under.push(case.id.clone());
        } else {
            // Between two right levels nothing is over and nothing under.
            self.exact += 1;
        }
    }
}

/// The best rank of a right condition in any group that has enough to go by; a parent is satisfied by its child.
/// Where nothing can be told, rank 1 is right if the truth is `undetermined`, and no condition has a rank.
fn rank_of(plan: &Plan, answer: &Answer, right: &[&str]) -> Option<u32> {
    if right.contains(&UNDETERMINED) && answer.outcome == Outcome::Insufficient {
        return Some(1);
    }
    let determined =
        |group: &str| answer.groups.iter().any(|found| found.group == group && found.outcome == Outcome::Determined);
    let matching = answer.differentials.iter().filter(|item| determined(&item.group));
    matching
        .filter(|item| right.iter().any(|id| case::satisfies(plan, &item.condition.id, id)))
        .map(|item| item.rank)
        .min()
}

/// Sorts `A2` before `A10`.
fn natural(row: &str) -> (String, u64, String) {
    let letters: String = row.chars().take_while(|c| !c.is_ascii_digit()).collect();
    let digits: String = row.chars().skip(letters.chars().count()).take_while(char::is_ascii_digit).collect();
    (letters, digits.parse().unwrap_or(0), row.to_owned())
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn rows_sort_as_people_count() {
        let mut rows = vec!["A10", "A2", "B1", "A1", "A"];
        rows.sort_by_key(|row| natural(row));
        assert_eq!(rows, ["A", "A1", "A2", "A10", "B1"]);
    }
}
