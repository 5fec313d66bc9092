//! Who is told about spans besides the reporter: observers, and the list of spans that are open.
//!
//! Nothing of it is in the way of a tracer without them: its spans take no slow path, and come here
//! never.

mod notify;
mod open;
mod traits;

use std::sync::atomic::AtomicU64;

pub(super) use self::notify::{
    FinishClaim, SpanObservers, StartTags, add_callback, finishing, renamed, restarted, started,
    tag_set,
};
pub(crate) use self::open::OpenList;
pub use self::open::{OpenSpan, OpenSpans};
pub use self::traits::{Observer, SpanFinish, SpanObserver, StartSpanOptions};

/// Those that a tracer's spans are told to.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    /// In the order in which they are told.
    pub(crate) observers: Box<[Box<dyn Observer>]>,
    /// Calls of theirs that ended in a panic.
    pub(crate) panics: AtomicU64,
    /// Where spans are listed until they are finished.
    pub(crate) open: Option<OpenList>,
}

impl Hooks {
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
