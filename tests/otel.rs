//! Traces, as a collector hears them: a real one, of the protocol's own service.

#![allow(clippy::disallowed_methods, reason = "tests write the rules that they serve")]

mod grpc_support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use grpc_support::{Served, emergency, present, request};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

const CANARY: &str = "zq9canaryqz";

/// Keeps what it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().expect("no panic").push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let service = TraceServiceServer::new(collector.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (collector, format!("http://{address}"))
    }

    fn spans(&self) -> Vec<Span> {
        let sent = self.0.lock().expect("no panic");
        let resources = sent.iter().flat_map(|request| &request.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }
}

fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{name} is {other:?} in {span:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_a_span_that_says_nothing_of_the_patient() {
    let (collector, endpoint) = Collector::start().await;
    let served = Served::start_with(|args| args.otlp_endpoint = Some(endpoint)).await;
    let mut asked = Request::new(emergency());
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    asked.metadata_mut().insert("traceparent", parent.parse().expect("metadata"));
    asked.metadata_mut().insert("x-request-id", "ward-3.7".parse().expect("metadata"));
    let answer = served.triage().evaluate(asked).await.expect("answered").into_inner();
    served.evaluate(request(vec![present(CANARY)])).await.expect_err("refused");
    // What waits is sent when the server stops.
    assert!(tokio::time::timeout(Duration::from_secs(20), served.running.stop()).await.expect("stops"));

    let spans = collector.spans();
    assert_eq!(spans.len(), 2, "{spans:?}");
    let [first, second] = [&spans[0], &spans[1]];
    for span in [first, second] {
        assert_eq!(span.name, "rubor.v1.TriageService/Evaluate");
        assert_eq!(attribute(span, "rpc.system"), "grpc");
        assert_eq!(attribute(span, "rpc.service"), "rubor.v1.TriageService");
        assert_eq!(attribute(span, "rpc.method"), "Evaluate");
        assert!(span.end_time_unix_nano > span.start_time_unix_nano);
        // Neither ended by a fault of ours.
        assert!(span.status.as_ref().is_none_or(|status| status.code != StatusCode::Error as i32), "{span:?}");
    }
    assert_eq!(hex(&first.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(hex(&first.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(attribute(first, "rpc.grpc.status_code"), "0");
    assert_eq!(attribute(first, "rubor.request_id"), "ward-3.7");
    assert_eq!(attribute(first, "rubor.digest"), answer.rule_set.expect("rules").digest);
    assert_eq!(attribute(second, "rpc.grpc.status_code"), "3");
    assert!(second.parent_span_id.is_empty() && second.trace_id != first.trace_id, "a trace of its own");
    let all = format!("{:?}", collector.0.lock().expect("no panic"));
    for word in [CANARY, "fever", "stays"] {
        assert!(!all.contains(word), "{word} in {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_calls_are_answered_and_the_server_stops() {
    // Nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let served = Served::start_with(|args| args.otlp_endpoint = Some(endpoint)).await;
    for _ in 0..20 {
        served.evaluate(emergency()).await.expect("answered");
    }
    assert!(tokio::time::timeout(Duration::from_secs(20), served.running.stop()).await.expect("stops"));
}
