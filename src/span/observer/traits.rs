//! Observers: user callbacks that are notified of what happens to spans.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::interest::ObserverInterest;
use super::observed_span::ObservedSpan;
use super::start_tags::StartTags;
use crate::encoding::ReferenceView;
use crate::span::repr::Span;
use crate::span::tag::TagValue;

/// Receives a notification for each span that a tracer starts, and may observe it to its end; or, for a
/// fraction of the cost, one for each span that is finished, if that is its
/// [interest](Self::interest).
///
/// An observer sees every span, sampled or not, with names and values as they were given, before
/// they are truncated. At a start, it is called after the sampling decision and before the tags that the span
/// is started with, of which each is passed to [`SpanObserver::on_set_tag`] too. Several observers
/// are called in the order in which they were [registered](crate::TracerBuilder::observer), those of
/// finished spans alone after the others.
///
/// A span that is [restarted](crate::Span::restart_as_child_of) is one span to observers: with the ids of
/// the span that continues in its place from then on.
///
/// No lock is held during a call, so an observer may use the span, and may start others. Its own
/// actions are not passed to any observer: neither the tags it sets, nor the names it gives, nor
/// the spans it starts. A panic of an observer ends neither the application's call nor the span: it
/// is counted in [`Stats::observer_panics`](crate::Stats::observer_panics), and logged.
///
/// # Cost
///
/// Called on the application's threads, so it must not block. With an observer, every span of the
/// tracer has a record and reads the clock. Unless only [finished
/// spans](crate::ObserverInterest::finished_spans) are wanted, each call on a span takes the slow path, and
/// the returned observer is allocated. A tracer without observers pays nothing.
///
/// # Source
///
/// `ContribObserver` in jaeger-client-go, `contrib_observer.go`. There an observer that sets a tag
/// is called for it again.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use jaeger_client::{SpanFinish, Observer, Span, SpanObserver, StartSpanOptions, Tracer};
///
/// #[derive(Clone, Debug, Default)]
/// struct Slow(Arc<AtomicU64>);
///
/// impl Observer for Slow {
///     fn on_start_span(
///         &self,
///         _span: &Span,
///         operation: &str,
///         _options: &StartSpanOptions<'_>,
///     ) -> Option<Box<dyn SpanObserver>> {
///         operation.starts_with("GET").then(|| Box::new(self.clone()) as Box<dyn SpanObserver>)
///     }
/// }
///
/// impl SpanObserver for Slow {
///     fn on_finish(&self, _span: &Span, finish: &SpanFinish) {
///         self.0.fetch_add(u64::from(finish.duration.as_secs() >= 1), Ordering::Relaxed);
///     }
/// }
///
/// let slow = Slow::default();
/// let (tracer, _closer) =
///     Tracer::builder("svc").observer(slow.clone()).null_reporter().build()?;
/// let span = tracer.start_span("GET /orders");
/// span.finish_at(std::time::SystemTime::now() + std::time::Duration::from_secs(2));
/// assert_eq!(slow.0.load(Ordering::Relaxed), 1);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub trait Observer: fmt::Debug + Send + Sync {
    /// Returns what the observer is to be notified of. Called once, when the tracer is built; everything by
    /// default.
    fn interest(&self) -> ObserverInterest {
        ObserverInterest::all()
    }

    /// Called when a span was started. The returned span observer is called until the span is
    /// finished.
    ///
    /// Rather than store a handle on the span, which would keep it from being finished by its last
    /// drop, use the one that comes with each call.
    fn on_start_span(
        &self,
        span: &Span,
        operation: &str,
        options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        let _ = (span, operation, options);
        None
    }

    /// Called when a span is finished, by any handle, or because the last one was dropped. Called only
    /// if the observer's interest is in [finished
    /// spans](crate::ObserverInterest::finished_spans) alone.
    ///
    /// The span can no longer be changed, and may have been handed to the reporter before. It has the tags
    /// that other observers have set, and not those of a sampler. Whether it is
    /// [sampled](ObservedSpan::is_sampled) is its state before tail sampling decides by its duration. Not called
    /// for spans that an observer starts, nor in a forked process.
    fn on_span_finished(&self, span: &ObservedSpan<'_>) {
        let _ = span;
    }
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn interest(&self) -> ObserverInterest {
        (**self).interest()
    }

    fn on_span_finished(&self, span: &ObservedSpan<'_>) {
        (**self).on_span_finished(span);
    }

    fn on_start_span(
        &self,
        span: &Span,
        operation: &str,
        options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        (**self).on_start_span(span, operation, options)
    }
}

/// Receives notifications about one span.
///
/// Calls come from all threads that use the span, concurrently if they do.
///
/// # Source
///
/// `ContribSpanObserver` in jaeger-client-go, `contrib_observer.go`.
pub trait SpanObserver: Send + Sync {
    /// Called when the span was renamed.
    fn on_set_operation_name(&self, span: &Span, name: &str) {
        let _ = (span, name);
    }

    /// Called when the span is about to be given a tag, at or after its start: before the sampler
    /// is called and before the tag is stored, if it is.
    ///
    /// Unsigned numbers above the signed range that a span is *started* with come as they are sent,
    /// wrapped, and a `sampling.priority` among those has acted already. There is no call for the
    /// tags of a sampler.
    fn on_set_tag(&self, span: &Span, key: &str, value: TagValue<'_>) {
        let _ = (span, key, value);
    }

    /// Called when the span is about to be finished, by any handle, or because the last one was
    /// dropped. Called once. Tags and logs set in this call still belong to the span.
    fn on_finish(&self, span: &Span, finish: &SpanFinish) {
        let _ = (span, finish);
    }
}

/// The options with which a span was started.
///
/// # Source
///
/// `StartSpanOptions` in opentracing-go.
pub struct StartSpanOptions<'a> {
    start_time: SystemTime,
    start_tags: &'a StartTags,
    references: &'a (dyn Fn() -> Vec<ReferenceView> + Send + Sync),
}

impl fmt::Debug for StartSpanOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartSpanOptions")
            .field("start_time", &self.start_time())
            .field("tags", &self.tags().count())
            .field("references", &self.references().len())
            .finish_non_exhaustive()
    }
}

impl<'a> StartSpanOptions<'a> {
    pub(super) fn new(
        start_time: SystemTime,
        start_tags: &'a StartTags,
        references: &'a (dyn Fn() -> Vec<ReferenceView> + Send + Sync),
    ) -> Self {
        Self { start_time, start_tags, references }
    }

    /// Returns the start time, as read or given.
    #[must_use]
    pub fn start_time(&self) -> SystemTime {
        self.start_time
    }

    /// Returns the tags, as they were given.
    pub fn tags(&self) -> impl Iterator<Item = (&str, TagValue<'_>)> {
        self.start_tags.tags()
    }

    /// Returns the references to other spans.
    #[must_use]
    pub fn references(&self) -> Vec<ReferenceView> {
        (self.references)()
    }
}

/// A callback of the application for a span that is about to be finished.
pub(super) type FinishCallback = Box<dyn FnOnce(&Span) + Send>;

/// The end of a span.
///
/// # Source
///
/// `FinishOptions` in opentracing-go; the duration and the decision are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanFinish {
    /// The end time, as read or given.
    pub finish_time: SystemTime,
    /// The duration; zero if the end is before the start.
    pub duration: Duration,
    /// Whether the trace is sampled so far. A sampler that defers is called once more after
    /// observers.
    pub is_sampled: bool,
}
