//! Span accounting: whatever the transport does, every span is in exactly one place, at any moment.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]
#![allow(clippy::disallowed_methods, reason = "the tests start the threads they need")]

#[allow(dead_code, unused_imports, reason = "this program uses a part of it")]
mod support;

use std::cell::RefCell;
use std::io;
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Once};
use std::thread;
use std::time::Duration;

use jaeger_client::encoding::BatchView;
use jaeger_client::sampler::ProbabilisticSampler;
use jaeger_client::transport::{Sent, Transport};
use jaeger_client::{
    InMemoryReporter, NullLogger, Span, Stats, Tracer, TracerBuilder, TransportError,
};
use support::transport::{By, Outcome};
use support::{SOON, Seeded, assert_follows};

/// What a transport does with a message, in shares of a hundred.
#[derive(Clone, Copy, Debug)]
struct FaultRates {
    fails: u64,
    panics: u64,
    too_large: u64,
    has_late_refusals: u64,
}

const RELIABLE: FaultRates = FaultRates { fails: 0, panics: 0, too_large: 0, has_late_refusals: 0 };
const UNRELIABLE: FaultRates =
    FaultRates { fails: 15, panics: 10, too_large: 15, has_late_refusals: 10 };

/// A transport with these rates of faults, and the number of spans it took and did not take back.
fn unreliable(
    rates: FaultRates,
    seed: u64,
) -> (impl FnMut(&[u8]) -> Outcome + Send, Arc<AtomicU64>) {
    let taken = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&taken);
    let mut random = Seeded::new(seed);
    let mut previous = None;
    let send = move |message: &[u8]| {
        let before = previous.take();
        let dice = random.below(100);
        let (_, batch) = BatchView::parse_message(message).expect("a message");
        if dice < rates.fails {
            return Err(TransportError::Io { source: io::Error::other("so it goes") });
        }
        if dice < rates.fails + rates.panics {
            panic!("so it goes");
        }
        if dice < rates.fails + rates.panics + rates.too_large {
            return Err(TransportError::TooLarge { bytes: message.len() });
        }
        let spans = batch.spans.count as u64;
        count.fetch_add(spans, Ordering::SeqCst);
        previous = Some(spans);
        match before.filter(|_| random.below(100) < rates.has_late_refusals) {
            None => Ok(Sent::OK),
            Some(refused) => {
                count.fetch_sub(refused, Ordering::SeqCst);
                Ok(Sent::PREVIOUS_REFUSED)
            }
        }
    };
    (send, taken)
}

/// Suppresses the output of intended panics of a transport.
fn quiet_reporter_threads() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let reporter = thread::current().name().is_some_and(|n| n.contains("reporter"));
            if !reporter {
                usual(info);
            }
        }));
    });
}

const PRODUCERS: u64 = 4;
const SPANS_EACH: u64 = 2_500;

/// Starts spans and ends them in all the ways there are. Gives how many calls were misuse for sure.
fn produce(tracer: &Tracer, seed: u64, elsewhere: &Sender<Span>) {
    let mut random = Seeded::new(seed);
    let text = "x".repeat(700);
    for n in 0..SPANS_EACH {
        if n.is_multiple_of(64) {
            // On few cores the reader gets its turn in the middle of things.
            thread::yield_now();
        }
        let span = tracer.start_span("op");
        span.set_tag("n", random.next());
        match random.below(6) {
            0 => drop(span),
            1 => {
                span.finish();
                span.finish();
            }
            2 => elsewhere.send(span).unwrap(),
            3 => {
                let other = span.clone();
                drop(span);
                other.log_event("last handle");
            }
            4 => {
                span.log(&[("stack", text.as_str().into())]);
                span.finish();
            }
            _ => {
                tracer.span("child").child_of(&span).start().finish();
                span.finish();
            }
        }
    }
}

/// Runs producers, one thread that finishes what they send it, and one that reads the accounting all
/// the time; gives the last reading before the close.
fn run(tracer: &Tracer, seed: u64, refusals: bool) -> u64 {
    // The producers and the reader.
    let (over, begun) =
        (AtomicBool::new(false), Barrier::new(usize::try_from(PRODUCERS).unwrap() + 1));
    let (elsewhere, spans) = channel::<Span>();
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut last, mut readings) = (tracer.stats(), 0_u64);
            begun.wait();
            while !over.load(Ordering::Acquire) {
                let stats = tracer.stats();
                assert_follows(&last, &stats, refusals);
                (last, readings) = (stats, readings + 1);
            }
            assert_follows(&last, &tracer.stats(), refusals);
            readings + 1
        });
        let finisher = scope.spawn(move || spans.into_iter().for_each(|span| span.finish()));
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|n| {
                let elsewhere = elsewhere.clone();
                let begun = &begun;
                scope.spawn(move || {
                    begun.wait();
                    produce(tracer, seed * PRODUCERS + n, &elsewhere);
                })
            })
            .collect();
        drop(elsewhere);
        for producer in producers {
            producer.join().unwrap();
        }
        finisher.join().unwrap();
        over.store(true, Ordering::Release);
        reader.join().unwrap()
    })
}

/// Returns the number of spans that `produce` starts, by the same random numbers.
fn expected_spans(seed: u64) -> u64 {
    let producer = |n| {
        let mut random = Seeded::new(seed * PRODUCERS + n);
        let children = (0..SPANS_EACH).filter(|_| (random.next(), random.below(6)).1 == 5).count();
        SPANS_EACH + children as u64
    };
    (0..PRODUCERS).map(producer).sum()
}

fn configured(seed: u64) -> TracerBuilder {
    let mut random = Seeded::new(seed);
    Tracer::builder("svc")
        .sampler(ProbabilisticSampler::new(random.pick([1.0, 0.5, 0.1])).unwrap())
        .logger(NullLogger)
        .queue_size(random.pick([1, 1_000, 100_000]))
        .shards(random.pick([1, 2, 8]))
        .max_packet_size(random.pick([800, 2_000, 65_000]))
        .flush_interval(random.pick([Duration::from_millis(1), SOON]))
}

fn check(builder: TracerBuilder, seed: u64, taken: &AtomicU64, refusals: bool) -> Stats {
    let (tracer, closer) = builder.build().unwrap();
    let readings = run(&tracer, seed, refusals);
    assert!(readings > 0, "the accounting was never read");
    let before = tracer.stats();
    let report = closer.close(SOON);
    let stats = report.stats;
    assert!(report.complete, "seed {seed}: {report}");
    assert_follows(&before, &stats, refusals);
    assert_eq!(stats, tracer.stats(), "the report equals the accounting");
    assert_eq!(stats.started, expected_spans(seed), "seed {seed}: {stats}");
    assert_eq!((stats.open, stats.queued), (0, 0), "seed {seed}: {stats}");
    assert_eq!(stats.sent, taken.load(Ordering::SeqCst), "seed {seed}: {stats}");
    assert_eq!(stats.sent + stats.dropped.total() + stats.not_sampled, stats.finished);
    stats
}

#[test]
fn the_accounting_is_balanced_at_any_moment_with_a_reliable_transport() {
    for seed in 1..=6 {
        let (send, taken) = unreliable(RELIABLE, seed);
        let stats = check(configured(seed).transport(By(send)), seed, &taken, false);
        assert_eq!(stats.dropped.send_failed, 0, "seed {seed}: {stats}");
    }
}

#[test]
fn the_accounting_is_balanced_at_any_moment_with_a_transport_that_fails_and_panics() {
    quiet_reporter_threads();
    let mut failed = 0;
    for seed in 10..=21 {
        let (send, taken) = unreliable(UNRELIABLE, seed);
        let stats = check(configured(seed).transport(By(send)), seed, &taken, true);
        failed += stats.dropped.send_failed;
    }
    assert!(failed > 0, "the transport did not fail");
}

#[test]
fn the_accounting_is_balanced_without_a_reporter_thread() {
    let memory = InMemoryReporter::new();
    let (tracer, closer) = configured(30).in_memory(&memory).build().unwrap();
    run(&tracer, 30, false);
    let report = closer.close(Duration::ZERO);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    assert_eq!(report.stats.sent, memory.len() as u64);
    assert_eq!((report.stats.started, report.stats.open), (expected_spans(30), 0));

    let (tracer, closer) = configured(31).null_reporter().build().unwrap();
    run(&tracer, 31, false);
    let report = closer.close(Duration::ZERO);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    assert_eq!((report.stats.started, report.stats.open), (expected_spans(31), 0));
}

/// Starts and finishes a span when its thread is torn down.
struct AtThreadExit(Tracer);

impl Drop for AtThreadExit {
    fn drop(&mut self) {
        self.0.start_span("at the exit").finish();
    }
}

thread_local! {
    static AT_THREAD_EXIT: RefCell<Vec<AtThreadExit>> = const { RefCell::new(Vec::new()) };
}

#[test]
fn the_accounting_is_exact_for_threads_that_come_and_go_and_finish_spans_of_each_other() {
    const WAVES: u64 = 10;
    // More than have counters of their own.
    const THREADS: u64 = 100;
    const SPANS: u64 = 200;
    for sampling_rate in [0.0, 0.5] {
        let sampler = ProbabilisticSampler::new(sampling_rate).unwrap();
        let (tracer, closer) =
            Tracer::builder("svc").sampler(sampler).null_reporter().build().unwrap();
        let work = |begun: &Barrier, sender: Sender<Span>, receiver: Receiver<Span>| {
            AT_THREAD_EXIT.with_borrow_mut(|at_exit| at_exit.push(AtThreadExit(tracer.clone())));
            begun.wait();
            for n in 0..SPANS {
                let span = tracer.start_span("op");
                if n.is_multiple_of(4) {
                    sender.send(span).unwrap()
                } else {
                    drop(span)
                }
                receiver.try_iter().for_each(|span| span.finish());
            }
            drop(sender);
            receiver.into_iter().for_each(drop);
        };
        let (over, mut after_waves) = (AtomicBool::new(false), Vec::new());
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut last = tracer.stats();
                while !over.load(Ordering::Acquire) {
                    let stats = tracer.stats();
                    assert_follows(&last, &stats, false);
                    last = stats;
                }
            });
            for wave in 1..=WAVES {
                let begun = Barrier::new(usize::try_from(THREADS).unwrap());
                let (senders, mut receivers): (Vec<_>, Vec<_>) =
                    (0..THREADS).map(|_| channel()).unzip();
                // Each thread sends to the next one.
                receivers.rotate_left(1);
                thread::scope(|scope| {
                    let ends = senders.into_iter().zip(receivers);
                    let threads: Vec<_> = ends
                        .map(|(sender, receiver)| scope.spawn(|| work(&begun, sender, receiver)))
                        .collect();
                    // A scope does not wait for destructors of threads, to join one does.
                    threads.into_iter().for_each(|thread| thread.join().unwrap());
                });
                after_waves.push((wave, tracer.stats()));
            }
            over.store(true, Ordering::Release);
            reader.join().unwrap();
        });
        for (wave, stats) in after_waves {
            assert_eq!(stats.started, wave * THREADS * (SPANS + 1), "{stats}");
            assert_eq!((stats.open, stats.is_balanced()), (0, true), "{stats}");
        }
        assert!(closer.close(SOON).stats.is_balanced());
    }
}

#[test]
fn a_close_in_the_middle_of_the_work_counts_what_comes_after_it() {
    for seed in 40..=44 {
        let (send, taken) = unreliable(RELIABLE, seed);
        let builder = configured(seed).sampler(ProbabilisticSampler::new(1.0).unwrap());
        let (tracer, closer) = builder.transport(By(send)).build().unwrap();
        let (elsewhere, spans) = channel::<Span>();
        let report = thread::scope(|scope| {
            let finisher = scope.spawn(move || spans.into_iter().for_each(|span| span.finish()));
            for n in 0..PRODUCERS {
                let (elsewhere, tracer) = (elsewhere.clone(), &tracer);
                scope.spawn(move || produce(tracer, seed * PRODUCERS + n, &elsewhere));
            }
            drop(elsewhere);
            while tracer.stats().finished < SPANS_EACH {
                thread::yield_now();
            }
            let report = closer.close(SOON);
            finisher.join().unwrap();
            report
        });
        assert!(report.complete && report.stats.is_balanced(), "seed {seed}: {report}");
        let stats = tracer.stats();
        assert_eq!((stats.started, stats.open), (expected_spans(seed), 0), "seed {seed}: {stats}");
        assert_eq!(stats.queued, 0, "nothing gets in after the close: {stats}");
        assert_eq!(stats.sent, taken.load(Ordering::SeqCst), "seed {seed}: {stats}");
        assert_eq!(stats.sent, report.stats.sent, "nothing is sent after the close");
        assert!(stats.is_balanced(), "{stats}");
    }
}

#[test]
fn only_a_late_refusal_decreases_sent() {
    let mut messages = 0;
    let send = move |_: &[u8]| {
        messages += 1;
        match messages {
            2 | 5 => Ok(Sent::PREVIOUS_REFUSED),
            4 => Err(TransportError::Io { source: io::Error::other("so it goes") }),
            _ => Ok(Sent::OK),
        }
    };
    let builder = Tracer::builder("svc").logger(NullLogger).flush_interval(SOON);
    let (tracer, closer) = builder.transport(By(send)).build().unwrap();
    let mut accounting = Vec::new();
    for spans in [3, 5, 7, 2, 4] {
        (0..spans).for_each(|_| tracer.start_span("op").finish());
        let stats = tracer.flush(SOON).stats;
        accounting.push((stats.sent, stats.dropped.send_failed));
    }
    // The last refusal is of the message before, which was counted as failed already.
    assert_eq!(accounting, [(3, 0), (5, 3), (12, 3), (12, 5), (16, 5)]);
    assert!(closer.close(SOON).stats.is_balanced());
}

/// A transport with configured results, which also reports whether the message before was refused.
#[derive(Debug)]
struct RefusesLate {
    /// For each message: the status it is answered if it fails, and what is known of a refusal after it.
    script: Vec<(Option<u16>, bool)>,
    refused: bool,
}

impl Transport for RefusesLate {
    fn send(&mut self, _message: &[u8]) -> Outcome {
        let (failure, refused) = self.script.remove(0);
        self.refused = refused;
        let (address, body) = Default::default();
        failure.map_or(Ok(Sent::OK), |status| Err(TransportError::Status { address, status, body }))
    }

    fn take_late_refusal(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }
}

#[test]
fn a_refusal_learned_with_a_failure_or_at_a_flush_takes_from_sent() {
    let (ok, bad) = (None, Some(500));
    let accounting = accounting_of_late_refusals(
        vec![(ok, false), (bad, true), (ok, true), (bad, false), (bad, true)],
        &[3, 5, 7, 2, 4],
    );
    // The second message fails, and the first turns out to have been refused; the third one's refusal
    // is seen when all is sent; of the last two, both of which fail, there is nothing to take back.
    assert_eq!(accounting, [(3, 0), (0, 8), (0, 15), (0, 17), (0, 21)]);
}

#[test]
fn a_refusal_learned_with_a_refused_list_takes_the_message_before_and_none_of_its_halves() {
    let (ok, list) = (None, Some(400));
    // Four spans are refused, and so is their second half at first.
    let halves =
        vec![(ok, false), (list, true), (ok, false), (list, false), (ok, false), (ok, false)];
    assert_eq!(accounting_of_late_refusals(halves, &[3, 4]), [(3, 0), (4, 3)]);
    let one = vec![(ok, false), (list, true), (ok, false)];
    assert_eq!(accounting_of_late_refusals(one, &[3, 1, 2]), [(3, 0), (0, 4), (2, 4)]);
}

/// Returns what was sent and what failed after each flush of so many spans.
fn accounting_of_late_refusals(
    script: Vec<(Option<u16>, bool)>,
    flushes: &[usize],
) -> Vec<(u64, u64)> {
    let transport = RefusesLate { script, refused: false };
    let builder = Tracer::builder("svc").logger(NullLogger).flush_interval(SOON);
    let (tracer, closer) = builder.transport(transport).build().unwrap();
    let mut accounting = Vec::new();
    for spans in flushes {
        (0..*spans).for_each(|_| tracer.start_span("op").finish());
        let stats = tracer.flush(SOON).stats;
        assert!(stats.is_balanced(), "{stats}");
        accounting.push((stats.sent, stats.dropped.send_failed));
    }
    assert!(closer.close(SOON).stats.is_balanced());
    accounting
}
