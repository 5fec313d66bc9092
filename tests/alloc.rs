//! A span in its steady state allocates nothing, on the thread that makes it.
//!
//! Steady means that the tracer has seen such spans before: its buffers are there and warm. The
//! counting allocator counts the calling thread only, so what the reporter's thread does is left
//! out, and so are tests that run beside this one.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime};

use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::sampler::{
    ConstSampler, GuaranteedThroughputSampler, OperationStrategies, PerOperationSampler,
    PrioritySampler, ProbabilisticSampler, RateLimitingSampler, Sampler, TagMatchingSampler,
};
use jaeger_client::transport::{Sent, Transport};
use jaeger_client::{NullLogger, Span, TailSamplingConfig, Tracer, TracerBuilder, TransportError};

#[test]
fn an_unsampled_span_allocates_nothing() {
    for reporter in REPORTERS {
        assert_eq!(allocations(reporter, false, |tracer, _| drop(tracer.start_span("op"))), 0);
    }
}

#[test]
fn tags_and_logs_of_an_unsampled_span_allocate_nothing() {
    for reporter in REPORTERS {
        let count = allocations(reporter, false, |tracer, _| {
            let span = tracer.start_span("op");
            three_tags(&span);
            span.log(&[("event", "cache miss".into()), ("key", 42.into())]);
        });
        assert_eq!(count, 0);
    }
}

#[test]
fn a_root_with_tags_allocates_nothing() {
    for reporter in REPORTERS {
        let count = allocations(reporter, true, |tracer, _| three_tags(&tracer.start_span("op")));
        assert_eq!(count, 0);
    }
}

#[test]
fn a_child_with_tags_and_a_log_allocates_nothing() {
    for reporter in REPORTERS {
        let count = allocations(reporter, true, |tracer, parent| {
            let span = tracer.span("op").child_of(parent).start();
            three_tags(&span);
            span.log(&[("event", "cache miss".into()), ("key", 42.into())]);
        });
        assert_eq!(count, 0);
    }
}

#[test]
fn spans_with_one_owner_allocate_nothing() {
    for reporter in REPORTERS {
        for sampled in [true, false] {
            let count = allocations(reporter, sampled, |tracer, _| {
                let mut root = tracer.start_owned_span("op");
                root.set_tag("http.method", "GET").set_tag("http.status_code", 200);
                let mut child = root.child("below");
                child.log(&[("event", "cache miss".into()), ("key", 42.into())]);
                child.finish();
            });
            assert_eq!(count, 0);
        }
    }
}

#[test]
fn a_span_that_serves_allocates_nothing() {
    for reporter in REPORTERS {
        let count = allocations(reporter, true, |tracer, parent| {
            let serving = tracer.span("op").child_of(parent).tag("http.method", "GET");
            drop(serving.tag("span.kind", "server").start());
        });
        assert_eq!(count, 0);
    }
}

#[test]
fn a_tree_of_ten_spans_allocates_nothing() {
    for reporter in REPORTERS {
        assert_eq!(allocations(reporter, true, |tracer, _| tree(tracer)), 0);
    }
}

#[test]
fn a_tree_that_is_buffered_and_discarded_or_retained_allocates_nothing() {
    for reporter in [
        |builder: TracerBuilder| {
            builder.null_reporter().tail_sampling(TailSamplingConfig::default())
        },
        |builder: TracerBuilder| {
            builder.transport(Discard).tail_sampling(TailSamplingConfig::default())
        },
    ] {
        assert_eq!(allocations(reporter, false, |tracer, _| tree(tracer)), 0);
        let count = allocations(reporter, false, |tracer, _| {
            let root = tracer.start_span("op");
            (0..3).for_each(|_| three_tags(&tracer.span("op").child_of(&root).start()));
            root.set_tag("error", true);
        });
        assert_eq!(count, 0);
    }
}

#[test]
fn spans_with_long_names_allocate_nothing() {
    for reporter in REPORTERS {
        let count = allocations(reporter, true, |tracer, parent| {
            three_tags(&tracer.span(LONG_NAME).child_of(parent).start());
            three_tags(&tracer.start_span(LONG_NAME));
        });
        assert_eq!(count, 0);
    }
}

const LONG_NAME: &str = "GET /customers/{customer}/orders/{order}/positions";

#[test]
fn a_sampler_that_may_defer_allocates_nothing_where_it_decides() {
    let deferring = |builder: TracerBuilder| {
        let marked = TagMatchingSampler::new("tenant").matching("acme");
        let sampler = PrioritySampler::new().then(ConstSampler::new(true)).then(marked);
        builder.null_reporter().sampler(sampler.build().unwrap())
    };
    let count = allocations(deferring, true, |tracer, parent| {
        three_tags(&tracer.start_span("op"));
        drop(tracer.span("op").child_of(parent).tag("error", false).start());
    });
    assert_eq!(count, 0);
}

#[test]
fn samplers_that_count_allocate_nothing_once_they_know_the_operation() {
    let root = |tracer: &Tracer, _: &Span| drop(tracer.start_span("op"));
    let limited = |builder: TracerBuilder| {
        builder.null_reporter().sampler(RateLimitingSampler::new(1e9).unwrap())
    };
    assert_eq!(allocations(limited, true, root), 0);
    let per_operation = |builder: TracerBuilder| {
        let strategies = OperationStrategies::new(1.0, 1e9);
        builder.null_reporter().sampler(PerOperationSampler::new(&strategies))
    };
    assert_eq!(allocations(per_operation, true, root), 0);
}

#[cfg(feature = "remote-sampler")]
#[test]
fn a_sampler_configured_by_a_server_allocates_nothing_to_decide() {
    use jaeger_client::sampler::{FetchError, RemoteSampler, StrategySource};

    #[derive(Debug)]
    struct FixedStrategy(&'static str);

    impl StrategySource for FixedStrategy {
        fn fetch(&self, _service_name: &str) -> Result<Vec<u8>, FetchError> {
            Ok(self.0.as_bytes().to_vec())
        }
    }

    fn reported(builder: TracerBuilder, response: &'static str) -> TracerBuilder {
        let sampler =
            RemoteSampler::builder("alloc").source(FixedStrategy(response)).build().unwrap();
        sampler.refresh();
        builder.null_reporter().sampler(sampler)
    }

    let root = |tracer: &Tracer, _: &Span| drop(tracer.start_span("op"));
    let share = |builder| reported(builder, r#"{"probabilisticSampling":{"samplingRate":1}}"#);
    assert_eq!((0..5).map(|_| allocations(share, true, root)).min(), Some(0));
    let operations =
        |builder| reported(builder, r#"{"operationSampling":{"defaultSamplingProbability":1}}"#);
    // The first poll of the sampler's thread may come at any moment, and operations are then learned
    // anew.
    let counts = (0..5).map(|_| allocations(operations, true, root));
    assert_eq!(counts.min(), Some(0));
}

#[test]
fn logs_of_a_limited_number_allocate_nothing() {
    for reporter in [
        |builder: TracerBuilder| builder.null_reporter().max_logs_per_span(4),
        |builder: TracerBuilder| builder.transport(Discard).max_logs_per_span(4),
    ] {
        let count = allocations(reporter, true, |tracer, _| {
            let span = tracer.start_span("op");
            for n in 0..10 {
                span.log(&[("event", "retry".into()), ("n", n.into())]);
            }
        });
        assert_eq!(count, 0);
    }
}

#[test]
fn what_is_logged_once_a_minute_allocates_nothing_in_between() {
    let builder = Tracer::builder("alloc").logger(NullLogger).max_tag_value_length(10);
    let (tracer, _closer) = builder.null_reporter().build().unwrap();
    let finished = tracer.start_span("op");
    finished.finish();
    let live = tracer.start_span("op");
    let bad = vec![("uber-trace-id".to_owned(), "no context".to_owned())];
    let before_1970 = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    let causes: [(&str, &dyn Fn()); 4] = [
        ("misused", &|| {
            finished.set_tag("t", 1).log_event("late");
        }),
        ("truncated tag", &|| {
            live.set_tag("t", "longer than ten bytes");
        }),
        ("clamped time", &|| drop(tracer.span("op").start_time(before_1970).start())),
        ("decoding error", &|| assert!(tracer.extract(&bad).is_err())),
    ];
    for (cause, repeat) in causes {
        // As often that the live span's tags have room for more: it doubles when they need it.
        (0..60).for_each(|_| repeat());
        let info = allocation_counter::measure(|| (0..20).for_each(|_| repeat()));
        assert_eq!(info.count_total, 0, "{cause}");
    }
    assert!(tracer.stats().misused > 40 && tracer.stats().clamped_times > 20);
}

#[test]
fn spans_up_to_the_size_of_a_datagram_allocate_nothing() {
    let text = "x".repeat(5_000);
    for count in [4, 8, 11] {
        for (n, reporter) in REPORTERS.into_iter().enumerate() {
            let reporter = |builder: TracerBuilder| reporter(builder).max_tag_value_length(10_000);
            let allocated = allocations(reporter, true, |tracer, parent| {
                let span = tracer.span("op").child_of(parent).start();
                for n in 0..count {
                    if n % 2 == 0 {
                        span.set_tag("t", &*text)
                    } else {
                        span.log_event(&text)
                    };
                }
            });
            // A buffer holds one to three of them, and is made where none is back from the reporter:
            // fewer than one a span. Without reuse, a span takes several allocations.
            let buffers = if n == 0 { 0 } else { BURSTS * OPERATIONS };
            assert!(allocated <= buffers, "{allocated} allocations of spans of {count} texts");
        }
    }
}

#[test]
fn a_live_span_takes_little_memory() {
    const COUNT: usize = 20_000;
    let (tracer, _closer) = Tracer::builder("alloc").null_reporter().build().unwrap();
    let root = tracer.start_span("root");
    let bytes = |start: &dyn Fn() -> Span| {
        let mut spans = Vec::with_capacity(COUNT);
        let info = allocation_counter::measure(|| spans.extend((0..COUNT).map(|_| start())));
        drop(spans);
        usize::try_from(info.bytes_current).unwrap() / COUNT + size_of::<Span>()
    };
    let tagged = |span: Span| {
        three_tags(&span);
        span
    };
    let child = || tracer.span("op").child_of(&root).start();
    for (what, most, bytes) in [
        ("a root, which has the sampler's tags", 490, bytes(&|| tracer.start_span("op"))),
        ("a root with tags", 490, bytes(&|| tagged(tracer.start_span("op")))),
        ("a child", 310, bytes(&child)),
        ("a child with tags", 445, bytes(&|| tagged(child()))),
    ] {
        assert!(bytes <= most, "{what}: {bytes} bytes");
    }
}

#[test]
fn the_list_of_open_spans_returns_its_memory() {
    let builder = Tracer::builder("alloc").null_reporter().track_open_spans(100_000);
    let (tracer, _closer) = builder.build().unwrap();
    let open = |count| (0..count).map(|_| tracer.start_span("op")).collect::<Vec<_>>();
    // Records of spans are in pools from then on.
    drop(open(3_000));
    let info = allocation_counter::measure(|| {
        let mut spans = open(100_000);
        assert_eq!(tracer.open_spans().spans.len(), 100_000);
        // In no order, and all but a few.
        let mut at = 0;
        while spans.len() > 100 {
            at = (at + 7_919) % spans.len();
            drop(spans.swap_remove(at));
        }
        assert_eq!(tracer.open_spans().spans.len(), 100);
        drop(spans);
    });
    assert!(info.bytes_max > 20_000_000, "{info:?}");
    assert!(info.bytes_current < 100_000, "{info:?}");
}

/// A buffer is made when none is back from the reporter's thread, so how many there are is a matter
/// of timing, within a bound: with a queue of one, that is the one in it, the one being filled, the
/// one being sent, and those that a flush takes. Without reuse there are dozens: one each time.
#[test]
fn full_buffers_are_reused() {
    let count = allocations(
        |builder| builder.transport(Discard).queue_size(1),
        true,
        |tracer, _| (0..40).for_each(|_| tree(tracer)),
    );
    assert!(count <= 8, "{count} allocations");
}

/// Tells of its first message, and does not come back from it until it is let go.
#[derive(Debug)]
struct Stuck(Sender<()>, Receiver<()>);

impl Transport for Stuck {
    fn send(&mut self, _message: &[u8]) -> Result<Sent, TransportError> {
        let _ = self.0.send(());
        let _ = self.1.recv();
        Ok(Sent::OK)
    }
}

/// Defect 12 of the Go client, whose full queue takes more than 500 bytes a span that never come
/// back: the span was counted as held before it turned out that there was no room for it.
#[test]
fn spans_that_a_full_queue_drops_take_no_memory() {
    let ((sender, begun), (release, stuck)) = (channel(), channel());
    let builder = Tracer::builder("alloc").logger(NullLogger).queue_size(1).shards(1);
    let (tracer, closer) = builder.transport(Stuck(sender, stuck)).build().unwrap();
    while begun.try_recv().is_err() {
        tree(&tracer);
    }
    let full = || tracer.stats().dropped.queue_full;
    let before = full();
    while full() < before + 1_000 {
        tree(&tracer);
    }
    let before = full();
    let info = allocation_counter::measure(|| (0..1_000).for_each(|_| tree(&tracer)));
    assert_eq!((info.count_total, info.bytes_current), (0, 0), "{info:?}");
    // They are dropped by the buffer, the last of which is not full yet.
    assert!(full() - before > 8_000, "{}", tracer.stats());
    assert!(tracer.stats().is_balanced(), "{}", tracer.stats());
    drop(release);
    assert!(closer.close(Duration::from_secs(30)).complete);
}

#[cfg(feature = "http")]
#[test]
fn a_context_in_http_headers_allocates_nothing_to_be_written_and_read() {
    let (tracer, _closer) = Tracer::builder("alloc").null_reporter().build().unwrap();
    let context = tracer.start_span("op").context();
    let mut headers = http::HeaderMap::new();
    let mut burst = || {
        for _ in 0..500 {
            tracer.inject(&context, &mut headers);
            assert!(tracer.extract(&headers).is_ok());
        }
    };
    burst();
    assert_eq!(allocation_counter::measure(burst).count_total, 0);
}

#[cfg(feature = "otlp")]
#[test]
fn otlp_requests_allocate_nothing_once_their_memory_has_grown() {
    use jaeger_client::InMemoryReporter;
    use jaeger_client::encoding::{List, OtlpEncoder, ProcessView};

    let memory = InMemoryReporter::new();
    let (tracer, _closer) = Tracer::builder("alloc").in_memory(&memory).build().unwrap();
    (0..OPERATIONS).for_each(|_| tree(&tracer));
    let span = tracer.span("op").tag("error", true).tag("span.kind", "server").start();
    span.set_tag("http.url", LONG_NAME.repeat(20));
    for n in 0..100 {
        span.set_tag(&format!("tag {}", n % 90), n);
        span.log(&[("event", "retry".into()), ("n", n.into())]);
    }
    drop(span);
    let spans: Vec<u8> = memory.spans().iter().flat_map(|span| span.bytes().to_vec()).collect();
    let spans = List::new(memory.spans().len(), &spans);
    let mut encoder = OtlpEncoder::new(&ProcessView::new(b"svc", None));
    let mut requests = || {
        let (mut left, mut written) = (spans, 0);
        while left.count > 0 {
            let request = encoder.encode(left, 16_384).unwrap();
            (left, written) = (request.left, written + request.spans);
        }
        assert_eq!(written, spans.count);
    };
    requests();
    assert_eq!(allocation_counter::measure(requests).count_total, 0);
}

#[test]
fn baggage_takes_a_few_allocations_an_item_however_many_there_are() {
    let builder = Tracer::builder("alloc").sampler(ConstSampler::new(false)).null_reporter();
    let (tracer, _closer) = builder.build().unwrap();
    let keys: Vec<_> = (0..4_000).map(|n| format!("key {n}")).collect();
    let span = tracer.start_span("op");
    let set = |keys: &[String]| {
        allocation_counter::measure(|| {
            for key in keys {
                span.set_baggage_item(key, "value");
            }
        })
    };
    // Each of them used to copy all that were there: 16 million allocations.
    let info = set(&keys);
    assert!(info.count_total <= 8_000 && info.bytes_total <= 4_000_000, "{info:?}");
    // A child has them too, so that they are copied once.
    let child = tracer.span("child").child_of(&span).start();
    let info = set(&keys[..1]);
    assert!(info.count_total <= 10, "{info:?}");
    let own = child.context();
    assert_eq!((own.baggage().count(), own.baggage_item("key 3999")), (4_000, Some("value")));
}

#[test]
fn many_items_of_baggage_are_read_in_a_few_allocations() {
    let (tracer, _closer) = Tracer::builder("alloc").null_reporter().build().unwrap();
    let mut headers = vec![("uber-trace-id".to_owned(), "1:2:0:1".to_owned())];
    headers.extend((0..180).map(|n| (format!("uberctx-key-{n}"), "value".to_owned())));
    let info = allocation_counter::measure(|| {
        assert_eq!(tracer.extract(&headers).unwrap().baggage().count(), 180);
    });
    assert!(info.count_total <= 30, "{info:?}");
}

/// The record, the handle, the tags, and the state of a trace that begins with the span or whose context was read.
#[test]
#[cfg(target_pointer_width = "64")]
fn a_live_span_takes_at_most_500_bytes() {
    let tagged = |span: Span| {
        three_tags(&span);
        span
    };
    let root = |tracer: &Tracer, _: &Span| tracer.start_span("op");
    let child = |tracer: &Tracer, parent: &Span| tracer.span("op").child_of(parent).start();
    let read = |tracer: &Tracer, _: &Span| {
        let span = tracer.start_span("op");
        let _context = span.context();
        span
    };
    let builder = |sampled| Tracer::builder("alloc").sampler(ConstSampler::new(sampled));
    let bytes = [
        live_bytes(builder(true), root),
        live_bytes(builder(true), |tracer, parent| tagged(root(tracer, parent))),
        live_bytes(builder(true), child),
        live_bytes(builder(true), |tracer, parent| tagged(child(tracer, parent))),
        live_bytes(builder(false), root),
        live_bytes(builder(false), read),
    ];
    let most = [482, 482, 304, 437, 80, 128];
    assert!(bytes.iter().zip(most).all(|(bytes, most)| *bytes <= most), "{bytes:?}");
    assert!(bytes[0] > 2 * bytes[4], "memory that others have left is not counted: {bytes:?}");
    // A root has the tags of its sampler.
    let bytes = samplers().map(|(what, sampler)| {
        let builder = || sampler(Tracer::builder("alloc"));
        let bytes = [
            live_bytes(builder(), root),
            live_bytes(builder(), |tracer, parent| tagged(root(tracer, parent))),
        ];
        (what, bytes)
    });
    assert!(bytes.iter().all(|(_, [root, tagged])| root.max(tagged) <= &498), "{bytes:?}");
}

/// Gives a builder a sampler.
#[cfg(target_pointer_width = "64")]
type WithSampler = Box<dyn Fn(TracerBuilder) -> TracerBuilder>;

/// Every built-in sampler whose tags are bounded, so that it samples all traces.
#[cfg(target_pointer_width = "64")]
fn samplers() -> [(&'static str, WithSampler); 7] {
    fn of<S: Sampler + 'static>(make: fn() -> S) -> WithSampler {
        Box::new(move |builder| builder.sampler(make()))
    }
    [
        ("const", of(|| ConstSampler::new(true))),
        ("probabilistic", of(|| ProbabilisticSampler::new(1.0).unwrap())),
        ("rate limiting", of(|| RateLimitingSampler::new(1e9).unwrap())),
        (
            "guaranteed throughput, by probability",
            of(|| GuaranteedThroughputSampler::new(1e9, 1.0)),
        ),
        (
            "guaranteed throughput, by its lower bound",
            of(|| GuaranteedThroughputSampler::new(1e9, 0.0)),
        ),
        ("per operation", of(|| PerOperationSampler::new(&OperationStrategies::new(1.0, 1e9)))),
        (
            "priority",
            of(|| {
                let probabilistic = ProbabilisticSampler::new(1.0).unwrap();
                PrioritySampler::new().then(probabilistic).build().unwrap()
            }),
        ),
    ]
}

/// Returns the bytes of a live span whose memory no other span has left.
#[cfg(target_pointer_width = "64")]
fn live_bytes(builder: TracerBuilder, start: impl Fn(&Tracer, &Span) -> Span) -> u64 {
    const SPANS: usize = 100;
    /// More than the pools that a thread takes from.
    const POOLED: usize = 2_000;
    let (tracer, _closer) = builder.null_reporter().build().unwrap();
    let parent = tracer.start_span("parent");
    // All that is in pools is taken first.
    let others: Vec<_> = (0..POOLED).map(|_| start(&tracer, &parent)).collect();
    let mut live = Vec::with_capacity(SPANS);
    let info = allocation_counter::measure(|| {
        live.extend((0..SPANS).map(|_| start(&tracer, &parent)));
    });
    // Never ended, as their memory would be in the pools of the next measurement.
    std::mem::forget((others, live));
    let bytes = u64::try_from(info.bytes_current).unwrap() / SPANS as u64;
    bytes + size_of::<Span>() as u64
}

#[test]
fn tracers_that_are_closed_and_dropped_leave_little_memory() {
    let use_up = |sampled| {
        let builder = Tracer::builder("alloc").sampler(ConstSampler::new(sampled)).null_reporter();
        let (tracer, _closer) = builder.build().unwrap();
        (0..3).for_each(|_| tree(&tracer));
    };
    [true, false].into_iter().for_each(use_up);
    let info = allocation_counter::measure(|| (0..200).for_each(|nth| use_up(nth % 2 == 0)));
    assert!(info.bytes_current < 20_000, "{info:?}");
}

#[test]
fn what_allocates_is_counted() {
    let count = allocations(REPORTERS[0], false, |_, _| drop(std::hint::black_box(vec![0_u8])));
    assert_eq!(count, BURSTS * OPERATIONS);
}

/// Where finished spans go: nowhere, and through buffers, queue and thread to a transport, the last
/// time with metrics.
const REPORTERS: [fn(TracerBuilder) -> TracerBuilder; 3] = [
    |builder| builder.null_reporter(),
    |builder| builder.transport(Discard),
    |builder| builder.transport(Discard).metrics(InMemoryMetrics::new()),
];

const WARM_UPS: u64 = 2;
const BURSTS: u64 = 5;

/// Operations a burst; so many trees of spans stay within one buffer.
const OPERATIONS: u64 = 20;

/// Counts the allocations of `operation` in its steady state, all bursts together.
fn allocations(
    reporter: impl Fn(TracerBuilder) -> TracerBuilder,
    sampled: bool,
    operation: impl Fn(&Tracer, &Span),
) -> u64 {
    let builder = Tracer::builder("alloc").sampler(ConstSampler::new(sampled));
    // Flushed between bursts only: nothing but the bursts decides when a buffer is taken.
    let builder = builder.flush_interval(Duration::from_secs(3_600));
    let (tracer, _closer) = reporter(builder).build().unwrap();
    let parent = tracer.start_span("parent");
    let burst = || (0..OPERATIONS).for_each(|_| operation(&tracer, &parent));
    let mut count = 0;
    for nth in 0..WARM_UPS + BURSTS {
        let info = allocation_counter::measure(burst);
        count += if nth < WARM_UPS { 0 } else { info.count_total };
        let report = tracer.flush(Duration::from_secs(30));
        assert!(report.complete, "{report}");
        assert!(!sampled || report.stats.not_sampled == 0, "nothing was encoded: {report}");
    }
    count
}

fn three_tags(span: &Span) {
    span.set_tag("http.method", "GET");
    span.set_tag("http.status_code", 200);
    span.set_tag("error", false);
}

/// A root, three children, and two grandchildren below each.
fn tree(tracer: &Tracer) {
    let below = |parent: &Span| {
        let span = tracer.span("op").child_of(parent).start();
        three_tags(&span);
        span
    };
    let root = tracer.start_span("op");
    three_tags(&root);
    for _ in 0..3 {
        let child = below(&root);
        for _ in 0..2 {
            drop(below(&child));
        }
    }
}

/// Takes every message.
#[derive(Debug)]
struct Discard;

impl Transport for Discard {
    fn send(&mut self, _message: &[u8]) -> Result<Sent, TransportError> {
        Ok(Sent::OK)
    }
}
