//! The UDP transport: datagrams to an agent.
//!
//! The socket is connected, so that the operating system reports when nothing listens: on this host
//! at once, from another host with the next datagram or flush. A refused datagram goes to the next
//! address of the agent's name. The name is resolved when it is first needed, every half minute
//! after that, and whenever a datagram is refused, so that an agent may start later, move, or be
//! absent, and only spans of that time are lost. A failed datagram does not affect others.

mod addresses;
pub(super) mod failure;
mod from_socket;
mod pacing;
#[cfg(target_os = "linux")]
mod proc_net;
mod queue_state;
mod rate;
mod receive_queue;
#[cfg(target_os = "linux")]
mod sock_diag;
mod socket;
#[cfg(unix)]
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use self::addresses::{Addresses, HOLD_OFF, RESOLVE_INTERVAL};
use self::failure::{BusyPauses, Failure};
use self::pacing::Pacer;
pub use self::pacing::PacingConfig;
use self::socket::{DatagramSocket, Network, System};
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

#[derive(Debug)]
struct Connection {
    socket: Box<dyn DatagramSocket>,
    peer: SocketAddr,
    since: Instant,
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

    /// Opens the receive queue of the socket, if that is wanted and possible.
    fn watch_receive_queue(&mut self) {
        let socket = self.connection.as_ref().map(|connection| &*connection.socket);
        let socket = socket.filter(|_| self.pacer.watches_queue());
        self.pacer.connected(socket.and_then(|socket| self.network.receive_queue(socket)));
    }

    /// Resolves the name if that is due. Connects if there is no connection yet, or if the connected
    /// address is no longer one of the name.
    fn ensure_connected(&mut self) -> Result<(), TransportError> {
        self.addresses.refresh(&*self.network)?;
        let in_use = self.connection.as_ref().map(|connection| connection.peer);
        if in_use.is_some_and(|peer| self.addresses.all().contains(&peer)) {
            return Ok(());
        }
        let mut failure = None;
        for peer in self.addresses.all().to_vec() {
            match self.network.connect(peer) {
                Ok(socket) => {
                    self.connected(socket, peer);
                    return Ok(());
                }
                Err(error) => failure = Some(error),
            }
        }
        match (&self.connection, failure) {
            // The present address is better than none.
            (None, Some(source)) => Err(TransportError::Io { source }),
            _ => Ok(()),
        }
    }

    fn connected(&mut self, socket: Box<dyn DatagramSocket>, peer: SocketAddr) {
        let connection = Connection { socket, peer, since: self.network.now() };
        let before = self.connection.replace(connection);
        self.watch_receive_queue();
        // The errors of the old socket will not be read any more.
        self.previous_lost |= before.is_some_and(|old| old.socket.previous_failure().is_some());
    }

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
                    if !self.try_elsewhere(&mut remedies) {
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

    /// Connects to the same address anew.
    fn renew(&mut self) {
        if let Some(peer) = self.connection.as_ref().map(|connection| connection.peer)
            && let Ok(socket) = self.network.connect(peer)
        {
            self.connected(socket, peer);
        }
    }

    /// Connects to an address of the name that has not refused the message yet, resolving the name
    /// again if none is left. Returns false if there is none.
    fn try_elsewhere(&mut self, remedies: &mut Remedies) -> bool {
        let Some(refused) = self.connection.as_ref().map(|connection| connection.peer) else {
            return false;
        };
        remedies.refused_by.push(refused);
        loop {
            let mut next = refused;
            for _ in self.addresses.all() {
                let Some(peer) = self.addresses.after(next) else { break };
                next = peer;
                if remedies.refused_by.contains(&peer) {
                    continue;
                }
                match self.network.connect(peer) {
                    Ok(socket) => {
                        self.connected(socket, peer);
                        return true;
                    }
                    Err(_) => remedies.refused_by.push(peer),
                }
            }
            let may_resolve = self.addresses.interval.is_some() && self.addresses.needs_resolver();
            // The agent may have moved.
            if remedies.resolved || !may_resolve || self.addresses.resolve(&*self.network).is_err()
            {
                return false;
            }
            remedies.resolved = true;
        }
    }

    /// Handles a late refusal of the last message: it is sent to another address if there is still
    /// a copy, and later messages go to that address in any case.
    fn handle_late_refusal(&mut self) {
        let now = self.network.now();
        let last = std::mem::take(&mut self.last);
        let may_search = self.search_hold_off.is_none_or(|until| now >= until);
        if !last.is_empty() && may_search {
            self.search_hold_off = Some(now + HOLD_OFF);
            if self.send_to_another(&last) {
                return;
            }
        }
        self.previous_lost = true;
        self.try_elsewhere(&mut Remedies::new(now));
    }

    /// Connects to the first other address that does not refuse a message. The refusal is awaited
    /// for a moment: otherwise addresses that all refuse would take turns, and the message would
    /// count as sent.
    fn send_to_another(&mut self, message: &[u8]) -> bool {
        let Some(refused) = self.connection.as_ref().map(|connection| connection.peer) else {
            return false;
        };
        let mut next = refused;
        for _ in self.addresses.all() {
            let Some(peer) = self.addresses.after(next) else { break };
            next = peer;
            if peer != refused
                && let Ok(socket) = self.network.connect(peer)
                && socket.send_checked(message).is_ok()
                && !self.is_refused_soon(&*socket)
            {
                self.connected(socket, peer);
                return true;
            }
        }
        false
    }

    /// Stores a message that may yet be refused and have to go to another address.
    fn keep_if_new(&mut self, message: &[u8]) {
        self.last.clear();
        let Some(connection) = &self.connection else { return };
        let age = self.network.now().saturating_duration_since(connection.since);
        if self.addresses.all().len() > 1 && age < NEW_CONNECTION {
            self.last.extend_from_slice(message);
        } else if self.last.capacity() > 0 {
            self.last = Vec::new();
        }
    }

    fn is_refused_soon(&self, socket: &dyn DatagramSocket) -> bool {
        (0..REFUSAL_CHECKS).any(|_| {
            self.network.sleep(REFUSAL_CHECK_INTERVAL);
            socket.previous_failure().is_some()
        })
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
        self.keep_if_new(message);
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

const MAX_INTERVAL: Duration = Duration::from_secs(365 * 24 * 3600);
/// How many times a message is retried because one before it was refused.
const MAX_PREVIOUS: usize = 3;
/// The time for a new address to refuse messages without losing one.
const NEW_CONNECTION: Duration = Duration::from_secs(1);
/// The interval and number of checks whether an address refuses a message.
const REFUSAL_CHECK_INTERVAL: Duration = Duration::from_millis(5);
const REFUSAL_CHECKS: usize = 20;
