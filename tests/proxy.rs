//! Proxies: which requests go through them, what they get, and that nobody sees their passwords.

#![cfg(all(feature = "collector-http", feature = "remote-sampler"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]
#![allow(clippy::disallowed_methods, reason = "the tests start processes, threads and servers")]

mod support;

use std::net::TcpStream;

use jaeger_client::{HttpConfig, ProxyConfig};
use support::http::{Server, status};
use support::{SOON, builder};

fn through(proxy: &str) -> ProxyConfig {
    ProxyConfig::Fixed { http: Some(proxy.into()), https: None, no_proxy: String::new() }
}

#[test]
fn a_proxy_that_is_none_is_an_error_that_does_not_show_its_password() {
    for proxy in ["http://", "ftp://ann:hush@p", "ann:hush@:x", "http://ann:hush@p:99999", "::"] {
        let config =
            HttpConfig { proxy: through(proxy), ..HttpConfig::new("http://collector.invalid") };
        let error = builder().collector(config).build().map(drop).unwrap_err().to_string();
        assert!(error.contains("proxy.http is ") && error.contains("http://proxy:3128"), "{error}");
        assert!(!error.contains("hush"), "{error}");
        // It is not asked for where it is of no use.
        let config = HttpConfig { proxy: through(proxy), ..HttpConfig::new("http://127.0.0.1:1") };
        drop(builder().collector(config).build().unwrap());
    }
}

#[test]
fn a_socks_proxy_is_asked_for_a_connection() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let collector = Server::start(|_, _| status(202));
    let target = collector.port();
    let serve = move |mut stream: TcpStream| -> std::io::Result<String> {
        let mut greeting = [0; 3];
        stream.read_exact(&mut greeting)?;
        stream.write_all(&[5, 0])?;
        let mut request = [0; 5];
        stream.read_exact(&mut request)?;
        let mut name = vec![0; usize::from(request[4]) + 2];
        stream.read_exact(&mut name)?;
        stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])?;
        let mut onward = TcpStream::connect(("127.0.0.1", target))?;
        let (mut back, mut from) = (stream.try_clone()?, onward.try_clone()?);
        std::thread::spawn(move || std::io::copy(&mut from, &mut back));
        std::io::copy(&mut stream, &mut onward)?;
        Ok(String::from_utf8_lossy(&name[..name.len() - 2]).into_owned())
    };
    let asked = std::thread::spawn(move || serve(listener.accept().unwrap().0));
    let config = HttpConfig {
        proxy: through(&format!("socks5h://127.0.0.1:{port}")),
        ..HttpConfig::new("http://collector.invalid")
    };
    let (tracer, closer) = builder().collector(config).build().unwrap();
    tracer.start_span("op").finish();
    assert_eq!(closer.close(SOON).stats.sent, 1);
    drop(tracer);
    assert_eq!(asked.join().unwrap().unwrap(), "collector.invalid");
    assert_eq!(collector.requests()[0].line, "POST /api/traces?format=jaeger.thrift HTTP/1.1");
}
