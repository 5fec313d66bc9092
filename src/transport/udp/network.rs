//! The network's calls beside sending: names, sockets and their options, the time.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::queue_state::ReceiveQueue;
use super::{DatagramSocket, receive_queue};
use crate::address::HostPort;
use crate::clock;
use crate::transport::MAX_PACKET_BYTES;

/// The operating system's network, which tests replace.
pub(super) trait Network: fmt::Debug + Send {
    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>>;

    fn connect(&self, peer: SocketAddr) -> io::Result<Box<dyn DatagramSocket>>;

    /// Returns a reader of the receive queue at the socket's peer, or `None` if it cannot be read.
    fn receive_queue(&self, socket: &dyn DatagramSocket) -> Option<Box<dyn ReceiveQueue>>;

    fn now(&self) -> Instant;

    fn sleep(&self, time: Duration);
}

/// The operating system's network.
#[derive(Debug)]
pub(super) struct System;

impl Network for System {
    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        // Split, as resolvers accept no brackets, and a zone of an IPv6 address only in this form.
        let read = HostPort::parse(address).and_then(|read| Some((read.host, read.port?)));
        let (host, port) = read.ok_or(io::ErrorKind::InvalidInput)?;
        (host.as_str(), port).to_socket_addrs().map(Iterator::collect)
    }

    fn connect(&self, peer: SocketAddr) -> io::Result<Box<dyn DatagramSocket>> {
        let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, Some(Protocol::UDP))?;
        prepare((&socket).into())?;
        socket.connect(&peer.into())?;
        Ok(Box::new(UdpSocket::from(socket)))
    }

    fn receive_queue(&self, socket: &dyn DatagramSocket) -> Option<Box<dyn ReceiveQueue>> {
        let (local, peer) = socket.addresses().ok()?;
        receive_queue::open(local, peer)
    }

    fn now(&self) -> Instant {
        clock::now()
    }

    fn sleep(&self, time: Duration) {
        thread::sleep(time);
    }
}

/// Sets the options of every datagram socket.
pub(super) fn prepare(socket: SockRef<'_>) -> io::Result<()> {
    // Room for one datagram of the largest size; some systems start below that.
    if socket.send_buffer_size().is_ok_and(|size| size < MAX_PACKET_BYTES) {
        let _ = socket.set_send_buffer_size(MAX_PACKET_BYTES);
    }
    // A full device queue must not block the reporter for ever.
    socket.set_write_timeout(Some(SEND_TIMEOUT))
}

const SEND_TIMEOUT: Duration = Duration::from_secs(1);
