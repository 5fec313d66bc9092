//! The proxy of requests, from configuration or the environment.

use std::ffi::OsString;
use std::fmt;

#[cfg(any(feature = "collector-http", feature = "remote-sampler"))]
use crate::environment;

/// The proxy of requests over HTTP.
///
/// Requests to `localhost` and to loopback addresses never use a proxy.
///
/// # Shape and units
///
/// A proxy is a URL, `http://`, `https://` (feature `tls`), `socks5://`, `socks5h://`, `socks4://`
/// or `socks4a://`, perhaps with user and password; the default scheme is `http://`. An `http://`
/// proxy forwards requests for `http://` URLs, and opens a tunnel (`CONNECT`) for `https://` ones.
///
/// # Source
///
/// `golang.org/x/net/http/httpproxy`, which jaeger-client-go uses through `net/http`.
///
/// # Examples
///
/// ```
/// use jaeger_client::{HttpConfig, ProxyConfig};
/// let config = HttpConfig {
///     proxy: ProxyConfig::Fixed {
///         http: Some("http://proxy:3128".into()),
///         https: Some("http://proxy:3128".into()),
///         no_proxy: ".cluster.local,10.0.0.0/8".into(),
///     },
///     ..HttpConfig::new("https://collector.example:14268")
/// };
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyConfig {
    /// The proxy that the environment names when the tracer is built: `HTTP_PROXY` for `http://`
    /// URLs, `HTTPS_PROXY` for `https://` ones, none for hosts in `NO_PROXY`. The lower-case names
    /// count where those are not set. In a CGI program, where `REQUEST_METHOD` is set, `HTTP_PROXY`
    /// may come from a request, so only `http_proxy` counts.
    #[default]
    Environment,
    /// No proxy.
    Direct,
    /// Fixed proxies.
    Fixed {
        /// The proxy for `http://` URLs.
        http: Option<String>,
        /// The proxy for `https://` URLs.
        https: Option<String>,
        /// The hosts that are reached without a proxy, separated by commas, as in `NO_PROXY`:
        /// `example.com` is that host and all below it, `.example.com` those below it, `10.0.0.7`
        /// an address, `10.0.0.0/8` a range of them; each of the first three perhaps with a port.
        /// `*` is any host.
        no_proxy: String,
    },
}

/// Hides the proxies, whose URLs may have passwords: only shows whether there are any.
impl fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |proxy: &Option<String>| proxy.as_ref().map(|_| "(hidden)");
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::Direct => f.write_str("Direct"),
            Self::Fixed { http, https, no_proxy } => f
                .debug_struct("Fixed")
                .field("http", &shown(http))
                .field("https", &shown(https))
                .field("no_proxy", no_proxy)
                .finish(),
        }
    }
}

impl ProxyConfig {
    /// Returns the proxies that these variables name, or `None` if no variable is set.
    pub(crate) fn from_variables(lookup: &dyn Fn(&str) -> Option<OsString>) -> Option<Self> {
        let value = |name: &str| {
            let text = lookup(name)?.to_string_lossy().trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        let either = |upper: &str, lower: &str| value(upper).or_else(|| value(lower));
        let is_cgi = value("REQUEST_METHOD").is_some();
        let http = if is_cgi { value("http_proxy") } else { either("HTTP_PROXY", "http_proxy") };
        let https = either("HTTPS_PROXY", "https_proxy");
        let no_proxy = either("NO_PROXY", "no_proxy").unwrap_or_default();
        (http.is_some() || https.is_some()).then_some(Self::Fixed { http, https, no_proxy })
    }

    /// Replaces the environment's name by the proxies that it names.
    #[cfg(any(feature = "collector-http", feature = "remote-sampler"))]
    pub(crate) fn resolved(&self) -> Self {
        match self {
            Self::Environment => {
                Self::from_variables(&environment::variable).unwrap_or(Self::Direct)
            }
            other => other.clone(),
        }
    }
}
