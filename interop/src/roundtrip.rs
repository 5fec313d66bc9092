//! Sends generated spans to a server, and compares what the server returns.

use std::time::{Duration, Instant};

use jaeger_client::{
    AgentProtocol, Closer, Configuration, OtlpCompression, OtlpConfig, OwnedTagValue,
    ReporterConfig, SpanOptions, Stats,
};
use serde_json::Value;

use crate::backend::{Backend, Kind};
use crate::command::INTERVAL;
use crate::conversions;
use crate::generate::Plan;
use crate::opt_in::{self, StepResult};
use crate::otlp::Lines;
use crate::query::Query;
use crate::span::{ExpectedSpan, Field, Input, Rule};
use crate::zipkin::Zipkin;

/// A route to a server: protocol, encoding, compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Route {
    /// UDP, compact protocol: usually port 6831.
    Compact,
    /// UDP, binary protocol: usually port 6832.
    Binary,
    /// UDP, Zipkin's spans in the compact protocol: usually port 5775.
    ZipkinCompact,
    /// HTTP, Thrift: usually port 14268.
    Http,
    /// HTTP, Zipkin v1 in Thrift: usually port 9411.
    ZipkinV1,
    /// HTTP, Zipkin v2 in JSON: usually port 9411.
    ZipkinV2,
    /// HTTP, OTLP in protobuf: usually port 4318.
    Otlp,
    /// HTTP, OTLP in protobuf, compressed by gzip.
    OtlpGzip,
}

impl Route {
    /// Returns the script's name of the port.
    const fn port(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Binary => "binary",
            Self::ZipkinCompact => "zipkin_compact",
            Self::Http => "http",
            Self::ZipkinV1 | Self::ZipkinV2 => "zipkin",
            Self::Otlp | Self::OtlpGzip => "otlp_http",
        }
    }

    /// Returns the configuration of a reporter that sends to the server by this route.
    #[must_use]
    pub fn reporter(self, backend: &Backend) -> ReporterConfig {
        let address = backend.address(self.port()).to_owned();
        let to_agent = |agent_protocol| ReporterConfig {
            local_agent_host_port: address.clone(),
            agent_protocol,
            ..ReporterConfig::default()
        };
        let to_collector = |path| ReporterConfig {
            collector_endpoint: Some(format!("http://{address}{path}")),
            ..ReporterConfig::default()
        };
        match self {
            Self::Compact => to_agent(AgentProtocol::Compact),
            Self::Binary => to_agent(AgentProtocol::Binary),
            Self::ZipkinCompact => to_agent(AgentProtocol::ZipkinCompact),
            Self::Http => to_collector(""),
            Self::ZipkinV1 => to_collector("/api/v1/spans"),
            Self::ZipkinV2 => to_collector("/api/v2/spans"),
            Self::Otlp | Self::OtlpGzip => {
                let mut otlp = OtlpConfig::new(format!("http://{address}"));
                if self == Self::OtlpGzip {
                    otlp.compression = OtlpCompression::Gzip;
                }
                ReporterConfig { otlp, ..ReporterConfig::default() }
            }
        }
    }

    /// Returns the names of the exporters of this route.
    #[must_use]
    pub fn exporters(self) -> Vec<String> {
        let is_otlp = matches!(self, Self::Otlp | Self::OtlpGzip);
        let name = if is_otlp { "otlp" } else { "jaeger" };
        vec![name.to_owned()]
    }

    /// Returns the changes that the route and the server make to a span.
    const fn rules(self, kind: Kind) -> &'static [Rule] {
        match (self, kind) {
            (Self::Compact | Self::Binary | Self::Http, Kind::JaegerV1) => &[],
            (Self::Compact | Self::Binary | Self::Http, _) => conversions::OTLP,
            (Self::ZipkinCompact, _) => conversions::ZIPKIN_COMPACT,
            (Self::ZipkinV1, Kind::Zipkin) => conversions::ZIPKIN_V1,
            (Self::ZipkinV2, Kind::Zipkin) => conversions::ZIPKIN_V2,
            (Self::ZipkinV1, _) => conversions::ZIPKIN_V1_OTLP,
            (Self::ZipkinV2, _) => conversions::ZIPKIN_V2_OTLP,
            (Self::Otlp | Self::OtlpGzip, _) => conversions::POSTED_OTLP,
        }
    }
}

/// The place where a server's spans are read back.
enum Store {
    Jaeger(Query),
    Zipkin(Zipkin),
    Lines(Lines),
}

impl Store {
    fn of(backend: &Backend) -> Self {
        match backend.kind() {
            Kind::JaegerV1 | Kind::JaegerV2 => Self::Jaeger(backend.query()),
            Kind::OtelCollector => Self::Lines(Lines::new(backend.address("output"))),
            Kind::Zipkin => Self::Zipkin(Zipkin::new(backend.address("zipkin"))),
        }
    }

    fn spans(&self, trace_id: &str) -> StepResult<Vec<Value>> {
        match self {
            Self::Jaeger(query) => query.spans(trace_id),
            Self::Zipkin(zipkin) => zipkin.spans(trace_id),
            Self::Lines(lines) => lines.spans(trace_id),
        }
    }

    /// Waits until a trace has `count` spans, or until the deadline.
    fn wait(&self, trace_id: &str, count: usize, until: Instant) -> StepResult<Vec<Value>> {
        loop {
            let spans = self.spans(trace_id)?;
            if spans.len() >= count || Instant::now() >= until {
                return Ok(spans);
            }
            std::thread::sleep(INTERVAL);
        }
    }
}

/// Asserts that a server returns 1, 10 and 5,000 spans as they were sent, by each route.
///
/// # Panics
///
/// If a span is missing, is returned twice, or differs in more than the route's [`conversions`].
pub fn all_come_back(kind: Kind, routes: &[Route]) {
    let name = format!("{kind:?} {routes:?}");
    let Some(backend) = opt_in::set_up(&name, || Backend::start(kind)) else { return };
    for route in routes {
        by_route(&backend, *route);
    }
}

fn by_route(backend: &Backend, route: Route) {
    let began = Instant::now();
    let mut tally = Tally::new(Store::of(backend), route.rules(backend.kind()));
    let process_tags = [
        ("region".to_owned(), Input::Str("západ".to_owned())),
        ("shard".to_owned(), Input::I64(-3)),
        ("spare".to_owned(), Input::Bool(true)),
    ];

    // (traces, spans in each, 128-bit ids, longest tag)
    let runs: [(usize, usize, bool, usize); 4] =
        [(1, 1, false, 256), (1, 10, true, 50_000), (25, 100, false, 256), (25, 100, true, 300)];
    // The ids of remote traces are made from the number, and must be unique.
    let mut first = 1 + 1_000 * (route as usize);
    for (run, (traces, spans, wide, max_tag_value_bytes)) in runs.into_iter().enumerate() {
        let service = format!("{route:?}-{run}");
        let config = Configuration {
            tags: process_tags.iter().map(owned).collect(),
            trace_id_128bit: Some(wide),
            spans: SpanOptions {
                max_tag_value_length: max_tag_value_bytes,
                ..SpanOptions::default()
            },
            exporters: route.exporters(),
            reporter: route.reporter(backend),
            ..Configuration::new(service.as_str())
        };
        let (tracer, closer) = config.new_tracer().expect("the configuration is good");
        let plan = Plan {
            tracer: &tracer,
            service: &service,
            process_tags: &process_tags,
            max_tag_value_bytes,
        };
        for number in first..first + traces {
            let wanted = plan.trace(number, spans);
            // The agent's receive buffer may hold only a few full datagrams, so a trace is sent once the one
            // before it has arrived.
            let report = tracer.flush(TIMEOUT);
            assert!(report.complete, "{report}");
            tally.read_back(&wanted);
        }
        first += traces;
        close(route, closer, traces * spans);
    }

    let (sent, back) = (thousands(tally.sent), thousands(tally.back));
    let took = began.elapsed().as_secs_f64();
    opt_in::print_line(&format!(
        "{back} of {sent} spans back: {:?} {route:?}, {took:.1} s",
        backend.kind()
    ));
    assert!(tally.wrong.is_empty(), "{} differ: {}", tally.wrong.len(), tally.shown());
    assert_eq!(tally.sent, 5_011);
    assert_eq!(tally.back, tally.sent, "{} missing: {route:?}", tally.sent - tally.back);
}

/// The results for the spans that were sent so far.
struct Tally {
    store: Store,
    rules: &'static [Rule],
    sent: usize,
    back: usize,
    wrong: Vec<String>,
    /// The time until which missing spans are waited for.
    deadline: Instant,
}

impl Tally {
    fn new(store: Store, rules: &'static [Rule]) -> Self {
        let deadline = Instant::now() + 6 * TIMEOUT;
        Self { store, rules, sent: 0, back: 0, wrong: Vec::new(), deadline }
    }

    /// Waits for the spans of a trace, and compares each with its expected content.
    fn read_back(&mut self, wanted: &[ExpectedSpan]) {
        self.sent += wanted.len();
        let trace_id = wanted[0].trace_id.to_string();
        let until = self.deadline.min(Instant::now() + TIMEOUT);
        let got = self.store.wait(&trace_id, wanted.len(), until).expect("traces can be read");
        for wanted in wanted {
            let id = wanted.span_id.to_string();
            let mut found = got.iter().filter(|span| span["span"] == id.as_str());
            let Some(span) = found.next() else { continue };
            self.back += 1;
            if found.next().is_some() {
                self.wrong.push(format!("span {id} came twice"));
            }
            if let Err(difference) = wanted.check_by(self.rules, span.clone()) {
                self.wrong.push(difference);
            }
        }
    }

    fn shown(&self) -> String {
        self.wrong.iter().take(3).map(|difference| format!("\n  {difference}")).collect()
    }
}

/// Closes the tracer, and asserts that it has sent all `spans`.
fn close(route: Route, closer: Closer, spans: usize) {
    let report = closer.close(TIMEOUT);
    let stats: &Stats = &report.stats;
    assert!(report.complete && stats.is_balanced(), "{report}");
    assert_eq!(stats.sent, spans as u64, "{report}");
    let over_udp = [Route::Compact, Route::Binary, Route::ZipkinCompact].contains(&route);
    assert_eq!(stats.acknowledged, if over_udp { 0 } else { stats.sent }, "{report}");
}

fn owned((key, input): &Field) -> (String, OwnedTagValue) {
    let value = match input.clone() {
        Input::Str(text) => text.into(),
        Input::Bool(value) => value.into(),
        Input::I64(number) => number.into(),
        other => panic!("no process tag is like {other:?}"),
    };
    (key.clone(), value)
}

fn thousands(number: usize) -> String {
    if number < 1000 {
        number.to_string()
    } else {
        format!("{},{:03}", number / 1000, number % 1000)
    }
}

const TIMEOUT: Duration = Duration::from_secs(60);
