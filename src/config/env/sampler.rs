//! The variables of the sampler.

use std::borrow::Cow;

use super::agent::{self, Agent};
use super::names::{
    AGENT_HOST, SAMPLER_HOST, SAMPLER_MANAGER_HOST_PORT, SAMPLER_MAX_OPERATIONS, SAMPLER_PARAM,
    SAMPLER_PORT, SAMPLER_REFRESH_INTERVAL, SAMPLER_TYPE, SAMPLING_ENDPOINT, SAMPLING_PATH,
};
use super::variable::{Found, Reader, Variable, is_service_link};
use super::{grammar, set};
use crate::address::{self, HostPort, WebUrl};
use crate::config::SamplerConfig;
use crate::error::ConfigError;
use crate::http_client::ProxyConfig;
use crate::sampler;

pub(super) fn read(
    reader: &mut Reader<'_>,
    service_name: &str,
    has_collector: bool,
    config: &mut SamplerConfig,
) {
    let kind = reader.find(&SAMPLER_TYPE);
    let about_sampling = ABOUT_SAMPLING.iter().find(|variable| reader.is_set(variable));
    let is_unchanged = *config == SamplerConfig::default();
    let named = kind.as_ref().map(|found| found.text.clone());
    let named =
        named.or_else(|| (about_sampling.is_some() && is_unchanged).then(|| REMOTE.to_owned()));
    if let Some(name) = named {
        if !name.eq_ignore_ascii_case(&config.kind) {
            config.param = sampler::default_param(&name);
        }
        config.kind = name;
    }
    let param = reader.find(&SAMPLER_PARAM);
    if let Some(found) = &param {
        match grammar::float(&found.text) {
            Some(number) => config.param = number,
            None => reader.refuse(found, "a number, such as 1 or 0.01"),
        }
    }
    let default = sampler::DEFAULT_MAX_OPERATIONS;
    let max = reader.count(&SAMPLER_MAX_OPERATIONS, default, 1..=usize::MAX);
    set(&mut config.max_operations, max);
    let interval = reader.duration(&SAMPLER_REFRESH_INTERVAL, sampler::DEFAULT_REFRESH_INTERVAL);
    set(&mut config.sampling_refresh_interval, interval);
    let path = reader.read(&SAMPLING_PATH, absolute_path, "a path that begins with '/'");
    // If spans go to a collector, only a remote sampler uses the agent.
    let polls_agent = !has_collector || config.kind.eq_ignore_ascii_case(REMOTE);
    let url = url(reader, path.as_deref(), polls_agent);
    if let Some((_, url)) = &url {
        config.sampling_server_url.clone_from(url);
    }
    if config.kind.eq_ignore_ascii_case("const")
        && ![0.0, 1.0].contains(&config.param)
        && let Some(Found { name, text, .. }) = &param
    {
        reader.warn(format!(
            "{name} is {text}, which makes the sampler \"const\" record every trace, as any number \
             but 0 does"
        ));
    }
    let from = Sources { kind, param, url: url.and_then(|(found, _)| found), about_sampling };
    check(reader, service_name, config, &from);
}

/// The variables that configure the sampler.
struct Sources {
    kind: Option<Found>,
    param: Option<Found>,
    url: Option<Found>,
    about_sampling: Option<&'static Variable>,
}

/// Builds the sampler once, so that its errors are errors of the variable.
fn check(reader: &mut Reader<'_>, service_name: &str, config: &SamplerConfig, from: &Sources) {
    let service_name = if service_name.is_empty() { "service" } else { service_name };
    let Err(error) =
        sampler::from_name(&config.kind, &config.params(service_name, &ProxyConfig::Direct))
    else {
        return;
    };
    match (error, from) {
        (ConfigError::Unknown { allowed, .. }, Sources { kind: Some(found), .. }) => {
            reader.refuse(found, format!("one of {allowed}"));
        }
        (ConfigError::Invalid { field: "sampler.param", allowed, .. }, from) => {
            let Some(found) = &from.param else { return };
            let allowed: Cow<'static, str> = match &from.kind {
                Some(_) => allowed.into(),
                None => {
                    let kind = &config.kind;
                    format!("{allowed}, as JAEGER_SAMPLER_TYPE is not set and the sampler {kind:?}")
                        .into()
                }
            };
            reader.refuse(found, allowed);
        }
        (ConfigError::Invalid { .. }, Sources { url: Some(found), .. }) if is_agent(found) => {
            let allowed = "an address without a zone where a remote sampler asks it by a URL, \
                           unless JAEGER_SAMPLING_ENDPOINT names another server";
            reader.refuse(found, allowed);
        }
        (ConfigError::Invalid { allowed, .. }, Sources { url: Some(found), .. }) => {
            reader.refuse(found, allowed);
        }
        (ConfigError::FeatureOff { field: "sampler.kind", feature }, from) => {
            match (&from.kind, from.about_sampling.and_then(|variable| reader.find(variable))) {
                (Some(found), _) => reader.needs_feature(found, feature),
                (None, Some(found)) => reader.refuse(
                    &found,
                    format!(
                        "set beside JAEGER_SAMPLER_TYPE: without it the sampler is {REMOTE:?}, \
                         which needs jaeger-client's feature `{feature}`"
                    ),
                ),
                (None, None) => {}
            }
        }
        (ConfigError::FeatureOff { feature, .. }, Sources { url: Some(found), .. }) => {
            reader.needs_feature(found, feature);
        }
        // The error is not about a variable's value.
        _ => {}
    }
}

fn is_agent(found: &Found) -> bool {
    [Some(AGENT_HOST.name), AGENT_HOST.older].contains(&Some(found.name))
}

/// Returns the address that a remote sampler polls, by the most specific variable that is set.
fn url(
    reader: &mut Reader<'_>,
    path: Option<&str>,
    polls_agent: bool,
) -> Option<(Option<Found>, String)> {
    let manager = older_manager(reader);
    if let Some(found) = reader.find(&SAMPLING_ENDPOINT) {
        return read_url(reader, found, sampling_endpoint);
    }
    if let Some(found) = reader.find(&SAMPLER_MANAGER_HOST_PORT) {
        return read_url(reader, found, |text| manager_url(text, path));
    }
    let path_or_default = path.unwrap_or(DEFAULT_PATH);
    if let Some((found, manager)) = manager {
        return Some((Some(found), format!("http://{manager}{path_or_default}")));
    }
    let agent = if polls_agent {
        match agent::find(reader) {
            Some(Agent::Host(found, host)) => Some((Some(found), host)),
            _ => None,
        }
    } else {
        // The host is not used, so that an invalid value is no error.
        let host = reader.any(AGENT_HOST.name);
        host.and_then(|text| HostPort::parse_host(text.trim())).map(|host| (None, host))
    };
    if let Some((found, host)) = agent {
        let host = HostPort { port: Some(SAMPLING_PORT), ..host };
        return Some((found, format!("http://{host}{path_or_default}")));
    }
    let path = path?;
    let found = reader.find(&SAMPLING_PATH);
    Some((found, format!("http://127.0.0.1:{SAMPLING_PORT}{path}")))
}

fn read_url(
    reader: &mut Reader<'_>,
    found: Found,
    parse: impl Fn(&str) -> Option<String>,
) -> Option<(Option<Found>, String)> {
    let url = parse(&found.text);
    if url.is_none() {
        let allowed = "host:port, or a URL such as http://127.0.0.1:5778/sampling";
        reader.refuse(&found, allowed);
    }
    Some((Some(found), url?))
}

/// Returns a URL, whose scheme may be missing.
fn sampling_endpoint(text: &str) -> Option<String> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    WebUrl::parse(&url).ok().map(|url| url.to_string())
}

/// Returns the URL of OpenTelemetry's sampler, whose endpoint is usually a base URL; `None` for a
/// port of gRPC.
pub(super) fn remote_endpoint(text: &str) -> Option<String> {
    let text = sampling_endpoint(text)?;
    let url = WebUrl::parse(&text).ok()?;
    if HostPort::parse(url.authority)?.port == Some(GRPC_PORT) {
        return None;
    }
    let is_base = matches!(url.path, "" | "/") && url.query.is_none();
    let path = if is_base { DEFAULT_PATH } else { url.path };
    Some(WebUrl { path, ..url }.to_string())
}

/// Returns the URL of a host, a port and perhaps a path. A URL is returned as it is, as Go uses the
/// variable.
fn manager_url(text: &str, path: Option<&str>) -> Option<String> {
    if text.contains("://") {
        let url = WebUrl::parse(text).ok()?;
        let path = path.filter(|_| url.path.is_empty() && url.query.is_none());
        return Some(format!("{url}{}", path.unwrap_or_default()));
    }
    let (host, own_path) = text.split_at(text.find(['/', '?']).unwrap_or(text.len()));
    let host = HostPort::parse_host(host)?;
    let host = HostPort { port: host.port.or(Some(SAMPLING_PORT)), ..host };
    let path = match own_path {
        "" | "/" => path.unwrap_or(DEFAULT_PATH),
        own => own,
    };
    WebUrl::parse(&format!("http://{host}{path}")).ok().map(|url| url.to_string())
}

/// Reads host and port from jaeger-client-node's older variables.
fn older_manager(reader: &mut Reader<'_>) -> Option<(Found, HostPort)> {
    let host = reader.find(&SAMPLER_HOST);
    // Kubernetes sets it for a service called jaeger-sampler.
    let port = reader.find(&SAMPLER_PORT).filter(|found| !is_service_link(&found.text));
    let newer = [&SAMPLING_ENDPOINT, &SAMPLER_MANAGER_HOST_PORT];
    if let Some(newer) = newer.into_iter().find(|variable| reader.is_set(variable)) {
        for Found { name, .. } in [&host, &port].into_iter().flatten() {
            reader.warn(format!("{name} is set, but not read: {} is set too", newer.name));
        }
        return None;
    }
    for Found { name, .. } in [&host, &port].into_iter().flatten() {
        reader.warn(format!("{name} is an older name of {}", SAMPLER_MANAGER_HOST_PORT.name));
    }
    let mut read = HostPort { host: "127.0.0.1".to_owned(), port: Some(SAMPLING_PORT) };
    if let Some(found) = &host {
        match HostPort::parse_host(&found.text).filter(|read| read.port.is_none()) {
            Some(host) => read.host = host.host,
            None => reader.refuse(found, "a host name or an IP address"),
        }
    }
    if let Some(found) = &port {
        match address::port(&found.text) {
            Some(port) => read.port = Some(port),
            None => reader.refuse(found, agent::PORTS),
        }
    }
    host.or(port).map(|found| (found, read))
}

fn absolute_path(text: &str) -> Option<String> {
    let is_path = text.starts_with('/') && WebUrl::parse(&format!("http://host{text}")).is_ok();
    is_path.then(|| text.to_owned())
}

/// The variables that make the sampler `remote` if none is named.
pub(super) const ABOUT_SAMPLING: &[Variable] = &[
    SAMPLER_PARAM,
    SAMPLING_ENDPOINT,
    SAMPLER_MANAGER_HOST_PORT,
    SAMPLER_HOST,
    SAMPLER_PORT,
    SAMPLING_PATH,
    SAMPLER_MAX_OPERATIONS,
    SAMPLER_REFRESH_INTERVAL,
];

const REMOTE: &str = "remote";
const SAMPLING_PORT: u16 = 5778;
const GRPC_PORT: u16 = 14250;
const DEFAULT_PATH: &str = "/sampling";
