//! Samplers for the OpenTelemetry SDK that decide as Jaeger's clients do.

mod debug_id;
#[cfg(feature = "remote-sampler")]
mod env;
#[cfg(feature = "remote-sampler")]
mod remote;

pub use self::debug_id::DebugIdSampler;
#[cfg(feature = "remote-sampler")]
pub use self::env::SamplerEnvError;
#[cfg(feature = "remote-sampler")]
pub use self::remote::JaegerRemoteSampler;
