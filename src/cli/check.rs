//! `rubor check`: everything that is wrong with a rule set, at once.
//!
//! Owns the report. The set goes through the same door as in a running server, so what passes here is served there.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::detail_report;
use super::sources::Sources;
use crate::config::rule_source;
use crate::engine;
use crate::engine::diagnostic::Diagnostic;
use crate::render::{Ink, Style, count, diagnostic, print};
use crate::store::{self, LoadedPack, Refusal, RuleSource, Snapshot};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One pack's folder, or a folder of packs. Default: `./rules` if it is there, else the pack inside the binary.
    #[arg(value_name = "DIR", env = "RUBOR_RULES")]
    dir: Option<PathBuf>,
    /// How to print.
    #[arg(long, env = "RUBOR_FORMAT", value_enum, default_value_t = CheckFormat::Text)]
    format: CheckFormat,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum CheckFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For a build on GitHub, which shows each beside its line.
    Github,
}

/// Checks; 0 when the set would be served, 1 when it would be refused.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let source = rule_source(args.dir.as_deref());
    let loaded = store::load(&source);
    let code = ExitCode::from(u8::from(loaded.is_err()));
    match args.format {
        CheckFormat::Text => print(&text(&source, &loaded, Style::for_stdout())),
        CheckFormat::Json => print(&format!("{:#}\n", value(&source, &loaded))),
        CheckFormat::Github => print(&github(&source, &loaded)),
    }
    code
}

/// A refusal for people, as every command that needs rules shows it.
#[must_use]
pub fn refusal(source: &RuleSource, refusal: &Refusal, style: Style) -> String {
    let files = Sources::new(source);
    let mut out: String = refusal.diagnostics.iter().map(|found| diagnostic::text(found, &files, style)).collect();
    let tally = diagnostic::tally(&refusal.diagnostics);
    out.push_str(&format!("{}: {tally} in {source}\n", style.paint(Ink::Red, "refused")));
    out
}

fn text(source: &RuleSource, loaded: &Result<Snapshot, Refusal>, style: Style) -> String {
    let snapshot = match loaded {
        Ok(snapshot) => snapshot,
        Err(refused) => return refusal(source, refused, style),
    };
    let files = Sources::new(source);
    let mut out = String::new();
    for found in warnings(snapshot) {
        out.push_str(&diagnostic::text(found, &files, style));
    }
    for pack in snapshot.packs.values() {
        out.push_str(&format!("{}: {}\n", style.paint(Ink::Green, "accepted"), in_words(pack)));
        out.push_str(&shared_codings(pack, style));
    }
    out
}

/// Every diagnostic as a command for the build, then one line for the log.
fn github(source: &RuleSource, loaded: &Result<Snapshot, Refusal>) -> String {
    let files = Sources::new(source);
    let (found, last): (Vec<&Diagnostic>, String) = match loaded {
        Ok(snapshot) => (warnings(snapshot).collect(), format!("accepted: {source}\n")),
        Err(refused) => {
            let tally = diagnostic::tally(&refused.diagnostics);
            (refused.diagnostics.iter().collect(), format!("refused: {tally} in {source}\n"))
        }
    };
    found.into_iter().map(|found| diagnostic::github(found, &files)).chain([last]).collect()
}

/// Codings that stand for several conditions: no warning, since codes are coarser than conditions.
fn shared_codings(pack: &LoadedPack, style: Style) -> String {
    let shared = engine::shared_codings(&pack.plan);
    let lines = shared.iter().map(|(coding, ids)| format!("  the coding {coding} stands for {}\n", ids.join(", ")));
    lines.map(|line| style.paint(Ink::Dim, &line)).collect()
}

/// `red-spots 0.1.0 (draft): 18 conditions, ...`.
fn in_words(pack: &LoadedPack) -> String {
    let plan = &pack.plan;
    let parts = [
        count(plan.conditions.len(), "condition", "conditions"),
        count(plan.rules.len(), "rule", "rules"),
        count(plan.red_flags.len(), "red flag", "red flags"),
        count(plan.findings().len(), "finding", "findings"),
        count(pack.cases.len(), "worked case holds", "worked cases hold"),
        count(pack.warnings.len(), "warning", "warnings"),
    ];
    let header = &plan.header;
    let review = header.review_status.replace('_', " ");
    let grades = detail_report::grade_counts(plan.rules.iter().map(|rule| rule.grade));
    let (id, parts, digest) = (&pack.id, parts.join(", "), &pack.digest);
    format!("{id} {} ({review}): {parts}\n  weights: {grades}\n  digest {digest}", header.version)
}

fn warnings(snapshot: &Snapshot) -> impl Iterator<Item = &Diagnostic> {
    snapshot.packs.values().flat_map(|pack| &pack.warnings)
}

fn value(source: &RuleSource, loaded: &Result<Snapshot, Refusal>) -> Value {
    let files = Sources::new(source);
    match loaded {
        Ok(snapshot) => {
            let packs = snapshot.packs.values().map(|pack| {
                json!({
                    "id": pack.id, "version": pack.plan.header.version, "digest": pack.digest,
                    "review_status": pack.plan.header.review_status, "conditions": pack.plan.conditions.len(),
                    "rules": pack.plan.rules.len(), "red_flags": pack.plan.red_flags.len(),
                    "findings": pack.plan.findings().len(), "cases": pack.cases.len(),
                })
            });
            json!({
                "result": "accepted", "source": source.to_string(), "digest": snapshot.digest,
                "packs": packs.collect::<Vec<_>>(),
                "diagnostics": warnings(snapshot).map(|found| diagnostic::value(found, &files)).collect::<Vec<_>>(),
            })
        }
        Err(refused) => json!({
            "result": "refused", "source": source.to_string(), "digest": refused.digest, "packs": [],
            "diagnostics":
                refused.diagnostics.iter().map(|found| diagnostic::value(found, &files)).collect::<Vec<_>>(),
        }),
    }
}
