//! The addresses of an agent's name, and when it is resolved again.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::network::Network;
use crate::error::TransportError;
use crate::transport::AgentSocketType;

/// The addresses of an agent, IPv4 first: agents listen on it by default, and `localhost` often
/// means both.
#[derive(Debug)]
pub(super) struct Addresses {
    name: String,
    /// How often the name is resolved again; `None` for never, once it did resolve.
    pub(super) interval: Option<Duration>,
    /// The address family.
    pub(super) socket_type: AgentSocketType,
    found: Vec<SocketAddr>,
    /// The time at which the name is resolved again.
    due: Option<Instant>,
    /// The time until which the resolver is not called again: it may take many seconds to fail.
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

    /// Returns the address after this one, cyclically; the first one if it is none of them.
    pub(super) fn after(&self, peer: SocketAddr) -> Option<SocketAddr> {
        let at = self.found.iter().position(|other| *other == peer);
        let next = at.map_or(0, |at| (at + 1) % self.found.len());
        self.found.get(next).copied()
    }

    /// Resolves the name if that is due. A former address is better than none.
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

    /// Resolves the name at most once a second; an IP address, at once. [`all`](Self::all) shows
    /// whether anything changed.
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

    /// Returns whether the resolver is needed: not for an IP address.
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
        // A resolver may return an address once for each type of socket.
        found.dedup();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it has no such address"));
        }
        Ok(found)
    }
}

pub(super) const RESOLVE_INTERVAL: Duration = Duration::from_secs(30);
/// The minimum time between two calls of the resolver, and between two searches for an address
/// after late refusals.
pub(super) const HOLD_OFF: Duration = Duration::from_secs(1);
