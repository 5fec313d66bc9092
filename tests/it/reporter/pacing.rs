//! The rate at which spans are sent to an agent: by its receive queue where that can be read, by a fixed rate
//! elsewhere; and the datagrams that the agent's socket dropped all the same.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::read::Batch;
use crate::support::transport::Outcome;
use crate::support::{SOON, builder, eventually, memory_logger};
use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::transport::{Sent, Transport, UdpTransport};
use jaeger_client::{
    AgentProtocol, Configuration, Destination, PacingConfig, ReporterConfig, Tracer, TracerBuilder,
};
use socket2::SockRef;

/// An agent on loopback that takes its time for each datagram, and counts the spans.
struct SlowAgent {
    address: String,
    spans: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    reader: Option<thread::JoinHandle<()>>,
}

impl SlowAgent {
    fn start(at: &str, receive_buffer: usize, pause: Duration) -> Self {
        let socket = UdpSocket::bind(at).unwrap();
        SockRef::from(&socket).set_recv_buffer_size(receive_buffer).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let (spans, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stop) = (Arc::clone(&spans), Arc::clone(&is_over));
        let reader = thread::spawn(move || {
            let mut bytes = vec![0; 65_536];
            while !stop.load(Ordering::Relaxed) {
                if let Ok(length) = socket.recv(&mut bytes) {
                    let batch = Batch::read(&bytes[..length]);
                    count.fetch_add(batch.spans.len(), Ordering::Relaxed);
                    thread::sleep(pause);
                }
            }
        });
        Self { address, spans, is_over, reader: Some(reader) }
    }

    fn spans(&self) -> usize {
        self.spans.load(Ordering::Relaxed)
    }
}

impl Drop for SlowAgent {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.reader.take().unwrap().join();
    }
}

fn burst(tracer: &Tracer, spans: usize) {
    (0..spans).for_each(|n| drop(tracer.span("op").tag("n", n).start()));
}

#[test]
#[cfg(target_os = "linux")]
fn a_burst_to_a_slow_agent_loses_nothing_and_the_application_does_not_wait() {
    for (at, receive_buffer, max_packet_size) in [
        // Less than two of the largest datagrams, and less than one.
        ("127.0.0.1:0", 100_000, 65_000),
        ("127.0.0.1:0", 4_096, 65_000),
        ("0.0.0.0:0", 4_096, 8_000),
        ("[::1]:0", 4_096, 65_000),
    ] {
        if at.contains("::") && UdpSocket::bind(at).is_err() {
            continue;
        }
        let agent = SlowAgent::start(at, receive_buffer, Duration::from_millis(3));
        let address = agent.address.replace("0.0.0.0", "127.0.0.1");
        let (tracer, closer) =
            builder().agent(address).max_packet_size(max_packet_size).build().unwrap();
        let spans = 20_000;
        burst(&tracer, spans);
        // Nothing waits for the agent here, so that most of them are still in the queue.
        assert!(tracer.stats().queued > 0, "{}", tracer.stats());
        let report = closer.close(SOON);
        assert!(report.complete, "{report}");
        assert_eq!((report.stats.sent, report.stats.receiver_drops), (spans as u64, Some(0)));
        eventually(|| agent.spans() == spans);
    }
}

#[test]
fn what_a_close_has_no_time_for_is_counted_and_goes_on() {
    let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let pacing = PacingConfig { watch_receive_queue: false, ..PacingConfig::default() };
    let pacing = PacingConfig { bytes_per_second: 65_000, ..pacing };
    let address = agent.local_addr().unwrap().to_string();
    let (tracer, closer) = builder().agent(address).pacing(pacing).build().unwrap();
    // At that pace they take longer than any delay of this thread.
    burst(&tracer, 100_000);
    let report = closer.close(Duration::from_millis(100));
    assert!(!report.complete && report.stats.is_balanced(), "{report}");
    assert!(report.stats.queued > 3_000, "{report}");
    let before = tracer.stats().queued;
    eventually(|| tracer.stats().queued < before);
}

#[test]
#[cfg(target_os = "linux")]
fn an_agent_that_does_not_read_costs_spans_that_are_counted_and_one_wait() {
    let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
    SockRef::from(&agent).set_recv_buffer_size(100_000).unwrap();
    let logger = memory_logger();
    let (tracer, closer) = builder()
        .agent(agent.local_addr().unwrap().to_string())
        .logger(Arc::clone(&logger))
        .build()
        .unwrap();
    burst(&tracer, 50_000);
    let report = closer.close(SOON);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    assert!(report.stats.dropped.send_failed > 40_000, "{report}");
    assert_eq!(report.stats.receiver_drops, Some(0), "{report}");
    assert!(logger.has("the receive queue of 127.0.0.1"), "{:?}", logger.all());
    agent.set_nonblocking(true).unwrap();
    let mut bytes = vec![0; 65_536];
    let mut received = 0;
    while let Ok(length) = agent.recv(&mut bytes) {
        received += Batch::read(&bytes[..length]).spans.len() as u64;
    }
    assert_eq!(received, report.stats.sent, "what is called sent is in the agent's queue");
}

#[test]
#[cfg(target_os = "linux")]
fn what_an_agent_drops_without_pacing_is_reported() {
    let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
    SockRef::from(&agent).set_recv_buffer_size(100_000).unwrap();
    let address = agent.local_addr().unwrap().to_string();
    // Somebody else fills the agent's queue: nothing is waited for there, and all of it is lost.
    let (logger, metrics) = (memory_logger(), InMemoryMetrics::new());
    let rate = PacingConfig { bytes_per_second: 0, ..PacingConfig::default() };
    let (tracer, closer) = builder()
        .agent(&address)
        .pacing(rate)
        .logger(Arc::clone(&logger))
        .metrics(metrics.clone())
        .build()
        .unwrap();
    burst(&tracer, 10);
    let stats = tracer.flush(SOON).stats;
    assert_eq!(stats.receiver_drops, Some(0), "{stats}");
    let mut other = UdpTransport::new(&address).unwrap().pacing(PacingConfig::off());
    (0..20).for_each(|_| assert!(other.send(&[0; 60_000]).is_ok()));
    assert_eq!(other.receiver_drops(), None, "it does not look");
    let report = tracer.flush(SOON);
    let drops = report.stats.receiver_drops.unwrap();
    assert!((15..20).contains(&drops) && report.stats.is_balanced(), "{report}");
    assert_eq!(tracer.destination_stats()[0].receiver_drops, Some(drops));
    assert_eq!(metrics.counters()["jaeger.tracer.reporter_receiver_drops"], drops);
    let text = report.to_string();
    assert!(text.contains(&format!("dropped {drops} datagrams of all senders")), "{text}");
    let reported = || logger.all().iter().filter(|line| line.contains("dropped")).count();
    assert_eq!(reported(), 1, "{:?}", logger.all());
    (0..20).for_each(|_| assert!(other.send(&[0; 60_000]).is_ok()));
    assert_eq!(tracer.flush(SOON).stats.receiver_drops, Some(drops + 20));
    assert_eq!(reported(), 1, "once a minute: {:?}", logger.all());
    let _ = closer.close(SOON);
}

/// A transport that knows nothing of pacing, as one written before there was any.
#[derive(Debug)]
struct Plain;

impl Transport for Plain {
    fn send(&mut self, _message: &[u8]) -> Outcome {
        Ok(Sent::OK)
    }
}

#[test]
fn a_custom_transport_needs_no_pacing() {
    let pacing = PacingConfig { bytes_per_second: 65_000, ..PacingConfig::default() };
    let (tracer, closer) = builder().transport(Plain).pacing(pacing).build().unwrap();
    burst(&tracer, 100_000);
    let report = closer.close(SOON);
    assert_eq!((report.stats.sent, report.stats.receiver_drops), (100_000, None), "{report}");
}

#[test]
fn the_pace_is_set_by_builder_and_configuration_and_for_each_agent() {
    let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = agent.local_addr().unwrap().to_string();
    let pacing = PacingConfig { watch_receive_queue: false, ..PacingConfig::default() };
    let pacing = PacingConfig { bytes_per_second: 65_000, ..pacing };
    let reporter = ReporterConfig {
        local_agent_host_port: address.clone(),
        pacing,
        ..ReporterConfig::default()
    };
    let configuration = Configuration { reporter, ..Configuration::new("svc") };
    let second = |builder: TracerBuilder| {
        let destination = Destination::agent(&address, AgentProtocol::Compact);
        builder.null_reporter().pacing(pacing).add_destination(destination)
    };
    for (tracer, closer) in [
        configuration.new_tracer().unwrap(),
        builder().agent(&address).pacing(pacing).build().unwrap(),
        second(builder()).build().unwrap(),
    ] {
        // Far more than it sends in any time that this thread may be delayed.
        burst(&tracer, 50_000);
        assert!(!tracer.flush(Duration::from_millis(200)).complete, "it keeps to the pace");
        let _ = closer.close(Duration::ZERO);
    }
}
