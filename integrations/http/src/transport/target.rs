//! Where a request goes: what its URL says of that.

use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use http::uri::Scheme;

use crate::error::Error;

/// The server of a URL.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) key: Arc<Key>,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
}

/// What connections are kept under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) tls: bool,
    /// `host:port`.
    pub(super) host_port: String,
}

impl Target {
    pub(super) fn of(uri: &Uri) -> Result<Self, Error> {
        let unusable = |reason| Error::Url { url: uri.to_string(), reason };
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(_) => return Err(unusable("its scheme is neither http nor https")),
            None => return Err(unusable("it has no scheme")),
        };
        if tls && cfg!(not(feature = "tls")) {
            return Err(unusable("https needs the feature `tls` of jaeger-client-http"));
        }
        let authority = uri.authority().ok_or_else(|| unusable("it has no host"))?;
        if authority.as_str().contains('@') {
            // Not shown: it may hold a password.
            return Err(Error::Url {
                url: format!("{}://…@{}", uri.scheme_str().unwrap_or_default(), authority.host()),
                reason: "it holds credentials; set the header Authorization instead",
            });
        }
        if authority.host().is_empty() {
            return Err(unusable("it has no host"));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let host = authority.host();
        let host_port = match authority.port() {
            // Most often it is written as it is meant, and need not be put together.
            Some(written) if !written.as_str().starts_with('0') => authority.as_str().to_owned(),
            _ => format!("{host}:{port}"),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { key: Arc::new(Key { tls, host_port }), host, port })
    }

    /// The address, where the host is one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
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
        for same in ["http://host:80/", "http://host:080/", "http://host:/", "http://host"] {
            assert_eq!(of(same).unwrap().key.host_port, "host:80", "{same}");
        }
    }

    #[test]
    fn what_cannot_be_asked_says_why_and_shows_no_password() {
        for (url, why) in [
            ("/path", "no scheme"),
            ("ftp://host/", "neither http nor https"),
            ("http://me:secret@host/", "credentials"),
        ] {
            let text = of(url).unwrap_err().to_string();
            assert!(text.contains(why) && !text.contains("secret"), "{text}");
        }
        assert_eq!(of("https://host/").is_ok(), cfg!(feature = "tls"));
    }
}
