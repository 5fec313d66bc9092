//! Random tracers, contexts and tags, of all kinds that make spans take other paths.

use std::collections::HashMap;
use std::mem::forget;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::{Seeded, builder};
use jaeger_client::policy::DebugThrottler;
use jaeger_client::propagation::{B3Format, W3cFormat};
use jaeger_client::sampler::{
    ConstSampler, Decision, ParentDecision, PrioritySampler, Sampler, SamplingParameters,
    TagMatchingSampler,
};
use jaeger_client::{
    HeadersConfig, SpanContext, SpanId, TagValue, TailSamplingConfig, TraceId, Tracer,
    TracerBuilder,
};

pub(super) const KINDS: u64 = 17;

#[derive(Debug)]
struct ByName(bool);

impl Sampler for ByName {
    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        let sample = span.operation_name().len() % 3 != 0;
        if sample {
            span.set_tag("by.name", "a rather long text that is one");
        }
        let decision = Decision::new(sample);
        if span.operation_name() == "x" { decision.with_firehose() } else { decision }
    }

    fn decides_on_join(&self) -> bool {
        self.0
    }

    fn on_join(
        &self,
        span: &mut SamplingParameters<'_>,
        parent: ParentDecision,
    ) -> Option<Decision> {
        (!parent.is_debug && span.operation_name() != "op").then(|| self.on_create_span(span))
    }
}

#[derive(Debug)]
struct Alternates(AtomicU64);

impl DebugThrottler for Alternates {
    fn is_allowed(&self, _operation: &str) -> bool {
        !self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(3)
    }
}

pub(super) fn configured(kind: u64) -> TracerBuilder {
    let sampled = |sample| builder().sampler(ConstSampler::new(sample));
    match kind {
        0 | 1 => sampled(true),
        2 | 3 => sampled(false),
        4 => sampled(false).tail_sampling(TailSamplingConfig {
            slower_than: None,
            ..TailSamplingConfig::default()
        }),
        5 => {
            let by_tag = TagMatchingSampler::new("tenant").matching("acme").matching_firehose(42);
            let sampler = PrioritySampler::new().then(by_tag).then(ConstSampler::new(false));
            builder().sampler(sampler.build().unwrap())
        }
        6 => sampled(true).max_logs_per_span(3),
        7 => sampled(true).max_tag_value_length(10).mark_truncated_tags(true),
        8 => sampled(true).zipkin_shared_rpc_span(true),
        9 => sampled(false).max_tag_value_length(33).trace_id_128bit(true),
        10 => sampled(true).no_debug_flag_on_forced_sampling(true),
        11 => builder().sampler(ByName(false)),
        12 => builder().sampler(ByName(true)),
        13 => sampled(false).debug_throttler(Alternates(AtomicU64::new(0))),
        14 => sampled(true)
            .max_tag_value_length(10)
            .tail_sampling(TailSamplingConfig::default())
            .debug_throttler(Alternates(AtomicU64::new(0))),
        15 => builder().sampler(ByName(true)).tail_sampling(TailSamplingConfig::default()),
        _ => sampled(true).max_tag_value_length(31),
    }
}

pub(super) const NAMES: [&str; 4] =
    ["op", "", "GET /a/rather/long/name/of/an/operation/with/more", "x"];
const KEYS: [&str; 6] = ["a", "tenant", "error", "seventeen letters", "span.kind", LONG_KEY];
const LONG_KEY: &str = "a key that is longer than sixty-three bytes, of which there are not many";
const TEXTS: [&str; 7] = [
    "",
    "acme",
    "server",
    "true",
    "exactly ten and a few more, 33 by",
    "žluťoučký kůň",
    "a value that is longer than what is copied by a few moves, and so is not short any more",
];

static B3: LazyLock<Tracer> = LazyLock::new(|| {
    let (tracer, closer) =
        builder().format(B3Format::new("baggage-")).null_reporter().build().unwrap();
    forget(closer);
    tracer
});
static W3C: LazyLock<Tracer> = LazyLock::new(|| {
    let format = W3cFormat::new(&HeadersConfig::default());
    let (tracer, closer) = builder().format(format).null_reporter().build().unwrap();
    forget(closer);
    tracer
});

fn extracted(tracer: &Tracer, headers: &[(&str, &str)]) -> SpanContext {
    let headers: HashMap<String, String> =
        headers.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    tracer.extract(&headers).unwrap()
}

pub(super) fn remote(random: &mut Seeded) -> SpanContext {
    let flags = random.pick([0, 1, 3, 9, 0x41, 0x81]);
    let context = SpanContext::new(TraceId::new(0, 77), SpanId::new(78), SpanId::new(79), flags);
    match random.below(10) {
        0 => context.with_baggage_item("who", "me"),
        1 => SpanContext::default().with_baggage_item("who", "you"),
        2 => extracted(&B3, &[("x-b3-traceid", "51"), ("x-b3-spanid", "52")]),
        3 => extracted(&B3, &[("x-b3-sampled", random.pick(["0", "1"]))]),
        4 => extracted(
            &W3C,
            &[
                ("traceparent", "00-00000000000000000000000000000063-0000000000000064-01"),
                ("tracestate", "vendor=value"),
            ],
        ),
        5 => extracted(&W3C, &[("jaeger-debug-id", "dbg")]),
        6 => SpanContext::default(),
        _ => context,
    }
}

fn any_value<'t>(text: &'t str, random: &mut Seeded) -> TagValue<'t> {
    let number = random.next();
    match random.below(9) {
        0 => TagValue::Bool(number.is_multiple_of(2)),
        1 => TagValue::I64((number >> (number % 64)) as i64),
        2 => TagValue::U64(number),
        3 => TagValue::F64(random.pick([0.5, f64::NAN, 1e300])),
        4 => TagValue::Bytes(text.as_bytes()),
        5 => TagValue::I64(42),
        _ => TagValue::Str(text),
    }
}

pub(super) fn any_tag<'t>(random: &mut Seeded) -> (&'static str, TagValue<'t>) {
    let value = any_value(random.pick(TEXTS), random);
    match random.below(12) {
        0 => ("sampling.priority", TagValue::I64(random.below(2) as i64)),
        1 => ("sampling.priority", value),
        _ => (random.pick(KEYS), value),
    }
}
