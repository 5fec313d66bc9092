//! What bytes a finished span is, and every format it can be turned into.
//!
//! A finished span *is* its Thrift compact bytes: the application thread writes them once
//! (`compact.rs`), and whoever needs the span again reads them in place through a [`SpanView`]:
//! reporters, the embedded agent, tests. A further wire format is one file here that turns views
//! into its own bytes, and one row in [`ENCODINGS`].
//!
//! Nothing in this folder knows a socket, a clock or a thread.

mod batch;
mod binary;
mod canonical;
mod compact;
mod draft;
mod json;
#[cfg(feature = "otlp")]
mod otlp;
mod read;
mod view;
mod writer;
mod zipkin;

pub use self::batch::{BatchView, ClientStats, ProcessView};
pub(crate) use self::batch::{HEADER_MAX, TRAILER_MAX, write_header, write_trailer};
pub(crate) use self::compact::MAX_FIXED_BYTES;
pub(crate) use self::draft::{
    FollowsFrom, Ids, ShortTags, SpanDraft, SpanParts, TagBuffer, Timestamp, cut,
};
pub use self::draft::{put_log, put_reference, put_tag};
#[cfg(any(feature = "collector-http", feature = "remote-sampler"))]
pub(crate) use self::json::base64;
#[cfg(feature = "otlp")]
pub use self::otlp::{OtlpEncoder, OtlpRequest, OtlpResponse, OtlpStatus};
pub use self::read::DecodeError;
pub use self::view::{List, LogView, ReferenceView, SpanView, TagView, ValueView};
pub(crate) use self::view::{not_finite, tags_of};

/// One wire format a batch of canonical spans can leave the process in.
#[derive(Debug)]
#[non_exhaustive]
pub struct EncodingKind {
    /// The name that configuration and diagnostics use.
    pub name: &'static str,
    /// The file of this folder that writes it.
    pub file: &'static str,
    /// Whether it is a message of an agent's protocol, which is numbered and tells of losses.
    pub is_message: bool,
    /// Turns a batch into the bytes of one message or body of this format.
    pub encode: fn(&BatchView<'_>) -> Result<Vec<u8>, DecodeError>,
}

/// The formats, one row a file. The conformance test encodes the same batch with each of them.
pub const ENCODINGS: &[EncodingKind] = &[
    EncodingKind {
        name: "thrift-compact",
        is_message: true,
        file: "batch",
        encode: batch::message,
    },
    EncodingKind {
        name: "thrift-binary",
        is_message: true,
        file: "binary",
        encode: binary::message,
    },
    EncodingKind {
        name: "thrift-binary-batch",
        is_message: false,
        file: "binary",
        encode: binary::body,
    },
    EncodingKind { name: "zipkin-thrift", is_message: false, file: "zipkin", encode: zipkin::body },
    EncodingKind {
        name: "zipkin-compact",
        is_message: true,
        file: "zipkin",
        encode: zipkin::message,
    },
    EncodingKind {
        name: "zipkin-json-v2",
        is_message: false,
        file: "zipkin/v2",
        encode: zipkin::v2_body,
    },
    #[cfg(feature = "otlp")]
    EncodingKind { name: "otlp", is_message: false, file: "otlp", encode: otlp::body },
    #[cfg(feature = "otlp")]
    EncodingKind {
        name: "otlp-json",
        is_message: false,
        file: "otlp/json",
        encode: otlp::json_body,
    },
];

/// The format of that name; the first one for a name that is none.
pub(crate) fn member(name: &str) -> &'static EncodingKind {
    ENCODINGS.iter().find(|member| member.name == name).unwrap_or(&ENCODINGS[0])
}

impl EncodingKind {
    /// Whether it is made of canonical bytes as they are.
    pub(crate) fn is_compact_batch(&self) -> bool {
        self.file == "batch"
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
