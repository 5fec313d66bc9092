//! What a sampler is asked about, and what it answers.

mod decision;
mod given;
mod guarded;
mod host;
mod manual;
mod span;
mod status;

pub use self::decision::Decision;
pub use self::decision::DecisionById;
pub(super) use self::decision::SamplerTags;
pub(crate) use self::decision::{ById, SAMPLER_TAGS};
pub(crate) use self::given::GivenTags;
#[cfg(feature = "remote-sampler")]
pub(super) use self::guarded::GuardedSampler;
pub(crate) use self::guarded::guarded;
pub(crate) use self::host::Host;
pub use self::host::SamplerHost;
pub use self::manual::ManualSpan;
pub use self::span::NewSpan;
pub use self::status::{
    Fetch, FetchOutcome, OperationRule, RemoteCounts, RemoteStatus, Rule, SamplerStatus,
};

/// The tag that names the sampler which decided for a trace.
pub const SAMPLER_TYPE_TAG: &str = "sampler.type";

/// The tag with that sampler's parameter.
pub const SAMPLER_PARAM_TAG: &str = "sampler.param";
