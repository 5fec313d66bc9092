//! What nobody acknowledged before the close, saved in a file and sent again.

#![cfg(all(feature = "saved-batches", feature = "collector-http"))]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use jaeger_client::{
    AgentProtocol, ConfigError, Configuration, Destination, HttpConfig, ReplayOptions,
    ReplayReport, ReporterConfig, SavedBatchesConfig, SavedBatchesError, Stats, Tracer,
    TransportError, replay,
};

use crate::support::http::{Server, ServerResponse, nobody, status};
use crate::support::transport::By;
use crate::support::{SOON, Seeded, binary, builder, eventually, memory_logger};

/// A folder of a test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("jaeger-client-saved-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("spans.batches")
    }

    fn entries(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn finish_spans(tracer: &Tracer, names: std::ops::Range<usize>) {
    names.for_each(|n| tracer.span(format!("op-{n}")).tag("n", n).start().finish());
}

/// A server that takes everything, or for some time nothing.
fn collector(takes: impl Fn(usize) -> bool + Send + Sync + 'static) -> Server {
    Server::start(move |number, _| status(if takes(number) { 202 } else { 503 }))
}

/// Returns what is posted to a server once each, without a second attempt.
fn once(url: impl Into<String>) -> HttpConfig {
    HttpConfig { max_attempts: 1, ..HttpConfig::new(url.into()) }
}

/// Names of spans of all requests that were responded with 202, in order.
fn taken(server: &Server, takes: impl Fn(usize) -> bool) -> Vec<String> {
    let requests = server.requests().into_iter().enumerate();
    let taken = requests.filter(|(number, _)| takes(*number));
    let mut names: Vec<_> =
        taken.flat_map(|(_, request)| binary::body_names(&request.body)).collect();
    names.sort();
    names
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    let mut names: Vec<_> = range.map(|n| format!("op-{n}")).collect();
    names.sort();
    names
}

/// Saves spans that a collector never got; what became of them.
fn save(file: &Path, spans: std::ops::Range<usize>) -> Stats {
    let (tracer, closer) = builder()
        .collector(HttpConfig::new(nobody()))
        .save_unacknowledged(SavedBatchesConfig::new(file))
        .build()
        .unwrap();
    finish_spans(&tracer, spans);
    let report = closer.close(SOON);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    report.stats
}

fn replayed(file: &Path, server: &Server) -> ReplayReport {
    let destination = Destination::collector(once(server.url()));
    replay(file, destination, ReplayOptions::default().logger(memory_logger())).unwrap()
}

#[test]
fn what_a_collector_that_is_gone_did_not_get_is_saved_and_sent_again() {
    let folder = Folder::new();
    let stats = save(&folder.file(), 0..2_000);
    assert_eq!((stats.saved, stats.sent, stats.dropped.total()), (2_000, 0, 0), "{stats}");
    assert!(stats.to_string().contains("saved 2000"), "{stats}");
    let server = collector(|_| true);
    let report = replayed(&folder.file(), &server);
    assert_eq!((report.sent, report.acknowledged, report.left), (2_000, 2_000, 0), "{report}");
    assert_eq!((report.dropped.total(), report.possible_duplicates), (0, 0), "{report}");
    assert!(report.is_complete(), "{report}");
    assert_eq!(taken(&server, |_| true), names(0..2_000));
    assert!(folder.entries().is_empty(), "an empty file is removed");
}

#[test]
fn a_collector_that_hangs_is_given_up_in_time_and_its_spans_are_saved() {
    let folder = Folder::new();
    let server = Server::start(|_, _| ServerResponse::Hang);
    let (tracer, closer) = builder()
        .collector(HttpConfig {
            timeout: Duration::from_secs(600),
            ..HttpConfig::new(server.url())
        })
        .save_unacknowledged(SavedBatchesConfig::new(folder.file()))
        .build()
        .unwrap();
    finish_spans(&tracer, 0..100);
    let flusher = thread::spawn({
        let tracer = tracer.clone();
        move || tracer.flush(SOON)
    });
    eventually(|| server.requests().len() == 1);
    finish_spans(&tracer, 100..300);
    let report = closer.close(Duration::from_secs(4));
    assert!(report.stats.is_balanced(), "{report}");
    // A disk that others keep busy may take longer than the close.
    eventually(|| tracer.stats().saved == 300);
    assert_eq!(tracer.stats().unconfirmed, 100, "{}", tracer.stats());
    let _ = flusher.join().unwrap();

    let server = collector(|_| true);
    let report = replayed(&folder.file(), &server);
    assert_eq!((report.sent, report.possible_duplicates), (300, 100), "{report}");
    assert_eq!(taken(&server, |_| true), names(0..300));
}

#[test]
fn nothing_is_saved_before_the_close() {
    let folder = Folder::new();
    let (tracer, closer) = builder()
        .collector(once(nobody()))
        .save_unacknowledged(SavedBatchesConfig::new(folder.file()))
        .build()
        .unwrap();
    finish_spans(&tracer, 0..5);
    assert!(tracer.flush(SOON).complete);
    assert_eq!(tracer.stats().dropped.send_failed, 5);
    assert!(folder.entries().is_empty());
    let report = closer.close(SOON);
    assert_eq!((report.stats.saved, folder.entries().len()), (0, 0), "no span, no file: {report}");
}

#[test]
fn a_replay_that_fails_leaves_what_was_not_sent_and_the_next_sends_that_alone() {
    let folder = Folder::new();
    for first in [0, 500, 1_000] {
        save(&folder.file(), first..first + 500);
    }
    let takes_first = |number| number == 0;
    let server = collector(takes_first);
    let report = replayed(&folder.file(), &server);
    assert_eq!((report.sent, report.left, report.is_complete()), (500, 1_000, false), "{report}");
    assert_eq!(server.requests().len(), 2, "the first that fails is the last that is tried");
    let mut all = taken(&server, takes_first);

    let server = collector(|_| true);
    let report = replayed(&folder.file(), &server);
    assert_eq!((report.sent, report.left), (1_000, 0), "{report}");
    all.extend(taken(&server, |_| true));
    all.sort();
    assert_eq!(all, names(0..1_500), "each span once");
    assert!(folder.entries().is_empty());
}

#[test]
fn a_batch_of_which_a_part_fails_leaves_that_part() {
    let folder = Folder::new();
    save(&folder.file(), 0..400);
    // The list is too large for this server; of its halves it takes the first.
    let server = Server::start(|number, _| status([413, 202, 503][number.min(2)]));
    let report = replayed(&folder.file(), &server);
    assert_eq!((report.sent + report.left, report.dropped.total()), (400, 0), "{report}");
    assert!(report.sent > 0 && report.left > 0, "{report}");
    let mut all = taken(&server, |number| number == 1);
    let server = collector(|_| true);
    assert_eq!(replayed(&folder.file(), &server).left, 0);
    all.extend(taken(&server, |_| true));
    all.sort();
    assert_eq!(all, names(0..400));
}

#[test]
fn batches_refused_for_good_are_no_longer_saved() {
    let folder = Folder::new();
    save(&folder.file(), 0..1);
    let server = Server::start(|_, _| status(400));
    let report = replayed(&folder.file(), &server);
    assert_eq!((report.dropped.send_failed, report.left), (1, 0), "{report}");
    assert!(folder.entries().is_empty());
}

#[test]
fn the_file_keeps_to_its_bound_and_what_has_no_room_is_counted_as_lost() {
    let folder = Folder::new();
    let logger = memory_logger();
    let (tracer, closer) = builder()
        .logger(logger.clone())
        .collector(HttpConfig::new(nobody()))
        .save_unacknowledged(SavedBatchesConfig::new(folder.file()).with_max_bytes(600_000))
        .build()
        .unwrap();
    let value = "x".repeat(200);
    for _ in 0..5_000 {
        tracer.span("op").tag("value", value.as_str()).start().finish();
    }
    let stats = closer.close(SOON).stats;
    assert!(stats.is_balanced() && stats.saved > 1_000, "{stats}");
    assert_eq!(stats.saved + stats.dropped.send_failed, 5_000, "{stats}");
    assert!(fs::metadata(folder.file()).unwrap().len() <= 600_000);
    assert!(logger.has("has no room for them in 600000 bytes"), "{:?}", logger.all());
    assert_eq!(replayed(&folder.file(), &collector(|_| true)).sent, stats.saved);
}

#[test]
fn several_destinations_are_distinguished_and_each_is_replayed_by_itself() {
    let folder = Folder::new();
    let (tracer, closer) = builder()
        .collector(HttpConfig::new(nobody()))
        .add_destination(Destination::collector(HttpConfig::new(nobody())).named("other"))
        .save_unacknowledged(SavedBatchesConfig::new(folder.file()))
        .build()
        .unwrap();
    finish_spans(&tracer, 0..50);
    let report = closer.close(SOON);
    assert!(report.stats.is_balanced() && report.stats.saved == 50, "{report}");
    for stats in tracer.destination_stats() {
        assert_eq!((stats.taken, stats.saved, stats.queued), (50, 50, 0), "{stats:?}");
    }
    let server = collector(|_| true);
    let replay_only = |name: Option<&str>| {
        let options = ReplayOptions::default().logger(memory_logger());
        let options = name.map_or_else(ReplayOptions::default, |name| options.only(name));
        replay(folder.file(), Destination::collector(once(server.url())), options)
    };
    let error = replay_only(None).unwrap_err();
    assert_eq!(error.to_string(), "the file has spans for collector, other: choose one of them");
    assert_eq!(server.requests().len(), 0);
    assert_eq!(replay_only(Some("nobody")).unwrap().sent, 0);
    assert_eq!(replay_only(Some("other")).unwrap().sent, 50);
    let report = replay_only(None).unwrap();
    assert_eq!((report.sent, report.left), (50, 0), "what is left is of one: {report}");
    assert!(folder.entries().is_empty());
}

#[test]
fn transports_and_reporters_of_users_are_saved_and_replayed_too() {
    let folder = Folder::new();
    let failing = By(|_: &[u8]| Err(TransportError::Refused { address: "there".into() }));
    let (tracer, closer) = builder()
        .transport(failing)
        .save_unacknowledged(SavedBatchesConfig::new(folder.file()))
        .build()
        .unwrap();
    finish_spans(&tracer, 0..200);
    assert_eq!(closer.close(SOON).stats.saved, 200);
    let memory = jaeger_client::InMemoryReporter::new();
    let report = replay(folder.file(), Destination::in_memory(&memory), ReplayOptions::default());
    assert_eq!((report.unwrap().sent, memory.len()), (200, 200));
}

#[cfg(unix)]
#[test]
fn only_its_owner_reads_the_file_and_no_secret_is_in_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new();
    // There already, and open to everybody.
    File::create(folder.file()).unwrap();
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o666)).unwrap();
    let url = format!("{}/api/traces?token=hidden-query", nobody());
    let config = HttpConfig {
        user: Some("jane".to_owned()),
        password: Some("hidden-password".to_owned()),
        headers: vec![("x-key".to_owned(), "hidden-header".to_owned())],
        ..HttpConfig::new(url)
    };
    let (tracer, closer) = builder()
        .collector(config)
        .save_unacknowledged(SavedBatchesConfig::new(folder.file()))
        .build()
        .unwrap();
    finish_spans(&tracer, 0..3);
    assert_eq!(closer.close(SOON).stats.saved, 3);
    let mode = fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    let bytes = fs::read(folder.file()).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("op-2"));
    for secret in ["hidden", "jane", "127.0.0.1:"] {
        assert!(!text.contains(secret), "{secret} in the file");
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_refused_when_the_tracer_is_built_or_closed() {
    let folder = Folder::new();
    let build = |file: &Path| {
        let reporter = ReporterConfig {
            collector_endpoint: Some(nobody()),
            saved_batches: Some(SavedBatchesConfig::new(file)),
            ..ReporterConfig::default()
        };
        Configuration { reporter, ..Configuration::new("svc") }.new_tracer()
    };
    for file in [folder.0.clone(), folder.0.join("none/spans"), PathBuf::new()] {
        let error = build(&file).unwrap_err();
        let ConfigError::Invalid { field: "reporter.saved_batches", .. } = error else {
            panic!("{}: {error}", file.display())
        };
    }
    // A link that comes later.
    let (tracer, closer) = build(&folder.file()).unwrap();
    let target = folder.0.join("target");
    File::create(&target).unwrap();
    std::os::unix::fs::symlink(&target, folder.file()).unwrap();
    tracer.start_span("op").finish();
    let stats = closer.close(SOON).stats;
    assert!(stats.is_balanced() && stats.dropped.send_failed == 1, "{stats}");
    assert_eq!(fs::metadata(&target).unwrap().len(), 0, "nothing is written through a link");
    let error = replay(folder.file(), Destination::null(), ReplayOptions::default()).unwrap_err();
    assert!(matches!(error, SavedBatchesError::NotAFile { .. }), "{error}");
}

#[test]
fn a_file_of_something_else_is_neither_replayed_nor_written() {
    let folder = Folder::new();
    let later = [b"JCLSAVED\x02\0\0\0".as_slice(), &[0; 50]].concat();
    for content in [b"short".to_vec(), b"{\"some\": \"other file of a user\"}".to_vec(), later] {
        fs::write(folder.file(), &content).unwrap();
        let error =
            replay(folder.file(), Destination::null(), ReplayOptions::default()).unwrap_err();
        assert!(matches!(error, SavedBatchesError::Unknown { .. }), "{error}");
        if content.len() > 16 {
            let (tracer, closer) = builder()
                .collector(HttpConfig::new(nobody()))
                .save_unacknowledged(SavedBatchesConfig::new(folder.file()))
                .build()
                .unwrap();
            tracer.start_span("op").finish();
            assert_eq!(closer.close(SOON).stats.dropped.send_failed, 1);
            assert_eq!(fs::read(folder.file()).unwrap(), content, "it is left as it is");
        }
    }
    let error = replay(folder.0.join("none"), Destination::null(), ReplayOptions::default());
    assert!(matches!(error.unwrap_err(), SavedBatchesError::Io { .. }));
}

#[test]
fn a_file_in_use_is_left_alone() {
    let folder = Folder::new();
    save(&folder.file(), 0..2);
    let other = File::open(folder.file()).unwrap();
    other.lock().unwrap();
    let error = replay(folder.file(), Destination::null(), ReplayOptions::default()).unwrap_err();
    assert!(matches!(error, SavedBatchesError::InUse { .. }), "{error}");
    other.unlock().unwrap();
    assert_eq!(replayed(&folder.file(), &collector(|_| true)).sent, 2);
}

#[test]
fn a_truncated_file_is_sent_up_to_there_and_added_to_from_there() {
    let folder = Folder::new();
    save(&folder.file(), 0..3);
    let whole = fs::metadata(folder.file()).unwrap().len();
    save(&folder.file(), 3..7);
    let both = fs::read(folder.file()).unwrap();
    for len in [whole + 1, whole + 23, whole + 24, both.len() as u64 - 1] {
        fs::write(folder.file(), &both[..usize::try_from(len).unwrap()]).unwrap();
        let server = collector(|_| true);
        let report = replayed(&folder.file(), &server);
        assert_eq!((report.sent, report.is_complete()), (3, false), "{len}: {report}");
        assert!(report.to_string().contains("the file ends in the middle of it"), "{report}");
        // What is damaged is still there, and nothing before it.
        let error = replayed(&folder.file(), &server);
        assert_eq!((error.sent, server.requests().len()), (0, 1));
        // The next tracer takes away what was not written to its end.
        save(&folder.file(), 7..9);
        let report = replayed(&folder.file(), &server);
        assert_eq!((report.sent, report.is_complete()), (2, true), "{report}");
    }
}

/// Hostile files: whatever is changed or cut, spans that leave are spans that were saved.
#[test]
fn law_damage_is_noticed_and_nothing_that_was_not_saved_is_sent() {
    let folder = Folder::new();
    for first in [0, 10, 20] {
        save(&folder.file(), first..first + 10);
    }
    let good = fs::read(folder.file()).unwrap();
    let known = names(0..30);
    let mut random = Seeded::new(7);
    for _ in 0..400 {
        let mut bytes = good.clone();
        for _ in 0..=random.below(3) {
            let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            match random.below(4) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = 0xff,
                2 => bytes.truncate(at + 1),
                _ => drop(bytes.splice(at..at, [0xff; 5])),
            }
        }
        fs::write(folder.file(), &bytes).unwrap();
        let memory = jaeger_client::InMemoryReporter::new();
        let options = ReplayOptions::default().logger(memory_logger());
        match replay(folder.file(), Destination::in_memory(&memory), options) {
            Ok(report) => {
                let sent = memory.take();
                assert_eq!(report.sent, sent.len() as u64, "{report}");
                let unknown =
                    sent.iter().find(|span| !known.contains(&span.operation_name().into_owned()));
                assert!(unknown.is_none(), "{unknown:?}");
                assert!(report.is_complete() || folder.file().exists(), "{report}");
            }
            Err(error) => {
                assert!(!error.to_string().is_empty() && memory.is_empty(), "{error}");
            }
        }
        for entry in folder.entries() {
            fs::remove_file(entry).unwrap();
        }
    }
}

#[test]
fn a_replay_that_was_killed_sends_no_batch_twice_but_the_last() {
    let folder = Folder::new();
    for first in [0, 10, 20] {
        save(&folder.file(), first..first + 10);
    }
    let before = fs::read(folder.file()).unwrap();
    // What is on the disk while the third request is answered is what a kill would leave.
    let (file, seen) = (folder.file(), folder.0.join("seen"));
    let server = Server::start({
        let seen = seen.clone();
        move |number, _| {
            if number == 2 {
                fs::copy(&file, &seen).unwrap();
            }
            status(202)
        }
    });
    assert_eq!(replayed(&folder.file(), &server).sent, 30);
    assert_ne!(fs::read(&seen).unwrap(), before);
    let server = collector(|_| true);
    assert_eq!(replayed(&seen, &server).sent, 10);
    assert_eq!(taken(&server, |_| true), names(20..30));
}

#[test]
fn a_destination_that_cannot_be_used_costs_nothing() {
    let folder = Folder::new();
    save(&folder.file(), 0..2);
    let destination = Destination::agent("nowhere", AgentProtocol::Compact);
    let error = replay(folder.file(), destination, ReplayOptions::default()).unwrap_err();
    assert!(matches!(error, SavedBatchesError::Destination { .. }), "{error}");
    assert_eq!(replayed(&folder.file(), &collector(|_| true)).sent, 2);
}
