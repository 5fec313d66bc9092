//! What lies behind the handles on a span: its record, what its trace shares, and memory used again.

mod inner;
mod light;
mod pool;
mod reference;
mod ring;
mod sink;
mod state;

pub(super) use self::inner::{Body, End, SpanInner, Start};
pub(super) use self::light::Light;
pub(crate) use self::pool::lane;
pub(super) use self::pool::{end, take};
pub use self::reference::NewReference;
pub(super) use self::reference::{Candidate, Rare, rare_of};
pub(crate) use self::sink::{Sink, SpanSink};
pub(crate) use self::state::{DEBUG, FIREHOSE, SAMPLED, TraceState};
