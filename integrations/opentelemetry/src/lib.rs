#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod exporter;
mod ids;
mod propagator;
mod sampler;

pub use self::exporter::{
    ExporterAccount, ExporterDropped, ExporterStats, JaegerExporter, JaegerExporterBuilder,
};
pub use self::propagator::{JaegerPropagator, PropagatorStats};
pub use self::sampler::DebugIdSampler;
#[cfg(feature = "remote-sampler")]
pub use self::sampler::{JaegerRemoteSampler, SamplerEnvError};
/// The client, whose types this crate's functions take.
pub use jaeger_client;
