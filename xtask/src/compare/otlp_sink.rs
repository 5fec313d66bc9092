//! A collector that counts the spans of OTLP requests, in protobuf over HTTP/1.1.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use super::peers::float;
use crate::Outcome;

/// Listens on loopback until the process ends; there are as many as loads.
pub(super) struct OtlpSink {
    port: u16,
    spans: Arc<AtomicU64>,
}

impl OtlpSink {
    pub(super) fn start() -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let spans = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&spans);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let spans = Arc::clone(&counted);
                thread::spawn(move || serve(stream, &spans));
            }
        });
        Ok(Self { port, spans })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1/traces", self.port)
    }

    pub(super) fn spans(&self) -> f64 {
        float(self.spans.load(Relaxed))
    }
}

/// The longest body that is read.
const MAX_BODY: u64 = 64 << 20;

/// Answers requests of one connection until it ends.
fn serve(stream: TcpStream, spans: &AtomicU64) -> io::Result<()> {
    const RESPONSE: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let Some(length) = body_length(&mut reader)? else { return Ok(()) };
        let mut body = Vec::new();
        reader.by_ref().take(length.min(MAX_BODY)).read_to_end(&mut body)?;
        spans.fetch_add(count(&body), Relaxed);
        writer.write_all(RESPONSE)?;
    }
}

/// Reads the head of a request; `None` at the end of the connection.
fn body_length(reader: &mut BufReader<TcpStream>) -> io::Result<Option<u64>> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            return Ok(Some(length));
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
}

/// Spans of a request: `resource_spans` (1), `scope_spans` (2), `spans` (2).
fn count(request: &[u8]) -> u64 {
    fields(request, 1)
        .flat_map(|resource| fields(resource, 2))
        .map(|scope| fields(scope, 2).count() as u64)
        .sum()
}

/// The messages in a field of a message; what is cut off ends them.
fn fields(message: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    let mut rest = message;
    std::iter::from_fn(move || {
        while let Some(key) = varint(&mut rest) {
            let length = match key & 7 {
                0 => varint(&mut rest).map(|_| 0),
                1 => Some(8),
                2 => varint(&mut rest),
                5 => Some(4),
                _ => None,
            };
            let (field, after) = rest.split_at_checked(usize::try_from(length?).ok()?)?;
            rest = after;
            if key == wanted << 3 | 2 {
                return Some(field);
            }
        }
        None
    })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_counted_in_all_scopes_and_resources() {
        // A scope with two spans, of which one is empty, and a schema URL; a resource beside it.
        let scope = [0x0a, 0, 0x12, 1, 0x55, 0x12, 0, 0x1a, 1, b's'];
        let mut resource = vec![0x0a, 0, 0x12, 10];
        resource.extend(scope);
        let mut request = vec![0x0a, 14];
        request.extend(&resource);
        request.extend([0x0a, 14]);
        request.extend(&resource);
        assert_eq!(count(&request), 4);
        assert_eq!(count(&request[..20]), 2);
        assert_eq!(count(b""), 0);
    }
}
