//! The variables of the exporter `otlp`, by OpenTelemetry's specification. Each exists twice: for
//! traces, which comes first, and for all signals.

use std::fs::File;
use std::io::Read;

use super::grammar::{self, NoTag};
use super::names::{
    OTLP_CERTIFICATE, OTLP_CLIENT_CERTIFICATE, OTLP_CLIENT_KEY, OTLP_COMPRESSION, OTLP_ENDPOINT,
    OTLP_HEADERS, OTLP_PROTOCOL, OTLP_TIMEOUT, OtlpOption,
};
use super::variable::{Found, Reader};
use crate::error::ConfigError;
use crate::http_client::ProxyConfig;
use crate::transport::{self, CloseSignal, OtlpCompression, OtlpConfig};

pub(super) fn read(reader: &mut Reader<'_>, config: &mut OtlpConfig) {
    let endpoint = endpoint(reader, config);
    let headers = find(reader, &OTLP_HEADERS);
    if let Some(found) = &headers {
        match grammar::encoded_pairs(&found.text) {
            Ok(headers) => config.headers = headers,
            Err(NoTag(_)) => {
                reader
                    .refuse(found, "name=value, separated by commas, with percent-encoded values");
            }
        }
    }
    if let Some(found) = find(reader, &OTLP_TIMEOUT) {
        let default = OtlpConfig::default().timeout;
        if let Some(timeout) = reader.duration_of(&found, default) {
            // The timeout is for a batch with all its attempts.
            (config.timeout, config.retry_limit) = (timeout, timeout);
        }
    }
    protocol(reader);
    compression(reader, config);
    let files = files(reader, config);
    check(reader, config, endpoint.as_ref(), headers.as_ref(), &files);
}

/// Finds the variable for traces, or else the one for all signals.
fn find(reader: &mut Reader<'_>, option: &OtlpOption) -> Option<Found> {
    option.iter().find_map(|variable| reader.find(variable))
}

fn endpoint(reader: &mut Reader<'_>, config: &mut OtlpConfig) -> Option<Found> {
    let [for_traces, for_all] = &OTLP_ENDPOINT;
    if let Some(found) = reader.find(for_traces) {
        config.traces_endpoint = Some(found.text.clone());
        return Some(found);
    }
    let found = reader.find(for_all)?;
    config.traces_endpoint = None;
    if found.text.trim_end_matches('/').ends_with("/v1/traces") {
        let allowed = "the base URL, to which /v1/traces is appended: one that has it already belongs \
                       in OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        reader.refuse(&found, allowed);
    } else {
        config.endpoint.clone_from(&found.text);
    }
    Some(found)
}

fn protocol(reader: &mut Reader<'_>) {
    let Some(found) = find(reader, &OTLP_PROTOCOL) else { return };
    let hint = match &*found.text {
        "http/protobuf" => return,
        "grpc" => Some("servers that take grpc at port 4317 take http/protobuf at port 4318"),
        _ => None,
    };
    reader.refuse_with(&found, "http/protobuf, the protocol of this client", hint);
}

fn compression(reader: &mut Reader<'_>, config: &mut OtlpConfig) {
    let Some(found) = find(reader, &OTLP_COMPRESSION) else { return };
    match &*found.text {
        "none" => config.compression = OtlpCompression::None,
        "gzip" if cfg!(feature = "otlp-gzip") => config.compression = OtlpCompression::Gzip,
        "gzip" => reader.warn(format!(
            "{} is gzip, but this client was built without its feature otlp-gzip: requests are sent \
             as they are, which servers take as well",
            found.name
        )),
        _ => reader.refuse(&found, "none or gzip"),
    }
}

/// The contents of files, and the variables that name them.
struct Files {
    certificate: Option<Found>,
    client_certificate: Option<Found>,
    client_key: Option<Found>,
}

fn files(reader: &mut Reader<'_>, config: &mut OtlpConfig) -> Files {
    let files = Files {
        certificate: find(reader, &OTLP_CERTIFICATE),
        client_certificate: find(reader, &OTLP_CLIENT_CERTIFICATE),
        client_key: find(reader, &OTLP_CLIENT_KEY),
    };
    let Files { certificate, client_certificate, client_key } = &files;
    let is_encrypted = config.url().is_ok_and(|url| url.starts_with("https"));
    for (found, option) in [
        (certificate, &mut config.ca_certificates),
        (client_certificate, &mut config.client_certificate),
        (client_key, &mut config.client_key),
    ] {
        match found {
            None => {}
            Some(Found { name, .. }) if !is_encrypted => {
                reader
                    .warn(format!("{name} is set, but not read: the endpoint is not an https URL"));
            }
            Some(found) => match content(&found.text) {
                Ok(text) => *option = Some(text),
                Err(allowed) => reader.refuse(found, allowed),
            },
        }
    }
    files
}

/// Returns the text of a file, or the error message.
fn content(path: &str) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| format!("the path of a file: {error}"))?;
    match file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text) {
        Ok(length) if length as u64 > MAX_FILE_BYTES => {
            Err(format!("the path of a file of {MAX_FILE_BYTES} bytes at most"))
        }
        Ok(_) => Ok(text),
        Err(error) => Err(format!("the path of a file in PEM: {error}")),
    }
}

/// Builds the transport once, so that its errors are errors of the variable.
fn check(
    reader: &mut Reader<'_>,
    config: &OtlpConfig,
    endpoint: Option<&Found>,
    headers: Option<&Found>,
    files: &Files,
) {
    let Files { certificate, client_certificate, client_key } = files;
    if [endpoint, headers].iter().all(Option::is_none)
        && [certificate, client_certificate, client_key].iter().all(|file| file.is_none())
    {
        // What is configured in code is checked where the tracer is built, once.
        return;
    }
    let config = OtlpConfig { proxy: ProxyConfig::Direct, ..config.clone() };
    let Err(error) = transport::otlp(&config, &CloseSignal::default()) else { return };
    let found_of = |field: &str| match field.strip_prefix("reporter.otlp.")? {
        "endpoint" | "traces_endpoint" => endpoint,
        "headers" => headers,
        "ca_certificates" => certificate.as_ref(),
        "client_certificate" => client_certificate.as_ref().or(client_key.as_ref()),
        "client_key" => client_key.as_ref().or(client_certificate.as_ref()),
        _ => None,
    };
    match error {
        ConfigError::FeatureOff { field, feature } => {
            if let Some(found) = found_of(field) {
                reader.needs_feature(found, feature);
            }
        }
        ConfigError::Invalid { field, allowed, .. } => {
            if let Some(found) = found_of(field) {
                reader.refuse(found, allowed);
            }
        }
        ConfigError::Empty { field } => {
            if let Some(found) = found_of(field) {
                reader.refuse(found, "set together with the other of certificate and key");
            }
        }
        // The error is not about a variable's value.
        _ => {}
    }
}

const MAX_FILE_BYTES: u64 = 1 << 20;
