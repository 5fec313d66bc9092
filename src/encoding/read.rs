//! The bounded reader of Thrift's compact protocol, for untrusted bytes.
//!
//! Every length is checked against the remaining bytes before it is used, nesting is bounded, and
//! nothing is reserved, so hostile input costs at most one pass over itself.

use std::fmt;

use super::list::List;

/// Why bytes cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end within a value.
    Truncated {
        /// The offset in the input.
        at: usize,
    },
    /// A length or count is larger than the bytes that are left.
    TooLong {
        /// The claimed length.
        claimed: u64,
        /// The number of remaining bytes.
        left: usize,
    },
    /// A number takes more bytes than its type has.
    BadVarint {
        /// The offset in the input.
        at: usize,
    },
    /// A field or element has another type than in the model, or an unknown type.
    WrongType {
        /// The protocol's number of the type.
        found: u8,
    },
    /// A protobuf field has an obsolete or unknown wire type.
    UnknownWireType {
        /// The wire type.
        found: u8,
    },
    /// Structures are nested too deeply.
    TooDeep,
    /// A required field is absent.
    MissingField {
        /// The structure that lacks it.
        of: &'static str,
    },
    /// A tag has an unknown type.
    UnknownTagType {
        /// The number of the type.
        value: i32,
    },
    /// The message is not one that an agent accepts.
    UnknownMessage {
        /// The reason.
        what: &'static str,
    },
    /// A view could not be written in the requested format.
    Unwritable {
        /// The writer's message.
        what: String,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { at } => write!(f, "input ends within a value, at byte {at}"),
            Self::TooLong { claimed, left } => {
                write!(f, "a length of {claimed} is claimed where {left} bytes are left")
            }
            Self::BadVarint { at } => write!(f, "number too long at byte {at}"),
            Self::WrongType { found } => write!(f, "unexpected thrift type {found}"),
            Self::UnknownWireType { found } => write!(f, "unexpected protobuf wire type {found}"),
            Self::TooDeep => write!(f, "structures nested more than {MAX_DEPTH} deep"),
            Self::MissingField { of } => write!(f, "a required field of {of} is absent"),
            Self::UnknownTagType { value } => write!(f, "unknown tag type {value}, not 0 to 4"),
            Self::UnknownMessage { what } => write!(f, "not an agent's message: {what}"),
            Self::Unwritable { what } => write!(f, "cannot be written: {what}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// The numbers of the compact protocol and of jaeger.thrift.
pub(super) mod wire {
    pub(crate) const TRUE: u8 = 1;
    pub(crate) const FALSE: u8 = 2;
    pub(crate) const I32: u8 = 5;
    pub(crate) const I64: u8 = 6;
    pub(crate) const DOUBLE: u8 = 7;
    pub(crate) const BINARY: u8 = 8;
    pub(crate) const LIST: u8 = 9;
    pub(crate) const STRUCT: u8 = 12;
    pub(crate) const FOLLOWS_FROM: i32 = 1;
}

/// Deeper than batch > span > log > tag, so that unknown structures of a later model can be
/// skipped.
const MAX_DEPTH: usize = 16;

/// A reading position in bytes.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    pub(super) const fn position(&self) -> usize {
        self.at
    }

    /// Returns the bytes that were not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Skips all but the last `left` bytes.
    pub(super) fn skip_to(&mut self, left: usize) {
        self.at = self.bytes.len().saturating_sub(left);
    }

    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.bytes.get(self.at).ok_or(DecodeError::Truncated { at: self.at })?;
        self.at += 1;
        Ok(byte)
    }

    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        let start = self.at;
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::BadVarint { at: start })
    }

    fn i64(&mut self) -> Result<i64, DecodeError> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    pub(super) fn length(&mut self) -> Result<usize, DecodeError> {
        let claimed = self.varint()?;
        self.bounded(claimed)
    }

    fn bounded(&self, claimed: u64) -> Result<usize, DecodeError> {
        let left = self.bytes.len() - self.at;
        match usize::try_from(claimed) {
            Ok(length) if length <= left => Ok(length),
            _ => Err(DecodeError::TooLong { claimed, left }),
        }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(DecodeError::Truncated { at: self.at })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub(super) fn expect_i64(&mut self, kind: u8) -> Result<i64, DecodeError> {
        expect(kind, wire::I64)?;
        self.i64()
    }

    pub(super) fn expect_i32(&mut self, kind: u8) -> Result<i32, DecodeError> {
        expect(kind, wire::I32)?;
        let at = self.at;
        i32::try_from(self.i64()?).map_err(|_| DecodeError::BadVarint { at })
    }

    pub(super) fn expect_bytes(&mut self, kind: u8) -> Result<&'a [u8], DecodeError> {
        expect(kind, wire::BINARY)?;
        let length = self.length()?;
        self.take(length)
    }

    pub(super) fn expect_double(&mut self, kind: u8) -> Result<f64, DecodeError> {
        expect(kind, wire::DOUBLE)?;
        let at = self.at;
        match self.take(8)?.try_into() {
            Ok(bytes) => Ok(f64::from_le_bytes(bytes)),
            Err(_) => Err(DecodeError::Truncated { at }),
        }
    }

    #[expect(clippy::unused_self, reason = "reads like its siblings; the value is in the header")]
    pub(super) fn expect_bool(&mut self, kind: u8) -> Result<bool, DecodeError> {
        match kind {
            wire::TRUE => Ok(true),
            wire::FALSE => Ok(false),
            found => Err(DecodeError::WrongType { found }),
        }
    }

    /// Reads a list of structures, each by `element`, and returns their bytes.
    pub(super) fn list(
        &mut self,
        kind: u8,
        mut element: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<List<'a>, DecodeError> {
        expect(kind, wire::LIST)?;
        let (element_kind, count) = self.list_header()?;
        if count > 0 {
            expect(element_kind, wire::STRUCT)?;
        }
        let start = self.at;
        for _ in 0..count {
            element(self)?;
        }
        Ok(List { count, bytes: &self.bytes[start..self.at] })
    }

    fn list_header(&mut self) -> Result<(u8, usize), DecodeError> {
        let header = self.byte()?;
        let claimed = match header >> 4 {
            15 => self.varint()?,
            short => u64::from(short),
        };
        // Every element takes at least a byte, so that a count beyond the remaining bytes is wrong.
        Ok((header & 15, self.bounded(claimed)?))
    }

    /// Reads a structure's fields. `known` reads the value of a known field and returns whether it
    /// did; all other fields are skipped.
    pub(super) fn fields(
        &mut self,
        mut known: impl FnMut(&mut Self, i16, u8) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        self.enter()?;
        let mut field = 0_i16;
        loop {
            let header = self.byte()?;
            let kind = header & 15;
            if kind == 0 {
                break;
            }
            field = match header >> 4 {
                0 => {
                    let at = self.at;
                    i16::try_from(self.i64()?).map_err(|_| DecodeError::BadVarint { at })?
                }
                delta => field.wrapping_add(i16::from(delta)),
            };
            if !known(self, field, kind)? {
                self.skip(kind, false)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn enter(&mut self) -> Result<(), DecodeError> {
        if self.depth == MAX_DEPTH {
            return Err(DecodeError::TooDeep);
        }
        self.depth += 1;
        Ok(())
    }

    pub(super) fn skip(&mut self, kind: u8, element: bool) -> Result<(), DecodeError> {
        match kind {
            // A field's boolean is in its header; an element's takes a byte.
            wire::TRUE | wire::FALSE if !element => {}
            wire::TRUE | wire::FALSE | 3 => drop(self.byte()?),
            4..=6 => drop(self.varint()?),
            wire::DOUBLE => drop(self.take(8)?),
            wire::BINARY => {
                let length = self.length()?;
                self.take(length)?;
            }
            wire::LIST | 10 => {
                self.enter()?;
                let (kind, count) = self.list_header()?;
                for _ in 0..count {
                    self.skip(kind, true)?;
                }
                self.depth -= 1;
            }
            11 => {
                self.enter()?;
                let count = self.length()?;
                if count > 0 {
                    let kinds = self.byte()?;
                    for _ in 0..count {
                        self.skip(kinds >> 4, true)?;
                        self.skip(kinds & 15, true)?;
                    }
                }
                self.depth -= 1;
            }
            wire::STRUCT => self.fields(|_, _, _| Ok(false))?,
            13 => drop(self.take(16)?),
            found => return Err(DecodeError::WrongType { found }),
        }
        Ok(())
    }
}

fn expect(found: u8, wanted: u8) -> Result<(), DecodeError> {
    if found == wanted { Ok(()) } else { Err(DecodeError::WrongType { found }) }
}
