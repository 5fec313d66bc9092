//! What the layer allocates, beyond the registry: nothing, once it has come to a steady state.

use allocation_counter::measure;
use jaeger_client::sampler::ConstSampler;
use jaeger_client::transport::{Sent, Transport};
use jaeger_client::{Tracer, TransportError};
use tracing::{info, info_span};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt as _;

/// Takes every message.
#[derive(Debug)]
struct Discard;

impl Transport for Discard {
    fn send(&mut self, _message: &[u8]) -> Result<Sent, TransportError> {
        Ok(Sent::OK)
    }
}

fn spans(count: u64) {
    for number in 0..count {
        let root = info_span!("root", user = number, path = "/orders", hit = true, late = ?number);
        root.in_scope(|| {
            let child = info_span!("child", user = number, path = %"/orders", error = "none");
            child.in_scope(|| info!(number, path = ?"/orders", "an event {number}"));
            child.record("user", 1);
        });
    }
}

#[test]
fn spans_and_events_allocate_nothing_in_steady_state() {
    for sampled in [true, false] {
        let (tracer, _closer) = Tracer::builder("svc")
            .sampler(ConstSampler::new(sampled))
            .transport(Discard)
            .flush_interval(std::time::Duration::from_secs(3_600))
            .build()
            .unwrap();
        let subscriber = Registry::default().with(jaeger_client_tracing::layer(tracer));
        tracing::subscriber::with_default(subscriber, || {
            spans(2_000);
            // A full buffer is used again unless the reporter's thread is late: then there is a new one.
            let rounds = (0..20).map(|_| measure(|| spans(100)).count_total);
            assert_eq!(rounds.min(), Some(0), "sampled {sampled}");
        });
    }
}
