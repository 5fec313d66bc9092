//! The receiver of the load test: a process that counts the spans that arrive at a UDP port of loopback.
//!
//! It prints its port, then its counts for each line of input. When its input is closed, it waits until nothing
//! arrives any more, prints its final counts, and ends. It also ends after a minute without input or
//! datagrams, so that it does not remain after a crash of the process that started it.

use std::fmt;
use std::io::{self, BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use jaeger_client::encoding::BatchView;
use socket2::{Domain, Socket, Type};

use crate::{Outcome, process, walk};

/// The counts of a sink so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) spans: u64,
    pub(crate) datagrams: u64,
    /// Datagrams that are no batch, or have another number of spans than their list.
    pub(crate) bad: u64,
    /// Datagrams that the kernel dropped before the sink could read them.
    pub(crate) kernel_drops: u64,
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.spans, self.datagrams, self.bad, self.kernel_drops)
    }
}

impl Received {
    /// Reads what [`Display`](fmt::Display) wrote.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.split_whitespace().map_while(|number| number.parse().ok());
        let mut next = || numbers.next();
        let (spans, datagrams, bad, kernel_drops) = (next()?, next()?, next()?, next()?);
        Some(Self { spans, datagrams, bad, kernel_drops })
    }
}

/// Counts until its input is closed.
pub(crate) fn run() -> Outcome {
    let (socket, port) = bind()?;
    let counts = Arc::new(Counts::default());
    let mut out = io::stdout();
    writeln!(out, "{port}")?;
    out.flush()?;
    let (requested, counted) = (Arc::clone(&counts), counts);
    thread::spawn(move || respond(&requested, port));
    receive(&socket, &counted)?;
    writeln!(out, "{}", counted.read(port))?;
    Ok(ExitCode::SUCCESS)
}

/// The receive buffer: for a tenth of a second of the load, while the sink is not scheduled.
///
/// Only root gets all of it. Others get what `net.core.rmem_max` allows, and may have drops by the kernel.
const RECEIVE_BUFFER: usize = 64 << 20;

/// Of this number of datagrams, one is parsed completely.
const FULL_WALK_EVERY: u64 = 16;

/// The time without a datagram after which a sink ends, once its input is closed.
const QUIET: Duration = Duration::from_millis(300);

const IDLE: Duration = Duration::from_secs(60);

fn bind() -> io::Result<(UdpSocket, u16)> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    if !force_receive_buffer(&socket) {
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into())?;
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(QUIET))?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

#[cfg(target_os = "linux")]
fn force_receive_buffer(socket: &Socket) -> bool {
    rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, RECEIVE_BUFFER).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn force_receive_buffer(_socket: &Socket) -> bool {
    false
}

#[derive(Default)]
struct Counts {
    spans: AtomicU64,
    datagrams: AtomicU64,
    bad: AtomicU64,
    ending: AtomicBool,
}

impl Counts {
    fn read(&self, port: u16) -> Received {
        Received {
            spans: self.spans.load(Relaxed),
            datagrams: self.datagrams.load(Relaxed),
            bad: self.bad.load(Relaxed),
            kernel_drops: process::socket_drops(port).unwrap_or(0),
        }
    }

    fn add(&self, datagram: &[u8]) {
        let place = self.datagrams.fetch_add(1, Relaxed);
        let spans = walk::span_count(datagram);
        let read_back = || BatchView::parse_message(datagram).ok().map(|(_, batch)| batch);
        let good = spans.is_some()
            && (!place.is_multiple_of(FULL_WALK_EVERY)
                || spans == read_back().map(|batch| batch.spans().count() as u64));
        self.spans.fetch_add(spans.unwrap_or(0), Relaxed);
        self.bad.fetch_add(u64::from(!good), Relaxed);
    }
}

fn receive(socket: &UdpSocket, counts: &Counts) -> io::Result<()> {
    let mut room = vec![0; 1 << 16];
    let mut last_received = Instant::now();
    loop {
        match socket.recv(&mut room) {
            Ok(length) => {
                counts.add(&room[..length]);
                // One reading of the clock for each datagram, of some thousand a second, is cheap.
                last_received = Instant::now();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if counts.ending.load(Relaxed) || last_received.elapsed() > IDLE {
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn respond(counts: &Counts, port: u16) {
    let mut out = io::stdout();
    for _line in io::stdin().lock().lines().map_while(Result::ok) {
        if writeln!(out, "{}", counts.read(port)).and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    counts.ending.store(true, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_they_were_written() {
        let received = Received { spans: 1, datagrams: 2, bad: 3, kernel_drops: 4 };
        assert_eq!(Received::parse(&received.to_string()), Some(received));
        assert_eq!(Received::parse("1 2 3"), None);
    }

    #[test]
    fn what_is_no_batch_is_bad() {
        let counts = Counts::default();
        counts.add(b"hello");
        assert_eq!(counts.bad.load(Relaxed), 1);
        assert_eq!(counts.spans.load(Relaxed), 0);
    }
}
