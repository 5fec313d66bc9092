//! Metrics of server spans: counts, durations and outcomes.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::guarded::Guarded;
use super::{Counter, Instruments, MetricKind, Timer};
use crate::span::{ObservedSpan, Observer, ObserverInterest, TagValue};
use crate::tags::{ERROR, SPAN_KIND};

/// Counts and times server spans; the module's table lists the metrics.
///
/// # Source
///
/// `rpcmetrics.Observer` in jaeger-client-go, `rpcmetrics/observer.go`.
#[derive(Debug)]
pub(crate) struct RpcMetrics {
    endpoints: Endpoints,
}

impl RpcMetrics {
    /// Counts in instruments of this factory.
    pub(crate) fn new(factory: Instruments) -> Self {
        for (kind, name, help) in HELP {
            factory.describe(kind, name, help);
        }
        let endpoints = Endpoints { factory, by_name: RwLock::default(), other: Mutex::default() };
        Self { endpoints }
    }
}

impl Observer for RpcMetrics {
    fn interest(&self) -> ObserverInterest {
        ObserverInterest::finished_spans([SPAN_KIND, ERROR, STATUS_CODE, STABLE_STATUS_CODE])
    }

    fn on_span_finished(&self, span: &ObservedSpan<'_>) {
        let name = span.operation_name();
        if !serves(span) || name.is_empty() {
            return;
        }
        let Seen { failed, status } = Seen::of(span);
        let endpoint = self.endpoints.get(name);
        let (requests, latency) = &endpoint.by_error[usize::from(failed)];
        requests.inc(1);
        latency.record(span.duration());
        let class = usize::from(status / 100).checked_sub(2);
        if let Some(class) = class.and_then(|class| endpoint.by_class.get(class)) {
            class.inc(1);
        }
    }
}

/// Returns whether a span is a server span. Kinds other than those of calls do not count.
fn serves(span: &ObservedSpan<'_>) -> bool {
    span.values(SPAN_KIND).fold(false, |serves, kind| match kind {
        TagValue::Str("server") => true,
        TagValue::Str("client") => false,
        _ => serves,
    })
}

/// The result of a request. Of several values of a tag, the last one that can be read counts.
#[derive(Debug, Default)]
struct Seen {
    failed: bool,
    status: u16,
}

impl Seen {
    fn of(span: &ObservedSpan<'_>) -> Self {
        let mut seen = Self::default();
        for (key, value) in span.tags() {
            seen.add(key, value);
        }
        seen
    }

    fn add(&mut self, key: &str, value: TagValue<'_>) {
        match (key, value) {
            (ERROR, TagValue::Bool(failed)) => self.failed = failed,
            (ERROR, TagValue::Str(text)) => self.failed = parse_bool(text).unwrap_or(self.failed),
            // Unsigned numbers come as signed ones.
            (STATUS_CODE | STABLE_STATUS_CODE, TagValue::I64(code)) => self.status = status(code),
            (STATUS_CODE | STABLE_STATUS_CODE, TagValue::Str(text)) => {
                self.status = text.parse().map_or(self.status, status);
            }
            _ => {}
        }
    }
}

/// Status codes by OpenTracing's name, and by OpenTelemetry's.
const STATUS_CODE: &str = "http.status_code";
const STABLE_STATUS_CODE: &str = "http.response.status_code";

/// Converts a status code; an invalid number becomes 0.
fn status(code: i64) -> u16 {
    u16::try_from(code).unwrap_or(0)
}

/// Parses a boolean as Go does.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// The instruments of all endpoints.
struct Endpoints {
    factory: Instruments,
    /// The endpoints by name, limited in number.
    by_name: RwLock<HashMap<String, Arc<Endpoint>>>,
    /// The endpoint for all further names; made for the first of them.
    other: Mutex<Option<Arc<Endpoint>>>,
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints").field("factory", &self.factory).finish_non_exhaustive()
    }
}

impl Endpoints {
    fn get(&self, name: &str) -> Arc<Endpoint> {
        let (there, full) = {
            let by_name = self.by_name.read();
            (by_name.get(name).cloned(), by_name.len() >= MAX_NAMES)
        };
        if let Some(there) = there {
            return there;
        }
        if !full {
            // No lock is held here: a factory is a user callback. The first result is kept;
            // instruments with the same tags are one.
            let made = Arc::new(Endpoint::new(&self.factory, &safe(name)));
            let mut by_name = self.by_name.write();
            if by_name.len() < MAX_NAMES || by_name.contains_key(name) {
                return Arc::clone(by_name.entry(name.to_owned()).or_insert(made));
            }
        }
        let there = self.other.lock().clone();
        there.unwrap_or_else(|| {
            let made = Arc::new(Endpoint::new(&self.factory, "other"));
            Arc::clone(self.other.lock().get_or_insert(made))
        })
    }
}

/// The instruments of an endpoint.
struct Endpoint {
    /// The instruments of successes, and those of failures.
    by_error: [(Guarded<dyn Counter>, Guarded<dyn Timer>); 2],
    /// Counters by the first digit of the status code, from 2.
    by_class: [Guarded<dyn Counter>; 4],
}

impl Endpoint {
    fn new(factory: &Instruments, endpoint: &str) -> Self {
        let tags = |key, value| [("component", "jaeger"), ("endpoint", endpoint), (key, value)];
        let by_error = ["false", "true"].map(|failed| {
            let tags = tags("error", failed);
            (factory.counter(REQUESTS, &tags), factory.timer(LATENCY, &tags))
        });
        let classes = ["2xx", "3xx", "4xx", "5xx"];
        let by_class =
            classes.map(|class| factory.counter(HTTP_REQUESTS, &tags("status_code", class)));
        Self { by_error, by_class }
    }
}

/// Returns a name that any metrics system accepts.
fn safe(name: &str) -> String {
    let keeps = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_/.".contains(byte);
    name.bytes().map(|byte| if keeps(&byte) { char::from(byte) } else { '-' }).collect()
}

const REQUESTS: &str = "jaeger-rpc.requests";
const LATENCY: &str = "jaeger-rpc.request_latency";
const HTTP_REQUESTS: &str = "jaeger-rpc.http_requests";

const HELP: [(MetricKind, &str, &str); 3] = [
    (MetricKind::Counter, REQUESTS, "Requests served, by whether they failed"),
    (MetricKind::Timer, LATENCY, "How long they took"),
    (MetricKind::Counter, HTTP_REQUESTS, "Requests served over HTTP, by class of status code"),
];

/// The maximum number of endpoint names.
const MAX_NAMES: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_safe_become_hyphens_one_each() {
        assert_eq!(safe("GET /orders/{id}?é_1.x"), "GET-/orders/-id----_1.x");
        assert_eq!(safe("a-Z_0/."), "a-Z_0/.");
    }

    #[test]
    fn booleans_are_spelled_as_in_go() {
        assert_eq!(["1", "True", "0", "F"].map(parse_bool), [true, true, false, false].map(Some));
        assert_eq!(["", "yes", "tRUE"].map(parse_bool), [None; 3]);
    }
}
