//! The binary, running, and what it has logged so far.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::Instant;

use super::Rules;

/// Where the binary is.
pub const BINARY: &str = env!("CARGO_BIN_EXE_rubor");

/// A running binary and what it has logged so far.
pub struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Drop for Process {
    /// A test that fails leaves nothing running.
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

impl Process {
    pub fn start(rules: &Rules, level: &str) -> Self {
        Self::start_with(rules, level, &[])
    }

    pub fn start_with(rules: &Rules, level: &str, more: &[&str]) -> Self {
        Self::serving(&mut Command::new(BINARY), rules.folder(), level, more)
    }

    /// The same by a command that may do more than name the binary.
    pub fn serving(command: &mut Command, rules: &Path, level: &str, more: &[&str]) -> Self {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json", "--rules"])
            .arg(rules)
            .args(more)
            .env("RUBOR_LOG", level)
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let log = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let lines = Arc::clone(&log);
        let reader = Some(std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().expect("no panic").push(line);
            }
        }));
        Process { child, log, reader }
    }

    /// Waits for a log entry with this message.
    pub async fn entry(&self, message: &str) -> serde_json::Value {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(20) {
            for line in self.log.lock().expect("no panic").iter() {
                let entry: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
                if entry["message"].as_str().is_some_and(|text| text.starts_with(message)) {
                    return entry;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no entry `{message}` in {:#?}", self.log.lock().expect("no panic"));
    }

    pub async fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let entry = self.entry("serving").await;
        let address = |name: &str| entry[name].as_str().expect("an address").parse().expect("an address");
        (address("listen"), address("admin"))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for the end; gives the exit status and the whole log.
    pub fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("ends");
        self.reader.take().expect("not joined").join().expect("read");
        let log = self.log.lock().expect("no panic").join("\n");
        (status, log)
    }
}
