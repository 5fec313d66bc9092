//! Reads what an OTLP server answers: bytes nobody vouches for.
//!
//! Every length is checked against the bytes that are left, nothing nests, and no text is longer
//! than a log line can bear.

use std::borrow::Cow;

use crate::encoding::read::{DecodeError, Reader};

/// The body of an answer that says a request was taken, at least in part.
///
/// # Source
///
/// `ExportTraceServiceResponse` of opentelemetry-proto, `trace_service.proto`.
///
/// # Examples
///
/// ```
/// use jaeger_client::encoding::OtlpResponse;
/// let body = [0x0a, 9, 0x08, 2, 0x12, 5, b's', b'h', b'o', b'r', b't'];
/// let response = OtlpResponse::parse(&body)?;
/// assert_eq!((response.rejected_spans, &*response.message), (2, "short"));
/// assert!(OtlpResponse::parse(&[])?.is_full_success());
/// # Ok::<(), jaeger_client::encoding::DecodeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtlpResponse<'a> {
    /// How many spans of the request the server did not take. They must not be sent again.
    pub rejected_spans: u64,
    /// Why, or a warning where none was rejected; usually empty. The first
    /// [`MAX_MESSAGE_BYTES`](Self::MAX_MESSAGE_BYTES), without control characters.
    pub message: Cow<'a, str>,
}

impl<'a> OtlpResponse<'a> {
    /// How much of a longer message is given.
    pub const MAX_MESSAGE_BYTES: usize = 1_024;

    /// Reads a body in protobuf. Fields that are not known are skipped.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] for bytes that are no such message.
    ///
    /// # Cost
    ///
    /// One walk over the body; nothing is allocated unless the message has to be changed.
    pub fn parse(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut response = Self::default();
        fields(body, |number, field| {
            if let (1, EncodedField::Bytes(partial_success)) = (number, field) {
                fields(partial_success, |number, field| {
                    match (number, field) {
                        // A count below zero says nothing that could be counted.
                        (1, EncodedField::Number(count)) => {
                            response.rejected_spans =
                                u64::try_from(count.cast_signed()).unwrap_or_default();
                        }
                        (2, EncodedField::Bytes(text)) => response.message = message(text),
                        _ => {}
                    }
                    Ok(())
                })?;
            }
            Ok(())
        })?;
        Ok(response)
    }

    /// Whether all was taken and nothing is to be told.
    #[must_use]
    pub fn is_full_success(&self) -> bool {
        self.rejected_spans == 0 && self.message.is_empty()
    }
}

/// The body of an answer that says a request failed.
///
/// What is to be done follows from the HTTP status alone; this says why, for a log.
///
/// # Source
///
/// `google.rpc.Status`, as the OTLP specification asks servers to answer with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtlpStatus<'a> {
    /// A code of gRPC; 0 where the server says none.
    pub code: i32,
    /// What went wrong. As long as [`OtlpResponse::message`], and as clean.
    pub message: Cow<'a, str>,
}

impl<'a> OtlpStatus<'a> {
    /// Reads a body in protobuf. Fields that are not known are skipped.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] for bytes that are no such message: proxies and other servers answer with text
    /// of their own.
    ///
    /// # Cost
    ///
    /// As [`OtlpResponse::parse`].
    pub fn parse(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut status = Self::default();
        fields(body, |number, field| {
            match (number, field) {
                #[expect(clippy::cast_possible_truncation, reason = "as protobuf reads an int32")]
                (1, EncodedField::Number(code)) => status.code = code as i32,
                (2, EncodedField::Bytes(text)) => status.message = message(text),
                _ => {}
            }
            Ok(())
        })?;
        Ok(status)
    }
}

/// The value of a field, as far as its form tells.
#[derive(Clone, Copy)]
enum EncodedField<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes, which no message here has.
    Fixed,
}

/// Visits the fields of a message, with their numbers.
fn fields<'a>(
    message: &'a [u8],
    mut visit: impl FnMut(u64, EncodedField<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(message);
    while reader.position() < message.len() {
        let key = reader.varint()?;
        let field = match key & 7 {
            0 => EncodedField::Number(reader.varint()?),
            1 => reader.take(8).map(|_| EncodedField::Fixed)?,
            2 => {
                let length = reader.length()?;
                EncodedField::Bytes(reader.take(length)?)
            }
            5 => reader.take(4).map(|_| EncodedField::Fixed)?,
            #[expect(clippy::cast_possible_truncation, reason = "three bits")]
            found => return Err(DecodeError::UnknownWireType { found: found as u8 }),
        };
        match key >> 3 {
            0 => return Err(DecodeError::UnknownWireType { found: 0 }),
            number => visit(number, field)?,
        }
    }
    Ok(())
}

/// A text for a log line: bounded, and without what would break it.
fn message(bytes: &[u8]) -> Cow<'_, str> {
    let start = &bytes[..bytes.len().min(OtlpResponse::MAX_MESSAGE_BYTES)];
    let text = String::from_utf8_lossy(start);
    if text.contains(char::is_control) {
        return text.replace(char::is_control, " ").into();
    }
    text
}
