//! Where spans go: any number of destinations, fed from the same bytes.
//!
//! An [`Destination`] says what is wanted; an [`Exporter`] is that at work. To add a kind of destination, write
//! a [`Reporter`]; to add a way out of the process, a transport.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::InMemoryReporter;
use super::exporter::{Batcher, Exporter, ExporterKind, MIN_SPAN_ROOM};
use super::guarded::Guarded;
use super::null::Nowhere;
use crate::buffers::text_within;
use crate::diag::{Cause, Diagnostics};
use crate::encoding::{self, BatchView, ProcessView, TagView, put_tag};
use crate::error::{ConfigError, TransportError};
use crate::redact;
use crate::transport::{
    self, AgentProtocol, AgentSocketType, CloseSignal, HttpConfig, MAX_PACKET_BYTES, OtlpConfig,
    PacingConfig, Transport,
};

/// Takes finished spans: what an application writes to do with them what it likes.
///
/// It is called on a thread of the reporter's, never on one of the application's, so it may take its
/// time, but while it does, finished spans pile up in its queue. Spans are read in place through
/// [`SpanView`](crate::encoding::SpanView)s; they cannot be changed, so destinations do not see each
/// other. It is dropped when the tracer is closed.
///
/// # Source
///
/// `Reporter` in jaeger-client-go, `reporter.go`.
///
/// # Examples
///
/// ```
/// use std::{sync::mpsc, time::Duration};
/// use jaeger_client::{Reporter, Tracer, TransportError, encoding::BatchView};
/// #[derive(Debug)]
/// struct Names(mpsc::Sender<String>);
/// impl Reporter for Names {
///     fn report(&mut self, batch: &BatchView<'_>) -> Result<(), TransportError> {
///         for span in batch.spans() {
///             self.0.send(span.operation().into_owned()).ok();
///         }
///         Ok(())
///     }
/// }
/// let (send, names) = mpsc::channel();
/// let (tracer, closer) = Tracer::builder("svc").destination(Names(send)).build()?;
/// tracer.start_span("op").finish();
/// assert_eq!(closer.close(Duration::from_secs(1)).stats.sent, 1);
/// assert_eq!(names.recv().as_deref(), Ok("op"));
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub trait Reporter: fmt::Debug + Send {
    /// Takes some spans and the process they are of. `Ok` counts them as sent.
    ///
    /// # Errors
    ///
    /// Any error counts them as `send_failed`, and is told to the logger. A panic does the same.
    fn report(&mut self, batch: &BatchView<'_>) -> Result<(), TransportError>;

    /// Called after the last spans of each flush interval, and of each flush and close, before it
    /// returns.
    fn flush(&mut self) {}
}

/// One place that finished spans go to, with a name that its counts go by.
#[derive(Debug)]
#[must_use = "a destination is given to a tracer's builder"]
pub struct Destination {
    name: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Agent { address: String, protocol: AgentProtocol },
    Collector(Box<HttpConfig>),
    Otlp(Box<OtlpConfig>),
    Transport(Box<dyn Transport>, AgentProtocol),
    Reporter(Box<dyn Reporter>),
    Logging,
}

impl Destination {
    /// An agent at `host:port`, or at `unix:/path/to/socket`, in a protocol that it takes there.
    pub fn agent(host_port: impl Into<String>, protocol: AgentProtocol) -> Self {
        Self::of("agent", Kind::Agent { address: host_port.into(), protocol })
    }

    /// A collector, or a Zipkin server, over HTTP. Needs the feature `collector-http`.
    pub fn collector(config: HttpConfig) -> Self {
        Self::of("collector", Kind::Collector(Box::new(config)))
    }

    /// A server of OTLP over HTTP, such as an OpenTelemetry Collector or Jaeger v2. Needs the feature
    /// `otlp`.
    pub fn otlp(config: OtlpConfig) -> Self {
        Self::of("otlp", Kind::Otlp(Box::new(config)))
    }

    /// A transport of the caller's own, which is given an agent's messages.
    pub fn transport(transport: impl Transport + 'static, protocol: AgentProtocol) -> Self {
        Self::boxed_transport(Box::new(transport), protocol)
    }

    pub(crate) fn boxed_transport(transport: Box<dyn Transport>, protocol: AgentProtocol) -> Self {
        Self::of("transport", Kind::Transport(transport, protocol))
    }

    /// The tracer's logger: a line of information for each span, with its context and its name. A
    /// logger that says nothing of information, like the default one, says nothing of spans.
    pub fn logging() -> Self {
        Self::of("logging", Kind::Logging)
    }

    /// Spans in memory, for tests.
    pub fn in_memory(reporter: &InMemoryReporter) -> Self {
        Self::of("memory", Kind::Reporter(Box::new(reporter.clone())))
    }

    /// Nowhere: spans are counted and forgotten.
    pub fn null() -> Self {
        Self::of("null", Kind::Reporter(Box::new(Nowhere)))
    }

    /// A reporter of the caller's own.
    pub fn reporter(reporter: impl Reporter + 'static) -> Self {
        Self::of("reporter", Kind::Reporter(Box::new(reporter)))
    }

    pub(crate) fn is_otlp(&self) -> bool {
        matches!(self.kind, Kind::Otlp(_))
    }

    fn of(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind }
    }

    /// The name that its counts go by in [`Tracer::destination_stats`](crate::Tracer::destination_stats).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Puts it to work.
    fn start(
        self,
        is_primary: bool,
        context: &DestinationContext<'_>,
    ) -> Result<Exporter, ConfigError> {
        let end = match self.kind {
            Kind::Agent { address, protocol } => {
                let (socket_type, interval) =
                    (context.agent_socket_type, context.reconnect_interval);
                let transport = transport::agent(address, socket_type, interval, context.pacing)?;
                ExporterKind::Transport(Box::new(context.datagrams(transport, protocol)?))
            }
            Kind::Transport(transport, protocol) => {
                let transport = Guarded::new(transport, context.diagnostics);
                ExporterKind::Transport(Box::new(context.datagrams(transport, protocol)?))
            }
            Kind::Collector(config) => {
                ExporterKind::Transport(Box::new(context.collector(&config, true)?))
            }
            Kind::Otlp(config) => ExporterKind::Transport(Box::new(context.otlp(&config)?)),
            Kind::Reporter(reporter) => {
                ExporterKind::Reporter(Guarded::new(reporter, context.diagnostics))
            }
            Kind::Logging => ExporterKind::Log,
        };
        Ok(Exporter::new(self.name, is_primary, context.process, end))
    }
}

impl<R: Reporter + 'static> From<R> for Destination {
    fn from(reporter: R) -> Self {
        Self::reporter(reporter)
    }
}

/// What all destinations of a tracer share.
#[derive(Debug)]
pub(crate) struct DestinationContext<'a> {
    /// The process in its compact bytes.
    pub(crate) process: &'a [u8],
    pub(crate) max_packet_bytes: usize,
    pub(crate) reconnect_interval: Option<Duration>,
    pub(crate) agent_socket_type: AgentSocketType,
    pub(crate) pacing: PacingConfig,
    /// Where spans go that are too large for a datagram.
    pub(crate) oversize: Option<&'a HttpConfig>,
    pub(crate) close_signal: &'a CloseSignal,
    pub(crate) diagnostics: &'a Arc<Diagnostics>,
}

impl DestinationContext<'_> {
    /// Puts destinations to work, the first of which is the one that the tracer's ledger follows.
    pub(crate) fn start(
        &self,
        destinations: impl Iterator<Item = Destination>,
    ) -> Result<Vec<Exporter>, ConfigError> {
        let mut names: Vec<String> = Vec::new();
        destinations
            .map(|mut destination| {
                let wanted = destination.name.clone();
                for number in 2.. {
                    if !names.contains(&destination.name) {
                        break;
                    }
                    destination.name = format!("{wanted}-{number}");
                }
                names.push(destination.name.clone());
                destination.start(names.len() == 1, self)
            })
            .collect()
    }

    fn datagrams(
        &self,
        transport: Box<dyn Transport>,
        protocol: AgentProtocol,
    ) -> Result<Batcher, ConfigError> {
        let least = self.process.len() + MIN_SPAN_ROOM;
        let largest = self.max_packet_bytes.min(transport.max_message_bytes());
        if largest < least && self.process.len() > USUAL_PROCESS_BYTES {
            return Err(process_too_large(self.process, largest));
        }
        if largest < least || self.max_packet_bytes > MAX_PACKET_BYTES {
            let value = if largest < least { largest } else { self.max_packet_bytes };
            return Err(ConfigError::invalid(
                "reporter.max_packet_size",
                value.to_string(),
                "room for the process, its tags and a span, and 65000 at most",
            ));
        }
        let oversize = self.oversize.map(|config| self.collector(config, false)).transpose()?;
        let format = encoding::member(protocol.encoding());
        Ok(Batcher::new(format, transport, self.process, self.max_packet_bytes, oversize))
    }

    fn collector(&self, config: &HttpConfig, has_thread: bool) -> Result<Batcher, ConfigError> {
        Ok(self.posting(transport::http(config, has_thread, self.close_signal)?))
    }

    fn otlp(&self, config: &OtlpConfig) -> Result<Batcher, ConfigError> {
        let otlp = transport::otlp(config, self.close_signal)?;
        let url = config.url()?;
        self.diagnostics.info(&format!("sending spans as OTLP to {}", redact::value(&url)));
        if let Some(mistake) = OtlpConfig::likely_mistake(&url) {
            self.diagnostics.error(Cause::OtlpEndpoint, || mistake);
        }
        Ok(self.posting(otlp))
    }

    fn posting(&self, (transport, encoding): transport::Encoded) -> Batcher {
        let format = encoding::member(encoding);
        Batcher::new(format, transport, self.process, usize::MAX, None)
    }
}

fn process_too_large(process: &[u8], max_packet_size: usize) -> ConfigError {
    let tags = ProcessView::parse(process).unwrap_or_default().tags();
    let len = |tag: TagView<'_>| {
        let mut bytes = Vec::new();
        put_tag(&mut bytes, tag);
        bytes.len()
    };
    let sizes: Vec<_> = tags.map(|tag| (len(tag), tag.key)).collect();
    let (largest_tag_bytes, key) = sizes.iter().copied().max().unwrap_or_default();
    ConfigError::ProcessTooLarge {
        bytes: process.len(),
        allowed: max_packet_size.saturating_sub(MIN_SPAN_ROOM),
        tags: sizes.len(),
        largest_tag: String::from_utf8_lossy(text_within(key, 64)).into_owned(),
        largest_tag_bytes,
        max_packet_size,
    }
}

/// A process that takes less is not to blame if a datagram has no room for it.
const USUAL_PROCESS_BYTES: usize = 1_024;
