//! Configuration from the environment: the switch to OTLP, and OpenTelemetry's variables.

use std::collections::HashMap;

use jaeger_client::{ConfigError, Configuration};

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn read(variables: Pairs<'_>) -> Result<Configuration, ConfigError> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Configuration::new("svc").with_variables(|name| variables.get(name).copied())
}

fn assert_refused(variables: Pairs<'_>, words: &[&str]) {
    let error = read(variables).map(|_| ()).unwrap_err().to_string();
    assert!(words.iter().all(|word| error.contains(word)), "{variables:?}: {error}");
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn the_switch_names_exporters_in_their_order_and_says_which_there_are() {
    assert_eq!(read(&[]).unwrap().exporters, ["jaeger"]);
    let read = |names| read(&[("JAEGER_TRACES_EXPORTER", names)]).map(|read| read.exporters);
    assert_eq!(read("jaeger").unwrap(), ["jaeger"]);
    assert_eq!(read("none").unwrap(), ["none"]);
    for names in ["zipkin", "jaeger,console", "otlp_proto_grpc"] {
        let words = ["JAEGER_TRACES_EXPORTER", "names of jaeger, otlp, none"];
        assert_refused(&[("JAEGER_TRACES_EXPORTER", names)], &words);
    }
    assert_refused(&[("JAEGER_TRACES_EXPORTER", ",")], &["JAEGER_TRACES_EXPORTER", "names of"]);
    assert_refused(&[("JAEGER_TRACES_EXPORTER", "none,jaeger")], &["\"none\" alone"]);
}

#[cfg(not(feature = "otlp"))]
#[test]
fn without_the_feature_the_switch_to_otlp_says_so_and_open_telemetrys_is_not_read() {
    for names in ["otlp", "jaeger,otlp"] {
        assert_refused(&[("JAEGER_TRACES_EXPORTER", names)], &["needs", "feature `otlp`"]);
    }
    let read = read(&[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_SERVICE_NAME", "other")]).unwrap();
    assert_eq!((read.exporters, &*read.service_name), (vec!["jaeger".to_owned()], "svc"));
    assert!(read.warnings[0].contains("OTEL_SERVICE_NAME, OTEL_TRACES_EXPORTER are set, but not"));
}

#[cfg(feature = "otlp")]
mod with_otlp {
    use std::fs;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::support::http::{Server, status};
    use crate::support::{SOON, memory_logger};

    const OTLP: (&str, &str) = ("JAEGER_TRACES_EXPORTER", "otlp");

    /// Returns what these variables make, where the exporter is `otlp`.
    fn read_with(variables: Pairs<'_>) -> Configuration {
        read(&[&[OTLP], variables].concat()).unwrap()
    }

    fn refused(name: &str, value: &str, words: &[&str]) {
        assert_refused(&[OTLP, (name, value)], &[&[name], words].concat());
    }

    #[test]
    fn both_switches_are_read_and_jaegers_own_comes_first() {
        for (variables, expected, warnings) in [
            (&[("OTEL_TRACES_EXPORTER", "otlp")][..], &["otlp"][..], 0),
            (&[("OTEL_TRACES_EXPORTER", "jaeger, OTLP,")], &["jaeger", "OTLP"], 0),
            (&[OTLP, ("OTEL_TRACES_EXPORTER", "zipkin")], &["otlp"], 1),
            (&[("JAEGER_TRACES_EXPORTER", "jaeger,otlp")], &["jaeger", "otlp"], 0),
        ] {
            let read = read(variables).unwrap();
            assert_eq!(read.exporters, expected, "{variables:?}");
            assert_eq!(read.warnings.len(), warnings, "{:?}", read.warnings);
        }
        let words = ["OTEL_TRACES_EXPORTER", "zipkin", "names of jaeger, otlp, none"];
        assert_refused(&[("OTEL_TRACES_EXPORTER", "zipkin")], &words);
    }

    #[test]
    fn open_telemetrys_variables_are_read_where_an_exporter_is_otlp_and_nowhere_else() {
        let set = [("OTEL_SERVICE_NAME", "other"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "no url")];
        let read = read(&set).unwrap();
        assert_eq!((&*read.service_name, read.notes.len()), ("svc", 0));
        assert!(read.warnings[0].contains("where JAEGER_TRACES_EXPORTER names otlp"));
        let read =
            read_with(&[("OTEL_SERVICE_NAME", "other"), ("OTEL_EXPORTER_JAEGER_AGENT_PORT", "1")]);
        assert_eq!(read.service_name, "other");
        assert_eq!(read.notes, ["read from the environment: OTEL_SERVICE_NAME"]);
        let unread =
            "OTEL_EXPORTER_JAEGER_AGENT_PORT is set, but not read: this client reads JAEGER_*";
        assert_eq!(read.warnings, [unread]);
    }

    #[test]
    fn the_endpoint_for_traces_is_taken_as_it_is_and_the_other_gets_the_path() {
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/otlp/");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:4318");
        let otlp = read_with(&[]).reporter.otlp;
        assert_eq!((&*otlp.endpoint, otlp.traces_endpoint), ("http://localhost:4318", None));
        let otlp = read_with(&[general]).reporter.otlp;
        assert_eq!((&*otlp.endpoint, otlp.traces_endpoint), ("http://c:4318/otlp/", None));
        let otlp = read_with(&[general, traces]).reporter.otlp;
        assert_eq!(otlp.traces_endpoint.as_deref(), Some("http://t:4318"));
        for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] {
            for url in ["collector:4318", "grpc://c:4317", "c", "http://", "http://c:0"] {
                refused(name, url, &["a URL such as http://collector:4318"]);
            }
            refused(name, "http://u:s3cret@c", &["(hidden)", "header"]);
            if cfg!(not(feature = "tls")) {
                assert_refused(&[OTLP, (name, "https://c")], &[name, "feature `tls`"]);
            }
        }
        let doubled = ["base URL", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
        refused("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/v1/traces", &doubled);
    }

    #[test]
    fn headers_are_percent_decoded_and_may_have_more_equals_signs() {
        let value = "authorization=Basic%20dTpwdw==, x-tenant = shop ,";
        for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
            let headers = read_with(&[(name, value)]).reporter.otlp.headers;
            let expected = [("authorization", "Basic dTpwdw=="), ("x-tenant", "shop")];
            assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
            for wrong in ["s3cret", "a=%zz s3cret", "=s3cret", "a b=s3cret", "a=x%0As3cret"] {
                refused(name, wrong, &["(hidden)"]);
            }
        }
        let both = [
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b=2"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=3"),
        ];
        assert_eq!(read_with(&both).reporter.otlp.headers, [("a".to_owned(), "3".to_owned())]);
    }

    #[test]
    fn the_timeout_is_in_milliseconds_and_for_all_attempts_together() {
        for (variables, millis) in [
            (&[][..], None),
            (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "2500")][..], Some(2_500)),
            (
                &[("OTEL_EXPORTER_OTLP_TIMEOUT", "5"), ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2s")],
                Some(2_000),
            ),
            (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "0")], Some(10_000)),
        ] {
            let otlp = read_with(variables).reporter.otlp;
            let expected = match millis {
                None => (Duration::from_secs(10), Duration::from_secs(30)),
                Some(millis) => (Duration::from_millis(millis), Duration::from_millis(millis)),
            };
            assert_eq!((otlp.timeout, otlp.retry_limit), expected, "{variables:?}");
        }
        refused("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", &["milliseconds"]);
    }

    #[test]
    fn unsupported_protocols_are_errors_and_unavailable_compression_is_a_warning() {
        for name in ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] {
            assert!(read_with(&[(name, "http/protobuf")]).warnings.is_empty());
            refused(name, "grpc", &["http/protobuf", "port 4318"]);
            refused(name, "http/json", &["http/protobuf"]);
        }
        for name in ["OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"] {
            assert!(read_with(&[(name, "none")]).warnings.is_empty());
            let warnings = read_with(&[(name, "gzip")]).warnings;
            let words = "built without its feature otlp-gzip";
            let has_warning = warnings.iter().any(|warning| warning.contains(words));
            assert_eq!(has_warning, cfg!(not(feature = "otlp-gzip")), "{warnings:?}");
            refused(name, "zstd", &["none or gzip"]);
        }
    }

    #[test]
    fn certificates_are_files_that_are_read_for_https_alone() {
        let file = format!("{}/no-pem", env!("CARGO_TARGET_TMPDIR"));
        fs::write(&file, "s3cret").unwrap();
        let certificate = ("OTEL_EXPORTER_OTLP_CERTIFICATE", file.as_str());
        let read = read_with(&[certificate]);
        assert_eq!(read.reporter.otlp.ca_certificates, None);
        assert!(read.warnings[0].contains("not an https URL"), "{:?}", read.warnings);
        if cfg!(not(feature = "tls")) {
            return;
        }
        let https = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4318");
        for name in [
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
        ] {
            for (value, words) in [
                ("/nowhere/ca.pem", &["/nowhere/ca.pem", "path of a file"][..]),
                ("/dev/zero", &["/dev/zero", "bytes at most"]),
                (file.as_str(), &["no-pem", "must be"]),
            ] {
                assert_refused(&[OTLP, https, (name, value)], &[&[name], words].concat());
            }
        }
    }

    #[test]
    fn the_service_and_its_tags_come_from_jaegers_variables_first() {
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,region=eu%2Cwest,team=x");
        for (variables, name, tags) in [
            (&[attributes][..], "a", &[("region", "eu,west"), ("team", "x")][..]),
            (
                &[attributes, ("OTEL_SERVICE_NAME", "b")],
                "b",
                &[("region", "eu,west"), ("team", "x")],
            ),
            (
                &[attributes, ("JAEGER_SERVICE_NAME", "c"), ("OTEL_SERVICE_NAME", "b")],
                "c",
                &[("region", "eu,west"), ("team", "x")],
            ),
            (
                &[attributes, ("JAEGER_TAGS", "team=y,spare=")],
                "a",
                &[("team", "y"), ("spare", ""), ("region", "eu,west")],
            ),
        ] {
            let read = read_with(variables);
            assert_eq!(read.service_name, name, "{variables:?}");
            let tags: Vec<_> = tags.iter().map(|(k, v)| (k.to_string(), (*v).into())).collect();
            assert_eq!(read.tags, tags, "{variables:?}");
        }
        let both = read_with(&[("JAEGER_SERVICE_NAME", "c"), ("OTEL_SERVICE_NAME", "b")]);
        let message = "OTEL_SERVICE_NAME is set, but not read: JAEGER_SERVICE_NAME is set too";
        assert_eq!(both.warnings, [message]);
        refused("OTEL_RESOURCE_ATTRIBUTES", "a=1,b", &["\"b\"", "key=value"]);
        refused("OTEL_RESOURCE_ATTRIBUTES", "a=%zz", &["a=%zz", "percent-encoded"]);
    }

    #[test]
    fn propagators_have_the_names_of_the_specification() {
        for (names, formats) in [
            ("tracecontext,baggage", &["w3c"][..]),
            ("jaeger,tracecontext", &["jaeger", "w3c"]),
            ("b3, b3multi,b3", &["b3-single", "b3"]),
        ] {
            assert_eq!(read_with(&[("OTEL_PROPAGATORS", names)]).propagation, formats);
        }
        let read = read_with(&[("OTEL_PROPAGATORS", "b3,baggage")]);
        assert!(read.warnings[0].contains("tracecontext alone"), "{:?}", read.warnings);
        for names in ["xray", "ottrace", "none", "jaeger,xray"] {
            refused("OTEL_PROPAGATORS", names, &["tracecontext, baggage, b3, b3multi, jaeger"]);
        }
        refused("OTEL_PROPAGATORS", "baggage", &["tracecontext"]);
        let both = [("OTEL_PROPAGATORS", "xray"), ("JAEGER_PROPAGATION", "b3")];
        let read = read_with(&both);
        assert_eq!(read.propagation, ["b3"]);
        assert!(read.warnings[0].contains("JAEGER_PROPAGATION is set too"), "{:?}", read.warnings);
    }

    #[test]
    fn samplers_have_the_names_of_the_specification() {
        let sampler = |name, argument| {
            let variables = [("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)];
            read_with(&variables).sampler
        };
        for (name, argument, kind, param) in [
            ("always_on", "", "const", 1.0),
            ("parentbased_always_off", "", "const", 0.0),
            ("traceidratio", "", "probabilistic", 1.0),
            ("parentbased_traceidratio", "0.25", "probabilistic", 0.25),
        ] {
            let sampler = sampler(name, argument);
            assert_eq!((&*sampler.kind, sampler.param), (kind, param), "{name}");
        }
        let note = &read_with(&[("OTEL_TRACES_SAMPLER", "always_on")]).notes[1];
        assert!(note.contains("parentbased_always_on"), "{note}");
        refused("OTEL_TRACES_SAMPLER", "sometimes", &["always_on", "jaeger_remote"]);
        let ratio = ("OTEL_TRACES_SAMPLER", "traceidratio");
        for wrong in ["half", "1.5", "-1", "NaN"] {
            let argument = ("OTEL_TRACES_SAMPLER_ARG", wrong);
            assert_refused(&[OTLP, ratio, argument], &["OTEL_TRACES_SAMPLER_ARG", "0 to 1"]);
        }
        let jaegers = ("JAEGER_SAMPLER_TYPE", "const");
        let read = read_with(&[ratio, jaegers]);
        assert_eq!((&*read.sampler.kind, read.notes.len()), ("const", 0));
        assert!(read.warnings[0].contains("JAEGER_SAMPLER_TYPE is set too"), "{:?}", read.warnings);
    }

    #[cfg(feature = "remote-sampler")]
    #[test]
    fn the_remote_sampler_gets_its_url_and_interval() {
        let read = |argument| {
            let name = ("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote");
            read(&[OTLP, name, ("OTEL_TRACES_SAMPLER_ARG", argument)])
        };
        let sampler = |argument| read(argument).unwrap().sampler;
        let all = sampler("endpoint=http://h:5778,pollingIntervalMs=5000,initialSamplingRate=0.25");
        assert_eq!((&*all.kind, all.param), ("remote", 0.25));
        assert_eq!(all.sampling_server_url, "http://h:5778/sampling");
        assert_eq!(all.sampling_refresh_interval, Duration::from_secs(5));
        let url = sampler("endpoint=http://h:14268/api/sampling").sampling_server_url;
        assert_eq!(url, "http://h:14268/api/sampling");
        for (wrong, word) in [
            ("endpoint=http://h:14250", "14250 takes gRPC"),
            ("endpoint=", "an endpoint"),
            ("pollingIntervalMs=0", "pollingIntervalMs"),
            ("initialSamplingRate=2", "0 to 1"),
            ("initialSamplingRate=x", "initialSamplingRate"),
            ("rate=1", "endpoint=URL"),
        ] {
            let error = read(wrong).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("SAMPLER_ARG") && error.contains(word), "{wrong}: {error}");
        }
    }

    #[test]
    fn ids_have_128_bits_with_otlp_or_w3c_unless_configured_otherwise() {
        let is_wide = |variables: Pairs<'_>| {
            let configuration = read(variables).unwrap();
            let built = configuration.new_tracer_with(|builder| builder.null_reporter());
            let (tracer, _closer) = built.unwrap();
            tracer.start_span("op").context().trace_id().high() != 0
        };
        let narrow = ("JAEGER_TRACEID_128BIT", "false");
        for (variables, expected) in [
            (&[][..], false),
            (&[OTLP][..], true),
            (&[("JAEGER_TRACES_EXPORTER", "jaeger,otlp")], true),
            (&[("JAEGER_PROPAGATION", "jaeger,w3c")], true),
            (&[OTLP, narrow], false),
            (&[("JAEGER_TRACEID_128BIT", "true")], true),
        ] {
            assert_eq!(is_wide(variables), expected, "{variables:?}");
        }
    }

    #[test]
    fn every_variable_that_is_read_with_otlp_is_in_the_readme() {
        let readme = include_str!("../../../README.md");
        let requested = std::cell::RefCell::new(std::collections::BTreeSet::new());
        let lookup = |name: &str| {
            requested.borrow_mut().insert(name.to_owned());
            match name {
                "OTEL_TRACES_EXPORTER" => Some("otlp"),
                "OTEL_TRACES_SAMPLER" => Some("always_on"),
                _ => None,
            }
        };
        Configuration::default().with_variables(lookup).unwrap();
        let not_read = ["OTEL_SDK_DISABLED", "OTEL_EXPORTER_JAEGER_"];
        let requested = requested.into_inner();
        let read = requested.iter().filter(|name| {
            name.starts_with("OTEL_") && !not_read.iter().any(|start| name.starts_with(start))
        });
        assert!(read.clone().count() > 20);
        for name in read {
            assert!(readme.contains(&format!("`{name}`")), "{name} has no row");
        }
    }

    #[test]
    fn what_is_set_for_an_exporter_that_is_not_used_is_named() {
        let read = read_with(&[("JAEGER_ENDPOINT", "no url"), ("JAEGER_AGENT_PORT", "no port")]);
        assert_eq!(read.warnings, ["JAEGER_ENDPOINT is set, but not read: no exporter is jaeger"]);
    }

    #[test]
    fn the_environment_alone_makes_a_tracer_that_sends_as_otlp() {
        let server = Server::start(|_, _| status(200));
        let (url, logger) = (server.url() + "/otlp", memory_logger());
        let configuration = read(&[
            ("OTEL_TRACES_EXPORTER", "otlp"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b"),
            ("OTEL_SERVICE_NAME", "checkout"),
            ("OTEL_SDK_DISABLED", "true"),
        ]);
        let configuration = configuration.unwrap();
        let logger = Arc::clone(&logger);
        let (tracer, closer) =
            configuration.new_tracer_with(|builder| builder.logger(Arc::clone(&logger))).unwrap();
        tracer.start_span("op").finish();
        let report = closer.close(SOON);
        assert_eq!(report.stats.acknowledged, 1, "{report}");
        let request = &server.requests()[0];
        assert_eq!(request.line, "POST /otlp/v1/traces HTTP/1.1");
        assert_eq!(request.header("x-key"), Some("a b"));
        assert!(request.body.windows(8).any(|bytes| bytes == b"checkout"));
        assert!(logger.has("OTEL_SDK_DISABLED is set, but not read"), "{:?}", logger.all());
        assert!(!format!("{configuration:?}").contains("a b"), "headers are secret");
    }
}
