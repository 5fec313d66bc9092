//! A live span with one owner, which writes to it without a lock.
//!
//! The span is the same as any other. What is done most, tags and logs of a sampled span, is done here
//! while no other handle shares its record; the rest is left to [`Span`].

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use super::builder::SpanBuilder;
use super::context::{AsSpanContext, SpanContext};
use super::encoded_fields::EncodedFields;
use super::lifecycle::child;
use super::record::{FieldList, with_copy_of_few};
use super::reference::{Parent, ReferenceSink};
use super::repr::Span;
use super::set_tag::IntoTagValue;
use super::tag::{FinishOptions, OwnedTagValue, TagValue};
use crate::encoding::TagKey;

/// A live span with one owner.
///
/// It is what a [`Span`] is, with the same effect of each call, but it cannot be cloned, and is changed
/// through `&mut self`. It can be sent to another thread. [`into_shared`](Self::into_shared) makes it a
/// [`Span`] where several parts of a program need it, or where it is to be
/// [active](Span::activate).
///
/// It is finished by [`finish`](Self::finish), or when it is dropped. As either takes the span, nothing
/// can be done to it after its end, unless a handle of [`share`](Self::share) has ended it.
///
/// # Cost
///
/// A tag that is text, a boolean or an integer, or a log of such fields, takes no lock, about two thirds of
/// the instructions that one of a [`Span`] takes, and no locked instruction, as long as the span is not
/// shared, and neither observers nor limits of logs nor tail sampling need more. Nothing is allocated in
/// steady state.
///
/// # Source
///
/// None of the clients has it.
///
/// # Examples
///
/// ```
/// use jaeger_client::{InMemoryReporter, Tracer};
/// let reporter = InMemoryReporter::new();
/// let (tracer, _closer) = Tracer::builder("svc").in_memory(&reporter).build()?;
/// let mut span = tracer.start_owned_span("get");
/// span.set_tag("http.status_code", 200);
/// let mut query = span.child("query");
/// query.set_tag("db.type", "sql").log_event("cache miss");
/// query.finish();
/// span.finish();
/// let names: Vec<_> = reporter.spans().iter().map(|span| span.view().operation_name().into_owned()).collect();
/// assert_eq!(names, ["query", "get"]);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[must_use = "a span ends when it is dropped"]
pub struct OwnedSpan {
    span: Span,
}

impl OwnedSpan {
    #[inline(always)]
    pub(crate) fn new(span: Span) -> Self {
        Self { span }
    }

    /// Returns a span without a tracer, which does nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::{OwnedSpan, Tracer};
    /// fn query(tracer: Option<&Tracer>) {
    ///     let span = tracer.map(|tracer| tracer.start_owned_span("query"));
    ///     let mut span = span.unwrap_or_else(OwnedSpan::none);
    ///     span.set_tag("db.type", "sql");
    /// }
    /// query(None);
    /// ```
    pub fn none() -> Self {
        Self::new(Span::none())
    }

    pub(crate) fn as_span(&self) -> &Span {
        &self.span
    }

    /// Makes it a span whose handles can be cloned.
    ///
    /// # Cost
    ///
    /// None.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let mut span = tracer.start_owned_span("work");
    /// span.set_tag("items", 3);
    /// let span = span.into_shared();
    /// let _active = span.activate();
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline]
    pub fn into_shared(self) -> Span {
        self.span
    }

    /// Returns a handle on the span for others, who may keep it. As long as there is one, the span is
    /// written to with a lock, and is finished when the last of them is dropped, unless
    /// [`finish`](Self::finish) was called before.
    pub fn share(&self) -> Span {
        self.span.clone()
    }

    /// Sets a tag, as [`Span::set_tag`] does.
    #[inline]
    pub fn set_tag(&mut self, key: &str, value: impl IntoTagValue) -> &mut Self {
        value.set_with(
            #[inline(always)]
            |value| {
                let record = self.span.unshared_record();
                if !record.is_some_and(|record| record.try_tag(key, value)) {
                    self.set_other_tag(key, value);
                }
            },
        );
        self
    }

    /// Sets a tag whose key is encoded beforehand.
    #[inline(always)]
    pub fn set_keyed_tag(&mut self, key: &TagKey, value: impl IntoTagValue) -> &mut Self {
        value.set_with(
            #[inline(always)]
            |value| {
                // By hand, as the function of `is_some_and` would be called.
                if let Some(record) = self.span.unshared_record()
                    && record.try_tag(key, value)
                {
                    return;
                }
                self.set_other_tag(key.as_str(), value);
            },
        );
        self
    }

    /// Sets several tags, as [`set_tag`](Self::set_tag) does each of them.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let mut span = tracer.start_owned_span("get");
    /// span.set_tags(&[("http.method", "GET".into()), ("http.status_code", 200.into())]);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn set_tags(&mut self, tags: &[(&str, TagValue<'_>)]) -> &mut Self {
        for (key, value) in tags {
            self.set_tag(key, *value);
        }
        self
    }

    /// Sets a tag of a span that is not sampled, shared or on the slow path, or an unusual tag.
    #[inline(never)]
    fn set_other_tag(&self, key: &str, value: TagValue<'_>) {
        self.span.set_any_tag(key, value);
    }

    /// Sets a tag and removes all earlier values of its key, as [`Span::replace_tag`] does.
    pub fn replace_tag(&mut self, key: &str, value: impl IntoTagValue) -> &mut Self {
        self.span.replace_tag(key, value);
        self
    }

    /// Logs fields at the present time.
    #[inline]
    pub fn log(&mut self, fields: &[(&str, TagValue<'_>)]) -> &mut Self {
        if !self.span.unshared_record().is_some_and(|record| record.try_log(fields)) {
            with_copy_of_few(fields, |fields| self.log_other(fields));
        }
        self
    }

    /// Logs fields that were encoded before, at the present time.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::{EncodedFields, TagKey};
    /// static EVENT: TagKey = TagKey::new("event");
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let mut fields = EncodedFields::new();
    /// fields.push(&EVENT, "retry");
    /// let mut span = tracer.start_owned_span("get");
    /// span.log_encoded(&fields);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline]
    pub fn log_encoded(&mut self, fields: &EncodedFields) -> &mut Self {
        if !self.span.unshared_record().is_some_and(|record| record.try_log(fields)) {
            self.log_other(fields);
        }
        self
    }

    #[inline(never)]
    fn log_other(&self, fields: impl FieldList) {
        self.span.log_with(None, fields);
    }

    /// Logs fields at a past time, as [`Span::log_at`] does.
    pub fn log_at(&mut self, time: SystemTime, fields: &[(&str, TagValue<'_>)]) -> &mut Self {
        self.span.log_at(time, fields);
        self
    }

    /// Logs the field `event`.
    pub fn log_event(&mut self, event: impl AsRef<str>) -> &mut Self {
        self.log(&[("event", TagValue::Str(event.as_ref()))])
    }

    /// Marks the span as failed, and logs the error, as [`Span::record_error`] does.
    pub fn record_error(&mut self, error: &(dyn std::error::Error + '_)) -> &mut Self {
        self.span.record_error(error);
        self
    }

    /// Renames the span.
    pub fn set_operation_name(&mut self, name: impl Into<Cow<'static, str>>) -> &mut Self {
        self.span.set_operation_name(name);
        self
    }

    /// Sets a baggage item, as [`Span::set_baggage_item`] does.
    pub fn set_baggage_item(&mut self, key: &str, value: &str) -> &mut Self {
        self.span.set_baggage_item(key, value);
        self
    }

    /// Changes the start time, as [`Span::set_start_time`] does.
    pub fn set_start_time(&mut self, time: SystemTime) -> &mut Self {
        self.span.set_start_time(time);
        self
    }

    /// Sets the end time in advance, as [`Span::set_finish_time`] does.
    pub fn set_finish_time(&mut self, time: SystemTime) -> &mut Self {
        self.span.set_finish_time(time);
        self
    }

    /// Adds a `FOLLOWS_FROM` reference, as [`Span::add_follows_from`] does.
    pub fn add_follows_from(&mut self, to: impl Parent) -> &mut Self {
        self.span.add_follows_from(to);
        self
    }

    /// Adds a callback for the moment before the span is finished, as [`Span::on_finish`] does.
    pub fn on_finish(&mut self, callback: impl FnOnce(&Span) + Send + 'static) -> &mut Self {
        self.span.on_finish(callback);
        self
    }

    /// Has the trace recorded, as [`Span::retain_trace`] does.
    pub fn retain_trace(&mut self) -> &mut Self {
        self.span.retain_trace();
        self
    }

    /// Keeps the trace out of the server's index, as [`Span::enable_firehose`] does.
    pub fn enable_firehose(&mut self) -> &mut Self {
        self.span.enable_firehose();
        self
    }

    /// Puts the span below another parent, as [`Span::restart_as_child_of`] does. It is the returned span
    /// that goes on.
    pub fn restart_as_child_of(self, parent: impl Parent) -> Self {
        self.span.restart_as_child_of(parent).map_or(self, Self::new)
    }

    /// Starts a child of this span, by the same tracer.
    pub fn child(&self, operation: impl Into<Cow<'static, str>>) -> Self {
        child::start_child(&self.span, operation.into(), Self::new)
    }

    /// Returns the context: the part that is propagated to children and other processes.
    #[must_use]
    pub fn context(&self) -> SpanContext {
        self.span.context()
    }

    /// Returns the value of a baggage item.
    #[must_use]
    pub fn baggage_item(&self, key: &str) -> Option<String> {
        self.span.baggage_item(key)
    }

    /// Returns the present name.
    #[must_use]
    pub fn operation_name(&self) -> Cow<'static, str> {
        self.span.operation_name()
    }

    /// Returns the start time; `None` for a span that is not [recorded](Self::is_recording).
    #[must_use]
    pub fn start_time(&self) -> Option<SystemTime> {
        self.span.start_time()
    }

    /// Returns the present value of a tag, as [`Span::tag`] does.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<OwnedTagValue> {
        self.span.tag(key)
    }

    /// Returns copies of the tags, as [`Span::tags`] does.
    #[must_use]
    pub fn tags(&self) -> Vec<(String, OwnedTagValue)> {
        self.span.tags()
    }

    /// Returns whether the trace is sampled, so that the span will be sent.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.span.is_sampled()
    }

    /// Returns whether the span's tags and logs are recorded, as [`Span::is_recording`] does.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.span.is_recording()
    }

    /// Returns whether tags are of any use now, other than `sampling.priority`: the span is recorded, or
    /// observers are notified of them.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let mut span = tracer.start_owned_span("query");
    /// if span.wants_tags() {
    ///     span.set_tag("plan", format!("{:?}", ["scan", "sort"]));
    /// }
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn wants_tags(&self) -> bool {
        self.span.wants_tags()
    }

    /// Finishes the span now. To drop it does the same, unless it is [shared](Self::share).
    #[inline]
    pub fn finish(mut self) {
        // Where it is the only handle, the drop finishes the span for less.
        if !self.span.is_last_of_live() {
            self.span.finish();
        }
    }

    /// Finishes the span at the given time, as [`Span::finish_at`] does.
    pub fn finish_at(self, time: SystemTime) {
        self.span.finish_at(time);
    }

    /// Finishes the span with options, as [`Span::finish_with`] does.
    pub fn finish_with(self, options: FinishOptions<'_>) {
        self.span.finish_with(options);
    }
}

impl SpanBuilder<'_> {
    /// Starts the span with one owner, for which setting tags costs less.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let parent = tracer.start_owned_span("parent");
    /// let mut child = tracer.span("child").child_of(&parent).start_owned();
    /// child.set_tag("rows", 12);
    /// assert_eq!(child.context().parent_id(), parent.context().span_id());
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline(always)]
    pub fn start_owned(self) -> OwnedSpan {
        self.start_as(OwnedSpan::new)
    }
}

impl From<OwnedSpan> for Span {
    fn from(span: OwnedSpan) -> Self {
        span.into_shared()
    }
}

impl AsSpanContext for OwnedSpan {
    fn as_span_context(&self) -> Cow<'_, SpanContext> {
        self.span.as_span_context()
    }
}

impl Parent for &OwnedSpan {
    fn context(self) -> Option<SpanContext> {
        Some(OwnedSpan::context(self))
    }

    #[inline(always)]
    fn add_to(self, sink: &mut ReferenceSink<'_>) {
        self.span.add_to(sink);
    }
}

impl fmt::Debug for OwnedSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnedSpan").field(&self.span).finish()
    }
}
