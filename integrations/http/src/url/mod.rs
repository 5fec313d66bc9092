//! URLs: what of them may be shown, and how text becomes one.

mod parse;
mod resolve;

use std::borrow::Cow;

use http::Uri;
use http::uri::{Authority, PathAndQuery};
use percent_encoding::percent_decode_str;

pub(crate) use self::parse::{encode, host_and_port, parse};
pub(crate) use self::resolve::resolve;

/// The text of a URL without credentials: what spans, errors and logs show of it.
///
/// Userinfo is left out, also that of a URL within the path or the query, percent-encoded or not.
/// In the query, the values of parameters that are credentials become `REDACTED`: those of OAuth 2.0
/// (`access_token`, `client_secret`, …), of signed URLs of AWS, Azure and Google (`X-Amz-Signature`,
/// `sig`, …), and `password`, `secret`, `token`, `api_key` and the like. Other parameters, and the
/// path, stay as they are; where they are secret too, use `url_tag`.
///
/// # Source
///
/// `http.url` of `nethttp` in opentracing-contrib/go-stdlib, which shows all of the URL.
///
/// # Examples
///
/// ```
/// use jaeger_client_http::redacted_url;
/// let url = "http://ann:pw@host/orders?page=2&access_token=abc".parse().unwrap();
/// assert_eq!(redacted_url(&url), "http://host/orders?page=2&access_token=REDACTED");
/// ```
#[must_use]
pub fn redacted(url: &Uri) -> String {
    shown(url).into_owned()
}

/// The same, borrowed where it is a part of the URL as it is: that of most requests at a server.
pub(crate) fn shown(url: &Uri) -> Cow<'_, str> {
    if url.authority().is_none()
        && let Some(path) = url.path_and_query()
    {
        return shown_path(path);
    }
    let text = text_of(url);
    match without_credentials(&text) {
        Cow::Borrowed(_) => Cow::Owned(text),
        Cow::Owned(redacted) => Cow::Owned(redacted),
    }
}

/// Returns a path with its query, without credentials.
pub(crate) fn shown_path(path: &PathAndQuery) -> Cow<'_, str> {
    match path.as_str() {
        // An empty path, which HTTP/2 can carry, is that of the root.
        text if text.starts_with('?') => {
            Cow::Owned(without_credentials(&format!("/{text}")).into_owned())
        }
        text => without_credentials(text),
    }
}

/// Leaves credentials out of a text that is a URL, or a path with its query.
pub(crate) fn without_credentials(text: &str) -> Cow<'_, str> {
    match without_userinfo(text) {
        Cow::Borrowed(text) => without_secret_parameters(text),
        Cow::Owned(text) => Cow::Owned(without_secret_parameters(&text).into_owned()),
    }
}

/// Redacts text that could not be parsed as a URL, and may have its userinfo anywhere: everything
/// before the last `@` is left out, but for the scheme.
pub(crate) fn redacted_text(text: &str) -> String {
    let Some(at) = last_at(text) else { return without_secret_parameters(text).into_owned() };
    let scheme = text.split_inclusive("//").next().filter(|scheme| {
        let name = scheme.trim_end_matches("://");
        name.len() < scheme.len() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    let rest = without_secret_parameters(&text[at..]);
    format!("{}…@{rest}", scheme.unwrap_or_default())
}

/// `host[:port]` as a URL has it.
pub(crate) fn peer_address(url: &Uri) -> &str {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    authority.rsplit('@').next().unwrap_or_default()
}

/// The host of an authority, an IPv6 address without its brackets.
pub(crate) fn bare_host(authority: &Authority) -> &str {
    authority.host().trim_start_matches('[').trim_end_matches(']')
}

/// The port of an authority, or the usual one.
pub(crate) fn port(authority: &Authority, scheme: Option<&str>) -> Option<u16> {
    let usual = match scheme {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    };
    authority.port_u16().or(usual)
}

/// The URL of the header `Referer`: without userinfo.
pub(crate) fn referer(url: &Uri) -> String {
    text_of(&public(url))
}

/// The URL without userinfo, for callbacks that make text of it.
pub(crate) fn public(url: &Uri) -> Cow<'_, Uri> {
    match without_userinfo(&text_of(url)) {
        Cow::Borrowed(_) => Cow::Borrowed(url),
        Cow::Owned(text) => Cow::Owned(text.parse().unwrap_or_default()),
    }
}

/// Parameters of a query whose values are credentials: of OAuth 2.0 (RFC 6749, RFC 6750), of signed
/// URLs of AWS, Azure and Google, and the usual names of keys. Their case does not matter.
const SECRET_PARAMETERS: [&str; 18] = [
    "access_token",
    "api_key",
    "apikey",
    "auth_token",
    "awsaccesskeyid",
    "client_secret",
    "id_token",
    "password",
    "passwd",
    "refresh_token",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-signature",
];

/// Returns `url.to_string()` for a tenth of its instructions: every hop is tagged with it.
fn text_of(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or_default();
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let query = url.query().unwrap_or_default();
    let length = scheme.len() + authority.len() + url.path().len() + query.len();
    let mut text = String::with_capacity(length + "://?".len());
    if url.scheme().is_some() {
        text.push_str(scheme);
        text.push_str("://");
    }
    text.push_str(authority);
    text.push_str(url.path());
    if url.query().is_some() {
        text.push('?');
        text.push_str(query);
    }
    text
}

/// Leaves the userinfo out of every URL in a text that begins with a URL or a path.
fn without_userinfo(text: &str) -> Cow<'_, str> {
    if last_at(text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut retained = String::with_capacity(text.len());
    let mut rest = text;
    // An authority form, `user@host:port`, is one without a scheme.
    let at_once = !text.starts_with('/') && !text.contains("://");
    if at_once || text.starts_with("//") {
        let (slashes, authority) = rest.split_at(if at_once { 0 } else { 2 });
        retained.push_str(slashes);
        rest = after_userinfo(authority, false);
    }
    while let Some((before, encoded)) = next_authority(rest) {
        retained.push_str(&rest[..before]);
        rest = after_userinfo(&rest[before..], encoded);
    }
    retained.push_str(rest);
    Cow::Owned(retained)
}

/// Where the next authority of a URL begins, and whether it is percent-encoded.
fn next_authority(text: &str) -> Option<(usize, bool)> {
    let plain = text.find("://").map(|at| (at + "://".len(), false));
    let encoded = find_ignoring_case(text, "%3a%2f%2f").map(|at| (at + "%3a%2f%2f".len(), true));
    match (plain, encoded) {
        (Some(plain), Some(encoded)) => Some(plain.min(encoded)),
        (plain, encoded) => plain.or(encoded),
    }
}

/// Returns the rest of a text that begins with an authority, without userinfo.
fn after_userinfo(text: &str, encoded: bool) -> &str {
    let mut end = text.find(['/', '?', '#']).unwrap_or(text.len());
    if encoded {
        end = text.find('&').map_or(end, |and| and.min(end));
        for delimiter in ["%2f", "%3f", "%23"] {
            end = find_ignoring_case(text, delimiter).map_or(end, |at| at.min(end));
        }
    }
    let authority = &text[..end];
    if let Some(at) = last_at(authority) {
        return &text[at..];
    }
    // A port that is none is what comes of a password with a `/` or a `?`: its end is unknown.
    let port = authority.rsplit_once(':').filter(|_| !authority.ends_with(']'));
    let malformed =
        !encoded && port.is_some_and(|(_, port)| !port.bytes().all(|byte| byte.is_ascii_digit()));
    last_at(text).filter(|_| malformed).map_or(text, |at| &text[at..])
}

/// Where a text goes on after its last `@`, percent-encoded or not.
fn last_at(text: &str) -> Option<usize> {
    // Nearly all URLs have neither, and to search for more than a byte takes long to begin.
    if !text.bytes().any(|byte| matches!(byte, b'@' | b'%')) {
        return None;
    }
    let plain = text.rfind('@').map(|at| at + 1);
    let encoded = text.rfind("%40").map(|at| at + "%40".len());
    plain.max(encoded)
}

fn find_ignoring_case(text: &str, wanted: &str) -> Option<usize> {
    let windows = text.as_bytes().windows(wanted.len());
    windows.into_iter().position(|window| window.eq_ignore_ascii_case(wanted.as_bytes()))
}

fn without_secret_parameters(text: &str) -> Cow<'_, str> {
    let Some((path, query)) = text.split_once('?') else { return Cow::Borrowed(text) };
    if !query.split('&').any(is_secret) {
        return Cow::Borrowed(text);
    }
    let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, _)) if is_secret(parameter) => format!("{name}=REDACTED"),
        _ => parameter.to_owned(),
    });
    Cow::Owned(format!("{path}?{}", parameters.collect::<Vec<_>>().join("&")))
}

fn is_secret(parameter: &str) -> bool {
    let Some((name, _)) = parameter.split_once('=') else { return false };
    let name = percent_decode_str(name).decode_utf8_lossy();
    SECRET_PARAMETERS.iter().any(|secret| secret.eq_ignore_ascii_case(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_without_a_path_is_shown_below_the_root() {
        let path: PathAndQuery = "?page=2&access_token=abc".parse().unwrap();
        assert_eq!(shown_path(&path), "/?page=2&access_token=REDACTED");
    }

    #[test]
    fn a_url_without_secrets_is_shown_as_it_is() {
        for url in [
            "http://host",
            "https://host:1/a?b=c",
            "http://[::1]:80/?",
            "/path?",
            "/a",
            "*",
            "host:443",
            "http://host/@ann/a@b?mail=ann@host&tokens=3&sign",
            "http://host:80/a%40b",
            "/to/http://other/a@b",
        ] {
            let url: Uri = url.parse().unwrap();
            assert_eq!(redacted(&url), url.to_string());
        }
    }

    #[test]
    fn no_userinfo_of_a_url_is_shown() {
        for (url, expected) in [
            ("http://ann:hunter2@host/", "http://host/"),
            ("http://ann@host:80/a@b", "http://host:80/a@b"),
            ("http://:hunter2@[::1]:80/?x=1", "http://[::1]:80/?x=1"),
            ("http://ann:hunter2%40%2F@host/", "http://host/"),
            ("http://ann%3Ahunter2@host/", "http://host/"),
            ("http://ann:hunter2@x@host/", "http://host/"),
            ("http://ann:h/unter2@host/", "http://host/"),
            ("ann:hunter2@host:443", "host:443"),
            ("//ann:hunter2@host/x", "//host/x"),
            ("/proxy/http://ann:hunter2@host/x", "/proxy/http://host/x"),
            (
                "/to?u=http://ann:hunter2@host/x&v=ftp://b:hunter2@c",
                "/to?u=http://host/x&v=ftp://c",
            ),
            (
                "/to?u=http%3A%2f%2Fann%3Ahunter2%40host%2Fa%40b&m=a@b",
                "/to?u=http%3A%2f%2Fhost%2Fa%40b&m=a@b",
            ),
        ] {
            assert_eq!(redacted(&url.parse().unwrap()), expected, "{url}");
            assert!(!redacted_text(url).contains("hunter"), "{}", redacted_text(url));
        }
    }

    #[test]
    fn no_secret_of_a_query_is_shown() {
        for (url, expected) in [
            ("/x?a=1&access_token=hunter2&b", "/x?a=1&access_token=REDACTED&b"),
            ("http://h/?Signature=hunter2", "http://h/?Signature=REDACTED"),
            (
                "/x?api%5Fkey=hunter2&X-Amz-Signature=hunter2",
                "/x?api%5Fkey=REDACTED&X-Amz-Signature=REDACTED",
            ),
            ("/x?token&secret=", "/x?token&secret=REDACTED"),
        ] {
            assert_eq!(redacted(&url.parse().unwrap()), expected, "{url}");
            assert_eq!(redacted_text(url), expected, "{url}");
        }
    }

    #[test]
    fn text_that_is_no_url_is_shown_from_its_last_at_sign_on() {
        for (text, expected) in [
            ("a b", "a b"),
            ("http://ann:h unter2@host/x y", "http://…@host/x y"),
            ("http:\\\\ann:hunter2@host", "…@host"),
            ("ann:hunter2@//host", "…@//host"),
            ("http://ann:hunter2%40host/", "http://…@host/"),
            ("ann:hunter2@host/ ?password=hunter2", "…@host/ ?password=REDACTED"),
        ] {
            assert_eq!(redacted_text(text), expected);
        }
    }

    #[test]
    fn a_callback_and_a_server_get_no_userinfo() {
        let url: Uri = "http://ann:hunter2@host:80/x?y".parse().unwrap();
        assert_eq!(*public(&url), "http://host:80/x?y");
        assert_eq!(referer(&url), "http://host:80/x?y");
        assert_eq!(peer_address(&url), "host:80");
        let url = Uri::from_static("http://host/x");
        assert!(matches!(public(&url), Cow::Borrowed(_)));
        assert_eq!(peer_address(&url), "host");
        assert_eq!(peer_address(&Uri::from_static("/x")), "");
    }
}
