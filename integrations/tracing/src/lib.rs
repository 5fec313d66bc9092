//! Makes spans of a Jaeger tracer of the spans and events of `tracing`.
#![allow(dead_code, reason = "for the layer, which has not come yet")]

mod callsite;
mod entered;
mod fields;
mod filter;
mod logger;
mod special;
mod stats;
mod table;
mod target;
mod visit;

pub use self::filter::DefaultFilter;
pub use self::logger::TracingLogger;
pub use self::stats::LayerStats;
