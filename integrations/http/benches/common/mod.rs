//! What benchmarks that count instructions share: how they are called, and a tracer that sends nothing.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use jaeger_client::sampler::ConstSampler;
use jaeger_client::transport::{Sent, Transport};
use jaeger_client::{Closer, ConfigError, Tracer, TransportError};

/// What a measurement gives.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Runs one case, if the arguments are `case` and its names, as callgrind is given them. Otherwise
/// reports on the cases whose name contains the first argument. `name` is the benchmark's, for errors.
pub(crate) fn run<const NAMES: usize>(
    name: &str,
    run_case: impl FnOnce([&str; NAMES]) -> Outcome,
    report: impl FnOnce(&str) -> Outcome<ExitCode>,
) -> ExitCode {
    // What `cargo bench` adds by itself.
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let arguments: Vec<String> = arguments.collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let names = arguments.strip_prefix(&["case"]).and_then(|names| names.try_into().ok());
    let outcome = match names {
        Some(names) => run_case(names).map(|()| ExitCode::SUCCESS),
        None => report(arguments.first().copied().unwrap_or_default()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("{name}: {error}");
        ExitCode::from(2)
    })
}

/// Says that nothing can be counted here, and returns the code for that.
pub(crate) fn without_valgrind() -> ExitCode {
    eprintln!("valgrind is not installed, and instructions are counted by its callgrind tool.");
    ExitCode::from(3)
}

/// A tracer that encodes its spans, and sends them only when it is flushed, to nowhere.
pub(crate) fn tracer(service: &str, sampled: bool) -> Result<(Tracer, Closer), ConfigError> {
    Tracer::builder(service)
        .sampler(ConstSampler::new(sampled))
        .transport(Discard)
        .flush_interval(Duration::from_secs(3_600))
        .build()
}

/// Waits until the reporter's thread has returned the buffers: without that their number depends on when it
/// runs, and a new one is counted as tens of thousands of instructions that set it to zero.
#[allow(dead_code, reason = "not all benchmarks need it")]
pub(crate) fn flush(tracer: &Tracer) -> Outcome {
    let report = tracer.flush(Duration::from_secs(30));
    if report.complete && report.stats.is_balanced() && report.stats.open == 0 {
        return Ok(());
    }
    Err(format!("the tracer could not be flushed: {report}").into())
}

/// Takes every message, so that nothing but the caller is measured.
#[derive(Debug)]
struct Discard;

impl Transport for Discard {
    fn send(&mut self, _message: &[u8]) -> Result<Sent, TransportError> {
        Ok(Sent::OK)
    }
}
