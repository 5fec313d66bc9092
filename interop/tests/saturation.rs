//! What a load test reports of an agent that is slower than its senders: all that was sent is received, or
//! dropped by the agent's socket.

#![expect(clippy::disallowed_methods, clippy::expect_used, reason = "a test stops where it fails")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use interop::burst::{LoadTest, Saturation, socket_drops};
use jaeger_client::PacingConfig;
use jaeger_client::encoding::BatchView;
use socket2::{Domain, Socket, Type};

/// An agent with a small receive buffer, and a page of metrics as Jaeger v1 has it.
struct FakeAgent {
    socket: UdpSocket,
    metrics: TcpListener,
    /// Whether nothing is read until the socket has dropped a datagram.
    reads_after_a_drop: bool,
    datagrams: AtomicU64,
    spans: AtomicU64,
    /// How often the socket was found to be empty.
    empty: AtomicU64,
    is_over: AtomicBool,
}

impl FakeAgent {
    fn new(reads_after_a_drop: bool) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        socket.set_recv_buffer_size(BUFFER).expect("a smaller buffer than the usual one");
        let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
        socket.bind(&any.into()).expect("a free port");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        Self {
            socket: socket.into(),
            metrics: TcpListener::bind(any).expect("a free port"),
            reads_after_a_drop,
            datagrams: AtomicU64::new(0),
            spans: AtomicU64::new(0),
            empty: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    fn address(&self) -> String {
        self.socket.local_addr().expect("it is bound").to_string()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Reads datagrams, with a pause after each.
    fn read(&self) {
        let address = self.address();
        let has_dropped = || socket_drops(&address).is_some_and(|drops| drops > 0);
        let mut holds_back = self.reads_after_a_drop;
        let mut bytes = vec![0; 65_536];
        while !self.is_over() {
            // Once it has something, so that the page of metrics can be read before.
            if holds_back && self.datagrams.load(Ordering::Acquire) > 0 && !has_dropped() {
                thread::sleep(PAUSE);
                continue;
            }
            match self.socket.recv(&mut bytes) {
                Ok(length) => {
                    let message = bytes.get(..length).unwrap_or_default();
                    let (_, batch) = BatchView::parse_message(message).expect("a batch");
                    let spans = batch.spans().count() as u64;
                    self.spans.fetch_add(spans, Ordering::AcqRel);
                    self.datagrams.fetch_add(1, Ordering::AcqRel);
                    holds_back &= !has_dropped();
                    thread::sleep(PAUSE);
                }
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
                    self.empty.fetch_add(1, Ordering::AcqRel);
                }
            }
        }
    }

    /// Responds to requests for the page of metrics.
    fn respond(&self) {
        while let Ok((connection, _)) = self.metrics.accept() {
            if self.is_over() {
                return;
            }
            self.respond_once(connection);
        }
    }

    /// Responds once all that was sent before is read.
    fn respond_once(&self, mut connection: TcpStream) {
        let mut head = Vec::new();
        let mut bytes = [0; 1_024];
        while !head.ends_with(b"\r\n\r\n") {
            let length = connection.read(&mut bytes).expect("a request");
            assert!(length > 0, "a request without an end");
            head.extend_from_slice(bytes.get(..length).unwrap_or_default());
        }
        let (before, began) = (self.empty.load(Ordering::Acquire), Instant::now());
        // The second one began after the request.
        while self.empty.load(Ordering::Acquire) < before + 2 && began.elapsed() < LONG {
            thread::sleep(PAUSE);
        }
        let spans = self.spans.load(Ordering::Acquire);
        let page = format!(
            "jaeger_agent_thrift_udp_server_packets_dropped_total{{model=\"compact\"}} 0\n\
             jaeger_collector_spans_received_total{{svc=\"burst\"}} {spans}\n\
             jaeger_collector_spans_saved_by_svc_total{{result=\"ok\",svc=\"burst\"}} {spans}\n\
             jaeger_collector_spans_saved_by_svc_total{{result=\"err\",svc=\"burst\"}} 7\n"
        );
        let length = page.len();
        let response = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{page}"
        );
        connection.write_all(response.as_bytes()).expect("the client reads");
    }

    /// Runs a load test, and returns its result.
    fn saturate(&self, pacing: PacingConfig) -> Saturation {
        let (address, metrics) = (self.address(), self.metrics.local_addr().expect("it is bound"));
        thread::scope(|scope| {
            scope.spawn(|| self.read());
            scope.spawn(|| self.respond());
            let quiet = Duration::from_secs(1);
            let load = LoadTest { pacing, quiet, ..LoadTest::new(&address) };
            let time = Duration::from_millis(300);
            let saturation = load.saturate(time, 2, &metrics.to_string());
            self.is_over.store(true, Ordering::Release);
            // Ends the wait for another request.
            let woken = TcpStream::connect(metrics);
            drop(woken);
            saturation.expect("the page of metrics is there")
        })
    }
}

/// What holds of any agent, and agrees with what the agent itself has counted.
fn assert_sums(agent: &FakeAgent, saturation: &Saturation) {
    let Saturation { report, server, socket_drops, .. } = saturation;
    let stats = report.stats;
    assert!(report.complete && stats.is_balanced(), "{saturation:?}");
    assert_eq!(stats.started, stats.sent + stats.dropped.total(), "{saturation:?}");
    let spans = agent.spans.load(Ordering::Acquire);
    assert_eq!((server.received, server.stored, server.dropped), (spans, spans, 0));
    let drops = socket_drops.expect("the socket is on this machine");
    let datagrams = agent.datagrams.load(Ordering::Acquire);
    assert_eq!(stats.datagrams, datagrams + drops, "{saturation:?}");
    // Each datagram has a span at least.
    assert!(spans >= datagrams && stats.sent - spans >= drops, "{saturation:?}");
    assert_eq!(stats.sent == spans, drops == 0, "{saturation:?}");
    let row = saturation.row();
    assert_eq!(Saturation::COLUMNS.split('|').count(), row.split('|').count());
    let columns: Vec<_> = row.split('|').map(|column| column.trim().to_owned()).collect();
    let (started, dropped, sent) = (stats.started, stats.dropped.total(), stats.sent);
    let counts = [started, dropped, sent, stats.datagrams, drops, 0, spans, 0, spans];
    let counts = counts.map(|count| count.to_string());
    assert_eq!(columns.get(..counts.len()), Some(&counts[..]), "{row}");
    let share = columns.last().and_then(|share| share.strip_suffix(" %")?.parse::<f64>().ok());
    let share = share.expect("a share in percent");
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let expected = 100.0 * (sent - spans) as f64 / sent as f64;
    assert!((share - expected).abs() < 0.051, "{row}");
}

#[test]
fn without_pacing_what_is_sent_is_received_or_dropped_by_the_socket() {
    let agent = FakeAgent::new(true);
    let saturation = agent.saturate(PacingConfig::off());
    assert_sums(&agent, &saturation);
    assert_ne!(saturation.socket_drops, Some(0), "{saturation:?}");
}

#[test]
fn with_pacing_all_that_is_sent_is_received() {
    let agent = FakeAgent::new(false);
    let saturation = agent.saturate(PacingConfig::default());
    assert_sums(&agent, &saturation);
    assert_eq!(saturation.socket_drops, Some(0), "{saturation:?}");
    let stats = saturation.report.stats;
    assert_eq!(stats.receiver_drops, Some(0), "{saturation:?}");
    assert!(stats.sent > 0, "{saturation:?}");
}

/// In bytes, of which the operating system reserves twice as many: room for one datagram or two.
const BUFFER: usize = 80_000;

/// The pause after each datagram, and between two checks.
const PAUSE: Duration = Duration::from_millis(2);

/// A bound on waits that end much earlier.
const LONG: Duration = Duration::from_secs(30);
