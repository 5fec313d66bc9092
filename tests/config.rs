//! Configuration from the environment: every variable, and every way to get one wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]
#![allow(clippy::disallowed_methods, reason = "a test that reads the environment itself")]

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use jaeger_client::{
    AgentSocketType, ConfigError, Configuration, ReporterConfig, SamplerConfig, Tracer,
};
use proptest::prelude::*;

fn read(variables: &[(&str, &str)]) -> Result<Configuration, ConfigError> {
    over(Configuration::default(), variables)
}

fn over(
    configuration: Configuration,
    variables: &[(&str, &str)],
) -> Result<Configuration, ConfigError> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    configuration.with_variables(|name| variables.get(name).copied())
}

fn reporter(variables: &[(&str, &str)]) -> ReporterConfig {
    read(variables).unwrap().reporter
}

fn sampler(variables: &[(&str, &str)]) -> SamplerConfig {
    read(variables).unwrap().sampler
}

#[test]
fn without_variables_and_with_empty_ones_nothing_changes() {
    assert_eq!(read(&[]).unwrap(), Configuration::default());
    for empty in ["", " ", "\t\r\n", "\u{a0}"] {
        let read = Configuration::default().with_variables(|_| Some(empty)).unwrap();
        assert_eq!(read, Configuration::default(), "{empty:?}");
    }
}

#[test]
fn variables_stand_over_what_is_configured_and_leave_the_rest() {
    let given = Configuration {
        trace_id_128bit: true,
        sampler: SamplerConfig { param: 0.5, ..SamplerConfig::new("probabilistic") },
        ..Configuration::new("given")
    };
    let read =
        over(given.clone(), &[("JAEGER_SERVICE_NAME", "env"), ("JAEGER_SAMPLER_PARAM", "0.25")]);
    let sampler = SamplerConfig { param: 0.25, ..given.sampler.clone() };
    let expected = Configuration { service_name: "env".into(), sampler, ..given };
    assert_eq!(read.unwrap(), expected);
}

#[test]
fn the_sampler_is_remote_where_something_but_its_kind_is_said() {
    for (name, value) in [
        ("JAEGER_SAMPLER_PARAM", "0.5"),
        ("JAEGER_SAMPLING_ENDPOINT", "http://s/sampling"),
        ("JAEGER_SAMPLER_MANAGER_HOST_PORT", "s:5778"),
        ("JAEGER_SAMPLER_SAMPLING_PATH", "/"),
        ("JAEGER_SAMPLER_MAX_OPERATIONS", "10"),
        ("JAEGER_SAMPLER_REFRESH_INTERVAL", "5s"),
    ] {
        assert_eq!(sampler(&[(name, value)]).kind, "remote", "{name}");
    }
    let agent = sampler(&[("JAEGER_AGENT_HOST", "a")]);
    assert_eq!((agent.kind.as_str(), agent.param), ("const", 1.0), "an agent says nothing of it");
}

#[test]
fn a_sampler_without_parameter_has_its_own_default() {
    for (kind, param) in [("const", 1.0), ("probabilistic", 0.001), ("Remote", 0.001)] {
        let read = sampler(&[("JAEGER_SAMPLER_TYPE", kind)]);
        assert_eq!((read.kind.as_str(), read.param), (kind, param));
    }
}

#[test]
fn the_sampling_url_is_the_most_exact_of_what_is_said() {
    let endpoint = ("JAEGER_SAMPLING_ENDPOINT", "http://e/x");
    let manager = ("JAEGER_SAMPLER_MANAGER_HOST_PORT", "m:1");
    let path = ("JAEGER_SAMPLER_SAMPLING_PATH", "/p");
    let host = ("JAEGER_AGENT_HOST", "::1");
    let socket = ("JAEGER_AGENT_HOST", "unix:@agent");
    let cases: [(&[_], &str); 9] = [
        (&[endpoint, manager, path, host], "http://e/x"),
        (&[manager, path, host], "http://m:1/p"),
        (&[manager], "http://m:1/sampling"),
        (&[("JAEGER_SAMPLER_MANAGER_HOST_PORT", "http://m/s"), path], "http://m/s"),
        (&[host], "http://[::1]:5778/sampling"),
        (&[host, path], "http://[::1]:5778/p"),
        (&[path], "http://127.0.0.1:5778/p"),
        (&[socket], "http://127.0.0.1:5778/sampling"),
        (&[socket, path], "http://127.0.0.1:5778/p"),
    ];
    for (variables, url) in cases {
        assert_eq!(sampler(variables).sampling_server_url, url, "{variables:?}");
    }
}

#[test]
fn the_agent_is_a_host_and_a_port_with_brackets_where_they_belong() {
    let host = |host| ("JAEGER_AGENT_HOST", host);
    for (variables, address) in [
        (vec![host("a")], "a:6831"),
        (vec![("JAEGER_AGENT_PORT", "5775")], "localhost:5775"),
        (vec![host("::1"), ("JAEGER_AGENT_PORT", "1")], "[::1]:1"),
        (vec![host("[::1]")], "[::1]:6831"),
        (vec![host("10.0.0.1")], "10.0.0.1:6831"),
        (vec![host("unix:/run/agent"), ("JAEGER_AGENT_PORT", "1")], "unix:/run/agent"),
        (vec![host("unix:@agent")], "unix:@agent"),
        (vec![host("unix")], "unix:6831"),
    ] {
        assert_eq!(reporter(&variables).local_agent_host_port, address);
    }
    for (text, socket_type) in [
        ("udp", AgentSocketType::Udp),
        ("udp4", AgentSocketType::Udp4),
        ("udp6", AgentSocketType::Udp6),
    ] {
        let read = reporter(&[("JAEGER_AGENT_SOCKET_TYPE", text)]);
        assert_eq!(read.agent_socket_type, socket_type);
    }
    let configuration = read(&[host("::1"), ("JAEGER_SERVICE_NAME", "svc")]).unwrap();
    let (_tracer, closer) = configuration.new_tracer().unwrap();
    let _ = closer.close(Duration::from_secs(1));
}

#[cfg(feature = "collector-http")]
#[test]
fn with_a_collector_the_agents_variables_are_not_even_read() {
    let collector = [
        ("JAEGER_ENDPOINT", "HTTP://c:14268/api/traces"),
        ("JAEGER_REPORTER_TIMEOUT", "2s"),
        ("JAEGER_AGENT_HOST", "http://none"),
        ("JAEGER_AGENT_PORT", "none"),
        ("JAEGER_REPORTER_ATTEMPT_RECONNECT_INTERVAL", "soon"),
    ];
    let basic = [("JAEGER_USER", "u"), ("JAEGER_PASSWORD", " p \n")];
    let read = reporter(&[&collector[..], &basic].concat());
    assert_eq!(read.collector_endpoint.as_deref(), Some("http://c:14268/api/traces"));
    assert_eq!((read.user.as_deref(), read.password.as_deref()), (Some("u"), Some(" p ")));
    assert_eq!(read.sender_timeout, Duration::from_secs(2));
    assert_eq!(read.local_agent_host_port, ReporterConfig::default().local_agent_host_port);
    let read = reporter(&[&collector[..], &[("JAEGER_AUTH_TOKEN", " t\n")]].concat());
    assert_eq!(read.auth_token.as_deref(), Some("t"));
}

#[test]
fn sizes_and_intervals_of_zero_or_less_are_the_defaults() {
    let sizes = ["JAEGER_REPORTER_MAX_QUEUE_SIZE", "JAEGER_SAMPLER_MAX_OPERATIONS"];
    let intervals = [
        "JAEGER_REPORTER_FLUSH_INTERVAL",
        "JAEGER_SAMPLER_REFRESH_INTERVAL",
        "JAEGER_REPORTER_ATTEMPT_RECONNECT_INTERVAL",
    ];
    let values = sizes.map(|name| (name, ["0", "-1"])).into_iter();
    let values = values.chain(intervals.map(|name| (name, ["0", "-1s"])));
    for (name, values) in values {
        for value in values {
            let read = read(&[(name, value), ("JAEGER_SAMPLER_TYPE", "const")]).unwrap();
            assert_eq!(read, Configuration::default(), "{name}={value}");
        }
    }
}

#[test]
fn white_space_around_values_is_no_part_of_them() {
    let read = read(&[
        ("JAEGER_SERVICE_NAME", " caf\u{e9} \u{2615}\n"),
        ("JAEGER_RPC_METRICS", "true\r\n"),
        ("JAEGER_TAGS", "\n a = 1,\n b=two words\n"),
        ("JAEGER_PROPAGATION", "\tb3,\n jaeger "),
        ("JAEGER_SAMPLER_TYPE", " Probabilistic "),
        ("JAEGER_SAMPLER_PARAM", "\u{a0}0.5"),
        ("JAEGER_REPORTER_MAX_QUEUE_SIZE", " 10 "),
    ])
    .unwrap();
    assert_eq!(read.service_name, "caf\u{e9} \u{2615}");
    assert!(read.rpc_metrics);
    let tags = [("a".to_owned(), "1".into()), ("b".to_owned(), "two words".into())];
    assert_eq!(read.tags, tags);
    assert_eq!(read.propagation, ["b3", "jaeger"]);
    assert_eq!((read.sampler.kind.as_str(), read.sampler.param), ("Probabilistic", 0.5));
    assert_eq!(read.reporter.queue_size, 10);
}

/// Java's and Node's clients count in milliseconds, Go's has units: one set of variables serves all.
#[test]
fn a_bare_number_is_milliseconds_and_a_duration_has_units() {
    let read = |name, value| read(&[(name, value), ("JAEGER_SAMPLER_TYPE", "const")]).unwrap();
    for (value, duration) in [
        ("1000", Duration::from_secs(1)),
        (" 250\n", Duration::from_millis(250)),
        ("1", Duration::from_millis(1)),
        ("1m30s", Duration::from_secs(90)),
        ("1.5s", Duration::from_millis(1500)),
        ("300\u{b5}s", Duration::from_micros(300)),
    ] {
        let flush = read("JAEGER_REPORTER_FLUSH_INTERVAL", value).reporter.buffer_flush_interval;
        let refresh = read("JAEGER_SAMPLER_REFRESH_INTERVAL", value).sampler;
        let name = "JAEGER_REPORTER_ATTEMPT_RECONNECT_INTERVAL";
        let reconnect = read(name, value).reporter.attempt_reconnect_interval;
        let refresh = refresh.sampling_refresh_interval;
        assert_eq!([flush, refresh, reconnect], [duration; 3], "{value:?}");
    }
    let short = read("JAEGER_SAMPLER_REFRESH_INTERVAL", "60").warnings;
    assert!(short[0].contains("60ms") && short[0].contains("milliseconds"), "{short:?}");
}

#[cfg(feature = "collector-http")]
#[test]
fn a_requests_time_limit_is_a_duration_too() {
    let timeout = |value| {
        let endpoint = ("JAEGER_ENDPOINT", "http://c");
        reporter(&[endpoint, ("JAEGER_REPORTER_TIMEOUT", value)]).sender_timeout
    };
    assert_eq!(timeout("250"), Duration::from_millis(250));
    assert_eq!(timeout("2s"), Duration::from_secs(2));
    assert_eq!(timeout("0"), ReporterConfig::default().sender_timeout);
}

#[test]
fn formats_are_named_in_their_order() {
    let names = |text| read(&[("JAEGER_PROPAGATION", text)]).unwrap().propagation;
    assert_eq!(names("jaeger,b3,w3c"), ["jaeger", "b3", "w3c"]);
    assert_eq!(names(" b3single , tracecontext,"), ["b3single", "tracecontext"]);
    let configuration =
        read(&[("JAEGER_SERVICE_NAME", "svc"), ("JAEGER_PROPAGATION", "w3c,jaeger")]);
    let (tracer, closer) = configuration.unwrap().new_tracer().unwrap();
    let mut headers = HashMap::new();
    tracer.inject(&tracer.start_span("op").context(), &mut headers);
    assert!(headers.contains_key("traceparent") && headers.contains_key("uber-trace-id"));
    let _ = closer.close(Duration::from_secs(1));
}

#[test]
fn errors_name_the_variable_the_value_and_what_is_allowed() {
    let endpoint = ("JAEGER_ENDPOINT", "http://c");
    let cases: [(&[_], &[&str]); 18] = [
        (&[("JAEGER_DISABLED", "on")], &["JAEGER_DISABLED", "\"on\"", "true"]),
        (&[("JAEGER_RPC_METRICS", "2")], &["JAEGER_RPC_METRICS", "\"2\"", "true"]),
        (&[("JAEGER_TRACEID_128BIT", "yes")], &["JAEGER_TRACEID_128BIT", "\"yes\"", "true"]),
        (&[("JAEGER_TAGS", "a=1,b")], &["JAEGER_TAGS", "\"b\"", "key=value"]),
        (&[("JAEGER_PROPAGATION", "xray")], &["JAEGER_PROPAGATION", "xray", "jaeger, b3"]),
        (&[("JAEGER_PROPAGATION", ",")], &["JAEGER_PROPAGATION", "\",\"", "names"]),
        (&[("JAEGER_SAMPLER_PARAM", "0,5")], &["JAEGER_SAMPLER_PARAM", "0,5", "number"]),
        (&[("JAEGER_SAMPLER_SAMPLING_PATH", "p")], &["JAEGER_SAMPLER_SAMPLING_PATH", "'/'"]),
        (&[("JAEGER_SAMPLER_MAX_OPERATIONS", "ten")], &["MAX_OPERATIONS", "ten", "whole number"]),
        (&[("JAEGER_SAMPLER_REFRESH_INTERVAL", "5 s")], &["REFRESH_INTERVAL", "5 s", "1m30s"]),
        (&[("JAEGER_REPORTER_MAX_QUEUE_SIZE", "1e3")], &["QUEUE_SIZE", "1e3", "whole number"]),
        (&[("JAEGER_AGENT_PORT", "abc")], &["JAEGER_AGENT_PORT", "abc", "port"]),
        (&[("JAEGER_AGENT_SOCKET_TYPE", "tcp")], &["SOCKET_TYPE", "\"tcp\"", "udp4"]),
        (&[("JAEGER_ENDPOINT", "NOT_A_URL")], &["JAEGER_ENDPOINT", "NOT_A_URL", "http://"]),
        (&[endpoint, ("JAEGER_USER", "u")], &["JAEGER_USER", "\"u\"", "JAEGER_PASSWORD"]),
        (
            &[endpoint, ("JAEGER_PASSWORD", "secret")],
            &["JAEGER_PASSWORD", "(hidden)", "JAEGER_USER"],
        ),
        (&[endpoint, ("JAEGER_REPORTER_TIMEOUT", "x")], &["TIMEOUT", "\"x\"", "milliseconds"]),
        (&[("JAEGER_ENDPOINT", "u:secret@c")], &["JAEGER_ENDPOINT", "(hidden)"]),
    ];
    for (variables, words) in cases {
        let error = read(variables).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{variables:?}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let error = read(&[
        ("JAEGER_DISABLED", "on"),
        ("JAEGER_SAMPLER_PARAM", "x"),
        ("JAEGER_AGENT_PORT", "y"),
    ]);
    let error = error.unwrap_err();
    assert!(matches!(&error, ConfigError::Several { errors } if errors.len() == 3));
    let text = error.to_string();
    let at = |name| text.find(name).unwrap();
    assert!(at("DISABLED") < at("PARAM") && at("PARAM") < at("PORT"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_value_that_is_no_text_is_an_error() {
    use std::os::unix::ffi::OsStringExt as _;
    let lookup = |name: &str| {
        (name == "JAEGER_SERVICE_NAME").then(|| std::ffi::OsString::from_vec(vec![b'a', 0xff]))
    };
    let error = Configuration::default().with_variables(lookup).unwrap_err().to_string();
    assert!(error.contains("JAEGER_SERVICE_NAME") && error.contains("UTF-8"), "{error}");
}

/// Runs in a process of its own, which the next test starts.
#[test]
#[ignore = "started by the_environment_of_the_process_is_read"]
fn in_a_process_with_variables() {
    let configuration = Configuration::from_env().unwrap();
    assert_eq!(configuration.service_name, "from-env");
    assert_eq!(configuration.tags, [("home".to_owned(), "here".into())]);
    assert_eq!(Configuration::new("given").with_env().unwrap(), configuration);
}

#[test]
fn the_environment_of_the_process_is_read() {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_a_process_with_variables", "--ignored"])
        .env("JAEGER_SERVICE_NAME", "from-env")
        .env("JAEGER_TAGS", "home=${JAEGER_TEST_HOME:nowhere}")
        .env("JAEGER_TEST_HOME", "here")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.status.success() && shown.contains("1 passed"), "{shown}");
}

#[test]
fn every_variable_that_is_read_is_in_the_readme() {
    let readme = include_str!("../README.md");
    let asked = std::cell::RefCell::new(Vec::new());
    for endpoint in [None, Some("http://c")] {
        let lookup = |name: &str| {
            asked.borrow_mut().push(name.to_owned());
            endpoint.filter(|_| name == "JAEGER_ENDPOINT")
        };
        // Without the feature that it needs, the endpoint is an error.
        let _ = Configuration::default().with_variables(lookup);
    }
    let asked = asked.into_inner();
    let older = |name: &str| {
        let older = ["_DISABLE", "_SAMPLER_HOST", "_SAMPLER_PORT", "_REPORTER_ENDPOINT"];
        let reporters = ["_REPORTER_USER", "_REPORTER_PASSWORD", "_REPORTER_AGENT_"];
        older.iter().any(|end| name.ends_with(end))
            || reporters.iter().any(|part| name.contains(part))
    };
    let current = asked.iter().filter(|name| !name.starts_with("OTEL_") && !older(name));
    assert!(current.clone().count() > 20);
    for name in current {
        assert!(readme.contains(&format!("| `{name}` |")), "{name} has no row");
    }
    for name in asked.iter().filter(|name| older(name)) {
        assert!(readme.contains(&format!("`{name}`")), "{name} is not named");
    }
}

proptest! {
    #[test]
    fn law_any_environment_is_a_configuration_or_an_error_that_names_a_variable(
        values in prop::collection::vec((any::<prop::sample::Index>(), "\\PC{0,12}"), 0..6),
    ) {
        let names = std::cell::RefCell::new(Vec::new());
        let _ = Configuration::default().with_variables(|name| -> Option<String> {
            names.borrow_mut().push(name.to_owned());
            None
        });
        let names = names.into_inner();
        let variables: HashMap<_, _> =
            values.iter().map(|(index, value)| (index.get(&names).clone(), value)).collect();
        let lookup = |name: &str| variables.get(name).map(|value| (*value).clone());
        match Configuration::default().with_variables(lookup) {
            Ok(_) => {}
            Err(error) => prop_assert!(error.to_string().contains("JAEGER_"), "{}", error),
        }
    }
}

#[test]
fn a_tracer_comes_of_an_environment_that_says_little() {
    let configuration = read(&[("JAEGER_SERVICE_NAME", "svc")]).unwrap();
    let (tracer, closer): (Tracer, _) = configuration.new_tracer().unwrap();
    assert!(tracer.start_span("op").is_sampled());
    drop(tracer);
    let _ = closer.close(Duration::from_secs(1));
}
