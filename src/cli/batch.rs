//! `rubor batch`: a file of requests, one a line, answered in order on all cores.
//!
//! Owns the arguments, what is said while it runs and what is said at its end. `files` opens, resumes and writes, `work`
//! shares the lines out. Every line is answered just as the service answers an item of a stream, but without an
//! evaluation id, so that the same lines on the same rules give the same bytes, whatever the number of threads.

mod files;
mod work;

use std::io::{IsTerminal as _, Write as _};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::{check, fail};
use crate::config::rule_source;
use crate::engine::urgency::Urgency;
use crate::render::{Style, complain, count};
use crate::store::keeper::Keeper;
use files::{Files, Sink};
use work::{Outcome, Workers};

/// Exit code for files that cannot be used.
const BAD_FILES: u8 = 2;
/// How many bad lines are told on the terminal; all are written aside.
const TOLD: u64 = 20;
/// How often the bar is drawn.
const REDRAW: Duration = Duration::from_millis(200);
/// How wide the bar is.
const BAR: usize = 24;

/// Arguments of `batch`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The requests, one in protobuf JSON on each line; `-` is standard input.
    #[arg(long = "in", value_name = "FILE", env = "RUBOR_IN")]
    input: PathBuf,
    /// The answers, one on each line, in the order of the requests; `-` is standard output.
    #[arg(long = "out", value_name = "FILE", env = "RUBOR_OUT")]
    output: PathBuf,
    /// Lines that are not answered, each with its number and why [default: the output's name and `.rejected`].
    #[arg(long, value_name = "FILE", env = "RUBOR_REJECTED")]
    rejected: Option<PathBuf>,
    /// One pack's folder, or a folder of packs. Default: `./rules` if it is there, else the pack inside the binary.
    #[arg(long, value_name = "DIR", env = "RUBOR_RULES")]
    rules: Option<PathBuf>,
    /// The pack of requests that name none, where there are several.
    #[arg(long, value_name = "PACK", env = "RUBOR_DEFAULT_PACK")]
    default_pack: Option<String>,
    /// Threads [default: one for each core].
    #[arg(long, value_name = "COUNT", env = "RUBOR_THREADS")]
    threads: Option<NonZeroUsize>,
    /// Goes on after the last whole line of an output that is there already.
    #[arg(long, env = "RUBOR_RESUME", conflicts_with = "overwrite")]
    resume: bool,
    /// Writes over an output that is there already.
    #[arg(long, env = "RUBOR_OVERWRITE")]
    overwrite: bool,
}

/// Answers every line; 0, or 1 when the rules are refused, or 2 when the files cannot be used. Bad lines are told, written
/// aside, and no failure.
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
    match answer_all(args, &keeper) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            fail(&message);
            ExitCode::from(BAD_FILES)
        }
    }
}

fn answer_all(args: &Args, keeper: &Keeper) -> Result<(), String> {
    let digests: Vec<String> = keeper.current().packs.values().map(|pack| pack.digest.clone()).collect();
    let files = Files::open(args, &digests)?;
    let threads = args.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let workers = Workers { keeper, default_pack: args.default_pack.as_deref(), threads };
    let Files { input, size, done, mut sink } = files;
    let mut tally = Tally::new(size, done);
    workers.run(input, done, |index, outcome, read| {
        tally.see(index, &outcome, read);
        sink.write(index, outcome)
    })?;
    sink.finish()?;
    tally.clear();
    complain(&tally.summary(&sink));
    Ok(())
}

/// What came of the lines so far.
struct Tally {
    started: Instant,
    drawn: Instant,
    is_shown: bool,
    size: Option<u64>,
    resumed: u64,
    read: u64,
    answered: u64,
    bad: u64,
    urgencies: [u64; 5],
}

impl Tally {
    fn new(size: Option<u64>, resumed: u64) -> Self {
        let now = Instant::now();
        let is_shown = std::io::stderr().is_terminal();
        Self { started: now, drawn: now, is_shown, size, resumed, read: 0, answered: 0, bad: 0, urgencies: [0; 5] }
    }

    fn see(&mut self, index: u64, outcome: &Outcome, read: u64) {
        self.read = read;
        match outcome {
            Outcome::Blank => {}
            Outcome::Answered { urgency, .. } => {
                self.answered += 1;
                self.urgencies[urgency.index()] += 1;
            }
            Outcome::Bad { why, .. } => {
                self.bad += 1;
                if self.bad <= TOLD {
                    self.clear();
                    complain(&format!("line {}: {why}\n", index + 1));
                }
                if self.bad == TOLD {
                    complain("further bad lines are not told here\n");
                }
            }
        }
        if self.is_shown && self.drawn.elapsed() > REDRAW {
            self.drawn = Instant::now();
            let mut terminal = std::io::stderr();
            // A terminal that is gone does not end the work.
            let _ = write!(terminal, "\r\x1b[K{}", self.line());
            let _ = terminal.flush();
        }
    }

    /// Takes the bar off the terminal.
    fn clear(&self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a bar is not exact")]
    fn line(&self) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-9);
        let rate = (self.answered + self.bad) as f64 / seconds;
        let tail = format!("{} answered, {} bad, {rate:.0}/s", self.answered, self.bad);
        let Some(size) = self.size.filter(|size| *size > 0) else { return tail };
        let share = (self.read as f64 / size as f64).min(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small number")]
        let full = (share * BAR as f64) as usize;
        let left = seconds / share.max(1e-9) - seconds;
        let bar = format!("{}{}", "#".repeat(full), ".".repeat(BAR - full));
        format!("[{bar}] {:.0} %, {tail}, about {left:.0} s left", share * 100.0)
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
    fn summary(&self, sink: &Sink) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        let number = |lines: u64| usize::try_from(lines).unwrap_or(usize::MAX);
        let mut out = String::new();
        if self.resumed > 0 {
            out.push_str(&format!("{} done before\n", count(number(self.resumed), "line was", "lines were")));
        }
        let rate = (self.answered + self.bad) as f64 / seconds.max(1e-9);
        out.push_str(&format!(
            "{} in {seconds:.1} s ({rate:.0} a second)\n",
            count(number(self.answered), "request answered", "requests answered")
        ));
        let levels: Vec<String> = Urgency::ALL
            .iter()
            .rev()
            .map(|urgency| (urgency, self.urgencies[urgency.index()]))
            .filter(|(_, lines)| *lines > 0)
            .map(|(urgency, lines)| format!("{urgency} {lines}"))
            .collect();
        if !levels.is_empty() {
            out.push_str(&format!("urgency: {}\n", levels.join(", ")));
        }
        if self.bad > 0 {
            let aside = sink.aside().map_or(String::new(), |path| format!(", written to `{}`", path.display()));
            out.push_str(&format!("{}{aside}\n", count(number(self.bad), "bad line", "bad lines")));
        }
        out
    }
}
