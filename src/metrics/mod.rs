//! The tracer's metrics under Jaeger's own names, in the application's metrics system.
//!
//! A [`MetricsFactory`] makes instruments;
//! [`TracerBuilder::metrics`](crate::TracerBuilder::metrics) gives it to a tracer. The values are
//! read from counters that the tracer has anyway, on the reporter's thread, so that a span costs
//! the same with metrics as without.
//!
//! | name | tags | counts |
//! |---|---|---|
//! | `jaeger.tracer.traces` | `state=started`, `sampled=y`, `n` or `delayed` | traces begun here |
//! | `jaeger.tracer.traces` | `state=joined`, `sampled=y` or `n` | spans that join a trace as its server: `span.kind` is `server` when they are started |
//! | `jaeger.tracer.started_spans` | `sampled=y`, `n` or `delayed` | spans started |
//! | `jaeger.tracer.finished_spans` | `sampled=y`, `n` or `delayed` | spans finished |
//! | `jaeger.tracer.span_context_decoding_errors` | | contexts that could not be read |
//! | `jaeger.tracer.reporter_spans` | `result=ok` | spans sent |
//! | | `result=err` | spans refused by the transport, or too large for it |
//! | | `result=dropped` | spans that found the queue full or the tracer closed |
//! | | `result=saved` | spans that could not be sent before the close, and were saved in a file |
//! | `jaeger.tracer.reporter_receiver_drops` | | datagrams of all senders that the agent's socket had no room for, where that is seen |
//! | `jaeger.tracer.reporter_queue_length` | | a gauge: finished spans that wait in the tracer |
//! | `jaeger.tracer.sampler_queries` | `result=ok` or `err` | polls of a remote sampler |
//! | `jaeger.tracer.sampler_updates` | `result=ok` or `err` | responses applied, or refused |
//! | `jaeger.tracer.baggage_updates` | `result=ok` or `err` | baggage items set, or denied |
//! | `jaeger.tracer.baggage_truncations` | | baggage items truncated |
//! | `jaeger.tracer.baggage_restrictions_updates` | `result=ok` or `err` | polls for baggage restrictions |
//! | `jaeger.tracer.throttled_debug_spans` | | requests for debugging that were denied |
//! | `jaeger.tracer.throttler_updates` | `result=ok` or `err` | polls for debugging credits |
//!
//! With [`TracerBuilder::rpc_metrics`](crate::TracerBuilder::rpc_metrics), server spans are counted
//! and timed by endpoint, too, when they are finished: those with a name and the tag
//! `span.kind=server`, sampled or not. All have the tag `component=jaeger`.
//!
//! | name | tags | |
//! |---|---|---|
//! | `jaeger-rpc.requests` | `endpoint`, `error=true` or `false` | a counter |
//! | `jaeger-rpc.request_latency` | `endpoint`, `error=true` or `false` | a timer |
//! | `jaeger-rpc.http_requests` | `endpoint`, `status_code=2xx` to `5xx` | a counter |
//!
//! `endpoint` is the span's name, with a hyphen for each byte that is not of `a-zA-Z0-9-_/.`; after
//! 200 different names it is `other`. `error` follows the span's tag `error`, a boolean or its
//! text; `status_code` follows `http.status_code` or `http.response.status_code`, a number or its
//! text.
//!
//! `sampled=delayed` is a decision that the sampler has deferred: for `started` when the span was
//! started, for `finished` if it still was when the span was finished. Where there are
//! [observers](crate::Observer), a span is started before the tags that it is started with are
//! passed to them, and then to the sampler.

mod factory;
mod guarded;
mod host;
mod memory;
mod publisher;
mod reading;
mod rpc;

pub use self::factory::{Counter, Gauge, MetricKind, MetricsFactory, Timer};
pub(crate) use self::guarded::Instruments;
pub use self::host::MetricsHost;
pub use self::memory::InMemoryMetrics;
pub(crate) use self::publisher::Publisher;
pub(crate) use self::rpc::RpcMetrics;
