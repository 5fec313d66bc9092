//! The throttler: whether a request for debugging is granted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{DEFAULT_HOST_PORT, PolicyHost, Updates};
use crate::error::ConfigError;
use crate::non_exhaustive::NonExhaustive;
use crate::redact;

/// Decides whether a request for debugging is granted; without a throttler, all are.
///
/// Called where a debug id, or B3's debug flag, comes without a trace, and where
/// `sampling.priority` is set above 0. A denied request leaves no mark: the sampler decides on the
/// trace, and the tag is not stored.
///
/// # Cost
///
/// Called on the application's thread, without a lock, and only for such a request. It should not
/// block. A panic denies the request and is logged.
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
    /// Returns whether a span of that operation may set the debug flag of its trace, this time.
    fn is_allowed(&self, operation: &str) -> bool;

    /// Starts background work. Called when a tracer is built with the throttler, and once more for
    /// each further tracer that shares it.
    ///
    /// # Errors
    ///
    /// Any error that makes the throttler unusable; the tracer is then not built.
    fn start(&self, host: &PolicyHost) -> Result<(), ConfigError> {
        let _ = host;
        Ok(())
    }

    /// Ends the background work, without waiting. Called when a tracer is closed.
    fn close(&self) {}

    /// Returns the counts of polls of a server; none by default.
    fn updates(&self) -> Updates {
        Updates::default()
    }

    /// Returns how many requests were denied for want of credit, if they are counted.
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

/// The agent that is polled for debugging credits.
///
/// # Source
///
/// `ThrottlerConfig` in jaeger-client-go, `config/config.go`.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct ThrottlerConfig {
    /// The agent's address, as `host:port` or a URL without a path. Default `localhost:5778`.
    pub host_port: String,
    /// The interval of polls. Default 5 s, which 0 means too; at least 10 ms.
    pub refresh_interval: Duration,
    /// Polls at once for an operation without credit, on the application's thread and for 1 s at
    /// most. Otherwise such a request is denied, and the next refresh polls for it.
    pub synchronous_initialization: bool,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

/// Hides what is secret in a URL.
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
