//! The record behind the handles of a span, the state of its trace, and reused memory.

mod data;
mod extras;
mod large;
mod log_limit;
mod non_recording;
mod owned;
mod pool;
mod span_record;
mod times;
mod trace_state;

pub(super) use self::data::{FieldList, SpanData, may_be_priority, try_write, with_copy_of_few};
pub(super) use self::extras::{ParentKind, SamplingRequest};
pub(super) use self::non_recording::NonRecording;
pub(super) use self::owned::{OwnedRecord, SharedRecord};
pub(crate) use self::pool::evict_from_pools;
pub(super) use self::pool::{
    copy_of, count_non_recording, count_not_sampled, recycle_state, recycle_unstarted, release,
    retain_stripe, return_to_pool, take,
};
pub(super) use self::span_record::SpanRecord;
pub(super) use self::times::{End, Start};
pub(crate) use self::trace_state::{DEBUG, FIREHOSE, SAMPLED, Sampled, SharedState, TraceState};
