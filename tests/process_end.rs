//! Processes that end in every way there is, with spans pending: each ends soon, tells the truth
//! about its spans, and the agent got exactly those that were sent.
//!
//! The test runs its own binary again, with a variable that names how the child is to end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]
#![allow(clippy::print_stdout, reason = "the child prints its report")]
#![allow(clippy::disallowed_methods, reason = "the tests start processes, threads and clocks")]

#[allow(dead_code, unused_imports, reason = "this program uses a part of it")]
mod support;

use std::env;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use jaeger_client::{Closer, Stats, Tracer};
use support::agent::{Agent, nobody};

const ENDING: &str = "JAEGER_TEST_ENDING";
const AGENT: &str = "JAEGER_TEST_AGENT";

/// Any ending takes less; a hang takes for ever.
const BOUND: Duration = Duration::from_secs(60);

const SPANS: usize = 300;

/// Finishes spans, which lie in the tracer's buffers then: nothing but its end sends them.
fn spans(tracer: &Tracer) {
    for n in 0..SPANS {
        tracer.span("pending").tag("n", n).start().finish();
    }
}

/// Prints the counts, after whatever is dropped before it.
struct PrintStats(Tracer);

impl Drop for PrintStats {
    fn drop(&mut self) {
        print_stats(&self.0.stats());
    }
}

fn print_stats(stats: &Stats) {
    let balanced = stats.is_balanced();
    let numbers = [stats.started, stats.sent, stats.dropped.total(), stats.open, stats.queued];
    let line = format!("\nREPORT {balanced} {numbers:?}\n");
    // Not through `println!`, which the test harness captures.
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

fn build() -> (Tracer, Closer) {
    let builder = Tracer::builder("doomed").agent(env::var(AGENT).unwrap());
    builder.flush_interval(Duration::from_secs(3600)).build().unwrap()
}

/// A tracer with pending spans, whose counts are printed after the closer is dropped.
fn pending() -> (PrintStats, Closer) {
    let (tracer, closer) = build();
    spans(&tracer);
    (PrintStats(tracer), closer)
}

fn current_thread() -> tokio::runtime::Runtime {
    // Without a driver of time or input: what waits must need neither.
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

const ENDINGS: &[(&str, fn())] = &[
    ("return", || {
        let (_printing, _closer) = pending();
    }),
    ("close", || {
        let (printing, closer) = pending();
        let report = closer.close(BOUND);
        assert!(report.complete, "{report}");
        drop(printing);
    }),
    ("open spans", || {
        let (printing, _closer) = pending();
        std::mem::forget(printing.0.start_span("never finished"));
    }),
    ("panic", || {
        let (_printing, _closer) = pending();
        panic!("the end");
    }),
    ("panic within an active span", || {
        let (printing, _closer) = pending();
        let span = printing.0.start_span("active");
        let _scope = span.activate();
        let _child = printing.0.start_span("child");
        panic!("the end");
    }),
    ("panic elsewhere", || {
        let (printing, _closer) = pending();
        let tracer = printing.0.clone();
        let thread = thread::spawn(move || {
            let _span = tracer.start_span("in the thread");
            panic!("the end of a thread");
        });
        thread.join().unwrap_err();
    }),
    ("threads that never end", || {
        let (printing, _closer) = pending();
        let (started, wait) = channel();
        let tracer = printing.0.clone();
        thread::spawn(move || {
            let _open = tracer.start_span("open");
            started.send(()).unwrap();
            loop {
                thread::park();
            }
        });
        wait.recv().unwrap();
    }),
    ("current_thread drop", || {
        current_thread().block_on(async {
            let (_printing, _closer) = pending();
            tokio::task::yield_now().await;
        });
    }),
    #[cfg(feature = "tokio")]
    ("current_thread flush and close", || {
        current_thread().block_on(async {
            let (printing, closer) = pending();
            let span = printing.0.start_span("around the flush");
            let flush = printing.0.flush_async(BOUND);
            let report = jaeger_client::TraceFutureExt::in_span(flush, span).await;
            assert!(report.complete && report.stats.queued == 0, "{report}");
            let report = closer.close_async(BOUND).await;
            assert!(report.complete && report.stats.queued == 0, "{report}");
        });
    }),
    ("current_thread panic", || {
        current_thread().block_on(async {
            let (_printing, _closer) = pending();
            tokio::task::yield_now().await;
            panic!("the end");
        });
    }),
    ("task aborted with its closer", || {
        current_thread().block_on(async {
            let (begun, wait) = channel();
            let task = tokio::spawn(async move {
                let (_printing, _closer) = pending();
                begun.send(()).unwrap();
                std::future::pending::<()>().await;
            });
            while wait.try_recv().is_err() {
                tokio::task::yield_now().await;
            }
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        });
    }),
    #[cfg(feature = "tokio")]
    ("close_async not awaited", || {
        let (printing, closer) = pending();
        drop(closer.close_async(BOUND));
        drop(printing);
    }),
    ("multi_thread shut down", || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
        let runtime = runtime.unwrap();
        let (begun, wait) = channel();
        runtime.spawn(async move {
            let (_printing, _closer) = pending();
            begun.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        wait.recv().unwrap();
        drop(runtime);
    }),
    ("tracer in a static and a thread-local", || {
        thread_local! {
            static HELD: std::cell::RefCell<Option<jaeger_client::Span>> = const {
                std::cell::RefCell::new(None)
            };
        }
        static TRACER: std::sync::OnceLock<Tracer> = std::sync::OnceLock::new();
        let (printing, _closer) = pending();
        TRACER.set(printing.0.clone()).unwrap();
        let thread = thread::spawn(|| {
            // Finished while the thread's locals are torn down.
            HELD.set(TRACER.get().map(|tracer| tracer.start_span("buffered")));
        });
        thread.join().unwrap();
    }),
];

/// Not a separate test: what a child does when this binary is run again.
#[test]
fn child() {
    let Ok(ending) = env::var(ENDING) else { return };
    let (_, end) = ENDINGS.iter().find(|(name, _)| *name == ending).unwrap();
    end();
}

fn start(ending: &str, agent: &str) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["child", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(ENDING, ending).env(AGENT, agent).env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[derive(Debug, PartialEq)]
struct Counts {
    started: usize,
    sent: usize,
    dropped: usize,
    open: usize,
}

/// Reads a pipe to its end, which is the child's end, on a thread.
fn reading(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (send, read) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = send.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    read
}

/// Waits for the child's end and reads its report; kills it when its time is up.
fn end_of(ending: &str, mut child: Child) -> Counts {
    let start = Instant::now();
    let out = reading(child.stdout.take().unwrap());
    let err = reading(child.stderr.take().unwrap());
    let (Ok(out), Ok(err)) = (out.recv_timeout(BOUND), err.recv_timeout(BOUND)) else {
        child.kill().unwrap();
        panic!("{ending:?} did not end within {BOUND:?}");
    };
    let status = child.wait().unwrap();
    let took = start.elapsed();
    let both = format!("{ending:?}: {out}{err}");
    let panics = ending.contains("panic") && !ending.contains("elsewhere");
    assert_eq!(status.success(), !panics, "{both}");
    let report = out.lines().find_map(|line| line.strip_prefix("REPORT true ["));
    let numbers = report.unwrap_or_else(|| panic!("no report: {both}")).trim_end_matches(']');
    let numbers: Vec<usize> = numbers.split(", ").map(|n| n.parse().unwrap()).collect();
    let [started, sent, dropped, open, queued] = numbers[..] else { panic!("{both}") };
    assert_eq!(queued, 0, "{both}");
    println!("{ending}: {took:?}");
    Counts { started, sent, dropped, open }
}

/// Spans that the ending starts besides the pending ones: finished, left open.
fn besides(ending: &str) -> (usize, usize) {
    match ending {
        "open spans" | "threads that never end" => (0, 1),
        "panic elsewhere" | "current_thread flush and close" => (1, 0),
        "tracer in a static and a thread-local" => (1, 0),
        "panic within an active span" => (2, 0),
        _ => (0, 0),
    }
}

#[test]
fn whatever_ends_a_process_its_spans_arrive_and_its_report_says_so() {
    for (ending, _) in ENDINGS {
        let agent = Agent::start();
        let accounting = end_of(ending, start(ending, &agent.address()));
        let (finished, open) = besides(ending);
        let sent = SPANS + finished;
        assert_eq!(
            accounting,
            Counts { started: sent + open, sent, dropped: 0, open },
            "{ending:?}"
        );
        assert_eq!(agent.rest().len(), sent, "{ending:?}");
    }
}

#[test]
fn without_an_agent_a_process_ends_just_as_soon_and_counts_its_losses() {
    let agent = nobody();
    for (ending, _) in ENDINGS {
        let accounting = end_of(ending, start(ending, &agent));
        let (finished, open) = besides(ending);
        let dropped = SPANS + finished;
        let expected = Counts { started: dropped + open, sent: 0, dropped, open };
        assert_eq!(accounting, expected, "{ending:?}");
    }
}
