//! The lifecycle of a span, from its start to its end.
//!
//! | state | what there is | how it comes about | where it goes |
//! |---|---|---|---|
//! | unstarted | [`UnstartedSpan`]: a record with one handle; not counted | `Tracer::span` | any live state, by [`start`]; nothing, if the builder is dropped |
//! | non-recording | ids, a name and perhaps the state of its trace, but no record; counted as started | first span of a trace that is not sampled | *unsampled* or *sampled*, once it is shared and its trace is recorded; finished |
//! | unsampled | a record; tags and logs are dropped, a clock is not read | a trace that is not sampled | *sampled*, by [`priority`] or `retain_trace`; finished |
//! | deferred | a record that keeps tags and logs; bit `DEFERRED` | a sampler that [defers](deferred) its decision | *sampled* or *unsampled*, at the latest by its end |
//! | buffered | a record that keeps tags and logs; bits `BUFFERED`, `TRACKED` | [tail sampling](tail) of a trace that is not sampled | *sampled*, with the whole trace, for an error, a long duration or on request; finished into the buffer |
//! | sampled | a record that keeps tags and logs; bit `SAMPLED` | the sampler, or one of the above | *unsampled*, by a priority of 0; finished |
//! | finished | a record, for those who still have a handle; what is called on it is misuse | [`finish`] | the pool, with its last handle |
//!
//! The flags are those of the whole trace in this process: [`TraceState`] is shared by its spans, so that
//! a decision holds for all of them. A trace with bit `SLOW_PATH` takes the slow path, on which others have a
//! say in each operation:
//!
//! | operation | order of the calls |
//! |---|---|
//! | start | sampler · tail sampling · sampler that defers · priority · observers |
//! | tag | observers · priority, or: sampler that defers · tail sampling |
//! | new name | sampler that defers · observers |
//! | `finish` | tail sampling · observers · sampler that defers · observers of finished spans alone |
//! | drop of the last handle | as `finish`, if it has observers that follow it; otherwise: sampler that defers · tail sampling · observers of finished spans alone |
//!
//! [`UnstartedSpan`]: start::UnstartedSpan
//! [`TraceState`]: super::record::TraceState

mod baggage;
pub(super) mod child;
pub(super) mod deferred;
pub(super) mod finish;
mod join;
pub(super) mod prepare;
mod priority;
mod restart;
pub(super) mod start;
mod start_plain;
pub(super) mod tail;
mod unsent;
pub(super) mod unstarted_tags;
mod write;

pub(crate) use self::start_plain::{start_plain, start_plain_on_any_thread};
