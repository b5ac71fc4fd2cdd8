//! What the outside may see of a running server: metrics, log entries and what is kept of evaluations.
//!
//! Owns them, and the rule that none ever holds a finding, an age or anything else that was said about a patient; the log
//! of whole requests alone does, where the operator asks for it. It opens no socket: the admin port is `server`'s.

pub mod journal;
pub mod logs;
pub mod metrics;
#[cfg(not(feature = "otel"))]
#[path = "no_spans.rs"]
pub mod spans;
#[cfg(feature = "otel")]
pub mod spans;
pub mod traffic;

use std::time::Duration;

use tonic::Code;

use crate::grpc::origin::Origin;

/// A call that has ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// The full name of the method.
    pub method: &'static str,
    /// Where the call came from.
    pub origin: &'a Origin,
    /// How it ended.
    pub code: Code,
    /// How long it took.
    pub took: Duration,
    /// The rules that it was answered by.
    pub digest: Option<&'a str>,
}
