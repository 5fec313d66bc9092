//! One error type per boundary: configuration, extraction, transport.
//!
//! None of them is ever met on the hot path; what goes wrong there is counted by cause and reported
//! at most once a minute.

use std::fmt;
use std::io;

/// Why a tracer could not be built from what was asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// A name that must say something is empty.
    Empty {
        /// The option.
        field: &'static str,
    },
    /// A value is outside of what the option takes.
    OutOfRange {
        /// The option.
        field: &'static str,
        /// The value given.
        value: String,
        /// What it takes.
        allowed: &'static str,
    },
    /// The service's name and the tags of the process, which are sent with every datagram, leave no
    /// room in one for spans.
    ProcessTooLarge {
        /// What they take, in bytes.
        bytes: usize,
        /// What they may take.
        allowed: usize,
        /// How many tags there are.
        tags: usize,
        /// The beginning of the key of the largest tag.
        largest_tag: String,
        /// What that takes alone.
        largest_tag_bytes: usize,
        /// The size of a datagram.
        max_packet_size: usize,
    },
    /// A name is none of those known.
    Unknown {
        /// The option.
        field: &'static str,
        /// The name given.
        value: String,
        /// The names there are.
        allowed: String,
    },
    /// The option needs a feature of this crate that it was built without.
    FeatureOff {
        /// The option.
        field: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// Several things are wrong.
    Several {
        /// Each of them.
        errors: Vec<Self>,
    },
    /// A part that the tracer was given panicked when it was to begin its work.
    Panicked {
        /// Which method of which trait.
        callback: &'static str,
    },
    /// A thread of the client could not be started: the reporter's, or a sampler's.
    Thread {
        /// What the operating system said.
        source: io::Error,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { field } => write!(f, "{field} is empty, but must name something"),
            Self::OutOfRange { field, value, allowed } => {
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

/// Why a carrier gives no span context.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtractError {
    /// It carries none: no trace, no debug id, no baggage. Not a fault, and not counted as one.
    NotFound,
    /// The trace context is there but empty.
    EmptyValue,
    /// The trace context does not have four parts.
    Malformed {
        /// How many it has.
        parts: usize,
    },
    /// A part is no number of its base.
    BadNumber {
        /// Which part.
        part: &'static str,
        /// What it says, shortened.
        value: String,
    },
    /// A number exceeds its type.
    NumberOutOfRange {
        /// Which part.
        part: &'static str,
        /// What it says, shortened.
        value: String,
    },
    /// A trace id has more than 32 digits.
    TraceIdTooLong {
        /// How many it has.
        digits: usize,
    },
    /// A span id has more than 16 digits.
    SpanIdTooLong {
        /// How many it has.
        digits: usize,
    },
    /// A header that has one value is there several times, with different ones.
    Conflicting {
        /// The header.
        header: String,
    },
    /// A header is not as its specification says.
    Invalid {
        /// The header.
        header: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// A binary carrier ends early or breaks its limits.
    Corrupted {
        /// What is wrong.
        what: &'static str,
    },
    /// A format or a carrier that the application wrote panicked.
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
            Self::BadNumber { part, value } => write!(f, "the {part} is no hex number: {value:?}"),
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

/// Why bytes did not leave the process.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransportError {
    /// The agent's name could not be resolved.
    Unresolved {
        /// The address given.
        address: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nothing listens at the agent's address.
    Refused {
        /// The address in use.
        address: String,
    },
    /// The message is larger than the path, or the server, lets through.
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// The server did not want it.
    Answered {
        /// Where it was posted to.
        address: String,
        /// The status of the answer.
        status: u16,
        /// The beginning of the answer's body.
        said: String,
    },
    /// Anything else that the operating system says.
    Io {
        /// What it said.
        source: io::Error,
    },
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved { address, source } => write!(f, "cannot resolve {address}: {source}"),
            Self::Refused { address } => write!(f, "nothing listens at {address}"),
            Self::TooLarge { bytes } => write!(f, "a message of {bytes} bytes does not pass"),
            Self::Answered { address, status, said } => {
                write!(f, "{address} answered {status} {said:?}")
            }
            Self::Io { source } => write!(f, "cannot send: {source}"),
        }
    }
}

impl std::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unresolved { source, .. } | Self::Io { source } => Some(source),
            Self::Refused { .. } | Self::TooLarge { .. } | Self::Answered { .. } => None,
        }
    }
}
