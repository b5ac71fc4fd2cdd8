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
