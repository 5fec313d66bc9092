//! The client's remote sampler for the OpenTelemetry SDK.

use std::fmt;
use std::sync::Arc;

use jaeger_client::encoding::{TagView, ValueView};
use jaeger_client::sampler::{RemoteSampler, SamplerStatus, SamplingParameters};
use jaeger_client::{Closer, ConfigError, Logger, StderrLogger, SystemClock, Tracer};
use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingResult, ShouldSample};

use super::debug_id::{requested, result};
use super::env::{self, SamplerEnvError};
use crate::ids;

/// Decides about new traces by the strategy of a Jaeger agent or collector, which it polls on a
/// plain thread.
///
/// A span with a parent, local or remote, follows its parent's decision; a request with a debug id is
/// recorded, as by [`DebugIdSampler`](crate::DebugIdSampler). Of all others, the rule in force decides:
/// per operation with lower bounds, a probability, or traces per second. Spans that begin a trace have
/// the tags `sampler.type` and `sampler.param`.
///
/// # Cost
///
/// A decision by probability takes no lock. One about traces per second or an operation reads the
/// clock and takes a lock for a few instructions. Only recorded traces allocate. A thread sleeps
/// between polls; it ends when the last clone is dropped.
///
/// # Source
///
/// [`RemoteSampler`], which is that of jaeger-client-go. Unlike the SDK's own sampler it polls at
/// once, accepts the responses of Jaeger v1 and v2, fractions of a trace per second, and lower
/// bounds.
///
/// # Examples
///
/// ```no_run
/// use jaeger_client_opentelemetry::JaegerRemoteSampler;
/// use jaeger_client_opentelemetry::jaeger_client::sampler::RemoteSampler;
/// use opentelemetry_sdk::trace::SdkTracerProvider;
///
/// let remote = RemoteSampler::builder("checkout")
///     .sampling_server_url("http://127.0.0.1:5778/sampling")
///     .build()?;
/// let sampler = JaegerRemoteSampler::new(remote)?;
/// let provider = SdkTracerProvider::builder().with_sampler(sampler.clone()).build();
/// println!("{}", sampler.status());
/// # let _ = provider;
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct JaegerRemoteSampler {
    shared: Arc<Shared>,
}

struct Shared {
    sampler: Arc<RemoteSampler>,
    clock: SystemClock,
    /// Starts the sampler, and logs for it; it makes no spans.
    host: Tracer,
    /// Ends that when it is dropped.
    _closer: Closer,
}

impl fmt::Debug for JaegerRemoteSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JaegerRemoteSampler").field(&self.shared.sampler).finish()
    }
}

impl JaegerRemoteSampler {
    /// Begins to ask at once, as the sampler was built; failures are written to standard error, at most
    /// once a minute.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Thread`] if no thread can be started. A server that cannot be reached is no
    /// error: until the first response, the sampler's initial rate is in use.
    pub fn new(sampler: RemoteSampler) -> Result<Self, ConfigError> {
        Self::with_logger(sampler, StderrLogger)
    }

    /// Makes a sampler with a logger for failures and for changes of the strategy.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_logger(
        sampler: RemoteSampler,
        logger: impl Logger + 'static,
    ) -> Result<Self, ConfigError> {
        let sampler = Arc::new(sampler);
        let builder = Tracer::builder("jaeger-client-opentelemetry").null_reporter();
        let (host, closer) = builder.sampler(Arc::clone(&sampler)).logger(logger).build()?;
        let shared = Shared { sampler, clock: SystemClock::new(), host, _closer: closer };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Begins to ask as OpenTelemetry's variables say, for the service of that name; none if they name
    /// another sampler, or none.
    ///
    /// `OTEL_TRACES_SAMPLER` is `jaeger_remote` or `parentbased_jaeger_remote`, which are the same
    /// here, and `OTEL_TRACES_SAMPLER_ARG` is a list such as
    /// `endpoint=http://localhost:5778/sampling,pollingIntervalMs=5000,initialSamplingRate=0.25`,
    /// of which each part has the default of [`RemoteSampler::builder`]. The endpoint is polled by
    /// HTTP, so the gRPC port 14250 is invalid; without a path it gets `/sampling`.
    ///
    /// # Errors
    ///
    /// [`SamplerEnvError`] for what cannot be used.
    ///
    /// # Source
    ///
    /// OpenTelemetry's specification, "Environment Variables". `opentelemetry_sdk` reads neither for its
    /// own remote sampler.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client_opentelemetry::JaegerRemoteSampler;
    /// use opentelemetry_sdk::trace::SdkTracerProvider;
    /// let mut builder = SdkTracerProvider::builder();
    /// if let Some(sampler) = JaegerRemoteSampler::from_env("checkout")? {
    ///     builder = builder.with_sampler(sampler);
    /// }
    /// # let _ = builder.build();
    /// # Ok::<(), jaeger_client_opentelemetry::SamplerEnvError>(())
    /// ```
    pub fn from_env(service_name: &str) -> Result<Option<Self>, SamplerEnvError> {
        let sampler = env::sampler(service_name, env::of_process)?;
        Ok(sampler.map(Self::new).transpose()?)
    }

    /// Returns the sampling rule, and the status of the last poll.
    #[must_use]
    pub fn status(&self) -> SamplerStatus {
        self.shared.host.sampler_status()
    }
}

impl ShouldSample for JaegerRemoteSampler {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        _span_kind: &SpanKind,
        _attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        if let Some(result) = requested(parent_context) {
            return result;
        }
        if let Some(parent) = parent_context {
            let span = parent.span();
            let context = span.span_context();
            if context.is_valid() {
                return result(context.is_sampled(), Vec::new(), context.trace_state().clone());
            }
        }
        let mut tags = Vec::new();
        let Shared { sampler, clock, .. } = &*self.shared;
        let decision =
            SamplingParameters::decide(&**sampler, ids::trace_id(trace_id), name, clock, |tag| {
                tags.push(attribute(tag));
            });
        result(decision.sample, tags, TraceState::default())
    }
}

/// A tag of a sampler as an attribute.
fn attribute(tag: TagView<'_>) -> KeyValue {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let key = text(tag.key);
    match tag.value {
        ValueView::Double(number) => KeyValue::new(key, number),
        ValueView::Bool(boolean) => KeyValue::new(key, boolean),
        ValueView::Long(number) => KeyValue::new(key, number),
        ValueView::Str(bytes) | ValueView::Binary(bytes) => KeyValue::new(key, text(bytes)),
        other => KeyValue::new(key, format!("{other:?}")),
    }
}
