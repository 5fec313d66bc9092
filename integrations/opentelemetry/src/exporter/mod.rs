//! A span exporter for the OpenTelemetry SDK that sends to Jaeger's own ports.

mod account;
mod builder;
mod completion;
mod convert;
mod sender;
mod worker;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

pub use self::account::{ExporterAccount, ExporterDropped, ExporterStats};
pub use self::builder::JaegerExporterBuilder;
use self::completion::completion;
use self::worker::{Job, Queue};

/// Sends the OpenTelemetry SDK's spans to a Jaeger agent or collector, and counts what became of each.
///
/// Its clones share a destination, a thread and an account; each has the resource of the provider that
/// it is given to, and is shut down on its own. So several providers of one process can send through one.
///
/// # Shape and units
///
/// | OpenTelemetry | Jaeger |
/// |---|---|
/// | attributes | tags; arrays as JSON, doubles that are no finite number as text |
/// | events | logs; the name is the field `event`, unless an attribute has that key |
/// | links | references *follows from*; *child of* with the attribute `opentracing.ref_type = child_of` |
/// | kind | `span.kind`; none for internal spans |
/// | status | `otel.status_code`, `otel.status_description`, and `error = true` |
/// | instrumentation scope | `otel.scope.name`, `otel.scope.version`, and the same as `otel.library.…` |
/// | trace state | `w3c.tracestate` |
/// | dropped attributes, events, links | `otel.dropped_…_count` |
/// | resource | the process: `service.name` is the service, all others are its tags |
///
/// Attributes of scopes and of links have no place in Jaeger's model and are left out. A span that is
/// larger than a datagram is cut, which its tag `jaeger.trimmed` says.
///
/// # Errors
///
/// The SDK is given [`OTelSdkError::InternalFailure`] with the number of spans that did not leave and the
/// cause, and [`OTelSdkError::AlreadyShutdown`] after a shutdown. Its processors write such errors to
/// their debug log alone: what is lost is in the [`account`](Self::account).
///
/// # Cost
///
/// Spans are encoded and sent on a thread of the exporter's own, so that it works with every span
/// processor and never blocks a thread of an async runtime. An export takes a few allocations, a span
/// none beyond what the buffers grow to.
///
/// # Source
///
/// OpenTelemetry's specification, "OpenTelemetry to Jaeger Transformation".
///
/// # Examples
///
/// ```
/// use jaeger_client_opentelemetry::JaegerExporter;
/// use opentelemetry::trace::{Tracer, TracerProvider};
/// use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
///
/// let exporter = JaegerExporter::builder().agent("127.0.0.1:6831").build()?;
/// let account = exporter.account();
/// let provider = SdkTracerProvider::builder()
///     .with_resource(Resource::builder().with_service_name("checkout").build())
///     .with_batch_exporter(exporter)
///     .build();
/// provider.tracer("shop").in_span("charge", |_| {});
/// # let _ =
/// provider.shutdown();
/// assert_eq!(account.stats().exported, 1);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub struct JaegerExporter {
    queue: Arc<Queue>,
    /// The bytes of the process that the spans are of.
    process: Arc<[u8]>,
    max_message_bytes: usize,
    export_timeout: Duration,
    is_shut_down: AtomicBool,
}

impl fmt::Debug for JaegerExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JaegerExporter")
            .field("stats", &self.queue.account().stats())
            .field("is_shut_down", &self.is_shut_down)
            .finish_non_exhaustive()
    }
}

impl Clone for JaegerExporter {
    fn clone(&self) -> Self {
        Self {
            queue: Arc::clone(&self.queue),
            process: Arc::clone(&self.process),
            is_shut_down: AtomicBool::new(false),
            ..*self
        }
    }
}

impl JaegerExporter {
    /// Begins an exporter to the agent on this host.
    pub fn builder() -> JaegerExporterBuilder {
        JaegerExporterBuilder::default()
    }

    /// Reads what became of the spans; it is to be taken before the exporter is given to a provider.
    #[must_use]
    pub fn account(&self) -> ExporterAccount {
        self.queue.account().clone()
    }
}

impl SpanExporter for JaegerExporter {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let (completer, completion) = completion();
        let count = batch.len();
        self.queue.account().enter(count);
        if self.is_shut_down.load(Ordering::Acquire) {
            self.queue.account().settle(count, |stats| &mut stats.dropped.shut_down);
            completer.complete(Err(OTelSdkError::AlreadyShutdown));
        } else {
            let process = Arc::clone(&self.process);
            let deadline = now() + self.export_timeout;
            self.queue.export(Job { process, batch, deadline, completer });
        }
        completion
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        if self.is_shut_down.swap(true, Ordering::AcqRel) {
            return Err(OTelSdkError::AlreadyShutdown);
        }
        self.queue.flush(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.flush(self.export_timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.process = convert::process(resource, self.max_message_bytes).into();
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads a clock")]
fn now() -> Instant {
    Instant::now()
}
