//! What is counted, for `/metrics`.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

type Labels = Vec<(&'static str, String)>;
type Seconds = Family<Labels, Counter<f64, AtomicU64>>;

/// The counters of all services of this process. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    requests: Family<Labels, Counter>,
    by_customer: Seconds,
    by_session: Seconds,
    /// The values seen, label by label: whoever sends baggage could have us keep any number.
    seen: Arc<Mutex<HashSet<(&'static str, String)>>>,
    registry: Arc<Registry>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        let (by_customer, by_session) = (Seconds::default(), Seconds::default());
        registry.register(
            "requests",
            "Requests, by service, endpoint and status",
            requests.clone(),
        );
        registry.register(
            "route_calc_by_customer_sec",
            "Seconds of work on routes (route.calc.by.customer.sec), by baggage customer",
            by_customer.clone(),
        );
        registry.register(
            "route_calc_by_session_sec",
            "Seconds of work on routes (route.calc.by.session.sec), by baggage session",
            by_session.clone(),
        );
        let seen = Arc::default();
        Self { requests, by_customer, by_session, seen, registry: Arc::new(registry) }
    }

    /// Counts a request. Endpoints and statuses must be of a bounded set.
    pub(crate) fn request(&self, service: &str, endpoint: &str, status: &str) {
        let labels = [("service", service), ("endpoint", endpoint), ("status", status)];
        self.requests.get_or_create(&labels.map(|(key, value)| (key, value.into())).into()).inc();
    }

    /// Adds the time that a route took to the accounts of those it was worked out for.
    pub(crate) fn route(&self, took: Duration, customer: Option<String>, session: Option<String>) {
        let accounts =
            [(&self.by_customer, "customer", customer), (&self.by_session, "session", session)];
        for (seconds, label, value) in accounts {
            if let Some(value) = value {
                let labels = vec![(label, self.bounded(label, value))];
                seconds.get_or_create(&labels).inc_by(took.as_secs_f64());
            }
        }
    }

    /// The value of a label; `other` if it is too long, or once there are too many.
    fn bounded(&self, label: &'static str, value: String) -> String {
        if value.len() > MAX_VALUE_LENGTH {
            return "other".into();
        }
        let mut seen = self.seen.lock();
        let value = (label, value);
        let known = seen.contains(&value) || {
            let room = seen.iter().filter(|(of, _)| *of == label).count() < MAX_VALUES;
            room && seen.insert(value.clone())
        };
        if known { value.1 } else { "other".into() }
    }

    /// All counters, as OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // A string takes whatever is written to it.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// How many values of a label are kept apart, and how many bytes each of them may have.
const MAX_VALUES: usize = 200;
const MAX_VALUE_LENGTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_by_customer_and_session_and_their_number_is_bounded() {
        let metrics = Metrics::new();
        for session in 0..2 * MAX_VALUES {
            let session = Some(session.to_string());
            metrics.route(Duration::from_millis(500), Some("Inn \"X\"".into()), session);
        }
        let text = metrics.text();
        let customer = r#"route_calc_by_customer_sec_total{customer="Inn \"X\""} 200"#;
        assert!(text.contains(customer), "{text}");
        assert!(text.contains(r#"route_calc_by_session_sec_total{session="7"} 0.5"#), "{text}");
        assert!(text.contains(r#"route_calc_by_session_sec_total{session="other"} 100"#), "{text}");
        let sessions = text.lines().filter(|line| line.contains("{session=")).count();
        assert_eq!(sessions, MAX_VALUES + 1);
    }
}
