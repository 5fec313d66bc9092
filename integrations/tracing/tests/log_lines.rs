//! Trace and span ids in log lines.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use jaeger_client_tracing::{JaegerLayer, SpanExt as _, WithTraceIds, log_fields};
use tracing::subscriber::with_default;
use tracing::{Subscriber, info, info_span};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::{Registry, fmt};

use self::support::{Lines, Traced};

mod support;

fn ids(span: &tracing::Span) -> String {
    span.context().unwrap().log_fields().to_string()
}

/// Runs something with lines of text, and gives them.
fn printed(work: impl FnOnce(&Traced)) -> Vec<String> {
    let (traced, lines) = (Traced::default(), Lines::default());
    let layer = JaegerLayer::builder(traced.tracer.clone()).build();
    let format = fmt::format().without_time().with_target(false).with_ansi(false);
    let format = WithTraceIds::new(format).handle(layer.inner().handle());
    let writer = lines.clone();
    let print = fmt::layer().event_format(format).with_writer(move || writer.clone());
    // Whichever comes first: the lines do not depend on it.
    with_default(Registry::default().with(print).with(layer), || work(&traced));
    lines.all()
}

#[test]
fn a_line_begins_with_the_ids_of_its_span() {
    let mut expected = Vec::new();
    let lines = printed(|traced| {
        let (span, other) = (info_span!("op"), info_span!("other"));
        info!("outside");
        expected.push(" INFO outside".to_owned());
        span.in_scope(|| {
            info!(a = 1, "inside");
            expected.push(format!("{}  INFO op: inside a=1", ids(&span)));
            info!(parent: &other, "of another");
            expected.push(format!("{}  INFO other: of another", ids(&other)));
            info!(parent: None, "of none");
            expected.push(" INFO of none".to_owned());
            let ours = traced.tracer.start_span("of the tracer");
            let _active = ours.activate();
            info!("inside the tracer's");
            let own = ours.context().log_fields();
            expected.push(format!("{own}  INFO op: inside the tracer's"));
            assert_eq!(log_fields(), Some(own));
        });
        assert_eq!(log_fields(), None);
    });
    assert_eq!(lines, expected);
}

#[test]
fn the_ids_are_members_of_a_json_object() {
    let (traced, lines) = (Traced::default(), Lines::default());
    let writer = lines.clone();
    let print = fmt::layer().json().without_time().map_event_format(WithTraceIds::json);
    let print = print.with_writer(move || writer.clone()).boxed();
    let subscriber: Box<dyn Subscriber + Send + Sync> =
        Box::new(Registry::default().with(jaeger_client_tracing::layer(traced.tracer)).with(print));
    let mut expected = String::new();
    with_default(subscriber, || {
        info!("outside");
        let span = info_span!("op", user = 7);
        span.in_scope(|| info!("inside"));
        let context = span.context().unwrap();
        let (trace, own) = (context.trace_id(), context.span_id());
        expected =
            format!(r#"{{"traceId":"{trace}","spanId":"{own}","sampled":true,"level":"INFO","#);
    });
    let lines = lines.all();
    assert!(lines[0].starts_with(r#"{"level":"INFO","fields""#), "{lines:?}");
    assert!(lines[1].starts_with(&expected), "{lines:?}");
    assert!(lines[1].contains(r#""user":7"#) && lines[1].ends_with('}'), "{lines:?}");
}
