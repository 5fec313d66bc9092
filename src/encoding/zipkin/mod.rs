//! Zipkin v1: the Thrift list of spans that a Zipkin server takes over HTTP.
//!
//! Zipkin knows no processes, references or typed tags. Each span therefore names its host itself;
//! the process's tags go with the spans that are first in it; numbers become text. The conversion
//! reads views and does not change the spans.

mod endpoint;
mod text;
mod v2;

use std::borrow::Cow;

use thrift::protocol::{
    TCompactOutputProtocol, TMessageIdentifier, TMessageType, TOutputProtocol, TType,
};

use self::endpoint::{Endpoint, address};
use self::text::{fixed, log_text, showable, text, truncate};
pub(super) use self::v2::body as v2_body;
use super::batch::BatchView;
use super::binary::{bytes_field, field, i32_field, i64_field, list, structure, unwritable, write};
use super::read::DecodeError;
use super::view::{SpanView, TagView, ValueView};

/// Encodes the body, without a limit of texts: the tracer truncates, and marks what it truncated.
pub(super) fn body(batch: &BatchView<'_>) -> Result<Vec<u8>, DecodeError> {
    batch.to_zipkin_thrift(usize::MAX)
}

/// Encodes the `emitZipkinBatch` message of the compact protocol, which agents accept on port 5775.
pub(super) fn message(batch: &BatchView<'_>) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::new();
    let out = &mut TCompactOutputProtocol::new(&mut bytes);
    let name = String::from("emitZipkinBatch");
    let number = batch.sequence_id().cast_signed();
    out.write_message_begin(&TMessageIdentifier::new(name, TMessageType::Call, number))
        .and_then(|()| {
            structure(out, |out| field(out, TType::List, 1, |out| spans(out, batch, usize::MAX)))
        })
        .and_then(|()| out.write_message_end())
        .map_err(unwritable)?;
    Ok(bytes)
}

impl BatchView<'_> {
    /// Writes the spans as the Zipkin v1 body of a POST: a list in the binary protocol.
    ///
    /// # Shape and units
    ///
    /// `max_text_bytes` limits the text of an annotation (a log of the span) and of a tag; text is
    /// truncated between characters. The host's address is the process's first `ip` tag, or none.
    /// Values that are not valid IPv4 addresses or ports stay tags.
    ///
    /// A span is first in its process, and has the process's tags, if it has no parent or the tag
    /// `span.kind=server`.
    ///
    /// # Errors
    ///
    /// As for [`to_binary_message`](Self::to_binary_message).
    ///
    /// # Source
    ///
    /// `BuildZipkinThrift` in jaeger-client-go, `zipkin_thrift_span.go`, which also rewrites the
    /// tags of the span that it converts.
    pub fn to_zipkin_thrift(&self, max_text_bytes: usize) -> Result<Vec<u8>, DecodeError> {
        write(|out| spans(out, self, max_text_bytes))
    }
}

fn spans<P: TOutputProtocol>(out: &mut P, batch: &BatchView<'_>, max: usize) -> thrift::Result<()> {
    let host = Endpoint::of(&batch.process);
    list(out, batch.spans.count, batch.spans(), |out, view| {
        span(out, &Converted::new(batch, &view, host, max))
    })
}

/// A timed event within a span.
struct Annotation<'a> {
    timestamp_micros: i64,
    text: Cow<'a, [u8]>,
}

/// A tag in Zipkin's form.
struct Fact<'a> {
    key: &'a [u8],
    value: Cow<'a, [u8]>,
    kind: i32,
    host: Option<Endpoint<'a>>,
}

/// The numbers of zipkincore.thrift's `AnnotationType`.
const BOOL: i32 = 0;
const BYTES: i32 = 1;
const STRING: i32 = 6;

struct Converted<'a> {
    view: SpanView<'a>,
    host: Endpoint<'a>,
    annotations: Vec<Annotation<'a>>,
    facts: Vec<Fact<'a>>,
}

impl<'a> Converted<'a> {
    fn new(batch: &BatchView<'a>, view: &SpanView<'a>, host: Endpoint<'a>, max: usize) -> Self {
        let server = view.tag("span.kind") == Some(ValueView::Str(b"server"));
        let first_in_process = server || view.parent_span_id.get() == 0;
        // In Go, the uuid is a field of the process, not one of the tags that it appends here.
        let inherited = batch.process.tags().filter(|tag| tag.key != b"client-uuid");
        let (mut rpc, mut peer, mut tags) = (None, Endpoint::default(), Vec::new());
        for tag in view.tags().chain(inherited.filter(|_| first_in_process)) {
            match (tag.key, tag.value) {
                (b"span.kind", ValueView::Str(kind)) => rpc = Rpc::of(kind),
                (b"ip", value) if is_ipv4(value) => {}
                // Endpoints have only IPv4 addresses in v1.
                (b"peer.ipv4", value) if !is_ipv4(value) => tags.push(tag),
                (b"peer.ipv6", _) => tags.push(tag),
                _ if peer.take(tag) => {}
                (b"span.kind" | b"peer.service", _) => {}
                _ => tags.push(tag),
            }
        }
        let annotations = annotations(view, rpc.as_ref(), max);
        let mut facts = Vec::with_capacity(tags.len() + 1);
        match rpc {
            Some(rpc) if peer.is_known() => {
                let value = Cow::Borrowed([1].as_slice());
                facts.push(Fact { key: rpc.peer, value, kind: BOOL, host: Some(peer) });
            }
            Some(_) => {}
            None => {
                let component = tags.iter().find(|tag| tag.key == b"component");
                let value = component.map_or(Cow::Borrowed(host.service), |tag| text(tag.value));
                facts.push(Fact { key: b"lc", value, kind: STRING, host: Some(host) });
            }
        }
        facts.extend(tags.into_iter().map(|tag| fact(tag, max)));
        Self { view: *view, host, annotations, facts }
    }
}

fn is_ipv4(value: ValueView<'_>) -> bool {
    address(value).is_some_and(|address| address.is_ipv4())
}

/// The names of the two ends of a remote call.
struct Rpc {
    start: &'static [u8],
    end: &'static [u8],
    peer: &'static [u8],
}

impl Rpc {
    fn of(kind: &[u8]) -> Option<Self> {
        match kind {
            b"client" => Some(Self { start: b"cs", end: b"cr", peer: b"sa" }),
            b"server" => Some(Self { start: b"sr", end: b"ss", peer: b"ca" }),
            _ => None,
        }
    }
}

fn annotations<'a>(view: &SpanView<'a>, rpc: Option<&Rpc>, max: usize) -> Vec<Annotation<'a>> {
    let mut annotations = Vec::new();
    if let Some(rpc) = rpc {
        let start = view.start_time_micros.max(0);
        annotations.push(Annotation { timestamp_micros: start, text: rpc.start.into() });
        if view.duration_micros > 0 {
            let end = start.saturating_add(view.duration_micros);
            annotations.push(Annotation { timestamp_micros: end, text: rpc.end.into() });
        }
    }
    annotations.extend(view.logs().map(|log| Annotation {
        timestamp_micros: log.timestamp_micros.max(0),
        text: truncate(log_text(log, fixed), max),
    }));
    annotations
}

fn fact<'a>(tag: TagView<'a>, max: usize) -> Fact<'a> {
    let (kind, value) = match tag.value {
        ValueView::Bool(value) => (BOOL, vec![u8::from(value)].into()),
        ValueView::Binary(bytes) => (BYTES, bytes[..bytes.len().min(max)].into()),
        other => (STRING, truncate(text(other), max)),
    };
    Fact { key: tag.key, value, kind, host: None }
}

fn span<P: TOutputProtocol>(out: &mut P, span: &Converted<'_>) -> thrift::Result<()> {
    const DEBUG: i32 = 2;
    let view = &span.view;
    // Zipkin refuses a trace whose lower half is zero, so that the upper half takes its place.
    let (trace_high, trace_low) = match (view.trace_id.high(), view.trace_id.low()) {
        (high, 0) => (0, high),
        halves => halves,
    };
    structure(out, |out| {
        i64_field(out, 1, trace_low.cast_signed())?;
        bytes_field(out, 3, &showable(view.operation_name))?;
        i64_field(out, 4, view.span_id.get().cast_signed())?;
        if view.parent_span_id.get() != 0 {
            i64_field(out, 5, view.parent_span_id.get().cast_signed())?;
        }
        field(out, TType::List, 6, |out| {
            list(out, span.annotations.len(), span.annotations.iter(), |out, annotation| {
                structure(out, |out| {
                    i64_field(out, 1, annotation.timestamp_micros)?;
                    bytes_field(out, 2, &showable(&annotation.text))?;
                    endpoint(out, 3, &span.host)
                })
            })
        })?;
        field(out, TType::List, 8, |out| {
            list(out, span.facts.len(), span.facts.iter(), |out, fact| {
                structure(out, |out| {
                    bytes_field(out, 1, &showable(fact.key))?;
                    match fact.kind {
                        STRING => bytes_field(out, 2, &showable(&fact.value))?,
                        _ => bytes_field(out, 2, &fact.value)?,
                    }
                    i32_field(out, 3, fact.kind)?;
                    fact.host.iter().try_for_each(|host| endpoint(out, 4, host))
                })
            })
        })?;
        if view.flags & DEBUG != 0 {
            field(out, TType::Bool, 9, |out| out.write_bool(true))?;
        }
        i64_field(out, 10, view.start_time_micros.max(0))?;
        i64_field(out, 11, view.duration_micros)?;
        if trace_high != 0 {
            i64_field(out, 12, trace_high.cast_signed())?;
        }
        Ok(())
    })
}

fn endpoint<P: TOutputProtocol>(
    out: &mut P,
    id: i16,
    endpoint: &Endpoint<'_>,
) -> thrift::Result<()> {
    field(out, TType::Struct, id, |out| {
        structure(out, |out| {
            i32_field(out, 1, endpoint.ipv4.map_or(0, |ip| ip.to_bits().cast_signed()))?;
            let port = endpoint.port.unwrap_or_default().cast_signed();
            field(out, TType::I16, 2, |out| out.write_i16(port))?;
            bytes_field(out, 3, &showable(endpoint.service))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::{List, ProcessView, put_tag};
    use crate::{SpanId, TraceId};

    /// Converts a span that is its process's first.
    fn body(ip: &str, tags: &[(&str, &str)], trace_id: TraceId) -> Vec<u8> {
        let (mut process, mut bytes) = (Vec::new(), Vec::new());
        put_tag(&mut process, TagView::new(b"ip", ValueView::Str(ip.as_bytes())));
        for (key, value) in tags {
            put_tag(&mut bytes, TagView::new(key.as_bytes(), ValueView::Str(value.as_bytes())));
        }
        let tags = Some(List::new(tags.len(), &bytes));
        let span_id = SpanId::new(3);
        let mut span = Vec::new();
        SpanView { trace_id, span_id, tags, ..SpanView::default() }.encode(&mut span);
        let process = ProcessView::new(b"svc", Some(List::new(1, &process)));
        BatchView::new(process, List::new(1, &span)).to_zipkin_thrift(usize::MAX).unwrap()
    }

    fn holds(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn what_is_no_ipv4_address_or_port_stays_a_tag() {
        let id = TraceId::new(0, 1);
        let client = ("span.kind", "client");
        let bad =
            [client, ("peer.ipv4", "10.0.0.1:8080"), ("peer.port", "0"), ("peer.ipv6", "::1")];
        let written = body("2001:db8::1", &bad, id);
        for text in ["peer.ipv4", "10.0.0.1:8080", "peer.port", "::1", "ip", "2001:db8::1"] {
            assert!(holds(&written, text.as_bytes()), "{text}");
        }
        let written =
            body("10.1.2.3", &[client, ("peer.ipv4", "10.0.0.1"), ("peer.port", "8")], id);
        // An endpoint with that address and port, and no tags for them.
        assert!(holds(&written, &[8, 0, 1, 10, 0, 0, 1, 6, 0, 2, 0, 8]));
        assert!(!holds(&written, b"peer.") && !holds(&written, b"10.1.2.3"));
    }

    #[test]
    fn a_trace_without_a_lower_half_goes_by_its_upper_one() {
        let written = body("", &[], TraceId::new(7, 0));
        assert_eq!(written, body("", &[], TraceId::new(0, 7)));
        assert_ne!(written, body("", &[], TraceId::new(7, 7)));
    }
}
