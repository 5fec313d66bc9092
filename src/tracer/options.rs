//! What a tracer's spans carry and who is asked about them: the options that are not about sending.

use std::sync::Arc;

use super::builder::{TracerBuilder, defaults};
use crate::clock::Clock;
use crate::diag::Logger;
use crate::id::IdGenerator;
use crate::metrics::MetricsFactory;
use crate::policy::{BaggageRestrictionManager, DebugThrottler};
use crate::propagation::{Format, HeadersConfig};
use crate::span::{Observer, OwnedTagValue};
use crate::tail::TailSamplingConfig;

impl TracerBuilder {
    /// A tag of the process, sent with every batch. `jaeger.version`, `hostname`, `ip` and
    /// `client-uuid` are added unless they are given.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<OwnedTagValue>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// The names of the headers that carry contexts.
    pub fn headers(mut self, headers: HeadersConfig) -> Self {
        self.headers = headers;
        self
    }

    /// Carries contexts in another format than Jaeger's own.
    pub fn format(mut self, format: impl Format + 'static) -> Self {
        self.format = Some(Box::new(format));
        self
    }

    /// Where errors are told; standard error by default. At most once a minute for each cause.
    pub fn logger(mut self, logger: impl Logger + 'static) -> Self {
        self.logger = Some(Box::new(logger));
        self
    }

    /// Tells what the tracer counts to an application's metrics system, under
    /// [Jaeger's names](crate::metrics).
    ///
    /// Its instruments are brought up to date at each flush interval, flush and close, and whenever
    /// the factory asks; a tracer that is only null or in memory has no thread, and does not do so
    /// by itself between flushes.
    ///
    /// # Cost
    ///
    /// None for a span that is started by its name. With a builder, a few instructions.
    pub fn metrics(mut self, factory: impl MetricsFactory + 'static) -> Self {
        self.metrics = Some(Arc::new(factory));
        self
    }

    /// Counts and times the spans that serve, by endpoint, in the metrics that are
    /// [given](Self::metrics); [these](crate::metrics). Without any there is nothing to count in,
    /// which the logger is told when the tracer is built. Default off.
    ///
    /// # Cost
    ///
    /// That of an [observer](Self::observer): every span is followed to its end, as any may turn out
    /// to serve. One that does calls two or three instruments, on its own thread.
    ///
    /// # Source
    ///
    /// `rpcmetrics` in jaeger-client-go.
    pub fn rpc_metrics(mut self, count: bool) -> Self {
        self.rpc_metrics = count;
        self
    }

    /// Decides which baggage items may be set; without one, all may.
    pub fn baggage_restriction_manager(
        mut self,
        manager: impl BaggageRestrictionManager + 'static,
    ) -> Self {
        self.baggage = Some(Box::new(manager));
        self
    }

    /// Decides which requests for debugging are granted; without one, all are.
    pub fn debug_throttler(mut self, throttler: impl DebugThrottler + 'static) -> Self {
        self.throttler = Some(Box::new(throttler));
        self
    }

    /// Tells an observer about each span. May be called several times; they are told in that order.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Lists the spans that are not finished, at most `limit` of them, for
    /// [`Tracer::open_spans`](crate::Tracer::open_spans); more are only counted. Those that are still
    /// open at the close are told to the logger then, by name. Default 0, which lists nothing.
    ///
    /// # Cost
    ///
    /// That of an [observer](Self::observer): every span has a record, sampled or not, and reads the
    /// clock, and what follows it is allocated. Besides, each start and each end takes a lock for a
    /// moment that all threads share. The list holds no more than `limit` names at any time.
    pub fn track_open_spans(mut self, limit: usize) -> Self {
        self.track_open_spans = limit;
        self
    }

    /// Holds the spans of traces that are not sampled, and keeps those traces in which something goes
    /// wrong. Without it, nothing is held.
    pub fn tail_sampling(mut self, config: TailSamplingConfig) -> Self {
        self.tail_sampler = Some(config);
        self
    }

    /// Where the time is read.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// Where ids come from; a generator of each thread by default.
    pub fn id_generator(mut self, ids: impl IdGenerator + 'static) -> Self {
        self.ids = Some(Box::new(ids));
        self
    }

    /// Gives new traces ids of 128 bits, or of 64. Default 64, and 128 where spans are sent as OTLP.
    pub fn trace_id_128bit(mut self, wide: bool) -> Self {
        self.trace_id_128bit = Some(wide);
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
        self.shares_rpc_spans = shared;
        self
    }

    /// Bytes after which a tag's text or bytes are cut. Default 256, which 0 means too.
    pub fn max_tag_value_length(mut self, bytes: usize) -> Self {
        self.max_tag_value_bytes = if bytes == 0 { defaults::MAX_TAG_VALUE_LENGTH } else { bytes };
        self
    }

    /// Lets a tag's text that was cut end with a mark, `… [5120 bytes]`, that says how long it was.
    /// It counts to the length allowed, and is left out where not even the mark fits. Default false,
    /// as in the Go client; [`Stats::truncated_tags`](crate::Stats::truncated_tags) tells in either case.
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
        self.marks_truncated_tags = marks;
        self
    }

    /// How many logs a span keeps: the first ones, and the last ones in place of those between, of
    /// which a log `dropped Span logs` tells how many there were. Default 0, which is any number.
    ///
    /// Logs given [at the finish](crate::Span::finish_with) are not counted. What a span holds in
    /// memory stays within twice what it keeps.
    ///
    /// # Source
    ///
    /// `MaxLogsPerSpan` in jaeger-client-go, `tracer_options.go`.
    pub fn max_logs_per_span(mut self, logs: usize) -> Self {
        self.max_logs_per_span = logs;
        self
    }

    /// Lets a `sampling.priority` above 0 set the flag for sampling alone, and not the one for
    /// debugging, which others down the trace may act on. Default false.
    ///
    /// # Source
    ///
    /// `NoDebugFlagOnForcedSampling` in jaeger-client-go, `tracer_options.go`.
    pub fn no_debug_flag_on_forced_sampling(mut self, no_debug_flag: bool) -> Self {
        self.no_debug_flag = no_debug_flag;
        self
    }
}
