//! Parses the responses of OTLP servers, which are untrusted.
//!
//! Every length is checked against the remaining bytes, nothing nests, and texts are limited to the
//! length of a log line.

use std::borrow::Cow;

use crate::encoding::read::{DecodeError, Reader};

/// The body of a response to an accepted, or partly accepted, request.
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
    /// The number of spans that the server rejected. They must not be sent again.
    pub rejected_spans: u64,
    /// The reason, or a warning if none was rejected; usually empty. The first
    /// [`MAX_MESSAGE_BYTES`](Self::MAX_MESSAGE_BYTES), without control characters.
    pub message: Cow<'a, str>,
}

impl<'a> OtlpResponse<'a> {
    /// The maximum length of a message that is kept.
    pub const MAX_MESSAGE_BYTES: usize = 1_024;

    /// Parses a body in protobuf. Unknown fields are skipped.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] for bytes that are not such a message.
    ///
    /// # Cost
    ///
    /// One pass over the body; nothing is allocated unless the message has to be changed.
    pub fn parse(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut response = Self::default();
        fields(body, |number, field| {
            if let (1, EncodedField::Bytes(partial_success)) = (number, field) {
                fields(partial_success, |number, field| {
                    match (number, field) {
                        // A negative count is ignored.
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

    /// Returns whether all spans were accepted without a warning.
    #[must_use]
    pub fn is_full_success(&self) -> bool {
        self.rejected_spans == 0 && self.message.is_empty()
    }
}

/// The body of a response to a failed request.
///
/// The client's reaction depends on the HTTP status alone; the body is for the log.
///
/// # Source
///
/// `google.rpc.Status`, as the OTLP specification asks servers to answer with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtlpStatus<'a> {
    /// The gRPC code; 0 if the server sends none.
    pub code: i32,
    /// The reason. As limited and as clean as [`OtlpResponse::message`].
    pub message: Cow<'a, str>,
}

impl<'a> OtlpStatus<'a> {
    /// Parses a body in protobuf. Unknown fields are skipped.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] for bytes that are not such a message: proxies and other servers send text
    /// of their own.
    ///
    /// # Cost
    ///
    /// As for [`OtlpResponse::parse`].
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

/// The value of a field, as far as its wire type tells.
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

/// Returns a text for a log line: bounded, and without control characters.
fn message(bytes: &[u8]) -> Cow<'_, str> {
    let start = &bytes[..bytes.len().min(OtlpResponse::MAX_MESSAGE_BYTES)];
    let text = String::from_utf8_lossy(start);
    if text.contains(char::is_control) {
        return text.replace(char::is_control, " ").into();
    }
    text
}
