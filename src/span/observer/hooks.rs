//! Who is notified of a tracer's spans.

use std::sync::atomic::AtomicU64;

use super::open::OpenList;
use super::traits::Observer;

/// The observers of a tracer, and its list of open spans.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    /// In the order in which they are notified.
    pub(crate) observers: Box<[Box<dyn Observer>]>,
    /// Calls of theirs that ended in a panic.
    pub(crate) panics: AtomicU64,
    /// The list of spans that are not finished.
    pub(crate) open: Option<OpenList>,
}

impl Hooks {
    /// Whether there are observers, which are notified of tags.
    pub(crate) fn want_tags(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Whether nobody is notified of anything.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.observers.is_empty() && self.open.is_none()
    }
}
