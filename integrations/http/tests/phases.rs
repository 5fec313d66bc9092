//! The phases of a hop as spans, and what is kept where neither spans nor events are wanted.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use jaeger_client::encoding::ValueView;
use jaeger_client::sampler::{ConstSampler, PrioritySampler, TagMatchingSampler};
use jaeger_client::{Closer, InMemoryReporter, Tracer};
use jaeger_client_http::{
    HttpPool, HttpPoolBuilder, RequestBody, Resolving, SpanTrace, TraceMode, TracedClient,
};

mod support;
use support::{Server, events, full_port, here, hops, mute_port, tag, to, tracer};

/// Long enough to get to the phase that does not end, on a busy machine too.
const SHORT: Duration = Duration::from_secs(1);

const SOON: Duration = Duration::from_secs(60);

struct Run {
    client: TracedClient,
    tracer: Tracer,
    reporter: InMemoryReporter,
    _closer: Closer,
}

impl Run {
    fn new(pool: HttpPoolBuilder, mode: TraceMode) -> Self {
        let (tracer, reporter, closer) = tracer();
        let client = TracedClient::builder(tracer.clone()).pool(pool.build()).client_trace(mode);
        Self { client: client.build(), tracer, reporter, _closer: closer }
    }

    /// Sends a request and reads its response.
    async fn fetch(&self, url: &str, body: impl Into<RequestBody>) {
        assert!(self.fetch_within(SOON, url, body).await, "{url} hangs");
    }

    /// Sends a request that does not end, and gives it up.
    async fn give_up(&self, url: &str, body: impl Into<RequestBody>) {
        assert!(!self.fetch_within(SHORT, url, body).await, "{url} had an end");
    }

    async fn fetch_within(&self, limit: Duration, url: &str, body: impl Into<RequestBody>) -> bool {
        let request = Request::post(url).body(body.into()).unwrap();
        let requested = async {
            let response = self.client.request(request).send().await?;
            response.into_body().read_to_end(1 << 20).await
        };
        tokio::time::timeout(limit, requested).await.is_ok()
    }

    /// The spans as a tree in the order of their start, those that failed with a `!`. All are over.
    fn tree(&self) -> Vec<String> {
        assert_eq!(self.tracer.stats().open, 0);
        let spans = self.reporter.spans();
        let mut views: Vec<_> = spans.iter().map(|span| span.view()).collect();
        // Of two that started in the same microsecond, the one that ended first began first: phases
        // of one parent do not overlap.
        views.sort_by_key(|view| view.start_time_micros);
        let mut tree = Vec::new();
        let mut below = vec![(jaeger_client::SpanId::NONE, 0)];
        while let Some((id, depth)) = below.pop() {
            let of = views.iter().filter(|view| view.span_id == id);
            for view in of {
                let failed =
                    if view.tag("error") == Some(ValueView::Bool(true)) { "!" } else { "" };
                tree.push(format!("{}{}{failed}", " ".repeat(depth - 1), view.operation_name()));
            }
            let children = views.iter().filter(|view| view.parent_span_id == id);
            below.extend(children.rev().map(|view| (view.span_id, depth + 1)));
        }
        tree
    }
}

const AROUND: [&str; 2] = ["HTTP Client", " HTTP POST"];
const CANCELLED: [&str; 2] = ["HTTP Client!", " HTTP POST!"];

fn tree(below: &[&str]) -> Vec<String> {
    AROUND.iter().chain(below).map(|line| (*line).to_owned()).collect()
}

/// The same of a request that was cancelled.
fn cancelled(below: &[&str]) -> Vec<String> {
    CANCELLED.iter().chain(below).map(|line| (*line).to_owned()).collect()
}

#[tokio::test]
async fn an_address_that_refuses_is_a_phase_that_failed_and_the_next_one_a_phase() {
    let server = Server::start().await;
    let two = here().resolver(to(&[[127, 0, 0, 2], [127, 0, 0, 1]]));
    let run = Run::new(two, TraceMode::Spans);
    run.fetch(&format!("http://two.test:{}/time", server.port()), "hello").await;
    let dialed = ["  http.getconn", "   http.dns", "   http.connect!", "   http.connect"];
    let rest = ["  http.send", "  http.wait", "  http.receive"];
    assert_eq!(run.tree(), tree(&[&dialed[..], &rest].concat()));
    let spans = run.reporter.spans();
    let refused = spans.iter().find(|span| tag(&span.view(), "error").is_some()).unwrap().view();
    let address = format!("127.0.0.2:{}", server.port());
    assert_eq!(tag(&refused, "addr").unwrap(), address);
    assert_eq!(events(&refused), ["error"]);
}

#[tokio::test]
async fn each_hop_has_the_phases_that_it_had() {
    let server = Server::start().await;
    let run = Run::new(here(), TraceMode::Spans);
    run.fetch(&server.url("/again"), "hello").await;
    let dialed = ["  http.getconn", "   http.dns", "   http.connect"];
    let rest = ["  http.send", "  http.wait", "  http.receive"];
    let second = [" HTTP POST", "  http.getconn"];
    assert_eq!(run.tree(), tree(&[&dialed[..], &rest, &second, &rest].concat()));
}

#[tokio::test]
async fn a_phase_that_fails_is_the_last_one() {
    let unknown = |_: &str| -> Resolving { Box::pin(async { Ok(Vec::new()) }) };
    let run = Run::new(here().resolver(unknown), TraceMode::Spans);
    run.fetch("http://no-such-host.invalid/", "hello").await;
    assert_eq!(run.tree(), tree(&["  http.getconn", "   http.dns!"]));

    let server = Server::start().await;
    let run = Run::new(here(), TraceMode::Spans);
    run.fetch(&server.url("/panic"), "hello").await;
    let dialed = ["  http.getconn", "   http.dns", "   http.connect"];
    assert_eq!(run.tree(), tree(&[&dialed[..], &["  http.send", "  http.wait"]].concat()));
}

#[tokio::test]
async fn a_request_that_is_cancelled_ends_the_phase_it_was_in() {
    let never = |_: &str| -> Resolving { Box::pin(std::future::pending()) };
    let run = Run::new(here().resolver(never), TraceMode::Spans);
    run.give_up("http://slow.test/", "hello").await;
    assert_eq!(run.tree(), cancelled(&["  http.getconn", "   http.dns"]));

    let (_full, port) = full_port().await;
    let run = Run::new(here(), TraceMode::Spans);
    run.give_up(&format!("http://localhost:{port}/"), "hello").await;
    let dialed = ["  http.getconn", "   http.dns", "   http.connect"];
    assert_eq!(run.tree(), cancelled(&dialed));

    let (_mute, port) = mute_port();
    let run = Run::new(here(), TraceMode::Spans);
    run.give_up(&format!("http://localhost:{port}/"), vec![b'x'; 64 << 20]).await;
    let sent = ["  http.send!", "  http.wait"];
    assert_eq!(run.tree(), cancelled(&[&dialed[..], &sent].concat()));

    let server = Server::start().await;
    for (path, last) in [("/late", "  http.wait"), ("/half", "  http.receive")] {
        let run = Run::new(here(), TraceMode::Spans);
        run.give_up(&server.url(path), "hello").await;
        let tree = run.tree();
        assert_eq!((&tree[..2], &**tree.last().unwrap()), (&CANCELLED.map(String::from)[..], last));
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn the_handshake_of_tls_is_a_phase_too() {
    let (config, server) = support::tls::server(&[b"http/1.1"]).await;
    let url = format!("https://localhost:{}/time", server.port());
    let dialed = ["  http.getconn", "   http.dns", "   http.connect"];
    let rest = ["  http.send", "  http.wait", "  http.receive"];
    let run = Run::new(here().tls_config(config), TraceMode::Spans);
    run.fetch(&url, "hello").await;
    assert_eq!(run.tree(), tree(&[&dialed[..], &["   http.tls"], &rest].concat()));
    // Nobody we know vouches for the server.
    let run = Run::new(here(), TraceMode::Spans);
    run.fetch(&url, "hello").await;
    assert_eq!(run.tree(), tree(&[&dialed[..], &["   http.tls!"]].concat()));
}

#[tokio::test]
async fn without_a_trace_of_the_client_hops_are_spans_with_their_end_alone() {
    let server = Server::start().await;
    let run = Run::new(here(), TraceMode::Off);
    run.fetch(&server.url("/again"), "hello").await;
    assert_eq!(run.tree(), tree(&[" HTTP POST"]));
    for (hop, status) in hops(&run.reporter).iter().zip(["307", "200"]) {
        assert_eq!(events(&hop.view()), ["ClosedBody"]);
        assert_eq!(tag(&hop.view(), "http.status_code").unwrap(), status);
        assert_eq!(tag(&hop.view(), "net/http.reused"), None, "as with ClientTrace(false)");
    }
}

#[tokio::test]
async fn a_trace_that_is_decided_about_late_has_the_events_before_that() {
    let server = Server::start().await;
    let by_tag = TagMatchingSampler::new("http.status_code").matching(503);
    let sampler = PrioritySampler::new().then(by_tag).then(ConstSampler::new(false));
    let sampler = sampler.build().unwrap();
    let reporter = InMemoryReporter::new();
    let builder = Tracer::builder("client").sampler(sampler);
    let (tracer, _closer) = builder.in_memory(&reporter).build().unwrap();
    // What is injected has to say whether the trace is recorded, and would decide it.
    let span = tracer.start_span("ask");
    let trace = Arc::new(SpanTrace::new(&tracer, span, TraceMode::Events));
    let request = Request::get(server.url("/fail")).body(()).unwrap();
    let response = HttpPool::new().round_trip(request, trace).await.unwrap();
    assert_eq!(response.into_body().read_to_end(99).await.unwrap(), "no");
    let spans = reporter.spans();
    let reported = events(&spans[0].view());
    assert_eq!((&*reported[0], &*reported[reported.len() - 1]), ("GetConn", "ClosedBody"));
    assert_eq!(tag(&spans[0].view(), "http.status_code").unwrap(), "503");
}

#[tokio::test]
async fn a_span_of_ones_own_is_reported_without_a_client() {
    let server = Server::start().await;
    let (tracer, reporter, _closer) = tracer();
    let pool = here().build();
    let span = tracer.start_span("mine");
    let trace = SpanTrace::new(&tracer, span.clone(), TraceMode::Spans);
    let request = Request::get(server.url("/time")).body(()).unwrap();
    let response = pool.round_trip(request, Arc::new(trace)).await.unwrap();
    drop(span);
    assert_eq!(tracer.stats().open, 2, "the body is still to come");
    drop(response);
    assert_eq!(tracer.stats().open, 0);
    let spans = reporter.spans();
    assert_eq!(spans.last().unwrap().view().operation_name(), "mine");
    assert_eq!(tag(&spans.last().unwrap().view(), "net/http.reused").unwrap(), "false");
}
