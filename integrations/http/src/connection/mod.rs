//! Connections: what HTTP is spoken over, and how what happens there is told.

#[cfg(feature = "http2")]
mod closing;
mod http1;
#[cfg(feature = "http2")]
mod http2;
mod outgoing;
mod stream;
mod wire;

pub(crate) use self::http1::Connection;
#[cfg(feature = "http2")]
pub(crate) use self::http2::{InUse, KeepAlive, Shared};
pub(crate) use self::outgoing::Outgoing;
pub(crate) use self::stream::Stream;
pub(crate) use self::wire::Wire;

/// How large the head of a response may be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeadLimits {
    /// How many headers, with HTTP/1.
    pub(crate) headers: Option<usize>,
    /// How many bytes.
    pub(crate) bytes: Option<usize>,
}

impl HeadLimits {
    /// The limit of bytes where none is given: what hyper has for HTTP/1.
    pub(crate) const USUAL: usize = 8192 + 4096 * 100;
}

/// How often an idle connection is looked at that has something to be read, with the runtime looking
/// in between. One that has it after that is not used.
const LOOKS: usize = 16;
