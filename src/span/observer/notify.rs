//! How those who watch a span are told about it.
//!
//! They are user callbacks: they are called without a lock, and a panic of theirs stays with them.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::open::Slot;
use super::{SpanFinish, SpanObserver, StartSpanOptions};
use crate::clock::{Clock, system_time};
use crate::encoding::{List, tags_of};
use crate::lock;
use crate::panics::Callback;
use crate::span::counters::Stripe;
use crate::span::lifecycle::deferred;
use crate::span::lifecycle::write::SAMPLING_PRIORITY;
use crate::span::record::{SpanData, SpanRecord, Start};
use crate::span::shared::SpanShared;
use crate::span::{Span, TagValue};

/// Who watches a live span. It lies in the span's record until the span is finished.
pub(in crate::span) struct SpanObservers {
    core: Arc<Stripe>,
    /// The first of the observers: there is seldom another, which then costs no list.
    first: Option<Box<dyn SpanObserver>>,
    others: Vec<Box<dyn SpanObserver>>,
    /// Whether a thread is about to finish the span: they are told once.
    finishing: AtomicBool,
    /// Where the span is listed as open, until this is dropped.
    slot: Option<Slot>,
    /// What the application wants to be called at the end. No other lock is taken with it.
    callbacks: Mutex<Vec<FinishCallback>>,
}

/// What is called when a span is about to be finished.
pub(in crate::span) type FinishCallback = Box<dyn FnOnce(&Span) + Send>;

impl fmt::Debug for SpanObservers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanObservers").field("finishing", &self.finishing).finish_non_exhaustive()
    }
}

impl SpanObservers {
    fn new(core: Arc<Stripe>) -> Self {
        let finishing = AtomicBool::new(false);
        Self {
            core,
            first: None,
            others: Vec::new(),
            finishing,
            slot: None,
            callbacks: Mutex::default(),
        }
    }

    fn add(&mut self, observer: Box<dyn SpanObserver>) {
        if self.first.is_none() {
            self.first = Some(observer);
        } else {
            self.others.push(observer);
        }
    }

    /// The one of a live span.
    fn of(inner: &SpanRecord) -> Option<Arc<Self>> {
        inner.lock()?.observers.clone()
    }

    /// Notes the span's name on the list of those that are open.
    fn list_name(&self, inner: &SpanRecord) {
        if let (Some(open), Some(slot)) = (&self.core.hooks.open, &self.slot)
            // With the body locked, so that of two names the one that stands is listed.
            && let Some(data) = inner.lock()
        {
            open.rename(slot, &data);
        }
    }

    fn notify(&self, callback: Callback, work: impl Fn(&dyn SpanObserver)) {
        for observer in self.first.iter().chain(&self.others) {
            ask(&self.core, callback, || work(&**observer));
        }
    }

    fn notify_finish(&self, span: &Span, finish: &SpanFinish) {
        self.notify(Callback::SpanObserverOnFinish, |observer| observer.on_finish(span, finish));
        for callback in self.take_callbacks() {
            ask(&self.core, Callback::SpanOnFinish, || callback(span));
        }
    }

    /// None in a forked process, if a thread that was left behind may have them locked.
    fn take_callbacks(&self) -> Vec<FinishCallback> {
        lock::acquire(&self.callbacks, &self.core.origin)
            .map(|mut callbacks| std::mem::take(&mut *callbacks))
            .unwrap_or_default()
    }
}

impl Drop for SpanObservers {
    /// What is dropped is a user callback too.
    fn drop(&mut self) {
        if let (Some(open), Some(slot)) = (&self.core.hooks.open, &self.slot) {
            open.leave(slot);
        }
        for observer in self.first.take().into_iter().chain(self.others.drain(..)) {
            ask(&self.core, Callback::SpanObserverDrop, || drop(observer));
        }
        for callback in self.callbacks.get_mut().drain(..) {
            ask(&self.core, Callback::SpanOnFinish, || drop(callback));
        }
    }
}

thread_local! {
    /// Whether this thread is in a call of an observer's: what it does there is not told again.
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

fn is_within() -> bool {
    WITHIN.try_with(Cell::get).unwrap_or(false)
}

/// Calls an observer. None if it panics.
fn ask<T>(core: &SpanShared, callback: Callback, work: impl FnOnce() -> T) -> Option<T> {
    let before = WITHIN.try_with(|within| within.replace(true)).unwrap_or(false);
    let answer = core.diagnostics.call(callback, work);
    let _ = WITHIN.try_with(|within| within.set(before));
    if answer.is_none() && !core.origin.is_forked() {
        core.hooks.panics.fetch_add(1, Ordering::Relaxed);
    }
    answer
}

/// The tags that a span is started with, not cut.
#[derive(Debug, Default)]
pub(in crate::span) struct StartTags {
    is_taken: bool,
    count: usize,
    bytes: Vec<u8>,
    /// What comes behind them, as it does where nobody is told.
    last_count: usize,
    last: Vec<u8>,
}

impl StartTags {
    /// Takes them out of the record of a span about to be started.
    pub(in crate::span) fn take(data: &mut SpanData) -> Self {
        let draft = &mut data.draft;
        let (count, bytes) = (draft.tag_count, draft.tags.bytes().to_vec());
        let taken = Self { is_taken: true, count, bytes, ..Self::default() };
        draft.forget_tags();
        taken
    }

    /// They, if they were taken.
    pub(in crate::span) fn list(&self) -> Option<List<'_>> {
        self.is_taken.then(|| List::new(self.count, &self.bytes))
    }

    /// Does what may tag the span, and keeps the tags back if the others are here.
    pub(in crate::span) fn collect(
        &mut self,
        inner: &mut SpanRecord,
        work: impl FnOnce(&mut SpanRecord),
    ) {
        let draft = &inner.data.get_mut().draft;
        let (count, len) = (draft.tag_count, draft.tags.len());
        work(inner);
        let draft = &mut inner.data.get_mut().draft;
        if self.is_taken {
            self.last_count = draft.tag_count - count;
            self.last = draft.tags.bytes().get(len..).unwrap_or_default().to_vec();
            draft.tags.truncate(len);
            draft.tag_count = count;
        }
    }

    pub(super) fn tags(&self) -> impl Iterator<Item = (&str, TagValue<'_>)> {
        tags_of(Some(List::new(self.count, &self.bytes)))
            .map(|tag| (str::from_utf8(tag.key).unwrap_or_default(), TagValue::of(tag.value)))
    }
}

/// Ends the start of a span that is watched, which has its ids and its sampler's decision.
pub(in crate::span) fn started(
    record: Arc<SpanRecord>,
    core: &Arc<Stripe>,
    given: &StartTags,
) -> Span {
    let span = Span::recorded(record);
    let Some(inner) = span.existing_record() else { return span };
    let mut watch = SpanObservers::new(Arc::clone(core));
    if !is_within() {
        let name = inner.lock().map(|data| data.draft.name.clone()).unwrap_or_default();
        let options = StartSpanOptions::new(inner, given);
        for observer in &core.hooks.observers {
            let start = || observer.on_start_span(&span, &name, &options);
            if let Some(Some(observer)) = ask(core, Callback::ObserverOnStartSpan, start) {
                watch.add(observer);
            }
        }
    }
    attach(watch, &span, inner, core);
    for (key, value) in given.tags() {
        tag_set(&span, inner, key, value);
        if key == SAMPLING_PRIORITY {
            continue;
        }
        deferred::tag_set(inner, core, key, value.view(usize::MAX));
        if let Some(mut data) = inner.lock().filter(|data| !data.finished) {
            data.tag(key, value, core, core.max_tag_value_bytes);
        }
    }
    let Some(mut data) = inner.lock() else { return span };
    data.draft.tags.extend(&given.last);
    data.draft.tag_count += given.last_count;
    if !inner.state.is_recording() {
        data.draft.forget_tags();
    }
    drop(data);
    span
}

/// Lets a span have those who watch it.
fn attach(mut watch: SpanObservers, span: &Span, inner: &SpanRecord, core: &SpanShared) {
    let open = core.hooks.open.as_ref();
    if watch.first.is_none() && open.is_none() {
        return;
    }
    let Some(mut data) = inner.lock() else { return };
    if data.finished {
        // One of them did it when it was told of the start. It hears of the end all the same.
        drop(data);
        let (_, finish) = finish_of(inner, core, None);
        watch.notify_finish(span, &finish);
    } else {
        watch.slot = open.map(|open| open.enter(inner, &data));
        // Observers may have added callbacks when they were told of the start.
        if let Some(early) = data.observers.take() {
            watch.callbacks = Mutex::new(early.take_callbacks());
        }
        data.observers = Some(Arc::new(watch));
        data.draft.extras = true;
    }
}

/// Has a live span call back at its end. False if it is finished, or about to be.
#[cold]
pub(in crate::span) fn add_callback(
    inner: &SpanRecord,
    core: &Arc<Stripe>,
    callback: FinishCallback,
) -> bool {
    let Some(mut data) = inner.lock().filter(|data| !data.finished) else { return false };
    data.draft.extras = true;
    let observers =
        data.observers.get_or_insert_with(|| Arc::new(SpanObservers::new(Arc::clone(core))));
    if observers.finishing.load(Ordering::Relaxed) {
        // Dropped without the lock.
        return false;
    }
    let Some(mut callbacks) = lock::acquire(&observers.callbacks, &core.origin) else {
        return false;
    };
    callbacks.push(callback);
    drop(callbacks);
    inner.state.take_slow_path();
    true
}

/// Notes on the list of open spans that a span has begun at another moment.
#[cold]
pub(in crate::span) fn restarted(inner: &SpanRecord) {
    let Some(data) = inner.lock() else { return };
    if let Some(observers) = &data.observers
        && let (Some(open), Some(slot)) = (&observers.core.hooks.open, &observers.slot)
    {
        open.restart(slot, &data);
    }
}

/// Tells that a span is about to be given a tag.
#[cold]
pub(in crate::span) fn tag_set(span: &Span, inner: &SpanRecord, key: &str, value: TagValue<'_>) {
    if is_within() {
        return;
    }
    if let Some(watch) = SpanObservers::of(inner) {
        watch.notify(Callback::SpanObserverOnSetTag, |observer| {
            observer.on_set_tag(span, key, value)
        });
    }
}

/// Tells that a span was given another name.
#[cold]
pub(in crate::span) fn renamed(span: &Span, inner: &SpanRecord, name: &str) {
    let Some(watch) = SpanObservers::of(inner) else { return };
    watch.list_name(inner);
    if !is_within() {
        watch.notify(Callback::SpanObserverOnSetOperationName, |observer| {
            observer.on_set_operation_name(span, name)
        });
    }
}

/// The right to finish a span whose observers are notified once.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(in crate::span) enum FinishClaim {
    /// The caller finishes the span: at this moment, in nanoseconds since the Unix epoch, if one was
    /// given or observers were notified of one.
    Granted { end: Option<i64> },
    /// The span is finished, or another thread is finishing it.
    Refused,
}

/// Claims the end of a span and notifies its observers of it.
#[cold]
#[inline(never)]
pub(in crate::span) fn finishing(
    span: &Span,
    inner: &SpanRecord,
    core: &Stripe,
    end: Option<i64>,
) -> FinishClaim {
    let observers = match inner.lock() {
        Some(data) if !data.finished => data.observers.clone(),
        _ => return FinishClaim::Refused,
    };
    let Some(observers) = observers else { return FinishClaim::Granted { end } };
    if observers.finishing.swap(true, Ordering::Relaxed) {
        return FinishClaim::Refused;
    }
    // The time that they take is not the span's.
    let (at, finish) = finish_of(inner, core, end);
    observers.notify_finish(span, &finish);
    FinishClaim::Granted { end: Some(at) }
}

/// The end in nanoseconds since the Unix epoch, and what is told of it.
fn finish_of(inner: &SpanRecord, core: &SpanShared, end: Option<i64>) -> (i64, SpanFinish) {
    // Read without the lock, as a clock may be a user callback.
    let now = if end.is_none() { core.clock.monotonic_nanos() } else { 0 };
    let data = inner.lock();
    let at = data.as_ref().map(|data| (data.start, data.wall(core, now)));
    let (started, now) = at.unwrap_or_else(|| (Start::Unknown, core.anchor.wall(now)));
    let end = end.unwrap_or(now);
    let start = match started {
        Start::Read { wall, .. } | Start::Given { wall } => wall,
        Start::Unknown => end,
    };
    let duration = Duration::from_nanos(end.saturating_sub(start).max(0).cast_unsigned());
    let is_sampled = inner.state.is_sampled();
    (end, SpanFinish { finish_time: system_time(end), duration, is_sampled })
}
