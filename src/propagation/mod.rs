//! Carries span contexts between processes.
//!
//! A [`Format`] defines which keys hold what; a carrier ([`InjectCarrier`], [`ExtractCarrier`]) is
//! the map or the headers. Reading is bounded and never panics: a malformed header is an error, is
//! counted, and a new trace begins.
//!
//! To add a format: write `src/propagation/<format>.rs`, and add one entry to [`FORMATS`].

mod b3;
mod binary;
mod carrier;
mod composite;
mod headers;
mod jaeger;
mod keys;
mod limits;
mod percent;
mod text;
mod w3c;

use std::fmt;

pub use self::b3::{B3Format, B3SingleFormat};
pub(crate) use self::binary::write_binary;
pub use self::binary::{from_binary, to_binary};
pub use self::carrier::{CarrierKind, ExtractCarrier, HttpHeaders, InjectCarrier};
#[doc(hidden)]
pub use self::carrier::{KnownName, KnownParts};
pub use self::composite::CompositeFormat;
pub use self::headers::HeadersConfig;
pub use self::jaeger::JaegerFormat;
pub use self::keys::FormatKey;
pub(crate) use self::keys::check as check_keys;
pub(crate) use self::percent::decode_with_plus as percent_decoded;
pub use self::w3c::W3cFormat;
use crate::error::{ConfigError, ExtractError};
#[doc(hidden)]
pub use crate::id::IdText;
use crate::span::SpanContext;

/// Writes span contexts to carriers and reads them.
///
/// # Source
///
/// `Injector` and `Extractor` in jaeger-client-go, `propagation.go`.
///
/// # Examples
///
/// ```
/// use jaeger_client::propagation::{ExtractCarrier, Extracted, Format, FormatKey, InjectCarrier};
/// use jaeger_client::{ExtractError, SpanContext};
///
/// /// The text of a context under one key.
/// #[derive(Debug)]
/// struct OneKey([FormatKey; 1]);
///
/// impl Format for OneKey {
///     fn inject(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
///         carrier.set("x-trace", &context.to_string());
///         context.baggage().count() // there is no place for it
///     }
///
///     fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError> {
///         let text = carrier.get("x-trace").ok_or(ExtractError::NotFound)?;
///         text.parse().map(Extracted::new)
///     }
///
///     fn keys(&self) -> &[FormatKey] {
///         &self.0
///     }
/// }
///
/// let format = OneKey([FormatKey::name("my format", "x-trace")]);
/// let (tracer, _closer) =
///     jaeger_client::Tracer::builder("svc").format(format).null_reporter().build()?;
/// let (span, mut headers) = (tracer.start_span("call"), std::collections::HashMap::new());
/// tracer.inject(&span, &mut headers);
/// assert_eq!(tracer.extract(&headers).as_ref(), Ok(&span.context()));
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub trait Format: fmt::Debug + Send + Sync {
    /// Writes the context to the carrier. Returns how many baggage items the carrier could not
    /// hold.
    fn inject(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize;

    /// Reads a context.
    ///
    /// # Errors
    ///
    /// [`ExtractError::NotFound`] if there is no context; any other error for a malformed one.
    fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError>;

    /// Reads a context into an empty one: it is large, and to move it takes time.
    #[doc(hidden)]
    fn extract_into(
        &self,
        carrier: &dyn ExtractCarrier,
        to: &mut Extracted,
    ) -> Result<(), ExtractError> {
        *to = self.extract(carrier)?;
        Ok(())
    }

    /// Returns the keys that the format reads and writes. Those that it writes are removed from a
    /// carrier, or replaced, when a context is written to it. A tracer is only built if these are valid
    /// header names, and none has two meanings.
    ///
    /// The default is empty: nothing is removed, and nothing checked.
    fn keys(&self) -> &[FormatKey] {
        &[]
    }

    /// Returns whether the format is a built-in one: it replaces an earlier context by itself.
    #[doc(hidden)]
    fn is_built_in(&self) -> bool {
        false
    }
}

/// Writes a context to a carrier in that format, and returns how many baggage items are left out.
#[inline]
pub(crate) fn inject(
    format: &dyn Format,
    context: &SpanContext,
    carrier: &mut dyn InjectCarrier,
) -> usize {
    if format.is_built_in() {
        return format.inject(context, carrier);
    }
    let write =
        |context: &SpanContext, carrier: &mut dyn InjectCarrier| format.inject(context, carrier);
    carrier::write_any(format.keys(), context, carrier, write)
}

impl<F: Format + ?Sized> Format for Box<F> {
    fn inject(&self, context: &SpanContext, carrier: &mut dyn InjectCarrier) -> usize {
        (**self).inject(context, carrier)
    }

    fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError> {
        (**self).extract(carrier)
    }

    fn extract_into(
        &self,
        carrier: &dyn ExtractCarrier,
        to: &mut Extracted,
    ) -> Result<(), ExtractError> {
        (**self).extract_into(carrier, to)
    }

    fn keys(&self) -> &[FormatKey] {
        (**self).keys()
    }

    fn is_built_in(&self) -> bool {
        (**self).is_built_in()
    }
}

/// A context that was read from a carrier.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Extracted {
    /// The context.
    pub context: SpanContext,
    /// How many baggage items were left out because of their number, size or form.
    pub baggage_dropped: usize,
    /// How many malformed contexts the carrier held, beside the one that was read.
    pub broken: usize,
}

impl Extracted {
    /// Returns a context that was read without losses, for a custom format.
    #[must_use]
    pub fn new(context: SpanContext) -> Self {
        Self { context, ..Self::default() }
    }

    /// Returns what a built-in format reads.
    fn filled_by(
        extract_into: impl FnOnce(&mut Self) -> Result<(), ExtractError>,
    ) -> Result<Self, ExtractError> {
        let mut extracted = Self::default();
        extract_into(&mut extracted).map(|()| extracted)
    }
}

/// A built-in propagation format.
#[derive(Debug)]
#[non_exhaustive]
pub struct FormatKind {
    /// The name in `JAEGER_PROPAGATION`.
    pub name: &'static str,
    /// Other accepted names.
    pub aliases: &'static [&'static str],
    /// The constructor with the configured header names.
    pub build: fn(&HeadersConfig) -> Box<dyn Format>,
}

/// The registry of built-in formats.
pub const FORMATS: &[FormatKind] = &[
    FormatKind { name: "jaeger", aliases: &[], build: jaeger::build },
    FormatKind { name: "b3", aliases: &["b3multi"], build: b3::build_multi },
    FormatKind { name: "b3-single", aliases: &["b3single"], build: b3::build_single },
    FormatKind { name: "w3c", aliases: &["tracecontext"], build: w3c::build },
];

/// Makes the formats with those names, in order; several become a [`CompositeFormat`].
pub(crate) fn from_names(
    names: &[String],
    headers: &HeadersConfig,
) -> Result<Box<dyn Format>, ConfigError> {
    let members = members(names)?;
    let mut formats: Vec<_> = members.iter().map(|member| (member.build)(headers)).collect();
    match formats.len() {
        1 => Ok(formats.remove(0)),
        _ => Ok(Box::new(CompositeFormat::new(formats))),
    }
}

/// Checks the names of formats.
pub(crate) fn check_names(names: &[String]) -> Result<(), ConfigError> {
    members(names).map(drop)
}

/// Returns the formats with those names, each once.
fn members(names: &[String]) -> Result<Vec<&'static FormatKind>, ConfigError> {
    let mut members: Vec<&'static FormatKind> = Vec::new();
    for name in names {
        let is = |known: &&str| known.eq_ignore_ascii_case(name.trim());
        let member = FORMATS.iter().find(|m| is(&m.name) || m.aliases.iter().any(is));
        let known = FORMATS.iter().map(|member| member.name);
        let member = member.ok_or_else(|| ConfigError::unknown("propagation", name, known))?;
        if !members.iter().any(|known| known.name == member.name) {
            members.push(member);
        }
    }
    if members.is_empty() {
        return Err(ConfigError::Empty { field: "propagation" });
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{SpanId, TraceId};

    #[test]
    fn law_every_format_reads_back_what_it_wrote() {
        for member in FORMATS {
            let format = (member.build)(&HeadersConfig::default());
            for (high, parent, flags) in [(0, 0, 1), (5, 7, 0), (u64::MAX, u64::MAX, 3)] {
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

    fn named(names: &[&str]) -> Result<String, ConfigError> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        from_names(&names, &HeadersConfig::default()).map(|format| format!("{format:?}"))
    }

    #[test]
    fn formats_are_found_by_any_of_their_names_and_each_is_taken_once() {
        for (names, format) in [
            (["b3multi", "B3"], "B3Format {"),
            (["B3Single", " b3-single "], "B3SingleFormat {"),
            (["tracecontext", "W3C"], "W3cFormat {"),
            (["jaeger", "Jaeger"], "JaegerFormat {"),
            (["jaeger", "b3"], "CompositeFormat {"),
        ] {
            assert!(named(&names).unwrap().starts_with(format), "{names:?}");
        }
    }

    #[test]
    fn an_unknown_format_is_refused_with_the_known_ones() {
        let error = named(&["jaeger", "xray"]).unwrap_err().to_string();
        assert!(error.contains("xray") && error.contains("jaeger, b3, b3-single, w3c"), "{error}");
        assert!(named(&[]).unwrap_err().to_string().contains("propagation"));
    }
}
