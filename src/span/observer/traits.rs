//! Observers: code of the application, or of another crate, that is told what is done to spans.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::start_tags::StartTags;
use crate::encoding::ReferenceView;
use crate::span::repr::Span;
use crate::span::tag::TagValue;

/// Is told about each span that a tracer starts, and may follow it to its end.
///
/// It sees every span, sampled or not, with names and values as they were given, before they are
/// cut. It is told after the decision whether to sample and before the tags that the span is
/// started with, of which each comes to [`SpanObserver::on_set_tag`] too. Several are told in the
/// order in which they were [registered](crate::TracerBuilder::observer).
///
/// No lock is held during a call, so it may use the span that it is told about, and may start
/// others. What it does itself is not told to any observer: neither the tags it sets, nor the
/// names it gives, nor the spans it starts. A panic of its ends neither the application's call nor
/// the span: it is counted in [`Stats::observer_panics`](crate::Stats::observer_panics), and
/// reported.
///
/// # Cost
///
/// Called on the application's threads, so it must not block. With an observer, every span of the
/// tracer has a record and reads the clock, and what an observer returns is allocated. A tracer
/// without observers pays nothing.
///
/// # Source
///
/// `ContribObserver` in jaeger-client-go, `contrib_observer.go`. There an observer that sets a tag
/// is told about it again.
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
    /// A span was started. What is returned is told about it until it is finished.
    ///
    /// Rather than keep a handle on the span, which would keep it from being finished by its last
    /// drop, use the one that comes with each call.
    fn on_start_span(
        &self,
        span: &Span,
        operation: &str,
        options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>>;
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn on_start_span(
        &self,
        span: &Span,
        operation: &str,
        options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        (**self).on_start_span(span, operation, options)
    }
}

/// Is told about one span.
///
/// Calls come from whichever threads use the span, and at once if they do.
///
/// # Source
///
/// `ContribSpanObserver` in jaeger-client-go, `contrib_observer.go`.
pub trait SpanObserver: Send + Sync {
    /// The span was given another name.
    fn on_set_operation_name(&self, span: &Span, name: &str) {
        let _ = (span, name);
    }

    /// The span is about to be given a tag, with which or after which it was started: before a
    /// sampler is asked about it and before it is stored, if it is.
    ///
    /// Unsigned numbers above the signed range that a span is *started* with come as they are
    /// sent, wrapped, and a `sampling.priority` among those has acted already. The tags of a
    /// sampler are not told.
    fn on_set_tag(&self, span: &Span, key: &str, value: TagValue<'_>) {
        let _ = (span, key, value);
    }

    /// The span is about to be finished, by whichever handle, or because the last one was dropped.
    /// Called once. Tags and logs that it is given now still belong to it.
    fn on_finish(&self, span: &Span, finish: &SpanFinish) {
        let _ = (span, finish);
    }
}

/// What a span was started with.
///
/// # Source
///
/// `StartSpanOptions` in opentracing-go.
pub struct StartSpanOptions<'a> {
    start_time: SystemTime,
    given: &'a StartTags,
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
        given: &'a StartTags,
        references: &'a (dyn Fn() -> Vec<ReferenceView> + Send + Sync),
    ) -> Self {
        Self { start_time, given, references }
    }

    /// When it began, or is said to have begun.
    #[must_use]
    pub fn start_time(&self) -> SystemTime {
        self.start_time
    }

    /// Its tags, as they were given.
    pub fn tags(&self) -> impl Iterator<Item = (&str, TagValue<'_>)> {
        self.given.tags()
    }

    /// The spans it refers to.
    #[must_use]
    pub fn references(&self) -> Vec<ReferenceView> {
        (self.references)()
    }
}

/// What the application wants to be called when a span is about to be finished.
pub(super) type FinishCallback = Box<dyn FnOnce(&Span) + Send>;

/// How a span is finished.
///
/// # Source
///
/// `FinishOptions` in opentracing-go; the duration and the decision are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanFinish {
    /// When it is finished, or is said to be.
    pub finish_time: SystemTime,
    /// From its start to then; zero if that is before it.
    pub duration: Duration,
    /// Whether it is sampled so far. A sampler that defers is asked once more after observers.
    pub is_sampled: bool,
}
