//! The options of the tracer of a lifecycle case.

use serde::Deserialize;
use serde_json::Value;

use crate::json::without_remarks;

/// The options of a tracer, by their names in cases.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    service: Option<String>,
    pub(crate) sampler: String,
    pub(crate) gen_128bit: bool,
    high_trace_id_generator: Option<String>,
    random_sequence: Option<Value>,
    /// See [`Names::read`](crate::carrier::Names::read).
    headers: Value,
    headers_config: Value,
    pub(crate) max_logs_per_span: usize,
    /// 0 means the default, 256.
    pub(crate) max_tag_value_length: usize,
    pub(crate) no_debug_flag_on_forced_sampling: bool,
    pub(crate) zipkin_shared_rpc_span: bool,
    /// Records are used again in any case here.
    pool_spans: Value,
    pub(crate) debug_throttler: Option<DebugThrottling>,
    pub(crate) throttler: Option<Throttler>,
    pub(crate) baggage_restrictions: Option<Restrictions>,
    /// The requests to the servers, as lines `GET path?query`.
    #[serde(alias = "request_seen")]
    pub(crate) requests_seen: Vec<String>,
}

/// The throttler, if it is not a server's.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) enum DebugThrottling {
    #[serde(rename = "denies everything")]
    DeniesAll,
    #[serde(rename = "allows everything")]
    AllowsAll,
}

/// The responses of a server of debugging credits, one after the other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Throttler {
    #[serde(rename = "answers")]
    pub(crate) responses: Vec<Response>,
    pub(crate) synchronous_initialization: bool,
}

/// The responses of a server of baggage restrictions, of which the first counts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restrictions {
    #[serde(rename = "answers")]
    responses: Option<Vec<Response>>,
    #[serde(rename = "answer_status", default)]
    status: u16,
    #[serde(rename = "answer_body", default)]
    body: String,
    #[serde(default)]
    pub(crate) deny_on_initialization_failure: bool,
}

/// A server's response: a body, or a status with one.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Response {
    Body(String),
    Full {
        #[serde(alias = "answer_status", default = "ok")]
        status: u16,
        #[serde(alias = "answer_body", default)]
        body: String,
    },
}

const fn ok() -> u16 {
    200
}

impl Response {
    pub(crate) fn parts(&self) -> (u16, String) {
        match self {
            Self::Body(body) => (ok(), body.clone()),
            Self::Full { status, body } => (*status, body.clone()),
        }
    }
}

impl Restrictions {
    pub(crate) fn responses(&self) -> Vec<(u16, String)> {
        match &self.responses {
            Some(responses) => responses.iter().map(Response::parts).collect(),
            None => vec![(self.status, self.body.clone())],
        }
    }
}

impl Options {
    pub(crate) fn read(tracer: &Value) -> Result<Self, String> {
        Self::deserialize(without_remarks(tracer)).map_err(|error| error.to_string())
    }

    pub(crate) fn service(&self) -> &str {
        self.service.as_deref().unwrap_or("svc")
    }

    /// The upper half of every trace id, by a remark such as `always 0xabc, but 128-bit off`.
    pub(crate) fn high(&self) -> Result<Option<u64>, String> {
        let Some(remark) = &self.high_trace_id_generator else { return Ok(None) };
        let number = remark.split_once("always ").and_then(|(_, after)| {
            let digits = after.split([',', ';', ' ']).next()?;
            match digits.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16).ok(),
                None => digits.parse().ok(),
            }
        });
        number.map(Some).ok_or_else(|| format!("generator not understood: {remark:?}"))
    }

    /// The numbers that the tracer draws, again and again; none for 1, 2, 3, and so on.
    pub(crate) fn numbers(&self) -> Result<Vec<u64>, String> {
        let numbers: Option<Vec<u64>> = match &self.random_sequence {
            None => return Ok(Vec::new()),
            Some(Value::Array(numbers)) => {
                let read = |value: &Value| value.as_u64().or_else(|| number(value.as_str()?));
                numbers.iter().map(read).collect()
            }
            Some(other) => {
                let text = other.as_str().unwrap_or_default().split([',', ' ', ';']);
                text.filter(|word| !word.is_empty()).map(number).collect()
            }
        };
        let not_understood = || format!("numbers not understood: {:?}", self.random_sequence);
        numbers.filter(|numbers| !numbers.is_empty()).ok_or_else(not_understood)
    }
}

/// A number of 64 bits in 16 hex digits, as ids are written, or in decimal.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if text.len() == 16 => u64::from_str_radix(text, 16).ok(),
        None => text.parse().ok().or_else(|| text.parse().map(i64::cast_unsigned).ok()),
    }
}
