//! From text to a URL that can stand in a request.
//!
//! # Source
//!
//! `url.Parse`, `URL.EscapedPath` and `idnaASCII` in Go's net/url and net/http.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use http::Uri;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// Why a URL is invalid.
pub(crate) type Reason = &'static str;

const NO_URL: Reason = "it is no URL";

/// The characters to be percent-encoded in a path.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The characters to be percent-encoded in a query. Go sends a query as it is; these cannot be
/// sent.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// The parts of a URL, or of a reference to one; RFC 3986, section 3. A fragment is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    pub(super) scheme: Option<&'a str>,
    pub(super) authority: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

impl<'a> Reference<'a> {
    pub(super) fn of(text: &'a str) -> Result<Self, Reason> {
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err("it holds a control character");
        }
        let text = text.split('#').next().unwrap_or_default();
        let (text, query) = match text.split_once('?') {
            Some((text, query)) => (text, Some(query)),
            None => (text, None),
        };
        let scheme = text.find(':').filter(|colon| is_scheme(&text[..*colon]));
        let (scheme, rest) = match scheme {
            Some(colon) => (Some(&text[..colon]), &text[colon + 1..]),
            None => (None, text),
        };
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Some(authority), path)
            }
            None => (None, rest),
        };
        Ok(Self { scheme, authority, path, query })
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Reads the text of a URL: what may not stand in a path or a query is percent-encoded, a host that
/// is not ASCII is written as IDNA has it.
///
/// Parses a URL, which may still be unusable for a request.
pub(crate) fn parse(text: &str) -> Result<Uri, Reason> {
    let reference = Reference::of(text)?;
    let (Some(scheme), Some(authority)) = (reference.scheme, reference.authority) else {
        return text.parse().map_err(|_| NO_URL);
    };
    build(scheme, &ascii_authority(authority)?, reference.path, reference.query)
}

/// A URL of parts that may have to be percent-encoded.
pub(super) fn build(
    scheme: &str,
    authority: &str,
    path: &str,
    query: Option<&str>,
) -> Result<Uri, Reason> {
    Uri::builder()
        .scheme(&*scheme.to_ascii_lowercase())
        .authority(authority)
        .path_and_query(encoded_path(path, query))
        .build()
        .map_err(|_| NO_URL)
}

fn encoded_path(path: &str, query: Option<&str>) -> String {
    let path = if path.is_empty() { "/" } else { path };
    let mut text = utf8_percent_encode(path, PATH).to_string();
    if let Some(query) = query {
        text.push('?');
        text.extend(utf8_percent_encode(query, QUERY));
    }
    text
}

/// Percent-encodes what may not stand in a request line.
pub(crate) fn encode(url: &mut Uri) {
    let is_encoded = |text, set| matches!(utf8_percent_encode(text, set).into(), Cow::Borrowed(_));
    if is_encoded(url.path(), PATH) && url.query().is_none_or(|query| is_encoded(query, QUERY)) {
        return;
    }
    let mut parts = url.clone().into_parts();
    parts.path_and_query = encoded_path(url.path(), url.query()).parse().ok();
    if let Ok(encoded) = Uri::from_parts(parts) {
        *url = encoded;
    }
}

/// The authority with a host that is ASCII.
pub(super) fn ascii_authority(authority: &str) -> Result<Cow<'_, str>, Reason> {
    // The request refuses it with the reason.
    if authority.contains('@') {
        return Ok(Cow::Borrowed(authority));
    }
    let (host, port) = host_and_port(authority)?;
    if host.starts_with('[') || (host.is_ascii() && !host.contains('%')) {
        return Ok(Cow::Borrowed(authority));
    }
    let name: Vec<u8> = percent_decode_str(host).collect();
    if name.is_ascii() {
        return Err("its host has an ASCII character percent-encoded");
    }
    let (hyphens, length) = (Hyphens::Check, DnsLength::VerifyAllowRootDot);
    let name = Uts46::new().to_ascii(&name, AsciiDenyList::STD3, hyphens, length);
    let name = name.map_err(|_| "its host is no name that IDNA allows")?;
    Ok(match port {
        Some(port) => Cow::Owned(format!("{name}:{port}")),
        None => Cow::Owned(name.into_owned()),
    })
}

/// The host, an IPv6 address in its brackets, and the port as it is written, of an authority
/// without userinfo.
pub(crate) fn host_and_port(authority: &str) -> Result<(&str, Option<&str>), Reason> {
    let (host, port) = if authority.starts_with('[') {
        let end = authority.find(']').ok_or("its host has no closing bracket")? + 1;
        let (host, rest) = authority.split_at(end);
        let address = host[1..end - 1].split('%').next().unwrap_or_default();
        if address.parse::<Ipv6Addr>().is_err() {
            return Err("its host is no IPv6 address");
        }
        let port = rest.strip_prefix(':');
        if port.is_none() && !rest.is_empty() {
            return Err(NO_PORT);
        }
        (host, port)
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() {
        return Err("it has no host");
    }
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if port.is_some_and(|port| !port.is_empty() && !is_port(port)) {
        return Err(NO_PORT);
    }
    Ok((host, port))
}

const NO_PORT: Reason = "its port is no number up to 65535";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_stand_in_a_request_line_is_percent_encoded() {
        for (text, url) in [
            ("http://host/\u{fc}?\u{fc}=\u{20ac}", "http://host/%C3%BC?%C3%BC=%E2%82%AC"),
            ("http://host/x y?a b", "http://host/x%20y?a%20b"),
            ("http://host/<a>\"`{}|\\^", "http://host/%3Ca%3E%22%60%7B%7D%7C%5C%5E"),
            ("http://host/a%20b%2Fc%zz[1]", "http://host/a%20b%2Fc%zz[1]"),
            ("http://host/!$&'()*+,;=:@-._~", "http://host/!$&'()*+,;=:@-._~"),
            ("http://host/?<a>\"{}|\\^`'[]", "http://host/?%3Ca%3E%22{}|\\^`'[]"),
            ("http://host?x", "http://host/?x"),
            ("http://host#part", "http://host/"),
            ("HTTP://Host:80/a/../b", "http://Host:80/a/../b"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), url, "{text}");
        }
        for (url, expected) in [
            ("http://host/\u{fc}?\u{fc}", "http://host/%C3%BC?%C3%BC"),
            ("/{a}", "/%7Ba%7D"),
            ("/a?{b}", "/a?{b}"),
            ("http://host/a%7Bb%7D?c", "http://host/a%7Bb%7D?c"),
            ("*", "*"),
        ] {
            let mut url: Uri = url.parse().unwrap();
            encode(&mut url);
            assert_eq!(url.to_string(), expected);
        }
    }

    #[test]
    fn a_host_that_is_not_ascii_is_written_as_idna_has_it() {
        for (text, url) in [
            ("http://b\u{fc}cher.example/", "http://xn--bcher-kva.example/"),
            ("http://B\u{dc}CHER.example:8080/x", "http://xn--bcher-kva.example:8080/x"),
            (
                "https://\u{4f8b}\u{3048}.\u{30c6}\u{30b9}\u{30c8}.",
                "https://xn--r8jz45g.xn--zckzah./",
            ),
            ("http://b%C3%BCcher.example/", "http://xn--bcher-kva.example/"),
            ("http://fa\u{df}.example/", "http://xn--fa-hia.example/"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), url, "{text}");
        }
        for text in ["http://a%41/", "http://\u{fc}_/", "http://\u{fc}-/", "http://b\u{200b}%FF/"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_and_ports_are_what_they_must_be() {
        for (authority, host, port) in [
            ("host", "host", None),
            ("host:80", "host", Some("80")),
            ("host:", "host", Some("")),
            ("[::1]", "[::1]", None),
            ("[fe80::1%25eth0]:80", "[fe80::1%25eth0]", Some("80")),
        ] {
            assert_eq!(host_and_port(authority), Ok((host, port)));
        }
        for authority in
            ["", ":80", "host:x", "host:+1", "host:65536", "a:b:1", "[::1", "[x]", "[::1]80"]
        {
            assert!(host_and_port(authority).is_err(), "{authority}");
        }
    }

    #[test]
    fn text_that_is_no_url_says_so() {
        for text in ["a b", "http://", "http://host/\t", "http://h ost/", "http://host:x/", ""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
