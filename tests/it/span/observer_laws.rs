//! Observers of finished spans alone: they see what observers see that follow each step.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::random::{moment, remote};
use crate::support::{Seeded, builder, memory_logger};
use jaeger_client::encoding::SpanView;
use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::sampler::{
    ConstSampler, PrioritySampler, RateLimitingSampler, TagMatchingSampler,
};
use jaeger_client::{
    Closer, FinishOptions, FinishedSpan, InMemoryReporter, LogRecord, ManualClock, ObservedSpan,
    Observer, ObserverInterest, OwnedTagValue, Span, SpanBuilder, SpanFinish, SpanObserver,
    StartSpanOptions, TagValue, TailSamplingConfig, Tracer, TracerBuilder,
};

const WANTED: [&str; 6] =
    ["a", "tenant", "error", "sampling.priority", "seventeen letters", LONG_KEY];
const LONG_KEY: &str = "a key that is longer than sixty-three bytes, of which there are not many";

/// What observers have seen of finished spans, one line a span.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn add(&self, span: &Summary, finish: (SystemTime, Duration), is_sampled: bool) {
        let (start, duration) = finish;
        let mut line = format!("{} {duration:?} {is_sampled}", span.name);
        if duration > Duration::ZERO {
            let since = start.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            write!(line, " from {since:?}").unwrap();
        }
        for key in WANTED {
            let values = span.tags.iter().filter(|(of, _)| of == key);
            let values: Vec<_> = values.map(|(_, value)| value).collect();
            let shown = if span.last_values { values.len().saturating_sub(1) } else { 0 };
            write!(line, " {key}={:?}", &values[shown..]).unwrap();
        }
        self.0.lock().unwrap().push(line);
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[derive(Debug, Default)]
struct Summary {
    name: String,
    tags: Vec<(String, OwnedTagValue)>,
    /// Whether only the last value of each tag is shown.
    last_values: bool,
}

/// Returns a value as it is sent.
fn sent(value: TagValue<'_>) -> OwnedTagValue {
    match value {
        TagValue::Str(text) => OwnedTagValue::Str(text.to_owned()),
        TagValue::Bool(boolean) => OwnedTagValue::Bool(boolean),
        TagValue::I64(number) => OwnedTagValue::I64(number),
        TagValue::U64(number) => OwnedTagValue::I64(number.cast_signed()),
        TagValue::F64(double) if double.is_nan() => OwnedTagValue::Str("NaN".to_owned()),
        TagValue::F64(double) => OwnedTagValue::F64(double),
        TagValue::Bytes(bytes) => OwnedTagValue::Bytes(bytes.to_vec()),
        other => panic!("{other:?}"),
    }
}

/// Follows each step of a span.
#[derive(Debug)]
pub(super) struct Follows(pub(super) Seen, pub(super) bool);

#[derive(Debug)]
struct FollowsSpan(Seen, Mutex<Summary>);

impl Observer for Follows {
    fn on_start_span(
        &self,
        _span: &Span,
        operation: &str,
        _options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        let name = operation.to_owned();
        let summary = Summary { name, last_values: self.1, ..Summary::default() };
        Some(Box::new(FollowsSpan(self.0.clone(), Mutex::new(summary))))
    }

    fn on_span_finished(&self, span: &ObservedSpan<'_>) {
        panic!("it has asked for everything: {span:?}");
    }
}

impl SpanObserver for FollowsSpan {
    fn on_set_operation_name(&self, _span: &Span, name: &str) {
        name.clone_into(&mut self.1.lock().unwrap().name);
    }

    fn on_set_tag(&self, _span: &Span, key: &str, value: TagValue<'_>) {
        self.1.lock().unwrap().tags.push((key.to_owned(), sent(value)));
    }

    fn on_finish(&self, _span: &Span, finish: &SpanFinish) {
        let start = finish.finish_time.checked_sub(finish.duration).unwrap();
        self.0.add(&self.1.lock().unwrap(), (start, finish.duration), finish.is_sampled);
    }
}

/// Observes finished spans alone.
#[derive(Debug)]
pub(super) struct SeesEnds(pub(super) Seen, pub(super) bool);

impl Observer for SeesEnds {
    fn interest(&self) -> ObserverInterest {
        ObserverInterest::finished_spans(WANTED)
    }

    fn on_start_span(
        &self,
        _span: &Span,
        operation: &str,
        _options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        panic!("it has not asked for the start of {operation}");
    }

    fn on_span_finished(&self, span: &ObservedSpan<'_>) {
        let tags = span.tags().map(|(key, value)| (key.to_owned(), sent(value))).collect();
        let name = span.operation_name().to_owned();
        let summary = Summary { name, tags, last_values: self.1 };
        for key in WANTED {
            let last = summary.tags.iter().rfind(|(of, _)| of == key).map(|(_, value)| value);
            assert_eq!(span.tag(key).map(sent).as_ref(), last, "{key}");
        }
        assert_eq!(span.tag("not wanted"), None);
        self.0.add(&summary, (span.start_time(), span.duration()), span.is_sampled());
    }
}

const KINDS: u64 = 12;

fn configured(kind: u64) -> TracerBuilder {
    let sampled = |sample| builder().sampler(ConstSampler::new(sample));
    match kind {
        0 => sampled(true),
        1 => sampled(false),
        2 => sampled(false).tail_sampling(TailSamplingConfig::default()),
        3 => {
            let by_tag = TagMatchingSampler::new("tenant").matching("acme");
            let sampler = PrioritySampler::new().then(by_tag).then(ConstSampler::new(false));
            builder().sampler(sampler.build().unwrap())
        }
        4 => builder().sampler(RateLimitingSampler::new(1_000.0).unwrap()),
        5 => sampled(true).max_logs_per_span(2),
        6 => sampled(true).max_tag_value_length(10).track_open_spans(2),
        7 => sampled(true).max_tag_value_length(10),
        8 => sampled(false).metrics(InMemoryMetrics::new()),
        9 => sampled(true).zipkin_shared_rpc_span(true),
        10 => sampled(false).max_tag_value_length(10).trace_id_128bit(true),
        _ => sampled(true).observer(Follows(Seen::default(), false)),
    }
}

struct Side {
    tracer: Tracer,
    /// Another tracer, whose spans join the same traces.
    other: Tracer,
    closers: Vec<Closer>,
    clock: Arc<ManualClock>,
    memory: InMemoryReporter,
    spans: Vec<Option<Span>>,
    handles: Vec<Span>,
    replaces: bool,
}

const PLACES: u64 = 5;
const TEXTS: [&str; 5] = ["", "acme", "short", "longer than some limit", "žluťoučký kůň"];
const KEYS: [&str; 7] =
    ["a", "b", "tenant", "error", "http.status_code", "seventeen letters", LONG_KEY];
const NAMES: [&str; 3] = ["get", "GET /orders/of/a/customer/with/a/long/name", ""];

impl Side {
    fn new(kind: u64, replaces: bool, observer: impl Observer + 'static) -> Self {
        let clock = Arc::new(ManualClock::new());
        clock.advance(Duration::from_secs(1));
        let memory = InMemoryReporter::new();
        let built =
            configured(kind).observer(observer).logger(memory_logger()).clock(Arc::clone(&clock));
        let (tracer, closer) = built.in_memory(&memory).build().unwrap();
        let other = builder().sampler(ConstSampler::new(true)).clock(Arc::clone(&clock));
        let (other, other_closer) = other.null_reporter().build().unwrap();
        let spans = std::iter::repeat_with(|| None).take(PLACES as usize).collect();
        let (closers, handles) = (vec![closer, other_closer], Vec::new());
        Self { tracer, other, closers, clock, memory, spans, handles, replaces }
    }

    fn start(&self, random: &mut Seeded) -> Span {
        let name = random.pick(NAMES);
        let parent = self.spans[random.below(PLACES) as usize].as_ref();
        match random.below(5) {
            0 => self.tracer.start_span(name),
            1 => self.tracer.start_owned_span(format!("{name} owned")).into_shared(),
            step => {
                let builder = self.tracer.span(name);
                let builder = match parent.filter(|_| step > 2) {
                    Some(parent) => builder.child_of(parent),
                    None if step == 2 => builder,
                    None => builder.child_of(remote(random)),
                };
                let builder = match random.below(6) {
                    0 => with_priority(builder, random),
                    1 => builder.tag("span.kind", "server"),
                    2 => builder.start_time(moment(random)),
                    _ => builder,
                };
                match random.below(3) {
                    0 => builder.start(),
                    1 => builder.tag(random.pick(KEYS), random.pick(TEXTS)).start(),
                    _ => builder
                        .tag(random.pick(KEYS), random.pick(TEXTS))
                        .tag(random.pick(KEYS), 7)
                        .start_owned()
                        .into_shared(),
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
        let Some(span) = &self.spans[place] else { return };
        let (key, text) = (random.pick(KEYS), random.pick(TEXTS));
        match random.below(34) {
            0..=4 => _ = span.set_tag(key, text),
            5..=6 => _ = span.set_tag(key, random.below(300)),
            7 => _ = span.set_tag(key, u64::MAX),
            8 => _ = span.set_tag(key, random.below(2) == 0),
            9 => _ = span.set_tag(key, random.pick([1.5, f64::NAN])),
            10 => _ = span.set_tag(key, &[1_u8, 2, 255][..]),
            11 => _ = span.set_tag("sampling.priority", 0),
            12 => _ = span.set_tag("sampling.priority", 1),
            13 => _ = span.set_tag("sampling.priority", text),
            14 => _ = span.set_tag(key, "x".repeat(400)),
            15..=16 => _ = span.set_tags(&[(key, text.into()), ("error", true.into())]),
            17 => _ = span.log(&[("event", text.into()), ("n", 1.into())]),
            18 => _ = span.record_error(&std::io::Error::other(text)),
            19 => _ = span.set_operation_name(random.pick(NAMES)),
            20 => _ = span.set_operation_name(format!("renamed {text}")),
            21 if self.replaces => _ = span.replace_tag(key, text),
            22 => _ = span.set_start_time(moment(random)),
            23 => {
                span.on_finish(|span| {
                    span.set_tag("b", 1);
                });
            }
            24 => _ = span.retain_trace(),
            25 => _ = span.set_finish_time(moment(random)),
            26 => {
                let child = self.other.span("of another tracer").child_of(span).start();
                child.set_tag("sampling.priority", random.below(2)).set_tag("a", "not its own");
            }
            27 => self.handles.push(span.clone()),
            28 => {
                if let Some(handle) = self.handles.pop() {
                    handle.set_tag(key, "by another handle");
                }
            }
            29 => {
                // What is done to its span afterwards is misuse.
                if let Some(handle) = self.handles.pop() {
                    handle.finish();
                }
            }
            _ => {
                if let Some(span) = self.spans[place].take() {
                    self.spans[place] = end(span, random);
                }
            }
        }
    }
}

/// Adds a priority, which takes effect if it is a number.
fn with_priority<'t>(builder: SpanBuilder<'t>, random: &mut Seeded) -> SpanBuilder<'t> {
    let key = "sampling.priority";
    match random.below(6) {
        0 => builder.tag(key, random.pick(TEXTS)),
        1 => builder.tag(key, random.below(2) == 0),
        2 => builder.tag(key, random.pick([0.5, 0.0, f64::NAN])),
        3 => builder.tag(key, &[1_u8, 2][..]),
        _ => builder.tag(key, random.below(2)),
    }
}

/// Returns what is sent of spans, without ids.
fn sent_of(memory: &InMemoryReporter) -> Vec<String> {
    let line = |span: &FinishedSpan| {
        let SpanView { flags, start_time_micros, duration_micros, .. } = span.view();
        let mut line =
            format!("{} {flags} {start_time_micros} {duration_micros}", span.operation_name());
        for tag in span.view().tags() {
            write!(line, " {}={:?}", String::from_utf8_lossy(tag.key), tag.value).unwrap();
        }
        let logs = span.view().logs().map(|log| log.fields().count());
        write!(line, " logs {:?}", logs.collect::<Vec<_>>()).unwrap();
        line
    };
    memory.spans().iter().map(line).collect()
}

/// Ends a span; returns the one that goes on in its place.
fn end(span: Span, random: &mut Seeded) -> Option<Span> {
    let at = moment(random);
    let log_records = [LogRecord { timestamp: at, fields: &[("event", "late".into())] }];
    match random.below(6) {
        0 => span.finish(),
        1 => span.finish_at(at),
        2 => span
            .finish_with(FinishOptions { log_records: &log_records, ..FinishOptions::default() }),
        3 => return Some(span.restart_as_child_of(remote(random)).unwrap_or(span)),
        _ => drop(span),
    }
    None
}

#[test]
fn law_an_observer_of_finished_spans_sees_what_one_sees_that_follows_each_step() {
    for seed in 0..KINDS * 40 {
        let (kind, replaces) = (seed % KINDS, seed / KINDS % 2 == 1);
        let seen = [Seen::default(), Seen::default()];
        let mut sides = [
            Side::new(kind, replaces, Follows(seen[0].clone(), replaces)),
            Side::new(kind, replaces, SeesEnds(seen[1].clone(), replaces)),
        ];
        let mut random = [(); 2].map(|()| Seeded::new(seed + 1));
        let mut count = 0;
        for step in 0..300 {
            for (side, random) in sides.iter_mut().zip(&mut random) {
                side.step(random);
                if step == 280 {
                    side.closers.clear();
                }
            }
            let [followed, at_end] = seen.each_ref().map(Seen::take);
            assert_eq!(followed, at_end, "kind {kind}, seed {seed}, step {step}");
            count += followed.len();
        }
        for side in &mut sides {
            side.spans.clear();
            side.handles.clear();
        }
        let [followed, at_end] = seen.each_ref().map(Seen::take);
        assert_eq!(followed, at_end, "kind {kind}, seed {seed}, at the end");
        assert!(count > 10, "{count}");
        let [stats, of_ends] = sides.each_ref().map(|side| side.tracer.stats());
        assert_eq!(stats, of_ends, "kind {kind}, seed {seed}");
        assert!(stats.is_balanced() && stats.observer_panics == 0, "{stats:?}");
        let [spans, of_ends] = sides.each_ref().map(|side| sent_of(&side.memory));
        assert_eq!(spans.len(), of_ends.len(), "kind {kind}, seed {seed}");
        for (span, of_end) in spans.iter().zip(of_ends) {
            assert_eq!(*span, of_end, "kind {kind}, seed {seed}");
        }
    }
}
