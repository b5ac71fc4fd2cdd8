//! `rubor test`: the worked cases through the real engine.
//!
//! Owns choosing and running cases. Unlike a load, it goes on where a case is broken, so that it can say why; what it
//! prints is `test_report`'s.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::sources::{Loaded, Sources};
use super::{check, fail, junit, test_report};
use crate::config::rule_source;
use crate::engine;
use crate::engine::case::{self, Case, CaseResult};
use crate::engine::diagnostic::{Diagnostic, Severity};
use crate::engine::plan::Plan;
use crate::engine::source::SourceFile;
use crate::figures::{self, Figures};
use crate::interview;
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
    /// Play this case as an interview, question by question, and print it instead.
    #[arg(long, value_name = "CASE_ID", env = "RUBOR_INTERVIEW")]
    interview: Option<String>,
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
}

impl PackRun {
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
    let runs = match run_all(&content) {
        Ok(runs) => runs,
        Err(diagnostics) => {
            refuse(&source, &diagnostics, &files);
            return ExitCode::FAILURE;
        }
    };
    if let Some(id) = &args.interview {
        return interview(&runs, id);
    }
    let style = Style::for_stdout();
    print(&match args.format {
        TestFormat::Text => test_report::text(&runs, &files, style),
        TestFormat::Json => format!("{:#}\n", test_report::value(&runs, &files)),
        TestFormat::Junit => junit::text(&runs),
    });
    ExitCode::from(u8::from(runs.iter().any(|run| run.broken().next().is_some())))
}

/// Compiles every pack and runs its cases, or gives every diagnostic.
fn run_all(content: &Content) -> Result<Vec<PackRun>, Vec<Diagnostic>> {
    let mut runs = Vec::new();
    let mut diagnostics = Vec::new();
    for pack in &content.packs {
        match engine::compile_pack(&pack.files) {
            Ok(compiled) => runs.push(run_pack(pack, compiled.plan, compiled.cases)),
            Err(found) => diagnostics.extend(found.into_iter().map(|one| store::in_folder(one, &pack.folder))),
        }
    }
    diagnostics.sort();
    if diagnostics.iter().any(|found| found.severity == Severity::Error) { Err(diagnostics) } else { Ok(runs) }
}

fn run_pack(pack: &PackFiles, plan: Plan, cases: Vec<Case>) -> PackRun {
    let cases: Vec<(Case, CaseResult)> =
        cases.into_iter().map(|case| (case::run(&plan, &case), case)).map(|(result, case)| (case, result)).collect();
    let figures = figures::count(&plan, cases.iter().map(|(case, result)| (case, &result.answer)));
    PackRun { folder: pack.folder.clone(), digest: pack.digest.clone(), plan, cases, figures }
}

/// Puts the cases of `path` in the place of the only pack's own.
fn replace_cases(content: &mut Content, path: &Path) -> Result<(), String> {
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
