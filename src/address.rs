//! Parsing of hosts, ports and URLs in configuration: the one place for it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A host name or IP address, perhaps with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    /// The host without brackets; a link-local IPv6 address has its zone, as in `fe80::1%eth0`.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl HostPort {
    /// Parses `host`, `host:port`, `[v6]` or `[v6]:port`. An IPv6 address without brackets is
    /// refused: its end and a port cannot be distinguished.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, after) = rest.split_once(']')?;
            let port = match after.strip_prefix(':') {
                Some(digits) => Some(port(digits)?),
                None if after.is_empty() => None,
                None => return None,
            };
            return Some(Self { host: ipv6(address)?, port });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, digits)) => (host, Some(port(digits)?)),
            None => (text, None),
        };
        is_name_or_ipv4(host).then(|| Self { host: host.to_owned(), port })
    }

    /// Parses a host alone, so that an IPv6 address needs no brackets, unless it seems to end with
    /// a port of Jaeger's.
    pub(crate) fn parse_host(text: &str) -> Option<Self> {
        match ipv6(text) {
            Some(_) if ends_with_a_port(text) => None,
            Some(host) => Some(Self { host, port: None }),
            None => Self::parse(text),
        }
    }
}

/// Shows the form for a URL: an IPv6 address in brackets.
impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]")?
        } else {
            f.write_str(host)?
        }
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Parses a port in decimal digits, from 1 to 65535.
pub(crate) fn port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| plain && *port > 0)
}

/// Returns the IPv6 address, with a zone if there is one; a URL's `%25` before the zone becomes
/// `%`.
fn ipv6(text: &str) -> Option<String> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    address.parse::<Ipv6Addr>().ok()?;
    let Some(zone) = zone else { return Some(address.to_owned()) };
    let zone = zone.strip_prefix("25").filter(|rest| !rest.is_empty()).unwrap_or(zone);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    (!zone.is_empty() && zone.bytes().all(is_plain)).then(|| format!("{address}%{zone}"))
}

/// Returns whether an IPv6 address is still one without its last part, and that part is a port of
/// an agent: `::1:6831` is an address, but a port was meant.
fn ends_with_a_port(address: &str) -> bool {
    let ports = ["5775", "5778", "6831", "6832"];
    address.rsplit_once(':').is_some_and(|(rest, end)| ports.contains(&end) && ipv6(rest).is_some())
}

/// Underscores are not allowed in host names by the RFCs, but common in Docker Compose.
fn is_name_or_ipv4(host: &str) -> bool {
    let labels = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=63).contains(&label.len()) && label.bytes().all(is_plain)
    };
    let last = labels.rsplit('.').next().unwrap_or(labels);
    // A name that ends in a number is an IPv4 address to every resolver, or invalid.
    let is_numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    labels.len() <= 253
        && labels.split('.').all(is_label)
        && (!is_numeric || host.parse::<Ipv4Addr>().is_ok())
}

/// A URL that can be requested over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WebUrl<'a> {
    pub(crate) is_https: bool,
    /// Host and port.
    pub(crate) authority: &'a str,
    /// The path: empty, or from `/` on.
    pub(crate) path: &'a str,
    /// The query without the `?`.
    pub(crate) query: Option<&'a str>,
}

/// Why a text is not a [`WebUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UrlError {
    Malformed,
    /// There is a user, and perhaps a password, before the host.
    HasUser,
}

impl<'a> WebUrl<'a> {
    /// Parses `http://` or `https://`, a host, and perhaps a port, a path and a query.
    pub(crate) fn parse(text: &'a str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Malformed)?;
        let is_https = scheme.eq_ignore_ascii_case("https");
        let (place, query) = rest.split_once('?').map_or((rest, None), |(a, b)| (a, Some(b)));
        let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        if authority.contains('@') {
            return Err(UrlError::HasUser);
        }
        // No HTTP client supports a zone in a URL.
        let is_host = !authority.contains('%') && HostPort::parse(authority).is_some();
        let is_web = is_https || scheme.eq_ignore_ascii_case("http");
        if is_web && is_host && has_only_url_characters(rest) {
            Ok(Self { is_https, authority, path, query })
        } else {
            Err(UrlError::Malformed)
        }
    }
}

/// Shows the URL as it was parsed, the scheme in lower case.
impl fmt::Display for WebUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_https, authority, path, query } = self;
        let scheme = if *is_https { "https" } else { "http" };
        write!(f, "{scheme}://{authority}{path}")?;
        query.map_or(Ok(()), |query| write!(f, "?{query}"))
    }
}

/// Returns whether all characters are valid in a path or a query, and two hex digits follow each
/// `%`.
fn has_only_url_characters(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && !br##""#<>\^`{|}"##.contains(&byte);
    let is_encoded = |after: &str| {
        after.as_bytes().first_chunk::<2>().is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    };
    text.bytes().all(is_allowed) && text.split('%').skip(1).all(is_encoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_and_ports_are_read() {
        for (text, host, port) in [
            ("agent", "agent", None),
            ("agent:6831", "agent", Some(6831)),
            ("jaeger_agent.tracing.svc.:1", "jaeger_agent.tracing.svc.", Some(1)),
            ("10.0.0.1:65535", "10.0.0.1", Some(65_535)),
            ("[::1]", "::1", None),
            ("[::1]:6831", "::1", Some(6831)),
            ("[fe80::1%eth0]:1", "fe80::1%eth0", Some(1)),
            ("[fe80::1%25eth0.7]", "fe80::1%eth0.7", None),
            ("[fe80::1%25]", "fe80::1%25", None),
            ("xn--jger-loa:1", "xn--jger-loa", Some(1)),
        ] {
            let read = HostPort { host: host.to_owned(), port };
            assert_eq!(HostPort::parse(text), Some(read.clone()), "{text}");
            assert_eq!(HostPort::parse(&read.to_string()), Some(read), "{text}");
        }
        for text in ["::1", "fe80::1%eth0", "::ffff:10.0.0.1"] {
            assert_eq!(HostPort::parse(text), None, "{text}");
            let host = HostPort::parse_host(text).map(|read| read.host);
            assert_eq!(host.as_deref(), Some(text));
        }
        assert_eq!(HostPort::parse_host("agent:1"), HostPort::parse("agent:1"));
    }

    #[test]
    fn an_address_of_ipv6_before_a_port_needs_brackets() {
        for text in ["::1:6831", "fe80::1:6832", "2001:db8::7:5778", "::ffff:10.0.0.1:6831"] {
            assert_eq!(HostPort::parse_host(text), None, "{text}");
        }
        for text in ["::6831", "2001:db8::6831", "::1:6830", "1:2:3:4:5:6:7:6831"] {
            assert!(HostPort::parse_host(text).is_some(), "{text}");
            let bracketed = format!("[{text}]");
            assert_eq!(HostPort::parse_host(text), HostPort::parse(&bracketed), "{text}");
        }
        assert!(HostPort::parse_host("[::1:6831]").is_some());
    }

    #[test]
    fn what_is_no_host_or_port_is_refused() {
        let long = "x".repeat(64);
        let longer = ["x"; 128].join(".");
        for text in [
            "",
            ".",
            ":6831",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a: 1",
            "a:1:2",
            "a..b",
            " a",
            "a b",
            "a\n",
            "\"a\"",
            "'a'",
            "$(HOST_IP)",
            "${HOST}",
            "http://a",
            "a/b",
            "a?b",
            "a#b",
            "a@b",
            "a,b",
            "[::1",
            "::1]",
            "[]",
            "[::1]x",
            "[::1]:",
            "[a]:1",
            "[fe80::1%]",
            "[fe80::1%e/h]",
            "::1:6831%",
            "10.0.0.256",
            "10.0.0",
            "1",
            "10.0.0.1.",
            "ä",
            "a\u{200b}",
            "\u{ff11}",
            &long,
            &longer,
        ] {
            assert_eq!(HostPort::parse(text), None, "{text:?}");
            assert_eq!(HostPort::parse_host(text), None, "{text:?}");
        }
    }

    #[test]
    fn urls_are_of_http_and_have_a_host() {
        let https = WebUrl::parse("HTTPS://Col/x").map(|url| (url.is_https, url.to_string()));
        assert_eq!(https, Ok((true, "https://Col/x".to_owned())));
        for text in
            ["http://c:1/?a=%2f", "http://[::1]:1/", "http://[::1]", "http://c?q", "http://c"]
        {
            assert_eq!(WebUrl::parse(text).map(|url| url.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "NOT_A_URL",
            "http://",
            "http:///x",
            "ftp://c",
            "c:14268/api",
            "http://a b",
            "",
            "://c",
            "http://c:x/",
            "http://c:/",
            "http://c:0",
            "http://c:65536",
            "http://[::1/",
            "http://::1/",
            "http://[]/",
            "http://[fe80::1%25eth0]/",
            "http://c/%zz",
            "http://c/%4",
            "http://c/#f",
            "http://c/a b",
            "http://c/\u{e9}",
            "http://c/<x>",
            "http://c/{x}",
            "http://:1/",
            "http://[::1]x/",
        ] {
            assert_eq!(WebUrl::parse(text), Err(UrlError::Malformed), "{text:?}");
        }
        for text in ["http://u:p@c", "http://u@/", "https://@c/x"] {
            assert_eq!(WebUrl::parse(text), Err(UrlError::HasUser), "{text:?}");
        }
        assert_eq!(WebUrl::parse("http://c/x@y").map(|url| url.path), Ok("/x@y"));
    }

    proptest! {
        #[test]
        fn law_what_is_read_is_shown_as_it_is_read(text in "\\PC{0,20}|[0-9a-f:.\\[\\]%]{0,20}|http://[!-~]{0,20}") {
            if let Some(read) = HostPort::parse_host(&text) {
                prop_assert_eq!(HostPort::parse(&read.to_string()), Some(read));
            }
            if let Ok(url) = WebUrl::parse(&text) {
                prop_assert_eq!(url.to_string(), text);
            }
        }
    }
}
