//! A server on loopback with the responses of a case, which records its requests.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A web server that gives its responses one after the other, and then the status 500. It ends when it
/// is dropped: a file may have thousands of cases, and each server takes a thread and a socket.
#[derive(Debug)]
pub(crate) struct Server {
    host_port: String,
    requests: Arc<Mutex<Vec<String>>>,
    is_over: Arc<AtomicBool>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes it from waiting for the next connection.
        let _ = TcpStream::connect(&self.host_port);
    }
}

impl Server {
    /// One for a status and a body each.
    pub(crate) fn start(responses: Vec<(u16, String)>) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let host_port = listener.local_addr().map_err(|error| error.to_string())?.to_string();
        let server = Self { host_port, requests: Arc::default(), is_over: Arc::default() };
        let (requests, is_over) = (Arc::clone(&server.requests), Arc::clone(&server.is_over));
        #[expect(clippy::disallowed_methods, reason = "it ends with its handle")]
        std::thread::spawn(move || {
            let mut responses = responses.into_iter();
            for stream in listener.incoming().flatten() {
                if is_over.load(Ordering::Acquire) {
                    break;
                }
                serve(stream, || responses.next(), &requests);
            }
        });
        Ok(server)
    }

    pub(crate) fn host_port(&self) -> &str {
        &self.host_port
    }

    /// The requests so far, as lines `GET path?query`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(
    stream: TcpStream,
    response: impl FnOnce() -> Option<(u16, String)>,
    requests: &Mutex<Vec<String>>,
) {
    let Ok(reader) = stream.try_clone() else { return };
    let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    lines.find(String::is_empty);
    let line = first.strip_suffix(" HTTP/1.1").unwrap_or(&first).to_owned();
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    let (status, body) = response().unwrap_or((500, String::new()));
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    // A client that closed the connection needs no response.
    let _ = (&stream).write_all(format!("{head}{body}").as_bytes());
}
