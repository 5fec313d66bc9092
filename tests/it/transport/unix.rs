//! An agent at a Unix socket: there, absent, replaced, and one that does not read.

#![cfg(unix)]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::support::read::{Batch, Span};
use crate::support::{SOON, builder, eventually, timed};
use jaeger_client::{Configuration, ReporterConfig, Tracer};

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("jaeger-client-{test}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("agent.sock")
    }

    fn address(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// An agent at the socket, in place of one that was there before.
    fn agent(&self) -> UnixDatagram {
        let _ = fs::remove_file(self.socket());
        listening(UnixDatagram::bind(self.socket()).unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn listening(socket: UnixDatagram) -> UnixDatagram {
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

/// Spans until there are as many as expected.
fn spans(agent: &UnixDatagram, expected: usize) -> Vec<Span> {
    let (mut spans, mut bytes) = (Vec::new(), vec![0; 65_536]);
    while spans.len() < expected {
        let taken = agent.recv(&mut bytes).expect("no datagram came");
        spans.extend(Batch::read(&bytes[..taken]).spans);
    }
    spans
}

fn finish(tracer: &Tracer, count: usize) {
    for _ in 0..count {
        tracer.start_span("op").set_tag("k", "v").finish();
    }
}

#[test]
fn every_span_arrives_at_a_unix_socket() {
    const SPANS: usize = 20_000;
    let folder = Folder::new("arrives");
    let agent = folder.agent();
    let received = thread::spawn(move || spans(&agent, SPANS).len());
    let (tracer, closer) = builder().agent(folder.address()).build().unwrap();
    finish(&tracer, SPANS);
    let report = closer.close(SOON);
    assert_eq!((report.complete, report.stats.sent), (true, SPANS as u64), "{report}");
    assert_eq!(received.join().unwrap(), SPANS);
}

#[test]
fn an_agent_may_start_late_and_be_replaced() {
    let folder = Folder::new("late");
    let (tracer, closer) = builder().agent(folder.address()).build().unwrap();
    let step = |count: usize, sent: u64, failed: u64| {
        finish(&tracer, count);
        let report = tracer.flush(SOON);
        let now = (report.complete, report.stats.sent, report.stats.dropped.send_failed);
        assert_eq!(now, (true, sent, failed), "{report}");
        assert!(report.stats.is_balanced(), "{report}");
    };
    step(2, 0, 2);
    let agent = folder.agent();
    step(3, 3, 2);
    assert_eq!(spans(&agent, 3).len(), 3);
    drop(agent);
    step(4, 3, 6); // the file is still there
    let agent = folder.agent();
    step(5, 8, 6);
    assert_eq!(spans(&agent, 5).len(), 5);
    // The new one takes the path over while the old one still reads its own.
    let newer = folder.agent();
    step(6, 14, 6);
    assert_eq!(spans(&newer, 6).len(), 6);
    let _ = closer.close(SOON);
}

#[test]
fn a_receiver_that_does_not_read_delays_nothing_else_and_costs_its_own_spans_alone() {
    const SPANS: usize = 50_000;
    let folder = Folder::new("full");
    let agent = folder.agent();
    let (tracer, closer) =
        builder().max_packet_size(1_432).agent(folder.address()).build().unwrap();
    let (_, took) = timed(|| finish(&tracer, SPANS));
    assert!(took < SOON, "the application waited: {took:?}");
    let (report, took) = timed(|| tracer.flush(SOON));
    assert!(report.complete && took < SOON, "{report}");
    let stats = report.stats;
    assert!(stats.sent > 0 && stats.dropped.send_failed > SPANS as u64 / 2, "{report}");
    assert_eq!(stats.sent + stats.dropped.send_failed, SPANS as u64, "{report}");

    // What was sent is there, and once it is read there is room again.
    let sent = usize::try_from(stats.sent).unwrap();
    assert_eq!(spans(&agent, sent).len(), sent);
    finish(&tracer, 7);
    let report = closer.close(SOON);
    assert_eq!(report.stats.sent, stats.sent + 7, "{report}");
    assert_eq!(spans(&agent, 7).len(), 7);
}

#[test]
fn an_agent_that_takes_over_from_one_that_hangs_gets_what_comes_after() {
    let folder = Folder::new("hangs");
    let hangs = folder.agent();
    let (tracer, closer) = builder().agent(folder.address()).build().unwrap();
    // Of large datagrams a sender may have few that nobody has read.
    finish(&tracer, 20_000);
    let report = tracer.flush(SOON);
    assert!(report.complete && report.stats.dropped.send_failed > 0, "{report}");
    let sent = report.stats.sent;

    let agent = folder.agent();
    finish(&tracer, 7);
    let report = tracer.flush(SOON);
    assert_eq!(report.stats.sent, sent + 7, "{report}");
    assert_eq!(spans(&agent, 7).len(), 7);
    drop((closer.close(SOON), hangs));
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_socket_is_reached_by_its_name() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let name = format!("jaeger-client-{}", std::process::id());
    let at = SocketAddr::from_abstract_name(&name).unwrap();
    let agent = listening(UnixDatagram::bind_addr(&at).unwrap());
    let (tracer, closer) = builder().agent(format!("unix:@{name}")).build().unwrap();
    finish(&tracer, 1);
    assert_eq!(closer.close(SOON).stats.sent, 1);
    assert_eq!(spans(&agent, 1)[0].name, "op");
}

#[test]
fn configuration_names_a_socket_as_it_names_a_port() {
    let folder = Folder::new("configured");
    let agent = folder.agent();
    let at = |address: &str| Configuration {
        reporter: ReporterConfig {
            local_agent_host_port: address.to_owned(),
            buffer_flush_interval: Duration::from_millis(5),
            ..ReporterConfig::default()
        },
        ..Configuration::new("svc")
    };
    let (tracer, closer) = at(&folder.address()).new_tracer().unwrap();
    finish(&tracer, 1);
    assert_eq!(spans(&agent, 1).len(), 1);
    eventually(|| tracer.stats().sent == 1);
    drop(closer);

    let error = at("unix:@").new_tracer().map(drop).unwrap_err().to_string();
    assert!(error.contains("local_agent_host_port") && error.contains("unix:/path"), "{error}");
    at("unix:6831").new_tracer().map(drop).expect("a host of that name, and its port");
}
