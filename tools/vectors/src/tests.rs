use std::collections::BTreeMap;

use serde_json::json;

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors")
}

/// The cases that were given, and those recorded later.
const SPLITS: [&str; 2] = ["public", "added"];

fn file_of(kind: &str, split: &str) -> Value {
    let text = fs::read_to_string(folder().join(format!("{kind}_{split}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn public_file(kind: &str) -> Value {
    file_of(kind, "public")
}

fn reviewed(kind: &str, split: &str) -> Value {
    file_of(&format!("ours/{kind}"), split)
}

fn kinds() -> impl Iterator<Item = (&'static Kind, &'static str)> {
    KINDS.iter().flat_map(|kind| SPLITS.map(|split| (kind, split)))
}

/// By the rules alone, as a file that was never seen.
fn run(file: &Value) -> Report {
    let mut report = Report::default();
    run_text("file", &file.to_string(), None, &mut report).unwrap();
    report
}

#[test]
fn all_cases_pass_as_reviewed_and_by_the_rules_alone() {
    for (Kind { name, .. }, split) in kinds() {
        let mut report = Report::default();
        run_file(&folder().join(format!("{name}_{split}.json")), &mut report).unwrap();
        let unseen = run(&file_of(name, split));
        for report in [report, unseen] {
            assert_eq!((report.failed, report.skipped), (0, 0), "{name}: {report}");
            assert!(report.passed > 0, "{name}: {report}");
        }
    }
}

#[test]
fn each_reviewed_case_is_one_of_its_file() {
    for (Kind { name, .. }, split) in kinds() {
        let file = file_of(name, split);
        let cases = file["cases"].as_array().unwrap();
        let reviewed = reviewed(name, split);
        for case in reviewed.as_object().unwrap().keys() {
            let count = cases.iter().filter(|known| known["name"] == case.as_str()).count();
            assert_eq!(count, 1, "{name}: {case}");
        }
    }
}

/// Where a case of a kind has its responses, and the members there that are none, or are shown again.
const RESPONSES: &[(&str, &[&str], &str)] = &[
    ("datagrams", &["expected"], "content_type method message_type thrift_message"),
    ("transport", &["expected"], "first_16_bytes_hex message_type"),
    ("extract", &["expected"], "sampling_final flags"),
    ("inject", &["expected"], ""),
    ("probabilistic", &["expected"], "id_low"),
    (
        "ratelimit",
        &["steps"],
        "balance_after advance_ns cost id_low op credits_per_second max_balance \
         max_traces_per_second",
    ),
    (
        "peroperation",
        &["steps", "final_sampler"],
        "advance_ns id_low op operation renamed_to strategies",
    ),
    ("remote_sampling", &["steps"], "body fetch_error go_panics"),
    ("config_env", &["expected"], "error sampler_error go_panics"),
    ("lifecycle", &["steps", "counters", "reported_spans"], ""),
];

/// What steps of scripts show; everything else there is given to the calls.
const SHOWN: &[&str] = &["then", "reported", "result", "error"];

/// Parts of cases that do not show: references of a span that is not reported, steps of a sampler that
/// is refused, a configuration that is disabled or refused, bytes that are no text.
const HIDDEN: &[(&str, &str)] = &[
    ("jaeger_baggage_encoded/http", "/references"),
    ("jaeger_baggage_encoded/textmap", "/references"),
    ("sampler_-5", "/steps"),
    ("basic/disabled", "/expected"),
    ("basic/disabled_T", "/expected"),
    ("sampler/remote_param_out_of_range", "/config"),
    ("sampler/rate_limiting_underscore", "/config"),
    ("reporter/agent_port_out_of_range", "/expected"),
    ("endpoint/sampling_'http://srv:99999/'", "/expected"),
    ("collector/'http://u:p@col/'", "/expected"),
    ("agent/'a..b'", "/expected"),
    ("agent_port/'h:1234'", "/expected"),
    ("bin_val_ff", "/baggage"),
];

/// Pointers to the values within that a case was recorded with.
fn leaves(value: &Value, pointer: &str, others: &str, found: &mut Vec<String>) {
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
                let is_other = others.split(' ').any(|other| other == key) || json::is_remark(key);
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
        Value::Bool(boolean) => Value::from(!boolean),
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
        let mut changed = 0;
        let cases = |split| file_of(kind, split)["cases"].as_array().unwrap().clone();
        for (split, case) in
            SPLITS.iter().flat_map(|split| cases(split).into_iter().map(move |case| (split, case)))
        {
            let reviewed = reviewed(kind, split);
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
                if report.failed != 1 {
                    missed.push(format!("{kind} {}{pointer}", case["name"]));
                }
            }
        }
        assert!(changed >= 20, "{kind}: {changed}");
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

/// In how many passed cases the deviation of this number was expected.
fn deviating(report: &Report, number: &str) -> usize {
    let of_number = report.deviations.iter().filter(|(deviation, _)| deviation.0 == number);
    of_number.map(|(_, cases)| cases).sum()
}

/// One row of `tests/changed_cases.json`: a recorded case, changed, and what becomes of it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangedCase {
    file: String,
    case: String,
    /// New values by JSON pointer; null takes a member away.
    set: BTreeMap<String, Value>,
    /// `passes`, `fails`, `fails: TEXT` with that text in its message, `skips`, or `deviates NUMBER`.
    then: String,
}

fn change(case: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match (case.pointer_mut(parent).unwrap_or_else(|| panic!("no {pointer}")), value) {
        (Value::Object(members), Value::Null) => drop(members.remove(key)),
        (Value::Object(members), value) => drop(members.insert(key.to_owned(), value)),
        (elements, value) => elements[key.parse::<usize>().unwrap()] = value,
    }
}

/// Cases beside the public ones: what only some files have, what a rule explains, and what none does.
#[test]
fn changed_cases_pass_deviate_and_fail_as_listed() {
    let rows: Vec<ChangedCase> =
        serde_json::from_str(include_str!("../tests/changed_cases.json")).unwrap();
    for ChangedCase { file, case, set, then } in rows {
        let mut changed = public_file(&file);
        let cases = changed["cases"].as_array_mut().unwrap();
        cases.retain(|recorded| recorded["name"] == case.as_str());
        set.iter().for_each(|(pointer, value)| change(&mut cases[0], pointer, value.clone()));
        let report = run(&changed);
        let totals = (report.passed, report.failed, report.skipped);
        let (outcome, detail) = then.split_once(' ').unwrap_or((&then, ""));
        let is_as_listed = match outcome {
            "passes" => totals == (1, 0, 0),
            "deviates" => totals == (1, 0, 0) && deviating(&report, detail) == 1,
            "fails" | "fails:" => totals == (0, 1, 0) && report.to_string().contains(detail),
            "skips" => totals == (0, 0, 1),
            other => panic!("unknown outcome {other:?}"),
        };
        assert!(is_as_listed, "{file} {case} {set:?} {then}: {report}");
    }
}

#[test]
fn unknown_files_are_errors_and_no_failures() {
    let mut report = Report::default();
    for (text, message) in [
        ("", "no JSON"),
        ("{}", "unknown format"),
        (r#"{"format": "other/1"}"#, "unknown format \"other/1\""),
        (r#"{"format": "jaeger-client-golden/1", "file": "x"}"#, "unknown kind of cases \"x\""),
    ] {
        let error = run_text("file", text, None, &mut report).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(report.failed, 0);
}
