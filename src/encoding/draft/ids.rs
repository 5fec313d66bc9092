//! The ids of a span, and the encoded fields of them.

use crate::encoding::writer::{FIELD, Varint};
use crate::id::{SpanId, TraceId};

/// The ids of a span: its trace, itself, and its parent. In this order, as a child copies two
/// adjacent ids in one step.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
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
        usize::from(self.parent_end)
    }

    /// Returns the fields of the trace id, with bytes behind them.
    #[inline(always)]
    pub(in crate::encoding) fn trace(&self) -> &[u8; TRACE] {
        self.bytes.first_chunk().unwrap_or(&[0; TRACE])
    }

    /// Returns the length of the fields of the trace id.
    #[inline(always)]
    pub(in crate::encoding) fn trace_len(&self) -> usize {
        usize::from(self.trace_end)
    }

    /// Returns the field of the parent's id, with bytes behind it, and its length.
    #[inline(always)]
    pub(in crate::encoding) fn parent(&self) -> ([u8; ONE_FIELD], usize) {
        (self.field_at(self.span_end), usize::from(self.parent_end.wrapping_sub(self.span_end)))
    }

    /// Returns the field at an offset, with bytes behind it.
    #[inline(always)]
    fn field_at(&self, at: u8) -> [u8; ONE_FIELD] {
        let at = usize::from(at);
        let field = self.bytes.get(at..at + ONE_FIELD).and_then(<[u8]>::first_chunk);
        field.copied().unwrap_or_default()
    }

    #[inline(always)]
    fn put(&mut self, at: u8, field: [u8; ONE_FIELD]) {
        let at = usize::from(at);
        if let Some(slot) = self.bytes.get_mut(at..at + ONE_FIELD) {
            slot.copy_from_slice(&field);
        }
    }

    /// Writes the field of a number at an offset and returns its end.
    #[inline(always)]
    fn put_id(&mut self, at: u8, id: &Varint) -> u8 {
        let begin = usize::from(at);
        if let Some(slot) = self.bytes.get_mut(begin..begin + 11) {
            slot[0] = FIELD;
            slot[1..9].copy_from_slice(&id.first.to_le_bytes());
            slot[9..].copy_from_slice(&id.last.to_le_bytes());
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 10")]
        let len = id.len as u8;
        at.wrapping_add(1).wrapping_add(len)
    }

    /// Writes the field of a number that is most often zero, and returns its end.
    #[inline(always)]
    fn put_rare(&mut self, at: u8, id: u64) -> u8 {
        if id != 0 {
            return self.put_id(at, &Varint::of_id(id));
        }
        let begin = usize::from(at);
        if let Some(slot) = self.bytes.get_mut(begin..begin + 2) {
            slot.copy_from_slice(&[FIELD, 0]);
        }
        at.wrapping_add(2)
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
        fields.put(LAST, inherited.field_at(inherited.trace_end));
        fields.parent_end = inherited.span_end.wrapping_sub(inherited.trace_end);
    }

    /// Replaces the ids; nothing of the new ones is encoded.
    #[inline(always)]
    pub(crate) fn set(&mut self, trace: TraceId, span: SpanId, parent: SpanId) {
        (self.trace, self.span, self.parent) = (trace, span, parent);
        self.fields.trace_end = 0;
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
            self.encode_new();
        } else {
            let parent = fields.field_at(LAST);
            fields.span_end = fields.put_id(fields.trace_end, &Varint::of_id(self.span.get()));
            fields.put(fields.span_end, parent);
            fields.parent_end = fields.parent_end.wrapping_add(fields.span_end);
        }
    }

    #[inline(never)]
    fn encode_new(&mut self) {
        self.encode_all();
    }

    /// Encodes all fields.
    #[inline(always)]
    pub(crate) fn encode_all(&mut self) {
        let fields = &mut self.fields;
        let low = Varint::of_id(self.trace.low());
        let low_end = fields.put_id(0, &low);
        fields.trace_end = fields.put_rare(low_end, self.trace.high());
        // The span id of a root is its trace id.
        fields.span_end = if self.span.get() == self.trace.low() {
            fields.put_id(fields.trace_end, &low)
        } else {
            fields.put_id(fields.trace_end, &Varint::of_id(self.span.get()))
        };
        fields.parent_end = fields.put_rare(fields.span_end, self.parent.get());
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
            ids.encode_new();
        }
        ids.fields
    }
}

/// The room of the trace id's fields, rounded up.
const TRACE: usize = 24;

/// The offset of the parent's field while the span's own id is not known.
const LAST: u8 = 33;
