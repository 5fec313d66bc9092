//! Who may force a trace to be recorded as a debugging one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{DEFAULT_HOST_PORT, PolicyHost, Updates};
use crate::error::ConfigError;
use crate::non_exhaustive::NonExhaustive;
use crate::redact;

/// Decides whether a request for debugging is granted; without one, all are.
///
/// Asked where a debug id, or B3's debug flag, comes without a trace, and where `sampling.priority`
/// is set above 0. What is denied leaves no mark: the sampler decides on the trace, and the tag is
/// not stored.
///
/// # Cost
///
/// Asked on the application's thread, with no lock held, and only when there is such a request. It
/// should not wait. One that panics has denied; that is told to the tracer's logger.
///
/// # Source
///
/// `Throttler` in jaeger-client-go, `internal/throttler`.
///
/// # Examples
///
/// ```
/// use jaeger_client::Tracer;
/// use jaeger_client::policy::DebugThrottler;
///
/// #[derive(Debug)]
/// struct OnlyCheckout;
///
/// impl DebugThrottler for OnlyCheckout {
///     fn is_allowed(&self, operation: &str) -> bool {
///         operation == "checkout"
///     }
/// }
///
/// let (tracer, _closer) =
///     Tracer::builder("svc").debug_throttler(OnlyCheckout).null_reporter().build()?;
/// for (operation, debug) in [("checkout", true), ("search", false)] {
///     let span = tracer.start_span(operation);
///     span.set_tag("sampling.priority", 1);
///     assert_eq!(span.context().is_debug(), debug);
/// }
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub trait DebugThrottler: fmt::Debug + Send + Sync {
    /// Whether a span of that operation may make its trace a debugging one, this time.
    fn is_allowed(&self, operation: &str) -> bool;

    /// Starts its background work. Called when a tracer is built with it, and once more for each
    /// further tracer that shares it.
    ///
    /// # Errors
    ///
    /// Whatever it needs and cannot have; the tracer is then not built.
    fn start(&self, host: &PolicyHost) -> Result<(), ConfigError> {
        let _ = host;
        Ok(())
    }

    /// Ends that again, without waiting. Called when a tracer is closed.
    fn close(&self) {}

    /// How its questions to a server went; none by default.
    fn updates(&self) -> Updates {
        Updates::default()
    }

    /// How many requests it has denied for want of credit, if it counts them.
    fn throttled(&self) -> u64 {
        0
    }
}

impl<T: DebugThrottler + ?Sized> DebugThrottler for Arc<T> {
    fn is_allowed(&self, operation: &str) -> bool {
        (**self).is_allowed(operation)
    }

    fn start(&self, host: &PolicyHost) -> Result<(), ConfigError> {
        (**self).start(host)
    }

    fn close(&self) {
        (**self).close();
    }

    fn updates(&self) -> Updates {
        (**self).updates()
    }

    fn throttled(&self) -> u64 {
        (**self).throttled()
    }
}

/// Which agent grants requests for debugging.
///
/// # Source
///
/// `ThrottlerConfig` in jaeger-client-go, `config/config.go`.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct ThrottlerConfig {
    /// Where the agent answers, as `host:port` or a URL without a path. Default `localhost:5778`.
    pub host_port: String,
    /// How often it is asked. Default 5 s, which 0 means too; at least 10 ms.
    pub refresh_interval: Duration,
    /// Asks at once about an operation that has no credit, on the application's thread and for 1 s
    /// at most. Otherwise such a request is denied, and the agent asked with the next refresh.
    pub synchronous_initialization: bool,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

/// Without what is secret in a URL.
impl fmt::Debug for ThrottlerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottlerConfig")
            .field("host_port", &redact::value(&self.host_port))
            .field("refresh_interval", &self.refresh_interval)
            .field("synchronous_initialization", &self.synchronous_initialization)
            .finish()
    }
}

impl Default for ThrottlerConfig {
    fn default() -> Self {
        Self {
            host_port: DEFAULT_HOST_PORT.to_owned(),
            refresh_interval: Duration::from_secs(5),
            synchronous_initialization: false,
            __non_exhaustive: NonExhaustive,
        }
    }
}
