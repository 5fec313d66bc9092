//! Configuration from the environment: every variable, and what becomes of its value.

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use jaeger_client::{
    AgentSocketType, ConfigError, Configuration, ReporterConfig, SamplerConfig, Tracer,
};

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

#[cfg(feature = "remote-sampler")]
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
        trace_id_128bit: Some(true),
        sampler: SamplerConfig { param: 0.5, ..SamplerConfig::new("probabilistic") },
        ..Configuration::new("given")
    };
    let read =
        over(given.clone(), &[("JAEGER_SERVICE_NAME", "env"), ("JAEGER_SAMPLER_PARAM", "0.25")]);
    let sampler = SamplerConfig { param: 0.25, ..given.sampler.clone() };
    let expected = Configuration { service_name: "env".into(), sampler, ..given };
    assert_eq!(read.unwrap(), expected);
}

#[cfg(feature = "remote-sampler")]
#[test]
fn the_sampler_is_remote_where_any_variable_but_its_type_is_set() {
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
    assert_eq!(
        (agent.kind.as_str(), agent.param),
        ("const", 1.0),
        "an agent's address does not change it"
    );
}

#[cfg(feature = "remote-sampler")]
#[test]
fn a_sampler_without_parameter_has_its_own_default() {
    for (kind, param) in [("const", 1.0), ("probabilistic", 0.001), ("Remote", 0.001)] {
        let read = sampler(&[("JAEGER_SAMPLER_TYPE", kind)]);
        assert_eq!((read.kind.as_str(), read.param), (kind, param));
    }
}

#[cfg(feature = "remote-sampler")]
#[test]
fn the_most_specific_sampling_url_is_used() {
    let endpoint = ("JAEGER_SAMPLING_ENDPOINT", "http://e/x");
    let manager = ("JAEGER_SAMPLER_MANAGER_HOST_PORT", "m:1");
    let path = ("JAEGER_SAMPLER_SAMPLING_PATH", "/p");
    let host = ("JAEGER_AGENT_HOST", "::1");
    let with_port = ("JAEGER_AGENT_HOST", "a:6831");
    let socket = ("JAEGER_AGENT_HOST", "unix:@agent");
    let node = [("JAEGER_SAMPLER_HOST", "n"), ("JAEGER_SAMPLER_PORT", "2")];
    let cases: [(&[_], &str); 15] = [
        (&[endpoint, manager, path, host], "http://e/x"),
        (&[("JAEGER_SAMPLING_ENDPOINT", "e:1/x")], "http://e:1/x"),
        (&[manager, path, host], "http://m:1/p"),
        (&[manager], "http://m:1/sampling"),
        (&[manager, node[0], node[1]], "http://m:1/sampling"),
        (&node, "http://n:2/sampling"),
        (&[node[0], path], "http://n:5778/p"),
        (&[node[1], host], "http://127.0.0.1:2/sampling"),
        (&[host], "http://[::1]:5778/sampling"),
        (&[host, path], "http://[::1]:5778/p"),
        (&[with_port], "http://a:5778/sampling"),
        (&[path], "http://127.0.0.1:5778/p"),
        (&[socket], "http://127.0.0.1:5778/sampling"),
        (&[socket, path], "http://127.0.0.1:5778/p"),
        (&[], "http://127.0.0.1:5778/sampling"),
    ];
    for (variables, url) in cases {
        assert_eq!(sampler(variables).sampling_server_url, url, "{variables:?}");
    }
}

#[cfg(feature = "remote-sampler")]
#[test]
fn a_sampling_manager_is_a_host_with_the_port_and_scheme_that_are_set() {
    let path = ("JAEGER_SAMPLER_SAMPLING_PATH", "/p");
    for (text, url, url_with_path) in [
        ("h", "http://h:5778/sampling", "http://h:5778/p"),
        ("h:1", "http://h:1/sampling", "http://h:1/p"),
        ("h:1/", "http://h:1/sampling", "http://h:1/p"),
        ("h:1/sampling", "http://h:1/sampling", "http://h:1/sampling"),
        ("h/own?a=b", "http://h:5778/own?a=b", "http://h:5778/own?a=b"),
        ("::1", "http://[::1]:5778/sampling", "http://[::1]:5778/p"),
        ("[::1]:1", "http://[::1]:1/sampling", "http://[::1]:1/p"),
        (" h:1\n", "http://h:1/sampling", "http://h:1/p"),
        ("http://h", "http://h", "http://h/p"),
        ("http://h/", "http://h/", "http://h/"),
        ("HTTP://h:1/own", "http://h:1/own", "http://h:1/own"),
    ] {
        let manager = ("JAEGER_SAMPLER_MANAGER_HOST_PORT", text);
        assert_eq!(sampler(&[manager]).sampling_server_url, url, "{text:?}");
        assert_eq!(sampler(&[manager, path]).sampling_server_url, url_with_path, "{text:?}");
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
        (vec![host("a:1")], "a:1"),
        (vec![host("a:1"), ("JAEGER_AGENT_PORT", "1")], "a:1"),
        (vec![host("[::1]:1")], "[::1]:1"),
        (vec![host("fe80::1%eth0")], "[fe80::1%eth0]:6831"),
        (vec![host("[fe80::1%25eth0]:1")], "[fe80::1%eth0]:1"),
        (vec![host(" jaeger-agent\r\n")], "jaeger-agent:6831"),
        (
            vec![host("jaeger_agent.ns.svc.cluster.local.")],
            "jaeger_agent.ns.svc.cluster.local.:6831",
        ),
        (vec![host("a"), ("JAEGER_AGENT_PORT", " +7 ")], "a:7"),
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

#[cfg(feature = "collector-http")]
#[test]
fn credentials_stand_in_place_of_those_that_were_configured() {
    let reporter = ReporterConfig {
        collector_endpoint: Some("http://c".to_owned()),
        auth_token: Some("old".to_owned()),
        ..ReporterConfig::default()
    };
    let given = Configuration { reporter, ..Configuration::new("svc") };
    let basic = [("JAEGER_USER", "u"), ("JAEGER_PASSWORD", "p")];
    let read = over(given, &basic).unwrap();
    let ReporterConfig { user, password, auth_token, .. } = &read.reporter;
    let all = [user, password, auth_token].map(Option::as_deref);
    assert_eq!(all, [Some("u"), Some("p"), None]);
    let again = over(read.clone(), &[("JAEGER_PASSWORD", "other")]).unwrap().reporter;
    assert_eq!((again.user.as_deref(), again.password.as_deref()), (Some("u"), Some("other")));
    let ReporterConfig { user, password, auth_token, .. } =
        over(read, &[("JAEGER_AUTH_TOKEN", "t")]).unwrap().reporter;
    assert_eq!((user, password, auth_token.as_deref()), (None, None, Some("t")));
}

#[test]
fn credentials_without_a_collector_are_not_read_and_cause_a_warning() {
    let read = read(&[("JAEGER_USER", "u"), ("JAEGER_AUTH_TOKEN", "t")]).unwrap();
    assert_eq!(read.reporter, ReporterConfig::default());
    for (name, warning) in ["JAEGER_USER", "JAEGER_AUTH_TOKEN"].into_iter().zip(&read.warnings) {
        let expected = format!("{name} is set, but not read: it is a collector's");
        assert!(warning.starts_with(&expected), "{warning}");
    }
}

#[test]
fn sizes_and_intervals_of_zero_or_less_are_the_defaults() {
    let sizes = [
        "JAEGER_REPORTER_MAX_QUEUE_SIZE",
        "JAEGER_REPORTER_MAX_QUEUE_BYTES",
        "JAEGER_SAMPLER_MAX_OPERATIONS",
    ];
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
fn white_space_around_values_is_no_part_of_them() {
    let read = read(&[
        ("JAEGER_SERVICE_NAME", " caf\u{e9} \u{2615}\n"),
        ("JAEGER_RPC_METRICS", "true\r\n"),
        ("JAEGER_TAGS", "\n a = 1,\n b=two words\n"),
        ("JAEGER_PROPAGATION", "\tb3,\n jaeger "),
        ("JAEGER_SAMPLER_TYPE", " Probabilistic "),
        ("JAEGER_SAMPLER_PARAM", "\u{a0}0.5"),
        ("JAEGER_REPORTER_MAX_QUEUE_SIZE", " 10 "),
        ("JAEGER_REPORTER_MAX_QUEUE_BYTES", "1000000"),
    ])
    .unwrap();
    assert_eq!(read.service_name, "caf\u{e9} \u{2615}");
    assert!(read.rpc_metrics);
    let tags = [("a".to_owned(), "1".into()), ("b".to_owned(), "two words".into())];
    assert_eq!(read.tags, tags);
    assert_eq!(read.propagation, ["b3", "jaeger"]);
    assert_eq!((read.sampler.kind.as_str(), read.sampler.param), ("Probabilistic", 0.5));
    assert_eq!((read.reporter.queue_size, read.reporter.queue_bytes), (10, Some(1_000_000)));
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

/// Runs in its own process, which the next test starts.
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
        .args(["--exact", "config::values::in_a_process_with_variables", "--ignored"])
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
    let readme = include_str!("../../../README.md");
    let requested = std::cell::RefCell::new(Vec::new());
    for endpoint in [None, Some("http://c")] {
        let lookup = |name: &str| {
            requested.borrow_mut().push(name.to_owned());
            endpoint.filter(|_| name == "JAEGER_ENDPOINT")
        };
        // Without the feature that it needs, the endpoint is an error.
        let _ = Configuration::default().with_variables(lookup);
    }
    let requested = requested.into_inner();
    let older = |name: &str| {
        let older = ["_DISABLE", "_SAMPLER_HOST", "_SAMPLER_PORT", "_REPORTER_ENDPOINT"];
        let reporters = ["_REPORTER_USER", "_REPORTER_PASSWORD", "_REPORTER_AGENT_"];
        older.iter().any(|end| name.ends_with(end))
            || reporters.iter().any(|part| name.contains(part))
    };
    let current = requested.iter().filter(|name| !name.starts_with("OTEL_") && !older(name));
    assert!(current.clone().count() > 20);
    for name in current {
        assert!(readme.contains(&format!("| `{name}` |")), "{name} has no row");
    }
    for name in requested.iter().filter(|name| older(name)) {
        assert!(readme.contains(&format!("`{name}`")), "{name} is not named");
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
