//! The queue of finished spans: its two bounds, and what waits within them.

use std::time::Duration;

use crate::support::transport::{Gate, gated};
use crate::support::{SOON, builder, eventually};
use jaeger_client::{Closer, Destination, NullLogger, Span, Stats, Tracer, TracerBuilder};

/// Builds a tracer whose transport takes no message before the gate is dropped.
fn stuck(builder: TracerBuilder) -> (Tracer, Closer, Gate) {
    let (transport, gate) = gated();
    let (tracer, closer) = builder.transport(transport).build().unwrap();
    (tracer, closer, gate)
}

fn usual_tags(span: &Span) {
    span.set_tag("http.method", "GET").set_tag("http.status_code", 200).set_tag("error", false);
}

fn assert_within_bounds(stats: &Stats) {
    let queue = stats.queue;
    assert!(stats.is_balanced() && queue.spans <= stats.queued, "{stats}");
    assert!(queue.spans <= queue.max_spans && queue.bytes <= queue.max_bytes, "{queue:?}");
}

/// Fails unless what waits is sent once the transport is released, and nothing else.
fn assert_all_sent(stats: &Stats, closer: Closer, gate: Gate) {
    drop(gate.release);
    let report = closer.close(SOON);
    assert!(report.complete, "{report}");
    assert_eq!(report.stats.sent, stats.queued, "all that waited was sent: {report}");
    assert_eq!((report.stats.queue.spans, report.stats.queue.bytes), (0, 0));
    assert_eq!(gate.taken.spans().len() as u64, stats.queued);
}

#[test]
fn as_many_spans_as_configured_can_wait_whatever_the_datagrams_are() {
    let default = || Tracer::builder("svc").logger(NullLogger);
    for (builder, size) in [
        (default(), 65_536),
        (default().queue_size(30_720), 30_720),
        (default().queue_size(30_720).max_packet_size(1_432), 30_720),
        (default().queue_size(200_000), 200_000),
    ] {
        let (tracer, closer, gate) = stuck(builder);
        for _ in 0..size {
            usual_tags(&tracer.start_span("GET /orders"));
        }
        let stats = tracer.stats();
        assert_within_bounds(&stats);
        assert_eq!((stats.queued, stats.dropped.queue_full), (size, 0), "{stats}");
        assert_eq!(stats.queue.max_spans, size);

        // Beside the queue, only the messages under way and the buffer that is filled can wait.
        for _ in 0..3 * size {
            usual_tags(&tracer.start_span("GET /orders"));
        }
        let stats = tracer.stats();
        assert_within_bounds(&stats);
        assert!(stats.queued <= size + 3 * 500, "{stats}");
        assert_eq!(stats.queued + stats.dropped.queue_full, 4 * size, "{stats}");
        assert_all_sent(&stats, closer, gate);
    }
}

#[test]
fn the_default_bound_in_bytes_grows_with_the_number_of_spans() {
    let bytes = |size| {
        let (tracer, closer, _gate) = stuck(builder().queue_size(size));
        drop(closer);
        tracer.stats().queue.max_bytes
    };
    for (size, expected) in [(1, 16 << 20), (65_536, 16 << 20), (200_000, 51_200_000)] {
        assert_eq!(bytes(size), expected, "{size} spans");
    }
}

#[test]
fn the_bound_in_bytes_counts_what_is_held_and_what_does_not_fit_is_counted() {
    // Text of one size in every span, or of two in turn: then buffers are left half full.
    for (packet, bytes, sizes) in [
        (65_000, 300_000, [200, 200]),
        (2_000, 100_000, [200, 200]),
        (65_000, 4_000_000, [34_000, 34_000]),
        (65_000, 4_000_000, [200, 64_000]),
        (65_000, 4_000_000, [20_000, 40_000]),
    ] {
        let builder = builder().queue_bytes(bytes).max_packet_size(packet);
        let (tracer, closer, gate) = stuck(builder.max_tag_value_length(100_000));
        let text = "x".repeat(70_000);
        let mut finished = 0;
        while tracer.stats().dropped.queue_full == 0 {
            let size = sizes[finished % 2];
            tracer.span("op").tag("t", &text[..size]).start().finish();
            finished += 1;
            if finished % 8 == 0 {
                assert_within_bounds(&tracer.stats());
            }
        }
        let stats = tracer.stats();
        assert_within_bounds(&stats);
        assert_eq!(stats.dropped.queue_full, finished as u64 - stats.queued, "{stats}");
        // Spans take most of the bytes.
        let usual = (sizes[0] + sizes[1]) / 2;
        let least = bytes / 4 * 3 / (usual + 150);
        assert!(stats.queue.spans as usize >= least, "{sizes:?}: {:?} of {least}", stats.queue);
        assert_all_sent(&stats, closer, gate);
    }
}

/// Each flush takes a buffer of a few spans, which waits for a destination that hangs.
#[test]
fn buffers_of_few_spans_do_not_fill_the_queue_of_a_destination() {
    let (transport, gate) = gated();
    let built = builder().queue_bytes(1_000_000).transport(transport);
    let built = built.add_destination(Destination::null()).build();
    let (tracer, closer) = built.unwrap();
    for _ in 0..400 {
        (0..3).for_each(|_| usual_tags(&tracer.start_span("GET /orders")));
        let _ = tracer.flush(Duration::from_millis(1));
    }
    let queue = || tracer.destination_stats()[0].queue;
    eventually(|| queue().spans == 1_200);
    let stats = tracer.stats();
    assert_eq!((stats.dropped.queue_full, stats.queued), (0, 1_200), "{stats}");
    assert!(queue().bytes <= 400 * 2_000 && queue().max_bytes == 1_000_000, "{:?}", queue());
    drop(gate.release);
    let report = closer.close(SOON);
    assert_eq!(report.stats.sent, 1_200, "{report}");
    assert_eq!((queue().spans, queue().bytes), (0, 0));
}
