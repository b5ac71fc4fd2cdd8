//! Evaluations with a line in the journal.
//!
//! Owns when a line is written: after every evaluation that was asked for, answered or not.

use std::sync::Arc;

use tokio::time::Instant;
use tonic::Code;

use super::origin::Origin;
use super::proto;
use super::service::Services;
use super::status::Problem;
use super::wire::EncodedAnswer;
use crate::observe::journal::Entry;

impl Services {
    /// Answers one request, and keeps of it what the operator wants to be kept.
    pub(super) async fn recorded(
        &self,
        method: &'static str,
        origin: &Arc<Origin>,
        request: proto::EvaluateRequest,
    ) -> Result<EncodedAnswer, Problem> {
        let Some(journal) = self.journal() else { return self.answer(request).await };
        let started = Instant::now();
        let is_whole = journal.wants_requests();
        let kept = is_whole.then(|| request.clone());
        let answered = self.answer(request).await;
        let response = answered
            .as_ref()
            .ok()
            .and_then(|answer| if is_whole { answer.decode().ok() } else { Some(name(&answer.head)) });
        journal.keep(Entry {
            method,
            origin: Arc::clone(origin),
            took: started.elapsed(),
            code: answered.as_ref().err().map_or(Code::Ok, Problem::code),
            request: kept,
            response: response.map(Box::new),
        });
        answered
    }
}

/// What names an answer, and how it decided, without a copy of the rest.
fn name(response: &proto::EvaluateResponse) -> proto::EvaluateResponse {
    proto::EvaluateResponse {
        evaluation_id: response.evaluation_id.clone(),
        rule_set: response.rule_set.clone(),
        urgency: response.urgency,
        outcome: response.outcome,
        ..Default::default()
    }
}
