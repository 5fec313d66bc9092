//! The configuration of TLS, and what a handshake agreed on.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use tokio_rustls::rustls::client::ClientConnection;
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore};

use crate::trace::TlsInfo;

/// The configuration given, or the usual one, made when it is first needed.
#[derive(Default)]
pub(super) struct Tls {
    config: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    pub(super) fn set(&mut self, config: Arc<ClientConfig>) {
        self.config = OnceLock::from(config);
    }

    pub(super) fn get(&self) -> io::Result<Arc<ClientConfig>> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        let usual = usual().map_err(io::Error::other)?;
        Ok(Arc::clone(self.config.get_or_init(|| Arc::new(usual))))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The roots of Mozilla, and the protocols this build speaks.
fn usual() -> Result<ClientConfig, tokio_rustls::rustls::Error> {
    let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

/// The protocols of ALPN, the better one first.
const ALPN: &[&[u8]] = if cfg!(feature = "http2") { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };

pub(super) fn info(connection: &ClientConnection) -> TlsInfo {
    TlsInfo {
        version: connection.protocol_version().map(|version| format!("{version:?}")),
        alpn: connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
    }
}
