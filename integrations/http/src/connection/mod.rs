//! Connections: what HTTP is spoken over, and how what happens there is told.

mod http1;
#[cfg(feature = "http2")]
mod http2;
mod outgoing;
mod stream;
mod wire;

pub(crate) use self::http1::Connection;
#[cfg(feature = "http2")]
pub(crate) use self::http2::{InUse, Shared};
pub(crate) use self::outgoing::Outgoing;
pub(crate) use self::stream::Stream;
pub(crate) use self::wire::Wire;
