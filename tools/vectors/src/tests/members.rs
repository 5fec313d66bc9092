//! Members that only some files of a kind have.

use serde_json::Value;

use super::{public_file, run};
use crate::Report;

/// The case of that name alone, changed.
fn only_case(kind: &str, name: &str, change: impl FnOnce(&mut Value)) -> Report {
    let mut file = public_file(kind);
    let cases = file["cases"].as_array_mut().unwrap();
    cases.retain(|case| case["name"] == name);
    assert_eq!(cases.len(), 1, "{name}");
    change(&mut cases[0]);
    run(&file)
}

#[test]
fn members_that_only_some_files_have_are_understood() {
    type Change = fn(&mut Value);
    let cases: [(&str, &str, Change); 10] = [
        ("lifecycle", "match_in_start_tag", |case| {
            let tag = &mut case["steps"][0]["tags"][0];
            assert_eq!(tag["type"], "string");
            *tag = serde_json::json!({"key": tag["key"], "vType": "STRING", "vStr": tag["value"]});
        }),
        ("lifecycle", "root_sampled", |case| {
            case["tracer"]["random_sequence"] =
                serde_json::json!(["0000000000000001", 0, "2", "0x3"]);
        }),
        ("lifecycle", "root_sampled", |case| {
            case["steps"][0]["comment"] = "said to readers".into();
        }),
        ("lifecycle", "allow_list", |case| {
            let restrictions = case["tracer"]["baggage_restrictions"].as_object_mut().unwrap();
            let body = restrictions.remove("answer_body").unwrap();
            let status = restrictions.remove("answer_status").unwrap();
            let answers = serde_json::json!([{"status": status, "body": body}, "[]"]);
            restrictions.insert("answers".to_owned(), answers);
        }),
        ("lifecycle", "sync_fraction", |case| {
            let answers = case["tracer"]["throttler"]["answers"].as_array_mut().unwrap();
            answers[0] = serde_json::json!({"status": 200, "body": answers[0]});
        }),
        ("lifecycle", "allow_list", |case| {
            let step = case["steps"][2].as_object_mut().unwrap();
            assert_eq!(step.remove("value"), Some("v".into()));
            step.insert("value_is".to_owned(), "1 x 'v'".into());
        }),
        ("inject", "binary/baggage_plain", |case| {
            let expected = case["expected"].as_object_mut().unwrap();
            let hex = expected.remove("hex").unwrap();
            let hex = hex.as_str().unwrap();
            expected.insert("prefix_hex".to_owned(), hex[..74].into());
            expected.insert("length".to_owned(), (hex.len() / 2).into());
        }),
        ("extract", "bin_baggage", |case| {
            let input = case["input"].as_object_mut().unwrap();
            let hex = input.remove("carrier_hex").unwrap();
            let hex = hex.as_str().unwrap();
            // What is left out is zeros.
            input.insert("prefix_hex".to_owned(), hex[..hex.len() - 16].into());
            input.insert("length".to_owned(), (hex.len() / 2).into());
        }),
        ("extract", "custom_name_upper_case_never_matches", |case| {
            case["input"]["headers_config"] =
                serde_json::json!({"TraceContextHeaderName": "X-Trace"});
        }),
        ("inject", "http/baggage_plain", |case| {
            case["input"]["headers_config"] =
                "trace context name configured as x-t and prefix as 'x-p-'".into();
            case["expected"]["carrier"][0][0] = "x-t".into();
            case["expected"]["carrier"][1][0] = "x-p-k".into();
            case["expected"]["carrier"].as_array_mut().unwrap().reverse();
        }),
    ];
    for (kind, name, change) in cases {
        let report = only_case(kind, name, change);
        assert_eq!((report.passed(), report.failed()), (1, 0), "{name}: {report}");
    }
}

#[test]
fn what_such_members_say_is_compared() {
    let wrong_length = |case: &mut Value| {
        let hex = case["expected"]["hex"].as_str().unwrap().to_owned();
        case["expected"] = serde_json::json!({"prefix_hex": hex, "length": hex.len() / 2 + 1});
    };
    assert_eq!(only_case("inject", "binary/baggage_plain", wrong_length).failed(), 1);
    let other_numbers =
        |case: &mut Value| case["tracer"]["random_sequence"] = serde_json::json!([1, 3]);
    assert_eq!(only_case("lifecycle", "root_sampled", other_numbers).failed(), 1);
    let no_text = |case: &mut Value| case["steps"][1]["value_is"] = "long".into();
    let unread = only_case("lifecycle", "allow_list", |case| {
        case["steps"][1].as_object_mut().unwrap().remove("value");
        no_text(case);
    });
    assert!(unread.to_string().contains("text not understood"), "{unread}");
}

#[test]
fn the_names_of_headers_are_those_of_the_tracer() {
    let renamed = |name: &str| {
        only_case("lifecycle", name, |case| {
            let usual = ["uber-trace-id", "uberctx-", "jaeger-debug-id", "jaeger-baggage"];
            let own = ["x-trace", "x-item-", "x-debug", "x-baggage"];
            for step in case["steps"].as_array_mut().unwrap() {
                let text = usual
                    .iter()
                    .zip(own)
                    .fold(step.to_string(), |text, (usual, own)| text.replace(usual, own));
                *step = serde_json::from_str(&text).unwrap();
                if let Some(result) = step.get_mut("result").and_then(Value::as_array_mut) {
                    result.sort_by_key(Value::to_string);
                }
            }
            case["tracer"]["headers"] = serde_json::json!({"traceContextHeaderName": own[0],
                "traceBaggageHeaderPrefix": own[1], "jaegerDebugHeader": own[2], "jaegerBaggageHeader": own[3]});
        })
    };
    for (name, debug_tags) in
        [("jaeger_baggage_root", 0), ("join_sampled", 0), ("debug_id_root", 1)]
    {
        let report = renamed(name);
        let seen = (report.passed(), report.deviating("debug-tag"));
        assert_eq!(seen, (1, debug_tags), "{name}: {report}");
    }
}

/// Go's structure of a tag may have any value or none beside its type.
#[test]
fn a_tag_without_a_value_of_its_type_is_read_as_nothing_of_that_type() {
    // A datagram of Go's, whose one span has the tag "b" of type BOOL and no more.
    let datagram = "82210109656d697442617463681c1c180373766300191c160216001604160018026f702502160a160c\
                    191c180162150400000000";
    let tag = |value: Value| {
        let mut tag = serde_json::json!({"key": "b", "vType": "BOOL"});
        tag.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        only_case("datagrams", "absent_lists_no_stats", |case| {
            let span = &mut case["thrift_batch"]["spans"][0];
            span["startTime"] = "5".into();
            span["duration"] = "6".into();
            span["tags"] = serde_json::json!([tag]);
            case["expected"] =
                serde_json::json!({"udp": {"compact_hex": datagram, "thrift_seq_id": 1}});
        })
    };
    let report = tag(serde_json::json!({}));
    assert_eq!((report.passed(), report.deviating("tag-value")), (1, 1), "{report}");
    let report = tag(serde_json::json!({"vLong": "7"}));
    assert_eq!((report.passed(), report.deviating("tag-value")), (1, 1), "{report}");
    let report = tag(serde_json::json!({"vBool": true, "vLong": "7"}));
    assert_eq!(report.failed(), 1, "{report}");
}
