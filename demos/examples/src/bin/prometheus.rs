//! The tracer's own counts for Prometheus: started, sampled, sent and lost spans, and requests by endpoint.
//!
//! `cargo run -p examples --bin prometheus`. The page that is printed is what a scrape of `/metrics` returns;
//! it is brought up to date when it is read, so it is exact. `prometheus-client` must be of the version
//! that `jaeger-client-prometheus` uses, which exports it.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use std::time::Duration;

use jaeger_client::{Configuration, tags::SpanKind};
use jaeger_client_prometheus::PrometheusMetrics;
use jaeger_client_prometheus::prometheus_client::{encoding::text, registry::Registry};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut registry = Registry::default(); // the application's own
    let metrics = PrometheusMetrics::register(&mut registry);
    let configuration = Configuration { rpc_metrics: true, ..Configuration::new("shop") };
    let configuration = configuration.with_env()?;
    let (tracer, closer) = configuration.new_tracer_with(|builder| builder.metrics(metrics))?;

    for number in 0..3 {
        // Spans of servers are counted and timed by endpoint where `rpc_metrics` are on.
        let request = tracer.span("GET /orders").kind(SpanKind::Server).start();
        request.set_tag("error", number == 2);
    }

    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    print!("{page}");
    println!("{}", closer.close(Duration::from_secs(2)));
    Ok(())
}
