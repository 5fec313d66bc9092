//! The options of a tracer that are about its spans alone.

/// Options of spans: their limits and marks. The builder of a tracer fills it, and spans read it: an
/// option more is a field here, a method of the builder, and the place that acts on it.
#[derive(Clone, Debug)]
pub(crate) struct SpanOptions {
    /// The longest value of a tag.
    pub(crate) max_tag_value_bytes: usize,
    /// Whether the text of a tag that was cut says so.
    pub(crate) marks_truncated_tags: bool,
    /// 0 if a span may have any number.
    pub(crate) max_logs_per_span: usize,
    /// Whether forced traces are not marked as debugging.
    pub(crate) no_debug_flag: bool,
    /// Whether both sides of a call are one span.
    pub(crate) shares_rpc_spans: bool,
}

impl SpanOptions {
    /// The default of [`max_tag_value_bytes`](Self::max_tag_value_bytes).
    pub(crate) const MAX_TAG_VALUE_BYTES: usize = 256;
}

impl Default for SpanOptions {
    fn default() -> Self {
        Self {
            max_tag_value_bytes: Self::MAX_TAG_VALUE_BYTES,
            marks_truncated_tags: false,
            max_logs_per_span: 0,
            no_debug_flag: false,
            shares_rpc_spans: false,
        }
    }
}
