//! The receive queue of an agent's socket, where the operating system gives access to it: on this
//! host, in the same network namespace, on Linux.

use std::net::SocketAddr;

use super::queue_state::ReceiveQueue;

/// Returns a reader of the queue of the socket at `peer`, or `None` if it cannot be read.
#[cfg(target_os = "linux")]
pub(super) fn open(local: SocketAddr, peer: SocketAddr) -> Option<Box<dyn ReceiveQueue>> {
    use super::proc_net::ProcNet;
    use super::sock_diag::SockDiag;

    let (local, peer) = (canonical(local), canonical(peer));
    if !is_on_this_host(local, peer) {
        return None;
    }
    // The client's own socket must be visible, or the absence of another one means nothing.
    if SockDiag::open(peer, local).is_some_and(|mut own| own.read().is_some()) {
        return SockDiag::open(local, peer).map(|queue| Box::new(queue) as _);
    }
    let own = ProcNet::new(peer, local).read();
    own.map(|_| Box::new(ProcNet::new(local, peer)) as _)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn open(_local: SocketAddr, _peer: SocketAddr) -> Option<Box<dyn ReceiveQueue>> {
    None
}

/// Returns the address in the protocol that is used for it.
#[cfg(target_os = "linux")]
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Returns whether datagrams to `peer` stay on this host. Otherwise a local socket at the same port
/// of any address would be taken for the agent's.
#[cfg(target_os = "linux")]
fn is_on_this_host(local: SocketAddr, peer: SocketAddr) -> bool {
    let ip = peer.ip();
    ip.is_loopback() || ip == local.ip() || std::net::UdpSocket::bind((ip, 0)).is_ok()
}

/// Returns the approximate memory that a datagram of so many bytes takes in a receive queue: its
/// headers, the system's data beside it, and the rounding to powers of two.
pub(super) fn memory_of(bytes: usize) -> usize {
    let linear = bytes + HEADERS;
    if linear <= LARGEST_LINEAR { linear.next_power_of_two() + BESIDE } else { bytes + PAGED }
}

const HEADERS: usize = 576;
const BESIDE: usize = 256;
/// Larger ones are stored in pages.
const LARGEST_LINEAR: usize = 16 << 10;
const PAGED: usize = 1024;

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::net::{IpAddr, UdpSocket};

    use socket2::{Domain, Socket, Type};

    use super::super::proc_net::ProcNet;
    use super::super::sock_diag::SockDiag;
    use super::*;

    /// A socket of an agent, with room for so many bytes, which may share its port with others.
    fn agent(at: &str, capacity: usize) -> UdpSocket {
        let at: SocketAddr = at.parse().unwrap();
        let socket = Socket::new(Domain::for_address(at), Type::DGRAM, None).unwrap();
        socket.set_recv_buffer_size(capacity).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&at.into()).unwrap();
        socket.into()
    }

    fn sender(peer: SocketAddr) -> UdpSocket {
        let any: IpAddr = if peer.is_ipv4() { [0, 0, 0, 0].into() } else { [0; 16].into() };
        let sender = UdpSocket::bind((any, 0)).unwrap();
        sender.connect(peer).unwrap();
        sender
    }

    /// Both ways to read a queue; one of them where netlink is not there.
    fn readers(sender: &UdpSocket) -> Vec<Box<dyn ReceiveQueue>> {
        let local = canonical(sender.local_addr().unwrap());
        let peer = canonical(sender.peer_addr().unwrap());
        let by_netlink = SockDiag::open(local, peer).map(|queue| Box::new(queue) as _);
        let own = SockDiag::open(peer, local).and_then(|mut own| own.read());
        let by_netlink = by_netlink.filter(|_| own.is_some());
        by_netlink.into_iter().chain([Box::new(ProcNet::new(local, peer)) as _]).collect()
    }

    /// How an agent may listen, and what a sender sends to.
    const WAYS: [(&str, &str); 6] = [
        ("127.0.0.1:0", "127.0.0.1"),
        ("0.0.0.0:0", "127.0.0.1"),
        ("[::1]:0", "::1"),
        ("[::]:0", "::1"),
        ("[::]:0", "127.0.0.1"),
        ("127.0.0.1:0", "::ffff:127.0.0.1"),
    ];

    #[test]
    fn the_queue_of_an_agent_is_seen_however_it_listens() {
        for (at, to) in WAYS {
            if at.contains("::") && UdpSocket::bind("[::1]:0").is_err() {
                continue;
            }
            let agent = agent(at, 64 << 10);
            let port = agent.local_addr().unwrap().port();
            // Others of the same port, which do not get the datagrams.
            let _others = [UdpSocket::bind(("127.0.0.7", port)), UdpSocket::bind("127.0.0.1:0")];
            let sender = sender(SocketAddr::new(to.parse().unwrap(), port));
            let mut readers = readers(&sender);
            let before: Vec<_> = readers.iter_mut().map(|queue| queue.read().unwrap()).collect();
            assert!(before.iter().all(|state| (state.used, state.drops) == (0, 0)), "{before:?}");
            (0..10).for_each(|_| assert!(sender.send(&[0; 1_000]).is_ok()));
            for (queue, before) in readers.iter_mut().zip(&before) {
                let after = queue.read().unwrap();
                assert_eq!(after.socket, before.socket);
                assert!((10_000..40_000).contains(&after.used), "{at} {to}: {after:?}");
            }
            (0..200).for_each(|_| assert!(sender.send(&[0; 1_000]).is_ok()));
            for (queue, before) in readers.iter_mut().zip(&before) {
                let after = queue.read().unwrap();
                assert!(after.drops > 0 && after.drops < 200, "{at} {to}: {after:?}");
                assert!(after.used > before.capacity.min(64 << 10) / 2, "{at} {to}: {after:?}");
            }
            drop(agent);
            readers.iter_mut().for_each(|queue| assert_eq!(queue.read(), None, "{at} {to}"));
        }
    }

    #[test]
    fn of_several_sockets_at_a_port_the_one_that_gets_the_datagrams_is_seen() {
        let first = agent("127.0.0.1:0", 64 << 10);
        let peer = first.local_addr().unwrap();
        let agents =
            [agent(&peer.to_string(), 64 << 10), agent(&peer.to_string(), 64 << 10), first];
        agents.iter().for_each(|agent| agent.set_nonblocking(true).unwrap());
        for _ in 0..20 {
            let sender = sender(peer);
            let mut readers = readers(&sender);
            sender.send(&[0; 1_000]).unwrap();
            let used: Vec<_> = readers.iter_mut().map(|queue| queue.read().unwrap().used).collect();
            assert!(used.iter().all(|used| *used >= 1_000), "{used:?}");
            let received = |agent: &&UdpSocket| agent.recv(&mut [0; 1_000]).is_ok();
            assert_eq!(agents.iter().filter(received).count(), 1);
        }
    }

    #[test]
    fn an_agent_that_was_started_anew_has_another_socket() {
        let first = agent("127.0.0.1:0", 64 << 10);
        let peer = first.local_addr().unwrap();
        let sender = sender(peer);
        let mut readers = readers(&sender);
        let before: Vec<_> = readers.iter_mut().map(|queue| queue.read().unwrap()).collect();
        drop(first);
        let _second = agent(&peer.to_string(), 64 << 10);
        for (queue, before) in readers.iter_mut().zip(before) {
            assert_ne!(queue.read().unwrap().socket, before.socket);
        }
    }

    #[test]
    fn what_listens_here_is_not_taken_for_an_agent_elsewhere() {
        let here = agent("0.0.0.0:0", 64 << 10);
        let port = here.local_addr().unwrap().port();
        let local = "192.0.2.1:40000".parse().unwrap();
        let elsewhere = SocketAddr::from(([192, 0, 2, 7], port));
        assert!(open(local, elsewhere).is_none());
        let sender = sender(SocketAddr::from(([127, 0, 0, 1], port)));
        let found = open(sender.local_addr().unwrap(), sender.peer_addr().unwrap());
        assert!(found.unwrap().read().is_some());
    }

    #[test]
    fn the_memory_of_a_datagram_is_not_underestimated() {
        for bytes in [0, 1, 100, 1_400, 7_500, 8_000, 9_000, 15_000, 16_000, 17_000, 40_000, 65_000]
        {
            let agent = agent("127.0.0.1:0", 1 << 20);
            let sender = sender(agent.local_addr().unwrap());
            sender.send(&vec![0; bytes]).unwrap();
            let used = readers(&sender)[0].read().unwrap().used;
            let estimate = memory_of(bytes);
            assert!(
                used <= estimate && estimate <= 2 * used + 1_024,
                "{bytes}: {used}, {estimate}"
            );
        }
    }
}
