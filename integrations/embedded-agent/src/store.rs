//! The store of received spans, with queries and waits.
//!
//! One mutex, locked for a batch's insertion or a query and never while a caller's code runs; one
//! condition variable, notified after every change, so that no thread has to poll.

use std::sync::Arc;
use std::time::Duration;

use jaeger_client::TraceId;
use jaeger_client::encoding::DecodeError;
use parking_lot::{Condvar, Mutex};

use crate::batches::Clients;
use crate::memory::{Limits, Memory};
use crate::receive::{self, Protocol};
use crate::span::Process;
use crate::system::Deadline;
use crate::{BatchInfo, ReceivedSpan, Stats, Trace, WaitError};

/// The spans an agent has received.
///
/// An [`EmbeddedAgent`](crate::EmbeddedAgent) fills one from its sockets. One made by itself is
/// filled by [`receive`](Self::receive) with datagrams from wherever a test has them.
///
/// # Shape and units
///
/// A handle: clones show the same spans. By default it keeps at most 64 MiB and a million spans;
/// beyond either, whole traces are evicted, the oldest first, and [`Stats`] counts them.
///
/// # Examples
///
/// ```
/// use jaeger_client::encoding::{BatchView, List, ProcessView, SpanView};
/// use jaeger_client_embedded_agent::{Protocol, Store};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut bytes = Vec::new();
/// SpanView::default().encode(&mut bytes);
/// let batch = BatchView::new(ProcessView::new(b"shop", None), List::new(1, &bytes));
///
/// let store = Store::default();
/// store.receive(Protocol::Compact, &batch.to_message(1))?;
/// store.receive(Protocol::Binary, &batch.to_binary_message(1)?)?;
/// assert_eq!(store.span_count(), 2);
/// assert_eq!(store.services(), ["shop"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    memory: Memory,
    clients: Clients,
    stats: Stats,
    last_error: Option<String>,
    /// Counts changes: who waits looks again when it moved.
    version: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self::with_limits(DEFAULT_MAX_BYTES, DEFAULT_MAX_SPANS)
    }
}

/// The default maximum of memory, in bytes: some hundred thousand spans, little on a laptop.
pub(crate) const DEFAULT_MAX_BYTES: usize = 64 << 20;

/// The default maximum of spans; the limit in bytes is reached first.
pub(crate) const DEFAULT_MAX_SPANS: usize = 1_000_000;

impl Store {
    /// Makes a store that keeps at most `max_bytes` bytes and `max_spans` spans.
    ///
    /// # Shape and units
    ///
    /// Bytes include an allowance for the structures around the spans. Clients' last batches take
    /// up to an eighth of `max_bytes` besides. A limit of zero spans is taken as one.
    #[must_use]
    pub fn with_limits(max_bytes: usize, max_spans: usize) -> Self {
        let limits = Limits { max_bytes, max_spans: max_spans.max(1) };
        let state = State {
            memory: Memory::new(limits),
            clients: Clients::default(),
            stats: Stats::default(),
            last_error: None,
            version: 0,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }) }
    }

    /// Stores a datagram as an agent's port would, and returns the number of spans in it.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if it is longer than 65,535 bytes or no `emitBatch` message of this
    /// protocol. It is counted then, too.
    pub fn receive(&self, protocol: Protocol, datagram: &[u8]) -> Result<usize, DecodeError> {
        let read = receive::read(protocol, datagram, |batch| {
            let process = Arc::new(Process::of(&batch.process));
            let spans = receive::own_spans(batch);
            let count = spans.len();
            // One change: a reader that sees a batch's spans sees them counted, and their datagram,
            // too.
            self.change(|state| {
                state.stats.datagrams += 1;
                state.stats.batches += 1;
                state.stats.spans += count as u64;
                let max_bytes = state.memory.limits().max_bytes / 8;
                state.clients.note(&process, protocol, batch, max_bytes);
                state.memory.insert(&process, protocol, spans, &mut state.stats);
            });
            count
        });
        if let Err(error) = &read {
            self.change(|state| {
                state.stats.datagrams += 1;
                state.stats.malformed += 1;
                state.last_error = Some(format!("{protocol}: {error}"));
            });
        }
        read
    }

    /// Counts a datagram that was received too fast to be read.
    pub(crate) fn count_overflow(&self) {
        self.change(|state| state.stats.overflowed += 1);
    }

    /// Forgets all spans, clients, counters and the last error.
    pub fn reset(&self) {
        self.change(|state| {
            state.memory.clear();
            state.clients = Clients::default();
            state.stats = Stats::default();
            state.last_error = None;
        });
    }

    /// All spans, in the order in which they were received.
    #[must_use]
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.shared.state.lock().memory.spans()
    }

    /// Returns the number of spans.
    #[must_use]
    pub fn span_count(&self) -> usize {
        self.shared.state.lock().memory.span_count()
    }

    /// The trace with this id.
    #[must_use]
    pub fn trace(&self, trace_id: TraceId) -> Option<Trace> {
        let spans = self.shared.state.lock().memory.trace(trace_id)?;
        Some(Trace::new(trace_id, spans))
    }

    /// All traces, the oldest first.
    #[must_use]
    pub fn traces(&self) -> Vec<Trace> {
        let mut traces = self.latest_traces(None, usize::MAX);
        traces.reverse();
        traces
    }

    /// The `limit` latest traces, the last one first, of those with a span of `service`.
    #[must_use]
    pub fn latest_traces(&self, service: Option<&str>, limit: usize) -> Vec<Trace> {
        let taken: Vec<_> = {
            let state = self.shared.state.lock();
            let wanted = |span: &ReceivedSpan| service.is_none_or(|name| span.service() == name);
            let traces = state.memory.traces().rev();
            let traces = traces.filter(|(_, spans)| spans.iter().any(wanted)).take(limit);
            traces.map(|(id, spans)| (id, spans.iter().cloned().collect())).collect()
        };
        // Put in order without the lock, so that receiving goes on meanwhile.
        taken.into_iter().map(|(id, spans)| Trace::new(id, spans)).collect()
    }

    /// Returns the number of traces.
    #[must_use]
    pub fn trace_count(&self) -> usize {
        self.shared.state.lock().memory.traces().count()
    }

    /// The names of all services that spans were received from, in alphabetical order.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        self.shared.state.lock().memory.services()
    }

    /// Returns the state of each client, in the order of their last batches.
    #[must_use]
    pub fn batches(&self) -> Vec<BatchInfo> {
        self.shared.state.lock().clients.infos()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.state.lock().stats
    }

    /// Why the last malformed datagram could not be read.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.shared.state.lock().last_error.clone()
    }

    /// Returns the memory of the spans, in bytes, overhead included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.state.lock().memory.bytes()
    }

    /// Waits until `condition` holds, and says whether it did within `timeout`.
    ///
    /// The condition is called once at the start and again after each change. It runs without any
    /// lock, so it may call this store or the agent.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use jaeger_client_embedded_agent::{Protocol, Store};
    ///
    /// let store = Store::default();
    /// let other_end = store.clone();
    /// std::thread::spawn(move || other_end.receive(Protocol::Binary, b"no thrift"));
    /// assert!(store.wait_for(Duration::from_secs(5), |store| store.stats().malformed == 1));
    /// ```
    pub fn wait_for(&self, timeout: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let deadline = Deadline::after(timeout);
        loop {
            // Read before the condition is called, so that a change meanwhile is not missed.
            let version = self.shared.state.lock().version;
            // Changes may come faster than the condition returns, so they must not hide the
            // timeout.
            let is_last = deadline.is_over();
            if condition(self) {
                return true;
            }
            if is_last {
                return false;
            }
            let mut state = self.shared.state.lock();
            while state.version == version && !deadline.is_over() {
                self.shared.changed.wait_for(&mut state, deadline.left());
            }
        }
    }

    /// Waits until there are `count` spans or more, and gives them all.
    ///
    /// # Errors
    ///
    /// [`WaitError`] if they did not come within `timeout`. It says how many did.
    pub fn wait_for_spans(
        &self,
        count: usize,
        timeout: Duration,
    ) -> Result<Vec<ReceivedSpan>, WaitError> {
        if self.wait_for(timeout, |store| store.span_count() >= count) {
            return Ok(self.spans());
        }
        Err(self.wait_error(count, timeout, Memory::span_count))
    }

    /// Waits until there are `count` spans or more of this trace, and gives the trace.
    ///
    /// # Errors
    ///
    /// [`WaitError`] if they did not come within `timeout`. It says how many did.
    pub fn wait_for_trace(
        &self,
        trace_id: TraceId,
        count: usize,
        timeout: Duration,
    ) -> Result<Trace, WaitError> {
        let count = count.max(1);
        let received = |memory: &Memory| memory.trace_len(trace_id);
        self.wait_for(timeout, |store| received(&store.shared.state.lock().memory) >= count);
        match self.trace(trace_id) {
            Some(trace) if trace.spans().len() >= count => Ok(trace),
            _ => Err(self.wait_error(count, timeout, received)),
        }
    }

    fn wait_error(
        &self,
        wanted: usize,
        timeout: Duration,
        received: impl FnOnce(&Memory) -> usize,
    ) -> WaitError {
        let state = self.shared.state.lock();
        let (received, last_error) = (received(&state.memory), state.last_error.clone());
        WaitError { wanted, received, timeout, stats: state.stats, last_error }
    }

    fn change(&self, how: impl FnOnce(&mut State)) {
        let mut state = self.shared.state.lock();
        how(&mut state);
        state.version += 1;
        drop(state);
        self.shared.changed.notify_all();
    }
}
