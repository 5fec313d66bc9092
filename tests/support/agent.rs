//! An agent that keeps the datagrams it gets, on a plain socket of the standard library.

use std::net::UdpSocket;

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

/// An address on loopback at which nothing listens.
pub(crate) fn nobody() -> String {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
