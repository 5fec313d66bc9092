//! Where a request goes: what its URL says of that.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use http::uri::Scheme;

use crate::error::Error;
use crate::url::{self, host_and_port};

/// The server of a URL.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) key: Arc<Key>,
    /// Without the brackets of an IPv6 address, with its zone after a `%`.
    pub(super) host: String,
    pub(super) port: u16,
}

/// The key of connections in the pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) tls: bool,
    /// `host:port`.
    pub(super) host_port: String,
}

impl Target {
    pub(super) fn of(uri: &Uri) -> Result<Self, Error> {
        let unusable = |reason| Error::Url { url: url::redacted(uri), reason };
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(_) => return Err(unusable("its scheme is neither http nor https")),
            None => return Err(unusable("it has no scheme")),
        };
        if tls && cfg!(not(feature = "tls")) {
            return Err(unusable("https needs the feature `tls` of jaeger-client-http"));
        }
        let authority = uri.authority().ok_or_else(|| unusable("it has no host"))?.as_str();
        if authority.contains('@') {
            return Err(unusable("it holds credentials; set the header Authorization instead"));
        }
        let (host, written) = host_and_port(authority).map_err(unusable)?;
        let usual = if tls { 443 } else { 80 };
        let port = written.and_then(|port| port.parse().ok()).unwrap_or(usual);
        let host = match host.contains('%') {
            // Only the zone of an IPv6 address has one, RFC 6874.
            true => Cow::Owned(host.replacen("%25", "%", 1)),
            false => Cow::Borrowed(host),
        };
        let host_port = match written {
            // Most often it is written as it is meant, and need not be put together.
            Some(written)
                if !written.is_empty() && !written.starts_with('0') && !host.contains('%') =>
            {
                authority.to_owned()
            }
            _ => format!("{host}:{port}"),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { key: Arc::new(Key { tls, host_port }), host, port })
    }

    /// The address, where the host is one without a zone.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Returns whether the host is an IPv6 address with a zone, which is local to this machine.
    pub(super) fn has_zone(&self) -> bool {
        self.host.contains('%')
    }

    /// Returns the name that the server's certificate must have.
    pub(super) fn server_name(&self) -> &str {
        self.host.split('%').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &'static str) -> Result<Target, Error> {
        Target::of(&Uri::from_static(url))
    }

    #[test]
    fn a_url_names_host_and_port() {
        let target = of("http://localhost/x").unwrap();
        assert_eq!((&*target.key.host_port, target.key.tls), ("localhost:80", false));
        let target = of("http://[::1]:8080/").unwrap();
        assert_eq!((&*target.host, target.port), ("::1", 8080));
        assert_eq!(target.key.host_port, "[::1]:8080");
        assert!(target.address().is_some());
        let target = of("http://[fe80::1%25eth0]/").unwrap();
        assert_eq!((&*target.host, &*target.key.host_port), ("fe80::1%eth0", "[fe80::1%eth0]:80"));
        assert!(target.address().is_none() && target.has_zone());
        assert_eq!(target.server_name(), "fe80::1");
        for same in ["http://host:80/", "http://host:080/", "http://host:/", "http://host"] {
            assert_eq!(of(same).unwrap().key.host_port, "host:80", "{same}");
        }
    }

    #[test]
    fn an_unusable_target_is_an_error_with_the_reason_and_no_password() {
        for (url, why) in [
            ("/path", "no scheme"),
            ("ftp://host/", "neither http nor https"),
            ("http://me:secret@host/", "credentials"),
            ("http://me:se/cret@host/", "port"),
            ("http://me:se?cret@host/", "port"),
            ("http://host:80x/", "port"),
            ("http://host:65536/", "port"),
        ] {
            let text = of(url).unwrap_err().to_string();
            assert!(text.contains(why) && !text.contains("cret"), "{text}");
        }
        assert_eq!(of("https://host/").is_ok(), cfg!(feature = "tls"));
    }
}
