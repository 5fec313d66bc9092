//! Whom a client trusts by TLS.

#[cfg(feature = "tls")]
use crate::error::ConfigError;

/// What is said of TLS, each in PEM.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TlsOptions<'o> {
    /// Who may vouch for servers; without it, those that browsers trust.
    pub(crate) ca_certificates: Option<&'o str>,
}

impl TlsOptions<'_> {
    /// The first option that is given, if any is.
    pub(super) fn given(&self) -> Option<&'static str> {
        self.ca_certificates.map(|_| "reporter.ca_certificates")
    }

    /// The same for ureq.
    #[cfg(feature = "tls")]
    pub(super) fn config(&self) -> Result<ureq::tls::TlsConfig, ConfigError> {
        use ureq::tls::{RootCerts, TlsConfig};
        let mut config = TlsConfig::builder();
        if let Some(pem) = self.ca_certificates {
            let roots = certificates("reporter.ca_certificates", pem)?;
            config = config.root_certs(RootCerts::new_with_certs(&roots));
        }
        Ok(config.build())
    }
}

#[cfg(feature = "tls")]
fn certificates(
    field: &'static str,
    pem: &str,
) -> Result<Vec<ureq::tls::Certificate<'static>>, ConfigError> {
    use ureq::tls::PemItem;
    let allowed = "one or more certificates in PEM, and nothing else";
    let refused = |value: String| ConfigError::OutOfRange { field, value, allowed };
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(pem.as_bytes()) {
        match item.map_err(|error| refused(error.to_string()))? {
            PemItem::Certificate(certificate) => certificates.push(certificate),
            _ => return Err(refused("a private key".to_owned())),
        }
    }
    if certificates.is_empty() {
        return Err(refused(format!("{} bytes without a certificate", pem.len())));
    }
    Ok(certificates)
}
