//! The tracer: starts spans, injects and extracts contexts, and has the span accounting.
//!
//! Step 1 in the life of a span. The tracer owns the sampler, the reporter and the process's tags.

mod build;
mod builder;
mod closer;
mod host;
mod http_destinations;
mod of_span;
mod options;
mod process;

use std::alloc::{Layout, handle_alloc_error};
use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use self::builder::TracerBuilder;
pub(crate) use self::builder::defaults;
pub use self::closer::Closer;
pub(crate) use self::process::leaves_room_for_spans;
use crate::clock::ClockSource;
use crate::diag::{Brief, Cause, NullLogger};
use crate::error::ExtractError;
use crate::metrics::Publisher;
use crate::panics::Callback;
use crate::policy::Updates;
use crate::propagation::{self, ExtractCarrier, Extracted, Format, InjectCarrier};
use crate::reporter::{MAX_WAIT, ReporterService, timed};
use crate::sampler::SamplerStatus;
use crate::span;
use crate::span::counters::{Stripe, Stripes};
use crate::span::shared::SpanShared;
use crate::span::{
    AsSpanContext, OpenSpans, OwnedSpan, PreparedSpan, Span, SpanBuilder, SpanContext,
};
use crate::stats::{DestinationStats, FlushReport, Stats};

/// Starts spans. Cheap to clone, and used from any thread.
///
/// # Source
///
/// `Tracer` in jaeger-client-go, `tracer.go`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use jaeger_client::{Tracer, sampler::ConstSampler};
/// let (tracer, closer) =
///     Tracer::builder("checkout").sampler(ConstSampler::new(true)).null_reporter().build()?;
/// {
///     let span = tracer.start_span("charge");
///     span.set_tag("amount", 12.5);
/// } // finished here
/// let report = closer.close(Duration::from_secs(1));
/// assert_eq!(report.stats.finished, 1);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Tracer {
    shared: Arc<Shared>,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span_shared = &self.shared.span_shared;
        f.debug_struct("Tracer")
            .field("service", &Brief(&span_shared.process.service_name))
            .field("sampler", &Brief(span_shared.sampler_status().rule.to_string()))
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    span_shared: Arc<SpanShared>,
    /// The shared state that spans refer to.
    stripes: Stripes,
    format: Box<dyn Format>,
    /// The reporter's thread; none for reporters that take spans where they are finished.
    reporter: Option<ReporterService>,
    metrics: Option<Arc<Publisher>>,
    is_closed: AtomicBool,
}

impl Tracer {
    /// Returns a tracer that records nothing and sends nothing, for code that needs one where
    /// tracing is off: it has no [`Closer`] and no thread, and making it cannot fail. All disabled
    /// tracers of this kind are one.
    ///
    /// Contexts of callers are forwarded, in `uber-trace-id`; for other formats build one with
    /// [`Configuration::disabled`](crate::Configuration::disabled).
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::Tracer;
    /// /// A library with an optional tracer.
    /// fn work(tracer: Option<&Tracer>) {
    ///     let off = Tracer::disabled();
    ///     let span = tracer.unwrap_or(&off).start_span("work");
    ///     span.set_tag("rows", 3);
    /// }
    /// work(None);
    /// ```
    #[must_use]
    pub fn disabled() -> Self {
        static DISABLED: OnceLock<Tracer> = OnceLock::new();
        let build = || {
            let built = Self::builder("disabled").logger(NullLogger).disabled().build();
            // It can only fail if there is no memory to register the fork handler.
            built.map_or_else(
                |_| handle_alloc_error(Layout::new::<Shared>()),
                |(tracer, closer)| {
                    drop(closer);
                    tracer
                },
            )
        };
        DISABLED.get_or_init(build).clone()
    }

    /// Returns a builder for the service with that name.
    pub fn builder(service_name: impl Into<String>) -> TracerBuilder {
        TracerBuilder::new(service_name.into())
    }

    /// Starts a span: a child of the nearest [active span](Self::active_span) of this tracer, if there
    /// is one, and else the root of a trace.
    ///
    /// # Cost
    ///
    /// Nothing is allocated for a name that is a `&'static str`.
    #[inline]
    pub fn start_span(&self, operation: impl Into<Cow<'static, str>>) -> Span {
        match self.shared.stripes.owned_by_thread() {
            Some(stripe) => span::start_plain(stripe, operation),
            None => self.start_on_other_thread(operation.into()),
        }
    }

    /// Starts a span on a thread that owns no stripe, or not yet.
    #[cold]
    #[inline(never)]
    fn start_on_other_thread(&self, operation: Cow<'static, str>) -> Span {
        span::start_plain_on_any_thread(self.shared.stripe(), operation)
    }

    /// Starts a span with one owner, for which setting tags costs less.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let mut span = tracer.start_owned_span("get");
    /// span.set_tag("http.method", "GET").set_tag("http.status_code", 200);
    /// span.finish();
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline]
    pub fn start_owned_span(&self, operation: impl Into<Cow<'static, str>>) -> OwnedSpan {
        OwnedSpan::new(self.start_span(operation))
    }

    /// Stores the name and the start time of a span whose parent is not known yet.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let mut prepared = tracer.prepare_span("batch");
    /// prepared.set_tag("size", 20);
    /// assert_eq!(tracer.stats().started, 0);
    /// prepared.start().finish();
    /// assert_eq!(tracer.stats().started, 1);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline(always)]
    pub fn prepare_span(&self, operation: impl Into<Cow<'static, str>>) -> PreparedSpan {
        PreparedSpan::new(self.shared.stripe(), operation.into())
    }

    /// Begins a span that has more than a name.
    #[inline(always)]
    pub fn span(&self, operation: impl Into<Cow<'static, str>>) -> SpanBuilder<'_> {
        SpanBuilder::new(self.shared.stripe(), operation.into())
    }

    /// Logs the warnings of the configuration.
    pub(crate) fn warn(&self, warnings: &[String]) {
        if !warnings.is_empty() {
            self.shared.span_shared.diagnostics.error(Cause::Configuration, || warnings.join("; "));
        }
    }

    /// Logs the notes of the configuration.
    pub(crate) fn note(&self, notes: &[String]) {
        notes.iter().for_each(|note| self.shared.span_shared.diagnostics.info(note));
    }

    /// Returns the nearest active span of this tracer, on this thread or in the task being polled
    /// on it: the parent of a span that is started without one. Spans of other tracers may be
    /// active within it.
    #[must_use]
    pub fn active_span(&self) -> Option<Span> {
        span::active_of(self.shared.stripe())
    }

    /// Writes the context of a span, or a context, to a carrier: a map of text, or HTTP headers.
    /// The context replaces one that was written before, with all its baggage.
    ///
    /// # Shape and units
    ///
    /// At most 180 baggage items are written, with keys and values of 8,192 bytes together. Items
    /// beyond that, and items with a key or value that is invalid in a header, are left out and
    /// [counted](Stats::baggage_limited).
    pub fn inject<C: InjectCarrier + ?Sized>(
        &self,
        of: &(impl AsSpanContext + ?Sized),
        mut carrier: &mut C,
    ) {
        let Shared { span_shared, format, .. } = &*self.shared;
        let context = &*of.as_span_context();
        if span_shared.is_disabled() && context.is_empty() {
            // Keys in the carrier may be the caller's.
            return;
        }
        let inject = || propagation::inject(&**format, context, &mut carrier);
        let left_out = span_shared.diagnostics.call_even_if_forked(Callback::FormatInject, inject);
        self.count_baggage("written", left_out.unwrap_or(0));
    }

    /// Reads a context from a carrier.
    ///
    /// # Errors
    ///
    /// [`ExtractError::NotFound`] if there is no context. Any other error is a malformed one, which
    /// is counted; continue with [`Result::ok`], and a new trace begins:
    ///
    /// ```
    /// # use std::collections::HashMap;
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// # let headers = HashMap::<String, String>::new();
    /// let span = tracer.span("serve").child_of(tracer.extract(&headers).ok()).start();
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn extract<C: ExtractCarrier + ?Sized>(
        &self,
        carrier: &C,
    ) -> Result<SpanContext, ExtractError> {
        let Shared { span_shared, format, .. } = &*self.shared;
        let mut extracted = Extracted::default();
        let extract = || (**format).extract_into(&carrier, &mut extracted);
        let result = span_shared.diagnostics.call_even_if_forked(Callback::FormatExtract, extract);
        self.finish_extract(result.unwrap_or(Err(ExtractError::Panicked)), extracted)
    }

    /// Writes the context of a span, or a context, as bytes, for protocols that carry bytes. Baggage is limited as by
    /// [`inject`](Self::inject), and each item to 4,096 bytes, while keys and values may be any text.
    #[must_use]
    pub fn inject_binary(&self, of: &(impl AsSpanContext + ?Sized)) -> Vec<u8> {
        let (bytes, left_out) = propagation::write_binary(&of.as_span_context());
        self.count_baggage("written", left_out);
        bytes
    }

    /// Reads a context from bytes.
    ///
    /// # Errors
    ///
    /// [`ExtractError::Corrupted`], which is counted.
    pub fn extract_binary(&self, bytes: &[u8]) -> Result<SpanContext, ExtractError> {
        let mut extracted = Extracted::default();
        let result = propagation::from_binary(bytes).map(|read| extracted = read);
        self.finish_extract(result, extracted)
    }

    /// Counts what was left out and what was malformed, and returns the context.
    #[inline]
    fn finish_extract(
        &self,
        result: Result<(), ExtractError>,
        extracted: Extracted,
    ) -> Result<SpanContext, ExtractError> {
        let broken = match result {
            Ok(()) => extracted.broken,
            Err(ExtractError::NotFound) => return Err(ExtractError::NotFound),
            Err(_) => 1,
        };
        if broken > 0 {
            let incidents = &self.shared.span_shared.incidents;
            incidents.decoding_errors.fetch_add(broken as u64, Ordering::Relaxed);
        }
        result?;
        self.count_baggage("read", extracted.baggage_dropped);
        Ok(extracted.context)
    }

    fn count_baggage(&self, done: &str, left_out: usize) {
        if left_out > 0 {
            self.shared.span_shared.report_baggage_left_out(done, left_out as u64);
        }
    }

    /// Returns the clock that is read at present. It may change where the builder's `fast_clock`
    /// (feature `fast-clock`) was chosen.
    #[must_use]
    pub fn clock_source(&self) -> ClockSource {
        self.shared.span_shared.clock.source()
    }

    /// Returns the sampling rule, and the status of the last poll of a remote sampler.
    ///
    /// # Cost
    ///
    /// Copies the rule: for a sampler per operation, every operation.
    #[must_use]
    pub fn sampler_status(&self) -> SamplerStatus {
        self.shared.span_shared.sampler_status()
    }

    /// Returns the counts of polls for baggage restrictions; none if there are no polls.
    #[must_use]
    pub fn baggage_restriction_updates(&self) -> Updates {
        self.shared.span_shared.restriction_updates()
    }

    /// Returns the counts of polls for debugging credits; none if there are no polls.
    #[must_use]
    pub fn debug_throttler_updates(&self) -> Updates {
        self.shared.span_shared.throttler_updates()
    }

    /// Returns how many requests for debugging the throttler has denied for want of credit.
    #[must_use]
    pub fn throttled_debug_spans(&self) -> u64 {
        self.shared.span_shared.throttled()
    }

    /// Returns the span accounting: the counts of all spans so far, by outcome.
    ///
    /// # Cost
    ///
    /// Locks all buffers for a moment, so that the sums hold.
    #[must_use]
    pub fn stats(&self) -> Stats {
        if self.shared.span_shared.is_forked() {
            self.shared.span_shared.close_in_fork();
        }
        self.shared.span_shared.stats(&self.shared.stripes)
    }

    /// Returns the unfinished spans, the oldest first; empty unless the tracer [tracks
    /// them](TracerBuilder::track_open_spans).
    ///
    /// # Cost
    ///
    /// Copies the list; meanwhile no span is started or finished.
    #[must_use]
    pub fn open_spans(&self) -> OpenSpans {
        self.shared.span_shared.open_spans()
    }

    /// Returns the span accounting of each destination, the first one first. The counts of the
    /// first one are in [`stats`](Self::stats) too, with all spans that never reached it.
    #[must_use]
    pub fn destination_stats(&self) -> Vec<DestinationStats> {
        match &self.shared.reporter {
            Some(_) if self.shared.span_shared.is_forked() => Vec::new(),
            Some(reporter) => reporter.destination_stats(),
            // Spans are reported where they are finished, so that none are queued.
            None => {
                let Stats { sent, .. } = self.stats();
                vec![DestinationStats {
                    name: "local".to_owned(),
                    taken: sent,
                    sent,
                    ..DestinationStats::default()
                }]
            }
        }
    }

    /// Closes the tracer without its closer, in place of [`Closer::close`]: from a static, which is
    /// never dropped, or before [`std::process::exit`]. Sends the remaining spans, but waits no
    /// longer than `timeout`. Spans finished later are counted as dropped. A second close only
    /// waits for the first, and the drop of the closer does nothing more.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::LazyLock;
    /// use std::time::Duration;
    /// use jaeger_client::{Closer, ConfigError, Tracer};
    ///
    /// static TRACING: LazyLock<Result<(Tracer, Closer), ConfigError>> =
    ///     LazyLock::new(|| Tracer::builder("svc").null_reporter().build());
    ///
    /// if let Ok((tracer, _)) = &*TRACING {
    ///     tracer.start_span("work").finish();
    ///     let report = tracer.close(Duration::from_secs(2));
    ///     assert!(report.complete);
    /// }
    /// ```
    pub fn close(&self, timeout: Duration) -> FlushReport {
        closer::close(&self.shared, timeout)
    }

    /// Closes the tracer without blocking the runtime's thread. Works on any runtime.
    #[cfg(feature = "tokio")]
    pub async fn close_async(&self, timeout: Duration) -> FlushReport {
        closer::close_on_thread(Arc::clone(&self.shared), timeout).await
    }

    /// Sends all spans that were finished before the call, and waits for it, but not longer than
    /// `timeout`.
    pub fn flush(&self, timeout: Duration) -> FlushReport {
        self.shared.wait(|reporter| reporter.flush(timeout.min(MAX_WAIT)))
    }

    /// Flushes without blocking the runtime's thread. Works on any runtime.
    #[cfg(feature = "tokio")]
    pub async fn flush_async(&self, timeout: Duration) -> FlushReport {
        let tracer = self.clone();
        closer::run_on_thread(move || tracer.flush(timeout))
            .await
            .unwrap_or_else(|| self.shared.gave_up())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        span::evict_from_pools(&self.stripes);
        if self.span_shared.is_forked() {
            // The parts may be locked for ever, and were the parent's.
            std::mem::forget((Arc::clone(&self.span_shared), self.reporter.take()));
        }
    }
}

impl Shared {
    /// Returns the stripe of the calling thread.
    #[inline]
    fn stripe(&self) -> &Arc<Stripe> {
        self.stripes.of_thread(&self.span_shared)
    }

    fn wait(&self, work: impl FnOnce(&ReporterService) -> bool) -> FlushReport {
        if self.span_shared.is_forked() {
            self.span_shared.close_in_fork();
            let stats = self.span_shared.stats(&self.stripes);
            return FlushReport::new(stats, false, Duration::ZERO);
        }
        let (responded, took) = timed(|| self.reporter.as_ref().is_none_or(work));
        let stats = self.span_shared.stats(&self.stripes);
        // Without the reporter's thread no command is answered, and nothing is left if all is well.
        let alone = self.reporter.as_ref().is_some_and(ReporterService::is_gone);
        // The metrics are published here if there is no thread for it, or if it hangs.
        if let Some(metrics) = &self.metrics
            && (alone || !responded || self.reporter.is_none())
        {
            metrics.publish();
        }
        let complete = if alone { stats.queued == 0 } else { responded };
        let dropped_by_others =
            self.reporter.as_ref().map_or(0, ReporterService::dropped_by_others);
        FlushReport { dropped_by_others, ..FlushReport::new(stats, complete, took) }
    }

    /// Returns the report for the case that no thread could be started.
    #[cfg(feature = "tokio")]
    fn gave_up(&self) -> FlushReport {
        FlushReport::new(self.span_shared.stats(&self.stripes), false, Duration::ZERO)
    }
}
