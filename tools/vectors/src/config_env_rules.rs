//! What jaeger-client-go makes of variables where this client means to make something else of them.

use std::collections::BTreeMap;

use crate::deviations::Deviation;
use crate::report::Checks;

/// Variables by name.
pub(crate) type Environment = BTreeMap<String, String>;

/// Keys and values.
pub(crate) type Tags = Vec<(String, String)>;

/// Whether the variable is there and not empty.
pub(crate) fn is_set(env: &Environment, name: &str) -> bool {
    env.get(name).is_some_and(|value| !value.is_empty())
}

fn value<'e>(env: &'e Environment, name: &str) -> &'e str {
    env.get(name).map_or("", String::as_str)
}

/// Durations, in which a bare number is milliseconds.
pub(crate) const BARE_MILLIS: &[&str] = &[
    "JAEGER_SAMPLER_REFRESH_INTERVAL",
    "JAEGER_REPORTER_FLUSH_INTERVAL",
    "JAEGER_REPORTER_ATTEMPT_RECONNECT_INTERVAL",
];

/// Whether the duration has no unit, which Go refuses.
pub(crate) fn bare_millis(env: &Environment, name: &str) -> bool {
    value(env, name).parse::<i64>().is_ok()
}

/// Whether a variable other than the agent's host says anything of sampling.
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

/// Whether the error is about variables that are set, and not about this one.
pub(crate) fn names_another(env: &Environment, error: &str, name: &str) -> bool {
    let named = |name: &str| error.contains(&format!("{name} is "));
    !named(name) && env.keys().any(|other| named(other))
}

/// The tags as Go reads them; none where it panics.
pub(crate) fn tags_as_go(env: &Environment) -> Option<Tags> {
    if !is_set(env, "JAEGER_TAGS") {
        return Some(Tags::new());
    }
    value(env, "JAEGER_TAGS").split(',').map(|entry| tag(env, entry, None)).collect()
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

/// Whether the collector's URL is one that Go takes, and cannot post to or has to change first.
pub(crate) fn endpoint_is_refused(env: &Environment) -> bool {
    let url = value(env, "JAEGER_ENDPOINT");
    let host = match url.split_once("://") {
        Some((scheme, rest)) if ["http", "https"].contains(&scheme.to_lowercase().as_str()) => rest,
        _ => "",
    };
    let odd = |c: char| !c.is_ascii_graphic() || c == '#';
    !url.is_empty() && (host.is_empty() || host.starts_with(['/', '?']) || host.contains(odd))
}

/// The agent's address: Go forgets the brackets of an IPv6 address.
pub(crate) fn agent(env: &Environment, recorded: &str, checks: &mut Checks) -> String {
    match bare_v6(env) {
        Some(host) => {
            checks.deviates(Deviation::BracketedAgent);
            recorded.replacen(host, &format!("[{host}]"), 1)
        }
        None => recorded.to_owned(),
    }
}

/// Where a remote sampler asks: the brackets again, and a host and port in place of a URL.
pub(crate) fn sampling_url(env: &Environment, recorded: &str, checks: &mut Checks) -> String {
    if is_set(env, "JAEGER_SAMPLING_ENDPOINT") {
        return recorded.to_owned();
    }
    let manager = value(env, "JAEGER_SAMPLER_MANAGER_HOST_PORT");
    if !manager.is_empty() {
        if manager.contains("://") {
            return recorded.to_owned();
        }
        checks.deviates(Deviation::ManagerHostPort);
        return format!("http://{manager}/sampling");
    }
    match bare_v6(env) {
        Some(host) => {
            checks.deviates(Deviation::BracketedAgent);
            recorded.replacen(host, &format!("[{host}]"), 1)
        }
        None => recorded.to_owned(),
    }
}

fn bare_v6(env: &Environment) -> Option<&str> {
    let host = value(env, "JAEGER_AGENT_HOST");
    (host.contains(':') && !host.starts_with('[')).then_some(host)
}
