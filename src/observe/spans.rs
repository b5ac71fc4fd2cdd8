//! Traces: one span a call, sent to an OpenTelemetry collector over OTLP.
//!
//! Owns what a span says: the names that the conventions of OpenTelemetry give, the id of the call and the digest of the
//! rules. Nothing in it is about a patient. Spans wait in a bounded queue; one that finds no room is left out, and no call
//! waits. Without the feature `otel` the module of the same name does nothing.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tonic::Code;

use super::Ended;

/// How long the end of the process waits for the last spans to be sent.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where spans go; nowhere, by default.
#[derive(Debug, Clone, Default)]
pub struct Spans(Option<Arc<Sent>>);

#[derive(Debug)]
struct Sent {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Spans {
    /// Sends spans to the collector at `endpoint`, or where the environment says if that is empty. It must be called
    /// where asynchronous work is done.
    ///
    /// # Errors
    /// An endpoint that is none.
    pub fn open(endpoint: Option<&str>) -> Result<Self, String> {
        let Some(endpoint) = endpoint else { return Ok(Self::default()) };
        let mut exporter = SpanExporter::builder().with_tonic();
        if !endpoint.is_empty() {
            exporter = exporter.with_endpoint(endpoint);
        }
        let exporter = exporter.build().map_err(|error| format!("--otlp-endpoint: {error}"))?;
        let resource = Resource::builder()
            .with_service_name("rubor")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        let tracer = provider.tracer("rubor");
        Ok(Self(Some(Arc::new(Sent { provider, tracer }))))
    }

    /// Whether spans are sent at all.
    #[must_use]
    pub fn are_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Takes note of a call. Health and reflection are not worth a span.
    pub fn ended(&self, call: &Ended<'_>) {
        let Some(sent) = &self.0 else { return };
        let Ended { method, origin, code, took, digest } = *call;
        if method.starts_with("grpc.") {
            return;
        }
        let (service, name) = method.rsplit_once('/').unwrap_or(("", method));
        let mut attributes = vec![
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.service", service),
            KeyValue::new("rpc.method", name),
            KeyValue::new("rpc.grpc.status_code", i64::from(code as i32)),
            KeyValue::new("rubor.request_id", origin.request_id.to_string()),
        ];
        attributes.extend(digest.map(|digest| KeyValue::new("rubor.digest", digest.to_owned())));
        let end = now();
        let start = end.checked_sub(took).unwrap_or(end);
        let builder = sent.tracer.span_builder(method).with_kind(SpanKind::Server).with_start_time(start);
        let parent = origin.parent.as_deref().and_then(parent).unwrap_or_default();
        let mut span = builder.with_attributes(attributes).start_with_context(&sent.tracer, &parent);
        if is_ours(code) {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(end);
    }

    /// Sends what waits, for as long as is decent. Blocks.
    pub fn finish(&self) {
        if let Some(sent) = &self.0 {
            let _ = sent.provider.shutdown_with_timeout(LAST_WORDS);
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a span says when")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// The codes that the conventions count as errors of a server.
fn is_ours(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// The span that a well-formed `traceparent` names.
fn parent(text: &str) -> Option<Context> {
    let mut parts = text.split('-').skip(1);
    let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::NONE,
    );
    Some(Context::new().with_remote_span_context(context))
}
