//! The HTTP client, which selects the route of each request and follows redirects.

use std::fmt;
use std::time::Duration;

use ureq::http::{HeaderName, HeaderValue};
use ureq::{Agent, Proxy, ProxyProtocol};

use super::exchange::{Exchange, Failure, HttpResponse, Reason, USER_AGENT};
use super::forward::ForwardProxy;
use super::no_proxy::Bypass;
use super::proxy::ProxyConfig;
use super::tls::TlsOptions;
use super::url::Url;
use crate::clock;
use crate::error::ConfigError;
use crate::redact;

/// The options of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientOptions<'o> {
    /// The name of the option with the URL, for errors.
    pub(crate) field: &'static str,
    /// The timeout of a request, redirects and the response's body included.
    pub(crate) timeout: Duration,
    /// The timeout of the response's body, if that is less.
    pub(crate) body_timeout: Duration,
    /// The maximum length of a response's body.
    pub(crate) max_response_bytes: u64,
    /// The number of connections that are kept open between requests.
    pub(crate) idle_connections: usize,
    pub(crate) proxy: &'o ProxyConfig,
    pub(crate) tls: TlsOptions<'o>,
}

/// Sends requests to one URL, and follows redirects.
pub(crate) struct Client {
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
    body_timeout: Duration,
    max_response_bytes: u64,
    bypass: Bypass,
    direct: Agent,
    http: Route,
    https: Route,
}

/// The route of requests that are not sent directly.
enum Route {
    Direct,
    /// A tunnel, or a SOCKS proxy; with its name for messages.
    Proxied(Agent, String),
    /// A proxy that forwards whole requests.
    Forwarded(ForwardProxy),
    /// A proxy that cannot be used, and the reason.
    Unusable(ConfigError),
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.shown_url()).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client for a URL that sends these headers with each request.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a proxy, certificates or a key that cannot be used, and for `https`
    /// without the feature `tls`.
    pub(crate) fn new(
        url: Url,
        headers: Vec<(HeaderName, HeaderValue)>,
        options: &ClientOptions<'_>,
    ) -> Result<Self, ConfigError> {
        if let Some(field) = options.tls.fields_set()
            && !url.is_encrypted()
        {
            let allowed = "given for an https:// endpoint only";
            return Err(ConfigError::invalid(field, url.to_string(), allowed));
        }
        if !can_encrypt(&url) {
            return Err(ConfigError::FeatureOff { field: options.field, feature: "tls" });
        }
        let (http, https, no_proxy) = match options.proxy.resolved() {
            ProxyConfig::Fixed { http, https, no_proxy } => (http, https, no_proxy),
            ProxyConfig::Environment | ProxyConfig::Direct => (None, None, String::new()),
        };
        let is_from_environment = *options.proxy == ProxyConfig::Environment;
        let route = |proxy: Option<String>, is_encrypted: bool| {
            let field = match (is_from_environment, is_encrypted) {
                (true, false) => "HTTP_PROXY",
                (true, true) => "HTTPS_PROXY",
                (false, false) => "proxy.http",
                (false, true) => "proxy.https",
            };
            match proxy {
                None => Route::Direct,
                Some(proxy) => Route::through(&proxy, is_encrypted, field, options)
                    .unwrap_or_else(Route::Unusable),
            }
        };
        let client = Self {
            headers,
            timeout: options.timeout,
            body_timeout: options.body_timeout,
            max_response_bytes: options.max_response_bytes,
            bypass: Bypass::parse(&no_proxy),
            direct: agent(options, None)?,
            http: route(http, false),
            https: route(https, true),
            url,
        };
        client.check()
    }

    /// Adds a header to each request.
    #[cfg(feature = "otlp-gzip")]
    pub(crate) fn add_header(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.push((name, value));
    }

    /// Refuses a proxy that the URL would need and that cannot be used.
    fn check(mut self) -> Result<Self, ConfigError> {
        let is_encrypted = self.url.is_encrypted();
        if self.bypass.covers(self.url.host(), self.url.port()) {
            return Ok(self);
        }
        let route = if is_encrypted { &mut self.https } else { &mut self.http };
        match std::mem::replace(route, Route::Direct) {
            Route::Unusable(error) => Err(error),
            usable => {
                *route = usable;
                Ok(self)
            }
        }
    }

    /// Returns the URL for messages, without what may be secret.
    pub(crate) fn shown_url(&self) -> String {
        redact::value(&self.url.to_string())
    }

    #[cfg(feature = "collector-http")]
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends a POST request, within `timeout` if it is less than the configured one. Redirects that
    /// preserve the request, 307 and 308, are followed to the same origin, or to `https` on the
    /// same host: credentials go nowhere else.
    #[cfg(feature = "collector-http")]
    pub(crate) fn post(&self, body: &[u8], within: Duration) -> Result<HttpResponse, Failure> {
        let may_follow = |status, target: &Url| {
            matches!(status, 307 | 308) && self.url.trusts(target) && can_encrypt(target)
        };
        self.follow(&self.url, Some(body), within, may_follow)
    }

    /// Sends a GET request with a query, and follows redirects to any HTTP URL.
    #[cfg(feature = "remote-sampler")]
    pub(crate) fn get(&self, query: &str) -> Result<HttpResponse, Failure> {
        let url = self.url.to_string();
        let mark = if url.contains('?') { '&' } else { '?' };
        let requested = Url::parse(&format!("{url}{mark}{query}"));
        let too_long =
            || Failure::early(Reason::Unusable("the request URL is too long".to_owned()));
        let may_follow = |_, target: &Url| can_encrypt(target);
        self.follow(&requested.ok_or_else(too_long)?, None, self.timeout, may_follow)
    }

    fn follow(
        &self,
        url: &Url,
        body: Option<&[u8]>,
        within: Duration,
        may_follow: impl Fn(u16, &Url) -> bool,
    ) -> Result<HttpResponse, Failure> {
        let began = clock::now();
        let timeout = self.timeout.min(within);
        let mut response = self.exchange(url, body, timeout)?;
        let (mut at, mut hops) = (url.clone(), 0);
        while let Some(location) = redirect(&response) {
            let status = response.status;
            let is_allowed = |next: &Url| hops < MAX_REDIRECTS && may_follow(status, next);
            let Some(next) = at.join(location).filter(is_allowed) else {
                let target = redact::value(location);
                return Err(Failure::early(Reason::Redirect { status, target }));
            };
            let spent = clock::now().saturating_duration_since(began);
            response = self.exchange(&next, body, timeout.saturating_sub(spent))?;
            (at, hops) = (next, hops + 1);
        }
        Ok(response)
    }

    /// Sends one request, within that timeout.
    fn exchange(
        &self,
        url: &Url,
        body: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<HttpResponse, Failure> {
        if timeout.is_zero() {
            return Err(Failure::early(Reason::TimedOut("no time is left".to_owned())));
        }
        let is_shortened = timeout < self.timeout;
        let exchange = Exchange {
            url,
            headers: &self.headers,
            body,
            timeout,
            body_timeout: self.body_timeout,
            max_response_bytes: self.max_response_bytes,
        };
        let is_direct = self.bypass.covers(url.host(), url.port());
        match if url.is_encrypted() { &self.https } else { &self.http } {
            Route::Proxied(agent, name) if !is_direct => {
                exchange.send_with(agent, is_shortened).map_err(|failure| failure.at_proxy(name))
            }
            Route::Forwarded(proxy) if !is_direct => proxy.exchange(&exchange),
            Route::Unusable(error) if !is_direct => {
                Err(Failure::early(Reason::Unusable(error.to_string())))
            }
            _ => exchange.send_with(&self.direct, is_shortened),
        }
    }
}

impl Route {
    /// Returns the route by the proxy at that URL.
    fn through(
        url: &str,
        is_encrypted: bool,
        field: &'static str,
        options: &ClientOptions<'_>,
    ) -> Result<Self, ConfigError> {
        let refused =
            || ConfigError::invalid(field, url, "the URL of a proxy, such as http://proxy:3128");
        let with_scheme =
            if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let proxy = Proxy::new(&with_scheme).map_err(|_| refused())?;
        // `ureq` takes an invalid port for none, and the end of a user's name for a host.
        let (_, place) = with_scheme.split_once("://").unwrap_or_default();
        let (authority, rest) = place.split_at(place.find(['/', '?', '#']).unwrap_or(place.len()));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if rest.contains('@') || Url::parse(&format!("http://{host}")).is_none() {
            return Err(refused());
        }
        match proxy.protocol() {
            ProxyProtocol::Http if !is_encrypted => Ok(Self::Forwarded(ForwardProxy::new(&proxy))),
            #[cfg(not(feature = "tls"))]
            ProxyProtocol::Https => Err(ConfigError::FeatureOff { field, feature: "tls" }),
            _ => {
                let name = format!("{}:{}", proxy.host(), proxy.port());
                Ok(Self::Proxied(agent(options, Some(proxy))?, name))
            }
        }
    }
}

/// Returns the target of a redirect, if the response is one.
fn redirect(response: &HttpResponse) -> Option<&str> {
    let is_redirect = matches!(response.status, 301 | 302 | 303 | 307 | 308);
    response.location.as_deref().filter(|_| is_redirect)
}

/// Returns whether this build supports the scheme of the URL.
fn can_encrypt(url: &Url) -> bool {
    cfg!(feature = "tls") || !url.is_encrypted()
}

fn agent(options: &ClientOptions<'_>, proxy: Option<Proxy>) -> Result<Agent, ConfigError> {
    let timeout = options.timeout;
    let builder = Agent::config_builder()
        .timeout_global(Some(timeout))
        // Less than the whole timeout: if one of these expires, the request was surely not
        // processed.
        .timeout_resolve(Some(timeout / 2))
        .timeout_connect(Some(timeout / 2))
        .timeout_recv_body(Some(options.body_timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy)
        .user_agent(USER_AGENT)
        .max_idle_connections(options.idle_connections);
    #[cfg(feature = "tls")]
    let builder = builder.tls_config(options.tls.config()?);
    Ok(builder.build().new_agent())
}

const MAX_REDIRECTS: u32 = 3;
