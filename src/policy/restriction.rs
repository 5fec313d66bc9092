//! The restriction manager: which baggage items may be set, and how long their values may be.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{DEFAULT_HOST_PORT, PolicyHost};
use crate::error::ConfigError;
use crate::non_exhaustive::NonExhaustive;
use crate::redact;

/// The restriction on a baggage item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BaggageRestriction {
    /// Whether the item may be set.
    pub is_allowed: bool,
    /// The maximum length of the value, in bytes; longer values are truncated.
    pub max_value_length: usize,
}

impl BaggageRestriction {
    /// The item may be set, up to 2,048 bytes.
    pub const ALLOWED: Self = Self::up_to(2048);

    /// The item may not be set.
    pub const DENIED: Self = Self { is_allowed: false, max_value_length: 0 };

    /// The item may be set, up to so many bytes.
    #[must_use]
    pub const fn up_to(bytes: usize) -> Self {
        Self { is_allowed: true, max_value_length: bytes }
    }
}

/// Decides which baggage items may be set; without a manager, all may, with values of up to 2,048
/// bytes.
///
/// # Cost
///
/// Called on the application's thread each time an item is set, without a lock. It must not block.
///
/// # Source
///
/// `RestrictionManager` in jaeger-client-go, `internal/baggage`.
///
/// # Examples
///
/// ```
/// use jaeger_client::Tracer;
/// use jaeger_client::policy::{BaggageRestriction, BaggageRestrictionManager};
///
/// #[derive(Debug)]
/// struct TenantOnly;
///
/// impl BaggageRestrictionManager for TenantOnly {
///     fn restriction(&self, _service: &str, key: &str) -> BaggageRestriction {
///         if key == "tenant" { BaggageRestriction::up_to(8) } else { BaggageRestriction::DENIED }
///     }
/// }
///
/// let (tracer, _closer) =
///     Tracer::builder("svc").baggage_restriction_manager(TenantOnly).null_reporter().build()?;
/// let span = tracer.start_span("op");
/// span.set_baggage_item("tenant", "a-long-name").set_baggage_item("user", "me");
/// assert_eq!(span.baggage_item("tenant").as_deref(), Some("a-long-n"));
/// assert_eq!(span.baggage_item("user"), None);
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub trait BaggageRestrictionManager: fmt::Debug + Send + Sync {
    /// Returns the restriction on an item with that key, set by that service.
    fn restriction(&self, service: &str, key: &str) -> BaggageRestriction;

    /// Starts background work. Called when a tracer is built with the manager, and once more for
    /// each further tracer that shares it.
    ///
    /// # Errors
    ///
    /// Any error that makes the manager unusable; the tracer is then not built.
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
}

impl<M: BaggageRestrictionManager + ?Sized> BaggageRestrictionManager for Arc<M> {
    fn restriction(&self, service: &str, key: &str) -> BaggageRestriction {
        (**self).restriction(service, key)
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
}

/// The counts of polls of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Updates {
    /// Responses that were applied.
    pub ok: u64,
    /// Requests without a response, and responses that were refused.
    pub err: u64,
    /// The error of the last poll; none if it succeeded.
    pub last_error: Option<String>,
}

/// The agent that is polled for baggage restrictions.
///
/// # Source
///
/// `BaggageRestrictionsConfig` in jaeger-client-go, `config/config.go`.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct BaggageRestrictionsConfig {
    /// Denies all baggage until the first response; otherwise all is allowed until then.
    pub deny_baggage_on_initialization_failure: bool,
    /// The agent's address, as `host:port` or a URL without a path. Default `localhost:5778`.
    pub host_port: String,
    /// The interval of polls. Default one minute, which 0 means too; at least 10 ms.
    pub refresh_interval: Duration,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

/// Hides what is secret in a URL.
impl fmt::Debug for BaggageRestrictionsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deny = self.deny_baggage_on_initialization_failure;
        f.debug_struct("BaggageRestrictionsConfig")
            .field("deny_baggage_on_initialization_failure", &deny)
            .field("host_port", &redact::value(&self.host_port))
            .field("refresh_interval", &self.refresh_interval)
            .finish()
    }
}

impl Default for BaggageRestrictionsConfig {
    fn default() -> Self {
        Self {
            deny_baggage_on_initialization_failure: false,
            host_port: DEFAULT_HOST_PORT.to_owned(),
            refresh_interval: Duration::from_secs(60),
            __non_exhaustive: NonExhaustive,
        }
    }
}
