//! Names of tags by OpenTelemetry's conventions, of the own client; those of the layers are in
//! `client_layer.rs` and `grpc.rs`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests as well")]

use jaeger_client_http::{SemanticConventions, TagNames, TracedClient};

mod support;
use support::{Server, here, tag, tracer};

#[tokio::test]
async fn hops_have_names_of_opentelemetry_alone_or_beside_jaegers() {
    let keys = [
        "http.request.method",
        "http.request.resend_count",
        "server.address",
        "network.protocol.version",
        "http.response.status_code",
        "error.type",
        "error",
    ];
    for (names, operation) in [(TagNames::OpenTelemetry, "GET"), (TagNames::Both, "HTTP GET")] {
        let (tracer, spans, _closer) = tracer();
        let server = Server::start().await;
        let client = TracedClient::builder(tracer)
            .pool(here().build())
            .semantic_conventions(SemanticConventions::default().http(names))
            .build();
        for path in ["/moved", "/who"] {
            let response = client.get(&server.url(path)).await.unwrap();
            response.into_body().read_to_end(1 << 20).await.unwrap();
        }
        let spans = spans.spans();
        let hops: Vec<_> = spans
            .iter()
            .map(|span| span.view())
            .filter(|view| view.operation_name() != "HTTP Client")
            .collect();
        let values = |at: usize| keys.map(|key| tag(&hops[at], key).unwrap_or_default());
        assert_eq!(values(0), ["GET", "", "localhost", "1.1", "301", "", ""]);
        assert_eq!(values(1), ["GET", "1", "localhost", "1.1", "200", "", ""]);
        assert_eq!(values(2), ["GET", "", "localhost", "1.1", "404", "404", "true"]);
        for hop in hops {
            assert_eq!(hop.operation_name(), operation);
            assert_eq!(tag(&hop, "server.port").unwrap(), server.port().to_string());
            for key in ["component", "http.method", "http.url", "http.status_code", "peer.address"]
            {
                assert_eq!(tag(&hop, key).is_some(), names == TagNames::Both, "{key}");
            }
        }
    }
}
