//! The message around finished spans: the process, the batch, `emitBatch`.
//!
//! A datagram's buffer reserves room in front of its spans and behind them, so that [`write_header`] and
//! [`write_trailer`] make a message of them without a copy. [`message`] writes the same bytes into a new buffer.

use super::list::List;
use super::parse::tags_of;
use super::read::{DecodeError, Reader};
use super::view::{SpanView, TagView};
use super::writer::{STOP, SliceWriter, zigzag};

/// The process that spans come from.
///
/// # Source
///
/// `struct Process` of jaeger.thrift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessView<'a> {
    /// The name of the service.
    pub service_name: &'a [u8],
    /// The tags of the process; `None` writes no list.
    pub tags: Option<List<'a>>,
}

impl<'a> ProcessView<'a> {
    /// Returns a process with this service name and these tags.
    #[must_use]
    pub const fn new(service_name: &'a [u8], tags: Option<List<'a>>) -> Self {
        Self { service_name, tags }
    }

    /// Returns the tags, in order.
    pub fn tags(&self) -> impl Iterator<Item = TagView<'a>> + 'a {
        tags_of(self.tags)
    }

    /// Reads the process at the start of `bytes`.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] for bytes that are not a process.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Reader::new(bytes).process(STRUCT)
    }

    /// Returns the compact Thrift bytes, stop byte included.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let tags = self.tags.map_or(0, |tags| tags.bytes.len());
        let mut out = vec![0; self.service_name.len() + tags + 32];
        let mut to = SliceWriter { room: &mut out, at: 0 };
        to.head(0x18, self.service_name.len());
        to.bytes(self.service_name);
        to.list(1, 2, self.tags);
        to.byte(STOP);
        let end = to.at;
        out.truncate(end);
        out
    }
}

/// The counts of lost spans that a client reports to the agent.
///
/// # Source
///
/// `struct ClientStats` of jaeger.thrift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientStats {
    /// Spans dropped because the queue was full.
    pub full_queue_dropped_spans: i64,
    /// Spans dropped because they exceed what a datagram can carry.
    pub too_large_dropped_spans: i64,
    /// Spans that the transport failed to send.
    pub failed_to_emit_spans: i64,
}

impl ClientStats {
    /// Returns counts of spans lost to a full queue, to their size, and in sending.
    #[must_use]
    pub const fn new(full_queue: i64, too_large: i64, failed_to_emit: i64) -> Self {
        Self {
            full_queue_dropped_spans: full_queue,
            too_large_dropped_spans: too_large,
            failed_to_emit_spans: failed_to_emit,
        }
    }
}

/// Finished spans of one process, sent as one message.
///
/// # Source
///
/// `struct Batch` of jaeger.thrift, and `Agent.emitBatch` of agent.thrift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchView<'a> {
    /// The process.
    pub process: ProcessView<'a>,
    /// The spans.
    pub spans: List<'a>,
    /// The sequence number of the batch.
    pub seq_no: Option<i64>,
    /// The client's lost spans.
    pub stats: Option<ClientStats>,
}

impl<'a> BatchView<'a> {
    /// Returns a batch without sequence number and lost spans.
    #[must_use]
    pub const fn new(process: ProcessView<'a>, spans: List<'a>) -> Self {
        Self { process, spans, seq_no: None, stats: None }
    }

    /// Sets the sequence number.
    #[must_use]
    pub const fn with_seq_no(mut self, seq_no: Option<i64>) -> Self {
        self.seq_no = seq_no;
        self
    }

    /// Sets the client's lost spans.
    #[must_use]
    pub const fn with_stats(mut self, stats: Option<ClientStats>) -> Self {
        self.stats = stats;
        self
    }

    /// Returns the sequence id of the message: the batch's sequence number, as in Go, or 1.
    #[expect(clippy::cast_possible_truncation, reason = "sequence ids are 32 bits wide")]
    #[expect(clippy::cast_sign_loss, reason = "and have no sign")]
    pub(super) fn sequence_id(&self) -> u32 {
        self.seq_no.unwrap_or(1) as u32
    }

    /// Returns the spans, in order.
    pub fn spans(&self) -> impl Iterator<Item = SpanView<'a>> + 'a {
        let mut reader = Reader::new(self.spans.bytes);
        (0..self.spans.count).map_while(move |_| reader.span().ok())
    }

    /// Reads an `emitBatch` message of the compact protocol, as an agent receives it on port 6831.
    ///
    /// Returns the message's sequence id and the batch.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] for all other bytes. They are read once; nothing is reserved and nothing
    /// panics.
    pub fn parse_message(datagram: &'a [u8]) -> Result<(u32, Self), DecodeError> {
        let mut reader = Reader::new(datagram);
        if reader.byte()? != PROTOCOL {
            return Err(DecodeError::UnknownMessage { what: "protocol is not thrift compact" });
        }
        let version = reader.byte()?;
        if version & 0x1f != 1 {
            return Err(DecodeError::UnknownMessage { what: "protocol version is not 1" });
        }
        if !matches!(version >> 5, 1 | 4) {
            return Err(DecodeError::UnknownMessage { what: "neither a call nor one-way" });
        }
        #[expect(clippy::cast_possible_truncation, reason = "sequence ids are 32 bits wide")]
        let seq_id = reader.varint()? as u32;
        let length = reader.length()?;
        if reader.take(length)? != METHOD {
            return Err(DecodeError::UnknownMessage { what: "method is not emitBatch" });
        }
        let mut batch = None;
        reader.fields(|reader, field, kind| {
            if (field, kind) != (1, STRUCT) {
                return Ok(false);
            }
            batch = Some(reader.batch()?);
            Ok(true)
        })?;
        Ok((seq_id, batch.ok_or(DecodeError::MissingField { of: "emitBatch" })?))
    }

    /// Writes the `emitBatch` message of the compact protocol, as the UDP transport does.
    #[must_use]
    pub fn to_message(&self, seq_id: u32) -> Vec<u8> {
        let process = self.process.to_bytes();
        let header_len = HEADER_MAX + process.len();
        let mut out = vec![0; header_len];
        let start = write_header(&mut out, seq_id, &process, self.spans.count);
        out.drain(..start);
        out.extend_from_slice(self.spans.bytes);
        let mut trailer = [0; TRAILER_MAX];
        let trailer_len = write_trailer(&mut trailer, self.seq_no, self.stats);
        out.extend_from_slice(&trailer[..trailer_len]);
        out
    }
}

/// Encodes the compact message, with the batch's sequence number.
#[expect(clippy::unnecessary_wraps, reason = "one signature for all formats")]
pub(super) fn message(batch: &BatchView<'_>) -> Result<Vec<u8>, DecodeError> {
    Ok(batch.to_message(batch.sequence_id()))
}

const PROTOCOL: u8 = 0x82;
const STRUCT: u8 = 12;
pub(super) const METHOD: &[u8] = b"emitBatch";

/// The maximum length that [`write_header`] writes besides the process.
pub(crate) const HEADER_MAX: usize = 32;

/// The maximum length that [`write_trailer`] writes: a sequence number and three counts of up to
/// ten bytes each, five headers, three stops.
pub(crate) const TRAILER_MAX: usize = 48;

/// Writes the bytes before the spans at the *end* of `room`, and returns where they start.
///
/// `room` must hold [`HEADER_MAX`] bytes more than `process`.
pub(crate) fn write_header(room: &mut [u8], seq_id: u32, process: &[u8], spans: usize) -> usize {
    let mut head = [0; HEADER_MAX];
    let mut to = SliceWriter { room: &mut head, at: 0 };
    to.array([PROTOCOL, 0x21]);
    to.number(u64::from(seq_id));
    to.number(METHOD.len() as u64);
    to.bytes(METHOD);
    to.array([0x1c, 0x1c]);
    let head_len = to.at;
    let mut list = [0; 16];
    let mut to = SliceWriter { room: &mut list, at: 0 };
    to.list(1, 2, Some(List::new(spans, &[])));
    let list_len = to.at;
    let mut end = room.len();
    for part in [&list[..list_len], process, &head[..head_len]] {
        room[end - part.len()..end].copy_from_slice(part);
        end -= part.len();
    }
    end
}

/// Writes the bytes after the spans at the start of `room`, of at least [`TRAILER_MAX`] bytes, and
/// returns their length.
pub(crate) fn write_trailer(
    room: &mut [u8],
    seq_no: Option<i64>,
    stats: Option<ClientStats>,
) -> usize {
    let mut to = SliceWriter { room, at: 0 };
    let mut last_field = 2;
    if let Some(seq_no) = seq_no {
        to.byte(0x16);
        to.number(zigzag(seq_no));
        last_field = 3;
    }
    if let Some(stats) = stats {
        to.byte(((4 - last_field) << 4) | STRUCT);
        for count in [
            stats.full_queue_dropped_spans,
            stats.too_large_dropped_spans,
            stats.failed_to_emit_spans,
        ] {
            to.byte(0x16);
            to.number(zigzag(count));
        }
        to.byte(STOP);
    }
    to.array([STOP, STOP]);
    to.at
}

impl<'a> Reader<'a> {
    fn batch(&mut self) -> Result<BatchView<'a>, DecodeError> {
        let (mut process, mut spans) = (None, None);
        let (mut seq_no, mut stats) = (None, None);
        self.fields(|reader, field, kind| {
            match field {
                1 => process = Some(reader.process(kind)?),
                2 => spans = Some(reader.list(kind, |r| r.span().map(drop))?),
                3 => seq_no = Some(reader.expect_i64(kind)?),
                4 => stats = Some(reader.stats(kind)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let (Some(process), Some(spans)) = (process, spans) else {
            return Err(DecodeError::MissingField { of: "Batch" });
        };
        Ok(BatchView { process, spans, seq_no, stats })
    }

    fn process(&mut self, kind: u8) -> Result<ProcessView<'a>, DecodeError> {
        if kind != STRUCT {
            return Err(DecodeError::WrongType { found: kind });
        }
        let (mut service_name, mut tags) = (None, None);
        self.fields(|reader, field, kind| {
            match field {
                1 => service_name = Some(reader.expect_bytes(kind)?),
                2 => tags = Some(reader.list(kind, |r| r.tag().map(drop))?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let service_name = service_name.ok_or(DecodeError::MissingField { of: "Process" })?;
        Ok(ProcessView { service_name, tags })
    }

    fn stats(&mut self, kind: u8) -> Result<ClientStats, DecodeError> {
        if kind != STRUCT {
            return Err(DecodeError::WrongType { found: kind });
        }
        let mut stats = ClientStats::default();
        self.fields(|reader, field, kind| {
            match field {
                1 => stats.full_queue_dropped_spans = reader.expect_i64(kind)?,
                2 => stats.too_large_dropped_spans = reader.expect_i64(kind)?,
                3 => stats.failed_to_emit_spans = reader.expect_i64(kind)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(stats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_header_and_trailer_fit() {
        let process = ProcessView::new(b"s", None).to_bytes();
        let mut room = vec![0; HEADER_MAX + process.len()];
        write_header(&mut room, u32::MAX, &process, usize::MAX);
        let stats = ClientStats::new(i64::MIN, i64::MIN, i64::MIN);
        let written = write_trailer(&mut [0; TRAILER_MAX], Some(i64::MIN), Some(stats));
        assert!(written <= TRAILER_MAX, "{written}");
    }

    #[test]
    fn a_message_of_the_longest_numbers_reads_back() {
        let tags = [0x18, 1, b'k', 0x15, 4, 0x31, 0].repeat(20_000);
        let process = ProcessView::new(&[b's'; 300], Some(List::new(20_000, &tags)));
        let batch = BatchView::new(process, List::default())
            .with_seq_no(Some(i64::MIN))
            .with_stats(Some(ClientStats::new(i64::MIN, i64::MAX, i64::MIN)));
        let message = batch.to_message(u32::MAX);
        assert_eq!(BatchView::parse_message(&message), Ok((u32::MAX, batch)));
    }

    #[test]
    fn a_message_reads_back() {
        let process = ProcessView::new(b"svc", Some(List::default()));
        let batch = BatchView::new(process, List::default())
            .with_seq_no(Some(7))
            .with_stats(Some(ClientStats::new(1, 2, 3)));
        assert_eq!(BatchView::parse_message(&batch.to_message(9)), Ok((9, batch)));
    }
}
