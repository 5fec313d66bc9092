//! Which baggage items may be set, and how long their values may be.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{DEFAULT_HOST_PORT, PolicyHost};
use crate::error::ConfigError;
use crate::non_exhaustive::NonExhaustive;
use crate::redact;

/// What holds for a baggage item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BaggageRestriction {
    /// Whether it may be set.
    pub is_allowed: bool,
    /// Bytes after which its value is cut.
    pub max_value_length: usize,
}

impl BaggageRestriction {
    /// It may be set, up to 2,048 bytes.
    pub const ALLOWED: Self = Self::up_to(2048);

    /// It may not be set.
    pub const DENIED: Self = Self { is_allowed: false, max_value_length: 0 };

    /// It may be set, up to so many bytes.
    #[must_use]
    pub const fn up_to(bytes: usize) -> Self {
        Self { is_allowed: true, max_value_length: bytes }
    }
}

/// Decides which baggage items may be set; without one, all may, with values of up to 2,048 bytes.
///
/// # Cost
///
/// Asked on the application's thread each time an item is set, with no lock held. It must not wait.
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
    /// What holds for an item of that key, set by that service.
    fn restriction(&self, service: &str, key: &str) -> BaggageRestriction;

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

/// How questions to a server went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Updates {
    /// Answers taken over.
    pub ok: u64,
    /// Questions without an answer, and answers that were refused.
    pub err: u64,
    /// Why the last question failed; none if it did not.
    pub last_error: Option<String>,
}

/// Which agent tells what baggage may be set.
///
/// # Source
///
/// `BaggageRestrictionsConfig` in jaeger-client-go, `config/config.go`.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct BaggageRestrictionsConfig {
    /// Denies all baggage until the agent has answered once; otherwise all is allowed until then.
    pub deny_baggage_on_initialization_failure: bool,
    /// Where the agent answers, as `host:port` or a URL without a path. Default `localhost:5778`.
    pub host_port: String,
    /// How often it is asked. Default one minute, which 0 means too; at least 10 ms.
    pub refresh_interval: Duration,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

/// Without what is secret in a URL.
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
