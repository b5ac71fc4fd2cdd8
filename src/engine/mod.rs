//! THE CORE: text to rules, observations to answers.
//!
//! ```text
//! text --parse--> Doc --check--> Checked --compile--> Plan --+
//!      (as written)  (all the diagnostics)  (total)          +--evaluate--> Evaluation --explain--> Answer
//!                              submission --read--> Findings-+     (total)                  (total)
//! ```
//!
//! Owns everything clinical: the rule language, the vocabulary, truth, scores, red flags, urgency, questions, words and
//! worked cases, and `lint`, which remarks on what was hardly meant. It has no files, clock, sockets, tasks, protobuf or log. Failure exists in two places: reading rules
//! and reading a submission.

pub mod answer;
pub mod case;
mod check;
mod compile;
pub mod coverage;
pub mod diagnostic;
mod doc;
pub mod evaluate;
mod explain;
mod finding;
mod lint;
pub mod listing;
pub mod mutate;
pub mod odds;
pub mod outline;
mod parse;
pub mod plan;
mod question;
pub mod source;
pub mod submission;
pub mod suggest;
pub mod truth;
pub mod unit;
pub mod urgency;
pub mod vocabulary;
pub mod weight;

pub use evaluate::{Evaluation, evaluate};
pub use explain::{AnswerOptions, explain, explain_listing, question_words, why_asked};
pub use finding::Findings;
pub use lint::shared_codings;
#[cfg(fuzzing)]
pub use parse::yardstick::hold as hold_the_reading;
pub use question::{Asked, Why};

use answer::Answer;
use case::{Case, Shown};
use diagnostic::{Code, Diagnostic, Severity};
use lint::Declared;
use listing::Listing;
use plan::Plan;
use source::SourceFile;
use submission::{Submission, Violation};

/// Most diagnostics of one pack.
const MOST_DIAGNOSTICS: usize = 1_000;

/// A pack that can serve, with its cases not yet run.
#[derive(Debug, Clone)]
pub struct CompiledPack {
    /// What requests are evaluated against.
    pub plan: Plan,
    /// Worked cases, sorted by id.
    pub cases: Vec<Case>,
    /// What somebody should look at, apart from what the cases show.
    pub warnings: Vec<Diagnostic>,
    declared: Declared,
}

impl CompiledPack {
    /// Warnings about what no case showed.
    #[must_use]
    pub fn unshown(&self, shown: &Shown) -> Vec<Diagnostic> {
        lint::unshown(&self.declared, shown)
    }
}

/// One file as read, for whoever compiles many versions of a pack: the files that stay the same are read once.
#[derive(Debug, Clone)]
pub struct ReadFile(parse::FileDoc);

impl ReadFile {
    /// Reads a file. What is wrong with it is told when the pack is compiled.
    #[must_use]
    pub fn read(file: &SourceFile) -> Self {
        let mut read = parse::parse(file);
        // Remarks on words need nothing but the file.
        lint::words(&read.doc, file.without_mark(), &mut read.found);
        Self(read)
    }
}

/// Reads all files of one pack, rule files and those under `cases/`, in any order.
///
/// # Errors
/// Everything that is wrong, sorted by place.
pub fn compile_pack(files: &[SourceFile]) -> Result<CompiledPack, Vec<Diagnostic>> {
    compile_read(files.iter().map(ReadFile::read))
}

/// The same for files that were read before.
///
/// # Errors
/// Everything that is wrong, sorted by place.
pub fn compile_read(files: impl IntoIterator<Item = ReadFile>) -> Result<CompiledPack, Vec<Diagnostic>> {
    compile_joined(files).map_err(at_most)
}

/// A rule set that is wrong all over is told so in a bounded number of diagnostics, errors before warnings.
fn at_most(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    if found.len() > MOST_DIAGNOSTICS {
        let all = found.len();
        found.sort_by_key(|problem| problem.severity);
        found.truncate(MOST_DIAGNOSTICS);
        let message = format!("{} more mistakes are not listed", all - MOST_DIAGNOSTICS);
        found.push(Diagnostic::error(Code::Limit, None, message).help("correct the first ones, then look again"));
        found.sort();
    }
    found
}

fn compile_joined(files: impl IntoIterator<Item = ReadFile>) -> Result<CompiledPack, Vec<Diagnostic>> {
    let (doc, found) = parse::join(files.into_iter().map(|file| file.0));
    let (checked, mut found) = check::check(&doc, found)?;
    let plan = compile::compile(&checked);
    lint::meaning(&checked, &plan, &mut found);
    let cases = case::read_cases(&doc, &plan, &mut found);
    found.sort();
    found.dedup();
    if found.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(found);
    }
    Ok(CompiledPack { plan, cases, warnings: found, declared: Declared::of(&checked) })
}

/// Answers one submission: reads the findings, evaluates, explains.
///
/// # Errors
/// All violations of the submission; nothing else can fail.
pub fn answer(plan: &Plan, submission: &Submission, options: &AnswerOptions) -> Result<Answer, Vec<Violation>> {
    answer_with(&mut Evaluation::default(), plan, submission, options)
}

/// The same with an evaluation that is used again, whatever plan and patient it was used for before: a worker keeps one.
///
/// # Errors
/// All violations of the submission; nothing else can fail.
pub fn answer_with(
    evaluation: &mut Evaluation,
    plan: &Plan,
    submission: &Submission,
    options: &AnswerOptions,
) -> Result<Answer, Vec<Violation>> {
    let findings = Findings::read(plan, submission)?;
    evaluation.run(plan, &findings);
    Ok(explain(plan, &findings, evaluation, options))
}

/// The same with the red flags, the differentials and the questions in dense ids, and with the names of the groups that they speak of.
///
/// # Errors
/// All violations of the submission; nothing else can fail.
pub fn answer_listing(
    evaluation: &mut Evaluation,
    plan: &Plan,
    submission: &Submission,
    options: &AnswerOptions,
) -> Result<(Answer, Listing, Vec<String>), Vec<Violation>> {
    let findings = Findings::read(plan, submission)?;
    evaluation.run(plan, &findings);
    let (answer, listing) = explain_listing(plan, &findings, evaluation, options);
    Ok((answer, listing, findings.groups.into_iter().map(|group| group.name).collect()))
}
