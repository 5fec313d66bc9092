//! From a datagram to canonical spans: which reader takes it, and the limits common to both.

use std::fmt;

use jaeger_client::TraceId;
use jaeger_client::encoding::{BatchView, DecodeError};

use crate::binary;

/// The largest datagram there is, and the largest message that is looked at, in bytes.
pub(crate) const MAX_DATAGRAM: usize = 65_535;

/// The Thrift protocol of a datagram. An agent has a port for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Thrift compact, usually on port 6831.
    Compact,
    /// Thrift binary, usually on port 6832.
    Binary,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compact => "compact",
            Self::Binary => "binary",
        })
    }
}

/// Reads a datagram and hands its batch to `take`, spans already in canonical bytes.
pub(crate) fn read<T>(
    protocol: Protocol,
    datagram: &[u8],
    take: impl FnOnce(&BatchView<'_>) -> T,
) -> Result<T, DecodeError> {
    if datagram.len() > MAX_DATAGRAM {
        return Err(DecodeError::TooLong { claimed: datagram.len() as u64, left: MAX_DATAGRAM });
    }
    match protocol {
        Protocol::Compact => {
            let (_seq_id, batch) = BatchView::parse_message(datagram)?;
            Ok(take(&batch))
        }
        Protocol::Binary => {
            let batch = binary::parse_message(datagram)?;
            Ok(take(&batch.view()))
        }
    }
}

/// The spans of a batch as separate bytes. What their client put around or between the fields
/// of the model is left behind.
pub(crate) fn own_spans(batch: &BatchView<'_>) -> Vec<(TraceId, Box<[u8]>)> {
    let own = |span: jaeger_client::encoding::SpanView<'_>| {
        let mut bytes = Vec::with_capacity(span.encoded_len());
        span.encode(&mut bytes);
        (span.trace_id, bytes.into_boxed_slice())
    };
    batch.spans().map(own).collect()
}
