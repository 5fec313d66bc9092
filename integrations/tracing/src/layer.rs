//! The layer as tracing calls it.

use std::fmt;
use std::sync::Arc;

use jaeger_client::{EncodedFields, Span};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::builder::JaegerLayerBuilder;
use crate::callsite::Callsite;
use crate::fields::{recycle_encoded, take_encoded};
use crate::filter::DefaultFilter;
use crate::handle::LayerHandle;
use crate::logger;
use crate::spans::Spans;
use crate::target::{Log, LogRecord};
use crate::visit::Visitor;

/// Makes spans of a [`Tracer`](jaeger_client::Tracer) of tracing's spans, and logs of its events.
///
/// The layer is made by [`layer`](crate::layer()) or [`builder`](Self::builder), which put a filter
/// of its own before it.
///
/// # Cost
///
/// Nothing is allocated for a span or an event in steady state, as long as values need not be kept
/// under their own keys (sources of errors) and texts are of usual length.
///
/// # Source
///
/// The contract is that of [`Layer`]; names of fields with a meaning are those of
/// tracing-opentelemetry.
///
/// # Examples
///
/// ```
/// use jaeger_client::{InMemoryReporter, Tracer};
/// use jaeger_client_tracing::{DefaultFilter, JaegerLayer};
/// use tracing_subscriber::filter::LevelFilter;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let reporter = InMemoryReporter::new();
/// let (tracer, _closer) = Tracer::builder("svc").in_memory(&reporter).build()?;
/// let layer = JaegerLayer::builder(tracer).filter(DefaultFilter::new(LevelFilter::DEBUG)).build();
/// let subscriber = tracing_subscriber::registry().with(layer);
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::debug_span!("charge", amount = 5_u64).in_scope(|| tracing::info!("accepted"));
/// });
/// assert_eq!(reporter.spans()[0].view().operation_name(), "charge");
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub struct JaegerLayer {
    spans: Arc<Spans>,
}

impl JaegerLayer {
    /// Returns the builder of a layer for a tracer.
    pub fn builder(tracer: jaeger_client::Tracer) -> JaegerLayerBuilder<DefaultFilter> {
        JaegerLayerBuilder::new(tracer)
    }

    /// Returns a handle for access to the layer's spans and counts after the layer was given to a
    /// subscriber. A layer with a filter has this method inside: `layer.inner().handle()`.
    #[must_use]
    pub fn handle(&self) -> LayerHandle {
        LayerHandle::new(Arc::clone(&self.spans))
    }

    pub(crate) fn new(spans: Spans) -> Self {
        Self { spans: Arc::new(spans) }
    }

    pub(crate) fn spans(&self) -> &Spans {
        &self.spans
    }

    /// Begins a span whose parent is not simply the span entered last.
    #[inline(never)]
    fn begin_slow<S>(&self, attrs: &Attributes<'_>, id: &Id, ctx: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let spans = &*self.spans;
        let number = id.into_u64();
        let current = || ctx.current_span().id().map(Id::into_u64);
        // The filter has turned the nearest one off: the next that is on, if there is any.
        let ancestor = || {
            let mut scope = ctx.span(id)?.scope().skip(1);
            scope.find_map(|ancestor| spans.live(ancestor.id().into_u64()))
        };
        let parent = if let Some(parent) = attrs.parent() {
            spans.live(parent.into_u64()).or_else(ancestor)
        } else if attrs.is_root() {
            None
        } else if let Some(entered) = spans.scopes().innermost() {
            if !spans.options.may_miss_spans() || current() == Some(entered) {
                // The active one is found faster by the tracer.
                if spans.scopes().is_innermost() {
                    return spans.begin_entered_child(number, attrs);
                }
                return spans.begin_child(number, attrs, None);
            }
            ancestor().or_else(|| spans.tracer.active_span())
        } else {
            // Inside of a span that is off, its ancestors need not be entered on this thread.
            let is_inside = || spans.options.may_miss_spans() && current().is_some();
            spans.tracer.active_span().or_else(|| if is_inside() { ancestor() } else { None })
        };
        match parent {
            Some(parent) => spans.begin_child(number, attrs, Some(&parent)),
            None => spans.begin_root(number, attrs),
        }
    }

    /// Logs an event whose span is not simply the one entered last.
    #[inline(never)]
    fn log_slow(&self, event: &Event<'_>) {
        let spans = &*self.spans;
        let span = if let Some(parent) = event.parent() {
            spans.live(parent.into_u64())
        } else if event.is_root() {
            None
        } else {
            spans.tracer.active_span()
        };
        match span {
            Some(span) => self.log(event, &span),
            None => spans.counters.count(&spans.counters.events_without_span),
        }
    }

    /// Logs an event to a span.
    fn log(&self, event: &Event<'_>, span: &Span) {
        let metadata = event.metadata();
        if *metadata.level() == Level::ERROR && !self.spans.options.no_error_events {
            span.replace_tag("error", true);
        }
        if !span.is_recording() {
            return;
        }
        let callsite = Callsite::of_log(metadata);
        let mut fields = take_encoded();
        fields.extend(&callsite.log_head);
        if callsite.is_of_log_crate {
            self.encode_record(event, callsite, &mut fields);
        } else {
            let target = Log { fields: &mut fields, callsite };
            event.record(&mut Visitor::new(target, &self.spans.counters));
            fields.extend(&callsite.log_tail);
        }
        span.log_encoded(&fields);
        recycle_encoded(fields);
    }

    /// Encodes the fields of a record of the crate `log`, with the target that it was written with.
    #[cold]
    #[inline(never)]
    fn encode_record(
        &self,
        event: &Event<'_>,
        callsite: &'static Callsite,
        fields: &mut EncodedFields,
    ) {
        let log = Log { fields, callsite };
        let mut visitor = Visitor::new(LogRecord { log, target: None }, &self.spans.counters);
        event.record(&mut visitor);
        let LogRecord { log, target } = visitor.target;
        match target {
            None => log.fields.extend(&callsite.log_tail),
            Some(target) => {
                log.fields.extend(&callsite.level);
                log.fields.push_named("target", target);
            }
        }
    }
}

impl fmt::Debug for JaegerLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JaegerLayer").field("tracer", &self.spans.tracer).finish_non_exhaustive()
    }
}

impl Drop for JaegerLayer {
    fn drop(&mut self) {
        self.spans.close_all();
    }
}

impl<S> Layer<S> for JaegerLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attrs: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        if logger::is_logging() {
            return;
        }
        let spans = &*self.spans;
        let number = id.into_u64();
        if attrs.is_contextual() && !spans.options.may_miss_spans() {
            if spans.scopes().is_innermost() {
                return spans.begin_entered_child(number, attrs);
            }
            if !Span::is_any_active() {
                return spans.begin_root(number, attrs);
            }
        }
        self.begin_slow(attrs, id, &ctx);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _ctx: Context<'_, S>) {
        self.spans.record(id.into_u64(), values);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, _ctx: Context<'_, S>) {
        self.spans.follows_from(id.into_u64(), follows.into_u64());
    }

    fn on_event(&self, event: &Event<'_>, _ctx: Context<'_, S>) {
        if logger::is_logging() {
            return;
        }
        if event.is_contextual()
            && let Some(span) = self.spans.scopes().active_span()
        {
            self.log(event, &span);
            span.drop_shared();
        } else {
            self.log_slow(event);
        }
    }

    fn on_enter(&self, id: &Id, _ctx: Context<'_, S>) {
        self.spans.enter(id.into_u64());
    }

    fn on_exit(&self, id: &Id, _ctx: Context<'_, S>) {
        self.spans.exit(id.into_u64());
    }

    fn on_close(&self, id: Id, _ctx: Context<'_, S>) {
        self.spans.close(id.into_u64());
    }

    fn on_id_change(&self, old: &Id, new: &Id, _ctx: Context<'_, S>) {
        self.spans.change_id(old.into_u64(), new.into_u64());
    }
}
