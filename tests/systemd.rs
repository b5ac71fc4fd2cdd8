//! The binary under a service manager: what it tells it, and the socket that it takes from it.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "tests write the rules that they serve")]

mod grpc_support;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use grpc_support::process::{BINARY, Process};
use grpc_support::{Rules, connect, emergency};
use rubor::grpc::proto::triage_service_client::TriageServiceClient;

/// What the manager hears next that begins so; other words before it are passed over.
fn heard(manager: &UnixDatagram, word: &str) -> String {
    let mut bytes = [0; 4096];
    for _ in 0..1000 {
        let length = manager.recv(&mut bytes).unwrap_or_else(|error| panic!("{word} was not heard: {error}"));
        let said = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if said.starts_with(word) {
            return said;
        }
    }
    panic!("{word} was not heard");
}

#[test]
fn the_manager_hears_when_it_is_ready_lives_reloads_and_stops() {
    let (rules, folder) = (Rules::small(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("manager");
    let manager = UnixDatagram::bind(&path).expect("bound");
    manager.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let mut command = Command::new(BINARY);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let process = Process::serving(&mut command, rules.folder(), "info", &[]);
    heard(&manager, "READY=1");
    heard(&manager, "WATCHDOG=1");
    heard(&manager, "WATCHDOG=1");
    process.signal("HUP");
    assert!(heard(&manager, "RELOADING=1").contains("MONOTONIC_USEC="));
    heard(&manager, "READY=1");
    process.signal("TERM");
    heard(&manager, "STOPPING=1");
    let (status, log) = process.end();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_passed_is_served() {
    let rules = Rules::small();
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let passed = listener.local_addr().expect("an address");
    let mut command = Command::new("sh");
    // The third descriptor is the first that is passed.
    let script = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@""#;
    command.args(["-c", script, BINARY]).stdin(Stdio::from(OwnedFd::from(listener)));
    let process = Process::serving(&mut command, rules.folder(), "info", &[]);
    let (address, _) = process.addresses().await;
    assert_eq!(address, passed);
    TriageServiceClient::new(connect(address).await).evaluate(emergency()).await.expect("answered");
    process.signal("TERM");
    let (status, log) = process.end();
    assert_eq!(status.code(), Some(0), "{log}");
}
