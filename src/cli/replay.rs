//! `rubor replay`: kept requests answered again, on the rules of their digest or on others.
//!
//! Owns reading the log and telling what changed. On the rules that answered the first time every byte but the
//! `evaluation_id` must come again; on other rules what is compared is what somebody would act on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::Value;

use super::{check, fail};
use crate::config::rule_source;
use crate::grpc::proto::{EvaluateRequest, EvaluateResponse, RedFlagState};
use crate::grpc::status::Problem;
use crate::grpc::{json as protobuf_json, limits, resolve, service};
use crate::observe::metrics::{code_name, outcome_name, urgency_name};
use crate::render::{Style, complain, count, print};
use crate::store::LoadedPack;
use crate::store::keeper::Keeper;

/// Exit code for a log that cannot be read.
const UNREADABLE: u8 = 2;
/// Longest line that is read; a request and its answer are far below.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A log that `rubor serve --replay-log` wrote.
    #[arg(value_name = "LOG", env = "RUBOR_REPLAY_LOG")]
    log: PathBuf,
    /// One pack's folder, or a folder of packs. Default: `./rules` if it is there, else the pack inside the binary.
    #[arg(long, value_name = "DIR", env = "RUBOR_RULES")]
    rules: Option<PathBuf>,
    /// The pack of requests that name none, where there are several.
    #[arg(long, value_name = "PACK", env = "RUBOR_DEFAULT_PACK")]
    default_pack: Option<String>,
}

/// Replays; 0 when every answer is the same, 1 when one changed or the rules are refused, 2 when the log is unreadable.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let source = rule_source(args.rules.as_deref());
    let keeper = match Keeper::open(source.clone()) {
        Ok(keeper) => keeper,
        Err(refused) => {
            complain(&check::refusal(&source, &refused, Style::PLAIN));
            return ExitCode::FAILURE;
        }
    };
    match replay(args, &keeper) {
        Ok(tally) => {
            print(&tally.text());
            if tally.changed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(message) => {
            fail(&message);
            ExitCode::from(UNREADABLE)
        }
    }
}

#[derive(Default)]
struct Tally {
    same_rules: usize,
    other_rules: usize,
    changed: usize,
    broken_off: bool,
    by_kind: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn text(&self) -> String {
        let requests = count(self.same_rules + self.other_rules, "kept request", "kept requests");
        let mut text =
            format!("{requests}: {} on the rules that answered, {} on others; ", self.same_rules, self.other_rules);
        let _ = writeln!(text, "{} changed", self.changed);
        for (kind, number) in &self.by_kind {
            let _ = writeln!(text, "  {number} with another {kind}");
        }
        if self.broken_off {
            text.push_str("the last line is broken off and was left out\n");
        }
        text
    }
}

fn replay(args: &Args, keeper: &Keeper) -> Result<Tally, String> {
    let shown = args.log.display();
    let file = std::fs::File::open(&args.log).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    let mut lines = BufReader::new(file);
    let mut tally = Tally::default();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = std::io::Read::take(&mut lines, MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
        let is_whole = match read.map_err(|error| format!("`{shown}` cannot be read: {error}"))? {
            0 => break,
            _ => line.last() == Some(&b'\n'),
        };
        // What stands after a full disk may begin with an empty line, and a killed process may leave half a one.
        match Kept::read(&line) {
            _ if line.trim_ascii().is_empty() => {}
            Ok(kept) => tally.hold(args, keeper, number, &kept),
            Err(_) if !is_whole && line.len() <= MAX_LINE => tally.broken_off = true,
            // What is wrong is not quoted: it is a patient record.
            Err(what) => return Err(format!("`{shown}` line {number}: {what}; is it a log of `--replay-log`?")),
        }
    }
    Ok(tally)
}

/// A line of the log.
struct Kept {
    request: EvaluateRequest,
    /// As it stands there.
    response: Option<Value>,
    status: String,
}

impl Kept {
    fn read(line: &[u8]) -> Result<Self, &'static str> {
        let mut line: Value = serde_json::from_slice(line).map_err(|_| "no JSON")?;
        let request = line.get_mut("request").map(Value::take).ok_or("no request")?;
        let request = protobuf_json::decode(request).map_err(|_: serde_json::Error| "no readable request")?;
        let response = line.get_mut("response").map(Value::take).filter(|response| !response.is_null());
        let status = line.get("status").and_then(Value::as_str).ok_or("no status")?.to_owned();
        Ok(Self { request, response, status })
    }

    fn digest(&self) -> Option<&str> {
        self.response.as_ref()?.pointer("/ruleSet/digest")?.as_str()
    }
}

impl Tally {
    fn hold(&mut self, args: &Args, keeper: &Keeper, line: usize, kept: &Kept) {
        let answered = answer(args, keeper, &kept.request);
        let is_same_rules = match (&answered, kept.digest()) {
            (Ok((pack, _)), Some(digest)) => pack.digest == digest,
            _ => false,
        };
        let changes = match (&answered, &kept.response) {
            (Ok((_, new)), Some(old)) if is_same_rules => whole(old, new),
            (Ok((_, new)), Some(old)) => what_matters(old, new),
            (Ok(_), None) => vec![("status", kept.status.clone(), "OK".to_owned())],
            (Err(problem), _) if code_name(problem.code()) == kept.status => Vec::new(),
            (Err(problem), _) => vec![("status", kept.status.clone(), code_name(problem.code()).to_owned())],
        };
        *(if is_same_rules { &mut self.same_rules } else { &mut self.other_rules }) += 1;
        if changes.is_empty() {
            return;
        }
        self.changed += 1;
        let id = kept.response.as_ref().and_then(|old| old["evaluationId"].as_str()).unwrap_or("not answered");
        let mut text = format!("line {line} ({id}):\n");
        for (kind, old, new) in changes {
            *self.by_kind.entry(kind).or_default() += 1;
            let _ = writeln!(text, "  {kind}: {old} -> {new}");
        }
        print(&text);
    }
}

fn answer(
    args: &Args,
    keeper: &Keeper,
    request: &EvaluateRequest,
) -> Result<(Arc<LoadedPack>, EvaluateResponse), Problem> {
    limits::check(request)?;
    // A pin is heeded by the choice of the rules, which is the operator's here.
    let pack = resolve::rules(keeper, args.default_pack.as_deref(), &request.pack, "")?;
    let response = service::evaluate(&pack, request.clone())?;
    Ok((pack, response))
}

type Change = (&'static str, String, String);

/// The first parts of the answer that are not what they were; all of it is compared.
fn whole(old: &Value, new: &EvaluateResponse) -> Vec<Change> {
    let mut old = old.clone();
    // Both go through the same text, so that they differ only where they do.
    let mut new: Value = serde_json::from_str(&protobuf_json::encode(new).to_string()).unwrap_or_default();
    for answer in [&mut old, &mut new] {
        if let Some(answer) = answer.as_object_mut() {
            answer.remove("evaluationId");
        }
    }
    if old == new {
        return Vec::new();
    }
    let keys: BTreeSet<&String> =
        [&old, &new].into_iter().filter_map(Value::as_object).flat_map(|map| map.keys()).collect();
    let differing = keys.into_iter().filter(|key| old.get(*key) != new.get(*key)).map(String::as_str);
    vec![(
        "answer on the same rules",
        "kept".to_owned(),
        format!("differs in {}", differing.collect::<Vec<_>>().join(", ")),
    )]
}

/// What somebody would act on.
fn what_matters(old: &Value, new: &EvaluateResponse) -> Vec<Change> {
    let Ok(old) = protobuf_json::decode::<EvaluateResponse, _>(old.clone()) else {
        return vec![("answer", "not readable".to_owned(), "answered".to_owned())];
    };
    let flags = |answer: &EvaluateResponse| {
        let fired = answer.red_flags.iter().filter(|flag| flag.state() == RedFlagState::Fired);
        let ids: BTreeSet<&str> = fired.map(|flag| flag.id.as_str()).collect();
        ids.into_iter().collect::<Vec<_>>().join(", ")
    };
    let first = |answer: &EvaluateResponse| {
        let places = answer.groups.iter().map(|group| group.first_place.as_str());
        places.collect::<Vec<_>>().join(", ")
    };
    let named = |kind, of: &dyn Fn(&EvaluateResponse) -> String| (kind, of(&old), of(new));
    let parts = [
        named("urgency", &|answer| urgency_name(answer.urgency()).to_owned()),
        named("urgency status", &|answer| answer.urgency_status().as_str_name().to_owned()),
        named("outcome", &|answer| outcome_name(answer.outcome()).to_owned()),
        named("first place", &first),
        named("set of fired red flags", &flags),
    ];
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    parts
        .into_iter()
        .filter(|(_, old, new)| old != new)
        .map(|(kind, old, new)| (kind, or_none(old), or_none(new)))
        .collect()
}
