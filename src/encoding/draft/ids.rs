//! The ids of a span, and the encoded fields of them.

use crate::encoding::writer::{FIELD, FixedWindow, Varint};
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
    /// The two halves of the trace id, and from [`SPAN`] and [`PARENT`] on the other two.
    bytes: [u8; ID_FIELDS],
    /// The length of the trace id's fields; 0 if nothing is encoded.
    trace_len: u8,
    span_len: u8,
    parent_len: u8,
}

/// The size of a copy of the trace id's fields, which is longer than the two fields of 11 bytes. What it has behind
/// them is written afterwards.
const TRACE: usize = 24;

/// The offset of the span's field.
const SPAN: usize = 22;

/// The offset of the parent's field.
const PARENT: usize = 33;

/// The size of a copy of the field of one number.
const ONE_FIELD: usize = 16;

/// The length of the fields of four numbers, of 11 bytes each, and what a copy of the last one has behind it.
const ID_FIELDS: usize = PARENT + ONE_FIELD;

impl Default for IdFields {
    fn default() -> Self {
        Self { bytes: [0; ID_FIELDS], trace_len: 0, span_len: 0, parent_len: 0 }
    }
}

impl IdFields {
    /// Writes all fields to a window that has at least [`ALL_FIELDS`] bytes left.
    #[inline(always)]
    pub(in crate::encoding) fn write<const SIZE: usize>(&self, to: &mut FixedWindow<'_, SIZE>) {
        self.write_trace(to);
        // The masks give the compiler limits.
        to.first_of(self.field::<SPAN>(), usize::from(self.span_len & 15));
        self.write_parent(to);
    }

    /// Writes the fields of the trace id.
    #[inline(always)]
    pub(in crate::encoding) fn write_trace<const SIZE: usize>(
        &self,
        to: &mut FixedWindow<'_, SIZE>,
    ) {
        let trace = self.bytes.first_chunk().unwrap_or(&[0; TRACE]);
        to.first_of(trace, usize::from(self.trace_len & 31));
    }

    /// Writes the field of the parent's id.
    #[inline(always)]
    pub(in crate::encoding) fn write_parent<const SIZE: usize>(
        &self,
        to: &mut FixedWindow<'_, SIZE>,
    ) {
        to.first_of(self.field::<PARENT>(), usize::from(self.parent_len & 15));
    }

    /// Returns the field at an offset, with bytes behind it.
    #[inline(always)]
    fn field<const AT: usize>(&self) -> &[u8; ONE_FIELD] {
        self.bytes[AT..].first_chunk().unwrap_or(&[0; ONE_FIELD])
    }

    /// Writes the field of a number at an offset and returns its length.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 11")]
    fn put_id(&mut self, at: usize, id: &Varint) -> u8 {
        if let Some(slot) = self.bytes.get_mut(at..at + 11) {
            slot[0] = FIELD;
            slot[1..9].copy_from_slice(&id.first.to_le_bytes());
            slot[9..].copy_from_slice(&id.last.to_le_bytes());
        }
        1 + id.len as u8
    }

    /// Writes the field of a number that is most often zero, and returns its length.
    #[inline(always)]
    fn put_rare(&mut self, at: usize, id: u64) -> u8 {
        if id != 0 {
            return self.put_id(at, &Varint::of_id(id));
        }
        if let Some(slot) = self.bytes.get_mut(at..at + 2) {
            slot.copy_from_slice(&[FIELD, 0]);
        }
        2
    }

    /// Writes the fields of the trace id, of which the lower half is encoded.
    #[inline(always)]
    fn put_trace(&mut self, low: &Varint, high: u64) {
        let low_len = self.put_id(0, low);
        self.trace_len = low_len + self.put_rare(usize::from(low_len), high);
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
        fields.bytes[PARENT..].copy_from_slice(inherited.field::<SPAN>());
        (fields.trace_len, fields.parent_len) = (inherited.trace_len, inherited.span_len);
    }

    /// Replaces the ids; nothing of the new ones is encoded.
    #[inline(always)]
    pub(crate) fn set(&mut self, trace: TraceId, span: SpanId, parent: SpanId) {
        (self.trace, self.span, self.parent) = (trace, span, parent);
        self.fields.trace_len = 0;
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
        fields.put_trace(&low, trace.high());
        fields.span_len = fields.put_id(SPAN, &low);
        fields.parent_len = fields.put_rare(PARENT, 0);
    }

    /// Discards the inherited fields, which lack the child's own id.
    #[inline]
    pub(crate) fn clear_fields(&mut self) {
        self.fields.trace_len = 0;
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
        if fields.trace_len == 0 {
            return self.encode_all();
        }
        fields.span_len = fields.put_id(SPAN, &Varint::of_id(self.span.get()));
    }

    /// Encodes all fields.
    #[inline(never)]
    fn encode_all(&mut self) {
        let fields = &mut self.fields;
        let low = Varint::of_id(self.trace.low());
        fields.put_trace(&low, self.trace.high());
        fields.span_len = fields.put_id(SPAN, &Varint::of_id(self.span.get()));
        fields.parent_len = fields.put_rare(PARENT, self.parent.get());
    }

    /// Returns the fields, if they are encoded: those of a span whose trace was forced to be recorded
    /// after its start are not.
    #[inline(always)]
    pub(in crate::encoding) fn encoded(&self) -> Option<&IdFields> {
        if self.fields.trace_len > 0 { Some(&self.fields) } else { None }
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

/// The size of a window for all fields and what the copies have behind them.
pub(super) const ALL_FIELDS: usize = 31 + 15 + ONE_FIELD;
