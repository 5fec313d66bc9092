//! The status codes of gRPC: their names, and which of them are errors.

use http::header::HeaderName;
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode;

use crate::tags::Role;

/// A status code of gRPC, 0 to 16. Whatever else is read counts as `UNKNOWN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(u8);

impl Code {
    pub(crate) const CANCELLED: Self = Self(1);
    pub(crate) const DEADLINE_EXCEEDED: Self = Self(4);
    pub(crate) const UNIMPLEMENTED: Self = Self(12);

    /// Reads the end of a call from headers or trailers.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(&STATUS)?.to_str().unwrap_or_default();
        let code = text.parse().ok().filter(|code| usize::from(*code) < NAMES.len());
        Some(Self(code.unwrap_or(UNKNOWN)))
    }

    /// Returns the status that a client assumes for an HTTP response without a gRPC status.
    ///
    /// # Source
    ///
    /// `http-grpc-status-mapping.md` in grpc/grpc.
    pub(crate) fn of_http(status: StatusCode) -> Self {
        Self(match status.as_u16() {
            400 => 13,
            401 => 16,
            403 => 7,
            404 => 12,
            429 | 502 | 503 | 504 => 14,
            _ => UNKNOWN,
        })
    }

    pub(crate) fn number(self) -> u8 {
        self.0
    }

    pub(crate) fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("UNKNOWN")
    }

    /// Returns whether a call with that status has failed: for a client all but `OK`, for a server
    /// its own errors.
    ///
    /// # Source
    ///
    /// gRPC spans in the OpenTelemetry semantic conventions. `SetSpanTags` of otgrpc in
    /// grpc-opentracing, `go/otgrpc/errors.go`, has the same rule for clients; of a server it counts
    /// `RESOURCE_EXHAUSTED` and `ABORTED` as errors too, and `UNKNOWN` not.
    pub(crate) fn is_error(self, role: Role) -> bool {
        match role {
            Role::Client => self.0 != 0,
            Role::Server => matches!(self.0, UNKNOWN | 4 | 12 | 13 | 14 | 15),
        }
    }
}

const UNKNOWN: u8 = 2;

const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The text beside a status; empty if there is none.
pub(crate) fn message(headers: &HeaderMap) -> String {
    let text = headers.get(&MESSAGE).map_or(&b""[..], |text| text.as_bytes());
    percent_decode(text).decode_utf8_lossy().into_owned()
}

static STATUS: HeaderName = HeaderName::from_static("grpc-status");
static MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(status: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", status.parse().unwrap());
        headers
    }

    #[test]
    fn codes_are_read_and_whatever_is_none_is_unknown() {
        assert_eq!(Code::read(&HeaderMap::new()), None);
        for (text, name) in [
            ("0", "OK"),
            ("5", "NOT_FOUND"),
            ("16", "UNAUTHENTICATED"),
            ("17", "UNKNOWN"),
            ("-1", "UNKNOWN"),
            ("256", "UNKNOWN"),
            ("", "UNKNOWN"),
            ("ok", "UNKNOWN"),
        ] {
            assert_eq!(Code::read(&headers(text)).unwrap().name(), name, "{text:?}");
        }
    }

    #[test]
    fn servers_are_to_blame_for_six_codes_and_clients_mark_all_but_one() {
        let errors = |role| -> Vec<&str> {
            let codes = (0..=16).map(Code).filter(|code| code.is_error(role));
            codes.map(Code::name).collect()
        };
        assert_eq!(
            errors(Role::Server),
            [
                "UNKNOWN",
                "DEADLINE_EXCEEDED",
                "UNIMPLEMENTED",
                "INTERNAL",
                "UNAVAILABLE",
                "DATA_LOSS"
            ]
        );
        assert_eq!(errors(Role::Client), NAMES[1..]);
    }

    #[test]
    fn statuses_of_http_stand_for_codes() {
        let name = |status| Code::of_http(StatusCode::from_u16(status).unwrap()).name();
        assert_eq!([503, 404, 418].map(name), ["UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN"]);
    }

    #[test]
    fn a_message_is_percent_decoded() {
        let mut headers = headers("5");
        headers.insert("grpc-message", "no%20user %C3%BC%".parse().unwrap());
        assert_eq!(message(&headers), "no user ü%");
        assert_eq!(message(&HeaderMap::new()), "");
    }
}
