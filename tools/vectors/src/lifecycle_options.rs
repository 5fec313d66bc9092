//! What the tracer of a lifecycle case is built with.

use serde_json::Value;

use crate::carrier::Names;
use crate::json::{int, items, only, present, text, truth};

/// What a tracer is built with.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) service: String,
    pub(crate) sampler: String,
    pub(crate) trace_id_128bit: bool,
    /// What every upper half is, where its own generator gives them.
    pub(crate) high: Option<u64>,
    /// Where ids come from.
    pub(crate) numbers: Numbers,
    pub(crate) names: Names,
    pub(crate) max_logs: usize,
    /// 0 means the default, 256.
    pub(crate) max_tag_value_length: usize,
    pub(crate) no_debug_flag: bool,
    pub(crate) zipkin_shared: bool,
    pub(crate) throttler: Throttler,
    pub(crate) restrictions: Option<Restrictions>,
    /// What the servers were asked, as lines `GET path?query`.
    pub(crate) requests: Vec<String>,
}

/// Who lets spans be debugged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Throttler {
    AllowsAll,
    DeniesAll,
    /// Statuses and bodies, one after the other.
    Remote {
        responses: Vec<(u16, String)>,
        synchronous: bool,
    },
}

/// What a server responds about baggage: statuses and bodies, of which the first counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Restrictions {
    pub(crate) responses: Vec<(u16, String)>,
    pub(crate) deny_before: bool,
}

/// The numbers that a tracer draws: those of a sequence, again and again, or 1, 2, 3, and so on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Numbers {
    sequence: Vec<u64>,
    drawn: usize,
}

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.drawn += 1;
        match self.sequence.len() {
            0 => self.drawn as u64,
            length => self.sequence[(self.drawn - 1) % length],
        }
    }

    fn read(sequence: &Value) -> Result<Self, String> {
        let not_understood = || format!("numbers not understood: {sequence}");
        let number = |value: &Value| match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => number(text),
            _ => None,
        };
        let sequence: Option<Vec<_>> = match sequence {
            Value::Array(numbers) => numbers.iter().map(number).collect(),
            Value::String(text) => {
                let words = text.split([',', ' ', ';']).filter(|word| !word.is_empty());
                words.map(self::number).collect()
            }
            _ => None,
        };
        let sequence = sequence.filter(|sequence| !sequence.is_empty());
        Ok(Self { sequence: sequence.ok_or_else(not_understood)?, drawn: 0 })
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

impl Options {
    pub(crate) fn read(tracer: &Value) -> Result<Self, String> {
        only(
            tracer,
            &[
                "sampler",
                "service",
                "gen_128bit",
                "high_trace_id_generator",
                "random_sequence",
                "headers",
                "headers_config",
                "max_logs_per_span",
                "max_tag_value_length",
                "no_debug_flag_on_forced_sampling",
                "zipkin_shared_rpc_span",
                // Records are used again in any case here.
                "pool_spans",
                "debug_throttler",
                "throttler",
                "baggage_restrictions",
                "request_seen",
                "requests_seen",
            ],
        )?;
        let flag = |key| present(tracer, key).map_or(Ok(false), |_| truth(tracer, key));
        let number = |key| present(tracer, key).map_or(Ok(0), |_| int(tracer, key));
        let mut requests = Vec::new();
        for key in ["request_seen", "requests_seen"] {
            let seen = present(tracer, key).map_or(Ok(&[][..]), |_| items(tracer, key))?;
            for line in seen {
                requests.push(line.as_str().ok_or("a request is no text")?.to_owned());
            }
        }
        Ok(Self {
            service: present(tracer, "service")
                .map_or(Ok("svc"), |_| text(tracer, "service"))?
                .to_owned(),
            sampler: text(tracer, "sampler")?.to_owned(),
            trace_id_128bit: flag("gen_128bit")?,
            high: present(tracer, "high_trace_id_generator").map(always).transpose()?,
            numbers: present(tracer, "random_sequence")
                .map(Numbers::read)
                .transpose()?
                .unwrap_or_default(),
            names: Names::read(tracer)?,
            max_logs: number("max_logs_per_span")?,
            max_tag_value_length: number("max_tag_value_length")?,
            no_debug_flag: flag("no_debug_flag_on_forced_sampling")?,
            zipkin_shared: flag("zipkin_shared_rpc_span")?,
            throttler: Throttler::read(tracer)?,
            restrictions: present(tracer, "baggage_restrictions")
                .map(Restrictions::read)
                .transpose()?,
            requests,
        })
    }
}

/// The number of a remark such as `always 0xabc, but 128-bit off`.
fn always(remark: &Value) -> Result<u64, String> {
    let not_understood = || format!("generator not understood: {remark}");
    let remark = remark.as_str().ok_or_else(not_understood)?;
    let (_, after) = remark.split_once("always ").ok_or_else(not_understood)?;
    let number = after.split([',', ';', ' ']).next().unwrap_or_default();
    match number.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).map_err(|_| not_understood()),
        None => number.parse().map_err(|_| not_understood()),
    }
}

impl Throttler {
    fn read(tracer: &Value) -> Result<Self, String> {
        if let Some(remark) = present(tracer, "debug_throttler") {
            return match remark.as_str().unwrap_or_default() {
                "denies everything" => Ok(Self::DeniesAll),
                "allows everything" => Ok(Self::AllowsAll),
                other => Err(format!("throttler not understood: {other:?}")),
            };
        }
        let Some(throttler) = present(tracer, "throttler") else { return Ok(Self::AllowsAll) };
        only(throttler, &["answers", "synchronous_initialization"])?;
        Ok(Self::Remote {
            responses: responses(throttler)?,
            synchronous: truth(throttler, "synchronous_initialization")?,
        })
    }
}

impl Restrictions {
    fn read(value: &Value) -> Result<Self, String> {
        let known = ["answer_status", "answer_body", "answers", "deny_on_initialization_failure"];
        only(value, &known)?;
        let responses = match present(value, "answers") {
            Some(_) => responses(value)?,
            None => vec![(int(value, "answer_status")?, text(value, "answer_body")?.to_owned())],
        };
        let deny = present(value, known[3]).map_or(Ok(false), |_| truth(value, known[3]))?;
        Ok(Self { responses, deny_before: deny })
    }
}

/// A server's answers: bodies, or statuses with bodies.
fn responses(of: &Value) -> Result<Vec<(u16, String)>, String> {
    let response = |response: &Value| {
        if let Some(body) = response.as_str() {
            return Ok((200, body.to_owned()));
        }
        let either = |names: [&'static str; 2]| {
            names.into_iter().find(|name| present(response, name).is_some())
        };
        let status = either(["status", "answer_status"]);
        let body = either(["body", "answer_body"]);
        let status = status.map_or(Ok(200), |name| int(response, name))?;
        Ok((status, body.map_or(Ok(""), |name| text(response, name))?.to_owned()))
    };
    items(of, "answers")?.iter().map(response).collect()
}
