//! OTLP: the requests that an OpenTelemetry collector, or Jaeger v2, accepts over HTTP on port
//! 4318.
//!
//! A span is read in place from its canonical bytes and written by [`OtlpEncoder`], without an
//! intermediate tree of values. The mapping and its reasons are in `docs/otlp.md`; a span should
//! look the same whether it came to Jaeger v2 as Thrift or as OTLP.

mod attributes;
mod json;
mod protobuf;
mod response;
mod span;

use self::protobuf::Request;
pub use self::response::{OtlpResponse, OtlpStatus};
use self::span::{OtlpSpan, Parts};
use super::batch::{BatchView, ProcessView};
use super::list::List;
use super::read::{DecodeError, Reader};
use super::view::{ReferenceView, TagView, ValueView};

/// The name of the spans' scope, and of the resource's SDK.
const NAME: &str = "jaeger-client";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Encodes the body of a POST to `/v1/traces`, in protobuf.
pub(super) fn body(batch: &BatchView<'_>) -> Result<Vec<u8>, DecodeError> {
    batch.to_otlp()
}

/// Encodes the body in JSON.
pub(super) fn json_body(batch: &BatchView<'_>) -> Result<Vec<u8>, DecodeError> {
    batch.to_otlp_json()
}

impl BatchView<'_> {
    /// Writes the spans as one OTLP request, in protobuf.
    ///
    /// # Shape and units
    ///
    /// An `ExportTraceServiceRequest`, as [`OtlpEncoder`] writes it; no bytes for no spans.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] for spans that cannot be read, and [`DecodeError::Unwritable`] if a span's own
    /// id or that of its trace is zero, which OTLP forbids.
    pub fn to_otlp(&self) -> Result<Vec<u8>, DecodeError> {
        let mut encoder = OtlpEncoder::new(&self.process);
        let request = encoder.encode(self.spans, usize::MAX)?;
        let (length, invalid) = (request.bytes.len(), request.invalid);
        refuse_invalid(invalid)?;
        encoder.room.truncate(length);
        Ok(encoder.room)
    }

    /// Writes the spans as one OTLP request, in JSON: for files and for people. Spans are sent in
    /// protobuf, which is smaller.
    ///
    /// # Shape and units
    ///
    /// The same message as [`to_otlp`](Self::to_otlp) on one line, by OTLP's own rules for JSON: ids
    /// in hex, numbers of 64 bits as text, bytes in base64.
    ///
    /// # Errors
    ///
    /// As for [`to_otlp`](Self::to_otlp).
    pub fn to_otlp_json(&self) -> Result<Vec<u8>, DecodeError> {
        let (json, invalid) = json::request(self)?;
        refuse_invalid(invalid)?;
        Ok(json)
    }
}

fn refuse_invalid(spans: usize) -> Result<(), DecodeError> {
    match spans {
        0 => Ok(()),
        _ => Err(DecodeError::Unwritable { what: format!("the ids of {spans} spans are zero") }),
    }
}

/// Writes OTLP requests for the spans of one process.
///
/// # Shape and units
///
/// A request is an `ExportTraceServiceRequest` in protobuf: one resource for the process; the scope
/// `jaeger-client`, and others for spans with the tags `otel.scope.name` and `otel.scope.version`;
/// the spans in their order. Every length has its shortest form, every text is UTF-8, and no id is
/// zero.
///
/// Times have the microseconds of the canonical bytes, in nanoseconds; fractions of a microsecond
/// are lost.
///
/// # Cost
///
/// A fifth of the instructions that `prost` takes for the same requests, about 2,500 for a span of
/// five tags; no allocation once its memory has grown to the size of its requests. Bytes are 1.0 to
/// 1.2 times the canonical ones; spans of many references take up to eight times as many.
///
/// # Source
///
/// `trace_service.proto` and `trace.proto` of opentelemetry-proto; for the mapping,
/// `pkg/translator/jaeger` of opentelemetry-collector-contrib.
///
/// # Examples
///
/// ```
/// use jaeger_client::encoding::{List, OtlpEncoder, ProcessView, SpanView};
/// use jaeger_client::{SpanId, TraceId};
/// let mut span = SpanView::default();
/// span.trace_id = TraceId::new(1, 2);
/// span.span_id = SpanId::new(3);
/// let mut spans = Vec::new();
/// (0..100).for_each(|_| span.encode(&mut spans));
/// let mut encoder = OtlpEncoder::new(&ProcessView::new(b"svc", None));
/// let (mut left, mut requests) = (List::new(100, &spans), 0);
/// while left.count > 0 {
///     let request = encoder.encode(left, 1_024)?;
///     assert!(request.bytes.len() <= 1_024 && request.spans > 0);
///     left = request.left;
///     requests += 1;
/// }
/// assert!(requests > 1);
/// # Ok::<(), jaeger_client::encoding::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct OtlpEncoder {
    /// The resource, as an encoded field.
    resource: Vec<u8>,
    /// The memory of requests; its length is the available room.
    room: Vec<u8>,
    parts: Parts<'static>,
}

/// A request, and the spans that are left for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtlpRequest<'r, 's> {
    /// The body to be sent; empty if there is no span in it.
    pub bytes: &'r [u8],
    /// The number of spans in the request.
    pub spans: usize,
    /// The number of spans that were dropped because their own id or that of their trace is zero.
    pub invalid: usize,
    /// The spans that would have made the request too large, for the next one. If `bytes` is empty
    /// and this is not, the first span is too large for its own request.
    pub left: List<'s>,
}

impl OtlpEncoder {
    /// Makes an encoder for the spans of a process.
    #[must_use]
    pub fn new(process: &ProcessView<'_>) -> Self {
        let resource = protobuf::resource(process);
        Self { resource, room: Vec::new(), parts: Parts::default() }
    }

    /// Writes as many spans, from the first on, as a request of `max_bytes` can hold.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if a span cannot be read. Spans of this crate's tracers can always be read.
    pub fn encode<'s>(
        &mut self,
        spans: List<'s>,
        max_bytes: usize,
    ) -> Result<OtlpRequest<'_, 's>, DecodeError> {
        let mut parts = std::mem::take(&mut self.parts).recycle();
        let expected = spans.bytes.len().min(max_bytes);
        let mut request = Request::begin(&mut self.room, &self.resource, expected, max_bytes);
        let (mut written, mut invalid, mut left) = (0, 0, spans);
        let mut reader = Reader::new(spans.bytes);
        while left.count > 0 {
            let span = OtlpSpan::read(&mut reader, &mut parts)?;
            if !span.has_ids() {
                invalid += 1;
            } else if request.push(&span, &parts, expected) {
                written += 1;
            } else {
                break;
            }
            left = List::new(left.count - 1, reader.rest());
        }
        let length = request.end();
        self.parts = parts.recycle();
        let bytes = if written == 0 { &[] } else { &self.room[..length] };
        Ok(OtlpRequest { bytes, spans: written, invalid, left })
    }
}

/// Returns the attribute with the kind of a reference.
fn reference_type(link: ReferenceView) -> TagView<'static> {
    let kind: &[u8] = if link.follows_from { b"follows_from" } else { b"child_of" };
    TagView::new(b"opentracing.ref_type", ValueView::Str(kind))
}
