//! What the behavioural tests share: an agent on loopback, transports that obey, spans read whole.

pub(crate) mod agent;
pub(crate) mod binary;
pub(crate) mod broken;
pub(crate) mod canonical;
pub(crate) mod edge_cases;
pub(crate) mod http;
pub(crate) mod metrics;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
#[cfg(feature = "otlp")]
pub(crate) mod otlp_json;
pub(crate) mod read;
pub(crate) mod storable;
#[cfg(feature = "remote-sampler")]
pub(crate) mod strategies;
pub(crate) mod table;
pub(crate) mod transport;

use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jaeger_client::{
    Logger, NullLogger, Observer, Span, SpanObserver, StartSpanOptions, Stats, Tracer,
    TracerBuilder,
};

/// Long enough for anything that is not broken, on a busy machine too.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A tracer that sends only when it is flushed or closed, or when its buffers are full.
pub(crate) fn builder() -> TracerBuilder {
    Tracer::builder("svc")
        .logger(NullLogger)
        .flush_interval(Duration::from_secs(3600))
        .queue_size(2_000_000)
        .shards(1)
}

/// A logger that stores the messages of a tracer.
#[derive(Debug, Default)]
pub(crate) struct MemoryLogger(Mutex<Vec<String>>);

impl MemoryLogger {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn has(&self, words: &str) -> bool {
        self.all().iter().any(|line| line.contains(words))
    }
}

impl Logger for MemoryLogger {
    fn error(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

pub(crate) fn memory_logger() -> Arc<MemoryLogger> {
    Arc::default()
}

/// An observer that is notified of the start of spans, and follows none.
#[derive(Debug)]
pub(crate) struct StartObserver;

impl Observer for StartObserver {
    fn on_start_span(
        &self,
        _span: &Span,
        _operation: &str,
        _options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        None
    }
}

/// An observer that follows each span by a clone of what it holds.
#[derive(Debug)]
pub(crate) struct FollowedBy<S>(pub(crate) S);

impl<S: SpanObserver + Clone + fmt::Debug + 'static> Observer for FollowedBy<S> {
    fn on_start_span(
        &self,
        _span: &Span,
        _operation: &str,
        _options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        Some(Box::new(self.0.clone()))
    }
}

/// A small generator whose numbers are the same on every run.
#[derive(Clone, Debug)]
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// One of them, cheaply: the first have the better chance by a hair.
    pub(crate) fn pick<T, const N: usize>(&mut self, from: [T; N]) -> T {
        let at = self.below(N as u64);
        from.into_iter().zip(0..).find(|(_, n)| *n == at).map(|(one, _)| one).unwrap()
    }
}

/// Fails if the work hangs, rather than hanging with it.
pub(crate) fn soon(work: impl FnOnce() + Send + 'static) {
    let (sender, done) = channel();
    let worker = std::thread::spawn(move || {
        work();
        let _ = sender.send(());
    });
    assert_ne!(done.recv_timeout(SOON), Err(RecvTimeoutError::Timeout), "it hangs");
    worker.join().unwrap();
}

/// How long something took.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = work();
    (value, start.elapsed())
}

/// The least time of three attempts. A loaded machine delays some of them; a wait that is part of the
/// work delays all.
pub(crate) fn fastest_of_three(mut attempt: impl FnMut()) -> Duration {
    (0..3).map(|_| timed(&mut attempt).1).min().unwrap_or_default()
}

/// Waits until the condition holds. The failure is shown at the line of the caller.
#[track_caller]
pub(crate) fn eventually(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < SOON, "this condition did not hold within {SOON:?}");
        // Other tests need the processors: threads that only yield would load them.
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Holds a reading of the accounting to its sums, and to the one before it: what is counted stays counted.
/// With `refusals`, datagrams may turn out to have been refused.
pub(crate) fn assert_follows(before: &Stats, after: &Stats, refusals: bool) {
    assert!(after.is_balanced(), "{after}");
    for (name, was, is) in [
        ("started", before.started, after.started),
        ("finished", before.finished, after.finished),
        ("not_sampled", before.not_sampled, after.not_sampled),
        ("dropped", before.dropped.total(), after.dropped.total()),
        ("misused", before.misused, after.misused),
        ("datagrams", before.datagrams, after.datagrams),
        ("evicted", before.evicted, after.evicted),
    ] {
        assert!(was <= is, "{name} went from {was} to {is}");
    }
    // A datagram that turns out to have been refused moves from `sent` to `send_failed`.
    assert!(refusals || before.sent <= after.sent, "{before} then {after}");
}
