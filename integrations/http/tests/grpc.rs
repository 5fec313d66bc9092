//! gRPC with tonic as it is: how calls end, as the server's span and the client's tell it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests as well")]

use std::time::Duration;

use http::uri::PathAndQuery;
use jaeger_client::{Closer, FinishedSpan, InMemoryReporter, Span, Tracer};
use jaeger_client_http::{ClientLayer, ClientService, SemanticConventions, TagNames, TraceLayer};
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tower_layer::Layer;

mod support;
use support::echo::{STREAM, Text, UNARY, UNKNOWN};
use support::{eventually, tag, tracer};

/// Long enough for a call to get to its server, on a busy machine too.
const SHORT: Duration = Duration::from_secs(1);

/// A client and a server, each with its layer, and what they tell.
struct Pair {
    client: Grpc<ClientService<Channel>>,
    caller: Tracer,
    sides: [InMemoryReporter; 2],
    _closers: [Closer; 2],
}

impl Pair {
    async fn start(names: TagNames) -> Self {
        let ((caller, requested, first), (server, served, second)) = (tracer(), tracer());
        let conventions = SemanticConventions::default().rpc(names);
        let layer = TraceLayer::new(server).semantic_conventions(conventions);
        let address = support::echo::serve(layer).await;
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let layer = ClientLayer::new(caller.clone()).semantic_conventions(conventions);
        let client = Grpc::new(layer.layer(endpoint.connect().await.unwrap()));
        Self { client, caller, sides: [requested, served], _closers: [first, second] }
    }

    async fn unary(
        &mut self,
        request: Request<String>,
        path: &'static str,
    ) -> Result<String, Status> {
        self.client.ready().await.unwrap();
        Ok(self.client.unary(request, PathAndQuery::from_static(path), Text).await?.into_inner())
    }

    async fn stream(&mut self, text: &str) -> Result<tonic::Streaming<String>, Status> {
        self.client.ready().await.unwrap();
        let request = Request::new(text.to_owned());
        Ok(self
            .client
            .server_streaming(request, PathAndQuery::from_static(STREAM), Text)
            .await?
            .into_inner())
    }

    /// The span of the only call, seen from both sides. They are one trace.
    async fn spans(&self) -> [FinishedSpan; 2] {
        let [requested, served] = &self.sides;
        eventually("both spans are finished", || requested.len() == 1 && served.len() == 1).await;
        let spans = [requested.spans().remove(0), served.spans().remove(0)];
        let [requested, served] = [spans[0].view(), spans[1].view()];
        assert_eq!(
            (requested.trace_id, requested.span_id),
            (served.trace_id, served.parent_span_id)
        );
        assert_eq!((self.caller.stats().open, self.caller.stats().misused), (0, 0));
        self.sides.iter().for_each(InMemoryReporter::reset);
        spans
    }
}

/// Code, error and events of a span.
fn end(span: &FinishedSpan) -> (String, bool, Vec<String>) {
    let view = span.view();
    let code = tag(&view, "rpc.grpc.status_code").unwrap_or_default();
    (code, tag(&view, "error").as_deref() == Some("true"), support::events(&view))
}

fn ended(code: &str, error: bool, events: &[&str]) -> (String, bool, Vec<String>) {
    (code.to_owned(), error, events.iter().map(|&event| event.to_owned()).collect())
}

fn text(text: &str) -> Request<String> {
    Request::new(text.to_owned())
}

#[tokio::test]
async fn a_call_that_succeeds_is_a_span_at_each_side_named_by_its_method() {
    let mut pair = Pair::start(TagNames::Jaeger).await;
    assert_eq!(pair.unary(text("hello"), UNARY).await.unwrap(), "hello");
    let [requested, served] = pair.spans().await;
    let keys = ["span.kind", "component", "rpc.system", "rpc.service", "rpc.method"];
    for (span, kind) in [(&requested, "client"), (&served, "server")] {
        assert_eq!(span.view().operation_name(), "/test.v1.Echo/Unary");
        let tags = keys.map(|key| tag(&span.view(), key).unwrap_or_default());
        assert_eq!(tags, [kind, "gRPC", "grpc", "test.v1.Echo", "Unary"]);
        assert_eq!(tag(&span.view(), "http.method"), None);
        assert_eq!(tag(&span.view(), "http.status_code"), None, "it is 200 whatever happens");
    }
    assert_eq!(tag(&requested.view(), "peer.address"), None, "a channel adds it below the layer");
    assert_eq!(end(&requested), ended("0", false, &["ClosedBody"]));
    assert_eq!(end(&served), ended("0", false, &[]));
}

#[tokio::test]
async fn a_code_is_an_error_of_the_client_and_of_a_server_that_is_to_blame() {
    let mut pair = Pair::start(TagNames::Jaeger).await;
    let error = pair.unary(text("missing"), UNARY).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    let [requested, served] = pair.spans().await;
    assert_eq!(end(&requested), ended("5", true, &["error", "ClosedBody"]));
    assert_eq!(end(&served), ended("5", false, &[]));
    let view = requested.view();
    let log = view.logs().next().unwrap();
    let message = log.fields().find(|field| field.key == b"message").unwrap();
    assert_eq!(support::text(message.value), "no such user: ü");

    let error = pair.unary(text("broken"), UNARY).await.unwrap_err();
    assert_eq!(error.code(), Code::Internal);
    let [requested, served] = pair.spans().await;
    assert_eq!(end(&requested), ended("13", true, &["error", "ClosedBody"]));
    assert_eq!(end(&served), ended("13", true, &["error"]));
}

#[tokio::test]
async fn a_stream_says_in_its_trailers_how_it_ended() {
    let mut pair = Pair::start(TagNames::Jaeger).await;
    for (how, code, error) in [("well", "0", false), ("broken", "13", true)] {
        let mut stream = pair.stream(how).await.unwrap();
        assert_eq!(stream.message().await.unwrap().as_deref(), Some("one"));
        assert_eq!(pair.sides[0].len(), 0, "not before the stream is at its end");
        assert_eq!(stream.message().await.unwrap().as_deref(), Some("two"));
        let last = stream.message().await;
        assert_eq!(last.err().map(|status| status.code()), error.then_some(Code::Internal));
        let [requested, served] = pair.spans().await;
        assert_eq!(requested.view().operation_name(), "/test.v1.Echo/Stream");
        let logged: &[&str] = if error { &["error"] } else { &[] };
        assert_eq!(end(&served), ended(code, error, logged), "{how}");
        let logged = [logged, &["ClosedBody"]].concat();
        assert_eq!(end(&requested), ended(code, error, &logged), "{how}");
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_was_cancelled_and_no_error_of_the_server() {
    let mut pair = Pair::start(TagNames::Jaeger).await;
    // Before the head of the response, once the server has the call.
    let served = pair.sides[1].clone();
    let late = tokio::time::timeout(SHORT, pair.unary(text("late"), UNARY));
    assert!(late.await.is_err());
    eventually("the server's span is finished", || served.len() == 1).await;
    let [requested, served] = pair.spans().await;
    assert_eq!(end(&requested), ended("1", true, &["cancelled"]));
    assert_eq!(end(&served), ended("1", false, &["cancelled"]));

    // Within a stream, between two messages.
    let mut stream = pair.stream("late").await.unwrap();
    stream.message().await.unwrap();
    drop(stream);
    let [requested, served] = pair.spans().await;
    assert_eq!(end(&requested), ended("1", true, &["cancelled"]));
    assert_eq!(end(&served), ended("1", false, &["cancelled"]));
}

#[tokio::test]
async fn a_deadline_that_goes_with_the_call_is_distinguished_from_a_cancellation() {
    let mut pair = Pair::start(TagNames::Jaeger).await;
    // The caller's time is over a moment before the server's, which began with the request's arrival: if
    // its cancellation arrives as fast, the server cannot know why.
    for _ in 0..40 {
        let mut request = text("late");
        request.set_timeout(SHORT);
        pair.unary(request, UNARY).await.unwrap_err();
        let [requested, served] = pair.spans().await;
        // tonic's channel gives up by itself, or hears its server say so, whichever is first.
        let (code, error, events) = end(&requested);
        assert!(error && matches!(code.as_str(), "1" | "4"), "{code}");
        assert!(events.contains(&"deadline exceeded".to_owned()), "{events:?}");
        if end(&served) == ended("4", true, &["deadline exceeded"]) {
            return;
        }
        assert_eq!(end(&served), ended("1", false, &["cancelled"]));
    }
    panic!("the server never saw that its time was over");
}

#[tokio::test]
async fn a_method_that_nobody_serves_names_no_span_of_the_server() {
    let mut pair = Pair::start(TagNames::Jaeger).await;
    pair.unary(text("hello"), UNKNOWN).await.unwrap_err();
    let [requested, served] = pair.spans().await;
    assert_eq!(requested.view().operation_name(), "/test.v1.Echo/MadeUp");
    assert_eq!(served.view().operation_name(), "gRPC");
    assert_eq!(end(&served), ended("12", true, &[]));
}

#[tokio::test]
async fn names_of_opentelemetry_alone_and_beside_jaegers() {
    let keys = [
        "rpc.system",
        "rpc.system.name",
        "rpc.service",
        "rpc.method",
        "rpc.grpc.status_code",
        "rpc.response.status_code",
        "error.type",
    ];
    let (full, name) = ("test.v1.Echo/Unary", "NOT_FOUND");
    for (names, operation, expected) in [
        (TagNames::OpenTelemetry, full, ["", "grpc", "", full, "", name, name]),
        (
            TagNames::Both,
            "/test.v1.Echo/Unary",
            ["grpc", "grpc", "test.v1.Echo", full, "5", name, name],
        ),
    ] {
        let mut pair = Pair::start(names).await;
        pair.unary(text("missing"), UNARY).await.unwrap_err();
        let [requested, served] = pair.spans().await;
        let tags = keys.map(|key| tag(&requested.view(), key).unwrap_or_default());
        assert_eq!(tags, expected);
        assert_eq!(requested.view().operation_name(), operation);
        assert_eq!(tag(&served.view(), "error.type"), None);
        assert_eq!(tag(&served.view(), "server.address").unwrap(), "127.0.0.1");
    }
}

#[tokio::test]
async fn a_call_that_cannot_connect_says_why() {
    let (caller, reporter, _closer) = tracer();
    let (_refuses, port) = support::refusing_port();
    let channel = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap().connect_lazy();
    let mut client = Grpc::new(ClientLayer::new(caller).layer(channel));
    client.ready().await.unwrap();
    client
        .unary(text("hello"), PathAndQuery::from_static(UNARY), Text)
        .await
        .map(|_: tonic::Response<String>| ())
        .unwrap_err();
    let spans = reporter.spans();
    assert_eq!(end(&spans[0]), ended("", true, &["error"]));
    let view = spans[0].view();
    let log = view.logs().next().unwrap();
    let object = log.fields().find(|field| field.key == b"error.object").unwrap();
    assert!(support::text(object.value).contains("refused"), "{}", support::text(object.value));
}

#[tokio::test]
async fn the_parent_is_what_the_call_was_given_or_the_active_span() {
    let mut pair = Pair::start(TagNames::Jaeger).await;
    let (active, given) = (pair.caller.start_span("active"), pair.caller.start_span("given"));
    let parent = |span: &Span| span.context().span_id();
    let mut request = text("hello");
    request.extensions_mut().insert(given.clone());
    let call = pair.unary(request, UNARY);
    jaeger_client::TraceFutureExt::in_span(call, active.clone()).await.unwrap();
    let mut request = text("hello");
    request.extensions_mut().insert(given.context());
    pair.unary(request, UNARY).await.unwrap();
    let call = pair.unary(text("hello"), UNARY);
    jaeger_client::TraceFutureExt::in_span(call, active.clone()).await.unwrap();
    let parents: Vec<_> =
        pair.sides[0].spans().iter().map(|span| span.view().parent_span_id).collect();
    assert_eq!(parents, [parent(&given), parent(&given), parent(&active)]);
}
