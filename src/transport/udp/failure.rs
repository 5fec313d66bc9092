//! The errors of datagram sockets, and their remedies.

use std::io;
use std::time::{Duration, Instant};

#[cfg(unix)]
use rustix::io::Errno;

use crate::error::TransportError;

/// Why a datagram was not sent, by remedy.
#[derive(Debug)]
pub(super) enum Failure {
    /// The receiver's host, or a firewall, refused this datagram.
    Refused(io::Error),
    /// The datagram before was refused; this one was not sent.
    PreviousRefused,
    /// The datagram before was too large for the path; this one was not sent.
    PreviousTooLarge,
    /// There is no route to the host.
    Unreachable(io::Error),
    TooLarge,
    /// A queue or the memory of this host is full, temporarily.
    Busy(io::Error),
    /// The socket's route or source address is gone; a new socket may have a better one.
    Stale(io::Error),
    /// Any other error, which loses this datagram.
    Other(io::Error),
}

impl Failure {
    /// Returns the failure that an error of sending means.
    pub(super) fn of_send(error: io::Error) -> Self {
        match error.kind() {
            // A refusal from `send` is the socket's pending error, which is of the datagram before.
            _ if is_refusal(&error) => Self::PreviousRefused,
            _ if is_too_large(&error) => Self::TooLarge,
            _ if is_busy(&error) => Self::Busy(error),
            _ if is_unreachable(&error) => Self::Unreachable(error),
            io::ErrorKind::InvalidInput
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NotConnected
            | io::ErrorKind::BrokenPipe => Self::Stale(error),
            _ => Self::Other(error),
        }
    }

    /// Returns the failure that a pending error means if it is of the datagram that was just sent.
    pub(super) fn of_sent(error: io::Error) -> Option<Self> {
        if is_too_large(&error) {
            return Some(Self::TooLarge);
        }
        (is_refusal(&error) || is_unreachable(&error)).then_some(Self::Refused(error))
    }

    /// Returns the failure that a pending error means if it is of the datagram before.
    pub(super) fn of_previous(error: &io::Error) -> Option<Self> {
        if is_too_large(error) {
            return Some(Self::PreviousTooLarge);
        }
        (is_refusal(error) || is_unreachable(error)).then_some(Self::PreviousRefused)
    }
}

impl TransportError {
    /// Converts the error of a socket, for custom transports: [`TooLarge`](Self::TooLarge), after
    /// which smaller messages are made; [`Refused`](Self::Refused), if nothing listens at the
    /// address; or [`Io`](Self::Io).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::UdpSocket;
    /// use jaeger_client::TransportError;
    /// use jaeger_client::transport::{Sent, Transport};
    ///
    /// #[derive(Debug)]
    /// struct Plain(UdpSocket);
    ///
    /// impl Transport for Plain {
    ///     fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
    ///         let sent = self.0.send(message);
    ///         sent.map(|_| Sent::OK).map_err(|e| TransportError::of_socket(e, "agent", message.len()))
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn of_socket(source: io::Error, address: impl Into<String>, bytes: usize) -> Self {
        if is_too_large(&source) {
            Self::TooLarge { bytes }
        } else if is_refusal(&source) {
            Self::Refused { address: address.into() }
        } else {
            Self::Io { source }
        }
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

/// Returns whether the error is another one of ICMP or routing: no route, no such host or protocol,
/// forbidden.
fn is_unreachable(error: &io::Error) -> bool {
    let by_route =
        matches!(error.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable);
    by_route || error.raw_os_error().is_some_and(|number| UNREACHABLE.contains(&number))
}

pub(in crate::transport) fn is_too_large(error: &io::Error) -> bool {
    // EMSGSIZE, whose number differs by system and which std has no stable kind for.
    error.raw_os_error().is_some_and(|number| TOO_LARGE.contains(&number))
}

/// Returns whether a datagram found no room on this host, which is temporary.
fn is_busy(error: &io::Error) -> bool {
    let by_kind = matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    );
    by_kind || has_no_buffers(error)
}

pub(in crate::transport) fn has_no_buffers(error: &io::Error) -> bool {
    // ENOBUFS has no stable kind either.
    let number = error.raw_os_error();
    error.kind() == io::ErrorKind::OutOfMemory || number.is_some_and(|n| NO_BUFFERS.contains(&n))
}

/// The delays between attempts at one datagram while this host is busy: they grow, and end soon.
#[derive(Debug)]
pub(in crate::transport) struct BusyPauses {
    next: Duration,
    until: Instant,
}

impl BusyPauses {
    /// Makes the delays for a datagram whose first attempt began then.
    pub(in crate::transport) fn new(began: Instant) -> Self {
        Self { next: FIRST_PAUSE, until: began + BUSY_TIMEOUT }
    }

    /// Returns the delay before the next attempt, or `None` if it took long enough. An attempt may
    /// block too.
    pub(in crate::transport) fn next(&mut self, now: Instant) -> Option<Duration> {
        let pause = self.next;
        self.next = pause * 2;
        (now < self.until).then_some(pause)
    }
}

#[cfg(unix)]
const TOO_LARGE: &[i32] = &[Errno::MSGSIZE.raw_os_error()];
#[cfg(not(unix))]
const TOO_LARGE: &[i32] = &[10_040];

#[cfg(unix)]
const NO_BUFFERS: &[i32] = &[Errno::NOBUFS.raw_os_error()];
#[cfg(not(unix))]
const NO_BUFFERS: &[i32] = &[10_055];

/// The numbers beside those that `std` has a kind for. EACCES is of routes and firewalls; EPERM is
/// not listed, as it is of a datagram that was not sent.
#[cfg(unix)]
const UNREACHABLE: &[i32] = &[
    Errno::ACCESS.raw_os_error(),
    Errno::HOSTDOWN.raw_os_error(),
    Errno::NOPROTOOPT.raw_os_error(),
    Errno::PROTO.raw_os_error(),
];
#[cfg(not(unix))]
const UNREACHABLE: &[i32] = &[10_064];

const FIRST_PAUSE: Duration = Duration::from_micros(250);
const BUSY_TIMEOUT: Duration = Duration::from_millis(100);
