//! Environment variables: the configuration they make, or the variables that an error names, and
//! the sampler made from it.
//!
//! Go's configurations have 0 or nothing for a default; this client's have the default.

use std::time::Duration;

use jaeger_client::sampler::{self, SamplerParams};
use jaeger_client::{ConfigError, Configuration, OwnedTagValue, SamplerConfig};
use serde_json::{Value, json};

use crate::deviations::{self, Rule};
use crate::json::{boolean, float, member, present, text};
use crate::report::{Checks, Difference};

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let env = member(case, "env")?.as_object().ok_or("the environment is no object")?;
    if !env.values().all(Value::is_string) {
        return Err(String::from("a variable's value is no text"));
    }
    let variable = |name: &str| env.get(name).and_then(Value::as_str).map(str::to_owned);
    let got = Configuration::default().with_variables(variable);
    let config = match got {
        Ok(config) => config,
        Err(error) => {
            let (recorded, names) = (refused_by_go(case), named_by(&error));
            // An error about several variables may be about any of them here.
            let same = all_refused_by_go(case).into_iter().find(|name| names.contains(name));
            let [recorded, names] = match same {
                Some(name) => [json!(name), json!(name)],
                None => [json!(recorded), names.join(" ").into()],
            };
            checks.compare("error", &recorded, &names);
            return Ok(());
        }
    };
    let recorded = recorded(case, checks)?;
    checks.compare(
        "",
        &recorded,
        &json!({"config": shown(&config), "sampler_kind": sampler_made(&config)}),
    );
    Ok(())
}

/// What was recorded, with this client's defaults and the first variable that an error names.
fn recorded(case: &Value, checks: &mut Checks) -> Result<Value, String> {
    let expected = member(case, "expected")?;
    let recorded_config = present(expected, "config");
    // Go reads all variables, and may refuse one; this client reads no other one here.
    if is_disabled(case) {
        if recorded_config.is_none() || case["env"].as_object().is_some_and(|env| env.len() > 1) {
            checks.deviates(deviations::DISABLED_ALONE);
        }
        let disabled = recorded_config.map_or(Ok(true), |config| boolean(config, "disabled"))?;
        let alone = Configuration { disabled, ..Configuration::default() };
        return Ok(json!({"config": shown(&alone), "sampler_kind": sampler_made(&alone)}));
    }
    // Where Go gives no configuration, each difference from the default is shown.
    if present(expected, "go_panics").or_else(|| present(expected, "error")).is_some() {
        let default = Configuration::default();
        return Ok(json!({
            "error": refused_by_go(case),
            "config": shown(&default),
            "sampler_kind": sampler_made(&default),
        }));
    }
    let mut config = member(expected, "config")?.clone();
    let mut kind = expected["sampler_kind"].clone();
    if kind.is_null() {
        member(expected, "sampler_error")?;
    }
    if text(&config["sampler"], "type")?.is_empty() {
        let default = if is_about_sampling(case) {
            "remote"
        } else {
            checks.deviates(deviations::EVERY_TRACE);
            if kind == "remote" {
                kind = "const".into();
            }
            "const"
        };
        config["sampler"]["type"] = default.into();
    }
    if !is_set(case, "JAEGER_SAMPLER_PARAM") {
        let default = SamplerConfig::new(text(&config["sampler"], "type")?.trim()).param;
        if is_about_sampling(case) && float(&config["sampler"], "param")? != default {
            checks.deviates(deviations::DEFAULT_PARAM);
        }
        config["sampler"]["param"] = default.into();
    }
    let defaults = shown(&Configuration::default());
    // A scheme is in lower case here.
    let url = &mut config["sampler"]["sampling_server_url"];
    if let Some((scheme, rest)) = url.as_str().and_then(|url| url.split_once("://")) {
        *url = format!("{}://{rest}", scheme.to_ascii_lowercase()).into();
    }
    for of in ["sampler", "reporter"] {
        for (key, value) in config[of].as_object_mut().ok_or_else(|| format!("no {of}"))? {
            let default = &defaults[of][key];
            let is_default = match &*value {
                Value::String(text) => text.is_empty(),
                number => key != "param" && number.as_f64().is_some_and(|number| number <= 0.0),
            };
            if is_default {
                *value = default.clone();
            }
        }
    }
    Ok(json!({"config": config, "sampler_kind": kind}))
}

/// Converts a configuration to the form of cases.
fn shown(config: &Configuration) -> Value {
    let text = |value: &OwnedTagValue| match value {
        OwnedTagValue::Str(text) => text.clone(),
        other => format!("{other:?}"),
    };
    let (sampler, reporter) = (&config.sampler, &config.reporter);
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).ok();
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    json!({
        "service_name": config.service_name,
        "disabled": config.disabled,
        "rpc_metrics": config.rpc_metrics,
        "gen_128bit": config.trace_id_128bit == Some(true),
        "tags": config.tags.iter().map(|(key, value)| json!([key, text(value)])).collect::<Value>(),
        "sampler": {
            "type": sampler.kind,
            "param": sampler.param,
            "sampling_server_url": sampler.sampling_server_url,
            "max_operations": sampler.max_operations,
            "refresh_interval_ns": nanos(sampler.sampling_refresh_interval),
        },
        "reporter": {
            "queue_size": reporter.queue_size,
            "flush_interval_ns": nanos(reporter.buffer_flush_interval),
            "log_spans": reporter.log_spans,
            "agent_host_port": reporter.local_agent_host_port,
            "disable_reconnect": reporter.disable_attempt_reconnecting,
            "reconnect_interval_ns": nanos(reporter.attempt_reconnect_interval),
            "endpoint": optional(&reporter.collector_endpoint),
            "user": optional(&reporter.user),
            "password": optional(&reporter.password),
        },
    })
}

/// The kind of the sampler that the configuration makes; none if it makes none.
fn sampler_made(config: &Configuration) -> Option<&'static str> {
    let SamplerConfig { kind, param, .. } = &config.sampler;
    let mut rows = sampler::SAMPLERS.iter().filter_map(|row| Some((row.name, row.build?)));
    let (name, build) = rows.find(|(name, _)| name.eq_ignore_ascii_case(kind))?;
    let mut params = SamplerParams::new("vectors", *param);
    params.sampling_server_url = &config.sampler.sampling_server_url;
    params.sampling_refresh_interval = config.sampler.sampling_refresh_interval;
    params.max_operations = config.sampler.max_operations;
    build(&params).ok().map(|_| name)
}

/// The variables that an error is about.
fn named_by(error: &ConfigError) -> Vec<&str> {
    match error {
        ConfigError::Several { errors } => errors.iter().flat_map(named_by).collect(),
        ConfigError::Variable { name, .. } => vec![name],
        ConfigError::FeatureOff { field, .. } => vec![field],
        // It names none, so it is none of those that are expected.
        _ => vec!["(no variable)"],
    }
}

/// The value of a variable without the white space around it; empty if it is not set.
fn value<'c>(case: &'c Value, name: &str) -> &'c str {
    case["env"][name].as_str().unwrap_or_default().trim()
}

fn is_set(case: &Value, name: &str) -> bool {
    !value(case, name).is_empty()
}

fn is_disabled(case: &Value) -> bool {
    ["1", "t", "T", "true", "TRUE", "True"].contains(&value(case, "JAEGER_DISABLED"))
}

/// Returns whether a variable other than the agent's host configures sampling.
fn is_about_sampling(case: &Value) -> bool {
    let prefixes = ["JAEGER_SAMPLER_", "JAEGER_SAMPLING_"];
    let of_sampling = |name: &&String| {
        prefixes.iter().any(|prefix| name.starts_with(prefix)) && is_set(case, name)
    };
    case["env"].as_object().is_some_and(|env| env.keys().any(|name| of_sampling(&name)))
}

/// The variable that Go's error names, the first one if there are several.
fn refused_by_go(case: &Value) -> Option<&str> {
    all_refused_by_go(case).first().copied()
}

/// The variables that Go's error is about: one of which it shows the value, or two that belong together.
fn all_refused_by_go(case: &Value) -> Vec<&str> {
    let error = case["expected"]["error"].as_str().unwrap_or_default();
    // What follows is a value, which may name anything.
    let (message, _) = error.split_once('=').unwrap_or((error, ""));
    let words = message.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("JAEGER_")).collect()
}

/// Returns whether Go takes an entry without `=` or a reference without a default for one with it.
fn is_panic_of_tags(case: &Value) -> bool {
    let is_odd = |entry: &str| {
        let Some((_, text)) = entry.split_once('=') else { return true };
        text.trim().starts_with("${") && text.trim().ends_with('}') && !text.contains(':')
    };
    case["expected"]["go_panics"] == true && value(case, "JAEGER_TAGS").split(',').any(is_odd)
}

/// Returns whether the difference is in what the agent's host gives.
fn is_of_agent(case: &Value, at: &Difference) -> bool {
    let urls = ["JAEGER_SAMPLING_ENDPOINT", "JAEGER_SAMPLER_MANAGER_HOST_PORT"];
    at.place == "config/reporter/agent_host_port"
        || (at.place == SAMPLING_URL && !urls.iter().any(|name| is_set(case, name)))
}

const SAMPLING_URL: &str = "config/sampler/sampling_server_url";

fn is_socket(case: &Value) -> bool {
    let host = value(case, "JAEGER_AGENT_HOST");
    host.starts_with("unix:/") || host.starts_with("unix:@")
}

/// Returns whether nothing can be wrong with the value: any other may be refused here.
fn is_plain(name: &str, value: &str) -> bool {
    let is_name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    // One that ends with a digit may be no address.
    let is_host = |host: &str| {
        let is_label = |label: &str| is_name(label) && (1..64).contains(&label.len());
        let is_number = host.ends_with(|c: char| c.is_ascii_digit());
        host.split('.').all(is_label) && host.len() < 254 && !is_number
    };
    match name {
        "JAEGER_AGENT_PORT" => value.parse::<u16>().is_ok_and(|port| port > 0),
        "JAEGER_REPORTER_MAX_QUEUE_SIZE" => {
            value.parse::<i64>().is_ok_and(|size| size <= 100_000_000)
        }
        "JAEGER_SAMPLER_PARAM" => {
            value.parse::<f64>().is_ok_and(|param| param.is_finite() && param >= 0.0)
        }
        "JAEGER_SAMPLING_ENDPOINT" | "JAEGER_ENDPOINT" => {
            let rest = value.strip_prefix("http://").or_else(|| value.strip_prefix("https://"));
            rest.is_some_and(|rest| {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
                let is_digits = port.bytes().all(|digit| digit.is_ascii_digit());
                let is_port = is_digits && port.parse::<u16>().is_ok_and(|port| port > 0);
                is_host(host) && is_port && path.split('/').all(is_name)
            })
        }
        "JAEGER_AGENT_HOST" => is_host(value),
        // Go does not read it.
        "JAEGER_PROPAGATION" => false,
        "JAEGER_TAGS" => value.split([',', '=', ' ']).all(is_name),
        _ => is_name(value),
    }
}

/// Returns whether this client refuses what Go reads, and some variable is such that it may.
fn is_refused_here(case: &Value, at: &Difference) -> bool {
    let names = at.got.as_str().unwrap_or_default();
    let has_no_sampler = present(&case["expected"], "sampler_error").is_some();
    let may_refuse = |name: &str, raw: &str| {
        !is_plain(name, raw) || (has_no_sampler && name.starts_with("JAEGER_SAMPLER_"))
    };
    let is_wrong = |name| case["env"][name].as_str().is_some_and(|raw| may_refuse(name, raw));
    // Of a host with a port and a port beside it, the port is one too many.
    let is_refused = |name| {
        let is_second = name == "JAEGER_AGENT_PORT" && is_set(case, name);
        is_wrong(name) || (is_second && is_wrong("JAEGER_AGENT_HOST"))
    };
    at.place == "error"
        && case["expected"]["error"].is_null()
        && !is_disabled(case)
        && names.split(' ').all(is_refused)
}

/// Returns whether Go refuses the variable, and this client reads it.
fn is_read_here(case: &Value, at: &Difference, name: &str) -> bool {
    refused_by_go(case) == Some(name) && at.is_in("error config sampler_kind")
}

/// Why a configuration may be another, or refused, or not refused.
pub(crate) const RULES: &[Rule] = &[
    (deviations::OUTER_SPACE, |case, at| {
        let unspaced = |text: &Value| Some(text.as_str()?.replace(char::is_whitespace, ""));
        let is_spaced = |name: &str| {
            let raw = case["env"][name].as_str();
            raw.is_some_and(|raw| raw.trim() != raw)
        };
        let is_kind = at.place == "sampler_kind" && is_spaced("JAEGER_SAMPLER_TYPE");
        let is_value = at.got.is_string() && unspaced(&at.recorded) == unspaced(&at.got);
        let is_read = |name| is_spaced(name) && is_read_here(case, at, name);
        is_kind || is_value || refused_by_go(case).is_some_and(is_read)
    }),
    (deviations::BARE_MILLISECONDS, |case, at| {
        let Some(name) = refused_by_go(case) else { return false };
        let which = name.strip_suffix("_INTERVAL").and_then(|name| name.rsplit('_').next());
        let nanos = value(case, name).parse::<i64>().ok().and_then(|ms| ms.checked_mul(1_000_000));
        let (Some(which), Some(nanos)) = (which, nanos) else { return false };
        let is_its_own = at.place.ends_with(&format!("/{}_interval_ns", which.to_lowercase()));
        is_read_here(case, at, name) && (!is_its_own || nanos <= 0 || at.got == nanos)
    }),
    (deviations::UNIX_SOCKET, |case, at| {
        is_socket(case) && (is_of_agent(case, at) || is_read_here(case, at, "JAEGER_AGENT_PORT"))
    }),
    (deviations::MANAGER_HOST_PORT, |case, at| {
        let endpoint = value(case, "JAEGER_SAMPLING_ENDPOINT");
        let manager = value(case, "JAEGER_SAMPLER_MANAGER_HOST_PORT");
        let given = if endpoint.is_empty() { manager } else { endpoint };
        let url = format!("http://{given}");
        let is_url = at.got.as_str().is_some_and(|got| got.starts_with(&url) || manager == given);
        at.place == SAMPLING_URL && !given.is_empty() && !given.contains("://") && is_url
    }),
    (deviations::OTHER_CLIENTS, |case, at| {
        let path = value(case, "JAEGER_SAMPLER_SAMPLING_PATH");
        let is_at_path = at.got.as_str().is_some_and(|got| got.ends_with(path));
        at.place == SAMPLING_URL && !path.is_empty() && is_at_path
    }),
    (deviations::UNUSED_AGENT, |case, at| {
        let host = case["env"]["JAEGER_AGENT_HOST"].as_str().unwrap_or_default();
        let default = &shown(&Configuration::default())["sampler"]["sampling_server_url"];
        let is_default = at.place == SAMPLING_URL && at.got == *default;
        is_default && is_of_agent(case, at) && !is_plain("JAEGER_AGENT_HOST", host)
    }),
    (deviations::BRACKETED_AGENT, |case, at| {
        let host = value(case, "JAEGER_AGENT_HOST").trim_matches(['[', ']']);
        let is_bracketed = at.got.as_str().is_some_and(|got| got.contains(&format!("[{host}]:")));
        is_of_agent(case, at) && host.contains(':') && is_bracketed
    }),
    (deviations::AGENT_HOST_WITH_PORT, |case, at| {
        let has_port =
            value(case, "JAEGER_AGENT_HOST").rsplit_once(':').is_some_and(|(host, port)| {
                port.parse::<u16>().is_ok() && at.got.as_str().is_some_and(|got| got.contains(host))
            });
        is_of_agent(case, at) && has_port
    }),
    (deviations::TAGS_WITHOUT_PANIC, |case, _| is_panic_of_tags(case)),
    (deviations::HTTP_ENDPOINT, |case, at| {
        is_refused_here(case, at)
            && at.got.as_str().is_some_and(|got| got.contains("JAEGER_ENDPOINT"))
    }),
    (deviations::NOT_A_NUMBER, |case, at| {
        let param = value(case, "JAEGER_SAMPLER_PARAM").parse::<f64>();
        is_refused_here(case, at) && param.is_ok_and(f64::is_nan)
    }),
    (deviations::NEGATIVE_RATE, |case, at| {
        let is_rate = value(case, "JAEGER_SAMPLER_TYPE").eq_ignore_ascii_case("ratelimiting");
        let param = value(case, "JAEGER_SAMPLER_PARAM").parse::<f64>();
        let is_none = param.is_ok_and(|rate| rate < 0.0 || rate.is_infinite());
        is_refused_here(case, at) && is_rate && is_none
    }),
    (deviations::REFUSED_WHEN_READ, is_refused_here),
];
