//! The builder of a span: tags, a start time. Its references are in `reference.rs`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::counters::Stripe;
use super::lifecycle::start::UnstartedSpan;
use super::repr::Span;
use super::set_tag::IntoTagValue;
use super::tag::TagValue;
use crate::diag::Brief;
use crate::encoding::TagKey;
use crate::tags::{self, SpanKind};

/// The builder of a span.
///
/// # Examples
///
/// ```
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// let parent = tracer.start_span("parent");
/// let child = tracer.span("child").child_of(&parent).tag("span.kind", "client").start();
/// assert_eq!(child.context().trace_id(), parent.context().trace_id());
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[must_use = "a span is started by `start`"]
pub struct SpanBuilder<'a> {
    pub(super) span: UnstartedSpan<'a>,
}

impl fmt::Debug for SpanBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanBuilder")
            .field("operation", &Brief(self.span.name()))
            .finish_non_exhaustive()
    }
}

impl<'a> SpanBuilder<'a> {
    #[inline(always)]
    pub(crate) fn new(stripe: &'a Arc<Stripe>, name: Cow<'static, str>) -> Self {
        Self { span: UnstartedSpan::new(stripe, name) }
    }

    /// Ignores the active span, which is otherwise the parent if no other is given.
    pub fn ignore_active_span(mut self) -> Self {
        self.span.ignores_active = true;
        self
    }

    /// Sets a tag at the start. `sampling.priority` takes effect before the others are stored.
    #[inline]
    pub fn tag(mut self, key: &str, value: impl IntoTagValue) -> Self {
        value.set_with(
            #[inline(always)]
            |value| self.span.set_tag((key, key), value),
        );
        self
    }

    /// Sets a tag whose key is encoded beforehand, as [`tag`](Self::tag) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::TagKey;
    /// static ROWS: TagKey = TagKey::new("rows");
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let span = tracer.span("query").keyed_tag(&ROWS, 12).start();
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline]
    pub fn keyed_tag(mut self, key: &TagKey, value: impl IntoTagValue) -> Self {
        value.set_with(
            #[inline(always)]
            |value| self.span.set_tag((key, key.as_str()), value),
        );
        self
    }

    /// Sets several tags, as [`tag`](Self::tag) does each of them.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let span = tracer.span("query").tags(&[("db.type", "sql".into()), ("rows", 3.into())]).start();
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline]
    pub fn tags(mut self, tags: &[(&str, TagValue<'_>)]) -> Self {
        for (key, value) in tags {
            self.span.set_tag((*key, key), *value);
        }
        self
    }

    /// Sets the tag `span.kind`: the role of the span in a call.
    pub fn kind(self, kind: SpanKind) -> Self {
        self.tag(tags::SPAN_KIND, kind)
    }

    /// Sets the start time. A time that servers do not store, before 1970 or after 2262, is
    /// clamped, and [counted](crate::Stats::clamped_times).
    pub fn start_time(mut self, time: SystemTime) -> Self {
        self.span.set_start(self.span.stripe().checked_nanos("start_time", time));
        self
    }

    /// Starts the span.
    #[inline(always)]
    pub fn start(self) -> Span {
        self.span.start()
    }

    /// Starts the span, and wraps it where it is made.
    #[inline(always)]
    pub(super) fn start_as<T>(self, wrap: impl FnOnce(Span) -> T) -> T {
        self.span.start_as(wrap)
    }

    /// Starts the span in the place of another, whose observers continue with it.
    pub(in crate::span) fn start_in_place(self) -> Span {
        self.span.start_in_place()
    }
}
