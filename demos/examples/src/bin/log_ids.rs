//! Log lines with the ids of the trace that they belong to, for any logger: here `log` and env_logger.
//!
//! `RUST_LOG=info cargo run -p examples --bin log_ids`. A line is found from the trace and the trace from the
//! line. With `tracing`, `jaeger_client_tracing::WithTraceIds` does the same for its formats.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use std::io::Write;
use std::time::Duration;

use jaeger_client::{Configuration, Span};
use log::{info, warn};

/// Writes the ids of the active span, if there is one, in front of each message.
fn init() {
    let mut logger = env_logger::builder();
    logger.format(|line, record| {
        write!(line, "{} ", record.level())?;
        if let Some(span) = Span::active() {
            write!(line, "{} ", span.context().log_fields())?;
        }
        writeln!(line, "{}", record.args())
    });
    logger.target(env_logger::Target::Stdout).init();
}

fn charge(amount: u32) {
    if amount > 100 {
        // The same to the trace, for those who look at that.
        warn!("amount {amount} is unusual");
        if let Some(span) = Span::active() {
            span.log(&[("event", "unusual amount".into()), ("amount", amount.into())]);
        }
    }
}

fn main() -> Result<(), jaeger_client::ConfigError> {
    init();
    let (tracer, closer) = Configuration::new("shop").with_env()?.new_tracer()?;
    info!("ready");
    let span = tracer.start_span("checkout");
    let active = span.activate();
    info!("paying");
    charge(120);
    drop(active);
    span.finish();
    info!("done: {}", closer.close(Duration::from_secs(2)));
    Ok(())
}
