//! Spans of tracers with observers: those that follow each step, and those of finished spans alone.

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use jaeger_client::metrics::{Counter, Gauge, MetricsFactory, Timer};
use jaeger_client::sampler::ConstSampler;
use jaeger_client::{
    Closer, ObservedSpan, Observer, ObserverInterest, Span, SpanFinish, SpanObserver,
    StartSpanOptions, TagValue, Tracer,
};

use super::{Case, builder, three_tags};
use crate::Outcome;

pub(super) const CASES: &[Case] = &[
    Case::new("root + 3 tags, observed", 200, |meter| {
        let (tracer, _closer) = followed(true)?;
        meter.run(&tracer, || three_tags(&tracer.start_span("GET /orders")))
    }),
    Case::new("unsampled, 3 tags set, observed", 200, |meter| {
        let (tracer, _closer) = followed(false)?;
        meter.run(&tracer, || three_tags(&tracer.start_span("GET /orders")))
    }),
    Case::new("root + 3 tags, end observed", 200, |meter| {
        let (tracer, _closer) = observed_at_end(true)?;
        meter.run(&tracer, || three_tags(&tracer.start_span("GET /orders")))
    })
    .within(1_300, 1_300, 0)
    .in_time(4, 300),
    Case::new("unsampled, 3 tags, end observed", 200, |meter| {
        let (tracer, _closer) = observed_at_end(false)?;
        meter.run(&tracer, || three_tags(&tracer.start_span("GET /orders")))
    })
    .within(1_300, 1_355, 0)
    .in_time(2, 380),
    Case::new("root finished, end observed", 200, |meter| {
        let (tracer, _closer) = observed_at_end(true)?;
        meter.run(&tracer, || {
            let span = tracer.start_span("GET /orders");
            three_tags(&span);
            span.finish();
        })
    })
    .within(1_300, 1_455, 0)
    .in_time(5, 350),
    Case::new("root + 3 tags, rpc metrics", 200, |meter| {
        let (tracer, _closer) = rpc_metrics(true)?;
        meter.run(&tracer, || three_tags(&tracer.start_span("GET /orders")))
    })
    .within(1_130, 1_130, 0)
    .in_time(6, 300),
    Case::new("unsampled, 3 tags, rpc metrics", 200, |meter| {
        let (tracer, _closer) = rpc_metrics(false)?;
        meter.run(&tracer, || three_tags(&tracer.start_span("GET /orders")))
    })
    .within(1_300, 1_315, 0)
    .in_time(4, 340),
    Case::new("server + 3 tags, rpc metrics", 200, |meter| {
        let (tracer, _closer) = rpc_metrics(true)?;
        meter.run(&tracer, || serve(&tracer))
    }),
    Case::new("unsampled server, rpc metrics", 200, |meter| {
        let (tracer, _closer) = rpc_metrics(false)?;
        meter.run(&tracer, || serve(&tracer))
    }),
];

fn serve(tracer: &Tracer) {
    let span = tracer.span("GET /orders").tag("span.kind", "server").start();
    span.set_tag("http.status_code", black_box(200));
    span.set_tag("error", false);
}

/// A tracer with an observer that follows each step and does nothing.
fn followed(sampled: bool) -> Outcome<(Tracer, Closer)> {
    Ok(builder(ConstSampler::new(sampled)).observer(Follows).build()?)
}

/// A tracer with an observer of finished spans that counts errors by name.
fn observed_at_end(sampled: bool) -> Outcome<(Tracer, Closer)> {
    Ok(builder(ConstSampler::new(sampled)).observer(CountsErrors).build()?)
}

fn rpc_metrics(sampled: bool) -> Outcome<(Tracer, Closer)> {
    let builder = builder(ConstSampler::new(sampled)).metrics(Discards).rpc_metrics(true);
    Ok(builder.build()?)
}

#[derive(Debug)]
struct Follows;

impl Observer for Follows {
    fn on_start_span(
        &self,
        _span: &Span,
        _operation: &str,
        options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        Some(Box::new(FollowsSpan(options.start_time())))
    }
}

/// A text whose size has to be allocated.
struct FollowsSpan(SystemTime);

impl SpanObserver for FollowsSpan {
    fn on_finish(&self, _span: &Span, finish: &SpanFinish) {
        black_box((self.0, finish.duration));
    }
}

#[derive(Debug)]
struct CountsErrors;

impl Observer for CountsErrors {
    fn interest(&self) -> ObserverInterest {
        ObserverInterest::finished_spans(["span.kind", "error", "http.status_code"])
    }

    fn on_span_finished(&self, span: &ObservedSpan<'_>) {
        let is_error = span.tag("error") == Some(TagValue::Bool(true));
        black_box((span.operation_name(), span.duration(), is_error));
    }
}

/// Metrics that go nowhere, so that nothing but the client is measured.
#[derive(Debug)]
struct Discards;

impl MetricsFactory for Discards {
    fn counter(&self, _name: &str, _tags: &[(&str, &str)]) -> Box<dyn Counter> {
        Box::new(Discarded)
    }

    fn gauge(&self, _name: &str, _tags: &[(&str, &str)]) -> Box<dyn Gauge> {
        Box::new(Discarded)
    }

    fn timer(&self, _name: &str, _tags: &[(&str, &str)]) -> Box<dyn Timer> {
        Box::new(Discarded)
    }
}

struct Discarded;

impl Counter for Discarded {
    fn inc(&self, delta: u64) {
        black_box(delta);
    }
}

impl Gauge for Discarded {
    fn update(&self, value: i64) {
        black_box(value);
    }
}

impl Timer for Discarded {
    fn record(&self, duration: Duration) {
        black_box(duration);
    }
}
