//! Requests of OTLP that are compressed: what a server makes of them, and whose bytes the limits count.

#![cfg(feature = "otlp-gzip")]

use std::io::Read;

use crate::support::http::{Request, Server, status};
use crate::support::otlp::Request as Export;
use crate::support::{SOON, builder};
use flate2::read::GzDecoder;
use jaeger_client::{Configuration, OtlpCompression, OtlpConfig, Tracer};
use prost::Message;

fn config(server: &Server) -> OtlpConfig {
    OtlpConfig { compression: OtlpCompression::Gzip, ..OtlpConfig::new(server.url()) }
}

fn finish_spans(tracer: &Tracer, count: usize) {
    for n in 0..count {
        tracer.span(format!("op-{n}")).tag("n", n).start().finish();
    }
}

/// A request's body as it was before compression.
fn decompressed(request: &Request) -> Vec<u8> {
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    let mut body = Vec::new();
    GzDecoder::new(&*request.body).read_to_end(&mut body).unwrap();
    body
}

/// The names of the spans in requests.
fn names<'r>(requests: impl IntoIterator<Item = &'r Request>) -> Vec<String> {
    let exports = requests.into_iter().map(|r| Export::decode(&*decompressed(r)).unwrap());
    let resources = exports.flat_map(|export| export.resource_spans);
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).map(|span| span.name).collect()
}

fn all_names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("op-{n}")).collect()
}

#[test]
fn requests_are_compressed_and_limited_by_their_bytes_before_that() {
    let server = Server::start(|_, _| status(200));
    let config = OtlpConfig { max_body_bytes: 20_000, ..config(&server) };
    let (tracer, closer) = builder().shards(1).otlp(config).build().unwrap();
    finish_spans(&tracer, 1_000);
    let stats = closer.close(SOON).stats;
    assert_eq!((stats.sent, stats.acknowledged), (1_000, 1_000), "{stats}");
    let requests = server.requests();
    let sizes: Vec<_> = requests.iter().map(|r| (decompressed(r).len(), r.body.len())).collect();
    assert!(sizes.iter().all(|(plain, _)| *plain <= 20_000), "{sizes:?}");
    assert!(sizes.iter().any(|(plain, sent)| *plain > 10_000 && *sent * 3 < *plain), "{sizes:?}");
    assert_eq!(names(&requests), all_names(1_000));
}

#[test]
fn what_a_server_finds_too_large_when_it_is_decompressed_is_sent_in_parts() {
    let server = Server::start(|_, request| {
        status(if decompressed(request).len() > 4_000 { 413 } else { 200 })
    });
    let (tracer, closer) = builder().shards(1).otlp(config(&server)).build().unwrap();
    finish_spans(&tracer, 200);
    let stats = closer.close(SOON).stats;
    assert_eq!((stats.acknowledged, stats.dropped.total()), (200, 0), "{stats}");
    let requests = server.requests();
    let taken = requests.iter().filter(|request| decompressed(request).len() <= 4_000);
    assert_eq!(names(taken), all_names(200));
}

#[test]
fn another_attempt_has_the_same_bytes() {
    let server = Server::start(|number, _| status(if number == 0 { 503 } else { 200 }));
    let (tracer, closer) = builder().shards(1).otlp(config(&server)).build().unwrap();
    finish_spans(&tracer, 10);
    // A close would end the wait for the next attempt.
    assert!(tracer.flush(SOON).complete);
    let stats = closer.close(SOON).stats;
    assert_eq!(stats.acknowledged, 10, "{stats}");
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body, requests[1].body);
}

#[test]
fn the_environment_switches_it_on_and_off() {
    for (name, value, compressed) in [
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", true),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip", true),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none", false),
    ] {
        let server = Server::start(|_, _| status(200));
        let variables = |requested: &str| match requested {
            "JAEGER_SERVICE_NAME" => Some("shop".to_owned()),
            "JAEGER_TRACES_EXPORTER" => Some("otlp".to_owned()),
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(server.url()),
            requested if requested == name => Some(value.to_owned()),
            // The variable of traces takes precedence over that of all signals.
            "OTEL_EXPORTER_OTLP_COMPRESSION" => Some("gzip".to_owned()),
            _ => None,
        };
        let configuration = Configuration::default().with_variables(variables).unwrap();
        let (tracer, closer) = configuration.new_tracer().unwrap();
        finish_spans(&tracer, 1);
        assert_eq!(closer.close(SOON).stats.acknowledged, 1);
        let request = &server.requests()[0];
        assert_eq!(request.header("content-encoding").is_some(), compressed, "{name}={value}");
    }
}
