//! What the article shows: one trace of both services, with the spans and tags of go-stdlib.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use std::time::Duration;

use jaeger_client::encoding::{LogView, ValueView};
use jaeger_client::{Closer, SpanId, Tracer};
use jaeger_client_embedded_agent::{EmbeddedAgent, ReceivedSpan};
use nethttp::client;
use nethttp::server::Server;
use tokio::sync::oneshot;

const PATIENCE: Duration = Duration::from_secs(60);

fn tracer(service: &str, agent: &EmbeddedAgent) -> (Tracer, Closer) {
    Tracer::builder(service).agent(agent.compact_addr().to_string()).build().unwrap()
}

/// A port that no system gives to a program that asks for a free one, and at which nobody listens.
const NOBODYS: u16 = 1;

/// The tags in the order of their keys, without those of the sampler, which a root has.
fn tags(span: &ReceivedSpan) -> Vec<(String, ValueView<'_>)> {
    let tags = span.view().tags();
    let mut tags: Vec<_> =
        tags.map(|tag| (String::from_utf8(tag.key.to_vec()).unwrap(), tag.value)).collect();
    tags.retain(|(key, _)| !key.starts_with("sampler."));
    tags.sort_by(|a, b| a.0.cmp(&b.0));
    tags
}

fn text(value: &str) -> ValueView<'_> {
    ValueView::Str(value.as_bytes())
}

fn is(span: &ReceivedSpan, service: &str, operation: &str, expected: &[(&str, ValueView<'_>)]) {
    assert_eq!((&*span.service(), &*span.operation_name()), (service, operation));
    let expected: Vec<_> =
        expected.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
    assert_eq!(tags(span), expected, "tags of {service}: {operation}");
}

/// What a run of the article's program with Go 1.26 and go-stdlib v1.1.1 logs to its hops, in order:
/// to the one that connects, and to the one after it. The cases `new` and `reused` of
/// `integrations/http/tests/golden` are their full texts.
const NEW: &[&str] = &[
    "GetConn",
    "DNSStart",
    "DNSDone",
    "ConnectStart",
    "ConnectDone",
    "GotConn",
    "WroteHeaders",
    "WroteRequest",
    "GotFirstResponseByte",
    "PutIdleConn",
    "ClosedBody",
];
const REUSED: &[&str] = &[
    "GetConn",
    "GotConn",
    "WroteHeaders",
    "WroteRequest",
    "GotFirstResponseByte",
    "PutIdleConn",
    "ClosedBody",
];

/// The names of a hop's events. Of the addresses of `localhost`, those that did not connect are left
/// out: how many there are is the system's affair.
fn events(hop: &ReceivedSpan) -> Vec<String> {
    let name = |log: LogView<'_>| {
        let ValueView::Str(name) = log.fields().next().unwrap().value else { return String::new() };
        String::from_utf8(name.to_vec()).unwrap()
    };
    let mut events: Vec<_> = hop.view().logs().map(name).collect();
    while let Some(done) = events.windows(2).position(|w| w == ["ConnectDone", "ConnectStart"]) {
        events.drain(done..done + 2);
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirected_request_is_one_trace_of_both_services() {
    let agent = EmbeddedAgent::start().unwrap();
    let (client_tracer, client_closer) = tracer("client", &agent);
    let (server_tracer, server_closer) = tracer("server", &agent);
    let server = Server::bind(0).await.unwrap();
    let port = server.port();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(server_tracer, async {
        let _ = stopped.await;
    }));

    let result = client::call(&client_tracer, port).await.result.unwrap();
    drop(stop);
    serving.await.unwrap();

    let time = result.strip_prefix("The time is ").unwrap();
    assert_eq!(time.len(), "Mon Jan _2 15:04:05 2006".len(), "{time}");
    jiff::civil::DateTime::strptime("%a %b %e %H:%M:%S %Y", time).unwrap();

    for (closer, spans) in [(client_closer, 4), (server_closer, 2)] {
        let report = closer.close_async(PATIENCE).await;
        assert!(report.complete && report.stats.is_balanced(), "{report}");
        assert_eq!((report.stats.started, report.stats.sent), (spans, spans), "{report}");
    }
    let spans = agent.wait_for_spans(6, PATIENCE).unwrap();
    let trace = agent.trace(spans[0].trace_id()).unwrap();
    assert_eq!(trace.spans().len(), 6, "one trace has them all: {trace}");

    let root = trace.root().unwrap();
    assert_eq!(root.parent_span_id(), SpanId::NONE);
    is(root, "client", "client", &[("component", text("client"))]);
    let [request] = trace.children(root)[..] else { panic!("one request: {trace}") };
    is(request, "client", "HTTP Client", &[]);

    let hops = trace.children(request);
    let base = format!("http://localhost:{port}");
    let redirect = format!("<a href=\"{base}/gettime\">Moved Permanently</a>.\n\n").len();
    let expected = [("/", 301, redirect, false), ("/gettime", 200, result.len(), true)];
    assert_eq!(hops.len(), expected.len(), "{trace}");
    for (hop, (path, status, size, reused)) in hops.into_iter().zip(expected) {
        assert_eq!(hop.parent_span_id(), request.span_id());
        let url = format!("{base}{path}");
        let client_side = [
            ("component", text("net/http")),
            ("http.method", text("GET")),
            ("http.status_code", ValueView::Long(status)),
            ("http.url", text(&url)),
            ("net/http.reused", ValueView::Bool(reused)),
            ("net/http.was_idle", ValueView::Bool(reused)),
            ("peer.address", text(&base["http://".len()..])),
            ("span.kind", text("client")),
        ];
        is(hop, "client", "HTTP GET", &client_side);
        assert_eq!(events(hop), if reused { REUSED } else { NEW }, "{trace}");

        let [served] = trace.children(hop)[..] else { panic!("served once: {trace}") };
        assert_eq!(served.parent_span_id(), hop.span_id());
        assert_eq!(served.trace_id(), root.trace_id());
        let server_side = [
            ("component", text("net/http")),
            ("http.method", text("GET")),
            ("http.response_size", ValueView::Long(size.try_into().unwrap())),
            ("http.status_code", ValueView::Long(status)),
            ("http.url", text(path)),
            ("span.kind", text("server")),
        ];
        is(served, "server", "HTTP GET", &server_side);
        assert!(trace.children(served).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_the_clients_span_says_why_it_failed() {
    let agent = EmbeddedAgent::start().unwrap();
    let (tracer, closer) = tracer("client", &agent);
    let port = NOBODYS;

    let error = client::call(&tracer, port).await.result.unwrap_err().to_string();
    assert!(error.starts_with(&format!("GET http://localhost:{port}/: ")), "{error}");

    let report = closer.close_async(PATIENCE).await;
    assert_eq!((report.stats.sent, report.stats.open), (3, 0), "{report}");
    agent.wait_for_spans(3, PATIENCE).unwrap();
    let [trace] = &agent.traces()[..] else { panic!("one trace") };
    let root = trace.root().unwrap();
    let expected = [("component", text("client")), ("error", ValueView::Bool(true))];
    is(root, "client", "client", &expected);
    let logs: Vec<_> = root.view().logs().collect();
    assert_eq!(logs.len(), 1);
    let reported: Vec<_> = logs[0].fields().map(|field| (field.key, field.value)).collect();
    assert_eq!(reported, [(&b"event"[..], text("error")), (b"error.object", text(&error))]);
    assert_eq!(trace.error_count(), 1, "as in Go, the hop has no status and no error: {trace}");
}
