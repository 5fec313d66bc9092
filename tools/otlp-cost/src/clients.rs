//! The clients that are compared, each with the same spans.

use std::thread;
use std::time::{Duration, Instant};

use jaeger_client::sampler::ConstSampler;
use jaeger_client::{OtlpCompression, OtlpConfig};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span, Tracer, TracerProvider};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider,
};

use crate::Outcome;

/// A client, with options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// This client with its defaults.
    Jaeger,
    /// This client with compression.
    JaegerGzip,
    /// The OpenTelemetry SDK with opentelemetry-otlp, with their defaults except for the queue.
    OpenTelemetry,
    /// The OpenTelemetry SDK with larger batches.
    OpenTelemetryLarge,
}

impl Client {
    pub(crate) const ALL: [Self; 4] =
        [Self::Jaeger, Self::JaegerGzip, Self::OpenTelemetry, Self::OpenTelemetryLarge];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|client| client.name() == name)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Jaeger => "jaeger-client",
            Self::JaegerGzip => "jaeger-client-gzip",
            Self::OpenTelemetry => "opentelemetry-512",
            Self::OpenTelemetryLarge => "opentelemetry-4096",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Jaeger => "jaeger-client",
            Self::JaegerGzip => "jaeger-client, gzip",
            Self::OpenTelemetry => "opentelemetry-otlp, batches of 512",
            Self::OpenTelemetryLarge => "opentelemetry-otlp, batches of 4,096",
        }
    }

    /// Makes and sends a number of spans.
    pub(crate) fn run(self, spans: u64, url: &str) -> Outcome<()> {
        match self {
            Self::Jaeger => jaeger_client(spans, url, OtlpCompression::None),
            Self::JaegerGzip => jaeger_client(spans, url, OtlpCompression::Gzip),
            Self::OpenTelemetry => open_telemetry(spans, url, 512),
            Self::OpenTelemetryLarge => open_telemetry(spans, url, 4_096),
        }
    }
}

fn jaeger_client(spans: u64, url: &str, compression: OtlpCompression) -> Outcome<()> {
    let (tracer, closer) = jaeger_client::Tracer::builder("cost")
        .sampler(ConstSampler::new(true))
        .otlp(OtlpConfig { compression, ..OtlpConfig::new(url) })
        .build()?;
    paced(spans, |number| {
        let span = tracer.start_span("GET /orders");
        span.set_tag("http.method", "GET").set_tag("number", number).set_tag("cached", true);
        span.finish();
    });
    let report = closer.close(PATIENCE);
    if report.stats.acknowledged != spans {
        return Err(report.to_string().into());
    }
    Ok(())
}

fn open_telemetry(spans: u64, url: &str, batch: usize) -> Outcome<()> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{url}/v1/traces"))
        .build()?;
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(usize::try_from(spans)?)
        .with_max_export_batch_size(batch)
        .build();
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(Resource::builder().with_service_name("cost").build())
        .with_span_processor(
            BatchSpanProcessor::builder(exporter).with_batch_config(config).build(),
        )
        .build();
    let tracer = provider.tracer("cost");
    paced(spans, |number| {
        let mut span = tracer.start("GET /orders");
        span.set_attribute(KeyValue::new("http.method", "GET"));
        span.set_attribute(KeyValue::new("number", number.cast_signed()));
        span.set_attribute(KeyValue::new("cached", true));
        span.end();
    });
    provider.shutdown_with_timeout(PATIENCE)?;
    Ok(())
}

/// Makes spans in bursts, at a rate that each client can handle.
fn paced(spans: u64, make: impl Fn(u64)) {
    let began = Instant::now();
    for number in 0..spans {
        if number % BURST == 0 {
            let due = Duration::from_micros(number * 1_000_000 / SPANS_PER_SECOND);
            thread::sleep(due.saturating_sub(began.elapsed()));
        }
        make(number);
    }
}

const SPANS_PER_SECOND: u64 = 50_000;
const BURST: u64 = 500;
const PATIENCE: Duration = Duration::from_secs(60);
