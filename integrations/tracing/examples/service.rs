//! A service in miniature: a request with the context of its caller, instrumented functions, log lines
//! with trace ids, and an account at the end.
//!
//! `cargo run -p jaeger-client-tracing --example service`. Spans go where the environment says
//! (`JAEGER_AGENT_HOST`, `JAEGER_ENDPOINT`, …), and else to an agent at `localhost:6831`.

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use jaeger_client::{Configuration, Tracer};
use jaeger_client_tracing::{SpanExt as _, TracingLogger, WithTraceIds};
use tracing::{error, info, info_span, instrument};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

/// Serves a request: headers in, headers for the next service out.
fn serve(tracer: &Tracer, headers: &HashMap<String, String>) -> HashMap<String, String> {
    let span = info_span!("GET /orders/{id}", otel.kind = "server", http.status_code = 200_u16);
    span.set_parent(tracer.extract(headers).ok());
    span.in_scope(|| {
        info!(orders = 1_u64, "order found");
        let mut next = HashMap::new();
        if let Err(error) = query(4711) {
            error!(error = &*error, "the stock is not known");
        }
        if let Some(context) = tracing::Span::current().context() {
            tracer.inject(&context, &mut next);
        }
        next
    })
}

#[instrument(fields(otel.kind = "client", db.system = "postgresql"))]
fn query(order: u64) -> Result<u64, Box<dyn Error + Send + Sync>> {
    info!("asking");
    Err(std::io::Error::other("connection refused").into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let configuration = Configuration::new("orders").with_env()?;
    let (tracer, closer) = configuration.new_tracer_with(|tracer| tracer.logger(TracingLogger))?;
    let lines = fmt::layer().event_format(WithTraceIds::new(fmt::format().compact()));
    registry()
        .with(jaeger_client_tracing::layer(tracer.clone()))
        .with(lines.with_filter(LevelFilter::INFO))
        .init();

    let caller = HashMap::from([("uber-trace-id".to_owned(), "a1b2:c3d4:0:1".to_owned())]);
    let next = serve(&tracer, &caller);
    println!("for the next service: {next:?}");

    let report = closer.close(Duration::from_secs(2));
    println!("{report}");
    Ok(())
}
