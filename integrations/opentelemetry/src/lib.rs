#![doc = include_str!("../README.md")]

#[expect(dead_code, reason = "nothing sends yet")]
mod exporter;
mod ids;
mod propagator;

pub use self::exporter::{ExporterAccount, ExporterDropped, ExporterStats};
pub use self::propagator::JaegerPropagator;
