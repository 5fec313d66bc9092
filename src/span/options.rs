//! The options of a tracer that are about its spans alone.

use crate::non_exhaustive::NonExhaustive;

/// Options of spans: limits, marks, logs.
///
/// [`Configuration::spans`](crate::Configuration::spans), the builder of a tracer and its spans hold
/// this struct; the methods of [`TracerBuilder`](crate::TracerBuilder) with the names of the fields
/// set one of them each.
///
/// # Examples
///
/// ```
/// use jaeger_client::{Configuration, SpanOptions};
/// let spans = SpanOptions { max_tag_value_length: 1024, ..SpanOptions::default() };
/// let configuration = Configuration { spans, ..Configuration::new("checkout") };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct SpanOptions {
    /// The length in bytes at which a tag's text or bytes are truncated; 0 is the default, 256.
    pub max_tag_value_length: usize,
    /// Whether truncated text has a mark; see
    /// [`TracerBuilder::mark_truncated_tags`](crate::TracerBuilder::mark_truncated_tags).
    pub mark_truncated_tags: bool,
    /// How many logs of a span are retained, the first and the last ones; 0 is any number. See
    /// [`TracerBuilder::max_logs_per_span`](crate::TracerBuilder::max_logs_per_span).
    pub max_logs_per_span: usize,
    /// How many unfinished spans are listed by [`Tracer::open_spans`](crate::Tracer::open_spans); 0
    /// is none. See [`TracerBuilder::track_open_spans`](crate::TracerBuilder::track_open_spans).
    pub track_open_spans: usize,
    /// Whether traces that `sampling.priority` forces are not marked as debugging.
    pub no_debug_flag_on_forced_sampling: bool,
    /// Whether both sides of a call are one span; see
    /// [`TracerBuilder::zipkin_shared_rpc_span`](crate::TracerBuilder::zipkin_shared_rpc_span).
    pub zipkin_shared_rpc_span: bool,
    /// Whether an error is logged with the call stack; see
    /// [`TracerBuilder::record_backtraces`](crate::TracerBuilder::record_backtraces).
    pub record_backtraces: bool,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl SpanOptions {
    /// The default of [`max_tag_value_length`](Self::max_tag_value_length), in bytes.
    pub(crate) const MAX_TAG_VALUE_LENGTH: usize = 256;

    /// Replaces values that stand for the default.
    pub(crate) fn resolved(mut self) -> Self {
        if self.max_tag_value_length == 0 {
            self.max_tag_value_length = Self::MAX_TAG_VALUE_LENGTH;
        }
        self
    }
}

impl Default for SpanOptions {
    fn default() -> Self {
        Self {
            max_tag_value_length: Self::MAX_TAG_VALUE_LENGTH,
            mark_truncated_tags: false,
            max_logs_per_span: 0,
            track_open_spans: 0,
            no_debug_flag_on_forced_sampling: false,
            zipkin_shared_rpc_span: false,
            record_backtraces: false,
            __non_exhaustive: NonExhaustive,
        }
    }
}
