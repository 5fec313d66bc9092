//! What limits applications: which baggage items may be set.
//!
//! Asked on the application's thread, with no lock held; an implementation must not wait for long.
//! Those named `Remote…` ask an agent on a thread of their own (feature `remote-sampler`).

mod host;
#[cfg(feature = "remote-sampler")]
mod remote_restriction;
mod restriction;

pub use self::host::ControlHost;
#[cfg(feature = "remote-sampler")]
pub use self::remote_restriction::RemoteBaggageRestrictionManager;
pub use self::restriction::{
    BaggageRestriction, BaggageRestrictionManager, BaggageRestrictionsConfig, Updates,
};

/// Where an agent answers, unless told otherwise.
pub(crate) const DEFAULT_HOST_PORT: &str = "localhost:5778";
