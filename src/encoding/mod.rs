//! The encodings of finished spans.
//!
//! A finished span *is* its Thrift compact bytes: the application thread writes them once
//! (`draft`), and reporters, the embedded agent and tests read them in place through a
//! [`SpanView`]. A further wire format is one file here that turns views into its own bytes, and
//! one entry in [`ENCODINGS`].
//!
//! This module uses no sockets, clocks or threads.

mod batch;
mod binary;
mod canonical;
mod compact;
mod draft;
mod json;
mod list;
#[cfg(feature = "otlp")]
mod otlp;
mod parse;
mod read;
mod view;
mod writer;
mod zipkin;

pub use self::batch::{BatchView, ClientStats, ProcessView};
pub(crate) use self::batch::{HEADER_MAX, TRAILER_MAX, write_header, write_trailer};
pub(crate) use self::compact::MAX_FIXED_BYTES;
pub(crate) use self::draft::{
    Appender, Ids, Key, MAX_LIST_BYTES, ReferenceKind, ShortRoom, ShortTags, SpanDraft, SpanParts,
    TagBuffer, Timestamp, truncate,
};
pub use self::draft::{FieldText, TagKey, put_log, put_reference, put_tag};
#[cfg(any(feature = "collector-http", feature = "remote-sampler"))]
pub(crate) use self::json::base64;
pub use self::list::List;
#[cfg(feature = "otlp")]
pub use self::otlp::{OtlpEncoder, OtlpRequest, OtlpResponse, OtlpStatus};
pub(crate) use self::parse::{tags_found, tags_of};
pub use self::read::DecodeError;
pub(crate) use self::view::not_finite;
pub use self::view::{LogView, ReferenceView, SpanView, TagView, ValueView};
pub(crate) use self::writer::SHORT;

/// A wire format for batches of spans.
#[derive(Debug)]
#[non_exhaustive]
pub struct EncodingKind {
    /// The name in configuration and diagnostics.
    pub name: &'static str,
    layout: Layout,
    /// Whether the format is a message of an agent's protocol, with a sequence number and counts of
    /// lost spans.
    pub is_message: bool,
    /// Encodes a batch as one message or body of this format.
    pub encode: fn(&BatchView<'_>) -> Result<Vec<u8>, DecodeError>,
}

/// How the bytes of an encoding are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// The canonical bytes of the spans, between a header and a trailer.
    Canonical,
    /// Other bytes, made from views of the spans.
    Transcoded,
}

/// The registry of built-in encodings. The conformance test encodes the same batch with each of
/// them.
pub const ENCODINGS: &[EncodingKind] = &[
    EncodingKind {
        name: "thrift-compact",
        layout: Layout::Canonical,
        is_message: true,
        encode: batch::message,
    },
    EncodingKind {
        name: "thrift-binary",
        layout: Layout::Transcoded,
        is_message: true,
        encode: binary::message,
    },
    EncodingKind {
        name: "thrift-binary-batch",
        layout: Layout::Transcoded,
        is_message: false,
        encode: binary::body,
    },
    EncodingKind {
        name: "zipkin-thrift",
        layout: Layout::Transcoded,
        is_message: false,
        encode: zipkin::body,
    },
    EncodingKind {
        name: "zipkin-compact",
        layout: Layout::Transcoded,
        is_message: true,
        encode: zipkin::message,
    },
    EncodingKind {
        name: "zipkin-json-v2",
        layout: Layout::Transcoded,
        is_message: false,
        encode: zipkin::v2_body,
    },
    #[cfg(feature = "otlp")]
    EncodingKind {
        name: "otlp",
        layout: Layout::Transcoded,
        is_message: false,
        encode: otlp::body,
    },
    #[cfg(feature = "otlp")]
    EncodingKind {
        name: "otlp-json",
        layout: Layout::Transcoded,
        is_message: false,
        encode: otlp::json_body,
    },
];

impl EncodingKind {
    /// Returns the encoding with that name, in the spelling of [`ENCODINGS`].
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ENCODINGS.iter().find(|kind| kind.name == name)
    }

    /// Returns whether messages are the canonical bytes of spans between a header and a trailer.
    pub(crate) fn is_canonical(&self) -> bool {
        self.layout == Layout::Canonical
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SpanId, TraceId};

    #[test]
    fn every_member_writes_the_same_batch_twice_alike_and_an_empty_one_too() {
        let mut spans = Vec::new();
        let (trace_id, span_id) = (TraceId::new(0, 1), SpanId::new(2));
        SpanView { trace_id, span_id, operation_name: b"op", ..SpanView::default() }
            .encode(&mut spans);
        let process = ProcessView::new(b"svc", Some(List::default()));
        let batch = BatchView::new(process, List::new(1, &spans));
        let empty = BatchView::new(process, List::default());
        for member in ENCODINGS {
            let written = (member.encode)(&batch).unwrap();
            assert_eq!((member.encode)(&batch).unwrap(), written, "{}", member.name);
            assert!(written.len() > (member.encode)(&empty).unwrap().len(), "{}", member.name);
            assert!(written.windows(2).any(|bytes| bytes == b"op"), "{}", member.name);
        }
    }
}
