//! The UDP ports: their sockets, their threads, and how they end.
//!
//! A thread for each port does nothing but take datagrams from the kernel, because the kernel keeps
//! only a handful of large ones; another thread decodes them. What waits between the two is bounded
//! in bytes, and what does not fit is counted.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::receive::MAX_DATAGRAM;
use crate::{Protocol, Store, system};

pub(crate) fn bind(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, None)?;
    // The kernel gives what its own limit allows; less is not worth failing for.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket.set_read_timeout(Some(LONGEST_READ))?;
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

/// The requested receive buffer, in bytes: some hundred full datagrams. Linux grants at most twice
/// `net.core.rmem_max`, which holds about six.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;

/// How long a thread may wait in the kernel before it checks whether it should end. Only matters if
/// the datagram that wakes it is lost.
const LONGEST_READ: Duration = Duration::from_millis(250);

/// The maximum size of datagrams that wait to be decoded: a burst of 200,000 spans or so.
const MAX_WAITING_BYTES: usize = 32 << 20;

/// The memory of a waiting datagram beside its bytes.
const WAITING_COST: usize = 128;

/// The threads behind the UDP ports. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Receivers {
    stop: Arc<AtomicBool>,
    wake: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
}

impl Receivers {
    pub(crate) fn start(store: &Store, compact: UdpSocket, binary: UdpSocket) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut started = Self { stop, wake: Vec::new(), threads: Vec::new() };
        let (sender, receiver) = mpsc::channel::<(Protocol, Vec<u8>)>();
        let waiting = Arc::new(AtomicUsize::new(0));
        for (protocol, socket) in [(Protocol::Compact, compact), (Protocol::Binary, binary)] {
            started.wake.push(reachable(socket.local_addr()?));
            let port = Port {
                protocol,
                socket,
                stop: Arc::clone(&started.stop),
                store: store.clone(),
                waiting: Arc::clone(&waiting),
                sender: sender.clone(),
            };
            started.spawn(&format!("jaeger-agent-{protocol}"), move || port.run())?;
        }
        // The decoder ends when both ports are gone, so it must not hold its own sender.
        drop(sender);
        let (store, stop) = (store.clone(), Arc::clone(&started.stop));
        started.spawn("jaeger-agent-decode", move || {
            for (protocol, datagram) in receiver {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                waiting.fetch_sub(datagram.len() + WAITING_COST, Ordering::Relaxed);
                // The store counts what cannot be read and keeps the reason.
                let _ = store.receive(protocol, &datagram);
            }
        })?;
        Ok(started)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(system::spawn(name, run)?);
        Ok(())
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for addr in &self.wake {
            let any = if addr.is_ipv4() {
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
            } else {
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
            };
            // If this fails, the read timeout wakes the thread.
            let _ = UdpSocket::bind(any).and_then(|socket| socket.send_to(&[], addr));
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The address by which this process reaches its own socket.
pub(crate) fn reachable(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        match addr {
            SocketAddr::V4(_) => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        }
    }
    addr
}

struct Port {
    protocol: Protocol,
    socket: UdpSocket,
    stop: Arc<AtomicBool>,
    store: Store,
    waiting: Arc<AtomicUsize>,
    sender: mpsc::Sender<(Protocol, Vec<u8>)>,
}

impl Port {
    fn run(self) {
        // One byte more than a datagram can have.
        let mut room = vec![0; MAX_DATAGRAM + 1];
        loop {
            let received = self.socket.recv_from(&mut room);
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            match received {
                Ok((length, _)) => self.hand_over(&room[..length]),
                Err(error) => match error.kind() {
                    // An ICMP error, the timeout, a signal: nothing is wrong with the socket.
                    io::ErrorKind::WouldBlock
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::Interrupted
                    | io::ErrorKind::ConnectionReset => {}
                    // The cause is not known, so it must not become a busy loop.
                    _ => thread::park_timeout(Duration::from_millis(10)),
                },
            }
        }
    }

    fn hand_over(&self, datagram: &[u8]) {
        let cost = datagram.len() + WAITING_COST;
        if self.waiting.fetch_add(cost, Ordering::Relaxed) + cost > MAX_WAITING_BYTES {
            self.waiting.fetch_sub(cost, Ordering::Relaxed);
            self.store.count_overflow();
            return;
        }
        // The decoder outlives the ports, so this cannot fail while anybody waits for the spans.
        let _ = self.sender.send((self.protocol, datagram.to_vec()));
    }
}
