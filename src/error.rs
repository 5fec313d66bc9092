//! One error type per boundary: configuration, extraction, transport.
//!
//! No error occurs on the hot path; failures there are counted by cause and logged at most once a
//! minute.

use std::borrow::Cow;
use std::fmt;
use std::io;

use crate::redact;

/// Why a tracer could not be built.
///
/// # Examples
///
/// ```
/// use jaeger_client::{ConfigError, Configuration, SamplerConfig};
/// let sampler = SamplerConfig { param: 7.0, ..SamplerConfig::new("probabilistic") };
/// let configuration = Configuration { sampler, ..Configuration::new("checkout") };
/// let error = configuration.new_tracer().err();
/// assert!(matches!(error, Some(ConfigError::Invalid { field: "sampler.param", .. })));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// A required value is empty.
    Empty {
        /// The option.
        field: &'static str,
    },
    /// A value is not valid for the option.
    Invalid {
        /// The option.
        field: &'static str,
        /// The value, without what may be secret in it.
        value: String,
        /// The allowed values.
        allowed: &'static str,
    },
    /// The service's name and the tags of the process, which are sent with every datagram, leave no
    /// room for spans.
    ProcessTooLarge {
        /// Their size in bytes.
        bytes: usize,
        /// The maximum size in bytes.
        allowed: usize,
        /// The number of tags.
        tags: usize,
        /// The beginning of the key of the largest tag.
        largest_tag: String,
        /// The size of that tag in bytes.
        largest_tag_bytes: usize,
        /// The maximum size of a datagram.
        max_packet_size: usize,
    },
    /// A name is unknown.
    Unknown {
        /// The option.
        field: &'static str,
        /// The name.
        value: String,
        /// The known names.
        allowed: String,
    },
    /// The option needs a feature that the crate was built without.
    FeatureOff {
        /// The option.
        field: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// There is no service name.
    NoServiceName {
        /// Warnings about the environment, such as a misspelt variable.
        noticed: Vec<String>,
    },
    /// The value of an environment variable is not valid.
    Variable {
        /// The variable.
        name: &'static str,
        /// The value, without what may be secret in it.
        value: String,
        /// The allowed values.
        allowed: Cow<'static, str>,
        /// The usual origin of such a value, or the option that it belongs to.
        hint: Option<&'static str>,
    },
    /// Several errors.
    Several {
        /// The errors.
        errors: Vec<Self>,
    },
    /// A user's part of the tracer panicked when it was started.
    Panicked {
        /// The trait and method.
        callback: &'static str,
    },
    /// A thread of the client could not be started: the reporter's, or a sampler's.
    Thread {
        /// The operating system's error.
        source: io::Error,
    },
}

impl ConfigError {
    /// Returns [`Invalid`](Self::Invalid), with what may be secret in the value hidden.
    pub(crate) fn invalid(
        field: &'static str,
        value: impl AsRef<str>,
        allowed: &'static str,
    ) -> Self {
        Self::Invalid { field, value: redact::value(value.as_ref()), allowed }
    }

    /// Returns [`Unknown`](Self::Unknown), with what may be secret in the value hidden.
    pub(crate) fn unknown<'a>(
        field: &'static str,
        value: &str,
        allowed: impl Iterator<Item = &'a str>,
    ) -> Self {
        let allowed = allowed.collect::<Vec<_>>().join(", ");
        Self::Unknown { field, value: redact::value(value), allowed }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { field } => write!(f, "{field} is empty, but must name something"),
            Self::Invalid { field, value, allowed } => {
                write!(f, "{field} is {value:?}, but must be {allowed}")
            }
            Self::ProcessTooLarge {
                bytes,
                allowed,
                tags,
                largest_tag,
                largest_tag_bytes,
                max_packet_size,
            } => write!(
                f,
                "the service name and the {tags} tags of the process take {bytes} bytes, of which \
                 the tag {largest_tag:?} takes {largest_tag_bytes}, but may take {allowed} at most: \
                 they are sent with every datagram of {max_packet_size} bytes"
            ),
            Self::Unknown { field, value, allowed } => {
                write!(f, "{field} is {value:?}, but must be one of {allowed}")
            }
            Self::FeatureOff { field, feature } => {
                write!(f, "{field} is set, but needs jaeger-client's feature `{feature}`")
            }
            Self::NoServiceName { noticed } => {
                f.write_str(
                    "service_name is empty, but must name the service: give it to \
                     `Configuration::new` or `Tracer::builder`, or set JAEGER_SERVICE_NAME",
                )?;
                noticed.iter().try_for_each(|noticed| write!(f, "; {noticed}"))
            }
            Self::Variable { name, value, allowed, hint } => {
                write!(f, "{name} is {value:?}, but must be {allowed}")?;
                hint.map_or(Ok(()), |hint| write!(f, " ({hint})"))
            }
            Self::Several { errors } => errors.iter().enumerate().try_for_each(|(at, error)| {
                write!(f, "{}{error}", if at == 0 { "" } else { "; " })
            }),
            Self::Panicked { callback } => write!(f, "{callback} panicked"),
            Self::Thread { source } => write!(f, "cannot start a thread: {source}"),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Thread { source } => Some(source),
            _ => None,
        }
    }
}

/// Why no span context could be read from a carrier.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use jaeger_client::{ExtractError, Tracer};
/// let (tracer, _closer) = Tracer::builder("svc").null_reporter().build()?;
/// let none = HashMap::<String, String>::new();
/// assert_eq!(tracer.extract(&none), Err(ExtractError::NotFound));
/// let broken = HashMap::from([("uber-trace-id", "1:2")]);
/// assert_eq!(tracer.extract(&broken), Err(ExtractError::Malformed { parts: 2 }));
/// assert_eq!(tracer.stats().decoding_errors, 1);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtractError {
    /// There is none: no trace, no debug id, no baggage. Not a fault, and not counted as one.
    NotFound,
    /// The trace context is empty.
    EmptyValue,
    /// The trace context does not have four parts.
    Malformed {
        /// The number of parts.
        parts: usize,
    },
    /// A part is not a number.
    BadNumber {
        /// The part.
        part: &'static str,
        /// The value, shortened.
        value: String,
    },
    /// A number exceeds its type.
    NumberOutOfRange {
        /// The part.
        part: &'static str,
        /// The value, shortened.
        value: String,
    },
    /// A trace id has more than 32 digits.
    TraceIdTooLong {
        /// The number of digits.
        digits: usize,
    },
    /// A span id has more than 16 digits.
    SpanIdTooLong {
        /// The number of digits.
        digits: usize,
    },
    /// A header with one value occurs several times, with different values.
    Conflicting {
        /// The header.
        header: String,
    },
    /// A header violates its specification.
    Invalid {
        /// The header.
        header: &'static str,
        /// The reason.
        what: &'static str,
    },
    /// A binary carrier ends early or breaks its limits.
    Corrupted {
        /// The reason.
        what: &'static str,
    },
    /// A custom format or carrier panicked.
    Panicked,
}

impl fmt::Display for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => write!(f, "the carrier holds no span context"),
            Self::EmptyValue => write!(f, "the trace context is empty"),
            Self::Malformed { parts } => {
                write!(f, "the trace context has {parts} parts separated by ':', not 4")
            }
            Self::BadNumber { part, value } => {
                write!(f, "the {part} is not a hex number: {value:?}")
            }
            Self::NumberOutOfRange { part, value } => {
                write!(f, "the {part} is too large a number: {value:?}")
            }
            Self::TraceIdTooLong { digits } => {
                write!(f, "the trace id has {digits} digits, more than 32")
            }
            Self::SpanIdTooLong { digits } => {
                write!(f, "a span id has {digits} digits, more than 16")
            }
            Self::Conflicting { header } => {
                write!(f, "the header {header} is there several times, with different values")
            }
            Self::Invalid { header, what } => write!(f, "the header {header} is invalid: {what}"),
            Self::Corrupted { what } => write!(f, "the binary span context is corrupted: {what}"),
            Self::Panicked => write!(f, "the format or the carrier panicked"),
        }
    }
}

impl std::error::Error for ExtractError {}

/// Why a message was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransportError {
    /// The agent's name could not be resolved.
    Unresolved {
        /// The address.
        address: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// Nothing listens at the agent's address.
    Refused {
        /// The address.
        address: String,
    },
    /// The message is too large for the path or the server.
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// The server responded with an error.
    Status {
        /// The address of the request.
        address: String,
        /// The status code.
        status: u16,
        /// The beginning of the response's body.
        body: String,
    },
    /// The server redirects to an address that is not followed: with a status that would not
    /// preserve method and body, to another origin, or once too often.
    Redirected {
        /// The address of the request.
        address: String,
        /// The status code.
        status: u16,
        /// The target, without user, password and query.
        target: String,
    },
    /// The message was given up, but the server may have processed it: it received all of it and
    /// did not respond, or responded that the outcome is unknown.
    Unconfirmed {
        /// The number of attempts.
        attempts: u32,
        /// The error of the last attempt.
        source: Box<Self>,
    },
    /// A custom transport or reporter panicked.
    Panicked {
        /// The type of the part.
        what: &'static str,
        /// The message of the panic.
        message: String,
    },
    /// Any other error of the operating system.
    Io {
        /// The error.
        source: io::Error,
    },
}

impl TransportError {
    /// Returns the error for a panic of a custom transport or reporter.
    pub(crate) fn panicked(what: &'static str, message: &str) -> Self {
        Self::Panicked { what, message: message.chars().take(MAX_SHOWN_CHARS).collect() }
    }
}

/// The maximum length of a panic's message.
const MAX_SHOWN_CHARS: usize = 200;

/// What a custom transport fails with when an operation of its socket or file does.
impl From<io::Error> for TransportError {
    fn from(source: io::Error) -> Self {
        Self::Io { source }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved { address, source } => write!(f, "cannot resolve {address}: {source}"),
            Self::Refused { address } => write!(f, "nothing listens at {address}"),
            Self::TooLarge { bytes } => write!(f, "a message of {bytes} bytes does not pass"),
            Self::Status { address, status, body } => {
                write!(f, "{address} responded with {status} {body:?}")?;
                // The typical response of an OTLP receiver to Thrift.
                if *status == UNSUPPORTED_MEDIA_TYPE && !address.contains(OTLP_PATH) {
                    f.write_str(
                        ", as an OTLP receiver does: a Jaeger collector takes Thrift at port 14268, \
                         path /api/traces",
                    )?;
                }
                Ok(())
            }
            Self::Redirected { address, status, target } => {
                write!(
                    f,
                    "{address} responded with {status}, a redirect to {target} that is not followed"
                )
            }
            Self::Unconfirmed { attempts, source } => {
                let times = if *attempts == 1 { "attempt" } else { "attempts" };
                write!(f, "{source}; given up after {attempts} {times}, ")?;
                f.write_str("but the server may have processed it all the same")
            }
            Self::Panicked { what, message } => write!(f, "the {what} panicked: {message:?}"),
            Self::Io { source } => write!(f, "cannot send: {source}"),
        }
    }
}

impl std::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unresolved { source, .. } | Self::Io { source } => Some(source),
            Self::Unconfirmed { source, .. } => Some(source),
            Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::Status { .. }
            | Self::Redirected { .. }
            | Self::Panicked { .. } => None,
        }
    }
}

const UNSUPPORTED_MEDIA_TYPE: u16 = 415;
const OTLP_PATH: &str = "/v1/traces";
