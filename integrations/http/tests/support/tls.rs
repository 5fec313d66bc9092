//! A server that speaks TLS, and a client's configuration that trusts it.

use std::sync::Arc;

use jaeger_client_http::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use jaeger_client_http::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};
use tokio_rustls::TlsAcceptor;

use super::Server;

/// A server for `localhost`, which offers these protocols by ALPN and speaks HTTP/1.
pub async fn server(protocols: &[&[u8]]) -> (Arc<ClientConfig>, Server) {
    let (client, acceptor) = both(protocols);
    let server = Server::start_with(move |stream| {
        let acceptor = acceptor.clone();
        async move { acceptor.accept(stream).await.ok() }
    });
    (client, server.await)
}

/// The two ends of TLS, which agree on one of these protocols.
pub fn both(protocols: &[&[u8]]) -> (Arc<ClientConfig>, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let certificate = made.cert.der().clone();
    let provider = Arc::new(crypto::ring::default_provider());
    let protocols: Vec<_> = protocols.iter().map(|name| name.to_vec()).collect();

    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols.clone_from(&protocols);

    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    server.alpn_protocols = protocols;
    (Arc::new(client), TlsAcceptor::from(Arc::new(server)))
}
