//! Several destinations at once, and reporters of an application's own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crate::support::agent::{Agent, nobody};
use crate::support::read::{Span, finished};
use crate::support::transport::{By, gated};
use crate::support::{SOON, builder, memory_logger};
use jaeger_client::encoding::BatchView;
use jaeger_client::transport::Sent;
use jaeger_client::{
    AgentProtocol, Configuration, Destination, DestinationStats, InMemoryReporter, Logger,
    Reporter, ReporterConfig, Tracer, TransportError,
};

fn finish_spans(tracer: &Tracer, count: usize) {
    for n in 0..count {
        tracer.span(format!("op-{n}")).tag("n", n).start().finish();
    }
}

/// Taken, sent, queued, and lost: too large and in sending.
type Counts = (u64, u64, u64, (u64, u64));

fn counts(tracer: &Tracer) -> Vec<(String, Counts)> {
    let plain = |stats: DestinationStats| {
        let sums = stats.sent + stats.queued + stats.dropped.total();
        assert_eq!(stats.taken, sums, "{stats:?}");
        let lost = (stats.dropped.too_large, stats.dropped.send_failed);
        (stats.name, (stats.taken, stats.sent, stats.queued, lost))
    };
    tracer.destination_stats().into_iter().map(plain).collect()
}

/// A reporter that stores names, threads and services, and has a configured result for each report.
#[derive(Debug, Default)]
struct Own {
    seen: Arc<Mutex<Vec<(ThreadId, String, String)>>>,
    flushes: Arc<AtomicUsize>,
    panics_at: Option<usize>,
    fails_at: Option<usize>,
    reports: usize,
}

impl Reporter for Own {
    fn report(&mut self, batch: &BatchView<'_>) -> Result<(), TransportError> {
        self.reports += 1;
        assert_ne!(self.panics_at, Some(self.reports), "this panic is part of the test");
        if self.fails_at == Some(self.reports) {
            return Err(TransportError::Io { source: std::io::Error::other("disk full") });
        }
        let service = String::from_utf8(batch.process.service_name.to_vec()).unwrap();
        let mut seen = self.seen.lock().unwrap();
        for span in batch.spans() {
            seen.push((
                thread::current().id(),
                service.clone(),
                span.operation_name().into_owned(),
            ));
        }
        Ok(())
    }

    fn flush(&mut self) {
        self.flushes.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_custom_reporter_gets_all_spans_on_the_reporter_thread_and_is_flushed_before_the_report() {
    let own = Own::default();
    let (seen, flushes) = (Arc::clone(&own.seen), Arc::clone(&own.flushes));
    let (tracer, closer) = builder().destination(own).build().unwrap();
    finish_spans(&tracer, 1_000);
    let report = tracer.flush(SOON);
    assert!(report.complete && report.stats.sent == 1_000, "{report}");
    assert_eq!(flushes.load(Ordering::SeqCst), 1);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1_000);
    assert!(seen.iter().all(|(by, service, _)| *by == seen[0].0 && service == "svc"));
    assert_ne!(seen[0].0, thread::current().id());
    assert_eq!(seen[999].2, "op-999");
    assert_eq!(counts(&tracer), [("reporter".to_owned(), (1_000, 1_000, 0, (0, 0)))]);
    drop(closer);
}

#[test]
fn a_boxed_reporter_that_is_chosen_at_run_time_is_called_and_flushed() {
    let own = Own::default();
    let (seen, flushes) = (Arc::clone(&own.seen), Arc::clone(&own.flushes));
    let chosen: Box<dyn Reporter> = Box::new(own);
    let (tracer, closer) = builder().destination(chosen).build().unwrap();
    finish_spans(&tracer, 1);
    let report = closer.close(SOON);
    assert!(report.complete && report.stats.sent == 1, "{report}");
    assert_eq!(seen.lock().unwrap().len(), 1);
    assert!(flushes.load(Ordering::SeqCst) > 0);
}

#[test]
fn several_destinations_get_the_same_spans_and_have_their_own_counts() {
    let (agent, memory) = (Agent::start(), InMemoryReporter::new());
    let (tracer, closer) = builder()
        .agent(agent.address())
        .add_destination(Destination::agent(nobody(), AgentProtocol::Binary))
        .add_destination(Destination::in_memory(&memory))
        .add_destination(Destination::null().named("nowhere"))
        .build()
        .unwrap();
    let large = "x".repeat(3_000);
    tracer.span("with all").tag("t", &large).tag("n", -1).start().log_event("logged");
    finish_spans(&tracer, 9);
    let report = closer.close(SOON);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    assert_eq!((report.stats.sent, report.stats.dropped.total()), (10, 0), "the first's");
    let wanted = [
        ("agent", (10, 10, 0, (0, 0))),
        ("agent-2", (10, 0, 0, (0, 10))),
        ("memory", (10, 10, 0, (0, 0))),
        ("nowhere", (10, 10, 0, (0, 0))),
    ];
    assert_eq!(counts(&tracer), wanted.map(|(name, counts)| (name.to_owned(), counts)));
    assert_eq!(agent.spans(10), finished(&memory), "the same bytes");
}

#[test]
fn the_tracers_accounting_follows_the_first_destination() {
    let memory = InMemoryReporter::new();
    let first = By(|_: &[u8]| Err(TransportError::Refused { address: "a".into() }));
    let (tracer, closer) = builder()
        .transport(first)
        .add_destination(Destination::in_memory(&memory))
        .build()
        .unwrap();
    finish_spans(&tracer, 3);
    let stats = closer.close(SOON).stats;
    assert_eq!((stats.sent, stats.dropped.send_failed), (0, 3), "{stats}");
    assert_eq!(memory.len(), 3);
}

#[test]
fn a_destination_that_panics_or_fails_loses_one_message_and_affects_no_other() {
    for (panics_at, fails_at, words) in
        [(Some(2), None, "the reporter panicked"), (None, Some(2), "disk full")]
    {
        let (memory, logger) = (InMemoryReporter::new(), memory_logger());
        let own = Own { panics_at, fails_at, ..Own::default() };
        let panics = By(move |_: &[u8]| -> Result<Sent, TransportError> {
            panic!("this panic is part of the test")
        });
        let (tracer, closer) = builder()
            .logger(Arc::clone(&logger))
            .destination(own)
            .add_destination(Destination::transport(panics, AgentProtocol::Compact))
            .add_destination(Destination::in_memory(&memory))
            .build()
            .unwrap();
        for (spans, sent, failed) in [(1, 1, 0), (2, 1, 2), (4, 5, 2)] {
            finish_spans(&tracer, spans);
            let report = tracer.flush(SOON);
            assert!(report.complete && report.stats.is_balanced(), "{report}");
            assert_eq!((report.stats.sent, report.stats.dropped.send_failed), (sent, failed));
        }
        assert!(closer.close(SOON).complete);
        assert!(logger.has("spans lost"), "{:?}", logger.all());
        let reported = logger.has(words) || logger.has("the transport panicked: \"this panic is");
        assert!(reported, "{:?}", logger.all());
        assert_eq!(memory.len(), 7);
        assert_eq!(counts(&tracer)[1].1, (7, 0, 0, (0, 7)));
    }
}

#[test]
fn the_tracers_accounting_is_balanced_at_any_moment_with_several_destinations() {
    let (transport, gate) = gated();
    let memory = InMemoryReporter::new();
    let (tracer, closer) = builder()
        .queue_size(480)
        .max_packet_size(2_000)
        .transport(transport)
        .add_destination(Own { fails_at: Some(2), ..Own::default() })
        .add_destination(Destination::in_memory(&memory))
        .build()
        .unwrap();
    let other = tracer.clone();
    let makes = thread::spawn(move || finish_spans(&other, 30_000));
    let mut buffered = Some(gate);
    while !makes.is_finished() {
        let stats = tracer.stats();
        assert!(stats.is_balanced(), "{stats}");
        if stats.finished > 10_000 {
            buffered = None;
        }
    }
    makes.join().unwrap();
    drop(buffered);
    let stats = closer.close(SOON).stats;
    assert!(stats.is_balanced() && stats.queued == 0, "{stats}");
    assert_eq!(stats.started, 30_000);
    assert!(stats.dropped.queue_full > 0, "{stats}");
    let destinations = tracer.destination_stats();
    // What came into no queue is in the tracer's own counts alone.
    let nowhere = stats.dropped.queue_full - destinations[0].dropped.queue_full;
    for own in &destinations {
        assert_eq!(own.taken + nowhere, 30_000, "{own:?}: {stats}");
        assert_eq!(own.taken, own.sent + own.dropped.total(), "{own:?}");
    }
    assert!(destinations[1].dropped.send_failed > 0, "{destinations:?}");
    assert_eq!(memory.len() as u64, destinations[2].sent);
}

#[test]
fn the_size_limit_of_a_destination_trims_its_own_spans_alone() {
    let (agent, memory) = (Agent::start(), InMemoryReporter::new());
    let small = By(|message: &[u8]| match message.len() {
        0..=9_216 => Ok(Sent::OK),
        bytes => Err(TransportError::TooLarge { bytes }),
    });
    let (tracer, closer) = builder()
        .max_tag_value_length(60_000)
        .agent(agent.address())
        .add_destination(Destination::transport(small, AgentProtocol::Compact))
        .add_destination(Destination::in_memory(&memory))
        .build()
        .unwrap();
    tracer.span("large").tag("t", "x".repeat(40_000)).start().finish();
    finish_spans(&tracer, 500);
    let stats = closer.close(SOON).stats;
    assert_eq!((stats.sent, stats.trimmed), (501, 0), "{stats}");
    let own = tracer.destination_stats();
    assert_eq!((own[0].sent, own[0].trimmed), (501, 0));
    assert_eq!((own[1].sent, own[1].trimmed), (501, 1));
    let whole = |spans: &[Span]| spans.iter().all(|span| span.tag("jaeger.trimmed").is_none());
    assert!(whole(&agent.spans(501)) && whole(&finished(&memory)));
}

#[derive(Debug, Default)]
struct Messages(Mutex<Vec<String>>);

impl Logger for Messages {
    fn error(&self, message: &str) {
        panic!("nothing is wrong here: {message}");
    }

    fn info(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

#[test]
fn a_logging_reporter_prints_each_spans_context_and_name() {
    let (agent, reported) = (Agent::start(), Arc::new(Messages::default()));
    let (tracer, closer) = builder()
        .logger(Arc::clone(&reported))
        .agent(agent.address())
        .add_destination(Destination::logging())
        .build()
        .unwrap();
    let root = tracer.start_span("root");
    let child = tracer.span("child op").child_of(&root).start();
    let (trace, root_id) = (root.context().trace_id(), root.context().span_id());
    let child_id = child.context().span_id();
    child.finish();
    root.finish();
    assert!(closer.close(SOON).complete);
    let lines = reported.0.lock().unwrap().clone();
    let wanted = [
        format!("Reporting span {trace}:{child_id}:{root_id}:1 child op"),
        format!("Reporting span {trace}:{root_id}:0000000000000000:1 root"),
    ];
    assert_eq!(lines[lines.len() - 2..], wanted);
}

/// A logger that stores all messages of a tracer, of both levels.
#[derive(Debug, Default)]
struct All(Mutex<Vec<String>>);

impl Logger for All {
    fn error(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }

    fn info(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

#[test]
fn no_text_of_the_application_or_the_network_reaches_the_logger_unescaped_or_without_a_bound() {
    let all = Arc::new(All::default());
    let hostile = "evil\r\n2026 ERROR forged\u{1b}[2J\u{202e}\u{85}";
    let long = "x".repeat(30_000);
    let refuse = move |_: &[u8]| Err(TransportError::Io { source: std::io::Error::other(hostile) });
    let (tracer, closer) = Tracer::builder(hostile)
        .logger(Arc::clone(&all))
        .transport(By(refuse))
        .add_destination(Destination::logging())
        .track_open_spans(10)
        .flush_interval(Duration::from_secs(3600))
        .build()
        .unwrap();
    tracer.start_span(hostile).finish();
    tracer.start_span(long).finish();
    let open = tracer.start_span(format!("open {hostile}"));
    assert!(tracer.flush(SOON).complete && closer.close(SOON).complete);
    open.finish();
    let lines = all.0.lock().unwrap().clone();
    let about = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    assert!(about("Reporting span") >= 2 && about("never finished") == 1, "{lines:?}");
    assert!(about("send_failed: ") == 1 && about("tracing as") == 1, "{lines:?}");
    assert!(about("evil\\r\\n") >= 4, "{lines:?}");
    for line in &lines {
        assert!(!line.contains(['\r', '\n', '\u{1b}', '\u{202e}', '\u{85}']), "{line:?}");
        assert!(line.len() < 4_200, "{} bytes", line.len());
    }
}

#[test]
fn log_spans_logs_and_sends() {
    let agent = Agent::start();
    let reporter = ReporterConfig {
        local_agent_host_port: agent.address(),
        buffer_flush_interval: Duration::from_secs(3600),
        log_spans: true,
        ..ReporterConfig::default()
    };
    let configuration = Configuration { reporter, ..Configuration::new("svc") };
    let (tracer, closer) = configuration.new_tracer().unwrap();
    finish_spans(&tracer, 2);
    assert_eq!(closer.close(SOON).stats.sent, 2);
    assert_eq!(agent.spans(2).len(), 2);
    let names: Vec<_> =
        counts(&tracer).into_iter().map(|(name, counts)| (name, counts.1)).collect();
    assert_eq!(names, [("agent".to_owned(), 2), ("logging".to_owned(), 2)]);
}

#[test]
fn a_reporter_in_memory_that_is_alone_has_its_spans_at_once() {
    let memory = InMemoryReporter::new();
    let (tracer, _closer) = builder().in_memory(&memory).build().unwrap();
    finish_spans(&tracer, 2);
    assert_eq!(memory.len(), 2);
    assert_eq!(counts(&tracer)[0].1, (2, 2, 0, (0, 0)));
}
