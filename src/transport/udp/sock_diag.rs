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
    question: [u8; QUESTION_BYTES],
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
        Some(Self { netlink, question: question(from, to)?, sequence: 0 })
    }

    fn ask(&mut self) -> io::Result<Option<QueueState>> {
        self.sequence = self.sequence.wrapping_add(1);
        self.question[SEQUENCE_AT..][..4].copy_from_slice(&self.sequence.to_ne_bytes());
        (&self.netlink).write_all(&self.question)?;
        let mut answer = [0; ANSWER_BYTES];
        // The response to an earlier request may be left, if reading it failed.
        for _ in 0..MAX_ANSWERS {
            let length = (&self.netlink).read(&mut answer)?;
            let answer = answer.get(..length).unwrap_or_default();
            if u32_at(answer, SEQUENCE_AT) == Some(self.sequence) {
                return Ok(state(answer, &self.question));
            }
        }
        Ok(None)
    }
}

impl ReceiveQueue for SockDiag {
    fn read(&mut self) -> Option<QueueState> {
        self.ask().ok().flatten()
    }
}

/// `struct nlmsghdr`, then `struct inet_diag_req_v2`.
fn question(from: SocketAddr, to: SocketAddr) -> Option<[u8; QUESTION_BYTES]> {
    let family = match (from.ip(), to.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) => AF_INET,
        (IpAddr::V6(_), IpAddr::V6(_)) => AF_INET6,
        _ => return None,
    };
    let mut question = Vec::with_capacity(QUESTION_BYTES);
    question.extend(u32::try_from(QUESTION_BYTES).ok()?.to_ne_bytes());
    question.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    question.extend(NLM_F_REQUEST.to_ne_bytes());
    question.extend([0; 8]); // sequence and port
    question.extend([family, IPPROTO_UDP, 1 << (INET_DIAG_SKMEMINFO - 1), 0]);
    question.extend(u32::MAX.to_ne_bytes()); // any state
    question.extend(from.port().to_be_bytes());
    question.extend(to.port().to_be_bytes());
    question.extend(address(from.ip()));
    question.extend(address(to.ip()));
    question.extend(LOOPBACK.to_ne_bytes());
    question.extend([0xff; 8]); // any cookie
    question.try_into().ok()
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
fn state(answer: &[u8], question: &[u8]) -> Option<QueueState> {
    let kind = u16::from_ne_bytes(answer.get(KIND_AT..)?.get(..2)?.try_into().ok()?);
    if kind != SOCK_DIAG_BY_FAMILY
        || answer.get(PORT_AT..)?.get(..2)? != &question[TO_PORT_AT..][..2]
    {
        return None;
    }
    let socket =
        u64::from(u32_at(answer, COOKIE_AT)?) << 32 | u64::from(u32_at(answer, COOKIE_AT + 4)?);
    let memory = attribute(answer.get(ATTRIBUTES_AT..)?, INET_DIAG_SKMEMINFO)?;
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

const QUESTION_BYTES: usize = 16 + 56;
const KIND_AT: usize = 4;
const SEQUENCE_AT: usize = 8;
/// The offset of the destination port in a request.
const TO_PORT_AT: usize = 16 + 8 + 2;
/// The offset of the socket's port in a response.
const PORT_AT: usize = 16 + 4;
const COOKIE_AT: usize = 16 + 4 + 40;
const ATTRIBUTES_AT: usize = 16 + 72;
/// The buffer size; a response takes less than half of it.
const ANSWER_BYTES: usize = 1024;
const MAX_ANSWERS: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(question: &[u8], attributes: &[u8]) -> Vec<u8> {
        let mut answer = vec![0; ATTRIBUTES_AT];
        answer[KIND_AT..][..2].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        answer[PORT_AT..][..2].copy_from_slice(&question[TO_PORT_AT..][..2]);
        answer[COOKIE_AT..][..8].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
        answer.extend_from_slice(attributes);
        answer
    }

    fn attribute_of(kind: u16, words: &[u32]) -> Vec<u8> {
        let length = u16::try_from(4 + 4 * words.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        words.iter().for_each(|word| bytes.extend(word.to_ne_bytes()));
        bytes
    }

    fn asked() -> [u8; QUESTION_BYTES] {
        let (from, to) = ("127.0.0.1:4000".parse().unwrap(), "127.0.0.1:6831".parse().unwrap());
        question(from, to).unwrap()
    }

    #[test]
    fn memory_and_drops_are_found_among_other_attributes() {
        let question = asked();
        let mut attributes = attribute_of(3, &[9, 9, 9]);
        attributes.extend([5, 0, 8, 0, 1, 0, 0, 0]); // one byte, and three to the next multiple of 4
        attributes.extend(attribute_of(7, &[100, 200, 0, 0, 0, 0, 0, 0, 42]));
        let state = state(&answer(&question, &attributes), &question).unwrap();
        assert_eq!((state.used, state.capacity, state.drops), (100, 200, 42));
    }

    #[test]
    fn what_is_no_answer_to_the_question_says_nothing() {
        let question = asked();
        let attributes = attribute_of(7, &[100, 200, 0, 0, 0, 0, 0, 0, 42]);
        let good = answer(&question, &attributes);
        assert!(state(&good, &question).is_some());
        let mut error = good.clone();
        error[KIND_AT] = 2;
        assert_eq!(state(&error, &question), None);
        let mut other_port = good.clone();
        other_port[PORT_AT] ^= 1;
        assert_eq!(state(&other_port, &question), None);
        (0..good.len()).for_each(|end| assert_eq!(state(&good[..end], &question), None));
    }

    proptest! {
        #[test]
        fn law_any_bytes_are_read_without_harm(bytes: Vec<u8>, at in 0..ATTRIBUTES_AT + 40, to: u8) {
            let question = asked();
            let _ = state(&bytes, &question);
            let mut answer = answer(&question, &attribute_of(7, &[1; 9]));
            answer[at] = to;
            let _ = state(&answer, &question);
            let _ = state(&[answer.as_slice(), &bytes].concat(), &question);
        }
    }
}
