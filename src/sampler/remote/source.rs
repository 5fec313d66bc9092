//! Asks a server for a strategy.

use std::fmt;
use std::time::Duration;

use ureq::http::Uri;

use crate::error::ConfigError;

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

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchError {
    /// The server answered with an error.
    Status {
        /// The status code.
        status: u16,
        /// The beginning of what it said.
        body: String,
    },
    /// The answer is longer than any that is taken.
    TooLong {
        /// How many bytes are taken.
        limit: u64,
    },
    /// Anything else.
    Other {
        /// What happened.
        message: String,
    },
}

impl FetchError {
    /// An error of a source of one's own.
    #[must_use]
    pub fn new(message: impl fmt::Display) -> Self {
        Self::Other { message: message.to_string() }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, body } => write!(f, "status {status}: {body:?}"),
            Self::TooLong { limit } => write!(f, "the answer is longer than {limit} bytes"),
            Self::Other { message } => f.write_str(message),
        }
    }
}

impl std::error::Error for FetchError {}

/// Asks by HTTP.
///
/// # Cost
///
/// One question at a time. It ends within its limit of time, and reads 1 MiB at most. Proxies that
/// the environment names are not used: whom it asks is usually on this host.
#[derive(Debug)]
pub struct HttpSource {
    agent: ureq::Agent,
    url: String,
}

impl HttpSource {
    /// Asks at `url`, for at most `timeout` each time. Without a scheme, `http://` is meant.
    ///
    /// # Errors
    ///
    /// [`ConfigError::OutOfRange`] if `url` is no address of a web server.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, ConfigError> {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let parsed = url.parse::<Uri>().ok().filter(|uri| {
            let web = matches!(uri.scheme_str(), Some("http" | "https"));
            web && uri.host().is_some_and(|host| !host.is_empty())
        });
        if parsed.is_none() {
            return Err(ConfigError::OutOfRange {
                field: "sampler.sampling_server_url",
                value: url,
                allowed: "a URL such as http://127.0.0.1:5778/sampling",
            });
        }
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(MAX_REDIRECTS)
            .user_agent(USER_AGENT)
            .proxy(None)
            .build()
            .into();
        Ok(Self { agent, url })
    }
}

impl StrategySource for HttpSource {
    fn fetch(&self, service_name: &str) -> Result<Vec<u8>, FetchError> {
        let request = self.agent.get(&self.url).query("service", service_name);
        let mut answer = request.call().map_err(FetchError::new)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(MAX_BODY_BYTES).read_to_vec();
        if status >= 400 {
            let body = body.unwrap_or_default();
            let shown = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES)]);
            return Err(FetchError::Status { status, body: shown.trim_end().to_owned() });
        }
        body.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => FetchError::TooLong { limit: MAX_BODY_BYTES },
            other => FetchError::new(other),
        })
    }

    fn name(&self) -> String {
        self.url.clone()
    }
}

const USER_AGENT: &str = concat!("jaeger-client-rust/", env!("CARGO_PKG_VERSION"));

const MAX_REDIRECTS: u32 = 3;

/// The longest answer, in bytes: with the names of 2,000 operations it is about a tenth of that.
const MAX_BODY_BYTES: u64 = 1 << 20;

/// How much of an error page is shown.
const SHOWN_BYTES: usize = 200;
