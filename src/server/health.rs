//! Asking another process whether it serves, for containers.
//!
//! Owns both ways of asking: gRPC where the server speaks plaintext, and the admin port where it does not.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks a server whether it serves: at `HOST:PORT` by gRPC, at `http://HOST:PORT` its admin port. False when it does
/// not, or does not say so within some seconds.
#[must_use]
pub fn healthcheck(address: &str) -> bool {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return false };
    let ask = async {
        match address.strip_prefix("http://") {
            Some(admin) => is_ready(admin.trim_end_matches('/')).await,
            None => is_serving(address).await,
        }
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, ask).await.ok().flatten().unwrap_or(false) })
}

async fn is_serving(address: &str) -> Option<bool> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).ok()?;
    let mut client = HealthClient::new(endpoint.connect().await.ok()?);
    let answer = client.check(HealthCheckRequest { service: String::new() }).await.ok()?;
    Some(answer.into_inner().status() == ServingStatus::Serving)
}

async fn is_ready(address: &str) -> Option<bool> {
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    let asked = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await.ok()?;
    Some(answer.starts_with(b"HTTP/1.1 200 "))
}
