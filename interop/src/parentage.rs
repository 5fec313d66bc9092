//! Checks that the spans of a trace are a chain, each the child of the one before.

use serde_json::{Value, json};

/// Asserts that `spans`, read back from Jaeger, are exactly the wanted ones (service and operation): the
/// first a root, each other one a child of the span before it. Returns them in that order.
///
/// # Panics
///
/// If a span is missing, unexpected, or has another parent.
#[must_use]
pub fn assert_chain(spans: &[Value], wanted: &[(&str, &str)]) -> Vec<Value> {
    assert_eq!(spans.len(), wanted.len(), "wanted {wanted:?}, got {}", json!(spans));
    let mut chain: Vec<Value> = Vec::new();
    for (service, operation) in wanted {
        let references = chain.last().map_or_else(
            || json!([]),
            |parent| json!([["CHILD_OF", parent["trace"], parent["span"]]]),
        );
        let found = spans.iter().find(|span| {
            span["service"] == *service
                && span["operation"] == *operation
                && span["references"] == references
        });
        let span = found.unwrap_or_else(|| {
            panic!("no {service} {operation} that refers to {references}: {}", json!(spans))
        });
        chain.push(span.clone());
    }
    chain
}
