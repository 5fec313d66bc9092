//! Puts a tracer together from parts given in code.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::closer::Begun;
use super::{Closer, Shared, Tracer, process};
use crate::clock::{Anchor, Clock, TracerClock};
use crate::control::{BaggageRestrictionManager, DebugThrottler};
use crate::diag::{Brief, Cause, Diagnostics, Logger, StderrLogger};
use crate::error::ConfigError;
use crate::fork::Origin;
use crate::id::{self, IdGenerator};
use crate::metrics::{Instruments, MetricsFactory, Publisher, RpcMetrics};
use crate::panics::Callback;
use crate::propagation::{Format, HeadersConfig, JaegerFormat, check_keys};
use crate::reporter::{
    InMemoryReporter, MAX_WAIT, MemorySink, NullSink, Output, OutputContext, QueueLimits, Remote,
    RemoteOptions, Unstarted,
};
use crate::sampler::{ConstSampler, Sampler, guarded};
use crate::span::core::{BaggageCounts, Core, CoreRefs, Sink};
use crate::span::{
    Baggage, Keep, KeepConfig, Observer, OpenList, OwnedTagValue, SpanContext, Watchers,
};
use crate::transport::{
    AgentProtocol, AgentSocketType, HttpConfig, Hurry, MAX_PACKET_BYTES, PacingConfig, Transport,
};

/// A tracer about to be built. Without a sampler it samples everything, without a reporter it
/// sends to an agent at `localhost:6831`.
///
/// # Examples
///
/// ```
/// use jaeger_client::{Tracer, sampler::ProbabilisticSampler};
/// let (tracer, closer) = Tracer::builder("checkout")
///     .sampler(ProbabilisticSampler::new(0.01)?)
///     .agent("localhost:6831")
///     .tag("region", "eu")
///     .build()?;
/// # drop(closer);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[must_use = "a tracer is built by `build`"]
pub struct TracerBuilder {
    pub(super) service_name: String,
    pub(super) tags: Vec<(String, OwnedTagValue)>,
    pub(super) sampler: Box<dyn Sampler>,
    pub(super) target: Target,
    pub(super) others: Vec<Output>,
    pub(super) oversize: Option<HttpConfig>,
    pub(super) protocol: AgentProtocol,
    pub(super) reconnect_interval: Option<Duration>,
    pub(super) agent_socket_type: AgentSocketType,
    pub(super) pacing: PacingConfig,
    pub(super) headers: HeadersConfig,
    pub(super) format: Option<Box<dyn Format>>,
    pub(super) logger: Option<Box<dyn Logger>>,
    pub(super) metrics: Option<Arc<dyn MetricsFactory>>,
    pub(super) rpc_metrics: bool,
    pub(super) baggage: Option<Box<dyn BaggageRestrictionManager>>,
    pub(super) observers: Vec<Box<dyn Observer>>,
    pub(super) watch_open_spans: usize,
    pub(super) throttler: Option<Box<dyn DebugThrottler>>,
    pub(super) keep: Option<KeepConfig>,
    pub(super) clock: Option<Box<dyn Clock>>,
    pub(super) ids: Option<Box<dyn IdGenerator>>,
    pub(super) trace_id_128bit: Option<bool>,
    pub(super) shares_rpc_spans: bool,
    pub(super) max_tag_value_bytes: usize,
    pub(super) marks_cut_tags: bool,
    pub(super) max_logs_per_span: usize,
    pub(super) no_debug_flag: bool,
    pub(super) queue: QueueLimits,
    pub(super) flush_interval: Duration,
    pub(super) max_packet_size: usize,
    pub(super) shards: usize,
    pub(super) drop_timeout: Duration,
    pub(super) disabled: bool,
}

impl fmt::Debug for TracerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracerBuilder")
            .field("service", &Brief(&self.service_name))
            .field("sampler", &Brief(self.sampler.status().rule.to_string()))
            .finish_non_exhaustive()
    }
}

pub(super) enum Target {
    Agent(String),
    Transport(Box<dyn Transport>),
    InMemory(InMemoryReporter),
    Null,
    Output(Output),
}

/// The options' defaults, which [`crate::Configuration`] shares.
pub(crate) mod defaults {
    use std::time::Duration;

    pub(crate) const AGENT: &str = "localhost:6831";
    pub(crate) const QUEUE_SIZE: usize = 150_000;
    pub(crate) const MAX_QUEUE_SIZE: usize = 100_000_000;
    pub(crate) const QUEUE_BYTES: usize = 16 << 20;
    pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
    pub(crate) const RECONNECT_INTERVAL: Duration = Duration::from_secs(30);
    pub(crate) const SENDER_TIMEOUT: Duration = Duration::from_secs(5);
    pub(crate) const MAX_TAG_VALUE_LENGTH: usize = 256;
    pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
}

impl TracerBuilder {
    pub(super) fn new(service_name: String) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            service_name,
            tags: Vec::new(),
            sampler: Box::new(ConstSampler::new(true)),
            target: Target::Agent(defaults::AGENT.to_owned()),
            others: Vec::new(),
            oversize: None,
            protocol: AgentProtocol::Compact,
            reconnect_interval: Some(defaults::RECONNECT_INTERVAL),
            agent_socket_type: AgentSocketType::Udp,
            pacing: PacingConfig::default(),
            headers: HeadersConfig::default(),
            format: None,
            logger: None,
            metrics: None,
            rpc_metrics: false,
            baggage: None,
            observers: Vec::new(),
            watch_open_spans: 0,
            throttler: None,
            keep: None,
            clock: None,
            ids: None,
            trace_id_128bit: None,
            shares_rpc_spans: false,
            max_tag_value_bytes: defaults::MAX_TAG_VALUE_LENGTH,
            marks_cut_tags: false,
            max_logs_per_span: 0,
            no_debug_flag: false,
            queue: QueueLimits { bytes: defaults::QUEUE_BYTES, spans: defaults::QUEUE_SIZE },
            flush_interval: defaults::FLUSH_INTERVAL,
            max_packet_size: MAX_PACKET_BYTES,
            shards: cores.max(4),
            drop_timeout: defaults::CLOSE_TIMEOUT,
            disabled: false,
        }
    }

    /// Who decides which traces are recorded; every one, if nothing is given.
    pub fn sampler(mut self, sampler: impl Sampler + 'static) -> Self {
        self.sampler = guarded(sampler);
        self
    }

    /// The agent to send to, as `host:port`; an IPv6 address stands in brackets. Or its Unix socket,
    /// as `unix:/path/to/socket`, on Linux also `unix:@name`. Default `localhost:6831`.
    pub fn agent(mut self, host_port: impl Into<String>) -> Self {
        self.target = Target::Agent(host_port.into());
        self
    }

    /// The protocol of the agent's port: compact (6831), binary (6832), or Zipkin's spans in compact
    /// (5775). Default compact.
    pub fn agent_protocol(mut self, protocol: AgentProtocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// How often the agent's name is resolved again; with `None`, never once it did resolve. Default
    /// 30 s, which zero means too.
    pub fn agent_reconnect_interval(mut self, interval: Option<Duration>) -> Self {
        self.reconnect_interval = interval;
        self
    }

    /// Which of its addresses the agent is spoken to at. Default any, those of IPv4 first.
    pub fn agent_socket_type(mut self, socket_type: AgentSocketType) -> Self {
        self.agent_socket_type = socket_type;
        self
    }

    /// How fast datagrams are sent to agents; see [`PacingConfig`].
    pub fn pacing(mut self, pacing: PacingConfig) -> Self {
        self.pacing = pacing;
        self
    }

    /// Sends through a transport of the caller's own.
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.target = Target::Transport(Box::new(transport));
        self
    }

    /// Gives finished spans to a reporter of one's own, or to any other output, in place of an
    /// agent. It is called on the reporter's thread.
    pub fn reporter(mut self, output: impl Into<Output>) -> Self {
        self.target = Target::Output(output.into());
        self
    }

    /// Gives finished spans to another output too, from the same bytes. May be called several times.
    /// Each of several outputs has a thread and a queue of its own, of [`queue_bytes`](Self::queue_bytes)
    /// and [`queue_size`](Self::queue_size): one that is slow or hangs costs its own spans alone.
    ///
    /// The tracer's own counts follow the first output, which the other methods set; flush and close
    /// wait for all. Each has its counts in [`Tracer::reporter_stats`]. Names that are taken get a number.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::{Output, Tracer};
    /// let (tracer, _closer) = Tracer::builder("svc").also_report_to(Output::logging()).build()?;
    /// let names: Vec<_> = tracer.reporter_stats().into_iter().map(|stats| stats.name).collect();
    /// assert_eq!(names, ["agent", "logging"]);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn also_report_to(mut self, output: impl Into<Output>) -> Self {
        self.others.push(output.into());
        self
    }

    /// Sends spans that are too large for a datagram to a collector, whole. Without it, or if the
    /// collector does not take one, they are trimmed. Needs the feature `collector-http`.
    pub fn oversize_to(mut self, config: HttpConfig) -> Self {
        self.oversize = Some(config);
        self
    }

    /// Keeps finished spans in memory, for tests.
    pub fn in_memory(mut self, reporter: &InMemoryReporter) -> Self {
        self.target = Target::InMemory(reporter.clone());
        self
    }

    /// Counts finished spans and forgets them.
    pub fn null_reporter(mut self) -> Self {
        self.target = Target::Null;
        self
    }

    /// How many finished spans may wait for the reporter, on top of what its buffers hold; the last
    /// buffer that comes in, of about 480 spans, may go beyond it. Default 150,000, of which spans
    /// of usual size reach [`queue_bytes`](Self::queue_bytes) first.
    pub fn queue_size(mut self, spans: usize) -> Self {
        self.queue.spans = spans;
        self
    }

    /// How much memory finished spans that wait for the reporter may take, in bytes, on top of its
    /// buffers. What does not fit is dropped, and counted as `queue_full`. Default 16 MiB, which an
    /// agent is sent within 5 s by the slowest pace of [`PacingConfig`]'s default.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue.bytes = bytes;
        self
    }

    /// How long a finished span waits at most before it is sent. Default 1 s, which 0 means too.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval =
            if interval.is_zero() { defaults::FLUSH_INTERVAL } else { interval.min(MAX_WAIT) };
        self
    }

    /// The largest datagram, in bytes. Default 65,000.
    pub fn max_packet_size(mut self, bytes: usize) -> Self {
        self.max_packet_size = bytes;
        self
    }

    /// How many buffers finished spans are written to; rounded up to a power of two. Default the
    /// number of cores, at least 4.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self
    }

    /// Records nothing, whatever else it is told, and hands on the contexts of callers.
    pub(crate) fn disabled(self) -> Self {
        Self { disabled: true, ..self }.sampler(ConstSampler::new(false)).null_reporter()
    }

    /// How long a dropped [`Closer`] waits at most. Default 5 s.
    pub fn drop_timeout(mut self, timeout: Duration) -> Self {
        self.drop_timeout = timeout;
        self
    }

    /// Builds the tracer, and the closer that ends it.
    ///
    /// A process that was forked has none of its parent's threads, and so needs a tracer of its own.
    /// With its parent's, no call waits and ids are its own, but nothing is sampled or sent, no callback
    /// is called, and the logger is told so once.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the option, the value and what is allowed: an empty service name, an
    /// agent address without host or port, sizes out of range, names that no header can have or that
    /// would mean two things. That no agent is there, or that its
    /// name does not resolve, is none: it is counted, and tried again.
    pub fn build(self) -> Result<(Tracer, Closer), ConfigError> {
        if self.service_name.trim().is_empty() {
            return Err(ConfigError::NoServiceName { noticed: Vec::new() });
        }
        if !(1..=MAX_SHARDS).contains(&self.shards) {
            return Err(out_of_range("shards", self.shards, "from 1 to 1024"));
        }
        if !(1..=defaults::MAX_QUEUE_SIZE).contains(&self.queue.spans) {
            let allowed = "from 1 to 100,000,000 spans";
            return Err(out_of_range("reporter.queue_size", self.queue.spans, allowed));
        }
        if (1..MAX_PACKET_BYTES as u64).contains(&self.pacing.bytes_per_second) {
            return Err(ConfigError::invalid(
                "reporter.pacing.bytes_per_second",
                self.pacing.bytes_per_second.to_string(),
                "at least 65000, the largest datagram, or 0 for any number",
            ));
        }
        if self.queue.bytes < MAX_PACKET_BYTES {
            let allowed = "at least 65000, the largest datagram";
            return Err(out_of_range("reporter.queue_bytes", self.queue.bytes, allowed));
        }
        let trace_id_128bit = self.has_wide_trace_ids();
        let jaeger = JaegerFormat::new(self.headers.clone());
        check_keys(jaeger.keys())?;
        let format = self.format.unwrap_or_else(|| Box::new(jaeger));
        let logger = self.logger.unwrap_or_else(|| Box::new(StderrLogger));
        let origin = Origin::here().map_err(|source| ConfigError::Thread { source })?;
        let diagnostics = Arc::new(Diagnostics::new(logger, origin.clone()));
        let panicked = ConfigError::Panicked { callback: Callback::FormatKeys.name() };
        diagnostics
            .call(Callback::FormatKeys, || check_keys(format.keys()))
            .unwrap_or(Err(panicked))?;
        let next =
            |ids: &dyn IdGenerator| diagnostics.call(Callback::IdGeneratorNext, || ids.next());
        let own_id = self.ids.as_deref().and_then(next).unwrap_or_else(id::system_63);
        let uuid = process::client_uuid(&self.tags, own_id);
        let limit = (self.max_tag_value_bytes, self.marks_cut_tags);
        let service_name = process::service_name(&self.service_name);
        let process = process::bytes(&service_name, &self.tags, limit, &uuid);
        let outputs = match (self.target, self.others) {
            (Target::InMemory(reporter), others) if others.is_empty() => {
                Err(Sink::Other(Box::new(MemorySink::new(reporter))))
            }
            (Target::Null, others) if others.is_empty() => {
                Err(Sink::Other(Box::new(NullSink::default())))
            }
            (target, others) => {
                let first = match target {
                    Target::Agent(address) => Output::agent(address, self.protocol),
                    Target::Transport(own) => Output::boxed_transport(own, self.protocol),
                    Target::InMemory(reporter) => Output::in_memory(&reporter),
                    Target::Null => Output::null(),
                    Target::Output(output) => output,
                };
                Ok(std::iter::once(first).chain(others))
            }
        };
        let (sink, unstarted) = match outputs {
            Err(at_once) => (at_once, None),
            Ok(outputs) => {
                let hurry = Hurry::default();
                let context = OutputContext {
                    process: &process,
                    max_packet_bytes: self.max_packet_size,
                    reconnect_interval: self.reconnect_interval,
                    agent_socket_type: self.agent_socket_type,
                    pacing: self.pacing,
                    oversize: self.oversize.as_ref(),
                    hurry: &hurry,
                    diagnostics: &diagnostics,
                };
                let (shards, unstarted) = Remote::prepare(RemoteOptions {
                    outlets: context.start(outputs)?,
                    max_packet_bytes: self.max_packet_size,
                    shards: self.shards,
                    queue: self.queue,
                    flush_interval: self.flush_interval,
                    process_bytes: process.len(),
                    hurry,
                    origin: origin.clone(),
                });
                (Sink::Shards(shards), Some(unstarted))
            }
        };
        let keep = self.keep.map(|config| Keep::new(&config, self.shards, &origin)).transpose()?;
        let may_defer = self.sampler.may_defer();
        let mut observers = self.observers;
        let is_rpc_lost = self.rpc_metrics && self.metrics.is_none();
        if let Some(metrics) = self.metrics.as_ref().filter(|_| self.rpc_metrics) {
            let instruments = Instruments::new(Arc::clone(metrics), Arc::clone(&diagnostics));
            observers.push(Box::new(RpcMetrics::new(instruments)));
        }
        let open = OpenList::of(self.watch_open_spans, &origin);
        let observers = observers.into_boxed_slice();
        let watchers = Watchers { observers, open, ..Watchers::default() };
        let careful = may_defer || self.max_logs_per_span > 0 || !watchers.is_empty();
        let looks_closer = careful
            || keep.is_some()
            || self.metrics.is_some()
            || self.shares_rpc_spans
            || self.disabled;
        let clock = TracerClock::new(self.clock, &diagnostics);
        let core = Arc::new(Core {
            anchor: Anchor::new(&clock),
            clock,
            may_defer,
            careful,
            looks_closer,
            counts_first: self.metrics.is_some(),
            asks_by_id: self.max_tag_value_bytes >= MAX_KIND_BYTES,
            unusual: careful
                || self.disabled
                || keep.is_some()
                || self.ids.is_some()
                || self.max_tag_value_bytes < MAX_KIND_BYTES,
            disabled: self.disabled.then(|| Baggage::of_caller(SpanContext::default())),
            keep,
            sampler: self.sampler,
            sink,
            ids: self.ids,
            salt: id::seed(),
            origin,
            has_left: false.into(),
            trace_id_128bit,
            shares_rpc_spans: self.shares_rpc_spans,
            max_tag_value_bytes: self.max_tag_value_bytes,
            max_start_tag_value_bytes: if may_defer || watchers.want_tags() {
                usize::MAX
            } else {
                self.max_tag_value_bytes
            },
            watchers,
            marks_cut_tags: self.marks_cut_tags,
            max_logs_per_span: self.max_logs_per_span,
            no_debug_flag: self.no_debug_flag,
            max_baggage_value_bytes: MAX_BAGGAGE_VALUE_BYTES,
            debug_tag: self.headers.debug,
            diagnostics: Arc::clone(&diagnostics),
            service_name: service_name.as_ref().into(),
            restrictions: self.baggage,
            throttler: self.throttler,
            misused: 0.into(),
            cut_tags: 0.into(),
            clamped_times: 0.into(),
            baggage_limited: 0.into(),
            baggage: BaggageCounts::default(),
            decoding_errors: 0.into(),
        });
        core.renew_anchor();
        let status = core.sampler.status();
        core.diagnostics.info(&format!("tracing as {:?}, sampling {status}", self.service_name));
        if matches!(service_name, Cow::Owned(_)) {
            let name = &self.service_name;
            core.diagnostics.info(&format!(
                "the service name {name:?} has control characters, and is sent as {service_name:?}"
            ));
        }
        if is_rpc_lost {
            core.diagnostics.error(Cause::Metrics, || {
                "rpc_metrics are on, but the tracer was given no metrics to count them in"
                    .to_owned()
            });
        }
        let begun = Begun::begin(&core, uuid)?;
        let refs = CoreRefs::new(&core, self.shards);
        let metrics = self.metrics.map(|factory| {
            Publisher::new(&core, refs.lanes(), &Instruments::new(factory, diagnostics))
        });
        let start = |unstarted: Unstarted| unstarted.start(Arc::clone(&core), metrics.clone());
        let remote = unstarted.map(start).transpose()?;
        begun.keep();
        let shared = Arc::new(Shared { refs, core, format, remote, metrics });
        Ok((Tracer { shared: Arc::clone(&shared) }, Closer::new(shared, self.drop_timeout)))
    }
}

fn out_of_range(field: &'static str, value: usize, allowed: &'static str) -> ConfigError {
    ConfigError::invalid(field, value.to_string(), allowed)
}

/// The longest name of a sampler kind, which a smaller limit of tags would cut.
const MAX_KIND_BYTES: usize = 32;

const MAX_SHARDS: usize = 1024;
const MAX_BAGGAGE_VALUE_BYTES: usize = 2048;
