//! What a layer says to tracing of the levels and callsites it is interested in, which tracing keeps for the
//! whole process.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use jaeger_client::Tracer;
use jaeger_client_tracing::layer;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::with_default;
use tracing::{debug_span, info_span};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt as _;

// One test, as any other subscriber of the process would change what is asserted.
#[test]
fn what_no_layer_wants_is_disabled_at_its_callsite() {
    let (tracer, _closer) = Tracer::builder("svc").null_reporter().build().unwrap();
    with_default(Registry::default().with(layer(tracer)), || {
        assert!(debug_span!("debug").is_disabled());
        assert!(info_span!(target: "h2", "quiet").is_disabled());
        assert!(!info_span!("info").is_disabled());
        assert_eq!(LevelFilter::current(), LevelFilter::INFO);
    });
}
