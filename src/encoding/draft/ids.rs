//! A span's ids, and the same as the fields that are written.

use crate::encoding::writer::{EncodedField, FIELD};
use crate::id::{SpanId, TraceId};

/// What names a span: its trace, itself, and its parent. In this order, as a child takes over two ids
/// beside each other in one step.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Ids {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    pub(crate) parent: SpanId,
    /// The parent's parent. It means something only where a parent was taken over.
    pub(crate) grandparent: SpanId,
    /// The fields of the three, if they were encoded.
    fields: IdFields,
}

/// The ids of a span as fields of its compact bytes. A child takes those of its trace and its parent
/// over: to encode a random number takes as long as to copy three fields.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::encoding) struct IdFields {
    /// The two halves; empty if nothing was encoded.
    pub(in crate::encoding) trace: EncodedField<24>,
    pub(in crate::encoding) span: EncodedField<16>,
    pub(in crate::encoding) parent: EncodedField<16>,
}

impl Ids {
    /// Takes over what a child has from its parent; the child's own id is not known yet.
    #[inline(always)]
    pub(crate) fn adopt(&mut self, parent: &Self) {
        self.trace = parent.trace;
        self.parent = parent.span;
        self.grandparent = parent.parent;
        self.fields.trace = parent.fields.trace;
        self.fields.parent = parent.fields.span;
    }

    /// Makes it other ids, of which nothing is encoded.
    #[inline(always)]
    pub(crate) fn set(&mut self, trace: TraceId, span: SpanId, parent: SpanId) {
        (self.trace, self.span, self.parent) = (trace, span, parent);
        self.fields.trace.len = 0;
    }

    /// Forgets what a child took over of its parent's fields: the one of its own id is missing.
    #[inline]
    pub(crate) fn forget_fields(&mut self) {
        self.fields.trace.len = 0;
    }

    /// Takes the parent's ids as its own.
    #[cold]
    pub(crate) fn share(&mut self) {
        self.set(self.trace, self.parent, self.grandparent);
    }

    /// Encodes what a child did not take over.
    #[inline(always)]
    pub(crate) fn encode(&mut self) {
        if self.fields.trace.len == 0 {
            self.encode_all();
        } else {
            self.fields.span.set(self.span.get());
        }
    }

    /// Encodes all of them.
    #[inline]
    pub(crate) fn encode_all(&mut self) {
        let IdFields { trace, span, parent } = &mut self.fields;
        trace.set(self.trace.low());
        if self.span.get() == self.trace.low() {
            // A root's own id is its trace's.
            span.bytes.copy_from_slice(&trace.bytes[..16]);
            span.len = trace.len;
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

    /// The fields, encoded now, into `late`, if they were not.
    #[inline(always)]
    pub(in crate::encoding) fn fields<'f>(
        &'f self,
        late: &'f mut Option<IdFields>,
    ) -> &'f IdFields {
        if self.fields.trace.len == 0 {
            return late.insert(self.late_fields());
        }
        &self.fields
    }

    /// For a span whose trace was forced to be recorded when it was under way.
    #[cold]
    #[inline(never)]
    fn late_fields(&self) -> IdFields {
        let mut encoded = *self;
        encoded.encode_all();
        encoded.fields
    }
}
