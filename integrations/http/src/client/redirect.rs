//! Where a response sends its reader on to, and with what.
//!
//! # Source
//!
//! `Client.do`, `redirectBehavior` and `refererForURL` in net/http. Unlike there, credentials are
//! left out as soon as scheme, host or port change, and not only with the domain.

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION,
    CONTENT_TYPE, COOKIE, EXPECT, HOST, LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, REFERER,
    TRAILER, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, response};

use crate::error::Error;
use crate::url;

/// The maximum number of requests, redirects included.
pub(super) const MAX_HOPS: usize = 10;

/// Headers with credentials.
const SENSITIVE: [HeaderName; 5] =
    [AUTHORIZATION, COOKIE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, WWW_AUTHENTICATE];
const COOKIE2: &str = "cookie2";

/// Headers about a body.
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

/// The target of a redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redirect {
    pub(super) url: Uri,
    pub(super) method: Method,
    /// Whether the body is to be sent again.
    pub(super) keeps_body: bool,
}

/// Returns the redirect of a response, or `None` if it is not one, or has no target.
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
    let url = url::resolve(from, location.as_bytes()).map_err(|reason| Error::Redirect {
        location: url::redacted_text(&String::from_utf8_lossy(location.as_bytes())),
        reason,
    })?;
    let method = match *method {
        _ if keeps_body => method.clone(),
        Method::HEAD => Method::HEAD,
        _ => Method::GET,
    };
    Ok(Some(Redirect { url, method, keeps_body }))
}

/// The headers for the next hop. `referer` is what the caller gave as such.
pub(super) fn carry(
    headers: &mut HeaderMap,
    from: &Uri,
    to: &Redirect,
    referer: Option<&HeaderValue>,
) {
    let leaves = origin(from) != origin(&to.url);
    if leaves {
        SENSITIVE.iter().for_each(|name| drop(headers.remove(name)));
        headers.remove(COOKIE2);
        headers.remove(HOST);
    }
    if !to.keeps_body {
        OF_BODY.iter().for_each(|name| drop(headers.remove(name)));
    }
    headers.remove(REFERER);
    let downgraded = from.scheme() == Some(&Scheme::HTTPS) && to.url.scheme() != from.scheme();
    if downgraded {
        // Where one comes from may be a secret.
        return;
    }
    let last = || HeaderValue::from_str(&url::referer(from)).ok();
    if let Some(referer) = referer.cloned().or_else(last) {
        headers.insert(REFERER, referer);
    }
}

/// Returns the parts of a URL that identify a server.
fn origin(url: &Uri) -> (Option<&str>, Option<String>, Option<u16>) {
    let usual = if url.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let port = url.port_u16().or(Some(usual));
    (url.scheme_str(), url.host().map(str::to_ascii_lowercase), port)
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

    fn fetch(method: Method, status: u16, location: &str) -> Option<Redirect> {
        redirect(&from(), &method, &head(status, location)).unwrap()
    }

    #[test]
    fn an_unusable_location_is_an_error_that_shows_it_without_its_password() {
        for (location, shown) in [
            ("news:comp.misc", "news:comp.misc"),
            ("ftp://host/", "ftp://host/"),
            ("http:///x", "http:///x"),
            ("ftp://ann:hunter2@host/", "ftp://…@host/"),
            ("http://ann:h%75nter2@ho st/?sig=hunter2", "http://…@ho st/?sig=REDACTED"),
        ] {
            let error = redirect(&from(), &Method::GET, &head(302, location)).unwrap_err();
            assert!(error.to_string().contains(&format!("{shown:?}")), "{error}");
        }
    }

    #[test]
    fn only_redirects_that_name_a_place_lead_on() {
        for status in [200, 300, 304, 305, 500] {
            assert_eq!(fetch(Method::GET, status, "/x"), None);
        }
        assert_eq!(fetch(Method::GET, 302, ""), None);
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
            let requested = fetch(method, status, "/x").unwrap();
            assert_eq!((requested.method, requested.keeps_body), (next, keeps_body), "{status}");
        }
    }

    #[test]
    fn credentials_stay_with_their_server() {
        let all = || {
            let mut headers = HeaderMap::new();
            for name in SENSITIVE.iter().chain([&HOST, &CONTENT_TYPE]) {
                headers.insert(name, HeaderValue::from_static("x"));
            }
            headers.insert(COOKIE2, HeaderValue::from_static("x"));
            headers
        };
        for (location, retained) in [
            ("/x", true),
            ("http://HOST:8000/x", true),
            ("http://host/x", false),
            ("https://host:8000/x", false),
            ("http://sub.host:8000/x", false),
            ("http://host.evil:8000/x", false),
        ] {
            let mut headers = all();
            carry(&mut headers, &from(), &fetch(Method::POST, 307, location).unwrap(), None);
            let sensitive = SENSITIVE.iter().filter(|name| headers.contains_key(*name)).count();
            assert_eq!(sensitive, if retained { SENSITIVE.len() } else { 0 }, "{location}");
            assert_eq!(headers.contains_key(COOKIE2), retained);
            assert_eq!(headers.contains_key(HOST), retained);
            assert_eq!(headers[REFERER], "http://host:8000/a/b?c");
            assert!(headers.contains_key(CONTENT_TYPE));
        }
        let mut headers = all();
        carry(&mut headers, &from(), &fetch(Method::POST, 303, "/x").unwrap(), None);
        assert!(!headers.contains_key(CONTENT_TYPE), "without its body");
    }

    #[test]
    fn where_one_came_from_by_tls_is_never_sent_without_it() {
        let from = Uri::from_static("https://host/secret");
        let next = redirect(&from, &Method::GET, &head(302, "http://host/x")).unwrap().unwrap();
        let own = HeaderValue::from_static("https://host/");
        let mut headers = HeaderMap::from_iter([(REFERER, own.clone())]);
        carry(&mut headers, &from, &next, Some(&own));
        assert!(!headers.contains_key(REFERER));
    }

    #[test]
    fn the_referer_is_the_last_url_or_what_the_caller_gave() {
        let own = HeaderValue::from_static("http://own/");
        for (given, expected) in [(None, "http://host:8000/a/b?c"), (Some(&own), "http://own/")] {
            // The header of an earlier hop does not matter.
            let earlier = HeaderValue::from_static("http://earlier/");
            let mut headers = HeaderMap::from_iter([(REFERER, earlier)]);
            carry(&mut headers, &from(), &fetch(Method::GET, 302, "//other/").unwrap(), given);
            assert_eq!(headers[REFERER], expected);
        }
    }
}
