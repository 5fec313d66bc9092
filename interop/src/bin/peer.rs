//! A process that continues traces: `GET /continue` starts a span below the caller's.
//!
//! Its interface is that of `interop/go/main.go`, and documented there.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a server starts threads; the address goes to stdout; a step that fails ends the process, and so the test"
)]

use std::collections::BTreeMap;
use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use jaeger_client::propagation::HttpHeaders;
use jaeger_client::sampler::ConstSampler;
use jaeger_client::{ExtractError, Span, SpanContext, TagValue, Tracer};
use serde_json::{Value, json};

type Headers = Vec<(String, String)>;

fn main() {
    let option = |name: &str| env::args().skip_while(|arg| arg != name).nth(1);
    let service = option("-service").expect("-service");
    let agent = option("-agent").expect("-agent");
    let listener = TcpListener::bind(option("-listen").expect("-listen")).expect("an address");
    let sample = !env::args().any(|arg| arg == "-sample=false");

    let (tracer, closer) = Tracer::builder(service)
        .sampler(ConstSampler::new(sample))
        .agent(agent)
        .flush_interval(Duration::from_millis(100))
        .build()
        .expect("a tracer");
    println!("{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let tracer = tracer.clone();
            thread::spawn(move || serve(&tracer, &stream.expect("a connection")));
        }
    });

    io::copy(&mut io::stdin(), &mut io::sink()).expect("stdin");
    let report = closer.close(TIMEOUT);
    assert!(report.complete, "{report}");
}

/// Responds to one request, and closes the connection.
fn serve(tracer: &Tracer, mut stream: &TcpStream) {
    stream.set_read_timeout(Some(TIMEOUT)).expect("a limit");
    stream.set_write_timeout(Some(TIMEOUT)).expect("a limit");
    let mut lines = BufReader::new(stream.take(MAX_REQUEST_BYTES)).lines();
    let first = lines.next().expect("a request line").expect("a request line");
    let target = first.split(' ').nth(1).expect("a target");
    let headers: Headers = lines
        .map(|line| line.expect("a header"))
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        })
        .collect();
    let (status, body) = match resume(tracer, target, headers) {
        Ok(body) => ("200 OK", body.to_string()),
        Err(why) => ("400 Bad Request", why),
    };
    let length = body.len();
    // The caller gets an incomplete response, so that its test fails.
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

/// Starts a span below the context in `headers`, and calls `next` of the query if there is one.
fn resume(tracer: &Tracer, target: &str, headers: Headers) -> Result<Value, String> {
    let parent = match tracer.extract(&HttpHeaders(headers)) {
        Ok(context) => Some(context),
        Err(ExtractError::NotFound) => None,
        Err(error) => return Err(error.to_string()),
    };
    let debug_id = parent.as_ref().and_then(|context| context.debug_id().map(str::to_owned));
    let span = tracer.span("rust-server").child_of(parent).tag("span.kind", "server").start();
    span.set_tag("peer.language", "rust");
    span.log(&[("event", TagValue::from("continued")), ("answer", TagValue::from(42))]);
    let mut response = describe(&span.context(), debug_id);
    if let Some((_, next)) = target.split_once("next=") {
        let (next_response, sent) = call(tracer, &span, &decoded(next))?;
        response["next"] = next_response;
        response["sent"] = sent;
    }
    Ok(response)
}

/// Requests `url` in a client span below `parent`, and returns the response and the injected headers.
fn call(tracer: &Tracer, parent: &Span, url: &str) -> Result<(Value, Value), String> {
    let span = tracer.span("rust-client").child_of(parent).tag("span.kind", "client").start();
    let mut headers = HttpHeaders(Headers::new());
    tracer.inject(&span.context(), &mut headers);
    let response = interop::query::get(url, &headers.0)?;
    if response.status != 200 {
        return Err(format!("{url} answered {}: {}", response.status, response.body));
    }
    let sent: BTreeMap<_, _> = headers.0.into_iter().collect();
    let body = serde_json::from_str(&response.body).map_err(|error| error.to_string())?;
    Ok((body, json!(sent)))
}

fn describe(context: &SpanContext, debug_id: Option<String>) -> Value {
    let baggage: BTreeMap<_, _> = context.baggage().collect();
    json!({
        "trace_id": context.trace_id().to_string(),
        "span_id": context.span_id().to_string(),
        "parent_id": context.parent_id().to_string(),
        "flags": context.flags(),
        "sampled": context.is_sampled(),
        "debug": context.is_debug(),
        "baggage": baggage,
        "debug_id": debug_id.unwrap_or_default(),
    })
}

/// Percent-decodes a part of a query.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (first, code.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const TIMEOUT: Duration = Duration::from_secs(15);
const MAX_REQUEST_BYTES: u64 = 1 << 20;
