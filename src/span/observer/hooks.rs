//! The observers of a tracer.

use std::sync::atomic::AtomicU64;

use super::open::OpenList;
use super::traits::Observer;

/// The observers of a tracer, and its list of open spans.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    /// The observers, in the order in which they are notified.
    pub(crate) observers: Box<[Box<dyn Observer>]>,
    /// The number of panics of observers.
    pub(crate) panics: AtomicU64,
    /// The list of unfinished spans.
    pub(crate) open: Option<OpenList>,
}

impl Hooks {
    /// Returns whether there are observers, which are notified of tags.
    pub(crate) fn want_tags(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Returns whether there is nothing to notify.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.observers.is_empty() && self.open.is_none()
    }
}
