//! URLs: what is sent of them, and what of them is shown.
//!
//! `golden/redirects.txt` was recorded with Go 1.26.8, by
//! `go -C integrations/http/tests/golden/go run . redirects 2>/dev/null`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests as well")]

use std::convert::Infallible;
use std::fmt::Write;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use jaeger_client::InMemoryReporter;
use jaeger_client_http::{Error, HttpPool, NoTrace, RequestBody, TraceLayer, TracedClient};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_service::Service;

mod support;
use support::{golden, here, hops, tag, text, tracer};

/// Redirects to these locations in turn, and takes down what it is asked for.
#[derive(Clone, Default)]
struct Way {
    locations: Arc<Mutex<Vec<Vec<u8>>>>,
    sent: Arc<Mutex<String>>,
}

impl Way {
    async fn start(&self) -> u16 {
        self.start_at("127.0.0.1:0").await.unwrap()
    }

    async fn start_at(&self, address: &str) -> std::io::Result<u16> {
        let listener = TcpListener::bind(address).await?;
        let port = listener.local_addr()?.port();
        let way = self.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let way = way.clone();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {
                        if head.ends_with(b"\r\n\r\n") {
                            stream.write_all(&way.respond(&head, port)).await.unwrap();
                            head.clear();
                        }
                    }
                });
            }
        });
        Ok(port)
    }

    fn respond(&self, head: &[u8], port: u16) -> Vec<u8> {
        let head = std::str::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1");
        let header = |wanted: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
        };
        let mut reported = format!("sent {line} host={}", header("host").unwrap());
        if let Some(referer) = header("referer") {
            write!(reported, " referer={referer}").unwrap();
        }
        let reported = reported.replace(&format!(":{port}"), ":PORT");
        writeln!(self.sent.lock(), "{reported}").unwrap();
        let mut locations = self.locations.lock();
        if locations.is_empty() {
            return b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
        }
        let location = locations.remove(0);
        let head = &b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: "[..];
        [head, &location, b"\r\n\r\n"].concat()
    }
}

/// Bytes as Go quotes them.
fn unquoted(text: &str, port: u16) -> Vec<u8> {
    let text = text.trim_matches('"').replace("PORT", &port.to_string());
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, tail) = match (first, tail) {
            (b'\\', [b't', tail @ ..]) => (b'\t', tail),
            (b'\\', [b'x', tail @ ..]) => {
                let digits = std::str::from_utf8(&tail[..2]).unwrap();
                (u8::from_str_radix(digits, 16).unwrap(), &tail[2..])
            }
            (b'\\', [quoted, tail @ ..]) => (*quoted, tail),
            _ => (*first, tail),
        };
        bytes.push(byte);
        rest = tail;
    }
    bytes
}

#[tokio::test]
async fn what_is_sent_in_a_chain_of_redirects_is_what_go_sends() {
    let cases = golden::cases_of(include_str!("golden/redirects.txt"));
    assert_eq!(cases.len(), 45);
    for (name, case) in cases {
        let way = Way::default();
        let port = way.start().await;
        let (mut url, mut expected, mut referer) = (String::new(), String::new(), None);
        for line in case.lines() {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("ask", requested) => url = requested.replace("PORT", &port.to_string()),
                ("referer", own) => referer = Some(own),
                ("location", location) => way.locations.lock().push(unquoted(location, port)),
                _ => writeln!(expected, "{line}").unwrap(),
            }
        }
        let client = TracedClient::builder(tracer().0).pool(here().build()).build();
        let response = match referer {
            None => client.get(&url).await,
            Some(referer) => {
                let request = Request::get(url).header("referer", referer).body(()).unwrap();
                client.request(request).send().await
            }
        };
        let mut sent = way.sent.lock().clone();
        if let Err(error) = response {
            assert!(matches!(error, Error::Redirect { .. }), "{name}: {error:?}");
            sent.push_str("error\n");
        }
        assert_eq!(sent, expected, "case {name}");
    }
}

#[tokio::test]
async fn a_url_given_as_such_is_percent_encoded_as_well() {
    let way = Way::default();
    let port = way.start().await;
    let (tracer, reporter, _closer) = tracer();
    let pool = here().build();
    let client = TracedClient::builder(tracer).pool(pool.clone()).build();
    let request = || Request::get(format!("http://localhost:{port}/\u{fc}{{}}?\u{fc}")).body(());
    client.request(request().unwrap()).send().await.unwrap();
    pool.round_trip(request().unwrap(), Arc::new(NoTrace)).await.unwrap();
    let sent = "sent GET /%C3%BC%7B%7D?%C3%BC host=localhost:PORT\n";
    assert_eq!(*way.sent.lock(), sent.repeat(2));
    let url = tag(&hops(&reporter)[0].view(), "http.url").unwrap();
    assert_eq!(url, format!("http://localhost:{port}/%C3%BC%7B%7D?%C3%BC"));
}

#[tokio::test]
async fn the_zone_of_an_address_stays_at_home() {
    let way = Way::default();
    // Not every machine has IPv6.
    let Ok(port) = way.start_at("[::1]:0").await else { return };
    let client = TracedClient::builder(tracer().0).pool(HttpPool::new()).build();
    client.get(&format!("http://[::1]:{port}/")).await.unwrap();
    client.get(&format!("http://[::1%251]:{port}/")).await.unwrap();
    assert_eq!(*way.sent.lock(), "sent GET / host=[::1]:PORT\n".repeat(2));
}

/// Returns whether anything of the spans holds this text.
fn holds(reporter: &InMemoryReporter, wanted: &str) -> bool {
    let spans = reporter.spans();
    let mut all = String::new();
    for span in &spans {
        let span = span.view();
        write!(all, "{}", span.operation_name()).unwrap();
        let logged = span.logs().flat_map(|log| log.fields().collect::<Vec<_>>());
        for tag in span.tags().chain(logged) {
            write!(all, "{:?} {}", tag.key, text(tag.value)).unwrap();
        }
    }
    all.contains(wanted)
}

#[tokio::test]
async fn no_span_error_or_debug_of_the_client_holds_a_password() {
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::builder(tracer).url_tag(|url| url.to_string()).build();
    let other = TracedClient::new(support::tracer().0);
    for url in [
        "http://ann:hunter2@127.0.0.1:1/",
        "http://:hunter2@127.0.0.1:1/",
        "http://hunter2@127.0.0.1:1/",
        "http://ann:hunter2%40@127.0.0.1:1/",
        "http://ann%3Ahunter2@127.0.0.1:1/",
        "http://ann:hunter2@x@127.0.0.1:1/",
        "http://ann:h/hunter2@127.0.0.1:1/",
        "http://ann:h?hunter2@127.0.0.1:1/",
        "http://ann:hunter2 @127.0.0.1:1/",
        "http://ann:hunter2%40127.0.0.1:1/",
        "http:ann:hunter2@127.0.0.1:1/",
        "http:\\\\ann:hunter2@127.0.0.1:1/",
        "//ann:hunter2@127.0.0.1:1/",
        "ann:hunter2@127.0.0.1:1",
        "ann:hunter2@127.0.0.1:1/ ",
        "ftp://ann:hunter2@127.0.0.1/",
        "http://127.0.0.1:1/?access_token=hunter2&X-Amz-Signature=hunter2",
        "http://127.0.0.1:1/?to=http://ann:hunter2@host/&b=http%3A%2F%2Fann%3Ahunter2%40host",
    ] {
        for client in [&client, &other] {
            let error = client.get(url).await.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}: {error:?}");
        }
        if let Ok(request) = Request::get(url).body(()) {
            let request = client.request(request);
            assert!(!format!("{request:?}").contains("hunter2"), "{request:?}");
        }
        // What a callback makes of a URL is its own, but for the userinfo.
        assert!(url.contains('?') || !holds(&reporter, "hunter2"), "{url}");
        reporter.reset();
    }
}

#[tokio::test]
async fn no_tag_of_the_client_holds_a_password_in_a_chain_of_redirects() {
    let way = Way::default();
    let port = way.start().await;
    for location in [
        "http://ann:hunter2@localhost:PORT/x",
        "//ann:hunter2@localhost:PORT/x",
        "http://ann:hunter2 @localhost:PORT/x",
        "ftp://ann:hunter2@localhost:PORT/x",
        "ann:hunter2@localhost",
    ] {
        let (tracer, reporter, _closer) = tracer();
        let client = TracedClient::builder(tracer).pool(here().build()).build();
        let location = location.replace("PORT", &port.to_string());
        way.locations.lock().push(location.into());
        let error = client.get(&format!("http://localhost:{port}/")).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        assert!(!holds(&reporter, "hunter2"));
    }
    // It is not asked for: no Referer has it, and no server.
    assert_eq!(*way.sent.lock(), "sent GET / host=localhost:PORT\n".repeat(5));
}

#[derive(Clone)]
struct Hello;

impl Service<Request<()>> for Hello {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<()>) -> Self::Future {
        ready(Ok(Response::new(Full::from("hello"))))
    }
}

#[tokio::test]
async fn no_tag_of_the_server_shows_a_password_of_any_url() {
    for (target, expected) in [
        ("http://ann:hunter2@host/x?y", "http://host/x?y"),
        ("http://ann%3Ahunter2@host/x", "http://host/x"),
        ("ann:hunter2@host:443", "host:443"),
        ("//ann:hunter2@host/x", "//host/x"),
        ("/x?u=http://ann:hunter2@host/", "/x?u=http://host/"),
        ("/x?access_token=hunter2", "/x?access_token=REDACTED"),
    ] {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for own in [false, true] {
                let (tracer, reporter, _closer) = tracer();
                let mut layer = TraceLayer::new(tracer);
                if own {
                    layer = layer.url_tag(|url| url.to_string());
                }
                let request = Request::get(target).version(version).body(()).unwrap();
                layer.layer(Hello).call(request).await.unwrap();
                let url = tag(&reporter.spans()[0].view(), "http.url").unwrap();
                if own {
                    assert!(!url.contains('@'), "{url}");
                } else if version == Version::HTTP_11 {
                    assert_eq!(url, expected);
                } else {
                    assert!(!url.contains("hunter2"), "{url}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_second_request_shows_no_password_either() {
    // Ten hops and an eleventh that will not be made.
    let way = Way::default();
    let port = way.start().await;
    let location = format!("http://localhost:{port}/?password=hunter2");
    way.locations.lock().extend((0..10).map(|_| location.clone().into_bytes()));
    let (tracer, reporter, _closer) = tracer();
    let client = TracedClient::builder(tracer).pool(here().build()).build();
    let request = Request::get(format!("http://localhost:{port}/")).body(RequestBody::empty());
    let error = client.request(request.unwrap()).send().await.unwrap_err();
    assert!(matches!(error, Error::TooManyRedirects { hops: 10, .. }));
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    assert!(!holds(&reporter, "hunter2"));
}
