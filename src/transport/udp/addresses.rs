//! What an agent's name means, and when it is asked for again.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::socket::Network;
use crate::error::TransportError;
use crate::transport::AgentSocketType;

/// The addresses of an agent, those of IPv4 first: agents listen on it by default, and `localhost`
/// often means both.
#[derive(Debug)]
pub(super) struct Addresses {
    name: String,
    /// How often the name is resolved again; never, if none, once it did resolve.
    pub(super) interval: Option<Duration>,
    /// Which addresses count.
    pub(super) socket_type: AgentSocketType,
    found: Vec<SocketAddr>,
    /// When the name is to be resolved again.
    due: Option<Instant>,
    /// Until when the resolver is not asked again: it may take many seconds to say no.
    hold_off: Option<Instant>,
}

impl Addresses {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            interval: Some(RESOLVE_INTERVAL),
            socket_type: AgentSocketType::Udp,
            found: Vec::new(),
            due: None,
            hold_off: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn all(&self) -> &[SocketAddr] {
        &self.found
    }

    /// The address after this one, in a circle; the first one if it is none of them.
    pub(super) fn after(&self, peer: SocketAddr) -> Option<SocketAddr> {
        let at = self.found.iter().position(|other| *other == peer);
        let next = at.map_or(0, |at| (at + 1) % self.found.len());
        self.found.get(next).copied()
    }

    /// Resolves the name if that is due. An address that it meant before is better than none.
    ///
    /// # Errors
    ///
    /// [`TransportError::Unresolved`] if there is no address.
    pub(super) fn refresh(&mut self, network: &dyn Network) -> Result<(), TransportError> {
        let is_due = self.due.is_some_and(|at| network.now() >= at);
        if self.found.is_empty() {
            self.resolve(network)
        } else {
            if is_due {
                let _ = self.resolve(network);
            }
            Ok(())
        }
    }

    /// Resolves the name at most once a second; what is no name, at once. Whether anything changed
    /// is seen by [`all`](Self::all).
    pub(super) fn resolve(&mut self, network: &dyn Network) -> Result<(), TransportError> {
        let address = self.name.clone();
        let unresolved = |source| TransportError::Unresolved { address, source };
        if !self.needs_resolver() {
            return match self.of_type(self.name.parse().into_iter().collect()) {
                Ok(found) => {
                    self.found = found;
                    Ok(())
                }
                Err(none) => Err(unresolved(none)),
            };
        }
        let now = network.now();
        if self.hold_off.is_some_and(|until| now < until) {
            let why = "it failed less than a second ago, and is tried again later";
            return Err(unresolved(io::Error::new(io::ErrorKind::NotFound, why)));
        }
        self.hold_off = Some(now + HOLD_OFF);
        self.due = self.interval.map(|interval| now + interval);
        match network.resolve(&self.name).and_then(|found| self.of_type(found)) {
            Ok(found) => {
                self.found = found;
                Ok(())
            }
            Err(source) => Err(unresolved(source)),
        }
    }

    /// Whether the resolver has to be asked; an IP address is its own answer.
    pub(super) fn needs_resolver(&self) -> bool {
        self.name.parse::<SocketAddr>().is_err()
    }

    fn of_type(&self, mut found: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
        match self.socket_type {
            AgentSocketType::Udp => {}
            AgentSocketType::Udp4 => found.retain(SocketAddr::is_ipv4),
            AgentSocketType::Udp6 => found.retain(SocketAddr::is_ipv6),
        }
        found.sort_by_key(|peer| !peer.is_ipv4());
        // A resolver may say an address once for each kind of socket.
        found.dedup();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it has no such address"));
        }
        Ok(found)
    }
}

pub(super) const RESOLVE_INTERVAL: Duration = Duration::from_secs(30);
/// Between two questions to the resolver, and between two searches for an address that takes
/// datagrams where a refusal came late.
pub(super) const HOLD_OFF: Duration = Duration::from_secs(1);
