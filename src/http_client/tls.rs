//! TLS options: trusted certificates, and the client's own.

#[cfg(feature = "tls")]
use crate::error::ConfigError;
#[cfg(feature = "tls")]
use crate::redact::HIDDEN;

/// The TLS options, each in PEM.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TlsOptions<'o> {
    /// The names of these options in errors.
    pub(crate) names: TlsOptionNames,
    /// The trusted certificate authorities; without it, those of browsers.
    pub(crate) ca_certificates: Option<&'o str>,
    /// The client's own certificate, and its chain.
    pub(crate) client_certificate: Option<&'o str>,
    /// The key of that certificate.
    pub(crate) client_key: Option<&'o str>,
}

/// The names of the options in errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TlsOptionNames {
    pub(crate) ca_certificates: &'static str,
    pub(crate) client_certificate: &'static str,
    pub(crate) client_key: &'static str,
}

impl Default for TlsOptionNames {
    fn default() -> Self {
        Self {
            ca_certificates: "reporter.ca_certificates",
            client_certificate: "reporter.client_certificate",
            client_key: "reporter.client_key",
        }
    }
}

impl TlsOptions<'_> {
    /// Returns the name of the first option that is set, if any is.
    pub(super) fn fields_set(&self) -> Option<&'static str> {
        let Self { ca_certificates, client_certificate, client_key, names } = self;
        let options = [
            (ca_certificates, names.ca_certificates),
            (client_certificate, names.client_certificate),
            (client_key, names.client_key),
        ];
        options.into_iter().find_map(|(option, field)| option.map(|_| field))
    }

    /// Returns the TLS configuration for ureq.
    #[cfg(feature = "tls")]
    pub(super) fn config(&self) -> Result<ureq::tls::TlsConfig, ConfigError> {
        use ureq::tls::{ClientCert, RootCerts, TlsConfig};
        let names = &self.names;
        let mut config = TlsConfig::builder();
        if let Some(pem) = self.ca_certificates {
            let roots = certificates(names.ca_certificates, pem, false)?;
            config = config.root_certs(RootCerts::new_with_certs(&roots));
        }
        match (self.client_certificate, self.client_key) {
            (None, None) => {}
            (Some(certificate), Some(key)) => {
                let chain = certificates(names.client_certificate, certificate, true)?;
                let key = private_key(names, key)?;
                verify_pair(names, &chain, &key)?;
                config = config.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
            }
            (Some(_), None) => return Err(ConfigError::Empty { field: names.client_key }),
            (None, Some(_)) => {
                return Err(ConfigError::Empty { field: names.client_certificate });
            }
        }
        Ok(config.build())
    }
}

/// Parses the certificates of a text, which may contain keys too if it is the client's own.
#[cfg(feature = "tls")]
fn certificates(
    field: &'static str,
    pem: &str,
    is_own: bool,
) -> Result<Vec<ureq::tls::Certificate<'static>>, ConfigError> {
    use ureq::tls::PemItem;
    let allowed = "one or more certificates in PEM, and nothing else";
    let refused = |value: String| ConfigError::invalid(field, value, allowed);
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(pem.as_bytes()) {
        match item.map_err(|error| refused(error.to_string()))? {
            PemItem::Certificate(certificate) => certificates.push(certificate),
            _ if is_own => {}
            _ => return Err(refused("a private key".to_owned())),
        }
    }
    if certificates.is_empty() {
        return Err(refused(format!("{} bytes without a certificate", pem.len())));
    }
    Ok(certificates)
}

#[cfg(feature = "tls")]
fn private_key(
    names: &TlsOptionNames,
    pem: &str,
) -> Result<ureq::tls::PrivateKey<'static>, ConfigError> {
    use ureq::tls::PemItem;
    let refused = || {
        let allowed = "one private key in PEM that is not encrypted";
        ConfigError::invalid(names.client_key, HIDDEN, allowed)
    };
    let mut key = None;
    for item in ureq::tls::parse_pem(pem.as_bytes()) {
        if let PemItem::PrivateKey(found) = item.map_err(|_| refused())? {
            // It is ambiguous which of several keys is meant.
            if key.replace(found).is_some() {
                return Err(refused());
            }
        }
    }
    key.ok_or_else(refused)
}

/// Refuses an invalid key, or one of another certificate: the first connection would panic.
#[cfg(feature = "tls")]
fn verify_pair(
    names: &TlsOptionNames,
    chain: &[ureq::tls::Certificate<'static>],
    key: &ureq::tls::PrivateKey<'static>,
) -> Result<(), ConfigError> {
    use rustls::crypto::CryptoProvider;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let refused = |value: String| ConfigError::invalid(names.client_key, value, ALLOWED_KEY);
    let chain = chain.iter().map(|certificate| CertificateDer::from(certificate.der().to_vec()));
    let key =
        PrivateKeyDer::try_from(key.der().to_vec()).map_err(|what| refused(what.to_owned()))?;
    // The provider that ureq uses.
    let provider = match CryptoProvider::get_default() {
        Some(provider) => std::sync::Arc::clone(provider),
        None => std::sync::Arc::new(rustls::crypto::ring::default_provider()),
    };
    rustls::sign::CertifiedKey::from_der(chain.collect(), key, &provider)
        .map(drop)
        .map_err(|error| refused(format!("(hidden), which gives: {error}")))
}

#[cfg(feature = "tls")]
const ALLOWED_KEY: &str = "the private key of client_certificate";
