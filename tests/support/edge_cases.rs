//! Values that servers have had trouble with, and spans that are made of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jaeger_client::{
    Clock, FinishOptions, IdGenerator, LogRecord, OwnedTagValue, SpanContext, SpanId, TagValue,
    TraceId, Tracer,
};

/// Draws from pools: gives a number below the one that it is asked with.
pub(crate) type Draw<'d> = &'d mut dyn FnMut(usize) -> usize;

fn one<T>(mut pool: Vec<T>, draw: Draw<'_>) -> T {
    let at = draw(pool.len());
    pool.swap_remove(at)
}

/// Texts that are empty, long, of other scripts, that control terminals or end strings, and what is
/// nearly an address or a number.
pub(crate) fn text(draw: Draw<'_>) -> String {
    if draw(30) == 0 {
        return one(vec!["x".repeat(70_000), "🦀é".repeat(35_000)], draw);
    }
    let short = vec![
        "",
        " ",
        "GET /",
        "true",
        "client",
        "server",
        "producer",
        "consumer",
        "NaN",
        "-0",
        "null",
        "\0",
        "a\0b",
        "\u{1b}[31m\r\n\t\u{7f}",
        "\u{85}",
        "é\u{2028}",
        "\u{2028}\u{2029}",
        "\u{202e}\u{feff}",
        "\u{ffff}\u{fffe}\u{10ffff}",
        "e\u{301}",
        "</script>\"'\\&",
        "a|b",
        "a|b|c",
        "a|b|{}|c|0",
        "%00%zz",
        "10.0.0.1",
        "10.0.0.1:8080",
        "fe80::1%eth0",
        "[::1]:443",
        "a:b",
        "::1",
        "::ffff:1.2.3.4",
        "0.0.0.0",
        "::",
        "localhost",
        "010.1.2.3",
        "80",
        "0",
        "-1",
        "65536",
        "18446744073709551616",
    ];
    one(short, draw).to_owned()
}

/// Keys that some server reads something from, or any text.
pub(crate) fn key(draw: Draw<'_>) -> String {
    let read = vec![
        "span.kind",
        "error",
        "event",
        "message",
        "component",
        "ip",
        "hostname",
        "peer.ipv4",
        "peer.ipv6",
        "peer.port",
        "peer.service",
        "http.status_code",
        "jaeger.version",
        "service.name",
        "host.name",
        "lc",
        "sa",
        "ca",
        "otel.status_code",
        "otel.status_description",
        "otel.library.name",
        "w3c.tracestate",
        "otlp.link.0",
        "otlp.service.name.source",
        "internal.span.format",
        "opentracing.ref_type",
        "sampler.param",
        "jaeger.trimmed",
    ];
    if draw(2) == 0 { text(draw) } else { one(read, draw).to_owned() }
}

/// Values of every kind.
pub(crate) fn value(draw: Draw<'_>) -> OwnedTagValue {
    match draw(7) {
        0 | 1 => text(draw).into(),
        2 | 3 => {
            let signaling = f64::from_bits(0x7ff0_0000_0000_0001);
            let odd = [f64::NAN, -f64::NAN, signaling, f64::INFINITY, f64::NEG_INFINITY];
            let edges = [-0.0, 5e-324, f64::MAX, f64::MIN, 1e21];
            one([odd, edges].concat(), draw).into()
        }
        4 => one(vec![0, -1, i64::MIN, i64::MAX, 65_536, 80, 0x0a00_0001], draw).into(),
        5 => one(vec![u64::MAX, 1 << 63, 1 << 32], draw).into(),
        _ => {
            let bytes: [&[u8]; 2] = [&[0, 0xff, 0xed, 0xa0, 0x80], &[]];
            one(vec![true.into(), false.into(), bytes[0].into(), bytes[1].into()], draw)
        }
    }
}

/// Moments that are long gone, far away, at the edges of what a number holds, or of today.
pub(crate) fn time(draw: Draw<'_>) -> SystemTime {
    let latest = i64::MAX.unsigned_abs();
    let year_10_000 = Duration::from_secs(253_402_300_800);
    let distances = vec![
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_nanos(300),
        Duration::from_nanos(999),
        Duration::from_secs(5),
        Duration::from_nanos(latest / 2),
        Duration::from_nanos(latest - 2_001),
        Duration::from_nanos(latest - 2_000),
        Duration::from_nanos(latest),
        Duration::from_nanos(latest + 1),
        Duration::from_nanos(u64::MAX),
        Duration::from_micros(latest),
        Duration::from_secs(62_135_596_800),
        year_10_000,
        Duration::from_secs(1 << 40),
    ];
    let distance = one(distances, draw);
    let base = if draw(2) == 0 { UNIX_EPOCH } else { SystemTime::now() };
    let moved = if draw(2) == 0 { base.checked_add(distance) } else { base.checked_sub(distance) };
    moved.unwrap_or(base)
}

/// Numbers that are no ids, or negative ones on the wire.
fn id(draw: Draw<'_>) -> u64 {
    one(vec![0, 1, 77, 1 << 63, u64::MAX, i64::MAX.unsigned_abs()], draw)
}

/// Contexts made by hand, and what callers may send.
pub(crate) fn context(tracer: &Tracer, draw: Draw<'_>) -> Option<SpanContext> {
    if draw(2) == 0 {
        let trace = TraceId::new(id(draw), id(draw));
        let flags = one(vec![1, 3, 9, 255], draw);
        return Some(SpanContext::new(trace, SpanId::new(id(draw)), SpanId::new(id(draw)), flags));
    }
    let all = "f".repeat(32);
    let traces = vec!["0", "1", "10000000000000000", "8000000000000000", &all, "", "x"];
    let spans = || vec!["0", "1", "ffffffffffffffff", "8000000000000000", "", "-1"];
    let (trace, span) = (one(traces, draw), one(spans(), draw));
    let parent = one(spans(), draw);
    let flags = one(vec!["1", "3", "9", "ff"], draw);
    let mut headers = HashMap::from([
        ("uber-trace-id".to_owned(), format!("{trace}:{span}:{parent}:{flags}")),
        (format!("uberctx-{}", text(draw)), text(draw)),
    ]);
    if draw(4) == 0 {
        headers.insert("jaeger-debug-id".to_owned(), text(draw));
    }
    tracer.extract(&headers).ok()
}

/// Ids that name nothing, again and again.
#[derive(Debug, Default)]
pub(crate) struct EdgeCaseIds(AtomicU64);

impl IdGenerator for EdgeCaseIds {
    fn next(&self) -> u64 {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            n if n % 3 == 0 => 0,
            n if n % 50 == 1 => u64::MAX - n,
            n => n,
        }
    }
}

/// A clock that shows what it likes, and runs backwards.
#[derive(Debug)]
pub(crate) struct EdgeCaseClock {
    readings: AtomicU64,
    walls: Vec<i64>,
}

impl EdgeCaseClock {
    pub(crate) fn new(draw: Draw<'_>) -> Self {
        let walls = vec![i64::MIN, -5_000_000_000, -1, 0, i64::MAX / 2, i64::MAX];
        let walls = walls.into_iter().filter(|_| draw(2) == 0).chain([1 << 60]).collect();
        Self { readings: AtomicU64::new(draw(100) as u64), walls }
    }
}

impl Clock for EdgeCaseClock {
    fn monotonic_nanos(&self) -> u64 {
        let counts = [0, 1, 300, 1_000, u64::MAX, u64::MAX / 2, 1 << 62, 5];
        let n = self.readings.fetch_add(1, Ordering::Relaxed);
        counts[usize::try_from(n).unwrap_or(0) % counts.len()]
    }

    fn wall_nanos(&self) -> i64 {
        let n = self.readings.load(Ordering::Relaxed);
        self.walls[usize::try_from(n).unwrap_or(0) % self.walls.len()]
    }
}

/// Makes a span of such values, and finishes it. Gives its context; none if it is not sampled.
pub(crate) fn span(tracer: &Tracer, draw: Draw<'_>) -> Option<SpanContext> {
    let mut builder = tracer.span(text(draw));
    for _ in 0..draw(4) {
        if let Some(context) = context(tracer, draw) {
            builder = match draw(8) {
                0 => builder.self_reference(&context),
                1..4 => builder.follows_from(&context),
                _ => builder.child_of(&context),
            };
        }
    }
    if draw(3) == 0 {
        builder = builder.start_time(time(draw));
    }
    for _ in 0..draw(6) {
        builder = builder.tag(&key(draw), value(draw));
    }
    let span = builder.start();
    for _ in 0..draw(6) {
        span.set_tag(&key(draw), value(draw));
    }
    if draw(4) == 0 {
        span.set_operation_name(text(draw));
    }
    if draw(4) == 0 {
        span.set_baggage_item(&text(draw), &text(draw));
    }
    for _ in 0..draw(3) {
        let fields: Vec<_> = (0..draw(4)).map(|_| (key(draw), value(draw))).collect();
        let fields: Vec<_> =
            fields.iter().map(|(key, value)| (key.as_str(), TagValue::from(value))).collect();
        if draw(2) == 0 {
            span.log(&fields);
        } else {
            span.log_at(time(draw), &fields);
        }
    }
    let sampled = span.is_sampled().then(|| span.context());
    match draw(4) {
        0 => span.finish_at(time(draw)),
        1 => {
            let fields = [(key(draw), value(draw))];
            let fields =
                fields.each_ref().map(|(key, value)| (key.as_str(), TagValue::from(value)));
            let log = LogRecord { timestamp: time(draw), fields: &fields };
            let finish_time = (draw(2) == 0).then(|| time(draw));
            span.finish_with(FinishOptions { finish_time, log_records: &[log] });
        }
        2 => span.finish(),
        _ => drop(span),
    }
    sampled
}

/// Makes a span that is far too large for a datagram in one of several ways.
pub(crate) fn large_span(tracer: &Tracer, way: usize) -> SpanContext {
    const MANY: usize = 20_000;
    let name =
        if way.is_multiple_of(5) { "n".repeat(200_000) } else { format!("large {}", way % 5) };
    let mut builder = tracer.span(name);
    if way % 5 == 1 {
        for n in 1..=MANY as u64 {
            let context = SpanContext::new(TraceId::new(n, n), SpanId::new(n), SpanId::NONE, 1);
            builder = builder.follows_from(&context);
        }
    }
    let span = builder.start();
    if way % 5 == 2 {
        span.set_tag(&"k".repeat(100_000), "v");
    }
    for n in 0..MANY {
        match way % 5 {
            3 => span.set_tag(&format!("key-number-{n}"), n),
            4 => span.log(&[("event", "step".into()), ("n", n.into())]),
            _ => &span,
        };
    }
    span.finish();
    span.context()
}
