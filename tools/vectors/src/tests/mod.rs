use super::*;

mod members;

/// The public files, as text, by name.
fn public_files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn public_file(kind: &str) -> Value {
    let name = format!("{kind}_public.json");
    let (_, text) = public_files().into_iter().find(|(file, _)| *file == name).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn run(file: &Value) -> Report {
    let mut report = Report::default();
    run_text("file", &file.to_string(), None, &mut report).unwrap();
    report
}

#[test]
fn all_public_cases_pass() {
    let files = public_files();
    assert_eq!(files.len(), KINDS.len());
    for (name, text) in files {
        let mut report = Report::default();
        run_text(&name, &text, None, &mut report).unwrap();
        assert_eq!(report.failed(), 0, "{report}");
        assert!(report.passed() > 0 && report.skipped() == 0, "{name}: {report}");
    }
}

#[test]
fn the_report_ends_with_the_totals_alone_on_a_line() {
    let text = run(&public_file("datagrams")).to_string();
    let last = text.lines().last().unwrap();
    assert_eq!(last, "37 passed, 0 failed, 0 skipped");
}

/// Changes the last hex digit of a text.
fn corrupt(hex: &mut Value) {
    let mut text = hex.as_str().unwrap().to_owned();
    let other = if text.pop() == Some('0') { '1' } else { '0' };
    text.push(other);
    *hex = Value::from(text);
}

#[test]
fn a_changed_byte_fails_in_every_format() {
    for pointer in [
        "/expected/udp/compact_hex",
        "/expected/emit_batch_binary_hex",
        "/expected/http/body_hex",
        "/expected/zipkin_http/body_hex",
    ] {
        let mut file = public_file("datagrams");
        corrupt(file["cases"][0].pointer_mut(pointer).unwrap());
        let report = run(&file);
        assert_eq!((report.passed(), report.failed()), (36, 1), "{pointer}");
        let shown = report.to_string();
        assert!(shown.starts_with("FAILED file minimal_root: "), "{shown}");
    }
}

#[test]
fn a_changed_size_fails() {
    let mut file = public_file("datagrams");
    file["cases"][0]["expected"]["span_sizes_compact"][0] = Value::from(50);
    assert_eq!(run(&file).failed(), 1);
}

/// Puts `value` where `pointer` says in the case of that name.
fn changed(kind: &str, case: &str, pointer: &str, value: Value) -> Report {
    let mut file = public_file(kind);
    let cases = file["cases"].as_array_mut().unwrap();
    let case = cases.iter_mut().find(|found| found["name"] == case).unwrap();
    *case.pointer_mut(pointer).unwrap() = value;
    run(&file)
}

#[test]
fn a_changed_expectation_fails_in_every_kind() {
    let span_id = Value::from("fedcba9876543211");
    for (kind, case, pointer, value) in [
        ("extract", "full_64/http", "/expected/context/span_id", span_id),
        ("extract", "full_64/textmap", "/expected/child/flags", Value::from(0)),
        ("extract", "full_64/http", "/expected/child/references", Value::from(2)),
        ("extract", "five_parts/http", "/expected/error", Value::from("bad_number")),
        ("extract", "bin_basic", "/expected/context/flags", Value::from(2)),
        ("extract", "b3_full", "/expected/context/parent_id", Value::from("0000000000000000")),
        ("inject", "http/minimal", "/expected/carrier/0/1", Value::from("1:2:0:1")),
        ("inject", "b3/minimal", "/expected/carrier/0/0", Value::from("x-b3-flags")),
        ("inject", "binary/minimal", "/expected/hex", Value::from("00")),
        ("probabilistic", "rate_0.25", "/expected/boundary", Value::from("1")),
        ("probabilistic", "rate_0.25", "/expected/decisions/0/sampled", Value::from(false)),
        ("probabilistic", "rate_0.25", "/expected/sampler_tags/0/value", Value::from("const")),
        ("probabilistic", "new_1.5", "/expected/error", Value::from(false)),
        ("ratelimit", "two_per_second", "/steps/2/allowed", Value::from(true)),
        ("ratelimit", "cost_fraction", "/steps/1/balance_after_bits", "3fd0000000000001".into()),
        ("ratelimit", "sampler_2", "/steps/4/sampled", Value::from(false)),
        ("ratelimit", "sampler_0.1", "/steps/0/tags/1/bits", Value::from("3fb9999999999999")),
        ("ratelimit", "lower_bound_only", "/steps/3/sampled", Value::from(false)),
        ("peroperation", "known_and_unknown", "/steps/0/tags/0/value", "probabilistic".into()),
        ("peroperation", "max_operations", "/steps/3/sampled", Value::from(true)),
        ("peroperation", "update_keeps_bucket", "/steps/3/sampler/lower_bound", 1.into()),
        ("peroperation", "default_cap", "/final_sampler/operations/x/sampling_rate", 1.into()),
        ("peroperation", "no_late_binding_rename", "/steps/1/final_after", Value::from(false)),
        ("remote_sampling", "to_adaptive", "/steps/0/sampler/default_rate", 0.2.into()),
        ("remote_sampling", "to_adaptive", "/steps/1/same_sampler_object", false.into()),
        ("remote_sampling", "empty_object", "/steps/0/metrics_delta", serde_json::json!({})),
        ("remote_sampling", "default_initial", "/steps/0/sampler/boundary", "1".into()),
        ("remote_sampling", "default_initial", "/steps/0/body", "{}".into()),
        ("transport", "fits_exactly_5", "/expected/datagrams/0/length", Value::from(878)),
        ("transport", "fits_exactly_5", "/input/steps/0/span_size", Value::from(146)),
        ("transport", "queue_drops", "/input/steps/0/value", Value::from(4)),
        ("config_env", "sampler/const", "/expected/config/sampler/param", Value::from(2)),
        ("config_env", "sampler/const", "/expected/sampler_kind", Value::from("remote")),
        ("config_env", "sampler/const", "/env/JAEGER_SAMPLER_TYPE", Value::from("always")),
        ("config_env", "basic/rpc_metrics", "/expected/config/rpc_metrics", Value::from(false)),
        ("config_env", "basic/rpc_metrics_bad", "/env/JAEGER_RPC_METRICS", Value::from("1")),
        ("config_env", "basic/rpc_metrics_bad", "/expected/error", Value::from("JAEGER_TAGS")),
        ("config_env", "tags/simple", "/expected/config/tags/0/1", Value::from("2")),
        ("config_env", "tags/trailing_comma", "/env/JAEGER_TAGS", Value::from("a=1")),
        ("lifecycle", "root_sampled", "/steps/0/then/flags", Value::from(0)),
        (
            "lifecycle",
            "root_sampled",
            "/counters/jaeger.tracer.traces|sampled=y|state=started",
            2.into(),
        ),
        ("lifecycle", "root_sampled", "/steps/0/then/final", Value::from(false)),
        ("lifecycle", "root_sampled", "/steps/1/reported", Value::from(false)),
        ("lifecycle", "root_sampled", "/steps/1/do", Value::from("end")),
        ("lifecycle", "root_sampled", "/tracer/sampler", Value::from("always")),
        ("lifecycle", "root_sampled", "/reported_spans", Value::Null),
        ("lifecycle", "root_sampled", "/reported_spans/0/tags/0/vStr", Value::from("konst")),
        ("lifecycle", "follows_from_only", "/reported_spans/0/references/0/spanId", 3.into()),
        ("lifecycle", "limit_5_logs_13", "/reported_spans/0/logs/2/fields/1/vLong", 8.into()),
        ("lifecycle", "set_override_delete", "/steps/2/then/baggage/Key One", "v3".into()),
        ("lifecycle", "jaeger_baggage_root", "/steps/2/result/1/1", Value::from("v3")),
        ("lifecycle", "sync_fraction", "/tracer/requests_seen", serde_json::json!([])),
        ("lifecycle", "sync_other_operation", "/steps/4/then/flags", Value::from(0)),
        ("lifecycle", "allow_list", "/tracer/request_seen/0", Value::from("GET /other")),
        (
            "config_env",
            "reporter/flush",
            "/expected/config/reporter/flush_interval_ns",
            Value::from(5),
        ),
    ] {
        let report = changed(kind, case, pointer, value);
        assert_eq!(report.failed(), 1, "{kind} {case} {pointer}: {report}");
    }
}

/// A case of the environment that is as the first one, but for what is given.
fn environment(env: Value, expected: Option<(&str, Value)>) -> Report {
    let mut file = public_file("config_env");
    let cases = file["cases"].as_array_mut().unwrap();
    cases.truncate(1);
    cases[0]["env"] = env;
    if let Some((pointer, value)) = expected {
        *cases[0]["expected"].pointer_mut(pointer).unwrap() = value;
    }
    run(&file)
}

#[test]
fn deviations_of_the_environment_follow_from_its_variables() {
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let panics = r#"{"go_panics": true, "panic_text": "", "successor_should": ""}"#;
    for (env, pointer, value, number) in [
        ("{}", "", None, "default"),
        (r#"{"JAEGER_TAGS": "a=1,b"}"#, "", Some(panics), "18.7"),
        (r#"{"JAEGER_TAGS": "a=${X}"}"#, "", Some(panics), "18.7"),
        (
            r#"{"JAEGER_SAMPLER_MAX_OPERATIONS": "5"}"#,
            "/config/sampler/max_operations",
            Some("5"),
            "18.9",
        ),
        (
            r#"{"JAEGER_SAMPLER_MANAGER_HOST_PORT": "m:5778"}"#,
            "/config/sampler/sampling_server_url",
            Some(r#""m:5778""#),
            "manager",
        ),
        (
            r#"{"JAEGER_ENDPOINT": "col:14268/api/traces"}"#,
            "/config/reporter/endpoint",
            Some(r#""col:14268/api/traces""#),
            "endpoint",
        ),
        (r#"{"JAEGER_AGENT_PORT": "70000"}"#, "", None, "refused"),
        (r#"{"JAEGER_SERVICE_NAME": "$(NAME)"}"#, "", None, "refused"),
        (
            r#"{"JAEGER_DISABLED": "1", "JAEGER_AGENT_PORT": "70000"}"#,
            "/config/disabled",
            Some("true"),
            "disabled",
        ),
        (
            r#"{"JAEGER_SERVICE_NAME": " svc "}"#,
            "/config/service_name",
            Some(r#"" svc ""#),
            "space",
        ),
    ] {
        let report = environment(json(env), value.map(|value| (pointer, json(value))));
        assert_eq!((report.failed(), report.deviating(number)), (0, 1), "{env}: {report}");
    }
}

#[test]
fn an_agents_host_deviates_in_both_of_its_places() {
    for (host, number) in
        [("fe80::1", "18.23"), ("agent.example:1", "agent-port"), ("unix:/run/agent", "unix")]
    {
        let mut file = public_file("config_env");
        let cases = file["cases"].as_array_mut().unwrap();
        cases.retain(|case| case["name"] == "sampler/agent_host_gives_url");
        let text = cases[0].to_string().replace("agent.example", host);
        cases[0] = serde_json::from_str(&text).unwrap();
        let report = run(&file);
        assert_eq!((report.passed(), report.deviating(number)), (1, 1), "{host}: {report}");
    }
}

/// Go wants a unit; what is no duration at all is refused by both.
#[test]
fn a_bare_number_is_no_excuse_for_what_is_no_duration() {
    let case = "sampler/refresh_interval_no_unit";
    let report = changed("config_env", case, "/env/JAEGER_SAMPLER_REFRESH_INTERVAL", "5 s".into());
    assert_eq!((report.failed(), report.deviating("durations")), (0, 1), "{report}");
    let report = changed("config_env", case, "/env/JAEGER_SAMPLER_REFRESH_INTERVAL", "5s".into());
    assert_eq!(report.failed(), 1, "{report}");
}

#[test]
fn a_changed_deviation_is_not_excused() {
    // Go's own flags, had they been read otherwise: no rule of Go's explains this outcome.
    let flags = Value::from(12);
    let report = changed("extract", "flags_10_decimal/http", "/expected/context/flags", flags);
    assert_eq!((report.failed(), report.deviating("18.1")), (1, 5), "{report}");
}

#[test]
fn a_deviation_in_a_script_is_not_excused_where_gos_own_rules_give_something_else() {
    for (case, pointer, value) in [
        ("finish_twice", "/reported_spans/1/tags/2/vLong", Value::from(2)),
        ("local_context_128", "/reported_spans/0/tags/0/vStr", Value::from("probabilistic")),
        ("tag_match_later", "/reported_spans/0/logs", serde_json::json!([])),
        ("late_binding_to_good", "/steps/0/then/flags", Value::from(9)),
        ("never_matches", "/counters/jaeger.tracer.started_spans|sampled=delayed", 2.into()),
        ("firehose_debug_cannot_be_read_back", "/steps/4/error", Value::from("malformed")),
    ] {
        let report = changed("lifecycle", case, pointer, value);
        assert_eq!(report.failed(), 1, "{case} {pointer}: {report}");
        assert!(report.to_string().contains("but Go's rules give"), "{report}");
    }
}

/// A script beside those that are public: how it begins, and which deviation it has.
#[test]
fn deviations_of_scripts_follow_from_their_calls() {
    let mut file = public_file("lifecycle");
    let cases = file["cases"].as_array_mut().unwrap();
    cases.retain(|case| case["name"] == "string_1");
    // The recorded text is ignored by both; Go ignores a number of another type too.
    let number = serde_json::json!({"key": "sampling.priority", "type": "i64", "value": "1"});
    cases[0]["steps"][2]["tag"] = number;
    let report = run(&file);
    assert_eq!((report.passed(), report.deviating("18.16")), (1, 1), "{report}");
    let report = changed("lifecycle", "u16_0_on_sampled", "/steps/2/tag/value", "1".into());
    assert_eq!(report.failed(), 1, "what forces does not stop: {report}");
    let report = run(&public_file("lifecycle"));
    let numbers = ["18.1", "18.5", "18.15", "18.18", "18.25", "18.26"];
    let counts = numbers.map(|number| report.deviating(number));
    assert_eq!((report.failed(), counts), (0, [1, 1, 6, 1, 2, 2]), "{report}");
}

#[test]
fn a_deviation_of_samplers_is_not_excused_where_gos_own_rules_give_something_else() {
    for (kind, case, pointer, value) in [
        ("ratelimit", "burst_after_idle_is_twice_max", "/steps/4/allowed", Value::from(true)),
        ("ratelimit", "both_zero", "/steps/1/sampled", Value::from(true)),
        ("ratelimit", "clock_backwards", "/steps/3/balance_after_bits", "0".repeat(16).into()),
        ("remote_sampling", "numeric_strategy_type", "/steps/0/sampler/rate", 0.2.into()),
        ("remote_sampling", "ratelimit_overflow", "/steps/1/same_sampler_object", false.into()),
    ] {
        let report = changed(kind, case, pointer, value);
        // A value that is ours is no deviation, and no failure either.
        let fails = case != "clock_backwards";
        assert_eq!(report.failed() == 1, fails, "{kind} {case} {pointer}: {report}");
    }
}

#[test]
fn deviations_follow_from_what_a_case_says() {
    let report = run(&public_file("extract"));
    let counts = ["18.1", "18.2", "18.4", "18.13"].map(|number| report.deviating(number));
    assert_eq!(counts, [6, 2, 1, 1]);
    assert_eq!(report.deviating("debug-id"), 2);
    assert_eq!(["b3-debug", "b3-parent"].map(|number| report.deviating(number)), [1, 1]);
    assert_eq!(run(&public_file("inject")).deviating("b3-debug"), 1);
    let report = run(&public_file("transport"));
    assert_eq!(report.deviating("trimmed"), 4);
    let report = run(&public_file("ratelimit"));
    assert_eq!((report.passed(), report.failed(), report.skipped()), (18, 0, 0));
    // A pause, zero, a negative rate, a bucket of nothing; and a clock that runs backwards.
    assert_eq!(["18.25", "18.30"].map(|number| report.deviating(number)), [4, 1]);
    let report = run(&public_file("peroperation"));
    assert_eq!((report.passed(), report.deviating("18.25")), (6, 0));
    let report = run(&public_file("remote_sampling"));
    let counts = ["18.8", "18.25", "strategyType"].map(|number| report.deviating(number));
    assert_eq!((report.passed(), counts), (23, [1, 1, 2]));
    let report = run(&public_file("datagrams"));
    assert_eq!(["18.29", "18.30", "zipkin"].map(|number| report.deviating(number)), [1, 1, 3]);
    assert_eq!(["duration", "times"].map(|number| report.deviating(number)), [3, 1]);
}

#[test]
fn a_b3_decision_without_ids_is_the_childs() {
    let mut file = public_file("extract");
    let cases = file["cases"].as_array_mut().unwrap();
    cases.retain(|case| case["name"] == "b3_missing_trace");
    for (name, value) in [("x-b3-sampled", "1"), ("x-b3-sampled", "0"), ("x-b3-flags", "1")] {
        file["cases"][0]["input"]["carrier"] =
            serde_json::json!([["x-b3-spanid", "2"], [name, value]]);
        let report = run(&file);
        assert_eq!((report.passed(), report.deviating("b3-decision")), (1, 1), "{report}");
    }
}

#[test]
fn b3_is_read_in_either_form_and_a_header_that_is_there_twice_once() {
    use serde_json::json;
    let mut file = public_file("extract");
    let cases = file["cases"].as_array_mut().unwrap();
    cases.retain(|case| case["name"] == "b3_zero_trace");
    // Where the Go client finds nothing.
    for (carrier, deviation) in [
        (json!([["b3", "a-b-1-c"]]), "b3-single"),
        (json!([["x-b3-spanid", "2"], ["b3", "00a-0b"]]), "b3-single"),
        (json!([["x-b3-traceid", "0"], ["b3", "a-b-1,a-b-1"]]), "b3-single"),
        (json!([["x-b3-traceid", "0"], ["b3", "a-b-1,a-c-1"]]), "b3-single"),
        (json!([["b3", "no"]]), "b3-single"),
        (json!([["b3", "d"]]), "b3-single"),
        (json!([["x-b3-sampled", "d"]]), "b3-debug"),
    ] {
        file["cases"][0]["input"]["carrier"] = carrier;
        let report = run(&file);
        assert_eq!((report.passed(), report.deviating(deviation)), (1, 1), "{report}");
    }
}

#[test]
fn several_contexts_are_one_if_they_are_the_same() {
    let mut file = public_file("extract");
    let cases = file["cases"].as_array_mut().unwrap();
    cases.retain(|case| case["name"] == "comma_joined/http");
    cases[0]["input"]["carrier"][0][1] = Value::from("1:2:3:1, 1:2:3:01");
    let report = run(&file);
    assert_eq!((report.passed(), report.deviating("one-context")), (1, 1), "{report}");
    assert_eq!(run(&public_file("extract")).deviating("one-context"), 1);
}

#[test]
fn baggage_keys_of_text_maps_keep_their_case() {
    let mut file = public_file("extract");
    let cases = file["cases"].as_array_mut().unwrap();
    cases.retain(|case| case["name"] == "uberctx_with_context/textmap");
    cases[0]["input"]["carrier"][1][0] = Value::from("UberCtx-K1");
    let report = run(&file);
    assert_eq!((report.passed(), report.deviating("18.14")), (1, 1), "{report}");
}

/// Runs a case of injection with other baggage, for which the Go client writes `carrier`.
fn injected(case: &str, baggage: Value, carrier: Value) -> Report {
    let mut file = public_file("inject");
    let cases = file["cases"].as_array_mut().unwrap();
    cases.retain(|found| found["name"] == case);
    cases[0]["input"]["baggage"] = baggage;
    let written = cases[0]["expected"]["carrier"].as_array_mut().unwrap();
    written.retain(|pair| !pair[0].as_str().unwrap().starts_with("uberctx-"));
    written.extend(carrier.as_array().unwrap().iter().cloned());
    run(&file)
}

#[test]
fn baggage_is_written_so_that_all_read_it_and_as_far_as_any_does() {
    use serde_json::json;
    let spaces = (json!({"k": "a b+c"}), json!([["uberctx-k", "a+b%2Bc"]]));
    let report = injected("http/baggage_plain", spaces.0, spaces.1);
    assert_eq!((report.passed(), report.deviating("space")), (1, 1), "{report}");
    let plus = (json!({"k": "a b+c"}), json!([["uberctx-k", "a b+c"]]));
    let report = injected("textmap/baggage_plain", plus.0, plus.1);
    assert_eq!((report.passed(), report.deviating("space")), (1, 0), "{report}");
    let breaks = (json!({"k": "a\r\nb"}), json!([["uberctx-k", "a\r\nb"]]));
    let report = injected("textmap/baggage_plain", breaks.0, breaks.1);
    assert_eq!((report.passed(), report.deviating("written")), (1, 1), "{report}");
    let cases = (json!({"K": "1", "k": "2"}), json!([["uberctx-K", "1"], ["uberctx-k", "2"]]));
    let report = injected("http/baggage_plain", cases.0, cases.1);
    assert_eq!((report.passed(), report.deviating("written")), (1, 1), "{report}");
}

#[test]
fn a_packet_size_that_is_refused_is_no_failure() {
    let report = changed("transport", "only_too_large", "/input/max_packet_size", 200.into());
    assert_eq!((report.failed(), report.skipped()), (0, 1), "{report}");
}

#[test]
fn a_case_that_cannot_be_understood_fails() {
    let mut file = public_file("datagrams");
    file["cases"][0]["thrift_batch"]["spans"][0]["spanId"] = Value::Null;
    let report = run(&file);
    assert_eq!(report.failed(), 1);
    assert!(report.to_string().contains("case not understood"), "{report}");
}

#[test]
fn unknown_files_are_errors_and_no_failures() {
    let mut report = Report::default();
    for (text, said) in [
        ("", "no JSON"),
        ("{}", "unknown format"),
        (r#"{"format": "other/1"}"#, "unknown format \"other/1\""),
        (r#"{"format": "jaeger-client-golden/1", "file": "x"}"#, "unknown kind of cases \"x\""),
    ] {
        let error = run_text("file", text, None, &mut report).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
    assert_eq!(report.failed(), 0);
}
