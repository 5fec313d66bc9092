//! A UDP transport with a socket that the application has bound.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::network::{Network, System, prepare};
use super::queue_state::ReceiveQueue;
use super::{DatagramSocket, UdpTransport, addresses::Addresses};
use crate::error::TransportError;

impl UdpTransport {
    /// Makes a transport to the agent at `agent` with a socket that is bound already: to an address
    /// of the caller's choosing, or before the process gives up the right to open sockets. The
    /// socket is connected here, and no other is opened later.
    ///
    /// # Errors
    ///
    /// [`TransportError::Io`] if the socket cannot be connected to that address, as one of IPv4 cannot
    /// to one of IPv6. An address where nobody listens is no error.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::UdpSocket;
    /// use jaeger_client::{Tracer, transport::UdpTransport};
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// let transport = UdpTransport::from_socket(socket, "127.0.0.1:6831".parse()?)?;
    /// let (tracer, _closer) = Tracer::builder("svc").transport(transport).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_socket(socket: UdpSocket, agent: SocketAddr) -> Result<Self, TransportError> {
        let ready = socket.set_nonblocking(false).and_then(|()| prepare((&socket).into()));
        ready.map_err(|source| TransportError::Io { source })?;
        let network = BoundSocket(Arc::new(socket));
        let mut transport = Self::on(Addresses::new(agent.to_string()), Box::new(network));
        transport.ensure_connected()?;
        Ok(transport)
    }
}

/// The operating system without new sockets.
#[derive(Debug)]
struct BoundSocket(Arc<UdpSocket>);

impl Network for BoundSocket {
    /// The agent has an address and no name.
    fn resolve(&self, _address: &str) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn connect(&self, peer: SocketAddr) -> io::Result<Box<dyn DatagramSocket>> {
        self.0.connect(peer)?;
        Ok(Box::new(Arc::clone(&self.0)))
    }

    fn receive_queue(&self, socket: &dyn DatagramSocket) -> Option<Box<dyn ReceiveQueue>> {
        System.receive_queue(socket)
    }

    fn now(&self) -> Instant {
        System.now()
    }

    fn sleep(&self, time: Duration) {
        System.sleep(time);
    }
}

impl DatagramSocket for Arc<UdpSocket> {
    fn send(&self, message: &[u8]) -> io::Result<usize> {
        (**self).send(message)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        (**self).take_error()
    }

    fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        DatagramSocket::addresses(&**self)
    }
}
