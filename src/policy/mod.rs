//! What limits applications: which baggage items may be set, and who may ask for debugging.
//!
//! Asked on the application's thread, with no lock held; an implementation must not wait for long.
//! Those named `Remote…` ask an agent on a thread of their own (feature `remote-sampler`).

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

/// Where an agent answers, unless told otherwise.
pub(crate) const DEFAULT_HOST_PORT: &str = "localhost:5778";

/// How often to ask, of an interval given and the usual one, which 0 means too.
#[cfg(feature = "remote-sampler")]
fn refresh_interval(given: Duration, usual: Duration) -> Duration {
    if given.is_zero() { usual } else { given.clamp(MIN_INTERVAL, MAX_INTERVAL) }
}

/// How long a question on a thread of its own may take.
#[cfg(feature = "remote-sampler")]
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
#[cfg(feature = "remote-sampler")]
const MIN_INTERVAL: Duration = Duration::from_millis(10);
#[cfg(feature = "remote-sampler")]
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 3600);
