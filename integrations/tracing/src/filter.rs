//! The layer's own filter, so that what is logged does not decide on what is traced.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// Lets spans and events through that are of a level, `info` unless it is given, or more severe; but
/// none of [`QUIET_CRATES`](Self::QUIET_CRATES).
///
/// The filter applies to this layer alone: it does not affect what other layers print, and
/// `RUST_LOG` does not affect this layer, as long as the filter that reads it is that of another
/// layer and not of the whole subscriber.
///
/// # Cost
///
/// Asked once for each place in the source.
///
/// # Examples
///
/// ```
/// use jaeger_client_tracing::DefaultFilter;
/// use tracing_subscriber::filter::LevelFilter;
/// let filter = DefaultFilter::new(LevelFilter::DEBUG);
/// assert_eq!(DefaultFilter::default(), DefaultFilter::new(LevelFilter::INFO));
/// # let _ = filter;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultFilter {
    level: LevelFilter,
}

impl DefaultFilter {
    /// Crates whose spans and events are never let through: those of the network below a service, which
    /// would be most of a trace, and this project's own, which would trace their own work.
    pub const QUIET_CRATES: &[&str] = &[
        "h2",
        "hyper",
        "hyper_util",
        "jaeger_client",
        "jaeger_client_embedded_agent",
        "jaeger_client_http",
        "jaeger_client_metrics",
        "jaeger_client_prometheus",
        "jaeger_client_tracing",
        "rustls",
        "tonic",
        "tower",
    ];

    /// Lets through what is of this level or more severe.
    #[must_use]
    pub const fn new(level: LevelFilter) -> Self {
        Self { level }
    }

    fn lets_through(self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let name = target.split_once("::").map_or(target, |(name, _)| name);
        let is_on = *metadata.level() <= self.level && !Self::QUIET_CRATES.contains(&name);
        if !is_on && !metadata.is_event() {
            HAS_REFUSED_SPANS.store(true, Ordering::Relaxed);
        }
        is_on
    }
}

/// Whether a [`DefaultFilter`] of the process has refused a span: until then, whoever has only this filter
/// knows of all spans. A place in the source is asked for before its first span is made. What
/// `tracing::enabled!` asks counts too: tracing-subscriber may still hold that refusal when it makes the
/// next span.
static HAS_REFUSED_SPANS: AtomicBool = AtomicBool::new(false);

#[inline]
pub(crate) fn has_refused_spans() -> bool {
    HAS_REFUSED_SPANS.load(Ordering::Relaxed)
}

impl Default for DefaultFilter {
    fn default() -> Self {
        Self::new(LevelFilter::INFO)
    }
}

impl<S: Subscriber> Filter<S> for DefaultFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _ctx: &Context<'_, S>) -> bool {
        self.lets_through(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.lets_through(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }
}
