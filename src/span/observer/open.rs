//! The list of unfinished spans.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

use crate::clock::{Anchor, Clock, TracerClock, system_time};
use crate::encoding::{Ids, truncate};
use crate::fork::ProcessOrigin;
use crate::id::{SpanId, TraceId};
use crate::lock::{self, Mutex, MutexGuard};
use crate::span::record::{SharedState, Start};

/// The unfinished spans of a tracer.
///
/// # Source
///
/// Not from another client.
///
/// # Examples
///
/// ```
/// use jaeger_client::Tracer;
/// let (tracer, _closer) =
///     Tracer::builder("svc").track_open_spans(1000).null_reporter().build()?;
/// let span = tracer.start_span("charge");
/// for open in tracer.open_spans().spans {
///     println!("{} {} for {:?}", open.trace_id, open.operation_name, open.age);
/// }
/// span.finish();
/// assert!(tracer.open_spans().is_empty());
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OpenSpans {
    /// The listed spans, the oldest first.
    pub spans: Vec<OpenSpan>,
    /// The number of spans that were started when the list was full. They do not move up: such a
    /// span is only counted for as long as it lives.
    pub not_listed: usize,
}

/// An unfinished span.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenSpan {
    /// The present name.
    pub operation_name: Cow<'static, str>,
    /// The trace id.
    pub trace_id: TraceId,
    /// The span id.
    pub span_id: SpanId,
    /// The start time, as read or given.
    pub start_time: SystemTime,
    /// The time since the start, by the tracer's clock, which does not change when the system's
    /// clock is stepped. If the start was given, the time since that.
    pub age: Duration,
    /// Whether the trace is sampled so far.
    pub is_sampled: bool,
}

impl OpenSpans {
    /// Returns whether every span is finished, or the spans are not tracked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// Returns the number of open spans, listed or not.
    #[must_use]
    pub fn total(&self) -> usize {
        self.spans.len().saturating_add(self.not_listed)
    }

    /// Returns the log message about spans that are open at the close. Of bounded length.
    pub(crate) fn never_finished(&self) -> String {
        let total = self.total();
        let were = if total == 1 { "span was" } else { "spans were" };
        let mut text = format!("{total} {were} never finished");
        for (at, open) in self.spans.iter().take(MAX_LISTED).enumerate() {
            // Names may come from the network: they must not end the line.
            let name = truncate(&open.operation_name, MAX_NAME_BYTES).escape_debug();
            let before = if at == 0 { ": " } else { ", " };
            let _ = write!(text, "{before}{name} ({:.1} s)", open.age.as_secs_f64());
        }
        match total - self.spans.len().min(MAX_LISTED) {
            0 => {}
            more => {
                let _ = write!(text, " and {more} more");
            }
        }
        text
    }
}

/// The maximum number of spans in the log message, and the length of each name in bytes.
const MAX_LISTED: usize = 10;
const MAX_NAME_BYTES: usize = 64;

/// The list. Its lock is the last one taken, with a span's data locked or nothing, and no user
/// callback is called under it.
#[derive(Debug)]
pub(crate) struct OpenList {
    limit: usize,
    listed: Mutex<Listed>,
    origin: ProcessOrigin,
}

#[derive(Debug, Default)]
struct Listed {
    /// By the number of the span: the order of spans of the same age. A tree returns the memory of
    /// spans that are finished, whichever of many they are.
    entries: BTreeMap<u64, Entry>,
    not_listed: usize,
    /// The number of spans so far.
    started: u64,
}

/// The entry of a span. It has no handle on the span: with one, even a weak one, the last handle
/// could not know that it is the last.
#[derive(Clone, Debug)]
struct Entry {
    name: Cow<'static, str>,
    trace_id: TraceId,
    span_id: SpanId,
    start: Start,
    state: SharedState,
}

/// The place of a span in the list.
#[derive(Debug)]
pub(super) enum Slot {
    /// The number of the span.
    Listed(u64),
    /// The list was full: the span is only counted.
    NotListed,
}

impl OpenList {
    /// Makes a list of at most `limit` spans; `None` for 0.
    pub(crate) fn of(limit: usize, origin: &ProcessOrigin) -> Option<Self> {
        let origin = origin.clone();
        (limit > 0).then(|| Self { limit, listed: Mutex::default(), origin })
    }

    fn lock(&self) -> Option<MutexGuard<'_, Listed>> {
        lock::acquire(&self.listed, &self.origin)
    }

    /// Adds a span, whose data is locked.
    pub(super) fn enter(
        &self,
        name: Cow<'static, str>,
        ids: &Ids,
        start: Start,
        state: SharedState,
    ) -> Slot {
        let (trace_id, span_id) = (ids.trace, ids.span);
        let Some(mut listed) = self.lock() else { return Slot::NotListed };
        if listed.entries.len() >= self.limit {
            listed.not_listed += 1;
            return Slot::NotListed;
        }
        listed.started += 1;
        let number = listed.started;
        listed.entries.insert(number, Entry { name, trace_id, span_id, start, state });
        Slot::Listed(number)
    }

    /// Changes the entry of a span, whose data is locked, so that the last change counts.
    fn change(&self, slot: &Slot, change: impl FnOnce(&mut Entry)) {
        let Slot::Listed(number) = slot else { return };
        if let Some(entry) = self.lock().as_mut().and_then(|listed| listed.entries.get_mut(number))
        {
            change(entry);
        }
    }

    /// Stores the new name of a span, whose data is locked.
    pub(super) fn rename(&self, slot: &Slot, name: Cow<'static, str>) {
        self.change(slot, |entry| entry.name = name);
    }

    /// Stores the new start of a span, whose data is locked.
    pub(super) fn restart(&self, slot: &Slot, start: Start) {
        self.change(slot, |entry| entry.start = start);
    }

    /// Stores the span that continues in the place of a listed one, and whose data is locked.
    pub(super) fn replace(&self, slot: &Slot, ids: &Ids, start: Start, state: SharedState) {
        self.change(slot, |entry| {
            (entry.trace_id, entry.span_id) = (ids.trace, ids.span);
            (entry.start, entry.state) = (start, state);
        });
    }

    /// Removes a span from the list.
    pub(super) fn remove(&self, slot: &Slot) {
        let Some(mut listed) = self.lock() else { return };
        match slot {
            Slot::NotListed => listed.not_listed = listed.not_listed.saturating_sub(1),
            Slot::Listed(number) => {
                listed.entries.remove(number);
            }
        }
    }

    /// Returns the listed spans, by the tracer's clock.
    pub(in crate::span) fn read(&self, clock: &TracerClock, anchor: &Anchor) -> OpenSpans {
        let (mut entries, not_listed) = {
            let Some(listed) = self.lock() else { return OpenSpans::default() };
            (listed.entries.values().cloned().collect::<Vec<_>>(), listed.not_listed)
        };
        // Read after the lock, as a clock may be a user callback.
        let now = clock.monotonic_nanos();
        // Stable, so that spans of the same age are in the order of their numbers.
        entries.sort_by_key(|entry| Reverse(entry.age(anchor, now)));
        let reported = |entry: Entry| OpenSpan {
            start_time: system_time(entry.start_nanos(anchor, now)),
            age: entry.age(anchor, now),
            is_sampled: entry.state.is_sampled(),
            operation_name: entry.name,
            trace_id: entry.trace_id,
            span_id: entry.span_id,
        };
        OpenSpans { spans: entries.into_iter().map(reported).collect(), not_listed }
    }
}

impl Entry {
    /// Returns the start in nanoseconds since the Unix epoch.
    fn start_nanos(&self, anchor: &Anchor, now: u64) -> i64 {
        match self.start {
            Start::Read { wall, .. } | Start::Explicit { wall } => wall,
            Start::Unknown => anchor.wall(now),
        }
    }

    fn age(&self, anchor: &Anchor, now: u64) -> Duration {
        match self.start {
            Start::Read { monotonic_nanos, .. } => {
                Duration::from_nanos(now.saturating_sub(monotonic_nanos))
            }
            Start::Explicit { wall } => {
                let nanos = anchor.wall(now).saturating_sub(wall).max(0);
                Duration::from_nanos(nanos.cast_unsigned())
            }
            Start::Unknown => Duration::ZERO,
        }
    }
}
