//! Sending over HTTPS: whom a client trusts, and that nothing is sent to anybody else.

#![cfg(feature = "tls")]

use std::io::{BufRead, BufReader, Write, copy};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::http::{Request, Server, ServerResponse, Stream, Wrap, redirect, status};
use crate::support::{SOON, binary, builder, memory_logger};
use jaeger_client::{Dropped, HttpConfig, ProxyConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// Somebody who vouches for servers.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server that it vouches for, by these names.
    pub(super) fn server(&self, names: &[&str]) -> Server {
        self.server_for(names, None, |_, _| status(200))
    }

    /// The same, which answers so, and takes connections only of clients that `clients` vouches for.
    pub(super) fn server_for(
        &self,
        names: &[&str],
        clients: Option<&Self>,
        response: impl Fn(usize, &Request) -> ServerResponse + Send + Sync + 'static,
    ) -> Server {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from(authority.0.der().to_vec())).unwrap();
                let roots = Arc::new(roots);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let config = config.with_single_cert(chain, key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Server::on(listener, Encrypted(Arc::new(config)), response)
    }

    /// A certificate for a client that it vouches for, and its key, in PEM.
    pub(super) fn client(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([]).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

struct Encrypted(Arc<ServerConfig>);

impl Wrap for Encrypted {
    fn wrap(&self, stream: TcpStream) -> Box<dyn Stream> {
        let connection = ServerConnection::new(Arc::clone(&self.0)).unwrap();
        Box::new(StreamOwned::new(connection, stream))
    }
}

/// Sends two spans there and gives how many were taken and lost, and whether the logger was called
/// these words.
fn send_two(host: &str, server: &Server, ca: Option<String>, words: &str) -> (u64, u64, bool) {
    let config = HttpConfig {
        ca_certificates: ca,
        auth_token: Some("t0ken".into()),
        ..HttpConfig::new(format!("https://{host}:{}", server.port()))
    };
    let logger = memory_logger();
    let builder = builder().logger(Arc::clone(&logger)).collector(config);
    let (tracer, closer) = builder.build().unwrap();
    for sent in 0..2 {
        tracer.start_span(format!("op-{sent}")).finish();
        assert!(tracer.flush(SOON).complete);
    }
    let report = closer.close(SOON);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    let Dropped { send_failed, .. } = report.stats.dropped;
    (report.stats.sent, send_failed, logger.has(words))
}

#[test]
fn a_collector_with_a_trusted_certificate_gets_spans_on_one_connection() {
    let authority = Authority::new();
    for (name, host) in [("localhost", "localhost"), ("127.0.0.1", "127.0.0.1")] {
        let server = authority.server(&[name]);
        assert_eq!(send_two(host, &server, Some(authority.pem()), ""), (2, 0, false));
        let requests = server.requests();
        assert_eq!(requests[0].header("authorization"), Some("Bearer t0ken"));
        assert_eq!(binary::body_names(&requests[1].body), ["op-1"]);
        assert_eq!(server.connections(), 1);
    }
}

#[test]
fn any_of_several_authorities_may_sign_the_certificate() {
    let (one, other) = (Authority::new(), Authority::new());
    let server = other.server(&["localhost"]);
    let both = one.pem() + &other.pem();
    assert_eq!(send_two("localhost", &server, Some(both), ""), (2, 0, false));
}

#[test]
fn a_server_with_an_untrusted_certificate_gets_nothing() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let untrusted = [
        // Vouched for by somebody else, or by nobody whom browsers know.
        (unknown.server(&["localhost"]), Some(known.pem())),
        (unknown.server(&["localhost"]), None),
        // Vouched for under another name.
        (known.server(&["elsewhere.example"]), Some(known.pem())),
    ];
    for (server, ca) in untrusted {
        assert_eq!(send_two("localhost", &server, ca, "certificate"), (0, 2, true));
        assert!(server.requests().is_empty());
    }
}

#[test]
fn certificates_that_are_none_are_refused() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    let cut = Authority::new().pem().replacen("-----END", "-----", 1);
    for pem in ["", "no certificate", key.as_str(), cut.as_str()] {
        let config =
            HttpConfig { ca_certificates: Some(pem.into()), ..HttpConfig::new("https://c") };
        let error = builder().collector(config).build().map(drop).unwrap_err().to_string();
        assert!(error.contains("ca_certificates") && error.contains("in PEM"), "{error}");
        assert!(pem.is_empty() || !error.contains(pem), "{error}");
    }
}

#[test]
fn a_server_that_requests_a_client_certificate_gets_it() {
    let (servers, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let (certificate, key) = clients.client();
    let combined = certificate.clone() + &key;
    let (untrusted, untrusted_key) = others.client();
    for (own, sent) in [
        (Some((certificate, key)), 1),
        (Some((combined.clone(), combined)), 1),
        (Some((untrusted, untrusted_key)), 0),
        (None, 0),
    ] {
        let server = servers.server_for(&["localhost"], Some(&clients), |_, _| status(200));
        let (client_certificate, client_key) = own.unzip();
        let config = HttpConfig {
            ca_certificates: Some(servers.pem()),
            client_certificate,
            client_key,
            // A server that refuses a client may just go away, which may pass.
            max_attempts: 2,
            ..HttpConfig::new(format!("https://localhost:{}", server.port()))
        };
        let logger = memory_logger();
        let (tracer, closer) =
            builder().logger(Arc::clone(&logger)).collector(config).build().unwrap();
        tracer.start_span("op").finish();
        let stats = tracer.flush(SOON).stats;
        assert!(closer.close(SOON).complete);
        assert_eq!((stats.sent, stats.dropped.send_failed), (sent, 1 - sent), "{:?}", logger.all());
        assert_eq!(server.requests().len() as u64, sent);
    }
}

#[test]
fn certificates_and_keys_that_do_not_belong_together_are_refused_and_keys_not_shown() {
    let authority = Authority::new();
    let ((certificate, key), (_, other_key)) = (authority.client(), authority.client());
    let cases = [
        (Some(&*certificate), None, "client_key is empty"),
        (None, Some(&*key), "client_certificate is empty"),
        (Some(&*certificate), Some(&*other_key), "the private key of client_certificate"),
        (Some(&*certificate), Some(&*certificate), "client_key is \"(hidden)\""),
        (Some(&*certificate), Some("hush"), "client_key is \"(hidden)\""),
        (Some(&*key), Some(&*key), "client_certificate is"),
        (Some("hush"), Some(&*key), "client_certificate is"),
        (
            Some("-----BEGIN CERTIFICATE-----\naHVzaA==\n-----END CERTIFICATE-----"),
            Some(&*key),
            "key",
        ),
    ];
    for (certificate, own_key, words) in cases {
        let config = HttpConfig {
            client_certificate: certificate.map(str::to_owned),
            client_key: own_key.map(str::to_owned),
            ..HttpConfig::new("https://collector.invalid")
        };
        assert!(!format!("{config:?}").contains("PRIVATE"));
        let error = builder().collector(config).build().map(drop).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
        let secret = key.lines().nth(1).unwrap();
        assert!(!error.contains("hush") && !error.contains(secret), "{error}");
    }
    let config = HttpConfig {
        client_certificate: Some(certificate),
        client_key: Some(key),
        ..HttpConfig::new("http://collector.invalid")
    };
    let error = builder().collector(config).build().map(drop).unwrap_err().to_string();
    assert!(error.contains("https:// endpoint only"), "{error}");
}

/// A proxy that makes a tunnel to a server whatever it is asked for, or refuses. What it was asked.
pub(super) fn tunnel(to: Option<u16>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let requested = Arc::new(Mutex::new(Vec::new()));
    let retained = Arc::clone(&requested);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<_> =
                lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            retained.lock().unwrap().push(head.join("\n"));
            let Some(to) = to else {
                let _ = stream.write_all(b"HTTP/1.1 403 no\r\ncontent-length: 0\r\n\r\n");
                continue;
            };
            let mut onward = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let _ = stream.write_all(b"HTTP/1.1 200 yes\r\n\r\n");
            let (mut back, mut from) = (stream.try_clone().unwrap(), onward.try_clone().unwrap());
            thread::spawn(move || copy(&mut from, &mut back));
            thread::spawn(move || copy(&mut stream, &mut onward));
        }
    });
    (port, requested)
}

#[test]
fn an_https_url_is_reached_by_a_tunnel_through_the_proxy() {
    let authority = Authority::new();
    let server = authority.server(&["collector.invalid"]);
    let (open, shut) = (tunnel(Some(server.port())), tunnel(None));
    for ((port, requested), sent) in [(open, 1), (shut, 0)] {
        let config = HttpConfig {
            ca_certificates: Some(authority.pem()),
            auth_token: Some("t0ken".into()),
            max_attempts: 1,
            proxy: ProxyConfig::Fixed {
                http: None,
                https: Some(format!("http://ann:hush@127.0.0.1:{port}")),
                no_proxy: String::new(),
            },
            ..HttpConfig::new("https://collector.invalid:14268")
        };
        let logger = memory_logger();
        let (tracer, closer) =
            builder().logger(Arc::clone(&logger)).collector(config).build().unwrap();
        tracer.start_span("op").finish();
        let stats = closer.close(SOON).stats;
        assert_eq!((stats.sent, stats.dropped.send_failed), (sent, 1 - sent), "{:?}", logger.all());
        assert_eq!(stats.unconfirmed, 0);
        let requested = requested.lock().unwrap().join("\n\n");
        assert!(requested.starts_with("CONNECT collector.invalid:14268 HTTP/1.1"), "{requested}");
        assert!(requested.contains("Proxy-Authorization: Basic YW5uOmh1c2g="), "{requested}");
        assert!(
            !requested.contains("t0ken"),
            "what is meant for the collector is encrypted: {requested}"
        );
        assert!(!logger.has("hush"));
    }
    assert_eq!(server.requests()[0].header("proxy-authorization"), None);
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer t0ken"));
}

#[test]
fn a_redirect_to_https_on_the_same_host_is_followed_and_one_back_is_not() {
    let authority = Authority::new();
    let encrypted = authority.server(&["localhost"]);
    let target = format!("https://localhost:{}/in", encrypted.port());
    let plain = Server::start(move |_, _| redirect(308, &target));
    let logger = memory_logger();
    let config = HttpConfig::new(format!("http://localhost:{}", plain.port()));
    let (tracer, closer) = builder().logger(Arc::clone(&logger)).collector(config).build().unwrap();
    tracer.start_span("op").finish();
    // Followed as far as to find that browsers do not know who vouches for it.
    assert_eq!(closer.close(SOON).stats.dropped.send_failed, 1);
    assert!(logger.has("certificate"), "{:?}", logger.all());
    assert_eq!(plain.requests().len(), 1);

    let plain = Server::start(|_, _| status(202));
    let target = format!("http://localhost:{}/in", plain.port());
    let encrypted = authority.server_for(&["localhost"], None, move |_, _| redirect(308, &target));
    let logger = memory_logger();
    let config = HttpConfig {
        ca_certificates: Some(authority.pem()),
        ..HttpConfig::new(format!("https://localhost:{}", encrypted.port()))
    };
    let (tracer, closer) = builder().logger(Arc::clone(&logger)).collector(config).build().unwrap();
    tracer.start_span("op").finish();
    assert_eq!(closer.close(SOON).stats.dropped.send_failed, 1);
    assert!(logger.has("a redirect to http://localhost"), "{:?}", logger.all());
    assert!(plain.requests().is_empty());
}
