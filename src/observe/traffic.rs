//! What is counted about connections, callers and load, beside the calls themselves.
//!
//! Owns the counters and their labels, which nobody outside can choose.

use std::fmt;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::access::Denial;

/// The limits for which load is shed.
const LIMITS: [&str; 3] = ["in_flight", "work", "streams"];
/// The logs of evaluations.
const LOGS: [&str; 2] = ["decisions", "requests"];

/// Why a connection was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There are as many as there may be.
    Full,
    /// It said nothing for too long.
    Silent,
    /// It does not speak TLS as it should, or has no certificate that is accepted.
    Handshake,
    /// The system had no room for it.
    System,
}

impl Refused {
    fn name(self) -> &'static str {
        match self {
            Refused::Full => "full",
            Refused::Silent => "silent",
            Refused::Handshake => "handshake",
            Refused::System => "system",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LogLabel {
    log: &'static str,
}

/// The counters.
#[derive(Default)]
pub struct Traffic {
    connections: Gauge,
    refused: Family<ReasonLabel, Counter>,
    denied: Family<ReasonLabel, Counter>,
    shed: Family<ReasonLabel, Counter>,
    in_flight: Gauge,
    written: Family<LogLabel, Counter>,
    dropped: Family<LogLabel, Counter>,
}

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traffic")
    }
}

impl Traffic {
    /// Counters that a registry shows.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let traffic = Self::default();
        traffic.begin_at_zero();
        registry.register("rubor_connections", "Connections that are open", traffic.connections.clone());
        registry.register("rubor_connections_refused", "Connections refused, by reason", traffic.refused.clone());
        registry.register("rubor_calls_denied", "Calls without the right to call, by reason", traffic.denied.clone());
        registry.register("rubor_calls_shed", "Calls refused because the server was full", traffic.shed.clone());
        registry.register("rubor_calls_in_flight", "Calls and streams that are open", traffic.in_flight.clone());
        registry.register("rubor_log_entries_written", "Lines kept, by log", traffic.written.clone());
        registry.register("rubor_log_entries_dropped", "Lines that could not be kept, by log", traffic.dropped.clone());
        traffic
    }

    /// Counters exist before the first count: of one that appears with it, nobody sees that it grew.
    fn begin_at_zero(&self) {
        for reason in [Refused::Full, Refused::Silent, Refused::Handshake, Refused::System].map(Refused::name) {
            drop(self.refused.get_or_create(&ReasonLabel { reason }));
        }
        for reason in Denial::NAMES {
            drop(self.denied.get_or_create(&ReasonLabel { reason }));
        }
        for reason in LIMITS {
            drop(self.shed.get_or_create(&ReasonLabel { reason }));
        }
        for log in LOGS {
            drop(self.written.get_or_create(&LogLabel { log }));
            drop(self.dropped.get_or_create(&LogLabel { log }));
        }
    }

    /// Counts a connection for as long as what is given back lives.
    #[must_use]
    pub fn connection_opened(&self) -> Opened {
        Opened::new(&self.connections)
    }

    /// Counts a call or stream for as long as what is given back lives.
    #[must_use]
    pub fn call_opened(&self) -> Opened {
        Opened::new(&self.in_flight)
    }

    /// Counts a connection that was not let in.
    pub fn connection_refused(&self, why: Refused) {
        self.refused.get_or_create(&ReasonLabel { reason: why.name() }).inc();
    }

    /// Counts a call that its caller had no right to.
    pub fn call_denied(&self, reason: &'static str) {
        self.denied.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a call that was refused because the server was full.
    pub fn call_shed(&self, reason: &'static str) {
        self.shed.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a line that was kept.
    pub fn line_written(&self, log: &'static str) {
        self.written.get_or_create(&LogLabel { log }).inc();
    }

    /// Counts a line that could not be kept.
    pub fn line_dropped(&self, log: &'static str) {
        self.dropped.get_or_create(&LogLabel { log }).inc();
    }
}

/// Something that is open and counted.
#[derive(Debug)]
pub struct Opened(Gauge);

impl Opened {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Opened(gauge.clone())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.dec();
    }
}
