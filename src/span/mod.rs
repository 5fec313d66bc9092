//! The spans of a tracer: handles, and how spans start, change and end.
//!
//! [`handle`] has the methods of a live span, [`builder`] those of one about to be started; they
//! are implemented in [`lifecycle`], with a table of the states of a span at its head.

mod active;
mod baggage;
mod builder;
mod change;
mod compact;
mod context;
pub(crate) mod counters;
mod encoded_fields;
mod handle;
mod inspect;
mod lifecycle;
mod observer;
mod options;
mod owned;
mod prepared;
mod record;
mod reference;
mod repr;
mod set_tag;
pub(crate) mod shared;
mod sink;
mod tag;

pub(crate) use self::active::active_of;
pub use self::active::{InSpan, NumberedScopes, Scope, TraceFutureExt, wrap};
pub(crate) use self::baggage::{Baggage, BaggageItem};
pub use self::builder::SpanBuilder;
pub use self::compact::CompactSpan;
pub use self::context::{AsSpanContext, LogFields, SpanContext};
pub use self::encoded_fields::EncodedFields;
pub(crate) use self::lifecycle::{start_plain, start_plain_on_any_thread};
pub(crate) use self::observer::{Hooks, OpenList};
pub use self::observer::{
    ObservedSpan, Observer, ObserverInterest, OpenSpan, OpenSpans, SpanFinish, SpanObserver,
    StartSpanOptions,
};
pub use self::options::SpanOptions;
pub use self::owned::OwnedSpan;
pub use self::prepared::PreparedSpan;
pub(crate) use self::record::{DEBUG, SAMPLED, evict_from_pools};
pub use self::reference::Parent;
#[doc(hidden)]
pub use self::reference::ReferenceSink;
pub use self::repr::Span;
pub use self::set_tag::IntoTagValue;
pub(crate) use self::tag::truncate_value;
pub use self::tag::{FinishOptions, LogRecord, OwnedTagValue, TagValue};
