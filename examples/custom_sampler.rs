//! A sampler of your own: every trace of paying customers, one in a hundred of the others.
//!
//! `cargo run --example custom_sampler`. It is asked for the first span of each trace, on the application's
//! thread: no waiting there, and no memory that grows. A panic of it is caught and counted.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use std::time::Duration;

use jaeger_client::sampler::{
    Decision, ProbabilisticSampler, SAMPLER_TYPE_TAG, Sampler, SamplingParameters,
};
use jaeger_client::{ConfigError, InMemoryReporter, Tracer};

#[derive(Debug)]
struct ByOperation {
    others: ProbabilisticSampler,
}

impl Sampler for ByOperation {
    fn on_create_span(&self, span: &mut SamplingParameters<'_>) -> Decision {
        if !span.operation_name().starts_with("paid:") {
            return self.others.on_create_span(span);
        }
        // How the trace came to be sampled is seen on its first span.
        span.set_tag(SAMPLER_TYPE_TAG, "by-operation");
        Decision::new(true)
    }
}

fn main() -> Result<(), ConfigError> {
    let memory = InMemoryReporter::new(); // in a service: leave it out, and spans go to the agent
    let sampler = ByOperation { others: ProbabilisticSampler::new(0.01)? };
    let (tracer, closer) = Tracer::builder("api").sampler(sampler).in_memory(&memory).build()?;

    for _ in 0..1000 {
        tracer.start_span("paid: export").finish();
        tracer.start_span("export").finish();
    }
    let stats = closer.close(Duration::from_secs(2)).stats;
    let sampled =
        |name: &str| memory.spans().iter().filter(|span| span.operation_name() == name).count();
    println!("paid: {} of 1000, others: {} of 1000", sampled("paid: export"), sampled("export"));
    println!("{stats}");
    Ok(())
}
