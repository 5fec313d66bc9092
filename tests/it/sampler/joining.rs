//! Samplers that decide about traces which began elsewhere.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jaeger_client::sampler::{
    ConstSampler, Decision, ManualSpan, ParentDecision, PrioritySampler, Sampler,
    SamplingParameters,
};
use jaeger_client::{Closer, InMemoryReporter, SpanContext, SpanId, TraceId, Tracer};

use crate::support::builder;

/// Decides so about each trace that goes on here, and counts how often it is asked.
#[derive(Debug)]
struct Joins {
    response: Option<bool>,
    requested: AtomicU32,
    wants: bool,
}

impl Joins {
    fn new(response: Option<bool>) -> Arc<Self> {
        Arc::new(Self { response, requested: AtomicU32::new(0), wants: true })
    }

    fn requested(&self) -> u32 {
        self.requested.load(Ordering::Relaxed)
    }
}

impl Sampler for Joins {
    fn on_create_span(&self, _span: &mut SamplingParameters<'_>) -> Decision {
        Decision::new(false)
    }

    fn decides_on_join(&self) -> bool {
        self.wants
    }

    fn on_join(
        &self,
        span: &mut SamplingParameters<'_>,
        parent: ParentDecision,
    ) -> Option<Decision> {
        self.requested.fetch_add(1, Ordering::Relaxed);
        span.set_tag("sampler.type", "joins");
        span.set_tag("was", if parent.is_sampled { "sampled" } else { "not" });
        self.response.map(Decision::new)
    }
}

fn built(sampler: &Arc<Joins>) -> (Tracer, Closer, InMemoryReporter) {
    let memory = InMemoryReporter::new();
    let builder = builder().sampler(Arc::clone(sampler)).in_memory(&memory);
    let (tracer, closer) = builder.build().unwrap();
    (tracer, closer, memory)
}

fn received(tracer: &Tracer, flags: u8) -> SpanContext {
    let context = SpanContext::new(TraceId::new(0, 7), SpanId::new(8), SpanId::NONE, flags);
    let mut headers = HashMap::new();
    tracer.inject(&context, &mut headers);
    tracer.extract(&headers).unwrap()
}

#[test]
fn its_decision_replaces_the_callers_for_the_spans_below_too() {
    for (caller, response, sampled) in [
        (0, Some(true), true),
        (1, Some(false), false),
        (3, Some(false), false),
        (1, Some(true), true),
        (0, None, false),
        (1, None, true),
    ] {
        let sampler = Joins::new(response);
        let (tracer, _closer, memory) = built(&sampler);
        let about = format!("flags {caller}, answer {response:?}");
        let received = received(&tracer, caller);
        let span = tracer.span("serve").child_of(&received).tag("own", 1).start();
        let child = span.child("below");
        let mut headers = HashMap::new();
        tracer.inject(&child, &mut headers);
        let last = headers["uber-trace-id"].rsplit(':').next().unwrap().to_owned();
        assert_eq!(last.parse::<u8>().unwrap() & 1 == 1, sampled, "{about}");
        assert_eq!((span.is_sampled(), child.is_sampled()), (sampled, sampled), "{about}");
        assert_eq!(span.context().is_debug(), caller & 2 == 2 && sampled, "{about}");
        assert_eq!(received.flags(), caller, "{about}: another span below it has its own");
        drop((child, span));
        assert_eq!(sampler.requested(), 1, "{about}: children of this process are not asked about");
        let serve = memory.find("serve");
        assert_eq!(serve.is_some(), sampled, "{about}");
        if let (Some(span), Some(true)) = (serve, response) {
            let keys: Vec<_> = span.view().tags().map(|tag| tag.key.to_vec()).collect();
            assert_eq!(keys, [&b"sampler.type"[..], b"was", b"own"], "{about}");
            let was = if caller == 0 { "not" } else { "sampled" };
            assert_eq!(span.tag("was").unwrap(), was, "{about}");
        }
    }
}

#[test]
fn the_sampler_is_called_neither_for_traces_that_begin_here_nor_if_it_opts_out() {
    let mut unwilling = Joins::new(Some(true));
    Arc::get_mut(&mut unwilling).unwrap().wants = false;
    let (tracer, _closer, _memory) = built(&unwilling);
    let span = tracer.span("serve").child_of(received(&tracer, 0)).start();
    assert_eq!((span.is_sampled(), unwilling.requested()), (false, 0));

    let willing = Joins::new(Some(true));
    let (tracer, _closer, _memory) = built(&willing);
    let root = tracer.start_span("root");
    let active = root.activate();
    tracer.start_span("active").finish();
    drop(active);
    tracer.span("by context").child_of(root.context()).start().finish();
    let debug = HashMap::from([("jaeger-debug-id".to_owned(), "x".to_owned())]);
    tracer.span("debug").child_of(tracer.extract(&debug).unwrap()).start().finish();
    assert_eq!(willing.requested(), 0);
}

#[test]
fn in_a_list_the_first_decision_counts_as_it_does_by_hand() {
    let (silent, says) = (Joins::new(None), Joins::new(Some(true)));
    let list = PrioritySampler::new()
        .then(ConstSampler::new(true))
        .then(Arc::clone(&silent))
        .then(Arc::clone(&says))
        .build()
        .unwrap();
    assert!(list.decides_on_join());
    let mut span = ManualSpan::new(TraceId::new(0, 1), "op");
    assert_eq!(span.join(&list, ParentDecision::new(false, false)), Some(Decision::new(true)));
    assert!(span.is_sampled() && silent.requested() == 1 && says.requested() == 1);
    let mut span = ManualSpan::new(TraceId::new(0, 1), "op");
    assert_eq!(span.join(&silent, ParentDecision::new(true, false)), None);
    assert!(span.is_sampled(), "what the caller decided stands");
}
