//! The buffers of finished spans, and the span accounting.
//!
//! Step 6 in the life of a span, on the application's thread. The module is below the spans, which
//! know no reporter, and below the reporter, whose thread takes full buffers and settles their
//! spans.

mod buffer;
mod outcome;
mod sharded;
mod spare;
mod trim;

pub(crate) use self::buffer::{Buffer, QueueLimits, QueueUse};
pub(crate) use self::outcome::{Accepted, Outcome, OutcomeCounts};
pub(crate) use self::sharded::{ShardedBuffers, room_in};
pub(crate) use self::spare::SpareMemory;
pub(crate) use self::trim::{described, text_within, to_fit};
