//! Whatever path spans take, and whatever records and threads they use, they are the same.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use super::observer_laws::{Follows, Seen, SeesEnds};
use super::path_steps::Side;
use crate::support::Seeded;
use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::{IdGenerator, TracerBuilder};

/// What makes spans take another path, and has no other effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Usual,
    /// Each step is taken on another thread.
    Threads,
    /// Every start is a full one, for a generator of ids.
    Full,
    /// The same, as first spans are counted.
    Counted,
    /// Every call takes the slow path, for the list of open spans.
    Slow,
    /// Ends are observed.
    ObservedEnds,
    /// Observers follow each step.
    Followed,
}

#[derive(Debug)]
struct Ids(AtomicU64);

impl IdGenerator for Ids {
    fn next(&self) -> u64 {
        let number = self.0.fetch_add(2, Ordering::Relaxed);
        (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1) | (1 << 40)
    }
}

fn vary(path: Path, builder: TracerBuilder, number: u64, seen: &Seen) -> TracerBuilder {
    match path {
        Path::Usual | Path::Threads => builder,
        Path::Full => builder.id_generator(Ids(AtomicU64::new(1 + number * 1_000_000))),
        Path::Counted => builder.metrics(InMemoryMetrics::new()),
        Path::Slow => builder.track_open_spans(3),
        Path::ObservedEnds => builder.observer(SeesEnds(seen.clone(), true)),
        Path::Followed => builder.observer(Follows(seen.clone(), true)),
    }
}

/// A thread that does what it is told, one after the other.
struct Worker(Sender<Box<dyn FnOnce() + Send>>);

impl Worker {
    fn new() -> Self {
        let (sender, work) = channel::<Box<dyn FnOnce() + Send>>();
        thread::spawn(move || work.iter().for_each(|work| work()));
        Self(sender)
    }

    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, done) = channel();
        self.0.send(Box::new(move || sender.send(work()).unwrap())).unwrap();
        done.recv().unwrap()
    }
}

/// Returns what was seen of the spans of a run, and what observers have seen.
fn run(seed: u64, path: Path, workers: &[Worker]) -> (String, Vec<String>) {
    let (mut random, seen) = (Seeded::new(seed + 1), Seen::default());
    let has_clock = seed.is_multiple_of(2);
    let mut side =
        Side::new(&mut random, has_clock, |builder, number| vary(path, builder, number, &seen));
    for _ in 0..STEPS {
        if path == Path::Threads {
            let worker = &workers[random.clone().below(workers.len() as u64) as usize];
            (side, random) = worker.run(move || {
                side.step(&mut random);
                (side, random)
            });
        } else {
            side.step(&mut random);
        }
    }
    (side.end(&mut random), seen.take())
}

const STEPS: usize = 250;

/// Removes the times, which are between these brackets.
fn untimed(text: &str) -> String {
    let mut rest = text;
    let mut untimed = String::new();
    while let Some((before, after)) = rest.split_once('⟨') {
        untimed.push_str(before);
        rest = after.split_once('⟩').unwrap().1;
    }
    untimed + rest
}

#[track_caller]
fn assert_same(what: &str, one: &str, other: &str) {
    let mut before = Vec::new();
    for (one, other) in one.lines().zip(other.lines()) {
        if one != other {
            let mut text = format!("{what}\n");
            before.iter().rev().take(10).rev().for_each(|line| writeln!(text, "{line}").unwrap());
            panic!("{text}one:   {one}\nother: {other}");
        }
        before.push(one);
    }
    assert_eq!(one.len(), other.len(), "{what}");
}

#[test]
fn law_spans_are_the_same_on_each_path_and_thread_and_with_any_record() {
    let workers: Vec<_> = (0..3).map(|_| Worker::new()).collect();
    for seed in 0..SEEDS {
        // Of a thread whose pool is empty.
        let (expected, _) = Worker::new().run(move || run(seed, Path::Usual, &[]));
        for path in [Path::Usual, Path::Threads, Path::Full, Path::Counted] {
            let (seen, _) = run(seed, path, &workers);
            assert_same(&format!("seed {seed}, {path:?}"), &expected, &seen);
        }
        // An observed span knows when it began even if it is not sampled.
        let expected = untimed(&expected);
        for path in [Path::Slow, Path::ObservedEnds] {
            // If a start is observed, tail sampling and a sampler that defers see its tags behind a priority.
            let sees_tags =
                ["\"tail\"", "TagMatchingSampler"].iter().any(|kind| expected.contains(kind));
            if path == Path::Slow || !sees_tags {
                let (seen, _) = run(seed, path, &workers);
                assert_same(&format!("seed {seed}, {path:?}"), &expected, &untimed(&seen));
            }
        }
    }
}

#[test]
fn law_observers_of_ends_see_what_those_see_that_follow_each_step_whatever_starts_a_span() {
    for seed in (0..2 * SEEDS).step_by(2) {
        let (spans, at_end) = run(seed, Path::ObservedEnds, &[]);
        let (followed_spans, followed) = run(seed, Path::Followed, &[]);
        assert_same(&format!("seed {seed}"), &spans, &followed_spans);
        assert_eq!(at_end, followed, "seed {seed}");
    }
}

const SEEDS: u64 = 30;
