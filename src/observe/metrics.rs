//! Metrics, as Prometheus reads them.
//!
//! Owns names, labels and the text form. Figures about rules are read from the keeper when they are asked for, so they
//! cannot lag behind it. No label holds anything that a caller can choose, but for the ids of packs that are served.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tonic::Code;

use super::traffic::Traffic;
use crate::access::scope::{METHODS, Method, OTHER};
use crate::access::watched::Look;
use crate::grpc::proto;
use crate::store::keeper::Keeper;

/// Upper bounds of the buckets of durations, in seconds. An evaluation takes about a millisecond: the bounds are dense
/// where an objective would be set (5, 10, 25, 50, 100, 250 ms), and end where the longest calls may.
const BUCKETS: [f64; 15] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// What an answer may say.
const URGENCIES: [proto::Urgency; 5] = [
    proto::Urgency::SelfCare,
    proto::Urgency::Routine,
    proto::Urgency::Prompt,
    proto::Urgency::Urgent,
    proto::Urgency::Emergency,
];
/// How calls end.
const CODES: [Code; 12] = [
    Code::Ok,
    Code::Cancelled,
    Code::InvalidArgument,
    Code::DeadlineExceeded,
    Code::NotFound,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
    Code::Unauthenticated,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EvaluationLabels {
    pack: String,
    urgency: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RpcLabels {
    method: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RulesLabels {
    pack: String,
    version: String,
    digest: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    keeper: Arc<Keeper>,
    evaluations: Family<EvaluationLabels, Counter>,
    requests: Family<RpcLabels, Counter>,
    durations: Family<MethodLabel, Histogram>,
    traffic: Arc<Traffic>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Metrics of a server that serves the rules of `keeper`.
    #[must_use]
    pub fn new(keeper: Arc<Keeper>) -> Self {
        let evaluations: Family<EvaluationLabels, Counter> = Family::default();
        let requests: Family<RpcLabels, Counter> = Family::default();
        let durations: Family<MethodLabel, Histogram> = Family::new_with_constructor(histogram as fn() -> Histogram);
        // Counters exist before the first count: of one that appears with it, nobody sees that it grew.
        for Method { name: method, .. } in METHODS.into_iter().chain([OTHER]) {
            drop(durations.get_or_create(&MethodLabel { method }));
            for code in CODES.map(code_name) {
                drop(requests.get_or_create(&RpcLabels { method, code }));
            }
        }
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Rules { keeper: Arc::clone(&keeper) }));
        registry.register("rubor_evaluations", "Evaluations answered", evaluations.clone());
        registry.register("rubor_rpc_requests", "Calls ended, by method and gRPC status code", requests.clone());
        registry.register("rubor_rpc_duration_seconds", "Time until a call ended", durations.clone());
        let traffic = Arc::new(Traffic::new(&mut registry));
        Self { registry, keeper, evaluations, requests, durations, traffic }
    }

    /// Shows whether the credentials in these files are good.
    #[must_use]
    pub fn with_credentials(mut self, files: Vec<Arc<dyn Look>>) -> Self {
        self.registry.register_collector(Box::new(Credentials { files }));
        self
    }

    /// What is counted beside calls.
    #[must_use]
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Counts an evaluation.
    pub fn evaluated(&self, pack: &str, urgency: proto::Urgency, outcome: proto::Outcome) {
        let (urgency, outcome) = (urgency_name(urgency), outcome_name(outcome));
        self.evaluations.get_or_create(&EvaluationLabels { pack: pack.to_owned(), urgency, outcome }).inc();
    }

    /// Counts a call that has ended.
    pub fn rpc_ended(&self, method: &'static str, code: Code, took: Duration) {
        self.requests.get_or_create(&RpcLabels { method, code: code_name(code) }).inc();
        self.durations.get_or_create(&MethodLabel { method }).observe(took.as_secs_f64());
    }

    /// Lets the counters of every pack that is served exist, also of one that came with a reload.
    fn show_packs(&self) {
        for pack in self.keeper.current().packs.keys() {
            for urgency in URGENCIES.map(urgency_name) {
                for outcome in [proto::Outcome::Determined, proto::Outcome::Insufficient].map(outcome_name) {
                    let labels = EvaluationLabels { pack: pack.clone(), urgency, outcome };
                    drop(self.evaluations.get_or_create(&labels));
                }
            }
        }
    }

    /// The `OpenMetrics` text form.
    #[must_use]
    pub fn open_metrics(&self) -> String {
        self.show_packs();
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// The classic Prometheus text form, where a counter is described by its full name.
    #[must_use]
    pub fn text(&self) -> String {
        let metrics = self.open_metrics();
        let counters: Vec<&str> =
            metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
        let mut text = String::with_capacity(metrics.len());
        for line in metrics.lines().filter(|line| *line != "# EOF") {
            let described = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
            let name = described.and_then(|rest| rest.split(' ').next()).unwrap_or_default();
            if counters.contains(&name) {
                text.push_str(&line.replacen(name, &format!("{name}_total"), 1));
            } else {
                text.push_str(line);
            }
            text.push('\n');
        }
        text
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

/// The word for an urgency, in labels and logs.
#[must_use]
pub fn urgency_name(urgency: proto::Urgency) -> &'static str {
    match urgency {
        proto::Urgency::Unspecified => "unspecified",
        proto::Urgency::SelfCare => "self_care",
        proto::Urgency::Routine => "routine",
        proto::Urgency::Prompt => "prompt",
        proto::Urgency::Urgent => "urgent",
        proto::Urgency::Emergency => "emergency",
    }
}

/// The word for an outcome, in labels and logs.
#[must_use]
pub fn outcome_name(outcome: proto::Outcome) -> &'static str {
    match outcome {
        proto::Outcome::Unspecified => "unspecified",
        proto::Outcome::Determined => "determined",
        proto::Outcome::Insufficient => "insufficient",
    }
}

/// The name of a status code, as gRPC writes it.
#[must_use]
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Reads the keeper whenever metrics are asked for.
struct Rules {
    keeper: Arc<Keeper>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rules")
    }
}

impl Collector for Rules {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let status = self.keeper.status();
        let snapshot = self.keeper.current();

        let mut info =
            encoder.encode_descriptor("rubor_rules_info", "The rules that are served", None, MetricType::Gauge)?;
        for pack in snapshot.packs.values() {
            let labels = RulesLabels {
                pack: pack.id.clone(),
                version: pack.plan.header.version.clone(),
                digest: pack.digest.clone(),
            };
            ConstGauge::new(1_i64).encode(info.encode_family(&labels)?)?;
        }

        let gauge = encoder.encode_descriptor(
            "rubor_rules_last_reload_successful",
            "0 while the rules folder holds something that was refused",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(i64::from(status.last_reload_successful())).encode(gauge)?;

        let gauge = encoder.encode_descriptor(
            "rubor_rules_last_reload_success_timestamp_seconds",
            "When the rules were last found good",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(seconds(status.last_success)).encode(gauge)?;

        let mut reloads = encoder.encode_descriptor("rubor_rules_reloads", "Reloads", None, MetricType::Counter)?;
        let counts = [
            ("published", status.reloads_published),
            ("refused", status.reloads_refused),
            ("unchanged", status.reloads_unchanged),
        ];
        for (result, count) in counts {
            ConstCounter::new(count).encode(reloads.encode_family(&ResultLabel { result })?)?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FlagLabel {
    flag: &'static str,
}

/// Asks the files of credentials whenever metrics are asked for.
struct Credentials {
    files: Vec<Arc<dyn Look>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Collector for Credentials {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let mut gauge = encoder.encode_descriptor(
            "rubor_credentials_last_reload_successful",
            "0 while a file of certificates, tokens or keys holds something that was refused",
            None,
            MetricType::Gauge,
        )?;
        for file in &self.files {
            let labels = FlagLabel { flag: file.flag() };
            ConstGauge::new(i64::from(file.is_good())).encode(gauge.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
