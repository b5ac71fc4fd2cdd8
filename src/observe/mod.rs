//! What the outside may see of a running server: metrics and log entries.
//!
//! Owns both, and the rule that neither ever holds a finding, an id or anything else that was said about a patient. It
//! opens no socket: the admin port is `server`'s.

pub mod logs;
pub mod metrics;
