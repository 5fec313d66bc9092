//! The sources of sampling strategies.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ConfigError;
use crate::http_client::ProxyConfig;
use crate::polling::FetchError;
use crate::polling::HttpFetch;

/// Fetches the sampling strategy of a service.
///
/// # Cost
///
/// Called on the sampler's own thread. A source may block, and should have a timeout: while it
/// blocks, the strategy in use stays as it is. With a source that has a destructor, as an `Arc` has, a thread retains
/// no references to the tracer, so that a span takes two locked instructions more.
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
    /// Fetches the strategy and returns the response body: JSON, as Jaeger's agent and collector
    /// write it.
    ///
    /// # Errors
    ///
    /// [`FetchError`] if there was no response, or one that is an error.
    fn fetch(&self, service_name: &str) -> Result<Vec<u8>, FetchError>;

    /// Returns the name of the source, for status and logs.
    fn name(&self) -> String {
        format!("{self:?}")
    }
}

impl<S: StrategySource + ?Sized> StrategySource for Arc<S> {
    fn fetch(&self, service_name: &str) -> Result<Vec<u8>, FetchError> {
        (**self).fetch(service_name)
    }

    fn name(&self) -> String {
        (**self).name()
    }
}

/// Fetches strategies by HTTP.
///
/// # Cost
///
/// One request at a time. It ends within its timeout, and reads 1 MiB at most.
#[derive(Debug)]
pub struct HttpSource {
    fetch: HttpFetch,
}

impl HttpSource {
    /// Fetches from `url`, for at most `timeout` each time, an hour at most; through the proxy that
    /// the environment names, if there is one. The default scheme is `http://`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `url` is not an HTTP address, or the proxy is invalid.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, ConfigError> {
        Self::with_proxy(url, timeout, &ProxyConfig::Environment)
    }

    /// Like [`new`](Self::new), through this proxy or none.
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
