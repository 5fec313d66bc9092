//! gRPC over HTTP: which requests are calls, of which method, and until when.

mod status;

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, Uri};
use tokio::time::Instant;

pub(crate) use self::status::{Code, message};

/// A call that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    deadline: Option<Instant>,
    /// Whether the end of the call is known.
    pub(crate) ended: bool,
    /// Whether the status can be read: gRPC-Web has it within the body.
    pub(crate) has_status: bool,
}

impl Call {
    /// The call that a request is, if it is one.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let kind = headers.get(CONTENT_TYPE)?.as_bytes().strip_prefix(b"application/grpc")?;
        let web = kind.starts_with(b"-web");
        if !web && !kind.first().is_none_or(|next| matches!(next, b'+' | b';')) {
            return None;
        }
        let deadline = timeout(headers).and_then(|timeout| Instant::now().checked_add(timeout));
        Some(Self { deadline, ended: false, has_status: !web })
    }

    /// Returns whether the caller's timeout has expired.
    pub(crate) fn is_past_deadline(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// Returns the timeout in `grpc-timeout`: at most eight digits and a unit.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(&TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// The service and the method of a path, `/package.Service/Method`. None if the path has another
/// form: the caller chooses it, and it becomes a name.
pub(crate) fn method(url: &Uri) -> Option<(&str, &str)> {
    let path = url.path().strip_prefix('/')?;
    let (service, method) = path.split_once('/')?;
    let is_name = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        !part.is_empty() && part.bytes().all(allowed)
    };
    (path.len() <= MAX_METHOD && is_name(service) && is_name(method)).then_some((service, method))
}

// Names as text are looked up letter by letter, for each request.
static TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Longer paths name no span.
const MAX_METHOD: usize = 256;

/// The name of a span whose method is not known.
pub(crate) const UNKNOWN_METHOD: &str = "gRPC";

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn calls_are_known_by_their_content_type() {
        for (kind, expected) in [
            ("application/grpc", Some(true)),
            ("application/grpc+proto", Some(true)),
            ("application/grpc;charset=utf-8", Some(true)),
            ("application/grpc-web+proto", Some(false)),
            ("application/grpcx", None),
            ("application/json", None),
        ] {
            let call = Call::of(&headers("content-type", kind));
            assert_eq!(call.map(|call| call.has_status), expected, "{kind}");
        }
        assert!(Call::of(&HeaderMap::new()).is_none());
    }

    #[test]
    fn timeouts_have_eight_digits_at_most_and_a_unit() {
        for (text, expected) in [
            ("50m", Some(Duration::from_millis(50))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("3u", Some(Duration::from_micros(3))),
            ("100000000n", None),
            ("1", None),
            ("", None),
            ("m", None),
            ("+1S", None),
            ("-1S", None),
            ("1é", None),
        ] {
            let read = headers("grpc-timeout", "0S");
            let read = text.parse().map(|value| {
                let mut read = read;
                read.insert("grpc-timeout", value);
                timeout(&read)
            });
            assert_eq!(read.unwrap_or(None), expected, "{text:?}");
        }
        // Further away than a clock counts.
        let mut headers_with_deadline = headers("content-type", "application/grpc");
        headers_with_deadline.insert("grpc-timeout", "99999999H".parse().unwrap());
        assert!(!Call::of(&headers_with_deadline).unwrap().is_past_deadline());
    }

    #[test]
    fn a_method_is_a_path_of_two_names() {
        let method = |path: &str| {
            let url: Uri = path.parse().unwrap();
            method(&url).map(|(service, method)| format!("{service} {method}"))
        };
        assert_eq!(method("/shop.v1.Cart/Add").as_deref(), Some("shop.v1.Cart Add"));
        for other in ["/", "/Cart", "/Cart/", "//Add", "/a/b/c", "/a%20/b", "/a/b$c"] {
            assert_eq!(method(other), None, "{other}");
        }
        assert_eq!(method(&format!("/{}/m", "x".repeat(300))), None);
    }
}
