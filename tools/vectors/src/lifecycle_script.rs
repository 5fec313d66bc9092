//! The script of a lifecycle case: the tracer's options, the calls, and what was seen after each.

use std::collections::BTreeMap;
use std::fmt;

use jaeger_client::OwnedTagValue;
use serde_json::Value;

use crate::carrier::{Baggage, Ids, Pairs, baggage, pairs};
use crate::datagrams_made::given;
use crate::json::{bits, int, integer, items, member, only, present, text, truth};
use crate::lifecycle_samplers::Spec;
use crate::model::text_or_hex;
use crate::zipkin_rules::Given;

/// What a tracer is built with.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) service: String,
    pub(crate) sampler: Spec,
    pub(crate) trace_id_128bit: bool,
    /// What every upper half is, where a generator of its own gives them.
    pub(crate) high: Option<u64>,
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
    Remote { answers: Vec<String>, synchronous: bool },
}

/// What a server answers about baggage.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Restrictions {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) deny_before: bool,
}

/// A key with a value, as Go was given it and as we are.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) key: String,
    pub(crate) given: Given,
    pub(crate) value: OwnedTagValue,
}

/// What a span refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    ChildOf,
    FollowsFrom,
    Itself,
}

/// One call.
#[derive(Debug)]
pub(crate) enum Step {
    Start {
        span: String,
        operation: String,
        references: Vec<(Kind, String)>,
        tags: Vec<Field>,
    },
    SetTag {
        span: String,
        tag: Field,
    },
    SetOperationName {
        span: String,
        operation: String,
    },
    SetBaggage {
        span: String,
        key: String,
        value: String,
    },
    Log {
        span: String,
        fields: Vec<Field>,
    },
    EnableFirehose {
        span: String,
    },
    /// With logs and their moments, in nanoseconds since the Unix epoch.
    Finish {
        span: String,
        logs: Vec<(i128, Vec<Field>)>,
    },
    NewContext {
        context: String,
        ids: Ids,
        baggage: Baggage,
    },
    Extract {
        context: String,
        http: bool,
        carrier: Pairs,
    },
    /// Of a span, or of a context.
    Inject {
        of: String,
        http: bool,
    },
}

/// What can be seen after a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// The span's context.
    pub(crate) then: Option<Then>,
    /// Whether the span came to the reporter by this call.
    pub(crate) reported: Option<bool>,
    /// What was injected, sorted by key.
    pub(crate) carrier: Option<Pairs>,
    /// Why nothing was extracted.
    pub(crate) error: Option<String>,
}

/// A span's context as a case shows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Then {
    pub(crate) ids: Ids,
    pub(crate) baggage: Baggage,
    /// Whether no sampler is asked any more. No public call tells this; what follows from it shows.
    pub(crate) is_final: bool,
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
            sampler: Spec::read(text(tracer, "sampler")?)?,
            trace_id_128bit: flag("gen_128bit")?,
            high: present(tracer, "high_trace_id_generator").map(always).transpose()?,
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

    /// Bytes after which tags are cut.
    pub(crate) fn max_tag_bytes(&self) -> usize {
        if self.max_tag_value_length == 0 { 256 } else { self.max_tag_value_length }
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
        let answers = items(throttler, "answers")?.iter();
        let answers = answers.map(|body| body.as_str().map(str::to_owned).ok_or("no text"));
        Ok(Self::Remote {
            answers: answers.collect::<Result<_, _>>()?,
            synchronous: truth(throttler, "synchronous_initialization")?,
        })
    }
}

impl Restrictions {
    fn read(value: &Value) -> Result<Self, String> {
        only(value, &["answer_status", "answer_body", "deny_on_initialization_failure"])?;
        Ok(Self {
            status: int(value, "answer_status")?,
            body: text(value, "answer_body")?.to_owned(),
            deny_before: truth(value, "deny_on_initialization_failure")?,
        })
    }
}

impl Field {
    fn read(field: &Value, log: bool) -> Result<Self, String> {
        only(
            field,
            &["key", "key_hex", "type", "value", "hex", "bits", "rendered", "go_type", "note"],
        )?;
        let not_utf8 = || String::from("a text that is not UTF-8, which spans cannot be given");
        let key = String::from_utf8(text_or_hex(field, "key")?).map_err(|_| not_utf8())?;
        let read = Given::read(field)?;
        let passed = match &read {
            // Go shows bytes as text in a log; this interface leaves that to the caller.
            Given::Bytes(_) if log => Given::Text(read.shown()),
            other => other.clone(),
        };
        Ok(Self { key, given: read, value: given(passed)?.ok_or_else(not_utf8)? })
    }

    fn list(of: &Value, key: &str, log: bool) -> Result<Vec<Self>, String> {
        let list = present(of, key).map_or(Ok(&[][..]), |_| items(of, key))?;
        list.iter().map(|field| Self::read(field, log)).collect()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (call, of) = match self {
            Self::Start { span, .. } => ("start", span),
            Self::SetTag { span, tag } => return write!(f, "set_tag {} of {span}", tag.key),
            Self::SetOperationName { span, .. } => ("set_operation_name", span),
            Self::SetBaggage { span, .. } => ("set_baggage", span),
            Self::Log { span, .. } => ("log", span),
            Self::EnableFirehose { span } => ("enable_firehose", span),
            Self::Finish { span, .. } => ("finish", span),
            Self::NewContext { context, .. } => ("new_context", context),
            Self::Extract { context, .. } => ("extract", context),
            Self::Inject { of, .. } => ("inject", of),
        };
        write!(f, "{call} {of}")
    }
}

impl Step {
    /// A call, and what was seen after it.
    pub(crate) fn read(step: &Value) -> Result<(Self, Seen), String> {
        let known: &[&str] = match text(step, "do")? {
            "start" => &["operation", "references", "span", "tags", "then"],
            "set_tag" => &["span", "tag", "then"],
            "set_operation_name" => &["operation", "span", "then"],
            "set_baggage" => &["key", "span", "value", "then"],
            "log" => &["fields", "span", "then"],
            "enable_firehose" => &["span", "then"],
            "finish" => &["log_records", "reported", "span", "then"],
            "new_context" => {
                let ids = ["trace_id_high", "trace_id_low", "span_id", "parent_id"];
                only(step, &[&["do", "baggage", "context", "sampled"][..], &ids].concat())?;
                return Ok((Self::new_context(step)?, Seen::default()));
            }
            "extract_http" | "extract_textmap" => &["carrier", "context", "error"],
            "inject_http" | "inject_textmap" => &["context", "result", "span"],
            other => return Err(format!("unknown call {other:?}")),
        };
        only(step, &[&["do"][..], known].concat())?;
        Ok((Self::call(step)?, Seen::read(step)?))
    }

    fn new_context(step: &Value) -> Result<Self, String> {
        let flags = u8::from(truth(step, "sampled")?);
        Ok(Self::NewContext {
            context: text(step, "context")?.to_owned(),
            ids: Ids { flags, ..Ids::read(step)? },
            baggage: baggage(step)?,
        })
    }

    fn call(step: &Value) -> Result<Self, String> {
        let owned = |key| text(step, key).map(str::to_owned);
        let http = text(step, "do")?.ends_with("_http");
        Ok(match text(step, "do")? {
            "start" => Self::Start {
                span: owned("span")?,
                operation: owned("operation")?,
                references: items(step, "references")?
                    .iter()
                    .map(reference)
                    .collect::<Result<_, _>>()?,
                tags: Field::list(step, "tags", false)?,
            },
            "set_tag" => Self::SetTag {
                span: owned("span")?,
                tag: Field::read(member(step, "tag")?, false)?,
            },
            "set_operation_name" => {
                Self::SetOperationName { span: owned("span")?, operation: owned("operation")? }
            }
            "set_baggage" => Self::SetBaggage {
                span: owned("span")?,
                key: owned("key")?,
                value: owned("value")?,
            },
            "log" => Self::Log { span: owned("span")?, fields: Field::list(step, "fields", true)? },
            "enable_firehose" => Self::EnableFirehose { span: owned("span")? },
            "finish" => {
                let logs = present(step, "log_records");
                let logs = logs.map_or(Ok(&[][..]), |_| items(step, "log_records"))?.iter();
                let log = |log: &Value| {
                    only(log, &["fields", "timestamp_unix_ns"])?;
                    Ok((integer(log, "timestamp_unix_ns")?, Field::list(log, "fields", true)?))
                };
                let logs = logs.map(log).collect::<Result<_, String>>()?;
                Self::Finish { span: owned("span")?, logs }
            }
            call if call.starts_with("extract") => {
                Self::Extract { context: owned("context")?, http, carrier: pairs(step, "carrier")? }
            }
            _ => Self::Inject { of: owned("span").or_else(|_| owned("context"))?, http },
        })
    }
}

fn reference(pair: &Value) -> Result<(Kind, String), String> {
    let Some([Value::String(kind), Value::String(name)]) = pair.as_array().map(Vec::as_slice)
    else {
        return Err(format!("no reference: {pair}"));
    };
    let kind = match kind.as_str() {
        "child_of" => Kind::ChildOf,
        "follows_from" => Kind::FollowsFrom,
        "self" => Kind::Itself,
        other => return Err(format!("unknown reference {other:?}")),
    };
    Ok((kind, name.clone()))
}

impl Seen {
    fn read(step: &Value) -> Result<Self, String> {
        let mut carrier =
            present(step, "result").map(|_| pairs(step, "result")).transpose()?.unwrap_or_default();
        carrier.sort();
        Ok(Self {
            then: present(step, "then").map(Then::read).transpose()?,
            reported: present(step, "reported").map(|_| truth(step, "reported")).transpose()?,
            carrier: present(step, "result").map(|_| carrier),
            error: present(step, "error").map(|_| text(step, "error")).transpose()?.map(Into::into),
        })
    }
}

impl Then {
    fn read(then: &Value) -> Result<Self, String> {
        only(then, &["baggage", "final", "flags", "parent_id", "span_id", "trace_id"])?;
        let trace = text(then, "trace_id")?;
        let (high, low) = crate::extract_rules::trace_id(trace.as_bytes())?;
        Ok(Self {
            ids: Ids {
                trace_high: high,
                trace_low: low,
                span: bits(then, "span_id")?,
                parent: bits(then, "parent_id")?,
                flags: int(then, "flags")?,
            },
            baggage: baggage(then)?,
            is_final: truth(then, "final")?,
        })
    }
}

/// Counters by name and tags.
pub(crate) type Counters = BTreeMap<String, u64>;

/// Those of a case.
pub(crate) fn counters(case: &Value) -> Result<Counters, String> {
    let counters = member(case, "counters")?;
    let members = counters.as_object().ok_or("counters is no object")?;
    members.keys().map(|name| Ok((name.clone(), int(counters, name)?))).collect()
}
