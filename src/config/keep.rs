//! Settings of what is kept of evaluations.
//!
//! Owns the flags. What a line holds is `observe::journal`'s.

use std::path::PathBuf;

use clap::Args;

use crate::observe::journal::Wanted;

/// Settings of what is kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What is kept")]
pub struct KeepArgs {
    /// Keep one line of JSON an evaluation (who, when, which rules, how long, how it ended) in FILE, or on `stdout`
    #[arg(long, env = "RUBOR_DECISION_LOG", value_name = "FILE|stdout")]
    pub decision_log: Option<PathBuf>,

    /// Keep the urgency and the outcome in the decision log too: they are about the patient
    #[arg(long, env = "RUBOR_DECISION_LOG_OUTCOMES")]
    pub decision_log_outcomes: bool,

    /// Keep WHOLE REQUESTS AND ANSWERS in FILE, for `rubor replay`: a patient record, to be guarded as one
    #[arg(long, env = "RUBOR_REPLAY_LOG", value_name = "FILE")]
    pub replay_log: Option<PathBuf>,
}

impl KeepArgs {
    /// The same for the journal.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        let Self { decision_log, decision_log_outcomes, replay_log } = self.clone();
        Wanted { decisions: decision_log, outcomes: decision_log_outcomes, requests: replay_log }
    }
}
