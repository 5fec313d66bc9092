//! Tests of the UDP transport, on real sockets and on a simulated network.

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use super::queue_state::ReceiveQueue;
use super::*;
use crate::clock;

#[test]
fn addresses_without_host_or_port_are_refused_with_their_value() {
    for address in [
        "",
        "localhost",
        ":6831",
        "host:",
        "host:0",
        "host:65536",
        "::1:6831",
        "http://host:6831",
        "host:6831/",
        "a b:1",
        "[jaeger-agent:6831]:6831",
        "$(HOST_IP):6831",
        "host:6831\n",
    ] {
        let error = UdpTransport::new(address).unwrap_err().to_string();
        assert!(error.contains(&format!("{address:?}")), "{error}");
    }
    for address in ["localhost:6831", "[::1]:6831", "10.0.0.1:1"] {
        UdpTransport::new(address).unwrap();
    }
}

/// An address that refuses datagrams while the socket lives, and that nobody else is given: the socket
/// takes datagrams of its own alone.
fn refusing() -> (UdpSocket, SocketAddr) {
    let socket = reusing("127.0.0.1:0".parse().unwrap());
    let address = socket.local_addr().unwrap();
    socket.connect(address).unwrap();
    (socket, address)
}

/// A socket beside which another of the kind may be bound to the same address.
fn reusing(address: SocketAddr) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.into()
}

#[test]
fn a_closed_port_is_an_error_from_the_first_datagram_on() {
    let (_refuses, address) = refusing();
    let mut transport = UdpTransport::new(address.to_string()).unwrap();
    for _ in 0..3 {
        let error = transport.send(b"x").unwrap_err();
        assert!(matches!(error, TransportError::Refused { .. }), "{error}");
    }
}

#[test]
fn an_agent_that_starts_late_is_found() {
    let (_refuses, address) = refusing();
    let mut transport = UdpTransport::new(address.to_string()).unwrap();
    transport.send(b"lost").unwrap_err();
    let agent = reusing(address);
    transport.send(b"found").unwrap();
    let mut buffer = [0; 16];
    assert_eq!(agent.recv(&mut buffer).unwrap(), 5);
}

#[test]
fn an_agent_on_the_second_address_of_a_name_loses_nothing() {
    // An agent that listens on the one address of "localhost" that is not tried first.
    if UdpSocket::bind("[::1]:0").is_err() {
        return;
    }
    // Nobody has its port at the other address.
    let (_refuses, agent) = std::iter::repeat_with(refusing)
        .find_map(|(socket, at)| Some((socket, UdpSocket::bind(("::1", at.port())).ok()?)))
        .unwrap();
    let address = format!("localhost:{}", agent.local_addr().unwrap().port());
    let both = address.to_socket_addrs().unwrap().any(|peer| peer.is_ipv6());
    let mut transport = UdpTransport::new(address).unwrap();
    let sent = transport.send(b"first");
    assert_eq!(sent.is_ok(), both, "{sent:?}");
    if both {
        let mut buffer = [0; 16];
        assert_eq!(agent.recv(&mut buffer).unwrap(), 5, "what was refused is there");
    }
}

#[test]
fn only_addresses_of_the_requested_type_are_used() {
    let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = agent.local_addr().unwrap().to_string();
    let send = |socket_type| {
        UdpTransport::new(address.as_str()).unwrap().socket_type(socket_type).send(b"x")
    };
    assert!(send(AgentSocketType::Udp).is_ok() && send(AgentSocketType::Udp4).is_ok());
    let error = send(AgentSocketType::Udp6).unwrap_err();
    assert!(matches!(error, TransportError::Unresolved { .. }), "{error}");
}

#[test]
fn a_name_that_does_not_resolve_is_an_error_of_the_send_alone() {
    let mut transport = UdpTransport::new("no-such-host.invalid:6831").unwrap();
    let error = transport.send(b"x").unwrap_err();
    assert!(error.to_string().contains("no-such-host.invalid:6831"), "{error}");
}

/// The behaviour of a peer, or of the path to it, for one datagram.
#[derive(Clone, Copy, Debug)]
enum Act {
    Take,
    /// Sending fails with that error.
    Fail(i32),
    /// The datagram is sent, and refused at once with that error.
    Refuse(i32),
    /// The datagram is sent, and refused a moment later.
    RefuseLate(i32),
}

#[derive(Debug)]
struct Peer {
    /// The behaviour for the next datagrams, and then for all others.
    acts: VecDeque<Act>,
    then: Act,
    received: Vec<Vec<u8>>,
    pending: Option<i32>,
    on_its_way: Option<i32>,
}

#[derive(Debug)]
struct State {
    now: Instant,
    slept: Duration,
    names: HashMap<String, Vec<SocketAddr>>,
    resolved: usize,
    connected: usize,
    peers: HashMap<SocketAddr, Peer>,
}

/// A network whose time passes only in sleep.
#[derive(Clone, Debug)]
struct FakeNetwork(Arc<Mutex<State>>);

impl FakeNetwork {
    fn new(peers: &[(&str, Act)]) -> Self {
        let peer = |then| Peer {
            acts: VecDeque::new(),
            then,
            received: Vec::new(),
            pending: None,
            on_its_way: None,
        };
        let peers = peers.iter().map(|(at, then)| (at.parse().unwrap(), peer(*then)));
        Self(Arc::new(Mutex::new(State {
            now: clock::now(),
            slept: Duration::ZERO,
            names: HashMap::new(),
            resolved: 0,
            connected: 0,
            peers: peers.collect(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn name(self, name: &str, means: &[&str]) -> Self {
        let means = means.iter().map(|at| at.parse().unwrap()).collect();
        self.state().names.insert(name.to_owned(), means);
        self
    }

    /// Sets the behaviour for the next datagrams.
    fn next(&self, peer: &str, acts: &[Act]) {
        let peer = peer.parse().unwrap();
        self.state().peers.get_mut(&peer).unwrap().acts = acts.iter().copied().collect();
    }

    fn received(&self, peer: &str) -> Vec<String> {
        let state = self.state();
        let received = &state.peers[&peer.parse().unwrap()].received;
        received.iter().map(|bytes| String::from_utf8(bytes.clone()).unwrap()).collect()
    }

    fn transport(&self, address: &str) -> UdpTransport {
        let mut transport = UdpTransport::new(address).unwrap();
        transport.network = Box::new(self.clone());
        transport
    }
}

impl Network for FakeNetwork {
    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        let mut state = self.state();
        state.resolved += 1;
        state.names.get(address).cloned().ok_or_else(|| io::Error::other("no such name"))
    }

    fn connect(&self, peer: SocketAddr) -> io::Result<Box<dyn DatagramSocket>> {
        let mut state = self.state();
        state.connected += 1;
        let unreachable = || io::Error::from_raw_os_error(EHOSTUNREACH);
        state.peers.get_mut(&peer).ok_or_else(unreachable)?.pending = None;
        Ok(Box::new(FakeSocket(self.clone(), peer)))
    }

    fn receive_queue(&self, _socket: &dyn DatagramSocket) -> Option<Box<dyn ReceiveQueue>> {
        None
    }

    fn now(&self) -> Instant {
        self.state().now
    }

    fn sleep(&self, time: Duration) {
        let mut state = self.state();
        state.now += time;
        state.slept += time;
        state.peers.values_mut().for_each(Peer::arrive);
    }
}

#[derive(Debug)]
struct FakeSocket(FakeNetwork, SocketAddr);

impl Peer {
    fn arrive(&mut self) {
        self.pending = self.on_its_way.take().or(self.pending);
    }
}

impl DatagramSocket for FakeSocket {
    fn send(&self, message: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        let peer = state.peers.get_mut(&self.1).unwrap();
        if let Some(number) = peer.pending.take() {
            return Err(io::Error::from_raw_os_error(number));
        }
        match peer.acts.pop_front().unwrap_or(peer.then) {
            Act::Take => peer.received.push(message.to_vec()),
            Act::Fail(number) => return Err(io::Error::from_raw_os_error(number)),
            Act::Refuse(number) => peer.pending = Some(number),
            Act::RefuseLate(number) => peer.on_its_way = Some(number),
        }
        Ok(message.len())
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        let mut state = self.0.state();
        let peer = state.peers.get_mut(&self.1).unwrap();
        let pending = peer.pending.take();
        if pending.is_none() {
            // It comes after the request that follows the datagram at once.
            peer.arrive();
        }
        Ok(pending.map(io::Error::from_raw_os_error))
    }

    fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.1, self.1))
    }
}

const A: &str = "10.0.0.1:6831";
const B: &str = "10.0.0.2:6831";
const EPERM: i32 = Errno::PERM.raw_os_error();
const ENOBUFS: i32 = Errno::NOBUFS.raw_os_error();
const ENOMEM: i32 = Errno::NOMEM.raw_os_error();
const EAGAIN: i32 = Errno::AGAIN.raw_os_error();
const EINVAL: i32 = Errno::INVAL.raw_os_error();
const EMSGSIZE: i32 = Errno::MSGSIZE.raw_os_error();
const ECONNREFUSED: i32 = Errno::CONNREFUSED.raw_os_error();
const EHOSTUNREACH: i32 = Errno::HOSTUNREACH.raw_os_error();

#[test]
fn a_full_queue_of_this_host_is_waited_for_and_costs_nothing() {
    let network = FakeNetwork::new(&[(A, Act::Take)]);
    let mut transport = network.transport(A);
    for errors in [&[ENOBUFS][..], &[ENOMEM, ENOBUFS], &[EAGAIN, EAGAIN, EAGAIN]] {
        network.next(A, &errors.iter().map(|number| Act::Fail(*number)).collect::<Vec<_>>());
        assert_eq!(transport.send(b"x").unwrap(), Sent::OK, "{errors:?}");
    }
    assert_eq!(network.received(A), ["x", "x", "x"]);
    assert!(network.state().slept < Duration::from_millis(20), "{:?}", network.state().slept);
}

#[test]
fn a_queue_that_stays_full_costs_the_datagram_and_a_bounded_wait() {
    let network = FakeNetwork::new(&[(A, Act::Fail(ENOBUFS))]);
    let mut transport = network.transport(A);
    let error = transport.send(b"x").unwrap_err();
    assert!(matches!(error, TransportError::Io { .. }), "{error}");
    let slept = network.state().slept;
    assert!((100..300).contains(&slept.as_millis()), "{slept:?}");
    network.next(A, &[Act::Take]);
    assert_eq!(transport.send(b"y").unwrap(), Sent::OK);
    assert_eq!(network.state().connected, 1, "the socket stays");
}

#[test]
fn a_datagram_that_fails_costs_itself_alone() {
    for address in [A, "agent:6831"] {
        let network = FakeNetwork::new(&[(A, Act::Take)]).name("agent:6831", &[A]);
        let mut transport = network.transport(address);
        let mut lost = 0;
        for n in 0..100 {
            if n % 10 == 0 {
                network.next(A, &[Act::Fail(EPERM)]);
            }
            lost += u32::from(transport.send(b"x").is_err());
        }
        assert_eq!((lost, network.received(A).len()), (10, 90), "{address}");
        let state = network.state();
        assert_eq!((state.connected, state.slept), (1, Duration::ZERO), "the socket stays");
    }
}

#[test]
fn an_error_that_does_not_last_costs_nothing_and_says_nothing_of_the_datagram_before() {
    for error in [EINVAL, EHOSTUNREACH, ENOBUFS, EAGAIN] {
        let network = FakeNetwork::new(&[(A, Act::Take)]);
        let mut transport = network.transport(A);
        for n in 0..100 {
            if n % 10 == 0 {
                network.next(A, &[Act::Fail(error)]);
            }
            assert_eq!(transport.send(b"x").unwrap(), Sent::OK, "{error}");
        }
        assert_eq!(network.received(A).len(), 100, "{error}");
    }
}

#[test]
fn what_turns_out_too_large_for_the_path_is_reported_as_lost() {
    let network = FakeNetwork::new(&[(A, Act::Take)]);
    let mut transport = network.transport(A);
    network.next(A, &[Act::RefuseLate(EMSGSIZE)]);
    assert_eq!(transport.send(b"1").unwrap(), Sent::OK);
    assert_eq!(transport.send(b"2").unwrap(), Sent::PREVIOUS_REFUSED);
    network.next(A, &[Act::RefuseLate(EMSGSIZE), Act::Fail(EMSGSIZE), Act::Fail(EMSGSIZE)]);
    assert_eq!(transport.send(b"3").unwrap(), Sent::OK);
    let error = transport.send(b"4").unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { bytes: 1 }), "{error}");
    assert!(transport.take_late_refusal(), "the third did not pass");
}

#[test]
fn an_address_in_use_that_the_name_does_not_mean_any_more_is_no_endless_search() {
    let network = FakeNetwork::new(&[(A, Act::RefuseLate(ECONNREFUSED))]);
    let network = network.name("agent:6831", &[A, B]);
    let mut transport = network.transport("agent:6831");
    transport.send(b"1").unwrap();
    // None of the new addresses can be connected to.
    let others = ["10.0.0.3:6831", "10.0.0.4:6831"].map(|at| at.parse().unwrap());
    network.state().names.insert("agent:6831".into(), others.to_vec());
    network.state().now += Duration::from_secs(60);
    assert_eq!(transport.send(b"2").unwrap(), Sent::PREVIOUS_REFUSED);
}

#[test]
fn a_socket_whose_source_address_is_gone_is_renewed_at_once() {
    let network = FakeNetwork::new(&[(A, Act::Take)]);
    let mut transport = network.transport(A);
    transport.send(b"1").unwrap();
    network.next(A, &[Act::Fail(EINVAL)]);
    transport.send(b"2").unwrap();
    network.next(A, &[Act::Fail(EINVAL), Act::Fail(EINVAL)]);
    transport.send(b"3").unwrap_err();
    transport.send(b"4").unwrap();
    assert_eq!(network.received(A), ["1", "2", "4"]);
}

#[test]
fn an_address_is_never_waited_for_and_a_name_is_resolved_once_a_second() {
    let network = FakeNetwork::new(&[(A, Act::Refuse(ECONNREFUSED))]).name("agent:6831", &[A]);
    let mut by_address = network.transport(A);
    (0..5).for_each(|_| drop(by_address.send(b"x").unwrap_err()));
    assert_eq!(network.state().resolved, 0);
    let mut by_name = network.transport("agent:6831");
    (0..5).for_each(|_| drop(by_name.send(b"x").unwrap_err()));
    assert_eq!(network.state().resolved, 1, "when it was first needed");
    network.sleep(Duration::from_secs(1));
    (0..5).for_each(|_| drop(by_name.send(b"x").unwrap_err()));
    assert_eq!(network.state().resolved, 2);
}

#[test]
fn an_agent_that_moved_is_found_without_losing_the_datagram() {
    let refuses = Act::Refuse(ECONNREFUSED);
    let network = FakeNetwork::new(&[(A, Act::Take), (B, Act::Take)]).name("agent:6831", &[A]);
    let mut transport = network.transport("agent:6831");
    transport.send(b"1").unwrap();
    network.sleep(Duration::from_secs(2));
    network.state().names.insert("agent:6831".into(), vec![B.parse().unwrap()]);
    network.next(A, &[refuses]);
    assert_eq!(transport.send(b"2").unwrap(), Sent::OK);
    assert_eq!((network.received(A), network.received(B)), (vec!["1".into()], vec!["2".into()]));
}

#[test]
fn the_next_address_is_tried_at_once_after_any_kind_of_refusal() {
    for refusal in [Act::Refuse(ECONNREFUSED), Act::Refuse(EHOSTUNREACH), Act::Fail(EHOSTUNREACH)] {
        let network = FakeNetwork::new(&[(A, refusal), (B, Act::Take)]);
        let network = network.name("agent:6831", &[A, B]);
        let mut transport = network.transport("agent:6831").reconnecting(None);
        for _ in 0..3 {
            assert_eq!(transport.send(b"x").unwrap(), Sent::OK, "{refusal:?}");
        }
        assert_eq!(network.received(B), ["x", "x", "x"], "{refusal:?}");
        assert_eq!(network.state().slept, Duration::ZERO);
    }
}

#[test]
fn what_an_address_refuses_late_is_sent_to_the_next_one() {
    let network = FakeNetwork::new(&[(A, Act::RefuseLate(ECONNREFUSED)), (B, Act::Take)]);
    let network = network.name("agent:6831", &[A, B]);
    let mut transport = network.transport("agent:6831");
    assert_eq!(transport.send(b"1").unwrap(), Sent::OK);
    assert_eq!(transport.send(b"2").unwrap(), Sent::OK, "nothing was lost");
    assert_eq!(network.received(B), ["1", "2"]);

    // The same where no second message brings it to light, but a flush.
    let mut transport = network.transport("agent:6831");
    transport.send(b"3").unwrap();
    network.sleep(Duration::from_millis(1));
    assert!(!transport.take_late_refusal());
    assert_eq!(network.received(B), ["1", "2", "3"]);
}

#[test]
fn what_all_addresses_refuse_late_is_reported_as_refused() {
    let refuses = Act::RefuseLate(ECONNREFUSED);
    let network = FakeNetwork::new(&[(A, refuses), (B, refuses)]).name("agent:6831", &[A, B]);
    let mut transport = network.transport("agent:6831");
    assert_eq!(transport.send(b"1").unwrap(), Sent::OK);
    for _ in 0..20 {
        assert_eq!(transport.send(b"2").unwrap(), Sent::PREVIOUS_REFUSED);
    }
    network.sleep(Duration::from_millis(1));
    assert!(transport.take_late_refusal(), "the last one too");
    assert!(!transport.take_late_refusal(), "once");
    assert!(network.state().slept < Duration::from_millis(300), "it is searched once a second");
}

#[test]
fn a_late_refusal_is_reported_though_the_next_datagram_fails_for_another_reason() {
    for refusal in [ECONNREFUSED, EHOSTUNREACH] {
        let network = FakeNetwork::new(&[(A, Act::Take)]);
        let mut transport = network.transport(A);
        network.next(A, &[Act::RefuseLate(refusal), Act::Fail(EPERM)]);
        assert_eq!(transport.send(b"1").unwrap(), Sent::OK);
        let error = transport.send(b"2").unwrap_err();
        assert!(matches!(error, TransportError::Io { .. }), "{error}");
        assert!(transport.take_late_refusal(), "{refusal}");
        assert_eq!(transport.send(b"3").unwrap(), Sent::OK, "it is told once");
    }
}

#[test]
fn what_a_firewall_refuses_is_not_sent() {
    let network = FakeNetwork::new(&[(A, Act::Refuse(EHOSTUNREACH))]);
    let mut transport = network.transport(A);
    for _ in 0..3 {
        let error = transport.send(b"x").unwrap_err();
        assert!(matches!(error, TransportError::Io { .. }), "{error}");
    }
    let network = FakeNetwork::new(&[(A, Act::RefuseLate(EHOSTUNREACH))]);
    let mut transport = network.transport(A);
    assert_eq!(transport.send(b"x").unwrap(), Sent::OK);
    assert_eq!(transport.send(b"x").unwrap(), Sent::PREVIOUS_REFUSED);
}
