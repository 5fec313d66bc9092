//! Where a response sends its reader on to, and with what.
//!
//! # Source
//!
//! `Client.do`, `redirectBehavior` and `refererForURL` in net/http. Unlike there, what proves who
//! asks is left out as soon as scheme, host or port change, and not only with the domain.

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION,
    CONTENT_TYPE, COOKIE, EXPECT, HOST, LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, REFERER,
    TRAILER, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, response};

use crate::error::Error;

/// How many requests one may become.
pub(super) const MAX_HOPS: usize = 10;

/// What proves who asks, or whom.
const SENSITIVE: [HeaderName; 5] =
    [AUTHORIZATION, COOKIE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, WWW_AUTHENTICATE];
const COOKIE2: &str = "cookie2";

/// What tells of a body.
const OF_BODY: [HeaderName; 8] = [
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_LOCATION,
    CONTENT_TYPE,
    EXPECT,
    TRAILER,
    TRANSFER_ENCODING,
];

/// What a redirect asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redirect {
    pub(super) url: Uri,
    pub(super) method: Method,
    /// Whether the body is to be sent again.
    pub(super) keeps_body: bool,
}

/// What a response asks for. None if it is no redirect, or one that names no place.
pub(super) fn redirect(
    from: &Uri,
    method: &Method,
    head: &response::Parts,
) -> Result<Option<Redirect>, Error> {
    let keeps_body = match head.status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => false,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        _ => return Ok(None),
    };
    let Some(location) = head.headers.get(LOCATION).filter(|location| !location.is_empty()) else {
        return Ok(None);
    };
    let url = resolve(from, location.as_bytes()).ok_or_else(|| Error::Redirect {
        location: String::from_utf8_lossy(location.as_bytes()).into_owned(),
        reason: "that is no URL of http or https",
    })?;
    let method = match *method {
        _ if keeps_body => method.clone(),
        Method::HEAD => Method::HEAD,
        _ => Method::GET,
    };
    Ok(Some(Redirect { url, method, keeps_body }))
}

/// The headers for the next hop.
pub(super) fn carry(headers: &mut HeaderMap, from: &Uri, to: &Redirect) {
    let leaves = origin(from) != origin(&to.url);
    if leaves {
        SENSITIVE.iter().for_each(|name| drop(headers.remove(name)));
        headers.remove(COOKIE2);
        headers.remove(HOST);
    }
    if !to.keeps_body {
        OF_BODY.iter().for_each(|name| drop(headers.remove(name)));
    }
    let downgraded = from.scheme() == Some(&Scheme::HTTPS) && to.url.scheme() != from.scheme();
    if downgraded {
        // Where one comes from may be a secret of its own.
        headers.remove(REFERER);
    } else if !headers.contains_key(REFERER)
        && let Ok(referer) = HeaderValue::from_str(&from.to_string())
    {
        headers.insert(REFERER, referer);
    }
}

/// What has to be the same for a server to be the same.
fn origin(url: &Uri) -> (Option<&str>, Option<String>, Option<u16>) {
    let usual = if url.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let port = url.port_u16().or(Some(usual));
    (url.scheme_str(), url.host().map(str::to_ascii_lowercase), port)
}

/// A reference of a location, seen from a URL; RFC 3986, section 5.2.
fn resolve(from: &Uri, location: &[u8]) -> Option<Uri> {
    let text = escaped(location);
    let text = text.split('#').next().unwrap_or_default();
    let scheme_ends = text.find("://").filter(|at| {
        text[..*at].chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    });
    if scheme_ends.is_some() {
        let url: Uri = text.parse().ok()?;
        let known = url.scheme() == Some(&Scheme::HTTP) || url.scheme() == Some(&Scheme::HTTPS);
        return known.then_some(url).filter(|url| url.host().is_some());
    }
    let mut parts = from.clone().into_parts();
    let path_and_query = if let Some(rest) = text.strip_prefix("//") {
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        parts.authority = Some(authority.parse().ok()?);
        if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
    } else if text.is_empty() {
        from.path_and_query().map_or("/", PathAndQuery::as_str).to_owned()
    } else if text.starts_with('?') {
        format!("{}{text}", from.path())
    } else {
        // A scheme without `//`, such as `mailto:`, is none that can be asked.
        let (path, query) = text.split_at(text.find('?').unwrap_or(text.len()));
        if path.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return None;
        }
        let folder = from.path().rfind('/').map_or("/", |at| &from.path()[..=at]);
        let whole = if path.starts_with('/') { path.to_owned() } else { format!("{folder}{path}") };
        format!("{}{query}", without_dots(&whole))
    };
    parts.path_and_query = Some(path_and_query.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// Bytes that no URL may have, as `%XX`: some servers send plain UTF-8.
fn escaped(location: &[u8]) -> String {
    let mut text = String::with_capacity(location.len());
    for byte in location {
        if byte.is_ascii() {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// A path without `.` and `..`.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let last = path.rsplit('/').next();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let folder = if matches!(last, Some("." | "..")) && !kept.is_empty() { "/" } else { "" };
    format!("/{}{folder}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from() -> Uri {
        Uri::from_static("http://host:8000/a/b?c")
    }

    fn head(status: u16, location: &str) -> response::Parts {
        let head = http::Response::builder().status(status).header(LOCATION, location);
        head.body(()).unwrap().into_parts().0
    }

    fn ask(method: Method, status: u16, location: &str) -> Option<Redirect> {
        redirect(&from(), &method, &head(status, location)).unwrap()
    }

    #[test]
    fn a_location_is_seen_from_its_url() {
        for (location, url) in [
            ("http://other/x?y", "http://other/x?y"),
            ("//other/x", "http://other/x"),
            ("//other?x", "http://other/?x"),
            ("/x?y", "http://host:8000/x?y"),
            ("x", "http://host:8000/a/x"),
            ("../x/./y/..", "http://host:8000/x/"),
            ("../../..", "http://host:8000/"),
            ("?y", "http://host:8000/a/b?y"),
            ("#part", "http://host:8000/a/b?c"),
            ("x#part", "http://host:8000/a/x"),
            ("/x?u=http://y", "http://host:8000/x?u=http://y"),
        ] {
            let next = ask(Method::GET, 302, location).unwrap();
            assert_eq!(next.url, url.parse::<Uri>().unwrap(), "{location}");
        }
        let utf8 = HeaderValue::from_bytes("/\u{e9}".as_bytes()).unwrap();
        assert_eq!(resolve(&from(), utf8.as_bytes()).unwrap().path(), "/%C3%A9");
    }

    #[test]
    fn a_location_that_cannot_be_asked_is_an_error_that_shows_it() {
        for location in ["mailto:me@host", "ftp://host/", "x y", "http:///x", "http://"] {
            let error = redirect(&from(), &Method::GET, &head(302, location)).unwrap_err();
            assert!(error.to_string().contains(location), "{error}");
        }
    }

    #[test]
    fn only_redirects_that_name_a_place_lead_on() {
        for status in [200, 300, 304, 305, 500] {
            assert_eq!(ask(Method::GET, status, "/x"), None);
        }
        assert_eq!(ask(Method::GET, 302, ""), None);
    }

    #[test]
    fn methods_change_as_in_go() {
        for (status, method, next, keeps_body) in [
            (301, Method::POST, Method::GET, false),
            (302, Method::PUT, Method::GET, false),
            (303, Method::DELETE, Method::GET, false),
            (303, Method::HEAD, Method::HEAD, false),
            (307, Method::POST, Method::POST, true),
            (308, Method::PUT, Method::PUT, true),
        ] {
            let asked = ask(method, status, "/x").unwrap();
            assert_eq!((asked.method, asked.keeps_body), (next, keeps_body), "{status}");
        }
    }

    #[test]
    fn what_proves_who_asks_stays_with_its_server() {
        let all = || {
            let mut headers = HeaderMap::new();
            for name in SENSITIVE.iter().chain([&HOST, &CONTENT_TYPE]) {
                headers.insert(name, HeaderValue::from_static("x"));
            }
            headers.insert(COOKIE2, HeaderValue::from_static("x"));
            headers
        };
        for (location, kept) in [
            ("/x", true),
            ("http://HOST:8000/x", true),
            ("http://host/x", false),
            ("https://host:8000/x", false),
            ("http://sub.host:8000/x", false),
            ("http://host.evil:8000/x", false),
        ] {
            let mut headers = all();
            carry(&mut headers, &from(), &ask(Method::POST, 307, location).unwrap());
            let sensitive = SENSITIVE.iter().filter(|name| headers.contains_key(*name)).count();
            assert_eq!(sensitive, if kept { SENSITIVE.len() } else { 0 }, "{location}");
            assert_eq!(headers.contains_key(COOKIE2), kept);
            assert_eq!(headers.contains_key(HOST), kept);
            assert_eq!(headers[REFERER], "http://host:8000/a/b?c");
            assert!(headers.contains_key(CONTENT_TYPE));
        }
        let mut headers = all();
        carry(&mut headers, &from(), &ask(Method::POST, 303, "/x").unwrap());
        assert!(!headers.contains_key(CONTENT_TYPE), "without its body");
    }

    #[test]
    fn where_one_came_from_by_tls_is_told_to_nobody_without() {
        let from = Uri::from_static("https://host/secret");
        let next = redirect(&from, &Method::GET, &head(302, "http://host/x")).unwrap().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(REFERER, HeaderValue::from_static("https://host/"));
        carry(&mut headers, &from, &next);
        assert!(!headers.contains_key(REFERER));
    }
}
