//! Metrics under Jaeger's names: each counts what it is named after.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::builder;
use crate::support::metrics::counters;
use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::policy::{
    BaggageRestriction, BaggageRestrictionManager, DebugThrottler, Updates,
};
use jaeger_client::sampler::{
    ConstSampler, Decision, PrioritySampler, RemoteCounts, Sampler, SamplingParameters,
    TagMatchingSampler,
};
use jaeger_client::{Closer, SpanContext, SpanId, TraceId, Tracer};

/// A tracer without a thread, and its metrics.
fn counted(sampler: impl Sampler + 'static) -> (Tracer, Closer, InMemoryMetrics) {
    let metrics = InMemoryMetrics::new();
    let tracer = builder().sampler(sampler).null_reporter().metrics(metrics.clone());
    let (tracer, closer) = tracer.build().unwrap();
    (tracer, closer, metrics)
}

fn expected<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.map(|(name, count)| (name.to_owned(), count)).into()
}

fn decided_by_tag() -> TagMatchingSampler {
    TagMatchingSampler::new("tenant").matching("acme")
}

#[test]
fn every_metric_is_there_from_the_start_under_jaegers_names() {
    let (_tracer, _closer, metrics) = counted(ConstSampler::new(true));
    let names: Vec<_> = metrics.counters().into_keys().collect();
    let expected = [
        "baggage_restrictions_updates|result=err",
        "baggage_restrictions_updates|result=ok",
        "baggage_truncations",
        "baggage_updates|result=err",
        "baggage_updates|result=ok",
        "finished_spans|sampled=delayed",
        "finished_spans|sampled=n",
        "finished_spans|sampled=y",
        "reporter_receiver_drops",
        "reporter_spans|result=dropped",
        "reporter_spans|result=err",
        "reporter_spans|result=ok",
        "reporter_spans|result=saved",
        "sampler_queries|result=err",
        "sampler_queries|result=ok",
        "sampler_updates|result=err",
        "sampler_updates|result=ok",
        "span_context_decoding_errors",
        "started_spans|sampled=delayed",
        "started_spans|sampled=n",
        "started_spans|sampled=y",
        "throttled_debug_spans",
        "throttler_updates|result=err",
        "throttler_updates|result=ok",
        "traces|sampled=delayed|state=started",
        "traces|sampled=n|state=joined",
        "traces|sampled=n|state=started",
        "traces|sampled=y|state=joined",
        "traces|sampled=y|state=started",
    ];
    assert_eq!(names, expected.map(|name| format!("jaeger.tracer.{name}")));
    let gauges: Vec<_> = metrics.gauges().into_keys().collect();
    assert_eq!(gauges, ["jaeger.tracer.reporter_queue_length"]);
}

#[test]
fn traces_and_spans_are_counted_by_whether_they_are_sampled_in_every_way_to_start_them() {
    for (sample, sampled) in [(true, "y"), (false, "n")] {
        let (tracer, _closer, metrics) = counted(ConstSampler::new(sample));
        let root = tracer.start_span("root"); // by name
        drop(tracer.start_span(String::from("root"))); // by a name that is owned
        drop(tracer.span("root").tag("k", 1).start()); // by a builder
        drop(tracer.span("child").child_of(&root).start());
        drop(tracer.span("child").follows_from(root.context()).start());
        let scope = root.activate();
        drop(tracer.start_span("child"));
        drop(scope);
        let sampled = |name: &str| format!("{name}|sampled={sampled}");
        let counts = expected([
            (&format!("{}|state=started", sampled("traces")), 3),
            (&sampled("started_spans"), 6),
            (&sampled("finished_spans"), 5),
            ("reporter_spans|result=ok", if sample { 5 } else { 0 }),
        ]);
        let counts: BTreeMap<_, _> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counters(&metrics), counts);
    }
}

#[test]
fn a_span_counts_as_started_by_the_decision_at_its_start_and_as_finished_by_that_at_its_end() {
    let (tracer, _closer, metrics) = counted(ConstSampler::new(false));
    // Decided before it is counted, as in Go.
    tracer.span("op").tag("sampling.priority", 1).start().finish();
    let forced = tracer.start_span("op");
    forced.set_tag("sampling.priority", 1);
    forced.finish();
    let counts = expected([
        ("traces|sampled=y|state=started", 1),
        ("traces|sampled=n|state=started", 1),
        ("started_spans|sampled=y", 1),
        ("started_spans|sampled=n", 1),
        ("finished_spans|sampled=y", 2),
        ("reporter_spans|result=ok", 2),
    ]);
    assert_eq!(counters(&metrics), counts);
}

#[test]
fn a_trace_is_joined_by_a_span_that_serves_or_that_has_no_parent() {
    let (tracer, _closer, metrics) = counted(ConstSampler::new(true));
    let remote = |header: &str| {
        let headers = HashMap::from([("uber-trace-id".to_owned(), header.to_owned())]);
        tracer.extract(&headers).unwrap()
    };
    let sampled = remote("a:b:c:1");
    drop(tracer.span("server").child_of(&sampled).tag("span.kind", "server").start());
    drop(tracer.span("server").child_of(remote("a:b:c:0")).tag("span.kind", "server").start());
    drop(tracer.span("no server").child_of(&sampled).start());
    drop(tracer.span("client").child_of(&sampled).tag("span.kind", "client").start());
    // The last value of a tag is the one that counts.
    let builder = tracer.span("client").child_of(&sampled).tag("span.kind", "server");
    drop(builder.tag("span.kind", "client").start());
    drop(tracer.span("new").tag("span.kind", "server").start());
    let root = SpanContext::new(TraceId::new(0, 7), SpanId::new(7), SpanId::NONE, 1);
    drop(tracer.span("itself").self_reference(root).start());
    let below = SpanContext::new(TraceId::new(0, 7), SpanId::new(8), SpanId::new(7), 1);
    drop(tracer.span("itself").self_reference(below).start());
    let counts = expected([
        ("traces|sampled=y|state=joined", 2),
        ("traces|sampled=n|state=joined", 1),
        ("traces|sampled=y|state=started", 1),
        ("started_spans|sampled=y", 7),
        ("started_spans|sampled=n", 1),
        ("finished_spans|sampled=y", 7),
        ("finished_spans|sampled=n", 1),
        ("reporter_spans|result=ok", 7),
    ]);
    assert_eq!(counters(&metrics), counts);
}

#[test]
fn a_trace_is_joined_by_a_span_that_serves_and_is_put_below_its_parent_later() {
    let (tracer, _closer, metrics) = counted(ConstSampler::new(true));
    let parent = SpanContext::new(TraceId::new(0, 7), SpanId::new(8), SpanId::NONE, 1);
    for (kind, joined) in [("server", 1), ("client", 1), ("server", 2)] {
        let span = tracer.span("op").tag("span.kind", kind).start();
        drop(span.restart_as_child_of(&parent));
        let counted = metrics.counters()["jaeger.tracer.traces|sampled=y|state=joined"];
        assert_eq!(counted, joined, "{kind}");
        // As the first of another trace it joins none.
        drop(
            tracer
                .span("op")
                .tag("span.kind", kind)
                .start()
                .restart_as_child_of(None::<SpanContext>),
        );
    }
}

#[test]
fn a_trace_is_joined_by_a_span_that_serves_however_short_tags_are_cut() {
    for (max, kind, joined) in [(2, "server", 1), (2, "client", 0), (6, "server", 1)] {
        let metrics = InMemoryMetrics::new();
        let builder = Tracer::builder("svc").metrics(metrics.clone()).null_reporter();
        let (tracer, _closer) = builder.max_tag_value_length(max).build().unwrap();
        let parent = SpanContext::new(TraceId::new(0, 7), SpanId::new(8), SpanId::NONE, 1);
        drop(tracer.span("joins").child_of(&parent).tag("span.kind", kind).start());
        let counted = metrics.counters()["jaeger.tracer.traces|sampled=y|state=joined"];
        assert_eq!(counted, joined, "{kind} cut to {max}");
    }
}

#[test]
fn a_trace_whose_decision_is_deferred_is_not_counted_as_not_sampled() {
    let (tracer, _closer, metrics) = counted(decided_by_tag());
    let root = tracer.start_span("never decided");
    drop(tracer.span("child").child_of(&root).start());
    root.finish();
    let later = tracer.start_span("decided later");
    later.set_tag("tenant", "acme");
    drop(later);
    drop(tracer.span("decided at once").tag("tenant", "acme").start());
    let never = tracer.start_span("refused");
    never.set_tag("sampling.priority", 0);
    never.finish();
    let counts = expected([
        ("traces|sampled=delayed|state=started", 3),
        ("traces|sampled=y|state=started", 1),
        ("started_spans|sampled=delayed", 4),
        ("started_spans|sampled=y", 1),
        ("finished_spans|sampled=delayed", 2),
        ("finished_spans|sampled=y", 2),
        ("finished_spans|sampled=n", 1),
        ("reporter_spans|result=ok", 2),
    ]);
    assert_eq!(counters(&metrics), counts);
    let stats = tracer.stats();
    assert_eq!((stats.started, stats.finished, stats.not_sampled), (5, 5, 3));
}

#[test]
fn a_second_finish_counts_once_while_the_decision_is_deferred() {
    let (tracer, _closer, metrics) = counted(decided_by_tag());
    let span = tracer.start_span("op");
    span.finish();
    span.finish();
    drop(span);
    assert_eq!(counters(&metrics)["finished_spans|sampled=delayed"], 1);
    assert_eq!((tracer.stats().finished, tracer.stats().misused), (1, 1));
}

/// Samples, by a decision that may be made again.
#[derive(Debug)]
struct AlwaysRetryable;

impl Sampler for AlwaysRetryable {
    fn on_create_span(&self, _span: &mut SamplingParameters<'_>) -> Decision {
        Decision::retryable(true)
    }

    fn may_defer(&self) -> bool {
        true
    }

    fn remote_counts(&self) -> RemoteCounts {
        let mut counts = RemoteCounts::default();
        (counts.queries_ok, counts.queries_err) = (7, 6);
        (counts.updates_ok, counts.updates_err) = (5, 4);
        counts
    }
}

#[test]
fn a_span_that_is_sampled_for_the_time_being_is_reported_and_counted_as_delayed() {
    let (tracer, _closer, metrics) = counted(AlwaysRetryable);
    tracer.start_span("op").finish();
    let counts = counters(&metrics);
    assert_eq!(counts["started_spans|sampled=delayed"], 1);
    assert_eq!(counts["finished_spans|sampled=delayed"], 1);
    assert_eq!(counts["reporter_spans|result=ok"], 1);
    assert!(!counts.contains_key("finished_spans|sampled=y"), "{counts:?}");
}

#[test]
fn polls_of_samplers_are_counted_also_if_they_are_one_of_several() {
    let sampler = PrioritySampler::new().then(ConstSampler::new(false)).then(AlwaysRetryable);
    let (_tracer, _closer, metrics) = counted(sampler.build().unwrap());
    let counts = expected([
        ("sampler_queries|result=ok", 7),
        ("sampler_queries|result=err", 6),
        ("sampler_updates|result=ok", 5),
        ("sampler_updates|result=err", 4),
    ]);
    assert_eq!(counters(&metrics), counts);
}

#[cfg(feature = "remote-sampler")]
#[test]
fn polls_of_a_remote_sampler_are_counted_by_result() {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use crate::support::eventually;
    use jaeger_client::sampler::{FetchError, RemoteSampler, StrategySource};

    #[derive(Debug)]
    struct Responses(Mutex<Vec<Result<Vec<u8>, FetchError>>>);

    impl StrategySource for Responses {
        fn fetch(&self, _service: &str) -> Result<Vec<u8>, FetchError> {
            self.0.lock().unwrap().pop().unwrap_or_else(|| Err(FetchError::new("no more")))
        }
    }

    let rate = |rate: &str| {
        Ok(format!(r#"{{"probabilisticSampling":{{"samplingRate":{rate}}}}}"#).into_bytes())
    };
    // From the last to the first: out of range, unreadable, two good ones, no response.
    let responses = vec![
        rate("7"),
        Ok(b"<html>".to_vec()),
        rate("0.5"),
        rate("0.25"),
        Err(FetchError::new("no")),
    ];
    let source = Responses(Mutex::new(responses));
    let interval = Duration::from_secs(3600);
    let sampler = RemoteSampler::builder("svc").source(source).refresh_interval(interval);
    let sampler = Arc::new(sampler.build().unwrap());
    (0..5).for_each(|_| drop(sampler.refresh()));
    let status = Arc::clone(&sampler);
    let (_tracer, _closer, metrics) = counted(sampler);
    // The tracer's own first request gets no response either.
    eventually(|| counters(&metrics).get("sampler_queries|result=err") >= Some(&2));
    let counts = counters(&metrics);
    let remote = status.status().remote.unwrap();
    assert_eq!((remote.queries_ok, remote.updates_ok, remote.updates_err), (3, 2, 2));
    assert_eq!(counts["sampler_queries|result=ok"], remote.queries_ok);
    assert_eq!(counts["sampler_updates|result=ok"], remote.updates_ok);
    assert_eq!(counts["sampler_updates|result=err"], remote.updates_err);
}

#[derive(Debug)]
struct OnlyTenant;

impl BaggageRestrictionManager for OnlyTenant {
    fn restriction(&self, _service: &str, key: &str) -> BaggageRestriction {
        if key == "tenant" { BaggageRestriction::up_to(4) } else { BaggageRestriction::DENIED }
    }

    fn updates(&self) -> Updates {
        let mut updates = Updates::default();
        (updates.ok, updates.err) = (3, 2);
        updates
    }
}

#[test]
fn baggage_is_counted_as_set_truncated_or_denied_and_polls_by_result() {
    let metrics = InMemoryMetrics::new();
    let builder = builder().baggage_restriction_manager(OnlyTenant).metrics(metrics.clone());
    let (tracer, _closer) = builder.null_reporter().build().unwrap();
    let span = tracer.start_span("op");
    span.set_baggage_item("tenant", "acme").set_baggage_item("tenant", "acme ltd");
    for value in ["a", "b", "c"] {
        span.set_baggage_item("user", value);
    }
    let counts = expected([
        ("baggage_updates|result=ok", 2),
        ("baggage_updates|result=err", 3),
        ("baggage_truncations", 1),
        ("baggage_restrictions_updates|result=ok", 3),
        ("baggage_restrictions_updates|result=err", 2),
        ("started_spans|sampled=y", 1),
        ("traces|sampled=y|state=started", 1),
    ]);
    assert_eq!(counters(&metrics), counts);
}

#[derive(Debug)]
struct Denies(AtomicU64);

impl DebugThrottler for Denies {
    fn is_allowed(&self, _operation: &str) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        false
    }

    fn updates(&self) -> Updates {
        let mut updates = Updates::default();
        (updates.ok, updates.err) = (5, 4);
        updates
    }

    fn throttled(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn denied_requests_for_debugging_are_counted_and_polls_of_credits_by_result() {
    let metrics = InMemoryMetrics::new();
    let builder = builder().debug_throttler(Denies(AtomicU64::new(0))).metrics(metrics.clone());
    let builder = builder.sampler(ConstSampler::new(false)).null_reporter();
    let (tracer, _closer) = builder.build().unwrap();
    tracer.start_span("op").set_tag("sampling.priority", 1);
    tracer.span("op").tag("sampling.priority", 1).start().finish();
    let counts = expected([
        ("throttled_debug_spans", 2),
        ("throttler_updates|result=ok", 5),
        ("throttler_updates|result=err", 4),
        ("started_spans|sampled=n", 2),
        ("finished_spans|sampled=n", 2),
        ("traces|sampled=n|state=started", 2),
    ]);
    assert_eq!(counters(&metrics), counts);
}

#[test]
fn contexts_that_cannot_be_read_are_counted_and_absent_ones_are_not() {
    let (tracer, _closer, metrics) = counted(ConstSampler::new(true));
    let extract = |header: &str| {
        let headers = HashMap::from([("uber-trace-id".to_owned(), header.to_owned())]);
        tracer.extract(&headers).is_ok()
    };
    assert!(!extract("not:a:context") && !extract("x") && extract("1:2:0:1"));
    assert!(tracer.extract(&HashMap::<String, String>::new()).is_err());
    assert_eq!(counters(&metrics), expected([("span_context_decoding_errors", 2)]));
}
