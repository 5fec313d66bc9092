//! OTLP over HTTPS and through proxies: by the environment, whom each side trusts, and the message
//! where one of them speaks without encryption.

#![cfg(all(feature = "tls", feature = "otlp"))]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::{env, fs, process, thread};

use super::tls::{Authority, tunnel};
use crate::support::http::{Server, status};
use crate::support::otlp::Request as Export;
use crate::support::{MemoryLogger, SOON, builder, memory_logger};
use jaeger_client::{Closer, Configuration, OtlpConfig, ProxyConfig, Stats, Tracer};
use prost::Message;

fn send_one(config: OtlpConfig) -> (Stats, Arc<MemoryLogger>) {
    let logger = memory_logger();
    // A server that refuses a client may just go away, which may pass.
    let config = OtlpConfig { max_attempts: 2, ..config };
    let built = builder().logger(Arc::clone(&logger)).otlp(config).build();
    let (tracer, closer) = built.unwrap();
    (finish_one(&tracer, closer), logger)
}

fn finish_one(tracer: &Tracer, closer: Closer) -> Stats {
    tracer.start_span("op").finish();
    assert!(tracer.flush(SOON).complete);
    let stats = closer.close(SOON).stats;
    assert!(stats.is_balanced(), "{stats}");
    stats
}

/// How many spans a server got, in requests with this header.
fn got(server: &Server, header: (&str, &str)) -> usize {
    let requests = server.requests();
    let exports = requests.iter().map(|request| {
        assert_eq!(request.header(header.0), Some(header.1));
        Export::decode(&*request.body).unwrap()
    });
    let scopes = exports.flat_map(|e| e.resource_spans).flat_map(|r| r.scope_spans);
    scopes.map(|scope| scope.spans.len()).sum()
}

#[test]
fn the_environment_names_certificates_for_both_sides_and_headers() {
    let (servers, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let folder = env::temp_dir().join(format!("jaeger-client-otlp-tls-{}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = clients.client();
    let ca = file("ca.pem", &servers.pem());
    let strange_ca = file("strange-ca.pem", &others.pem());
    let (certificate, key) = (file("client.pem", &certificate), file("client.key", &key));
    for (ca, is_client_known, acknowledged) in
        [(&ca, true, 1), (&ca, false, 0), (&strange_ca, true, 0)]
    {
        let server = servers.server_for(&["localhost"], Some(&clients), |_, _| status(200));
        let variables = |name: &str| match name {
            "JAEGER_SERVICE_NAME" => Some("shop".to_owned()),
            "JAEGER_TRACES_EXPORTER" => Some("otlp".to_owned()),
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(format!("https://localhost:{}", server.port())),
            "OTEL_EXPORTER_OTLP_CERTIFICATE" => Some(ca.clone()),
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE" => is_client_known.then(|| certificate.clone()),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY" => is_client_known.then(|| key.clone()),
            "OTEL_EXPORTER_OTLP_HEADERS" => Some("authorization=Bearer%20t0ken".to_owned()),
            // For all attempts together.
            "OTEL_EXPORTER_OTLP_TIMEOUT" => Some("2000".to_owned()),
            _ => None,
        };
        let configuration = Configuration::default().with_variables(variables).unwrap();
        assert!(!format!("{configuration:?}").contains("t0ken"));
        let (tracer, closer) = configuration.new_tracer().unwrap();
        let stats = finish_one(&tracer, closer);
        assert_eq!(
            (stats.acknowledged, stats.dropped.send_failed),
            (acknowledged, 1 - acknowledged)
        );
        assert_eq!(got(&server, ("authorization", "Bearer t0ken")) as u64, acknowledged);
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn requests_go_through_proxies_with_their_headers() {
    let headers = vec![("x-tenant".to_owned(), "shop".to_owned())];
    let authority = Authority::new();
    let server = authority.server(&["collector.invalid"]);
    let (port, requested) = tunnel(Some(server.port()));
    let config = OtlpConfig {
        headers: headers.clone(),
        ca_certificates: Some(authority.pem()),
        proxy: ProxyConfig::Fixed {
            http: None,
            https: Some(format!("http://ann:hush@127.0.0.1:{port}")),
            no_proxy: String::new(),
        },
        ..OtlpConfig::new("https://collector.invalid:4318")
    };
    let (stats, _) = send_one(config);
    assert_eq!(stats.acknowledged, 1, "{stats}");
    assert_eq!(got(&server, ("x-tenant", "shop")), 1);
    let requested = requested.lock().unwrap().concat().to_ascii_lowercase();
    assert!(requested.contains("connect collector.invalid:4318"), "{requested}");
    assert!(!requested.contains("x-tenant"), "{requested}");

    let proxy = Server::start(|_, _| status(200));
    let config = OtlpConfig {
        headers,
        proxy: ProxyConfig::Fixed { http: Some(proxy.url()), https: None, no_proxy: String::new() },
        ..OtlpConfig::new("http://collector.invalid:4318")
    };
    let (stats, _) = send_one(config);
    assert_eq!(stats.acknowledged, 1, "{stats}");
    assert_eq!(got(&proxy, ("x-tenant", "shop")), 1);
    let line = &proxy.requests()[0].line;
    assert_eq!(line, "POST http://collector.invalid:4318/v1/traces HTTP/1.1");
}

/// A port where these bytes are the response to the first that come, and the end of the connection.
fn server_with(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut first = [0; 4_096];
            if stream.read(&mut first).is_ok() && stream.write_all(bytes).is_ok() {
                // All that comes is read: bytes that are not would make the end a reset.
                let _ = stream.shutdown(Shutdown::Write);
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            }
        }
    });
    port
}

#[test]
fn a_port_that_speaks_another_protocol_is_an_error_with_what_it_may_be() {
    let encrypted = Authority::new().server(&["localhost"]);
    let plain = server_with(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    // The settings that a server of HTTP/2 begins with.
    let grpc = server_with(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0");
    for (url, words) in [
        (format!("http://localhost:{}", encrypted.port()), "a port for https, or for gRPC"),
        (format!("http://localhost:{grpc}"), "a port for https, or for gRPC"),
        (format!("https://localhost:{plain}"), "a port for http"),
    ] {
        let (stats, logger) = send_one(OtlpConfig::new(&url));
        assert_eq!((stats.acknowledged, stats.dropped.send_failed), (0, 1), "{stats}");
        assert!(logger.has(&url) && logger.has(words), "{words}: {:?}", logger.all());
    }
    assert!(encrypted.requests().is_empty());
}
