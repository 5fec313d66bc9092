//! A span that is prepared before its parent is known, and handles of the size of a pointer.

use std::mem::size_of;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::support::{FollowedBy, StartObserver, builder};
use jaeger_client::encoding::ValueView;
use jaeger_client::metrics::InMemoryMetrics;
use jaeger_client::sampler::{
    ConstSampler, Decision, ProbabilisticSampler, RateLimitingSampler, Sampler, SamplerStatus,
    SamplingParameters, TagMatchingSampler,
};
use jaeger_client::{
    CompactSpan, IdGenerator, InMemoryReporter, ManualClock, PreparedSpan, Span, SpanContext,
    SpanObserver, Stats, TagValue, TailSamplingConfig, Tracer, TracerBuilder,
};

fn started(stats: &Stats) -> (u64, u64, u64) {
    (stats.started, stats.open, stats.not_sampled)
}

fn caller(flags: u8) -> SpanContext {
    format!("a:b:0:{flags}").parse().unwrap()
}

/// The keys and values of the tags of the only span that was reported.
fn tags_of_only(reporter: &InMemoryReporter) -> Vec<(String, String)> {
    let spans = reporter.spans();
    assert_eq!(spans.len(), 1);
    let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
    let tags = spans[0]
        .view()
        .tags()
        .map(|tag| (String::from_utf8(tag.key.to_vec()).unwrap(), text(&tag.value)));
    tags.filter(|(key, _)| !key.starts_with("sampler.")).collect()
}

/// A tracer of each kind that starts spans in another way.
fn tracers(sampled: bool) -> Vec<(InMemoryReporter, Tracer, jaeger_client::Closer)> {
    let tracer = |way: usize| {
        let reporter = InMemoryReporter::new();
        let mut builder = builder().in_memory(&reporter).sampler(ConstSampler::new(sampled));
        if way == 1 {
            builder = builder.observer(StartObserver);
        }
        let (tracer, closer) = builder.build().unwrap();
        (reporter, tracer, closer)
    };
    (0..2).map(tracer).collect()
}

#[test]
fn several_tags_and_a_start_time_are_set_before_an_owned_start() {
    for (reporter, tracer, _closer) in tracers(true) {
        let mut prepared = tracer.prepare_span("op");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        prepared.set_tags(&[("text", "a".into()), ("ratio", 0.5.into())]).set_start_time(at);
        prepared.set_start_time(SystemTime::UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(tracer.stats().clamped_times, 1, "as at the start of any span");
        prepared.set_start_time(at);
        let mut span = prepared.start_owned();
        span.set_tag("number", 1);
        span.finish();
        let keys: Vec<_> = tags_of_only(&reporter).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["text", "ratio", "number"]);
        assert_eq!(reporter.spans()[0].start_time(), at);
    }
}

#[test]
fn it_is_counted_once_it_is_started_and_has_all_that_it_was_given() {
    for (reporter, tracer, _closer) in tracers(true) {
        let mut prepared = tracer.prepare_span("first name");
        prepared.set_tag("text", "a").set_tag("number", 1).set_tag("ratio", 0.5);
        prepared.replace_tag("text", "b").set_operation_name("second name");
        let other = caller(1);
        prepared.add_follows_from(&other);
        assert_eq!(started(&tracer.stats()), (0, 0, 0));
        // The active span is not the parent.
        let active = tracer.start_span("active");
        let scope = active.activate();
        let span = prepared.start();
        drop(scope);
        assert_eq!(started(&tracer.stats()), (2, 2, 0));
        assert_ne!(span.context().trace_id(), active.context().trace_id());
        assert_ne!(span.context().trace_id(), other.trace_id());
        span.finish();
        let keys: Vec<_> = tags_of_only(&reporter).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["number", "ratio", "text"]);
        let spans = reporter.spans();
        assert_eq!(spans[0].view().operation_name(), "second name");
        let references: Vec<_> = spans[0].view().references().collect();
        assert_eq!(references.len(), 1);
        assert!(references[0].follows_from && references[0].span_id == other.span_id());
        active.finish();
        assert_eq!(tracer.stats().open, 0);
    }
}

#[test]
fn it_begins_where_it_was_prepared() {
    let clock = Arc::new(ManualClock::new());
    clock.set_wall(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
    let reporter = InMemoryReporter::new();
    let (tracer, _closer) =
        builder().in_memory(&reporter).clock(Arc::clone(&clock)).build().unwrap();
    let prepared = tracer.prepare_span("op");
    clock.advance(Duration::from_millis(5));
    let span = prepared.start();
    clock.advance(Duration::from_millis(7));
    span.finish();
    let spans = reporter.spans();
    assert_eq!(spans[0].duration(), Duration::from_millis(12));
}

#[test]
fn the_last_parent_that_is_set_counts() {
    for (reporter, tracer, _closer) in tracers(false) {
        let parent = tracer.start_span("not sampled");
        let mut prepared = tracer.prepare_span("op");
        prepared.set_tag("kept", true).set_parent(&parent).set_parent(caller(1));
        let span = prepared.start();
        assert_eq!(span.context().trace_id(), caller(1).trace_id());
        assert_eq!(span.context().parent_id(), caller(1).span_id());
        span.finish();
        assert_eq!(tags_of_only(&reporter).len(), 1);
        assert_eq!(reporter.spans()[0].view().references().count(), 1);

        let mut prepared = tracer.prepare_span("op");
        prepared.set_parent(caller(1)).set_parent(None::<SpanContext>);
        let span = prepared.start();
        assert!(!span.is_sampled() && span.context().trace_id() != caller(1).trace_id());
        span.finish();
        parent.finish();
        assert_eq!(started(&tracer.stats()), (3, 0, 2));
    }
}

#[test]
fn what_is_not_recorded_can_be_started_again_in_another_trace() {
    for (reporter, tracer, _closer) in tracers(false) {
        for first_parent in [None, Some(caller(0))] {
            let before = tracer.stats();
            let mut prepared = tracer.prepare_span("op");
            prepared.set_tag("text", "a").set_parent(first_parent);
            let (first, retained) = prepared.start_retaining();
            assert!(!first.is_recording());
            let mut retained = retained.unwrap();
            retained.set_tag("more", 1).set_parent(caller(1));
            let (second, nothing) = retained.start_retaining();
            assert!(second.is_recording() && nothing.is_none());
            second.finish();
            first.finish();
            let tags = tags_of_only(&reporter);
            assert_eq!(tags.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), ["text", "more"]);
            reporter.reset();
            let stats = tracer.stats();
            assert_eq!((stats.started - before.started, stats.open), (2, 0));
        }
    }
}

#[test]
fn a_span_is_started_in_the_place_of_one_that_is_not_finished() {
    for (reporter, tracer, _closer) in tracers(false) {
        let prepared = || {
            let mut prepared = tracer.prepare_span("op");
            prepared.set_tag("text", "a");
            let (first, retained) = prepared.start_retaining();
            let mut retained = retained.unwrap();
            retained.set_parent(caller(1));
            (first, retained)
        };
        let (first, mut retained) = prepared();
        let next = retained.start_in_place_of(&first).unwrap();
        assert!(next.is_recording() && !retained.is_retained());
        first.set_tag("late", 1).finish();
        drop(first);
        next.finish();
        assert_eq!(tags_of_only(&reporter).len(), 1);
        assert_eq!(started(&tracer.stats()), (2, 0, 1));

        let (first, mut retained) = prepared();
        first.finish();
        assert!(retained.start_in_place_of(&first).is_none());
        assert!(prepared().1.start_in_place_of(&Span::none()).is_none());
        assert_eq!(started(&tracer.stats()), (4, 0, 3));
        assert_eq!(tracer.stats().misused, 2, "one call on each of two spans that were finished");

        let (first, mut retained) = prepared();
        retained.start_in_place_of(&first).unwrap().finish();
        let live = tracer.start_span("live");
        let misused = tracer.stats().misused;
        assert!(retained.start_in_place_of(&live).is_none(), "it was started");
        assert_eq!((tracer.stats().open, tracer.stats().misused), (1, misused + 1));
        drop(live);

        let (other, _closer) = builder().null_reporter().build().unwrap();
        let others = other.start_span("of another tracer");
        let (first, mut retained) = prepared();
        retained.start_in_place_of(&others).unwrap().finish();
        first.finish();
        assert_eq!((started(&tracer.stats()), started(&other.stats())), ((9, 0, 6), (1, 0, 0)));
    }
}

/// Stores the names that a span is given after its start.
#[derive(Clone, Debug)]
struct Renamed(Arc<Mutex<Vec<String>>>);

impl SpanObserver for Renamed {
    fn on_set_operation_name(&self, span: &Span, name: &str) {
        assert_eq!(span.operation_name(), name);
        self.0.lock().unwrap().push(name.to_owned());
    }
}

#[test]
fn an_observer_learns_of_the_name_of_a_span_that_is_started_in_place_if_it_is_another() {
    for (name, expected) in [("second", vec!["second"]), ("first", vec![])] {
        let names = Arc::default();
        let builder = builder().sampler(ConstSampler::new(false)).null_reporter();
        let builder = builder.observer(FollowedBy(Renamed(Arc::clone(&names))));
        let (tracer, _closer) = builder.build().unwrap();
        let (first, retained) = tracer.prepare_span("first").start_retaining();
        let mut retained = retained.unwrap();
        retained.set_operation_name(name).set_parent(caller(1));
        retained.start_in_place_of(&first).unwrap().finish();
        assert_eq!(*names.lock().unwrap(), expected);
    }
}

#[test]
fn a_span_started_in_place_leaves_what_can_be_started_again_and_else_nothing() {
    for sampled in [true, false] {
        for (reporter, tracer, _closer) in tracers(sampled) {
            let (linked, before) = (tracer.start_span("linked").context(), tracer.stats());
            let mut prepared = tracer.prepare_span("op");
            prepared.set_tag("text", "a").add_follows_from(&linked);
            assert!(prepared.is_retained());
            let first = prepared.start_compact();
            assert_eq!(prepared.is_retained(), !sampled);
            if prepared.is_retained() {
                prepared.set_tag("more", 1).set_parent(caller(1));
                let second = prepared.start_compact();
                assert!(!prepared.is_retained());
                second.finish();
            }
            // From here on it does nothing.
            prepared.set_tag("late", 1);
            prepared.start_compact().finish();
            first.finish();
            let span = reporter.spans().pop().unwrap();
            assert_eq!(
                (span.tag("late"), span.view().references().count()),
                (None, if sampled { 1 } else { 2 })
            );
            assert_eq!(span.tag("more").is_some(), !sampled);
            let (stats, count) = (tracer.stats(), if sampled { 1 } else { 2 });
            assert_eq!((stats.started - before.started, stats.open), (count, 0));
        }
    }
}

/// Ids from 1.
#[derive(Debug, Default)]
struct Ids(AtomicU64);

impl IdGenerator for Ids {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// A sampler of an application.
#[derive(Debug)]
struct OwnSampler;

impl Sampler for OwnSampler {
    fn on_create_span(&self, _span: &mut SamplingParameters<'_>) -> Decision {
        Decision::new(true)
    }

    fn status(&self) -> SamplerStatus {
        ConstSampler::new(true).status()
    }
}

#[test]
fn a_span_is_started_while_a_lock_is_held_only_if_no_callback_is_called() {
    type Choose = fn(TracerBuilder) -> TracerBuilder;
    let kinds: [(&str, bool, Choose); 10] = [
        ("const", true, |builder| builder.sampler(ConstSampler::new(true))),
        ("probabilistic", true, |builder| builder.sampler(ProbabilisticSampler::new(1.0).unwrap())),
        ("never", true, |builder| builder.sampler(ConstSampler::new(false))),
        ("rate", false, |builder| builder.sampler(RateLimitingSampler::new(1e9).unwrap())),
        ("own sampler", false, |builder| builder.sampler(OwnSampler)),
        ("clock", false, |builder| builder.clock(ManualClock::new())),
        ("ids", false, |builder| builder.id_generator(Ids::default())),
        ("observer", false, |builder| builder.observer(StartObserver)),
        ("tail", false, |builder| builder.tail_sampling(TailSamplingConfig::default())),
        ("tags", false, |builder| builder.sampler(TagMatchingSampler::new("k").matching("v"))),
    ];
    for (kind, is_quiet, choose) in kinds {
        for parent in [None, Some(caller(1))] {
            let reporter = InMemoryReporter::new();
            let (tracer, _closer) = choose(builder()).in_memory(&reporter).build().unwrap();
            let mut prepared = tracer.prepare_span("op");
            prepared.set_tag("k", 1).set_parent(parent.clone());
            let is_sampled = parent.is_some() || !["never", "tags"].contains(&kind);
            let span = prepared.try_start_compact();
            assert_eq!(span.is_some(), is_quiet, "{kind}");
            assert_eq!(tracer.stats().started, u64::from(is_quiet), "{kind}");
            assert_eq!(prepared.is_retained(), !(is_quiet && is_sampled), "{kind}");
            let span = span.unwrap_or_else(|| prepared.start_compact());
            if let Some(parent) = &parent {
                assert_eq!(span.span().context().parent_id(), parent.span_id(), "{kind}");
            }
            span.finish();
            if kind == "tail" {
                continue;
            }
            let tags = reporter.spans().iter().map(|span| span.view().tags().count()).max();
            assert_eq!(tags.is_some(), is_sampled, "{kind}");
            let stats = tracer.stats();
            assert_eq!((stats.started, stats.open, stats.misused), (1, 0, 0), "{kind}");
        }
    }
}

#[test]
fn a_span_with_more_than_tags_and_a_parent_is_not_started_while_a_lock_is_held() {
    let reporter = InMemoryReporter::new();
    let (tracer, _closer) = builder().in_memory(&reporter).build().unwrap();
    let mut forced = tracer.prepare_span("forced");
    forced.set_tag("sampling.priority", 1);
    let mut following = tracer.prepare_span("following");
    following.add_follows_from(caller(1));
    for prepared in [&mut forced, &mut following] {
        assert!(prepared.try_start_compact().is_none());
        prepared.start_compact().finish();
        assert!(prepared.try_start_compact().is_none(), "it was started before");
    }
    assert_eq!(tracer.stats().started, 2);
    assert_eq!(reporter.spans()[1].view().references().count(), 1);
}

#[test]
fn a_span_started_while_a_lock_was_held_can_be_started_again_if_it_is_not_recorded() {
    let reporter = InMemoryReporter::new();
    let builder = builder().in_memory(&reporter).sampler(ConstSampler::new(false));
    let (tracer, _closer) = builder.build().unwrap();
    let mut prepared = tracer.prepare_span("op");
    prepared.set_tag("k", 1);
    let first = prepared.try_start_compact().unwrap();
    prepared.set_parent(caller(1));
    let second = prepared.try_start_compact().unwrap();
    assert!(!prepared.is_retained());
    first.finish();
    second.finish();
    assert_eq!(tags_of_only(&reporter), [("k".to_owned(), "Long(1)".to_owned())]);
    assert_eq!(started(&tracer.stats()), (2, 0, 1));
}

#[test]
fn what_it_was_given_is_with_the_span_or_retained_though_its_trace_is_forced_meanwhile() {
    let ways: [fn(TracerBuilder) -> TracerBuilder; 3] = [
        |builder| builder,
        |builder| builder.metrics(InMemoryMetrics::new()),
        |builder| builder.metrics(InMemoryMetrics::new()).rpc_metrics(true),
    ];
    for (way, built) in ways.into_iter().enumerate() {
        let sampler = ConstSampler::new(false);
        let (tracer, _closer) = built(builder().sampler(sampler)).null_reporter().build().unwrap();
        let (send, parents) = channel::<(Span, Arc<AtomicBool>)>();
        let forces = thread::spawn(move || {
            for (parent, is_starting) in parents {
                while !is_starting.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                parent.set_tag("sampling.priority", 1);
            }
        });
        for round in 0..4_000_u32 {
            let parent = tracer.start_span("parent");
            let is_starting = Arc::new(AtomicBool::new(false));
            send.send((parent.clone(), Arc::clone(&is_starting))).unwrap();
            let mut prepared = tracer.prepare_span("op");
            prepared.set_tag("k", 1).set_parent(&parent);
            is_starting.store(true, Ordering::Relaxed);
            // So that the other thread is at another place each time.
            (0..round % 64).for_each(|_| std::hint::spin_loop());
            let (span, retained) = prepared.start_retaining();
            assert!(span.tag("k").is_some() || retained.is_some(), "way {way}, round {round}");
        }
        drop(send);
        forces.join().unwrap();
    }
}

#[test]
fn a_value_beyond_its_limit_is_counted_once_however_often_the_span_is_started() {
    let ways: [fn(TracerBuilder) -> TracerBuilder; 5] = [
        |builder| builder,
        |builder| builder.observer(StartObserver),
        |builder| builder.metrics(InMemoryMetrics::new()).rpc_metrics(true),
        |builder| builder.sampler(TagMatchingSampler::new("k").matching("v")),
        |builder| {
            builder.sampler(TagMatchingSampler::new("k").matching("v")).observer(StartObserver)
        },
    ];
    // The last one is wanted by RPC metrics.
    for (key, length) in [("k", 20), ("k", 5_000), ("span.kind", 20), ("http.method", 5_000)] {
        for (way, built) in ways.into_iter().enumerate() {
            let limited = builder().max_tag_value_length(10).sampler(ConstSampler::new(false));
            let (tracer, _closer) = built(limited).null_reporter().build().unwrap();
            let count = || tracer.stats().truncated_tags;
            let about = format!("way {way}, {key} of {length} bytes");
            let mut prepared = tracer.prepare_span("op");
            prepared.set_tag(key, "x".repeat(length));
            let mut retained = Some(prepared);
            for _ in 0..3 {
                let (span, next) =
                    retained.map_or((Span::none(), None), |prepared| prepared.start_retaining());
                (retained, _) = (next, span.finish());
            }
            assert_eq!(count(), 1, "{about}, started again");
            tracer.prepare_span("op").set_tag(key, vec![0_u8; length]);
            assert_eq!(count(), 2, "{about}, bytes that are dropped");
            drop(tracer.span("op").tag(key, "x".repeat(length)).start());
            assert_eq!(count(), 3, "{about}, of a builder");
            drop(tracer.span("op").child_of(caller(1)).tag(key, "x".repeat(length)).start());
            assert_eq!(count(), 4, "{about}, of a builder, sampled");
        }
    }
}

#[test]
fn a_priority_takes_effect_and_is_retained() {
    for (reporter, tracer, _closer) in tracers(false) {
        let mut prepared = tracer.prepare_span("op");
        prepared.set_tag("sampling.priority", 1);
        let span = prepared.start();
        assert!(span.is_sampled());
        span.finish();
        reporter.reset();
        let mut prepared = tracer.prepare_span("op");
        prepared.set_tag("sampling.priority", 0);
        let (first, retained) = prepared.start_retaining();
        let mut retained = retained.unwrap();
        retained.set_parent(caller(1));
        let second = retained.start();
        assert!(!first.is_sampled() && !second.is_sampled());
    }
}

#[test]
fn tail_sampling_keeps_what_it_was_given() {
    let reporter = InMemoryReporter::new();
    let (tracer, _closer) = builder()
        .in_memory(&reporter)
        .sampler(ConstSampler::new(false))
        .tail_sampling(TailSamplingConfig::default())
        .build()
        .unwrap();
    let mut prepared: PreparedSpan = tracer.prepare_span("op");
    prepared.set_tag("text", "a");
    let (span, retained) = prepared.start_retaining();
    assert!(span.is_recording() && retained.is_none());
    span.set_tag("error", true);
    span.finish();
    assert_eq!(tags_of_only(&reporter).len(), 2);
}

#[test]
fn a_prepared_span_that_is_dropped_has_never_been() {
    for (reporter, tracer, closer) in tracers(true) {
        let mut prepared = tracer.prepare_span("op");
        prepared.set_tag("text", "a").set_parent(caller(1));
        assert!(format!("{prepared:?}").contains("op"));
        drop(prepared);
        // The next span does not have what the dropped one was given.
        tracer.start_span("next").finish();
        assert!(tags_of_only(&reporter).is_empty());
        let report = closer.close(Duration::from_secs(10));
        assert_eq!((report.stats.started, report.stats.finished), (1, 1));
    }
}

#[test]
fn a_prepared_span_is_started_on_another_thread() {
    let (_reporter, tracer, _closer) = tracers(true).remove(0);
    let prepared = tracer.prepare_span("op");
    let span = thread::spawn(move || prepared.start()).join().unwrap();
    span.finish();
    assert_eq!(started(&tracer.stats()), (1, 0, 0));
}

#[test]
fn a_compact_span_is_a_handle_as_any_other() {
    assert_eq!(size_of::<CompactSpan>(), size_of::<usize>());
    for sampled in [true, false] {
        for (reporter, tracer, _closer) in tracers(sampled) {
            let span = tracer.start_span("op");
            let id = span.context().span_id();
            let compact = CompactSpan::from(span);
            compact.span().set_tag("text", TagValue::Str("a"));
            {
                let _active = compact.activate();
                assert_eq!(Span::active().unwrap().context().span_id(), id);
            }
            let clone = compact.clone();
            drop(compact);
            assert_eq!(tracer.stats().open, 1);
            let other = clone.span();
            clone.finish();
            assert_eq!(tracer.stats().open, 0);
            drop(other);
            assert_eq!(tracer.stats().misused, 0);
            assert_eq!(reporter.spans().len(), usize::from(sampled));
            // The end of the last handle is the end of the span.
            drop(CompactSpan::from(tracer.start_owned_span("owned")));
            CompactSpan::from(Span::none()).finish();
            assert_eq!(started(&tracer.stats()).1, 0);
            assert_eq!(tracer.stats().finished, 2);
        }
    }
}

#[test]
fn a_span_that_is_not_recorded_keeps_what_it_was_prepared_with() {
    let reporter = InMemoryReporter::new();
    let builder = builder().in_memory(&reporter).sampler(ConstSampler::new(false));
    let (tracer, _closer) = builder.build().unwrap();
    let start = |parent: Option<SpanContext>| {
        let mut prepared = tracer.prepare_span("op");
        prepared.set_tag("k", 1).set_parent(parent);
        let (span, is_recording) = prepared.try_start_storing().unwrap();
        assert!(!prepared.is_retained());
        assert_eq!(span.span().is_recording(), is_recording);
        (span, is_recording)
    };
    for parent in [None, Some(caller(0))] {
        let (first, is_recording) = start(parent);
        assert!(!is_recording && first.span().tags().is_empty());
        let mut again = first.prepared_again().unwrap();
        again.set_tag("more", 2).set_parent(caller(1));
        let second = again.start_in_place_of(&first.span()).unwrap();
        assert_eq!(second.context().parent_id(), caller(1).span_id());
        second.finish();
        first.finish();
        let tags = [("k", "Long(1)"), ("more", "Long(2)")];
        assert_eq!(tags_of_only(&reporter), tags.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(reporter.spans()[0].view().references().count(), 1);
        reporter.reset();
    }
    let (forced, _) = start(None);
    forced.span().set_tag("sampling.priority", 1);
    forced.finish();
    let keys: Vec<_> = tags_of_only(&reporter).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["k", "sampling.priority"]);
    reporter.reset();
    let (sampled, is_recording) = start(Some(caller(1)));
    assert!(is_recording);
    sampled.finish();
    assert_eq!(tags_of_only(&reporter).len(), 1);
    let stats = tracer.stats();
    assert_eq!((stats.started, stats.open, stats.misused), (6, 0, 2));
}

#[test]
fn the_tags_of_the_sampler_come_first_however_long_those_before_the_start_are() {
    for (reporter, tracer, _closer) in tracers(true) {
        for (count, length) in (0..4).flat_map(|count| [1, 9, 25, 40].map(|len| (count, len))) {
            let texts: Vec<_> =
                (0..count).map(|n| (["a", "b", "c"][n], "v".repeat(length + n))).collect();
            let mut prepared = tracer.prepare_span("op");
            let mut built = tracer.span("op").ignore_active_span();
            for (key, text) in &texts {
                prepared.set_tag(key, text);
                built = built.tag(key, text);
            }
            prepared.start().set_tag("last", true).finish();
            built.start().set_tag("last", true).finish();
            for span in reporter.spans() {
                let tags: Vec<_> = span.view().tags().collect();
                let keys: Vec<_> = tags.iter().map(|tag| tag.key).collect();
                let sampler = [&b"sampler.type"[..], b"sampler.param"].into_iter();
                let own = texts.iter().map(|(key, _)| key.as_bytes());
                let expected: Vec<_> = sampler.chain(own).chain([&b"last"[..]]).collect();
                assert_eq!(keys, expected, "{count} of {length} bytes");
                for (tag, (_, text)) in tags[2..].iter().zip(&texts) {
                    assert_eq!(tag.value, ValueView::Str(text.as_bytes()));
                }
            }
            reporter.reset();
        }
    }
}
