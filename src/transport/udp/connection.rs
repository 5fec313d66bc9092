//! The connection to an address of the agent's name: the first that accepts datagrams, and the next one when it
//! refuses.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::addresses::HOLD_OFF;
use super::{DatagramSocket, Remedies, UdpTransport};
use crate::error::TransportError;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: Box<dyn DatagramSocket>,
    pub(super) peer: SocketAddr,
    pub(super) since: Instant,
}

impl UdpTransport {
    /// Opens the receive queue of the socket, if that is wanted and possible.
    pub(super) fn watch_receive_queue(&mut self) {
        let socket = self.connection.as_ref().map(|connection| &*connection.socket);
        let socket = socket.filter(|_| self.pacer.watches_queue());
        self.pacer.connected(socket.and_then(|socket| self.network.receive_queue(socket)));
    }

    /// Resolves the name if that is due. Connects if there is no connection yet, or if the connected
    /// address is no longer one of the name.
    pub(super) fn ensure_connected(&mut self) -> Result<(), TransportError> {
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

    /// Connects to the same address anew.
    pub(super) fn renew(&mut self) {
        if let Some(peer) = self.connection.as_ref().map(|connection| connection.peer)
            && let Ok(socket) = self.network.connect(peer)
        {
            self.connected(socket, peer);
        }
    }

    /// Connects to an address of the name that has not refused the message yet, resolving the name
    /// again if none is left. Returns false if there is none.
    pub(super) fn try_next_address(&mut self, remedies: &mut Remedies) -> bool {
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
    pub(super) fn handle_late_refusal(&mut self) {
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
        self.try_next_address(&mut Remedies::new(now));
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

    fn is_refused_soon(&self, socket: &dyn DatagramSocket) -> bool {
        (0..REFUSAL_CHECKS).any(|_| {
            self.network.sleep(REFUSAL_CHECK_INTERVAL);
            socket.previous_failure().is_some()
        })
    }
}

/// The interval and number of checks whether an address refuses a message.
const REFUSAL_CHECK_INTERVAL: Duration = Duration::from_millis(5);
const REFUSAL_CHECKS: usize = 20;
