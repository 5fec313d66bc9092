//! An HTTP server with configured responses, on a plain listener of the standard library.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::{MemoryLogger, SOON, builder, memory_logger};
use jaeger_client::{FlushReport, HttpConfig};

/// What a server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum ServerResponse {
    /// A status, more headers (each line with its end), a body.
    Status(u16, &'static str, Vec<u8>),
    /// Nothing, for longer than anybody should wait.
    Hang,
    /// The end of the connection.
    Close,
    /// A status, and a body that goes on until the client has had enough.
    Endless(u16),
    /// What is no HTTP.
    Nonsense,
    /// These bytes, and the end of the connection.
    Raw(Vec<u8>),
}

pub(crate) fn status(code: u16) -> ServerResponse {
    ServerResponse::Status(code, "", Vec::new())
}

/// A redirect.
pub(crate) fn redirect(code: u16, to: &str) -> ServerResponse {
    let length = "content-length: 0\r\nconnection: close";
    ServerResponse::Raw(format!("HTTP/1.1 {code} x\r\nlocation: {to}\r\n{length}\r\n\r\n").into())
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Method and target.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
}

/// Makes a connection readable and writable: as it is, or decrypted.
pub(crate) trait Wrap: Send + Sync + 'static {
    fn wrap(&self, stream: TcpStream) -> Box<dyn Stream>;
}

pub(crate) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

pub(crate) struct Plain;

impl Wrap for Plain {
    fn wrap(&self, stream: TcpStream) -> Box<dyn Stream> {
        Box::new(stream)
    }
}

impl Server {
    /// Starts a server whose responses are made by `response`, from the request and its number, from 0.
    pub(crate) fn start(
        response: impl Fn(usize, &Request) -> ServerResponse + Send + Sync + 'static,
    ) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), Plain, response)
    }

    pub(crate) fn on(
        listener: TcpListener,
        wrap: impl Wrap,
        response: impl Fn(usize, &Request) -> ServerResponse + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let server = Self { address, requests: Arc::default(), connections: Arc::default() };
        let own = server.clone();
        let (response, wrap) = (Arc::new(response), Arc::new(wrap));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                own.connections.fetch_add(1, Ordering::SeqCst);
                let (own, response, wrap) = (own.clone(), Arc::clone(&response), Arc::clone(&wrap));
                thread::spawn(move || {
                    stream.set_nodelay(true).unwrap();
                    stream.set_read_timeout(Some(SOON)).unwrap();
                    stream.set_write_timeout(Some(SOON)).unwrap();
                    own.serve(wrap.wrap(stream), &*response)
                });
            }
        });
        server
    }

    fn serve(&self, stream: Box<dyn Stream>, response: &dyn Fn(usize, &Request) -> ServerResponse) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = read(&mut stream) {
            let number = {
                let mut requests = self.requests.lock().unwrap();
                requests.push(request.clone());
                requests.len() - 1
            };
            let out = stream.get_mut();
            let written = match response(number, &request) {
                ServerResponse::Status(code, headers, body) => {
                    let length = body.len();
                    let head =
                        format!("HTTP/1.1 {code} x\r\n{headers}content-length: {length}\r\n\r\n");
                    out.write_all(head.as_bytes()).and_then(|()| out.write_all(&body))
                }
                ServerResponse::Endless(code) => {
                    let head = format!("HTTP/1.1 {code} x\r\ncontent-length: 10000000000\r\n\r\n");
                    let mut written = out.write_all(head.as_bytes());
                    while written.is_ok() {
                        written = out.write_all(&[b'x'; 8192]);
                    }
                    written
                }
                ServerResponse::Nonsense => {
                    let _ = out.write_all(b"what?\r\n\r\n");
                    return;
                }
                ServerResponse::Raw(bytes) => {
                    let _ = out.write_all(&bytes).and_then(|()| out.flush());
                    return;
                }
                ServerResponse::Hang => {
                    // Until the client goes away.
                    let _ = stream.read(&mut [0]);
                    return;
                }
                ServerResponse::Close => return,
            };
            if written.and_then(|()| stream.get_mut().flush()).is_err() {
                return;
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn read(stream: &mut impl BufRead) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|taken| *taken > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers: Vec<_> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { line: lines[0].clone(), headers, body: Vec::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}

/// An address at which nobody listens. The port stays taken until the process ends, so that no other
/// test gets it.
pub(crate) fn nobody() -> String {
    let late = Late::new();
    let url = late.url();
    std::mem::forget(late);
    url
}

/// An address that refuses connections until a server is started there.
pub(crate) struct Late(Socket);

impl Late {
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        Self(socket)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap().as_socket().unwrap())
    }

    pub(crate) fn start(
        self,
        response: impl Fn(usize, &Request) -> ServerResponse + Send + Sync + 'static,
    ) -> Server {
        self.0.listen(128).unwrap();
        Server::on(self.0.into(), Plain, response)
    }
}

/// A short time that is surely over when a test has waited as long as it may.
pub(crate) const BRIEF: Duration = Duration::from_millis(300);

/// Sends one span to a server, and returns the flush report and the log.
pub(crate) fn send_one(config: HttpConfig) -> (FlushReport, Arc<MemoryLogger>) {
    let logger = memory_logger();
    let (tracer, closer) = builder().logger(Arc::clone(&logger)).collector(config).build().unwrap();
    tracer.start_span("op").finish();
    let report = tracer.flush(SOON);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    assert!(closer.close(SOON).complete);
    (report, logger)
}
