//! The parent of a request's span, where spans of several tracers are active.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use http::Request;
use jaeger_client::TraceFutureExt;
use jaeger_client_http::{RequestBody, TracedClient};
use tower_service::Service;

mod support;
use support::{Server, tracer};

#[tokio::test]
async fn the_parent_of_a_request_is_the_nearest_active_span_of_the_clients_tracer() {
    let server = Server::start().await;
    let (own, reporter, _closer) = tracer();
    let (other, ..) = tracer();
    let mut client = TracedClient::new(own.clone());
    let request = || Request::get(server.url("/time")).body(RequestBody::default()).unwrap();

    let (outer, inner) = (own.start_span("outer"), other.start_span("inner"));
    let called = {
        let (_outer, _inner) = (outer.activate(), inner.activate());
        client.call(request())
    };
    let sent = client.request(request()).send();
    let sent = sent.in_span(inner.clone()).in_span(outer.clone());
    // What is called has its parent from where that was done, what is sent from where it is polled.
    for response in [called.await.unwrap(), sent.await.unwrap()] {
        response.into_body().read_to_end(99).await.unwrap();
    }
    let spans = reporter.spans();
    let requests = spans.iter().filter(|span| span.view().operation_name() == "HTTP Client");
    let parents: Vec<_> = requests.map(|span| span.view().parent_span_id).collect();
    assert_eq!(parents, [outer.context().span_id(); 2]);
}
