//! The ids of a span, and the encoded fields of them.

use crate::encoding::writer::{EncodedField, FIELD, Varint};
use crate::id::{SpanId, TraceId};

/// The ids of a span: its trace, itself, and its parent. In this order, as a child copies two
/// adjacent ids in one step.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Ids {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    pub(crate) parent: SpanId,
    /// The parent's parent. It is valid only where the ids of a parent were inherited.
    pub(crate) grandparent: SpanId,
    /// The encoded fields of the three, if there are any.
    fields: IdFields,
}

/// The ids of a span as fields of its compact bytes. A child inherits those of its trace and its
/// parent: to encode a random number takes as long as to copy three fields.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::encoding) struct IdFields {
    /// The two halves of the trace id; empty if nothing is encoded.
    pub(in crate::encoding) trace: EncodedField<24>,
    pub(in crate::encoding) span: EncodedField<16>,
    pub(in crate::encoding) parent: EncodedField<16>,
}

impl Ids {
    /// Inherits the ids and fields of the parent; the child's own id is not known yet.
    #[inline(always)]
    pub(crate) fn adopt(&mut self, parent: &Self) {
        self.trace = parent.trace;
        self.parent = parent.span;
        self.grandparent = parent.parent;
        self.fields.trace = parent.fields.trace;
        self.fields.parent = parent.fields.span;
    }

    /// Replaces the ids; nothing of the new ones is encoded.
    #[inline(always)]
    pub(crate) fn set(&mut self, trace: TraceId, span: SpanId, parent: SpanId) {
        (self.trace, self.span, self.parent) = (trace, span, parent);
        self.fields.trace.len = 0;
    }

    /// Discards the inherited fields, which lack the child's own id.
    #[inline]
    pub(crate) fn clear_fields(&mut self) {
        self.fields.trace.len = 0;
    }

    /// Takes over the parent's ids as the span's own.
    #[cold]
    pub(crate) fn share(&mut self) {
        self.set(self.trace, self.parent, self.grandparent);
    }

    /// Encodes the fields that a child did not inherit.
    #[inline(always)]
    pub(crate) fn encode(&mut self) {
        if self.fields.trace.len == 0 {
            self.encode_all();
        } else {
            self.fields.span.set(self.span.get());
        }
    }

    /// Encodes all fields.
    #[inline]
    pub(crate) fn encode_all(&mut self) {
        let IdFields { trace, span, parent } = &mut self.fields;
        let low = Varint::of_id(self.trace.low());
        trace.set_varint(&low);
        if self.span.get() == self.trace.low() {
            // The span id of a root is its trace id. It is not copied from that field: the copy would
            // wait for the stores of the field's parts.
            span.set_varint(&low);
        } else {
            span.set(self.span.get());
        }
        trace.push(self.trace.high());
        if self.parent == SpanId::NONE {
            parent.bytes[0] = FIELD;
            parent.bytes[1] = 0;
            parent.len = 2;
        } else {
            parent.set(self.parent.get());
        }
    }

    /// Returns the fields, encoded into `encoded` if they were not before.
    #[inline(always)]
    pub(in crate::encoding) fn fields<'f>(
        &'f self,
        encoded: &'f mut Option<IdFields>,
    ) -> &'f IdFields {
        if self.fields.trace.len == 0 {
            return encoded.insert(self.encode_missing());
        }
        &self.fields
    }

    /// Encodes the fields of a span whose trace was forced to be recorded after its start.
    #[cold]
    #[inline(never)]
    fn encode_missing(&self) -> IdFields {
        let mut encoded = *self;
        encoded.encode_all();
        encoded.fields
    }
}
