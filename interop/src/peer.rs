//! Runs another process that continues traces, and ends it when it is dropped.
//!
//! Both peers, `src/bin/peer.rs` and `go/main.go`, have the same interface. `GET /continue` starts a span
//! below the context in the headers; with `next=URL` in the query, the peer calls that URL within the span.
//! The response is JSON. A peer prints its address first, and ends when its stdin is closed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::command;
use crate::opt_in::{self, StepResult};
use crate::query::{self, HttpResponse};

/// A running peer.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    address: String,
}

impl Peer {
    /// Starts `program` as the service `service`, with the agent at `agent`. With `sample`, it samples the
    /// traces that it begins.
    ///
    /// # Errors
    ///
    /// A message, if it does not start or does not print its address.
    pub fn start(program: &Path, agent: &str, service: &str, sample: bool) -> StepResult<Self> {
        let mut child = Command::new(program)
            .args(["-listen", "127.0.0.1:0", "-agent", agent, "-service", service])
            .arg(format!("-sample={sample}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} did not start: {error}", program.display()))?;
        let (sender, receiver) = mpsc::channel();
        let stdout = child.stdout.take();
        thread::spawn(move || {
            let mut line = String::new();
            if let Some(stdout) = stdout {
                // An error leaves the line empty, which is an error below.
                let _ = BufReader::new(stdout).read_line(&mut line);
            }
            // There is no receiver any more after a timeout.
            let _ = sender.send(line);
        });
        let line = receiver.recv_timeout(START_LIMIT).unwrap_or_default();
        let mut peer = Self { child, address: line.trim().to_owned() };
        if peer.address.is_empty() {
            peer.end();
            return Err(format!("{} printed no address", program.display()));
        }
        Ok(peer)
    }

    /// Returns the URL of a path, which may have a query.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a GET request with these headers, and returns the response.
    ///
    /// # Panics
    ///
    /// If the response is not 200 with JSON.
    #[must_use]
    pub fn get(&self, path: &str, headers: &[(String, String)]) -> Value {
        let url = self.url(path);
        json(&url, query::get(&url, headers))
    }

    /// Sends a POST request, and returns the response.
    ///
    /// # Panics
    ///
    /// If the response is not 200 with JSON.
    #[must_use]
    pub fn post(&self, path: &str) -> Value {
        let url = self.url(path);
        json(&url, query::post(&url))
    }

    fn end(&mut self) {
        // It flushes its spans and ends when its stdin is closed.
        drop(self.child.stdin.take());
        if command::wait(&mut self.child, END_LIMIT).is_none() {
            opt_in::print_line(&format!("the peer at {} had to be killed", self.address));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Builds the Go peer into the folder `to`, and returns the program's path.
///
/// # Errors
///
/// A message, if Go is not installed, or the build fails.
pub fn build_go(to: &Path) -> StepResult<PathBuf> {
    command::output(Command::new("go").arg("version"), Duration::from_secs(60))
        .map_err(|why| format!("Go is not installed: {why}"))?;
    let program = to.join("gopeer");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
    command::output(
        Command::new("go").arg("build").arg("-o").arg(&program).arg(".").current_dir(source),
        BUILD_LIMIT,
    )?;
    Ok(program)
}

/// Percent-encodes `text` for a URL's query.
#[must_use]
pub fn in_query(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

fn json(url: &str, response: StepResult<HttpResponse>) -> Value {
    let response = response.unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(response.status, 200, "{url}: {}", response.body);
    serde_json::from_str(&response.body)
        .unwrap_or_else(|error| panic!("{url}: {error}: {}", response.body))
}

const START_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(60);

/// The first build downloads the Go client.
const BUILD_LIMIT: Duration = Duration::from_secs(300);
