//! The state of a socket from Linux's netlink: one request, one response.
//!
//! The request names both ends of a datagram, and the kernel looks for the socket as it does for
//! the datagram itself: listening at one address or at any, of either protocol, one of several that
//! share a port, bound to a device or not. See `sock_diag(7)`.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use super::queue_state::{QueueState, ReceiveQueue};

#[derive(Debug)]
pub(super) struct SockDiag {
    netlink: Socket,
    request: [u8; REQUEST_BYTES],
    sequence: u32,
}

impl SockDiag {
    /// Opens a reader of the socket that receives datagrams from one address to another, or returns
    /// `None` if that is forbidden.
    pub(super) fn open(from: SocketAddr, to: SocketAddr) -> Option<Self> {
        let netlink =
            Socket::new(Domain::from(AF_NETLINK), Type::DGRAM, Some(Protocol::from(SOCK_DIAG)));
        let netlink = netlink.ok()?;
        // The response is there when the request was sent.
        netlink.set_nonblocking(true).ok()?;
        Some(Self { netlink, request: request(from, to)?, sequence: 0 })
    }

    fn query(&mut self) -> io::Result<Option<QueueState>> {
        self.sequence = self.sequence.wrapping_add(1);
        self.request[SEQUENCE_AT..][..4].copy_from_slice(&self.sequence.to_ne_bytes());
        (&self.netlink).write_all(&self.request)?;
        let mut response = [0; RESPONSE_BYTES];
        // The response to an earlier request may be left, if reading it failed.
        for _ in 0..MAX_RESPONSES {
            let length = (&self.netlink).read(&mut response)?;
            let response = response.get(..length).unwrap_or_default();
            if u32_at(response, SEQUENCE_AT) == Some(self.sequence) {
                return Ok(state(response, &self.request));
            }
        }
        Ok(None)
    }
}

impl ReceiveQueue for SockDiag {
    fn read(&mut self) -> Option<QueueState> {
        self.query().ok().flatten()
    }
}

/// `struct nlmsghdr`, then `struct inet_diag_req_v2`.
fn request(from: SocketAddr, to: SocketAddr) -> Option<[u8; REQUEST_BYTES]> {
    let family = match (from.ip(), to.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) => AF_INET,
        (IpAddr::V6(_), IpAddr::V6(_)) => AF_INET6,
        _ => return None,
    };
    let mut request = Vec::with_capacity(REQUEST_BYTES);
    request.extend(u32::try_from(REQUEST_BYTES).ok()?.to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    request.extend([0; 8]); // sequence and port
    request.extend([family, IPPROTO_UDP, 1 << (INET_DIAG_SKMEMINFO - 1), 0]);
    request.extend(u32::MAX.to_ne_bytes()); // any state
    request.extend(from.port().to_be_bytes());
    request.extend(to.port().to_be_bytes());
    request.extend(address(from.ip()));
    request.extend(address(to.ip()));
    request.extend(LOOPBACK.to_ne_bytes());
    request.extend([0xff; 8]); // any cookie
    request.try_into().ok()
}

fn address(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
    }
}

/// Parses a response; `None` if it is an error, or of a socket at another port.
fn state(response: &[u8], request: &[u8]) -> Option<QueueState> {
    let kind = u16::from_ne_bytes(response.get(KIND_AT..)?.get(..2)?.try_into().ok()?);
    if kind != SOCK_DIAG_BY_FAMILY
        || response.get(PORT_AT..)?.get(..2)? != &request[TO_PORT_AT..][..2]
    {
        return None;
    }
    let socket =
        u64::from(u32_at(response, COOKIE_AT)?) << 32 | u64::from(u32_at(response, COOKIE_AT + 4)?);
    let memory = attribute(response.get(ATTRIBUTES_AT..)?, INET_DIAG_SKMEMINFO)?;
    Some(QueueState {
        socket,
        used: usize::try_from(u32_at(memory, 0)?).ok()?,
        capacity: usize::try_from(u32_at(memory, 4)?).ok()?,
        drops: u32_at(memory, 4 * SK_MEMINFO_DROPS)?,
    })
}

/// Returns the first attribute of a type: each has a length, its own header included, and a type,
/// and begins at a multiple of 4.
fn attribute(mut rest: &[u8], kind: u8) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let of_kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?) == u16::from(kind);
        let value = rest.get(4..length)?;
        if of_kind {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..)?.get(..4)?.try_into().ok()?))
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const AF_NETLINK: i32 = 16;
/// The protocol of netlink.
const SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const IPPROTO_UDP: u8 = 17;
/// The number of the attribute.
const INET_DIAG_SKMEMINFO: u8 = 7;
const SK_MEMINFO_DROPS: usize = 8;
/// The device of datagrams to this host, which has that number in each network namespace.
const LOOPBACK: u32 = 1;

const REQUEST_BYTES: usize = 16 + 56;
const KIND_AT: usize = 4;
const SEQUENCE_AT: usize = 8;
/// The offset of the destination port in a request.
const TO_PORT_AT: usize = 16 + 8 + 2;
/// The offset of the socket's port in a response.
const PORT_AT: usize = 16 + 4;
const COOKIE_AT: usize = 16 + 4 + 40;
const ATTRIBUTES_AT: usize = 16 + 72;
/// The buffer size; a response takes less than half of it.
const RESPONSE_BYTES: usize = 1024;
const MAX_RESPONSES: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn response(request: &[u8], attributes: &[u8]) -> Vec<u8> {
        let mut response = vec![0; ATTRIBUTES_AT];
        response[KIND_AT..][..2].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        response[PORT_AT..][..2].copy_from_slice(&request[TO_PORT_AT..][..2]);
        response[COOKIE_AT..][..8].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
        response.extend_from_slice(attributes);
        response
    }

    fn attribute_of(kind: u16, words: &[u32]) -> Vec<u8> {
        let length = u16::try_from(4 + 4 * words.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        words.iter().for_each(|word| bytes.extend(word.to_ne_bytes()));
        bytes
    }

    fn sample_request() -> [u8; REQUEST_BYTES] {
        let (from, to) = ("127.0.0.1:4000".parse().unwrap(), "127.0.0.1:6831".parse().unwrap());
        request(from, to).unwrap()
    }

    #[test]
    fn memory_and_drops_are_found_among_other_attributes() {
        let request = sample_request();
        let mut attributes = attribute_of(3, &[9, 9, 9]);
        attributes.extend([5, 0, 8, 0, 1, 0, 0, 0]); // one byte, and three to the next multiple of 4
        attributes.extend(attribute_of(7, &[100, 200, 0, 0, 0, 0, 0, 0, 42]));
        let state = state(&response(&request, &attributes), &request).unwrap();
        assert_eq!((state.used, state.capacity, state.drops), (100, 200, 42));
    }

    #[test]
    fn a_message_that_is_no_response_to_the_request_is_ignored() {
        let request = sample_request();
        let attributes = attribute_of(7, &[100, 200, 0, 0, 0, 0, 0, 0, 42]);
        let good = response(&request, &attributes);
        assert!(state(&good, &request).is_some());
        let mut error = good.clone();
        error[KIND_AT] = 2;
        assert_eq!(state(&error, &request), None);
        let mut other_port = good.clone();
        other_port[PORT_AT] ^= 1;
        assert_eq!(state(&other_port, &request), None);
        (0..good.len()).for_each(|end| assert_eq!(state(&good[..end], &request), None));
    }

    proptest! {
        #[test]
        fn law_any_bytes_are_read_without_harm(bytes: Vec<u8>, at in 0..ATTRIBUTES_AT + 40, to: u8) {
            let request = sample_request();
            let _ = state(&bytes, &request);
            let mut response = response(&request, &attribute_of(7, &[1; 9]));
            response[at] = to;
            let _ = state(&response, &request);
            let _ = state(&[response.as_slice(), &bytes].concat(), &request);
        }
    }
}
