//! Notification of observers, and the list of open spans.
//!
//! A tracer without them pays nothing for it: its spans take no slow path, and never get here.

mod finish_observers;
mod hooks;
mod interest;
mod notify;
mod observed_span;
mod observed_tags;
mod open;
mod span_observers;
mod start_tags;
mod taken_observers;
mod traits;

pub(super) use self::finish_observers::{
    CopiedSpan, is_wanted_at_finish, last_finished, last_finished_slowly, observe_built,
    observe_finish, store_tag, store_tags_so_far, tag_replaced, tag_set_off_slow_path,
};
pub(crate) use self::hooks::Hooks;
pub use self::interest::ObserverInterest;
pub(super) use self::notify::{
    FinishClaim, add_callback, finishing, renamed, restarted, started, tag_set,
};
pub use self::observed_span::ObservedSpan;
pub(super) use self::observed_tags::ObservedTags;
pub(crate) use self::open::OpenList;
pub use self::open::{OpenSpan, OpenSpans};
pub(super) use self::span_observers::SpanObservers;
pub(super) use self::start_tags::StartTags;
pub(super) use self::taken_observers::{Place, TakenObservers};
pub use self::traits::{Observer, SpanFinish, SpanObserver, StartSpanOptions};
