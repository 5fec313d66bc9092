//! Observers of a span that continues in the place of another.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::finish_observers::observed_tags;
use super::hooks::FinishObservers;
use super::span_observers::SpanObservers;
use crate::encoding::TagBuffer;
use crate::span::record::{SharedState, SpanData};
use crate::span::repr::Span;
use crate::span::shared::SpanShared;

/// The place of a span among those that observers follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::span) enum Place {
    New,
    /// That of a span which it continues, and whose observers it will be given.
    OfAnother,
}

/// The observers of a span that is replaced by another, and the tags that are wanted when that is finished.
#[derive(Debug)]
pub(in crate::span) struct TakenObservers {
    /// Those that follow the span, with its callbacks and its place in the list of open spans.
    observers: Option<Arc<SpanObservers>>,
    is_observed: bool,
    tags: TagBuffer,
}

impl TakenObservers {
    /// Takes the observers of a span that is not finished. Returns `None` if another thread is about to
    /// finish it, and notifies them.
    pub(in crate::span) fn take(data: &mut SpanData, shared: &SpanShared) -> Option<Self> {
        let is_finishing =
            |observers: &Arc<SpanObservers>| observers.finishing.load(Ordering::Relaxed);
        if data.observers().is_some_and(is_finishing) {
            return None;
        }
        let (mut is_observed, mut tags) = (false, TagBuffer::default());
        if let Some(of_finished) = &shared.hooks.finish_observers {
            is_observed = std::mem::take(&mut data.is_observed);
            tags = wanted_tags(data, of_finished);
        }
        Some(Self { observers: data.take_observers(), is_observed, tags })
    }

    /// Gives them the span to observe that continues in the place of theirs. They are not notified of what it
    /// was started with and given so far: they have seen that before.
    pub(in crate::span) fn give_to(self, next: &Span, shared: &SpanShared) {
        let Some(record) = next.existing_record() else { return };
        let Some(mut data) = record.lock() else { return };
        if let Some(of_finished) = &shared.hooks.finish_observers {
            data.is_observed = self.is_observed;
            if self.is_observed && wanted_tags(&data, of_finished).bytes() != self.tags.bytes() {
                data.extras.get_or_insert_default().observed_tags.replace(self.tags);
                if record.state.is_recording() {
                    // Later tags are stored too, so that they are in order.
                    record.state.require_slow_path();
                }
            }
        }
        if let Some(observers) = self.observers {
            if let Some((open, slot)) = observers.listed() {
                open.rename(slot, data.draft.name().clone());
                open.replace(slot, &record.ids, data.start(), SharedState::clone(&record.state));
            }
            record.state.require_slow_path();
            *data.observers_mut() = Some(observers);
        }
    }
}

/// Returns the tags of a span that observers would see now, in a form that can be compared.
fn wanted_tags(data: &SpanData, of_finished: &FinishObservers) -> TagBuffer {
    let mut tags = TagBuffer::default();
    tags.extend_tags(observed_tags(data), |key| of_finished.wanted.contains(key));
    tags
}
