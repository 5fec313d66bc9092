//! Spans to a collector over HTTP.

#![cfg(feature = "collector-http")]
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use jaeger_client::HttpConfig;
use jaeger_client_opentelemetry::JaegerExporter;
use opentelemetry_sdk::trace::SpanExporter;

use self::support::{spans, wait};

/// A server that answers requests with these statuses, one after the other, and shows their first lines
/// and bodies.
#[expect(clippy::disallowed_methods, reason = "a server of the test's own")]
fn collector(statuses: Vec<&'static str>) -> (SocketAddr, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, requests) = mpsc::channel();
    thread::spawn(move || {
        for status in statuses {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(&stream);
            let (mut first, mut length) = (String::new(), 0);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim().to_ascii_lowercase();
                if line.is_empty() {
                    break;
                }
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            (&stream).write_all(head.as_bytes()).unwrap();
            send.send((first, body)).unwrap();
        }
    });
    (address, requests)
}

fn exporter(address: SocketAddr, retry_limit: Duration) -> JaegerExporter {
    let config = HttpConfig { retry_limit, ..HttpConfig::new(format!("http://{address}")) };
    JaegerExporter::builder().collector(config).build().unwrap()
}

#[test]
fn a_collector_gets_a_post_and_its_response_decides() {
    let (address, requests) = collector(vec!["202 Accepted", "401 Unauthorized"]);
    let exporter = exporter(address, Duration::ZERO);
    wait(exporter.export(spans(50))).unwrap();
    let (first, body) = requests.recv().unwrap();
    assert!(first.starts_with("POST /api/traces?format=jaeger.thrift "), "{first}");
    assert!(body.windows(5).any(|bytes| bytes == b"op 49"));
    let error = wait(exporter.export(spans(3))).unwrap_err().to_string();
    assert!(error.contains("3 of 3") && error.contains("401"), "{error}");
    let stats = exporter.account().stats();
    assert_eq!((stats.exported, stats.sent, stats.dropped.send_failed), (53, 50, 3));
}

#[test]
fn a_collector_that_is_busy_is_tried_again() {
    let (address, requests) = collector(vec!["503 Service Unavailable", "200 OK"]);
    let exporter = exporter(address, Duration::from_secs(30));
    wait(exporter.export(spans(2))).unwrap();
    assert_eq!(requests.iter().take(2).count(), 2);
    assert_eq!(exporter.account().stats().sent, 2);
}
