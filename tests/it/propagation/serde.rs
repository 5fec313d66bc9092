//! Ids and contexts for serde, as their text.

#![cfg(feature = "serde")]

use jaeger_client::{SpanContext, SpanId, TraceId};
use serde_json::{from_str, from_value, to_string, to_value};

#[test]
fn ids_and_contexts_are_their_text_and_are_read_from_it() {
    let (trace, span) = (TraceId::new(1, 2), SpanId::new(3));
    let context = SpanContext::new(trace, span, SpanId::new(4), 1).with_baggage_item("k", "v");
    assert_eq!(to_string(&trace).unwrap(), format!("\"{trace}\""));
    assert_eq!(to_string(&span).unwrap(), "\"0000000000000003\"");
    assert_eq!(to_string(&context).unwrap(), format!("\"{context}\""));
    assert_eq!(from_str::<TraceId>(&to_string(&trace).unwrap()).unwrap(), trace);
    assert_eq!(from_value::<SpanId>(to_value(span).unwrap()).unwrap(), span);
    let read: SpanContext = from_value(to_value(&context).unwrap()).unwrap();
    assert_eq!(read, context.with_baggage_item("k", ""), "baggage is no part of the text");
    // Escaped text is no part of the input, and is read all the same.
    assert_eq!(from_str::<SpanId>("\"\\u0061\"").unwrap(), SpanId::new(10));
}

#[test]
fn what_is_no_id_says_so() {
    for (wrong, says) in
        [("\"x\"", "1 to 32 hex digits"), ("7", "a trace id"), ("null", "a trace id")]
    {
        let error = from_str::<TraceId>(wrong).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert!(from_str::<SpanContext>("\"1:2:3\"").unwrap_err().to_string().contains("3 parts"));
    assert!(from_str::<SpanId>("\"00000000000000000\"").is_err());
}
