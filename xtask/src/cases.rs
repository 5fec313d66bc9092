//! The cases that have a contract, and how one is run.
//!
//! A case is measured in its steady state: buffers are warm, and the tracer is flushed between
//! bursts so that its thread never takes a buffer in the middle of one.

mod observed;
mod propagation;

use std::hint::black_box;
use std::time::{Duration, Instant};

use http::HeaderMap;
use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::sampler::{
    ConstSampler, FetchError, OperationStrategies, PerOperationSampler, RateLimitingSampler,
    RemoteSampler, Sampler, StrategySource,
};
use jaeger_client::transport::{Sent, Transport};
use jaeger_client::{
    Closer, OwnedSpan, Span, TagValue, TailSamplingConfig, Tracer, TracerBuilder, TransportError,
};

use crate::Outcome;

/// The maximum cost of one operation of a case on the calling thread.
pub(crate) struct Contract {
    /// The goal.
    pub(crate) instructions: u64,
    /// The regression limit: what was reached and up to 5 %, or the goal.
    pub(crate) ceiling: u64,
    pub(crate) allocations: u64,
    /// Locked instructions.
    pub(crate) locked: u64,
    /// Time, in steps of the [`reference()`]: twice what was measured on a busy machine, so that a stall, a
    /// contended lock or a clock by a system call is found, and the load of others is not.
    pub(crate) steps: u64,
}

/// A case: one kind of work.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// `None` for a case that is only shown for comparison.
    pub(crate) contract: Option<Contract>,
    /// The number of operations in a burst.
    operations: u64,
    work: fn(&mut Meter) -> Outcome<()>,
}

impl Case {
    const fn new(name: &'static str, operations: u64, work: fn(&mut Meter) -> Outcome<()>) -> Self {
        Self { name, contract: None, operations, work }
    }

    /// Bounds of instructions; those of locked instructions and of time are added by
    /// [`in_time`](Self::in_time).
    const fn within(mut self, instructions: u64, ceiling: u64, allocations: u64) -> Self {
        let (locked, steps) = (u64::MAX, u64::MAX);
        self.contract = Some(Contract { instructions, ceiling, allocations, locked, steps });
        self
    }

    const fn in_time(mut self, locked: u64, steps: u64) -> Self {
        if let Some(contract) = &mut self.contract {
            (contract.locked, contract.steps) = (locked, steps);
        }
        self
    }

    /// Returns the number of operations that [`run`](Self::run) measures.
    pub(crate) const fn measured_operations(&self) -> u64 {
        BURSTS * self.operations
    }

    /// Runs the case, and returns the allocations of all measured bursts.
    pub(crate) fn run(&self) -> Outcome<u64> {
        let mut meter = Meter::new(self.operations);
        (self.work)(&mut meter)?;
        Ok(meter.allocations)
    }

    /// Returns the time of an operation, in steps of the [`reference()`].
    ///
    /// Bursts of both take turns, and the median of the ratios of neighbours counts. A processor that changes
    /// its speed changes it for both, and on a busy machine most bursts are not interrupted.
    pub(crate) fn time(&self) -> Outcome<f64> {
        let mut meter = Meter { timed: Some(Timed::default()), ..Meter::new(self.operations) };
        (self.work)(&mut meter)?;
        Ok(meter.timed.unwrap_or_default().steps())
    }
}

/// Runs the bursts of a case.
pub(crate) struct Meter {
    operations: u64,
    allocations: u64,
    /// The times of bursts, where these are measured instead of allocations.
    timed: Option<Timed>,
}

/// The ratios of each burst's time to that of a burst of the reference right after it: steps an operation.
#[derive(Default)]
struct Timed {
    ratios: Vec<f64>,
}

impl Timed {
    const BURSTS: u64 = 100;
    const STEPS: u64 = 10_000;

    #[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a burst")]
    fn burst(&mut self, operations: u64, operation: &mut impl FnMut()) {
        let begin = Instant::now();
        measured_burst(operations, operation);
        let nanos = begin.elapsed().as_nanos() as f64 / operations as f64;
        let begin = Instant::now();
        black_box(reference(black_box(Self::STEPS)));
        let step = begin.elapsed().as_nanos() as f64 / Self::STEPS as f64;
        self.ratios.push(nanos / step);
    }

    /// Returns the median ratio, or infinity if there is none.
    fn steps(mut self) -> f64 {
        self.ratios.sort_by(f64::total_cmp);
        self.ratios.get(self.ratios.len() / 2).copied().unwrap_or(f64::INFINITY)
    }
}

/// Dependent multiplications. Their time does not depend on caches, and follows the frequency of the
/// processor.
#[inline(never)]
fn reference(steps: u64) -> u64 {
    (0..steps).fold(steps, |value, step| value.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ step)
}

impl Meter {
    const fn new(operations: u64) -> Self {
        Self { operations, allocations: 0, timed: None }
    }

    fn run(&mut self, tracer: &Tracer, mut operation: impl FnMut()) -> Outcome<()> {
        let bursts = if self.timed.is_some() { Timed::BURSTS } else { BURSTS };
        for burst in 0..WARM_UPS + bursts {
            if let Some(timed) = &mut self.timed {
                timed.burst(self.operations, &mut operation);
            } else if burst < WARM_UPS {
                for _ in 0..self.operations {
                    operation();
                }
            } else {
                let operations = self.operations;
                let info = allocation_counter::measure(|| {
                    measured_burst(operations, &mut operation);
                });
                self.allocations += info.count_total;
            }
            let report = tracer.flush(Duration::from_secs(30));
            if !report.complete || !report.stats.is_balanced() {
                return Err(format!("the tracer could not be flushed: {report}").into());
            }
        }
        Ok(())
    }
}

/// The function that callgrind measures, by its name.
#[inline(never)]
fn measured_burst(operations: u64, operation: &mut impl FnMut()) {
    for _ in 0..operations {
        operation();
    }
}

/// A part of the name of the measured function.
pub(crate) const MEASURED: &str = "measured_burst";

const WARM_UPS: u64 = 3;
const BURSTS: u64 = 3;

/// All cases, in the order in which they are shown.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(observed::CASES).chain(propagation::CASES)
}

const CASES: &[Case] = &[
    Case::new("unsampled, context not read", 200, |meter| {
        let (tracer, _closer) = tracer(false)?;
        by_name(meter, &tracer)
    })
    .within(103, 103, 0)
    .in_time(0, 40),
    Case::new("unsampled, 3 tags set", 200, |meter| {
        let (tracer, _closer) = tracer(false)?;
        meter.run(&tracer, || three_tags(&tracer.start_span("GET /orders")))
    }),
    Case::new("unsampled, context read", 200, |meter| {
        let (tracer, _closer) = tracer(false)?;
        meter.run(&tracer, || {
            black_box(tracer.start_span("GET /orders").context());
        })
    })
    .within(238, 238, 0)
    .in_time(3, 110),
    Case::new("unsampled, remote sampler", 200, |meter| {
        let reported = remote(r#"{"probabilisticSampling":{"samplingRate":0}}"#)?;
        let (tracer, _closer) = sampled_by(reported)?;
        meter.run(&tracer, || drop(black_box(tracer.start_span("GET /orders"))))
    })
    .within(126, 126, 0)
    .in_time(0, 45),
    Case::new("unsampled, rate limited", 200, |meter| {
        let (tracer, _closer) = sampled_by(RateLimitingSampler::new(0.0)?)?;
        meter.run(&tracer, || drop(black_box(tracer.start_span("GET /orders"))))
    }),
    Case::new("unsampled, per operation", 200, |meter| {
        let strategies = OperationStrategies::new(0.0, 0.0).operation("GET /orders", 0.0);
        let (tracer, _closer) = sampled_by(PerOperationSampler::new(&strategies))?;
        meter.run(&tracer, || drop(black_box(tracer.start_span("GET /orders"))))
    })
    .within(445, 445, 0)
    .in_time(4, 170),
    Case::new("unsampled, operations by server", 200, |meter| {
        let reported = remote(r#"{"operationSampling":{"defaultSamplingProbability":0}}"#)?;
        let (tracer, _closer) = sampled_by(reported)?;
        meter.run(&tracer, || drop(black_box(tracer.start_span("GET /orders"))))
    })
    .within(545, 545, 0)
    .in_time(6, 230),
    Case::new("root", 200, |meter| {
        let (tracer, _closer) = tracer(true)?;
        meter.run(&tracer, || drop(black_box(tracer.start_span("GET /orders"))))
    }),
    Case::new("root + 3 tags", 200, |meter| {
        let (tracer, _closer) = tracer(true)?;
        root_with_tags(meter, &tracer)
    })
    .within(640, 640, 0)
    .in_time(4, 250),
    Case::new("root + 3 tags by builder", 200, |meter| {
        let (tracer, _closer) = tracer(true)?;
        meter.run(&tracer, || {
            let span = tracer.span("GET /orders").tag("http.method", "GET");
            drop(span.tag("http.status_code", black_box(200)).tag("error", false).start());
        })
    })
    .within(750, 750, 0)
    .in_time(1, 240),
    Case::new("root + 3 tags at once", 200, |meter| {
        let (tracer, _closer) = tracer(true)?;
        meter.run(&tracer, || tags_at_once(&tracer.start_span("GET /orders")))
    })
    .within(730, 730, 0)
    .in_time(2, 230),
    Case::new("root + 3 tags at once by builder", 200, |meter| {
        let (tracer, _closer) = tracer(true)?;
        meter.run(&tracer, || {
            drop(tracer.span("GET /orders").tags(&tags_of_slice(black_box(200))).start());
        })
    })
    .within(880, 880, 0)
    .in_time(1, 240),
    Case::new("child + 3 tags + log of 2 fields", 200, |meter| {
        let (tracer, _closer) = tracer(true)?;
        child_with_log(meter, &tracer)
    })
    .within(875, 875, 0)
    .in_time(7, 370),
    Case::new("tree of 10, 3 tags each", 20, |meter| {
        let (tracer, _closer) = tracer(true)?;
        meter.run(&tracer, || tree(&tracer))
    })
    .within(6_600, 6_600, 0)
    .in_time(58, 2_800),
    Case::new("owned: root + 3 tags", 200, |meter| {
        let (tracer, _closer) = tracer(true)?;
        meter.run(&tracer, || {
            let mut span = tracer.start_owned_span("GET /orders");
            owned_tags(&mut span);
        })
    })
    .within(600, 600, 0)
    .in_time(1, 240),
    Case::new("owned: child + 3 tags + log", 200, |meter| {
        let (tracer, _closer) = tracer(true)?;
        let parent = tracer.start_owned_span("GET /orders");
        meter.run(&tracer, || {
            let mut span = parent.child("SELECT");
            owned_tags(&mut span);
            span.log(&[("event", "cache miss".into()), ("key", black_box(42).into())]);
        })
    })
    .within(800, 800, 0)
    .in_time(3, 350),
    Case::new("owned: tree of 10, 3 tags each", 20, |meter| {
        let (tracer, _closer) = tracer(true)?;
        meter.run(&tracer, || owned_tree(&tracer))
    })
    .within(6_000, 6_300, 0)
    .in_time(28, 2_600),
    Case::new("unsampled, with metrics", 200, |meter| {
        let (tracer, _closer) = with_metrics(ConstSampler::new(false))?;
        by_name(meter, &tracer)
    }),
    Case::new("root + 3 tags, with metrics", 200, |meter| {
        let (tracer, _closer) = with_metrics(ConstSampler::new(true))?;
        root_with_tags(meter, &tracer)
    }),
    Case::new("child + 3 tags + log, with metrics", 200, |meter| {
        let (tracer, _closer) = with_metrics(ConstSampler::new(true))?;
        child_with_log(meter, &tracer)
    }),
    Case::new("buffered: root + 3 tags", 200, |meter| {
        let (tracer, _closer) = with_tail_sampling()?;
        root_with_tags(meter, &tracer)
    }),
    Case::new("buffered: tree of 10, 3 tags each", 20, |meter| {
        let (tracer, _closer) = with_tail_sampling()?;
        meter.run(&tracer, || tree(&tracer))
    }),
    Case::new("retained: tree of 10, 3 tags each", 20, |meter| {
        let (tracer, _closer) = with_tail_sampling()?;
        meter.run(&tracer, || {
            let root = tracer.start_span("GET /orders");
            let _active = root.activate();
            tree(&tracer);
            root.set_tag("error", true);
        })
    }),
    Case::new("inject + extract (HTTP headers)", 200, |meter| {
        let (tracer, _closer) = tracer(true)?;
        let context = tracer.start_span("GET /orders").context();
        let mut headers = HeaderMap::new();
        meter.run(&tracer, || {
            tracer.inject(&context, &mut headers);
            let _extracted = black_box(tracer.extract(&headers));
        })
    })
    .within(2_000, 2_000, 0)
    .in_time(2, 300),
];

// The work of several cases, in one place: a second copy would be compiled differently.

fn by_name(meter: &mut Meter, tracer: &Tracer) -> Outcome<()> {
    meter.run(tracer, || drop(black_box(tracer.start_span("GET /orders"))))
}

fn root_with_tags(meter: &mut Meter, tracer: &Tracer) -> Outcome<()> {
    meter.run(tracer, || three_tags(&tracer.start_span("GET /orders")))
}

fn child_with_log(meter: &mut Meter, tracer: &Tracer) -> Outcome<()> {
    let parent = tracer.start_span("GET /orders");
    meter.run(tracer, || {
        let span = tracer.span("SELECT").child_of(&parent).start();
        three_tags(&span);
        span.log(&[("event", "cache miss".into()), ("key", black_box(42).into())]);
    })
}

fn three_tags(span: &Span) {
    span.set_tag("http.method", "GET");
    span.set_tag("http.status_code", black_box(200));
    span.set_tag("error", false);
}

fn tags_of_slice(code: i64) -> [(&'static str, TagValue<'static>); 3] {
    [("http.method", "GET".into()), ("http.status_code", code.into()), ("error", false.into())]
}

fn tags_at_once(span: &Span) {
    span.set_tags(&tags_of_slice(black_box(200)));
}

/// A root, three children, and two grandchildren below each.
fn tree(tracer: &Tracer) {
    let below = |parent: &Span| {
        let span = tracer.span("SELECT").child_of(parent).start();
        three_tags(&span);
        span
    };
    let root = tracer.start_span("GET /orders");
    three_tags(&root);
    for _ in 0..3 {
        let child = below(&root);
        for _ in 0..2 {
            drop(below(&child));
        }
    }
}

fn owned_tags(span: &mut OwnedSpan) {
    span.set_tag("http.method", "GET");
    span.set_tag("http.status_code", black_box(200));
    span.set_tag("error", false);
}

/// The same tree, made of spans with one owner.
fn owned_tree(tracer: &Tracer) {
    let below = |parent: &OwnedSpan| {
        let mut span = tracer.span("SELECT").child_of(parent).start_owned();
        owned_tags(&mut span);
        span
    };
    let mut root = tracer.start_owned_span("GET /orders");
    owned_tags(&mut root);
    for _ in 0..3 {
        let child = below(&root);
        for _ in 0..2 {
            drop(below(&child));
        }
    }
}

/// One that has been told what to do.
fn remote(response: &'static str) -> Outcome<RemoteSampler> {
    #[derive(Debug)]
    struct FixedStrategy(&'static str);

    impl StrategySource for FixedStrategy {
        fn fetch(&self, _service_name: &str) -> Result<Vec<u8>, FetchError> {
            Ok(self.0.as_bytes().to_vec())
        }
    }

    let sampler = RemoteSampler::builder("contracts").source(FixedStrategy(response)).build()?;
    sampler.refresh();
    Ok(sampler)
}

fn tracer(sampled: bool) -> Outcome<(Tracer, Closer)> {
    sampled_by(ConstSampler::new(sampled))
}

fn sampled_by(sampler: impl Sampler + 'static) -> Outcome<(Tracer, Closer)> {
    Ok(builder(sampler).build()?)
}

fn with_metrics(sampler: impl Sampler + 'static) -> Outcome<(Tracer, Closer)> {
    Ok(builder(sampler).metrics(InMemoryMetrics::new()).build()?)
}

/// A tracer that samples nothing, and retains traces with errors.
fn with_tail_sampling() -> Outcome<(Tracer, Closer)> {
    Ok(builder(ConstSampler::new(false)).tail_sampling(TailSamplingConfig::default()).build()?)
}

fn builder(sampler: impl Sampler + 'static) -> TracerBuilder {
    Tracer::builder("contracts")
        .sampler(sampler)
        .transport(Discard)
        .flush_interval(Duration::from_secs(3_600))
}

/// A transport that accepts every message, so that only the client is measured.
#[derive(Debug)]
struct Discard;

impl Transport for Discard {
    fn send(&mut self, _message: &[u8]) -> Result<Sent, TransportError> {
        Ok(Sent::OK)
    }
}
