//! A server of HTTP/2 that says exactly what a test wants, frame by frame.

use std::io;
use std::sync::Arc;

use jaeger_client_http::rustls::ClientConfig;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

pub const NO_ERROR: u32 = 0;
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// What the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// A response of status 200 without a body.
    Ok,
    /// The last stream that it processes, and why.
    GoAway(u32, u32),
    Reset(u32),
    Close,
    Nothing,
}

/// One of its connections.
pub struct Peer {
    stream: TlsStream<TcpStream>,
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;

impl Peer {
    /// Takes a connection, with so much room for each request's body.
    pub async fn accept(stream: TlsStream<TcpStream>, window: u32) -> io::Result<Self> {
        let mut this = Self { stream };
        this.stream.read_exact(&mut [0; 24]).await?;
        let settings = [&[0, 4], &window.to_be_bytes()[..]].concat();
        this.frame(4, 0, 0, &settings).await?;
        Ok(this)
    }

    async fn frame(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &id.to_be_bytes()].concat();
        self.stream.write_all(&[&head, payload].concat()).await
    }

    /// The stream of the next request that is there, with its end or with its head alone.
    pub async fn request(&mut self, whole: bool) -> io::Result<u32> {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).await?;
            let ends = matches!(head[3], DATA | HEADERS) && head[4] & END_STREAM != 0;
            if if whole { ends } else { head[3] == HEADERS } {
                return Ok(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
            }
        }
    }

    /// False if the connection is over with it.
    pub async fn say(&mut self, say: Say, stream: u32) -> io::Result<bool> {
        match say {
            // `:status: 200` of HPACK's table, with the end of headers and of the stream.
            Say::Ok => self.frame(HEADERS, 5, stream, &[0x88]).await?,
            Say::GoAway(last, code) => {
                let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
                self.frame(7, 0, 0, &payload).await?;
            }
            Say::Reset(code) => self.frame(3, 0, stream, &code.to_be_bytes()).await?,
            Say::Close => {
                self.stream.shutdown().await?;
                return Ok(false);
            }
            Say::Nothing => {}
        }
        Ok(true)
    }
}

/// A server with configured responses to the requests of all its connections, in their order.
pub struct Script {
    pub config: Arc<ClientConfig>,
    pub url: String,
    /// Which connection each request came over.
    pub seen: Arc<Mutex<Vec<usize>>>,
}

impl Script {
    /// Returns the response to each request in turn; `last` to every later one.
    pub async fn start(responses: &'static [&'static [Say]], whole: bool, window: u32) -> Self {
        let (config, acceptor) = super::tls::both(&[b"h2"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let seen = Arc::<Mutex<Vec<usize>>>::default();
        let reported = Arc::clone(&seen);
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, reported) = (acceptor.clone(), Arc::clone(&reported));
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await?;
                    let mut peer = Peer::accept(stream, window).await?;
                    loop {
                        let stream = peer.request(whole).await?;
                        let number = {
                            let mut reported = reported.lock();
                            reported.push(connection);
                            reported.len() - 1
                        };
                        let says = responses.get(number).or_else(|| responses.last()).unwrap();
                        for say in *says {
                            if !peer.say(*say, stream).await? {
                                return io::Result::Ok(());
                            }
                        }
                    }
                });
            }
        });
        Self { config, url, seen }
    }
}
