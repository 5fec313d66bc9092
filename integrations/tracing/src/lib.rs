#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod builder;
mod callsite;
mod changes;
mod fields;
mod filter;
mod handle;
mod layer;
mod log_ids;
mod logger;
mod spans;
mod special;
mod stats;
mod table;
mod target;
mod visit;

pub use self::builder::{JaegerLayerBuilder, layer};
pub use self::filter::DefaultFilter;
pub use self::handle::{LayerHandle, SpanExt};
pub use self::layer::JaegerLayer;
pub use self::log_ids::{WithTraceIds, log_fields};
pub use self::logger::TracingLogger;
pub use self::stats::LayerStats;
