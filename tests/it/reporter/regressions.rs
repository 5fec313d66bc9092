//! What was broken once and must not break again: each test is a fault that a review found, or one
//! that it looked for.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use crate::support::read::{Value, finished};
use crate::support::transport::{By, gated, limited};
use crate::support::{SOON, builder, soon};
use jaeger_client::encoding::{BatchView, ValueView};
use jaeger_client::propagation::{FORMATS, HeadersConfig};
use jaeger_client::sampler::ProbabilisticSampler;
use jaeger_client::transport::{MemoryTransport, Sent, Transport};
use jaeger_client::{
    InMemoryReporter, Logger, NullLogger, Reporter, Span, SpanContext, SpanId, TraceId, Tracer,
    TransportError,
};

/// Starts a span for each error, as a bridge from an application's log does.
#[derive(Default)]
struct Bridge {
    tracer: OnceLock<Tracer>,
    errors: AtomicU64,
}

impl Logger for Bridge {
    fn error(&self, _message: &str) {
        self.errors.fetch_add(1, Ordering::SeqCst);
        if let Some(tracer) = self.tracer.get() {
            tracer.start_span("log").log_event("error");
        }
    }
}

#[test]
fn a_logger_may_start_spans_when_misuse_is_reported() {
    soon(|| {
        let bridge = Arc::new(Bridge::default());
        let (tracer, _closer) =
            Tracer::builder("svc").logger(Arc::clone(&bridge)).null_reporter().build().unwrap();
        bridge.tracer.set(tracer.clone()).unwrap();
        let span = tracer.start_span("op");
        let _scope = span.activate();
        span.finish();
        span.set_tag("k", 1);
        assert_eq!(bridge.errors.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_logger_may_start_spans_when_a_span_comes_after_the_close() {
    soon(|| {
        let bridge = Arc::new(Bridge::default());
        let (tracer, closer) = Tracer::builder("svc")
            .logger(Arc::clone(&bridge))
            .transport(MemoryTransport::new())
            .build()
            .unwrap();
        bridge.tracer.set(tracer.clone()).unwrap();
        assert!(closer.close(SOON).complete);
        let span = tracer.start_span("op");
        let _scope = span.activate();
        span.finish();
        assert_eq!(bridge.errors.load(Ordering::SeqCst), 1);
    });
}

/// Panics at the first error, without a line in the test's output.
#[derive(Default)]
struct Panics(AtomicBool);

impl Logger for Panics {
    fn error(&self, _message: &str) {
        self.0.store(true, Ordering::SeqCst);
        resume_unwind(Box::new("the logger"));
    }
}

#[test]
fn a_logger_that_panics_does_not_end_the_reporters_thread() {
    let logger = Arc::new(Panics::default());
    let refuses = By(|_: &[u8]| Err(TransportError::Refused { address: "nobody".to_owned() }));
    let (tracer, closer) =
        builder().logger(Arc::clone(&logger)).transport(refuses).build().unwrap();
    for _ in 0..2 {
        tracer.start_span("op").finish();
        let report = tracer.flush(SOON);
        assert!(report.complete && report.stats.queued == 0, "{report}");
        assert!(logger.0.load(Ordering::SeqCst), "nothing was logged");
    }
    let report = closer.close(SOON);
    assert_eq!((report.complete, report.stats.dropped.send_failed), (true, 2), "{report}");
}

#[test]
fn a_null_logger_can_be_given_as_a_value() {
    let (tracer, _closer) =
        Tracer::builder("svc").logger(NullLogger).null_reporter().build().unwrap();
    let span = tracer.start_span("op");
    span.finish();
    span.finish();
    assert_eq!(tracer.stats().misused, 1);
}

#[test]
fn scopes_dropped_out_of_order_leave_nothing_active() {
    let (tracer, _closer) = builder().null_reporter().build().unwrap();
    let (a, b) = (tracer.start_span("a"), tracer.start_span("b"));
    let first = a.activate();
    let second = b.activate();
    drop(first);
    drop(second);
    drop((a, b));
    assert!(Span::active().is_none());
    assert_eq!(tracer.stats().open, 0);
}

#[test]
fn a_flush_behind_a_close_is_complete() {
    for _ in 0..50 {
        let (transport, gate) = gated();
        let (tracer, closer) = builder().transport(transport).build().unwrap();
        tracer.start_span("op").finish();
        assert!(!closer.close(Duration::ZERO).complete);
        let (sender, begun) = channel();
        let flush = thread::spawn(move || {
            sender.send(()).unwrap();
            tracer.flush(SOON)
        });
        begun.recv().unwrap();
        // Most often it waits by then; whether it does changes nothing of what must come out.
        for _ in 0..200 {
            thread::yield_now();
        }
        drop(gate.release);
        let report = flush.join().unwrap();
        assert!(report.complete, "{report}");
        assert_eq!((report.stats.sent, report.stats.queued), (1, 0), "{report}");
    }
}

#[test]
fn a_transport_that_flushes_its_own_tracer_waits_no_longer_than_its_timeout() {
    soon(|| {
        let own = Arc::new(OnceLock::<Tracer>::new());
        let within = Arc::clone(&own);
        let transport = By(move |_: &[u8]| {
            let report = within.get().unwrap().flush(Duration::from_millis(1));
            assert!(!report.complete, "its own span is on the way: {report}");
            Ok(Sent::OK)
        });
        let (tracer, closer) = builder().transport(transport).build().unwrap();
        own.set(tracer.clone()).unwrap();
        tracer.start_span("op").finish();
        let report = closer.close(SOON);
        assert_eq!((report.complete, report.stats.sent), (true, 1), "{report}");
    });
}

#[test]
fn a_flush_interval_of_for_ever_is_possible() {
    let (tracer, closer) =
        builder().flush_interval(Duration::MAX).transport(MemoryTransport::new()).build().unwrap();
    tracer.start_span("op").finish();
    let report = closer.close(SOON);
    assert_eq!((report.complete, report.stats.sent), (true, 1), "{report}");
}

#[test]
fn a_single_large_span_is_not_lost_while_the_limit_is_learned() {
    let (transport, taken) = limited(1_432);
    let (tracer, closer) =
        builder().max_tag_value_length(100_000).transport(transport).build().unwrap();
    tracer.span("op").tag("t", "x".repeat(20_000)).start().finish();
    let report = closer.close(SOON);
    assert_eq!(report.stats.sent, 1, "{report}");
    assert_eq!(taken.spans().len(), 1);
}

#[test]
fn a_span_trimmed_by_the_reporter_is_counted_as_trimmed() {
    let (transport, taken) = limited(9_216);
    let (tracer, closer) =
        builder().max_tag_value_length(100_000).transport(transport).build().unwrap();
    tracer.span("op").tag("t", "x".repeat(20_000)).start().finish();
    let report = closer.close(SOON);
    assert!(taken.spans()[0].tag("jaeger.trimmed").is_some());
    assert_eq!(report.stats.trimmed, 1, "{report}");
}

#[test]
fn a_span_of_very_many_logs_is_trimmed_to_its_newest() {
    const LOGS: i64 = 20_000;
    let (transport, taken) = limited(65_000);
    let (tracer, closer) = builder().transport(transport).build().unwrap();
    let span = tracer.start_span("op");
    for n in 0..LOGS {
        span.log(&[("event", "step".into()), ("n", n.into())]);
    }
    span.finish();
    let report = closer.close(SOON);
    assert_eq!((report.stats.sent, report.stats.trimmed), (1, 1), "{report}");
    assert!(taken.sizes().iter().all(|bytes| *bytes <= 65_000), "{:?}", taken.sizes());
    let span = &taken.spans()[0];
    let newest = [("event".to_owned(), "step".into()), ("n".to_owned(), Value::Long(LOGS - 1))];
    assert_eq!(span.logs.last().unwrap().fields, newest);
    assert!(span.logs.len() > 1_000, "{} logs", span.logs.len());
    assert!(span.tag("jaeger.trimmed").is_some());
}

#[test]
fn a_limit_below_the_smallest_known_loses_nothing() {
    let (transport, taken) = limited(1_000);
    let (tracer, closer) = builder().transport(transport).build().unwrap();
    for _ in 0..100 {
        tracer.start_span("op").finish();
    }
    let report = closer.close(SOON);
    assert_eq!(report.stats.sent, 100, "{report}");
    assert_eq!(taken.spans().len(), 100);
}

#[test]
fn the_queue_holds_the_spans_it_was_given_with_small_packets() {
    let (transport, gate) = gated();
    let (tracer, _closer) =
        builder().queue_size(30_720).max_packet_size(1_432).transport(transport).build().unwrap();
    for _ in 0..20_000 {
        tracer.start_span("op").finish();
    }
    let stats = tracer.stats();
    drop(gate);
    assert_eq!(stats.dropped.queue_full, 0, "{stats}");
}

#[test]
fn tracers_that_share_a_reporter_balance_each_their_own_accounting() {
    let memory = InMemoryReporter::new();
    let build = || builder().in_memory(&memory).build().unwrap();
    let ((one, _closer), (other, closer)) = (build(), build());
    for (tracer, count) in [(&one, 3), (&other, 5), (&one, 1)] {
        (0..count).for_each(|_| tracer.start_span("op").finish());
    }
    for (tracer, sent) in [(&one, 4), (&other, 5)] {
        let stats = tracer.stats();
        assert!(stats.is_balanced(), "{stats}");
        assert_eq!((stats.finished, stats.sent, stats.queued), (sent, sent, 0), "{stats}");
    }
    assert_eq!(memory.len(), 9);
    let report = closer.close(SOON);
    assert_eq!((report.complete, report.stats.sent), (true, 5), "{report}");
}

#[test]
fn a_self_reference_to_nothing_begins_a_valid_trace() {
    let memory = InMemoryReporter::new();
    let (tracer, _closer) = builder().in_memory(&memory).build().unwrap();
    let span = tracer.span("op").self_reference(SpanContext::default()).start();
    let context = span.context();
    assert!(context.is_valid() && context.is_sampled(), "{context}");
    assert_eq!(context.parent_id(), SpanId::NONE);
    span.finish();
    let span = &finished(&memory)[0];
    assert_eq!((span.id, span.parent), (context.span_id().get(), 0));
    assert_eq!(span.trace.1, context.trace_id().low());
}

#[test]
fn a_format_built_by_its_row_can_be_given_to_a_tracer() {
    let row = &FORMATS[1];
    assert_eq!(row.name, "b3");
    let format = (row.build)(&HeadersConfig::default());
    let (tracer, _closer) = builder().format(format).null_reporter().build().unwrap();
    let context = SpanContext::new(TraceId::new(0, 0xa), SpanId::new(0xb), SpanId::new(0xc), 1);
    let mut carrier = BTreeMap::<String, String>::new();
    tracer.inject(&context, &mut carrier);
    assert_eq!(carrier["x-b3-traceid"], context.trace_id().to_string());
    assert_eq!(carrier["x-b3-spanid"], context.span_id().to_string());
    assert_eq!(carrier["x-b3-parentspanid"], context.parent_id().to_string());
    assert_eq!(carrier["x-b3-sampled"], "1");
    assert!(!carrier.contains_key("uber-trace-id"));
}

#[test]
fn thousands_of_baggage_items_are_all_stored() {
    let (tracer, _closer) = builder().shards(1_024).null_reporter().build().unwrap();
    let span = tracer.start_span("op");
    for n in 0..2_000 {
        span.set_baggage_item(&n.to_string(), "v");
    }
    assert_eq!(span.context().baggage().count(), 2_000);
}

#[test]
fn a_short_limit_cuts_the_samplers_type_however_a_span_is_started() {
    let memory = InMemoryReporter::new();
    let sampler = ProbabilisticSampler::new(1.0).unwrap();
    let builder = builder().sampler(sampler).max_tag_value_length(5).in_memory(&memory);
    let (tracer, _closer) = builder.build().unwrap();
    tracer.start_span("plain").finish();
    tracer.span("built").tag("n", 1).start().finish();
    let spans = memory.spans();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert_eq!(span.view().tag("sampler.type"), Some(ValueView::Str(b"proba")));
    }
}

#[test]
fn a_reporter_gets_spans_of_a_process_with_any_number_of_tags() {
    #[derive(Debug)]
    struct Count(Arc<AtomicU64>);

    impl Reporter for Count {
        fn report(&mut self, batch: &BatchView<'_>) -> Result<(), TransportError> {
            assert!(batch.process.tags().count() > 400);
            self.0.fetch_add(batch.spans().count() as u64, Ordering::SeqCst);
            Ok(())
        }
    }

    let count = Arc::new(AtomicU64::new(0));
    let mut builder = builder();
    for n in 0..400 {
        builder = builder.tag(format!("tag {n}"), "x".repeat(250));
    }
    let (tracer, closer) = builder.destination(Count(Arc::clone(&count))).build().unwrap();
    (0..10).for_each(|_| tracer.start_span("op").finish());
    let stats = closer.close(SOON).stats;
    assert_eq!((stats.sent, count.load(Ordering::SeqCst)), (10, 10), "{stats}");
}

#[test]
fn a_transport_that_finds_everything_too_large_ends_in_a_loss_and_not_in_a_hang() {
    for bytes in [0, 70_000, usize::MAX] {
        let refuses = By(move |_: &[u8]| Err(TransportError::TooLarge { bytes }));
        let (tracer, closer) = builder().transport(refuses).build().unwrap();
        tracer.start_span("op").finish();
        tracer.start_span("op").log(&[("stack", "x".repeat(20_000).as_str().into())]).finish();
        let report = closer.close(SOON);
        assert_eq!((report.complete, report.stats.sent), (true, 0), "{bytes}: {report}");
        assert_eq!(report.stats.dropped.total(), 2, "{bytes}: {report}");
    }
}

/// Holds the reporter's thread when it is about to be gone.
#[derive(Debug)]
struct BlockingDrop(Mutex<Receiver<()>>);

impl Transport for BlockingDrop {
    fn send(&mut self, _message: &[u8]) -> Result<Sent, TransportError> {
        Ok(Sent::OK)
    }
}

impl Drop for BlockingDrop {
    fn drop(&mut self) {
        let _ = self.0.lock().unwrap().recv();
    }
}

#[test]
fn a_flush_while_the_reporters_thread_ends_is_complete() {
    for _ in 0..10 {
        let (release, wait) = channel();
        let (tracer, closer) = builder().transport(BlockingDrop(Mutex::new(wait))).build().unwrap();
        tracer.start_span("op").finish();
        assert!(closer.close(SOON).complete);
        let flushes: Vec<_> = (0..40)
            .map(|_| {
                let tracer = tracer.clone();
                thread::spawn(move || tracer.flush(SOON))
            })
            .collect();
        for _ in 0..200 {
            thread::yield_now();
        }
        drop::<Sender<()>>(release);
        for flush in flushes {
            let report = flush.join().unwrap();
            assert!(report.complete, "{report}");
        }
    }
}
