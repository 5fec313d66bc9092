//! Environment variables: the configuration they make, or the error, and the sampler made from it.
//!
//! Go's configurations say 0 or nothing where a default is meant; this client's say the default.

use jaeger_client::sampler::{self, SamplerParams};
use jaeger_client::{ConfigError, Configuration, OwnedTagValue, ReporterConfig, SamplerConfig};
use serde_json::Value;
use std::time::Duration;

use crate::config_env_rules::{self as rules, Environment, Tags};
use crate::deviations;
use crate::json::{int, items, member, only, present, text, truth};
use crate::report::Checks;

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let env = environment(member(case, "env")?)?;
    let expected = member(case, "expected")?;
    let got = Configuration::default().with_variables(|name| env.get(name).cloned());
    if rules::is_disabled(&env) {
        return disabled(&env, expected, got, checks);
    }
    if present(expected, "go_panics").is_some() {
        return panics(&env, got, checks);
    }
    if let Some(error) = present(expected, "error") {
        let error = error.as_str().ok_or("the error is no text")?;
        refused_by_go(&env, error, got, checks);
        return Ok(());
    }
    let mut refused = rules::refused(&env);
    let kind_is_spaced = rules::has_outer_space(&env, "JAEGER_SAMPLER_TYPE");
    if present(expected, "sampler_error").is_some() && !kind_is_spaced {
        refused.extend(["JAEGER_SAMPLER_TYPE", "JAEGER_SAMPLER_PARAM"]);
    }
    match got {
        Err(got) => {
            let named = named_by(&got);
            let of = |name| named.contains(&name);
            checks.deviates(if of("JAEGER_ENDPOINT") {
                deviations::HTTP_ENDPOINT
            } else if of("JAEGER_SAMPLER_PARAM") && rules::is_nan(&env) {
                deviations::NOT_A_NUMBER
            } else if rules::is_negative_rate(&env) {
                deviations::NEGATIVE_RATE
            } else {
                deviations::REFUSED_WHEN_READ
            });
            if named.iter().any(|name| !refused.contains(name)) {
                checks.fail(format!("expected a configuration, got error {got}"));
            }
        }
        Ok(_) if !refused.is_empty() => {
            checks.fail(format!("expected an error that names one of {refused:?}"));
        }
        Ok(got) => {
            compare(&env, member(expected, "config")?, &got, checks)?;
            // Go makes none of a kind that it does not know.
            if !kind_is_spaced {
                made(&env, expected, &got, checks)?;
            }
        }
    }
    Ok(())
}

/// Go reads everything, and may well refuse it; here nothing else is looked at.
fn disabled(
    env: &Environment,
    expected: &Value,
    got: Result<Configuration, ConfigError>,
    checks: &mut Checks,
) -> Result<(), String> {
    let config = present(expected, "config");
    if let Some(config) = config {
        checks.same("disabled", &truth(config, "disabled")?, &true);
    }
    match got {
        Err(got) => checks.fail(format!("expected to be disabled, got error {got}")),
        Ok(got) => {
            let propagation = got.propagation.clone();
            let alone = Configuration { disabled: true, propagation, ..Configuration::default() };
            checks.same("disabled", &alone, &got);
        }
    }
    if env.len() > 1 || config.is_none() {
        checks.deviates(deviations::DISABLED_ALONE);
    }
    Ok(())
}

/// The variable that Go refuses is one that we refuse, unless we can read it.
fn refused_by_go(
    env: &Environment,
    error: &str,
    got: Result<Configuration, ConfigError>,
    checks: &mut Checks,
) {
    let Some(name) = variable_in(error) else {
        checks.fail(format!("expected an error that names a variable, as {error:?}"));
        return;
    };
    let Some(deviation) = rules::is_read_here(env, name) else {
        match got {
            Ok(_) => checks.fail(format!("expected an error, as {error:?}")),
            Err(got) => names_the_variable(error, &got.to_string(), checks),
        }
        return;
    };
    checks.deviates(deviation);
    match got {
        // Go never came to what else is wrong.
        Err(got) if named_by(&got).contains(&name) => {
            checks.fail(format!("expected {name} to be read, got error {got}"));
        }
        Err(_) => {}
        Ok(got) => {
            if let Some(millis) = rules::bare_millis(env, name).filter(|millis| *millis > 0) {
                let duration = match name {
                    "JAEGER_SAMPLER_REFRESH_INTERVAL" => got.sampler.sampling_refresh_interval,
                    "JAEGER_REPORTER_FLUSH_INTERVAL" => got.reporter.buffer_flush_interval,
                    _ => got.reporter.attempt_reconnect_interval,
                };
                checks.same(name, &Duration::from_millis(millis), &duration);
            }
        }
    }
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

fn environment(object: &Value) -> Result<Environment, String> {
    let members = object.as_object().ok_or("the environment is no object")?;
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("a value is no text");
    members.iter().map(|(name, value)| Ok((name.clone(), text(value)?))).collect()
}

/// Go panics where tags cannot be read; here they are read around what is missing, or refused.
fn panics(
    env: &Environment,
    got: Result<Configuration, ConfigError>,
    checks: &mut Checks,
) -> Result<(), String> {
    if rules::tags_as_go(env).is_some() {
        return Err(String::from("Go panics, and not because of the tags"));
    }
    checks.deviates(deviations::TAGS_WITHOUT_PANIC);
    match (rules::tags(env), got) {
        (Some(expected), Ok(got)) => checks.same("tags", &expected, &tags(&got)),
        // Go never came to what else is wrong.
        (Some(_), Err(got)) if rules::names_another(env, &got.to_string(), "JAEGER_TAGS") => {}
        (None, Err(got)) => names_the_variable("JAEGER_TAGS", &got.to_string(), checks),
        (Some(_), Err(got)) => checks.fail(format!("expected tags, got error {got}")),
        (None, Ok(got)) => checks.fail(format!("expected an error, got {:?}", tags(&got))),
    }
    Ok(())
}

/// The first variable in a text.
fn variable_in(text: &str) -> Option<&str> {
    let is_word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.split(|c| !is_word(c)).find(|word| word.starts_with("JAEGER_"))
}

/// The variable that Go's error names is named by ours.
fn names_the_variable(go: &str, got: &str, checks: &mut Checks) {
    let name = variable_in(go);
    if !name.is_some_and(|name| got.contains(name)) {
        checks.fail(format!("expected an error that names {name:?}, got {got:?}"));
    }
}

fn tags(configuration: &Configuration) -> Tags {
    let text = |value: &OwnedTagValue| match value {
        OwnedTagValue::Str(text) => text.clone(),
        other => format!("{other:?}"),
    };
    configuration.tags.iter().map(|(key, value)| (key.clone(), text(value))).collect()
}

fn compare(
    env: &Environment,
    config: &Value,
    got: &Configuration,
    checks: &mut Checks,
) -> Result<(), String> {
    let known =
        ["disabled", "gen_128bit", "reporter", "rpc_metrics", "sampler", "service_name", "tags"];
    only(config, &known)?;
    let name = trimmed(config, "service_name", checks)?;
    checks.same("service name", &name, &got.service_name.as_str());
    checks.same("disabled", &truth(config, "disabled")?, &got.disabled);
    checks.same("rpc metrics", &truth(config, "rpc_metrics")?, &got.rpc_metrics);
    checks.same("128 bits", &truth(config, "gen_128bit")?, &(got.trace_id_128bit == Some(true)));
    let recorded: Option<Tags> = items(config, "tags")?
        .iter()
        .map(|pair| match pair.as_array()?.as_slice() {
            [key, value] => Some((key.as_str()?.to_owned(), value.as_str()?.to_owned())),
            _ => None,
        })
        .collect();
    checks.same("tags", &recorded.ok_or("tags are no pairs of texts")?, &tags(got));
    sampler(env, member(config, "sampler")?, &got.sampler, checks)?;
    reporter(env, member(config, "reporter")?, &got.reporter, checks)
}

fn sampler(
    env: &Environment,
    config: &Value,
    got: &SamplerConfig,
    checks: &mut Checks,
) -> Result<(), String> {
    let known = ["max_operations", "param", "refresh_interval_ns", "sampling_server_url", "type"];
    only(config, &known)?;
    let kind = match trimmed(config, "type", checks)? {
        "" if rules::speaks_of_sampling(env) => "remote",
        "" => {
            checks.deviates(deviations::EVERY_TRACE);
            "const"
        }
        kind => kind,
    };
    checks.same("sampler", &kind, &got.kind.as_str());

    let default = SamplerConfig::new(kind);
    let recorded = member(config, "param")?.as_f64().ok_or("the parameter is no number")?;
    let param = if rules::is_set(env, "JAEGER_SAMPLER_PARAM") {
        recorded
    } else {
        if rules::speaks_of_sampling(env) && default.param != recorded {
            checks.deviates(deviations::DEFAULT_PARAM);
        }
        default.param
    };
    // What reads the recorded number may round its last digit otherwise.
    if (param - got.param).abs() > param.abs() * 1e-15 {
        checks.same("parameter", &param, &got.param);
    }
    let max = or_default(int(config, "max_operations")?, default.max_operations)?;
    checks.same("max operations", &max, &got.max_operations);
    let interval = nanos(config, "refresh_interval_ns", default.sampling_refresh_interval)?;
    checks.same("refresh interval", &interval, &got.sampling_refresh_interval);
    let recorded = match trimmed(config, "sampling_server_url", checks)? {
        "" => default.sampling_server_url,
        url => url.to_owned(),
    };
    let url = rules::sampling_url(env, &recorded, checks);
    checks.same("sampling url", &url, &got.sampling_server_url);
    Ok(())
}

fn reporter(
    env: &Environment,
    config: &Value,
    got: &ReporterConfig,
    checks: &mut Checks,
) -> Result<(), String> {
    let known = [
        "agent_host_port",
        "disable_reconnect",
        "endpoint",
        "flush_interval_ns",
        "log_spans",
        "password",
        "queue_size",
        "reconnect_interval_ns",
        "user",
    ];
    only(config, &known)?;
    let default = ReporterConfig::default();
    let size = or_default(int(config, "queue_size")?, default.queue_size)?;
    checks.same("queue size", &size, &got.queue_size);
    let interval = nanos(config, "flush_interval_ns", default.buffer_flush_interval)?;
    checks.same("flush interval", &interval, &got.buffer_flush_interval);
    let interval = nanos(config, "reconnect_interval_ns", default.attempt_reconnect_interval)?;
    checks.same("reconnect interval", &interval, &got.attempt_reconnect_interval);
    checks.same("log spans", &truth(config, "log_spans")?, &got.log_spans);
    let disabled = truth(config, "disable_reconnect")?;
    checks.same("reconnecting disabled", &disabled, &got.disable_attempt_reconnecting);
    for (name, got) in
        [("endpoint", &got.collector_endpoint), ("user", &got.user), ("password", &got.password)]
    {
        let recorded = match name {
            // A password's spaces are its own.
            "password" => text(config, name)?.trim_end_matches(['\r', '\n']),
            _ => trimmed(config, name, checks)?,
        };
        let recorded = Some(recorded).filter(|text| !text.is_empty());
        checks.same(name, &recorded, &got.as_deref());
    }
    let agent = match trimmed(config, "agent_host_port", checks)? {
        "" => default.local_agent_host_port,
        address => rules::agent(env, address, checks),
    };
    checks.same("agent", &agent, &got.local_agent_host_port);
    Ok(())
}

/// A recorded text without the white space around it.
fn trimmed<'v>(config: &'v Value, key: &str, checks: &mut Checks) -> Result<&'v str, String> {
    let recorded = text(config, key)?;
    if recorded.trim() != recorded {
        checks.deviates(deviations::OUTER_SPACE);
    }
    Ok(recorded.trim())
}

/// Returns what is not above zero means the default.
fn or_default(recorded: i128, default: usize) -> Result<usize, String> {
    if recorded <= 0 {
        return Ok(default);
    }
    usize::try_from(recorded).map_err(|error| error.to_string())
}

fn nanos(config: &Value, key: &str, default: Duration) -> Result<Duration, String> {
    let recorded: i64 = int(config, key)?;
    Ok(u64::try_from(recorded).ok().filter(|n| *n > 0).map_or(default, Duration::from_nanos))
}

/// The sampler that the configuration makes, or that it makes none.
fn made(
    env: &Environment,
    expected: &Value,
    got: &Configuration,
    checks: &mut Checks,
) -> Result<(), String> {
    let SamplerConfig { kind, param, .. } = &got.sampler;
    let mut builds = sampler::SAMPLERS.iter().filter_map(|row| Some((row.name, row.build?)));
    let build = builds.find(|(name, _)| name.eq_ignore_ascii_case(kind));
    let made = build.and_then(|(name, build)| {
        let mut params = SamplerParams::new("vectors", *param);
        params.sampling_server_url = &got.sampler.sampling_server_url;
        params.sampling_refresh_interval = got.sampler.sampling_refresh_interval;
        params.max_operations = got.sampler.max_operations;
        build(&params).ok().map(|_| name)
    });
    let recorded = match present(expected, "sampler_kind") {
        Some(recorded) => Some(recorded.as_str().ok_or("the sampler's kind is no text")?),
        None => {
            member(expected, "sampler_error")?;
            None
        }
    };
    let promised = match recorded {
        // That the default is another was noted when the configurations were compared.
        Some("remote") if !rules::speaks_of_sampling(env) => Some("const"),
        recorded => recorded,
    };
    checks.same("sampler made", &promised, &made);
    Ok(())
}
