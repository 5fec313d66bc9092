//! The Unix socket transport: datagrams to an agent on this host.
//!
//! The socket is not connected: each datagram names its receiver, so that an agent may start later,
//! be restarted or be absent, and only spans of that time are lost. Whether a process listens is
//! known at once.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::udp::failure::{BusyPauses, has_no_buffers, is_too_large};
use super::{MAX_PACKET_BYTES, Sent, Transport, UNIX_SCHEME};
use crate::clock;
use crate::error::{ConfigError, TransportError};

/// Sends datagrams to an agent's Unix socket.
///
/// If the receiver's queue is full, a datagram waits for up to 1 s; after a timeout the next ones
/// do not wait, until one is accepted. A process that takes the path over from a receiver that does
/// not read receives the later datagrams.
///
/// One system call per datagram.
///
/// One system call a datagram.
///
/// # Source
///
/// The framing is that of `UDPTransport` in jaeger-client-go; no other Jaeger client uses a Unix
/// socket.
#[derive(Debug)]
pub struct UnixTransport {
    address: String,
    receiver: SocketAddr,
    /// The socket; none until it is first needed, and after an error that a new one may not have.
    socket: Option<UnixDatagram>,
    /// The receiver's file when the socket was opened.
    file: Option<FileId>,
    /// Whether the last datagram timed out on the receiver's full queue.
    is_stuck: bool,
}

impl UnixTransport {
    /// Makes a transport to `address`: `unix:/path/to/socket`, or, on Linux, `unix:@name` for an
    /// abstract one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it is another address, or its path is longer than systems allow,
    /// which is about 100 bytes. An agent that is absent is no error here.
    pub fn new(address: impl Into<String>) -> Result<Self, ConfigError> {
        let address = address.into();
        let receiver =
            address.strip_prefix(UNIX_SCHEME).and_then(|name| match name.strip_prefix('@') {
                Some(name) => abstract_socket(name),
                None if name.starts_with('/') => SocketAddr::from_pathname(OsStr::new(name)).ok(),
                None => None,
            });
        match receiver {
            Some(receiver) => {
                Ok(Self { address, receiver, socket: None, file: None, is_stuck: false })
            }
            None => Err(ConfigError::invalid("reporter.local_agent_host_port", address, ALLOWED)),
        }
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => {
                self.file = file_of(&self.receiver);
                none.insert(open(self.is_stuck)?)
            }
        };
        let (mut is_interrupted, mut busy) = (false, None);
        loop {
            match socket.send_to_addr(message, &self.receiver) {
                // A signal may interrupt a wait; repeated signals must not prolong it.
                Err(error) if error.kind() == io::ErrorKind::Interrupted && !is_interrupted => {
                    is_interrupted = true;
                }
                Err(error) if has_no_buffers(&error) => {
                    let now = clock::now();
                    let pauses = busy.get_or_insert_with(|| BusyPauses::new(now));
                    let Some(pause) = pauses.next(now) else { return Err(error) };
                    thread::sleep(pause);
                }
                sent => return sent.map(drop),
            }
        }
    }

    /// Sends, and once more by another socket if the receiver was replaced by a new one: datagrams
    /// that the old one does not read fill this socket's buffer for as long as it lives. The second
    /// attempt does not wait.
    fn send_by_either(&mut self, message: &[u8]) -> io::Result<()> {
        match self.try_send(message) {
            Err(error) if is_full(&error) && file_of(&self.receiver) != self.file => {
                (self.socket, self.is_stuck) = (None, true);
                self.try_send(message)
            }
            sent => sent,
        }
    }

    /// Sets whether the next datagrams wait for room.
    fn set_stuck(&mut self, is_stuck: bool) {
        if self.is_stuck != is_stuck {
            self.is_stuck = is_stuck;
            if self.socket.as_ref().is_some_and(|socket| socket.set_nonblocking(is_stuck).is_err())
            {
                self.socket = None;
            }
        }
    }
}

impl Transport for UnixTransport {
    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
        let error = match self.send_by_either(message) {
            Ok(()) => {
                self.set_stuck(false);
                return Ok(Sent::OK);
            }
            Err(error) => error,
        };
        match error.kind() {
            // No such file, or no process that reads from it any more.
            io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset => {
                Err(TransportError::Refused { address: self.address.clone() })
            }
            _ if is_full(&error) => {
                self.set_stuck(true);
                let say = format!("the queue of {} is full, and nobody reads it", self.address);
                let source = io::Error::new(io::ErrorKind::TimedOut, say);
                Err(TransportError::Io { source })
            }
            _ if is_too_large(&error) => Err(TransportError::TooLarge { bytes: message.len() }),
            _ => {
                self.socket = None;
                Err(TransportError::Io { source: error })
            }
        }
    }
}

/// Device and inode, which identify a file even if another one has its name later.
type FileId = (u64, u64);

fn file_of(receiver: &SocketAddr) -> Option<FileId> {
    let file = fs::metadata(receiver.as_pathname()?).ok()?;
    Some((file.dev(), file.ino()))
}

/// Returns whether there was no room for a datagram, neither at the receiver nor in the socket
/// itself.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn open(is_stuck: bool) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // Room for one datagram of the largest size, and what systems add to it; some start below that.
    let options = SockRef::from(&socket);
    if options.send_buffer_size().is_ok_and(|size| size < 2 * MAX_PACKET_BYTES) {
        let _ = options.set_send_buffer_size(2 * MAX_PACKET_BYTES);
    }
    // A receiver that does not read must not block the reporter for ever.
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    socket.set_nonblocking(is_stuck)?;
    Ok(socket)
}

#[cfg(target_os = "linux")]
fn abstract_socket(name: &str) -> Option<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    // Without a name the system would choose one.
    if name.is_empty() { None } else { SocketAddr::from_abstract_name(name).ok() }
}

#[cfg(not(target_os = "linux"))]
fn abstract_socket(_name: &str) -> Option<SocketAddr> {
    None
}

const ALLOWED: &str = if cfg!(target_os = "linux") {
    "unix:/path/to/socket or unix:@name, of up to 107 bytes"
} else {
    "unix:/path/to/socket, of up to 103 bytes"
};

const SEND_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_socket_is_refused_with_what_is_allowed() {
        let long = format!("unix:/{}", "x".repeat(200));
        let long_name = format!("unix:@{}", "x".repeat(200));
        for address in
            ["unix:", "unix:@", "unix:agent", "/run/agent", "unix:/a\0b", "", &long, &long_name]
        {
            let error = UnixTransport::new(address).map(drop).unwrap_err().to_string();
            assert!(error.contains("unix:/path/to/socket"), "{error}");
        }
        assert!(UnixTransport::new("unix:/run/agent.sock").is_ok());
        assert_eq!(UnixTransport::new("unix:@agent").is_ok(), cfg!(target_os = "linux"));
    }

    #[test]
    fn a_message_that_no_socket_takes_is_too_large() {
        let name = std::env::temp_dir().join(format!("jaeger-client-{}", std::process::id()));
        let _receiver = UnixDatagram::bind(&name).unwrap();
        let mut transport = UnixTransport::new(format!("unix:{}", name.display())).unwrap();
        let sent = transport.send(&vec![0; 64 << 20]);
        let fits = transport.send(&[0; MAX_PACKET_BYTES]);
        fs::remove_file(&name).unwrap();
        assert!(matches!(sent, Err(TransportError::TooLarge { .. })), "{sent:?}");
        assert!(fits.is_ok(), "{fits:?}");
    }
}
