//! What `rubor test --mutate` prints: which changes of the rules no case would notice.
//!
//! Owns the layout. What was tried is `mutation`'s.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::test::PackRun;
use super::test_report::{figure, named};
use crate::mutation::{Report, Trial, Trials};
use crate::render::{Ink, Style, count};

/// The report for people.
#[must_use]
pub fn text(tried: &[(&PackRun, Report)], style: Style) -> String {
    let mut out = String::new();
    for (run, report) in tried {
        let header = &run.plan.header;
        let title = format!("{} {}", header.id, header.version);
        let _ = writeln!(out, "{}: {}", style.paint(Ink::Bold, &title), count(run.cases.len(), "case", "cases"));
        let broken = run.broken().count();
        if broken > 0 {
            let words = format!("{} broken before anything was changed", count(broken, "case is", "cases are"));
            let _ = writeln!(out, "{}", style.paint(Ink::Red, &words));
        }
        out.push_str(&style.wrap(
            "  ",
            "Noticed: for some case the first place, the urgency, the red flags that fire or the outcome is another. \
             Refused: an expectation of some case breaks, `because` left out.",
        ));
        for (what, trials) in kinds(report) {
            out.push_str(&style.heading(what));
            out.push_str(&figure("noticed", trials.noticed(), trials.0.len()));
            out.push_str(&figure("refused", trials.refused(), trials.0.len()));
            let survivors: Vec<String> = trials.survivors().into_iter().map(str::to_owned).collect();
            let tally =
                format!("noticed by no case ({}, of which {} are told in none)", survivors.len(), trials.untouched());
            out.push_str(&named(&tally, &survivors, style));
        }
        out.push('\n');
    }
    out
}

fn kinds(report: &Report) -> [(&'static str, &Trials); 3] {
    [
        ("Each red flag dropped", &report.dropped_flags),
        ("Each weight with the other sign", &report.flipped_weights),
        ("Each rule dropped", &report.dropped_rules),
    ]
}

/// The report for programs.
#[must_use]
pub fn value(tried: &[(&PackRun, Report)]) -> Value {
    let packs = tried.iter().map(|(run, report)| {
        json!({
            "pack": run.plan.header.id, "version": run.plan.header.version, "digest": run.digest,
            "cases": run.cases.len(), "broken": run.broken().count(),
            "dropped_red_flags": trials(&report.dropped_flags),
            "flipped_weights": trials(&report.flipped_weights),
            "dropped_rules": trials(&report.dropped_rules),
        })
    });
    json!({ "packs": packs.collect::<Vec<_>>() })
}

fn trials(trials: &Trials) -> Value {
    let each = |trial: &Trial| {
        let by: Vec<&str> = trial.notices.iter().map(|notice| notice.as_str()).collect();
        json!({
            "name": trial.name, "noticed_by": by, "touched": trial.touched, "cases": trial.cases, "first_case": trial.first,
            "refused_by": trial.broken,
        })
    };
    json!({
        "tried": trials.0.len(), "noticed": trials.noticed(), "refused": trials.refused(),
        "percent_noticed": trials.share() * 100.0, "survivors": trials.survivors(),
        "each": trials.0.iter().map(each).collect::<Vec<_>>(),
    })
}
