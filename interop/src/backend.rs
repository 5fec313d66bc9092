//! Starts a server on free ports, and stops it when it is dropped.
//!
//! A script outside this repository builds and runs the server. The environment variable `BACKENDS` is its
//! path; the default is `../shared/backends/backends.sh` beside the repository.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::command;
use crate::opt_in::{self, StepResult};
use crate::query::Query;

/// A server that can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Agent, collector and query of Jaeger v1.
    JaegerV1,
    /// Jaeger v2.
    JaegerV2,
    /// The OpenTelemetry Collector, which writes the spans to a file.
    OtelCollector,
    /// Zipkin.
    Zipkin,
}

impl Kind {
    /// Returns the script's name of the server.
    const fn name(self) -> &'static str {
        match self {
            Self::JaegerV1 => "jaeger-v1",
            Self::JaegerV2 => "jaeger-v2",
            Self::OtelCollector => "otelcol",
            Self::Zipkin => "zipkin",
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Backend {
    script: PathBuf,
    kind: Kind,
    values: HashMap<String, String>,
}

impl Backend {
    /// Starts agent, collector and query of Jaeger v1; they are ready when this returns.
    ///
    /// # Errors
    ///
    /// A message, if there is no script, or it cannot start the server.
    pub fn jaeger_v1() -> StepResult<Self> {
        Self::start(Kind::JaegerV1)
    }

    /// Starts a server of this kind; it is ready when this returns.
    ///
    /// # Errors
    ///
    /// As [`jaeger_v1`](Self::jaeger_v1).
    pub fn start(kind: Kind) -> StepResult<Self> {
        Self::start_with(kind, &[])
    }

    /// Starts a server of this kind with options of the script, such as `strategies=FILE`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(kind: Kind, options: &[&str]) -> StepResult<Self> {
        let script = script()?;
        let printed = start(&script, kind, options)?;
        let values = printed
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(Self { script, kind, values })
    }

    /// Returns the address, `host:port`, of a port by its name in the script: `compact`, `binary`, `query` …
    ///
    /// # Panics
    ///
    /// If the server has no such port.
    #[must_use]
    pub fn address(&self, port: &str) -> &str {
        self.values.get(port).unwrap_or_else(|| panic!("the backend has no port `{port}`"))
    }

    /// Returns the kind of server.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns a client of its query API.
    #[must_use]
    pub fn query(&self) -> Query {
        Query::new(self.address("query"))
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let Some(pid) = self.values.get("pid") else { return };
        let stopped =
            command::output(Command::new("bash").arg(&self.script).args(["stop", pid]), STOP_LIMIT);
        if let Err(why) = stopped {
            opt_in::print_line(&format!("the backend was not stopped: {why}"));
        }
    }
}

/// Starts the server and returns what the script printed.
fn start(script: &Path, kind: Kind, options: &[&str]) -> StepResult<String> {
    // Two starts at the same time may choose the same free ports: those of this process take turns, and a
    // start that collides with one of another process is retried.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut tries = 1..=3;
    loop {
        let mut command = Command::new("bash");
        command.arg(script).args(["start", kind.name(), "free"]).args(options);
        match command::output(&mut command, START_LIMIT) {
            Err(why) if why.contains(" is taken") && tries.next().is_some() => {}
            printed => return printed,
        }
    }
}

fn script() -> StepResult<PathBuf> {
    let path = env::var_os("BACKENDS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/backends/backends.sh"),
        PathBuf::from,
    );
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!("no script to start servers with at {}", path.display()))
    }
}

/// The first start on a machine downloads and compiles the server.
const START_LIMIT: Duration = Duration::from_secs(600);

/// The script itself ends a server that does not stop within ten seconds.
const STOP_LIMIT: Duration = Duration::from_secs(60);
