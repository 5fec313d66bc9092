//! Servers return every span as it was sent, except for the conversions of its route.

use interop::backend::Kind;
use interop::roundtrip::{Route, all_come_back};

/// The routes to servers that store OTLP.
const ALL: [Route; 7] = [
    Route::Compact,
    Route::Binary,
    Route::Http,
    Route::ZipkinV1,
    Route::ZipkinV2,
    Route::Otlp,
    Route::OtlpGzip,
];

#[test]
fn jaeger_v1_returns_what_its_agent_received() {
    all_come_back(Kind::JaegerV1, &[Route::Compact, Route::Binary, Route::ZipkinCompact]);
}

#[test]
fn jaeger_v1_returns_what_its_collector_received() {
    all_come_back(Kind::JaegerV1, &[Route::Http, Route::ZipkinV1, Route::ZipkinV2, Route::Otlp]);
}

#[test]
fn jaeger_v2_returns_what_it_received() {
    all_come_back(Kind::JaegerV2, &ALL);
}

#[test]
fn the_opentelemetry_collector_forwards_what_it_received() {
    all_come_back(Kind::OtelCollector, &ALL);
}

#[test]
fn zipkin_returns_what_it_received() {
    all_come_back(Kind::Zipkin, &[Route::ZipkinV1, Route::ZipkinV2]);
}
