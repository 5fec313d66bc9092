//! Who is told about spans besides the reporter: observers, and the list of spans that are open.
//!
//! Nothing of it is in the way of a tracer without them: its spans are not careful, and come here
//! never.

mod observer;
mod open;
mod told;

use std::sync::atomic::AtomicU64;

pub use self::observer::{Observer, SpanFinish, SpanObserver, StartSpanOptions};
pub(crate) use self::open::OpenList;
pub use self::open::{OpenSpan, OpenSpans};
pub(super) use self::told::{Given, Watch, finishing, renamed, started, tag_set};

/// Those that a tracer's spans are told to.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    /// In the order in which they are told.
    pub(crate) observers: Box<[Box<dyn Observer>]>,
    /// Calls of theirs that ended in a panic.
    pub(crate) panics: AtomicU64,
    /// Where spans are listed until they are finished.
    pub(crate) open: Option<OpenList>,
}

impl Watchers {
    /// Whether somebody is told of tags.
    pub(crate) fn want_tags(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Whether nobody is told anything.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.observers.is_empty() && self.open.is_none()
    }
}
