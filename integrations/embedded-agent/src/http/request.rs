//! The head of a request, read with limits and understood as little as needed.

use std::io::{self, Read};
use std::net::{IpAddr, TcpStream};
use std::time::Duration;

use crate::system::Deadline;

/// The longest request head that is read, in bytes.
pub(super) const MAX_HEAD: usize = 8 << 10;

/// The timeout of a client's whole head.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// A request that may get a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The path, percent-decoded.
    pub(super) path: String,
    /// Keys and values behind the question mark, decoded.
    pub(super) query: Vec<(String, String)>,
}

impl Request {
    /// The last value of this key.
    pub(super) fn query(&self, key: &str) -> Option<&str> {
        let mut pairs = self.query.iter().rev();
        pairs.find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// Why a request is refused: the status and a sentence for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str);

/// Reads up to the empty line that ends a head. Returns `None` if the client is gone.
pub(super) fn read_head(stream: &mut TcpStream) -> io::Result<Result<Vec<u8>, Refusal>> {
    let deadline = Deadline::after(HEAD_TIMEOUT);
    let mut head = Vec::new();
    let mut room = [0; 1024];
    loop {
        let left = deadline.left();
        if left.is_zero() {
            return Ok(Err(Refusal(408, "the request took too long")));
        }
        stream.set_read_timeout(Some(left))?;
        let length = match stream.read(&mut room) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => length,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted => continue,
                _ => return Err(error),
            },
        };
        // The end may lie across two reads.
        let seen = head.len().saturating_sub(3);
        head.extend_from_slice(&room[..length]);
        if let Some(end) = head[seen..].windows(4).position(|four| four == b"\r\n\r\n") {
            head.truncate(seen + end + 2);
        } else if head.len() <= MAX_HEAD {
            continue;
        }
        if head.len() > MAX_HEAD {
            return Ok(Err(Refusal(431, "the request head is too long")));
        }
        return Ok(Ok(head));
    }
}

/// Understands a head, lines ending in CR LF. `local` is the address the client connected to.
pub(super) fn parse(head: &[u8], local: IpAddr) -> Result<Request, Refusal> {
    let bad = |what| Refusal(400, what);
    let head = std::str::from_utf8(head).map_err(|_| bad("the request head is no text"))?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let (Some(method), Some(target), Some(version), None) = (method, target, version, words.next())
    else {
        return Err(bad("the request line is malformed"));
    };
    if !version.starts_with("HTTP/1.") {
        return Err(Refusal(505, "only HTTP/1 is supported"));
    }
    let mut hosts = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim())
    });
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_allowed_host(host, local) => {}
        (Some(_), None) => return Err(Refusal(421, "this server answers to loopback names only")),
        _ => return Err(bad("exactly one Host header is needed")),
    }
    if method != "GET" {
        return Err(Refusal(405, "only GET is answered"));
    }
    if !target.starts_with('/') {
        return Err(bad("the request target is no path"));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key, true), decode(value, true))
    };
    let query = query.split('&').filter(|text| !text.is_empty()).map(pair).collect();
    Ok(Request { path: decode(path, false), query })
}

/// Returns whether a Host header names this server without the help of DNS.
///
/// A web page of a stranger can make a browser send it requests by pointing the stranger's name to
/// loopback. Such a request still carries the stranger's name, so names but `localhost` are refused,
/// as are addresses other than loopback and the one the client connected to.
fn is_allowed_host(host: &str, local: IpAddr) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').unwrap_or((rest, "x")),
        None => match host.find(':') {
            Some(colon) => host.split_at(colon),
            None => (host, ""),
        },
    };
    let is_allowed_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    let is_allowed_name = name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip == local);
    is_allowed_port && is_allowed_name
}

/// Undoes percent-encoding; what is no UTF-8 afterwards is replaced.
fn decode(text: &str, plus_is_space: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (*first, after) {
            (b'+', _) if plus_is_space => out.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            (byte, _) => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    #[test]
    fn host_names_other_than_local_ones_are_refused() {
        for host in [
            "localhost",
            "LOCALHOST:16686",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]",
            "[::1]:80",
            "192.0.2.7:80",
        ] {
            assert!(is_allowed_host(host, HERE), "{host}");
        }
        for host in [
            "",
            ":80",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.8",
            "localhost:http",
            "localhost:80:80",
            "[::1",
            "[::1]x",
            "[::2]",
            "user@localhost",
            "0.0.0.0",
        ] {
            assert!(!is_allowed_host(host, HERE), "{host}");
        }
    }

    #[test]
    fn a_target_is_taken_apart_and_decoded() {
        let head = b"GET /a%2fb?service=my+shop%21&limit=3&&x&limit=4&bad=%zz%2 HTTP/1.1\r\nhost: localhost\r\n";
        let request = parse(head, HERE).unwrap();
        assert_eq!(request.path, "/a/b");
        assert_eq!(request.query("service"), Some("my shop!"));
        assert_eq!(request.query("limit"), Some("4"));
        assert_eq!(request.query("x"), Some(""));
        assert_eq!(request.query("bad"), Some("%zz%2"));
        assert_eq!(request.query("absent"), None);
    }

    #[test]
    fn what_is_no_plain_get_is_refused() {
        let status = |head: &str| parse(head.as_bytes(), HERE).unwrap_err().0;
        assert_eq!(status("POST / HTTP/1.1\r\nHost: localhost\r\n"), 405);
        assert_eq!(status("GET / HTTP/1.1\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: localhost\r\nhost: evil\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: evil\r\n"), 421);
        assert_eq!(status("GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n"), 400);
        assert_eq!(status("GET / HTTP/2\r\nHost: localhost\r\n"), 505);
        assert_eq!(status("GET  / HTTP/1.1\r\nHost: localhost\r\n"), 400);
        assert_eq!(status(""), 400);
        assert_eq!(parse(b"\xff", HERE).unwrap_err().0, 400);
    }
}
