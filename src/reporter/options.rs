//! The options of a tracer about how finished spans are sent.

use std::time::Duration;

use crate::buffers::QueueLimits;
use crate::error::ConfigError;
use crate::saved::SavedBatchesConfig;
use crate::transport::{
    AgentProtocol, AgentSocketType, HttpConfig, MAX_PACKET_BYTES, PacingConfig,
};

/// How finished spans are queued and sent, wherever they go. A configuration makes this of its
/// `ReporterConfig`, the builder of a tracer holds it, and exporters and worker read it.
#[derive(Clone, Debug)]
pub(crate) struct SendOptions {
    /// How many finished spans may wait to be sent.
    pub(crate) queue_size: usize,
    /// How many bytes of memory they may take; by default, it depends on their number.
    pub(crate) queue_bytes: Option<usize>,
    /// How long a finished span waits at most before it is sent.
    pub(crate) flush_interval: Duration,
    /// The largest datagram, in bytes.
    pub(crate) max_packet_size: usize,
    /// The protocol of an agent that is given by its address, or of a transport.
    pub(crate) agent_protocol: AgentProtocol,
    pub(crate) agent_socket_type: AgentSocketType,
    /// How often the agent's name is resolved again; never if there is none.
    pub(crate) reconnect_interval: Option<Duration>,
    pub(crate) pacing: PacingConfig,
    /// The collector of spans that are too large for a datagram.
    pub(crate) oversize: Option<HttpConfig>,
    /// The file for spans that could not be sent before the tracer is closed.
    pub(crate) saved_batches: Option<SavedBatchesConfig>,
}

impl SendOptions {
    pub(crate) const QUEUE_SIZE: usize = 65_536;
    pub(crate) const MAX_QUEUE_SIZE: usize = 100_000_000;
    pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
    pub(crate) const RECONNECT_INTERVAL: Duration = Duration::from_secs(30);
    /// Room in the queue for each of its spans, with their share of what surrounds them.
    const SPAN_BYTES: usize = 256;
    /// A full queue of this size is sent within the default timeout of a close.
    const QUEUE_BYTES: usize = 16 << 20;

    /// Returns the default bound in bytes of a queue for so many spans.
    pub(crate) const fn default_queue_bytes(spans: usize) -> usize {
        let bytes = spans.saturating_mul(Self::SPAN_BYTES);
        if bytes > Self::QUEUE_BYTES { bytes } else { Self::QUEUE_BYTES }
    }

    /// Returns the bounds of the queue.
    pub(crate) fn queue(&self) -> QueueLimits {
        let spans = self.queue_size;
        let bytes = self.queue_bytes.unwrap_or_else(|| Self::default_queue_bytes(spans));
        QueueLimits { bytes, spans }
    }

    /// Checks all values, and replaces those that stand for the default.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] names the option, the value and what is allowed.
    pub(crate) fn checked(mut self) -> Result<Self, ConfigError> {
        let refused =
            |field, value: String, allowed| Err(ConfigError::invalid(field, value, allowed));
        let QueueLimits { spans, bytes } = self.queue();
        if !(1..=Self::MAX_QUEUE_SIZE).contains(&spans) {
            let allowed = "from 1 to 100,000,000 spans";
            return refused("reporter.queue_size", spans.to_string(), allowed);
        }
        let rate = self.pacing.bytes_per_second;
        if (1..MAX_PACKET_BYTES as u64).contains(&rate) {
            let allowed = "at least 65000, the largest datagram, or 0 for any number";
            return refused("reporter.pacing.bytes_per_second", rate.to_string(), allowed);
        }
        if bytes < MAX_PACKET_BYTES {
            let allowed = "at least 65000, the largest datagram";
            return refused("reporter.queue_bytes", bytes.to_string(), allowed);
        }
        if self.flush_interval.is_zero() {
            self.flush_interval = Self::FLUSH_INTERVAL;
        }
        self.flush_interval = self.flush_interval.min(MAX_WAIT);
        Ok(self)
    }
}

impl Default for SendOptions {
    fn default() -> Self {
        Self {
            queue_size: Self::QUEUE_SIZE,
            queue_bytes: None,
            flush_interval: Self::FLUSH_INTERVAL,
            max_packet_size: MAX_PACKET_BYTES,
            agent_protocol: AgentProtocol::Compact,
            agent_socket_type: AgentSocketType::Udp,
            reconnect_interval: Some(Self::RECONNECT_INTERVAL),
            pacing: PacingConfig::default(),
            oversize: None,
            saved_batches: None,
        }
    }
}

/// The maximum of all waits: longer deadlines overflow on some systems.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);
