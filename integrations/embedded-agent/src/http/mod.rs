//! The web page and its query API, over a server that does no more than those need.
//!
//! One thread accepts, each connection has its own thread for its one request, and everything
//! a client could make large or long is bounded: connections, head, time to read and to write.

mod api;
mod request;

use std::collections::HashMap;
use std::io::{self, BufWriter, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use socket2::SockRef;

use self::request::Refusal;
use crate::Store;
use crate::listen::reachable;
use crate::system::{self, Deadline};

/// The maximum number of connections; browsers open about six to a page.
const MAX_CONNECTIONS: usize = 32;

/// The timeout of a whole response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the end of the server waits for cancelled connections.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A running server. Dropping it closes its port and its connections.
#[derive(Debug)]
pub(crate) struct Server {
    addr: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    stop: AtomicBool,
    open: Mutex<HashMap<u64, TcpStream>>,
    closed_one: Condvar,
}

impl Server {
    pub(crate) fn start(listener: TcpListener, store: Store) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        // Where `accept` heeds it, this bounds the wait for an end that nobody could announce.
        let _ = SockRef::from(&listener).set_read_timeout(Some(Duration::from_millis(250)));
        let shared = Arc::new(Shared {
            store,
            stop: AtomicBool::new(false),
            open: Mutex::default(),
            closed_one: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        let thread = system::spawn("jaeger-agent-http", move || accept(&listener, &accepting))?;
        Ok(Self { addr, shared, thread: Some(thread) })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let woken = TcpStream::connect_timeout(&reachable(self.addr), CLOSE_TIMEOUT).is_ok();
        // Without a wake-up the thread ends by itself, later; waiting for it could take for ever.
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
        let deadline = Deadline::after(CLOSE_TIMEOUT);
        let mut open = self.shared.open.lock();
        open.values().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        while !open.is_empty() {
            if self.shared.closed_one.wait_for(&mut open, deadline.left()).timed_out() {
                return;
            }
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for id in 0.. {
        let accepted = listener.accept();
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        match accepted {
            Ok((stream, _)) => serve_on_thread(id, stream, shared),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted
                | io::ErrorKind::ConnectionAborted => {}
                // Out of file handles, most likely: not a reason for a busy loop.
                _ => thread::park_timeout(Duration::from_millis(10)),
            },
        }
    }
}

/// A connection's entry among the open ones. Dropping it takes the entry away.
struct Slot {
    id: u64,
    shared: Arc<Shared>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.open.lock().remove(&self.id);
        self.shared.closed_one.notify_all();
    }
}

fn serve_on_thread(id: u64, mut stream: TcpStream, shared: &Arc<Shared>) {
    let Ok(handle) = stream.try_clone() else { return };
    let slot = Slot { id, shared: Arc::clone(shared) };
    let full = {
        let mut open = shared.open.lock();
        let full = open.len() >= MAX_CONNECTIONS;
        if !full {
            open.insert(id, handle);
        }
        full
    };
    if full {
        // A socket's buffer takes this much at once, so that the accepting thread cannot block.
        let _ = stream.set_nonblocking(true);
        let _ = refuse(&mut stream, Refusal(503, "too many connections"));
        return;
    }
    // If there is no thread to be had, the connection is closed with the slot.
    let _ = system::spawn("jaeger-agent-conn", move || {
        // A client that goes away in the middle is no error.
        let _ = serve(&mut stream, &slot.shared.store);
    });
}

fn serve(stream: &mut TcpStream, store: &Store) -> io::Result<()> {
    let local = stream.local_addr()?.ip();
    let request = match request::read_head(stream)? {
        Ok(head) => request::parse(&head, local),
        Err(refusal) => Err(refusal),
    };
    let deadline = Deadline::after(RESPONSE_TIMEOUT);
    let written = {
        let mut out = BufWriter::with_capacity(64 << 10, Bounded { stream, deadline });
        match request {
            Ok(request) => api::respond(&request, store, &mut out),
            Err(refusal) => Ok(Err(refusal)),
        }
        .and_then(|response| response.or_else(|refusal| refuse(&mut out, refusal)))
        .and_then(|()| out.flush())
    };
    written?;
    drain(stream)
}

/// Reads a little of what the client may still be sending: closing before would make its system
/// discard the response.
fn drain(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut room = [0; 4096];
    for _ in 0..16 {
        if stream.read(&mut room)? == 0 {
            break;
        }
    }
    Ok(())
}

/// A stream whose writes all end by a deadline.
struct Bounded<'a> {
    stream: &'a mut TcpStream,
    deadline: Deadline,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.deadline.left();
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_write_timeout(Some(left))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Writes a status line and the headers that every response has.
fn head(out: &mut impl Write, status: u16, content_type: &str, more: &str) -> io::Result<()> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "HTTP Version Not Supported",
    };
    write!(
        out,
        "HTTP/1.1 {status} {reason}\r\n\
         Content-Type: {content_type}; charset=utf-8\r\n\
         Connection: close\r\n\
         Cache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n\
         X-Frame-Options: DENY\r\n\
         Referrer-Policy: no-referrer\r\n\
         {more}\r\n"
    )
}

/// Says no, in the form of Jaeger's query API.
fn refuse(out: &mut impl Write, Refusal(status, why): Refusal) -> io::Result<()> {
    let body = serde_json::json!({ "data": null, "errors": [{ "code": status, "msg": why }] });
    let more = if status == 405 { "Allow: GET\r\n" } else { "" };
    head(out, status, "application/json", more)?;
    write!(out, "{body}")
}
