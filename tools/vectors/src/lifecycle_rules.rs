//! Why a script may show something else than it was recorded.

use serde_json::Value;

use crate::carrier::{Names, pairs, shown_pairs, text_bytes};
use crate::datagrams::is_word_of_double;
use crate::deviations::{self, Deviation, Rule};
use crate::extract::headers_deviate;
use crate::inject::is_not_all_written;
use crate::json::{from_hex, present, text, text_or_hex, to_hex};
use crate::report::Difference;
use crate::value::TypedValue;

/// The steps up to the place of a difference; all of them, where it is not at a step.
fn until<'a>(case: &'a Value, at: &Difference) -> &'a [Value] {
    let steps = case["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    &steps[..at.step().map_or(steps.len(), |step| step + 1).min(steps.len())]
}

fn calls<'a>(steps: &'a [Value], call: &'a str) -> impl Iterator<Item = &'a Value> {
    steps.iter().filter(move |step| step["do"].as_str().is_some_and(|does| does.starts_with(call)))
}

/// Names that a start refers to, with the kind of reference.
fn references(step: &Value) -> Vec<(String, String)> {
    pairs(step, "references").unwrap_or_default()
}

/// Tags of starts, and those set later, with how many were given at once.
fn tags(steps: &[Value]) -> impl Iterator<Item = (&Value, usize)> {
    steps.iter().flat_map(|step| {
        let at_start = step["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
        let later = step.get("tag").map(|tag| (tag, 1));
        at_start.iter().map(move |tag| (tag, at_start.len())).chain(later)
    })
}

/// Priorities among tags: what they are, as which type of Go's, and among how many.
fn priorities(steps: &[Value]) -> impl Iterator<Item = (TypedValue, &str, usize)> {
    let named = tags(steps).filter(|(tag, _)| tag["key"] == "sampling.priority");
    named.filter_map(|(tag, among)| {
        let go_type = tag["go_type"].as_str().unwrap_or_default();
        Some((TypedValue::read(tag).ok()?, go_type, among))
    })
}

/// Returns whether an extraction up to the place reads headers in that way of its own.
fn extracted(why: Deviation, case: &Value, at: &Difference) -> bool {
    let names = Names::read(&case["tracer"]).unwrap_or_default();
    calls(until(case, at), "extract_").any(|step| {
        let carrier = pairs(step, "carrier").unwrap_or_default();
        headers_deviate(step["do"] == "extract_http", &names, &carrier).contains(&why)
    })
}

/// Answers of a server, as text.
fn responses(of: &Value) -> Vec<Value> {
    let list = of["answers"].as_array().into_iter().flatten();
    let body = |response: &Value| {
        let body = response.get("body").or_else(|| response.get("answer_body")).unwrap_or(response);
        serde_json::from_str(body.as_str().unwrap_or_default()).unwrap_or_default()
    };
    list.chain(of.get("answer_body")).map(body).collect()
}

/// Returns whether it is a list of objects that have both members.
fn is_list(list: &Value, [name, number]: [&str; 2]) -> bool {
    let is_whole = |entry: &Value| entry[name].is_string() && entry[number].is_number();
    list.as_array().is_some_and(|list| list.iter().all(is_whole))
}

/// Returns whether the sampler lets nothing pass a second, where Go's lets one trace pass.
fn has_zero_rate(case: &Value) -> bool {
    let words = case["tracer"]["sampler"].as_str().unwrap_or_default();
    let is_none = |after: &str| {
        words.split(after).skip(1).any(|rest| {
            let end = rest.find([',', ')']).unwrap_or(rest.len());
            rest[..end].trim().parse::<f64>().is_ok_and(|rate| rate <= 0.0)
        })
    };
    let counts = ["ratelimiting(", "lowerbound(", "guaranteed(", "lower bound "];
    // Without a word about it the lower bound is 0.
    counts.into_iter().any(is_none)
        || (words.contains("per-operation") && !words.contains("lower bound"))
}

/// Returns whether the text ends between characters, where Go's ends within one.
pub(crate) fn is_cut_between_characters(at: &Difference) -> bool {
    let Some(got) = at.got.as_str() else { return false };
    let is_part = |bytes: &[u8]| {
        let error = std::str::from_utf8(bytes).err();
        error.is_some_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    match at.recorded.as_str().map(|text| text.strip_prefix(got)) {
        // What is left of a character was replaced when it was read, or is encoded.
        Some(Some(rest)) if rest.starts_with('%') => {
            let digits: String = rest.split('%').collect();
            at.place.contains("/result/") && from_hex(&digits).is_some_and(|bytes| is_part(&bytes))
        }
        Some(Some(rest)) => {
            (1..=3).contains(&rest.chars().count()) && rest.chars().all(|c| c == '\u{fffd}')
        }
        Some(None) => false,
        None => {
            let hex = to_hex(got.as_bytes());
            let rest = at.recorded["hex"].as_str().and_then(|text| text.strip_prefix(&hex));
            rest.and_then(from_hex).is_some_and(|bytes| is_part(&bytes))
        }
    }
}

/// A difference in the tags or in the logs of the spans that were reported.
fn is_of_spans(at: &Difference, part: &str) -> bool {
    at.is_in("reported_spans") && at.place.split('/').nth(2) == Some(part)
}

/// What Go's client has injected in the step of the difference.
fn written(case: &Value, at: &Difference) -> Vec<(String, Value)> {
    let step = at.step().map(|step| &case["steps"][step]);
    step.and_then(|step| shown_pairs(step, "result").ok()).unwrap_or_default()
}

/// A difference in what a decision to sample changes: not in ids, names, references and baggage.
fn is_of_sampling(at: &Difference) -> bool {
    let parts: Vec<_> = at.place.split('/').collect();
    match parts[..] {
        ["steps", _, "then", part, ..] => ["flags", "final"].contains(&part),
        ["steps", _, "result", ..] => at.recorded.as_str().is_some_and(|text| text.contains(':')),
        ["steps", _, part] => part == "reported",
        ["reported_spans", _, part, ..] => ["flags", "tags", "logs"].contains(&part),
        ["reported_spans", _] => at.recorded.is_null() || at.got.is_null(),
        [part, ..] => part == "counters" || part == "requests",
        [] => false,
    }
}

/// Rows that follow from the values alone come first, then those that follow from the calls.
pub(crate) const RULES: &[Rule] = &[
    (deviations::SPACES_ENCODED, |_, at| {
        let written = at.recorded.as_str().map(|value| value.replace('+', "%20"));
        at.place.contains("/result/") && written.as_deref() == at.got.as_str()
    }),
    (deviations::WRITTEN_AS_READ, |case, at| {
        let written = written(case, at);
        let bytes = |(key, value)| Some((key, text_bytes(&value).ok()?));
        let written = written.into_iter().filter_map(bytes).collect();
        at.place.contains("/result/") && at.got.is_null() && is_not_all_written(&written)
    }),
    (deviations::FORWARDED_AS_FOUND, |case, at| {
        let names = Names::read(&case["tracer"]).unwrap_or_default();
        let header = at.place.split_once("/result/").map(|(_, header)| header);
        let written = written(case, at);
        let is_zero = |value: &Value| {
            let id = value.as_str().and_then(|text| text.split_once(':'));
            id.is_some_and(|(id, _)| id.bytes().all(|digit| digit == b'0'))
        };
        let is_without_ids =
            written.iter().any(|(name, value)| *name == names.trace_context && is_zero(value));
        let is_left_out = header == Some(&names.trace_context) && at.got.is_null();
        let is_forwarded =
            header == Some(&names.debug) && at.recorded.is_null() && at.got.is_string();
        is_without_ids && (is_left_out || is_forwarded)
    }),
    (deviations::WHOLE_CHARACTERS, |_, at| is_cut_between_characters(at)),
    (deviations::FINITE_DOUBLES, |_, at| at.is_in("reported_spans") && is_word_of_double(at)),
    (deviations::DEBUG_TAG_AS_HEADER, |case, at| {
        let names = Names::read(&case["tracer"]).unwrap_or_default();
        is_of_spans(at, "tags")
            && at.recorded == "jaeger-debug-id"
            && at.got == names.debug.as_str()
    }),
    (deviations::DELAYED_APART, |_, at| {
        let counted = |value: &Value| value.as_u64().unwrap_or_default();
        let state =
            |sampled| format!("counters/jaeger.tracer.traces|sampled={sampled}|state=started");
        (at.place == state("delayed") && at.recorded.is_null())
            || (at.place == state("n") && counted(&at.recorded) > counted(&at.got))
    }),
    (deviations::NO_DEBUG_WITHOUT_SAMPLING, |case, at| {
        // Flags are numbers in contexts, and hex after the last colon where those are injected.
        let flags = |value: &Value| match value.as_str().and_then(|text| text.rsplit_once(':')) {
            Some((ids, flags)) => Some((ids.to_owned(), u64::from_str_radix(flags, 16).ok()?)),
            None => Some((String::new(), value.as_u64()?)),
        };
        let recorded = flags(&at.recorded).filter(|(_, flags)| flags & 2 == 2);
        let cleared = recorded.map(|(ids, flags)| (ids, flags & !2));
        let is_zero = |value| match value {
            TypedValue::Whole(whole) => whole == 0,
            TypedValue::Float(float) => float == 0.0,
            TypedValue::Double(double) => double == 0.0,
            _ => false,
        };
        // It stays cleared where a later priority samples without debugging.
        let is_cleared = priorities(until(case, at)).any(|(value, ..)| is_zero(value));
        is_cleared && cleared.is_some() && cleared == flags(&at.got)
    }),
    (deviations::EARLY_LOGS_RETAINED, |case, at| {
        let is_open = |step: &Value| step["then"]["final"] == false;
        let logs = calls(until(case, at), "log").next().is_some()
            || calls(until(case, at), "set_baggage").next().is_some();
        is_of_spans(at, "logs") && logs && until(case, at).iter().any(is_open)
    }),
    (deviations::DENIED_VALUE_CUT, |case, at| {
        let is_long =
            |step: &Value| text_or_hex(step, "value").is_ok_and(|value| value.len() > 2048);
        is_of_spans(at, "logs") && calls(until(case, at), "set_baggage").any(is_long)
    }),
    (deviations::SAMPLER_TAGS_RETAINED, |case, at| {
        // A debug id has a tag too.
        let is_many = |step: &Value| step["tags"].as_array().is_some_and(|tags| tags.len() >= 2);
        is_of_spans(at, "tags") && calls(until(case, at), "start").any(is_many)
    }),
    (deviations::KEEPS_NOTHING, |case, at| {
        let acts = |step: &Value| priorities(std::slice::from_ref(step)).next().is_some();
        is_of_spans(at, "tags") && calls(until(case, at), "start").any(acts)
    }),
    (deviations::FINISHED_ONCE, |case, at| {
        let steps = until(case, at);
        let ended = |(number, step): (usize, &Value)| {
            let same = |other: &&Value| other["span"] == step["span"];
            let before = steps[..number].iter().rfind(|other| same(other) && other["do"] != "log");
            step["do"] != "start" && before.is_some_and(|before| before["do"] == "finish")
        };
        // To Go a span that was reported still shares the flags of its trace.
        let end = steps.iter().position(|step| step["do"] == "finish").unwrap_or(steps.len());
        let is_open = |step: &Value| step["then"]["final"] == false;
        let may_change = |step: &Value| step["do"] == "enable_firehose" || is_open(step);
        let is_changed = priorities(&steps[end..]).next().is_some()
            || steps[end..].iter().any(may_change)
            || steps[..end].iter().any(is_open);
        steps.iter().enumerate().any(ended) || (is_of_spans(at, "flags") && is_changed)
    }),
    (deviations::SELF_WITH_IDS, |case, at| {
        let steps = until(case, at);
        let no_ids = |name: &str| {
            let mut named = steps.iter().filter(|step| step["context"] == name);
            named.any(|step| {
                let is_zero =
                    |key| text(step, key).is_ok_and(|id| id.bytes().all(|digit| digit == b'0'));
                let no_trace = is_zero("trace_id_high") && is_zero("trace_id_low");
                no_trace || is_zero("span_id") || step["do"] != "new_context"
            })
        };
        let refers = |(kind, name): &(String, String)| kind == "self" && no_ids(name);
        calls(steps, "start").any(|step| references(step).iter().any(refers))
    }),
    (deviations::FLAGS_STAND, |case, at| {
        let steps = until(case, at);
        let made = |name: &str| calls(steps, "new_context").any(|step| step["context"] == name);
        let refers = |(kind, name): &(String, String)| {
            made(name)
                || (kind == "self" && steps.iter().any(|step| step["context"] == name.as_str()))
        };
        is_of_sampling(at) && calls(steps, "start").any(|step| references(step).iter().any(refers))
    }),
    (deviations::JOINED_APART, |case, at| {
        let steps = until(case, at);
        let uses = |name: &str| {
            let started = calls(steps, "start").flat_map(references).filter(|(_, of)| of == name);
            let injected = calls(steps, "inject_").filter(|step| step["context"] == name);
            started.count() + injected.count()
        };
        let value = steps
            .iter()
            .filter(|step| !step["do"].as_str().unwrap_or_default().starts_with("inject"));
        is_of_sampling(at)
            && value.filter_map(|step| step["context"].as_str()).any(|name| uses(name) > 1)
    }),
    (deviations::ANY_PRIORITY, |case, at| {
        let is_ours = |(value, go_type, among): (TypedValue, &str, usize)| match value {
            TypedValue::Whole(_) => go_type != "uint16" || among > 1,
            TypedValue::Float(_) | TypedValue::Double(_) => true,
            _ => false,
        };
        is_of_sampling(at) && priorities(until(case, at)).any(is_ours)
    }),
    (deviations::TAGS_AS_SENT, |case, at| {
        let widened = |(tag, _): (&Value, usize)| tag["type"] == "f32" || tag["type"] == "object";
        let matches =
            text(&case["tracer"], "sampler").is_ok_and(|words| words.contains("tag matching"));
        is_of_sampling(at) && matches && tags(until(case, at)).any(widened)
    }),
    (deviations::RESTRICTIONS_LISTED, |case, _| {
        let of =
            present(&case["tracer"], "baggage_restrictions").map(responses).unwrap_or_default();
        !of.iter().all(|response| is_list(response, ["baggageKey", "maxValueLength"]))
    }),
    (deviations::BALANCES_LISTED, |case, at| {
        let of = present(&case["tracer"], "throttler").map(responses).unwrap_or_default();
        is_of_sampling(at)
            && !of.iter().all(|response| is_list(&response["balances"], ["operation", "balance"]))
    }),
    (deviations::CREDIT_WITHIN_LIMITS, |case, at| {
        let of = present(&case["tracer"], "throttler").map(responses).unwrap_or_default();
        let mut balances =
            of.iter().flat_map(|response| response["balances"].as_array().into_iter().flatten());
        let is_beyond = |entry: &Value| {
            entry["balance"].as_f64().is_some_and(|credit| !(0.0..=1_000.0).contains(&credit))
        };
        is_of_sampling(at) && balances.any(is_beyond)
    }),
    (deviations::ZERO_IS_NONE, |case, at| is_of_sampling(at) && has_zero_rate(case)),
    (deviations::HEX_FLAGS, |case, at| extracted(deviations::HEX_FLAGS, case, at)),
    (deviations::ONE_CONTEXT, |case, at| extracted(deviations::ONE_CONTEXT, case, at)),
    (deviations::DEBUG_ID_ACTS, |case, at| extracted(deviations::DEBUG_ID_ACTS, case, at)),
    (deviations::HEADER_NAMES_OF_ANY_CASE, |case, at| {
        extracted(deviations::HEADER_NAMES_OF_ANY_CASE, case, at)
    }),
    (deviations::TEXT_MAP_KEYS_RETAINED, |case, at| {
        extracted(deviations::TEXT_MAP_KEYS_RETAINED, case, at)
    }),
];
