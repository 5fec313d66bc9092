//! Keeping on error: what is held is bounded, and every span is in one account at any moment.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use crate::support::transport::{gated, limited};
use crate::support::{SOON, Seeded, assert_follows};
use jaeger_client::encoding::ValueView;
use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::sampler::{
    ConstSampler, Decision, Rule, Sampler, SamplerStatus, SamplingParameters,
};
use jaeger_client::{
    Closer, InMemoryReporter, Span, Stats, TailSamplingConfig, TraceId, Tracer, TracerBuilder,
};

fn unsampled() -> TracerBuilder {
    crate::support::builder().sampler(ConstSampler::new(false))
}

fn with_tail_sampling(max_bytes: usize) -> (Tracer, Closer, InMemoryReporter) {
    let memory = InMemoryReporter::new();
    let config = TailSamplingConfig { max_bytes, ..TailSamplingConfig::default() };
    let (tracer, closer) = unsampled().tail_sampling(config).in_memory(&memory).build().unwrap();
    (tracer, closer, memory)
}

fn child(tracer: &Tracer, parent: &Span, name: &'static str) -> Span {
    tracer.span(name).child_of(parent).start()
}

fn names(memory: &InMemoryReporter) -> Vec<String> {
    memory.spans().iter().map(|span| span.view().operation_name().into_owned()).collect()
}

#[test]
fn what_is_buffered_stays_within_its_bytes_and_the_oldest_trace_goes_first() {
    let (tracer, _closer, memory) = with_tail_sampling(8_192);
    let text = "x".repeat(200);
    let roots: Vec<_> = (0..20)
        .map(|_| {
            let root = tracer.start_span("root");
            child(&tracer, &root, "buffered").set_tag("text", text.as_str()).finish();
            root
        })
        .collect();
    let stats = tracer.stats();
    assert_eq!((stats.buffered + stats.evicted, stats.not_sampled), (20, stats.evicted), "{stats}");
    assert!(stats.buffered * 200 < 8_192 && stats.buffered >= 4, "{stats}");
    roots[0].set_tag("error", true);
    assert!(memory.is_empty(), "it was the first to go");
    roots[19].set_tag("error", true);
    assert_eq!(names(&memory), ["buffered"], "the last one is there");
    assert_eq!(tracer.stats().buffered, stats.buffered - 1);
    drop(roots);
    let after = tracer.stats();
    assert_eq!((after.buffered, after.evicted), (0, stats.evicted));
    assert_eq!((after.sent, after.not_sampled, after.open), (3, 37, 0), "{after}");
}

#[test]
fn a_trace_larger_than_what_may_be_buffered_loses_its_own_oldest_spans() {
    let (tracer, _closer, memory) = with_tail_sampling(8_192);
    let root = tracer.start_span("root");
    for n in 0..200 {
        child(&tracer, &root, "child").set_tag("n", n).finish();
    }
    let stats = tracer.stats();
    assert!(stats.buffered > 10 && stats.buffered + stats.evicted == 200, "{stats}");
    root.set_tag("error", true).finish();
    let spans = memory.spans();
    let retained: Vec<_> = spans.iter().filter_map(|span| span.view().tag("n")).collect();
    let newest: Vec<_> = (0..200).map(ValueView::Long).skip(200 - retained.len()).collect();
    assert_eq!((retained.len() as u64, retained), (stats.buffered, newest));

    // Nor is a span held that is larger than all there is.
    let root = tracer.start_span("root");
    let fields = ["x"; 9_000].concat();
    child(&tracer, &root, "huge").log(&[("text", fields.as_str().into())]).finish();
    assert_eq!((tracer.stats().buffered, tracer.stats().evicted), (0, stats.evicted + 1));
}

#[test]
fn a_close_counts_what_is_buffered_as_not_sampled_and_nothing_is_buffered_after_it() {
    let builder = unsampled().transport(limited(65_000).0);
    let (tracer, closer) = builder.tail_sampling(TailSamplingConfig::default()).build().unwrap();
    let root = tracer.start_span("root");
    child(&tracer, &root, "done").finish();
    let flushed = tracer.flush(SOON);
    assert!(
        flushed.complete && flushed.stats.buffered == 1,
        "a flush does not wait for it: {flushed}"
    );
    assert!(flushed.to_string().contains("+ queued 0 + buffered 1"), "{flushed}");
    let stats = closer.close(SOON).stats;
    assert_eq!((stats.buffered, stats.not_sampled, stats.open), (0, 1, 1), "{stats}");
    child(&tracer, &root, "after the close").finish();
    assert_eq!((tracer.stats().buffered, tracer.stats().not_sampled), (0, 2));
    root.set_tag("error", true).finish();
    let stats = tracer.stats();
    assert_eq!((stats.dropped.closed, stats.sent, stats.open), (1, 0, 0), "{stats}");
    assert!(stats.is_balanced());
}

#[test]
fn what_is_released_and_finds_no_room_in_the_queue_is_counted_as_ever() {
    let (stuck, _gate) = gated();
    let builder = unsampled().transport(stuck).queue_size(1).max_packet_size(2_000);
    let builder = builder.tail_sampling(TailSamplingConfig::default()).drop_timeout(Duration::ZERO);
    let (tracer, _closer) = builder.build().unwrap();
    let root = tracer.start_span("root");
    (0..2_000).for_each(|_| child(&tracer, &root, "child").finish());
    assert_eq!(tracer.stats().buffered, 2_000);
    root.set_tag("error", true);
    let stats = tracer.stats();
    assert!(stats.dropped.queue_full > 1_000 && stats.queued > 10, "{stats}");
    assert_eq!((stats.dropped.queue_full + stats.queued, stats.buffered), (2_000, 0), "{stats}");
}

#[test]
fn a_released_span_that_is_too_large_for_a_datagram_is_trimmed() {
    let builder = unsampled().transport(limited(2_000).0).max_packet_size(2_000);
    let (tracer, closer) = builder.tail_sampling(TailSamplingConfig::default()).build().unwrap();
    let root = tracer.start_span("root");
    let text = "x".repeat(5_000);
    child(&tracer, &root, "large").log(&[("text", text.as_str().into())]).finish();
    root.set_tag("error", true).finish();
    let stats = closer.close(SOON).stats;
    assert_eq!((stats.sent, stats.trimmed), (2, 1), "{stats}");
}

/// Samples the traces that begin with the operation `sampled`.
#[derive(Debug)]
struct ByName;

impl Sampler for ByName {
    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        Decision::new(span.operation_name() == "sampled")
    }

    fn status(&self) -> SamplerStatus {
        SamplerStatus::new(Rule::Const { sample: false })
    }
}

/// What a trace's spans are, as the rules have it.
#[derive(Default)]
struct Model {
    sampled: bool,
    refused: bool,
    open: u64,
    buffered: u64,
}

#[derive(Debug, Default, PartialEq)]
struct Accounts {
    started: u64,
    open: u64,
    not_sampled: u64,
    sent: u64,
    buffered: u64,
}

impl Accounts {
    fn of(stats: &Stats) -> Self {
        let Stats { started, open, not_sampled, sent, buffered, .. } = *stats;
        Self { started, open, not_sampled, sent, buffered }
    }

    fn sample(&mut self, trace: &mut Model) {
        trace.sampled = true;
        let buffered = std::mem::take(&mut trace.buffered);
        (self.buffered, self.sent) = (self.buffered - buffered, self.sent + buffered);
    }

    fn discard(&mut self, trace: &mut Model) {
        let buffered = std::mem::take(&mut trace.buffered);
        (self.buffered, self.not_sampled) = (self.buffered - buffered, self.not_sampled + buffered);
    }

    fn finish(&mut self, trace: &mut Model) {
        (self.open, trace.open) = (self.open - 1, trace.open - 1);
        if trace.sampled {
            self.sent += 1;
        } else if trace.refused {
            self.not_sampled += 1;
        } else {
            (self.buffered, trace.buffered) = (self.buffered + 1, trace.buffered + 1);
            if trace.open == 0 {
                self.discard(trace);
            }
        }
    }
}

#[test]
fn law_every_span_is_in_exactly_one_account_whatever_is_done() {
    for seed in 1..=200 {
        let mut random = Seeded::new(seed);
        let memory = InMemoryReporter::new();
        let builder = crate::support::builder().sampler(ByName).in_memory(&memory);
        let (tracer, closer) =
            builder.tail_sampling(TailSamplingConfig::default()).build().unwrap();
        let (mut traces, mut spans): (Vec<Model>, Vec<(usize, Span)>) = (Vec::new(), Vec::new());
        let mut expected = Accounts::default();
        for step in 0..300 {
            if spans.is_empty() || random.below(8) == 0 {
                let name = random.pick(["sampled", "not sampled", "neither"]);
                spans.push((traces.len(), tracer.span(name).ignore_active_span().start()));
                traces.push(Model { sampled: name == "sampled", open: 1, ..Model::default() });
                (expected.started, expected.open) = (expected.started + 1, expected.open + 1);
            }
            let at = usize::try_from(random.below(spans.len() as u64)).unwrap();
            let (of, span) = (spans[at].0, spans[at].1.clone());
            let trace = &mut traces[of];
            match random.below(16) {
                0..=6 => {
                    spans.push((of, child(&tracer, &span, "child")));
                    trace.open += 1;
                    (expected.started, expected.open) = (expected.started + 1, expected.open + 1);
                }
                7..=12 => {
                    drop(span);
                    let (_, span) = spans.swap_remove(at);
                    if random.below(2) == 0 {
                        span.finish()
                    } else {
                        drop(span)
                    }
                    expected.finish(trace);
                }
                13 => {
                    let errs = random.below(2) == 0;
                    span.set_tag("error", errs);
                    if errs && !trace.refused {
                        expected.sample(trace);
                    }
                }
                14 => {
                    span.retain_trace();
                    expected.sample(trace);
                }
                _ => {
                    let force = random.below(2);
                    span.set_tag("sampling.priority", force);
                    if force > 0 {
                        expected.sample(trace);
                    } else {
                        (trace.sampled, trace.refused) = (false, true);
                        expected.discard(trace);
                    }
                }
            }
            let stats = tracer.stats();
            assert_eq!(Accounts::of(&stats), expected, "seed {seed}, step {step}: {stats}");
            assert!(stats.is_balanced());
            assert_eq!(memory.len() as u64, expected.sent);
        }
        let stats = closer.close(SOON).stats;
        expected.not_sampled += std::mem::take(&mut expected.buffered);
        assert_eq!(Accounts::of(&stats), expected, "seed {seed}: {stats}");
    }
}

/// Has children of a root finished by other threads, of which one may err, and reads the accounting all
/// the time. Gives the traces in which something erred with how many children they have, and the
/// most spans that were seen to be held.
fn storm(tracer: &Tracer, seed: u64, traces: u64) -> (Vec<(TraceId, u64)>, u64) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut last, mut buffered) = (tracer.stats(), 0);
            while !over.load(Ordering::Acquire) {
                let stats = tracer.stats();
                assert_follows(&last, &stats, false);
                buffered = buffered.max(stats.buffered);
                last = stats;
                thread::yield_now();
            }
            buffered
        });
        let (others, finished): (Vec<_>, Vec<_>) = (0..3)
            .map(|_| {
                let (send, spans) = channel::<(Span, u64)>();
                let finisher = scope.spawn(move || {
                    for (span, dice) in spans {
                        match dice {
                            0 => drop(span.set_tag("error", true)),
                            1 => drop(span.retain_trace()),
                            2 => thread::yield_now(),
                            _ => {}
                        }
                        drop(span);
                    }
                });
                (send, finisher)
            })
            .unzip();
        let producers: Vec<_> = (0..2)
            .map(|producer| {
                let others = others.clone();
                scope.spawn(move || produce(tracer, seed * 2 + producer, traces, &others))
            })
            .collect();
        drop(others);
        let erred = producers.into_iter().flat_map(|producer| producer.join().unwrap()).collect();
        finished.into_iter().for_each(|finisher| finisher.join().unwrap());
        over.store(true, Ordering::Release);
        (erred, reader.join().unwrap())
    })
}

/// Makes traces of a root and up to seven children, and hands the children out.
fn produce(
    tracer: &Tracer,
    seed: u64,
    traces: u64,
    others: &[Sender<(Span, u64)>],
) -> Vec<(TraceId, u64)> {
    let mut random = Seeded::new(seed);
    let mut erred = Vec::new();
    for _ in 0..traces {
        let root = tracer.start_span("root");
        let mut errs = false;
        let children = 1 + random.below(7);
        for n in 0..children {
            let span = tracer.span("child").child_of(&root).tag("n", n).start();
            let dice = random.below(24);
            errs |= dice < 2;
            let other = usize::try_from(random.below(others.len() as u64)).unwrap();
            others[other].send((span, dice)).unwrap();
        }
        if errs {
            erred.push((root.context().trace_id(), children));
        }
        if random.below(3) == 0 {
            thread::yield_now();
        }
    }
    erred
}

#[test]
fn the_accounting_is_balanced_at_any_moment_while_spans_are_buffered_released_and_evicted() {
    let (mut most_held, mut evicted) = (0, 0);
    // How much is held at a time is a matter of how the threads are scheduled.
    for seed in 1..=30 {
        if seed > 3 && most_held > 0 && evicted > 0 {
            break;
        }
        let mut random = Seeded::new(seed);
        let config =
            TailSamplingConfig { max_bytes: random.pick([4_096, 50_000]), ..Default::default() };
        let (transport, taken) = limited(65_000);
        let builder = unsampled()
            .tail_sampling(config)
            .transport(transport)
            .shards(random.pick([1, 4]))
            .queue_size(random.pick([1, 100_000]))
            .max_packet_size(random.pick([1_000, 65_000]))
            .flush_interval(random.pick([Duration::from_millis(1), SOON]));
        let (tracer, closer) = builder.build().unwrap();
        most_held = storm(&tracer, seed, 700).1.max(most_held);
        let before = tracer.stats();
        assert_eq!((before.open, before.buffered), (0, 0), "seed {seed}: {before}");
        let report = closer.close(SOON);
        assert!(report.complete, "seed {seed}: {report}");
        assert_follows(&before, &report.stats, false);
        assert_eq!(report.stats.sent, taken.spans().len() as u64, "seed {seed}: {report}");
        assert_eq!(report.stats, tracer.stats(), "the report equals the accounting");
        evicted += report.stats.evicted;
    }
    assert!(most_held > 0 && evicted > 0, "nothing was ever seen to be buffered, or to be evicted");
}

#[test]
fn a_trace_in_which_a_span_erred_is_whole_whichever_threads_finish_its_spans() {
    for seed in 1..=3 {
        let (tracer, _closer, memory) = with_tail_sampling(64 * 1024 * 1024);
        let (erred, _) = storm(&tracer, seed, 700);
        let mut of_trace = HashMap::<TraceId, Vec<(String, u64)>>::new();
        for span in memory.spans() {
            let view = span.view();
            let n = match view.tag("n") {
                Some(ValueView::Long(n)) => n.unsigned_abs() + 1,
                _ => 0,
            };
            of_trace
                .entry(view.trace_id)
                .or_default()
                .push((view.operation_name().into_owned(), n));
        }
        assert_eq!(of_trace.len(), erred.len(), "healthy ones are not there");
        for (trace, children) in erred {
            let spans = &of_trace[&trace];
            let root = spans.iter().filter(|(name, _)| name == "root").count();
            let numbers: u64 = spans.iter().map(|(_, n)| n).sum();
            let expected = (1, children * (children + 1) / 2);
            assert_eq!(
                (root, numbers),
                expected,
                "seed {seed}, {trace}: {spans:?} {}",
                tracer.stats()
            );
        }
        let stats = tracer.stats();
        assert_eq!((stats.open, stats.buffered, stats.evicted), (0, 0, 0), "seed {seed}: {stats}");
    }
}

#[test]
fn a_close_in_the_middle_of_the_work_leaves_nothing_buffered() {
    for seed in 1..=3 {
        let builder =
            unsampled().tail_sampling(TailSamplingConfig::default()).transport(limited(65_000).0);
        let (tracer, closer) = builder.build().unwrap();
        let report = thread::scope(|scope| {
            scope.spawn(|| storm(&tracer, seed, 700));
            crate::support::eventually(|| tracer.stats().finished > 1_000);
            closer.close(SOON)
        });
        assert!(report.complete && report.stats.buffered == 0, "seed {seed}: {report}");
        let stats = tracer.stats();
        assert!(stats.is_balanced(), "{stats}");
        assert_eq!((stats.open, stats.buffered, stats.queued), (0, 0, 0), "seed {seed}: {stats}");
        assert_eq!(stats.sent, report.stats.sent, "nothing is sent after the close");
    }
}

#[test]
fn metrics_count_a_buffered_span_when_it_is_known_what_becomes_of_it() {
    let metrics = InMemoryMetrics::new();
    let builder = unsampled().null_reporter().metrics(metrics.clone());
    let (tracer, _closer) = builder.tail_sampling(TailSamplingConfig::default()).build().unwrap();
    let finished = || {
        let counts = crate::support::metrics::counters(&metrics);
        ["y", "n", "delayed"].map(|sampled| {
            counts.get(&format!("finished_spans|sampled={sampled}")).copied().unwrap_or_default()
        })
    };
    let (healthy, failing) = (tracer.start_span("healthy"), tracer.start_span("failing"));
    child(&tracer, &healthy, "child").finish();
    child(&tracer, &failing, "child").finish();
    assert_eq!(finished(), [0, 0, 0]);
    healthy.finish();
    assert_eq!(finished(), [0, 2, 0]);
    failing.set_tag("error", true).finish();
    assert_eq!(finished(), [2, 2, 0]);
}
