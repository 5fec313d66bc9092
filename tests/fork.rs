//! Processes that are forked while threads make spans. What a child does with its parent's tracer never
//! waits for a thread that is not there, its ids are its own, and one line says what is wrong; a tracer
//! that it builds works.
//!
//! The test runs its own binary again, which forks: a test's process has threads that know nothing of it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]
#![allow(clippy::disallowed_methods, reason = "the tests start processes, threads and clocks")]

#[allow(dead_code, unused_imports, reason = "this program uses a part of it")]
mod support;

use std::collections::HashSet;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, exit};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use fork::Fork;
use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::sampler::{
    ConstSampler, OperationStrategies, PerOperationSampler, PrioritySampler, RateLimitingSampler,
    TagMatchingSampler,
};
use jaeger_client::transport::{Sent, Transport};
use jaeger_client::{
    Closer, CompactSpan, InMemoryReporter, Logger, ObservedSpan, Observer, ObserverInterest, Span,
    SpanContext, SpanObserver, StartSpanOptions, TailSamplingConfig, Tracer, TracerBuilder,
    TransportError,
};
use support::agent::Agent;
use support::eventually;

const FOLDER: &str = "JAEGER_TEST_FORK_FOLDER";
const AGENT: &str = "JAEGER_TEST_FORK_AGENT";

/// A child takes a fraction of it; one that hangs takes for ever.
const BOUND: Duration = Duration::from_secs(60);

/// Takes every message.
#[derive(Debug)]
struct Discard;

impl Transport for Discard {
    fn send(&mut self, _message: &[u8]) -> Result<Sent, TransportError> {
        Ok(Sent::OK)
    }
}

/// Which child this is. Not the id of the process, which may be that of one that is gone.
static CHILD: AtomicUsize = AtomicUsize::new(0);

/// Writes errors to a file of the process.
#[derive(Debug)]
struct FileLogger(PathBuf);

impl FileLogger {
    fn path(&self) -> PathBuf {
        self.0.join(format!("log-{}", CHILD.load(Ordering::Relaxed)))
    }
}

impl Logger for FileLogger {
    fn error(&self, message: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path()).unwrap();
        file.write_all(format!("{message}\n").as_bytes()).unwrap();
    }
}

/// Follows every span, with its own lock.
#[derive(Debug, Default)]
struct Follows(std::sync::Mutex<u64>);

impl Observer for Follows {
    fn on_start_span(
        &self,
        _span: &Span,
        _operation: &str,
        _options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        *self.0.lock().unwrap() += 1;
        None
    }
}

/// Counts finished spans, with its own lock.
#[derive(Debug, Default)]
struct CountsEnds(std::sync::Mutex<u64>);

impl Observer for CountsEnds {
    fn interest(&self) -> ObserverInterest {
        ObserverInterest::finished_spans(["error", "sampling.priority"])
    }

    fn on_span_finished(&self, _span: &ObservedSpan<'_>) {
        *self.0.lock().unwrap() += 1;
    }
}

/// A tracer of each kind that has locks.
fn builder(kind: usize, folder: &Path) -> TracerBuilder {
    let builder = Tracer::builder("svc")
        .logger(FileLogger(folder.to_owned()))
        .shards(2)
        .record_backtraces(true);
    let builder = builder.flush_interval(Duration::from_millis(1)).transport(Discard);
    match kind {
        0 => builder,
        1 => builder.sampler(ConstSampler::new(false)).tail_sampling(TailSamplingConfig::default()),
        2 => {
            let marked = TagMatchingSampler::new("tenant").matching("acme");
            let list = PrioritySampler::new().then(marked).then(ConstSampler::new(true));
            builder.sampler(list.build().unwrap()).observer(Follows::default()).track_open_spans(99)
        }
        3 => {
            let limited = RateLimitingSampler::new(1e6).unwrap();
            builder.sampler(limited).metrics(InMemoryMetrics::new()).rpc_metrics(true)
        }
        4 => builder.in_memory(&InMemoryReporter::new()).observer(CountsEnds::default()),
        _ => {
            builder.sampler(PerOperationSampler::new(&OperationStrategies::new(1.0, 1e6))).shards(1)
        }
    }
}

const KINDS: usize = 6;

/// Uses a tracer in every way there is, and gives the ids of the spans.
fn use_it(tracer: &Tracer, shared: &Span) -> Vec<u64> {
    let mut ids = Vec::new();
    let mut note = |span: &Span| ids.push(span.context().span_id().get());
    shared.set_tag("k", 1).set_tag("text", "t").set_tag("error", false).log_event("e");
    shared.set_baggage_item("b", "v").set_operation_name("renamed");
    shared.record_error(&std::io::Error::other("e"));
    for n in 0..20 {
        let root = tracer.start_span("plain");
        note(&root);
        root.set_tag("n", n).log_event("e");
        let _active = root.activate();
        let child = tracer.start_span("child of the active one");
        note(&child);
        child.set_tag("error", true).record_error(&std::io::Error::other("e")).finish();
        let built = tracer.span("built").child_of(shared).tag("tenant", "acme").start();
        note(&built);
        built.set_baggage_item("b", "v").set_tag("sampling.priority", 1);
        let own = tracer.span("itself").self_reference(&built).ignore_active_span().start();
        drop((own, built));
        root.finish();
    }
    let mut headers = std::collections::HashMap::<String, String>::new();
    tracer.inject(&shared.context(), &mut headers);
    assert_eq!(headers.contains_key("uber-trace-id"), tracer.extract(&headers).is_ok());
    let stats = tracer.stats();
    assert!(stats.is_balanced(), "{stats}");
    let _ = (tracer.sampler_status(), tracer.open_spans(), tracer.destination_stats());
    ids
}

/// Returns what a child does: all there is with its parent's tracer, then with one of its own.
fn child(tracer: Tracer, closer: Closer, shared: Span, folder: &Path, number: usize) -> ! {
    CHILD.store(number + 1, Ordering::Relaxed);
    let mut ids = use_it(&tracer, &shared);
    let flushed = tracer.flush(BOUND);
    assert!(!flushed.complete && flushed.stats.is_balanced(), "{flushed}");
    shared.finish();
    if number.is_multiple_of(2) {
        drop(closer);
    } else {
        let report = closer.close(BOUND);
        assert!(!report.complete && report.stats.is_balanced(), "{report}");
    }
    drop((shared, tracer));
    // The logger is waited for within a bound, which a disk may exceed.
    eventually(|| FileLogger(folder.to_owned()).path().exists());

    let builder = Tracer::builder("child").agent(env::var(AGENT).unwrap());
    let (own, closer) = builder.logger(FileLogger(folder.to_owned())).build().unwrap();
    let mut of_threads: Vec<Vec<u64>> = thread::scope(|scope| {
        let spans = || {
            let start = |_| {
                let span = own.start_span("own");
                span.set_tag("k", 1).finish();
                span.context().span_id().get()
            };
            (0..5).map(start).collect()
        };
        let threads = [scope.spawn(spans), scope.spawn(spans)];
        let mut all: Vec<Vec<u64>> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        all.push(spans());
        all
    });
    ids.extend(of_threads.drain(..).flatten());
    let report = closer.close(BOUND);
    assert!(report.complete && report.stats.sent == 15, "{report}");
    let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
    fs::write(folder.join(format!("ids-{number}")), lines).unwrap();
    exit(0)
}

/// Forks `children` times while threads use a tracer, and counts those that did not end well.
fn fork_under_load(children: usize, kind: usize, folder: &Path) {
    let (tracer, closer) = builder(kind, folder).build().unwrap();
    let shared = tracer.start_span("shared");
    let done = AtomicBool::new(false);
    let closer = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _ = use_it(&tracer, &shared);
                }
            });
        }
        let mut closer = Some(closer);
        for number in 0..children {
            // Threads get on meanwhile, so that no two forks find them at the same place.
            thread::sleep(Duration::from_micros((number % 7 * 300) as u64));
            match fork::fork().unwrap() {
                Fork::Child => {
                    let closer = closer.take().unwrap();
                    child(tracer.clone(), closer, shared.clone(), folder, kind * 1_000 + number)
                }
                Fork::Parent(pid) => {
                    let ended = wait(pid);
                    fs::write(folder.join(format!("ended-{kind}-{number}")), &ended).unwrap();
                }
            }
        }
        done.store(true, Ordering::Relaxed);
        closer.take().unwrap()
    });
    let ids: String = use_it(&tracer, &shared).iter().map(|id| format!("{id}\n")).collect();
    fs::write(folder.join(format!("ids-of-the-parent-{kind}")), ids).unwrap();
    shared.finish();
    assert!(closer.close(BOUND).stats.is_balanced());
}

/// How a child ended; it is killed if it hangs.
fn wait(pid: i32) -> String {
    let from = Instant::now();
    loop {
        if let Some(status) = fork::waitpid_nohang(pid).unwrap() {
            return if status == 0 { "well".to_owned() } else { format!("status {status:#x}") };
        }
        if from.elapsed() > BOUND {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            let _ = fork::waitpid(pid.as_raw_nonzero().get());
            return "hung".to_owned();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Does some work in a child, and returns how that ended.
fn in_child(work: impl FnOnce()) -> String {
    match fork::fork().unwrap() {
        Fork::Child => exit(i32::from(catch_unwind(AssertUnwindSafe(work)).is_err())),
        Fork::Parent(pid) => wait(pid),
    }
}

/// Runs a test of this binary, in its own process that may fork.
fn run(test: &str, folder: &Path, agent: &str) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(FOLDER, folder).env(AGENT, agent).output().unwrap()
}

/// A folder that is gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("jaeger-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Returns what files whose names begin so hold.
    fn files(&self, prefix: &str) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap());
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .map(|entry| fs::read_to_string(entry.path()).unwrap())
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const CHILDREN: usize = 36;

#[test]
fn children_forked_under_load_never_hang_draw_their_own_ids_and_log_once_what_is_wrong() {
    if let Ok(folder) = env::var(FOLDER) {
        for kind in 0..KINDS {
            fork_under_load(CHILDREN, kind, Path::new(&folder));
        }
        return;
    }
    let (folder, agent) = (Folder::new("fork"), Agent::start());
    let name =
        "children_forked_under_load_never_hang_draw_their_own_ids_and_log_once_what_is_wrong";
    let address = agent.address();
    // Read as they come: a socket's buffer does not hold the datagrams of all children.
    let received = thread::spawn(move || agent.spans(CHILDREN * KINDS * 15));
    let output = run(name, &folder.0, &address);
    let about = || String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}", about());
    let ended = folder.files("ended-");
    assert_eq!(ended.len(), CHILDREN * KINDS);
    let badly: Vec<_> = ended.iter().filter(|ended| *ended != "well").collect();
    assert!(badly.is_empty(), "{badly:?}\n{}", about());

    let all: Vec<u64> = folder
        .files("ids-")
        .iter()
        .flat_map(|file| file.lines())
        .map(|id| id.parse().unwrap())
        .collect();
    assert_eq!(all.len(), CHILDREN * KINDS * (60 + 15) + KINDS * 60);
    let distinct: HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len(), "some ids were drawn twice");

    let logs = folder.files("log-");
    let reports = logs.iter().filter(|log| log.contains("was forked"));
    assert_eq!(reports.clone().count(), CHILDREN * KINDS, "in each child");
    assert!(
        reports.clone().all(|log| log.lines().count() == 1),
        "{:?}",
        reports.collect::<Vec<_>>()
    );
    let names = received.join().unwrap().into_iter().map(|span| span.name);
    assert!(names.into_iter().all(|name| name == "own"), "nothing of the parent's is sent twice");
}

#[test]
fn the_default_logger_says_it_though_another_thread_has_standard_error() {
    if env::var(FOLDER).is_ok() {
        let (tracer, _closer) = Tracer::builder("svc").transport(Discard).build().unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _held = std::io::stderr().lock();
                    thread::sleep(Duration::from_millis(1));
                }
            });
            for _ in 0..20 {
                match fork::fork().unwrap() {
                    Fork::Child => {
                        tracer.start_span("op").finish();
                        tracer.start_span("op").finish();
                        exit(0)
                    }
                    Fork::Parent(pid) => assert_eq!(wait(pid), "well"),
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        return;
    }
    let folder = Folder::new("fork-stderr");
    let name = "the_default_logger_says_it_though_another_thread_has_standard_error";
    let output = run(name, &folder.0, "");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    let lines =
        errors.lines().filter(|line| line.starts_with("jaeger-client: this process was forked"));
    assert_eq!(lines.count(), 20, "{errors}");
}

/// The ways to end a span that was started before its process was forked, or prepared there.
const ENDS: [fn(Span); 13] = [
    drop,
    |span| span.finish(),
    |span| drop(CompactSpan::from(span)),
    |span| CompactSpan::from(span).finish(),
    |span| CompactSpan::from(span).finish_at(SystemTime::now()),
    |span| {
        let compact = CompactSpan::from(span);
        compact.span().set_tag("k", 1).set_tag("sampling.priority", 1);
        let other = compact.clone();
        drop(compact);
        other.finish();
    },
    |span| {
        let other = span.clone();
        span.finish();
        drop((other, span));
    },
    |span| {
        let other = span.clone();
        drop(span);
        other.set_operation_name("renamed").finish();
    },
    |span| {
        let context = span.context();
        drop(span.child("child"));
        drop((span, context));
    },
    |span| {
        span.set_tag("sampling.priority", 1).set_tag("k", 1);
        span.on_finish(|_| {});
        let _active = span.activate();
    },
    |span| {
        let context = span.context();
        span.finish();
        drop((span.context(), context, CompactSpan::from(span)));
    },
    |span| drop(span.restart_as_child_of(SpanContext::default())),
    |span| span.finish_at(SystemTime::now()),
];

#[test]
fn spans_that_a_forked_process_ends_are_counted_once_whatever_handle_they_have() {
    if env::var(FOLDER).is_ok() {
        for kind in 0..6 {
            let builder = Tracer::builder("svc").sampler(ConstSampler::new(kind % 2 == 1));
            let builder = match kind / 2 {
                0 => builder,
                1 => builder.observer(CountsEnds::default()),
                _ => builder.tail_sampling(TailSamplingConfig::default()),
            };
            let (tracer, _closer) = builder.transport(Discard).build().unwrap();
            let plain = ENDS.map(|end| (end, tracer.start_span("before")));
            let shared =
                ENDS.map(|end| (end, CompactSpan::from(tracer.start_span("shared")).span()));
            let read = ENDS.map(|end| (end, tracer.start_span("read before")));
            let _contexts = read.each_ref().map(|(_, span)| span.context());
            let owned = ENDS.map(|_| tracer.start_owned_span("owned"));
            let prepared = ENDS.map(|end| (end, tracer.prepare_span("prepared")));
            let before = tracer.stats();
            assert_eq!((before.started, before.open), (4 * ENDS.len() as u64, before.started));
            let ended = in_child(|| {
                let spans = plain.into_iter().chain(shared).chain(read);
                for (number, (end, span)) in spans.enumerate() {
                    let before = tracer.stats();
                    end(span);
                    let after = tracer.stats();
                    assert!(after.is_balanced(), "kind {kind}, span {number}: {after}");
                    assert_eq!(after.open, before.open - 1, "kind {kind}, span {number}");
                    assert_eq!(after.buffered, 0, "kind {kind}, span {number}");
                }
                for (number, (end, mut prepared)) in prepared.into_iter().enumerate() {
                    prepared.set_tag("k", 1).set_tag("error", "x".repeat(9_000));
                    prepared.set_tag("sampling.priority", "text").replace_tag("k", 2);
                    let (span, retained) = prepared.start_retaining();
                    end(span);
                    retained.into_iter().for_each(|retained| drop(retained.start()));
                    let after = tracer.stats();
                    assert!(after.is_balanced(), "kind {kind}, prepared {number}: {after}");
                    assert_eq!(after.open, ENDS.len() as u64, "kind {kind}, prepared {number}");
                }
                let mut owned = owned.into_iter();
                let mut next = || owned.next().unwrap();
                let mut first = next();
                first.set_tag("k", 1).set_tag("sampling.priority", 1).log_event("e");
                let handle = first.share();
                first.finish();
                drop(handle);
                CompactSpan::from(next()).finish();
                drop(CompactSpan::from(next()));
                next().finish_at(SystemTime::now());
                drop(next().restart_as_child_of(SpanContext::default()));
                drop(owned);
                let after = tracer.stats();
                assert!(after.is_balanced() && after.open == 0, "kind {kind}: {after}");
            });
            assert_eq!(ended, "well", "kind {kind}");
        }
        return;
    }
    let folder = Folder::new("fork-handles");
    let name = "spans_that_a_forked_process_ends_are_counted_once_whatever_handle_they_have";
    let output = run(name, &folder.0, "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_grandchild_process_that_uses_the_first_tracer_draws_its_own_ids() {
    if env::var(FOLDER).is_ok() {
        let (tracer, closer) = Tracer::builder("svc").transport(Discard).build().unwrap();
        let draw = || tracer.start_span("op").context().span_id().get();
        let mut ids = vec![draw()];
        let path = Path::new(&env::var(FOLDER).unwrap()).to_owned();
        // Three generations, of which each process goes on drawing.
        for _ in 0..3 {
            if let Fork::Parent(pid) = fork::fork().unwrap() {
                assert_eq!(wait(pid), "well");
            } else {
                ids.clear();
            }
            ids.extend((0..50).map(|_| draw()));
        }
        let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
        fs::write(path.join(format!("ids-{}", std::process::id())), lines).unwrap();
        drop((tracer, closer));
        exit(0);
    }
    let folder = Folder::new("fork-again");
    let name = "a_grandchild_process_that_uses_the_first_tracer_draws_its_own_ids";
    let output = run(name, &folder.0, "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = folder.files("ids-");
    assert_eq!(files.len(), 8, "processes");
    let ids: Vec<&str> = files.iter().flat_map(|file| file.lines()).collect();
    let distinct: HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
}
