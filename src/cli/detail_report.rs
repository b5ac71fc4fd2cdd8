//! The long tables of `rubor test`: urgencies, shares against outcomes, and each condition's cases.
//!
//! Owns the layout. What is counted is `accuracy`'s and `standing`'s.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::test::PackRun;
use crate::accuracy::Accuracy;
use crate::engine::plan::Plan;
use crate::engine::urgency::Urgency;
use crate::render::{Style, percent};
use crate::standing::{self, Standing};

/// Urgencies advised by urgencies expected, shares against outcomes, and the answered cases.
#[must_use]
pub fn tables(all: &Accuracy, style: Style) -> String {
    let mut out = style.heading("Urgency expected (rows) and advised (columns)");
    let _ = write!(out, "  {:<12}", "");
    for level in Urgency::ALL {
        let _ = write!(out, "{:>11}", level.as_str());
    }
    out.push_str("   too urgent  not enough\n");
    for (expected, advised, over, under) in all.levels() {
        let _ = write!(out, "  {:<12}", expected.as_str());
        advised.iter().for_each(|cases| {
            let _ = write!(out, "{cases:>11}");
        });
        let _ = writeln!(out, "{over:>13}{under:>12}");
    }
    out.push_str(&style.heading("Shares of the first place, and how often it was right"));
    out.push_str("  share          cases   mean share   right\n");
    for (bin, (cases, shares, right)) in all.reliability.iter().enumerate() {
        if *cases > 0 {
            #[expect(clippy::cast_precision_loss, reason = "counts of cases are small")]
            let of = *cases as f64;
            #[expect(clippy::cast_precision_loss, reason = "counts of cases are small")]
            let right = *right as f64;
            let range = format!("{} to {} %", bin * 20, bin * 20 + 20);
            let _ = writeln!(out, "  {range:<12}{cases:>8}{:>13}{:>8}", percent(shares / of), percent(right / of));
        }
    }
    let Accuracy { answered, m1_answered, m3_answered, cases, .. } = all;
    let _ =
        writeln!(out, "\n  answered: {answered} of {cases}; of those first {m1_answered}, within three {m3_answered}");
    out
}

/// Which case each condition wins and which near-miss it loses, and how its weights are graded.
#[must_use]
pub fn by_condition(run: &PackRun, style: Style) -> String {
    let mut out = style.heading("Conditions: the clearest case each wins, and the nearest that it loses");
    for standing in standings(run) {
        let Standing { condition, right, won, wins, loses } = standing;
        let _ = writeln!(out, "  {condition}: first in {won} of {right}; weights: {}", grades(&run.plan, &condition));
        let wins = wins.map_or_else(|| "no case".to_owned(), |won| format!("{} ({})", won.case, percent(won.share)));
        let loses = loses.map_or_else(
            || "no case comes near".to_owned(),
            |lost| format!("{} ({}) to {}", lost.case, percent(lost.share), lost.to),
        );
        out.push_str(&style.wrap("    wins   ", &wins));
        out.push_str(&style.wrap("    loses  ", &loses));
    }
    out
}

/// The same for programs.
#[must_use]
pub fn conditions(run: &PackRun) -> Value {
    let conditions = standings(run).into_iter().map(|Standing { condition, right, won, wins, loses }| {
        json!({
            "condition": condition, "right": right, "first": won,
            "wins": wins.map(|won| json!({ "case": won.case, "share": won.share })),
            "loses": loses.map(|lost| json!({ "case": lost.case, "share": lost.share, "to": lost.to })),
        })
    });
    conditions.collect()
}

fn standings(run: &PackRun) -> Vec<Standing> {
    standing::by_condition(&run.plan, run.cases.iter().map(|(case, result)| (case, &result.answer)))
}

/// `3 published, 12 judgement`.
fn grades(plan: &Plan, condition: &str) -> String {
    let Some(index) = plan.condition(condition) else { return String::new() };
    let rules = &plan.rules[plan.conditions[index].rules.clone()];
    grade_counts(rules.iter().map(|rule| rule.grade))
}

/// How many weights of each grade, the best founded first.
#[must_use]
pub fn grade_counts<'a>(grades: impl Iterator<Item = &'a str> + Clone) -> String {
    let of = |grade: &str| grades.clone().filter(|found| *found == grade).count();
    let counts = ["published", "calculated", "judgement"].map(|grade| (of(grade), grade));
    let named: Vec<String> =
        counts.iter().filter(|(number, _)| *number > 0).map(|(number, grade)| format!("{number} {grade}")).collect();
    named.join(", ")
}
