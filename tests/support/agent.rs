//! An agent that keeps the datagrams it gets, on a plain socket of the standard library.

use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Socket, Type};

use super::SOON;
use super::read::{Batch, Span};

pub(crate) struct Agent {
    socket: UdpSocket,
}

impl Agent {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self { socket }
    }

    pub(crate) fn address(&self) -> String {
        self.socket.local_addr().unwrap().to_string()
    }

    /// The next datagram, which must come soon.
    pub(crate) fn datagram(&self) -> Vec<u8> {
        let mut bytes = vec![0; 65_536];
        let taken = self.socket.recv(&mut bytes).expect("no datagram came");
        bytes.truncate(taken);
        bytes
    }

    pub(crate) fn batch(&self) -> Batch {
        Batch::read(&self.datagram())
    }

    /// Spans until there are as many as expected.
    pub(crate) fn spans(&self, expected: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        while spans.len() < expected {
            spans.extend(self.batch().spans);
        }
        assert_eq!(spans.len(), expected, "more spans came than were sent");
        spans
    }

    /// Returns what has arrived and was not read yet, without waiting for more.
    pub(crate) fn rest(&self) -> Vec<Span> {
        self.socket.set_nonblocking(true).unwrap();
        let mut spans = Vec::new();
        let mut bytes = vec![0; 65_536];
        while let Ok(taken) = self.socket.recv(&mut bytes) {
            spans.extend(Batch::read(&bytes[..taken]).spans);
        }
        self.socket.set_nonblocking(false).unwrap();
        spans
    }
}

/// An address on loopback at which nothing receives. The port stays taken until the process ends, so
/// that no other test gets it: the socket there is connected to itself, and datagrams of others are
/// refused as if there was none.
pub(crate) fn nobody() -> String {
    let socket = reserved(&"127.0.0.1:0".parse().unwrap());
    socket.connect(socket.local_addr().unwrap()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    std::mem::forget(socket);
    address
}

/// An agent that starts at an address which was `nobody`'s.
pub(crate) fn starting_at(nobody: &str) -> UdpSocket {
    let socket = reserved(&nobody.parse().unwrap());
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

/// A socket beside which another may be bound to the same address, if it is made here too.
fn reserved(address: &SocketAddr) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&(*address).into()).unwrap();
    socket.into()
}
