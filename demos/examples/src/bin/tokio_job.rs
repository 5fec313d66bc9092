//! A job of tokio tasks: spawned ones, blocking ones, and one that runs out of time.
//!
//! `cargo run -p examples --bin tokio_job`. A span is made active for a future by `in_span`, never for a
//! thread, which goes on with other tasks. A spawned task inherits nothing: `in_active_span` and `wrap`
//! carry the span along.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use std::time::Duration;

use jaeger_client::{Configuration, Span, TraceFutureExt, Tracer, wrap};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

async fn fetch(tracer: Tracer, page: u32) -> u32 {
    let span = tracer.start_span("fetch"); // a child of the active span
    span.set_tag("page", page);
    sleep(Duration::from_millis(1)).await;
    page * 10
}

async fn job(tracer: Tracer) -> u32 {
    let mut pages = JoinSet::new();
    for page in 1..=3 {
        pages.spawn(fetch(tracer.clone(), page).in_active_span());
    }
    let rows: u32 = pages.join_all().await.iter().sum();

    // Blocking work on its own thread.
    let parse = spawn_blocking(wrap(move || {
        tracer.start_span("parse").set_tag("rows", rows).finish();
        tracer
    }));
    let Ok(tracer) = parse.await else { return rows };

    // What is given up is dropped, and its span ends there. Say so, as nobody else knows.
    let slow = tracer.start_span("slow");
    let given_up = timeout(Duration::from_millis(1), sleep(Duration::MAX).in_span(slow.clone()));
    if let Err(error) = given_up.await {
        slow.record_error(&error);
    }
    rows
}

#[tokio::main]
async fn main() -> Result<(), jaeger_client::ConfigError> {
    let (tracer, closer) = Configuration::new("import").with_env()?.new_tracer()?;
    let root = tracer.start_span("job");
    let rows = job(tracer).in_span(root).await;
    assert!(Span::active().is_none());
    // Waits without holding the runtime's thread.
    println!("{rows} rows; {}", closer.close_async(Duration::from_secs(2)).await);
    Ok(())
}
