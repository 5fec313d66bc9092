#![doc = include_str!("../README.md")]

mod exporter;
mod ids;
mod propagator;

pub use self::exporter::{
    ExporterAccount, ExporterDropped, ExporterStats, JaegerExporter, JaegerExporterBuilder,
};
pub use self::propagator::JaegerPropagator;
/// The client, whose types this crate's functions take.
pub use jaeger_client;
