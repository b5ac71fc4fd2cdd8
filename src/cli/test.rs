//! `rubor test`: the worked cases through the real engine.
//!
//! Owns choosing and running cases. Unlike a load, it goes on where a case is broken, so that it can say why; what it
//! prints is `test_report`'s.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::sources::{Loaded, Sources};
use super::{check, coverage_report, fail, junit, mutate_report, test_report};
use crate::accuracy::{self, Accuracy};
use crate::config::rule_source;
use crate::engine;
use crate::engine::case::{self, Case, CaseResult};
use crate::engine::coverage::Coverage;
use crate::engine::diagnostic::{Diagnostic, Severity};
use crate::engine::plan::Plan;
use crate::engine::source::SourceFile;
use crate::figures::{self, Figures};
use crate::interview;
use crate::mutation;
use crate::render::{Style, complain, diagnostic, print};
use crate::store::read::{self, Content, PackFiles};
use crate::store::{self, Refusal, RuleSource};

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One pack's folder, or a folder of packs. Default: `./rules` if it is there, else the pack inside the binary.
    #[arg(value_name = "DIR", env = "RUBOR_RULES")]
    dir: Option<PathBuf>,
    /// Run the cases of this file or folder instead of the pack's own.
    #[arg(long, value_name = "PATH", env = "RUBOR_CASES")]
    cases: Option<PathBuf>,
    /// Run only cases with this text in their id or in a condition that they name, or that show this article row.
    #[arg(long, value_name = "TEXT", env = "RUBOR_FILTER")]
    filter: Option<String>,
    /// List for each rule and red flag in how many cases it stood how.
    #[arg(long, env = "RUBOR_COVERAGE")]
    coverage: bool,
    /// Print the long tables too: urgencies expected and advised, shares against outcomes, what each condition wins.
    #[arg(long, env = "RUBOR_TABLES")]
    tables: bool,
    /// Fail when fewer per cent of rules (that count in a case) and red flags (that fire in one) are covered.
    #[arg(long, value_name = "PERCENT", env = "RUBOR_MIN_COVERAGE", value_parser = percent, conflicts_with = "filter")]
    min_coverage: Option<f64>,
    /// Drop each red flag and each rule and flip each weight in turn, and list what no case notices, instead.
    #[arg(long, env = "RUBOR_MUTATE", conflicts_with_all = ["coverage", "tables", "min_coverage", "interview"])]
    mutate: bool,
    /// With `--mutate`: fail when a dropped red flag, or more than the rest of the flipped weights, goes unnoticed.
    #[arg(long, value_name = "PERCENT", env = "RUBOR_MIN_NOTICED", value_parser = percent, requires = "mutate")]
    min_noticed: Option<f64>,
    /// Play this case as an interview, question by question, and print it instead.
    #[arg(long, value_name = "CASE_ID", env = "RUBOR_INTERVIEW")]
    interview: Option<String>,
    /// Play every case that says what is true as an interview, and print how they went instead.
    #[arg(long, env = "RUBOR_INTERVIEWS", conflicts_with_all = ["mutate", "coverage", "tables", "min_coverage", "interview", "format"])]
    interviews: bool,
    /// How to print.
    #[arg(long, env = "RUBOR_FORMAT", value_enum, default_value_t = TestFormat::Text)]
    format: TestFormat,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum TestFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For build servers.
    Junit,
}

/// One pack with its cases run.
pub struct PackRun {
    /// Its folder below the rules folder.
    pub folder: String,
    /// Digest of the pack as it is on disk.
    pub digest: String,
    /// The compiled rules.
    pub plan: Plan,
    /// The cases and what each got.
    pub cases: Vec<(Case, CaseResult)>,
    /// What all of them show.
    pub figures: Figures,
    /// Which rules and red flags they exercise.
    pub coverage: Coverage,
}

impl PackRun {
    /// How right and safe the answers are over the cases of a set.
    pub fn measure(&self, is_in: impl Fn(&Case) -> bool) -> Accuracy {
        let cases = self.cases.iter().filter(|(case, _)| is_in(case));
        accuracy::measure(&self.plan, cases.map(|(case, result)| (case, &result.answer)))
    }

    /// The cases that do not hold.
    pub fn broken(&self) -> impl Iterator<Item = &(Case, CaseResult)> {
        self.cases.iter().filter(|(_, result)| !result.failures.is_empty())
    }
}

/// Runs; 0 when every case holds, else 1.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let source = rule_source(args.dir.as_deref());
    let mut content = store::read(&source);
    if !content.problems.is_empty() {
        let refused = Refusal { digest: content.digest, diagnostics: content.problems };
        complain(&check::refusal(&source, &refused, Style::PLAIN));
        return ExitCode::FAILURE;
    }
    if let Some(path) = &args.cases
        && let Err(message) = replace_cases(&mut content, path)
    {
        fail(&message);
        return ExitCode::FAILURE;
    }
    let files = Loaded { sources: Sources::new(&source), content: &content, cases: args.cases.clone() };
    let runs = match run_all(&content, args.filter.as_deref()) {
        Ok(runs) => runs,
        Err(diagnostics) => {
            refuse(&source, &diagnostics, &files);
            return ExitCode::FAILURE;
        }
    };
    if let Some(text) = &args.filter
        && runs.iter().all(|run| run.cases.is_empty())
    {
        fail(&format!("no case fits `{text}`; `rubor test --format json` lists them all"));
        return ExitCode::FAILURE;
    }
    if let Some(id) = &args.interview {
        return interview(&runs, id);
    }
    if args.interviews {
        return interviews(&runs);
    }
    report(args, &runs, &files)
}

/// Plays the cases that say what is true; fails when one ends less urgent although everything told is dangerous.
fn interviews(runs: &[PackRun]) -> ExitCode {
    let mut safe = true;
    for run in runs {
        let cases = run.cases.iter().map(|(case, _)| case).filter(|case| case.truth.is_some());
        match interview::play_all(&run.plan, cases) {
            Ok(table) => {
                safe &= table.lower_though_dangerous.is_empty();
                print(&test_report::interviews(&run.plan.header.id, &table, Style::for_stdout()));
            }
            // A case that was read by its plan fits it.
            Err(violations) => {
                violations.iter().for_each(|violation| fail(&format!("{}: {}", violation.field, violation.reason)));
                safe = false;
            }
        }
    }
    ExitCode::from(u8::from(!safe))
}

/// Prints what was asked for; 0 when every case holds and enough is covered.
fn report(args: &Args, runs: &[PackRun], files: &Loaded<'_>) -> ExitCode {
    let style = Style::for_stdout();
    let mut bare = false;
    if args.mutate {
        if args.format == TestFormat::Junit {
            fail("`--mutate` prints text or JSON");
            return ExitCode::FAILURE;
        }
        bare |= !mutate(args, runs, style);
    } else {
        print(&match args.format {
            TestFormat::Text => test_report::text(runs, files, args.coverage, args.tables, style),
            TestFormat::Json => format!("{:#}\n", test_report::value(runs, files, args.coverage)),
            TestFormat::Junit => junit::text(runs),
        });
    }
    let least = args.min_coverage.unwrap_or(0.0);
    for run in runs.iter().filter(|run| run.coverage.percent() < least) {
        let (id, percent) = (&run.plan.header.id, coverage_report::percent(&run.coverage));
        fail(&format!("the cases of `{id}` cover {percent}, and {least} % are asked for"));
        bare = true;
    }
    let broken = runs.iter().any(|run| run.broken().next().is_some());
    ExitCode::from(u8::from(broken || bare))
}

/// Tries every change of every pack, and says whether enough is noticed.
fn mutate(args: &Args, runs: &[PackRun], style: Style) -> bool {
    let tried: Vec<(&PackRun, mutation::Report)> = runs
        .iter()
        .map(|run| {
            let cases: Vec<&Case> = run.cases.iter().map(|(case, _)| case).collect();
            (run, mutation::run(&run.plan, &cases))
        })
        .collect();
    print(&match args.format {
        TestFormat::Json => format!("{:#}\n", mutate_report::value(&tried)),
        _ => mutate_report::text(&tried, style),
    });
    let Some(least) = args.min_noticed else { return true };
    let mut enough = true;
    for (run, report) in &tried {
        let (id, percent) = (&run.plan.header.id, report.flipped_weights.share() * 100.0);
        let flags = report.dropped_flags.survivors().len();
        if flags > 0 || percent < least {
            fail(&format!(
                "the cases of `{id}` miss {flags} dropped red flags, and notice {percent:.1} % of the flipped weights; \
                 0, and {least} %, are asked for"
            ));
            enough = false;
        }
    }
    enough
}

fn percent(text: &str) -> Result<f64, String> {
    let number: f64 = text.trim().parse().map_err(|_| "write a number from 0 to 100".to_owned())?;
    if (0.0..=100.0).contains(&number) { Ok(number) } else { Err("write a number from 0 to 100".to_owned()) }
}

/// Compiles every pack and runs its cases, or gives every diagnostic.
fn run_all(content: &Content, filter: Option<&str>) -> Result<Vec<PackRun>, Vec<Diagnostic>> {
    let mut runs = Vec::new();
    let mut diagnostics = Vec::new();
    for pack in &content.packs {
        match engine::compile_pack(&pack.files) {
            Ok(mut compiled) => {
                compiled.cases.retain(|case| filter.is_none_or(|text| fits(case, text)));
                runs.push(run_pack(pack, compiled.plan, compiled.cases));
            }
            Err(found) => diagnostics.extend(found.into_iter().map(|one| store::in_folder(one, &pack.folder))),
        }
    }
    diagnostics.sort();
    if diagnostics.iter().any(|found| found.severity == Severity::Error) { Err(diagnostics) } else { Ok(runs) }
}

/// Whether a case is asked for: by its id, an article row that it shows, or a condition that it names.
fn fits(case: &Case, text: &str) -> bool {
    let truth = case.truth.iter().flat_map(|truth| std::iter::once(&truth.condition).chain(&truth.also_right));
    let mut conditions = case.expect.top.iter().chain(&case.expect.top3).chain(truth);
    case.id.contains(text)
        || case.article_rows.iter().any(|row| row.eq_ignore_ascii_case(text))
        || conditions.any(|condition| condition.contains(text))
}

fn run_pack(pack: &PackFiles, plan: Plan, cases: Vec<Case>) -> PackRun {
    let cases: Vec<(Case, CaseResult)> =
        cases.into_iter().map(|case| (case::run(&plan, &case), case)).map(|(result, case)| (case, result)).collect();
    let figures = figures::count(&plan, cases.iter().map(|(case, result)| (case, &result.answer)));
    let coverage = Coverage::count(&plan, cases.iter().map(|(_, result)| &result.evaluation));
    PackRun { folder: pack.folder.clone(), digest: pack.digest.clone(), plan, cases, figures, coverage }
}

/// Puts the cases of `path` in the place of the only pack's own.
pub fn replace_cases(content: &mut Content, path: &Path) -> Result<(), String> {
    let [pack] = content.packs.as_mut_slice() else {
        return Err("`--cases` needs one pack: name its folder".to_owned());
    };
    let cases = if path.is_dir() {
        let found = read::folder(path);
        if let Some(problem) = found.problems.first() {
            return Err(format!("`{}`: {}", path.display(), problem.message));
        }
        found
            .packs
            .into_iter()
            .flat_map(|folder| {
                let name = folder.folder;
                folder.files.into_iter().map(move |file| (read::join(&name, &file.path), file.text)).collect::<Vec<_>>()
            })
            .collect()
    } else {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
        vec![(name, text)]
    };
    pack.files.retain(|file| !file.path.starts_with("cases/"));
    pack.files.extend(cases.into_iter().map(|(name, text)| SourceFile { path: format!("cases/{name}"), text }));
    Ok(())
}

fn refuse(source: &RuleSource, diagnostics: &[Diagnostic], files: &Loaded<'_>) {
    for found in diagnostics {
        complain(&diagnostic::text(found, files, Style::PLAIN));
    }
    complain(&format!("refused: {} in {source}; no case was run\n", diagnostic::tally(diagnostics)));
}

fn interview(runs: &[PackRun], id: &str) -> ExitCode {
    let found =
        runs.iter().find_map(|run| Some((run, run.cases.iter().map(|(case, _)| case).find(|case| case.id == id)?)));
    let Some((run, case)) = found else {
        fail(&format!("there is no case `{id}`; `rubor test --format json` lists them all"));
        return ExitCode::FAILURE;
    };
    match interview::play(&run.plan, case) {
        Ok(played) => {
            print(&test_report::interview(case, &played, Style::for_stdout()));
            ExitCode::SUCCESS
        }
        Err(violations) => {
            for violation in violations {
                fail(&format!("{}: {}", violation.field, violation.reason));
            }
            ExitCode::FAILURE
        }
    }
}
