//! Settings of how much is let in, and for how long.
//!
//! Owns the flags. What one request may hold is no setting: it is part of the contract, in `grpc::limits`.

use std::time::Duration;

use clap::Args;

use super::time_above_zero;
use crate::grpc::gate::Room;

/// How many calls may be at work for each core where nothing else is asked for: some milliseconds.
const WORK_PER_CORE: usize = 32;
/// How many there may be at the least: so many callers at once are no overload on any machine.
const LEAST_WORK: usize = 64;

/// Limits of `rubor serve`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// How many calls may be in flight; more are refused at once, to be tried elsewhere
    #[arg(
        long, env = "RUBOR_MAX_IN_FLIGHT", value_name = "COUNT", default_value = "256",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub max_in_flight: u32,

    /// How many calls may have a core or wait for one; beyond a burst, more are refused [default: 32 a core, at least 64]
    #[arg(long, env = "RUBOR_MAX_AT_WORK", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_at_work: Option<u32>,

    /// How many streams may be open, apart from calls in flight
    #[arg(
        long, env = "RUBOR_MAX_STREAMS", value_name = "COUNT", default_value = "128",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub max_streams: u32,

    /// How many connections may be open; more are closed at once
    #[arg(
        long, env = "RUBOR_MAX_CONNECTIONS", value_name = "COUNT", default_value = "1024",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub max_connections: u32,

    /// How many calls and streams one connection may have open
    #[arg(
        long, env = "RUBOR_MAX_CALLS_PER_CONNECTION", value_name = "COUNT", default_value = "128",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub max_calls_per_connection: u32,

    /// How many bytes of headers a call may have
    #[arg(
        long, env = "RUBOR_MAX_HEADER_BYTES", value_name = "BYTES", default_value = "16384",
        value_parser = clap::value_parser!(u32).range(1024..=1_048_576)
    )]
    pub max_header_bytes: u32,

    /// How long a call may take, its arrival included, whatever its caller's deadline
    #[arg(long, env = "RUBOR_REQUEST_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = time_above_zero)]
    pub request_timeout: Duration,

    /// How long a stream may stay open
    #[arg(long, env = "RUBOR_MAX_STREAM_AGE", value_name = "TIME", default_value = "60m", value_parser = time_above_zero)]
    pub max_stream_age: Duration,

    /// How long a stream of requests may be silent
    #[arg(long, env = "RUBOR_STREAM_IDLE_TIMEOUT", value_name = "TIME", default_value = "5m", value_parser = time_above_zero)]
    pub stream_idle_timeout: Duration,

    /// When a connection is asked to end and its client to open another, so that calls spread over new replicas
    #[arg(long, env = "RUBOR_MAX_CONNECTION_AGE", value_name = "TIME", default_value = "30m", value_parser = time_above_zero)]
    pub max_connection_age: Duration,

    /// How long a new connection may take to say its first word, TLS included
    #[arg(long, env = "RUBOR_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = time_above_zero)]
    pub handshake_timeout: Duration,

    /// How often an idle connection is asked whether it is still there
    #[arg(long, env = "RUBOR_KEEPALIVE_INTERVAL", value_name = "TIME", default_value = "30s", value_parser = time_above_zero)]
    pub keepalive_interval: Duration,

    /// How long it may take to say so
    #[arg(long, env = "RUBOR_KEEPALIVE_TIMEOUT", value_name = "TIME", default_value = "20s", value_parser = time_above_zero)]
    pub keepalive_timeout: Duration,
}

impl LimitArgs {
    /// How much is let in at once.
    #[must_use]
    pub fn room(&self) -> Room {
        let count = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Room {
            calls: count(self.max_in_flight),
            streams: count(self.max_streams),
            work: self.max_at_work.map_or((cores * WORK_PER_CORE).max(LEAST_WORK), count),
        }
    }
}
