//! The table of metrics and their values.

use std::sync::atomic::Ordering;

use crate::policy::Updates;
use crate::sampler::RemoteCounts;
use crate::span::counters::{SpanCounts, Stripes};
use crate::span::shared::SpanShared;
use crate::stats::Stats;

/// The values of all metrics, each number read once.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) stats: Stats,
    spans: SpanCounts,
    sampler: RemoteCounts,
    restrictions: Updates,
    throttler: Updates,
    throttled: u64,
    baggage_set: u64,
    baggage_denied: u64,
    baggage_truncated: u64,
}

impl Reading {
    pub(super) fn of(shared: &SpanShared, stripes: &Stripes) -> Self {
        // Finished spans are read before those of them whose decision was deferred.
        let stats = shared.stats(stripes);
        Self {
            spans: stripes.span_counts(&stats),
            stats,
            sampler: shared.sampling.sampler.remote_counts(),
            restrictions: shared.restriction_updates(),
            throttler: shared.throttler_updates(),
            throttled: shared.throttled(),
            baggage_set: shared.incidents.baggage.set.load(Ordering::Relaxed),
            baggage_denied: shared.incidents.baggage.denied.load(Ordering::Relaxed),
            baggage_truncated: shared.incidents.baggage.truncated.load(Ordering::Relaxed),
        }
    }
}

/// A counter: its name, its tags, its value.
type Row = (&'static str, &'static [(&'static str, &'static str)], fn(&Reading) -> u64);

const OK: &[(&str, &str)] = &[("result", "ok")];
const ERR: &[(&str, &str)] = &[("result", "err")];
const SAMPLED: &[(&str, &str)] = &[("sampled", "y")];
const NOT_SAMPLED: &[(&str, &str)] = &[("sampled", "n")];
const DELAYED: &[(&str, &str)] = &[("sampled", "delayed")];

pub(super) const COUNTERS: [Row; 29] = [
    (TRACES, &[("sampled", "y"), ("state", "started")], |now| now.spans.traces.yes),
    (TRACES, &[("sampled", "n"), ("state", "started")], |now| now.spans.traces.no),
    (TRACES, &[("sampled", "delayed"), ("state", "started")], |now| now.spans.traces.deferred),
    (TRACES, &[("sampled", "y"), ("state", "joined")], |now| now.spans.joined.yes),
    (TRACES, &[("sampled", "n"), ("state", "joined")], |now| now.spans.joined.no),
    (STARTED, SAMPLED, |now| now.spans.started.yes),
    (STARTED, NOT_SAMPLED, |now| now.spans.started.no),
    (STARTED, DELAYED, |now| now.spans.started.deferred),
    (FINISHED, SAMPLED, |now| now.spans.finished.yes),
    (FINISHED, NOT_SAMPLED, |now| now.spans.finished.no),
    (FINISHED, DELAYED, |now| now.spans.finished.deferred),
    (DECODING_ERRORS, &[], |now| now.stats.decoding_errors),
    (REPORTER_SPANS, OK, |now| now.stats.sent),
    (REPORTER_SPANS, ERR, |now| {
        let dropped = now.stats.dropped;
        dropped.send_failed + dropped.too_large + dropped.rejected
    }),
    (REPORTER_SPANS, &[("result", "dropped")], |now| {
        now.stats.dropped.queue_full + now.stats.dropped.closed
    }),
    (REPORTER_SPANS, &[("result", "saved")], |now| now.stats.saved),
    (RECEIVER_DROPS, &[], |now| now.stats.receiver_drops.unwrap_or_default()),
    (QUERIES, OK, |now| now.sampler.queries_ok),
    (QUERIES, ERR, |now| now.sampler.queries_err),
    (UPDATES, OK, |now| now.sampler.updates_ok),
    (UPDATES, ERR, |now| now.sampler.updates_err),
    (BAGGAGE_UPDATES, OK, |now| now.baggage_set),
    (BAGGAGE_UPDATES, ERR, |now| now.baggage_denied),
    (TRUNCATIONS, &[], |now| now.baggage_truncated),
    (RESTRICTIONS, OK, |now| now.restrictions.ok),
    (RESTRICTIONS, ERR, |now| now.restrictions.err),
    (THROTTLED, &[], |now| now.throttled),
    (THROTTLER, OK, |now| now.throttler.ok),
    (THROTTLER, ERR, |now| now.throttler.err),
];

/// The descriptions of the counters.
pub(super) const COUNTERS_HELP: [(&str, &str); 13] = [
    (TRACES, "Traces begun, or joined by a span that serves, by the sampler's decision"),
    (STARTED, "Spans started, by the sampler's decision then"),
    (FINISHED, "Spans finished, by the sampler's decision then"),
    (DECODING_ERRORS, "Contexts that could not be read"),
    (
        REPORTER_SPANS,
        "Spans sent, refused by the transport, dropped before it, or saved at the close",
    ),
    (RECEIVER_DROPS, "Datagrams of all senders that the agent's socket had no room for"),
    (QUERIES, "Polls of a remote sampler, with or without a response"),
    (UPDATES, "Responses that a remote sampler applied, or refused"),
    (BAGGAGE_UPDATES, "Baggage items set, or denied"),
    (TRUNCATIONS, "Baggage items truncated"),
    (RESTRICTIONS, "Polls for baggage restrictions, successful or not"),
    (THROTTLED, "Requests for debugging that were denied"),
    (THROTTLER, "Polls for debugging credits, successful or not"),
];

const TRACES: &str = "jaeger.tracer.traces";
const STARTED: &str = "jaeger.tracer.started_spans";
const FINISHED: &str = "jaeger.tracer.finished_spans";
const DECODING_ERRORS: &str = "jaeger.tracer.span_context_decoding_errors";
const REPORTER_SPANS: &str = "jaeger.tracer.reporter_spans";
const RECEIVER_DROPS: &str = "jaeger.tracer.reporter_receiver_drops";
const QUERIES: &str = "jaeger.tracer.sampler_queries";
const UPDATES: &str = "jaeger.tracer.sampler_updates";
const BAGGAGE_UPDATES: &str = "jaeger.tracer.baggage_updates";
const TRUNCATIONS: &str = "jaeger.tracer.baggage_truncations";
const RESTRICTIONS: &str = "jaeger.tracer.baggage_restrictions_updates";

const THROTTLED: &str = "jaeger.tracer.throttled_debug_spans";
const THROTTLER: &str = "jaeger.tracer.throttler_updates";

/// The description of the gauge.
pub(super) const QUEUE_LENGTH_HELP: &str = "Finished spans that wait in the tracer";

/// The gauge.
pub(super) const QUEUE_LENGTH: &str = "jaeger.tracer.reporter_queue_length";
