//! The handle that applications hold on a live span.
//!
//! Walk steps 3 to 5: tags and logs are encoded into the span's record as they are set; `finish`,
//! or the end of the last handle, writes the span to the tracer's sink.

mod builder;
mod context;
pub(crate) mod core;
mod future;
pub(crate) mod inner;
mod scope;
pub(crate) mod state;
mod tag;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

pub(crate) use self::builder::start_plain;
pub use self::builder::{Parent, SpanBuilder};
pub(crate) use self::context::Baggage;
pub use self::context::SpanContext;
use self::core::{Core, CoreRef};
pub use self::future::{InSpan, TraceFutureExt, wrap};
pub(crate) use self::inner::lane;
use self::inner::{Body, SpanInner};
pub use self::scope::Scope;
use self::state::{DEBUG, SAMPLED};
pub use self::tag::{OwnedTagValue, TagValue};
use crate::clock::unix_nanos;
use crate::diag::Cause;
use crate::encoding::{ValueView, cut};

/// A live span.
///
/// Handles are cheap to clone and may be used from any thread; all of them mean the same span. It
/// is finished by [`finish`](Self::finish), or when the last handle is dropped. What is called on
/// it after that does nothing, and is counted as misuse (tags and logs only where it is sampled:
/// on a span that is not, they do nothing in any case).
///
/// # Cost
///
/// Setting a tag on a sampled span takes one uncontended lock and writes the tag's bytes; on one
/// that is not sampled it is a comparison. Nothing is allocated in steady state.
///
/// # Source
///
/// `Span` in jaeger-client-go, `span.go`; finishing once only is from the Java client.
///
/// # Examples
///
/// ```
/// use jaeger_client::{InMemoryReporter, Tracer};
/// let reporter = InMemoryReporter::new();
/// let (tracer, _closer) = Tracer::builder("svc").in_memory(&reporter).build()?;
/// let span = tracer.start_span("get");
/// span.set_tag("http.status_code", 200).log_event("cache miss");
/// span.finish();
/// assert_eq!(reporter.spans()[0].view().operation(), "get");
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub struct Span {
    /// None only while it is being dropped.
    inner: Option<Arc<SpanInner>>,
}

impl Span {
    pub(crate) fn new(inner: Arc<SpanInner>) -> Self {
        Self { inner: Some(inner) }
    }

    /// The record and the tracer's core, which a live span always has.
    #[inline]
    fn parts(&self) -> Option<(&Arc<SpanInner>, &Arc<CoreRef>)> {
        let inner = self.inner.as_ref()?;
        Some((inner, inner.core.as_ref()?))
    }

    pub(crate) fn belongs_to(&self, core: &Arc<CoreRef>) -> bool {
        self.parts().is_some_and(|(_, own)| own.is_same(core))
    }

    /// Sets a tag. A key may be set more than once; all are sent, and the last one counts.
    ///
    /// `sampling.priority` is not stored as such but acts: a number above 0 forces the trace to be
    /// recorded, 0 stops it.
    #[inline]
    pub fn set_tag<'v>(&self, key: &str, value: impl Into<TagValue<'v>>) -> &Self {
        let Some((inner, core)) = self.parts() else { return self };
        let value = value.into();
        if key.len() == SAMPLING_PRIORITY.len() && key == SAMPLING_PRIORITY {
            set_priority(inner, core, value);
        } else if inner.state().is_sampled() {
            let mut body = inner.body.lock();
            if body.finished {
                drop(body);
                misused(core, "set_tag");
            } else {
                body.tags.tag(key.as_bytes(), value.view(core.max_tag_value_bytes));
                body.tag_count += 1;
            }
        }
        self
    }

    /// Logs fields at this moment.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let span = tracer.start_span("get");
    /// span.log(&[("event", "retry".into()), ("attempt", 2.into())]);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline]
    pub fn log(&self, fields: &[(&str, TagValue<'_>)]) -> &Self {
        self.log_with(None, fields)
    }

    /// Logs fields at a moment of the past.
    pub fn log_at(&self, time: SystemTime, fields: &[(&str, TagValue<'_>)]) -> &Self {
        self.log_with(Some(unix_nanos(time)), fields)
    }

    /// Logs the field `event`.
    pub fn log_event(&self, event: &str) -> &Self {
        self.log_with(None, &[("event", TagValue::Str(event))])
    }

    fn log_with(&self, at: Option<i64>, fields: &[(&str, TagValue<'_>)]) -> &Self {
        let Some((inner, core)) = self.parts() else { return self };
        if inner.state().is_sampled() {
            let mut body = inner.body.lock();
            if body.finished {
                drop(body);
                misused(core, "log");
            } else {
                body.log(core, at, fields);
            }
        }
        self
    }

    /// Gives the span another name.
    pub fn set_operation_name(&self, name: impl Into<Cow<'static, str>>) -> &Self {
        let Some((inner, core)) = self.parts() else { return self };
        let name = name.into();
        let mut body = inner.body.lock();
        if body.finished {
            drop(body);
            misused(core, "set_operation_name");
        } else {
            body.name = name;
        }
        self
    }

    /// Sets a baggage item, which travels with the trace from here on; an empty value removes it.
    ///
    /// A value longer than the limit (2,048 bytes) is cut. A sampled span logs the change.
    pub fn set_baggage_item(&self, key: &str, value: &str) -> &Self {
        let Some((inner, core)) = self.parts() else { return self };
        let kept = cut(value, core.max_baggage_value_bytes);
        let truncated = kept.len() < value.len();
        if truncated {
            core.baggage_limited.fetch_add(1, Ordering::Relaxed);
        }
        let mut body = inner.body.lock();
        if body.finished {
            drop(body);
            misused(core, "set_baggage_item");
            return self;
        }
        let before = body.baggage.take();
        let overrides = before.as_ref().and_then(|b| b.get(key)).is_some_and(|v| !v.is_empty());
        body.baggage = Baggage::with(before.as_deref(), key, kept);
        if inner.state().is_sampled() {
            let all = [
                ("event", TagValue::Str("baggage")),
                ("key", TagValue::Str(key)),
                ("value", TagValue::Str(kept)),
                ("override", TagValue::Str("true")),
                ("truncated", TagValue::Str("true")),
            ];
            let wanted = [true, true, true, overrides, truncated];
            let mut fields = [("", TagValue::Bool(false)); 5];
            let mut count = 0;
            for (field, _) in all.into_iter().zip(wanted).filter(|(_, wanted)| *wanted) {
                fields[count] = field;
                count += 1;
            }
            body.log(core, None, &fields[..count]);
        }
        self
    }

    /// The value of a baggage item.
    #[must_use]
    pub fn baggage_item(&self, key: &str) -> Option<String> {
        let (inner, _) = self.parts()?;
        inner.body.lock().baggage.as_ref()?.get(key).map(str::to_owned)
    }

    /// What to hand on to others: children, and other processes.
    #[must_use]
    pub fn context(&self) -> SpanContext {
        self.inner.as_ref().map(|inner| inner.context()).unwrap_or_default()
    }

    /// Whether the span is being recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.state().is_sampled())
    }

    /// Finishes the span now.
    #[inline]
    pub fn finish(&self) {
        self.finish_with(None);
    }

    /// Finishes the span at a moment given. A moment before its start gives a duration of zero.
    pub fn finish_at(&self, time: SystemTime) {
        self.finish_with(Some(unix_nanos(time)));
    }

    fn finish_with(&self, end: Option<i64>) {
        let Some((inner, core)) = self.parts() else { return };
        let mut body = inner.body.lock();
        // Reports come after the lock: a logger is foreign code, and may use this very span.
        if body.finished {
            drop(body);
            misused(core, "finish");
        } else if !inner.finish_locked(core, &mut body, end) {
            drop(body);
            core.report_closed();
        }
    }

    /// Makes the span the active one of this thread until the guard is dropped.
    ///
    /// For synchronous code only: across an `.await` use
    /// [`TraceFutureExt::in_span`], or another task sees this span as its own.
    pub fn activate(&self) -> Scope {
        Scope::enter(self.clone())
    }

    /// The active span of this thread, or of the task being polled on it.
    #[must_use]
    pub fn active() -> Option<Self> {
        scope::active()
    }
}

impl Clone for Span {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        if let Some(record) = self.inner.take() {
            inner::end(record);
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&format_args!("{}", self.context())).finish()
    }
}

impl Body {
    /// Appends a log. Fields are never cut, as in Go; a span that gets too large is trimmed whole.
    fn log(&mut self, core: &Core, at: Option<i64>, fields: &[(&str, TagValue<'_>)]) {
        let at = at.unwrap_or_else(|| self.now_wall(core));
        self.logs.log_head(at / 1000, fields.len());
        for (key, value) in fields {
            self.logs.tag(key.as_bytes(), value.view(usize::MAX));
        }
        self.logs.push(0);
        self.log_count += 1;
    }
}

/// The tag that forces or stops recording.
pub(crate) const SAMPLING_PRIORITY: &str = "sampling.priority";

/// A `sampling.priority` of any number; anything else is ignored.
fn priority_of(value: TagValue<'_>) -> Option<bool> {
    match value {
        TagValue::I64(number) => Some(number > 0),
        TagValue::U64(number) => Some(number > 0),
        TagValue::F64(number) if !number.is_nan() => Some(number > 0.0),
        _ => None,
    }
}

pub(crate) fn set_priority(inner: &SpanInner, core: &Core, value: TagValue<'_>) {
    let Some(force) = priority_of(value) else { return };
    let mut body = inner.body.lock();
    if body.finished {
        drop(body);
        return misused(core, "set_tag");
    }
    if !force {
        // Both bits: a trace that keeps the debug bit would still be kept downstream.
        return inner.state().remove(SAMPLED | DEBUG);
    }
    let now = core.clock.monotonic_nanos();
    if body.start.is_none() && !body.start_given {
        body.start = Some(now);
        body.start_wall = core.anchor.wall(now);
    }
    inner.state().force(SAMPLED | DEBUG, now);
    let view: ValueView<'_> = value.view(core.max_tag_value_bytes);
    body.tags.tag(SAMPLING_PRIORITY.as_bytes(), view);
    body.tag_count += 1;
}

#[cold]
fn misused(core: &Core, call: &'static str) {
    core.misused.fetch_add(1, Ordering::Relaxed);
    core.diagnostics.error(Cause::Misused, || format!("{call} on a span after it was finished"));
}
