//! Why a worked case is broken: the difference that mattered, then the whole explanation.
//!
//! Owns the layout of two reasonings side by side. Every reason comes from the answer and the evaluation behind it.

use std::fmt::Write as _;

use super::test::PackRun;
use crate::engine::answer::{Counting, Differential, RedFlagState};
use crate::engine::case::{self, Case, CaseResult, UNDETERMINED};
use crate::engine::plan::Plan;
use crate::engine::truth::Truth;
use crate::render::{Ink, Style, answer, percent};

/// Space between the two columns.
const GAP: &str = " | ";

/// Everything that explains why a case does not get what it expects.
#[must_use]
pub fn explanation(run: &PackRun, case: &Case, result: &CaseResult, style: Style) -> String {
    let mut out = String::new();
    out.push_str(&places(&run.plan, case, result, style));
    out.push_str(&red_flags(&run.plan, case, result, style));
    out.push_str(&style.heading("  The whole answer"));
    // The page is narrower by the indent, so that nothing runs over.
    let inner = Style { width: style.width.saturating_sub(4), ..style };
    for line in answer::text(&result.answer, &run.plan.header, &run.digest, inner).lines() {
        let _ = writeln!(out, "{}", format!("    {line}").trim_end());
    }
    out
}

/// The expected condition and the one that came first, reason by reason; without an expected one the first two.
fn places(plan: &Plan, case: &Case, result: &CaseResult, style: Style) -> String {
    let listed: Vec<&Differential> = result.answer.differentials.iter().collect();
    let Some(&got) = listed.first() else { return String::new() };
    let broken = |key: &str| result.failures.iter().any(|failure| failure.key == key);
    let fits = |item: &&Differential, wanted: &str| case::satisfies(plan, &item.condition.id, wanted);
    let missing = |wanted: &&String| !listed.iter().take(3).any(|item| fits(item, wanted));
    let top = case.expect.top.as_ref().filter(|_| broken("top"));
    let wanted = top.or_else(|| case.expect.top3.iter().find(missing).filter(|_| broken("top3")));
    let (heading, left, right) = match wanted.filter(|wanted| *wanted != UNDETERMINED) {
        Some(wanted) => {
            let item = listed.iter().copied().find(|item| fits(item, wanted));
            let left = item.map_or_else(|| unsupported(plan, wanted, result), reasons);
            ("  The difference that mattered: expected | got", left, reasons(got))
        }
        None => match listed.get(1) {
            Some(second) => ("  The first two places", reasons(got), reasons(second)),
            None => return String::new(),
        },
    };
    let mut out = style.heading(heading);
    out.push_str(&side_by_side(&left, &right, style));
    out
}

/// A listed condition: its place, then what counts, the prior first.
fn reasons(item: &Differential) -> Vec<String> {
    let head = format!(
        "{} {}: {}, {}",
        item.rank,
        item.condition.id,
        answer::decibans(item.score_decibans),
        percent(item.share)
    );
    let counted = item.contributions.iter().filter(|one| one.counting == Counting::Counted).map(|one| {
        let rule = one.rule_id.split_once('.').map_or(one.rule_id.as_str(), |(_, rule)| rule);
        format!("{} {rule}: {}", answer::decibans(one.weight_decibans), one.because)
    });
    std::iter::once(head).chain(counted).collect()
}

/// A condition that nothing told supports: what is true of each of its rules.
fn unsupported(plan: &Plan, wanted: &str, result: &CaseResult) -> Vec<String> {
    let mut lines = vec![format!("{wanted}: not listed, nothing told supports it")];
    let Some(place) = plan.condition(wanted) else { return lines };
    for rule in plan.conditions[place].rules.clone() {
        let truths = result.evaluation.rule_truths(plan, rule);
        let words: Vec<&str> = truths.into_iter().map(words).collect();
        let this = &plan.rules[rule];
        let local = this.id.split_once('.').map_or(this.id.as_str(), |(_, local)| local);
        lines.push(format!("{local} ({}): {}", this.when_text, words.join(", ")));
    }
    lines
}

/// Red flags that must fire and do not, or must not and do, with what was told of their parts.
fn red_flags(plan: &Plan, case: &Case, result: &CaseResult, style: Style) -> String {
    let mut lines = String::new();
    let fired =
        |id: &str| result.answer.red_flags.iter().any(|flag| flag.id == id && flag.state == RedFlagState::Fired);
    let silent = case.expect.red_flags.iter().filter(|id| !fired(id)).map(|id| (id, "must fire"));
    let loud = case.expect.not_red_flags.iter().filter(|id| fired(id)).map(|id| (id, "must not fire"));
    for (id, must) in silent.chain(loud) {
        let Some(place) = plan.red_flag(id) else { continue };
        let flag = &plan.red_flags[place];
        for (given, sign) in result.evaluation.flag_truths(plan, place) {
            let given = given.map(|given| format!("given ({}): {}; ", flag.given_text, words(given)));
            let parts = format!("{must}; {}sign ({}): {}", given.unwrap_or_default(), flag.sign_text, words(sign));
            lines.push_str(&style.wrap(&format!("    {id}: "), &parts));
        }
    }
    if lines.is_empty() { lines } else { format!("{}{lines}", style.heading("  Red flags")) }
}

fn words(truth: Truth) -> &'static str {
    match truth {
        Truth::TRUE => "told true",
        Truth::FALSE => "told false",
        Truth::BOTH => "told both ways",
        _ => "not told",
    }
}

/// Two lists in two columns, line by line.
fn side_by_side(left: &[String], right: &[String], style: Style) -> String {
    let column = (style.width.saturating_sub(4 + GAP.len()) / 2).max(20);
    let narrow = Style { width: column, colour: false };
    let broken = |items: &[String]| -> Vec<Vec<String>> {
        items.iter().map(|item| narrow.wrap_at("", 0, item).lines().map(str::to_owned).collect()).collect()
    };
    let (left, right) = (broken(left), broken(right));
    let mut out = String::new();
    for index in 0..left.len().max(right.len()) {
        let none = Vec::new();
        let (one, other) = (left.get(index).unwrap_or(&none), right.get(index).unwrap_or(&none));
        for line in 0..one.len().max(other.len()) {
            let (one, other) = (one.get(line).map_or("", String::as_str), other.get(line).map_or("", String::as_str));
            let shown = format!("    {one:<column$}{GAP}{other}");
            let shown = shown.trim_end();
            let _ = writeln!(out, "{}", if index == 0 { style.paint(Ink::Bold, shown) } else { shown.to_owned() });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::side_by_side;
    use crate::render::Style;

    #[test]
    fn columns_stay_apart() {
        let left = ["one two three four five six seven".to_owned(), "b".to_owned()];
        let right = ["x".to_owned(), "y".to_owned(), "z".to_owned()];
        let text = side_by_side(&left, &right, Style { colour: false, width: 50 });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines.iter().all(|line| line.find('|') == lines[0].find('|') && line.len() <= 50), "{text}");
    }
}
