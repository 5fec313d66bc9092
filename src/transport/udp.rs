//! Datagrams to an agent.
//!
//! The socket is connected, so that the operating system tells when nothing listens: on this host at
//! once, from another host with the next datagram. The agent's name is resolved when it is first
//! needed, every half minute after that, and whenever a datagram is refused, so that an agent may
//! start late, move, or be absent without anything but its spans being lost.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{AgentSocketType, MAX_PACKET_BYTES, Sent, Transport};
use crate::clock;
use crate::error::{ConfigError, TransportError};

/// Sends datagrams to an agent.
///
/// # Cost
///
/// Two system calls a datagram: one sends, one asks whether the receiver's host refused it.
///
/// # Source
///
/// `reconnectingUDPConn` in jaeger-client-go, `utils/reconnecting_udp_conn.go`, whose second write
/// hides every refusal.
#[derive(Debug)]
pub struct UdpTransport {
    address: String,
    /// How often the name is resolved again; never, if none, once it did resolve.
    interval: Option<Duration>,
    /// Which addresses count.
    socket_type: AgentSocketType,
    connection: Option<Connection>,
    /// When the name is to be resolved again.
    resolve_at: Option<Instant>,
    /// Until when it is not asked for again, after it failed or a datagram was refused: a resolver
    /// may take many seconds to say no.
    hold_off: Option<Instant>,
    /// A message counted as sent turned out to have been refused, and that was not told yet.
    previous_refused: bool,
}

#[derive(Debug)]
struct Connection {
    socket: UdpSocket,
    peer: SocketAddr,
}

impl UdpTransport {
    /// Sends to `address`, a name or IP address with a port; IPv6 addresses stand in brackets.
    ///
    /// # Errors
    ///
    /// [`ConfigError::OutOfRange`] if there is no port or no host. That the name does not resolve,
    /// or that nobody listens, is no error here: it is tried again.
    pub fn new(address: impl Into<String>) -> Result<Self, ConfigError> {
        let address = address.into();
        let well_formed = address.rsplit_once(':').is_some_and(|(host, port)| {
            let bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
            !host.is_empty() && !bare_v6 && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if !well_formed {
            return Err(ConfigError::OutOfRange {
                field: "reporter.local_agent_host_port",
                value: address,
                allowed: "host:port, with IPv6 addresses in brackets",
            });
        }
        Ok(Self {
            address,
            interval: Some(RESOLVE_INTERVAL),
            socket_type: AgentSocketType::Udp,
            connection: None,
            resolve_at: None,
            hold_off: None,
            previous_refused: false,
        })
    }

    /// How often the name is resolved again; with `None`, never once it did resolve, not even after
    /// a refusal. 30 s by default, which zero means too.
    #[must_use]
    pub fn reconnecting(mut self, interval: Option<Duration>) -> Self {
        let given =
            |interval: Duration| if interval.is_zero() { RESOLVE_INTERVAL } else { interval };
        self.interval = interval.map(|interval| given(interval).min(MAX_INTERVAL));
        self
    }

    /// Which of the addresses that the name means are used.
    #[must_use]
    pub fn socket_type(mut self, socket_type: AgentSocketType) -> Self {
        self.socket_type = socket_type;
        self
    }

    /// Resolves the name, and connects anew if it now means another address; after a refusal, to the
    /// next address it means, if there are several. At most once a second.
    fn resolve(&mut self, refused: bool) -> Result<(), TransportError> {
        let now = clock::now();
        let address = self.address.clone();
        let unresolved = |source| TransportError::Unresolved { address, source };
        if self.hold_off.is_some_and(|until| now < until) {
            let why = "it failed less than a second ago, and is tried again later";
            return Err(unresolved(io::Error::new(io::ErrorKind::NotFound, why)));
        }
        self.hold_off = Some(now + HOLD_OFF);
        self.resolve_at = self.interval.map(|interval| now + interval);
        let mut found: Vec<SocketAddr> = match self.address.to_socket_addrs() {
            Ok(found) => found.collect(),
            Err(source) => return Err(unresolved(source)),
        };
        match self.socket_type {
            AgentSocketType::Udp => {}
            AgentSocketType::Udp4 => found.retain(SocketAddr::is_ipv4),
            AgentSocketType::Udp6 => found.retain(SocketAddr::is_ipv6),
        }
        // IPv4 first: agents listen on it by default, and "localhost" often means both.
        found.sort_by_key(|peer| !peer.is_ipv4());
        let in_use = self.connection.as_ref().map(|connection| connection.peer);
        let at = in_use.and_then(|peer| found.iter().position(|other| *other == peer));
        let peer = match at {
            Some(_) if !refused => return Ok(()),
            Some(at) => found[(at + 1) % found.len()],
            None => match found.first() {
                Some(peer) => *peer,
                None => {
                    let none = io::Error::new(io::ErrorKind::NotFound, "it has no such address");
                    return Err(unresolved(none));
                }
            },
        };
        if in_use != Some(peer) {
            let socket = connect(peer).map_err(|source| TransportError::Io { source })?;
            self.connection = Some(Connection { socket, peer });
        }
        Ok(())
    }

    fn resolve_if_due(&mut self) -> Result<(), TransportError> {
        let due = self.resolve_at.is_some_and(|at| clock::now() >= at);
        match (&self.connection, due) {
            (Some(_), false) => Ok(()),
            (Some(_), true) => {
                // The address in use is better than none.
                let _ = self.resolve(false);
                Ok(())
            }
            (None, _) => self.resolve(false),
        }
    }

    fn try_send(&mut self, message: &[u8]) -> Result<(), SendError> {
        let Some(connection) = &self.connection else { return Err(SendError::Refused) };
        match connection.socket.send(message) {
            // On this host a refusal is known by now; asking clears it for the next datagram.
            Ok(_) => match connection.socket.take_error() {
                Ok(Some(error)) if is_refusal(&error) => Err(SendError::Refused),
                Ok(Some(error)) if is_too_large(&error) => Err(SendError::TooLarge),
                _ => Ok(()),
            },
            Err(error) if is_refusal(&error) => Err(SendError::PreviousRefused),
            Err(error) if is_too_large(&error) => Err(SendError::TooLarge),
            Err(error) => Err(SendError::Io(error)),
        }
    }
}

enum SendError {
    /// This datagram was refused.
    Refused,
    /// The one before was; this one was not sent.
    PreviousRefused,
    TooLarge,
    Io(io::Error),
}

impl Transport for UdpTransport {
    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
        self.resolve_if_due()?;
        for last_try in [false, false, true] {
            match self.try_send(message) {
                Ok(()) => {
                    let previous_refused = std::mem::take(&mut self.previous_refused);
                    return Ok(Sent { previous_refused, ..Sent::OK });
                }
                Err(SendError::PreviousRefused) if !last_try => self.previous_refused = true,
                Err(SendError::Refused) if !last_try => {
                    // Perhaps the agent has moved: ask, then send once more.
                    if self.interval.is_some() {
                        let _ = self.resolve(true);
                    }
                }
                // What the path says of an earlier datagram comes with this one: ask again.
                Err(SendError::TooLarge) if !last_try => {}
                Err(SendError::TooLarge) => {
                    return Err(TransportError::TooLarge { bytes: message.len() });
                }
                Err(SendError::Io(source)) => {
                    // A route or interface is gone; the next datagram gets a new socket.
                    self.connection = None;
                    return Err(TransportError::Io { source });
                }
                Err(SendError::Refused | SendError::PreviousRefused) => break,
            }
        }
        Err(TransportError::Refused { address: self.address.clone() })
    }

    fn tick(&mut self) {
        if self.connection.is_some() {
            let _ = self.resolve_if_due();
        }
    }
}

fn connect(peer: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, Some(Protocol::UDP))?;
    // Room for one datagram of the largest size; some systems start below that.
    if SockRef::from(&socket).send_buffer_size().is_ok_and(|size| size < MAX_PACKET_BYTES) {
        let _ = socket.set_send_buffer_size(MAX_PACKET_BYTES);
    }
    // A full device queue must not hold the reporter for ever.
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    socket.connect(&peer.into())?;
    Ok(socket.into())
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

pub(super) fn is_too_large(error: &io::Error) -> bool {
    // EMSGSIZE, whose number differs by system and which std has no stable kind for.
    const NUMBERS: &[i32] = if cfg!(target_os = "linux") {
        &[90]
    } else if cfg!(windows) {
        &[10_040]
    } else {
        &[40, 122]
    };
    error.raw_os_error().is_some_and(|number| NUMBERS.contains(&number))
}

pub(super) fn build(address: &str) -> Result<Box<dyn Transport>, ConfigError> {
    Ok(Box::new(UdpTransport::new(address)?))
}

const RESOLVE_INTERVAL: Duration = Duration::from_secs(30);
const MAX_INTERVAL: Duration = Duration::from_secs(365 * 24 * 3600);
const HOLD_OFF: Duration = Duration::from_secs(1);
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_without_host_or_port_are_refused_with_their_value() {
        for address in ["", "localhost", ":6831", "host:", "host:0", "host:65536", "::1:6831"] {
            let error = UdpTransport::new(address).unwrap_err().to_string();
            assert!(error.contains(&format!("{address:?}")), "{error}");
        }
        for address in ["localhost:6831", "[::1]:6831", "10.0.0.1:1"] {
            UdpTransport::new(address).unwrap();
        }
    }

    #[test]
    fn a_closed_port_is_an_error_from_the_first_datagram_on() {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut transport = UdpTransport::new(format!("127.0.0.1:{port}")).unwrap();
        for _ in 0..3 {
            let error = transport.send(b"x").unwrap_err();
            assert!(matches!(error, TransportError::Refused { .. }), "{error}");
        }
    }

    #[test]
    fn an_agent_that_starts_late_is_found() {
        let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = agent.local_addr().unwrap();
        drop(agent);
        let mut transport = UdpTransport::new(address.to_string()).unwrap();
        transport.send(b"lost").unwrap_err();
        let agent = UdpSocket::bind(address).unwrap();
        transport.send(b"found").unwrap();
        let mut buffer = [0; 16];
        assert_eq!(agent.recv(&mut buffer).unwrap(), 5);
    }

    #[test]
    fn a_name_with_two_addresses_is_tried_at_both() {
        // An agent that listens on the one address of "localhost" that is not tried first.
        let Ok(agent) = UdpSocket::bind("[::1]:0") else { return };
        let address = format!("localhost:{}", agent.local_addr().unwrap().port());
        let both = address.to_socket_addrs().unwrap().any(|peer| peer.is_ipv6());
        let mut transport = UdpTransport::new(address).unwrap();
        transport.hold_off = None;
        let mut sent = transport.send(b"x");
        for _ in 0..3 {
            transport.hold_off = None;
            sent = transport.send(b"x");
        }
        assert_eq!(sent.is_ok(), both, "{sent:?}");
    }

    #[test]
    fn only_addresses_of_the_type_that_is_asked_for_are_used() {
        let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = agent.local_addr().unwrap().to_string();
        let send = |socket_type| {
            UdpTransport::new(address.as_str()).unwrap().socket_type(socket_type).send(b"x")
        };
        assert!(send(AgentSocketType::Udp).is_ok() && send(AgentSocketType::Udp4).is_ok());
        let error = send(AgentSocketType::Udp6).unwrap_err();
        assert!(matches!(error, TransportError::Unresolved { .. }), "{error}");
    }

    #[test]
    fn a_name_that_does_not_resolve_is_an_error_of_the_send_alone() {
        let mut transport = UdpTransport::new("no-such-host.invalid:6831").unwrap();
        let error = transport.send(b"x").unwrap_err();
        assert!(error.to_string().contains("no-such-host.invalid:6831"), "{error}");
    }
}
