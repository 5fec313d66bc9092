//! Configuration from the environment: every invalid value of a variable, and its error.

use std::collections::HashMap;
use std::time::Duration;

use jaeger_client::{ConfigError, Configuration, NullLogger};
use proptest::prelude::*;

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn read(variables: Pairs<'_>) -> Result<Configuration, ConfigError> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Configuration::new("svc").with_variables(|name| variables.get(name).copied())
}

fn error(variables: Pairs<'_>) -> String {
    match read(variables) {
        Ok(_) => {
            panic!("{:?} is taken", variables.iter().map(|(name, _)| name).collect::<Vec<_>>())
        }
        Err(error) => error.to_string(),
    }
}

/// Asserts that a text has all of these words, and no secret.
fn assert_says(text: &str, words: &[&str], of: &dyn std::fmt::Debug) {
    assert!(words.iter().all(|word| text.contains(word)), "{of:?}: {text} lacks some of {words:?}");
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn errors_name_the_variable_the_value_and_what_is_allowed() {
    let endpoint = ("JAEGER_ENDPOINT", "http://c");
    let cases: [(Pairs<'_>, &[&str]); 37] = [
        (&[("JAEGER_SERVICE_NAME", "$(NAME)")], &["JAEGER_SERVICE_NAME", "$(NAME)", "Kubernetes"]),
        (&[("JAEGER_SERVICE_NAME", "\"svc\"")], &["JAEGER_SERVICE_NAME", "quotes", "--env-file"]),
        (&[("JAEGER_SERVICE_NAME", "a\nb")], &["JAEGER_SERVICE_NAME", "a\\nb", "one line", "YAML"]),
        (&[("JAEGER_SERVICE_NAME", "a\u{200b}")], &["JAEGER_SERVICE_NAME", "invisible"]),
        (&[("JAEGER_SERVICE_NAME", "a\u{202e}b")], &["JAEGER_SERVICE_NAME", "invisible"]),
        (&[("JAEGER_DISABLED", "on")], &["JAEGER_DISABLED", "\"on\"", "true"]),
        (&[("JAEGER_DISABLE", "on")], &["JAEGER_DISABLE is \"on\"", "true"]),
        (&[("JAEGER_RPC_METRICS", "2")], &["JAEGER_RPC_METRICS", "\"2\"", "true"]),
        (&[("JAEGER_TRACEID_128BIT", "yes")], &["JAEGER_TRACEID_128BIT", "\"yes\"", "true"]),
        (&[("JAEGER_RECORD_BACKTRACES", "full")], &["JAEGER_RECORD_BACKTRACES", "full", "true"]),
        (&[("JAEGER_TAGS", "a=1,b")], &["JAEGER_TAGS", "\"b\"", "key=value"]),
        (&[("JAEGER_TAGS", "a=1\nb=2")], &["JAEGER_TAGS", "a=1\\nb=2", "commas"]),
        (&[("JAEGER_TAGS", "x://u:s3cret@h")], &["JAEGER_TAGS", "(hidden)", "key=value"]),
        (&[("JAEGER_PROPAGATION", "xray")], &["JAEGER_PROPAGATION", "xray", "jaeger, b3"]),
        (&[("JAEGER_PROPAGATION", ",")], &["JAEGER_PROPAGATION", "\",\"", "names"]),
        (&[("JAEGER_SAMPLER_TYPE", "always")], &["JAEGER_SAMPLER_TYPE", "always", "const, prob"]),
        (&[("JAEGER_SAMPLER_PARAM", "0,5")], &["JAEGER_SAMPLER_PARAM", "0,5", "number"]),
        (&[("JAEGER_SAMPLER_SAMPLING_PATH", "p")], &["JAEGER_SAMPLER_SAMPLING_PATH", "'/'"]),
        (&[("JAEGER_SAMPLER_SAMPLING_PATH", "/a b")], &["JAEGER_SAMPLER_SAMPLING_PATH", "'/'"]),
        (&[("JAEGER_SAMPLER_MAX_OPERATIONS", "ten")], &["MAX_OPERATIONS", "ten", "whole number"]),
        (&[("JAEGER_SAMPLER_REFRESH_INTERVAL", "5 s")], &["REFRESH_INTERVAL", "5 s", "1m30s"]),
        (
            &[("JAEGER_SAMPLER_MANAGER_HOST_PORT", "tcp://h:1")],
            &["HOST_PORT", "enableServiceLinks"],
        ),
        (
            &[("JAEGER_SAMPLER_MANAGER_HOST_PORT", "h:x")],
            &["MANAGER_HOST_PORT", "h:x", "host:port"],
        ),
        (&[("JAEGER_SAMPLING_ENDPOINT", "ftp://h")], &["SAMPLING_ENDPOINT", "ftp://h", "http://"]),
        (&[("JAEGER_SAMPLER_HOST", "a/b")], &["JAEGER_SAMPLER_HOST", "a/b", "host name"]),
        (&[("JAEGER_SAMPLER_PORT", "0")], &["JAEGER_SAMPLER_PORT", "\"0\"", "65535"]),
        (&[("JAEGER_REPORTER_MAX_QUEUE_SIZE", "1e3")], &["QUEUE_SIZE", "1e3", "whole number"]),
        (&[("JAEGER_REPORTER_MAX_QUEUE_SIZE", "100000001")], &["QUEUE_SIZE", "up to 100000000"]),
        (&[("JAEGER_REPORTER_MAX_QUEUE_BYTES", "16M")], &["QUEUE_BYTES", "16M", "whole number"]),
        (&[("JAEGER_REPORTER_MAX_QUEUE_BYTES", "64999")], &["QUEUE_BYTES", "from 65000"]),
        (&[("JAEGER_AGENT_SOCKET_TYPE", "tcp")], &["SOCKET_TYPE", "\"tcp\"", "udp4"]),
        (&[("JAEGER_ENDPOINT", "NOT_A_URL")], &["JAEGER_ENDPOINT", "NOT_A_URL", "http://"]),
        (
            &[("JAEGER_ENDPOINT", "http://u:s3cret@c")],
            &["JAEGER_ENDPOINT", "(hidden)", "JAEGER_USER"],
        ),
        (&[("JAEGER_ENDPOINT", "u:s3cret@c")], &["JAEGER_ENDPOINT", "(hidden)"]),
        (&[endpoint, ("JAEGER_USER", "u")], &["JAEGER_USER", "\"u\"", "JAEGER_PASSWORD"]),
        (
            &[endpoint, ("JAEGER_PASSWORD", "s3cret")],
            &["JAEGER_PASSWORD", "(hidden)", "JAEGER_USER"],
        ),
        (&[endpoint, ("JAEGER_REPORTER_TIMEOUT", "x")], &["TIMEOUT", "\"x\"", "milliseconds"]),
    ];
    for (variables, words) in cases {
        assert_says(&error(variables), words, &variables);
    }
    let all =
        [endpoint, ("JAEGER_USER", "u"), ("JAEGER_PASSWORD", "p"), ("JAEGER_AUTH_TOKEN", "s3cret")];
    assert_says(&error(&all), &["JAEGER_AUTH_TOKEN", "(hidden)", "without JAEGER_USER"], &all);
    let broken = [endpoint, ("JAEGER_AUTH_TOKEN", "s3\ncret")];
    assert_says(&error(&broken), &["JAEGER_AUTH_TOKEN", "(hidden)", "one line"], &broken);
}

/// Values as people set them: what can be understood is, and nothing else is taken for a host.
#[test]
fn an_agents_host_is_understood_or_refused() {
    let agent =
        |host| read(&[("JAEGER_AGENT_HOST", host)]).map(|c| c.reporter.local_agent_host_port);
    for (host, expected) in [
        ("jaeger-agent:6831", "jaeger-agent:6831"),
        ("jaeger-agent\n", "jaeger-agent:6831"),
        (" jaeger-agent", "jaeger-agent:6831"),
        ("10.0.0.1:1", "10.0.0.1:1"),
    ] {
        assert_eq!(agent(host).unwrap(), expected, "{host:?}");
    }
    for (host, hint) in [
        ("http://jaeger-agent", "JAEGER_ENDPOINT"),
        ("udp://10.0.0.1:6831", "enableServiceLinks: false"),
        ("\"jaeger-agent\"", "--env-file"),
        ("'jaeger-agent'", "--env-file"),
        ("$(HOST_IP)", "Kubernetes leaves"),
        ("${HOST_IP}", "expanded"),
        ("$HOST_IP", "expanded"),
        ("{{ .Values.host }}", "template"),
        ("a\nb", "YAML"),
        ("j\u{e4}ger", "ASCII"),
        ("agent\u{200b}", "ASCII"),
        ("10.0.0.1/path", "host name"),
        ("a b", "host name"),
        ("a:0", "host name"),
        ("a:70000", "host name"),
        ("a:b", "host name"),
        (":6831", "host name"),
        ("10.0.0.256", "host name"),
        ("a,b", "host name"),
        ("[::1", "host name"),
        ("[::1]:", "host name"),
        ("::1%", "host name"),
        ("::1:6831", "brackets"),
        ("fd00:10:244::7:6831", "brackets"),
        ("user@host", "host name"),
        ("unix:agent", "unix:/path/to/socket"),
    ] {
        let error = agent(host).map_err(|error| error.to_string()).unwrap_err();
        assert_says(&error, &["JAEGER_AGENT_HOST is ", hint], &host);
    }
    let long = format!("unix:/{}", "x".repeat(200));
    let error = agent(&long).unwrap_err().to_string();
    assert_says(&error, &["JAEGER_AGENT_HOST is ", "bytes"], &"a long path");
    assert!(error.len() < 400, "{error}");
}

#[cfg(feature = "remote-sampler")]
#[test]
fn an_agent_with_a_zone_gets_spans_and_no_requests() {
    let zone = ("JAEGER_AGENT_HOST", "fe80::1%eth0");
    let agent = read(&[zone]).unwrap().reporter.local_agent_host_port;
    assert_eq!(agent, "[fe80::1%eth0]:6831");
    let remote = ("JAEGER_SAMPLER_TYPE", "remote");
    let words = ["JAEGER_AGENT_HOST is \"fe80::1%eth0\"", "zone", "JAEGER_SAMPLING_ENDPOINT"];
    assert_says(&error(&[zone, remote]), &words, &"zone");
    assert!(read(&[zone, remote, ("JAEGER_SAMPLING_ENDPOINT", "http://h/sampling")]).is_ok());
}

#[test]
fn an_agents_port_is_one_and_the_same_as_that_of_the_host() {
    for port in ["0", "70000", "-1", "abc", "6831.5", "1_000", "\u{ff11}", "6831/udp"] {
        let error = error(&[("JAEGER_AGENT_PORT", port)]);
        assert_says(&error, &["JAEGER_AGENT_PORT is ", "from 1 to 65535"], &port);
    }
    let both = [("JAEGER_AGENT_HOST", "a:1"), ("JAEGER_AGENT_PORT", "2")];
    assert_says(&error(&both), &["JAEGER_AGENT_PORT is \"2\"", "JAEGER_AGENT_HOST"], &both);
}

#[test]
fn a_service_link_is_named_with_the_way_to_remove_it() {
    for link in ["tcp://10.0.0.1:6831", "udp://10.0.0.1:6831"] {
        let error = error(&[("JAEGER_AGENT_PORT", link)]);
        assert_says(&error, &["JAEGER_AGENT_PORT", link, "enableServiceLinks: false"], &link);
    }
    // The error of a service with the name of an older variable is that of any other service.
    let linked =
        read(&[("JAEGER_SAMPLER_PORT", "tcp://10.0.0.1:5778"), ("JAEGER_SAMPLER_TYPE", "const")]);
    assert_eq!(linked.unwrap().warnings, [""; 0]);
}

#[test]
fn what_is_disabled_looks_at_no_other_variable() {
    for name in ["JAEGER_DISABLED", "JAEGER_DISABLE"] {
        let read = Configuration::default().with_variables(|requested| {
            Some(if requested == name { "true" } else { "tcp://no \u{7}=thing" })
        });
        // The newer name, where it is there, is the one that counts.
        let Ok(read) = read else {
            assert_eq!(name, "JAEGER_DISABLE");
            continue;
        };
        let expected = Configuration { disabled: true, ..Configuration::default() };
        assert_eq!(read, expected, "{name}");
        let (tracer, closer) = read.new_tracer().unwrap();
        tracer.start_span("op").finish();
        assert_eq!(closer.close(Duration::ZERO).stats.not_sampled, 1);
    }
    let link = ("JAEGER_AGENT_PORT", "tcp://10.0.0.1:6831");
    for disabled in [("JAEGER_DISABLED", "true"), ("JAEGER_DISABLE", "true")] {
        assert!(read(&[disabled, link]).unwrap().disabled);
    }
    let given = Configuration { disabled: true, ..Configuration::default() };
    assert!(given.clone().with_variables(|name| (name == link.0).then_some(link.1)).is_ok());
    let enabled = |name: &str| match name {
        "JAEGER_DISABLED" => Some("false"),
        name => (name == link.0).then_some(link.1),
    };
    assert!(given.with_variables(enabled).is_err(), "a variable stands over what is configured");
    let formats = [("JAEGER_DISABLED", "1"), ("JAEGER_PROPAGATION", "w3c,b3"), link];
    assert_eq!(
        read(&formats).unwrap().propagation,
        ["w3c", "b3"],
        "contexts are handed on in them"
    );
}

#[test]
fn a_samplers_parameter_is_held_to_its_kind() {
    for (kind, param, words) in [
        ("probabilistic", "2", "from 0 to 1"),
        ("probabilistic", "50", "from 0 to 1"),
        ("probabilistic", "NaN", "from 0 to 1"),
        ("Remote", "-0.1", "from 0 to 1"),
        ("ratelimiting", "-1", "0 or more"),
        ("ratelimiting", "inf", "0 or more"),
        ("const", "nan", "0 or 1"),
    ] {
        if kind == "Remote" && cfg!(not(feature = "remote-sampler")) {
            continue;
        }
        let error = error(&[("JAEGER_SAMPLER_TYPE", kind), ("JAEGER_SAMPLER_PARAM", param)]);
        let value = format!("JAEGER_SAMPLER_PARAM is {param:?}");
        assert_says(&error, &[&value, words], &kind);
    }
    let many = read(&[("JAEGER_SAMPLER_TYPE", "const"), ("JAEGER_SAMPLER_PARAM", "0.5")]).unwrap();
    assert_says(&many.warnings[0], &["JAEGER_SAMPLER_PARAM is 0.5", "every trace"], &"const");
}

#[cfg(feature = "remote-sampler")]
#[test]
fn a_parameter_alone_names_the_sampler_that_it_chose() {
    let error = error(&[("JAEGER_SAMPLER_PARAM", "2")]);
    let words = [
        "JAEGER_SAMPLER_PARAM is \"2\"",
        "probability",
        "JAEGER_SAMPLER_TYPE is not set",
        "\"remote\"",
    ];
    assert_says(&error, &words, &"alone");
}

#[test]
fn what_needs_a_feature_that_is_off_is_an_error_of_the_variable() {
    let remote = cfg!(feature = "remote-sampler");
    for (variable, feature, is_on) in [
        (("JAEGER_ENDPOINT", "http://c"), "`collector-http`", cfg!(feature = "collector-http")),
        (("JAEGER_ENDPOINT", "https://c"), "feature", cfg!(feature = "tls")),
        (("JAEGER_SAMPLER_TYPE", "remote"), "`remote-sampler`", remote),
        (("JAEGER_SAMPLER_PARAM", "1"), "`remote-sampler`", remote),
        (("JAEGER_SAMPLING_ENDPOINT", "https://s"), "feature", remote && cfg!(feature = "tls")),
    ] {
        let outcome = read(&[variable]);
        assert_eq!(outcome.is_ok(), is_on, "{variable:?}");
        if let Err(error) = outcome {
            assert_says(&error.to_string(), &[variable.0, feature], &variable);
        }
    }
}

#[test]
fn all_that_is_wrong_is_reported_at_once_and_each_once() {
    let wrong = [
        ("JAEGER_SERVICE_NAME", "\"svc\""),
        ("JAEGER_DISABLED", "on"),
        ("JAEGER_RPC_METRICS", "on"),
        ("JAEGER_TRACEID_128BIT", "on"),
        ("JAEGER_TAGS", "a"),
        ("JAEGER_PROPAGATION", "xray"),
        ("JAEGER_SAMPLER_TYPE", "always"),
        ("JAEGER_SAMPLER_PARAM", "x"),
        ("JAEGER_SAMPLING_ENDPOINT", "ftp://h"),
        ("JAEGER_SAMPLER_SAMPLING_PATH", "x"),
        ("JAEGER_SAMPLER_MAX_OPERATIONS", "x"),
        ("JAEGER_SAMPLER_REFRESH_INTERVAL", "x"),
        ("JAEGER_REPORTER_MAX_QUEUE_SIZE", "x"),
        ("JAEGER_REPORTER_FLUSH_INTERVAL", "x"),
        ("JAEGER_REPORTER_LOG_SPANS", "x"),
        ("JAEGER_AGENT_HOST", "http://h"),
        ("JAEGER_AGENT_PORT", "70000"),
        ("JAEGER_AGENT_SOCKET_TYPE", "x"),
        ("JAEGER_REPORTER_ATTEMPT_RECONNECTING_DISABLED", "x"),
        ("JAEGER_REPORTER_ATTEMPT_RECONNECT_INTERVAL", "x"),
    ];
    let error = read(&wrong).unwrap_err();
    let ConfigError::Several { errors } = &error else { panic!("{error}") };
    let mut named: Vec<&str> = errors
        .iter()
        .map(|error| match error {
            ConfigError::Variable { name, .. } => *name,
            other => panic!("{other}"),
        })
        .collect();
    named.sort_unstable();
    let mut expected = wrong.map(|(name, _)| name);
    expected.sort_unstable();
    assert_eq!(named, expected);
    let text = error.to_string();
    for name in expected {
        assert!(text.contains(&format!("{name} is ")), "{name}: {text}");
    }
}

#[cfg(unix)]
#[test]
fn a_value_that_is_no_text_is_an_error_of_its_variable() {
    use std::os::unix::ffi::OsStringExt as _;
    let requested = std::cell::RefCell::new(Vec::new());
    let _ = Configuration::default().with_variables(|name| -> Option<String> {
        requested.borrow_mut().push(name.to_owned());
        None
    });
    let requested = requested.into_inner();
    for name in requested.iter().filter(|name| name.starts_with("JAEGER_")) {
        let of_collector =
            ["_USER", "_PASSWORD", "_TOKEN", "_TIMEOUT"].iter().any(|end| name.ends_with(end));
        if of_collector && cfg!(not(feature = "collector-http")) {
            continue;
        }
        let lookup = |other: &str| match other {
            other if other == name => Some(std::ffi::OsString::from_vec(vec![b's', b'3', 0xff])),
            "JAEGER_ENDPOINT" if of_collector => Some("http://c".into()),
            _ => None,
        };
        let error = Configuration::default().with_variables(lookup).unwrap_err().to_string();
        assert_says(&error, &[name, "UTF-8"], name);
        let secret = ["PASSWORD", "TOKEN"].iter().any(|part| name.contains(part));
        assert_eq!(error.contains("s3"), !secret, "{error}");
    }
}

#[test]
fn names_and_tags_too_large_for_a_datagram_are_errors_of_the_variable() {
    let tags: Vec<_> = (0..400).map(|n| format!("key-{n}={}", "v".repeat(200))).collect();
    let tags = error(&[("JAEGER_TAGS", &tags.join(","))]);
    assert_says(&tags, &["JAEGER_TAGS is \"", " bytes\"", "datagram"], &"tags");
    let name = error(&[("JAEGER_SERVICE_NAME", &"x".repeat(70_000))]);
    assert_says(&name, &["JAEGER_SERVICE_NAME is \"70000 bytes\"", "datagram"], &"name");
}

/// Values that are likely to be taken for what they are not.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,12}",
        "[a-z]{1,3}:?[0-9]{0,6}/?[a-z]{0,3}",
        "(http|https|tcp|unix)?(://|:)?[a-z@:.\\[\\]%]{0,8}(:[0-9]{1,5})?(/[a-z]{0,3})?",
        "-?[0-9]{1,12}(\\.[0-9]{1,3})?(ms|s|m|h)?",
        prop::sample::select(vec![
            "true",
            "0",
            "1",
            "const",
            "probabilistic",
            "ratelimiting",
            "remote",
            "Remote",
            "jaeger,b3",
            "w3c",
            "a=b",
            "a=${JAEGER_TAGS:x}",
            "::1",
            "[::1]:1",
            "fe80::1%eth0",
            "unix:/a",
            "unix:@a",
            "http://h/x?y=z",
            "https://h",
            "h:1",
            "udp4",
            "inf",
            "NaN",
            "2562047h",
            "9223372036854",
            "18446744073709551615",
            "100000000",
            "$(X)",
            "\"x\"",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Nothing that comes from a variable fails later, and each error is a variable's.
    #[test]
    fn law_any_environment_makes_a_tracer_or_is_an_error_that_names_its_variables(
        values in prop::collection::vec((any::<prop::sample::Index>(), value()), 0..8),
    ) {
        let names = std::cell::RefCell::new(Vec::new());
        let _ = Configuration::default().with_variables(|name| -> Option<String> {
            // Those that name proxies are not checked before a request would go through one.
            if name.starts_with("JAEGER_") {
                names.borrow_mut().push(name.to_owned());
            }
            None
        });
        let names = names.into_inner();
        let variables: HashMap<_, _> =
            values.iter().map(|(index, value)| (index.get(&names).clone(), value)).collect();
        let lookup = |name: &str| variables.get(name).map(|value| (*value).clone());
        let errors = match Configuration::new("svc").with_variables(lookup) {
            Ok(read) => {
                // Asking servers that are not there has no part in it.
                let made = read.new_tracer_with(|builder| builder.logger(NullLogger));
                prop_assert!(made.is_ok(), "{variables:?}: {}", made.unwrap_err());
                let (_, closer) = made.unwrap();
                let _ = closer.close(Duration::ZERO);
                Vec::new()
            }
            Err(ConfigError::Several { errors }) => errors,
            Err(error) => vec![error],
        };
        for error in errors {
            let (ConfigError::Variable { name: field, .. } | ConfigError::FeatureOff { field, .. }) =
                &error
            else {
                return Err(TestCaseError::fail(format!("{variables:?}: {error}")));
            };
            prop_assert!(variables.contains_key(*field), "{variables:?}: {error}");
        }
    }
}
