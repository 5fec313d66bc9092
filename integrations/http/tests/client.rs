//! The client: its spans, its redirects, its options.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests as well")]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use jaeger_client::sampler::ConstSampler;
use jaeger_client::{InMemoryReporter, TraceFutureExt, Tracer};
use jaeger_client_http::{
    ClientTrace, Error, GotConn, HttpPool, PutIdleError, RequestBody, Resolving, TraceMode,
    TracedClient,
};
use tower_service::Service;

mod support;
use support::{Server, events, eventually, hops, tag, tracer};

const SENT: [&str; 5] =
    ["GetConn", "GotConn", "WroteHeaders", "WroteRequest", "GotFirstResponseByte"];

fn whole(end: &[&str]) -> Vec<String> {
    SENT.iter().chain(end).map(|event| (*event).to_owned()).collect()
}

async fn read(client: &TracedClient, url: &str) -> Result<bytes::Bytes, Error> {
    client.get(url).await?.into_body().read_to_end(2 << 20).await
}

#[tokio::test]
async fn both_spans_end_with_the_body_and_the_request_is_the_parent() {
    let server = Server::start().await;
    let (tracer, reporter, closer) = tracer();
    let client = TracedClient::new(tracer.clone());
    let parent = tracer.start_span("parent");
    let response = client
        .request(Request::get(server.url("/stream")).body(()).unwrap())
        .send()
        .in_span(parent.clone())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(reporter.is_empty(), "the body is still to come");
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame.unwrap();
    }
    // Its end is enough, the body need not be dropped.
    let spans = reporter.spans();
    let [hop, request] = &spans[..] else { panic!("{spans:?}") };
    let (hop, request) = (hop.view(), request.view());
    assert_eq!((&*hop.operation_name(), &*request.operation_name()), ("HTTP GET", "HTTP Client"));
    assert_eq!(hop.parent_span_id, request.span_id);
    assert_eq!(request.parent_span_id, parent.context().span_id());
    assert!(hop.start_time_micros >= request.start_time_micros);
    drop(body);
    parent.finish();
    let report = closer.close(Duration::from_secs(1));
    assert_eq!((report.stats.started, report.stats.finished), (3, 3), "{report}");
}

#[tokio::test]
async fn what_is_injected_is_the_hops_own_context() {
    let server = Server::start().await;
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::new(tracer.clone());
    read(&client, &server.url("/moved")).await.unwrap();
    let seen = server.seen.lock().clone();
    let hops = hops(&reporter);
    assert_eq!((seen.len(), hops.len()), (2, 2));
    for ((_, _, headers, _), hop) in seen.iter().zip(&hops) {
        let context = tracer.extract(headers).unwrap();
        assert_eq!(context.span_id(), hop.view().span_id);
        assert_eq!(context.trace_id(), hop.view().trace_id);
    }
    assert_ne!(hops[0].view().span_id, hops[1].view().span_id);
}

#[tokio::test]
async fn redirects_change_methods_and_replay_bodies_as_in_go() {
    let server = Server::start().await;
    let (tracer, _reporter, _closer) = tracer();
    let client = TracedClient::new(tracer);
    let post = |path: &str, body: RequestBody| Request::post(server.url(path)).body(body).unwrap();
    let made = || RequestBody::replayable(|| Full::<bytes::Bytes>::from("made"));
    let once = || RequestBody::stream(Full::<bytes::Bytes>::from("once"));
    for (path, body, status, last) in [
        ("/see-other", "form".into(), 200, (Method::GET, "")),
        ("/again", "form".into(), 200, (Method::POST, "form")),
        ("/again", made(), 200, (Method::POST, "made")),
        ("/again", once(), 307, (Method::POST, "once")),
    ] {
        server.seen.lock().clear();
        let response = client.request(post(path, body)).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
        let seen = server.seen.lock().clone();
        assert_eq!(seen.len(), if status == 200 { 2 } else { 1 });
        let (method, _, headers, body) = seen.last().unwrap();
        assert_eq!((method, &body[..]), (&last.0, last.1.as_bytes()), "{path}");
        assert_eq!(headers.contains_key(header::REFERER), status == 200);
    }
}

#[tokio::test]
async fn redirects_end_after_ten_requests() {
    let server = Server::start().await;
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::new(tracer);
    let error = read(&client, &server.url("/round")).await.unwrap_err();
    assert!(matches!(error, Error::TooManyRedirects { hops: 10, .. }), "{error:?}");
    assert_eq!((server.seen.lock().len(), hops(&reporter).len(), reporter.len()), (10, 10, 11));

    let request = Request::get(server.url("/round")).body(()).unwrap();
    let response = client.request(request).follow_redirects(false).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
}

/// Returns whether both spans of a request say that it was cancelled.
fn cancelled(reporter: &InMemoryReporter) -> bool {
    let spans = reporter.spans();
    let [hop, request] = &spans[..] else { panic!("{spans:?}") };
    [hop, request].map(|span| {
        let reported = events(&span.view()).contains(&"cancelled".to_owned());
        assert_eq!(tag(&span.view(), "error").is_some(), reported);
        reported
    }) == [true, true]
}

#[tokio::test]
async fn a_request_that_is_cancelled_says_so_and_ends_its_spans_and_its_connection() {
    let server = Server::start().await;
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::new(tracer.clone());
    read(&client, &server.url("/time")).await.unwrap();
    reporter.reset();
    let url = server.url("/late");
    // Long enough for the request to be sent, on a busy machine too.
    let given_up = tokio::time::timeout(Duration::from_secs(1), client.get(&url)).await;
    assert!(given_up.is_err());
    assert!(cancelled(&reporter));
    let spans = reporter.spans();
    assert_eq!(events(&spans[0].view()), [&SENT[..4], &["cancelled"]].concat());
    assert_eq!(events(&spans[1].view()), ["cancelled"]);
    assert_eq!(tag(&spans[0].view(), "http.status_code"), None);
    assert_eq!(tracer.stats().open, 0);
    // The next one needs its own connection.
    read(&client, &server.url("/time")).await.unwrap();
    assert_eq!(server.accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_request_that_is_cancelled_while_its_host_is_looked_up_says_so() {
    let never = |_: &str| -> Resolving { Box::pin(std::future::pending()) };
    let (tracer, reporter, _closer) = tracer();
    let pool = HttpPool::builder().resolver(never).build();
    let client = TracedClient::builder(tracer).pool(pool).client_trace(TraceMode::Off).build();
    tokio::select! {
        biased;
        response = client.get("http://slow.test/") => panic!("{response:?}"),
        () = tokio::task::yield_now() => {}
    }
    assert!(cancelled(&reporter), "without a trace of the client, too");
}

#[tokio::test]
async fn a_body_that_is_dropped_while_it_is_waited_for_is_cancelled() {
    let server = Server::start().await;
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::new(tracer);
    let mut body = client.get(&server.url("/half")).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "piece");
    assert!(tokio::time::timeout(Duration::from_millis(50), body.frame()).await.is_err());
    drop(body);
    assert!(cancelled(&reporter));
    let reported = events(&reporter.spans()[0].view());
    assert_eq!(reported[reported.len() - 2..], ["cancelled", "ClosedBody"]);
}

#[tokio::test]
async fn a_body_dropped_between_its_parts_is_closed_and_its_connection_is_not_reused() {
    let server = Server::start().await;
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::new(tracer);
    // Nothing of it is wanted; then a part of it is.
    for (path, read) in [("/large", 0), ("/half", 1)] {
        reporter.reset();
        let mut body = client.get(&server.url(path)).await.unwrap().into_body();
        for _ in 0..read {
            body.frame().await.unwrap().unwrap();
        }
        drop(body);
        assert!(!cancelled(&reporter), "the caller had what was needed");
        let reported = events(&reporter.spans()[0].view());
        assert_eq!(reported[reported.len() - 2..], ["GotFirstResponseByte", "ClosedBody"]);
    }
    read(&client, &server.url("/time")).await.unwrap();
    assert_eq!(server.accepted.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_request_that_fails_or_is_late_was_not_cancelled() {
    let server = Server::start().await;
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::builder(tracer).timeout(Duration::from_millis(100)).build();
    for (path, spans) in [("/late", 2), ("/half", 2), ("/panic", 2), ("/large", 2)] {
        reporter.reset();
        let response = client.get(&server.url(path)).await;
        if let Ok(response) = response {
            response.into_body().read_to_end(99).await.unwrap_err();
        }
        assert_eq!(reporter.len(), spans, "{path}");
        assert!(!cancelled(&reporter), "{path}");
    }
}

#[tokio::test]
async fn a_body_longer_than_wanted_is_an_error_and_a_large_one_comes_whole() {
    let server = Server::start().await;
    let client = TracedClient::new(tracer().0);
    assert_eq!(read(&client, &server.url("/large")).await.unwrap().len(), 1 << 20);
    let response = client.get(&server.url("/large")).await.unwrap();
    let error = response.into_body().read_to_end((1 << 20) - 1).await.unwrap_err();
    assert!(matches!(error, Error::TooLong { .. }), "{error:?}");
}

#[tokio::test]
async fn a_request_whose_body_fails_is_reported_as_in_go() {
    let server = Server::start().await;
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::new(tracer);
    let body = RequestBody::stream(Failing(0));
    let request = Request::post(server.url("/time")).body(body).unwrap();
    client.request(request).send().await.unwrap_err();
    let spans = reporter.spans();
    let reported = events(&spans[0].view());
    assert_eq!(reported[reported.len() - 2..], ["WroteHeaders", "WroteRequest!"]);
    assert_eq!(tag(&spans[0].view(), "error").unwrap(), "true");
}

/// A body that breaks off after a frame.
struct Failing(u8);

impl http_body::Body for Failing {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, std::io::Error>>> {
        self.0 += 1;
        match self.0 {
            1 => Poll::Ready(Some(Ok(Frame::data("piece".into())))),
            // Once later, so that what came before is on its way.
            2 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(Some(Err(std::io::Error::other("the source broke")))),
        }
    }
}

#[tokio::test]
async fn options_change_names_tags_and_what_is_sent() {
    let server = Server::start().await;
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::builder(tracer)
        .operation_name("ask")
        .component_name("ours")
        .inject_span_context(false)
        .url_tag(|url| url.path().to_owned())
        .span_observer(|span, request| {
            span.set_tag("seen", request.method.as_str());
        })
        .client_trace(TraceMode::Off)
        .build();
    read(&client, &server.url("/time?secret")).await.unwrap();
    let spans = reporter.spans();
    let hop = spans[0].view();
    assert_eq!(spans[1].view().operation_name(), "ask");
    assert_eq!(tag(&hop, "component").unwrap(), "ours");
    assert_eq!(tag(&hop, "http.url").unwrap(), "/time");
    assert_eq!(tag(&hop, "seen").unwrap(), "GET");
    assert_eq!(tag(&hop, "net/http.reused"), None, "as with ClientTrace(false)");
    assert_eq!(events(&hop), ["ClosedBody"]);
    assert!(!server.seen.lock()[0].2.contains_key("uber-trace-id"));

    reporter.reset();
    let request = Request::get(server.url("/time")).body(()).unwrap();
    let request = client.request(request).client_trace(TraceMode::Events).operation_name("once");
    request.send().await.unwrap().into_body().read_to_end(99).await.unwrap();
    let spans = reporter.spans();
    assert_eq!(events(&spans[0].view()), whole(&["PutIdleConn", "ClosedBody"]));
    assert_eq!(spans[1].view().operation_name(), "once");
}

#[tokio::test]
async fn a_method_that_is_made_up_is_no_name_of_a_span() {
    let server = Server::start().await;
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::new(tracer);
    let request = Request::builder().method("XyZ123").uri(server.url("/time")).body(()).unwrap();
    client.request(request).send().await.unwrap().into_body().read_to_end(99).await.unwrap();
    let hop = &reporter.spans()[0];
    assert_eq!(hop.view().operation_name(), "HTTP");
    assert_eq!(tag(&hop.view(), "http.method").unwrap(), "XyZ123");
    assert_eq!(server.seen.lock()[0].0, "XyZ123");
}

#[tokio::test]
async fn phases_can_be_spans_of_their_own() {
    let server = Server::start().await;
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::builder(tracer.clone()).client_trace(TraceMode::Spans).build();
    read(&client, &server.url("/time")).await.unwrap();
    let spans = reporter.spans();
    let names: Vec<_> =
        spans.iter().map(|span| span.view().operation_name().into_owned()).collect();
    assert_eq!(names[..3], ["http.dns", "http.connect", "http.getconn"][..]);
    let rest = ["http.send", "http.wait", "http.receive", "HTTP GET", "HTTP Client"];
    assert_eq!(names[names.len() - 5..], rest);
    let find = |name: &str| spans[names.iter().position(|other| other == name).unwrap()].view();
    let hop = find("HTTP GET");
    assert_eq!(find("http.dns").parent_span_id, find("http.getconn").span_id);
    for name in ["http.getconn", "http.send", "http.wait", "http.receive"] {
        assert_eq!(find(name).parent_span_id, hop.span_id, "{name}");
    }
    assert_eq!(events(&hop), ["ClosedBody"]);
    assert_eq!(tag(&hop, "net/http.reused").unwrap(), "false");
    assert_eq!(tracer.stats().open, 0);
}

#[tokio::test]
async fn a_request_that_is_not_sampled_says_so_to_the_server_and_keeps_nothing() {
    let server = Server::start().await;
    let reporter = InMemoryReporter::new();
    let never = Tracer::builder("client").sampler(ConstSampler::new(false));
    let (tracer, _closer) = never.in_memory(&reporter).build().unwrap();
    read(&TracedClient::new(tracer.clone()), &server.url("/moved")).await.unwrap();
    assert!(reporter.is_empty());
    assert_eq!((tracer.stats().started, tracer.stats().not_sampled), (3, 3));
    let context = tracer.extract(&server.seen.lock()[1].2).unwrap();
    assert!(!context.is_sampled());
}

#[tokio::test]
async fn a_server_may_respond_before_it_has_the_body() {
    let server = Server::start().await;
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::new(tracer);
    let body = vec![b'x'; 4 << 20];
    let request = Request::post(server.url("/early")).body(body).unwrap();
    if let Ok(response) = client.request(request).send().await {
        let _ = response.into_body().read_to_end(99).await;
    }
    // Whether the server waits for the rest is its affair; the spans end in any case.
    assert_eq!(reporter.len(), 2);
    read(&client, &server.url("/time")).await.unwrap();
}

#[tokio::test]
async fn the_client_is_a_tower_service() {
    let server = Server::start().await;
    let (tracer, reporter, _closer) = tracer();
    let mut client = TracedClient::new(tracer);
    let request = Request::get(server.url("/time")).body(RequestBody::empty()).unwrap();
    let response = client.call(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "The time is now");
    assert_eq!(reporter.len(), 2);
}

#[tokio::test]
async fn an_unusable_url_ends_both_spans() {
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::new(tracer);
    for url in ["ftp://host/", "http://user:secret@host/", "/path"] {
        reporter.reset();
        let error = client.get(url).await.unwrap_err();
        assert!(matches!(error, Error::Url { .. }) && !error.to_string().contains("secret"));
        assert_eq!(reporter.len(), 2, "{url}");
    }
    assert!(matches!(client.get("a b").await.unwrap_err(), Error::Url { .. }));
}

/// Counts what became of connections.
#[derive(Default)]
struct Puts {
    retained: AtomicUsize,
    refused: AtomicUsize,
    reused: AtomicUsize,
}

impl ClientTrace for Puts {
    fn got_conn(&self, conn: &GotConn) {
        self.reused.fetch_add(usize::from(conn.reused), Ordering::Relaxed);
    }

    fn put_idle_conn(&self, error: Option<PutIdleError>) {
        let count = if error.is_none() { &self.retained } else { &self.refused };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

async fn fetch(pool: &HttpPool, url: String, puts: &Arc<Puts>) {
    let request = Request::get(url).body(()).unwrap();
    let trace = Arc::clone(puts) as Arc<dyn ClientTrace>;
    let response = pool.round_trip(request, trace).await.unwrap();
    response.into_body().read_to_end(99).await.unwrap();
}

#[tokio::test]
async fn idle_connections_are_bounded_per_host_and_in_all() {
    let servers = [Server::start().await, Server::start().await];
    let pool = HttpPool::builder().max_idle_per_host(2).max_idle(3).build();
    let puts = Arc::new(Puts::default());
    for server in &servers {
        let three = (0..3).map(|_| fetch(&pool, server.url("/stream"), &puts));
        let [a, b, c] = &mut three.map(Box::pin).collect::<Vec<_>>()[..] else { panic!("three") };
        tokio::join!(a, b, c);
    }
    assert_eq!(
        (puts.retained.load(Ordering::Relaxed), puts.refused.load(Ordering::Relaxed)),
        (4, 2)
    );
    // Of the four, the oldest had to go: one to the first server is left, and two to the second.
    for (server, left) in servers.iter().zip([1, 2]).rev() {
        let before = server.accepted.load(Ordering::SeqCst);
        let two = (0..2).map(|_| fetch(&pool, server.url("/stream"), &puts));
        let [a, b] = &mut two.map(Box::pin).collect::<Vec<_>>()[..] else { panic!("two") };
        tokio::join!(a, b);
        assert_eq!(server.accepted.load(Ordering::SeqCst) - before, 2 - left);
    }
}

#[tokio::test]
async fn connections_that_are_idle_too_long_or_closed_by_the_server_are_not_used() {
    let server = Server::start().await;
    let closed = || server.closed.load(Ordering::SeqCst);
    let pool = HttpPool::builder().idle_timeout(Duration::from_millis(50)).build();
    let puts = Arc::new(Puts::default());
    fetch(&pool, server.url("/time"), &puts).await;
    // Nobody asks for it: the pool closes it by itself.
    eventually("the connection is closed", || closed() == 1).await;
    fetch(&pool, server.url("/time"), &puts).await;
    assert_eq!(puts.reused.load(Ordering::Relaxed), 0);

    // One that the server has closed meanwhile is found out before anything is sent over it.
    let pool = HttpPool::new();
    fetch(&pool, server.url("/time"), &puts).await;
    server.close_all();
    eventually("the server has closed it", || closed() == server.accepted.load(Ordering::SeqCst))
        .await;
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::builder(tracer).pool(pool).build();
    let request = Request::post(server.url("/time")).body("once").unwrap();
    client.request(request).send().await.unwrap();
    let spans = reporter.spans();
    assert_eq!(events(&spans[0].view())[..2], ["GetConn", "DNSStart"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_outlives_the_runtime_it_was_used_on() {
    let server = Server::start().await;
    let pool = HttpPool::new();
    let puts = Arc::new(Puts::default());
    for _ in 0..3 {
        let (pool, puts, url) = (pool.clone(), Arc::clone(&puts), server.url("/time"));
        let elsewhere = tokio::task::spawn_blocking(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(async {
                fetch(&pool, url.clone(), &puts).await;
                fetch(&pool, url, &puts).await;
            });
        });
        elsewhere.await.unwrap();
    }
    assert_eq!(puts.reused.load(Ordering::Relaxed), 3, "a dead runtime's connections are not");
}

#[tokio::test]
async fn a_connection_that_waits_in_the_pool_holds_no_span() {
    let server = Server::start().await;
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::new(tracer.clone());
    let around = tracer.start_span("around");
    read(&client, &server.url("/time")).in_span(around).await.unwrap();
    assert_eq!(tracer.stats().open, 0);
    read(&client, &server.url("/time")).await.unwrap();
    let last = reporter.spans().pop().unwrap();
    assert_eq!(last.view().operation_name(), "HTTP Client");
    assert_eq!(last.view().parent_span_id, jaeger_client::SpanId::NONE);
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
}
