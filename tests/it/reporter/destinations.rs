//! Several destinations at once: whatever one of them does, it costs its own spans alone.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::transport::{By, Taken, gated};
use crate::support::{SOON, builder, eventually};
use jaeger_client::encoding::BatchView;
use jaeger_client::transport::Sent;
use jaeger_client::{
    AgentProtocol, Destination, DestinationStats, FlushReport, NullLogger, Reporter, Tracer,
    TransportError,
};

fn own(tracer: &Tracer, name: &str) -> DestinationStats {
    let stats = tracer.destination_stats().into_iter().find(|stats| stats.name == name).unwrap();
    let sums = stats.sent + stats.queued + stats.dropped.total();
    assert_eq!(stats.taken, sums, "{stats:?}");
    stats
}

fn finish_spans(tracer: &Tracer, count: usize) {
    (0..count).for_each(|n| tracer.span("op").tag("n", n).start().finish());
}

/// Takes everything.
fn taking() -> (Destination, Taken) {
    let taken = Taken::default();
    let retained = taken.clone();
    let transport = By(move |message: &[u8]| {
        retained.push(message);
        Ok(Sent::OK)
    });
    (Destination::transport(transport, AgentProtocol::Compact).named("good"), taken)
}

fn bad(send: impl FnMut(&[u8]) -> Result<Sent, TransportError> + Send + 'static) -> Destination {
    Destination::transport(By(send), AgentProtocol::Compact).named("bad")
}

/// Returns what goes wrong at a destination.
fn faults() -> Vec<(&'static str, Destination)> {
    let (hanging, gate) = gated();
    let hanging = Destination::transport(hanging, AgentProtocol::Compact).named("bad");
    // Kept for ever, so that it hangs for ever.
    std::mem::forget(gate);
    vec![
        ("hangs", hanging),
        ("panics", bad(|_| resume_unwind(Box::new("on purpose")))),
        ("refuses", bad(|_| Err(TransportError::Refused { address: "there".into() }))),
        (
            "trickles",
            bad(|_| {
                thread::sleep(Duration::from_millis(50));
                Ok(Sent::OK)
            }),
        ),
        ("is too small", bad(|message| Err(TransportError::TooLarge { bytes: message.len() }))),
    ]
}

#[test]
fn whatever_another_destination_does_the_first_loses_nothing() {
    // In a loop of 20 s at 13,000 spans a second where there is time for it.
    let (rate, seconds) = match std::env::var("DESTINATIONS").as_deref() {
        Ok("full") => (13_000, 20),
        _ => (13_000, 1),
    };
    for (what, fault) in faults() {
        let (good, taken) = taking();
        let built = builder()
            .logger(NullLogger)
            .flush_interval(Duration::from_millis(50))
            .destination(good)
            .add_destination(fault)
            .build();
        let (tracer, closer) = built.unwrap();
        let (began, mut made) = (Instant::now(), 0);
        for tick in 1..=seconds * 100 {
            let due = rate * tick / 100;
            finish_spans(&tracer, due - made);
            made = due;
            let next = Duration::from_millis(10) * u32::try_from(tick).unwrap();
            thread::sleep(next.saturating_sub(began.elapsed()));
        }
        eventually(|| {
            let (good, bad) = (own(&tracer, "good"), own(&tracer, "bad"));
            (good.sent == made as u64 || good.dropped.total() > 0) && bad.taken == made as u64
        });
        assert_eq!(taken.spans().len(), made, "{what}");
        let (stats, good) = (tracer.stats(), own(&tracer, "good"));
        assert!(stats.is_balanced(), "{what}: {stats}");
        assert_eq!((good.sent, good.dropped.total()), (made as u64, 0), "{what}: {stats}");
        assert_eq!((stats.sent, stats.dropped.total()), (made as u64, 0), "{what}: {stats}");
        let bad = own(&tracer, "bad");
        assert_eq!(bad.taken, made as u64, "{what}: {bad:?}");
        if seconds > 1 {
            eprintln!("another {what}: {} of {made} sent, {bad:?}", good.sent);
        }
        let _ = closer.close(Duration::from_millis(50));
    }
}

#[test]
fn a_first_destination_that_hangs_costs_the_others_nothing_and_its_queue_is_bounded() {
    let (hanging, gate) = gated();
    let (good, taken) = taking();
    let built = builder()
        .queue_bytes(300_000)
        .max_packet_size(10_000)
        .transport(hanging)
        .add_destination(good)
        .build();
    let (tracer, closer) = built.unwrap();
    for _ in 0..100 {
        let before = own(&tracer, "good").sent;
        finish_spans(&tracer, 200);
        // Not faster than the good one takes them.
        eventually(|| own(&tracer, "good").sent > before);
    }
    assert!(!tracer.flush(Duration::from_millis(10)).complete, "the first one hangs");
    eventually(|| own(&tracer, "good").sent == 20_000);
    assert_eq!(taken.spans().len(), 20_000);
    let stats = tracer.stats();
    let first = own(&tracer, "transport");
    assert!(stats.is_balanced() && stats.dropped.queue_full > 0, "{stats}");
    assert_eq!((first.taken, first.sent), (20_000, 0), "{first:?}");
    assert_eq!(first.dropped.queue_full, stats.dropped.queue_full);
    assert!(first.queued < 10_000, "its queue is bounded: {first:?}");
    drop(gate);
    let report: FlushReport = closer.close(SOON);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    assert_eq!(report.stats.sent + report.stats.dropped.queue_full, 20_000, "{report}");
}

#[test]
fn flush_and_close_wait_for_all_within_one_limit() {
    for name in ["first", "second"] {
        let (hanging, gate) = gated();
        let hanging = Destination::transport(hanging, AgentProtocol::Compact).named("bad");
        let (good, taken) = taking();
        let (first, second) = if name == "first" { (hanging, good) } else { (good, hanging) };
        let (tracer, closer) =
            builder().destination(first).add_destination(second).build().unwrap();
        finish_spans(&tracer, 3);
        assert!(!tracer.flush(Duration::from_millis(30)).complete, "the {name} hangs");
        eventually(|| taken.spans().len() == 3);
        let closing = thread::spawn(move || closer.close(SOON));
        assert_eq!(own(&tracer, "bad").queued, 3);
        drop(gate);
        let report = closing.join().unwrap();
        assert!(report.complete, "{report}");
        assert_eq!((own(&tracer, "bad").sent, own(&tracer, "good").sent), (3, 3));
        assert!(tracer.flush(SOON).complete, "nothing is left after a close");
    }
}

#[test]
fn a_flush_right_after_a_close_is_complete() {
    for _ in 0..300 {
        let (first, second) = (taking().0, taking().0);
        let (tracer, closer) =
            builder().destination(first).add_destination(second).build().unwrap();
        finish_spans(&tracer, 1);
        assert!(closer.close(SOON).complete);
        assert!(tracer.flush(SOON).complete, "nothing is left, though threads may not have ended");
    }
}

#[test]
fn a_close_that_is_over_before_all_are_done_says_so_and_so_does_each_flush_after_it() {
    let (hanging, gate) = gated();
    let hanging = Destination::transport(hanging, AgentProtocol::Compact).named("bad");
    let (good, _taken) = taking();
    let (tracer, closer) = builder().destination(good).add_destination(hanging).build().unwrap();
    finish_spans(&tracer, 3);
    let report = closer.close(Duration::from_millis(30));
    assert!(!report.complete, "{report}");
    assert!(!tracer.flush(Duration::from_millis(30)).complete, "it is still under way");
    drop(gate);
    eventually(|| tracer.flush(Duration::from_millis(30)).complete);
    assert_eq!(own(&tracer, "bad").sent, 3);
}

#[test]
fn each_destination_is_dropped_with_the_closer_whatever_its_name() {
    #[derive(Debug)]
    struct Dropped(Arc<AtomicBool>);
    impl Reporter for Dropped {
        fn report(&mut self, _batch: &BatchView<'_>) -> Result<(), TransportError> {
            Ok(())
        }
    }
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = [Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false))];
    let (tracer, closer) = builder()
        .destination(Destination::reporter(Dropped(Arc::clone(&dropped[0]))).named("with a NUL \0"))
        .add_destination(Dropped(Arc::clone(&dropped[1])))
        .build()
        .unwrap();
    finish_spans(&tracer, 1);
    drop(closer);
    eventually(|| dropped.iter().all(|dropped| dropped.load(Ordering::SeqCst)));
}

#[test]
fn destinations_see_the_same_spans_in_the_same_order() {
    let ((one, at_one), (other, at_other)) = (taking(), taking());
    let (tracer, closer) =
        builder().shards(1).destination(one).add_destination(other.named("other")).build().unwrap();
    for n in 0..5_000 {
        tracer.span(format!("op-{n}")).start().finish();
    }
    let report = closer.close(SOON);
    assert_eq!((report.complete, report.stats.sent), (true, 5_000), "{report}");
    assert_eq!(at_one.spans().len(), 5_000);
    assert_eq!(at_one.spans(), at_other.spans());
}

#[test]
fn the_counts_of_each_destination_are_shown_by_cause() {
    let (good, _taken) = taking();
    let bad = bad(|_| Err(TransportError::Refused { address: "there".into() }));
    let builder = builder().logger(NullLogger).destination(good).add_destination(bad);
    let (tracer, closer) = builder.build().unwrap();
    finish_spans(&tracer, 2);
    let report = closer.close(SOON);
    assert!(report.complete && report.to_string().ends_with("; 2 dropped by other destinations"));
    assert_eq!((report.stats.dropped.total(), report.dropped_by_others), (0, 2), "{report}");
    assert_eq!(own(&tracer, "good").to_string(), "good: taken 2 = sent 2 + dropped 0 + queued 0");
    assert_eq!(
        own(&tracer, "bad").to_string(),
        "bad: taken 2 = sent 0 + dropped 2 + queued 0; dropped = queue full 0 + too large 0 + send failed 2 \
         + closed 0"
    );
}
