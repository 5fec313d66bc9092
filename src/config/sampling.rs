//! The configuration of the sampler.

use std::fmt;
use std::time::Duration;

use crate::http_client::ProxyConfig;
use crate::non_exhaustive::NonExhaustive;
use crate::redact;
use crate::sampler;

/// The configuration of the sampler.
///
/// # Examples
///
/// ```
/// use jaeger_client::{Configuration, SamplerConfig};
/// let sampler = SamplerConfig { param: 0.1, ..SamplerConfig::new("probabilistic") };
/// let (tracer, _closer) = Configuration { sampler, ..Configuration::new("checkout") }.new_tracer()?;
/// assert_eq!(tracer.sampler_status().rule.to_string(), "probabilistic: 0.1 of traces");
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct SamplerConfig {
    /// The type: `const`, `probabilistic`, `ratelimiting` or `remote`; the names in
    /// [`sampler::SAMPLERS`].
    pub kind: String,
    /// The parameter: for `const`, 0 for none and anything else for all; for `probabilistic`, a
    /// probability from 0 to 1; for `ratelimiting`, traces per second; for `remote`, the
    /// probability until the first response.
    pub param: f64,
    /// The address that `remote` polls; the service's name is added. Default
    /// `http://127.0.0.1:5778/sampling`.
    pub sampling_server_url: String,
    /// The interval of `remote`'s polls. Default one minute, which 0 means too.
    pub sampling_refresh_interval: Duration,
    /// The maximum number of operations that `remote` learns, beside those that the server names.
    /// Default 2000, which 0 means too.
    pub max_operations: usize,
    /// Whether `remote` decides again about the first span of a trace when it is renamed, for
    /// frameworks that learn the route late.
    pub operation_name_late_binding: bool,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

/// Hides what is secret in the URL.
impl fmt::Debug for SamplerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SamplerConfig")
            .field("kind", &self.kind)
            .field("param", &self.param)
            .field("sampling_server_url", &redact::value(&self.sampling_server_url))
            .field("sampling_refresh_interval", &self.sampling_refresh_interval)
            .field("max_operations", &self.max_operations)
            .field("operation_name_late_binding", &self.operation_name_late_binding)
            .finish()
    }
}

impl SamplerConfig {
    /// Returns a sampler of that type with its default parameter: every trace for `const`, 0.001 of
    /// them for `probabilistic` and `remote`, one a second for `ratelimiting`.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::SamplerConfig;
    /// assert_eq!(SamplerConfig::new("probabilistic").param, 0.001);
    /// ```
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        let kind = kind.into();
        Self {
            param: sampler::default_param(&kind),
            kind,
            sampling_server_url: sampler::DEFAULT_SAMPLING_SERVER_URL.to_owned(),
            sampling_refresh_interval: sampler::DEFAULT_REFRESH_INTERVAL,
            max_operations: sampler::DEFAULT_MAX_OPERATIONS,
            operation_name_late_binding: false,
            __non_exhaustive: NonExhaustive,
        }
    }

    /// Returns the parameters for the builder of the sampler.
    pub(super) fn params<'a>(
        &'a self,
        service_name: &'a str,
        proxy: &'a ProxyConfig,
    ) -> sampler::SamplerParams<'a> {
        let mut params = sampler::SamplerParams::new(service_name, self.param);
        params.sampling_server_url = &self.sampling_server_url;
        params.sampling_refresh_interval = self.sampling_refresh_interval;
        params.proxy = proxy;
        params.max_operations = self.max_operations;
        params.operation_name_late_binding = self.operation_name_late_binding;
        params
    }
}

impl Default for SamplerConfig {
    /// Samples every trace: a default of one in a thousand has cost many people hours.
    fn default() -> Self {
        Self::new("const")
    }
}
