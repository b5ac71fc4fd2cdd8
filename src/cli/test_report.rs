//! What `rubor test` prints: which cases hold, what they cover, and how often the rules are right.
//!
//! Owns the report. What a case must show (`expect`) and what is measured (`truth`) are never mixed up in it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::sources::Loaded;
use super::test::PackRun;
use super::{coverage_report, failure};
use crate::engine::answer::Answer;
use crate::engine::case::Case;
use crate::engine::source::Place;
use crate::figures::Figures;
use crate::interview::Interview;
use crate::render::diagnostic::Files as _;
use crate::render::{Ink, Style, answer, count, percent};
use crate::store;

/// How many conditions of a broken case are shown.
const TOP: usize = 3;

/// The report for people.
#[must_use]
pub fn text(runs: &[PackRun], files: &Loaded<'_>, coverage: bool, style: Style) -> String {
    let mut out = String::new();
    for run in runs {
        let header = &run.plan.header;
        let title = format!("{} {} ({})", header.id, header.version, header.review_status.replace('_', " "));
        let _ = writeln!(out, "{}  digest {}", style.paint(Ink::Bold, &title), run.digest);
        out.push_str(&failures(run, files, style));
        out.push_str(&rows(&run.figures, style));
        out.push_str(&figures(run, style));
        out.push_str(&coverage_report::summary(&run.coverage, style));
        if coverage {
            out.push_str(&coverage_report::list(&run.coverage, style));
        }
        let broken = run.broken().count();
        let total = count(run.cases.len(), "case", "cases");
        let verdict = match (run.cases.len(), broken) {
            (0, _) => style.paint(Ink::Yellow, "no cases"),
            (_, 0) => style.paint(Ink::Green, &format!("all expectations hold: {total}")),
            _ => style.paint(Ink::Red, &format!("{broken} of {total} broken")),
        };
        let _ = writeln!(out, "\n{verdict}");
    }
    out
}

fn failures(run: &PackRun, files: &Loaded<'_>, style: Style) -> String {
    let mut out = String::new();
    for (case, result) in run.broken() {
        let place = shown(run, &case.place, files);
        let _ = writeln!(out, "\n{} {} ({place})", style.paint(Ink::Red, "broken:"), case.id);
        for failure in &result.failures {
            out.push_str(&style.wrap(&format!("  {}: ", failure.key), &failure.text));
        }
        out.push_str(&style.wrap("  got: ", &format!("{}, {}", result.answer.urgency, answer::status(&result.answer))));
        for item in top(&result.answer) {
            out.push_str(&style.wrap("  ", &item));
        }
        out.push_str(&failure::explanation(run, case, result, style));
    }
    out
}

fn rows(figures: &Figures, style: Style) -> String {
    if figures.rows.is_empty() {
        return String::new();
    }
    let mut out = style.heading("Article rows -> cases");
    for (row, cases) in &figures.rows {
        out.push_str(&style.wrap(&format!("  {row:<4}{:>3}  ", cases.len()), &cases.join(", ")));
    }
    out
}

fn figures(run: &PackRun, style: Style) -> String {
    let figures = &run.figures;
    let mut out = String::new();
    if figures.with_condition + figures.with_urgency > 0 {
        out.push_str(
            &style.heading("Accuracy and safety, where a case says what is true (measured; never blocks a load)"),
        );
        let of = figures.with_condition;
        out.push_str(&figure("M1  right condition in first place", figures.first, of));
        out.push_str(&figure("M3  right condition within three", figures.within_three, of));
        out.push_str(&figure("M5  right condition within five", figures.within_five, of));
        let of = figures.with_urgency;
        out.push_str(&figure("urgency exact", figures.exact, of));
        out.push_str(&figure("urgency over (too urgent)", figures.over.len(), of));
        out.push_str(&figure("urgency under (not urgent enough)", figures.under.len(), of));
        for (what, cases) in [("not within three", &figures.missed), ("over", &figures.over), ("under", &figures.under)]
        {
            out.push_str(&named(what, cases, style));
        }
    }
    out
}

/// A list of ids under what they are; nothing when there is none.
pub fn named(what: &str, ids: &[String], style: Style) -> String {
    if ids.is_empty() { String::new() } else { format!("  {what}:\n{}", style.wrap("    ", &ids.join(", "))) }
}

/// A count out of all, with its share.
pub fn figure(what: &str, part: usize, of: usize) -> String {
    if of == 0 {
        return String::new();
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of cases are small")]
    let share = part as f64 / of as f64;
    format!("  {what:<36}{part:>4} of {of:<4}{:>6}\n", percent(share))
}

/// `1 cherry_angioma 71 % (+20.1 dB)`, the first few of each group.
fn top(answer: &Answer) -> Vec<String> {
    let listed = answer.differentials.iter().filter(|item| item.rank as usize <= TOP);
    listed
        .map(|item| {
            let group = if item.group.is_empty() { String::new() } else { format!(", group `{}`", item.group) };
            let score = answer::decibans(item.score_decibans);
            format!("{} {} {} ({score}{group})", item.rank, item.condition.id, percent(item.share))
        })
        .collect()
}

fn shown(run: &PackRun, place: &Place, files: &Loaded<'_>) -> String {
    let file = store::read::join(&run.folder, &place.file);
    format!("{}:{}:{}", files.shown(&file), place.line, place.column)
}

/// The report for programs.
#[must_use]
pub fn value(runs: &[PackRun], files: &Loaded<'_>, coverage: bool) -> Value {
    let packs = runs.iter().map(|run| {
        let cases = run.cases.iter().map(|(case, result)| {
            let failures: Vec<Value> =
                result.failures.iter().map(|failure| json!({ "expect": failure.key, "text": failure.text })).collect();
            let explanation = (!failures.is_empty()).then(|| failure::explanation(run, case, result, Style::PLAIN));
            json!({
                "id": case.id, "title": case.title, "place": shown(run, &case.place, files),
                "holds": result.failures.is_empty(), "failures": failures, "article_rows": case.article_rows,
                "urgency": result.answer.urgency.as_str(), "top": top(&result.answer), "explanation": explanation,
            })
        });
        let figures = &run.figures;
        let rows: serde_json::Map<String, Value> =
            figures.rows.iter().map(|(row, cases)| (row.clone(), json!(cases))).collect();
        json!({
            "pack": run.plan.header.id, "version": run.plan.header.version, "digest": run.digest,
            "cases": cases.collect::<Vec<_>>(), "broken": run.broken().count(), "article_rows": rows,
            "accuracy": {
                "cases": figures.with_condition, "m1": figures.first, "m3": figures.within_three,
                "m5": figures.within_five, "not_within_three": figures.missed,
            },
            "urgency": {
                "cases": figures.with_urgency, "exact": figures.exact, "over": figures.over, "under": figures.under,
            },
            "coverage": coverage_report::value(&run.coverage, coverage),
        })
    });
    json!({ "holds": runs.iter().all(|run| run.broken().next().is_none()), "packs": packs.collect::<Vec<_>>() })
}

/// One interview, question by question.
#[must_use]
pub fn interview(case: &Case, played: &Interview, style: Style) -> String {
    let mut out = format!("{}\n", style.paint(Ink::Bold, &case.title));
    out.push_str(&style.wrap("told first: ", &played.opening.join("; ")));
    out.push_str(&state(&played.first, style));
    for (index, step) in played.steps.iter().enumerate() {
        out.push('\n');
        out.push_str(&answer::ask(&format!("{:>2}. ", index + 1), &step.question, style));
        out.push_str(&style.wrap("    -> ", &step.reply));
        out.push_str(&state(&step.answer, style));
    }
    let last = played.last();
    let end = if last.should_stop {
        format!("stop after {}", count(played.steps.len(), "question", "questions"))
    } else {
        "no question is left, and the answer is not settled".to_owned()
    };
    let _ = writeln!(out, "\n{}", style.paint(Ink::Bold, &end));
    out.push_str(&style.wrap("", &last.urgency_text));
    out
}

fn state(answer: &Answer, style: Style) -> String {
    let first =
        answer.differentials.first().filter(|_| answer.groups.iter().any(|group| !group.first_place.is_empty()));
    let leads = first.map_or_else(
        || "too little known for a first place".to_owned(),
        |item| format!("first: {} {}", item.condition.name, percent(item.share)),
    );
    format!("    {}  {}; {leads}\n", answer::level(answer.urgency, style), answer::status(answer))
}
