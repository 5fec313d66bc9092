//! What lies behind the handles on a span: its record, what its trace shares, and memory used again.

mod non_recording;
mod pool;
mod reference;
mod ring;
mod sink;
mod span_record;
mod state;

pub(super) use self::non_recording::NonRecording;
pub(crate) use self::pool::stripe_index;
pub(super) use self::pool::{give, give_state, take};
pub use self::reference::ReferenceSink;
pub(super) use self::reference::{ParentKind, StartExtras, extras_of};
pub(super) use self::sink::Accepted;
pub(crate) use self::sink::{Sink, SpanSink};
pub(super) use self::span_record::{End, SpanData, SpanRecord, Start};
pub(crate) use self::state::{DEBUG, FIREHOSE, SAMPLED, TraceState};
