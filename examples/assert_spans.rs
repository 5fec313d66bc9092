//! Tests that assert spans: in memory, as soon as they are finished, with the same ids and times each run.
//!
//! `cargo run --example assert_spans` prints the trace; `cargo test --example assert_spans` asserts it.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use std::fmt;

use jaeger_client::{ConfigError, InMemoryReporter, Tracer};

#[derive(Debug)]
struct Declined;

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the card was declined")
    }
}

impl std::error::Error for Declined {}

/// Returns what is tested.
fn checkout(tracer: &Tracer, amount: u32) -> Result<(), Declined> {
    let span = tracer.span("checkout").tag("amount", amount).start();
    span.child("reserve").finish();
    let charge = span.child("charge");
    if amount > 100 {
        charge.record_error(&Declined);
        return Err(Declined);
    }
    Ok(())
}

fn main() -> Result<(), ConfigError> {
    let memory = InMemoryReporter::new();
    let (tracer, _closer) = Tracer::builder("shop").in_memory(&memory).build()?;
    let results = [checkout(&tracer, 12), checkout(&tracer, 120)];
    println!("{results:?}");
    print!("{}", memory.span_tree());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declined_card_is_an_error_of_the_charge_alone() {
        let memory = InMemoryReporter::new(); // one for each test: tests run side by side
        let (tracer, _closer) = Tracer::builder("shop").in_memory(&memory).build().unwrap();
        checkout(&tracer, 120).unwrap_err();

        let charge = memory.find("charge").unwrap();
        assert_eq!(charge.tag("error").unwrap(), true);
        assert_eq!(memory.find("checkout").unwrap().tag("amount").unwrap(), 120_i64);
        assert!(memory.find("checkout").unwrap().tag("error").is_none());
        let started: Vec<_> =
            memory.spans_by_start().iter().map(|span| span.operation_name().into_owned()).collect();
        assert_eq!(started, ["checkout", "reserve", "charge"]);
        assert!(tracer.stats().open == 0, "every span was finished");
    }
}
