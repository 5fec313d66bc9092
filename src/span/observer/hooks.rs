//! The observers of a tracer.

use std::sync::atomic::AtomicU64;

use super::interest::{ObserverInterest, WantedTags};
use super::open::OpenList;
use super::traits::Observer;

/// The observers of a tracer, and its list of open spans.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    /// The observers that follow spans from their start, in the order in which they are notified.
    pub(crate) observers: Box<[Box<dyn Observer>]>,
    /// The observers that are notified of finished spans alone, if there are any.
    pub(crate) finish_observers: Option<FinishObservers>,
    /// The number of panics of observers.
    pub(crate) panics: AtomicU64,
    /// The list of unfinished spans.
    pub(crate) open: Option<OpenList>,
}

impl Hooks {
    /// Makes those of observers, each with what it wants to be notified of.
    pub(crate) fn new(
        all: impl IntoIterator<Item = (Box<dyn Observer>, ObserverInterest)>,
        open: Option<OpenList>,
    ) -> Self {
        let (mut observers, mut finish_observers) = (Vec::new(), None::<FinishObservers>);
        for (observer, interest) in all {
            match interest.into_wanted_tags() {
                None => observers.push(observer),
                Some(wanted) => finish_observers.get_or_insert_default().add(observer, wanted),
            }
        }
        Self { observers: observers.into(), finish_observers, open, ..Self::default() }
    }

    /// Returns whether there are observers that want tags.
    pub(crate) fn want_tags(&self) -> bool {
        !self.observers.is_empty() || self.finish_observers.is_some()
    }

    /// Returns whether spans are followed from their start.
    pub(crate) fn follow_spans(&self) -> bool {
        !self.observers.is_empty() || self.open.is_some()
    }

    /// Returns whether there is nothing to notify.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        !self.follow_spans() && self.finish_observers.is_none()
    }
}

/// The observers that are notified of finished spans alone.
#[derive(Debug, Default)]
pub(crate) struct FinishObservers {
    /// The observers and the tags that each of them wants, in the order in which they are notified.
    pub(super) observers: Vec<(Box<dyn Observer>, WantedTags)>,
    /// The tags that any of them wants.
    pub(super) wanted: WantedTags,
}

impl FinishObservers {
    fn add(&mut self, observer: Box<dyn Observer>, wanted: WantedTags) {
        self.wanted.add_all(&wanted);
        self.observers.push((observer, wanted));
    }
}
