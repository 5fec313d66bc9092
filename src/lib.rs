//! Jaeger tracer client.
pub mod encoding;
mod id;
pub use self::id::{IdGenerator, SpanId, TraceId};
