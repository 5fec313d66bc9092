//! Connections: HTTP over TCP and TLS, and their events.

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

/// The limits of a response's head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeadLimits {
    /// The maximum number of headers, with HTTP/1.
    pub(crate) headers: Option<usize>,
    /// The maximum number of bytes.
    pub(crate) bytes: Option<usize>,
}

impl HeadLimits {
    /// The limit of bytes where none is given: what hyper has for HTTP/1.
    pub(crate) const USUAL: usize = 8192 + 4096 * 100;
}

/// How often an idle connection with unread bytes is checked, with the runtime polling in between.
/// One that still has them after that is not used.
const LOOKS: usize = 16;
