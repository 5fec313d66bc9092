//! A service of axum and one of tonic, with the layers of `jaeger-client-http` in clients and servers: one
//! trace in Jaeger, each span below that of its caller.

#![expect(clippy::disallowed_methods, reason = "tests wait")]
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use http::Request;
use http::uri::PathAndQuery;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use interop::backend::{Backend, Kind};
use interop::{opt_in, parentage, span};
use jaeger_client::{Closer, TraceFutureExt, Tracer};
use jaeger_client_http::{ClientLayer, ClientService, TraceLayer, TracedConnector};
use serde_json::json;
use tonic::transport::{Channel, Endpoint};
use tower_layer::Layer;
use tower_service::Service;

#[path = "../../integrations/http/tests/support/echo.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of it is used")]
mod echo;

type Stock = tonic::client::Grpc<ClientService<Channel>>;

/// The handler of the axum service, which calls the tonic service.
async fn order(
    State(mut stock): State<Stock>,
    Path(id): Path<String>,
) -> Result<String, StatusCode> {
    stock.ready().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let path = PathAndQuery::from_static(echo::UNARY);
    let response = stock.unary(tonic::Request::new(id), path, echo::Text).await;
    response.map(tonic::Response::into_inner).map_err(|_| StatusCode::BAD_GATEWAY)
}

/// Requests an order within a span, and returns the trace id.
async fn fetch(tracers: [&Tracer; 3], id: &str) -> String {
    let [edge, shop, stock] = tracers.map(Clone::clone);
    let address = echo::serve(TraceLayer::new(stock)).await;
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await;
    let stock = Stock::new(ClientLayer::new(shop.clone()).layer(channel.unwrap()));
    let app = Router::new().route("/orders/{id}", get(order)).with_state(stock);
    let app = app.layer(TraceLayer::new(shop));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/orders/{id}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let connector = TracedConnector::new(HttpConnector::new());
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let mut client = ClientLayer::new(edge.clone()).layer(client);
    let span = edge.start_span("order");
    let trace_id = span.context().trace_id().to_string();
    let requested = async {
        let request = Request::get(url).body(Empty::<axum::body::Bytes>::new()).unwrap();
        client.call(request).await.unwrap().into_body().collect().await.unwrap()
    };
    requested.in_span(span).await;
    trace_id
}

#[test]
fn services_of_axum_and_tonic_make_one_trace() {
    for kind in [Kind::JaegerV2, Kind::JaegerV1] {
        let test = format!("services, {kind:?}");
        let Some(backend) = opt_in::set_up(&test, || Backend::start(kind)) else { return };
        let start = |service: &str| -> (Tracer, Closer) {
            Tracer::builder(service).agent(backend.address("compact")).build().unwrap()
        };
        let services = ["edge", "shop", "stock"].map(start);
        let tracers = services.each_ref().map(|(tracer, _)| tracer);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let traces = ["7", "broken"].map(|id| runtime.block_on(fetch(tracers, id)));
        runtime.shutdown_timeout(TIMEOUT);
        for (_, closer) in services {
            let report = closer.close(TIMEOUT);
            let stats = report.stats;
            assert!(report.complete && stats.open == 0 && stats.dropped.total() == 0, "{report}");
            assert_eq!((stats.sent, stats.misused), (stats.started, 0), "{report}");
        }

        let call = "/test.v1.Echo/Unary";
        let expected = [
            ("edge", "order"),
            ("edge", "HTTP GET"),
            ("shop", "GET /orders/{id}"),
            ("shop", call),
            ("stock", call),
        ];
        for (trace_id, failed) in traces.iter().zip([false, true]) {
            let spans = backend.query().wait(trace_id, 5, Instant::now() + TIMEOUT).unwrap();
            let spans = parentage::assert_chain(&spans, &expected);
            let code = if failed { "13" } else { "0" };
            for call in &spans[3..] {
                assert_eq!(span::tag(call, "rpc.grpc.status_code"), json!(code), "{spans:?}");
            }
            let errors = spans.iter().map(|span| span::tag(span, "error") == json!(true));
            assert_eq!(errors.collect::<Vec<_>>(), [false, failed, failed, failed, failed]);
        }
    }
}

const TIMEOUT: Duration = Duration::from_secs(60);
