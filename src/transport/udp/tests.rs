//! What becomes of datagrams, on real sockets.

use std::net::{ToSocketAddrs, UdpSocket};

use super::*;

#[test]
fn addresses_without_host_or_port_are_refused_with_their_value() {
    for address in ["", "localhost", ":6831", "host:", "host:0", "host:65536", "::1:6831"] {
        let error = UdpTransport::new(address).unwrap_err().to_string();
        assert!(error.contains(&format!("{address:?}")), "{error}");
    }
    for address in ["localhost:6831", "[::1]:6831", "10.0.0.1:1"] {
        UdpTransport::new(address).unwrap();
    }
}

#[test]
fn a_closed_port_is_an_error_from_the_first_datagram_on() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut transport = UdpTransport::new(format!("127.0.0.1:{port}")).unwrap();
    for _ in 0..3 {
        let error = transport.send(b"x").unwrap_err();
        assert!(matches!(error, TransportError::Refused { .. }), "{error}");
    }
}

#[test]
fn an_agent_that_starts_late_is_found() {
    let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = agent.local_addr().unwrap();
    drop(agent);
    let mut transport = UdpTransport::new(address.to_string()).unwrap();
    transport.send(b"lost").unwrap_err();
    let agent = UdpSocket::bind(address).unwrap();
    transport.send(b"found").unwrap();
    let mut buffer = [0; 16];
    assert_eq!(agent.recv(&mut buffer).unwrap(), 5);
}

#[test]
fn an_agent_on_the_second_address_of_a_name_loses_nothing() {
    // An agent that listens on the one address of "localhost" that is not tried first.
    let Ok(agent) = UdpSocket::bind("[::1]:0") else { return };
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
fn only_addresses_of_the_type_that_is_asked_for_are_used() {
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
