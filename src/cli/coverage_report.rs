//! What of a pack its worked cases exercise, for people and for programs.
//!
//! Owns the layout. What counts as covered is `engine::coverage`'s.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::test_report::{figure, named};
use crate::engine::coverage::{Coverage, FlagCoverage, RuleCoverage};
use crate::render::{Ink, Style};

/// The figures.
#[must_use]
pub fn summary(coverage: &Coverage, style: Style) -> String {
    let mut out = style.heading("Coverage");
    let (flags, rules) = (coverage.red_flags.len(), coverage.rules.len());
    out.push_str(&figure("red flags that fire in a case", coverage.flags_fired(), flags));
    out.push_str(&figure("rules that count in a case", coverage.rules_counted(), rules));
    out.push_str(&figure("both together", coverage.flags_fired() + coverage.rules_counted(), flags + rules));
    out.push_str(&named("red flags that fire in no case", &silent_flags(coverage), style));
    let held = |flag: &&FlagCoverage| flag.can_be_precaution && flag.precaution == 0;
    let never_held: Vec<String> = coverage.red_flags.iter().filter(held).map(|flag| flag.id.clone()).collect();
    out.push_str(&named("red flags that no case holds as a precaution", &never_held, style));
    out
}

/// Every rule and red flag, with how many cases it stood how; what no case shows is marked.
#[must_use]
pub fn list(coverage: &Coverage, style: Style) -> String {
    let ids = coverage.rules.iter().map(|rule| &rule.id).chain(coverage.red_flags.iter().map(|flag| &flag.id));
    let width = ids.map(|id| id.chars().count()).max().unwrap_or(0).max(20);
    let mut out = style.heading("Red flags: in how many cases each");
    let _ = writeln!(out, "  {:<width$}   fired  excluded  precaution  open", "");
    for flag in &coverage.red_flags {
        let held = if flag.can_be_precaution { flag.precaution.to_string() } else { "-".to_owned() };
        let FlagCoverage { id, fired, excluded, open, .. } = flag;
        let line = format!("{id:<width$}  {fired:>6}  {excluded:>8}  {held:>10}  {open:>4}");
        out.push_str(&marked(&line, *fired > 0, style));
    }
    out.push_str(&style.heading("Rules: in how many cases each"));
    let _ = writeln!(out, "  {:<width$}  counted   true  false  unknown", "");
    for rule in &coverage.rules {
        let RuleCoverage { id, told_true, told_false, unknown, counted, .. } = rule;
        let line = format!("{id:<width$}  {counted:>7}  {told_true:>5}  {told_false:>5}  {unknown:>7}");
        out.push_str(&marked(&line, *counted > 0, style));
    }
    out
}

fn marked(line: &str, covered: bool, style: Style) -> String {
    if covered { format!("  {line}\n") } else { format!("{}\n", style.paint(Ink::Yellow, &format!("! {line}"))) }
}

/// `71.4 %`: a threshold is compared with it, so it keeps a decimal.
#[must_use]
pub fn percent(coverage: &Coverage) -> String {
    format!("{:.1} %", coverage.percent())
}

/// The same for programs; the lists only where they are asked for.
#[must_use]
pub fn value(coverage: &Coverage, lists: bool) -> Value {
    let mut value = json!({
        "red_flags": coverage.red_flags.len(), "silent_red_flags": silent_flags(coverage),
        "rules": coverage.rules.len(), "silent_rules": coverage.rules.len() - coverage.rules_counted(),
        "percent": coverage.percent(),
    });
    if lists {
        value["by_red_flag"] = coverage
            .red_flags
            .iter()
            .map(|flag| {
                json!({
                    "id": flag.id, "fired": flag.fired, "excluded": flag.excluded, "precaution": flag.precaution,
                    "open": flag.open,
                })
            })
            .collect();
        value["by_rule"] = coverage
            .rules
            .iter()
            .map(|rule| {
                json!({
                    "id": rule.id, "counted": rule.counted, "true": rule.told_true, "false": rule.told_false,
                    "unknown": rule.unknown, "both": rule.both,
                })
            })
            .collect();
    }
    value
}

fn silent_flags(coverage: &Coverage) -> Vec<String> {
    coverage.red_flags.iter().filter(|flag| flag.fired == 0).map(|flag| flag.id.clone()).collect()
}
