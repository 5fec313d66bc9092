//! The UDP transport: datagrams to an agent.
//!
//! The socket is connected, so that the operating system reports when nothing listens: on this host
//! at once, from another host with the next datagram or flush. A refused datagram goes to the next
//! address of the agent's name. The name is resolved when it is first needed, every half minute
//! after that, and whenever a datagram is refused, so that an agent may start later, move, or be
//! absent, and only spans of that time are lost. A failed datagram does not affect others.

mod addresses;
mod connection;
pub(super) mod failure;
mod from_socket;
mod network;
mod pacing;
#[cfg(target_os = "linux")]
mod proc_net;
mod queue_state;
mod rate;
mod receive_queue;
#[cfg(target_os = "linux")]
mod sock_diag;
#[cfg(unix)]
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use self::addresses::{Addresses, RESOLVE_INTERVAL};
use self::connection::Connection;
use self::failure::{BusyPauses, Failure};
use self::network::{Network, System};
use self::pacing::Pacer;
pub use self::pacing::PacingConfig;
use super::{AgentSocketType, Sent, Transport};
use crate::address::HostPort;
use crate::error::{ConfigError, TransportError};

/// Sends datagrams to an agent.
///
/// # Cost
///
/// Three system calls a datagram: one sends, and before and after it one reads whether the
/// receiver's host has refused anything. Reading the receive queue of an agent on this host takes
/// two more, once for each of the largest datagrams, or for up to 4 MiB where the agent's receive
/// buffer is large.
///
/// # Source
///
/// `reconnectingUDPConn` in jaeger-client-go, `utils/reconnecting_udp_conn.go`, whose second write
/// hides every refusal.
#[derive(Debug)]
pub struct UdpTransport {
    addresses: Addresses,
    network: Box<dyn Network>,
    connection: Option<Connection>,
    pacer: Pacer,
    /// The last message, while the connection is new and the name has other addresses.
    last: Vec<u8>,
    /// The time until which a late refusal does not start a search for another address.
    search_hold_off: Option<Instant>,
    /// Whether a message counted as sent turned out to be lost, refused or too large for the path, and
    /// that was not reported yet.
    previous_lost: bool,
}

impl UdpTransport {
    /// Makes a transport to `address`, a name or IP address with a port, an IPv6 address in
    /// brackets.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if there is no port or no host. A name that does not resolve, or an
    /// agent that cannot be reached, is no error here: it is retried.
    pub fn new(address: impl Into<String>) -> Result<Self, ConfigError> {
        let address = address.into();
        if HostPort::parse(&address).and_then(|read| read.port).is_none() {
            return Err(ConfigError::invalid(
                "reporter.local_agent_host_port",
                address,
                "host:port, with IPv6 addresses in brackets",
            ));
        }
        Ok(Self::on(Addresses::new(address), Box::new(System)))
    }

    fn on(addresses: Addresses, network: Box<dyn Network>) -> Self {
        Self {
            addresses,
            network,
            connection: None,
            pacer: Pacer::new(PacingConfig::default()),
            last: Vec::new(),
            search_hold_off: None,
            previous_lost: false,
        }
    }

    /// Sets how often the name is resolved again; with `None`, never once it did resolve, not even
    /// after a refusal, which only leads to the next of its first addresses. 30 s by default, which
    /// zero means too.
    #[must_use]
    pub fn reconnecting(mut self, interval: Option<Duration>) -> Self {
        let or_default =
            |interval: Duration| if interval.is_zero() { RESOLVE_INTERVAL } else { interval };
        self.addresses.interval = interval.map(|interval| or_default(interval).min(MAX_INTERVAL));
        self
    }

    /// Sets the address family.
    #[must_use]
    pub fn socket_type(mut self, socket_type: AgentSocketType) -> Self {
        self.addresses.socket_type = socket_type;
        self
    }

    /// Sets how fast datagrams are sent. By default the agent's receive queue is watched where it
    /// can be read, and a rate limits elsewhere; see [`PacingConfig`].
    #[must_use]
    pub fn pacing(mut self, pacing: PacingConfig) -> Self {
        self.pacer = Pacer::new(pacing);
        self.watch_receive_queue();
        self
    }
}

impl Transport for UdpTransport {
    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
        self.ensure_connected()?;
        if self.pacer.admit(message.len(), &*self.network).is_err() {
            return Err(self.queue_full());
        }
        if let Err(error) = self.send_somewhere(message) {
            self.pacer.not_sent(message.len());
            return Err(error);
        }
        self.store_for_next_address(message);
        Ok(Sent { previous_refused: std::mem::take(&mut self.previous_lost), ..Sent::OK })
    }

    fn take_late_refusal(&mut self) -> bool {
        match self.connection.as_ref().and_then(|connection| connection.socket.previous_failure()) {
            None => {}
            Some(Failure::PreviousTooLarge) => self.previous_lost = true,
            Some(_) => self.handle_late_refusal(),
        }
        std::mem::take(&mut self.previous_lost)
    }

    fn receiver_drops(&mut self) -> Option<u64> {
        self.pacer.drops(self.network.now())
    }

    fn tick(&mut self) {
        if self.connection.is_some() {
            let _ = self.ensure_connected();
        }
    }
}

impl UdpTransport {
    /// Sends a message, with all remedies for failures.
    fn send_somewhere(&mut self, message: &[u8]) -> Result<(), TransportError> {
        let mut remedies = Remedies::new(self.network.now());
        loop {
            let Some(connection) = &self.connection else {
                return Err(TransportError::Refused { address: self.addresses.name().to_owned() });
            };
            let Err(failure) = connection.socket.send_checked(message) else { return Ok(()) };
            match failure {
                Failure::PreviousRefused if remedies.previous < MAX_PREVIOUS => {
                    remedies.previous += 1;
                    self.handle_late_refusal();
                }
                Failure::PreviousTooLarge if remedies.previous < MAX_PREVIOUS => {
                    remedies.previous += 1;
                    self.previous_lost = true;
                }
                // Tried once more: the kernel may just have learned the path's MTU, and may fragment
                // the datagram now.
                Failure::TooLarge if !remedies.too_large => remedies.too_large = true,
                Failure::TooLarge => {
                    return Err(TransportError::TooLarge { bytes: message.len() });
                }
                Failure::Busy(source) => match remedies.busy.next(self.network.now()) {
                    Some(pause) => {
                        self.pacer.host_is_full();
                        self.network.sleep(pause);
                    }
                    None => return Err(TransportError::Io { source }),
                },
                Failure::Stale(source) if remedies.renewed => {
                    return Err(TransportError::Io { source });
                }
                Failure::Stale(_) => {
                    remedies.renewed = true;
                    self.renew();
                }
                Failure::Unreachable(_) if !remedies.repeated => remedies.repeated = true,
                Failure::Unreachable(_) if !remedies.renewed => {
                    remedies.renewed = true;
                    self.renew();
                }
                Failure::Refused(source) | Failure::Unreachable(source) => {
                    if !self.try_next_address(&mut remedies) {
                        let address = self.addresses.name();
                        return Err(TransportError::of_socket(source, address, message.len()));
                    }
                }
                Failure::PreviousRefused | Failure::PreviousTooLarge => {
                    return Err(TransportError::Refused {
                        address: self.addresses.name().to_owned(),
                    });
                }
                Failure::Other(source) => return Err(TransportError::Io { source }),
            }
        }
    }

    fn queue_full(&self) -> TransportError {
        let name = self.addresses.name();
        let say = format!("the receive queue of {name} is full, and nobody reads it");
        TransportError::Io { source: io::Error::new(io::ErrorKind::TimedOut, say) }
    }

    /// Stores a message that may yet be refused and have to go to another address.
    fn store_for_next_address(&mut self, message: &[u8]) {
        self.last.clear();
        let Some(connection) = &self.connection else { return };
        let age = self.network.now().saturating_duration_since(connection.since);
        if self.addresses.all().len() > 1 && age < NEW_CONNECTION {
            self.last.extend_from_slice(message);
        } else if self.last.capacity() > 0 {
            self.last = Vec::new();
        }
    }
}

/// A socket that is connected to an agent.
trait DatagramSocket: fmt::Debug + Send {
    fn send(&self, message: &[u8]) -> io::Result<usize>;

    /// Returns and clears the socket's pending error.
    fn take_error(&self) -> io::Result<Option<io::Error>>;

    /// Returns the socket's own address, and the connected one.
    fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)>;

    /// Sends one datagram, and reads at once whether it was refused, which is known by then on this host.
    /// The error is read before, too: otherwise an error of the datagram before would be taken for one of
    /// this datagram.
    fn send_checked(&self, message: &[u8]) -> Result<(), Failure> {
        if let Some(previous) = self.previous_failure() {
            return Err(previous);
        }
        self.send(message).map_err(Failure::of_send)?;
        let error = self.take_error().ok().flatten();
        error.and_then(Failure::of_sent).map_or(Ok(()), Err)
    }

    /// Returns the failure of the last datagram, if it was lost.
    fn previous_failure(&self) -> Option<Failure> {
        Failure::of_previous(&self.take_error().ok().flatten()?)
    }
}

impl DatagramSocket for UdpSocket {
    fn send(&self, message: &[u8]) -> io::Result<usize> {
        Self::send(self, message)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Self::take_error(self)
    }

    fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.local_addr()?, self.peer_addr()?))
    }
}

/// The remedies that were tried for a message.
#[derive(Debug)]
struct Remedies {
    busy: BusyPauses,
    previous: usize,
    repeated: bool,
    too_large: bool,
    renewed: bool,
    resolved: bool,
    refused_by: Vec<SocketAddr>,
}

impl Remedies {
    fn new(began: Instant) -> Self {
        Self {
            busy: BusyPauses::new(began),
            previous: 0,
            repeated: false,
            too_large: false,
            renewed: false,
            resolved: false,
            refused_by: Vec::new(),
        }
    }
}

const MAX_INTERVAL: Duration = Duration::from_secs(365 * 24 * 3600);
/// How many times a message is retried because one before it was refused.
const MAX_PREVIOUS: usize = 3;
/// The time for a new address to refuse messages without losing one.
const NEW_CONNECTION: Duration = Duration::from_secs(1);
