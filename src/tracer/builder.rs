//! The builder of a tracer.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::clock::ClockChoice;
use crate::diag::{Brief, Logger};
use crate::id::IdGenerator;
use crate::metrics::MetricsFactory;
use crate::policy::{BaggageRestrictionManager, DebugThrottler};
use crate::propagation::{Format, HeadersConfig};
use crate::reporter::{Destination, InMemoryReporter, SendOptions};
use crate::sampler::{ConstSampler, Sampler, guarded, has_user_destructor};
use crate::saved::SavedBatchesConfig;
use crate::span::{Observer, OwnedTagValue, SpanOptions};
use crate::tail::TailSamplingConfig;
use crate::transport::{AgentProtocol, AgentSocketType, HttpConfig, PacingConfig, Transport};

/// The builder of a tracer. By default, a tracer samples everything, and sends to an agent at
/// `localhost:6831`.
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
    pub(super) others: Vec<Destination>,
    pub(super) headers: HeadersConfig,
    pub(super) format: Option<Box<dyn Format>>,
    pub(super) logger: Option<Box<dyn Logger>>,
    pub(super) metrics: Option<Arc<dyn MetricsFactory>>,
    pub(super) rpc_metrics: bool,
    pub(super) baggage: Option<Box<dyn BaggageRestrictionManager>>,
    pub(super) observers: Vec<Box<dyn Observer>>,
    pub(super) throttler: Option<Box<dyn DebugThrottler>>,
    pub(super) tail_sampler: Option<TailSamplingConfig>,
    pub(super) clock: ClockChoice,
    pub(super) ids: Option<Box<dyn IdGenerator>>,
    pub(super) trace_id_128bit: Option<bool>,
    pub(super) spans: SpanOptions,
    pub(super) send: SendOptions,
    pub(super) shards: usize,
    pub(super) drop_timeout: Duration,
    pub(super) disabled: bool,
    /// Whether a value of the caller's that the spans' shared part holds has a destructor.
    pub(super) has_destructors: bool,
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
    Destination(Destination),
}

/// Default values of options, shared with [`crate::Configuration`].
pub(crate) mod defaults {
    use std::time::Duration;

    use crate::reporter::SendOptions;

    pub(crate) const AGENT: &str = "localhost:6831";
    pub(crate) const QUEUE_SIZE: usize = SendOptions::QUEUE_SIZE;
    pub(crate) const MAX_QUEUE_SIZE: usize = SendOptions::MAX_QUEUE_SIZE;
    pub(crate) const FLUSH_INTERVAL: Duration = SendOptions::FLUSH_INTERVAL;
    pub(crate) const RECONNECT_INTERVAL: Duration = SendOptions::RECONNECT_INTERVAL;
    pub(crate) const SENDER_TIMEOUT: Duration = Duration::from_secs(5);
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
            headers: HeadersConfig::default(),
            format: None,
            logger: None,
            metrics: None,
            rpc_metrics: false,
            baggage: None,
            observers: Vec::new(),
            throttler: None,
            tail_sampler: None,
            clock: ClockChoice::default(),
            ids: None,
            trace_id_128bit: None,
            spans: SpanOptions::default(),
            send: SendOptions::default(),
            shards: cores.max(4),
            drop_timeout: defaults::CLOSE_TIMEOUT,
            disabled: false,
            has_destructors: false,
        }
    }

    /// Sets the sampler; by default every trace is recorded.
    pub fn sampler(mut self, sampler: impl Sampler + 'static) -> Self {
        self.has_destructors |= has_user_destructor(&sampler);
        self.sampler = guarded(sampler);
        self
    }

    /// Sets all options about sending.
    pub(crate) fn send_options(self, send: SendOptions) -> Self {
        Self { send, ..self }
    }

    /// Sets the agent's address, as `host:port`, an IPv6 address in brackets; or its Unix socket,
    /// as `unix:/path/to/socket`, on Linux also `unix:@name`. Default `localhost:6831`.
    pub fn agent(mut self, host_port: impl Into<String>) -> Self {
        self.target = Target::Agent(host_port.into());
        self
    }

    /// Sets the protocol of the agent's port: compact (6831), binary (6832), or Zipkin's spans in
    /// compact (5775). Default compact.
    pub fn agent_protocol(mut self, protocol: AgentProtocol) -> Self {
        self.send.agent_protocol = protocol;
        self
    }

    /// Sets how often the agent's name is resolved again; with `None`, never once it did resolve.
    /// Default 30 s, which zero means too.
    pub fn agent_reconnect_interval(mut self, interval: Option<Duration>) -> Self {
        self.send.reconnect_interval = interval;
        self
    }

    /// Sets the address family of the agent. Default any, IPv4 first.
    pub fn agent_socket_type(mut self, socket_type: AgentSocketType) -> Self {
        self.send.agent_socket_type = socket_type;
        self
    }

    /// Sets how fast datagrams are sent to agents; see [`PacingConfig`].
    pub fn pacing(mut self, pacing: PacingConfig) -> Self {
        self.send.pacing = pacing;
        self
    }

    /// Sends through a custom transport.
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.target = Target::Transport(Box::new(transport));
        self
    }

    /// Passes finished spans to a custom [`Reporter`](crate::Reporter), or to any other
    /// destination, in place of an agent. It is called on the reporter's thread.
    pub fn destination(mut self, destination: impl Into<Destination>) -> Self {
        self.target = Target::Destination(destination.into());
        self
    }

    /// Passes finished spans to another destination too, from the same bytes. May be called several
    /// times. Each of several destinations has a thread and its own queue, of
    /// [`queue_bytes`](Self::queue_bytes) and [`queue_size`](Self::queue_size): one that is slow or
    /// hangs loses only its own spans.
    ///
    /// The tracer's own counts follow the first destination, which the other methods set; flush and
    /// close wait for all. Each has its counts in
    /// [`Tracer::destination_stats`](crate::Tracer::destination_stats). Duplicate names get a
    /// number.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::{Destination, Tracer};
    /// let (tracer, _closer) = Tracer::builder("svc").add_destination(Destination::logging()).build()?;
    /// let names: Vec<_> = tracer.destination_stats().into_iter().map(|stats| stats.name).collect();
    /// assert_eq!(names, ["agent", "logging"]);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn add_destination(mut self, destination: impl Into<Destination>) -> Self {
        self.others.push(destination.into());
        self
    }

    /// Writes spans to a file that could not be sent, or were not acknowledged, before the tracer
    /// is closed, so that they can be sent later; see [`SavedBatchesConfig`]. Needs the feature
    /// `saved-batches`.
    pub fn save_unacknowledged(mut self, file: SavedBatchesConfig) -> Self {
        self.send.saved_batches = Some(file);
        self
    }

    /// Sends spans that are too large for a datagram to a collector, whole. Without it, or if the
    /// collector refuses one, they are trimmed. Needs the feature `collector-http`.
    pub fn oversize_to(mut self, config: HttpConfig) -> Self {
        self.send.oversize = Some(config);
        self
    }

    /// Stores finished spans in memory, for tests.
    pub fn in_memory(mut self, reporter: &InMemoryReporter) -> Self {
        // The spans in it are the caller's.
        self.has_destructors = true;
        self.target = Target::InMemory(reporter.clone());
        self
    }

    /// Discards finished spans, and counts them as sent.
    pub fn null_reporter(mut self) -> Self {
        self.target = Target::Null;
        self
    }

    /// Sets how many finished spans may wait in the queue to the reporter. Further spans are dropped,
    /// a buffer of them at once, and counted as `queue_full`. Default 65,536.
    ///
    /// Beside the queue, spans wait in the buffers of [`shards`](Self::shards), each of a datagram. So
    /// no span is dropped while no more than this number wait, and their memory is within
    /// [`queue_bytes`](Self::queue_bytes). [`Stats::queue`](crate::Stats::queue) shows both.
    pub fn queue_size(mut self, spans: usize) -> Self {
        self.send.queue_size = spans;
        self
    }

    /// Sets how much memory the queue to the reporter may take, in bytes, at least 65,000. What does
    /// not fit is dropped, as with [`queue_size`](Self::queue_size).
    ///
    /// Default 256 bytes for each span of the queue's size, and at least 16 MiB: a root span with
    /// three tags takes 160, a server's with twelve tags and a log 520. 16 MiB are sent within 5 s at
    /// the slowest rate of [`PacingConfig`]'s default.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.send.queue_bytes = Some(bytes);
        self
    }

    /// Sets how long a finished span waits at most before it is sent. Default 1 s, which 0 means
    /// too.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.send.flush_interval = interval;
        self
    }

    /// Sets the maximum size of a datagram, in bytes. Default 65,000.
    pub fn max_packet_size(mut self, bytes: usize) -> Self {
        self.send.max_packet_size = bytes;
        self
    }

    /// Sets the number of buffers that finished spans are written to; rounded up to a power of two.
    /// Default the number of cores, at least 4.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self
    }

    /// Makes a tracer that records nothing, whatever the other options, and forwards the contexts
    /// of callers.
    pub(crate) fn disabled(self) -> Self {
        Self { disabled: true, ..self }.sampler(ConstSampler::new(false)).null_reporter()
    }

    /// Sets how long a dropped [`Closer`](crate::Closer) waits at most. Default 5 s.
    pub fn drop_timeout(mut self, timeout: Duration) -> Self {
        self.drop_timeout = timeout;
        self
    }
}
