//! The store's own state: counters, the clients' last batches, and errors of waits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jaeger_client::encoding::{BatchView, ClientStats, ValueView};

use crate::Protocol;
use crate::span::Process;

/// Counters of everything that was received since the start or the last reset.
///
/// # Examples
///
/// ```
/// use jaeger_client_embedded_agent::{Protocol, Store};
///
/// let store = Store::default();
/// assert!(store.receive(Protocol::Compact, b"no thrift").is_err());
/// assert_eq!(store.stats().malformed, 1);
/// assert_eq!(store.stats().spans, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams read, the malformed ones included.
    pub datagrams: u64,
    /// Batches understood.
    pub batches: u64,
    /// Spans understood. Each is stored, evicted later, or refused.
    pub spans: u64,
    /// Datagrams that could not be understood; [`Store::last_error`](crate::Store::last_error)
    /// says why the last one could not.
    pub malformed: u64,
    /// Datagrams thrown away because they were received faster than they could be decoded.
    pub overflowed: u64,
    /// Traces that gave way to newer ones.
    pub evicted_traces: u64,
    /// Spans that gave way to newer ones.
    pub evicted_spans: u64,
    /// Spans that are larger than the whole store may be.
    pub refused_spans: u64,
}

/// The state of one client: its last batch, and how much it has sent.
///
/// Clients are distinguished by their process: service name and tags, among which Jaeger's clients
/// have a `client-uuid`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchInfo {
    /// The service's name; bytes that are no UTF-8 are replaced.
    pub service: String,
    /// The process tag `client-uuid`, if it is text.
    pub client_uuid: Option<String>,
    /// The protocol of the last batch.
    pub protocol: Protocol,
    /// The last batch's place in the client's sequence.
    pub seq_no: Option<i64>,
    /// The client's counts of lost spans, from its last batch.
    pub stats: Option<ClientStats>,
    /// Batches received from it.
    pub batches: u64,
    /// Spans received from it.
    pub spans: u64,
}

/// The clients that sent batches, in the order of their last ones; the oldest are evicted.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    entries: Vec<Client>,
    bytes: usize,
}

#[derive(Debug)]
struct Client {
    process: Arc<Process>,
    protocol: Protocol,
    seq_no: Option<i64>,
    stats: Option<ClientStats>,
    batches: u64,
    spans: u64,
}

/// The maximum number of clients: more than a laptop runs, few enough for a linear search.
const MAX_CLIENTS: usize = 256;

impl Clients {
    pub(crate) fn note(
        &mut self,
        process: &Arc<Process>,
        protocol: Protocol,
        batch: &BatchView<'_>,
        max_bytes: usize,
    ) {
        let known = self.entries.iter().rposition(|client| client.process == *process);
        let (batches, spans) = match known {
            Some(at) => {
                let client = self.remove(at);
                (client.batches, client.spans)
            }
            None => (0, 0),
        };
        self.bytes += process.cost();
        self.entries.push(Client {
            process: Arc::clone(process),
            protocol,
            seq_no: batch.seq_no,
            stats: batch.stats,
            batches: batches + 1,
            spans: spans + batch.spans.count as u64,
        });
        while self.entries.len() > MAX_CLIENTS || (self.entries.len() > 1 && self.bytes > max_bytes)
        {
            self.remove(0);
        }
    }

    fn remove(&mut self, at: usize) -> Client {
        let client = self.entries.remove(at);
        self.bytes -= client.process.cost();
        client
    }

    pub(crate) fn infos(&self) -> Vec<BatchInfo> {
        self.entries.iter().map(Client::info).collect()
    }
}

impl Client {
    fn info(&self) -> BatchInfo {
        let mut tags = self.process.view().tags();
        let client_uuid = tags.find_map(|tag| match (tag.key, tag.value) {
            (b"client-uuid", ValueView::Str(text)) => {
                Some(String::from_utf8_lossy(text).into_owned())
            }
            _ => None,
        });
        BatchInfo {
            service: String::from_utf8_lossy(&self.process.service).into_owned(),
            client_uuid,
            protocol: self.protocol,
            seq_no: self.seq_no,
            stats: self.stats,
            batches: self.batches,
            spans: self.spans,
        }
    }
}

/// The error of a wait that timed out.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use jaeger_client_embedded_agent::Store;
///
/// let Err(error) = Store::default().wait_for_spans(3, Duration::from_millis(1)) else {
///     unreachable!("nothing was sent");
/// };
/// assert_eq!((error.received, error.wanted), (0, 3));
/// assert_eq!(error.to_string(), "0 of 3 spans received within 1ms");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitError {
    /// The requested number of spans.
    pub wanted: usize,
    /// The number of spans at the end.
    pub received: usize,
    /// The timeout.
    pub timeout: Duration,
    /// The counters at the end: what was malformed or evicted may be what is missing.
    pub stats: Stats,
    /// Why the last malformed datagram could not be read.
    pub last_error: Option<String>,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, received, timeout, stats, last_error } = self;
        write!(f, "{received} of {wanted} spans received within {timeout:?}")?;
        if stats.malformed > 0 {
            let why = last_error.as_deref().unwrap_or("unknown");
            write!(f, "; {} datagrams were malformed, the last: {why}", stats.malformed)?;
        }
        if stats.evicted_spans > 0 {
            write!(f, "; {} spans were evicted", stats.evicted_spans)?;
        }
        if stats.overflowed > 0 {
            write!(f, "; {} datagrams were received too fast", stats.overflowed)?;
        }
        Ok(())
    }
}

impl std::error::Error for WaitError {}
