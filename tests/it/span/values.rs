//! What leaves the process can be stored by every server, whatever the application or a caller's
//! header put in: one bad value must never cost another span.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::read::{Value, finished};
use crate::support::transport::{By, Taken, limited};
use crate::support::{FollowedBy, SOON, Seeded, builder, edge_cases, memory_logger, storable};
use jaeger_client::encoding::{BatchView, ENCODINGS};
use jaeger_client::transport::Sent;
use jaeger_client::{
    AgentProtocol, ConfigError, FinishOptions, InMemoryReporter, LogRecord, Logger, ManualClock,
    NullLogger, OwnedTagValue, Reporter, Span, SpanFinish, SpanObserver, Tracer, TransportError,
};
use proptest::prelude::*;

/// The same spans in every format there is.
#[derive(Clone, Debug, Default)]
struct Encoded(Arc<Mutex<Vec<Message>>>);

/// The name of a format, and bytes in it.
type Message = (&'static str, Vec<u8>);

impl Reporter for Encoded {
    fn report(&mut self, batch: &BatchView<'_>) -> Result<(), TransportError> {
        let encoded = ENCODINGS.iter().map(|member| (member.name, (member.encode)(batch).unwrap()));
        self.0.lock().unwrap().extend(encoded);
        Ok(())
    }
}

/// A tracer with options that make edge cases; `random` decides on the rest.
fn edge_case_tracer(random: &mut Seeded) -> jaeger_client::TracerBuilder {
    let mut draw = |below: usize| usize::try_from(random.below(below as u64)).unwrap();
    let name = Some(edge_cases::text(&mut draw))
        .filter(|name| !name.trim().is_empty() && name.len() < 1_000);
    let mut builder = Tracer::builder(name.unwrap_or_else(|| "svc".to_owned()))
        .logger(NullLogger)
        .max_tag_value_length([256, 2, 100_000][draw(3)])
        .max_logs_per_span(draw(2) * 3)
        .trace_id_128bit(draw(2) == 0)
        .zipkin_shared_rpc_span(draw(2) == 0)
        .mark_truncated_tags(draw(2) == 0);
    for _ in 0..draw(5) {
        let (key, value) = (edge_cases::key(&mut draw), edge_cases::value(&mut draw));
        // A process that leaves no room for spans is refused.
        let is_short = !matches!(&value, OwnedTagValue::Str(text) if text.len() > 1_000);
        if key.len() < 1_000 && is_short {
            builder = builder.tag(key, value);
        }
    }
    if draw(2) == 0 {
        builder = builder.id_generator(edge_cases::EdgeCaseIds::default());
    }
    if draw(2) == 0 {
        builder = builder.clock(edge_cases::EdgeCaseClock::new(&mut draw));
    }
    builder
}

fn edge_case_spans(tracer: &Tracer, random: &mut Seeded, count: usize) -> usize {
    let mut draw = |below: usize| usize::try_from(random.below(below as u64)).unwrap();
    (0..count).filter(|_| edge_cases::span(tracer, &mut draw).is_some()).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn law_every_format_of_any_span_can_be_stored(seed: u64) {
        let (random, encoded) = (&mut Seeded::new(seed), Encoded::default());
        // Values of 100,000 bytes are too much for a datagram, but this is none.
        let builder = edge_case_tracer(random).destination(encoded.clone());
        let (tracer, closer) = builder.build().unwrap();
        let sampled = edge_case_spans(&tracer, random, 20);
        let stats = closer.close(SOON).stats;
        prop_assert_eq!(stats.sent, sampled as u64, "{}", stats);
        let encoded = encoded.0.lock().unwrap();
        for member in ENCODINGS {
            let own = encoded.iter().filter(|(name, _)| *name == member.name);
            let spans: Vec<_> =
                own.flat_map(|(name, bytes)| storable::sent(name, bytes)).collect();
            prop_assert_eq!(spans.len(), sampled, "{}", member.name);
            spans.iter().for_each(storable::Sent::check);
        }
    }

}

proptest! {
    // Spans of a megabyte take their time.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn law_no_span_is_too_large_to_be_stored(seed: u64, large in 0..5_usize) {
        let random = &mut Seeded::new(seed);
        let protocols = [
            (AgentProtocol::Compact, "thrift-compact"),
            (AgentProtocol::Binary, "thrift-binary"),
            (AgentProtocol::ZipkinCompact, "zipkin-compact"),
        ];
        let (protocol, format) = random.pick(protocols);
        let (transport, taken) = limited(65_000);
        let builder = edge_case_tracer(random).transport(transport).agent_protocol(protocol);
        let (tracer, closer) = builder.build().unwrap();
        let mut sampled = edge_case_spans(&tracer, random, 5);
        // Of a name alone it takes little time.
        for way in [large, 0] {
            edge_cases::large_span(&tracer, way);
            sampled += 1;
        }
        sampled += edge_case_spans(&tracer, random, 5);
        let stats = closer.close(SOON).stats;
        prop_assert_eq!(stats.sent, sampled as u64, "{}", stats);
        prop_assert!(stats.trimmed >= 1, "{:?}", stats);
        let spans: Vec<_> =
            taken.messages().iter().flat_map(|bytes| storable::sent(format, bytes)).collect();
        prop_assert_eq!(spans.len(), sampled);
        spans.iter().for_each(storable::Sent::check);
    }
}

#[test]
fn times_that_no_server_stores_are_moved_counted_and_reported_once() {
    let (memory, logger) = (InMemoryReporter::new(), memory_logger());
    let builder = builder().logger(Arc::clone(&logger)).in_memory(&memory);
    let (tracer, _closer) = builder.build().unwrap();
    let year_1 = UNIX_EPOCH - Duration::from_secs(62_135_596_800);
    let year_3000 = UNIX_EPOCH + Duration::from_secs(32_503_680_000);
    for time in [UNIX_EPOCH - Duration::from_secs(5), year_1, year_3000] {
        let span = tracer.span("op").start_time(time).start();
        span.log_at(time, &[("event", "e".into())]);
        span.finish_at(time);
        let log = LogRecord { timestamp: time, fields: &[] };
        let end = FinishOptions { finish_time: Some(time), log_records: &[log] };
        tracer.start_span("op").finish_with(end);
    }
    let latest = i64::MAX / 1000 - 2;
    let spans = finished(&memory);
    for (n, moved) in [0, 0, latest].into_iter().enumerate() {
        let span = &spans[2 * n];
        assert_eq!((span.start, span.duration, span.logs[0].micros), (moved, 1, moved));
        assert_eq!(spans[2 * n + 1].logs[0].micros, moved);
    }
    assert_eq!(tracer.stats().clamped_times, 15);
    assert_eq!(logger.all().len(), 1, "{:?}", logger.all());
    assert!(logger.has("start_time: 5 s before 1970-01-01"), "{:?}", logger.all());
}

/// An observer that sets a tag in each notification.
#[derive(Default)]
struct Tags(OnceLock<Span>);

impl Logger for Tags {
    fn error(&self, _message: &str) {
        if let Some(span) = self.0.get() {
            span.set_tag("observed", true);
        }
    }
}

#[test]
fn a_logger_that_is_called_with_a_time_may_use_the_span_it_was_given_to() {
    let (sender, done) = channel();
    thread::spawn(move || {
        for way in 0..3 {
            let (memory, logger) = (InMemoryReporter::new(), Arc::new(Tags::default()));
            let builder = builder().logger(Arc::clone(&logger)).in_memory(&memory);
            let (tracer, _closer) = builder.build().unwrap();
            let (span, early) = (tracer.start_span("op"), UNIX_EPOCH - Duration::from_secs(5));
            let _ = logger.0.set(span.clone());
            let log = LogRecord { timestamp: early, fields: &[] };
            match way {
                0 => span.log_at(early, &[]).finish(),
                1 => span.finish_at(early),
                _ => span.finish_with(FinishOptions { log_records: &[log], finish_time: None }),
            }
            sender.send(finished(&memory)[0].tag("observed").is_some()).unwrap();
        }
    });
    let reported: Vec<_> = (0..3).filter_map(|_| done.recv_timeout(SOON).ok()).collect();
    assert_eq!(reported, [true; 3], "it hangs, or was not notified");
}

#[test]
fn a_clock_before_1970_is_reported_and_its_spans_begin_in_1970() {
    let (memory, logger, clock) =
        (InMemoryReporter::new(), memory_logger(), Arc::new(ManualClock::new()));
    clock.set_wall(UNIX_EPOCH - Duration::from_secs(100));
    let builder = builder().clock(Arc::clone(&clock)).logger(Arc::clone(&logger));
    let (tracer, _closer) = builder.in_memory(&memory).build().unwrap();
    clock.advance(Duration::from_micros(7));
    let span = tracer.start_span("op");
    clock.advance(Duration::from_micros(5));
    span.log_event("e");
    span.finish();
    let span = &finished(&memory)[0];
    assert_eq!((span.start, span.duration, span.logs[0].micros), (7, 5, 12));
    assert_eq!(tracer.stats().clamped_times, 1);
    assert!(logger.has("the clock: 100 s before 1970-01-01"), "{:?}", logger.all());
}

/// The durations in an observer's notifications.
#[derive(Clone, Debug, Default)]
struct ObservedDurations(Arc<Mutex<Vec<Duration>>>);

impl SpanObserver for ObservedDurations {
    fn on_finish(&self, _span: &Span, finish: &SpanFinish) {
        self.0.lock().unwrap().push(finish.duration);
    }
}

#[test]
fn a_span_takes_a_microsecond_at_least_and_observers_get_the_exact_duration() {
    let (memory, clock) = (InMemoryReporter::new(), Arc::new(ManualClock::new()));
    let observed = ObservedDurations::default();
    let builder = builder().clock(Arc::clone(&clock)).observer(FollowedBy(observed.clone()));
    let (tracer, _closer) = builder.in_memory(&memory).build().unwrap();
    for nanos in [0, 300, 999, 1_000, 1_999, 2_000] {
        let span = tracer.start_span("op");
        clock.advance(Duration::from_nanos(nanos));
        span.finish();
    }
    let durations: Vec<_> = finished(&memory).iter().map(|span| span.duration).collect();
    assert_eq!(durations, [1, 1, 1, 1, 1, 2]);
    let observed: Vec<_> = observed.0.lock().unwrap().iter().map(Duration::as_nanos).collect();
    assert_eq!(observed, [0, 300, 999, 1_000, 1_999, 2_000]);
}

#[test]
fn nan_and_infinity_are_text_wherever_they_are() {
    let taken = Taken::default();
    let retained = taken.clone();
    let transport = By(move |message: &[u8]| {
        retained.push(message);
        Ok(Sent::OK)
    });
    let odd = [(f64::NAN, "NaN"), (f64::INFINITY, "+Inf"), (f64::NEG_INFINITY, "-Inf")];
    // Shorter than some of the words: those are not cut.
    let mut builder = builder().transport(transport).max_tag_value_length(2);
    for (double, _) in odd {
        builder = builder.tag("d", double);
    }
    let (tracer, closer) = builder.build().unwrap();
    for (double, _) in odd {
        let span = tracer.span("op").tag("d", double).start();
        #[expect(clippy::cast_possible_truncation, reason = "none of them is a number")]
        span.set_tag("d", double as f32).log(&[("d", double.into())]);
        span.set_tag("zero", -0.0).set_tag("tiny", 5e-324).set_tag("huge", f64::MIN);
    }
    let _ = closer.close(SOON);
    let batch = &taken.batches()[0];
    let process = batch.tags.iter().filter(|tag| tag.0 == "d").map(|tag| tag.1.clone());
    assert_eq!(process.collect::<Vec<_>>(), odd.map(|(_, word)| word.into()));
    for (span, (_, word)) in batch.spans.iter().zip(odd) {
        let tag = ("d".to_owned(), Value::from(word));
        assert_eq!(span.own_tags()[..2], [tag.clone(), tag.clone()]);
        assert_eq!(span.logs[0].fields, [tag]);
        let number = |key| match span.tag(key) {
            Some(Value::Double(double)) => double.to_bits(),
            other => panic!("{other:?}"),
        };
        let numbers = ["zero", "tiny", "huge"].map(number);
        assert_eq!(numbers, [-0.0_f64, 5e-324, f64::MIN].map(f64::to_bits));
    }
}

#[test]
fn a_span_that_is_too_large_by_its_name_keys_or_lists_arrives_trimmed_and_marked() {
    for way in 0..5 {
        let (transport, taken) = limited(65_000);
        let (tracer, closer) = builder().transport(transport).build().unwrap();
        let context = edge_cases::large_span(&tracer, way);
        let stats = closer.close(SOON).stats;
        assert_eq!((stats.sent, stats.trimmed, stats.dropped.total()), (1, 1, 0), "{way}: {stats}");
        let span = &taken.spans()[0];
        assert_eq!(span.id, context.span_id().get());
        assert!(span.tag("jaeger.trimmed").is_some(), "{way}");
        // The first tags stay; with references it joins a trace, and has no tags of a sampler.
        assert_eq!(span.tag("sampler.type").is_some(), way != 1);
        let size = taken.sizes()[0];
        assert!(size <= 65_000 && (size > 15_000), "{way}: {size} bytes are left");
    }
}

#[test]
fn a_process_that_leaves_no_room_for_spans_is_named_with_its_largest_tag() {
    let builder = || Tracer::builder("svc").max_tag_value_length(100_000).tag("small", 1);
    let large = builder().tag("build.log", "x".repeat(70_000)).tag("other", "y".repeat(100));
    let error = large.agent("localhost:6831").build().map(drop).unwrap_err();
    assert!(matches!(error, ConfigError::ProcessTooLarge { .. }), "{error:?}");
    let message = error.to_string();
    for part in ["the 7 tags of the process", "\"build.log\" takes 70", "64850", "65000"] {
        assert!(message.contains(part), "{message}");
    }
    let many = (0..10_000).fold(builder(), |builder, n| builder.tag(format!("key-{n}"), n));
    let message = many.agent("localhost:6831").build().map(drop).unwrap_err().to_string();
    assert!(message.contains("the 10005 tags of the process"), "{message}");
    // With a usual process it is the size that is wrong.
    let small = builder().max_packet_size(200).agent("localhost:6831");
    let message = small.build().map(drop).unwrap_err().to_string();
    assert!(message.starts_with("reporter.max_packet_size is \"200\""), "{message}");
}

#[test]
fn a_service_is_found_by_its_name_on_every_server() {
    let named = |name: &str, tag: Option<OwnedTagValue>| {
        let (transport, taken) = limited(65_000);
        let builder = Tracer::builder(name).logger(NullLogger).transport(transport);
        let builder =
            tag.into_iter().fold(builder, |builder, tag| builder.tag("service.name", tag));
        let (tracer, closer) = builder.build().unwrap();
        tracer.start_span("op").finish();
        let _ = closer.close(SOON);
        let batch = taken.batches().remove(0);
        (batch.service.clone(), batch.tag("service.name").cloned())
    };
    assert_eq!(named("shop\n", None).0, "shop\u{fffd}");
    assert_eq!(named("a\0b\u{2028}é ü", None).0, "a\u{fffd}b\u{fffd}é ü");
    assert_eq!(named("svc", Some("other".into())).1, Some("other".into()));
    for nameless in ["".into(), 5.into(), f64::NAN.into(), true.into()] {
        assert_eq!(named("svc", Some(nameless)).1, None);
    }
}

#[test]
fn the_current_time_is_not_clamped() {
    let memory = InMemoryReporter::new();
    let (tracer, _closer) = builder().in_memory(&memory).build().unwrap();
    let now = SystemTime::now();
    let span = tracer.span("op").start_time(now).start();
    span.log_at(now, &[("event", "e".into())]);
    span.finish_at(now + Duration::from_micros(3));
    let micros = i64::try_from(now.duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap();
    let span = &finished(&memory)[0];
    assert_eq!((span.start, span.logs[0].micros), (micros, micros));
    assert!(span.duration == 3 && tracer.stats().clamped_times == 0);
}
