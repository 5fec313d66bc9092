//! The binary carrier: a context as bytes, for protocols that carry bytes.
//!
//! Big-endian: trace id high and low, span id, parent id (64 bits each), flags (8 bits), number of
//! baggage items (32 bits), and for each of them the lengths (32 bits) and bytes of key and value.

use super::Extracted;
use super::limits::{self, BoundedBaggage, MAX_ITEMS};
use crate::error::ExtractError;
use crate::id::{SpanId, TraceId};
use crate::span::SpanContext;

/// Writes a context as bytes. Baggage beyond the limits of reading is left out.
///
/// # Source
///
/// `BinaryPropagator` in jaeger-client-go, `propagation.go`, which writes more than it reads.
#[must_use]
pub fn to_binary(context: &SpanContext) -> Vec<u8> {
    write_binary(context).0
}

/// Writes a context as bytes, and returns how many baggage items are left out.
pub(crate) fn write_binary(context: &SpanContext) -> (Vec<u8>, usize) {
    let takes = |key: &str, value: &str| key.len() + value.len() <= MAX_ITEM_BYTES;
    let (context, left_out) = limits::fitting(context, takes);
    let mut out = Vec::with_capacity(37);
    let trace_id = context.trace_id;
    let ids = [trace_id.high(), trace_id.low(), context.span_id.get(), context.parent_id.get()];
    for id in ids {
        // The format has no place for a context without a decision: the flag would say *not
        // sampled*.
        let id = if context.lacks_decision { 0 } else { id };
        out.extend_from_slice(&id.to_be_bytes());
    }
    out.push(context.flags());
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&length(context.baggage().count()));
    for (key, value) in context.baggage() {
        for text in [key, value] {
            out.extend_from_slice(&length(text.len()));
            out.extend_from_slice(text.as_bytes());
        }
    }
    (out, left_out)
}

/// Reads a context from bytes. Bytes after it are ignored.
///
/// # Errors
///
/// [`ExtractError::Corrupted`] if the bytes end early, a length is negative, there are more than
/// 180 baggage items, or one takes more than 4,096 bytes. Nothing is reserved before it is checked.
pub fn from_binary(bytes: &[u8]) -> Result<Extracted, ExtractError> {
    let mut rest = bytes;
    let mut ids = [0; 4];
    for id in &mut ids {
        *id = u64::from_be_bytes(*take::<8>(&mut rest)?);
    }
    let [flags] = *take::<1>(&mut rest)?;
    let count = i32::from_be_bytes(*take::<4>(&mut rest)?);
    // A negative count means 0, as in Go.
    let count = usize::try_from(count).unwrap_or(0);
    if count > MAX_ITEMS {
        return Err(ExtractError::Corrupted { what: "more than 180 baggage items" });
    }
    let mut baggage = BoundedBaggage::default();
    for _ in 0..count {
        let key = text(&mut rest)?;
        let value = text(&mut rest)?;
        if key.len() + value.len() > MAX_ITEM_BYTES {
            return Err(ExtractError::Corrupted {
                what: "a baggage item of more than 4,096 bytes",
            });
        }
        baggage.set(&String::from_utf8_lossy(key), &String::from_utf8_lossy(value));
    }
    let baggage_dropped = baggage.dropped;
    let context = SpanContext {
        trace_id: TraceId::new(ids[0], ids[1]),
        span_id: SpanId::new(ids[2]),
        parent_id: SpanId::new(ids[3]),
        flags,
        remote: true,
        baggage: baggage.finish(),
        ..SpanContext::default()
    };
    Ok(Extracted { context, baggage_dropped, ..Extracted::default() })
}

/// The maximum length of a key and its value, in either direction.
const MAX_ITEM_BYTES: usize = 4_096;

fn take<'b, const N: usize>(rest: &mut &'b [u8]) -> Result<&'b [u8; N], ExtractError> {
    let early = ExtractError::Corrupted { what: "it ends early" };
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(early)?;
    *rest = after;
    Ok(taken)
}

fn text<'b>(rest: &mut &'b [u8]) -> Result<&'b [u8], ExtractError> {
    let length = i32::from_be_bytes(*take::<4>(rest)?);
    let length = usize::try_from(length);
    let length = length.map_err(|_| ExtractError::Corrupted { what: "a negative length" })?;
    let early = ExtractError::Corrupted { what: "it ends early" };
    let (taken, after) = rest.split_at_checked(length).ok_or(early)?;
    *rest = after;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn law_reading_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = from_binary(&bytes);
        }

        #[test]
        fn law_reading_undoes_writing(high: u64, low: u64, span: u64, value in "\\PC{1,20}") {
            let context = SpanContext::new(TraceId::new(high, low), SpanId::new(span), SpanId::NONE, 3)
                .with_baggage_item("k", &value);
            let read = from_binary(&to_binary(&context)).unwrap().context;
            prop_assert_eq!(read.to_string(), context.to_string());
            prop_assert_eq!(read.baggage_item("k"), Some(value.as_str()));
        }
    }
}
