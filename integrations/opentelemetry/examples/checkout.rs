//! A service instrumented by OpenTelemetry that takes part in a Jaeger-instrumented fleet: it asks the
//! agent what to sample, reads and writes `uber-trace-id`, and sends its spans to the agent over UDP.
//!
//! `cargo run -p jaeger-client-opentelemetry --example checkout` with an agent on this host; without one it
//! says what was lost.

use std::collections::HashMap;
use std::error::Error;

use jaeger_client_opentelemetry::jaeger_client::sampler::RemoteSampler;
use jaeger_client_opentelemetry::{JaegerExporter, JaegerPropagator, JaegerRemoteSampler};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

type Headers = HashMap<String, String>;

fn main() -> Result<(), Box<dyn Error>> {
    let exporter = JaegerExporter::builder().agent("127.0.0.1:6831").build()?;
    let account = exporter.account();
    let remote = RemoteSampler::builder("checkout").initial_rate(1.0).build()?;
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name("checkout").build())
        .with_sampler(JaegerRemoteSampler::new(remote)?)
        .with_batch_exporter(exporter)
        .build();
    global::set_tracer_provider(provider.clone());
    global::set_text_map_propagator(JaegerPropagator::new());

    // A request of a caller that wants its trace to be found as "order 4711".
    serve(&Headers::from([("jaeger-debug-id".to_owned(), "order 4711".to_owned())]));

    provider.shutdown()?;
    show(&account.stats().to_string());
    Ok(())
}

/// Serves a request.
fn serve(request: &Headers) {
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(request));
    let tracer = global::tracer("checkout");
    let span = tracer.span_builder("POST /order").with_kind(SpanKind::Server);
    let context = parent.with_span(span.start_with_context(&tracer, &parent));
    charge(&context);
    context.span().end();
}

/// Calls another service.
fn charge(parent: &Context) {
    let tracer = global::tracer("checkout");
    let span = tracer.span_builder("charge").with_kind(SpanKind::Client);
    let context = parent.with_span(span.start_with_context(&tracer, parent));
    let mut headers = Headers::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut headers));
    show(&format!("the next service is sent {headers:?}"));

    let span = context.span();
    span.set_attribute(KeyValue::new("card", "visa"));
    span.add_event("declined", vec![KeyValue::new("attempt", 1)]);
    span.set_status(Status::error("card declined"));
    span.end();
}

#[expect(clippy::print_stdout, reason = "a program, not a library")]
fn show(line: &str) {
    println!("{line}");
}
