//! THE CORE: text to rules, observations to answers.
//!
//! ```text
//! text --parse--> Doc --check--> Checked --compile--> Plan --+
//!      (as written)  (all the diagnostics)  (total)          +--evaluate--> Evaluation --explain--> Answer
//!                              submission --read--> Findings-+     (total)                  (total)
//! ```
//!
//! Owns everything clinical: the rule language, the vocabulary, truth, scores, red flags, urgency, questions, words and
//! worked cases. It has no files, clock, sockets, tasks, protobuf or log. Failure exists in two places: reading rules
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
pub use explain::{AnswerOptions, explain};
pub use finding::Findings;

use answer::Answer;
use case::Case;
use diagnostic::{Diagnostic, Severity};
use plan::Plan;
use source::SourceFile;
use submission::{Submission, Violation};

/// A pack that can serve, with its cases not yet run.
#[derive(Debug, Clone)]
pub struct CompiledPack {
    /// What requests are evaluated against.
    pub plan: Plan,
    /// Worked cases, sorted by id.
    pub cases: Vec<Case>,
    /// What somebody should look at.
    pub warnings: Vec<Diagnostic>,
}

/// Reads all files of one pack, rule files and those under `cases/`, in any order.
///
/// # Errors
/// Everything that is wrong, sorted by place.
pub fn compile_pack(files: &[SourceFile]) -> Result<CompiledPack, Vec<Diagnostic>> {
    let (doc, found) = parse::parse(files);
    let (plan, mut found) = match check::check(&doc, found) {
        Ok((checked, found)) => (compile::compile(&checked), found),
        Err(found) => return Err(found),
    };
    let cases = case::read_cases(&doc, &plan, &mut found);
    found.sort();
    if found.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(found);
    }
    Ok(CompiledPack { plan, cases, warnings: found })
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
