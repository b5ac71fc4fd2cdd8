//! What `rubor test` prints: which cases hold, what they cover, and how often the rules are right.
//!
//! Owns the report. What a case must show (`expect`) and what is measured (`truth`) are never mixed up in it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::sources::Loaded;
use super::test::PackRun;
use super::{coverage_report, detail_report, failure};
use crate::accuracy::{self, Accuracy, Wrong};
use crate::engine::answer::Answer;
use crate::engine::case::Case;
use crate::engine::source::Place;
use crate::figures::Figures;
use crate::interview::{Interview, Table};
use crate::render::diagnostic::Files as _;
use crate::render::{Ink, Style, answer, count, percent};
use crate::store;

/// How many conditions of a broken case are shown.
const TOP: usize = 3;

/// The report for people.
#[must_use]
pub fn text(runs: &[PackRun], files: &Loaded<'_>, coverage: bool, tables: bool, style: Style) -> String {
    let mut out = String::new();
    for run in runs {
        let header = &run.plan.header;
        let title = format!("{} {} ({})", header.id, header.version, header.review_status.replace('_', " "));
        let _ = writeln!(out, "{}  digest {}", style.paint(Ink::Bold, &title), run.digest);
        out.push_str(&failures(run, files, style));
        out.push_str(&rows(&run.figures, style));
        out.push_str(&figures(run, style));
        if tables {
            out.push_str(&detail_report::tables(&run.measure(|_| true), style));
            out.push_str(&detail_report::by_condition(run, style));
        }
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

/// Every set of cases in a line, then the safety of all, then the cases to read on.
fn figures(run: &PackRun, style: Style) -> String {
    let all = run.measure(|_| true);
    if all.cases + all.triaged == 0 {
        return String::new();
    }
    let mut out = style.heading("Accuracy and safety, where a case says what is true (measured; never blocks a load)");
    out.push_str("  set              cases      M1      M3      M5  triage  strict   loose\n");
    for (name, is_in) in accuracy::SETS {
        let set = run.measure(is_in);
        if set.cases > 0 {
            let [m1, m3, m5] = [set.m1, set.m3, set.m5].map(|part| rate(part, set.cases));
            let [exact, strict, loose] =
                [set.triage_exact, set.safe_strict, set.safe_loose].map(|part| rate(part, set.triaged));
            let _ = writeln!(out, "  {name:<15}{:>7}{m1:>8}{m3:>8}{m5:>8}{exact:>8}{strict:>8}{loose:>8}", set.cases);
        }
    }
    let (over, below_emergency) = all.over_below_emergency();
    out.push_str(&figure("too urgent, of all below emergency", over, below_emergency));
    out.push_str(&figure("alarmed, of self-care and routine", all.alarmed, all.benign()));
    out.push_str(&figure("hazardous, of urgent and emergency", all.hazardous, all.dangerous));
    let bound = accuracy::upper_bound(all.hazardous, all.dangerous) * 100.0;
    let _ = writeln!(out, "    its exact upper bound at 97.5 %: {bound:.1} %");
    out.push_str(&figure("red flags that must fire and do", all.flags_fired, all.flags_expected));
    let Wrong { not_first, not_in_three, over, under, hazardous } = &all.wrong;
    let lists = [
        ("not first", not_first),
        ("not within three", not_in_three),
        ("too urgent", over),
        ("not urgent enough", under),
        ("hazardously so", hazardous),
    ];
    lists.into_iter().for_each(|(what, cases)| out.push_str(&named(what, cases, style)));
    out
}

fn rate(part: usize, of: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "counts of cases are small")]
    let percent = if of == 0 { 0.0 } else { part as f64 * 100.0 / of as f64 };
    format!("{percent:.1} %")
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
        let all = run.measure(|_| true);
        json!({
            "pack": run.plan.header.id, "version": run.plan.header.version, "digest": run.digest,
            "cases": cases.collect::<Vec<_>>(), "broken": run.broken().count(), "article_rows": rows,
            "accuracy": {
                "cases": all.cases, "m1": all.m1, "m3": all.m3, "m5": all.m5,
                "not_within_three": all.wrong.not_in_three,
            },
            "urgency": {
                "cases": all.triaged, "exact": all.triage_exact, "over": all.wrong.over, "under": all.wrong.under,
            },
            "sets": accuracy::SETS.map(|(name, is_in)| set(name, &run.measure(is_in))),
            "conditions": detail_report::conditions(run),
            "coverage": coverage_report::value(&run.coverage, coverage),
        })
    });
    json!({ "holds": runs.iter().all(|run| run.broken().next().is_none()), "packs": packs.collect::<Vec<_>>() })
}

fn set(name: &str, set: &Accuracy) -> Value {
    json!({
        "set": name, "cases": set.cases, "answered": set.answered, "m1": set.m1, "m3": set.m3, "m5": set.m5,
        "m1_answered": set.m1_answered, "m3_answered": set.m3_answered, "triaged": set.triaged,
        "triage_exact": set.triage_exact, "safe_strict": set.safe_strict, "safe_loose": set.safe_loose,
        "confusion": set.confusion, "over": set.over, "under": set.under, "dangerous": set.dangerous,
        "hazardous": set.hazardous, "hazardous_upper_bound": accuracy::upper_bound(set.hazardous, set.dangerous),
        "alarmed": set.alarmed, "flags_expected": set.flags_expected, "flags_fired": set.flags_fired,
        "reliability": set.reliability,
    })
}

/// Interviews of all cases that say what is true, in a table.
#[must_use]
pub fn interviews(id: &str, table: &Table, style: Style) -> String {
    let mut out = style.heading(&format!("Interviews of {id}, from the first two findings"));
    let (median, ninetieth) = (table.median(), table.ninetieth());
    let _ = writeln!(out, "  questions asked: median {median}, 90th percentile {ninetieth}");
    let (all, unless_emergency) = (table.interviews, table.interviews - table.emergencies);
    for (what, part, of) in [
        ("urgency as with everything told", table.same_urgency, all),
        ("first place as with everything told", table.same_first, all),
        ("  unless an emergency ended it", table.same_first_unless_emergency, unless_emergency),
        ("ended final", table.ended_final, all),
        ("  of full cases", table.full_ended_final, table.full),
    ] {
        out.push_str(&figure(what, part, of));
    }
    out.push_str(&named("ended less urgent", &table.lower, style));
    out.push_str(&named("though urgent or an emergency", &table.lower_though_dangerous, style));
    let longest: Vec<String> = table.longest.iter().map(|(asked, id)| format!("{id} ({asked})")).collect();
    out.push_str(&named("longest", &longest, style));
    out
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
