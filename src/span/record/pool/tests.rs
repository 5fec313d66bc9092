//! Tests of the pool of records.

use std::sync::Weak;
use std::thread;

use super::super::large::SMALL_BYTES;
use super::*;
use crate::Tracer;
use crate::sampler::ConstSampler;

fn tracer() -> (Tracer, crate::Closer) {
    Tracer::builder("s").null_reporter().build().unwrap()
}

/// Returns the memory of the record that the next span gets.
fn pooled_bytes() -> usize {
    let record = take();
    let held = record.data.try_lock().unwrap().draft.held_bytes();
    return_to_pool(record);
    held
}

#[test]
fn a_record_of_a_huge_span_is_not_reused_and_that_of_a_large_one_while_spans_are_large() {
    let (tracer, _closer) = tracer();
    for (bytes, reused) in [(50, true), (30_000, true), (100_000, false)] {
        let log = "x".repeat(bytes);
        let span = tracer.start_span("op");
        for _ in 0..2 {
            span.log_event(&log);
        }
        drop(span);
        assert_eq!(pooled_bytes() >= 2 * bytes, reused, "{bytes}");
    }
    let span = tracer.start_span("op");
    span.set_tag("t", "x").log_event("x".repeat(60_000));
    drop(span);
    assert!(pooled_bytes() >= 60_000);
    // Spans that need neither logs nor much memory.
    (0..1_000).for_each(|_| drop(tracer.start_span("op")));
    assert!(pooled_bytes() <= SMALL_BYTES, "{} bytes", pooled_bytes());
}

#[test]
fn the_number_of_pooled_records_is_bounded_however_many_spans_end_at_once() {
    let (tracer, _closer) = tracer();
    let spans: Vec<_> = (0..4 * SHARED_RECORDS).map(|_| tracer.start_span("op")).collect();
    drop(spans);
    let mut attempts = std::iter::repeat_with(|| SHARED.try_lock().map(|records| records.len()));
    let shared = attempts.find_map(|count| count).unwrap();
    assert!(shared > 0 && shared <= SHARED_RECORDS, "{shared} records");
}

/// Starts and ends spans, and returns what tells whether the stripe of the thread is still there.
fn start_and_end_spans(tracer: &Tracer) -> Weak<Stripe> {
    let root = tracer.start_span("op");
    let weak = root.stripe().map(Arc::downgrade).unwrap();
    let deep: Vec<_> = (0..40).map(|_| tracer.span("below").child_of(&root).start()).collect();
    drop((root, deep));
    weak
}

/// Runs `work` on a thread of its own, until the thread has dropped what it retains.
fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join().unwrap())
}

fn is_alive(stripe: &Weak<Stripe>) -> bool {
    stripe.strong_count() > 0
}

#[test]
fn the_references_that_a_thread_retains_are_dropped_with_the_tracer_or_the_thread() {
    for sampled in [true, false] {
        let build = move || {
            let sampler = ConstSampler::new(sampled);
            Tracer::builder("s").null_reporter().sampler(sampler).build().unwrap()
        };
        let here = build();
        let stripe = start_and_end_spans(&here.0);
        assert!(stripe.strong_count() > 1, "none is retained");
        drop(here);
        assert!(!is_alive(&stripe), "its own thread keeps it");

        let (to_drop, dropped) = (build(), build());
        let (stripes, retained) = on_thread(move || {
            let stripes = [&to_drop.0, &dropped.0].map(start_and_end_spans);
            on_thread(|| drop((to_drop, dropped)));
            let retained = stripes.iter().filter(|stripe| is_alive(stripe)).count();
            (stripes, retained)
        });
        assert!(retained > 0, "nothing is retained");
        assert!(!stripes.iter().any(is_alive), "retained beyond the end of the thread");
    }
}

#[test]
fn a_thread_drops_references_to_dropped_tracers_once_it_uses_another() {
    let used = on_thread(|| {
        let mut used = Vec::new();
        for _ in 0..200 {
            let tracer = tracer();
            used.push(start_and_end_spans(&tracer.0));
            on_thread(|| drop(tracer));
            let retained = used.iter().filter(|stripe| is_alive(stripe)).count();
            assert!(retained <= 1, "{retained} of {}", used.len());
        }
        used
    });
    assert!(!used.iter().any(is_alive));
}

#[cfg(unix)]
#[test]
fn a_forked_process_leaves_the_references_that_its_parent_retained() {
    use fork::Fork;
    let forks = || {
        let before = tracer();
        let stripe = start_and_end_spans(&before.0);
        on_thread(|| drop(before));
        match fork::fork().unwrap() {
            // Without output: another thread may have had the lock of standard error.
            Fork::Child => {
                let after = tracer();
                let own = start_and_end_spans(&after.0);
                let (is_left, is_retained) = (is_alive(&stripe), own.strong_count() > 1);
                std::process::exit(i32::from(!is_left || !is_retained));
            }
            Fork::Parent(pid) => assert_eq!(fork::waitpid(pid).unwrap(), 0),
        }
    };
    on_thread(forks);
}
