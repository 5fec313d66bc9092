//! The observers of one span, and how they are called.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::open::{OpenList, Slot};
use super::traits::{FinishCallback, SpanObserver};
use crate::lock::{self, Mutex};
use crate::panics::Callback;
use crate::span::counters::Stripe;
use crate::span::shared::SpanShared;

/// The observers of a live span, stored in its record until the span is finished.
pub(in crate::span) struct SpanObservers {
    stripe: Arc<Stripe>,
    /// The first observer: there is seldom another, which then costs no list.
    first: Option<Box<dyn SpanObserver>>,
    others: Vec<Box<dyn SpanObserver>>,
    /// Whether a thread is about to finish the span: observers are notified once.
    pub(super) finishing: AtomicBool,
    /// The position in the list of open spans, until this is dropped.
    pub(super) slot: Option<Slot>,
    /// The callbacks for the end of the span. No other lock is taken with this one.
    callbacks: Mutex<Vec<FinishCallback>>,
}

impl fmt::Debug for SpanObservers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanObservers").field("finishing", &self.finishing).finish_non_exhaustive()
    }
}

impl SpanObservers {
    pub(super) fn new(stripe: Arc<Stripe>) -> Self {
        let finishing = AtomicBool::new(false);
        let callbacks = Mutex::default();
        Self { stripe, first: None, others: Vec::new(), finishing, slot: None, callbacks }
    }

    pub(super) fn add(&mut self, observer: Box<dyn SpanObserver>) {
        if self.first.is_none() {
            self.first = Some(observer);
        } else {
            self.others.push(observer);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Returns the list of open spans and the span's position, if it is listed.
    pub(super) fn listed(&self) -> Option<(&OpenList, &Slot)> {
        self.stripe.hooks.open.as_ref().zip(self.slot.as_ref())
    }

    pub(super) fn notify(&self, callback: Callback, work: impl Fn(&dyn SpanObserver)) {
        for observer in self.first.iter().chain(&self.others) {
            call_observer(&self.stripe, callback, || work(&**observer));
        }
    }

    /// Calls back as an observer is called.
    pub(super) fn call(&self, callback: Callback, work: impl FnOnce()) {
        call_observer(&self.stripe, callback, work);
    }

    /// Takes over the callbacks that observers added when they were notified of the start.
    pub(super) fn take_over(&mut self, early: &Self) {
        self.callbacks = Mutex::new(early.take_callbacks());
    }

    /// Takes the callbacks; none in a forked process if a thread that was left behind may have them
    /// locked.
    pub(super) fn take_callbacks(&self) -> Vec<FinishCallback> {
        lock::acquire(&self.callbacks, &self.stripe.process.origin)
            .map(|mut callbacks| std::mem::take(&mut *callbacks))
            .unwrap_or_default()
    }

    /// Adds a callback, with the data of the span locked. Returns it if the span is about to be
    /// finished.
    pub(super) fn add_callback(&self, callback: FinishCallback) -> Option<FinishCallback> {
        if self.finishing.load(Ordering::Relaxed) {
            return Some(callback);
        }
        match lock::acquire(&self.callbacks, &self.stripe.process.origin) {
            Some(mut callbacks) => callbacks.push(callback),
            None => return Some(callback),
        }
        None
    }
}

impl Drop for SpanObservers {
    /// The drop of an observer is a user callback too.
    fn drop(&mut self) {
        if let Some((open, slot)) = self.listed() {
            open.remove(slot);
        }
        for observer in self.first.take().into_iter().chain(self.others.drain(..)) {
            call_observer(&self.stripe, Callback::SpanObserverDrop, || drop(observer));
        }
        for callback in self.callbacks.get_mut().drain(..) {
            // It was added after the end had taken the callbacks.
            self.stripe.report_misuse("on_finish");
            call_observer(&self.stripe, Callback::SpanOnFinish, || drop(callback));
        }
    }
}

thread_local! {
    /// Whether this thread is in a call of an observer: its actions there are not passed to
    /// observers.
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

pub(super) fn is_within_observer() -> bool {
    WITHIN.try_with(Cell::get).unwrap_or(false)
}

/// Calls an observer. Returns `None` if it panics.
pub(super) fn call_observer<T>(
    shared: &SpanShared,
    callback: Callback,
    work: impl FnOnce() -> T,
) -> Option<T> {
    let before = WITHIN.try_with(|within| within.replace(true)).unwrap_or(false);
    let response = shared.diagnostics.call(callback, work);
    let _ = WITHIN.try_with(|within| within.set(before));
    if response.is_none() && !shared.is_forked() {
        shared.hooks.panics.fetch_add(1, Ordering::Relaxed);
    }
    response
}
