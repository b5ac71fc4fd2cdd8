//! rubor: readable YAML rules in, scored differentials with reasons, red flags and an urgency out.
//!
//! The whole program in a few lines:
//!
//! ```text
//! store::load      rule files -> Snapshot        the only door, at start-up and at every reload
//! engine           Plan + observations -> Answer pure: no files, clock, sockets, tasks, protobuf or log
//! grpc             protobuf <-> engine values    no clinical logic
//! server, observe  listening, draining; metrics and logs
//! cli, render      commands; answers and diagnostics for people
//! ```
//!
//! Without the feature `server` the crate is the core and the loading of rules alone.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod engine;
pub mod store;

#[cfg(feature = "server")]
pub mod access;
#[cfg(feature = "server")]
pub mod accuracy;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod figures;
#[cfg(feature = "server")]
pub mod grpc;
#[cfg(feature = "server")]
pub mod impact;
#[cfg(feature = "server")]
pub mod interview;
#[cfg(feature = "server")]
pub mod mutation;
#[cfg(feature = "server")]
pub mod observe;
#[cfg(feature = "server")]
pub mod render;
#[cfg(feature = "server")]
pub mod schema;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod standing;
