//! Debug throttling by credits of an agent.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::credits::{self, Balance, Claim, Credits, MAX_OPERATIONS};
use super::{
    DebugThrottler, FETCH_TIMEOUT, PolicyHost, ThrottlerConfig, Updates, refresh_interval,
};
use crate::clock;
use crate::diag::Brief;
use crate::error::ConfigError;
use crate::http_client::ProxyConfig;
use crate::polling::{FetchError, HttpFetch, PollResult, Poller, SharedPoller};

/// Grants requests for debugging as far as an agent has given credit for their operation.
///
/// A request takes one credit. If there is none, the operation is stored, and the agent is polled
/// for it: with the next refresh, or at once if
/// [`synchronous_initialization`](ThrottlerConfig::synchronous_initialization) is set. Credits of a
/// response are added to those there are. A response that is missing, too long or without balances
/// adds nothing; it is counted and logged.
///
/// # Shape and units
///
/// The request is `GET /credits?operations=a&operations=b&service=s&uuid=u`, with the `client-uuid`
/// of the first tracer that uses it; the response is JSON, `{"balances": [{"operation": "a",
/// "balance": 2.0}]}`.
///
/// 2,000 operations with names of up to 1,024 bytes are stored; requests of further ones are
/// denied. An operation has 1,000 credits at most; a negative balance counts as none.
///
/// # Cost
///
/// A look-up in a map behind a lock, only for requests for debugging. A poll on the application's
/// thread takes 1 s at most and delays no other thread. If a poll nearly times out, there is none
/// on the application's threads for a refresh interval. The throttler's own thread sleeps between
/// polls, which take 5 s at most, and ends at close.
///
/// # Source
///
/// `internal/throttler/remote` in jaeger-client-go. There, a second close panics, a close waits for
/// the request in flight, and a request has no timeout and blocks all spans meanwhile. Released
/// versions of Jaeger's agent do not serve this address.
pub struct RemoteThrottler {
    shared: Arc<Shared>,
    refresh_interval: Duration,
    is_synchronous: bool,
    polling: SharedPoller,
    /// The state of polls on the application's thread; none before the start and after the close.
    at_once: Mutex<Option<AtOnce>>,
    throttled: AtomicU64,
}

impl fmt::Debug for RemoteThrottler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteThrottler")
            .field("service", &Brief(&self.shared.service_name))
            .field("refresh_interval", &self.refresh_interval)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Shared {
    /// Polls on the throttler's own thread.
    background: HttpFetch,
    /// Polls on the application's thread.
    at_once: HttpFetch,
    service_name: String,
    credits: Mutex<Credits>,
    updates: Mutex<Updates>,
}

#[derive(Clone, Debug)]
struct AtOnce {
    host: PolicyHost,
    /// The time until which no thread of the application waits for the agent.
    spared_until: Option<Instant>,
}

impl RemoteThrottler {
    /// Polls on behalf of this service, once a tracer is built with the throttler.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the service's name is empty, `host_port` is not an address, or the
    /// environment names an invalid proxy. An agent that cannot be reached is no error.
    pub fn new(
        service_name: impl Into<String>,
        config: &ThrottlerConfig,
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
        config: &ThrottlerConfig,
        proxy: &ProxyConfig,
    ) -> Result<Self, ConfigError> {
        let service_name = service_name.into();
        if service_name.is_empty() {
            return Err(ConfigError::NoServiceName { noticed: Vec::new() });
        }
        let fetch = |timeout| {
            HttpFetch::new(
                "throttler.host_port",
                &format!("{}/credits", config.host_port.trim_end_matches('/')),
                "host:port, such as localhost:5778",
                timeout,
                proxy,
            )
        };
        let shared = Shared {
            background: fetch(FETCH_TIMEOUT)?,
            at_once: fetch(AT_ONCE_TIMEOUT)?,
            service_name,
            credits: Mutex::default(),
            updates: Mutex::default(),
        };
        let usual = ThrottlerConfig::default().refresh_interval;
        Ok(Self {
            shared: Arc::new(shared),
            refresh_interval: refresh_interval(config.refresh_interval, usual),
            is_synchronous: config.synchronous_initialization,
            polling: SharedPoller::default(),
            at_once: Mutex::default(),
            throttled: AtomicU64::new(0),
        })
    }

    /// Polls for one operation, without a lock, and takes one of its credits. As in the Go client,
    /// a denial is not counted if there was no response.
    fn poll_at_once(&self, operation: &str) -> bool {
        let Some(AtOnce { host, spared_until }) = self.at_once.lock().clone() else { return false };
        let begun = clock::now();
        if spared_until.is_some_and(|until| begun < until) {
            return self.deny();
        }
        let shared = &*self.shared;
        match shared.poll(&shared.at_once, [operation], &host) {
            Ok(balances) if balances.is_empty() => false,
            Ok(balances) => {
                let claim = {
                    let credits = &mut *shared.credits.lock();
                    credits.add(&balances);
                    credits.claim(operation)
                };
                claim == Claim::Granted || self.deny()
            }
            Err((_, error)) => {
                let now = clock::now();
                if now.saturating_duration_since(begun) >= AT_ONCE_TIMEOUT / 2
                    && let Some(at_once) = &mut *self.at_once.lock()
                {
                    at_once.spared_until = Some(now + self.refresh_interval);
                }
                shared.updates.lock().last_error = Some(error.to_string());
                shared.log_error(&host, &error);
                false
            }
        }
    }

    fn deny(&self) -> bool {
        self.throttled.fetch_add(1, Ordering::Relaxed);
        false
    }
}

impl DebugThrottler for RemoteThrottler {
    fn is_allowed(&self, operation: &str) -> bool {
        let claim = self.shared.credits.lock().claim(operation);
        match claim {
            Claim::Granted => true,
            Claim::Nothing if self.is_synchronous => self.poll_at_once(operation),
            Claim::Nothing | Claim::TooLittle => self.deny(),
            Claim::NoRoom => {
                let at_once = self.at_once.lock().clone();
                if let Some(AtOnce { host, .. }) = at_once {
                    host.report(&format!(
                        "debugging is denied for {:?}: its name is too long, or {MAX_OPERATIONS} \
                         operations are remembered already",
                        operation.chars().take(SHOWN_CHARS).collect::<String>()
                    ));
                }
                self.deny()
            }
        }
    }

    fn start(&self, host: &PolicyHost) -> Result<(), ConfigError> {
        self.polling.begin(|| {
            let (shared, host) = (Arc::clone(&self.shared), host.clone());
            let refresh = move |is_stopped: &dyn Fn() -> bool| shared.refresh(&host, is_stopped);
            // There is nothing to poll for at the start, and two polls for one operation would
            // count a credit twice.
            Poller::start_later("jaeger-client-throttler", self.refresh_interval, refresh)
        })?;
        let at_once = || AtOnce { host: host.clone(), spared_until: None };
        self.at_once.lock().get_or_insert_with(at_once);
        Ok(())
    }

    fn close(&self) {
        if self.polling.end() {
            *self.at_once.lock() = None;
        }
    }

    fn updates(&self) -> Updates {
        self.shared.updates.lock().clone()
    }

    fn throttled(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Polls for all operations, if there are any. An error response to one request does not
    /// prevent the next one; a missing response does.
    fn refresh(&self, host: &PolicyHost, is_unwanted: &dyn Fn() -> bool) -> PollResult {
        let requests = self.credits.lock().requests();
        let mut outcome = PollResult::Responded;
        for request in &requests {
            let response = self.poll(&self.background, request.iter().map(|name| &**name), host);
            if is_unwanted() {
                return PollResult::Responded;
            }
            match response {
                Ok(balances) => {
                    self.credits.lock().add(&balances);
                    let updates = &mut *self.updates.lock();
                    updates.ok += 1;
                    updates.last_error = None;
                }
                Err((result, error)) => {
                    {
                        let updates = &mut *self.updates.lock();
                        updates.err += 1;
                        updates.last_error = Some(error.to_string());
                    }
                    self.log_error(host, &error);
                    outcome = result;
                    let is_silent = matches!(error, FetchError::Other { .. });
                    if is_silent && matches!(result, PollResult::Failed { .. }) {
                        break;
                    }
                }
            }
        }
        outcome
    }

    fn poll<'o>(
        &'o self,
        fetch: &HttpFetch,
        operations: impl IntoIterator<Item = &'o str>,
        host: &'o PolicyHost,
    ) -> Result<Vec<Balance>, (PollResult, FetchError)> {
        let operations = operations.into_iter().map(|operation| ("operations", operation));
        let who = [("service", self.service_name.as_str()), ("uuid", host.client_uuid())];
        let body = fetch
            .get(operations.chain(who))
            .map_err(|error| (PollResult::Failed { retry_after: error.retry_after() }, error))?;
        credits::read(&body).map_err(|refused| (PollResult::Responded, refused))
    }

    fn log_error(&self, host: &PolicyHost, error: &FetchError) {
        host.report(&format!("no debugging credits from {}: {error}", self.background.shown_url()));
    }
}

/// The timeout on the application's thread. The agent is on the same host, or near, and the span is
/// waiting to start.
const AT_ONCE_TIMEOUT: Duration = Duration::from_secs(1);

/// How many characters of a name are shown.
const SHOWN_CHARS: usize = 40;
