//! Load tests: sends spans at the maximum rate, and counts those that the server has stored.
//!
//! The program `burst` runs them with any server: `cargo run --release -p interop --bin burst`.

use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jaeger_client::{FlushReport, PacingConfig, Tracer};

use crate::opt_in::StepResult;
use crate::query::{Query, get};

/// The result of a burst or a flood.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The client's report at its close.
    pub report: FlushReport,
    /// How long the spans took to make.
    pub made_in: Duration,
    /// The number of spans that the server has stored.
    pub held: u64,
    /// Datagrams that the agent's socket dropped meanwhile, if it is in this network namespace.
    pub socket_drops: Option<u64>,
}

impl Outcome {
    /// Returns the number of spans that were counted as sent, and are not stored.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.report.stats.sent.saturating_sub(self.held)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, made_in, held, socket_drops } = self;
        let (sent, full) = (report.stats.sent, report.stats.dropped.queue_full);
        let drops = socket_drops.map_or_else(|| "not seen".to_owned(), |drops| drops.to_string());
        let word = if report.complete { "closed" } else { "NOT CLOSED" };
        write!(
            f,
            "made in {made_in:.1?}, {word} in {:.0?}; sent {sent}, held {held}, lost {}, queue full \
             {full}; socket drops {drops}",
            report.took,
            self.lost(),
        )
    }
}

/// The result of a load that is above what the server can handle.
#[derive(Debug)]
#[non_exhaustive]
pub struct Saturation {
    /// The client's report at its close.
    pub report: FlushReport,
    /// The server's counts, from its metrics.
    pub server: ServerCounts,
    /// Datagrams that the agent's socket dropped, if it is in this network namespace.
    pub socket_drops: Option<u64>,
}

/// Counts of a server since its start, from its metrics.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ServerCounts {
    /// Spans that the agent has passed to the collector.
    pub received: u64,
    /// Datagrams that the agent has read and dropped; only Jaeger v1 counts them.
    pub agent_drops: u64,
    /// Spans that the collector dropped.
    pub dropped: u64,
    /// Spans that were stored.
    pub stored: u64,
}

impl ServerCounts {
    /// Reads the metrics of Jaeger v1 or v2.
    fn read(metrics: &str) -> StepResult<Self> {
        let page = get(&format!("http://{metrics}/metrics"), &[])?.body;
        let of = |names: &[&str], label: &str| {
            let is_counted = |line: &&str| {
                names.iter().any(|name| line.starts_with(name)) && line.contains(label)
            };
            // Counts of Jaeger v2 may be written as floats.
            let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
            let sum: f64 = page.lines().filter(is_counted).filter_map(value).sum();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let count = sum as u64;
            count
        };
        Ok(Self {
            received: of(
                &["jaeger_collector_spans_received_total", "otelcol_receiver_accepted_spans"],
                "",
            ),
            agent_drops: of(&["jaeger_agent_thrift_udp_server_packets_dropped_total"], "compact"),
            dropped: of(
                &[
                    "jaeger_collector_spans_dropped_total",
                    "otelcol_receiver_refused_spans",
                    "otelcol_exporter_send_failed_spans",
                ],
                "",
            ),
            stored: of(&["jaeger_collector_spans_saved_by_svc_total"], "\"ok\"")
                + of(&["otelcol_exporter_sent_spans"], ""),
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            received: self.received.saturating_sub(before.received),
            agent_drops: self.agent_drops.saturating_sub(before.agent_drops),
            dropped: self.dropped.saturating_sub(before.dropped),
            stored: self.stored.saturating_sub(before.stored),
        }
    }
}

impl Saturation {
    /// The titles of [`row`](Self::row)'s columns.
    pub const COLUMNS: &str = "started | dropped by the client | sent | datagrams | dropped in the socket | \
         dropped by the agent | received | dropped behind it | stored | lost of sent";

    /// Returns the columns of a table row.
    #[must_use]
    pub fn row(&self) -> String {
        let Self { report, server, socket_drops } = self;
        let stats = report.stats;
        let drops = socket_drops.map_or_else(|| "not seen".to_owned(), |drops| drops.to_string());
        let lost = stats.sent.saturating_sub(server.stored);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = 100.0 * lost as f64 / stats.sent.max(1) as f64;
        format!(
            "{} | {} | {} | {} | {drops} | {} | {} | {} | {} | {share:.1} %",
            stats.started,
            stats.dropped.total(),
            stats.sent,
            stats.datagrams,
            server.agent_drops,
            server.received,
            server.dropped,
            server.stored,
        )
    }
}

/// A load test of an agent.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct LoadTest<'a> {
    /// The agent's address.
    pub agent: &'a str,
    /// The pacing of datagrams.
    pub pacing: PacingConfig,
    /// The timeout of the close.
    pub close_timeout: Duration,
    /// The time without a change after which a server has stored everything, even on a loaded machine.
    pub quiet: Duration,
}

impl<'a> LoadTest<'a> {
    /// Makes a load test with the default options.
    #[must_use]
    pub fn new(agent: &'a str) -> Self {
        let close_timeout = Duration::from_secs(30);
        Self { agent, pacing: PacingConfig::default(), close_timeout, quiet: QUIET }
    }

    /// Sends a number of spans, closes the tracer, and counts the stored spans of their traces.
    ///
    /// # Errors
    ///
    /// A message, if the server does not respond, or no tracer can be built.
    pub fn burst(&self, spans: u64, query: &Query) -> StepResult<Outcome> {
        let mut traces = Vec::new();
        let drops = SocketDrops::of(self.agent);
        let (report, made_in) = self.run(|tracer| {
            let mut left = spans;
            while left > 0 {
                let root = tracer.start_span("root");
                traces.push(root.context().trace_id().to_string());
                let children = (SPANS_PER_TRACE - 1).min(left - 1);
                (0..children).for_each(|_| child_of(tracer, &root));
                left -= 1 + children;
            }
        })?;
        let held = query.count_settled(&traces, report.stats.sent)?;
        Ok(Outcome { report, made_in, held, socket_drops: drops.since() })
    }

    /// Sends spans on several threads for `time`, and closes the tracer. The stored spans are counted by the
    /// metrics of Jaeger v1, at the address `metrics`.
    ///
    /// # Errors
    ///
    /// As [`burst`](Self::burst).
    pub fn flood(&self, time: Duration, threads: usize, metrics: &str) -> StepResult<Outcome> {
        let before = saved(metrics)?;
        let drops = SocketDrops::of(self.agent);
        let (report, made_in) = self.run(|tracer| {
            on_threads(time, threads, |is_over| {
                let root = tracer.start_span("root");
                while !is_over() {
                    child_of(tracer, &root);
                }
            });
        })?;
        let enough = before + report.stats.sent;
        let after = settled(enough, self.quiet, || saved(metrics))?;
        Ok(Outcome { report, made_in, held: after - before, socket_drops: drops.since() })
    }

    /// Sends traces of one span with three tags on several threads for `time`, and closes the tracer. The
    /// server's counts are read from its metrics, at the address `metrics`.
    ///
    /// # Errors
    ///
    /// As [`burst`](Self::burst).
    pub fn saturate(
        &self,
        time: Duration,
        threads: usize,
        metrics: &str,
    ) -> StepResult<Saturation> {
        let before = ServerCounts::read(metrics)?;
        let drops = SocketDrops::of(self.agent);
        let (report, _) = self.run(|tracer| {
            on_threads(time, threads, |is_over| {
                while !is_over() {
                    let span = tracer.start_span("GET /orders");
                    span.set_tag("http.method", "GET");
                    span.set_tag("http.status_code", 200);
                    span.set_tag("error", false);
                }
            });
        })?;
        let read = || StepResult::Ok(ServerCounts::read(metrics)?.since(before));
        settled(report.stats.sent, self.quiet, || {
            let ServerCounts { stored, dropped, .. } = read()?;
            Ok(stored + dropped)
        })?;
        Ok(Saturation { report, server: read()?, socket_drops: drops.since() })
    }

    fn run(&self, make: impl FnOnce(&Tracer)) -> StepResult<(FlushReport, Duration)> {
        let (tracer, closer) = Tracer::builder("burst")
            .agent(self.agent)
            .pacing(self.pacing)
            .build()
            .map_err(|error| error.to_string())?;
        let began = Instant::now();
        make(&tracer);
        let made_in = began.elapsed();
        Ok((closer.close(self.close_timeout), made_in))
    }
}

/// Runs `work` on several threads. Its argument returns whether the time is over.
fn on_threads(time: Duration, threads: usize, work: impl Fn(&dyn Fn() -> bool) + Sync) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&|| is_over.load(Ordering::Relaxed)));
        }
        thread::sleep(time);
        is_over.store(true, Ordering::Relaxed);
    });
}

fn child_of(tracer: &Tracer, root: &jaeger_client::Span) {
    let span = tracer.span("GET /orders").child_of(root).start();
    span.set_tag("http.method", "GET");
    span.set_tag("http.status_code", 200);
}

/// Calls `read` until its value has reached `enough`, or has not changed for the time `quiet`, and returns it.
pub(crate) fn settled(
    enough: u64,
    quiet: Duration,
    mut read: impl FnMut() -> StepResult<u64>,
) -> StepResult<u64> {
    let mut last = read()?;
    let mut changed = Instant::now();
    while last < enough && changed.elapsed() < quiet {
        thread::sleep(Duration::from_millis(100));
        let now = read()?;
        if now != last {
            (last, changed) = (now, Instant::now());
        }
    }
    Ok(last)
}

/// Returns the number of spans that a collector of Jaeger v1 has stored so far.
fn saved(metrics: &str) -> StepResult<u64> {
    let page = get(&format!("http://{metrics}/metrics"), &[])?.body;
    let is_saved = |line: &&str| {
        line.starts_with("jaeger_collector_spans_saved_by_svc_total{") && line.contains("\"ok\"")
    };
    let value = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
    Ok(page.lines().filter(is_saved).filter_map(value).sum())
}

/// The datagrams that an agent's socket drops from some moment on. They are read once the server has stored
/// what it received: the operating system may deliver a datagram after it was sent.
struct SocketDrops<'a> {
    agent: &'a str,
    before: Option<u64>,
}

impl<'a> SocketDrops<'a> {
    fn of(agent: &'a str) -> Self {
        Self { agent, before: socket_drops(agent) }
    }

    fn since(&self) -> Option<u64> {
        Some(socket_drops(self.agent)?.saturating_sub(self.before?))
    }
}

/// Returns the number of datagrams that an IPv4 socket has dropped so far, from `/proc/net/udp`; none if
/// there is no such socket in this network namespace.
///
/// `agent` is its address, as `host:port`.
#[must_use]
pub fn socket_drops(agent: &str) -> Option<u64> {
    let port: u16 = agent.rsplit_once(':')?.1.parse().ok()?;
    let port = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/net/udp").ok()?;
    let line = table
        .lines()
        .find(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&port)))?;
    line.split_whitespace().last()?.parse().ok()
}

const SPANS_PER_TRACE: u64 = 1_000;

/// See [`LoadTest::quiet`].
pub(crate) const QUIET: Duration = Duration::from_secs(10);
