//! What the worked cases of a pack touch: rows of the source article, red flags and rules.
//!
//! Owns that counting. How right and how safe the answers are is `accuracy`'s business, what a case *must* show is
//! `engine::case`'s.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::answer::{Answer, Counting, RedFlagState};
use crate::engine::case::Case;
use crate::engine::plan::Plan;

/// Figures over the cases of one pack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
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
