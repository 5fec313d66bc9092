//! OpenTelemetry's variables for a remote sampler.

use std::fmt;
use std::time::Duration;

use jaeger_client::ConfigError;
use jaeger_client::sampler::{RemoteSampler, RemoteSamplerBuilder};

/// Why OpenTelemetry's variables make no remote sampler.
#[derive(Debug)]
#[non_exhaustive]
pub enum SamplerEnvError {
    /// A part of `OTEL_TRACES_SAMPLER_ARG` is not understood.
    Argument {
        /// The part.
        part: String,
        /// The allowed values.
        allowed: &'static str,
    },
    /// The combination of values makes no sampler.
    Config(ConfigError),
}

impl fmt::Display for SamplerEnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument { part, allowed } => {
                write!(f, "{SAMPLER_ARG} has {part:?}; allowed is {allowed}")
            }
            Self::Config(error) => write!(f, "{SAMPLER_ARG}: {error}"),
        }
    }
}

impl std::error::Error for SamplerEnvError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Argument { .. } => None,
            Self::Config(error) => Some(error),
        }
    }
}

impl From<ConfigError> for SamplerEnvError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// A variable of this process; none where it is empty, or no text.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(super) fn of_process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The sampler that these variables ask for, if they ask for a remote one.
pub(super) fn sampler(
    service_name: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<RemoteSampler>, SamplerEnvError> {
    let named = variable(SAMPLER).unwrap_or_default();
    if !NAMES.iter().any(|name| named.trim().eq_ignore_ascii_case(name)) {
        return Ok(None);
    }
    let argument = variable(SAMPLER_ARG).unwrap_or_default();
    let parts = argument.split(',').map(str::trim).filter(|part| !part.is_empty());
    let mut builder = RemoteSampler::builder(service_name);
    for part in parts {
        builder = with_part(builder, part)?;
    }
    Ok(Some(builder.build()?))
}

fn with_part(
    builder: RemoteSamplerBuilder,
    part: &str,
) -> Result<RemoteSamplerBuilder, SamplerEnvError> {
    let refused = |allowed| {
        // A URL may contain secrets.
        let part =
            part.split_once('@').map_or_else(|| part.to_owned(), |(_, rest)| format!("…@{rest}"));
        SamplerEnvError::Argument { part, allowed }
    };
    let (key, value) = part.split_once('=').ok_or_else(|| refused(PARTS))?;
    let value = value.trim();
    Ok(match key.trim() {
        "endpoint" => builder.sampling_server_url(with_path(value)),
        "pollingIntervalMs" => {
            let millis = value.parse().map_err(|_| refused("a number of milliseconds"))?;
            builder.refresh_interval(Duration::from_millis(millis))
        }
        "initialSamplingRate" => {
            builder.initial_rate(value.parse().map_err(|_| refused("a probability from 0 to 1"))?)
        }
        _ => return Err(refused(PARTS)),
    })
}

/// Adds the agents' path to an endpoint without one.
fn with_path(endpoint: &str) -> String {
    let authority = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    match authority.find(['/', '?']) {
        None => format!("{endpoint}/sampling"),
        Some(at) if &authority[at..] == "/" => format!("{endpoint}sampling"),
        Some(_) => endpoint.to_owned(),
    }
}

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const NAMES: [&str; 2] = ["jaeger_remote", "parentbased_jaeger_remote"];
const PARTS: &str = "endpoint=URL, pollingIntervalMs=NUMBER, initialSamplingRate=PROBABILITY";

#[cfg(test)]
mod tests {
    use super::*;
    use jaeger_client::sampler::{Rule, Sampler};

    fn requested(kind: &str, argument: &str) -> Result<Option<RemoteSampler>, SamplerEnvError> {
        sampler("svc", |name| {
            let value = if name == SAMPLER { kind } else { argument };
            (!value.is_empty()).then(|| value.to_owned())
        })
    }

    #[test]
    fn every_part_of_the_argument_counts_and_each_has_a_default() {
        let all = "endpoint=http://agent:5778, initialSamplingRate=0.25 ,pollingIntervalMs=5000";
        for kind in ["jaeger_remote", " Parentbased_Jaeger_Remote"] {
            let status = requested(kind, all).unwrap().unwrap().status();
            assert_eq!(status.rule, Rule::Probabilistic { rate: 0.25 });
            let source = status.remote.unwrap().source;
            assert!(source.contains("http://agent:5778/sampling"), "{source}");
        }
        let status = requested("jaeger_remote", "").unwrap().unwrap().status();
        assert_eq!(status.rule, Rule::Probabilistic { rate: 0.001 });
        let source = status.remote.unwrap().source;
        assert!(source.contains("http://127.0.0.1:5778/sampling"), "{source}");
    }

    #[test]
    fn other_samplers_are_left_to_the_sdk() {
        for kind in ["", "always_on", "parentbased_traceidratio"] {
            assert!(requested(kind, "nonsense").unwrap().is_none(), "{kind}");
        }
    }

    #[test]
    fn an_endpoint_keeps_its_path() {
        for (given, whole) in [
            ("http://a:1", "http://a:1/sampling"),
            ("http://a:1/", "http://a:1/sampling"),
            ("http://a:1/api/sampling", "http://a:1/api/sampling"),
            ("http://a?x=y", "http://a?x=y"),
        ] {
            assert_eq!(with_path(given), whole);
        }
    }

    #[test]
    fn what_is_not_understood_is_reported_with_what_is_allowed_and_without_secrets() {
        for (argument, part) in [
            ("endpoint", "\"endpoint\""),
            ("interval=5", "pollingIntervalMs=NUMBER"),
            ("pollingIntervalMs=5s", "milliseconds"),
            ("initialSamplingRate=many", "probability"),
            ("initialSamplingRate=1.5", "1.5"),
            ("endpoint=ftp://x", "ftp://x"),
        ] {
            let error = requested("jaeger_remote", argument).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(SAMPLER_ARG), "{argument}: {error}");
        }
        for argument in ["endpoint=http://ann:hush@agent:5778", "endpiont=http://ann:hush@agent"] {
            let error = requested("jaeger_remote", argument).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        }
    }
}
