//! Notification of a span's observers.
//!
//! Observers are user callbacks: they are called without a lock, and their panics are caught.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::finish_observers::store_tag;
use super::span_observers::{SpanObservers, call_observer, is_within_observer};
use super::start_tags::StartTags;
use super::traits::{FinishCallback, SpanFinish, StartSpanOptions};
use crate::clock::{Clock, system_time};
use crate::panics::Callback;
use crate::span::counters::Stripe;
use crate::span::record::{SharedState, SpanRecord, Start};
use crate::span::repr::Span;
use crate::span::shared::SpanShared;
use crate::span::tag::TagValue;

/// Notifies observers of a span that has its ids and its sampler's decision, and attaches the span
/// observers that they return.
pub(in crate::span) fn started(
    span: &Span,
    record: &SpanRecord,
    stripe: &Arc<Stripe>,
    start_tags: &StartTags,
) {
    let mut observers = SpanObservers::new(Arc::clone(stripe));
    if !is_within_observer() {
        let name = record.lock().map(|data| data.draft.name().clone()).unwrap_or_default();
        let references = || {
            let data = record.lock();
            let ids = &record.ids;
            data.map(|data| data.draft.references(ids.trace, ids.parent)).unwrap_or_default()
        };
        let start = record.lock().map(|data| data.start());
        let options = StartSpanOptions::new(start_time(start), start_tags, &references);
        for observer in &stripe.hooks.observers {
            let start = || observer.on_start_span(span, &name, &options);
            if let Some(Some(observer)) =
                call_observer(stripe, Callback::ObserverOnStartSpan, start)
            {
                observers.add(observer);
            }
        }
    }
    attach(observers, span, record, stripe);
}

fn start_time(start: Option<Start>) -> SystemTime {
    match start {
        Some(Start::Read { wall, .. } | Start::Explicit { wall }) => system_time(wall),
        Some(Start::Unknown) | None => SystemTime::UNIX_EPOCH,
    }
}

/// Attaches observers to a span until it is finished.
fn attach(mut observers: SpanObservers, span: &Span, record: &SpanRecord, shared: &SpanShared) {
    let open = shared.hooks.open.as_ref();
    if observers.is_empty() && open.is_none() {
        return;
    }
    let Some(mut data) = record.lock() else { return };
    if data.finished {
        // An observer finished the span in its notification of the start. All are notified of the
        // end.
        drop(data);
        let (_, finish) = finish_of(record, shared, None);
        notify_finish(&observers, span, &finish);
    } else {
        let name = data.draft.name().clone();
        let (ids, state) = (&record.ids, SharedState::clone(&record.state));
        observers.slot = open.map(|open| open.enter(name, ids, data.start(), state));
        if let Some(early) = data.take_observers() {
            observers.take_over(&early);
        }
        *data.observers_mut() = Some(Arc::new(observers));
    }
}

/// Adds a callback for the end of a live span. Returns false if it is finished, or about to be.
#[cold]
pub(in crate::span) fn add_callback(
    record: &SpanRecord,
    stripe: &Arc<Stripe>,
    callback: FinishCallback,
) -> bool {
    let refused = {
        let Some(mut data) = record.lock().filter(|data| !data.finished) else { return false };
        let new = || Arc::new(SpanObservers::new(Arc::clone(stripe)));
        let refused = data.observers_mut().get_or_insert_with(new).add_callback(callback);
        if refused.is_none() {
            record.state.require_slow_path();
        }
        refused
    };
    // Dropped without the lock.
    refused.is_none()
}

/// Updates the start in the list of open spans.
#[cold]
pub(in crate::span) fn restarted(record: &SpanRecord) {
    let Some(data) = record.lock() else { return };
    if let Some((open, slot)) = data.observers().and_then(|observers| observers.listed()) {
        open.restart(slot, data.start());
    }
}

fn observers_of(record: &SpanRecord) -> Option<Arc<SpanObservers>> {
    record.lock()?.observers().cloned()
}

/// Updates the name in the list of open spans.
fn list_name(observers: &SpanObservers, record: &SpanRecord) {
    if let Some((open, slot)) = observers.listed()
        // Locked, so that of two names the final one is listed.
        && let Some(data) = record.lock()
    {
        open.rename(slot, data.draft.name().clone());
    }
}

/// Notifies the observers of a span of a tag that is about to be set.
#[cold]
pub(in crate::span) fn tag_set(
    span: &Span,
    record: &SpanRecord,
    shared: &SpanShared,
    key: &str,
    value: TagValue<'_>,
) {
    if shared.hooks.finish_observers.is_some() {
        store_tag(record, shared, key, value);
    }
    if is_within_observer() {
        return;
    }
    if let Some(observers) = observers_of(record) {
        observers.notify(Callback::SpanObserverOnSetTag, |observer| {
            observer.on_set_tag(span, key, value)
        });
    }
}

/// Notifies the observers of a span of its new name.
#[cold]
pub(in crate::span) fn renamed(span: &Span, record: &SpanRecord, name: &str) {
    let Some(observers) = observers_of(record) else { return };
    list_name(&observers, record);
    if !is_within_observer() {
        observers.notify(Callback::SpanObserverOnSetOperationName, |observer| {
            observer.on_set_operation_name(span, name)
        });
    }
}

/// The right to finish a span whose observers are notified once.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(in crate::span) enum FinishClaim {
    /// The caller finishes the span: at this time, in nanoseconds since the Unix epoch, if one was
    /// given or passed to observers.
    Granted { end: Option<i64> },
    /// The span is finished, or another thread is finishing it.
    Refused,
}

/// Claims the end of a span and notifies its observers of it.
#[cold]
#[inline(never)]
pub(in crate::span) fn finishing(
    span: &Span,
    record: &SpanRecord,
    stripe: &Stripe,
    end: Option<i64>,
) -> FinishClaim {
    let observers = {
        let Some(data) = record.lock().filter(|data| !data.finished) else {
            return FinishClaim::Refused;
        };
        let Some(observers) = data.observers() else { return FinishClaim::Granted { end } };
        // Checked with the data locked, so that no callback is added from here on.
        if observers.finishing.swap(true, Ordering::Relaxed) {
            return FinishClaim::Refused;
        }
        Arc::clone(observers)
    };
    // The time that callbacks take is not part of the span.
    let (at, finish) = finish_of(record, stripe, end);
    notify_finish(&observers, span, &finish);
    FinishClaim::Granted { end: Some(at) }
}

fn notify_finish(observers: &SpanObservers, span: &Span, finish: &SpanFinish) {
    observers.notify(Callback::SpanObserverOnFinish, |observer| observer.on_finish(span, finish));
    for callback in observers.take_callbacks() {
        observers.call(Callback::SpanOnFinish, || callback(span));
    }
}

/// The end in nanoseconds since the Unix epoch, and what observers are notified of it.
fn finish_of(record: &SpanRecord, shared: &SpanShared, end: Option<i64>) -> (i64, SpanFinish) {
    // Read without the lock, as a clock may be a user callback.
    let now = if end.is_none() { shared.clock.monotonic_nanos() } else { 0 };
    let data = record.lock();
    let at = data.as_ref().map(|data| (data.start(), data.wall(shared, now)));
    let (started, now) = at.unwrap_or_else(|| (Start::Unknown, shared.anchor.wall(now)));
    let end = end.unwrap_or(now);
    let start = match started {
        Start::Read { wall, .. } | Start::Explicit { wall } => wall,
        Start::Unknown => end,
    };
    let duration = Duration::from_nanos(end.saturating_sub(start).max(0).cast_unsigned());
    let is_sampled = record.state.is_sampled();
    (end, SpanFinish { finish_time: system_time(end), duration, is_sampled })
}
