//! The ids of a span, and the encoded fields of them.

use crate::encoding::writer::{FIELD, Varint};
use crate::id::{SpanId, TraceId};

/// The ids of a span: its trace, itself, and its parent. In this order, as a child copies two
/// adjacent ids in one step. Packed, as the padding behind the fields would be 8 bytes of each live span.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, packed(4))]
pub(crate) struct Ids {
    pub(crate) trace: TraceId,
    /// The span itself. Between a reference to a parent and the start of the span, it is the parent's
    /// parent.
    pub(crate) span: SpanId,
    pub(crate) parent: SpanId,
    /// The encoded fields of the three, if there are any.
    fields: IdFields,
}

/// The ids of a span as fields of its compact bytes, one after the other. A child inherits those of
/// its trace and its parent: to encode a random number takes as long as to copy three fields.
#[derive(Clone, Copy, Debug)]
pub(in crate::encoding) struct IdFields {
    /// The two halves of the trace id, the span's id, its parent's.
    bytes: [u8; ID_FIELDS],
    /// The ends of the three. The first is 0 if nothing is encoded.
    trace_end: u8,
    span_end: u8,
    parent_end: u8,
}

/// The maximum length of the fields of four numbers, of 11 bytes each, and what a copy of one field has
/// beyond them.
const ID_FIELDS: usize = 49;

/// The size of a copy of the field of one number.
const ONE_FIELD: usize = 16;

impl Default for IdFields {
    fn default() -> Self {
        Self { bytes: [0; ID_FIELDS], trace_end: 0, span_end: 0, parent_end: 0 }
    }
}

impl IdFields {
    /// Returns all fields, with bytes behind them.
    #[inline(always)]
    pub(in crate::encoding) fn bytes(&self) -> &[u8; 48] {
        self.bytes.first_chunk().unwrap_or(&[0; 48])
    }

    /// Returns the length of all fields.
    #[inline(always)]
    pub(in crate::encoding) fn len(&self) -> usize {
        // The mask gives the compiler the limit, as do those below.
        usize::from(self.parent_end & 63)
    }

    /// Returns the fields of the trace id, with bytes behind them.
    #[inline(always)]
    pub(in crate::encoding) fn trace(&self) -> &[u8; TRACE] {
        self.bytes.first_chunk().unwrap_or(&[0; TRACE])
    }

    /// Returns the length of the fields of the trace id.
    #[inline(always)]
    pub(in crate::encoding) fn trace_len(&self) -> usize {
        usize::from(self.trace_end & 31)
    }

    /// Returns the field of the parent's id, with bytes behind it. It is always there.
    #[inline(always)]
    pub(in crate::encoding) fn parent(&self) -> Option<&[u8; ONE_FIELD]> {
        self.field_at(usize::from(self.span_end))
    }

    /// Returns the length of the field of the parent's id.
    #[inline(always)]
    pub(in crate::encoding) fn parent_len(&self) -> usize {
        usize::from(self.parent_end.wrapping_sub(self.span_end) & 15)
    }

    /// Returns the field at an offset, with bytes behind it.
    #[inline(always)]
    fn field_at(&self, at: usize) -> Option<&[u8; ONE_FIELD]> {
        self.bytes.get(at..at + ONE_FIELD)?.first_chunk()
    }

    /// Writes a field and what is behind it.
    #[inline(always)]
    fn put<const N: usize>(&mut self, at: usize, field: [u8; N]) {
        if let Some(slot) = self.bytes.get_mut(at..at + N) {
            slot.copy_from_slice(&field);
        }
    }

    /// Writes the field of a number at an offset and returns its end.
    #[inline(always)]
    fn put_id(&mut self, at: usize, id: &Varint) -> usize {
        if let Some(slot) = self.bytes.get_mut(at..at + 11) {
            slot[0] = FIELD;
            slot[1..9].copy_from_slice(&id.first.to_le_bytes());
            slot[9..].copy_from_slice(&id.last.to_le_bytes());
        }
        at + 1 + id.len
    }

    /// Writes the field of a number that is most often zero, and returns its end.
    #[inline(always)]
    fn put_rare(&mut self, at: usize, id: u64) -> usize {
        if id != 0 {
            return self.put_id(at, &Varint::of_id(id));
        }
        self.put(at, [FIELD, 0]);
        at + 2
    }

    /// Sets the ends of the fields.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 44")]
    fn set_ends(&mut self, trace_end: usize, span_end: usize, parent_end: usize) {
        self.trace_end = trace_end as u8;
        self.span_end = span_end as u8;
        self.parent_end = parent_end as u8;
    }
}

impl Ids {
    /// Inherits the ids and fields of the parent; the child's own id is not known yet.
    #[inline(always)]
    pub(crate) fn adopt(&mut self, parent: &Self) {
        self.trace = parent.trace;
        self.span = parent.parent;
        self.parent = parent.span;
        let (fields, inherited) = (&mut self.fields, &parent.fields);
        fields.bytes[..TRACE].copy_from_slice(&inherited.bytes[..TRACE]);
        fields.trace_end = inherited.trace_end;
        // The parent's own field, at the end of the buffer until the child's id is known.
        if let Some(field) = inherited.field_at(usize::from(inherited.trace_end)) {
            fields.put(LAST, *field);
        }
        fields.parent_end = inherited.span_end.wrapping_sub(inherited.trace_end);
    }

    /// Replaces the ids; nothing of the new ones is encoded.
    #[inline(always)]
    pub(crate) fn set(&mut self, trace: TraceId, span: SpanId, parent: SpanId) {
        (self.trace, self.span, self.parent) = (trace, span, parent);
        self.fields.trace_end = 0;
    }

    /// Replaces the ids by those of the first span of a trace, which has the id of the trace, and encodes them.
    #[inline(always)]
    pub(crate) fn begin(&mut self, trace: TraceId) {
        (self.trace, self.span) = (trace, SpanId::new(trace.low()));
        self.parent = SpanId::NONE;
        self.encode_first();
    }

    /// Encodes the fields of the first span of a trace, which has the id of the trace.
    #[inline(always)]
    pub(crate) fn encode_first(&mut self) {
        let trace = self.trace;
        let (fields, low) = (&mut self.fields, Varint::of_id(trace.low()));
        let low_end = fields.put_id(0, &low);
        let trace_end = fields.put_rare(low_end, trace.high());
        let span_end = fields.put_id(trace_end, &low);
        fields.put(span_end, [FIELD, 0]);
        fields.set_ends(trace_end, span_end, span_end + 2);
    }

    /// Discards the inherited fields, which lack the child's own id.
    #[inline]
    pub(crate) fn clear_fields(&mut self) {
        self.fields.trace_end = 0;
    }

    /// Uses the parent's ids as the span's own: Zipkin's shared span.
    #[cold]
    pub(crate) fn use_parent_ids(&mut self) {
        self.set(self.trace, self.parent, self.span);
    }

    /// Encodes the fields that a child did not inherit.
    #[inline(always)]
    pub(crate) fn encode(&mut self) {
        let fields = &mut self.fields;
        if fields.trace_end == 0 {
            return self.encode_all();
        }
        // It ends before the parent's field.
        let (trace_end, parent_len) =
            (usize::from(fields.trace_end), usize::from(fields.parent_end));
        let span_end = fields.put_id(trace_end, &Varint::of_id(self.span.get()));
        if let Some(parent) = fields.field_at(LAST) {
            let parent = *parent;
            fields.put(span_end, parent);
        }
        fields.set_ends(trace_end, span_end, span_end + parent_len);
    }

    /// Encodes all fields.
    #[inline(never)]
    fn encode_all(&mut self) {
        let fields = &mut self.fields;
        let low = Varint::of_id(self.trace.low());
        let low_end = fields.put_id(0, &low);
        let trace_end = fields.put_rare(low_end, self.trace.high());
        // The span id of a root is its trace id.
        let span_end = if self.span.get() == self.trace.low() {
            fields.put_id(trace_end, &low)
        } else {
            fields.put_id(trace_end, &Varint::of_id(self.span.get()))
        };
        let parent_end = fields.put_rare(span_end, self.parent.get());
        fields.set_ends(trace_end, span_end, parent_end);
    }

    /// Returns the fields, if they are encoded: those of a span whose trace was forced to be recorded
    /// after its start are not.
    #[inline(always)]
    pub(in crate::encoding) fn encoded(&self) -> Option<&IdFields> {
        if self.fields.trace_end > 0 { Some(&self.fields) } else { None }
    }

    /// Returns the fields, encoded now if they were not before.
    #[cold]
    pub(in crate::encoding) fn fields(&self) -> IdFields {
        let mut ids = *self;
        if self.encoded().is_none() {
            ids.encode_all();
        }
        ids.fields
    }
}

/// The room of the trace id's fields, rounded up.
const TRACE: usize = 24;

/// The offset of the parent's field while the span's own id is not known.
const LAST: usize = 33;
