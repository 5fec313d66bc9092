//! How spans start, what is written to them, and how they end.

pub(super) mod deferred;
pub(super) mod finish;
mod join;
mod priority;
pub(super) mod start;
pub(super) mod tail;
pub(super) mod write;

pub(crate) use self::start::plain as start_plain;
pub(crate) use self::tail::TailSampler;
