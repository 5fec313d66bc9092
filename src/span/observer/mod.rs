//! Notification of observers, and the list of open spans.
//!
//! A tracer without them pays nothing for it: its spans take no slow path, and never get here.

mod hooks;
mod notify;
mod open;
mod span_observers;
mod start_tags;
mod traits;

pub(crate) use self::hooks::Hooks;
pub(super) use self::notify::{
    FinishClaim, add_callback, finishing, renamed, restarted, started, tag_set,
};
pub(crate) use self::open::OpenList;
pub use self::open::{OpenSpan, OpenSpans};
pub(super) use self::span_observers::SpanObservers;
pub(super) use self::start_tags::StartTags;
pub use self::traits::{Observer, SpanFinish, SpanObserver, StartSpanOptions};
