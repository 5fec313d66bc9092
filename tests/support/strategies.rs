//! A server of sampling strategies on plain sockets, and a source of strategies that a test sets.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use jaeger_client::sampler::{FetchError, StrategySource};

/// What the server does when it is asked.
#[derive(Clone, Debug)]
pub(crate) enum StrategyResponse {
    /// A status line's code, and a body.
    Body(u16, String),
    /// A response of this many bytes, with a matching `Content-Length`.
    Endless(usize),
    /// Nothing, while the connection stays open.
    Silence,
}

/// A web server that gives everybody the same answer, until it is given another.
#[derive(Debug)]
pub(crate) struct Strategies {
    address: String,
    response: Arc<Mutex<StrategyResponse>>,
    requested: Arc<Mutex<Vec<String>>>,
}

impl Strategies {
    pub(crate) fn start(body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap().to_string(),
            response: Arc::new(Mutex::new(StrategyResponse::Body(200, body.to_owned()))),
            requested: Arc::default(),
        };
        let (response, requested) = (Arc::clone(&server.response), Arc::clone(&server.requested));
        // It ends with the process; nobody waits for it.
        thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().flatten() {
                let response = || response.lock().unwrap().clone();
                silent.extend(serve(stream, response, &requested));
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/sampling", self.address)
    }

    pub(crate) fn host_port(&self) -> String {
        self.address.clone()
    }

    pub(crate) fn set(&self, response: StrategyResponse) {
        *self.response.lock().unwrap() = response;
    }

    pub(crate) fn set_body(&self, body: &str) {
        self.set(StrategyResponse::Body(200, body.to_owned()));
    }

    /// The first lines of all requests so far.
    pub(crate) fn requested(&self) -> Vec<String> {
        self.requested.lock().unwrap().clone()
    }
}

/// Gives the stream back if it is to stay open.
fn serve(
    stream: TcpStream,
    response: impl Fn() -> StrategyResponse,
    requested: &Mutex<Vec<String>>,
) -> Option<TcpStream> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    lines.by_ref().map_while(Result::ok).find(String::is_empty);
    requested.lock().unwrap().push(first);
    let head = |status: u16, length: usize| {
        format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
    };
    let mut out = &stream;
    let _ = match response() {
        StrategyResponse::Body(status, body) => {
            out.write_all(format!("{}{body}", head(status, body.len())).as_bytes())
        }
        StrategyResponse::Endless(length) => out
            .write_all(head(200, length).as_bytes())
            .and_then(|()| out.write_all(&vec![b' '; length])),
        StrategyResponse::Silence => return Some(stream),
    };
    None
}

/// Answers what a test has put in, one after the other, and then nothing but errors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script(Arc<Mutex<VecDeque<Result<String, String>>>>);

impl Script {
    pub(crate) fn then(&self, response: Result<&str, &str>) -> &Self {
        self.0.lock().unwrap().push_back(response.map(str::to_owned).map_err(str::to_owned));
        self
    }
}

impl StrategySource for Script {
    fn fetch(&self, _service_name: &str) -> Result<Vec<u8>, FetchError> {
        match self.0.lock().unwrap().pop_front() {
            Some(Ok(body)) => Ok(body.into_bytes()),
            Some(Err(error)) => Err(FetchError::new(error)),
            None => Err(FetchError::new("the script has ended")),
        }
    }
}
