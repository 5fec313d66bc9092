//! The layer in the subscriber of the whole process, where what is logged while tracing calls the layer
//! comes to the layer again. Scoped subscribers drop it.

use jaeger_client::{Span, Tracer};
use jaeger_client_tracing::SpanExt as _;
use tracing::field::{Empty, debug};
use tracing::{info, info_span};

use self::support::{Shown, Traced, remote};

mod support;

// One test, as there is one such subscriber, and a scoped one anywhere would change what happens.
#[test]
fn a_debug_that_logs_and_opens_spans_deadlocks_nothing_and_loses_nothing() {
    let traced = Traced::with(Tracer::builder("svc"), |layer| layer);
    tracing::dispatcher::set_global_default(traced.dispatch.clone()).unwrap();
    let noisy = Shown(|| {
        info_span!("inner", shown = ?Shown(|| "deep")).in_scope(|| info!("from a Debug"));
        info!("also from a Debug");
        let _ = tracing::Span::current().context();
        let _ = Span::active().map(|span| span.context());
        "noisy"
    });
    {
        let span = info_span!("op", first = ?noisy, late = Empty);
        span.record("late", debug(&noisy));
        let _entered = span.enter();
        info!(field = ?noisy, "event");
        span.set_parent(remote(9, 1));
        span.record("late", debug(&noisy));
        drop(info_span!("child", field = ?noisy));
    }
    let spans = traced.spans();
    let op = spans.named("op");
    assert_eq!(op.text("first"), "noisy");
    assert_eq!(op.text("late"), "noisy");
    assert_eq!(op.trace, remote(9, 1).trace_id());
    assert_eq!(spans.named("child").text("field"), "noisy");
    assert_eq!(spans.0.iter().filter(|span| span.name == "inner").count(), 5);
    let events: Vec<_> = (0..op.logs.len()).map(|at| op.log(at, "event").cloned()).collect();
    assert!(events.contains(&Some("event".into())), "{events:?}");
    assert_eq!(traced.tracer.stats().open, 0);
    assert_eq!(traced.handle.stats().events_without_span, 2, "outside of the span");
}
