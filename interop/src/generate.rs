//! Generates traces with all kinds of tags, logs, references and times, and the content that a server must
//! return for each span.
//!
//! The content of a span depends only on its number, so that a failure is reproducible.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jaeger_client::{Span, SpanContext, SpanId, TraceId, Tracer};

use crate::span::{ExpectedSpan, Field, Input, Micros};

/// The tracer of generated traces, and its options.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests make it")]
pub struct Plan<'t> {
    /// The tracer.
    pub tracer: &'t Tracer,
    /// The name of its service.
    pub service: &'t str,
    /// The tags of its process.
    pub process_tags: &'t [Field],
    /// The length to which it truncates the values of tags.
    pub max_tag_value_bytes: usize,
}

impl Plan<'_> {
    /// Makes a trace of `count` finished spans, and returns their expected content.
    ///
    /// `number` is the number of the trace. Every fourth one continues a remote trace.
    #[must_use]
    pub fn trace(&self, number: usize, count: usize) -> Vec<ExpectedSpan> {
        let mut live: Vec<Live> = Vec::with_capacity(count);
        for i in 0..count {
            let span = self.span(number, i, &live);
            live.push(span);
        }
        // Some parents finish before their children, some after.
        let (late, early): (Vec<_>, Vec<_>) =
            live.into_iter().enumerate().partition(|(i, _)| i % 3 == 0);
        early.into_iter().chain(late.into_iter().rev()).map(|(_, live)| live.finish()).collect()
    }

    fn span(&self, number: usize, i: usize, live: &[Live]) -> Live {
        let before = SystemTime::now();
        let operation = operation(i);
        let mut wanted = ExpectedSpan {
            trace_id: TraceId::default(),
            span_id: SpanId::NONE,
            flags: live.first().map_or(SAMPLED, |root| root.wanted.flags),
            operation: operation.clone(),
            references: Vec::new(),
            start: Micros::Exactly(0),
            duration: Micros::Exactly(0),
            tags: Vec::new(),
            logs: Vec::new(),
            service: self.service.to_owned(),
            process_tags: self.process_tags.to_vec(),
        };

        let mut builder = self.tracer.span(operation).ignore_active_span();
        for (follows, context) in references(number, i, live) {
            wanted.references.push((follows, context.trace_id(), context.span_id()));
            if live.is_empty() {
                wanted.flags = context.flags();
            }
            builder =
                if follows { builder.follows_from(&context) } else { builder.child_of(&context) };
        }
        if wanted.references.is_empty() {
            wanted.tags.push(text("sampler.type", "const"));
            wanted.tags.push(("sampler.param".to_owned(), Input::Bool(true)));
        }
        let explicit =
            (!i.is_multiple_of(3)).then(|| before - Duration::from_micros(1 + 997 * micros(i)));
        if let Some(start) = explicit {
            builder = builder.start_time(start);
            wanted.start = Micros::Exactly(since_epoch(start));
        }
        // Half of the tags are set by the builder, the others on the live span.
        let mut tags = fields(number + i, i % 9);
        if i == 0 {
            let long = "x".repeat(self.max_tag_value_bytes + 1);
            tags.push(("too long by one".to_owned(), Input::Str(long)));
        }
        tags.extend(call(i));
        let (first, rest) = tags.split_at(tags.len() / 2);
        for (key, input) in first {
            builder = builder.tag(key.as_str(), input.tag_value());
        }
        let span = builder.start();
        for (key, input) in rest {
            span.set_tag(key, input.tag_value());
        }
        let cut = |(key, input): &Field| (key.clone(), input.cut(self.max_tag_value_bytes));
        wanted.tags.extend(tags.iter().map(cut));

        let context = span.context();
        (wanted.trace_id, wanted.span_id) = (context.trace_id(), context.span_id());
        let mut live = Live { span, wanted, explicit, before };
        live.add_logs(i);
        live.add_baggage(i);
        if i % 15 == 3 {
            live.span.set_operation_name("renamed → přejmenováno");
            "renamed → přejmenováno".clone_into(&mut live.wanted.operation);
        }
        live
    }
}

/// An unfinished span.
struct Live {
    span: Span,
    wanted: ExpectedSpan,
    /// The explicit start time, if one was set.
    explicit: Option<SystemTime>,
    before: SystemTime,
}

impl Live {
    fn add_logs(&mut self, i: usize) {
        for log in 0..i % 4 {
            let fields = fields(i + log, 1 + log * 2);
            let input: Vec<_> =
                fields.iter().map(|(key, input)| (key.as_str(), input.tag_value())).collect();
            if log == 1 {
                let at = self.before - Duration::from_micros(micros(i + log));
                self.span.log_at(at, &input);
                self.wanted.logs.push((Micros::Exactly(since_epoch(at)), fields));
            } else {
                self.span.log(&input);
                self.wanted.logs.push((self.until_now(), fields));
            }
        }
    }

    fn add_baggage(&mut self, i: usize) {
        if i != 0 && i % 20 != 5 {
            return;
        }
        for value in ["first", "second, with ünïcode & =%"] {
            let key = format!("item-{i}");
            let overridden = self.span.baggage_item(&key).is_some();
            self.span.set_baggage_item(&key, value);
            assert_eq!(self.span.baggage_item(&key).as_deref(), Some(value));
            let mut fields =
                vec![text("event", "baggage"), text("key", &key), text("value", value)];
            if overridden {
                fields.push(text("override", "true"));
            }
            self.wanted.logs.push((self.until_now(), fields));
        }
    }

    fn finish(mut self) -> ExpectedSpan {
        if let Some(start) = self.explicit {
            let duration = micros(self.wanted.tags.len() * 7);
            self.span.finish_at(start + Duration::from_micros(duration));
            // The minimum is a microsecond.
            self.wanted.duration = Micros::Exactly(duration.cast_signed().max(1));
        } else {
            self.span.finish();
            // Read after the end, which may take any time on a loaded machine.
            let Micros::Between(from, to) = self.until_now() else { return self.wanted };
            self.wanted.start = Micros::Between(from, to);
            self.wanted.duration = Micros::Between(1, to - from);
        }
        self.wanted
    }

    /// Returns the time from the start of the span to now.
    fn until_now(&self) -> Micros {
        // The client does not read the wall clock each time, and the clock may be set meanwhile.
        let slack = Duration::from_millis(50);
        Micros::Between(since_epoch(self.before - slack), since_epoch(SystemTime::now() + slack))
    }
}

/// Returns the references of span `i`: to spans of its trace, to one of another trace, or none.
fn references(number: usize, i: usize, live: &[Live]) -> Vec<(bool, SpanContext)> {
    let elsewhere = || {
        SpanContext::new(
            TraceId::new(u64::MAX, 1 << 63),
            SpanId::new(u64::MAX),
            SpanId::NONE,
            SAMPLED,
        )
    };
    if i == 0 {
        // Ids whose top bits are set are negative numbers on the wire.
        let trace = TraceId::new(1 << 63, u64::MAX - number as u64);
        let flags = [SAMPLED, SAMPLED | DEBUG, SAMPLED | FIREHOSE][number / 4 % 3];
        let remote = SpanContext::new(trace, SpanId::new(u64::MAX), SpanId::new(1), flags);
        return if number.is_multiple_of(4) { vec![(false, remote)] } else { Vec::new() };
    }
    let parent = live[(i - 1) / 3].span.context();
    match i % 10 {
        7 => vec![(true, parent)],
        8 => vec![(false, parent), (true, elsewhere())],
        9 => vec![(true, elsewhere()), (false, parent)],
        _ => vec![(false, parent)],
    }
}

/// Returns the tags of a remote call, and of an error, for some of the spans.
fn call(i: usize) -> Vec<Field> {
    let mut tags = match i % 11 {
        4 => vec![text("span.kind", "client")],
        5 => vec![text("span.kind", "server")],
        6 => vec![text("span.kind", "producer")],
        _ => Vec::new(),
    };
    if !tags.is_empty() {
        tags.push(text("peer.service", "Peer"));
        tags.push(text("peer.ipv4", "10.1.2.3"));
        tags.push(("peer.port".to_owned(), Input::U64(60_000)));
    }
    if i % 13 == 6 {
        tags.push(("error".to_owned(), Input::Bool(true)));
    }
    tags
}

fn operation(i: usize) -> String {
    match i % 6 {
        1 => String::new(),
        2 => "přehled 概要 🦀".to_owned(),
        3 => "a\n\"b\"\\\t<c>&\u{0}\u{7f}".to_owned(),
        4 => "long ".repeat(40),
        _ => format!("GET /things/{i}"),
    }
}

/// Returns `count` fields. The `seed` selects the first kind of value.
fn fields(seed: usize, count: usize) -> Vec<Field> {
    let kinds = values();
    (0..count)
        .map(|i| {
            let key = match i % 5 {
                3 => "klíč 🔑".to_owned(),
                // A key may occur twice.
                4 => "key-0".to_owned(),
                _ => format!("key-{i}"),
            };
            (key, kinds[(seed + i) % kinds.len()].clone())
        })
        .collect()
}

fn values() -> Vec<Input> {
    vec![
        Input::Str(String::new()),
        Input::Bool(true),
        Input::I64(0),
        Input::F64(0.1),
        Input::Bytes(vec![0, 1, 127, 128, 255]),
        Input::Str("text".to_owned()),
        Input::Bool(false),
        Input::I64(-1),
        Input::F64(-1e300),
        Input::Bytes(Vec::new()),
        Input::Str("žluťoučký 馬 🐎 e\u{301}".to_owned()),
        Input::I64(i64::MIN),
        Input::F64(f64::MAX),
        Input::U64(u64::MAX),
        Input::Str("\u{0}\r\n\t\"\\</script>\u{2028}".to_owned()),
        Input::I64(i64::MAX),
        Input::F64(5e-324),
        Input::U64(1 << 63),
        Input::Str("0123456789".repeat(40)),
        Input::I64((1 << 53) + 1),
        Input::F64(-0.0),
        Input::Bytes((0..=255).cycle().take(400).collect()),
        Input::F64(3.0),
        Input::U64(7),
        Input::Str("é".repeat(200)),
    ]
}

fn text(key: &str, value: &str) -> Field {
    (key.to_owned(), Input::Str(value.to_owned()))
}

/// Returns a distinct number of microseconds: 0 for 0, up to a day for others.
fn micros(i: usize) -> u64 {
    (i as u64).wrapping_mul(2_654_435_761) % 86_400_000_000
}

fn since_epoch(time: SystemTime) -> i64 {
    let micros = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    i64::try_from(micros).unwrap_or(i64::MAX)
}

const SAMPLED: u8 = 1;
const DEBUG: u8 = 2;
const FIREHOSE: u8 = 8;
