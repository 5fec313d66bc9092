//! The head of a request as each version of HTTP has it.

use std::borrow::Cow;

use http::header::{EXPECT, HOST};
use http::{HeaderMap, HeaderValue, Uri, request};

use crate::transport::target::Target;

pub(super) fn expects_leave(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Converts a request to HTTP/1's form: the path alone, and the host in a header.
pub(super) fn origin_form(parts: &mut request::Parts, target: &Target) {
    if !parts.headers.contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(&host_header(&parts.uri, target))
    {
        parts.headers.insert(HOST, host);
    }
    let path = parts.uri.path_and_query().cloned();
    parts.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
}

/// Returns the host for the server: without the default port, and without a zone, which means
/// nothing to another machine.
fn host_header<'a>(uri: &'a Uri, target: &Target) -> Cow<'a, str> {
    let usual = if target.key.tls { 443 } else { 80 };
    match uri.authority() {
        _ if target.has_zone() && target.port == usual => {
            format!("[{}]", target.server_name()).into()
        }
        _ if target.has_zone() => format!("[{}]:{}", target.server_name(), target.port).into(),
        Some(authority) if target.port == usual => authority.host().into(),
        authority => authority.map_or("", |authority| authority.as_str()).into(),
    }
}

/// Converts a request to HTTP/2's form: the host is in the URL, and headers of HTTP/1 connections
/// are left out.
#[cfg(feature = "http2")]
pub(super) fn absolute_form(parts: &mut request::Parts, target: &Target) {
    use http::header::{CONNECTION, TRANSFER_ENCODING, UPGRADE};
    let host = match parts.headers.get(HOST) {
        Some(host) => String::from_utf8_lossy(host.as_bytes()),
        None => host_header(&parts.uri, target),
    };
    let mut uri = parts.uri.clone().into_parts();
    uri.authority = host.parse().ok().or(uri.authority);
    parts.uri = Uri::from_parts(uri).unwrap_or_else(|_| std::mem::take(&mut parts.uri));
    for header in [HOST, CONNECTION, TRANSFER_ENCODING, UPGRADE, EXPECT] {
        parts.headers.remove(header);
    }
    parts.version = http::Version::HTTP_2;
}
