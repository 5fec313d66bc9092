//! Where finished spans are written, and the account of what became of them.
//!
//! Walk step 6, on the application's thread: it lies below the spans, which know of no reporter, and
//! below the reporter, whose thread takes full buffers from it and says what became of them.

mod buffer;
mod queue;
mod sharded;
mod spare;
mod trim;

pub(crate) use self::buffer::Buffer;
pub(crate) use self::queue::QueueLimits;
pub(crate) use self::sharded::{Outcome, ShardedBuffers, room_in};
pub(crate) use self::spare::SpareMemory;
pub(crate) use self::trim::{described, text_within, to_fit};
