//! A library that is given no tracer: its spans belong to whatever its caller traces, or are none.
//!
//! `cargo run --example library`. The caller's span is the active one of this thread, or of the task that is
//! polled on it. Without one the library does the same work and traces nothing.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use jaeger_client::{ConfigError, InMemoryReporter, Span, Tracer};

/// The library. It depends on `jaeger-client` and configures nothing.
mod store {
    use jaeger_client::Span;
    use jaeger_client::tags::{DB_STATEMENT, SPAN_KIND, SpanKind};

    /// The rows of a table.
    pub(crate) fn rows(table: &str) -> Result<usize, std::io::Error> {
        let span = Span::active().map_or_else(Span::none, |caller| caller.child("query"));
        span.set_tag(SPAN_KIND, SpanKind::Client);
        span.set_tag(DB_STATEMENT, format!("select count(*) from {table}"));
        let responded = match table {
            "orders" => Ok(3),
            _ => Err(std::io::Error::other(format!("no table {table}"))),
        };
        if let Err(error) = &responded {
            span.record_error(error);
        }
        responded
    }
}

fn main() -> Result<(), ConfigError> {
    let untraced = store::rows("orders");
    println!("without a caller's span: {untraced:?}");

    let memory = InMemoryReporter::new();
    let (tracer, _closer) = Tracer::builder("shop").in_memory(&memory).build()?;
    let page = tracer.start_span("page");
    let active = page.activate();
    let (orders, customers) = (store::rows("orders"), store::rows("customers"));
    drop(active);
    page.finish();
    println!("with one: {orders:?}, {customers:?}");
    print!("{}", memory.span_tree());
    assert!(Span::active().is_none());
    Ok(())
}
