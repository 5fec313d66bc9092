//! Baggage restrictions of an agent.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use serde_json::Value;

use super::{
    BaggageRestriction, BaggageRestrictionManager, BaggageRestrictionsConfig, FETCH_TIMEOUT,
    PolicyHost, Updates, refresh_interval,
};
use crate::diag::Brief;
use crate::error::ConfigError;
use crate::http_client::ProxyConfig;
use crate::polling::{FetchError, HttpFetch, PollResult, Poller, SharedPoller};

/// Allows the baggage keys that an agent lists, and polls the agent for the list.
///
/// The manager polls `/baggageRestrictions` at once when the tracer is built, then at each
/// interval, or sooner while there was no response. From the first valid response on only listed
/// keys may be set, each up to its length; before, all or none, as configured. A response that is
/// missing, too long or not a list leaves the last list in use; it is counted and logged. Jaeger's
/// agent sends lists; later versions send a sampling strategy at this address, which is refused.
///
/// # Shape and units
///
/// The response is JSON, `[{"baggageKey": "tenant", "maxValueLength": 16}]`, lengths in bytes.
/// Responses of up to 1 MiB and 16,384 keys are accepted, within 5 s.
///
/// # Cost
///
/// A look-up in a map. The thread sleeps between polls, and ends at close.
///
/// # Source
///
/// `internal/baggage/remote` in jaeger-client-go. There, a second close panics, and a request has
/// no timeout.
pub struct RemoteBaggageRestrictionManager {
    shared: Arc<Shared>,
    refresh_interval: Duration,
    polling: SharedPoller,
}

impl fmt::Debug for RemoteBaggageRestrictionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteBaggageRestrictionManager")
            .field("service", &Brief(&self.shared.service_name))
            .field("refresh_interval", &self.refresh_interval)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Shared {
    fetch: HttpFetch,
    service_name: String,
    denies_before: bool,
    /// The allowed keys; none until the first response.
    allowed: ArcSwapOption<HashMap<String, usize>>,
    updates: Mutex<Updates>,
}

impl RemoteBaggageRestrictionManager {
    /// Polls on behalf of this service, once a tracer is built with the manager.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the service's name is empty, `host_port` is not an address, or the
    /// environment names an invalid proxy. An agent that cannot be reached is no error.
    pub fn new(
        service_name: impl Into<String>,
        config: &BaggageRestrictionsConfig,
    ) -> Result<Self, ConfigError> {
        Self::with_proxy(service_name, config, &ProxyConfig::Environment)
    }

    /// Like [`new`](Self::new), through this proxy or none.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_proxy(
        service_name: impl Into<String>,
        config: &BaggageRestrictionsConfig,
        proxy: &ProxyConfig,
    ) -> Result<Self, ConfigError> {
        let service_name = service_name.into();
        if service_name.is_empty() {
            return Err(ConfigError::NoServiceName { noticed: Vec::new() });
        }
        let fetch = HttpFetch::new(
            "baggage_restrictions.host_port",
            &format!("{}/baggageRestrictions", config.host_port.trim_end_matches('/')),
            "host:port, such as localhost:5778",
            FETCH_TIMEOUT,
            proxy,
        )?;
        let usual = BaggageRestrictionsConfig::default().refresh_interval;
        let shared = Shared {
            fetch,
            service_name,
            denies_before: config.deny_baggage_on_initialization_failure,
            allowed: ArcSwapOption::empty(),
            updates: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            refresh_interval: refresh_interval(config.refresh_interval, usual),
            polling: SharedPoller::default(),
        })
    }
}

impl BaggageRestrictionManager for RemoteBaggageRestrictionManager {
    fn restriction(&self, _service: &str, key: &str) -> BaggageRestriction {
        match &*self.shared.allowed.load() {
            Some(allowed) => allowed
                .get(key)
                .map_or(BaggageRestriction::DENIED, |bytes| BaggageRestriction::up_to(*bytes)),
            None if self.shared.denies_before => BaggageRestriction::DENIED,
            None => BaggageRestriction::ALLOWED,
        }
    }

    fn start(&self, host: &PolicyHost) -> Result<(), ConfigError> {
        self.polling.begin(|| {
            let (shared, host) = (Arc::clone(&self.shared), host.clone());
            Poller::start("jaeger-client-baggage", self.refresh_interval, move |is_stopped| {
                shared.refresh(&host, is_stopped)
            })
        })
    }

    fn close(&self) {
        self.polling.end();
    }

    fn updates(&self) -> Updates {
        self.shared.updates.lock().clone()
    }
}

impl Shared {
    fn refresh(&self, host: &PolicyHost, is_unwanted: &dyn Fn() -> bool) -> PollResult {
        let response = self.fetch.get([("service", self.service_name.as_str())]);
        if is_unwanted() {
            return PollResult::Responded;
        }
        let (result, error) = match response.map(|body| read(&body)) {
            Ok(Ok(allowed)) => {
                self.allowed.store(Some(Arc::new(allowed)));
                let updates = &mut *self.updates.lock();
                updates.ok += 1;
                updates.last_error = None;
                return PollResult::Responded;
            }
            Ok(Err(refused)) => (PollResult::Responded, refused),
            Err(error) => (PollResult::Failed { retry_after: error.retry_after() }, error),
        };
        {
            let updates = &mut *self.updates.lock();
            updates.err += 1;
            updates.last_error = Some(error.to_string());
        }
        // A logger is a user callback, so no lock is held here.
        host.report(&format!("no baggage restrictions from {}: {error}", self.fetch.shown_url()));
        result
    }
}

/// Parses a response. If a key is listed twice, the last entry counts.
fn read(body: &[u8]) -> Result<HashMap<String, usize>, FetchError> {
    let response: Value = serde_json::from_slice(body).map_err(FetchError::new)?;
    let Value::Array(list) = response else {
        return Err(FetchError::new("the response is not a list"));
    };
    if list.len() > MAX_KEYS {
        let say = format!("{} keys, but {MAX_KEYS} are accepted at most", list.len());
        return Err(FetchError::new(say));
    }
    let one = |entry: &Value| {
        let key = entry.get("baggageKey").and_then(Value::as_str);
        // Servers define it as a number of 32 bits.
        let length = entry.get("maxValueLength").and_then(Value::as_i64);
        let length = length.and_then(|length| i32::try_from(length).ok());
        match (key, length.map(usize::try_from)) {
            (Some(key), Some(Ok(length))) => Ok((key.to_owned(), length)),
            _ => Err(FetchError::new(
                "an entry has no text as baggageKey, or no length as maxValueLength",
            )),
        }
    };
    list.iter().map(one).collect()
}

/// The maximum number of keys in a response.
const MAX_KEYS: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_keys_and_lengths_is_read() {
        let body = br#"[{"baggageKey":"a","maxValueLength":3,"more":1},{"baggageKey":"b","maxValueLength":0}]"#;
        let read = read(body).unwrap();
        assert_eq!((read.len(), read["a"], read["b"]), (2, 3, 0));
        assert!(super::read(b"[]").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_such_list_is_refused() {
        let many = format!("[{}0]", "0,".repeat(MAX_KEYS));
        let deep = "[".repeat(1 << 20);
        for body in [
            "",
            "null",
            "{}",
            r#"{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":1}}"#,
            "[null]",
            r#"[{"baggageKey":"a"}]"#,
            r#"[{"baggageKey":"a","maxValueLength":-1}]"#,
            r#"[{"baggageKey":"a","maxValueLength":2147483648}]"#,
            r#"[{"baggageKey":"a","maxValueLength":1.5}]"#,
            r#"[{"baggageKey":7,"maxValueLength":1}]"#,
            "[]x",
            &many,
            &deep,
        ] {
            assert!(read(body.as_bytes()).is_err(), "{:.80}", body);
        }
    }

    proptest::proptest! {
        #[test]
        fn law_any_bytes_are_read_or_refused(body: Vec<u8>) {
            let _ = read(&body);
        }
    }
}
