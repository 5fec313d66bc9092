//! The names of spans: few, whatever is sent.

use http::Method;

/// The name of the span of a request: `HTTP {METHOD}` for the methods of RFC 9110 and `PATCH`,
/// `HTTP` for any other.
///
/// The sender of a request chooses its method, and operation names must be few: they are the index
/// of a backend, and samplers and metrics distinguish them. The original method is the tag
/// `http.method`.
///
/// # Examples
///
/// ```
/// use http::{Method, request};
/// use jaeger_client_http::operation_name;
///
/// assert_eq!(operation_name(&Method::GET), "HTTP GET");
/// assert_eq!(operation_name(&Method::from_bytes(b"XyZ123").unwrap()), "HTTP");
///
/// // With a route, of which there are few as well.
/// let named = |request: &request::Parts| format!("{} /orders/{{id}}", operation_name(&request.method));
/// ```
#[must_use]
pub fn operation_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "HTTP GET",
        Method::POST => "HTTP POST",
        Method::PUT => "HTTP PUT",
        Method::DELETE => "HTTP DELETE",
        Method::HEAD => "HTTP HEAD",
        Method::PATCH => "HTTP PATCH",
        Method::OPTIONS => "HTTP OPTIONS",
        Method::CONNECT => "HTTP CONNECT",
        Method::TRACE => "HTTP TRACE",
        _ => "HTTP",
    }
}

/// Returns whether a method is unknown.
pub(crate) fn is_unknown(method: &Method) -> bool {
    operation_name(method) == "HTTP"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_methods_that_everybody_knows_are_in_a_name() {
        // open-telemetry/opentelemetry-collector#14516
        for (method, name) in [
            ("GET", "HTTP GET"),
            ("TRACE", "HTTP TRACE"),
            ("CONNECT", "HTTP CONNECT"),
            ("PATCH", "HTTP PATCH"),
            ("XyZ123", "HTTP"),
            ("AAAA0001", "HTTP"),
            ("get", "HTTP"),
            ("GETS", "HTTP"),
            ("PROPFIND", "HTTP"),
        ] {
            assert_eq!(operation_name(&Method::from_bytes(method.as_bytes()).unwrap()), name);
        }
    }
}
