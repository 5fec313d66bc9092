//! The builder of the remote sampler.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::current::{Current, OperationLimits, Shared};
use super::{HttpSource, RemoteSampler, StrategySource};
use crate::destructors::has_destructor;
use crate::diag::Brief;
use crate::error::ConfigError;
use crate::http_client::ProxyConfig;
use crate::redact;
use crate::sampler::{
    ConstSampler, DEFAULT_MAX_OPERATIONS, DEFAULT_RATE, DEFAULT_REFRESH_INTERVAL,
    DEFAULT_SAMPLING_SERVER_URL, GuardedSampler, ProbabilisticSampler, Sampler, SamplerParams,
    has_user_destructor,
};

/// The builder of a [`RemoteSampler`].
#[must_use = "the sampler is made by `build`"]
pub struct RemoteSamplerBuilder {
    service_name: String,
    url: String,
    source: Option<Box<dyn StrategySource>>,
    initial_rate: f64,
    initial: Option<Current>,
    refresh_interval: Duration,
    fetch_timeout: Duration,
    proxy: ProxyConfig,
    operations: OperationLimits,
    holds_other_values: bool,
}

/// Hides what is secret in the URL.
impl fmt::Debug for RemoteSamplerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSamplerBuilder")
            .field("service", &Brief(&self.service_name))
            .field("sampling_server_url", &Brief(redact::value(&self.url)))
            .field("refresh_interval", &self.refresh_interval)
            .finish_non_exhaustive()
    }
}

impl RemoteSamplerBuilder {
    pub(super) fn new(service_name: String) -> Self {
        Self {
            service_name,
            url: DEFAULT_SAMPLING_SERVER_URL.to_owned(),
            source: None,
            initial_rate: DEFAULT_RATE,
            initial: None,
            refresh_interval: DEFAULT_REFRESH_INTERVAL,
            fetch_timeout: DEFAULT_FETCH_TIMEOUT,
            proxy: ProxyConfig::default(),
            operations: OperationLimits { max: DEFAULT_MAX_OPERATIONS, late_binding: false },
            holds_other_values: false,
        }
    }

    /// Sets the address to poll by HTTP; the query `service=…` is added. An `https` address needs
    /// the feature `tls`. Default `http://127.0.0.1:5778/sampling`.
    pub fn sampling_server_url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// Sets a custom source of strategies in place of HTTP.
    pub fn source(mut self, source: impl StrategySource + 'static) -> Self {
        self.holds_other_values |= has_destructor(&source);
        self.source = Some(Box::new(source));
        self
    }

    /// Sets the probability until the first response. Default 0.001.
    pub fn initial_rate(mut self, rate: f64) -> Self {
        self.initial_rate = rate;
        self
    }

    /// Sets a sampler until the first response, in place of a probability. It is neither started
    /// nor closed.
    pub fn initial(mut self, sampler: impl Sampler + 'static) -> Self {
        self.holds_other_values |= has_user_destructor(&sampler);
        self.initial = Some(recognized(sampler));
        self
    }

    /// Sets the interval of polls: each is shortened at random by up to a fifth, so that processes
    /// do not poll at the same moment. Default one minute, which 0 means too; at least 10 ms.
    pub fn refresh_interval(mut self, interval: Duration) -> Self {
        self.refresh_interval = if interval.is_zero() {
            DEFAULT_REFRESH_INTERVAL
        } else {
            interval.clamp(MIN_REFRESH_INTERVAL, MAX_REFRESH_INTERVAL)
        };
        self
    }

    /// Sets the timeout of a request by HTTP. Default 5 s, which 0 means too; an hour at most.
    pub fn fetch_timeout(mut self, timeout: Duration) -> Self {
        self.fetch_timeout = if timeout.is_zero() { DEFAULT_FETCH_TIMEOUT } else { timeout };
        self
    }

    /// Sets the proxy for requests by HTTP. By default, the environment names it.
    pub fn proxy(mut self, proxy: ProxyConfig) -> Self {
        self.proxy = proxy;
        self
    }

    /// Sets the maximum number of learned operations; see
    /// [`PerOperationSampler`](crate::sampler::PerOperationSampler::max_operations). Default 2,000,
    /// which 0 means too.
    pub fn max_operations(mut self, operations: usize) -> Self {
        self.operations.max = if operations == 0 { DEFAULT_MAX_OPERATIONS } else { operations };
        self
    }

    /// Sets whether to decide again when a trace's first span is renamed; see
    /// [`PerOperationSampler`](crate::sampler::PerOperationSampler::late_binding). Default no.
    pub fn late_binding(mut self, enabled: bool) -> Self {
        self.operations.late_binding = enabled;
        self
    }

    /// Builds the sampler, which begins to poll when a tracer is built with it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for an empty service name, an invalid URL, or an initial rate that is not a
    /// probability. A server that cannot be reached is no error.
    pub fn build(self) -> Result<RemoteSampler, ConfigError> {
        if self.service_name.is_empty() {
            return Err(ConfigError::NoServiceName { noticed: Vec::new() });
        }
        let initial = match self.initial {
            Some(initial) => initial,
            None => Current::Probabilistic(ProbabilisticSampler::new(self.initial_rate)?),
        };
        let source = match self.source {
            Some(source) => source,
            None => Box::new(HttpSource::with_proxy(&self.url, self.fetch_timeout, &self.proxy)?),
        };
        let shared = Shared::new(self.service_name, source, initial, self.operations);
        Ok(RemoteSampler {
            shared: Arc::new(shared),
            refresh_interval: self.refresh_interval,
            polling: Default::default(),
            holds_other_values: self.holds_other_values,
        })
    }
}

/// Recognizes a sampler that can be updated in place.
fn recognized(sampler: impl Sampler + 'static) -> Current {
    fn take<S: 'static>(any: &mut dyn Any) -> Option<S> {
        any.downcast_mut::<Option<S>>().and_then(Option::take)
    }
    let mut sampler = Some(sampler);
    let known = take(&mut sampler)
        .map(Current::Probabilistic)
        .or_else(|| take(&mut sampler).map(Current::RateLimiting))
        .or_else(|| take(&mut sampler).map(Current::PerOperation));
    match (known, sampler) {
        (None, Some(other)) => Current::Other(GuardedSampler::new(other)),
        // The sampler was either taken or is still there.
        (known, _) => {
            known.unwrap_or(Current::Other(GuardedSampler::new(ConstSampler::new(false))))
        }
    }
}

pub(in crate::sampler) fn build(
    params: &SamplerParams<'_>,
) -> Result<Box<dyn Sampler>, ConfigError> {
    let sampler = RemoteSampler::builder(params.service_name)
        .sampling_server_url(params.sampling_server_url)
        .initial_rate(params.param)
        .refresh_interval(params.sampling_refresh_interval)
        .max_operations(params.max_operations)
        .late_binding(params.operation_name_late_binding)
        .proxy(params.proxy.clone())
        .build()?;
    Ok(Box::new(sampler))
}

const DEFAULT_FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The minimum interval: a wrong unit must not make a process poll without a pause.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_millis(10);

/// The maximum interval, small enough for the clock's arithmetic.
const MAX_REFRESH_INTERVAL: Duration = Duration::from_secs(365 * 24 * 60 * 60);
