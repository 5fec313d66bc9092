//! What a proxy says of the request that it forwards.

use http::HeaderMap;
use http::header::FORWARDED;

/// Returns the scheme of the client's own request, `http` or `https`, by `Forwarded` (RFC 7239) or
/// `X-Forwarded-Proto`. Of several proxies the first in the list had it from the client.
pub(crate) fn scheme(headers: &HeaderMap) -> Option<&'static str> {
    let first = |name: &str| headers.get(name)?.to_str().ok()?.split(',').next();
    let forwarded = first(FORWARDED.as_str()).and_then(|proxy| {
        let mut pairs = proxy.split(';').filter_map(|pair| pair.split_once('='));
        let (_, scheme) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("proto"))?;
        Some(scheme.trim().trim_matches('"'))
    });
    let scheme = forwarded.or_else(|| first("x-forwarded-proto"))?.trim();
    ["http", "https"].into_iter().find(|known| known.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_first_proxy_says_the_scheme_and_other_values_are_ignored() {
        for (forwarded, legacy, scheme) in [
            (None, None, None),
            (Some("for=192.0.2.60;proto=https;by=203.0.113.43"), None, Some("https")),
            (Some("Proto=\"HTTP\", proto=https"), Some("https"), Some("http")),
            (Some("for=192.0.2.60"), Some("HTTPS , http"), Some("https")),
            (Some("proto=gopher"), Some("https"), None),
            (Some("\u{fc}"), Some("http"), Some("http")),
            (None, Some("javascript:"), None),
            (None, Some(""), None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("forwarded", forwarded), ("x-forwarded-proto", legacy)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
                }
            }
            assert_eq!(self::scheme(&headers), scheme, "{forwarded:?} {legacy:?}");
        }
    }
}
