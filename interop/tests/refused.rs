//! A server refuses a list because of one span: only that span is lost.
//!
//! This client encodes no span that these servers refuse. A proxy damages the lists with a certain span.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(clippy::disallowed_methods, reason = "the test starts threads and waits by the clock")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use interop::backend::{Backend, Kind};
use interop::command::INTERVAL;
use interop::opt_in;
use interop::zipkin::Zipkin;
use jaeger_client::{CollectorFormat, HttpConfig, NullLogger, Tracer};

const SPANS: usize = 300;
const BAD: &str = "the bad one";
const SOON: Duration = Duration::from_secs(60);

/// Reads a request; none at the end of the connection.
fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        stream.read_line(&mut head).ok().filter(|read| *read > 0)?;
    }
    let lower = head.to_lowercase();
    let length = lower.split("content-length: ").nth(1)?.split("\r\n").next()?;
    let mut body = vec![0; length.parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// Starts a proxy of a server that truncates lists with the bad span, and returns its address.
fn damaging(server: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_nodelay(true).unwrap();
            let mut stream = BufReader::new(stream);
            while let Some((head, mut body)) = request(&mut stream) {
                if String::from_utf8_lossy(&body).contains(BAD) {
                    body.truncate(body.len() - 12);
                }
                let line = head.lines().next().unwrap();
                let kind = head.lines().find(|line| line.starts_with("content-type")).unwrap();
                let length = body.len();
                let head =
                    format!("{line}\r\nhost: x\r\n{kind}\r\ncontent-length: {length}\r\n\r\n");
                let mut onward = TcpStream::connect(&server).unwrap();
                onward.write_all(&[head.as_bytes(), &body].concat()).unwrap();
                let mut response = String::new();
                BufReader::new(onward).read_line(&mut response).unwrap();
                let response = format!("{}\r\ncontent-length: 0\r\n\r\n", response.trim_end());
                stream.get_mut().write_all(response.as_bytes()).unwrap();
            }
        }
    });
    address
}

#[test]
fn one_bad_span_in_a_list_costs_one_span_at_every_server() {
    let all = [CollectorFormat::Jaeger, CollectorFormat::ZipkinThrift, CollectorFormat::ZipkinJson];
    let servers: [(Kind, &[CollectorFormat]); 4] = [
        (Kind::JaegerV1, &all),
        (Kind::JaegerV2, &all),
        (Kind::OtelCollector, &all),
        (Kind::Zipkin, &all[1..]),
    ];
    for (kind, formats) in servers {
        let found = opt_in::set_up("a list that is refused for one span", || Backend::start(kind));
        let Some(backend) = found else { return };
        for format in formats {
            let port = if *format == CollectorFormat::Jaeger { "http" } else { "zipkin" };
            let url = format!("http://{}", damaging(backend.address(port).to_owned()));
            let config = HttpConfig { format: Some(*format), ..HttpConfig::new(url) };
            let (tracer, closer) =
                Tracer::builder("refused").logger(NullLogger).collector(config).build().unwrap();
            let root = tracer.start_span("root");
            let trace_id = root.context().trace_id().to_string();
            root.finish();
            for n in 1..SPANS {
                let name = if n == SPANS / 2 { BAD.to_owned() } else { format!("op-{n}") };
                tracer.span(name).child_of(&root).start().finish();
            }
            let stats = closer.close(SOON).stats;
            let outcome = (stats.sent, stats.dropped.send_failed, stats.dropped.total());
            assert_eq!(outcome, (SPANS as u64 - 1, 1, 1), "{kind:?} {format:?}: {stats}");
            let stored = || match kind {
                Kind::OtelCollector => Ok(SPANS - 1),
                Kind::Zipkin => {
                    Zipkin::new(backend.address("zipkin")).spans(&trace_id).map(|spans| spans.len())
                }
                _ => backend.query().spans(&trace_id).map(|spans| spans.len()),
            };
            let deadline = Instant::now() + SOON;
            while stored().unwrap() < SPANS - 1 && Instant::now() < deadline {
                thread::sleep(INTERVAL);
            }
            assert_eq!(stored().unwrap(), SPANS - 1, "{kind:?} {format:?}");
        }
    }
}
