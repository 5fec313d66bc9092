//! The sampler of traces that have a span with a certain tag.

use super::{
    BuiltIn, Decision, Rule, SAMPLER_PARAM_TAG, SAMPLER_TYPE_TAG, Sampler, SamplerStatus,
    SamplingParameters,
};
use crate::encoding::ValueView;
#[cfg(feature = "remote-sampler")]
use crate::error::ConfigError;

/// Records the traces that have a span with one of certain values of a tag.
///
/// The sampler has no opinion until such a tag is set, so that it is usually the first of a
/// [`PrioritySampler`](super::PrioritySampler).
///
/// # Shape and units
///
/// A value matches only one of its own type: the integer 42 is neither the double 42.0 nor the text
/// `42`. Numbers in JSON are doubles.
///
/// # Cost
///
/// A tag with another key costs one comparison.
///
/// # Source
///
/// `TagMatchingSampler` in jaeger-client-go, `x/tag_sampler.go`.
///
/// # Examples
///
/// ```
/// use jaeger_client::TraceId;
/// use jaeger_client::encoding::ValueView;
/// use jaeger_client::sampler::{ManualSpan, TagMatchingSampler};
/// let sampler = TagMatchingSampler::new("tenant").matching("acme").matching_firehose(7);
/// let mut span = ManualSpan::new(TraceId::new(0, 1), "op");
/// span.start(&sampler);
/// assert!(!span.is_sampled() && !span.is_final());
/// span.set_tag(&sampler, "tenant", ValueView::Str(b"acme"));
/// assert!(span.is_sampled() && span.is_final());
/// ```
#[derive(Clone)]
pub struct TagMatchingSampler {
    key: String,
    matchers: Vec<Matcher>,
}

#[derive(Clone, Debug)]
struct Matcher {
    value: MatchValue,
    firehose: bool,
    /// The sampler's parameter, `key=value`.
    param: String,
}

/// The value of a tag to match.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MatchValue {
    /// Text.
    Str(String),
    /// A boolean.
    Bool(bool),
    /// An integer.
    I64(i64),
    /// A double.
    F64(f64),
}

impl MatchValue {
    fn is(&self, value: ValueView<'_>) -> bool {
        match (self, value) {
            (Self::Str(own), ValueView::Str(text)) => own.as_bytes() == text,
            (Self::Bool(own), ValueView::Bool(value)) => *own == value,
            (Self::I64(own), ValueView::Long(number)) => *own == number,
            (Self::F64(own), ValueView::Double(double)) => *own == double,
            _ => false,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Str(text) => text.clone(),
            Self::Bool(value) => value.to_string(),
            Self::I64(number) => number.to_string(),
            Self::F64(double) => double.to_string(),
        }
    }
}

macro_rules! from {
    ($($kind:ty => |$value:ident| $made:expr;)*) => {$(
        impl From<$kind> for MatchValue {
            fn from($value: $kind) -> Self {
                $made
            }
        }
    )*};
}

from! {
    &str => |text| Self::Str(text.to_owned());
    String => |text| Self::Str(text);
    bool => |value| Self::Bool(value);
    i32 => |number| Self::I64(i64::from(number));
    i64 => |number| Self::I64(number);
    f64 => |double| Self::F64(double);
}

impl TagMatchingSampler {
    /// Matches tags with this key; no value matches yet.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self { key: key.into(), matchers: Vec::new() }
    }

    /// Samples traces with this value of the tag. If a value is given twice, the last call counts.
    #[must_use]
    pub fn matching(self, value: impl Into<MatchValue>) -> Self {
        self.with(value.into(), false)
    }

    /// Samples traces with this value of the tag and keeps them out of the index.
    #[must_use]
    pub fn matching_firehose(self, value: impl Into<MatchValue>) -> Self {
        self.with(value.into(), true)
    }

    /// Parses a sampler from JSON, in the form of jaeger-client-go.
    ///
    /// # Shape and units
    ///
    /// `{"key":"tenant","matchers":[{"value":"acme","firehose":true}],"values":{"other":{}}}`:
    /// `matchers` has strings, booleans and numbers, which are doubles; `values` is an older form
    /// that has strings alone, and overrides the other.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if the JSON has another form.
    #[cfg(feature = "remote-sampler")]
    pub fn from_json(json: &str) -> Result<Self, ConfigError> {
        json::read(json).ok_or_else(|| {
            ConfigError::invalid(
                "tag matching sampler",
                json.chars().take(200).collect::<String>(),
                r#"{"key":…,"matchers":[{"value":…,"firehose":…}],"values":{…:{"firehose":…}}}"#,
            )
        })
    }

    fn with(mut self, value: MatchValue, firehose: bool) -> Self {
        self.matchers.retain(|matcher| matcher.value != value);
        let param = format!("{}={}", self.key, value.text());
        self.matchers.push(Matcher { value, firehose, param });
        self
    }
}

impl Sampler for TagMatchingSampler {
    fn built_in(&self) -> Option<BuiltIn<'_>> {
        Some(BuiltIn::SELF_CONTAINED)
    }

    fn on_create_span(&self, _span: &mut SamplingParameters<'_>) -> Decision {
        Decision::retryable(false)
    }

    fn may_defer(&self) -> bool {
        true
    }

    fn on_set_tag(
        &self,
        span: &mut SamplingParameters<'_>,
        key: &str,
        value: ValueView<'_>,
    ) -> Decision {
        let found = self.matchers.iter().find(|matcher| key == self.key && matcher.value.is(value));
        let Some(matcher) = found else { return Decision::retryable(false) };
        span.set_tag(SAMPLER_TYPE_TAG, "TagMatchingSampler");
        span.set_tag(SAMPLER_PARAM_TAG, &matcher.param);
        if matcher.firehose { Decision::new(true).with_firehose() } else { Decision::new(true) }
    }

    fn status(&self) -> SamplerStatus {
        SamplerStatus::new(Rule::TagMatching {
            key: self.key.clone(),
            values: self.matchers.iter().map(|matcher| matcher.value.text()).collect(),
        })
    }
}

/// The JSON form of jaeger-client-go.
#[cfg(feature = "remote-sampler")]
mod json {
    use serde_json::Value;

    use super::{MatchValue, TagMatchingSampler};

    pub(super) fn read(json: &str) -> Option<TagMatchingSampler> {
        let strategy: Value = serde_json::from_str(json).ok()?;
        let mut sampler = TagMatchingSampler::new(strategy.get("key")?.as_str()?);
        if let Some(matchers) = present(&strategy, "matchers") {
            for matcher in matchers.as_array()? {
                sampler = sampler.with(value(matcher.get("value")?)?, firehose(matcher)?);
            }
        }
        if let Some(values) = present(&strategy, "values") {
            for (text, matcher) in values.as_object()? {
                sampler = sampler.with(MatchValue::Str(text.clone()), firehose(matcher)?);
            }
        }
        Some(sampler)
    }

    fn present<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
        of.get(name).filter(|value| !value.is_null())
    }

    fn firehose(matcher: &Value) -> Option<bool> {
        present(matcher, "firehose").map_or(Some(false), Value::as_bool)
    }

    fn value(value: &Value) -> Option<MatchValue> {
        match value {
            Value::String(text) => Some(MatchValue::Str(text.clone())),
            Value::Bool(value) => Some(MatchValue::Bool(*value)),
            Value::Number(number) => number.as_f64().map(MatchValue::F64),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ManualSpan;
    use super::*;
    use crate::id::TraceId;

    fn sampler() -> TagMatchingSampler {
        TagMatchingSampler::new("k")
            .matching("good")
            .matching(true)
            .matching(42)
            .matching_firehose(0.5)
            .matching("legacy")
            .matching_firehose("legacy")
    }

    fn decide(key: &str, value: ValueView<'_>) -> (ManualSpan, Option<Decision>) {
        let mut span = ManualSpan::new(TraceId::new(0, 1), "op");
        assert_eq!(span.start(&sampler()), Decision::retryable(false));
        assert_eq!(span.set_operation_name(&sampler(), "x"), Some(Decision::retryable(false)));
        let decision = span.set_tag(&sampler(), key, value);
        (span, decision)
    }

    #[test]
    fn a_value_matches_only_one_of_its_type() {
        for (value, matches) in [
            (ValueView::Str(b"good"), true),
            (ValueView::Str(b"goo"), false),
            (ValueView::Str(b"42"), false),
            (ValueView::Str(b"true"), false),
            (ValueView::Bool(true), true),
            (ValueView::Bool(false), false),
            (ValueView::Long(42), true),
            (ValueView::Double(42.0), false),
            (ValueView::Double(0.5), true),
            (ValueView::Binary(b"good"), false),
        ] {
            let (span, _) = decide("k", value);
            assert_eq!((span.is_sampled(), span.is_final()), (matches, matches), "{value:?}");
            assert!(!decide("other", value).0.is_sampled());
        }
    }

    #[test]
    fn it_names_the_tag_that_it_found() {
        let (span, _) = decide("k", ValueView::Long(42));
        let tags: Vec<_> = span.tags().map(|tag| (tag.key.to_vec(), tag.value)).collect();
        let text = |text: &'static str| ValueView::Str(text.as_bytes());
        assert_eq!(
            tags,
            [
                (b"sampler.type".to_vec(), text("TagMatchingSampler")),
                (b"sampler.param".to_vec(), text("k=42"))
            ]
        );
    }

    #[test]
    fn the_last_of_several_for_a_value_decides_about_the_index() {
        let firehose = |value| decide("k", value).1.unwrap().firehose;
        assert!(firehose(ValueView::Str(b"legacy")) && firehose(ValueView::Double(0.5)));
        assert!(!firehose(ValueView::Str(b"good")));
    }

    #[test]
    fn a_trace_without_such_a_tag_is_deferred_to_its_end() {
        let (mut span, _) = decide("k", ValueView::Str(b"bad"));
        assert_eq!(span.finish(&sampler()), Some(Decision::retryable(false)));
        assert!(!span.is_sampled() && !span.is_final());
    }

    #[cfg(feature = "remote-sampler")]
    #[test]
    fn the_json_of_the_go_client_is_read_with_its_numbers_as_doubles() {
        let sampler = TagMatchingSampler::from_json(
            r#"{"key":"k","matchers":[{"value":"a","firehose":true},{"value":42,"firehose":true},
                {"value":true}],"values":{"a":{"firehose":false},"legacy":{"firehose":true}}}"#,
        );
        let sampler = sampler.unwrap();
        let firehose = |value| {
            let mut span = ManualSpan::new(TraceId::new(0, 1), "op");
            span.start(&sampler);
            span.set_tag(&sampler, "k", value);
            span.is_sampled().then(|| span.is_firehose())
        };
        assert_eq!(firehose(ValueView::Str(b"a")), Some(false), "the older form overrides");
        assert_eq!(firehose(ValueView::Str(b"legacy")), Some(true));
        assert_eq!(firehose(ValueView::Bool(true)), Some(false));
        assert_eq!(firehose(ValueView::Double(42.0)), Some(true));
        assert_eq!(firehose(ValueView::Long(42)), None);
        for broken in ["", "{}", "[]", r#"{"key":1}"#, r#"{"key":"k","matchers":{}}"#] {
            assert!(TagMatchingSampler::from_json(broken).is_err(), "{broken}");
        }
        for broken in ["[{}]", r#"[{"value":[]}]"#, r#"[{"value":1,"firehose":1}]"#] {
            let json = format!(r#"{{"key":"k","matchers":{broken}}}"#);
            assert!(TagMatchingSampler::from_json(&json).is_err(), "{json}");
        }
    }
}
