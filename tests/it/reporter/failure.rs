//! What goes wrong, and what becomes of the spans then: counted by cause, never in silence, and the
//! application never waits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, UNIX_EPOCH};

use crate::support::agent::{Agent, nobody, starting_at};
use crate::support::read::{Value, finished};
use crate::support::transport::{By, Taken, gated, limited};
use crate::support::{
    MemoryLogger, SOON, StartObserver, binary, builder, eventually, memory_logger, timed,
};
use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::sampler::{ConstSampler, PrioritySampler, TagMatchingSampler};
use jaeger_client::transport::Sent;
use jaeger_client::{
    AgentProtocol, Closer, Dropped, EncodedFields, FlushReport, InMemoryReporter, ManualClock,
    SpanContext, SpanId, TailSamplingConfig, TraceId, Tracer, TracerBuilder,
};

fn finish_spans(tracer: &Tracer, count: usize) {
    for n in 0..count {
        tracer.span(format!("op-{n}")).tag("n", n).start().finish();
    }
}

/// Fails unless the names are those of `finish_spans`, each once.
fn assert_all_arrived(names: &[String], count: usize) {
    assert_eq!(names.len(), count, "no span twice, none lost");
    let names: BTreeSet<_> = names.iter().map(String::as_str).collect();
    assert!((0..count).all(|n| names.contains(format!("op-{n}").as_str())));
}

fn names(taken: &Taken) -> Vec<String> {
    taken.spans().into_iter().map(|span| span.name).collect()
}

fn dropped(report: &FlushReport) -> [u64; 4] {
    let Dropped { queue_full, too_large, send_failed, closed, .. } = report.stats.dropped;
    [queue_full, too_large, send_failed, closed]
}

#[test]
fn without_an_agent_every_span_is_counted_as_not_sent() {
    let logger = memory_logger();
    let (tracer, closer) = builder().logger(Arc::clone(&logger)).agent(nobody()).build().unwrap();
    for _ in 0..3 {
        finish_spans(&tracer, 10);
        assert!(tracer.flush(SOON).complete);
    }
    let report = closer.close(SOON);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    assert_eq!((report.stats.sent, dropped(&report)), (0, [0, 0, 30, 0]));
    assert!(logger.has("nothing listens at 127.0.0.1"), "{:?}", logger.all());
    assert_eq!(logger.all().len(), 1, "once a minute, not for each datagram");
}

#[test]
fn an_agent_that_starts_late_gets_what_comes_after() {
    let address = nobody();
    let (tracer, closer) = builder().agent(&address).build().unwrap();
    finish_spans(&tracer, 2);
    assert_eq!(tracer.flush(SOON).stats.dropped.send_failed, 2);
    let agent = starting_at(&address);
    finish_spans(&tracer, 3);
    let report = closer.close(SOON);
    assert_eq!((report.stats.sent, dropped(&report)), (3, [0, 0, 2, 0]), "{report}");
    let mut bytes = vec![0; 65_536];
    let taken = agent.recv(&mut bytes).unwrap();
    let batch = crate::support::read::Batch::read(&bytes[..taken]);
    assert_eq!((batch.spans.len(), batch.lost), (3, Some((0, 0, 2))), "the agent learns of it");
}

#[test]
fn an_agent_whose_name_does_not_resolve_is_no_error_but_counted() {
    let logger = memory_logger();
    let agent = "no-such-host.invalid:6831";
    let (tracer, closer) = builder().logger(Arc::clone(&logger)).agent(agent).build().unwrap();
    finish_spans(&tracer, 5);
    let report = closer.close(SOON);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    assert_eq!((report.stats.sent, dropped(&report)), (0, [0, 0, 5, 0]));
    assert!(logger.has("no-such-host.invalid"), "{:?}", logger.all());
}

#[test]
fn a_full_queue_drops_the_newest_and_the_application_never_waits() {
    let (transport, gate) = gated();
    let logger = memory_logger();
    let (tracer, closer) = builder()
        .logger(Arc::clone(&logger))
        .queue_size(10)
        .max_packet_size(2_000)
        .transport(transport)
        .build()
        .unwrap();
    let big = "x".repeat(200);
    let finish = |n: usize| tracer.span(format!("op-{n}")).tag("t", &big).start().finish();
    // The first buffer comes to the transport, which holds it; one more lies in the queue.
    let mut first = 0;
    while gate.entered.try_recv().is_err() {
        finish(first);
        first += 1;
        assert!(first < 1_000_000, "the transport never got a message");
        std::thread::yield_now();
    }
    let more = 20_000;
    let ((), took) = timed(|| (first..first + more).for_each(finish));
    assert!(took < SOON, "{took:?}");
    let stats = tracer.stats();
    assert!(stats.is_balanced(), "{stats}");
    assert_eq!((stats.open, stats.sent), (0, 0), "{stats}");
    let buffered = 3 * 2_000 / big.len() as u64;
    assert!(stats.queued > 0 && stats.queued <= buffered, "memory is bounded: {stats}");
    assert_eq!(stats.dropped.queue_full, stats.finished - stats.queued, "{stats}");

    drop(gate.release);
    let report = closer.close(SOON);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    assert_eq!(report.stats.sent, stats.queued, "all that waited was delivered");
    assert_eq!(report.stats.dropped, stats.dropped);
    let arrived = names(&gate.taken);
    assert_eq!(arrived.len() as u64, stats.queued);
    assert_eq!(arrived[0], "op-0", "the oldest stay");
    assert!(logger.has("because the queue was full"), "{:?}", logger.all());
}

#[test]
fn a_span_too_large_for_a_datagram_is_trimmed_and_arrives() {
    let agent = Agent::start();
    let (tracer, closer) =
        builder().max_tag_value_length(100_000).agent(agent.address()).build().unwrap();
    let text = "ž".repeat(45_000);
    let span = tracer.span("op").tag("large", &text).tag("small", "s").start();
    span.log(&[("stack", text.as_str().into())]);
    span.finish();
    let report = closer.close(SOON);
    assert_eq!((report.stats.sent, report.stats.trimmed, dropped(&report)), (1, 1, [0; 4]));
    let span = &agent.spans(1)[0];
    let Some(Value::Str(cut)) = span.tag("large") else { panic!("{span:?}") };
    assert!(cut.len() < text.len() && text.starts_with(cut));
    assert_eq!(span.tag("small"), Some(&"s".into()));
    assert_eq!(span.logs.len(), 1);
    let marked = Value::from("2 values cut to 16384 bytes, 0 oldest logs dropped");
    assert_eq!(span.tag("jaeger.trimmed"), Some(&marked));
}

/// A tracer with the smallest datagrams there are beside this host's process: a span of 80 bytes
/// fits in one.
fn smallest(protocol: AgentProtocol, logger: &Arc<MemoryLogger>) -> (Tracer, Closer, Taken) {
    let build = |size| {
        let (transport, taken) = limited(size);
        let builder = builder().logger(Arc::clone(logger)).max_packet_size(size);
        let built = builder.transport(transport).agent_protocol(protocol).build();
        built.ok().map(|(tracer, closer)| (tracer, closer, taken))
    };
    (100..).find_map(build).unwrap()
}

/// Ends a span that has little more than its name.
fn finish_small(tracer: &Tracer, name: &'static str) {
    let context = SpanContext::new(TraceId::new(0, 1), SpanId::new(1), SpanId::NONE, 1);
    tracer.span(name).self_reference(&context).start().finish();
}

#[test]
fn a_span_that_is_too_large_even_when_trimmed_is_dropped_counted_and_named() {
    let logger = memory_logger();
    let (tracer, closer, taken) = smallest(AgentProtocol::Compact, &logger);
    let name = format!("SELECT\n\u{202e}{}", "x, ".repeat(70_000));
    tracer.start_span(name).finish();
    finish_small(&tracer, "small");
    let report = closer.close(SOON);
    assert_eq!((report.stats.sent, dropped(&report)), (1, [0, 1, 0, 0]), "{report}");
    assert_eq!(names(&taken), ["small"]);
    assert_eq!(taken.batches()[0].lost, Some((0, 1, 0)));
    assert!(logger.has("too large"), "{:?}", logger.all());
    assert!(logger.has(r#"span "SELECT\n\u{202e}x, x, "#), "{:?}", logger.all());
    assert!(logger.has(" of 210"), "its size is told: {:?}", logger.all());
}

/// Finishes spans with more bytes than any span may have, as a log, an encoded one, a tag, and a tag before the
/// start, and three others.
fn finish_huge_spans(tracer: &Tracer) {
    // Zeroed memory that is not touched costs nothing.
    let huge = vec![0_u8; 300 << 20];
    tracer.start_span("first").set_tag("a", 1).finish();
    let span = tracer.start_span("log");
    span.log(&[("bytes", (&*huge).into())]).log_event("later").set_tag("a", 1).finish();
    let mut fields = EncodedFields::new();
    fields.push_named("bytes", &*huge);
    fields.push_named("b", 2);
    tracer.start_span("encoded log").log_encoded(&fields).set_tag("a", 1).finish();
    tracer.start_span("second").set_tag("a", 1).finish();
    tracer.start_span("tag").set_tag("bytes", &*huge).set_tag("a", 1).finish();
    let mut prepared = tracer.prepare_span("before the start");
    prepared.set_tag("bytes", &*huge).set_tag("a", 1);
    prepared.start().finish();
    tracer.start_span("third").set_tag("a", 1).finish();
}

#[test]
fn a_span_of_more_bytes_than_any_may_have_is_dropped_and_counted_and_others_arrive() {
    let max = 1 << 30;
    let (transport, taken) = limited(65_000);
    let sampled = || builder().max_tag_value_length(max);
    let logger = memory_logger();
    let (tracer, closer) =
        sampled().transport(transport).logger(Arc::clone(&logger)).build().unwrap();
    finish_huge_spans(&tracer);
    let report = closer.close(SOON);
    assert!(report.stats.is_balanced(), "{report}");
    assert_eq!((report.stats.sent, report.stats.dropped.too_large), (3, 4), "{report}");
    let spans = taken.spans();
    let names: Vec<_> = spans.iter().map(|span| (&*span.name, span.tags.len())).collect();
    assert_eq!(names, [("first", 3), ("second", 3), ("third", 3)]);

    assert!(logger.has(r#"span "before the start" of more than"#), "{:?}", logger.all());

    let memory = InMemoryReporter::new();
    let (tracer, _closer) = sampled().in_memory(&memory).build().unwrap();
    finish_huge_spans(&tracer);
    let stats = tracer.stats();
    assert!(stats.is_balanced(), "{stats}");
    assert_eq!((stats.sent, stats.dropped.too_large, memory.len()), (3, 4, 3), "{stats}");
    assert!(memory.spans().iter().all(|span| span.view().tags().count() == 3));

    // Where traces are buffered, the others of the trace are retained.
    let memory = InMemoryReporter::new();
    let tails = TailSamplingConfig { max_bytes: max, ..TailSamplingConfig::default() };
    let tracer = sampled().sampler(ConstSampler::new(false)).tail_sampling(tails);
    let (tracer, _closer) = tracer.in_memory(&memory).build().unwrap();
    let root = tracer.start_span("root");
    let _active = root.activate();
    finish_huge_spans(&tracer);
    root.retain_trace().finish();
    let stats = tracer.stats();
    assert!(stats.is_balanced(), "{stats}");
    assert_eq!((stats.sent, memory.len()), (4, 4), "{stats}");
}

#[test]
fn a_span_that_is_too_large_in_another_protocol_is_counted_and_named() {
    let logger = memory_logger();
    let (tracer, closer, taken) = smallest(AgentProtocol::Binary, &logger);
    finish_small(&tracer, "small");
    let report = closer.close(SOON);
    assert_eq!((report.stats.sent, dropped(&report)), (0, [0, 1, 0, 0]), "{report}");
    assert!(taken.messages().is_empty());
    assert!(logger.has(r#"span "small" of "#) && logger.has("too_large"), "{:?}", logger.all());
}

#[test]
fn a_smaller_path_is_learned_without_losing_a_span() {
    for limit in [9_216, 1_432, 5_000] {
        let (transport, taken) = limited(limit);
        let (tracer, closer) = builder().transport(transport).build().unwrap();
        finish_spans(&tracer, 3_000);
        let report = closer.close(SOON);
        assert_eq!((report.stats.sent, dropped(&report)), (3_000, [0; 4]), "{limit}: {report}");
        assert!(taken.sizes().iter().all(|size| *size <= limit), "{limit}");
        assert_all_arrived(&names(&taken), 3_000);
        let numbers: Vec<_> = taken.batches().iter().map(|batch| batch.seq_no.unwrap()).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "no gap: {numbers:?}");
    }
}

#[test]
fn no_datagram_exceeds_its_limit_whatever_the_sizes_of_spans_are() {
    for max in [600, 1_000, 1_472] {
        let (transport, taken) = limited(max);
        let (tracer, closer) = builder()
            .max_packet_size(max)
            .max_tag_value_length(4_096)
            .transport(transport)
            .build()
            .unwrap();
        let count = 2 * max;
        for size in 0..count {
            let text = "x".repeat(size);
            tracer.span(format!("op-{size}")).tag("t", &text).start().finish();
        }
        let report = closer.close(SOON);
        assert_eq!((report.stats.sent, dropped(&report)), (count as u64, [0; 4]), "{report}");
        assert!(report.stats.trimmed > 0);
        let largest = taken.sizes().into_iter().max().unwrap();
        assert!(largest <= max && largest > max - 60, "{largest} of {max}");
        assert_all_arrived(&names(&taken), count);
    }
}

#[test]
fn the_binary_protocol_keeps_to_the_limit_and_loses_nothing() {
    for max in [900, 9_216, 65_000] {
        let (transport, taken) = limited(max);
        let (tracer, closer) = builder()
            .agent_protocol(AgentProtocol::Binary)
            .max_packet_size(max)
            .transport(transport)
            .build()
            .unwrap();
        finish_spans(&tracer, 2_000);
        let report = closer.close(SOON);
        assert_eq!((report.stats.sent, dropped(&report)), (2_000, [0; 4]), "{max}: {report}");
        assert!(taken.sizes().iter().all(|size| *size <= max), "{max}");
        let all: Vec<_> =
            taken.messages().iter().flat_map(|message| binary::span_names(message)).collect();
        assert_all_arrived(&all, 2_000);
    }
}

#[test]
fn a_transport_that_panics_loses_one_message_and_not_the_thread() {
    let taken = Taken::default();
    let retained = taken.clone();
    let mut messages = 0;
    let transport = By(move |message: &[u8]| {
        messages += 1;
        assert!(messages != 1, "this panic is part of the test");
        retained.push(message);
        Ok(Sent::OK)
    });
    let (tracer, closer) = builder().transport(transport).build().unwrap();
    for (spans, sent, failed) in [(2, 0, 2), (3, 3, 2)] {
        finish_spans(&tracer, spans);
        let report = tracer.flush(SOON);
        assert!(report.complete, "{report}");
        assert_eq!((report.stats.sent, dropped(&report)), (sent, [0, 0, failed, 0]));
    }
    assert!(closer.close(SOON).stats.is_balanced());
    assert_eq!(taken.spans().len(), 3);
}

#[test]
fn spans_finished_after_the_close_are_counted_and_reported_loudly() {
    let agent = Agent::start();
    let logger = memory_logger();
    let (tracer, closer) =
        builder().logger(Arc::clone(&logger)).agent(agent.address()).build().unwrap();
    let open = tracer.start_span("open");
    drop(closer);
    assert!(logger.has("closed with 1 spans still open"), "{:?}", logger.all());
    open.finish();
    finish_spans(&tracer, 2);
    let report = tracer.flush(SOON);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    assert_eq!((report.stats.sent, dropped(&report)), (0, [0, 0, 0, 3]));
    assert!(agent.rest().is_empty());

    let logger = memory_logger();
    let builder = builder().logger(Arc::clone(&logger));
    let (tracer, closer) = builder.agent(agent.address()).build().unwrap();
    assert!(closer.close(SOON).complete && logger.all().is_empty());
    finish_spans(&tracer, 2);
    assert!(logger.has("is the Closer dropped too early"), "{:?}", logger.all());
    assert_eq!(tracer.stats().dropped.closed, 2);
}

#[test]
fn a_close_is_bounded_when_the_transport_hangs() {
    let (transport, gate) = gated();
    let (tracer, closer) = builder().transport(transport).build().unwrap();
    finish_spans(&tracer, 5);
    let (report, took) = timed(|| closer.close(Duration::from_millis(200)));
    assert!(!report.complete && report.stats.is_balanced(), "{report}");
    assert_eq!((report.stats.queued, report.stats.sent), (5, 0), "{report}");
    assert!(took >= Duration::from_millis(200) && took < SOON / 2, "{took:?}");

    // The work goes on in the background, and ends by itself.
    drop(gate.release);
    let report = tracer.flush(SOON);
    assert!(report.stats.is_balanced(), "{report}");
    eventually(|| tracer.stats().sent == 5);
}

#[test]
fn a_dropped_closer_is_bounded_when_the_transport_hangs() {
    let (transport, gate) = gated();
    let builder = builder().drop_timeout(Duration::from_millis(100));
    let (tracer, closer) = builder.transport(transport).build().unwrap();
    finish_spans(&tracer, 5);
    let ((), took) = timed(|| drop(closer));
    assert!(took >= Duration::from_millis(100) && took < SOON / 2, "{took:?}");
    assert_eq!(tracer.stats().queued, 5);
    drop(gate);
}

#[test]
fn a_flush_waits_for_what_was_finished_before_it_and_no_longer() {
    let (transport, gate) = gated();
    let (tracer, closer) = builder().transport(transport).build().unwrap();
    finish_spans(&tracer, 1);
    let report = tracer.flush(Duration::from_millis(50));
    assert!(!report.complete && report.stats.queued == 1, "{report}");
    drop(gate.release);
    let report = tracer.flush(SOON);
    assert!(report.complete && report.stats.sent == 1, "{report}");
    assert!(closer.close(SOON).complete);
}

#[test]
fn without_any_flush_a_span_waits_no_longer_than_the_interval() {
    let agent = Agent::start();
    let builder = builder().flush_interval(Duration::from_millis(10));
    let (tracer, _closer) = builder.agent(agent.address()).build().unwrap();
    for n in 1..=3 {
        finish_spans(&tracer, n);
        assert_eq!(agent.spans(n).len(), n);
    }
    eventually(|| tracer.stats().sent == 6);
}

#[test]
fn durations_are_never_negative_whatever_the_clocks_do() {
    let memory = InMemoryReporter::new();
    let clock = Arc::new(ManualClock::new());
    clock.advance(Duration::from_secs(1_000));
    let (tracer, _closer) = builder().clock(Arc::clone(&clock)).in_memory(&memory).build().unwrap();
    let stepped = tracer.start_span("stepped");
    clock.set_wall(UNIX_EPOCH + Duration::from_secs(10));
    clock.advance(Duration::from_micros(70));
    stepped.log_event("in between");
    stepped.finish();
    tracer.start_span("ended before").finish_at(UNIX_EPOCH);
    let future = UNIX_EPOCH + Duration::from_secs(1_000_000);
    tracer.span("begins later").start_time(future).start().finish();
    let given = tracer.span("given").start_time(UNIX_EPOCH + Duration::from_secs(5)).start();
    given.finish_at(UNIX_EPOCH + Duration::from_secs(7));

    let second = 1_000_000;
    let times: Vec<_> = finished(&memory).iter().map(|s| (s.start, s.duration)).collect();
    let ended = (1_000 * second + 70, 1);
    let expected = [(1_000 * second, 70), ended, (1_000_000 * second, 1), (5 * second, 2 * second)];
    assert_eq!(times, expected);
    assert_eq!(finished(&memory)[0].logs[0].micros, 1_000 * second + 70);
}

#[test]
fn logs_lie_within_their_span_though_the_wall_clock_was_stepped_and_the_anchor_renewed() {
    let clock = Arc::new(ManualClock::new());
    clock.advance(Duration::from_secs(1_000));
    let (transport, taken) = limited(65_000);
    let builder = builder().clock(Arc::clone(&clock)).transport(transport);
    let (tracer, closer) = builder.flush_interval(Duration::from_millis(1)).build().unwrap();
    let span = tracer.start_span("stepped");
    clock.set_wall(UNIX_EPOCH + Duration::from_secs(10));
    let second = 1_000_000;
    // The reporter's thread renews the anchor at each interval: spans begin at the new time then.
    eventually(|| {
        tracer.start_span("probe").finish();
        assert!(tracer.flush(SOON).complete);
        taken.spans().last().is_some_and(|probe| probe.start == 10 * second)
    });
    clock.advance(Duration::from_micros(70));
    span.log_event("in between").finish();
    assert!(closer.close(SOON).complete);
    let spans = taken.spans();
    let span = spans.iter().find(|span| span.name == "stepped").unwrap();
    assert_eq!((span.start, span.duration), (1_000 * second, 70));
    assert_eq!(span.logs[0].micros, 1_000 * second + 70);
}

#[test]
fn threads_that_flush_and_finish_at_once_all_get_their_report() {
    let agent = Agent::start();
    let (tracer, closer) = builder().agent(agent.address()).build().unwrap();
    let (send, reports) = channel();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (send, tracer) = (send.clone(), tracer.clone());
            scope.spawn(move || {
                finish_spans(&tracer, 20);
                send.send(tracer.flush(SOON)).unwrap();
            });
        }
        drop(send);
        for report in reports {
            assert!(report.complete && report.stats.sent >= 20, "{report}");
        }
    });
    assert_eq!(closer.close(SOON).stats.sent, 160);
    assert_eq!(agent.spans(160).len(), 160);
}

/// A way to build a tracer, and what it is.
type Built = (&'static str, fn(TracerBuilder) -> TracerBuilder);

/// What is done with tags beyond the limit is the same wherever a start or another parent copies them.
#[test]
fn a_span_of_more_bytes_than_any_may_have_is_counted_wherever_its_tags_or_logs_are_copied() {
    let huge = vec![0_u8; 300 << 20];
    let tracers: [Built; 4] = [
        ("neither", |builder| builder),
        ("observers", |builder| builder.observer(StartObserver)),
        ("finished", |builder| builder.rpc_metrics(true).metrics(InMemoryMetrics::new())),
        ("deferring", |builder| {
            let marked = TagMatchingSampler::new("tenant").matching("acme");
            let list = PrioritySampler::new().then(marked).then(ConstSampler::new(true));
            builder.sampler(list.build().unwrap())
        }),
    ];
    for (name, built) in tracers {
        let memory = InMemoryReporter::new();
        let sampled = builder().max_tag_value_length(1 << 30).in_memory(&memory);
        let (tracer, _closer) = built(sampled).build().unwrap();
        let too_large = |case: &str, end: &dyn Fn()| {
            let before = tracer.stats();
            end();
            let after = tracer.stats();
            assert!(after.is_balanced(), "{name}, {case}: {after}");
            let counted = after.dropped.too_large - before.dropped.too_large;
            assert_eq!((counted, memory.len()), (1, 0), "{name}, {case}: {after}");
        };
        let caller = SpanContext::new(TraceId::new(0, 1), SpanId::new(1), SpanId::NONE, 1);
        too_large("a tag before the start", &|| {
            tracer.span("op").tag("a", 1).tag("bytes", &*huge).start().finish();
        });
        too_large("a prepared tag", &|| {
            let mut prepared = tracer.prepare_span("op");
            prepared.set_tag("bytes", &*huge).set_parent(&caller);
            prepared.start().set_tag("a", 1).finish();
        });
        too_large("a tag of a restarted span", &|| {
            let span = tracer.start_span("op");
            span.set_tag("bytes", &*huge).set_tag("a", 1);
            span.restart_as_child_of(&caller).unwrap().set_tag("b", 1).finish();
        });
        too_large("a log of a restarted span", &|| {
            let span = tracer.start_span("op");
            span.log(&[("bytes", (&*huge).into())]).set_tag("a", 1);
            span.restart_as_child_of(&caller).unwrap().log_event("e").finish();
        });
        too_large("a span that is restarted twice", &|| {
            let span = tracer.span("op").tag("bytes", &*huge).start();
            let span = span.restart_as_child_of(&caller).unwrap();
            span.restart_as_child_of(&caller).unwrap().finish();
        });
    }
}
