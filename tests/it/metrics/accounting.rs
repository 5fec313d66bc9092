//! Metrics equal the span accounting: the same sums, however they are reported and whatever goes wrong.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use crate::support::metrics::counters;
use crate::support::transport::{By, gated};
use crate::support::{SOON, Seeded, builder, eventually};
use jaeger_client::metrics::{Counter, Gauge, InMemoryMetrics, MetricsFactory, MetricsHost};
use jaeger_client::sampler::{ProbabilisticSampler, Sampler, TagMatchingSampler};
use jaeger_client::transport::Sent;
use jaeger_client::{NullLogger, Tracer, TransportError};

#[test]
fn spans_that_do_not_leave_are_counted_by_result_and_waiting_ones_are_the_queues_length() {
    let metrics = InMemoryMetrics::new();
    let mut messages = 0;
    let send = move |_: &[u8]| {
        messages += 1;
        match messages {
            1 => Ok(Sent::OK),
            _ => Err(TransportError::Io { source: io::Error::other("so it goes") }),
        }
    };
    let (tracer, closer) = builder().transport(By(send)).metrics(metrics.clone()).build().unwrap();
    let queued = || metrics.gauges()["jaeger.tracer.reporter_queue_length"];
    let finish = |spans: i64| (0..spans).for_each(|_| tracer.start_span("op").finish());
    finish(3);
    assert_eq!(queued(), 3);
    let _ = tracer.flush(SOON);
    assert_eq!(queued(), 0);
    finish(5);
    let late = tracer.start_span("too late");
    let _ = closer.close(SOON);
    late.finish();
    let counts = counters(&metrics);
    assert_eq!(counts["reporter_spans|result=ok"], 3);
    assert_eq!(counts["reporter_spans|result=err"], 5);
    assert_eq!(counts["reporter_spans|result=dropped"], 1);
}

#[test]
fn spans_that_find_the_queue_full_are_counted_as_dropped() {
    let metrics = InMemoryMetrics::new();
    let (transport, gate) = gated();
    let builder = builder().queue_size(1).max_packet_size(1_000).transport(transport);
    let (tracer, closer) = builder.metrics(metrics.clone()).build().unwrap();
    while tracer.stats().dropped.queue_full == 0 {
        tracer.start_span("op").finish();
    }
    drop(gate.release);
    let stats = closer.close(SOON).stats;
    let counts = counters(&metrics);
    assert_eq!(counts["reporter_spans|result=dropped"], stats.dropped.queue_full);
    assert_eq!(counts["reporter_spans|result=ok"], stats.sent);
}

#[test]
fn a_counter_never_goes_down_and_is_right_again_after_a_late_refusal() {
    let metrics = InMemoryMetrics::new();
    let mut messages = 0;
    let send = move |_: &[u8]| {
        messages += 1;
        Ok(if messages == 2 { Sent::PREVIOUS_REFUSED } else { Sent::OK })
    };
    let (tracer, _closer) = builder().transport(By(send)).metrics(metrics.clone()).build().unwrap();
    let mut counted = Vec::new();
    for spans in [3, 1, 4] {
        (0..spans).for_each(|_| tracer.start_span("op").finish());
        let stats = tracer.flush(SOON).stats;
        let counts = counters(&metrics);
        counted.push((stats.sent, counts["reporter_spans|result=ok"]));
        assert_eq!(
            stats.dropped.send_failed,
            *counts.get("reporter_spans|result=err").unwrap_or(&0)
        );
    }
    assert_eq!(counted, [(3, 3), (1, 3), (5, 5)]);
}

/// Counts that the tracer reports by itself; a reader does not trigger the report.
#[derive(Clone, Debug, Default)]
struct PushedMetrics(InMemoryMetrics);

impl MetricsFactory for PushedMetrics {
    fn counter(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Counter> {
        self.0.counter(name, tags)
    }
}

#[test]
fn the_reporters_thread_reports_changes_at_each_interval_and_a_close_reports_the_rest() {
    let metrics = PushedMetrics::default();
    let builder = Tracer::builder("svc").logger(NullLogger).transport(By(|_: &[u8]| Ok(Sent::OK)));
    let builder = builder.flush_interval(Duration::from_millis(5)).metrics(metrics.clone());
    let (tracer, closer) = builder.build().unwrap();
    tracer.start_span("op").finish();
    let ok = || counters(&metrics.0).get("reporter_spans|result=ok").copied();
    eventually(|| ok() == Some(1));
    tracer.start_span("op").finish();
    let _ = closer.close(SOON);
    assert_eq!(ok(), Some(2));
}

#[test]
fn changes_are_reported_at_intervals_though_there_is_always_a_buffer_to_send() {
    const MESSAGES: u32 = 20_000;
    let (metrics, messages) = (PushedMetrics::default(), Arc::new(AtomicU32::new(0)));
    let (reported, own) = (Arc::new(AtomicBool::new(false)), Arc::new(OnceLock::<Tracer>::new()));
    let (pushed, sent) = (metrics.clone(), Arc::clone(&messages));
    let (is_reported, tracer) = (Arc::clone(&reported), Arc::clone(&own));
    // Each message fills the next buffers, so that the queue is never empty.
    let send = move |_: &[u8]| {
        let ok = counters(&pushed.0).get("reporter_spans|result=ok").copied();
        if ok.is_some_and(|ok| ok > 4_000) {
            is_reported.store(true, Ordering::Release);
        } else if sent.fetch_add(1, Ordering::AcqRel) < MESSAGES {
            let tracer = tracer.get().unwrap();
            (0..40).for_each(|_| tracer.start_span("op").finish());
        }
        Ok(Sent::OK)
    };
    let builder = builder().transport(By(send)).metrics(metrics).max_packet_size(1_000);
    let (tracer, closer) = builder.flush_interval(Duration::from_millis(1)).build().unwrap();
    own.set(tracer.clone()).unwrap();
    tracer.start_span("op").finish();
    eventually(|| reported.load(Ordering::Acquire) || messages.load(Ordering::Acquire) >= MESSAGES);
    assert!(reported.load(Ordering::Acquire), "not while there were buffers to send");
    assert!(closer.close(SOON).complete);
}

#[test]
fn a_tracer_without_a_thread_reports_changes_when_it_is_flushed_or_closed() {
    let metrics = PushedMetrics::default();
    let (tracer, closer) = builder().null_reporter().metrics(metrics.clone()).build().unwrap();
    let started = || counters(&metrics.0).get("started_spans|sampled=y").copied();
    tracer.start_span("op").finish();
    assert_eq!(started(), None);
    let _ = tracer.flush(SOON);
    assert_eq!(started(), Some(1));
    tracer.start_span("op").finish();
    let _ = closer.close(SOON);
    assert_eq!(started(), Some(2));
}

#[test]
fn tracers_that_share_a_factory_count_together_and_one_that_is_gone_stays_counted() {
    let metrics = InMemoryMetrics::new();
    let tracer = || builder().null_reporter().metrics(metrics.clone()).build().unwrap();
    let ((first, first_closer), (second, _closer)) = (tracer(), tracer());
    first.start_span("op").finish();
    second.start_span("op").finish();
    let started = || counters(&metrics)["started_spans|sampled=y"];
    assert_eq!(started(), 2);
    first.start_span("op").finish();
    drop((first_closer, first));
    assert_eq!(started(), 3);
}

/// Panics on each call, except for the metrics of traces.
#[derive(Debug)]
struct Panics(InMemoryMetrics);

struct PanickingCounter;

impl Counter for PanickingCounter {
    fn inc(&self, _delta: u64) {
        std::panic::panic_any("an instrument that panics");
    }
}

impl MetricsFactory for Panics {
    fn counter(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Counter> {
        if name.ends_with(".finished_spans") {
            self.0.counter(name, tags)
        } else {
            Box::new(PanickingCounter)
        }
    }
}

#[test]
fn instruments_that_panic_cost_neither_a_span_nor_another_instrument_anything() {
    let metrics = InMemoryMetrics::new();
    let transport = By(|_: &[u8]| Ok(Sent::OK));
    let builder = builder().transport(transport).metrics(Panics(metrics.clone()));
    let (tracer, closer) = builder.build().unwrap();
    for finished in 1..=2 {
        tracer.start_span("op").finish();
        let report = tracer.flush(SOON);
        assert!(report.complete && report.stats.sent == finished, "{report}");
        assert_eq!(counters(&metrics)["finished_spans|sampled=y"], finished);
    }
    assert!(closer.close(SOON).complete);
}

/// Takes its time to count, until somebody else asks for what is new, and longer.
#[derive(Debug)]
struct Slow {
    entered: Sender<()>,
    requested: (Sender<()>, Mutex<Option<Receiver<()>>>),
    counted: Arc<AtomicBool>,
    host: Sender<MetricsHost>,
}

struct SlowCounter(Sender<()>, Mutex<Receiver<()>>, Arc<AtomicBool>);

impl Counter for SlowCounter {
    fn inc(&self, _delta: u64) {
        self.0.send(()).unwrap();
        self.1.lock().unwrap().recv_timeout(SOON).unwrap();
        thread::sleep(Duration::from_millis(30));
        self.2.store(true, Ordering::Release);
    }
}

struct Requested(Sender<()>);

impl Gauge for Requested {
    fn update(&self, _value: i64) {
        let _ = self.0.send(());
    }
}

impl MetricsFactory for Slow {
    fn counter(&self, name: &str, tags: &[(&str, &str)]) -> Box<dyn Counter> {
        let requested =
            self.requested.1.lock().unwrap().take_if(|_| name.ends_with(".started_spans"));
        match requested {
            None => InMemoryMetrics::new().counter(name, tags),
            Some(requested) => {
                let counted = Arc::clone(&self.counted);
                Box::new(SlowCounter(self.entered.clone(), Mutex::new(requested), counted))
            }
        }
    }

    fn gauge(&self, _name: &str, _tags: &[(&str, &str)]) -> Box<dyn Gauge> {
        Box::new(Requested(self.requested.0.clone()))
    }

    fn start(&self, host: &MetricsHost) {
        self.host.send(host.clone()).unwrap();
    }
}

#[test]
fn a_reader_of_new_counts_gets_those_another_thread_is_about_to_report_too() {
    let (entered, has_entered) = channel();
    let (fetch, requested) = channel();
    let (give, host) = channel();
    let counted = Arc::default();
    let requested = (fetch, Mutex::new(Some(requested)));
    let slow = Slow { entered, requested, counted: Arc::clone(&counted), host: give };
    let transport = By(|_: &[u8]| Ok(Sent::OK));
    let (tracer, closer) = builder().transport(transport).metrics(slow).build().unwrap();
    let host = host.recv().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            tracer.start_span("op").finish();
            let _ = tracer.flush(SOON);
        });
        has_entered.recv_timeout(SOON).unwrap();
        assert!(host.publish());
        assert!(counted.load(Ordering::Acquire));
    });
    drop((tracer, closer));
    eventually(|| !host.publish());
}

const PRODUCERS: u64 = 4;
const ROUNDS: u64 = 2_000;

/// Starts spans in all ways there are.
fn produce(tracer: &Tracer, seed: u64) {
    let mut random = Seeded::new(seed);
    for _ in 0..ROUNDS {
        let span = match random.below(4) {
            0 => tracer.start_span("op"),
            1 => tracer.span("op").tag("sampling.priority", random.below(2)).start(),
            _ => tracer.span("op").tag("k", 1).start(),
        };
        let child = tracer.span("child").child_of(&span);
        let child = if random.below(2) == 0 { child.tag("span.kind", "server") } else { child };
        let child = child.start();
        if random.below(4) == 0 {
            child.set_tag("tenant", "acme");
        }
        if random.below(2) == 0 {
            span.finish();
        }
        drop(child);
    }
}

/// Asserts that the metrics are the numbers of the span accounting.
fn assert_is_the_accounting(metrics: &InMemoryMetrics, tracer: &Tracer) {
    let (counts, stats) = (metrics.counters(), tracer.stats());
    let sum = |name: &str| -> u64 {
        let name = format!("jaeger.tracer.{name}|");
        counts.iter().filter(|(key, _)| key.starts_with(&name)).map(|(_, count)| count).sum()
    };
    let of = |key: &str| counts[&format!("jaeger.tracer.{key}")];
    assert_eq!(stats.started, sum("started_spans"), "{stats}");
    assert_eq!(stats.finished, sum("finished_spans"), "{stats}");
    assert_eq!(stats.sent, of("reporter_spans|result=ok"), "{stats}");
    let dropped = stats.dropped;
    assert_eq!(dropped.send_failed + dropped.too_large, of("reporter_spans|result=err"), "{stats}");
    assert_eq!(dropped.queue_full + dropped.closed, of("reporter_spans|result=dropped"), "{stats}");
    let queued = metrics.gauges()["jaeger.tracer.reporter_queue_length"];
    assert_eq!(stats.queued, queued.cast_unsigned(), "{stats}");
    let begun = |sampled| of(&format!("traces|sampled={sampled}|state=started"));
    assert_eq!(begun("y") + begun("n") + begun("delayed"), PRODUCERS * ROUNDS);
    let (yes, no) = (of("finished_spans|sampled=y"), of("finished_spans|sampled=n"));
    assert!(yes <= stats.finished - stats.not_sampled && no <= stats.not_sampled, "{stats}");
}

/// Runs producers, and one thread that reads the metrics all the time.
fn storm(tracer: &Tracer, metrics: &InMemoryMetrics, seed: u64) {
    let over = AtomicBool::new(false);
    let begun = Barrier::new(usize::try_from(PRODUCERS).unwrap() + 1);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            begun.wait();
            let mut last = metrics.counters();
            while !over.load(Ordering::Acquire) {
                let now = metrics.counters();
                for (name, count) in &now {
                    assert!(last[name] <= *count, "{name} went from {} to {count}", last[name]);
                }
                last = now;
            }
        });
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|n| {
                let begun = &begun;
                scope.spawn(move || {
                    begun.wait();
                    produce(tracer, seed * PRODUCERS + n);
                })
            })
            .collect();
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        over.store(true, Ordering::Release);
        reader.join().unwrap();
    });
}

#[test]
fn a_storm_on_several_threads_leaves_metrics_that_are_the_accounting() {
    for seed in 1..=3 {
        let half = ProbabilisticSampler::new(0.5).unwrap();
        let by_tag = TagMatchingSampler::new("tenant").matching("acme");
        let samplers: [Box<dyn Sampler>; 2] = [Box::new(half), Box::new(by_tag)];
        for sampler in samplers {
            let metrics = InMemoryMetrics::new();
            let mut random = Seeded::new(seed);
            let send = move |_: &[u8]| match random.below(4) {
                0 => Err(TransportError::Io { source: io::Error::other("so it goes") }),
                _ => Ok(Sent::OK),
            };
            let builder = Tracer::builder("svc").logger(NullLogger).sampler(sampler);
            let builder = builder.queue_size(1).max_packet_size(2_000).transport(By(send));
            let builder = builder.flush_interval(Duration::from_millis(1));
            let (tracer, closer) = builder.metrics(metrics.clone()).build().unwrap();
            storm(&tracer, &metrics, seed);
            let report = tracer.flush(SOON);
            assert!(report.complete && report.stats.dropped.total() > 0, "{report}");
            assert_is_the_accounting(&metrics, &tracer);
            let report = closer.close(SOON);
            assert!(report.complete && report.stats.open == 0, "{report}");
            assert_is_the_accounting(&metrics, &tracer);
        }
    }
}
