//! Contexts in and out of tracing's spans.

use std::fmt;
use std::sync::Arc;

use jaeger_client::{Parent, SpanContext};
use tracing::Span;

use crate::layer::JaegerLayer;
use crate::spans::Spans;
use crate::stats::LayerStats;

/// Brings contexts from other processes into spans of tracing, and out of them, where a
/// [`JaegerLayer`] is in the span's subscriber. Without one, and on spans that are disabled, it does
/// nothing.
///
/// Of several such layers in one subscriber the outermost is used; for the others there are
/// [handles](LayerHandle).
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use jaeger_client::Tracer;
/// use jaeger_client_tracing::SpanExt as _;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let (tracer, _closer) = Tracer::builder("svc").null_reporter().build()?;
/// let subscriber = tracing_subscriber::registry().with(jaeger_client_tracing::layer(tracer.clone()));
/// tracing::subscriber::with_default(subscriber, || {
///     let request = HashMap::from([("uber-trace-id".to_owned(), "a:b:0:1".to_owned())]);
///     let span = tracing::info_span!("serve");
///     span.set_parent(tracer.extract(&request).ok());
///
///     let mut next = HashMap::<String, String>::new();
///     let context = span.context().expect("the layer is there");
///     tracer.inject(&context, &mut next);
///     assert!(next["uber-trace-id"].starts_with("000000000000000a:"));
/// });
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub trait SpanExt {
    /// Makes the span a child of a context that came from elsewhere, usually another process. `None`,
    /// as of a carrier without a context, changes nothing.
    ///
    /// Allowed at any time before the span ends. Before the span is entered, read, or has children,
    /// the sampling decision is the parent's. Later, the span starts anew with all that it had;
    /// child spans stay in the trace where they began, and the tracer counts the abandoned span as
    /// one that is not sampled. Earlier fields and events of an unsampled span with another parent
    /// are lost, as they were not recorded. A span that has ended, or is not the layer's, is left
    /// alone and [counted](LayerStats::parents_refused).
    fn set_parent(&self, parent: impl Parent);

    /// Returns the context for another process, or for a log. `None` if no layer knows the span.
    fn context(&self) -> Option<SpanContext>;

    /// Returns the tracer's span, for functions that tracing lacks, such as baggage. It ends when
    /// tracing's span does, even if there are other handles. `None` if no layer knows the span.
    fn jaeger_span(&self) -> Option<jaeger_client::Span>;
}

impl SpanExt for Span {
    fn set_parent(&self, parent: impl Parent) {
        let Some(parent) = parent.context() else { return };
        with_layer(self, |spans, id| spans.set_parent(id, parent));
    }

    fn context(&self) -> Option<SpanContext> {
        self.jaeger_span().map(|span| span.context())
    }

    fn jaeger_span(&self) -> Option<jaeger_client::Span> {
        with_layer(self, |spans, id| spans.live(id)).flatten()
    }
}

fn with_layer<T>(span: &Span, work: impl FnOnce(&Spans, u64) -> T) -> Option<T> {
    let found = span.with_subscriber(|(id, dispatch)| {
        let layer = dispatch.downcast_ref::<JaegerLayer>()?;
        Some(work(layer.spans(), id.into_u64()))
    });
    found.flatten()
}

/// A handle on a layer, with its spans and counts; see [`JaegerLayer::handle`].
#[derive(Clone)]
pub struct LayerHandle {
    spans: Arc<Spans>,
}

impl LayerHandle {
    pub(crate) fn new(spans: Arc<Spans>) -> Self {
        Self { spans }
    }

    /// Counts of tracing's spans and events that have not become part of a span.
    ///
    /// # Cost
    ///
    /// Looks at each open span.
    #[must_use]
    pub fn stats(&self) -> LayerStats {
        self.spans.counters.read(self.spans.pending())
    }

    /// See [`SpanExt::set_parent`], for a span of this layer's subscriber.
    pub fn set_parent(&self, span: &Span, parent: impl Parent) {
        if let (Some(id), Some(parent)) = (span.id(), parent.context()) {
            self.spans.set_parent(id.into_u64(), parent);
        }
    }

    /// See [`SpanExt::context`], for a span of this layer's subscriber.
    #[must_use]
    pub fn context(&self, span: &Span) -> Option<SpanContext> {
        self.jaeger_span(span).map(|span| span.context())
    }

    /// See [`SpanExt::jaeger_span`], for a span of this layer's subscriber.
    #[must_use]
    pub fn jaeger_span(&self, span: &Span) -> Option<jaeger_client::Span> {
        span.id().and_then(|id| self.spans.live(id.into_u64()))
    }

    /// Returns the context by the span's number.
    pub(crate) fn context_of(&self, id: &tracing::span::Id) -> Option<SpanContext> {
        self.spans.live(id.into_u64()).map(|span| span.context())
    }
}

impl fmt::Debug for LayerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerHandle").field("tracer", &self.spans.tracer).finish_non_exhaustive()
    }
}
