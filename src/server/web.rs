//! gRPC-Web: what a browser needs beside the protocol itself.
//!
//! Owns which pages may call, and which of the metadata they may send and see.

use std::time::Duration;

use tonic::codegen::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::grpc::origin::REQUEST_ID;

/// How long a browser may remember that it may call.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// Lets the pages of these origins call; without any, no page of another origin may.
///
/// # Errors
/// Something that is no origin.
pub fn cors(origins: &[String]) -> Result<CorsLayer, String> {
    if origins.is_empty() {
        return Ok(CorsLayer::new());
    }
    let origins: Result<Vec<_>, _> = origins.iter().map(|origin| read(origin)).collect();
    let sent = ["authorization", "content-type", "grpc-timeout", "x-grpc-web", "x-user-agent", "traceparent"];
    let seen = ["grpc-status", "grpc-message", "grpc-status-details-bin", REQUEST_ID];
    let names = |names: &[&'static str]| names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
    Ok(CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins?))
        .allow_methods([Method::POST])
        .allow_headers([names(&sent), names(&[REQUEST_ID])].concat())
        .expose_headers([names(&seen), vec![header::CONTENT_TYPE]].concat())
        .max_age(REMEMBERED))
}

fn read(origin: &str) -> Result<HeaderValue, String> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '*', '?', '#', '@', ' ']);
    let value = host.filter(|host| is_host(host)).and_then(|_| HeaderValue::from_str(origin).ok());
    value.ok_or_else(|| {
        format!("--cors-origin: `{origin}` is no origin; write scheme and host, such as https://ward.example.org")
    })
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        assert!(read("https://ward.example.org").is_ok() && read("http://localhost:3000").is_ok());
        for wrong in ["*", "null", "https://", "https://*", "ward.example.org", "https://ward.example.org/"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
