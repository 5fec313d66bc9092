//! The events of a request are those of Go's client: the same events, order and tags.
//!
//! `golden/net_http.txt` was recorded with Go 1.26.8 and go-stdlib v1.1.1, by
//! `go -C integrations/http/tests/golden/go run . 2>/dev/null`.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use std::time::Duration;

use http::Request;
use jaeger_client::{Closer, InMemoryReporter};
use jaeger_client_http::{Error, HttpPoolBuilder, Phase, RequestBody, Resolving, TracedClient};

mod support;
use support::golden::{cases, shown};
use support::{Server, full_port, here, mute_port, refusing_port, to, tracer};

struct Run {
    client: TracedClient,
    reporter: InMemoryReporter,
    port: u16,
    _closer: Closer,
}

impl Run {
    fn new(port: u16, pool: HttpPoolBuilder) -> Self {
        let (tracer, reporter, closer) = tracer();
        let client = TracedClient::builder(tracer).pool(pool.build()).build();
        Self { client, reporter, port, _closer: closer }
    }

    /// Sends a request, reads its response, and has its spans compared with Go's.
    async fn case(&self, name: &str, request: Request<RequestBody>) -> Result<String, Error> {
        self.reporter.reset();
        let body = match self.client.request(request).send().await {
            Ok(response) => response.into_body().read_to_end(1 << 20).await,
            Err(error) => Err(error),
        };
        let mut shown = shown(&self.reporter, self.port);
        // Go's wrapper does not listen to these.
        assert_eq!(shown.contains("TLSHandshake"), name.starts_with("tls") && name != "tls reused");
        shown =
            shown.lines().filter(|l| !l.contains("TLSHandshake")).collect::<Vec<_>>().join("\n");
        assert_eq!(shown, cases()[name], "case {name}: {body:?}");
        body.map(|body| String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, name: &str, url: &str) -> Result<String, Error> {
        self.case(name, Request::get(url).body(RequestBody::empty()).unwrap()).await
    }
}

/// Long enough to get to the phase that does not end, on a busy machine too.
const SHORT: Duration = Duration::from_secs(1);

#[test]
fn every_recorded_case_is_compared() {
    let tests = include_str!("golden.rs");
    assert_eq!(cases().len(), 27);
    for name in cases().keys() {
        assert!(tests.contains(&format!("\"{name}\", ")), "{name}");
    }
}

#[tokio::test]
async fn whatever_a_response_is_like_it_is_reported_as_in_go() {
    let server = Server::start().await;
    let run = Run::new(server.port(), here());
    let url = |path: &str| server.url(path);
    let post = |path: &str, body: RequestBody| Request::post(server.url(path)).body(body).unwrap();

    assert_eq!(run.get("new", &url("/time")).await.unwrap(), "The time is now");
    assert_eq!(run.get("reused", &url("/time")).await.unwrap(), "The time is now");
    assert_eq!(run.get("redirect", &url("/moved")).await.unwrap(), "The time is now");
    let head = Request::head(url("/time")).body(RequestBody::empty()).unwrap();
    assert_eq!(run.case("head", head).await.unwrap(), "");
    assert_eq!(run.get("nothing", &url("/nothing")).await.unwrap(), "");
    assert_eq!(run.get("streamed response", &url("/stream")).await.unwrap(), "piecepiecepiece");
    run.case("body", post("/time", "hello".into())).await.unwrap();
    let stream = http_body_util::Full::from("hello");
    run.case("streamed request", post("/time", RequestBody::stream(stream))).await.unwrap();
    let expect = Request::put(url("/time")).header("expect", "100-continue");
    run.case("expect", expect.body("hello".into()).unwrap()).await.unwrap();
    assert_eq!(run.get("fail", &url("/fail")).await.unwrap(), "no");
    assert_eq!(server.accepted.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_ends_is_reported_as_in_go() {
    let server = Server::start().await;
    let run = Run::new(server.port(), here());
    run.get("new", &server.url("/time")).await.unwrap();
    run.get("retry", &server.url("/panic")).await.unwrap_err();
    run.get("new", &server.url("/time")).await.unwrap();
    let post = Request::post(server.url("/panic")).body("hello".into()).unwrap();
    run.case("no retry", post).await.unwrap_err();
    run.get("close", &server.url("/close")).await.unwrap();
    run.get("new", &server.url("/time")).await.unwrap();
}

#[tokio::test]
async fn hosts_and_addresses_are_reported_as_in_go() {
    let server = Server::start().await;
    let url = format!("http://127.0.0.1:{}/time", server.port());
    Run::new(server.port(), here()).get("address", &url).await.unwrap();

    let two = here().resolver(to(&[[127, 0, 0, 2], [127, 0, 0, 1]]));
    let url = format!("http://two.test:{}/time", server.port());
    Run::new(server.port(), two).get("two addresses", &url).await.unwrap();

    let (_refuses, port) = refusing_port();
    let url = format!("http://localhost:{port}/time");
    let error = Run::new(port, here()).get("refused", &url).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");

    let unknown = |_: &str| -> Resolving {
        Box::pin(async { Err(std::io::Error::other("Name or service not known")) })
    };
    let url = "http://no-such-host.invalid/";
    let run = Run::new(server.port(), here().resolver(unknown));
    let error = run.get("no such host", url).await.unwrap_err();
    assert!(matches!(error, Error::Resolve { .. }), "{error:?}");
}

fn late(error: &Error, expected: Phase) {
    assert!(matches!(error, Error::TimedOut { phase, .. } if *phase == expected), "{error:?}");
}

#[tokio::test]
async fn a_timeout_in_each_phase_is_reported_as_in_go() {
    let server = Server::start().await;
    let never = |_: &str| -> Resolving { Box::pin(std::future::pending()) };
    let slow = here().resolver(never).connect_timeout(SHORT);
    let url = format!("http://slow.test:{}/time", server.port());
    late(
        &Run::new(server.port(), slow).get("dns timeout", &url).await.unwrap_err(),
        Phase::Resolve,
    );

    let (_full, port) = full_port().await;
    let run = Run::new(port, here().connect_timeout(SHORT));
    let url = format!("http://localhost:{port}/time");
    late(&run.get("connect timeout", &url).await.unwrap_err(), Phase::Connect);

    let run = Run::new(server.port(), here().response_header_timeout(SHORT));
    late(&run.get("headers timeout", &server.url("/late")).await.unwrap_err(), Phase::Headers);

    let run = Run::new(server.port(), here().body_idle_timeout(SHORT));
    late(&run.get("body timeout", &server.url("/half")).await.unwrap_err(), Phase::Body);
}

#[tokio::test]
async fn the_time_for_a_whole_request_is_reported_as_in_go() {
    let server = Server::start().await;
    for (name, path, phase) in
        [("headers deadline", "/late", Phase::Headers), ("body timeout", "/half", Phase::Body)]
    {
        let (tracer, reporter, _closer) = tracer();
        let client = TracedClient::builder(tracer).pool(here().build()).timeout(SHORT).build();
        let run = Run { client, reporter, port: server.port(), _closer };
        late(&run.get(name, &server.url(path)).await.unwrap_err(), phase);
    }
    let (_mute, port) = mute_port();
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::builder(tracer).pool(here().build()).timeout(SHORT).build();
    let run = Run { client, reporter, port, _closer };
    let post = Request::post(format!("http://localhost:{port}/time"));
    let post = post.body(vec![b'x'; 64 << 20].into()).unwrap();
    late(&run.case("send deadline", post).await.unwrap_err(), Phase::Headers);
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_is_reported_as_in_go_and_its_handshake_besides() {
    let (config, server) = support::tls::server(&[b"http/1.1"]).await;
    let url = format!("https://localhost:{}/time", server.port());
    let run = Run::new(server.port(), here().tls_config(config));
    assert_eq!(run.get("tls", &url).await.unwrap(), "The time is now");
    run.get("tls reused", &url).await.unwrap();

    // Nobody we know vouches for the server.
    let run = Run::new(server.port(), here());
    let error = run.get("tls refused", &url).await.unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");

    let (_mute, port) = mute_port();
    let run = Run::new(port, here().tls_handshake_timeout(SHORT));
    let url = format!("https://localhost:{port}/time");
    late(&run.get("tls timeout", &url).await.unwrap_err(), Phase::Tls);
}
