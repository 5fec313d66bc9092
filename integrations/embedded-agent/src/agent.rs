//! The agent: its ports, and access to its store.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use jaeger_client::TraceId;

use crate::http::Server;
use crate::listen::{self, Receivers};
use crate::store::{DEFAULT_MAX_BYTES, DEFAULT_MAX_SPANS};
use crate::{BatchInfo, ReceivedSpan, Stats, Store, Trace, WaitError};

/// An agent that listens as long as this value lives.
///
/// Dropping it closes its ports and ends its threads, in less than a second; handles of its
/// [`Store`] stay usable.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use jaeger_client_embedded_agent::EmbeddedAgent;
///
/// # fn main() -> std::io::Result<()> {
/// let agent = EmbeddedAgent::start()?;
/// println!("point a Jaeger client at {}", agent.compact_addr());
/// let received = agent.wait_for_spans(1, Duration::from_millis(1));
/// assert!(received.is_err(), "nobody sent any");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EmbeddedAgent {
    store: Store,
    compact_addr: SocketAddr,
    binary_addr: SocketAddr,
    http: Option<Server>,
    /// Held for its drop, which ends the threads.
    _receivers: Receivers,
}

/// Settings of an [`EmbeddedAgent`].
///
/// # Examples
///
/// ```
/// use jaeger_client_embedded_agent::EmbeddedAgent;
///
/// # fn main() -> std::io::Result<()> {
/// let agent = EmbeddedAgent::builder()
///     .http_addr(([127, 0, 0, 1], 0))
///     .max_bytes(1 << 20)
///     .start()?;
/// assert!(agent.http_addr().is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    compact_addr: SocketAddr,
    binary_addr: SocketAddr,
    http_addr: Option<SocketAddr>,
    max_bytes: usize,
    max_spans: usize,
}

impl Builder {
    /// Where to listen for the compact protocol. Port 0, the default, takes a free one.
    pub fn compact_addr(mut self, addr: impl Into<SocketAddr>) -> Self {
        self.compact_addr = addr.into();
        self
    }

    /// Where to listen for the binary protocol. Port 0, the default, takes a free one.
    pub fn binary_addr(mut self, addr: impl Into<SocketAddr>) -> Self {
        self.binary_addr = addr.into();
        self
    }

    /// Serves the web page and the query API there. Without this call there are none.
    pub fn http_addr(mut self, addr: impl Into<SocketAddr>) -> Self {
        self.http_addr = Some(addr.into());
        self
    }

    /// Takes Jaeger's usual ports on loopback: 6831 compact, 6832 binary, 16686 web page.
    pub fn usual_ports(self) -> Self {
        self.compact_addr(loopback(6831)).binary_addr(loopback(6832)).http_addr(loopback(16686))
    }

    /// Sets the maximum memory of stored spans, in bytes; 64 MiB by default. See
    /// [`Store::with_limits`].
    ///
    /// Up to 32 MiB of datagrams may wait to be decoded besides.
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Sets the maximum number of stored spans; a million by default.
    pub fn max_spans(mut self, max_spans: usize) -> Self {
        self.max_spans = max_spans;
        self
    }

    /// Opens the ports and starts to listen.
    ///
    /// # Errors
    ///
    /// If a port is taken or a thread cannot be started. Nothing keeps running then.
    pub fn start(self) -> io::Result<EmbeddedAgent> {
        let store = Store::with_limits(self.max_bytes, self.max_spans);
        let (compact, binary) = (listen::bind(self.compact_addr)?, listen::bind(self.binary_addr)?);
        let (compact_addr, binary_addr) = (compact.local_addr()?, binary.local_addr()?);
        let http = self.http_addr.map(TcpListener::bind).transpose()?;
        let receivers = Receivers::start(&store, compact, binary)?;
        let http = http.map(|listener| Server::start(listener, store.clone())).transpose()?;
        Ok(EmbeddedAgent { store, compact_addr, binary_addr, http, _receivers: receivers })
    }
}

impl EmbeddedAgent {
    /// Starts an agent on free ports of loopback, without a web page.
    ///
    /// # Errors
    ///
    /// If no socket can be opened or no thread started.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Settings, at first those of [`start`](Self::start).
    pub fn builder() -> Builder {
        Builder {
            compact_addr: loopback(0),
            binary_addr: loopback(0),
            http_addr: None,
            max_bytes: DEFAULT_MAX_BYTES,
            max_spans: DEFAULT_MAX_SPANS,
        }
    }

    /// Returns the address for the compact protocol, the clients' default.
    #[must_use]
    pub fn compact_addr(&self) -> SocketAddr {
        self.compact_addr
    }

    /// Where it listens for the binary protocol.
    #[must_use]
    pub fn binary_addr(&self) -> SocketAddr {
        self.binary_addr
    }

    /// Where its web page is, if it has one.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(Server::addr)
    }

    /// Returns the store. A clone of it outlives the agent.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// See [`Store::spans`].
    #[must_use]
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.store.spans()
    }

    /// See [`Store::span_count`].
    #[must_use]
    pub fn span_count(&self) -> usize {
        self.store.span_count()
    }

    /// See [`Store::trace`].
    #[must_use]
    pub fn trace(&self, trace_id: TraceId) -> Option<Trace> {
        self.store.trace(trace_id)
    }

    /// See [`Store::traces`].
    #[must_use]
    pub fn traces(&self) -> Vec<Trace> {
        self.store.traces()
    }

    /// See [`Store::services`].
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        self.store.services()
    }

    /// See [`Store::batches`].
    #[must_use]
    pub fn batches(&self) -> Vec<BatchInfo> {
        self.store.batches()
    }

    /// See [`Store::stats`].
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.store.stats()
    }

    /// See [`Store::last_error`].
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.store.last_error()
    }

    /// See [`Store::reset`]. Datagrams in flight are stored after it.
    pub fn reset(&self) {
        self.store.reset();
    }

    /// See [`Store::wait_for`].
    pub fn wait_for(&self, timeout: Duration, condition: impl Fn(&Store) -> bool) -> bool {
        self.store.wait_for(timeout, condition)
    }

    /// See [`Store::wait_for_spans`].
    ///
    /// # Errors
    ///
    /// [`WaitError`] if they did not come within `timeout`.
    pub fn wait_for_spans(
        &self,
        count: usize,
        timeout: Duration,
    ) -> Result<Vec<ReceivedSpan>, WaitError> {
        self.store.wait_for_spans(count, timeout)
    }

    /// See [`Store::wait_for_trace`].
    ///
    /// # Errors
    ///
    /// [`WaitError`] if its spans did not come within `timeout`.
    pub fn wait_for_trace(
        &self,
        trace_id: TraceId,
        count: usize,
        timeout: Duration,
    ) -> Result<Trace, WaitError> {
        self.store.wait_for_trace(trace_id, count, timeout)
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
