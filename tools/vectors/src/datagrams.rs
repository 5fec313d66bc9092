//! Batches of spans: every wire format the client writes, byte for byte.
//!
//! First the recorded model is written with the client's writers. Then, if a case describes how the spans were
//! made, the same spans are made with the tracer and compared with the model's bytes.

use jaeger_client::encoding::BatchView;
use serde_json::{Value, json};

use crate::datagrams_made;
use crate::datagrams_zipkin::is_converted_otherwise;
use crate::deviations::{self, Rule};
use crate::json::{bytes, int, integer, items, member, present, to_hex};
use crate::lifecycle_rules::is_cut_between_characters;
use crate::model::{Batch, stats};
use crate::report::{Checks, Difference};
use crate::value::lacks_values;

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let recorded = member(case, "thrift_batch")?;
    let batch = Batch::read(recorded)?;
    if lacks_values(recorded) {
        checks.deviates(deviations::VALUE_OF_ITS_TYPE);
        read(&batch, member(case, "expected")?, checks)?;
    } else {
        encoded(&batch, member(case, "expected")?, checks)?;
    }
    if let Some(input) = present(case, "input") {
        zipkin(input, &batch, member(case, "expected")?, checks)?;
        datagrams_made::run(input, recorded, &batch, checks)?;
    }
    Ok(())
}

/// Compares what the client reads from Go's datagram with the model.
fn read(batch: &Batch, expected: &Value, checks: &mut Checks) -> Result<(), String> {
    let Some(udp) = present(expected, "udp") else {
        checks.skip(String::from("this client's tags have a value of their type"));
        return Ok(());
    };
    let datagram = bytes(udp, "compact_hex")?;
    let (_, got) = BatchView::parse_message(&datagram).map_err(|error| error.to_string())?;
    let binary = |view: BatchView<'_>| {
        view.with_seq_no(None).with_stats(None).to_binary().map_err(|error| error.to_string())
    };
    let [model, got] = [binary(batch.view())?, binary(got)?].map(|bytes| to_hex(&bytes).into());
    checks.compare("read", &model, &got);
    Ok(())
}

/// Compares what the client's writers make of the model.
fn encoded(batch: &Batch, expected: &Value, checks: &mut Checks) -> Result<(), String> {
    let view = batch.view();
    if let Some(udp) = present(expected, "udp") {
        let mut view = view;
        if present(udp, "batch_seqNo").is_some() {
            view = view.with_seq_no(Some(int(udp, "batch_seqNo")?));
        }
        if let Some(recorded) = present(udp, "stats") {
            view = view.with_stats(Some(stats(recorded)?));
        }
        let seq_id: i32 = int(udp, "thrift_seq_id")?;
        let message = view.to_message(seq_id.cast_unsigned());
        checks.compare("udp", &udp["compact_hex"], &to_hex(&message).into());
        if present(udp, "length").is_some() {
            checks.same("udp length", &int(udp, "length")?, &message.len());
        }
        if present(expected, "emit_batch_binary_hex").is_some() {
            let message = view.to_binary_message(seq_id).map_err(|error| error.to_string())?;
            checks.compare("binary", &expected["emit_batch_binary_hex"], &to_hex(&message).into());
        }
    }
    if let Some(http) = present(expected, "http") {
        let body = view.to_binary().map_err(|error| error.to_string())?;
        checks.compare("http", &http["body_hex"], &to_hex(&body).into());
    }
    if present(expected, "process_size_compact").is_some() {
        let size: usize = int(expected, "process_size_compact")?;
        checks.same("process size", &size, &batch.process().to_bytes().len());
    }
    if present(expected, "span_sizes_compact").is_some() {
        let sizes = items(expected, "span_sizes_compact")?.iter().map(Value::as_u64);
        let got = view.spans().map(|span| Some(span.encoded_len() as u64));
        checks.same("span sizes", &sizes.collect::<Vec<_>>(), &got.collect());
    }
    Ok(())
}

/// Compares the Zipkin body with Go's.
fn zipkin(
    input: &Value,
    batch: &Batch,
    expected: &Value,
    checks: &mut Checks,
) -> Result<(), String> {
    if present(expected, "zipkin_http").is_some() {
        let max = int(input, "max_tag_value_length")?;
        let max = if max == 0 { 256 } else { max };
        let body = batch.view().to_zipkin_thrift(max).map_err(|error| error.to_string())?;
        checks.compare("zipkin", &expected["zipkin_http"]["body_hex"], &to_hex(&body).into());
    }
    Ok(())
}

/// Why a Zipkin body may be another, and why a span that the tracer makes is not as recorded.
pub(crate) const RULES: &[Rule] = &[
    (deviations::CANONICAL_ZIPKIN, |case, at| at.place == "zipkin" && is_converted_otherwise(case)),
    (deviations::WHOLE_CHARACTERS, |_, at| at.is_in("made") && is_cut_between_characters(at)),
    (deviations::NO_NEGATIVE_DURATION, |case, at| {
        at.recorded.as_i64() < Some(0) && is_duration_here(case, at)
    }),
    (deviations::AT_LEAST_A_MICROSECOND, |case, at| at.recorded == 0 && is_duration_here(case, at)),
    (deviations::STORABLE_TIMES, |case, at| {
        let is_time = ["/startTime", "/timestamp"].iter().any(|time| at.place.ends_with(time));
        let recorded = at.recorded.as_i64().map(i128::from);
        let is_early = recorded < Some(0) && at.got == 0;
        let is_late = recorded > Some(LATEST) && at.got == json!(LATEST);
        (is_time && (is_early || is_late)) || is_duration_here(case, at)
    }),
    (deviations::FINITE_DOUBLES, |_, at| at.is_in("made") && is_word_of_double(at)),
    (deviations::NAMES_WITHOUT_CONTROLS, |_, at| {
        let name = at.recorded.as_str().unwrap_or_default();
        at.place == "made/serviceName" && at.got == name.replace(char::is_control, "\u{fffd}")
    }),
];

/// Returns whether a double that is infinite or no number became its word.
pub(crate) fn is_word_of_double(at: &Difference) -> bool {
    let is_word = ["+Inf", "-Inf", "NaN"].iter().any(|word| at.got == *word);
    let bits = at.recorded.as_str().and_then(|bits| u64::from_str_radix(bits, 16).ok());
    let is_double =
        at.place.ends_with("/bits") && bits.is_some_and(|bits| !f64::from_bits(bits).is_finite());
    (is_word && at.recorded.is_null()) || (is_double && at.got.is_null())
}

/// The last microsecond that is sent as a start: in 2262, two before 63 bits of nanoseconds end.
const LATEST: i128 = 9_223_372_036_854_773;

/// Returns whether it is the duration of a span whose start and end stay where they are, as far as they can
/// be stored, and which takes a microsecond at least.
fn is_duration_here(case: &Value, at: &Difference) -> bool {
    let span = at.place.strip_prefix("made/spans/").and_then(|rest| rest.strip_suffix("/duration"));
    let Some(number) = span.and_then(|number| number.parse::<usize>().ok()) else { return false };
    let span = &case["input"]["spans"][number];
    let (Ok(start), Ok(duration)) = (integer(span, "start_unix_ns"), integer(span, "duration_ns"))
    else {
        return false;
    };
    let nanos = |time: i128| time.clamp(0, i128::from(i64::MAX) - 2_000);
    let retained = (nanos(start + duration) - nanos(start)) / 1_000;
    at.got.as_i64().map(i128::from) == Some(retained.max(1))
}
