//! A disabled tracer: it records nothing, and the contexts of callers pass through it as they came.

use std::collections::BTreeMap;
use std::time::Duration;

use jaeger_client::propagation::HttpHeaders;
use jaeger_client::{
    Closer, ConfigError, Configuration, HeadersConfig, NullLogger, Span, SpanContext, SpanId,
    TraceFutureExt, TraceId, Tracer,
};

type Headers = BTreeMap<String, String>;

fn disabled(propagation: &[&str]) -> (Tracer, Closer) {
    let propagation = propagation.iter().map(|name| (*name).to_owned()).collect();
    let configuration = Configuration { disabled: true, propagation, ..Configuration::default() };
    configuration.new_tracer().unwrap()
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn injected(tracer: &Tracer, context: &SpanContext) -> Headers {
    let mut headers = HttpHeaders(Headers::new());
    tracer.inject(context, &mut headers);
    headers.0
}

/// Everything that a span's descendants of any kind write, and the extracted context itself.
fn onward(tracer: &Tracer, request: &Headers) -> Vec<(&'static str, Headers)> {
    let context = tracer.extract(&HttpHeaders(request)).unwrap();
    let builder = tracer.span("serve").tag("span.kind", "server").child_of(&context);
    let server = builder.tag("sampling.priority", 1).start();
    server.set_tag("sampling.priority", 1).set_baggage_item("own", "v").enable_firehose();
    let child = tracer.span("query").child_of(&server).start();
    child.set_baggage_item("own", "v").log_event("e");
    let follower = tracer.span("later").follows_from(&context).start();
    let scope = child.activate();
    let plain = tracer.start_span("plain");
    let built = tracer.span(String::from("built")).tag("k", 1).start();
    drop(scope);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let future = async { tracer.start_span("in a future") };
    let polled = runtime.block_on(future.in_span(built.clone()));
    let cloned = tracer.span("below a context").child_of(polled.context()).start();
    // Only a context with ids can be a span's own.
    let of = if context.is_valid() { &context } else { &server.context() };
    let itself = tracer.span("itself").child_of(of).self_reference(of).start();
    let spans = [
        ("server", &server),
        ("child", &child),
        ("follower", &follower),
        ("active, plain", &plain),
        ("active, built", &built),
        ("in_span", &polled),
        ("child of a context", &cloned),
        ("self-reference", &itself),
    ];
    for (name, span) in spans {
        assert!(!span.is_sampled() && !span.is_recording(), "{name}");
        let item = |key: &str| span.baggage_item(key);
        assert_eq!(
            item("k").as_deref(),
            context.baggage_item("k"),
            "{name}: the caller's is there"
        );
        assert_eq!(item("own"), None, "{name}");
    }
    let written = spans.map(|(name, span)| (name, injected(tracer, &span.context())));
    written.into_iter().chain([("the context", injected(tracer, &context))]).collect()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[test]
fn the_callers_context_is_passed_on_unchanged_in_every_format() {
    let jaeger = format!("{TRACE}:00f067aa0ba902b7:00000000000000aa:b");
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-03");
    let single = format!("{TRACE}-00f067aa0ba902b7-d-00000000000000aa");
    let without_decision = format!("{TRACE}-00f067aa0ba902b7");
    type Case<'c> = (&'c [&'c str], &'c [(&'c str, &'c str)]);
    let cases: [Case<'_>; 12] = [
        (&["jaeger"], &[("uber-trace-id", &jaeger), ("uberctx-k", "a%20b"), ("uberctx-l", "%2B")]),
        (&["jaeger"], &[("jaeger-debug-id", "ticket%204711"), ("uberctx-k", "v")]),
        (&["jaeger"], &[("uber-trace-id", &jaeger), ("jaeger-debug-id", "ticket")]),
        (
            &["w3c"],
            &[
                ("traceparent", &parent),
                ("tracestate", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"),
                ("baggage", "k=v;ttl=5;secret,l=a%20b"),
            ],
        ),
        (
            &["w3c"],
            &[
                ("traceparent", &parent),
                ("tracestate", "jaeger=00f067aa0ba902b7:00000000000000aa:9,other=x"),
            ],
        ),
        (&["w3c"], &[("baggage", "k=v"), ("jaeger-debug-id", "ticket")]),
        (
            &["b3"],
            &[
                ("x-b3-traceid", TRACE),
                ("x-b3-spanid", "00f067aa0ba902b7"),
                ("x-b3-parentspanid", "00000000000000aa"),
                ("x-b3-sampled", "1"),
                ("baggage-k", "v w"),
            ],
        ),
        (&["b3"], &[("x-b3-traceid", TRACE), ("x-b3-spanid", "00f067aa0ba902b7")]),
        (&["b3"], &[("x-b3-sampled", "0")]),
        (&["b3-single"], &[("b3", &single), ("baggage-k", "v")]),
        (&["b3-single"], &[("b3", &without_decision)]),
        (
            &["jaeger", "w3c", "b3", "b3-single"],
            &[
                ("uber-trace-id", &jaeger),
                ("uberctx-k", "v"),
                ("x-b3-traceid", TRACE),
                ("x-b3-spanid", "00f067aa0ba902b7"),
                ("x-b3-parentspanid", "00000000000000aa"),
                ("x-b3-sampled", "1"),
                ("x-b3-flags", "1"),
                ("baggage-k", "v"),
                ("b3", &single),
                ("traceparent", &parent),
                ("tracestate", "jaeger=00f067aa0ba902b7:00000000000000aa:b,other=x"),
                ("baggage", "k=v"),
            ],
        ),
    ];
    for (propagation, request) in cases {
        let (tracer, closer) = disabled(propagation);
        let request = headers(request);
        for (name, written) in onward(&tracer, &request) {
            assert_eq!(written, request, "{propagation:?}, {name}");
        }
        let stats = closer.close(Duration::ZERO).stats;
        assert_eq!((stats.started, stats.not_sampled, stats.sent), (8, 8, 0), "{stats}");
        assert_eq!(stats.baggage_limited + stats.decoding_errors + stats.misused, 0);
    }
}

#[test]
fn what_came_in_one_format_goes_on_in_all_that_have_a_place_for_it() {
    let (tracer, _closer) = disabled(&["jaeger", "w3c", "b3"]);
    let written = onward(&tracer, &headers(&[("uber-trace-id", "a:b:0:1"), ("uberctx-k", "v")]));
    for (name, written) in written {
        let names: Vec<_> = written.keys().map(String::as_str).collect();
        let expected = [
            "baggage",
            "baggage-k",
            "traceparent",
            "uber-trace-id",
            "uberctx-k",
            "x-b3-sampled",
            "x-b3-spanid",
            "x-b3-traceid",
        ];
        assert_eq!(names, expected, "{name}");
    }
    // Not sampled would be a decision, which nobody has made.
    let without_decision = headers(&[("x-b3-spanid", "000000000000000b"), ("x-b3-traceid", TRACE)]);
    for (name, written) in onward(&tracer, &without_decision) {
        assert_eq!(written, without_decision, "{name}");
    }
}

#[test]
fn a_span_without_a_caller_writes_nothing_and_leaves_what_is_there() {
    for propagation in
        [&["jaeger"][..], &["w3c"], &["b3"], &["b3-single"], &["jaeger", "w3c", "b3"]]
    {
        let (tracer, _closer) = disabled(propagation);
        let root = tracer.start_span("root");
        root.set_baggage_item("k", "v").set_tag("sampling.priority", 1);
        let scope = root.activate();
        let active = tracer.start_span(String::from("below it"));
        drop(scope);
        let broken = headers(&[("uber-trace-id", "x"), ("traceparent", "x"), ("b3", "x")]);
        let broken = tracer.extract(&HttpHeaders(broken)).ok();
        for span in [
            tracer.span("child").child_of(&root).start(),
            tracer.span("child").child_of(root.context()).start(),
            tracer.span("serve").child_of(broken).start(),
            tracer.span("built").tag("sampling.priority", 1).start(),
            tracer.start_span(String::from("a name of its own")),
            root.clone(),
            active,
            root,
        ] {
            let context = span.context();
            assert!(!context.is_valid() && !span.is_sampled(), "{span:?}");
            let callers = headers(&[("uber-trace-id", "1:2:0:1"), ("b3", "1-2-1"), ("x", "y")]);
            let mut carrier = HttpHeaders(callers.clone());
            tracer.inject(&context, &mut carrier);
            assert_eq!(carrier.0, callers, "{propagation:?}");
        }
        assert_eq!(tracer.stats().started, 7);
    }
}

#[test]
fn a_retried_request_has_the_callers_context_once() {
    let (tracer, _closer) = disabled(&["jaeger"]);
    let request = HttpHeaders(headers(&[("Uber-Trace-Id", "a:b:0:1"), ("UberCtx-k", "v")]));
    let span = tracer.span("serve").child_of(tracer.extract(&request).ok()).start();
    let mut copied = request.0;
    for _ in 0..2 {
        tracer.inject(&span.context(), &mut copied);
    }
    let id = "000000000000000a:000000000000000b:0000000000000000:1";
    assert_eq!(copied, headers(&[("uber-trace-id", id), ("uberctx-k", "v")]));
}

#[test]
fn the_binary_carrier_passes_too() {
    let (tracer, _closer) = disabled(&["jaeger"]);
    let ids = (TraceId::new(7, 8), SpanId::new(9), SpanId::new(10));
    let given = SpanContext::new(ids.0, ids.1, ids.2, 11).with_baggage_item("any key", "v");
    let (enabled, _closer_too) = Tracer::builder("svc").null_reporter().build().unwrap();
    let bytes = enabled.inject_binary(&given);
    let span = tracer.span("serve").child_of(tracer.extract_binary(&bytes).ok()).start();
    assert_eq!(tracer.inject_binary(&span.context()), bytes);
    // Where there is no caller there are no ids either, and whoever reads them begins a trace.
    let none = tracer.inject_binary(&tracer.start_span("root").context());
    let read = enabled.extract_binary(&none).unwrap();
    let span = enabled.span("next").child_of(&read).start();
    assert!(span.is_sampled() && span.context().parent_id() == SpanId::NONE);
}

#[test]
fn tracers_of_one_process_may_be_disabled_or_not() {
    let (off, _closer) = disabled(&["jaeger"]);
    let (on, _closer_too) =
        Tracer::builder("svc").logger(NullLogger).null_reporter().build().unwrap();
    let request = HttpHeaders(headers(&[("uber-trace-id", "a:b:c:1"), ("uberctx-k", "v")]));
    let caller = off.extract(&request).unwrap();
    let passing = off.span("serve").child_of(&caller).start();
    for child in [
        on.span("below").child_of(&passing).start(),
        on.span("below").child_of(passing.context()).start(),
    ] {
        let context = child.context();
        assert_eq!(
            (context.trace_id(), context.parent_id()),
            (caller.trace_id(), caller.span_id())
        );
        assert!(child.is_sampled() && child.baggage_item("k").as_deref() == Some("v"));
        child.set_baggage_item("own", "v");
        assert_eq!(child.context().baggage().count(), 2);
        let through = off.span("through").child_of(&child).start();
        assert_eq!(injected(&off, &through.context()), injected(&on, &child.context()));
        assert!(!through.is_sampled());
    }
    let root = on.span("root").child_of(&off.start_span("none")).start();
    assert!(root.context().is_valid() && root.context().parent_id() == SpanId::NONE);
    let by_hand = SpanContext::new(TraceId::new(0, 1), SpanId::new(2), SpanId::NONE, 1);
    let written = injected(&off, &off.span("op").child_of(&by_hand).start().context());
    assert_eq!(written, injected(&on, &by_hand));
    let (first, second) = (on.start_span("on"), off.start_span("off"));
    let (_one, _two) = (first.activate(), second.activate());
    assert!(Span::active().is_some_and(|span| !span.context().is_valid()));
}

#[test]
fn what_it_needs_to_hand_contexts_on_is_checked() {
    let with = |change: fn(&mut Configuration)| {
        let mut configuration = Configuration { disabled: true, ..Configuration::default() };
        change(&mut configuration);
        configuration.new_tracer().map(drop)
    };
    let unknown: Result<(), ConfigError> = with(|c| c.propagation = vec!["xray".to_owned()]);
    assert!(unknown.unwrap_err().to_string().contains("xray"));
    let prefix = with(|c| c.headers.baggage_prefix.clear());
    assert!(prefix.unwrap_err().to_string().contains("baggage_prefix"));
    let named = HeadersConfig { trace_context: "x-trace".to_owned(), ..HeadersConfig::default() };
    let configuration =
        Configuration { disabled: true, headers: named, ..Configuration::default() };
    let (tracer, _closer) = configuration.new_tracer().unwrap();
    let id = "000000000000000a:000000000000000b:0000000000000000:1";
    for (_, written) in onward(&tracer, &headers(&[("x-trace", id)])) {
        assert_eq!(written, headers(&[("x-trace", id)]));
    }
}

#[test]
fn nothing_has_a_trace_recorded() {
    let (tracer, closer) = disabled(&["jaeger"]);
    let caller: SpanContext = "a:b:0:1".parse().unwrap();
    for span in [tracer.start_span("plain"), tracer.span("below").child_of(&caller).start()] {
        span.retain_trace().set_tag("sampling.priority", 1);
        assert!(!span.is_sampled() && !span.is_recording());
        span.child("child").retain_trace();
        tracer.prepare_span("prepared").start().retain_trace();
    }
    let stats = closer.close(Duration::from_secs(10)).stats;
    assert_eq!((stats.started, stats.not_sampled, stats.open), (6, 6, 0), "{stats}");
}
