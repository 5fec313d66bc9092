//! URLs of requests, and their redacted form.

use std::fmt;

use ureq::http::Uri;

/// An absolute URL, `http` or `https`, with a host and without user and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url(Uri);

impl Url {
    /// Parses a URL; `None` if it is invalid, or of another kind.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority()?.as_str();
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        // An invalid port would be taken for the scheme's default.
        let after_host = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
        let has_bad_port = after_host.contains(':') && uri.port_u16().is_none_or(|port| port == 0);
        (is_web && has_host && !has_bad_port && !authority.contains('@')).then_some(Self(uri))
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.0
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// Returns the host, an IPv6 address without its brackets.
    pub(crate) fn host(&self) -> &str {
        let host = self.0.host().unwrap_or_default();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or_else(|| if self.is_encrypted() { 443 } else { 80 })
    }

    /// Returns scheme, host and port as they are at the beginning of the URL.
    pub(crate) fn origin(&self) -> String {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        format!("{scheme}://{authority}")
    }

    /// Resolves a `Location` in a response from this URL, by RFC 3986.
    pub(crate) fn join(&self, location: &str) -> Option<Self> {
        // A colon before any slash ends a scheme: relative references have none there.
        let first = location.split(['/', '?', '#']).next().unwrap_or_default();
        if first.contains(':') {
            return Self::parse(location);
        }
        if location.starts_with("//") {
            return Self::parse(&format!("{}:{location}", self.0.scheme_str()?));
        }
        let path = self.0.path();
        let base = match location.as_bytes().first() {
            Some(b'/') => "",
            Some(b'?') => path,
            None => return None,
            Some(_) => path.rsplit_once('/').map_or("/", |(folder, _)| &path[..=folder.len()]),
        };
        Self::parse(&format!("{}{base}{location}", self.origin()))
    }

    /// Returns whether requests to that URL may have the credentials for this one: it has the same
    /// origin, or the same host with encryption.
    #[cfg(feature = "collector-http")]
    pub(crate) fn trusts(&self, next: &Self) -> bool {
        let is_same_host = self.host().eq_ignore_ascii_case(next.host());
        let is_same_origin =
            self.is_encrypted() == next.is_encrypted() && self.port() == next.port();
        let is_upgrade = !self.is_encrypted() && next.is_encrypted();
        is_same_host && (is_same_origin || is_upgrade)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_the_web_with_a_host_are_taken() {
        for good in
            ["http://a", "HTTPS://a:1/b?c", "http://[::1]:80/", "http://[::1]", "http://a/:x"]
        {
            assert!(Url::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "a",
            "a:80",
            "/a",
            "ftp://a",
            "http://",
            "http://:80",
            "http://a:0",
            "http://a:x",
            "http://a:65536",
            "http://u:p@a",
            "http://u@a",
            "http://[::1",
            "http://a b",
            "http://a/ b",
        ] {
            assert!(Url::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_location_is_resolved_against_the_url_it_came_from() {
        let base = Url::parse("http://h:8/a/b?c=d").unwrap();
        for (location, meant) in [
            ("/x", "http://h:8/x"),
            ("x?y", "http://h:8/a/x?y"),
            ("?y", "http://h:8/a/b?y"),
            ("//o/x", "http://o/x"),
            ("https://o:1/x", "https://o:1/x"),
            ("/x#part", "http://h:8/x"),
        ] {
            assert_eq!(base.join(location), Url::parse(meant), "{location}");
        }
        for bad in ["ftp://o/x", "http://u:p@o/", "http://[::1", "//", "/a b", "file:///etc", ""] {
            assert_eq!(base.join(bad), None, "{bad}");
        }
    }

    #[cfg(feature = "collector-http")]
    #[test]
    fn only_the_same_origin_and_the_same_host_with_encryption_are_trusted() {
        let trusts =
            |from: &str, to: &str| Url::parse(from).unwrap().trusts(&Url::parse(to).unwrap());
        for (from, to) in [
            ("http://h:1/a", "http://H:1/b"),
            ("http://h/a", "http://h:80/b"),
            ("http://h:1/a", "https://h/a"),
            ("http://h:1/a", "https://h:1/a"),
            ("https://h/a", "https://h:443/b"),
        ] {
            assert!(trusts(from, to), "{from} {to}");
        }
        for (from, to) in [
            ("http://h:1/", "http://h:2/"),
            ("http://h/", "http://i/"),
            ("https://h/", "http://h/"),
            ("https://h/", "https://h:444/"),
            ("http://h/", "https://h.evil/"),
        ] {
            assert!(!trusts(from, to), "{from} {to}");
        }
    }
}
