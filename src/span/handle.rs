//! Methods of [`Span`], the handle on a live span: its context, children, name, errors, and how it becomes
//! the active one.
//!
//! The type is in `repr.rs`. The methods that set tags are in `set_tag.rs`, those that write logs in
//! `lifecycle/write.rs`, those that finish the span in `lifecycle/finish.rs`, beside what they do.

use std::backtrace::Backtrace;
use std::borrow::Cow;
use std::time::SystemTime;

use super::active::{self, Scope};
use super::context::{AsSpanContext, SpanContext};
use super::lifecycle::{child, deferred};
use super::observer;
use super::record::FIREHOSE;
use super::repr::{Repr, Span};
use super::tag::TagValue;
use crate::encoding::truncate;
use crate::tags;

impl Span {
    /// Marks the span as failed, and logs the error: its text, and those of its sources.
    ///
    /// # Shape and units
    ///
    /// The tag `error` is `true`; a log has the fields `event` = `error`, `message`, and `error.source`
    /// with the sources' texts, of 16 at most, separated by `: `, if there are any; and `stack`, if
    /// the tracer [records backtraces](crate::TracerBuilder::record_backtraces).
    ///
    /// A `Box<dyn Error>`, and an `Error` of `anyhow` or `eyre`, is passed as `&*error`.
    ///
    /// # Source
    ///
    /// `LogError` of opentracing-go, `ext/field.go`.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let span = tracer.start_span("read");
    /// if let Err(error) = std::fs::read("/no/such/file") {
    ///     span.record_error(&error);
    /// }
    /// let boxed: Box<dyn std::error::Error + Send + Sync> = "no answer".into();
    /// span.record_error(&*boxed);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn record_error(&self, error: &(dyn std::error::Error + '_)) -> &Self {
        self.set_tag(tags::ERROR, true);
        if !self.is_recording() {
            return self;
        }
        let sources = std::iter::successors(error.source(), |error| error.source());
        let sources: Vec<_> = sources.take(MAX_SOURCES).map(ToString::to_string).collect();
        let (message, sources) = (error.to_string(), sources.join(": "));
        // Another thread may have held the lock of backtraces when the process was forked.
        let records_stack = self
            .stripe()
            .is_some_and(|stripe| stripe.options.record_backtraces && !stripe.is_forked());
        let stack = records_stack.then(|| Backtrace::force_capture().to_string());
        let mut fields =
            vec![("event", TagValue::Str("error")), ("message", TagValue::Str(&message))];
        if !sources.is_empty() {
            fields.push(("error.source", TagValue::Str(&sources)));
        }
        if let Some(stack) = &stack {
            fields.push(("stack", TagValue::Str(truncate(stack, MAX_STACK_BYTES))));
        }
        self.log(&fields)
    }

    /// Starts a child of this span, by the same tracer: for code that has a span but no tracer.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::Span;
    /// /// A library that was given nothing: what calls it is the active span, if there is one.
    /// fn query() {
    ///     let span = Span::active().map(|active| active.child("query"));
    ///     if let Some(span) = &span {
    ///         span.set_tag("db.type", "sql");
    ///     }
    /// }
    /// query();
    /// ```
    pub fn child(&self, operation: impl Into<Cow<'static, str>>) -> Self {
        child::start_child(self, operation.into(), |span| span)
    }

    /// Renames the span.
    pub fn set_operation_name(&self, name: impl Into<Cow<'static, str>>) -> &Self {
        let Some((record, stripe)) = self.parts() else {
            return self.misused("set_operation_name");
        };
        let name = name.into();
        let Some(mut data) = record.lock() else { return self };
        if data.finished {
            drop(data);
            stripe.report_misuse("set_operation_name");
        } else if record.state.is_on_slow_path() {
            data.draft.set_name(name.clone());
            drop(data);
            deferred::renamed(record, stripe);
            observer::renamed(self, record, &name);
        } else {
            data.draft.set_name(name);
        }
        self
    }

    /// Keeps the trace out of the server's index: those of its spans that are in this process, and
    /// all that begin later, here and downstream.
    ///
    /// # Source
    ///
    /// `EnableFirehose` in jaeger-client-go, `span.go`.
    pub fn enable_firehose(&self) -> &Self {
        let Some((record, stripe)) = self.parts() else { return self.misused("enable_firehose") };
        if record.lock().is_none_or(|data| data.finished) {
            stripe.report_misuse("enable_firehose");
        } else {
            record.state.add(FIREHOSE);
        }
        self
    }

    /// Returns the value of a baggage item.
    #[must_use]
    pub fn baggage_item(&self, key: &str) -> Option<String> {
        self.existing_record()?.baggage_item(key)
    }

    /// Returns the context: the part that is propagated to children and other processes.
    #[must_use]
    pub fn context(&self) -> SpanContext {
        self.context_or_empty()
    }

    /// Returns whether the trace is sampled, so that the span will be sent.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.existing_record().is_some_and(|record| record.state.is_sampled())
    }

    /// Returns whether the span's tags and logs are recorded: it is sampled, or may yet be, because
    /// its sampler has deferred the decision or the tracer [samples
    /// tails](crate::TailSamplingConfig).
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.existing_record().is_some_and(|record| record.state.is_recording())
    }

    /// Returns whether tags are of any use now, other than `sampling.priority`: the span is recorded, or
    /// observers are notified of them.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let span = tracer.start_span("query");
    /// if span.wants_tags() {
    ///     span.set_tag("plan", format!("{:?}", ["scan", "sort"]));
    /// }
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn wants_tags(&self) -> bool {
        self.existing_record().is_some_and(|record| record.state.wants_tags())
    }

    /// Converts a given time to nanoseconds since the Unix epoch, clamped to storable times.
    pub(in crate::span) fn checked_nanos(&self, call: &'static str, time: SystemTime) -> i64 {
        self.stripe().map_or(0, |stripe| stripe.checked_nanos(call, time))
    }

    /// Makes the span the active one of this thread until the guard is dropped.
    ///
    /// For synchronous code only: across an `.await` use
    /// [`TraceFutureExt::in_span`](crate::TraceFutureExt::in_span), or another task sees this span as its own.
    pub fn activate(&self) -> Scope {
        Scope::enter(self.record_handle())
    }

    /// Returns the active span of this thread, or of the task being polled on it, of any tracer;
    /// see [`Tracer::active_span`](crate::Tracer::active_span).
    #[must_use]
    pub fn active() -> Option<Self> {
        active::active()
    }

    /// Drops a handle on a span that others have handles on too: that costs less than to drop any handle. The
    /// last one finishes the span all the same.
    #[inline]
    pub fn drop_shared(self) {
        if let Repr::Recorded(handle) = self.repr {
            handle.drop_shared();
        }
    }

    /// Returns whether a span is active on this thread, of any tracer. It costs less than to ask for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::Span;
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let span = tracer.start_span("op");
    /// assert!(!Span::is_any_active());
    /// let _active = span.activate();
    /// assert!(Span::is_any_active());
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn is_any_active() -> bool {
        active::is_any_active()
    }
}

impl AsSpanContext for Span {
    fn as_span_context(&self) -> Cow<'_, SpanContext> {
        Cow::Owned(self.context_or_empty())
    }
}

/// The maximum length of a logged call stack: the frames beyond it are those that all calls share.
const MAX_STACK_BYTES: usize = 4096;

/// The maximum number of logged sources of an error.
const MAX_SOURCES: usize = 16;
