//! What outlives a tracer and its spans, and what does not.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jaeger_client::sampler::{ConstSampler, Decision, Sampler, SamplingParameters};
use jaeger_client::{Clock, IdGenerator, Logger, Observer, Tracer, TracerBuilder};

use crate::support::eventually;

/// Counts what was dropped.
#[derive(Clone, Default)]
struct Dropped(Arc<AtomicUsize>);

impl Dropped {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A part of a tracer with a destructor.
struct Part(Dropped);

impl Drop for Part {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Part")
    }
}

impl Sampler for Part {
    fn on_create_span(&self, _span: &mut SamplingParameters<'_>) -> Decision {
        Decision::new(true)
    }
}

impl Logger for Part {
    fn error(&self, _message: &str) {}
}

impl Observer for Part {}

impl Clock for Part {
    fn wall_nanos(&self) -> i64 {
        1
    }

    fn monotonic_nanos(&self) -> u64 {
        1
    }
}

impl IdGenerator for Part {
    fn next(&self) -> u64 {
        7
    }
}

/// Sets a part of the tracer.
type SetPart = fn(TracerBuilder, Part) -> TracerBuilder;

#[test]
fn the_parts_of_a_tracer_that_have_destructors_are_dropped_with_its_last_span() {
    let parts: [SetPart; 5] = [
        |builder, part| builder.sampler(part),
        |builder, part| builder.logger(part),
        |builder, part| builder.observer(part),
        |builder, part| builder.clock(part),
        |builder, part| builder.id_generator(part),
    ];
    for (nth, set) in parts.into_iter().enumerate() {
        for sampled in [true, false] {
            let dropped = Dropped::default();
            let builder =
                Tracer::builder("svc").null_reporter().sampler(ConstSampler::new(sampled));
            let (tracer, closer) = set(builder, Part(dropped.clone())).build().unwrap();
            let mut last = None;
            for _ in 0..30 {
                let root = tracer.start_span("root");
                last = Some(tracer.span("below").child_of(&root).start());
            }
            drop((closer, tracer));
            assert_eq!(dropped.count(), 0, "part {nth}: there is a span");
            drop(last);
            assert_eq!(dropped.count(), 1, "part {nth}, sampled: {sampled}");
        }
    }
}

#[test]
fn a_transport_is_dropped_with_the_reporters_thread_though_references_to_the_tracer_are_retained() {
    struct Sends(Part);

    impl fmt::Debug for Sends {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt(f)
        }
    }

    impl jaeger_client::transport::Transport for Sends {
        fn send(
            &mut self,
            _message: &[u8],
        ) -> Result<jaeger_client::transport::Sent, jaeger_client::TransportError> {
            Ok(jaeger_client::transport::Sent::OK)
        }
    }

    let dropped = Dropped::default();
    let builder = Tracer::builder("svc").transport(Sends(Part(dropped.clone())));
    let (tracer, closer) = builder.build().unwrap();
    tracer.start_span("op").finish();
    std::thread::spawn(|| drop((closer, tracer))).join().unwrap();
    eventually(|| dropped.count() == 1);
}
