//! The binary protocol, which agents accept on port 6832 and collectors over HTTP.
//!
//! Messages are written by the `thrift` crate from views, on the reporter's thread. Field names are
//! left out of the identifiers because they are not encoded and the crate allocates for each.

use thrift::protocol::{
    TBinaryOutputProtocol, TFieldIdentifier, TListIdentifier, TMessageIdentifier, TMessageType,
    TOutputProtocol, TStructIdentifier, TType,
};

use super::batch::{BatchView, ClientStats, METHOD, ProcessView};
use super::read::DecodeError;
use super::view::{LogView, ReferenceView, SpanView, TagView, ValueView};

/// Encodes the `emitBatch` message, with the batch's sequence number.
pub(super) fn message(batch: &BatchView<'_>) -> Result<Vec<u8>, DecodeError> {
    batch.to_binary_message(batch.sequence_id().cast_signed())
}

/// Encodes the bare `Batch` structure for a POST to a collector.
pub(super) fn body(batch: &BatchView<'_>) -> Result<Vec<u8>, DecodeError> {
    batch.to_binary()
}

impl BatchView<'_> {
    /// Writes the `emitBatch` message of the binary protocol.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Unwritable`] if a count exceeds the protocol's range.
    pub fn to_binary_message(&self, seq_id: i32) -> Result<Vec<u8>, DecodeError> {
        write(|out| {
            let name = String::from_utf8_lossy(METHOD).into_owned();
            out.write_message_begin(&TMessageIdentifier::new(name, TMessageType::Call, seq_id))?;
            structure(out, |out| field(out, TType::Struct, 1, |out| batch_fields(out, self)))?;
            out.write_message_end()
        })
    }

    /// Writes the `Batch` structure of the binary protocol, for a collector over HTTP.
    ///
    /// # Errors
    ///
    /// As for [`to_binary_message`](Self::to_binary_message).
    pub fn to_binary(&self) -> Result<Vec<u8>, DecodeError> {
        write(|out| batch_fields(out, self))
    }
}

type Out<'a> = TBinaryOutputProtocol<&'a mut Vec<u8>>;

pub(super) fn write(
    fill: impl FnOnce(&mut Out<'_>) -> thrift::Result<()>,
) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::new();
    fill(&mut TBinaryOutputProtocol::new(&mut bytes, true)).map_err(unwritable)?;
    Ok(bytes)
}

#[expect(clippy::needless_pass_by_value, reason = "it goes to `map_err`")]
pub(super) fn unwritable(error: thrift::Error) -> DecodeError {
    DecodeError::Unwritable { what: error.to_string() }
}

pub(super) fn structure<P: TOutputProtocol>(
    out: &mut P,
    fill: impl FnOnce(&mut P) -> thrift::Result<()>,
) -> thrift::Result<()> {
    out.write_struct_begin(&TStructIdentifier { name: String::new() })?;
    fill(out)?;
    out.write_field_stop()?;
    out.write_struct_end()
}

pub(super) fn field<P: TOutputProtocol>(
    out: &mut P,
    kind: TType,
    id: i16,
    value: impl FnOnce(&mut P) -> thrift::Result<()>,
) -> thrift::Result<()> {
    out.write_field_begin(&TFieldIdentifier { name: None, field_type: kind, id: Some(id) })?;
    value(out)?;
    out.write_field_end()
}

pub(super) fn list<P: TOutputProtocol, T>(
    out: &mut P,
    count: usize,
    items: impl Iterator<Item = T>,
    mut element: impl FnMut(&mut P, T) -> thrift::Result<()>,
) -> thrift::Result<()> {
    let size = i32::try_from(count).map_err(|_| too_many(count))?;
    out.write_list_begin(&TListIdentifier { element_type: TType::Struct, size })?;
    for item in items {
        element(out, item)?;
    }
    out.write_list_end()
}

fn too_many(count: usize) -> thrift::Error {
    thrift::Error::Protocol(thrift::ProtocolError::new(
        thrift::ProtocolErrorKind::SizeLimit,
        format!("a list of {count} elements"),
    ))
}

pub(super) fn i64_field<P: TOutputProtocol>(
    out: &mut P,
    id: i16,
    value: i64,
) -> thrift::Result<()> {
    field(out, TType::I64, id, |out| out.write_i64(value))
}

pub(super) fn i32_field<P: TOutputProtocol>(
    out: &mut P,
    id: i16,
    value: i32,
) -> thrift::Result<()> {
    field(out, TType::I32, id, |out| out.write_i32(value))
}

pub(super) fn bytes_field<P: TOutputProtocol>(
    out: &mut P,
    id: i16,
    value: &[u8],
) -> thrift::Result<()> {
    field(out, TType::String, id, |out| out.write_bytes(value))
}

fn batch_fields(out: &mut Out<'_>, batch: &BatchView<'_>) -> thrift::Result<()> {
    structure(out, |out| {
        field(out, TType::Struct, 1, |out| process(out, &batch.process))?;
        field(out, TType::List, 2, |out| {
            list(out, batch.spans.count, batch.spans(), |out, s| span(out, &s))
        })?;
        if let Some(seq_no) = batch.seq_no {
            i64_field(out, 3, seq_no)?;
        }
        if let Some(stats) = batch.stats {
            field(out, TType::Struct, 4, |out| client_stats(out, stats))?;
        }
        Ok(())
    })
}

fn process(out: &mut Out<'_>, process: &ProcessView<'_>) -> thrift::Result<()> {
    structure(out, |out| {
        bytes_field(out, 1, process.service_name)?;
        if let Some(tags) = process.tags {
            field(out, TType::List, 2, |out| list(out, tags.count, process.tags(), tag))?;
        }
        Ok(())
    })
}

fn client_stats(out: &mut Out<'_>, stats: ClientStats) -> thrift::Result<()> {
    structure(out, |out| {
        i64_field(out, 1, stats.full_queue_dropped_spans)?;
        i64_field(out, 2, stats.too_large_dropped_spans)?;
        i64_field(out, 3, stats.failed_to_emit_spans)
    })
}

fn span(out: &mut Out<'_>, span: &SpanView<'_>) -> thrift::Result<()> {
    structure(out, |out| {
        i64_field(out, 1, span.trace_id.low().cast_signed())?;
        i64_field(out, 2, span.trace_id.high().cast_signed())?;
        i64_field(out, 3, span.span_id.get().cast_signed())?;
        i64_field(out, 4, span.parent_span_id.get().cast_signed())?;
        bytes_field(out, 5, span.operation_name)?;
        if let Some(references) = span.references {
            field(out, TType::List, 6, |out| {
                list(out, references.count, span.references(), reference)
            })?;
        }
        i32_field(out, 7, span.flags)?;
        i64_field(out, 8, span.start_time_micros)?;
        i64_field(out, 9, span.duration_micros)?;
        if let Some(tags) = span.tags {
            field(out, TType::List, 10, |out| list(out, tags.count, span.tags(), tag))?;
        }
        if let Some(logs) = span.logs {
            field(out, TType::List, 11, |out| list(out, logs.count, span.logs(), log))?;
        }
        Ok(())
    })
}

fn reference(out: &mut Out<'_>, reference: ReferenceView) -> thrift::Result<()> {
    structure(out, |out| {
        i32_field(out, 1, i32::from(reference.follows_from))?;
        i64_field(out, 2, reference.trace_id.low().cast_signed())?;
        i64_field(out, 3, reference.trace_id.high().cast_signed())?;
        i64_field(out, 4, reference.span_id.get().cast_signed())
    })
}

fn log(out: &mut Out<'_>, log: LogView<'_>) -> thrift::Result<()> {
    structure(out, |out| {
        i64_field(out, 1, log.timestamp_micros)?;
        field(out, TType::List, 2, |out| list(out, log.fields.count, log.fields(), tag))
    })
}

fn tag(out: &mut Out<'_>, tag: TagView<'_>) -> thrift::Result<()> {
    structure(out, |out| {
        bytes_field(out, 1, tag.key)?;
        match tag.value {
            ValueView::Str(text) => {
                i32_field(out, 2, 0)?;
                bytes_field(out, 3, text)
            }
            ValueView::Double(double) => {
                i32_field(out, 2, 1)?;
                field(out, TType::Double, 4, |out| out.write_double(double))
            }
            ValueView::Bool(value) => {
                i32_field(out, 2, 2)?;
                field(out, TType::Bool, 5, |out| out.write_bool(value))
            }
            ValueView::Long(long) => {
                i32_field(out, 2, 3)?;
                i64_field(out, 6, long)
            }
            ValueView::Binary(bytes) => {
                i32_field(out, 2, 4)?;
                bytes_field(out, 7, bytes)
            }
        }
    })
}
