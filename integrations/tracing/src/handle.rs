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
/// Of several such layers in one subscriber the outermost is asked; for the others there are
/// [handles](LayerHandle).
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use jaeger_client::{Tracer, propagation::HttpHeaders};
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
    /// Makes the span a child of a context that came from elsewhere, usually another process. Nothing
    /// to extract is no parent.
    ///
    /// It can be done at any time before the span ends. Done before the span is entered, asked for, or
    /// has children, nobody is asked about sampling it but the parent. Done later, the span starts
    /// anew with all that it had; what has begun below it stays in the trace where it began, and the
    /// tracer counts the span that was given up as one that is not sampled. Of a span that is not
    /// sampled and was made below another one, earlier fields and events are lost, as they were not
    /// kept. A span that has ended, or is not the layer's, is left alone and
    /// [counted](LayerStats::parents_refused).
    fn set_parent(&self, parent: impl Parent);

    /// What to hand on to another process, or to write into a log. None where no layer knows the span.
    fn context(&self) -> Option<SpanContext>;

    /// The span as the tracer has it, for what tracing has no word for, such as baggage. It ends when
    /// tracing's span does, whoever still has it. None where no layer knows the span.
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

/// Asks a certain layer, where there are several, and tells what it has counted.
#[derive(Clone)]
pub struct LayerHandle {
    spans: Arc<Spans>,
}

impl LayerHandle {
    pub(crate) fn new(spans: Arc<Spans>) -> Self {
        Self { spans }
    }

    /// What of tracing's spans and events has not become part of a span.
    ///
    /// # Cost
    ///
    /// Looks at each open span.
    #[must_use]
    pub fn stats(&self) -> LayerStats {
        self.spans.counters.read(self.spans.pending())
    }

    /// As [`SpanExt::set_parent`], of a span of this layer's subscriber.
    pub fn set_parent(&self, span: &Span, parent: impl Parent) {
        if let (Some(id), Some(parent)) = (span.id(), parent.context()) {
            self.spans.set_parent(id.into_u64(), parent);
        }
    }

    /// As [`SpanExt::context`], of a span of this layer's subscriber.
    #[must_use]
    pub fn context(&self, span: &Span) -> Option<SpanContext> {
        self.jaeger_span(span).map(|span| span.context())
    }

    /// As [`SpanExt::jaeger_span`], of a span of this layer's subscriber.
    #[must_use]
    pub fn jaeger_span(&self, span: &Span) -> Option<jaeger_client::Span> {
        span.id().and_then(|id| self.spans.live(id.into_u64()))
    }

    /// The same by the span's number.
    pub(crate) fn context_of(&self, id: &tracing::span::Id) -> Option<SpanContext> {
        self.spans.live(id.into_u64()).map(|span| span.context())
    }
}

impl fmt::Debug for LayerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerHandle").field("tracer", &self.spans.tracer).finish_non_exhaustive()
    }
}
