//! The variables of a collector.

use super::names::{AUTH_TOKEN, ENDPOINT, PASSWORD, TIMEOUT, USER};
use super::set;
use super::variable::{Found, Reader};
use crate::address::{HostPort, UrlError, WebUrl};
use crate::config::ReporterConfig;
use crate::error::ConfigError;
use crate::http_client::ProxyConfig;
use crate::tracer::defaults;
use crate::transport::{self, CloseSignal};

/// Reads the variables that count where spans go to a collector. An agent's variables are not read
/// then.
pub(super) fn read(reader: &mut Reader<'_>, reporter: &mut ReporterConfig) {
    let endpoint = reader.find(&ENDPOINT);
    if let Some(found) = &endpoint {
        match WebUrl::parse(&found.text) {
            Ok(url) => {
                if looks_like_otlp(&url) {
                    let name = found.name;
                    reader.warn(format!(
                        "{name} looks like the address of an OTLP receiver, which takes no Thrift: \
                         a Jaeger collector takes it at port 14268, path /api/traces"
                    ));
                }
                reporter.collector_endpoint = Some(url.to_string());
            }
            Err(UrlError::HasUser) => {
                let allowed =
                    "a URL without user and password, which are JAEGER_USER and JAEGER_PASSWORD";
                reader.refuse(found, allowed);
            }
            Err(UrlError::Malformed) => {
                reader.refuse(found, "a URL such as http://collector:14268/api/traces");
            }
        }
    }
    let token = credentials(reader, reporter);
    set(&mut reporter.sender_timeout, reader.duration(&TIMEOUT, defaults::SENDER_TIMEOUT));
    check(reader, reporter, endpoint.as_ref(), token.as_ref());
}

/// Reads user and password, or a token. Either replaces the configured credentials.
fn credentials(reader: &mut Reader<'_>, reporter: &mut ReporterConfig) -> Option<Found> {
    let found = (reader.find(&USER), reader.find(&PASSWORD), reader.find(&AUTH_TOKEN));
    match &found {
        (None, None, None) => {}
        (None, None, Some(token)) => {
            (reporter.user, reporter.password) = (None, None);
            reporter.auth_token = Some(token.text.trim().to_owned());
        }
        (_, _, Some(token)) => {
            reader.refuse(token, "set without JAEGER_USER and JAEGER_PASSWORD");
        }
        (user, password, None) => {
            let text = |found: &Found| found.text.clone();
            reporter.auth_token = None;
            reporter.user = user.as_ref().map(text).or_else(|| reporter.user.take());
            reporter.password = password.as_ref().map(text).or_else(|| reporter.password.take());
            if let (Some(user), None, false) = (user, &reporter.password, reader.is_set(&PASSWORD))
            {
                reader.refuse(user, "set together with JAEGER_PASSWORD");
            }
            if let (Some(password), None, false) = (password, &reporter.user, reader.is_set(&USER))
            {
                reader.refuse(password, "set together with JAEGER_USER");
            }
        }
    }
    found.2
}

/// Builds the transport once, so that its errors are errors of the variable.
fn check(
    reader: &mut Reader<'_>,
    reporter: &ReporterConfig,
    endpoint: Option<&Found>,
    token: Option<&Found>,
) {
    let Some(url) = &reporter.collector_endpoint else { return };
    if endpoint.is_none() && token.is_none() {
        // What is configured in code is checked where the tracer is built, once.
        return;
    }
    let made =
        transport::http(&reporter.http(url, &ProxyConfig::Direct), true, &CloseSignal::default());
    match (made.map(drop), endpoint, token) {
        (Err(ConfigError::FeatureOff { feature, .. }), Some(found), _) => {
            reader.needs_feature(found, feature);
        }
        (Err(ConfigError::Invalid { field: ENDPOINT_FIELD, allowed, .. }), Some(found), _) => {
            reader.refuse(found, allowed);
        }
        (Err(ConfigError::Invalid { field: TOKEN_FIELD, .. }), _, Some(found)) => {
            reader.refuse(found, "a text that a header of HTTP takes");
        }
        // The error is not about a variable's value.
        _ => {}
    }
}

fn looks_like_otlp(url: &WebUrl<'_>) -> bool {
    let port = HostPort::parse(url.authority).and_then(|read| read.port);
    matches!(port, Some(4317 | 4318)) || url.path.ends_with("/v1/traces")
}

const ENDPOINT_FIELD: &str = "reporter.collector_endpoint";
const TOKEN_FIELD: &str = "reporter.auth_token";
