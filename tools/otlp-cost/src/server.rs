//! A server that counts the spans that it receives.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::Outcome;

/// A running server.
pub(crate) struct Server {
    url: String,
    counts: Arc<Mutex<Counts>>,
}

/// The counts of what was received.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) spans: u64,
    /// The bytes of bodies as they were received.
    pub(crate) bytes: u64,
    pub(crate) requests: u64,
}

impl Server {
    pub(crate) fn start() -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let counts = Arc::new(Mutex::new(Counts::default()));
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counts = Arc::clone(&shared);
                // The counts show a connection that fails.
                thread::spawn(move || serve(&stream, &counts).map_err(drop));
            }
        });
        Ok(Self { url, counts })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the counts since the last call.
    pub(crate) fn take_counts(&self) -> Counts {
        std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Responds to the requests of a connection, one after the other.
fn serve(stream: &TcpStream, counts: &Mutex<Counts>) -> Outcome<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut is_compressed) = (0, false);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            is_compressed |= line == "content-encoding: gzip";
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mut plain = Vec::new();
        if is_compressed {
            GzDecoder::new(&*body).read_to_end(&mut plain)?;
        } else {
            plain.clone_from(&body);
        }
        let export = ExportTraceServiceRequest::decode(&*plain)?;
        let scopes = export.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let spans: usize = scopes.map(|scope| scope.spans.len()).sum();
        {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.spans += u64::try_from(spans)?;
            counts.bytes += u64::try_from(body.len())?;
            counts.requests += 1;
        }
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        (&mut &*stream).write_all(head.as_bytes())?;
    }
}
