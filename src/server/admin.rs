//! The admin port: metrics, liveness, readiness and status, over plain HTTP.
//!
//! Owns four paths. It tells nothing about any patient and changes nothing; who may reach it is the network's business.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::grpc::{json as protobuf_json, report};
use crate::observe::metrics::Metrics;
use crate::store::keeper::Keeper;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the admin port shows.
#[derive(Clone)]
pub struct Admin {
    /// The rules.
    pub keeper: Arc<Keeper>,
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// False from the moment of draining.
    pub ready: watch::Receiver<bool>,
}

/// Serves for as long as it is let.
pub async fn serve(listener: TcpListener, admin: Admin) {
    let router = axum::Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || Json(json!({ "status": "ok" }))))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .with_state(admin);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the admin port has closed");
    }
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (kind, text) = if accepted.contains("application/openmetrics-text") {
        (OPEN_METRICS, admin.metrics.open_metrics())
    } else {
        (CLASSIC_TEXT, admin.metrics.text())
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn readyz(State(admin): State<Admin>) -> Response {
    if *admin.ready.borrow() {
        Json(json!({ "status": "ready" })).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "draining" }))).into_response()
    }
}

async fn status(State(admin): State<Admin>) -> Response {
    Json(protobuf_json::encode_in_full(&report::status(&admin.keeper))).into_response()
}
