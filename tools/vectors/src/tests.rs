use serde_json::json;

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors")
}

fn public_file(kind: &str) -> Value {
    let text = fs::read_to_string(folder().join(format!("{kind}_public.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn reviewed(kind: &str) -> Value {
    let text = fs::read_to_string(folder().join(format!("ours/{kind}_public.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// By the rules alone, as a file that was never seen.
fn run(file: &Value) -> Report {
    let mut report = Report::default();
    run_text("file", &file.to_string(), None, &mut report).unwrap();
    report
}

/// The case of that name alone, changed: JSON texts by pointer, or null for a member to take away.
fn case(kind: &str, name: &str, changes: &[(&str, Value)]) -> Report {
    let mut file = public_file(kind);
    let cases = file["cases"].as_array_mut().unwrap();
    cases.retain(|case| case["name"] == name);
    assert_eq!(cases.len(), 1, "{name}");
    for (pointer, value) in changes {
        let (of, key) = pointer.rsplit_once('/').unwrap();
        let of = cases[0].pointer_mut(of).unwrap_or_else(|| panic!("{name}: no {pointer}"));
        match (of, value) {
            (Value::Object(members), Value::Null) => drop(members.remove(key)),
            (Value::Object(members), value) => drop(members.insert(key.to_owned(), value.clone())),
            (of, value) => of[key.parse::<usize>().unwrap()] = value.clone(),
        }
    }
    run(&file)
}

#[test]
fn all_public_cases_pass_as_reviewed_and_by_the_rules_alone() {
    for Kind { name, .. } in KINDS {
        let mut report = Report::default();
        run_file(&folder().join(format!("{name}_public.json")), &mut report).unwrap();
        let unseen = run(&public_file(name));
        for report in [report, unseen] {
            assert_eq!((report.failed(), report.skipped()), (0, 0), "{name}: {report}");
            assert!(report.passed() > 0, "{name}: {report}");
        }
    }
}

/// Where a case of a kind has its responses, and the members there that are none, or are shown again.
const RESPONSES: &[(&str, &[&str], &[&str])] = &[
    ("datagrams", &["expected"], &["content_type", "method", "message_type", "thrift_message"]),
    ("transport", &["expected"], &["first_16_bytes_hex", "message_type"]),
    ("extract", &["expected"], &["sampling_final", "flags"]),
    ("inject", &["expected"], &[]),
    ("probabilistic", &["expected"], &["id_low"]),
    (
        "ratelimit",
        &["steps"],
        &[
            "balance_after",
            "advance_ns",
            "cost",
            "id_low",
            "op",
            "credits_per_second",
            "max_balance",
            "max_traces_per_second",
        ],
    ),
    (
        "peroperation",
        &["steps", "final_sampler"],
        &["advance_ns", "id_low", "op", "operation", "renamed_to", "strategies"],
    ),
    ("remote_sampling", &["steps"], &["body", "fetch_error", "go_panics"]),
    ("config_env", &["expected"], &["error", "sampler_error", "go_panics"]),
    ("lifecycle", &["steps", "counters", "reported_spans"], &[]),
];

/// What steps of scripts show; everything else there is given to the calls.
const SHOWN: &[&str] = &["then", "reported", "result", "error"];

/// Parts of cases that do not show: references of a span that is not reported, steps of a sampler that
/// is refused, a configuration that is disabled or refused.
const HIDDEN: &[(&str, &str)] = &[
    ("jaeger_baggage_encoded/http", "/references"),
    ("jaeger_baggage_encoded/textmap", "/references"),
    ("sampler_-5", "/steps"),
    ("basic/disabled", "/expected"),
    ("basic/disabled_T", "/expected"),
    ("sampler/remote_param_out_of_range", "/config"),
    ("sampler/rate_limiting_underscore", "/config"),
    ("reporter/agent_port_out_of_range", "/expected"),
];

/// Pointers to the values within that a case was recorded with.
fn leaves(value: &Value, pointer: &str, others: &[&str], found: &mut Vec<String>) {
    let mut within = |key: &str, value: &Value| {
        let key = key.replace('~', "~0").replace('/', "~1");
        leaves(value, &format!("{pointer}/{key}"), others, found);
    };
    match value {
        Value::Object(members) => {
            let is_script = members.contains_key("do");
            let is_tag = members.contains_key("key") && members.contains_key("bits");
            // Go gives tags to what is not sampled, too.
            let is_not_sampled = members.get("sampled") == Some(&Value::Bool(false));
            for (key, value) in members {
                let is_other =
                    others.contains(&key.as_str()) || json::REMARKS.contains(&key.as_str());
                let is_given = is_script && !SHOWN.contains(&key.as_str());
                let is_again = (is_not_sampled && key == "tags")
                    || (is_tag && key == "value")
                    || key == "type"
                    || key == "vType";
                if !(is_other || is_given || is_again) {
                    within(key, value);
                }
            }
        }
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(at, value)| within(&at.to_string(), value));
        }
        Value::Null => {}
        _ => found.push(pointer.to_owned()),
    }
}

fn other(value: &Value) -> Value {
    match value {
        Value::Bool(truth) => Value::from(!truth),
        Value::Number(number) => json!(number.as_f64().unwrap() + 1.0),
        Value::String(text) => match text.strip_suffix('0') {
            Some(rest) => Value::from(format!("{rest}1")),
            None if text.is_empty() => Value::from("x"),
            None => Value::from(format!(
                "{}0",
                &text[..text.len() - text.chars().last().unwrap().len_utf8()]
            )),
        },
        other => panic!("{other}"),
    }
}

#[test]
fn each_changed_response_fails_in_every_kind() {
    let mut missed = Vec::new();
    for (kind, responses, others) in RESPONSES {
        let (file, reviewed) = (public_file(kind), reviewed(kind));
        let mut changed = 0;
        for case in file["cases"].as_array().unwrap() {
            let mut found = Vec::new();
            for response in *responses {
                leaves(&case[*response], &format!("/{response}"), others, &mut found);
            }
            let is_hidden = |pointer: &String| {
                HIDDEN.iter().any(|(name, part)| case["name"] == *name && pointer.contains(part))
            };
            found.retain(|pointer| !is_hidden(pointer));
            // A few of each case, all over it.
            for pointer in found.iter().step_by(found.len().div_ceil(4).max(1)) {
                let mut case = case.clone();
                let leaf = case.pointer_mut(pointer).unwrap();
                *leaf = other(leaf);
                let file = json!({"format": FORMAT, "file": kind, "cases": [case]});
                let mut report = Report::default();
                run_text("file", &file.to_string(), Some(&reviewed), &mut report).unwrap();
                changed += 1;
                if report.failed() != 1 {
                    missed.push(format!("{kind} {}{pointer}", case["name"]));
                }
            }
        }
        assert!(changed >= 20, "{kind}: {changed}");
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn a_changed_input_fails_in_every_kind() {
    for (kind, name, pointer, value) in [
        ("transport", "fits_exactly_5", "/input/steps/0/span_size", json!(146)),
        ("transport", "queue_drops", "/input/steps/0/value", json!(4)),
        ("remote_sampling", "default_initial", "/steps/0/body", json!("{}")),
        ("config_env", "sampler/const", "/env/JAEGER_SAMPLER_TYPE", json!("always")),
        ("config_env", "basic/rpc_metrics_bad", "/env/JAEGER_RPC_METRICS", json!("1")),
        ("config_env", "basic/rpc_metrics_bad", "/expected/error", json!("JAEGER_TAGS")),
        ("config_env", "tags/trailing_comma", "/env/JAEGER_TAGS", json!("a=1")),
        ("lifecycle", "root_sampled", "/steps/1/do", json!("end")),
        ("lifecycle", "root_sampled", "/tracer/sampler", json!("always")),
        ("lifecycle", "root_sampled", "/tracer/random_sequence", json!([1, 3])),
        ("lifecycle", "sync_fraction", "/tracer/requests_seen", json!([])),
        ("lifecycle", "string_1", "/steps/2/tag/unknown", json!(1)),
        ("datagrams", "minimal_root", "/thrift_batch/spans/0/spanId", Value::Null),
        ("inject", "binary/minimal", "/input/flags", json!(2)),
        ("extract", "full_64/http", "/input/carrier/0/1", json!("1:2:3:1")),
        ("probabilistic", "rate_0.25", "/input/rate_bits", json!("3fd0000000000001")),
        ("ratelimit", "two_per_second", "/input/credits_per_second", json!(3)),
        ("peroperation", "no_late_binding_rename", "/input/late_binding", json!(true)),
    ] {
        let report = case(kind, name, &[(pointer, value)]);
        assert_eq!(report.failed(), 1, "{kind} {name} {pointer}: {report}");
    }
}

/// Cases beside the public ones, and the deviation that each has by its rule.
#[test]
fn rules_hold_for_cases_never_seen() {
    let panics = json!({"go_panics": true, "panic_text": "", "successor_should": ""});
    let number = json!({"key": "sampling.priority", "type": "i64", "value": "1"});
    let defaults = "defaults/nothing_set";
    let (carrier, b3, first) = ("/input/carrier", "b3_zero_trace", "/input/carrier/0/1");
    let baggage = "/input/baggage";
    for (kind, name, changes, number) in [
        ("config_env", defaults, vec![], "default"),
        (
            "config_env",
            defaults,
            vec![("/env/JAEGER_TAGS", json!("a=1,b")), ("/expected", panics.clone())],
            "18.7",
        ),
        (
            "config_env",
            defaults,
            vec![("/env/JAEGER_TAGS", json!("a=${X}")), ("/expected", panics)],
            "18.7",
        ),
        (
            "config_env",
            defaults,
            vec![
                ("/env/JAEGER_SAMPLER_MAX_OPERATIONS", json!("5")),
                ("/expected/config/sampler/max_operations", json!(5)),
            ],
            "18.9",
        ),
        (
            "config_env",
            defaults,
            vec![
                ("/env/JAEGER_SAMPLER_MANAGER_HOST_PORT", json!("m:5778")),
                ("/expected/config/sampler/sampling_server_url", json!("m:5778")),
            ],
            "manager",
        ),
        (
            "config_env",
            defaults,
            vec![
                ("/env/JAEGER_ENDPOINT", json!("col:14268/api/traces")),
                ("/expected/config/reporter/endpoint", json!("col:14268/api/traces")),
            ],
            "endpoint",
        ),
        ("config_env", defaults, vec![("/env/JAEGER_AGENT_PORT", json!("70000"))], "refused"),
        ("config_env", defaults, vec![("/env/JAEGER_SERVICE_NAME", json!("$(NAME)"))], "refused"),
        (
            "config_env",
            defaults,
            vec![
                ("/env/JAEGER_DISABLED", json!("1")),
                ("/env/JAEGER_AGENT_PORT", json!("70000")),
                ("/expected/config/disabled", json!(true)),
            ],
            "disabled",
        ),
        (
            "config_env",
            defaults,
            vec![
                ("/env/JAEGER_SERVICE_NAME", json!(" svc ")),
                ("/expected/config/service_name", json!(" svc ")),
            ],
            "space",
        ),
        (
            "config_env",
            "sampler/refresh_interval_no_unit",
            vec![("/env/JAEGER_SAMPLER_REFRESH_INTERVAL", json!("7"))],
            "durations",
        ),
        (
            "extract",
            "b3_missing_trace",
            vec![(carrier, json!([["x-b3-spanid", "2"], ["x-b3-sampled", "1"]]))],
            "b3-decision",
        ),
        (
            "extract",
            "b3_missing_trace",
            vec![(carrier, json!([["x-b3-spanid", "2"], ["x-b3-flags", "1"]]))],
            "b3-debug",
        ),
        ("extract", b3, vec![(carrier, json!([["b3", "a-b-1-c"]]))], "b3-single"),
        (
            "extract",
            b3,
            vec![(carrier, json!([["x-b3-traceid", "0"], ["b3", "a-b-1,a-c-1"]]))],
            "b3-single",
        ),
        ("extract", b3, vec![(carrier, json!([["b3", "no"]]))], "b3-single"),
        ("extract", b3, vec![(carrier, json!([["x-b3-sampled", "d"]]))], "b3-debug"),
        ("extract", "comma_joined/http", vec![(first, json!("1:2:3:1, 1:2:3:01"))], "one-context"),
        (
            "extract",
            "uberctx_with_context/textmap",
            vec![("/input/carrier/1/0", json!("UberCtx-K1"))],
            "18.14",
        ),
        (
            "inject",
            "http/baggage_plain",
            vec![(baggage, json!({"k": "a b+c"})), ("/expected/carrier/1/1", json!("a+b%2Bc"))],
            "space",
        ),
        (
            "inject",
            "textmap/baggage_plain",
            vec![(baggage, json!({"k": "a\r\nb"})), ("/expected/carrier/1/1", json!("a\r\nb"))],
            "written",
        ),
        (
            "inject",
            "http/baggage_plain",
            vec![
                (baggage, json!({"K": "1", "k": "2"})),
                ("/expected/carrier/1", json!(["uberctx-k", "2"])),
                ("/expected/carrier/0", json!(["uberctx-K", "1"])),
            ],
            "written",
        ),
        ("lifecycle", "string_1", vec![("/steps/2/tag", number)], "18.16"),
    ] {
        let mut changes = changes;
        if name == "http/baggage_plain" && changes.len() == 3 {
            // The context's entry stays beside both.
            let context = public_file(kind)["cases"][0]["expected"]["carrier"][0].clone();
            changes[1] =
                ("/expected/carrier", json!([context, ["uberctx-K", "1"], ["uberctx-k", "2"]]));
            changes.pop();
        }
        let report = case(kind, name, &changes);
        assert_eq!(
            (report.failed(), report.deviating(number)),
            (0, 1),
            "{name} {number}: {report}"
        );
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

/// Without a reason in the case a response that differs is no deviation.
#[test]
fn a_difference_without_a_reason_fails() {
    for (kind, name, pointer, value) in [
        ("lifecycle", "u16_0_on_sampled", "/steps/2/tag/value", json!("1")),
        (
            "lifecycle",
            "never_matches",
            "/counters/jaeger.tracer.started_spans|sampled=delayed",
            json!(2),
        ),
        (
            "config_env",
            "sampler/refresh_interval_no_unit",
            "/env/JAEGER_SAMPLER_REFRESH_INTERVAL",
            json!("5s"),
        ),
        ("ratelimit", "burst_after_idle_is_twice_max", "/steps/4/allowed", json!(true)),
        ("ratelimit", "both_zero", "/steps/1/sampled", json!(true)),
        ("remote_sampling", "to_adaptive", "/steps/1/same_sampler_object", json!(false)),
        (
            "extract",
            "flags_10_decimal/http",
            "/expected/context/span_id",
            json!("0000000000000001"),
        ),
    ] {
        let report = case(kind, name, &[(pointer, value)]);
        assert_eq!(report.failed(), 1, "{kind} {name} {pointer}: {report}");
    }
    let report = case("transport", "only_too_large", &[("/input/max_packet_size", json!(200))]);
    assert_eq!((report.failed(), report.skipped()), (0, 1), "{report}");
}

#[test]
fn members_that_only_some_files_have_are_understood() {
    let allowed = |key| {
        public_file("lifecycle")["cases"]
            .as_array()
            .unwrap()
            .iter()
            .find(|case| case["name"] == "allow_list")
            .unwrap()["tracer"]["baggage_restrictions"][key]
            .clone()
    };
    let responses =
        json!([{"status": allowed("answer_status"), "body": allowed("answer_body")}, "[]"]);
    let hex = |kind: &str, name: &str, pointer: &str| {
        let file = public_file(kind);
        let mut cases = file["cases"].as_array().unwrap().iter();
        let case = cases.find(|case| case["name"] == name).unwrap();
        case.pointer(pointer).unwrap().as_str().unwrap().to_owned()
    };
    let injected = hex("inject", "binary/baggage_plain", "/expected/hex");
    let extracted = hex("extract", "bin_baggage", "/input/carrier_hex");
    let begins = |hex: &str, left_out: usize| json!({"prefix_hex": hex[..hex.len() - left_out], "length": hex.len() / 2});
    let mut binary = begins(&extracted, 16);
    binary["format"] = json!("binary");
    let names = "trace context name configured as x-t and prefix as 'x-p-'";
    let context = public_file("inject")["cases"][0]["expected"]["carrier"][0][1].clone();
    for (kind, name, changes) in [
        (
            "lifecycle",
            "root_sampled",
            vec![("/tracer/random_sequence", json!(["0000000000000001", 0, "2", "0x3"]))],
        ),
        ("lifecycle", "root_sampled", vec![("/steps/0/comment", json!("said to readers"))]),
        (
            "lifecycle",
            "allow_list",
            vec![(
                "/tracer/baggage_restrictions",
                json!({"answers": responses, "deny_on_initialization_failure": allowed("deny_on_initialization_failure")}),
            )],
        ),
        (
            "lifecycle",
            "allow_list",
            vec![("/steps/2/value", Value::Null), ("/steps/2/value_is", json!("1 x 'v'"))],
        ),
        ("inject", "binary/baggage_plain", vec![("/expected", begins(&injected, 4))]),
        // What is left out is zeros.
        ("extract", "bin_baggage", vec![("/input", binary)]),
        (
            "extract",
            "custom_name_upper_case_never_matches",
            vec![("/input/headers_config", json!({"TraceContextHeaderName": "X-Trace"}))],
        ),
        (
            "inject",
            "http/baggage_plain",
            vec![
                ("/input/headers_config", json!(names)),
                ("/expected/carrier", json!([["x-p-k", "v"], ["x-t", context]])),
            ],
        ),
    ] {
        let report = case(kind, name, &changes);
        assert_eq!((report.passed(), report.failed()), (1, 0), "{name}: {report}");
    }
    let longer = json!({"prefix_hex": injected, "length": injected.len() / 2 + 1});
    assert_eq!(case("inject", "binary/baggage_plain", &[("/expected", longer)]).failed(), 1);
    let unread = case(
        "lifecycle",
        "allow_list",
        &[("/steps/2/value", Value::Null), ("/steps/2/value_is", json!("long"))],
    );
    assert!(unread.to_string().contains("text not understood"), "{unread}");
}

/// Go's structure of a tag may have any value or none beside its type.
#[test]
fn a_tag_without_a_value_of_its_type_is_read_as_nothing_of_that_type() {
    // A datagram of Go's, whose one span has the tag "b" of type BOOL and no more.
    let datagram = "82210109656d697442617463681c1c180373766300191c160216001604160018026f702502160a160c\
                    191c180162150400000000";
    for (tag, fails) in [
        (json!({"key": "b", "vType": "BOOL"}), 0),
        (json!({"key": "b", "vType": "BOOL", "vLong": "7"}), 0),
        (json!({"key": "b", "vType": "BOOL", "vBool": true, "vLong": "7"}), 1),
    ] {
        let report = case(
            "datagrams",
            "absent_lists_no_stats",
            &[
                ("/thrift_batch/spans/0/startTime", json!("5")),
                ("/thrift_batch/spans/0/duration", json!("6")),
                ("/thrift_batch/spans/0/tags", json!([tag])),
                ("/expected", json!({"udp": {"compact_hex": datagram, "thrift_seq_id": 1}})),
            ],
        );
        assert_eq!(
            (report.failed(), report.deviating("tag-value")),
            (fails, 1 - fails),
            "{report}"
        );
    }
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
