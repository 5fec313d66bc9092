//! A span is the same however it leaves: written straight into a datagram, or kept in memory.
//!
//! The two ways share little: one writes what was encoded beforehand, the other makes a view of
//! the parts. Whatever is done to spans, both must tell of them alike, and the agent's reader must
//! understand it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::random::moment;
use crate::support::read::{Span as Finished, finished};
use crate::support::transport::limited;
use crate::support::{SOON, Seeded, builder};
use jaeger_client::sampler::{ConstSampler, PrioritySampler, TagMatchingSampler};
use jaeger_client::{
    Closer, FinishOptions, InMemoryReporter, LogRecord, ManualClock, Scope, Span, SpanContext,
    SpanId, TagValue, TraceId, Tracer, TracerBuilder,
};

/// A tracer, and the spans of it that are under way.
struct Side {
    tracer: Tracer,
    clock: Arc<ManualClock>,
    spans: Vec<Option<Span>>,
    contexts: Vec<SpanContext>,
    _closer: Closer,
}

const PLACES: usize = 8;
const STEPS: u64 = 400;

fn configured(seed: u64, clock: &Arc<ManualClock>) -> TracerBuilder {
    let mut random = Seeded::new(seed);
    let builder = builder().clock(Arc::clone(clock)).trace_id_128bit(random.below(2) == 0);
    let builder = builder.max_logs_per_span(random.pick([0, 0, 1, 3]));
    match random.below(4) {
        0 => builder.sampler(ConstSampler::new(false)),
        1 => {
            let by_tag = TagMatchingSampler::new("tenant").matching("acme").matching_firehose(42);
            let sampler = PrioritySampler::new().then(by_tag).then(ConstSampler::new(false));
            builder.sampler(sampler.build().unwrap())
        }
        _ => builder.sampler(ConstSampler::new(true)),
    }
}

impl Side {
    fn new(seed: u64, finish: impl FnOnce(TracerBuilder) -> TracerBuilder) -> Self {
        let clock = Arc::new(ManualClock::new());
        clock.advance(Duration::from_secs(1));
        let (tracer, closer) = finish(configured(seed, &clock)).build().unwrap();
        let spans = std::iter::repeat_with(|| None).take(PLACES).collect();
        Self { tracer, clock, spans, contexts: Vec::new(), _closer: closer }
    }

    fn reference(&self, random: &mut Seeded) -> Option<Reference<'_>> {
        let place = random.below(PLACES as u64) as usize;
        let remote =
            |flags| SpanContext::new(TraceId::new(0, 77), SpanId::new(78), SpanId::new(79), flags);
        match random.below(7) {
            0 => Some(Reference::Context(remote(random.pick([0, 1, 3, 9])))),
            1 => Some(Reference::Context(SpanContext::default().with_baggage_item("who", "me"))),
            2 => {
                let context = self.contexts.last().cloned();
                context.map(Reference::Context)
            }
            3 => None,
            _ => self.spans[place].as_ref().map(Reference::Span),
        }
    }

    fn step(&mut self, random: &mut Seeded) {
        self.clock.advance(Duration::from_micros(random.below(50)));
        let place = random.below(PLACES as u64) as usize;
        match random.below(24) {
            0..=2 => self.spans[place] = Some(self.tracer.start_span(random.pick(NAMES))),
            3..=8 => {
                let span = self.build(random);
                self.spans[place] = Some(span);
            }
            9 => self.spans[place] = None,
            10 => {
                let other = random.below(PLACES as u64) as usize;
                self.spans[other] = self.spans[place].clone();
            }
            11 => {
                if let Some(span) = &self.spans[place] {
                    self.contexts.push(span.context());
                }
            }
            12 => self.contexts.clear(),
            step => {
                if let Some(span) = &self.spans[place] {
                    write(&self.tracer, span, step, random);
                }
            }
        }
    }

    fn build(&self, random: &mut Seeded) -> Span {
        let scope: Option<Scope> = match random.below(4) {
            0 => self.spans[random.below(PLACES as u64) as usize].as_ref().map(Span::activate),
            _ => None,
        };
        let mut builder = self.tracer.span(random.pick(NAMES));
        for _ in 0..random.below(4) {
            builder = match (self.reference(random), random.below(2) == 0) {
                (Some(Reference::Span(span)), true) => builder.child_of(span),
                (Some(Reference::Span(span)), false) => builder.follows_from(span),
                (Some(Reference::Context(context)), true) => builder.child_of(context),
                (Some(Reference::Context(context)), false) => builder.follows_from(context),
                (None, _) => builder,
            };
        }
        for _ in 0..random.below(4) {
            let text = "t".repeat(random.below(400) as usize);
            let (key, value) = any_tag(&text, random);
            builder = builder.tag(key, value);
        }
        if random.below(12) == 0 {
            builder = builder.self_reference(SpanContext::new(
                TraceId::new(3, 4),
                SpanId::new(5),
                SpanId::new(random.below(2)),
                random.pick([0, 1]),
            ));
        }
        if random.below(8) == 0 {
            builder = builder.start_time(moment(random));
        }
        if random.below(8) == 0 {
            builder = builder.ignore_active_span();
        }
        let span = builder.start();
        drop(scope);
        span
    }
}

enum Reference<'s> {
    Span(&'s Span),
    Context(SpanContext),
}

const NAMES: [&str; 4] = ["op", "", "GET /a/rather/long/name/of/an/operation/with/more", "x"];

fn any_tag<'t>(text: &'t str, random: &mut Seeded) -> (&'static str, TagValue<'t>) {
    let number = random.next();
    let value = match random.below(7) {
        0 => TagValue::Bool(number.is_multiple_of(2)),
        1 => TagValue::I64((number >> (number % 64)) as i64),
        2 => TagValue::U64(number),
        3 => TagValue::F64(number as f64 / 3.0),
        4 => TagValue::Bytes(text.as_bytes()),
        _ => TagValue::Str(&text[..text.len().min((number % 500) as usize)]),
    };
    match random.below(12) {
        0 => ("sampling.priority", TagValue::I64((number % 2) as i64)),
        1 => ("tenant", TagValue::Str("acme")),
        2 => ("tenant", TagValue::I64(42)),
        3 => ("a key that is longer than what is copied by a few moves", value),
        4 => ("", value),
        5 => ("seventeen letters", value),
        _ => ("key", value),
    }
}

fn write(tracer: &Tracer, span: &Span, step: u64, random: &mut Seeded) {
    let text = "v".repeat(random.below(300) as usize);
    match step {
        13..=16 => {
            let (key, value) = any_tag(&text, random);
            span.set_tag(key, value);
        }
        17..=18 => {
            let fields: Vec<_> = (0..random.below(17)).map(|_| any_tag(&text, random)).collect();
            match random.below(3) {
                0 => span.log_at(moment(random), &fields),
                _ => span.log(&fields),
            };
        }
        19 => {
            span.set_baggage_item(random.pick(["a", "b"]), random.pick(["", "1", &text]));
        }
        20 => {
            span.set_operation_name(random.pick(NAMES));
        }
        21 => {
            let child = tracer.span("child").child_of(span).start();
            child.set_tag("n", 1);
        }
        22 => match random.below(3) {
            0 => span.finish_at(moment(random)),
            1 => {
                let fields = [any_tag(&text, random)];
                let log = LogRecord { timestamp: moment(random), fields: &fields };
                span.finish_with(FinishOptions { log_records: &[log], ..Default::default() });
            }
            _ => span.finish(),
        },
        _ => span.finish(),
    }
}

/// Ids by the order of their appearance: they are drawn for each tracer anew.
#[derive(Default)]
struct Renamed(HashMap<u64, u64>);

impl Renamed {
    fn id(&mut self, id: u64) -> u64 {
        let next = 1_000_000 + self.0.len() as u64;
        if id < 1_000 { id } else { *self.0.entry(id).or_insert(next) }
    }

    fn all(&mut self, spans: Vec<Finished>) -> Vec<Finished> {
        let mut one = |mut span: Finished| {
            span.trace = (self.id(span.trace.0), self.id(span.trace.1));
            (span.id, span.parent) = (self.id(span.id), self.id(span.parent));
            for (_, trace, id) in &mut span.references {
                *trace = (self.id(trace.0), self.id(trace.1));
                *id = self.id(*id);
            }
            span
        };
        spans.into_iter().map(&mut one).collect()
    }
}

#[test]
fn law_a_span_is_the_same_in_a_datagram_and_in_memory() {
    let mut spans = 0;
    for seed in 1..=60 {
        let memory = InMemoryReporter::new();
        let (transport, taken) = limited(65_000);
        let mut retained = Side::new(seed, |builder| builder.in_memory(&memory));
        let mut sent = Side::new(seed, |builder| builder.transport(transport));
        for side in [&mut retained, &mut sent] {
            let mut random = Seeded::new(seed + 1_000);
            (0..STEPS).for_each(|_| side.step(&mut random));
            side.spans.clear();
        }
        let report = sent.tracer.flush(SOON);
        assert!(report.complete, "seed {seed}: {report}");
        let (retained, sent) = (finished(&memory), taken.spans());
        let (retained, sent) = (Renamed::default().all(retained), Renamed::default().all(sent));
        assert_eq!(retained.len(), sent.len(), "seed {seed}");
        for (number, (retained, sent)) in retained.iter().zip(&sent).enumerate() {
            assert_eq!(retained, sent, "seed {seed}, span {number}");
        }
        spans += sent.len();
    }
    assert!(spans > 2_000, "{spans} spans are few");
}

#[test]
fn law_datagrams_can_be_read_whatever_threads_do_to_the_same_spans() {
    for seed in 1..=8 {
        let (transport, taken) = limited(65_000);
        let clock = Arc::new(ManualClock::new());
        let (tracer, closer) =
            configured(seed, &clock).shards(2).transport(transport).build().unwrap();
        let spans: Vec<_> = (0..4).map(|_| Mutex::new(tracer.start_span("op"))).collect();
        thread::scope(|scope| {
            for thread in 0..4 {
                let (tracer, spans, clock) = (&tracer, &spans, &clock);
                scope.spawn(move || {
                    let mut random = Seeded::new(seed * 10 + thread);
                    for _ in 0..2_000 {
                        clock.advance(Duration::from_nanos(random.below(2_000)));
                        let place = random.below(4) as usize;
                        let handle = || spans[place].lock().unwrap().clone();
                        match random.below(12) {
                            0 => {
                                let span = tracer.start_span(random.pick(NAMES));
                                drop(std::mem::replace(&mut *spans[place].lock().unwrap(), span));
                            }
                            1 => {
                                let span = tracer.span("child").child_of(&handle()).start();
                                let before =
                                    std::mem::replace(&mut *spans[place].lock().unwrap(), span);
                                drop(before);
                            }
                            _ => {
                                let step = 13 + random.below(10);
                                write(tracer, &handle(), step, &mut random);
                            }
                        }
                    }
                });
            }
        });
        drop(spans);
        let report = closer.close(SOON);
        let stats = report.stats;
        assert!(report.complete && stats.is_balanced(), "seed {seed}: {report}");
        assert_eq!((stats.open, stats.dropped.total()), (0, 0), "seed {seed}: {stats}");
        let read = taken.spans();
        assert_eq!(read.len() as u64, stats.sent, "seed {seed}");
        let ids: HashSet<_> = read.iter().map(|span| span.id).collect();
        assert!(ids.len() == read.len() && !ids.contains(&0), "seed {seed}: a span twice");
    }
}
