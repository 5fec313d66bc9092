//! Carries span contexts between processes.
//!
//! A [`Format`] says which keys hold what; a carrier ([`InjectCarrier`], [`ExtractCarrier`]) is the
//! map or the headers they are written to and read from. What comes from the network is bounded and
//! never panics: a broken header is an error, is counted, and begins a new trace.
//!
//! To add a format: write `src/propagation/<format>.rs`, and add one row to [`MEMBERS`].

mod b3;
mod binary;
mod carrier;
mod form;
mod jaeger;
mod limits;

use std::fmt;

pub use self::b3::B3Format;
pub use self::binary::{from_binary, to_binary};
pub use self::carrier::{CarrierKind, ExtractCarrier, HttpHeaders, InjectCarrier};
pub use self::jaeger::{HeadersConfig, JaegerFormat};
use crate::error::ExtractError;
use crate::span::SpanContext;

/// A set of keys that a span context is carried by.
///
/// # Source
///
/// `Injector` and `Extractor` in jaeger-client-go, `propagation.go`.
pub trait Format: fmt::Debug + Send + Sync {
    /// Writes the context to the carrier. Gives how many baggage items the carrier refused.
    fn inject(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize;

    /// Reads a context.
    ///
    /// # Errors
    ///
    /// [`ExtractError::NotFound`] if there is none; any other for one that is broken.
    fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError>;
}

impl<F: Format + ?Sized> Format for Box<F> {
    fn inject(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
        (**self).inject(context, carrier)
    }

    fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError> {
        (**self).extract(carrier)
    }
}

/// A context that was read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Extracted {
    /// The context.
    pub context: SpanContext,
    /// How many baggage items were left out because of their number or size.
    pub baggage_dropped: usize,
}

/// One format that configuration can name.
#[derive(Debug)]
#[non_exhaustive]
pub struct Member {
    /// Its name in `JAEGER_PROPAGATION`.
    pub name: &'static str,
    /// The file of this folder that holds it.
    pub file: &'static str,
    /// Makes one with the configured names.
    pub build: fn(&HeadersConfig) -> Box<dyn Format>,
}

/// The formats, one row each.
pub const MEMBERS: &[Member] = &[
    Member { name: "jaeger", file: "jaeger", build: jaeger::build },
    Member { name: "b3", file: "b3", build: b3::build },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{SpanId, TraceId};

    #[test]
    fn law_every_format_reads_back_what_it_wrote() {
        for member in MEMBERS {
            let format = (member.build)(&HeadersConfig::default());
            for (high, parent, flags) in [(0, 0, 1), (5, 7, 0), (u64::MAX, u64::MAX, 1)] {
                let ids = (TraceId::new(high, 3), SpanId::new(4), SpanId::new(parent));
                let context = SpanContext::new(ids.0, ids.1, ids.2, flags)
                    .with_baggage_item("key", "a value, with = and %");
                let mut carrier = Vec::<(String, String)>::new();
                assert_eq!(format.inject(&context, &mut carrier), 0);
                let read = format.extract(&carrier).unwrap().context;
                assert_eq!(read.to_string(), context.to_string(), "{}", member.name);
                assert_eq!(read.baggage_item("key"), context.baggage_item("key"));
                assert!(read.is_remote());
            }
            let empty = Vec::<(String, String)>::new();
            assert_eq!(format.extract(&empty).unwrap_err(), ExtractError::NotFound);
        }
    }
}
