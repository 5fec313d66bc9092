//! Makes the exporter of each destination.

use std::sync::Arc;

use super::{Batcher, Exporter, ExporterKind, MIN_SPAN_ROOM};
use crate::buffers::text_within;
use crate::diag::{Cause, Diagnostics};
use crate::encoding::{ENCODINGS, EncodingKind, ProcessView, TagView, put_tag};
use crate::error::ConfigError;
use crate::redact;
#[cfg(feature = "saved-batches")]
use crate::reporter::cancellable::CancellableTransport;
use crate::reporter::counts::{Account, DestinationCounts};
use crate::reporter::destination::{Destination, DestinationKind};
use crate::reporter::guarded::Guarded;
use crate::reporter::logging::LoggingReporter;
use crate::reporter::null::NullReporter;
use crate::reporter::options::SendOptions;
use crate::reporter::saver::SaveSpans;
use crate::transport::{
    self, AgentProtocol, CloseSignal, HttpConfig, MAX_PACKET_BYTES, OtlpConfig, Transport,
};

/// The parts that all destinations of a tracer share.
#[derive(Debug)]
pub(crate) struct ExporterOptions<'a> {
    /// The process in its compact bytes.
    pub(crate) process: &'a [u8],
    pub(crate) send: &'a SendOptions,
    pub(crate) close_signal: &'a CloseSignal,
    pub(crate) diagnostics: &'a Arc<Diagnostics>,
    /// Saves spans that cannot be sent any more.
    pub(crate) saver: Option<Arc<dyn SaveSpans>>,
}

impl ExporterOptions<'_> {
    /// Makes the exporters of destinations. The tracer's own counts follow the first.
    pub(crate) fn exporters(
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
                let is_primary = names.len() == 1;
                self.exporter(destination, is_primary)
            })
            .collect()
    }

    /// Makes the exporter of a destination.
    pub(in crate::reporter) fn exporter(
        &self,
        destination: Destination,
        is_primary: bool,
    ) -> Result<Exporter, ConfigError> {
        let kind = match destination.kind {
            DestinationKind::Agent { address, protocol } => {
                let SendOptions { agent_socket_type, reconnect_interval, pacing, .. } = *self.send;
                let transport =
                    transport::agent(address, agent_socket_type, reconnect_interval, pacing)?;
                self.datagrams(transport, protocol)?.into()
            }
            DestinationKind::Transport(transport, protocol) => {
                self.datagrams(Guarded::new(transport, self.diagnostics), protocol)?.into()
            }
            DestinationKind::Collector(config) => self.collector(&config, true)?.into(),
            DestinationKind::Otlp(config) => self.otlp(&config)?.into(),
            DestinationKind::Reporter(reporter) => {
                ExporterKind::Reporter(Guarded::new(reporter, self.diagnostics))
            }
            DestinationKind::Logging => {
                ExporterKind::Reporter(Box::new(LoggingReporter::new(self.diagnostics)))
            }
            DestinationKind::Null => ExporterKind::Reporter(Box::new(NullReporter)),
        };
        let account = Account {
            counts: Arc::new(DestinationCounts::new(destination.name)),
            diagnostics: Arc::clone(self.diagnostics),
            is_primary,
            process: self.process.to_vec(),
            saver: self.saver.clone(),
        };
        Ok(Exporter { account: Arc::new(account), kind })
    }

    /// Returns the transport, wrapped for cancellation if unsent spans are saved.
    #[cfg(feature = "saved-batches")]
    fn bounded(&self, transport: Box<dyn Transport>) -> Result<Box<dyn Transport>, ConfigError> {
        if self.saver.is_none() {
            return Ok(transport);
        }
        Ok(Box::new(CancellableTransport::start(transport, self.close_signal)?))
    }

    #[cfg(not(feature = "saved-batches"))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "one signature for both")]
    fn bounded(&self, transport: Box<dyn Transport>) -> Result<Box<dyn Transport>, ConfigError> {
        Ok(transport)
    }

    fn datagrams(
        &self,
        transport: Box<dyn Transport>,
        protocol: AgentProtocol,
    ) -> Result<Batcher, ConfigError> {
        let transport = self.bounded(transport)?;
        let least = self.process.len() + MIN_SPAN_ROOM;
        let largest = self.send.max_packet_size.min(transport.max_message_bytes());
        if largest < least && self.process.len() > USUAL_PROCESS_BYTES {
            return Err(process_too_large(self.process, largest));
        }
        if largest < least || self.send.max_packet_size > MAX_PACKET_BYTES {
            let value = if largest < least { largest } else { self.send.max_packet_size };
            return Err(ConfigError::invalid(
                "reporter.max_packet_size",
                value.to_string(),
                "room for the process, its tags and a span, and 65000 at most",
            ));
        }
        let oversize =
            self.send.oversize.as_ref().map(|config| self.collector(config, false)).transpose()?;
        let format = encoding(protocol.encoding())?;
        Ok(Batcher::new(format, transport, self.process, self.send.max_packet_size, oversize))
    }

    fn collector(&self, config: &HttpConfig, has_thread: bool) -> Result<Batcher, ConfigError> {
        self.posting(transport::http(config, has_thread, self.close_signal)?)
    }

    fn otlp(&self, config: &OtlpConfig) -> Result<Batcher, ConfigError> {
        let otlp = transport::otlp(config, self.close_signal)?;
        let url = config.url()?;
        self.diagnostics.info(&format!("sending spans as OTLP to {}", redact::value(&url)));
        if let Some(mistake) = OtlpConfig::likely_mistake(&url) {
            self.diagnostics.error(Cause::OtlpEndpoint, || mistake);
        }
        self.posting(otlp)
    }

    fn posting(&self, (transport, name): transport::Encoded) -> Result<Batcher, ConfigError> {
        let transport = self.bounded(transport)?;
        Ok(Batcher::new(encoding(name)?, transport, self.process, usize::MAX, None))
    }
}

/// Returns the encoding with that name.
fn encoding(name: &'static str) -> Result<&'static EncodingKind, ConfigError> {
    let known = ENCODINGS.iter().map(|kind| kind.name);
    EncodingKind::named(name).ok_or_else(|| ConfigError::unknown("encoding", name, known))
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

/// The usual size of a process; a smaller one is not the reason if it leaves no room in a datagram.
const USUAL_PROCESS_BYTES: usize = 1_024;
