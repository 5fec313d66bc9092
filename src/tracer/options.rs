//! The builder's options that are not about sending: spans, callbacks, propagation.

use std::sync::Arc;

use super::builder::TracerBuilder;
use crate::clock::{Clock, ClockChoice};
use crate::destructors::has_destructor;
use crate::diag::Logger;
use crate::id::IdGenerator;
use crate::metrics::MetricsFactory;
use crate::policy::{BaggageRestrictionManager, DebugThrottler};
use crate::propagation::{Format, HeadersConfig};
use crate::span::{Observer, OwnedTagValue, SpanOptions};
use crate::tail::TailSamplingConfig;

impl TracerBuilder {
    /// Adds a tag of the process, sent with every batch. `jaeger.version`, `hostname`, `ip` and
    /// `client-uuid` are added by default.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<OwnedTagValue>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// Sets the names of the headers that carry contexts.
    pub fn headers(mut self, headers: HeadersConfig) -> Self {
        self.headers = headers;
        self
    }

    /// Sets a propagation format in place of Jaeger's own.
    pub fn format(mut self, format: impl Format + 'static) -> Self {
        self.format = Some(Box::new(format));
        self
    }

    /// Sets the logger for errors; standard error by default. At most one message a minute for each
    /// cause.
    pub fn logger(mut self, logger: impl Logger + 'static) -> Self {
        self.has_destructors |= has_destructor(&logger);
        self.logger = Some(Box::new(logger));
        self
    }

    /// Publishes the tracer's counts to an application's metrics system, under [Jaeger's
    /// names](crate::metrics).
    ///
    /// The instruments are updated at each flush interval, flush and close, and whenever the
    /// factory requests it; a tracer that is only null or in memory has no thread, and does not
    /// update them between flushes.
    ///
    /// # Cost
    ///
    /// None for a span that is started by its name. With a builder, a few instructions.
    pub fn metrics(mut self, factory: impl MetricsFactory + 'static) -> Self {
        self.metrics = Some(Arc::new(factory));
        self
    }

    /// Counts and times server spans, by endpoint, in the [given](Self::metrics) metrics; see
    /// [their names](crate::metrics). Without metrics nothing is counted, and a warning is logged
    /// when the tracer is built. Default off.
    ///
    /// # Cost
    ///
    /// That of an observer of [finished spans](crate::ObserverInterest::finished_spans): any span may become
    /// a server span. A server span calls two or three instruments, on its own thread.
    ///
    /// # Source
    ///
    /// `rpcmetrics` in jaeger-client-go.
    pub fn rpc_metrics(mut self, count: bool) -> Self {
        self.rpc_metrics = count;
        self
    }

    /// Sets the manager that decides which baggage items may be set; by default all may.
    pub fn baggage_restriction_manager(
        mut self,
        manager: impl BaggageRestrictionManager + 'static,
    ) -> Self {
        self.baggage = Some(Box::new(manager));
        self
    }

    /// Sets the throttler that decides which requests for debugging are granted; by default all
    /// are.
    pub fn debug_throttler(mut self, throttler: impl DebugThrottler + 'static) -> Self {
        self.throttler = Some(Box::new(throttler));
        self
    }

    /// Adds an observer of each span. Several observers are called in the order in which they were
    /// added, those of [finished spans](crate::ObserverInterest::finished_spans) alone after the others.
    /// Asks for the observer's [interest](crate::Observer::interest) when the tracer is built.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.has_destructors |= has_destructor(&observer);
        self.observers.push(Box::new(observer));
        self
    }

    /// Lists unfinished spans, at most `limit` of them, for
    /// [`Tracer::open_spans`](crate::Tracer::open_spans); more are only counted. The names of spans
    /// that are still open at the close are logged then. Default 0, which lists nothing.
    ///
    /// # Cost
    ///
    /// That of an [observer](Self::observer): every span has a record, sampled or not, and reads
    /// the clock, and the observer is allocated. Besides, each start and each end takes a lock that
    /// all threads share. The list never has more than `limit` names.
    pub fn track_open_spans(mut self, limit: usize) -> Self {
        self.spans.track_open_spans = limit;
        self
    }

    /// Enables tail sampling: spans of unsampled traces are buffered, and traces with an error or a
    /// slow span are retained. By default nothing is buffered.
    pub fn tail_sampling(mut self, config: TailSamplingConfig) -> Self {
        self.tail_sampler = Some(config);
        self
    }

    /// Sets the clock.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.has_destructors |= has_destructor(&clock);
        self.clock = ClockChoice::Custom(Box::new(clock));
        self
    }

    /// Reads the processor's counter in place of the operating system's clock, which takes a third of
    /// the time of a short span.
    ///
    /// The counter is read where the operating system takes its own time from it: on Linux, where
    /// the clock source is `tsc` (x86-64) or `arch_sys_counter` (64-bit ARM). Elsewhere, in the first
    /// moments of a tracer, and from when the counter turns out to be unsteady, the operating
    /// system's clock is read. [`Tracer::clock_source`](crate::Tracer::clock_source) tells which it
    /// is, and each change is logged.
    ///
    /// Another call of this method or of [`clock`](Self::clock) replaces the choice. The feature
    /// alone changes nothing, as any crate of a program may turn it on.
    ///
    /// # Shape and units
    ///
    /// The reporter's thread compares the count with the operating system's monotonic clock every second,
    /// or between two messages where sending takes longer, and steers it: it stays within 100 µs of it,
    /// mostly within 1 µs, and never jumps back. If the counter itself jumps, as where a virtual machine
    /// is suspended, that holds again from the next comparison on, after which the operating system's
    /// clock is read; what the count was ahead of it then stays. Wall time is read at each comparison. A reading on one core may be some 10 ns before an earlier one on
    /// another, as the processor does not wait for the instructions before it. A span's duration
    /// is never negative, and no log is before its start.
    ///
    /// # Cost
    ///
    /// The first tracer of a process measures the counter, on a thread of its own, for up to 200 ms.
    /// A tracer without that thread, which is only null or in memory, reads the operating
    /// system's clock.
    #[cfg(feature = "fast-clock")]
    pub fn fast_clock(mut self) -> Self {
        self.clock = ClockChoice::Fast;
        self
    }

    /// Sets the generator of ids; by default each thread has one.
    pub fn id_generator(mut self, ids: impl IdGenerator + 'static) -> Self {
        self.has_destructors |= has_destructor(&ids);
        self.ids = Some(Box::new(ids));
        self
    }

    /// Sets whether new trace ids have 128 bits or 64. Default 64, and 128 where spans are sent as
    /// OTLP. A [format](Self::format) does not change the default; `W3cFormat` pads ids of 64 bits.
    pub fn trace_id_128bit(mut self, wide: bool) -> Self {
        self.trace_id_128bit = Some(wide);
        self
    }

    /// Sets all options of spans at once; the following methods set one each.
    pub fn span_options(mut self, options: SpanOptions) -> Self {
        self.spans = options;
        self
    }

    /// Lets the server's side of a call be the same span as the client's, as in Zipkin: a span that
    /// starts with the tag `span.kind` of `server` and has a parent takes the parent's ids as its
    /// own. Default false: then it is a child.
    ///
    /// Only for systems that expect it. To Jaeger, two spans with one id are an exception, which it
    /// shows as it can. Zipkin's JSON gets the mark `shared` for such a span.
    ///
    /// # Source
    ///
    /// `ZipkinSharedRPCSpan` in jaeger-client-go, `tracer_options.go`.
    ///
    /// # Examples
    ///
    /// ```
    /// # let builder = jaeger_client::Tracer::builder("svc").null_reporter();
    /// let (tracer, _closer) = builder.zipkin_shared_rpc_span(true).build()?;
    /// let client = tracer.span("get").tag("span.kind", "client").start();
    /// let server = tracer.span("get").tag("span.kind", "server").child_of(&client).start();
    /// assert_eq!(server.context().span_id(), client.context().span_id());
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn zipkin_shared_rpc_span(mut self, shared: bool) -> Self {
        self.spans.zipkin_shared_rpc_span = shared;
        self
    }

    /// Sets the length in bytes at which a tag's text or bytes are truncated. Default 256, which 0
    /// means too.
    pub fn max_tag_value_length(mut self, bytes: usize) -> Self {
        self.spans.max_tag_value_length = bytes;
        self
    }

    /// Appends a mark to truncated text, `… [5120 bytes]`, with the original length. The mark
    /// counts towards the limit, and is left out if it does not fit. Default false, as in the Go
    /// client; [`Stats::truncated_tags`](crate::Stats::truncated_tags) counts in either case.
    ///
    /// # Examples
    ///
    /// ```
    /// # use jaeger_client::{InMemoryReporter, Tracer, encoding::ValueView};
    /// # let memory = InMemoryReporter::new();
    /// let builder = Tracer::builder("svc").max_tag_value_length(24).mark_truncated_tags(true);
    /// let (tracer, _closer) = builder.in_memory(&memory).build()?;
    /// tracer.start_span("op").set_tag("db.statement", "SELECT * FROM orders WHERE id = 4711").finish();
    /// let marked = ValueView::Str("SELECT * F… [36 bytes]".as_bytes());
    /// assert_eq!(memory.spans()[0].view().tag("db.statement"), Some(marked));
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn mark_truncated_tags(mut self, marks: bool) -> Self {
        self.spans.mark_truncated_tags = marks;
        self
    }

    /// Sets how many logs of a span are retained: the first ones, and the last ones in place of
    /// those between, of which a log `dropped Span logs` has the number. Default 0, which is any
    /// number.
    ///
    /// Logs given [at the finish](crate::Span::finish_with) are not counted. The memory of a span's
    /// logs stays within twice the size of the retained ones.
    ///
    /// # Source
    ///
    /// `MaxLogsPerSpan` in jaeger-client-go, `tracer_options.go`.
    pub fn max_logs_per_span(mut self, logs: usize) -> Self {
        self.spans.max_logs_per_span = logs;
        self
    }

    /// Logs the call stack with each error that [`Span::record_error`](crate::Span::record_error)
    /// records: the field `stack`, of 4,096 bytes at most. Default false.
    ///
    /// The stack is that of the call, not of the error's origin. It has names of functions, and of
    /// files and lines if the program was built with debug information.
    ///
    /// # Cost
    ///
    /// Each recorded error resolves a call stack, and the first one reads the program's debug
    /// information. Nothing for spans that are not recorded.
    ///
    /// # Source
    ///
    /// `withExpandExceptionLogs` of jaeger-client-java, `JaegerTracer.java`; the limit is the one of
    /// `max_traceback_length` in jaeger-client-python.
    pub fn record_backtraces(mut self, record: bool) -> Self {
        self.spans.record_backtraces = record;
        self
    }

    /// Makes a `sampling.priority` above 0 set only the sampled flag, and not the debug flag, which
    /// services downstream may act on. Default false.
    ///
    /// # Source
    ///
    /// `NoDebugFlagOnForcedSampling` in jaeger-client-go, `tracer_options.go`.
    pub fn no_debug_flag_on_forced_sampling(mut self, no_debug_flag: bool) -> Self {
        self.spans.no_debug_flag_on_forced_sampling = no_debug_flag;
        self
    }
}
