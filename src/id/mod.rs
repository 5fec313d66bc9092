//! Trace and span ids: their text form, and the generator behind every new span.

pub(crate) mod generator;
mod hex;

use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

pub use self::generator::IdGenerator;
pub(crate) use self::generator::{IdSource, random_id, seed, system_63};
pub use self::hex::IdText;
pub(crate) use self::hex::{digit, read_hex_16, read_lower_hex_16};

/// The id of a trace: 128 bits, of which the high 64 may be zero.
///
/// # Shape and units
///
/// As text, 16 lower-case hex digits, or 32 when the high half is not zero; for serde too (feature
/// `serde`).
///
/// # Source
///
/// `TraceID` in jaeger-client-go, `span_context.go`.
///
/// # Examples
///
/// ```
/// use jaeger_client::TraceId;
/// assert_eq!(TraceId::new(0, 0xabc).to_string(), "0000000000000abc");
/// assert_eq!(TraceId::new(1, 0).to_string(), "00000000000000010000000000000000");
/// assert!(!TraceId::NONE.is_valid());
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId {
    high: u64,
    low: u64,
}

impl TraceId {
    /// The id for "no trace": the one of a span without a tracer.
    pub const NONE: Self = Self::new(0, 0);

    /// Makes an id from its two halves.
    #[must_use]
    pub const fn new(high: u64, low: u64) -> Self {
        Self { high, low }
    }

    /// Returns the upper 64 bits; zero in a 64-bit trace id.
    #[must_use]
    pub const fn high(self) -> u64 {
        self.high
    }

    /// Returns the lower 64 bits, which samplers decide on.
    #[must_use]
    pub const fn low(self) -> u64 {
        self.low
    }

    /// Returns whether the id is not zero.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.high != 0 || self.low != 0
    }

    /// Makes an id from 16 bytes, the most significant first, as W3C and OpenTelemetry have it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let bits = u128::from_be_bytes(bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        Self::new((bits >> 64) as u64, bits as u64)
    }

    /// Returns the 16 bytes, the most significant first.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        (((self.high as u128) << 64) | self.low as u128).to_be_bytes()
    }
}

impl From<u128> for TraceId {
    fn from(bits: u128) -> Self {
        Self::from_bytes(bits.to_be_bytes())
    }
}

impl From<TraceId> for u128 {
    fn from(id: TraceId) -> Self {
        Self::from_be_bytes(id.to_bytes())
    }
}

/// Shows the id in hex.
impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

/// Parses 1 to 32 hex digits, of either case.
impl FromStr for TraceId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        hex(text, 32).map(Self::from).ok_or_else(|| ParseIdError::new(text, "1 to 32 hex digits"))
    }
}

/// The error of a text that is not an id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseIdError {
    /// The first 64 characters of the text.
    pub value: String,
    /// The allowed form.
    pub allowed: &'static str,
}

impl ParseIdError {
    fn new(text: &str, allowed: &'static str) -> Self {
        Self { value: text.chars().take(64).collect(), allowed }
    }
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an id, which has {}", self.value, self.allowed)
    }
}

impl std::error::Error for ParseIdError {}

/// Parses a hex number without sign, of at most so many digits.
fn hex(text: &str, max_digits: usize) -> Option<u128> {
    let is_hex =
        (1..=max_digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = IdText::new();
        text.trace_id(*self);
        f.write_str(text.as_str())
    }
}

/// The id of a span within its trace: 64 bits, zero meaning "none".
///
/// # Shape and units
///
/// As text, 16 lower-case hex digits; for serde too (feature `serde`).
///
/// # Source
///
/// `SpanID` in jaeger-client-go, `span_context.go`.
///
/// # Examples
///
/// ```
/// use jaeger_client::SpanId;
/// assert_eq!("1f".parse(), Ok(SpanId::new(0x1f)));
/// assert_eq!(SpanId::new(0x1f).to_string(), "000000000000001f");
/// assert!(SpanId::new(0x1f).is_valid() && !SpanId::NONE.is_valid());
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(u64);

impl SpanId {
    /// The id for "no span": the parent of a root.
    pub const NONE: Self = Self(0);

    /// Makes an id from its bits.
    #[must_use]
    pub const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the bits.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns whether the id is not zero.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 != 0
    }

    /// Makes an id from 8 bytes, the most significant first, as W3C and OpenTelemetry have it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }

    /// Returns the 8 bytes, the most significant first.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl From<u64> for SpanId {
    fn from(bits: u64) -> Self {
        Self(bits)
    }
}

impl From<SpanId> for u64 {
    fn from(id: SpanId) -> Self {
        id.0
    }
}

/// Shows the id in hex.
impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpanId({self})")
    }
}

/// Parses 1 to 16 hex digits, of either case.
impl FromStr for SpanId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let bits = hex(text, 16).and_then(|bits| u64::try_from(bits).ok());
        bits.map(Self).ok_or_else(|| ParseIdError::new(text, "1 to 16 hex digits"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = IdText::new();
        text.span_id(*self);
        f.write_str(text.as_str())
    }
}

/// Hashes numbers that were drawn at random or hashed before, so that collisions cannot be provoked;
/// they need only be spread over all bits.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = (self.0 ^ half).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}
