//! How large messages may be: limits are learned down to what passes, and forgotten when they go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::transport::{By, Taken};
use crate::support::{SOON, builder, eventually};
use jaeger_client::transport::Sent;
use jaeger_client::{AgentProtocol, Closer, Tracer, TransportError};

fn finish(tracer: &Tracer, count: usize) {
    (0..count).for_each(|n| tracer.span("op").tag("n", n).start().finish());
}

/// A tracer to a path that takes what is not larger than a width, which may change.
fn over_a_path(width: usize, protocol: AgentProtocol) -> (Tracer, Closer, Taken, Arc<AtomicUsize>) {
    let (taken, width) = (Taken::default(), Arc::new(AtomicUsize::new(width)));
    let (retained, now) = (taken.clone(), Arc::clone(&width));
    let transport = By(move |message: &[u8]| {
        if message.len() > now.load(Ordering::SeqCst) {
            return Err(TransportError::TooLarge { bytes: message.len() });
        }
        retained.push(message);
        Ok(Sent::OK)
    });
    let builder = builder().agent_protocol(protocol).transport(transport);
    let (tracer, closer) = builder.build().unwrap();
    (tracer, closer, taken, width)
}

#[test]
fn what_passes_a_path_of_600_bytes_is_learned_and_no_span_is_lost() {
    for protocol in [AgentProtocol::Compact, AgentProtocol::Binary] {
        for width in [548, 572, 700, 1_100] {
            let (tracer, closer, taken, _) = over_a_path(width, protocol);
            finish(&tracer, 2_000);
            let report = closer.close(SOON);
            let stats = report.stats;
            assert_eq!((stats.sent, stats.dropped.total()), (2_000, 0), "{width}: {report}");
            assert_eq!(stats.trimmed, 0);
            let largest = taken.sizes().into_iter().max().unwrap();
            // Lists are halved until they pass, so that more than half of the width is used.
            assert!(largest > width / 2, "{largest} of {width}");
        }
    }
}

#[test]
fn a_path_that_takes_more_again_is_used_again() {
    for protocol in [AgentProtocol::Compact, AgentProtocol::Binary] {
        let (tracer, closer, taken, width) = over_a_path(600, protocol);
        finish(&tracer, 2_000);
        assert!(tracer.flush(SOON).complete);
        width.store(65_000, Ordering::SeqCst);
        eventually(|| {
            finish(&tracer, 2_000);
            assert!(tracer.flush(SOON).complete);
            taken.sizes().iter().any(|size| *size > 30_000)
        });
        let stats = closer.close(SOON).stats;
        assert_eq!((stats.dropped.total(), stats.trimmed), (0, 0), "{stats}");
    }
}

#[test]
fn a_path_that_takes_nothing_costs_few_messages_and_is_used_once_it_does() {
    let (tracer, closer, taken, width) = over_a_path(0, AgentProtocol::Compact);
    for _ in 0..20 {
        finish(&tracer, 500);
        let stats = tracer.flush(SOON).stats;
        assert!(stats.is_balanced() && stats.sent == 0, "{stats}");
    }
    width.store(65_000, Ordering::SeqCst);
    let before = tracer.stats().dropped.total();
    eventually(|| {
        finish(&tracer, 500);
        assert!(tracer.flush(SOON).complete);
        taken.sizes().iter().any(|size| *size > 10_000)
    });
    let stats = closer.close(SOON).stats;
    assert_eq!(stats.dropped.total(), before, "{stats}");
}

#[cfg(feature = "collector-http")]
mod of_servers {
    use super::*;
    use crate::support::http::{Server, status};
    use jaeger_client::HttpConfig;

    /// The sizes of requests.
    fn sizes(server: &Server) -> Vec<usize> {
        server.requests().iter().map(|request| request.body.len()).collect()
    }

    #[test]
    fn a_server_that_finds_everything_too_large_for_a_while_gets_large_messages_again() {
        let server = Server::start(|n, _| status(if n < 15 { 413 } else { 202 }));
        let (tracer, closer) = builder().collector(HttpConfig::new(server.url())).build().unwrap();
        finish(&tracer, 1_000);
        let lost = tracer.flush(SOON).stats.dropped.total();
        assert!(lost < 10, "{lost}");
        eventually(|| {
            finish(&tracer, 1_000);
            assert!(tracer.flush(SOON).complete);
            sizes(&server).iter().skip(15).any(|size| *size > 100_000)
        });
        let stats = closer.close(SOON).stats;
        assert_eq!(stats.dropped.total(), lost, "nothing is lost after the recovery: {stats}");
    }

    /// A server that responds 413 to a long message, and ends the connection, before it has read it.
    fn closing_early(limit: usize) -> (String, Arc<AtomicUsize>) {
        use std::io::{BufRead, BufReader, Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let refused = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&refused);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = BufReader::new(stream);
                loop {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n")
                        && stream.read_line(&mut head).is_ok_and(|n| n > 0)
                    {}
                    let length = head.to_lowercase();
                    let length = length.split("content-length: ").nth(1);
                    let Some(length) = length.and_then(|rest| rest.lines().next()) else { break };
                    let length: usize = length.parse().unwrap();
                    let is_refused = length > limit;
                    let status = if is_refused { "413 x\r\nconnection: close" } else { "202 x" };
                    if !is_refused {
                        stream.read_exact(&mut vec![0; length]).unwrap();
                    }
                    let response = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                    let _ = stream.get_mut().write_all(response.as_bytes());
                    if is_refused {
                        count.fetch_add(1, Ordering::SeqCst);
                        break;
                    }
                }
            }
        });
        (url, refused)
    }

    #[test]
    fn a_server_that_ends_the_connection_on_a_large_message_gets_smaller_ones() {
        let (url, refused) = closing_early(100_000);
        let (tracer, closer) = builder().collector(HttpConfig::new(url)).build().unwrap();
        finish(&tracer, 4_000);
        let stats = tracer.flush(SOON).stats;
        assert_eq!((stats.sent, stats.dropped.total()), (4_000, 0), "{stats}");
        assert!(refused.load(Ordering::SeqCst) > 1);
        assert!(closer.close(SOON).complete);
    }

    #[test]
    fn a_server_that_finds_everything_too_large_for_ever_costs_few_requests() {
        let server = Server::start(|_, _| status(413));
        let (tracer, closer) = builder().collector(HttpConfig::new(server.url())).build().unwrap();
        for _ in 0..20 {
            finish(&tracer, 500);
            let stats = tracer.flush(SOON).stats;
            assert!(stats.is_balanced() && stats.sent == 0, "{stats}");
        }
        let requests = server.requests().len();
        assert!(requests < 64 + 2 * 20, "{requests} for 20 messages");
        let stats = closer.close(SOON).stats;
        assert_eq!(stats.dropped.total(), 10_000, "{stats}");
    }
}
