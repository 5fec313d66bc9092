//! A span with one owner: what is done to it has the effect that it has on any other span.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::random::{moment, remote};
use crate::support::{Seeded, builder, memory_logger};
use jaeger_client::sampler::{ConstSampler, PrioritySampler, TagMatchingSampler};
use jaeger_client::{
    Closer, EncodedFields, FinishOptions, IdGenerator, InMemoryReporter, LogRecord, ManualClock,
    Observer, OwnedSpan, Span, SpanContext, SpanFinish, SpanId, SpanObserver, StartSpanOptions,
    TagKey, TagValue, TailSamplingConfig, TraceId, Tracer, TracerBuilder,
};

/// A span of either kind.
enum Either {
    Shared(Span),
    Owned(OwnedSpan),
}

/// Calls the same method of either.
macro_rules! call {
    ($span:expr, $method:ident($($argument:expr),*)) => {
        match $span {
            Either::Shared(span) => { let _ = span.$method($($argument),*); }
            Either::Owned(span) => { let _ = span.$method($($argument),*); }
        }
    };
}

/// Reads the same of either.
macro_rules! read {
    ($span:expr, $method:ident($($argument:expr),*)) => {
        match $span {
            Either::Shared(span) => span.$method($($argument),*),
            Either::Owned(span) => span.$method($($argument),*),
        }
    };
}

/// What observers and callbacks are notified of.
#[derive(Clone, Debug, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

/// Notes all calls, and panics or keeps a handle at some.
#[derive(Clone, Debug)]
struct Noting {
    calls: Calls,
    panics: bool,
    handles: Option<Arc<Mutex<Vec<Span>>>>,
}

impl Observer for Noting {
    fn on_start_span(
        &self,
        span: &Span,
        operation: &str,
        options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        self.calls.note(format!("start {operation} {}", options.tags().count()));
        if let Some(handles) = &self.handles {
            let mut handles = handles.lock().unwrap();
            handles.push(span.clone());
            let before = handles.len().saturating_sub(3);
            let _ended: Vec<_> = handles.drain(..before).collect();
        }
        Some(Box::new(self.clone()))
    }
}

impl SpanObserver for Noting {
    fn on_set_operation_name(&self, _span: &Span, name: &str) {
        self.calls.note(format!("name {name}"));
    }

    fn on_set_tag(&self, _span: &Span, key: &str, value: TagValue<'_>) {
        self.calls.note(format!("tag {key} {value:?}"));
        assert!(!(self.panics && key == "bool"), "an observer that panics");
    }

    fn on_finish(&self, span: &Span, finish: &SpanFinish) {
        self.calls.note(format!("finish {:?}", finish.duration));
        span.set_tag("at the end", true);
        assert!(!self.panics, "an observer that panics");
    }
}

#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl IdGenerator for Counting {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

const KINDS: u64 = 11;

fn configured(kind: u64, calls: &Calls) -> TracerBuilder {
    let noting = |panics, handles| Noting { calls: calls.clone(), panics, handles };
    let sampled = |sample| builder().sampler(ConstSampler::new(sample));
    match kind {
        0 => sampled(true),
        1 => sampled(false),
        2 => sampled(false).tail_sampling(TailSamplingConfig::default()),
        3 => {
            let by_tag = TagMatchingSampler::new("tenant").matching("acme").matching_firehose(42);
            let sampler = PrioritySampler::new().then(by_tag).then(ConstSampler::new(false));
            builder().sampler(sampler.build().unwrap())
        }
        4 => sampled(true).observer(noting(false, None)),
        5 => sampled(true).observer(noting(true, None)),
        6 => sampled(false).observer(noting(false, Some(Arc::default()))),
        7 => sampled(true).max_logs_per_span(2),
        8 => sampled(true).max_tag_value_length(10).track_open_spans(2),
        9 => sampled(true).trace_id_128bit(true),
        _ => sampled(true).observer(noting(false, Some(Arc::default()))),
    }
}

struct Side {
    owned: bool,
    tracer: Tracer,
    closer: Option<Closer>,
    clock: Arc<ManualClock>,
    memory: InMemoryReporter,
    calls: Calls,
    spans: Vec<Option<Either>>,
    handles: Vec<Span>,
}

const PLACES: u64 = 5;
const TEXTS: [&str; 4] =
    ["", "short", "longer than some limit", "\u{17e}lu\u{165}ou\u{10d}k\u{fd}"];
const KEYS: [&str; 5] = ["a", "tenant", "http.status_code", "error", "sixteen letters."];
const NAMES: [&str; 3] = ["get", "GET /orders/of/a/customer/with/a/long/name", ""];

impl Side {
    fn new(kind: u64, owned: bool) -> Self {
        let (memory, calls) = (InMemoryReporter::new(), Calls::default());
        let clock = Arc::new(ManualClock::new());
        clock.advance(Duration::from_secs(1));
        let builder = configured(kind, &calls).logger(memory_logger()).clock(Arc::clone(&clock));
        let builder = builder.id_generator(Counting::default()).in_memory(&memory);
        let (tracer, closer) = builder.build().unwrap();
        let spans = std::iter::repeat_with(|| None).take(PLACES as usize).collect();
        let (closer, handles) = (Some(closer), Vec::new());
        Self { owned, tracer, closer, clock, memory, calls, spans, handles }
    }

    fn start(&self, random: &mut Seeded) -> Either {
        let name = random.pick(NAMES);
        let parent = self.spans[random.below(PLACES) as usize].as_ref();
        match (random.below(4), parent) {
            (0, _) if self.owned => Either::Owned(self.tracer.start_owned_span(name)),
            (0, _) => Either::Shared(self.tracer.start_span(name)),
            (1, Some(Either::Shared(parent))) => Either::Shared(parent.child(name)),
            (1, Some(Either::Owned(parent))) => Either::Owned(parent.child(name)),
            (step, parent) => {
                let builder = self.tracer.span(name);
                let builder = match parent.filter(|_| step > 0) {
                    Some(Either::Shared(parent)) => builder.child_of(parent),
                    Some(Either::Owned(parent)) => builder.child_of(parent),
                    None => builder.child_of(remote(random)),
                };
                let builder = builder.tag(random.pick(KEYS), random.pick(TEXTS)).tag("n", 7);
                if self.owned {
                    Either::Owned(builder.start_owned())
                } else {
                    Either::Shared(builder.start())
                }
            }
        }
    }

    fn step(&mut self, random: &mut Seeded) {
        self.clock.advance(Duration::from_micros(random.below(50)));
        let place = random.below(PLACES) as usize;
        if self.spans[place].is_none() {
            self.spans[place] = Some(self.start(random));
        }
        let Some(span) = &mut self.spans[place] else { return };
        let at = moment(random);
        let (key, text) = (random.pick(KEYS), random.pick(TEXTS));
        match random.below(40) {
            0..=3 => call!(span, set_tag(key, text)),
            4..=5 => call!(span, set_tag(key, random.below(300))),
            6..=7 => call!(span, set_tag("bool", random.below(2) == 0)),
            8 => call!(span, set_tag(key, 1.5)),
            9 => call!(span, set_tag(key, &[1_u8, 2, 255][..])),
            10 => call!(span, set_tag("sampling.priority", random.below(2))),
            11 => call!(span, set_tag("sampling.priority", text)),
            12 => call!(span, set_tag(key, "x".repeat(400))),
            13..=14 => call!(span, log(&[("event", text.into()), ("n", 1.into())])),
            15 => call!(span, log(&[("f", 0.5.into()), ("b", true.into())])),
            16 => call!(span, log_at(at, &[("event", text.into())])),
            17 => call!(span, log_event(text)),
            18 => call!(span, record_error(&std::io::Error::other(text))),
            19 => call!(span, set_operation_name(random.pick(NAMES))),
            20 => call!(span, set_baggage_item(key, text)),
            21 => call!(span, replace_tag(key, text)),
            22 => call!(span, set_start_time(at)),
            23 => call!(span, add_follows_from(remote(random))),
            24 => {
                let calls = self.calls.clone();
                let callback = move |span: &Span| calls.note(format!("end {}", span.is_sampled()));
                call!(span, on_finish(callback));
            }
            25 => call!(span, retain_trace()),
            26 => call!(span, enable_firehose()),
            27 => {
                let context = read!(span, context());
                self.calls.note(format!("{context} {:?}", read!(span, baggage_item(key))));
                let state = (read!(span, tags()), read!(span, start_time()));
                self.calls.note(format!("{state:?} {}", read!(span, operation_name())));
                let is = (read!(span, is_sampled()), read!(span, is_recording()));
                self.calls.note(format!("{is:?} {:?}", read!(span, tag(key))));
            }
            28 => self.handles.push(match span {
                Either::Shared(span) => span.clone(),
                Either::Owned(span) => span.share(),
            }),
            29 => {
                if let Some(handle) = self.handles.pop() {
                    handle.set_tag("by another", 1);
                }
            }
            30 => {
                // What is done to its span afterwards is misuse.
                if let Some(handle) = self.handles.pop() {
                    handle.finish();
                }
            }
            31 => {
                call!(span, set_tags(&[(key, text.into()), ("n", 0.5.into()), ("b", true.into())]))
            }
            32 => call!(span, set_keyed_tag(&TagKey::new(key), text)),
            33 => call!(span, set_keyed_tag(&TagKey::new("sampling.priority"), random.below(2))),
            34 => call!(span, set_finish_time(at)),
            35..=36 => {
                let mut fields = EncodedFields::new();
                fields.push_named(key, text);
                fields.push_named("n", 1);
                call!(span, log_encoded(&fields));
            }
            _ => {
                if let Some(span) = self.spans[place].take() {
                    self.spans[place] = self.end(span, random);
                }
            }
        }
    }

    /// Ends a span; returns the one that goes on in its place.
    fn end(&self, span: Either, random: &mut Seeded) -> Option<Either> {
        let at = moment(random);
        let log_records = [LogRecord { timestamp: at, fields: &[("event", "late".into())] }];
        let options = FinishOptions { log_records: &log_records, ..FinishOptions::default() };
        let parent = remote(random);
        match (random.below(6), span) {
            (0, Either::Shared(span)) => span.finish(),
            (0, Either::Owned(span)) => span.finish(),
            (1, Either::Shared(span)) => span.finish_at(at),
            (1, Either::Owned(span)) => span.finish_at(at),
            (2, Either::Shared(span)) => span.finish_with(options),
            (2, Either::Owned(span)) => span.finish_with(options),
            (3, Either::Shared(span)) => {
                let next = span.restart_as_child_of(parent).unwrap_or(span);
                return Some(Either::Shared(next));
            }
            (3, Either::Owned(span)) => {
                return Some(Either::Owned(span.restart_as_child_of(parent)));
            }
            (4, Either::Owned(span)) => drop(span.into_shared()),
            (_, span) => drop(span),
        }
        None
    }
}

#[test]
fn law_whatever_is_done_an_owned_span_has_the_effect_of_a_shared_one() {
    for seed in 0..KINDS * 30 {
        let (kind, steps) = (seed % KINDS, 300);
        let mut sides = [false, true].map(|owned| Side::new(kind, owned));
        let mut random = [(); 2].map(|()| Seeded::new(seed + 1));
        for step in 0..steps {
            for (side, random) in sides.iter_mut().zip(&mut random) {
                side.step(random);
                if step == steps - 20 {
                    drop(side.closer.take());
                }
            }
            let [shared, owned] = sides.each_ref().map(|side| side.tracer.stats());
            assert_eq!(shared, owned, "kind {kind}, seed {seed}, step {step}");
        }
        for side in &mut sides {
            side.spans.clear();
            side.handles.clear();
        }
        let [shared, owned] = &sides;
        assert_eq!(shared.memory.spans(), owned.memory.spans(), "kind {kind}, seed {seed}");
        let calls = [shared, owned].map(|side| side.calls.0.lock().unwrap().clone());
        assert_eq!(calls[0], calls[1], "kind {kind}, seed {seed}");
        let stats = [shared, owned].map(|side| side.tracer.stats());
        assert_eq!(stats[0], stats[1], "kind {kind}, seed {seed}");
        assert!(stats[0].is_balanced() && stats[0].started > 10, "{:?}", stats[0]);
    }
}

#[test]
fn a_span_that_is_shared_lives_until_its_last_handle_is_dropped_or_it_is_finished() {
    let memory = InMemoryReporter::new();
    let (tracer, _closer) = builder().in_memory(&memory).build().unwrap();
    let mut span = tracer.start_owned_span("kept");
    let handle = span.share();
    span.set_tag("a", 1);
    drop(span);
    assert_eq!(tracer.stats().open, 1, "the handle is left");
    handle.set_tag("b", 2);
    drop(handle);
    let span = tracer.start_owned_span("finished");
    let handle = span.share();
    span.finish();
    assert_eq!(tracer.stats().open, 0);
    handle.set_tag("late", true);
    assert_eq!(tracer.stats().misused, 1);
    let tags: Vec<_> = memory.spans().iter().map(|span| span.view().tags().count()).collect();
    assert_eq!(tags, [2 + SAMPLER_TAGS, SAMPLER_TAGS]);
}

const SAMPLER_TAGS: usize = 2;

#[test]
fn a_span_moves_to_another_thread_and_its_children_are_started_by_its_tracer_there() {
    let memory = InMemoryReporter::new();
    let (tracer, _closer) = builder().in_memory(&memory).build().unwrap();
    let parent = tracer.start_owned_span("parent");
    let id = parent.context().span_id();
    thread::spawn(move || {
        let mut child = parent.child("child");
        child.set_tag("a", 1);
        parent.finish();
    })
    .join()
    .unwrap();
    let spans = memory.spans();
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[1].view().parent_span_id, id);
    assert_eq!(tracer.stats().open, 0);
}

#[test]
fn a_span_that_unwinds_is_finished() {
    let memory = InMemoryReporter::new();
    let (tracer, _closer) = builder().in_memory(&memory).build().unwrap();
    let unwinding = thread::spawn({
        let tracer = tracer.clone();
        move || {
            let mut span = tracer.start_owned_span("fails");
            span.set_tag("a", 1);
            std::panic::resume_unwind(Box::new("gone"));
        }
    });
    assert!(unwinding.join().is_err());
    assert_eq!(memory.spans()[0].view().operation_name(), "fails");
    assert_eq!((tracer.stats().open, tracer.stats().finished), (0, 1));
}

#[test]
fn a_span_has_a_tracer_until_the_tracer_is_dropped_and_then_does_nothing() {
    let (tracer, closer) = builder().null_reporter().build().unwrap();
    let span = tracer.start_owned_span("op");
    span.tracer().unwrap().start_owned_span("by the same").finish();
    assert_eq!(tracer.stats().started, 2);
    drop((tracer, closer));
    assert!(span.tracer().is_none());
    let mut none = OwnedSpan::none();
    none.set_tag("a", 1).log_event("x").set_finish_time(moment(&mut Seeded::new(1)));
    assert!(none.tracer().is_none() && !none.child("below").context().is_valid());
    none.finish();
}

#[test]
fn a_span_of_a_disabled_tracer_forwards_the_context_of_its_caller() {
    let tracer = Tracer::disabled();
    let caller = SpanContext::new(TraceId::new(0, 77), SpanId::new(78), SpanId::new(79), 1);
    let mut span = tracer.span("op").child_of(&caller).start_owned();
    span.set_tag("a", 1).log_event("x");
    assert_eq!(span.child("below").context().to_string(), caller.to_string());
    assert!(!tracer.start_owned_span("alone").context().is_valid());
}
