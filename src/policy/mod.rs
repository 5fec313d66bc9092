//! Limits on what applications do: baggage restrictions and debug throttling.
//!
//! Called on the application's thread, without a lock; an implementation must not block for long.
//! The types named `Remote…` poll an agent on their own thread (feature `remote-sampler`).

#[cfg(feature = "remote-sampler")]
mod credits;
mod host;
#[cfg(feature = "remote-sampler")]
mod remote_restriction;
#[cfg(feature = "remote-sampler")]
mod remote_throttler;
mod restriction;
mod throttler;

#[cfg(feature = "remote-sampler")]
use std::time::Duration;

pub use self::host::PolicyHost;
#[cfg(feature = "remote-sampler")]
pub use self::remote_restriction::RemoteBaggageRestrictionManager;
#[cfg(feature = "remote-sampler")]
pub use self::remote_throttler::RemoteThrottler;
pub use self::restriction::{
    BaggageRestriction, BaggageRestrictionManager, BaggageRestrictionsConfig, Updates,
};
pub use self::throttler::{DebugThrottler, ThrottlerConfig};

/// The default address of the agent.
pub(crate) const DEFAULT_HOST_PORT: &str = "localhost:5778";

/// Returns the interval of polls: the configured one, or the default for 0.
#[cfg(feature = "remote-sampler")]
fn refresh_interval(interval: Duration, usual: Duration) -> Duration {
    if interval.is_zero() { usual } else { interval.clamp(MIN_INTERVAL, MAX_INTERVAL) }
}

/// The timeout of a request on its own thread.
#[cfg(feature = "remote-sampler")]
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
#[cfg(feature = "remote-sampler")]
const MIN_INTERVAL: Duration = Duration::from_millis(10);
#[cfg(feature = "remote-sampler")]
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 3600);
