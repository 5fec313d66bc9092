//! The callbacks alone, without a tracer: called as Go's httptrace calls its own.
//!
//! `golden/httptrace.txt` was recorded with Go 1.26.8, by
//! `go -C integrations/http/tests/golden/go run . httptrace 2>/dev/null`.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use jaeger_client_http::{
    Error, HttpPool, HttpPoolBuilder, Phase, RequestBody, Resolving, ResponseBody, TracedClient,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

mod support;
use support::recorder::Recorder;
use support::{Server, full_port, golden, here, mute_port, refusing_port, to, tracer};

fn cases() -> BTreeMap<&'static str, &'static str> {
    golden::cases_of(include_str!("golden/httptrace.txt"))
}

#[test]
fn every_recorded_case_is_compared() {
    let tests = include_str!("httptrace.rs");
    assert_eq!(cases().len(), 23);
    for name in cases().keys() {
        assert!(tests.contains(&format!("\"{name}\", ")), "{name}");
    }
}

/// A request in flight, and the recorder of its events.
struct Requested {
    name: &'static str,
    port: u16,
    trace: Arc<Recorder>,
    response: Result<Response<ResponseBody>, Error>,
}

impl Requested {
    /// Reads the response, and compares the recorded events with Go's.
    async fn end(self) -> Result<Bytes, Error> {
        let body = match self.response {
            Ok(response) => response.into_body().read_to_end(1 << 20).await,
            Err(error) => Err(error),
        };
        let (name, reported) = (self.name, self.trace.reported(self.port));
        assert_eq!(reported, cases()[name], "case {name}: {body:?}");
        body
    }
}

/// A pool, and the port of the server that is asked over it.
struct Run {
    pool: HttpPool,
    port: u16,
}

impl Run {
    fn new(port: u16, pool: HttpPoolBuilder) -> Self {
        Self { pool: pool.build(), port }
    }

    async fn fetch(&self, name: &'static str, request: Request<RequestBody>) -> Requested {
        let trace = Arc::<Recorder>::default();
        let response = self.pool.round_trip(request, Arc::clone(&trace) as _).await;
        Requested { name, port: self.port, trace, response }
    }

    async fn get(&self, name: &'static str, url: &str) -> Result<Bytes, Error> {
        self.fetch(name, get(url)).await.end().await
    }

    /// Cancels the request after a while, and compares the events so far.
    async fn give_up(&self, name: &'static str, request: Request<RequestBody>) {
        let trace = Arc::<Recorder>::default();
        let requested = async {
            let response = self.pool.round_trip(request, Arc::clone(&trace) as _).await?;
            response.into_body().read_to_end(1 << 20).await
        };
        assert!(tokio::time::timeout(SHORT, requested).await.is_err(), "case {name} had an end");
        assert_eq!(trace.reported(self.port), cases()[name], "case {name}");
    }
}

fn get(url: &str) -> Request<RequestBody> {
    Request::get(url).body(RequestBody::empty()).unwrap()
}

/// A request with a body that nobody takes the end of.
fn endless(url: &str) -> Request<RequestBody> {
    let body = RequestBody::stream(Full::<Bytes>::from(vec![b'x'; 64 << 20]));
    Request::post(url).body(body).unwrap()
}

/// Long enough to get to the phase that does not end, on a busy machine too.
const SHORT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn callbacks_come_as_in_go_over_new_and_reused_connections() {
    let server = Server::start().await;
    let run = Run::new(server.port(), here());
    let url = |path: &str| server.url(path);
    run.get("new", &url("/time")).await.unwrap();
    run.get("reused", &url("/time")).await.unwrap();
    let head = Request::head(url("/time")).body(RequestBody::empty()).unwrap();
    run.fetch("head", head).await.end().await.unwrap();
    let body = RequestBody::stream(Full::<Bytes>::from("hello"));
    let post = Request::post(url("/time")).body(body).unwrap();
    run.fetch("streamed request", post).await.end().await.unwrap();
    run.get("streamed response", &url("/stream")).await.unwrap();
    let expect = Request::put(url("/time")).header("expect", "100-continue");
    run.fetch("expect", expect.body("hello".into()).unwrap()).await.end().await.unwrap();
    assert_eq!(server.accepted.load(std::sync::atomic::Ordering::SeqCst), 1);
}

/// Responds in the configured form to any request, with persistent connections.
async fn server_with(with: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut some = [0; 4096];
                while stream.read(&mut some).await.is_ok_and(|read| read > 0) {
                    stream.write_all(with.as_bytes()).await.unwrap();
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_response_before_the_response_is_reported_as_in_go() {
    let port = server_with(
        "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    );
    let port = port.await;
    let run = Run::new(port, here());
    let url = format!("http://localhost:{port}/");
    let trace = Arc::<Recorder>::default();
    let first = run.pool.round_trip(get(&url), trace).await.unwrap();
    first.into_body().read_to_end(99).await.unwrap();
    run.get("hints", &url).await.unwrap();
}

#[tokio::test]
async fn a_pool_without_room_is_reported_as_in_go() {
    let server = Server::start().await;
    let run = Run::new(server.port(), here().max_idle_per_host(1));
    let slow = run.fetch("no room", get(&server.url("/stream"))).await;
    run.get("new", &server.url("/time")).await.unwrap();
    slow.end().await.unwrap();
}

#[tokio::test]
async fn hosts_that_cannot_be_reached_are_reported_as_in_go() {
    let server = Server::start().await;
    let two = here().resolver(to(&[[127, 0, 0, 2], [127, 0, 0, 1]]));
    let url = format!("http://two.test:{}/time", server.port());
    Run::new(server.port(), two).get("two addresses", &url).await.unwrap();

    let (_refuses, port) = refusing_port();
    let url = format!("http://localhost:{port}/time");
    Run::new(port, here()).get("refused", &url).await.unwrap_err();

    let unknown = |_: &str| -> Resolving {
        Box::pin(async { Err(std::io::Error::other("Name or service not known")) })
    };
    let run = Run::new(server.port(), here().resolver(unknown));
    run.get("no such host", "http://no-such-host.invalid/").await.unwrap_err();
}

fn never(_: &str) -> Resolving {
    Box::pin(std::future::pending())
}

#[tokio::test]
async fn the_time_of_a_phase_ends_as_in_go() {
    let slow = here().resolver(never).connect_timeout(SHORT);
    let run = Run::new(80, slow);
    run.get("dns timeout", "http://slow.test:80/time").await.unwrap_err();

    let (_full, port) = full_port().await;
    let run = Run::new(port, here().connect_timeout(SHORT));
    run.get("connect timeout", &format!("http://localhost:{port}/time")).await.unwrap_err();
}

#[tokio::test]
async fn a_request_given_up_is_reported_as_in_go_where_its_context_ends() {
    let run = Run::new(80, here().resolver(never));
    run.give_up("dns deadline", get("http://slow.test:80/time")).await;

    let (_full, port) = full_port().await;
    let url = format!("http://localhost:{port}/time");
    Run::new(port, here()).give_up("connect deadline", get(&url)).await;

    let (_mute, port) = mute_port();
    let url = format!("http://localhost:{port}/time");
    Run::new(port, here()).give_up("send deadline", endless(&url)).await;

    let server = Server::start().await;
    let run = Run::new(server.port(), here());
    run.give_up("headers deadline", get(&server.url("/late"))).await;
    run.give_up("body deadline", get(&server.url("/half"))).await;
}

/// Returns Go's events of a case, and the additional ones here: the dial ends with its request.
fn and(name: &str, more: &str) -> String {
    format!("{}{more}", cases()[name])
}

async fn within(url: String, port: u16, pool: HttpPoolBuilder, body: bool) -> (String, Phase) {
    let (tracer, _spans, _closer) = tracer();
    let client = TracedClient::builder(tracer).pool(pool.build()).timeout(SHORT).build();
    let trace = Arc::<Recorder>::default();
    let request = if body { endless(&url) } else { get(&url) };
    let requested = client.request(request).also_trace(Arc::clone(&trace) as _).send().await;
    let error = match requested {
        Ok(response) => response.into_body().read_to_end(99).await.unwrap_err(),
        Err(error) => error,
    };
    let Error::TimedOut { phase, limit } = error else { unreachable!("{error:?}") };
    assert_eq!(limit, SHORT);
    (trace.reported(port), phase)
}

#[tokio::test]
async fn the_time_of_the_whole_request_ends_as_in_go_but_for_a_dial_that_is_known_to_end() {
    let slow = here().resolver(never);
    let reported = within("http://slow.test:80/time".into(), 80, slow, false).await;
    assert_eq!(reported, (and("dns deadline", "\nDNSDone error"), Phase::Resolve));

    let (_full, port) = full_port().await;
    let reported = within(format!("http://localhost:{port}/time"), port, here(), false).await;
    let done = "\nConnectDone tcp 127.0.0.1:PORT error";
    assert_eq!(reported, (and("connect deadline", done), Phase::Connect));

    let (_mute, port) = mute_port();
    let reported = within(format!("http://localhost:{port}/time"), port, here(), true).await;
    assert_eq!(reported, (and("send deadline", ""), Phase::Headers));

    let server = Server::start().await;
    let reported = within(server.url("/late"), server.port(), here(), false).await;
    assert_eq!(reported, (and("headers deadline", ""), Phase::Headers));
    let reported = within(server.url("/half"), server.port(), here(), false).await;
    assert_eq!(reported, (and("body deadline", ""), Phase::Body));
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_handshakes_are_reported_as_in_go() {
    let (config, server) = support::tls::server(&[b"http/1.1"]).await;
    let url = format!("https://localhost:{}/time", server.port());
    let run = Run::new(server.port(), here().tls_config(Arc::clone(&config)));
    run.get("tls", &url).await.unwrap();
    run.get("tls reused", &url).await.unwrap();
    // Nobody we know vouches for the server.
    Run::new(server.port(), here()).get("tls refused", &url).await.unwrap_err();

    let (_mute, port) = mute_port();
    let url = format!("https://localhost:{port}/time");
    let run = Run::new(port, here().tls_handshake_timeout(SHORT));
    run.get("tls timeout", &url).await.unwrap_err();
    Run::new(port, here()).give_up("tls deadline", get(&url)).await;
    let reported = within(url, port, here(), false).await;
    assert_eq!(reported, (and("tls deadline", "\nTLSHandshakeDone error"), Phase::Tls));
}
