//! The builder of a span: references and their targets, tags, a start time.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::context::SpanContext;
use super::counters::Stripe;
use super::lifecycle::start::UnstartedSpan;
use super::record::ReferenceSink;
use super::repr::Span;
use super::set_tag::IntoTagValue;
use super::tag::TagValue;
use crate::diag::Brief;
use crate::encoding::{ReferenceKind, TagKey};
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
    span: UnstartedSpan<'a>,
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

    /// Adds a `CHILD_OF` reference: the parent waits for the span. The first such reference is the
    /// parent.
    #[inline(always)]
    pub fn child_of(mut self, parent: impl Parent) -> Self {
        parent.add_to(&mut self.span.reference(ReferenceKind::ChildOf));
        self
    }

    /// Adds a `FOLLOWS_FROM` reference to a span that does not wait for this one. It is the parent
    /// if there is no `CHILD_OF` reference; of several, the last one.
    pub fn follows_from(mut self, parent: impl Parent) -> Self {
        parent.add_to(&mut self.span.reference(ReferenceKind::FollowsFrom));
        self
    }

    /// Uses the context as the span's own: ids, flags and baggage are as given, no id is generated
    /// and no sampler is called. For spans that were begun elsewhere.
    ///
    /// # Source
    ///
    /// `SelfRef` in jaeger-client-go, reference type 99.
    pub fn self_reference(mut self, context: impl Parent) -> Self {
        self.span.set_itself(context.context());
        self
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

/// A target of a reference: a context, a span, or perhaps nothing.
pub trait Parent: Sized {
    /// Returns the context of the target, if there is one.
    fn context(self) -> Option<SpanContext>;

    /// Adds the reference to a span about to be started. Implemented for `&Span` too, so that no context is
    /// built for it.
    #[doc(hidden)]
    #[inline]
    fn add_to(self, sink: &mut ReferenceSink<'_>) {
        if let Some(context) = self.context() {
            sink.add_context(context);
        }
    }
}

impl Parent for SpanContext {
    fn context(self) -> Option<SpanContext> {
        Some(self)
    }
}

impl Parent for &SpanContext {
    fn context(self) -> Option<SpanContext> {
        Some(self.clone())
    }
}

impl Parent for &Span {
    fn context(self) -> Option<SpanContext> {
        Some(Span::context(self))
    }

    #[inline(always)]
    fn add_to(self, sink: &mut ReferenceSink<'_>) {
        match self.record_or_promote() {
            Some(record) => sink.add_record(record),
            None => sink.off_fast_path(|sink| add_without_record(self, sink)),
        }
    }
}

/// Adds a reference to a span that cannot get a record.
#[cold]
#[inline(never)]
fn add_without_record(span: &Span, sink: &mut ReferenceSink<'_>) {
    sink.add_context(span.context_or_empty());
}

impl<P: Parent> Parent for Option<P> {
    fn context(self) -> Option<SpanContext> {
        self.and_then(Parent::context)
    }

    #[inline]
    fn add_to(self, sink: &mut ReferenceSink<'_>) {
        if let Some(parent) = self {
            parent.add_to(sink);
        }
    }
}
