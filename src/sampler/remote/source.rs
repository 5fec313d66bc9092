//! Asks a server for a strategy.

use std::fmt;
use std::time::Duration;

use crate::error::ConfigError;
use crate::fetch::FetchError;
use crate::fetch::HttpFetch;
use crate::http_client::ProxyConfig;

/// Asks for the strategy of a service.
///
/// # Cost
///
/// Called on the sampler's own thread. It may block, and should not do so without a limit of time:
/// while it does, the strategy before stays in force.
///
/// # Examples
///
/// ```
/// use jaeger_client::sampler::{FetchError, FetchOutcome, RemoteSampler, StrategySource};
///
/// #[derive(Debug)]
/// struct File(std::path::PathBuf);
///
/// impl StrategySource for File {
///     fn fetch(&self, _service_name: &str) -> Result<Vec<u8>, FetchError> {
///         std::fs::read(&self.0).map_err(FetchError::new)
///     }
/// }
///
/// let absent = File("/no/such/file".into());
/// let sampler = RemoteSampler::builder("svc").source(absent).build()?;
/// assert!(matches!(sampler.refresh(), FetchOutcome::Failed { .. }));
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub trait StrategySource: fmt::Debug + Send + Sync {
    /// Asks, and gives the answer as it is: JSON, as Jaeger's agent and collector write it.
    ///
    /// # Errors
    ///
    /// [`FetchError`] if there was no answer, or one that is an error.
    fn fetch(&self, service_name: &str) -> Result<Vec<u8>, FetchError>;

    /// Whom it asks, for those who read the status.
    fn name(&self) -> String {
        format!("{self:?}")
    }
}

/// Asks by HTTP.
///
/// # Cost
///
/// One question at a time. It ends within its limit of time, and reads 1 MiB at most.
#[derive(Debug)]
pub struct HttpSource {
    fetch: HttpFetch,
}

impl HttpSource {
    /// Asks at `url`, for at most `timeout` each time, an hour at most; through the proxy that the
    /// environment names, if there is one. Without a scheme, `http://` is meant.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `url` is no address of a web server, or the proxy is none.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, ConfigError> {
        Self::with_proxy(url, timeout, &ProxyConfig::Environment)
    }

    /// The same through another proxy, or none.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_proxy(
        url: &str,
        timeout: Duration,
        proxy: &ProxyConfig,
    ) -> Result<Self, ConfigError> {
        let allowed = "a URL such as http://127.0.0.1:5778/sampling";
        let fetch = HttpFetch::new("sampler.sampling_server_url", url, allowed, timeout, proxy)?;
        Ok(Self { fetch })
    }
}

impl StrategySource for HttpSource {
    fn fetch(&self, service_name: &str) -> Result<Vec<u8>, FetchError> {
        self.fetch.get([("service", service_name)])
    }

    fn name(&self) -> String {
        self.fetch.shown_url().to_owned()
    }
}
