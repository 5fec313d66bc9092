//! A process that is frozen between requests, as a function of AWS Lambda is: a flush for each request.
//!
//! `cargo run --example frozen`. What waits for the flush interval when the process is frozen is sent when it
//! is thawed, hours later, or never. So each request ends with a flush; the close is for the signal that
//! comes before the end, if one comes.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use jaeger_client::{Closer, ConfigError, Configuration, Tracer};

/// Made once, with the first request, and never dropped.
static TRACING: LazyLock<Result<(Tracer, Closer), ConfigError>> =
    LazyLock::new(|| Configuration::new("resize").with_env()?.new_tracer());

fn handle(tracer: &Tracer, request: &str) -> usize {
    let span = tracer.span("resize").tag("request", request).start();
    let bytes = request.len() * 1000;
    span.set_tag("bytes", bytes);
    bytes
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (tracer, _) = TRACING.as_ref().map_err(ToString::to_string)?;
    for request in io::stdin().lines() {
        println!("answer: {} bytes", handle(tracer, &request?));
        // With the response computed and before it is returned: as long as the platform waits for that, the
        // process runs. The bound keeps an agent that is gone from costing more than it.
        let report = tracer.flush(Duration::from_millis(200));
        println!("flushed: {} sent, {} queued", report.stats.sent, report.stats.queued);
    }
    println!("closed: {}", tracer.close(Duration::from_secs(2)));
    Ok(())
}
