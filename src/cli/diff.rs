//! `rubor diff`: what a change of rules does.
//!
//! Owns reading both sides and printing. What differs, and how dangerous it is, is `impact`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::revision::Rules;
use super::sources::{Loaded, Sources};
use super::{Format, fail, test};
use crate::engine::diagnostic::Diagnostic;
use crate::engine::{self, CompiledPack};
use crate::impact::moves::{Danger, Move, Seen};
use crate::impact::words::{Change, ChangeKind};
use crate::impact::{Impact, Side, between};
use crate::render::{Ink, Style, answer, complain, count, diagnostic, print};
use crate::store::read::{Content, PackFiles};
use crate::store::{self, RuleSource};

/// Exit code where the two cannot be compared.
const NOT_COMPARED: u8 = 2;

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The old rules: a pack's folder, a folder of packs, or either in a git revision, as `HEAD~1:rules/red-spots`.
    #[arg(value_name = "OLD", env = "RUBOR_OLD")]
    old: String,
    /// The new rules, likewise.
    #[arg(value_name = "NEW", env = "RUBOR_NEW")]
    new: String,
    /// Compare by the cases of this file or folder instead of both packs' own.
    #[arg(long, value_name = "PATH", env = "RUBOR_CASES")]
    cases: Option<PathBuf>,
    /// How to print.
    #[arg(long, env = "RUBOR_FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// One pack with its files.
struct Pack {
    files: PackFiles,
    compiled: CompiledPack,
}

/// What became of one pack.
enum Fate {
    Added,
    Removed,
    Kept(Impact),
}

/// Compares; 0 when both say the same, 1 when something changed, 2 when they cannot be compared.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let (old, new) = match (read(&args.old, args), read(&args.new, args)) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => {
            for message in [old.err(), new.err()].into_iter().flatten().filter(|message| !message.is_empty()) {
                fail(&message);
            }
            return ExitCode::from(NOT_COMPARED);
        }
    };
    let fates = compare(&old, &new);
    print(&match args.format {
        Format::Text => text(&fates, Style::for_stdout()),
        Format::Json => format!("{:#}\n", value(&fates)),
    });
    let same = fates.values().all(|fate| matches!(fate, Fate::Kept(impact) if impact.is_empty()));
    ExitCode::from(u8::from(!same))
}

/// Reads and compiles one side. Diagnostics are printed here, and the message is then empty.
fn read(name: &str, args: &Args) -> Result<BTreeMap<String, Pack>, String> {
    let rules = Rules::open(name)?;
    let source = RuleSource::Folder(rules.folder().to_owned());
    let mut content = store::read(&source);
    if content.problems.is_empty()
        && let Some(path) = &args.cases
    {
        test::replace_cases(&mut content, path)?;
    }
    let (mut packs, mut diagnostics) = (BTreeMap::new(), content.problems.clone());
    for files in content.packs.iter().filter(|files| files.readable) {
        match engine::compile_pack(&files.files) {
            Ok(compiled) => {
                let id = compiled.plan.header.id.clone();
                packs.insert(id, Pack { files: files.clone(), compiled });
            }
            Err(found) => diagnostics.extend(found.into_iter().map(|one| store::in_folder(one, &files.folder))),
        }
    }
    if diagnostics.is_empty() {
        return Ok(packs);
    }
    refuse(name, &source, &content, &diagnostics, args);
    Err(String::new())
}

fn refuse(name: &str, source: &RuleSource, content: &Content, diagnostics: &[Diagnostic], args: &Args) {
    let files = Loaded { sources: Sources::new(source), content, cases: args.cases.clone() };
    for found in diagnostics {
        complain(&diagnostic::text(found, &files, Style::PLAIN));
    }
    complain(&format!("refused: {} in {name}; nothing was compared\n", diagnostic::tally(diagnostics)));
}

/// Packs are told apart by their ids; one against one is a comparison even if the id itself changed.
fn compare(old: &BTreeMap<String, Pack>, new: &BTreeMap<String, Pack>) -> BTreeMap<String, Fate> {
    fn side(pack: &Pack) -> Side<'_> {
        Side { files: &pack.files.files, plan: &pack.compiled.plan, cases: &pack.compiled.cases }
    }
    if let (1, 1, Some((_, was)), Some((id, is))) = (old.len(), new.len(), old.first_key_value(), new.first_key_value())
    {
        return BTreeMap::from([(id.clone(), Fate::Kept(between(side(was), side(is))))]);
    }
    let ids: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    ids.into_iter()
        .map(|id| {
            let fate = match (old.get(id), new.get(id)) {
                (Some(was), Some(is)) => Fate::Kept(between(side(was), side(is))),
                (Some(_), None) => Fate::Removed,
                (None, _) => Fate::Added,
            };
            (id.clone(), fate)
        })
        .collect()
}

fn text(fates: &BTreeMap<String, Fate>, style: Style) -> String {
    let mut out = String::new();
    for (id, fate) in fates {
        let id = style.paint(Ink::Bold, id);
        let _ = match fate {
            Fate::Added => writeln!(out, "{id}: added"),
            Fate::Removed => writeln!(out, "{id}: {}", style.paint(Ink::Red, "removed")),
            Fate::Kept(impact) if impact.is_empty() => {
                writeln!(out, "{id}: the same, over {}", count(impact.cases, "case", "cases"))
            }
            Fate::Kept(impact) => {
                let _ = writeln!(
                    out,
                    "{id}: {}; {} of {}",
                    count(impact.changes.len(), "change of the rules", "changes of the rules"),
                    count(impact.moves.len(), "answer moves", "answers move"),
                    count(impact.cases, "case", "cases"),
                );
                out.push_str(&moves(impact, style));
                out.push_str(&changes(&impact.changes, style));
                Ok(())
            }
        };
    }
    out
}

fn moves(impact: &Impact, style: Style) -> String {
    if impact.moves.is_empty() && impact.unreadable.is_empty() {
        return String::new();
    }
    let mut out = style.heading("Cases, most dangerous first");
    for item in &impact.moves {
        out.push_str(&one_move(item, style));
    }
    for item in &impact.unreadable {
        out.push_str(&style.wrap(
            &format!("  ? {}: ", item.case),
            &format!("the {} rules cannot read it: {}", item.side, item.reason),
        ));
    }
    out
}

fn one_move(item: &Move, style: Style) -> String {
    let (ink, mark) = match item.danger {
        Danger::LessUrgent | Danger::FlagLost => (Ink::Red, '!'),
        Danger::FirstPlace => (Ink::Yellow, '~'),
        Danger::FlagGained | Danger::MoreUrgent => (Ink::Blue, '+'),
    };
    let mut parts = Vec::new();
    if item.old.urgency != item.new.urgency {
        parts.push(format!("urgency {} -> {}", item.old.urgency, item.new.urgency));
    }
    let flags = |what: &str, ids: Vec<&str>| (!ids.is_empty()).then(|| format!("{what} {}", ids.join(", ")));
    parts.extend(flags("no longer fires:", item.flags_lost()));
    parts.extend(flags("now fires:", item.flags_gained()));
    if item.old.first_places != item.new.first_places {
        parts.push(format!("first place {} -> {}", first_places(&item.old), first_places(&item.new)));
    }
    let from = if item.from.is_empty() { String::new() } else { format!(" ({})", item.from) };
    let head = style.paint(ink, &format!("{mark} {}{from}", item.case));
    let mut out = format!("  {head}\n{}", style.wrap("      ", &parts.join("; ")));
    out.push_str(&style.wrap("      ", &item.title));
    if item.old.urgency != item.new.urgency {
        for (when, seen) in [("was", &item.old), ("is", &item.new)] {
            // The first sentence names the reason; what follows explains it, and JSON keeps all of it.
            let because = seen.reason.split(". ").next().filter(|words| !words.is_empty());
            let because = because.unwrap_or("nothing asks for more");
            out.push_str(&style.wrap(&format!("      {when} {} ", answer::level(seen.urgency, Style::PLAIN)), because));
        }
    }
    for change in &item.through {
        out.push_str(&style.wrap("      through ", change));
    }
    out
}

/// `a`, or `old: a, new: b` where there are groups of spots.
fn first_places(seen: &Seen) -> String {
    let places: Vec<String> = seen
        .first_places
        .iter()
        .map(|(group, first)| if group.is_empty() { first.clone() } else { format!("{group}: {first}") })
        .collect();
    places.join(", ")
}

fn changes(changes: &[Change], style: Style) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let mut out = style.heading("Rules");
    for change in changes {
        let ink = match change.kind {
            ChangeKind::Added => Ink::Green,
            ChangeKind::Removed => Ink::Red,
            ChangeKind::Changed => Ink::Yellow,
        };
        let kind = style.paint(ink, &format!("{:<8}", change.kind.as_str()));
        let what = format!("{} {}", change.what, change.id);
        match change.words.as_slice() {
            [] => {
                let _ = writeln!(out, "  {kind} {what}");
            }
            [words] if words.len() + what.len() < 60 => {
                let _ = writeln!(out, "  {kind} {what}: {words}");
            }
            several => {
                let _ = writeln!(out, "  {kind} {what}");
                for words in several {
                    out.push_str(&style.wrap("           ", words));
                }
            }
        }
    }
    out
}

fn value(fates: &BTreeMap<String, Fate>) -> Value {
    let packs: Vec<Value> = fates
        .iter()
        .map(|(id, fate)| match fate {
            Fate::Added => json!({ "pack": id, "result": "added" }),
            Fate::Removed => json!({ "pack": id, "result": "removed" }),
            Fate::Kept(impact) => json!({
                "pack": id, "result": if impact.is_empty() { "same" } else { "changed" }, "cases": impact.cases,
                "changes": impact.changes.iter().map(change_value).collect::<Vec<_>>(),
                "moves": impact.moves.iter().map(move_value).collect::<Vec<_>>(),
                "unreadable": impact.unreadable.iter().map(|item| {
                    json!({ "case": item.case, "rules": item.side, "reason": item.reason })
                }).collect::<Vec<_>>(),
            }),
        })
        .collect();
    json!({ "packs": packs })
}

fn change_value(change: &Change) -> Value {
    json!({ "what": change.what, "id": change.id, "kind": change.kind.as_str(), "words": change.words })
}

fn move_value(item: &Move) -> Value {
    let seen = |seen: &Seen| {
        json!({
            "urgency": seen.urgency.as_str(), "reason": seen.reason, "first_places": seen.first_places,
            "red_flags": seen.fired,
        })
    };
    json!({
        "case": item.case, "title": item.title, "from": item.from, "danger": item.danger.as_str(),
        "old": seen(&item.old), "new": seen(&item.new), "flags_lost": item.flags_lost(),
        "flags_gained": item.flags_gained(), "through": item.through,
    })
}
