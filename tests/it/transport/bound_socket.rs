//! A socket that the application has bound itself, early or to an address of its choosing.

use std::net::{SocketAddr, UdpSocket};

use crate::support::agent::{Agent, nobody, starting_at};
use crate::support::read::Batch;
use crate::support::{SOON, builder};
use jaeger_client::transport::{Transport, UdpTransport};
use jaeger_client::{PacingConfig, TransportError};

fn bound() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[test]
fn spans_leave_by_the_socket_that_was_given() {
    for pacing in [PacingConfig::default(), PacingConfig::off()] {
        let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
        agent.set_read_timeout(Some(SOON)).unwrap();
        let (socket, own) = bound();
        let transport = UdpTransport::from_socket(socket, agent.local_addr().unwrap()).unwrap();
        let (tracer, closer) = builder().transport(transport.pacing(pacing)).build().unwrap();
        for name in ["first", "second"] {
            tracer.start_span(name).finish();
            assert!(tracer.flush(SOON).complete);
            let mut datagram = [0; 65_536];
            let (bytes, from) = agent.recv_from(&mut datagram).unwrap();
            assert_eq!(from, own);
            assert_eq!(Batch::read(&datagram[..bytes]).spans[0].name, name);
        }
        assert_eq!(closer.close(SOON).stats.sent, 2);
    }
}

#[test]
fn an_agent_that_is_absent_is_counted_and_found_when_it_comes() {
    let address = nobody();
    let (socket, _) = bound();
    let transport = UdpTransport::from_socket(socket, address.parse().unwrap()).unwrap();
    let (tracer, closer) = builder().transport(transport).build().unwrap();
    tracer.start_span("lost").finish();
    let lost = tracer.flush(SOON).stats;
    assert_eq!((lost.sent, lost.dropped.send_failed), (0, 1), "{lost}");
    let agent = starting_at(&address);
    tracer.start_span("found").finish();
    let stats = closer.close(SOON).stats;
    assert_eq!((stats.sent, stats.dropped.send_failed), (1, 1), "{stats}");
    drop(agent);
}

#[test]
fn a_socket_of_the_other_kind_of_address_is_an_error_at_once() {
    let (socket, _) = bound();
    let error = UdpTransport::from_socket(socket, "[::1]:6831".parse().unwrap()).unwrap_err();
    assert!(matches!(error, TransportError::Io { .. }), "{error}");
    // One that does not block is made to wait for room, as any other.
    let agent = Agent::start();
    let (socket, _) = bound();
    socket.set_nonblocking(true).unwrap();
    let given = UdpTransport::from_socket(socket, agent.address().parse().unwrap());
    given.unwrap().send(b"x").unwrap();
    assert_eq!(agent.datagram(), b"x");
}

#[test]
fn errors_of_sockets_are_distinguished_for_custom_transports() {
    let (socket, _) = bound();
    socket.connect(nobody()).unwrap();
    let too_large = socket.send(&[0; 70_000]).unwrap_err();
    let error = TransportError::of_socket(too_large, "agent", 70_000);
    assert!(matches!(error, TransportError::TooLarge { bytes: 70_000 }), "{error}");
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let error = TransportError::of_socket(refused, "agent", 1);
    assert_eq!(error.to_string(), "nothing listens at agent");
    let other = TransportError::of_socket(std::io::ErrorKind::PermissionDenied.into(), "agent", 1);
    assert!(matches!(other, TransportError::Io { .. }), "{other}");
}
