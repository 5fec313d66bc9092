//! A caller's debug id, `jaeger-debug-id`: the trace is debugged, whatever the context beside it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use jaeger_client::encoding::ValueView;
use jaeger_client::policy::DebugThrottler;
use jaeger_client::propagation::{CompositeFormat, Format, HttpHeaders, JaegerFormat, W3cFormat};
use jaeger_client::sampler::{ConstSampler, PrioritySampler, TagMatchingSampler};
use jaeger_client::{
    FinishedSpan, InMemoryReporter, NullLogger, Span, SpanId, TailSamplingConfig, Tracer,
    TracerBuilder,
};

/// Grants requests, or not, and notes for which operation.
#[derive(Debug, Default)]
struct Throttler(AtomicBool, Mutex<Vec<String>>);

impl Throttler {
    fn requested(&self) -> Vec<String> {
        std::mem::take(&mut *self.1.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl DebugThrottler for Throttler {
    fn is_allowed(&self, operation: &str) -> bool {
        self.1.lock().unwrap().push(operation.to_owned());
        self.0.load(Ordering::Relaxed)
    }
}

fn builder(memory: &InMemoryReporter) -> TracerBuilder {
    let builder = Tracer::builder("svc").logger(NullLogger).sampler(ConstSampler::new(false));
    builder.in_memory(memory)
}

fn serve(tracer: &Tracer, headers: &[(&str, &str)]) -> Span {
    let context = tracer.extract(&HttpHeaders(headers.to_vec())).ok();
    tracer.span("serve").child_of(context).tag("span.kind", "server").start()
}

fn debug_tag(span: &FinishedSpan) -> Option<String> {
    match span.view().tag("jaeger-debug-id")? {
        ValueView::Str(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
        other => panic!("{other:?}"),
    }
}

const DEBUG: (&str, &str) = ("jaeger-debug-id", "ticket-4711");

#[test]
fn a_trace_that_somebody_began_is_debugged_from_here_on() {
    for flags in ["0", "1", "2", "3", "8"] {
        let memory = InMemoryReporter::new();
        let throttler = Arc::new(Throttler::default());
        throttler.0.store(true, Ordering::Relaxed);
        let builder = builder(&memory).debug_throttler(Arc::clone(&throttler));
        let (tracer, _closer) = builder.build().unwrap();
        let context = format!("abc:def:0:{flags}");
        let number: u8 = flags.parse().unwrap();
        for headers in
            [[("uber-trace-id", context.as_str()), DEBUG], [DEBUG, ("uber-trace-id", &context)]]
        {
            let span = serve(&tracer, &headers);
            let own = span.context();
            assert_eq!(own.flags(), number | 3, "{context}");
            assert_eq!((own.trace_id().low(), own.parent_id().get()), (0xabc, 0xdef));
            let child = tracer.span("query").child_of(&span).start();
            assert_eq!(child.context().flags(), number | 3);
            child.finish();
            span.finish();
            let spans = memory.spans();
            let tags: Vec<_> = spans.iter().rev().take(2).map(debug_tag).collect();
            assert_eq!(tags, [Some("ticket-4711".to_owned()), None], "{context}");
            // A trace that is debugged already costs no credit.
            let requested = if number & 2 == 0 { vec!["serve".to_owned()] } else { vec![] };
            assert_eq!(throttler.requested(), requested, "{context}");
        }
        // It concerns what joins with it, and nothing else.
        assert_eq!(serve(&tracer, &[("uber-trace-id", &context)]).context().flags(), number);
        assert!(tracer.stats().is_balanced(), "{}", tracer.stats());
    }
}

#[test]
fn without_credit_the_span_is_like_any_other() {
    let memory = InMemoryReporter::new();
    let throttler = Arc::new(Throttler::default());
    let (tracer, _closer) =
        builder(&memory).debug_throttler(Arc::clone(&throttler)).build().unwrap();
    for (flags, sampled) in [("0", false), ("1", true)] {
        let context = format!("abc:def:0:{flags}");
        let span = serve(&tracer, &[("uber-trace-id", &context), DEBUG]);
        assert_eq!((span.is_sampled(), span.context().is_debug()), (sampled, false));
        assert_eq!(throttler.requested(), ["serve"]);
    }
    let spans = memory.spans();
    assert_eq!((spans.len(), debug_tag(&spans[0])), (1, None));
}

#[test]
fn a_broken_context_does_not_take_the_request_away() {
    let both = CompositeFormat::new(vec![
        Box::new(JaegerFormat::default()),
        Box::new(W3cFormat::default()),
    ]);
    let formats: [(Box<dyn Format>, u64); 3] = [
        (Box::new(JaegerFormat::default()), 1),
        (Box::new(W3cFormat::default()), 1),
        (Box::new(both), 2),
    ];
    for (format, broken) in formats {
        let memory = InMemoryReporter::new();
        let (tracer, _closer) = builder(&memory).format(format).build().unwrap();
        let context = [("uber-trace-id", "nonsense"), ("traceparent", "00-z")];
        for headers in [[DEBUG, context[0], context[1]], [context[0], context[1], DEBUG]] {
            let before = tracer.stats().decoding_errors;
            let span = serve(&tracer, &headers);
            assert!(span.context().is_debug() && span.context().is_valid());
            assert_eq!(span.context().parent_id(), SpanId::NONE, "a new trace");
            assert_eq!(tracer.stats().decoding_errors - before, broken);
        }
        assert!(!serve(&tracer, &context).is_sampled(), "nobody asked");
        assert_eq!(memory.spans().iter().filter_map(debug_tag).count(), 2);
    }
}

#[test]
fn priority_works_with_w3c_headers_and_for_tracers_that_defer_buffer_or_share_ids() {
    let parent = ("traceparent", "00-0000000000000000000000000000000a-000000000000000b-00");
    let both = CompositeFormat::new(vec![
        Box::new(JaegerFormat::default()),
        Box::new(W3cFormat::default()),
    ]);
    let marked = TagMatchingSampler::new("tenant").matching("acme");
    let defers = PrioritySampler::new().then(marked).build().unwrap();
    type Build = Box<dyn FnOnce(TracerBuilder) -> TracerBuilder>;
    let builds: [Build; 4] = [
        Box::new(|builder| builder.format(both)),
        Box::new(|builder| builder.sampler(defers).format(W3cFormat::default())),
        Box::new(|b| b.tail_sampling(TailSamplingConfig::default()).format(W3cFormat::default())),
        Box::new(|builder| builder.zipkin_shared_rpc_span(true).format(W3cFormat::default())),
    ];
    for (n, build) in builds.into_iter().enumerate() {
        let memory = InMemoryReporter::new();
        let (tracer, _closer) = build(builder(&memory)).build().unwrap();
        let span = serve(&tracer, &[DEBUG, parent]);
        assert_eq!((span.context().flags(), span.context().trace_id().low()), (3, 10), "{n}");
        span.finish();
        let spans = memory.spans();
        assert_eq!(debug_tag(&spans[0]).as_deref(), Some("ticket-4711"), "{n}");
        assert!(spans[0].view().tag("span.kind").is_some(), "{n}");
        assert!(tracer.stats().is_balanced(), "{}", tracer.stats());
    }
}
