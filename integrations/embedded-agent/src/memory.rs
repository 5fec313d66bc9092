//! The stored spans, and which are evicted when there is no more room.
//!
//! Room is counted in bytes, with an allowance for every structure around them, so that many small
//! spans are as bounded as a few large ones. The oldest trace is evicted first, as a whole; when
//! the only trace left is the one that grows, its oldest spans are.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jaeger_client::TraceId;

use crate::span::Process;
use crate::{Protocol, ReceivedSpan, Stats};

/// The memory of a span beside its bytes: its record, its position in the trace, two allocations.
const SPAN_COST: usize = 160;

/// The memory of a trace beside its spans: its positions in the map and in the order.
const TRACE_COST: usize = 256;

/// The limits of a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_bytes: usize,
    pub(crate) max_spans: usize,
}

#[derive(Debug)]
pub(crate) struct Memory {
    limits: Limits,
    traces: HashMap<TraceId, VecDeque<ReceivedSpan>>,
    /// The traces in the order of their first spans.
    order: VecDeque<TraceId>,
    /// Each process with the number of its spans, so that its bytes are stored and counted once.
    processes: HashMap<Arc<Process>, usize>,
    bytes: usize,
    span_count: usize,
    next_sequence: u64,
}

impl Memory {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            traces: HashMap::new(),
            order: VecDeque::new(),
            processes: HashMap::new(),
            bytes: 0,
            span_count: 0,
            next_sequence: 0,
        }
    }

    /// Stores the spans of a batch, and counts evicted ones in `stats`.
    pub(crate) fn insert(
        &mut self,
        process: &Arc<Process>,
        protocol: Protocol,
        spans: Vec<(TraceId, Box<[u8]>)>,
        stats: &mut Stats,
    ) {
        // Acquired until the batch is in, so that an eviction in between does not remove the process.
        let process = self.acquire_process(process);
        for (trace_id, bytes) in spans {
            let cost = bytes.len() + SPAN_COST + TRACE_COST;
            if cost + process.cost() > self.limits.max_bytes {
                stats.refused_spans += 1;
                continue;
            }
            self.make_room(trace_id, cost, stats);
            self.push(trace_id, Arc::clone(&process), bytes, protocol);
        }
        self.release_process(&process);
    }

    fn push(
        &mut self,
        trace_id: TraceId,
        process: Arc<Process>,
        bytes: Box<[u8]>,
        protocol: Protocol,
    ) {
        let process = self.acquire_process(&process);
        self.bytes += bytes.len() + SPAN_COST;
        self.span_count += 1;
        let span = ReceivedSpan::new(process, bytes, self.next_sequence, protocol);
        self.next_sequence += 1;
        let trace = self.traces.entry(trace_id).or_insert_with(|| {
            self.order.push_back(trace_id);
            self.bytes += TRACE_COST;
            VecDeque::new()
        });
        trace.push_back(span);
    }

    fn make_room(&mut self, trace_id: TraceId, cost: usize, stats: &mut Stats) {
        while self.bytes + cost > self.limits.max_bytes || self.span_count >= self.limits.max_spans
        {
            let Some(oldest) = self.order.front().copied() else { return };
            let alone = self.order.len() == 1 && oldest == trace_id;
            let mut spans = self.traces.remove(&oldest).unwrap_or_default();
            if alone && let Some(span) = spans.pop_front() {
                self.remove(&span);
                stats.evicted_spans += 1;
            }
            if alone && !spans.is_empty() {
                self.traces.insert(oldest, spans);
                continue;
            }
            stats.evicted_traces += u64::from(!alone);
            stats.evicted_spans += spans.len() as u64;
            spans.iter().for_each(|span| self.remove(span));
            self.order.pop_front();
            self.bytes -= TRACE_COST;
        }
    }

    fn remove(&mut self, span: &ReceivedSpan) {
        self.bytes -= span.bytes().len() + SPAN_COST;
        self.span_count -= 1;
        self.release_process(span.process_arc());
    }

    fn acquire_process(&mut self, process: &Arc<Process>) -> Arc<Process> {
        if let Some((known, _)) = self.processes.get_key_value(process) {
            let known = Arc::clone(known);
            self.processes.entry(Arc::clone(&known)).and_modify(|spans| *spans += 1);
            return known;
        }
        self.bytes += process.cost();
        self.processes.insert(Arc::clone(process), 1);
        Arc::clone(process)
    }

    fn release_process(&mut self, process: &Arc<Process>) {
        if let Some(spans) = self.processes.get_mut(process) {
            *spans -= 1;
            if *spans == 0 {
                self.processes.remove(process);
                self.bytes -= process.cost();
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self { next_sequence: self.next_sequence, ..Self::new(self.limits) };
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn span_count(&self) -> usize {
        self.span_count
    }

    pub(crate) fn trace_len(&self, trace_id: TraceId) -> usize {
        self.traces.get(&trace_id).map_or(0, VecDeque::len)
    }

    pub(crate) fn trace(&self, trace_id: TraceId) -> Option<Vec<ReceivedSpan>> {
        self.traces.get(&trace_id).map(|spans| spans.iter().cloned().collect())
    }

    /// The traces with their spans, the oldest first.
    pub(crate) fn traces(
        &self,
    ) -> impl DoubleEndedIterator<Item = (TraceId, &VecDeque<ReceivedSpan>)> {
        self.order.iter().filter_map(|id| self.traces.get(id).map(|spans| (*id, spans)))
    }

    /// All spans in the order in which they were received.
    pub(crate) fn spans(&self) -> Vec<ReceivedSpan> {
        let mut spans: Vec<_> = self.traces.values().flatten().cloned().collect();
        spans.sort_unstable_by_key(ReceivedSpan::sequence);
        spans
    }

    pub(crate) fn services(&self) -> Vec<String> {
        let names: BTreeSet<_> = self
            .processes
            .keys()
            .map(|process| String::from_utf8_lossy(&process.service))
            .collect();
        names.into_iter().map(String::from).collect()
    }
}
