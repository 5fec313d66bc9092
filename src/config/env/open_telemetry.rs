//! OpenTelemetry's variables with counterparts of Jaeger's, which come first: the service, its
//! tags, the propagation formats, the sampler. They are read if an exporter is `otlp`.

use std::time::Duration;

use super::grammar::{self, NoTag};
use super::names::{
    OTEL_PROPAGATORS, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER,
    OTEL_TRACES_SAMPLER_ARG, PROPAGATION, SAMPLER_TYPE, SERVICE_NAME, TAGS,
};
use super::sampler::{self as variables, ABOUT_SAMPLING};
use super::variable::{Found, Reader, is_unexpanded};
use crate::config::{Configuration, SamplerConfig};
use crate::error::ConfigError;
use crate::http_client::ProxyConfig;
use crate::sampler;

/// Reads all of these variables but the sampler's.
pub(super) fn read(reader: &mut Reader<'_>, configuration: &mut Configuration) {
    let attributes = resource_attributes(reader);
    name(reader, &attributes, configuration);
    for (key, value) in attributes.into_iter().filter(|(key, _)| key != "service.name") {
        let is_same = |(other, _): &(String, _)| *other == key;
        if reader.is_set(&TAGS) && configuration.tags.iter().any(is_same) {
            continue;
        }
        configuration.tags.retain(|tag| !is_same(tag));
        configuration.tags.push((key, value.into()));
    }
    if reader.is_set(&PROPAGATION) {
        reader.warn_of_unread(&OTEL_PROPAGATORS, &PROPAGATION);
    } else if let Some(found) = reader.find(&OTEL_PROPAGATORS)
        && let Some(formats) = formats(reader, &found)
    {
        configuration.propagation = formats;
    }
}

fn resource_attributes(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    let Some(found) = reader.find(&OTEL_RESOURCE_ATTRIBUTES) else { return Vec::new() };
    grammar::encoded_pairs(&found.text).unwrap_or_else(|NoTag(entry)| {
        reader.refuse(&found.with_text(entry), "key=value, separated by commas, percent-encoded");
        Vec::new()
    })
}

fn name(
    reader: &mut Reader<'_>,
    attributes: &[(String, String)],
    configuration: &mut Configuration,
) {
    if reader.is_set(&SERVICE_NAME) {
        return reader.warn_of_unread(&OTEL_SERVICE_NAME, &SERVICE_NAME);
    }
    if let Some(found) = reader.find(&OTEL_SERVICE_NAME) {
        if is_unexpanded(&found.text) {
            reader.refuse(&found, "the service's name");
        }
        configuration.service_name = found.text;
    } else if let Some((_, name)) =
        attributes.iter().rfind(|(key, name)| key == "service.name" && !name.is_empty())
    {
        configuration.service_name.clone_from(name);
    }
}

/// Returns the formats of propagators. `tracecontext` includes W3C's baggage.
fn formats(reader: &mut Reader<'_>, found: &Found) -> Option<Vec<String>> {
    let mut formats: Vec<String> = Vec::new();
    let names = || found.text.split(',').map(str::trim).filter(|name| !name.is_empty());
    for name in names() {
        let format = match name {
            "tracecontext" => "w3c",
            "jaeger" => "jaeger",
            "b3" => "b3-single",
            "b3multi" => "b3",
            "baggage" => continue,
            _ => {
                let text = name.to_owned();
                let allowed =
                    "names of tracecontext, baggage, b3, b3multi, jaeger, separated by commas";
                reader.refuse(&found.copy().with_text(text), allowed);
                return None;
            }
        };
        if !formats.iter().any(|known| known == format) {
            formats.push(format.to_owned());
        }
    }
    if formats.is_empty() {
        reader.refuse(found, "a list that names a format of trace contexts, such as tracecontext");
        return None;
    }
    if names().any(|name| name == "baggage") && !formats.iter().any(|format| format == "w3c") {
        reader.warn(format!(
            "{} names baggage, which is carried in its own format by tracecontext alone",
            found.name
        ));
    }
    Some(formats)
}

/// Reads the sampler. Returns whether it was named, so that no variable of Jaeger's counts.
pub(super) fn sampler(reader: &mut Reader<'_>, configuration: &mut Configuration) -> bool {
    let jaegers = std::iter::once(&SAMPLER_TYPE).chain(ABOUT_SAMPLING);
    if let Some(variable) = jaegers.into_iter().find(|variable| reader.is_set(variable)) {
        reader.warn_of_unread(&OTEL_TRACES_SAMPLER, variable);
        return false;
    }
    let Some(found) = reader.find(&OTEL_TRACES_SAMPLER) else { return false };
    let argument = reader.find(&OTEL_TRACES_SAMPLER_ARG);
    let own_name = found.text.strip_prefix("parentbased_").unwrap_or(&found.text);
    let config = match own_name {
        "always_on" => SamplerConfig { param: 1.0, ..SamplerConfig::new("const") },
        "always_off" => SamplerConfig { param: 0.0, ..SamplerConfig::new("const") },
        "traceidratio" => ratio(reader, argument.as_ref()),
        "jaeger_remote" => remote(reader, argument.as_ref(), &configuration.sampler),
        _ => {
            reader.refuse(
                &found,
                "one of always_on, always_off, traceidratio, jaeger_remote, and each of these with \
                 parentbased_ in front",
            );
            return true;
        }
    };
    if own_name.len() == found.text.len() && own_name != "jaeger_remote" {
        reader.note(format!(
            "{} is {own_name}, and is read as parentbased_{own_name}: who has a parent goes on as \
             that decided",
            found.name
        ));
    }
    check(reader, configuration, &config, &found, argument.as_ref());
    configuration.sampler = config;
    true
}

fn ratio(reader: &mut Reader<'_>, argument: Option<&Found>) -> SamplerConfig {
    let mut config = SamplerConfig { param: 1.0, ..SamplerConfig::new("probabilistic") };
    if let Some(found) = argument {
        match grammar::float(&found.text) {
            Some(ratio) => config.param = ratio,
            None => reader.refuse(found, "a number from 0 to 1"),
        }
    }
    config
}

/// Reads the remote sampler's `endpoint=…,pollingIntervalMs=…,initialSamplingRate=…`.
fn remote(
    reader: &mut Reader<'_>,
    argument: Option<&Found>,
    configured: &SamplerConfig,
) -> SamplerConfig {
    let mut config = SamplerConfig {
        sampling_server_url: configured.sampling_server_url.clone(),
        ..SamplerConfig::new("remote")
    };
    let Some(found) = argument else { return config };
    for entry in found.text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
        let (key, value) = (key.trim(), value.trim());
        let allowed = match key {
            "endpoint" => match variables::remote_endpoint(value) {
                Some(url) => {
                    config.sampling_server_url = url;
                    continue;
                }
                None => {
                    "with an endpoint that responses over HTTP, such as http://host:5778/sampling: \
                     port 14250 takes gRPC"
                }
            },
            "pollingIntervalMs" => match value.parse() {
                Ok(millis @ 1..) => {
                    config.sampling_refresh_interval = Duration::from_millis(millis);
                    continue;
                }
                _ => "with a pollingIntervalMs of 1 at least",
            },
            "initialSamplingRate" => match grammar::float(value) {
                Some(rate) => {
                    config.param = rate;
                    continue;
                }
                None => "with an initialSamplingRate from 0 to 1",
            },
            _ => {
                "endpoint=URL,pollingIntervalMs=NUMBER,initialSamplingRate=NUMBER, or some of these"
            }
        };
        reader.refuse(&found.copy().with_text(entry.to_owned()), allowed);
    }
    config
}

/// Builds the sampler once, so that its errors are errors of the variable.
fn check(
    reader: &mut Reader<'_>,
    configuration: &Configuration,
    config: &SamplerConfig,
    found: &Found,
    argument: Option<&Found>,
) {
    let name = &configuration.service_name;
    let name = if name.is_empty() { "service" } else { name };
    let Err(error) = sampler::from_name(&config.kind, &config.params(name, &ProxyConfig::Direct))
    else {
        return;
    };
    match (error, argument) {
        (ConfigError::FeatureOff { feature, .. }, _) => reader.needs_feature(found, feature),
        (ConfigError::Invalid { allowed, .. }, Some(argument)) => reader.refuse(argument, allowed),
        // The error is not about a variable's value.
        _ => {}
    }
}
