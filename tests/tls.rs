//! Sending over HTTPS: whom a client trusts, and that nothing is sent to anybody else.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]
#![allow(clippy::disallowed_methods, reason = "the tests measure with the clock themselves")]

mod support;

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use jaeger_client::{Dropped, HttpConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::http::{Server, Stream, Wrap, status};
use support::{SOON, binary, builder, said};

/// Somebody who vouches for servers.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server that it vouches for, by these names.
    fn server(&self, names: &[&str]) -> Server {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Server::on(listener, Encrypted(Arc::new(config)), |_, _| status(200))
    }
}

struct Encrypted(Arc<ServerConfig>);

impl Wrap for Encrypted {
    fn wrap(&self, stream: TcpStream) -> Box<dyn Stream> {
        let connection = ServerConnection::new(Arc::clone(&self.0)).unwrap();
        Box::new(StreamOwned::new(connection, stream))
    }
}

/// Sends two spans there and gives how many were taken and lost, and whether the logger was told
/// these words.
fn send_two(host: &str, server: &Server, ca: Option<String>, words: &str) -> (u64, u64, bool) {
    let config = HttpConfig {
        ca_certificates: ca,
        auth_token: Some("t0ken".into()),
        ..HttpConfig::new(format!("https://{host}:{}", server.port()))
    };
    let logger = said();
    let builder = builder().logger(Arc::clone(&logger)).collector(config);
    let (tracer, closer) = builder.build().unwrap();
    for sent in 0..2 {
        tracer.start_span(format!("op-{sent}")).finish();
        assert!(tracer.flush(SOON).complete);
    }
    let receipt = closer.close(SOON);
    assert!(receipt.complete && receipt.stats.is_balanced(), "{receipt}");
    let Dropped { send_failed, .. } = receipt.stats.dropped;
    (receipt.stats.sent, send_failed, logger.has(words))
}

#[test]
fn a_collector_that_the_given_authority_vouches_for_gets_spans_on_one_connection() {
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
fn any_of_several_authorities_may_vouch() {
    let (one, other) = (Authority::new(), Authority::new());
    let server = other.server(&["localhost"]);
    let both = one.pem() + &other.pem();
    assert_eq!(send_two("localhost", &server, Some(both), ""), (2, 0, false));
}

#[test]
fn nobody_gets_anything_who_is_not_vouched_for() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let strangers = [
        // Vouched for by somebody else, or by nobody whom browsers know.
        (unknown.server(&["localhost"]), Some(known.pem())),
        (unknown.server(&["localhost"]), None),
        // Vouched for under another name.
        (known.server(&["elsewhere.example"]), Some(known.pem())),
    ];
    for (server, ca) in strangers {
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
