//! Batches of spans: every wire format the client writes, byte for byte.
//!
//! First the recorded model is written with the client's writers. Then, where a case tells how the
//! spans were made, the same spans are made with the tracer and compared with the model's bytes.

use jaeger_client::encoding::BatchView;
use serde_json::Value;

use crate::datagrams_made;
use crate::deviations;
use crate::json::{bytes, int, items, member, present};
use crate::model::{self, Batch, Limits};
use crate::report::Checks;
use crate::zipkin_rules::{self, Knowledge};

pub(crate) fn run(case: &Value, checks: &mut Checks) -> Result<(), String> {
    let recorded = member(case, "thrift_batch")?;
    let batch = Batch::read(recorded, Limits::Recorded)?;
    if model::lacks_values(recorded) {
        checks.deviates(deviations::VALUE_OF_ITS_TYPE);
        read(&batch, member(case, "expected")?, checks)?;
    } else {
        encoded(&batch, member(case, "expected")?, checks)?;
    }
    if let Some(input) = present(case, "input") {
        zipkin(input, &batch, member(case, "expected")?, checks)?;
        datagrams_made::run(input, recorded, checks)?;
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
    checks.same_bytes("read", &binary(batch.view())?, &binary(got)?);
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
        if let Some(stats) = present(udp, "stats") {
            view = view.with_stats(Some(model::stats(stats)?));
        }
        let seq_id: i32 = int(udp, "thrift_seq_id")?;
        let message = view.to_message(seq_id.cast_unsigned());
        checks.same_bytes("udp", &bytes(udp, "compact_hex")?, &message);
        if present(udp, "length").is_some() {
            checks.same("udp length", &int(udp, "length")?, &message.len());
        }
        if present(expected, "emit_batch_binary_hex").is_some() {
            let message = view.to_binary_message(seq_id).map_err(|error| error.to_string())?;
            checks.same_bytes("binary", &bytes(expected, "emit_batch_binary_hex")?, &message);
        }
    }
    if let Some(http) = present(expected, "http") {
        let body = view.to_binary().map_err(|error| error.to_string())?;
        checks.same_bytes("http", &bytes(http, "body_hex")?, &body);
    }
    if present(expected, "process_size_compact").is_some() {
        let size: usize = int(expected, "process_size_compact")?;
        checks.same("process size", &size, &batch.process().to_bytes().len());
    }
    if present(expected, "span_sizes_compact").is_some() {
        let sizes = items(expected, "span_sizes_compact")?.iter().map(Value::as_u64);
        let got = batch.spans.iter().map(|span| Some(span.view().encoded_len() as u64));
        checks.same("span sizes", &sizes.collect::<Vec<_>>(), &got.collect());
    }
    Ok(())
}

/// Compares the Zipkin body with Go's, or, where Go's says what canonical bytes do not hold, with
/// what the rules of the conversion make of what they do hold.
fn zipkin(
    input: &Value,
    batch: &Batch,
    expected: &Value,
    checks: &mut Checks,
) -> Result<(), String> {
    let Some(zipkin) = present(expected, "zipkin_http") else {
        return Ok(());
    };
    let max = int(input, "max_tag_value_length")?;
    let max = if max == 0 { 256 } else { max };
    let body = batch.view().to_zipkin_thrift(max).map_err(|error| error.to_string())?;
    let recorded = bytes(zipkin, "body_hex")?;
    if body == recorded {
        return Ok(());
    }
    let go = zipkin_rules::body(input, batch, Knowledge::Go)?;
    if go != recorded {
        checks.same_bytes("zipkin", &recorded, &body);
        return Ok(());
    }
    let canonical = zipkin_rules::body(input, batch, Knowledge::Canonical)?;
    checks.same_bytes("zipkin (of canonical bytes)", &canonical, &body);
    checks.deviates(deviations::CANONICAL_ZIPKIN);
    Ok(())
}
