//! Every span sent to a server comes back from it as it was sent, but for what the way's rules say.

use interop::backend::Kind;
use interop::round::{Way, all_come_back};

/// The ways that servers take which store OTLP.
const ALL: [Way; 7] =
    [Way::Compact, Way::Binary, Way::Http, Way::ZipkinV1, Way::ZipkinV2, Way::Otlp, Way::OtlpGzip];

#[test]
fn jaeger_v1_gives_back_what_its_agent_got() {
    all_come_back(Kind::JaegerV1, &[Way::Compact, Way::Binary, Way::ZipkinCompact]);
}

#[test]
fn jaeger_v1_gives_back_what_its_collector_got() {
    all_come_back(Kind::JaegerV1, &[Way::Http, Way::ZipkinV1, Way::ZipkinV2, Way::Otlp]);
}

#[test]
fn jaeger_v2_gives_back_what_it_got() {
    all_come_back(Kind::JaegerV2, &ALL);
}

#[test]
fn the_opentelemetry_collector_gives_on_what_it_got() {
    all_come_back(Kind::OtelCollector, &ALL);
}

#[test]
fn zipkin_gives_back_what_it_got() {
    all_come_back(Kind::Zipkin, &[Way::ZipkinV1, Way::ZipkinV2]);
}
