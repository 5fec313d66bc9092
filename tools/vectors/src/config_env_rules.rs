//! What jaeger-client-go makes of variables where this client means to make something else of them.

use std::collections::BTreeMap;

use jaeger_client::SamplerConfig;

use crate::deviations::{self, Deviation};
use crate::report::Checks;

/// Variables by name.
pub(crate) type Environment = BTreeMap<String, String>;

/// Keys and values.
pub(crate) type Tags = Vec<(String, String)>;

/// Returns whether the variable is there and not empty.
pub(crate) fn is_set(env: &Environment, name: &str) -> bool {
    !value(env, name).is_empty()
}

fn value<'e>(env: &'e Environment, name: &str) -> &'e str {
    env.get(name).map_or("", String::as_str).trim()
}

/// Returns whether the tracer records nothing.
pub(crate) fn is_disabled(env: &Environment) -> bool {
    ["1", "t", "T", "true", "TRUE", "True"].contains(&value(env, "JAEGER_DISABLED"))
}

/// Why this client reads a variable that Go refuses, if it does.
pub(crate) fn is_read_here(env: &Environment, name: &str) -> Option<Deviation> {
    if bare_millis(env, name).is_some() {
        return Some(deviations::BARE_MILLISECONDS);
    }
    if name == "JAEGER_AGENT_PORT" && is_socket(value(env, "JAEGER_AGENT_HOST")) {
        return Some(deviations::UNIX_SOCKET);
    }
    // What is left is what Go would have read; were it not, the case has more than one reason.
    has_outer_space(env, name).then_some(deviations::OUTER_SPACE)
}

pub(crate) fn has_outer_space(env: &Environment, name: &str) -> bool {
    env.get(name).is_some_and(|raw| raw.trim() != raw)
}

/// The milliseconds of a duration without a unit; 0 means the default.
pub(crate) fn bare_millis(env: &Environment, name: &str) -> Option<u64> {
    let bare = value(env, name).parse::<i64>().ok().filter(|_| name.ends_with("_INTERVAL"))?;
    // As many nanoseconds as a duration can have.
    bare.checked_mul(1_000_000)?;
    Some(u64::try_from(bare).unwrap_or(0))
}

fn is_socket(text: &str) -> bool {
    text.starts_with("unix:/") || text.starts_with("unix:@")
}

/// The variables that Go takes and this client refuses, since nothing can be done with them.
pub(crate) fn refused(env: &Environment) -> Vec<&'static str> {
    let mut refused = Vec::new();
    let mut refuse = |name, is_good: &dyn Fn(&str) -> bool| {
        if is_set(env, name) && !is_good(value(env, name)) {
            refused.push(name);
        }
    };
    let is_text = |text: &str| {
        let is_quoted = |quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
        let is_seen = |c: char| !c.is_control() && !('\u{200b}'..='\u{206f}').contains(&c);
        text.chars().all(is_seen) && !is_quoted('"') && !is_quoted('\'')
    };
    let is_expanded = |text: &str| !["$(", "${", "{{"].iter().any(|opening| text.contains(opening));
    refuse("JAEGER_SERVICE_NAME", &|text| is_text(text) && is_expanded(text));
    let tags = value(env, "JAEGER_TAGS").replace(['\n', '\r'], " ");
    let is_entry = |entry: &str| !entry.trim().contains(['\n', '\r']);
    refuse("JAEGER_TAGS", &|text| is_text(&tags) && text.split(',').all(is_entry));
    refuse("JAEGER_REPORTER_MAX_QUEUE_SIZE", &|text| {
        text.parse::<i64>().is_ok_and(|number| number <= 100_000_000)
    });
    refuse("JAEGER_SAMPLER_PARAM", &|_| !is_nan(env) && !is_negative_rate(env));
    let is_url = |text: &str| is_web_url(text) || is_web_url(&format!("http://{text}"));
    if is_set(env, "JAEGER_SAMPLING_ENDPOINT") {
        refuse("JAEGER_SAMPLING_ENDPOINT", &is_url);
    } else {
        refuse("JAEGER_SAMPLER_MANAGER_HOST_PORT", &|text| is_url(text) || host(text).is_some());
    }
    // A URL has no zone, and the agent is asked by one.
    let polls = value(env, "JAEGER_SAMPLER_TYPE").eq_ignore_ascii_case("remote")
        || (!is_set(env, "JAEGER_SAMPLER_TYPE") && speaks_of_sampling(env));
    let urls = ["JAEGER_SAMPLING_ENDPOINT", "JAEGER_SAMPLER_MANAGER_HOST_PORT"];
    let polls_agent = polls && !urls.into_iter().any(|name| is_set(env, name));
    let is_agent = |text: &str| {
        is_socket(text) || (host(text).is_some() && !(polls_agent && text.contains('%')))
    };
    if is_set(env, "JAEGER_ENDPOINT") {
        refuse("JAEGER_ENDPOINT", &is_web_url);
        refuse("JAEGER_AGENT_HOST", &|text| !polls_agent || is_agent(text));
        return refused;
    }
    refuse("JAEGER_AGENT_HOST", &is_agent);
    if is_socket(value(env, "JAEGER_AGENT_HOST")) {
        return refused;
    }
    let own = host(value(env, "JAEGER_AGENT_HOST")).and_then(|(_, port)| port);
    refuse("JAEGER_AGENT_PORT", &|text| {
        let port = text.parse::<u16>().ok().filter(|port| *port > 0);
        port.is_some() && own.is_none_or(|own| Some(own) == port)
    });
    refused
}

/// Returns whether the sampler's parameter is no number.
pub(crate) fn is_nan(env: &Environment) -> bool {
    value(env, "JAEGER_SAMPLER_PARAM").parse::<f64>().is_ok_and(f64::is_nan)
}

/// Returns whether it is a rate that no limiter can have, which Go takes.
pub(crate) fn is_negative_rate(env: &Environment) -> bool {
    let is_rate = value(env, "JAEGER_SAMPLER_TYPE").eq_ignore_ascii_case("ratelimiting");
    let param = value(env, "JAEGER_SAMPLER_PARAM").parse::<f64>();
    is_rate && param.is_ok_and(|rate| rate < 0.0 || rate.is_infinite())
}

/// Returns whether it can be asked for over HTTP as it is.
fn is_web_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let is_bare = host(authority).is_some_and(|(host, _)| host.contains(':'));
    let is_host = !authority.contains('%')
        && host(authority).is_some()
        && (!is_bare || authority.starts_with('['));
    let odd = |c: char| !c.is_ascii_graphic() || "\"#<>\\^`{|}".contains(c);
    ["http", "https"].contains(&scheme.to_lowercase().as_str()) && is_host && !rest.contains(odd)
}

/// A host, an IPv6 address without its brackets, and a port; none where it is no host.
fn host(text: &str) -> Option<(&str, Option<u16>)> {
    let is_v6 = |text: &str| {
        text.split('%').next().is_some_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
    };
    if is_v6(text) {
        return Some((text, None));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match bare {
        Some(bare) => Some(bare).filter(|bare| is_v6(bare)),
        None => Some(host).filter(|host| !host.is_empty() && host.chars().all(is_name)),
    };
    // What ends in a number is an IPv4 address, or none.
    let last = host.and_then(|host| host.rsplit('.').next()).unwrap_or_default();
    let is_numeric = !last.is_empty() && last.chars().all(|c| c.is_ascii_digit());
    let is_v4 = |host: &&str| !is_numeric || host.parse::<std::net::Ipv4Addr>().is_ok();
    let host = host.filter(is_v4);
    let port = match port {
        None => None,
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
    };
    Some((host?, port))
}

/// Returns whether a variable other than the agent's host says anything of sampling.
pub(crate) fn speaks_of_sampling(env: &Environment) -> bool {
    [
        "JAEGER_SAMPLER_TYPE",
        "JAEGER_SAMPLER_PARAM",
        "JAEGER_SAMPLING_ENDPOINT",
        "JAEGER_SAMPLER_MANAGER_HOST_PORT",
        "JAEGER_SAMPLER_MAX_OPERATIONS",
        "JAEGER_SAMPLER_REFRESH_INTERVAL",
    ]
    .into_iter()
    .any(|name| is_set(env, name))
}

/// Returns whether the error is about variables that are set, and not about this one.
pub(crate) fn names_another(env: &Environment, error: &str, name: &str) -> bool {
    let named = |name: &str| error.contains(&format!("{name} is "));
    !named(name) && env.keys().any(|other| named(other))
}

/// The tags as Go reads them; none where it panics.
pub(crate) fn tags_as_go(env: &Environment) -> Option<Tags> {
    let raw = env.get("JAEGER_TAGS").map_or("", String::as_str);
    if raw.is_empty() {
        return Some(Tags::new());
    }
    raw.split(',').map(|entry| tag(env, entry, None)).collect()
}

/// The tags as this client reads them; none where it refuses them.
pub(crate) fn tags(env: &Environment) -> Option<Tags> {
    let entries = value(env, "JAEGER_TAGS").split(',').filter(|entry| !entry.trim().is_empty());
    entries.map(|entry| tag(env, entry, Some(""))).collect()
}

/// Key and value of an entry. Without `missing`, a reference must have a default.
fn tag(env: &Environment, entry: &str, missing: Option<&str>) -> Option<(String, String)> {
    let (key, text) = entry.split_once('=')?;
    let (key, text) = (key.trim(), text.trim());
    let inner = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
    let text = match inner {
        None => text,
        Some(inner) => {
            let (name, default) = match (inner.split_once(':'), missing) {
                (Some(parts), _) => parts,
                (None, missing) => (inner, missing?),
            };
            if is_set(env, name) { value(env, name) } else { default }
        }
    };
    Some((key.to_owned(), text.to_owned()))
}

/// The agent's address: Go forgets the brackets of an IPv6 address, and adds a port to any host.
pub(crate) fn agent(env: &Environment, recorded: &str, checks: &mut Checks) -> String {
    let name = value(env, "JAEGER_AGENT_HOST");
    if is_socket(name) {
        checks.deviates(deviations::UNIX_SOCKET);
        return name.to_owned();
    }
    let Some((host, port)) = host(name) else { return recorded.to_owned() };
    let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let configured = value(env, "JAEGER_AGENT_PORT").parse().ok();
    let address = format!("{shown}:{}", port.or(configured).unwrap_or(6831));
    if address != recorded {
        let with_port = port.is_some();
        checks.deviates(if with_port {
            deviations::AGENT_HOST_WITH_PORT
        } else {
            deviations::BRACKETED_AGENT
        });
    }
    address
}

/// Where a remote sampler asks: the brackets again, and a host and port in place of a URL.
pub(crate) fn sampling_url(env: &Environment, recorded: &str, checks: &mut Checks) -> String {
    let endpoint = value(env, "JAEGER_SAMPLING_ENDPOINT");
    if !endpoint.is_empty() {
        if endpoint.contains("://") {
            return with_lower_scheme(recorded);
        }
        checks.deviates(deviations::MANAGER_HOST_PORT);
        return format!("http://{endpoint}");
    }
    let manager = value(env, "JAEGER_SAMPLER_MANAGER_HOST_PORT");
    if !manager.is_empty() {
        if manager.contains("://") {
            return with_lower_scheme(recorded);
        }
        checks.deviates(deviations::MANAGER_HOST_PORT);
        let (place, path) = manager.split_at(manager.find(['/', '?']).unwrap_or(manager.len()));
        let path = if ["", "/"].contains(&path) { "/sampling" } else { path };
        let (host, port) = host(place).unwrap_or((place, None));
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        return format!("http://{host}:{}{path}", port.unwrap_or(5778));
    }
    let name = value(env, "JAEGER_AGENT_HOST");
    if is_socket(name) {
        checks.deviates(deviations::UNIX_SOCKET);
        return SamplerConfig::default().sampling_server_url;
    }
    let raw = env.get("JAEGER_AGENT_HOST").map_or("", String::as_str);
    let recorded = &recorded.replacen(raw, name, 1);
    match host(name) {
        Some((host, port)) if host.contains(':') || port.is_some() => {
            let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            let url = recorded.replacen(name, &shown, 1);
            if url != *recorded {
                let with_port = port.is_some();
                checks.deviates(if with_port {
                    deviations::AGENT_HOST_WITH_PORT
                } else {
                    deviations::BRACKETED_AGENT
                });
            }
            url
        }
        _ => recorded.to_owned(),
    }
}

fn with_lower_scheme(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
        None => url.to_owned(),
    }
}
