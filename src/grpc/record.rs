//! Evaluations with a line in the journal.
//!
//! Owns when a line is written: after every evaluation that was asked for, answered, refused or given up.

use std::sync::Arc;

use tokio::time::Instant;
use tonic::Code;

use super::guard::Deadline;
use super::origin::Origin;
use super::proto;
use super::service::Services;
use super::status::Problem;
use super::wire::EncodedAnswer;
use crate::observe::journal::{Entry, Journal};

impl Services {
    /// Answers one request, and keeps of it what the operator wants to be kept.
    pub(super) async fn recorded(
        &self,
        method: &'static str,
        origin: &Arc<Origin>,
        request: proto::EvaluateRequest,
        deadline: &Deadline,
    ) -> Result<EncodedAnswer, Problem> {
        let Some(journal) = self.journal() else { return self.answer(request).await };
        let is_whole = journal.wants_requests();
        let kept = is_whole.then(|| request.clone());
        let mut line = Line { journal, method, origin, started: Instant::now(), deadline, request: kept, ended: None };
        let answered = self.answer(request).await;
        let response = answered
            .as_ref()
            .ok()
            .and_then(|answer| if is_whole { answer.decode().ok() } else { Some(name(&answer.head)) });
        line.ended = Some((answered.as_ref().err().map_or(Code::Ok, Problem::code), response));
        answered
    }
}

/// The line of one evaluation, which is written when this goes: also when its caller, or the time for it, went before.
struct Line<'a> {
    journal: &'a Journal,
    method: &'static str,
    origin: &'a Arc<Origin>,
    started: Instant,
    deadline: &'a Deadline,
    request: Option<proto::EvaluateRequest>,
    ended: Option<(Code, Option<proto::EvaluateResponse>)>,
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let (code, response) = self.ended.take().unwrap_or_else(|| (self.deadline.given_up(), None));
        self.journal.keep(Entry {
            method: self.method,
            origin: Arc::clone(self.origin),
            took: self.started.elapsed(),
            code,
            request: self.request.take(),
            response: response.map(Box::new),
        });
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
