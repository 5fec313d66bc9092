//! A Jaeger tracer client: Thrift over UDP to an agent or OTLP over HTTP, `uber-trace-id` between
//! processes, and exact accounting of every span.
//!
//! ```
//! use std::time::Duration;
//! use jaeger_client::Configuration;
//!
//! let (tracer, closer) = Configuration::new("checkout").new_tracer()?;
//!
//! let span = tracer.start_span("charge");
//! span.set_tag("customer", "4711").log_event("card accepted");
//!
//! let child = tracer.span("store").child_of(&span).tag("db.rows", 1).start();
//! child.finish();
//! span.finish();
//!
//! let report = closer.close(Duration::from_secs(2));
//! assert!(report.stats.is_balanced());
//! println!("{report}");
//! # Ok::<(), jaeger_client::ConfigError>(())
//! ```
//!
//! The public interface is:
//!
//! - [`Configuration`] or [`Tracer::builder`] make a [`Tracer`] and the [`Closer`] that ends it.
//! - [`Tracer`] starts a [`Span`], injects and extracts a [`SpanContext`], has [`Stats`], flushes.
//! - [`sampler`], [`propagation`], [`transport`] have the built-in types, and the traits for custom
//!   ones.
//! - [`policy`] has limits that an agent sets: baggage restrictions, debug throttling.
//! - [`panics`] describes what happens when a user callback panics.
//! - [`metrics`] publishes a tracer's counts to an application's metrics system.
//! - [`encoding`] reads and writes spans as bytes, for agents and tests.
//! - [`InMemoryReporter`] collects spans for an application's tests.
//!
//! # Where to begin
//!
//! | | |
//! |---|---|
//! | async code | a span is made active for a future, by [`TraceFutureExt::in_span`]; a spawned task inherits none: [`in_active_span`](TraceFutureExt::in_active_span) |
//! | threads | [`Span::activate`], and [`wrap`] for a closure that runs on another thread |
//! | HTTP and gRPC | layers for servers and clients in `jaeger-client-http`, a middleware in `jaeger-client-reqwest`; any other carrier by [`Tracer::inject`] and [`Tracer::extract`] |
//! | `tracing`, OpenTelemetry | `jaeger-client-tracing`, `jaeger-client-opentelemetry` |
//! | a library | [`Span::active`] and [`Span::child`], or the caller's [`Tracer`]; [`Tracer::disabled`] where there is none |
//! | many short spans in one function | [`Tracer::start_owned_span`]: an [`OwnedSpan`] takes no lock |
//! | errors | [`Span::record_error`] |
//! | tests | [`InMemoryReporter`], and an agent in the process in `jaeger-client-embedded-agent` |
//! | the end of the process | keep the [`Closer`]; [`Tracer::close`] from a static or before `exit`; [`Tracer::flush`] before a freeze |
//! | configuration from the environment | [`Configuration::from_env`] |
//! | what was lost, and why | [`Tracer::stats`] |
//!
//! The client runs on its own plain threads; it needs no async runtime and works inside any.
//! *Sent* over UDP means handed to the operating system: no UDP client can know whether an agent
//! stored it. Spans that a server confirmed over HTTP are *acknowledged* too.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod encoding;
pub mod metrics;
pub mod panics;
pub mod policy;
pub mod propagation;
pub mod sampler;
pub mod tags;
pub mod transport;

mod address;
mod buffers;
mod clock;
mod config;
mod destructors;
mod diag;
mod environment;
mod error;
mod fork;
mod http_client;
mod id;
mod instant;
mod lock;
mod non_exhaustive;
#[cfg(feature = "remote-sampler")]
mod polling;
mod redact;
mod reporter;
mod saved;
#[cfg(feature = "serde")]
mod serde;
mod span;
mod stats;
mod tail;
mod thread_index;
mod threads;
mod tracer;

pub use self::clock::{Clock, ClockSource, ManualClock, SystemClock};
pub use self::config::{
    BaggageRestrictionsConfig, Configuration, ReporterConfig, SamplerConfig, ThrottlerConfig,
};
pub use self::diag::{Logger, NullLogger, StderrLogger};
pub use self::encoding::{FieldText, TagKey};
pub use self::error::{ConfigError, ExtractError, TransportError};
pub use self::http_client::ProxyConfig;
pub use self::id::{IdGenerator, ParseIdError, SpanId, TraceId};
#[doc(hidden)]
pub use self::non_exhaustive::NonExhaustive;
pub use self::propagation::HeadersConfig;
pub use self::reporter::{Destination, FinishedSpan, InMemoryReporter, Reporter};
#[cfg(feature = "saved-batches")]
pub use self::reporter::{ReplayOptions, ReplayReport, replay};
pub use self::saved::SavedBatchesConfig;
#[cfg(feature = "saved-batches")]
pub use self::saved::SavedBatchesError;
#[doc(hidden)]
pub use self::span::ReferenceSink;
pub use self::span::{
    AsSpanContext, CompactSpan, EncodedFields, FinishOptions, InSpan, IntoTagValue, LogFields,
    LogRecord, NumberedScopes, ObservedSpan, Observer, ObserverInterest, OpenSpan, OpenSpans,
    OwnedSpan, OwnedTagValue, Parent, PreparedSpan, Scope, Span, SpanBuilder, SpanContext,
    SpanFinish, SpanObserver, SpanOptions, StartSpanOptions, TagValue, TraceFutureExt, wrap,
};
pub use self::stats::{DestinationStats, Dropped, FlushReport, QueueStats, Stats};
pub use self::tail::TailSamplingConfig;
pub use self::tracer::{Closer, Tracer, TracerBuilder};
pub use self::transport::{
    AgentProtocol, AgentSocketType, CollectorFormat, HttpConfig, OtlpCompression, OtlpConfig,
    PacingConfig,
};
