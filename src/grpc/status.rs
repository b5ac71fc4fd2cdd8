//! Why a request was not answered, as a status that says what to write instead.
//!
//! Owns codes, messages and details. Nothing here ever holds a value that the caller sent: reasons name fields, ranges
//! and what the rules know.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use super::proto;
use crate::access::Denial;
use crate::engine::submission::Violation;

/// Room for the readable summary, in bytes. With [`DETAIL_BYTES`] it keeps a whole status below the 8 KiB of headers
/// that common clients accept: the message travels twice, once percent-encoded, and details travel as base64.
const SUMMARY_BYTES: usize = 800;
/// Room for the details of a status, in bytes.
const DETAIL_BYTES: usize = 3600;
/// How long, at the least, a caller is asked to wait who was refused because the server is full, in milliseconds.
const RETRY_LEAST: u64 = 250;
/// How much longer at the most. Those who were refused together must not come back together.
const RETRY_SPREAD: u64 = 500;
/// The same in the metadata that the retries of gRPC libraries heed.
const PUSHBACK: &str = "grpc-retry-pushback-ms";
/// How many names a message lists.
const LISTED_NAMES: usize = 10;

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Something in the request is wrong; all of it, at least one.
    Invalid(Vec<Violation>),
    /// Something in the request is over a limit; all of it, at least one.
    OverLimit(Vec<Violation>),
    /// No such pack.
    UnknownPack {
        /// The packs that are served.
        known: Vec<String>,
    },
    /// The pinned rules are not held.
    NotHeld {
        /// The digests that are.
        held: Vec<String>,
    },
    /// The message is larger than the server reads.
    TooLarge {
        /// The most it reads, in bytes.
        limit: usize,
    },
    /// The message is not readable protobuf.
    Unreadable,
    /// Too many requests are being answered.
    Busy,
    /// Every place for work of this kind is taken.
    Taken,
    /// The server is shutting down.
    Draining,
    /// The server has shut down before the call was done.
    CutOff,
    /// There are no rules to evaluate on.
    NoRules,
    /// The caller may not call this.
    Denied(Denial),
    /// The caller's deadline has passed.
    TooLate,
    /// The call took longer than the server allows.
    Overtime,
    /// The stream was open for as long as the server allows.
    StreamTooOld,
    /// The stream of requests was silent for too long.
    StreamIdle,
    /// The message took too long to arrive.
    TooSlow,
    /// A bug of ours.
    Bug,
}

impl Problem {
    /// The status code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Problem::Invalid(_) | Problem::Unreadable => Code::InvalidArgument,
            Problem::OverLimit(_) | Problem::TooLarge { .. } | Problem::Busy | Problem::Taken => {
                Code::ResourceExhausted
            }
            Problem::StreamTooOld | Problem::StreamIdle => Code::ResourceExhausted,
            Problem::Denied(Denial::Scope(_)) => Code::PermissionDenied,
            Problem::Denied(_) => Code::Unauthenticated,
            Problem::UnknownPack { .. } => Code::NotFound,
            Problem::NotHeld { .. } => Code::FailedPrecondition,
            Problem::Draining | Problem::CutOff | Problem::NoRules => Code::Unavailable,
            Problem::TooLate | Problem::Overtime | Problem::TooSlow => Code::DeadlineExceeded,
            Problem::Bug => Code::Internal,
        }
    }

    /// A summary for people.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Problem::Invalid(violations) | Problem::OverLimit(violations) => summary(violations),
            Problem::UnknownPack { known } => format!("no such pack; this server has {}", listed(known)),
            Problem::NotHeld { held } if held.is_empty() => {
                "the rules pinned by expected_digest are not held; none of this pack are".into()
            }
            Problem::NotHeld { held } => {
                format!("the rules pinned by expected_digest are not held; held, newest first: {}", listed(held))
            }
            Problem::TooLarge { limit } => format!("the message is over the limit of {limit} bytes"),
            Problem::Unreadable => "the request is not a readable protobuf message of this method".into(),
            Problem::Busy => "too many requests are in flight; retry after a short pause, or elsewhere".into(),
            Problem::Taken => "every place for this method is taken, which has few; retry after a pause".into(),
            Problem::Draining => "the server is shutting down; retry elsewhere".into(),
            Problem::CutOff => "the server has shut down before the call was done; retry elsewhere".into(),
            Problem::NoRules => "the server has no rules".into(),
            Problem::Denied(denial) => denied(*denial),
            Problem::TooLate => "the deadline of the request has passed".into(),
            Problem::Overtime => "the call took longer than the server allows, its arrival included".into(),
            Problem::StreamTooOld => "the stream was open for as long as the server allows; open another".into(),
            Problem::StreamIdle => {
                "the stream was silent for too long; open another when there is something to ask".into()
            }
            Problem::TooSlow => "the message took too long to arrive".into(),
            Problem::Bug => "a bug in the server; the request was not evaluated".into(),
        }
    }

    /// The same for one item of a stream, with every violation.
    #[must_use]
    pub fn into_item_error(self, request_id: String) -> proto::ItemError {
        let (code, message) = (self.code() as i32, self.message());
        let violations = match self {
            Problem::Invalid(violations) | Problem::OverLimit(violations) => violations,
            _ => Vec::new(),
        };
        let field_violations = violations
            .into_iter()
            .map(|Violation { field, reason }| proto::FieldViolation { field, description: reason })
            .collect();
        proto::ItemError { code, message, field_violations, request_id }
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let (code, message) = (problem.code(), problem.message());
        let details = match problem {
            Problem::Invalid(violations) => ErrorDetails::with_bad_request(fitting(&violations)),
            Problem::OverLimit(violations) => quota(&violations),
            Problem::NotHeld { held } => not_held(&held),
            Problem::Busy => return busy(code, message),
            _ => return Status::new(code, message),
        };
        Status::with_error_details(code, message, details)
    }
}

/// A refusal that says when to try again.
fn busy(code: Code, message: String) -> Status {
    static REFUSED: AtomicU64 = AtomicU64::new(0);
    // Steps of about 0.6 of the spread fill it evenly.
    let step = REFUSED.fetch_add(1, Ordering::Relaxed).wrapping_mul((RETRY_SPREAD * 618 / 1000) | 1);
    let wait = RETRY_LEAST + step % (RETRY_SPREAD + 1);
    let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(wait)));
    let mut status = Status::with_error_details(code, message, details);
    status.metadata_mut().insert(PUSHBACK, MetadataValue::from(wait));
    status
}

/// It says nothing about the token, which may be somebody's.
fn denied(denial: Denial) -> String {
    match denial {
        Denial::Missing => "a token is needed; send it as metadata `authorization: Bearer TOKEN`".into(),
        Denial::Unknown => "the token is not accepted here".into(),
        Denial::Expired => "the token has expired or is not valid yet; get a new one".into(),
        Denial::Elsewhere => "the token is for another audience or from another issuer".into(),
        Denial::Scope(scope) => format!("the token does not have the scope `{scope}`, which this method needs"),
    }
}

fn quota(violations: &[Violation]) -> ErrorDetails {
    let mut details = ErrorDetails::new();
    for FieldViolation { field, description, .. } in fitting(violations) {
        details.add_quota_failure_violation(field, description);
    }
    details
}

fn not_held(held: &[String]) -> ErrorDetails {
    let mut details = ErrorDetails::new();
    for digest in held.iter().take(LISTED_NAMES) {
        details.add_precondition_failure_violation("RULES_DIGEST", digest.as_str(), "this digest is held");
    }
    if held.is_empty() {
        details.add_precondition_failure_violation("RULES_DIGEST", "", "no digest of this pack is held");
    }
    details
}

/// All violations, or as many as fit into the headers of an answer and an entry that counts the others.
fn fitting(violations: &[Violation]) -> Vec<FieldViolation> {
    let mut room = DETAIL_BYTES;
    let mut fitting = Vec::new();
    for (at, Violation { field, reason }) in violations.iter().enumerate() {
        let size = field.len() + reason.len() + 8;
        if size > room {
            fitting.push(FieldViolation::new("", format!("and {} more", violations.len() - at)));
            break;
        }
        room -= size;
        fitting.push(FieldViolation::new(field, reason));
    }
    fitting
}

fn summary(violations: &[Violation]) -> String {
    let mut text = match violations.len() {
        1 => String::new(),
        count => format!("{count} problems: "),
    };
    for (at, Violation { field, reason }) in violations.iter().enumerate() {
        let piece = if field.is_empty() { reason.clone() } else { format!("{field}: {reason}") };
        if at > 0 && text.len() + piece.len() > SUMMARY_BYTES {
            let _ = write!(text, "; and {} more", violations.len() - at);
            break;
        }
        if at > 0 {
            text.push_str("; ");
        }
        text.push_str(&piece);
    }
    text
}

fn listed(names: &[String]) -> String {
    let mut text = names.iter().take(LISTED_NAMES).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > LISTED_NAMES {
        let _ = write!(text, " and {} more", names.len() - LISTED_NAMES);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Problem;
    use crate::engine::submission::Violation;
    use tonic::{Code, Status};
    use tonic_types::StatusExt as _;

    fn many(count: usize) -> Vec<Violation> {
        let field = |at| format!("observations[{at}].finding");
        (0..count)
            .map(|at| Violation { field: field(at), reason: "no such finding; did you mean `fever`?".into() })
            .collect()
    }

    #[test]
    fn a_single_problem_is_its_own_message() {
        let status = Status::from(Problem::Invalid(many(1)));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "observations[0].finding: no such finding; did you mean `fever`?");
    }

    #[test]
    fn a_status_fits_into_the_headers_that_clients_accept() {
        let status = Status::from(Problem::Invalid(many(512)));
        let mut headers = tonic::codegen::http::HeaderMap::new();
        status.add_header(&mut headers).expect("a status has a header form");
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        assert!(size < 8 * 1024, "{size} bytes of headers");
        let violations = status.get_details_bad_request().expect("details").field_violations;
        let last = violations.last().expect("not empty");
        assert_eq!(last.description, format!("and {} more", 512 - (violations.len() - 1)));
    }

    #[test]
    fn an_item_error_is_never_cut_short() {
        assert_eq!(Problem::Invalid(many(512)).into_item_error(String::new()).field_violations.len(), 512);
    }
}
