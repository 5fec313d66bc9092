//! Configuration from the environment: variables that are set and not read are logged.

use std::collections::HashMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::support::memory_logger;
use jaeger_client::{ConfigError, Configuration};

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn read(variables: Pairs<'_>) -> Result<Configuration, ConfigError> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Configuration::new("svc").with_variables(|name| variables.get(name).copied())
}

/// Asserts that a text has all of these words, and no secret.
fn assert_says(text: &str, words: &[&str], of: &dyn std::fmt::Debug) {
    assert!(words.iter().all(|word| text.contains(word)), "{of:?}: {text} lacks some of {words:?}");
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn a_missing_name_says_where_to_give_it_and_what_was_set_instead() {
    let error = Configuration::default().new_tracer().map(drop).unwrap_err().to_string();
    assert_says(&error, &["JAEGER_SERVICE_NAME", "Configuration::new"], &"in code");
    for name in ["", " "] {
        let error = Configuration::new(name).new_tracer().map(drop).unwrap_err();
        assert!(matches!(error, ConfigError::NoServiceName { .. }), "{error}");
    }
    let lookup = |name: &str| (name == "OTEL_SERVICE_NAME").then_some("checkout");
    let read = Configuration::default().with_variables(lookup).unwrap();
    let error = read.new_tracer().map(drop).unwrap_err().to_string();
    assert_says(
        &error,
        &["JAEGER_SERVICE_NAME", "OTEL_SERVICE_NAME is set, but not read"],
        &"OTEL",
    );
}

#[test]
fn older_names_are_read_with_a_warning_where_the_newer_ones_are_not_set() {
    let read = read(&[
        ("JAEGER_REPORTER_AGENT_HOST", "a"),
        ("JAEGER_REPORTER_AGENT_PORT", "1"),
        ("JAEGER_AGENT_PORT", "2"),
        ("JAEGER_SAMPLER_TYPE", "const"),
    ])
    .unwrap();
    assert_eq!(read.reporter.local_agent_host_port, "a:2");
    let mut warnings = read.warnings;
    warnings.sort_unstable();
    let expected = [
        "JAEGER_REPORTER_AGENT_HOST is an older name of JAEGER_AGENT_HOST",
        "JAEGER_REPORTER_AGENT_PORT is set, but not read: JAEGER_AGENT_PORT is set too",
    ];
    assert_eq!(warnings, expected);
}

#[cfg(feature = "collector-http")]
#[test]
fn a_collector_is_found_by_the_older_names_too() {
    let read = read(&[
        ("JAEGER_REPORTER_ENDPOINT", "http://c"),
        ("JAEGER_REPORTER_USER", "u"),
        ("JAEGER_REPORTER_PASSWORD", "p"),
    ])
    .unwrap();
    let reporter = read.reporter;
    assert_eq!(reporter.collector_endpoint.as_deref(), Some("http://c"));
    assert_eq!((reporter.user.as_deref(), reporter.password.as_deref()), (Some("u"), Some("p")));
}

#[cfg(feature = "collector-http")]
#[test]
fn an_otlp_receivers_address_is_noticed() {
    for url in ["http://c:4318", "http://c:4317/", "http://c/v1/traces"] {
        let read = read(&[("JAEGER_ENDPOINT", url)]).unwrap();
        assert_says(&read.warnings[0], &["JAEGER_ENDPOINT", "OTLP", "14268"], &url);
    }
}

#[test]
fn the_log_has_once_what_was_set_and_not_read() {
    let variables = [("OTEL_SERVICE_NAME", "s3cret"), ("OTEL_TRACES_SAMPLER", "always_on")];
    let configuration = read(&variables).unwrap();
    let log = memory_logger();
    let logger = Arc::clone(&log);
    let (_tracer, closer) =
        configuration.new_tracer_with(|builder| builder.logger(logger).null_reporter()).unwrap();
    let _ = closer.close(Duration::from_secs(1));
    let lines = log.all();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_says(&lines[0], &["OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER are set, but not read"], &"");
}

/// Runs in its own process, which the next test starts.
#[test]
#[ignore = "started by the_environment_is_searched_for_variables_that_are_not_read"]
fn in_a_process_with_misspelt_variables() {
    let warnings = Configuration::from_env().unwrap().warnings;
    let ours = warnings.iter().filter(|warning| !warning.starts_with("OTEL_"));
    let expected = [
        "JAEGER_AGENT_HSOT is set, but not read: is JAEGER_AGENT_HOST meant?",
        "JAEGER_SENDER_FACTORY is set, but not read",
        "JEAGER_SERVICE_NAME is set, but not read: is JAEGER_SERVICE_NAME meant?",
    ];
    assert_eq!(ours.collect::<Vec<_>>(), expected);
    let others = warnings.iter().filter(|warning| warning.starts_with("OTEL_"));
    assert!(
        others.clone().count() == 1 && others.clone().all(|text| text.contains("OTEL_OF_A_TEST"))
    );
}

#[test]
fn the_environment_is_searched_for_variables_that_are_not_read() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "config::warnings::in_a_process_with_misspelt_variables", "--ignored"])
        .env("JAEGER_AGENT_HSOT", "a")
        .env("JEAGER_SERVICE_NAME", "a")
        .env("JAEGER_SENDER_FACTORY", "a")
        .env("JAEGER_TAG", "")
        .env("JAEGER_AGENT_SERVICE_HOST", "10.0.0.1")
        .env("JAEGER_AGENT_PORT_6831_UDP", "udp://10.0.0.1:6831")
        .env("JAEGER_LISTEN_HOST", "0.0.0.0")
        .env("OTEL_OF_A_TEST", "a")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && shown.contains("1 passed"), "{shown}");
}
