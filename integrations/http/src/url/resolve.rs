//! The URL that a `Location` means.
//!
//! # Source
//!
//! `URL.ResolveReference` and `resolvePath` in Go's net/url; RFC 3986, section 5.2.

use std::fmt::Write;

use http::Uri;
use http::uri::Scheme;

use super::parse::{Reason, Reference, ascii_authority, build};

/// A reference of a location, seen from a URL.
pub(crate) fn resolve(from: &Uri, location: &[u8]) -> Result<Uri, Reason> {
    let text = readable(location);
    let to = Reference::of(&text)?;
    let here = from.authority().map_or("", |authority| authority.as_str());
    let scheme = to.scheme.or_else(|| from.scheme_str()).unwrap_or_default();
    let authority = match to.authority {
        Some(authority) => ascii_authority(authority)?,
        None if to.scheme.is_some() => return Err("it has no host"),
        None => here.into(),
    };
    let (path, query) = if to.authority.is_some() {
        (without_dots(to.path), to.query)
    } else if to.path.is_empty() {
        (without_dots(from.path()), to.query.or_else(|| from.query()))
    } else if to.path.starts_with('/') {
        (without_dots(to.path), to.query)
    } else if to.path.split('/').next().is_some_and(|segment| segment.contains(':')) {
        return Err("its first segment has a colon");
    } else {
        let folder = from.path().rfind('/').map_or("/", |at| &from.path()[..=at]);
        (without_dots(&format!("{folder}{}", to.path)), to.query)
    };
    let url = build(scheme, &authority, &path, query)?;
    let known = url.scheme() == Some(&Scheme::HTTP) || url.scheme() == Some(&Scheme::HTTPS);
    if known { Ok(url) } else { Err("its scheme is neither http nor https") }
}

/// The text of a header. Bytes that are not UTF-8 are percent-encoded, as Go does it.
fn readable(location: &[u8]) -> String {
    let mut text = String::with_capacity(location.len());
    for chunk in location.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // A string takes whatever is written to it.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// A path without `.` and `..`.
fn without_dots(path: &str) -> String {
    let mut retained: Vec<&str> = Vec::new();
    let last = path.rsplit('/').next();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(retained.pop()),
            _ => retained.push(segment),
        }
    }
    let folder = if matches!(last, Some("." | "..")) && !retained.is_empty() { "/" } else { "" };
    format!("/{}{folder}", retained.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(location: &str) -> Result<String, Reason> {
        let from = Uri::from_static("http://host:8000/a/b?c");
        resolve(&from, location.as_bytes()).map(|url| url.to_string())
    }

    #[test]
    fn a_location_is_seen_from_its_url() {
        for (location, url) in [
            ("http://other/x?y", "http://other/x?y"),
            ("HTTPS://other:1", "https://other:1/"),
            ("http://other/a/../b/.", "http://other/b/"),
            ("//other/x", "http://other/x"),
            ("//other?x", "http://other/?x"),
            ("//other/../x", "http://other/x"),
            ("//[::1]:80/x", "http://[::1]:80/x"),
            ("/x?y", "http://host:8000/x?y"),
            ("x", "http://host:8000/a/x"),
            ("./x", "http://host:8000/a/x"),
            ("../x/./y/..", "http://host:8000/x/"),
            ("../../..", "http://host:8000/"),
            ("?y", "http://host:8000/a/b?y"),
            ("?", "http://host:8000/a/b?"),
            ("", "http://host:8000/a/b?c"),
            ("#part", "http://host:8000/a/b?c"),
            ("x#part?z", "http://host:8000/a/x"),
            ("./x:y", "http://host:8000/a/x:y"),
            ("/x//y", "http://host:8000/x//y"),
            ("/%2e%2e/x", "http://host:8000/%2e%2e/x"),
            ("/x?u=http://y/../z", "http://host:8000/x?u=http://y/../z"),
        ] {
            assert_eq!(of(location), Ok(url.to_owned()), "{location}");
        }
    }

    #[test]
    fn a_location_is_percent_encoded_as_in_go() {
        for (location, path) in [
            ("/x y", "/x%20y"),
            ("/<script>", "/%3Cscript%3E"),
            ("/a\"b", "/a%22b"),
            ("/a{b}", "/a%7Bb%7D"),
            ("/^`", "/%5E%60"),
            ("\\\\other\\x", "/a/%5C%5Cother%5Cx"),
            ("/\u{e9}", "/%C3%A9"),
            ("?q=1%202&r=a b", "/a/b?q=1%202&r=a%20b"),
        ] {
            assert_eq!(of(location), Ok(format!("http://host:8000{path}")), "{location}");
        }
        let url = resolve(&Uri::from_static("http://host/"), b"/\xe9").unwrap();
        assert_eq!(url.path(), "/%E9");
        assert_eq!(of("//b\u{fc}cher.example/"), Ok("http://xn--bcher-kva.example/".into()));
    }

    #[test]
    fn an_unusable_location_is_an_error_with_the_reason() {
        for location in [
            "mailto:me@host",
            "ftp://host/",
            "http:x",
            "http:///x",
            "http://",
            "//",
            "x:y/z",
            "/a\tb",
            "http://host:x/",
            "javascript:alert(1)",
        ] {
            assert!(of(location).is_err(), "{location}");
        }
    }
}
