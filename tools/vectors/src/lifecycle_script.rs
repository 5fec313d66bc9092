//! The script of a lifecycle case: the calls, and what was seen after each.

use std::collections::BTreeMap;
use std::fmt;

use jaeger_client::OwnedTagValue;
use serde_json::Value;

use crate::carrier::{Baggage, Ids, Pairs, baggage, pairs};
use crate::datagrams_made::given;
use crate::json::{bits, int, integer, items, member, only, present, text, truth};
use crate::model::text_or_hex;
use crate::zipkin_rules::Given;

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

impl Field {
    fn read(field: &Value, log: bool) -> Result<Self, String> {
        only(
            field,
            &[
                "key",
                "key_hex",
                "key_is",
                "type",
                "value",
                "value_is",
                "hex",
                "bits",
                "rendered",
                "rendered_is",
                "go_type",
                "vType",
                "vStr",
                "vStr_hex",
                "vStr_is",
                "vBool",
                "vLong",
                "vDouble_bits",
                "vBinary_hex",
                "vBinary_set",
            ],
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
            "set_baggage" => &["key", "span", "value", "value_is", "then"],
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
                value: String::from_utf8(text_or_hex(step, "value")?)
                    .map_err(|_| "baggage that is not UTF-8")?,
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
