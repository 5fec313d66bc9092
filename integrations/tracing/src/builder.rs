//! Makes a layer with what can be chosen about it.

use std::any::TypeId;

use jaeger_client::{Clock, Tracer};
use tracing::Subscriber;
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::{Filter, Layer as _};
use tracing_subscriber::registry::LookupSpan;

use crate::filter::DefaultFilter;
use crate::layer::JaegerLayer;
use crate::spans::{FilteredBy, Options, Spans};

/// Makes a layer for a tracer, with the [default filter](DefaultFilter).
///
/// # Examples
///
/// ```
/// use jaeger_client::Configuration;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let (tracer, _closer) = Configuration::new("checkout").new_tracer()?;
/// let subscriber = tracing_subscriber::registry().with(jaeger_client_tracing::layer(tracer));
/// # drop(subscriber);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[must_use]
pub fn layer<S>(tracer: Tracer) -> Filtered<JaegerLayer, DefaultFilter, S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    JaegerLayer::builder(tracer).build()
}

/// The builder of a layer; see [`JaegerLayer::builder`].
///
/// # Examples
///
/// ```
/// use jaeger_client_tracing::JaegerLayer;
/// use tracing_subscriber::filter::Targets;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// let filter: Targets = "info,my_crate=debug,hyper=off".parse()?;
/// let layer = JaegerLayer::builder(tracer).filter(filter).location(true).build();
/// let handle = layer.inner().handle();
/// let subscriber = tracing_subscriber::registry().with(layer);
/// assert_eq!(handle.stats().pending, 0);
/// # drop(subscriber);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a layer is made by `build`"]
pub struct JaegerLayerBuilder<F = DefaultFilter> {
    tracer: Tracer,
    filter: F,
    options: Options,
}

impl JaegerLayerBuilder {
    pub(crate) fn new(tracer: Tracer) -> Self {
        Self { tracer, filter: DefaultFilter::default(), options: Options::default() }
    }
}

impl<F> JaegerLayerBuilder<F> {
    /// Sets another filter for the spans and events of the layer. It replaces the default one, with
    /// its list of quiet crates.
    pub fn filter<G>(self, filter: G) -> JaegerLayerBuilder<G> {
        JaegerLayerBuilder { tracer: self.tracer, filter, options: self.options }
    }

    /// Ends a span when it was last exited, and not when tracing closes it, with its last handle.
    /// Changes in between still count. Default off.
    ///
    /// # Source
    ///
    /// tracing-opentelemetry ends spans like this.
    pub fn end_at_last_exit(mut self, on: bool) -> Self {
        self.options.ends_at_last_exit = on;
        self
    }

    /// Has an event of level `ERROR` mark its span with the tag `error`, so that Jaeger shows it as one
    /// that failed, and [tail sampling](jaeger_client::TailSamplingConfig) keeps it. On unless it is turned off.
    pub fn error_events(mut self, on: bool) -> Self {
        self.options.no_error_events = !on;
        self
    }

    /// Gives each span the tags `code.file.path` and `code.line.number`. Default off.
    pub fn location(mut self, on: bool) -> Self {
        self.options.location = on;
        self
    }

    /// Gives each span the tag `thread.name`, that of the thread which made it. Default off.
    pub fn thread_names(mut self, on: bool) -> Self {
        self.options.thread = on;
        self
    }

    /// Reads from this clock when a span is exited that [ends there](Self::end_at_last_exit). Needed where
    /// the tracer was given a clock too; the same one.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.options.clock = Some(Box::new(clock));
        self
    }

    /// Makes the layer without a filter, for a subscriber that has one for all of its layers. On a bare
    /// registry every span and event of every crate comes to it.
    ///
    /// A filter for this layer alone is given to [`filter`](Self::filter). The layer does not know of one put
    /// around it by `with_filter`: a span made within one that was refused there, and had an explicit
    /// parent, becomes a child of the span entered before.
    ///
    /// # Cost
    ///
    /// A filter before a layer makes tracing-subscriber look each span up whenever it is entered, exited
    /// and closed; the layer itself does not.
    #[must_use]
    pub fn build_unfiltered(self) -> JaegerLayer {
        JaegerLayer::new(Spans::new(self.tracer, self.options))
    }

    /// Makes the layer. It is given to one subscriber.
    ///
    /// A custom filter is given to [`filter`](Self::filter), joined to the default one by
    /// [`FilterExt::and`](tracing_subscriber::filter::FilterExt::and) where both are wanted, and not around the
    /// layer: see [`build_unfiltered`](Self::build_unfiltered).
    #[must_use]
    pub fn build<S>(self) -> Filtered<JaegerLayer, F, S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
        F: Filter<S> + 'static,
    {
        let Self { tracer, filter, mut options } = self;
        let is_default = TypeId::of::<F>() == TypeId::of::<DefaultFilter>();
        options.filtered_by = if is_default { FilteredBy::Default } else { FilteredBy::Other };
        JaegerLayer::new(Spans::new(tracer, options)).with_filter(filter)
    }
}
