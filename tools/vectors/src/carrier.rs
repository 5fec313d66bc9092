//! What extraction and injection cases have in common: header names, pairs, contexts.

use std::collections::{BTreeMap, BTreeSet};

use jaeger_client::propagation::{B3Format, HttpHeaders};
use jaeger_client::{
    ExtractError, HeadersConfig, SpanContext, SpanId, TraceId, Tracer, TracerBuilder,
};
use serde_json::Value;

use crate::json::{bits, int, items, present, text};
use crate::model;

/// The names of Jaeger's headers in a case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Names {
    pub(crate) trace_context: String,
    pub(crate) baggage_prefix: String,
    pub(crate) debug: String,
    pub(crate) baggage: String,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            trace_context: String::from("uber-trace-id"),
            baggage_prefix: String::from("uberctx-"),
            debug: String::from("jaeger-debug-id"),
            baggage: String::from("jaeger-baggage"),
        }
    }
}

impl Names {
    /// Reads the names in a case's input or tracer: as members, or in a remark such as `trace context name
    /// configured as X-Trace`.
    pub(crate) fn read(of: &Value) -> Result<Self, String> {
        let config = ["headers_config", "headers"].iter().find_map(|key| present(of, key));
        let mut names = Self::default();
        match config {
            None => {}
            Some(Value::String(remark)) => names.configure(remark)?,
            Some(Value::Object(members)) => {
                for (what, name) in members {
                    let name = name.as_str().ok_or("a header's name is no text")?;
                    names.set(what, name)?;
                }
            }
            Some(other) => return Err(format!("names not understood: {other}")),
        }
        Ok(names)
    }

    fn configure(&mut self, remark: &str) -> Result<(), String> {
        for clause in remark.split([',', ';']).flat_map(|clause| clause.split(" and ")) {
            let parts = [" configured as ", " is ", " as ", "=", ": "];
            let split = parts.iter().find_map(|between| clause.split_once(between));
            let Some((what, name)) = split else {
                return Err(format!("names not understood: {remark:?}"));
            };
            self.set(what, name.trim().trim_matches(['"', '\'', '`']))?;
        }
        Ok(())
    }

    /// Sets the name of the header that these words mean.
    fn set(&mut self, what: &str, name: &str) -> Result<(), String> {
        let words = what.to_lowercase();
        let says = |word: &str| words.contains(word);
        let which = if says("prefix") {
            &mut self.baggage_prefix
        } else if says("trace") {
            &mut self.trace_context
        } else if says("debug") {
            &mut self.debug
        } else if says("baggage") {
            &mut self.baggage
        } else {
            return Err(format!("names not understood: {what:?}"));
        };
        name.clone_into(which);
        Ok(())
    }

    pub(crate) fn all(&self) -> [&str; 4] {
        let [trace_context, debug, baggage] = self.names();
        [trace_context, &self.baggage_prefix, debug, baggage]
    }

    /// Those that are no prefix.
    fn names(&self) -> [&str; 3] {
        [&self.trace_context, &self.debug, &self.baggage]
    }

    /// Converts them to the configuration of a tracer.
    pub(crate) fn config(&self) -> HeadersConfig {
        let Self { trace_context, baggage_prefix, debug, baggage } = self.clone();
        HeadersConfig { trace_context, baggage_prefix, debug, baggage, ..HeadersConfig::default() }
    }
}

/// A format of carriers.
#[derive(Debug)]
pub(crate) enum Format {
    Headers { http: bool, names: Names },
    B3 { baggage_prefix: String },
    Binary,
}

impl Format {
    /// Returns the format in a case's input, in lower-case words.
    pub(crate) fn read(input: &Value) -> Result<Self, String> {
        let headers = present(input, "headers_config").or_else(|| present(input, "headers"));
        let format = text(input, "format")?;
        let http = format.starts_with("http");
        Ok(match format {
            // The default of the recorded cases.
            "http_custom" | "textmap_custom" if headers.is_none() => Self::Headers {
                http,
                names: Names {
                    trace_context: String::from("X-Trace"),
                    baggage_prefix: String::from("X-Bag-"),
                    ..Names::default()
                },
            },
            "http" | "textmap" | "http_custom" | "textmap_custom" => {
                Self::Headers { http, names: Names::read(input)? }
            }
            "b3" => Self::B3 {
                baggage_prefix: text(input, "baggage_prefix").unwrap_or("baggage-").to_owned(),
            },
            "binary" => Self::Binary,
            other => return Err(format!("unknown format {other:?}")),
        })
    }

    /// Returns whether a name is none of a header, or has two meanings: no tracer has such names here.
    pub(crate) fn has_odd_names(&self) -> bool {
        let (prefix, names) = match self {
            Self::Headers { names, .. } => (&names.baggage_prefix, names.names().to_vec()),
            Self::B3 { baggage_prefix } => (baggage_prefix, B3_NAMES.to_vec()),
            Self::Binary => return false,
        };
        let lower = |name: &&str| name.to_ascii_lowercase();
        let distinct: BTreeSet<_> = names.iter().map(lower).collect();
        let begins = distinct.iter().any(|name| name.starts_with(&lower(&prefix.as_str())));
        let is_odd = |name: &&str| name.is_empty() || !name.bytes().all(is_token);
        begins
            || distinct.len() < names.len()
            || is_odd(&prefix.as_str())
            || names.iter().any(is_odd)
    }

    pub(crate) fn configure(&self, builder: TracerBuilder) -> TracerBuilder {
        match self {
            Self::Headers { names, .. } => builder.headers(names.config()),
            Self::B3 { baggage_prefix } => builder.format(B3Format::new(baggage_prefix)),
            Self::Binary => builder,
        }
    }
}

/// The headers of B3, and the one of a debug id beside them.
const B3_NAMES: [&str; 7] = [
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "jaeger-debug-id",
];

/// Returns whether a header's name may have the byte.
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Extracts from HTTP headers, or from a text map.
pub(crate) fn extract(
    tracer: &Tracer,
    http: bool,
    carrier: Pairs,
) -> Result<SpanContext, ExtractError> {
    if http { tracer.extract(&HttpHeaders(carrier)) } else { tracer.extract(&carrier) }
}

/// Injects into HTTP headers or a text map, and returns the entries by key.
pub(crate) fn injected(tracer: &Tracer, http: bool, context: &SpanContext) -> Value {
    let mut headers = HttpHeaders(Pairs::new());
    if http {
        tracer.inject(context, &mut headers);
    } else {
        tracer.inject(context, &mut headers.0);
    }
    entries(headers.0)
}

/// A carrier's entries by key.
pub(crate) fn entries(pairs: Pairs) -> Value {
    pairs.into_iter().map(|(key, value)| (key, Value::from(value))).collect()
}

/// Entries of a carrier, in order.
pub(crate) type Pairs = Vec<(String, String)>;

pub(crate) fn pairs(object: &Value, key: &str) -> Result<Pairs, String> {
    items(object, key)?
        .iter()
        .map(|pair| match pair.as_array().map(Vec::as_slice) {
            Some([Value::String(name), Value::String(value)]) => Ok((name.clone(), value.clone())),
            _ => Err(format!("no pair of texts: {pair}")),
        })
        .collect()
}

/// The entries that a case shows by key, each a text or the description of one that is not UTF-8.
pub(crate) fn shown_pairs(object: &Value, key: &str) -> Result<Vec<(String, Value)>, String> {
    let read = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
        Some([Value::String(name), value]) if text_bytes(value).is_ok() => {
            Ok((name.clone(), value.clone()))
        }
        _ => Err(format!("no pair of texts: {pair}")),
    };
    items(object, key)?.iter().map(read).collect()
}

/// Baggage by key; absent where there is none.
pub(crate) type Baggage = BTreeMap<String, Vec<u8>>;

pub(crate) fn baggage(object: &Value) -> Result<Baggage, String> {
    let Some(members) = present(object, "baggage") else {
        return Ok(Baggage::new());
    };
    let members = members.as_object().ok_or("baggage is no object")?;
    members.iter().map(|(key, value)| Ok((key.clone(), text_bytes(value)?))).collect()
}

/// Converts a context to the form of cases.
pub(crate) fn baggage_shown(context: &SpanContext) -> Value {
    context.baggage().map(|(key, value)| (key.to_owned(), Value::from(value))).collect()
}

/// A text, or the description of one that is not UTF-8.
pub(crate) fn text_bytes(value: &Value) -> Result<Vec<u8>, String> {
    match value {
        Value::String(text) => Ok(text.as_bytes().to_vec()),
        other => model::string(other),
    }
}

/// The ids and flags of a context.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ids {
    pub(crate) trace_high: u64,
    pub(crate) trace_low: u64,
    pub(crate) span: u64,
    pub(crate) parent: u64,
    /// Go's contexts of a debug id or baggage alone have none, and panic when asked; ours are 0.
    pub(crate) flags: u8,
}

impl Ids {
    pub(crate) fn read(object: &Value) -> Result<Self, String> {
        Ok(Self {
            trace_high: bits(object, "trace_id_high")?,
            trace_low: bits(object, "trace_id_low")?,
            span: bits(object, "span_id")?,
            parent: bits(object, "parent_id")?,
            flags: present(object, "flags").map_or(Ok(0), |_| int(object, "flags"))?,
        })
    }

    pub(crate) fn context(&self) -> SpanContext {
        let trace_id = TraceId::new(self.trace_high, self.trace_low);
        SpanContext::new(trace_id, SpanId::new(self.span), SpanId::new(self.parent), self.flags)
    }

    pub(crate) const fn is_valid(&self) -> bool {
        self.names_trace() && self.span != 0
    }

    pub(crate) const fn names_trace(&self) -> bool {
        self.trace_high != 0 || self.trace_low != 0
    }
}
