//! A destination of your own: a line of text for each span, beside the agent.
//!
//! `cargo run --example custom_destination -- localhost:6831`. A `Reporter` is called on a thread of the
//! tracer and reads spans in place; what it refuses is counted as `send failed`. Each destination has a
//! queue of its own, so one that is slow costs the others nothing.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use std::fmt::Debug;
use std::io::{self, Write};
use std::time::Duration;

use jaeger_client::encoding::BatchView;
use jaeger_client::{AgentProtocol, ConfigError, Destination, Reporter, Tracer, TransportError};

#[derive(Debug)]
struct Lines<W>(W);

impl<W: Write + Debug + Send> Reporter for Lines<W> {
    fn report(&mut self, batch: &BatchView<'_>) -> Result<(), TransportError> {
        for span in batch.spans() {
            let (trace, name, micros) =
                (span.trace_id, span.operation_name(), span.duration_micros);
            let written = writeln!(self.0, "{trace} {name:?} {micros} us");
            written.map_err(|source| TransportError::Io { source })?;
        }
        Ok(())
    }

    /// After the last spans of an interval, and before a flush or a close returns.
    fn flush(&mut self) {
        let _ = self.0.flush();
    }
}

fn main() -> Result<(), ConfigError> {
    let agent = std::env::args().nth(1).unwrap_or_else(|| "localhost:6831".to_owned());
    let (tracer, closer) = Tracer::builder("shop")
        .destination(Destination::agent(agent, AgentProtocol::Compact))
        .add_destination(Destination::reporter(Lines(io::stdout())).named("lines"))
        .build()?;

    let order = tracer.start_span("order");
    order.child("charge").set_tag("amount", 12).finish();
    order.finish();

    let report = closer.close(Duration::from_secs(2));
    for stats in tracer.destination_stats() {
        println!("{}: {} sent", stats.name, stats.sent);
    }
    println!("{report}");
    Ok(())
}
