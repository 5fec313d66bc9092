//! What is done, and the layers it is done with.

use std::hint::black_box;
use std::time::Duration;

use jaeger_client::Tracer;
use jaeger_client_tracing::{JaegerLayer, LayerHandle, LayerStats};
use opentelemetry::Context;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor};
use tracing::{Dispatch, info, info_span};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::common::{self, Outcome};

/// Something that is done with tracing, so many times.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) sampled: bool,
    /// Instructions that it may take with this layer: what was measured when this was written, and
    /// 2 %, as the compiler divides its work in different ways. Who gains something lowers it.
    pub(crate) ceiling: u64,
    pub(crate) run: fn(u64),
}

pub(crate) const WORK: &[Work] = &[
    Work { name: "root + 3 fields", sampled: true, ceiling: 2_380, run: roots },
    Work { name: "child + 3 fields", sampled: true, ceiling: 2_817, run: children },
    Work {
        name: "child + 3 fields at 100 callsites",
        sampled: true,
        ceiling: 2_833,
        run: callsites,
    },
    Work { name: "child + 3 fields + event", sampled: true, ceiling: 3_807, run: events },
    Work { name: "not sampled: root + 3 fields", sampled: false, ceiling: 2_072, run: roots },
    Work {
        name: "not sampled: child + 3 fields + event",
        sampled: false,
        ceiling: 2_425,
        run: events,
    },
];

fn roots(operations: u64) {
    for number in 0..operations {
        let span =
            info_span!("root", user = black_box(number), path = black_box("/orders"), hit = true);
        let _entered = span.enter();
    }
}

fn children(operations: u64) {
    let root = info_span!("root");
    let _entered = root.enter();
    for number in 0..operations {
        let span =
            info_span!("child", user = black_box(number), path = black_box("/orders"), hit = true);
        let _entered = span.enter();
    }
}

/// As many callsites as a program of some size has, in rotation.
fn callsites(operations: u64) {
    macro_rules! children_each_at_its_own {
        ($($child:tt)*) => {
            [$(|number: u64| {
                let _ = stringify!($child);
                let span = info_span!(
                    "child",
                    user = black_box(number),
                    path = black_box("/orders"),
                    hit = true
                );
                let _entered = span.enter();
            }),*]
        };
    }
    #[rustfmt::skip]
    const CALLSITES: [fn(u64); 100] = children_each_at_its_own!(
         1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25
        26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50
        51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75
        76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 96 97 98 99 100
    );
    let root = info_span!("root");
    let _entered = root.enter();
    for (number, child) in (0..operations).zip(CALLSITES.iter().cycle()) {
        child(number);
    }
}

fn events(operations: u64) {
    let root = info_span!("root");
    let _entered = root.enter();
    for number in 0..operations {
        let span =
            info_span!("child", user = black_box(number), path = black_box("/orders"), hit = true);
        let _entered = span.enter();
        info!(attempt = black_box(number), "retry");
    }
}

/// What stands on the registry.
pub(crate) struct Layer {
    pub(crate) name: &'static str,
    pub(crate) is_ours: bool,
    /// Does something with a subscriber that has it, and a tracer that samples all or nothing.
    dispatch: fn(bool, Within<'_>) -> Outcome,
}

/// What is done with a subscriber, and a function that waits until no finished span is waiting.
type Within<'w> = &'w mut dyn FnMut(&Dispatch, &dyn Fn());

/// The first one is what the others are compared with.
pub(crate) const LAYERS: &[Layer] = &[
    Layer { name: "tracing-opentelemetry", is_ours: false, dispatch: opentelemetry },
    Layer { name: "jaeger-client-tracing", is_ours: true, dispatch: jaeger },
    Layer { name: "jaeger-client-tracing, unfiltered", is_ours: true, dispatch: unfiltered },
    Layer {
        name: "none",
        is_ours: false,
        dispatch: |_, work| {
            work(&Dispatch::new(Registry::default()), &|| {});
            Ok(())
        },
    },
];

impl Layer {
    /// Does something with the layer. It is given a function that waits until no finished span is waiting.
    pub(crate) fn with(&self, sampled: bool, work: &mut dyn FnMut(&dyn Fn())) -> Outcome {
        (self.dispatch)(sampled, &mut |dispatch, flush| {
            tracing::dispatcher::with_default(dispatch, || work(flush))
        })
    }
}

fn jaeger(sampled: bool, work: Within<'_>) -> Outcome {
    with_tracer(sampled, |tracer| {
        let layer = jaeger_client_tracing::layer(tracer.clone());
        let handle = layer.inner().handle();
        work(&Dispatch::new(Registry::default().with(layer)), &|| flush(&tracer));
        handle
    })
}

fn unfiltered(sampled: bool, work: Within<'_>) -> Outcome {
    with_tracer(sampled, |tracer| {
        let layer = JaegerLayer::builder(tracer.clone()).build_unfiltered();
        let handle = layer.handle();
        work(&Dispatch::new(Registry::default().with(layer)), &|| flush(&tracer));
        handle
    })
}

/// What is lost is found when the tracer is closed.
fn flush(tracer: &Tracer) {
    let _ = common::flush(tracer);
}

fn with_tracer(sampled: bool, work: impl FnOnce(Tracer) -> LayerHandle) -> Outcome {
    let (tracer, closer) = common::tracer("overhead", sampled)?;
    let lost = work(tracer).stats();
    let report = closer.close(Duration::from_secs(30));
    let is_complete = report.complete && report.stats.is_balanced() && report.stats.open == 0;
    if is_complete && lost == LayerStats::default() {
        return Ok(());
    }
    Err(format!("something was lost: {report}, {lost:?}").into())
}

fn opentelemetry(sampled: bool, work: Within<'_>) -> Outcome {
    let sampler = if sampled { Sampler::AlwaysOn } else { Sampler::AlwaysOff };
    let provider =
        SdkTracerProvider::builder().with_span_processor(Drops).with_sampler(sampler).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("overhead"));
    work(&Dispatch::new(Registry::default().with(layer)), &|| {});
    Ok(provider.shutdown()?)
}

/// The least that OpenTelemetry can do with a span.
#[derive(Debug)]
struct Drops;

impl SpanProcessor for Drops {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, _span: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}
