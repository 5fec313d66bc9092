//! Zipkin v1: the Thrift list of spans that a Zipkin server takes over HTTP.
//!
//! Zipkin knows no processes, references or typed tags. Each span therefore names its host itself;
//! the process's tags go with the spans that are first in it; numbers become text. What a span is
//! read from stays as it is: the conversion takes views and writes bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;

use thrift::protocol::{TBinaryOutputProtocol, TOutputProtocol, TType};

use super::batch::BatchView;
use super::binary::{bytes_field, field, i32_field, i64_field, list, structure, write};
use super::read::DecodeError;
use super::view::{LogView, SpanView, TagView, ValueView};

/// The body with texts of up to [`MAX_TEXT_BYTES`].
pub(super) fn body(batch: &BatchView<'_>) -> Result<Vec<u8>, DecodeError> {
    batch.to_zipkin_thrift(MAX_TEXT_BYTES)
}

/// The longest text of an annotation, in bytes: jaeger-client-go's DefaultMaxTagValueLength.
const MAX_TEXT_BYTES: usize = 256;

impl BatchView<'_> {
    /// Writes the spans as Zipkin v1 takes them in a POST: a list in the binary protocol.
    ///
    /// # Shape and units
    ///
    /// `max_text_bytes` limits the text of an annotation (a log of the span) and of a tag; the cut
    /// never falls into a character. The host's address is the process's first `ip` tag, or none.
    ///
    /// A span counts as first in its process, and takes the process's tags with it, if it has no
    /// parent or says `span.kind=server`.
    ///
    /// # Errors
    ///
    /// As [`to_binary_message`](Self::to_binary_message).
    ///
    /// # Source
    ///
    /// `BuildZipkinThrift` in jaeger-client-go, `zipkin_thrift_span.go`, which, other than this,
    /// rewrites the tags of the span it converts.
    pub fn to_zipkin_thrift(&self, max_text_bytes: usize) -> Result<Vec<u8>, DecodeError> {
        let ip = self.process.tags().find(|tag| tag.key == b"ip");
        let host = Endpoint {
            ipv4: ip.and_then(|tag| ipv4(tag.value)).unwrap_or_default(),
            port: 0,
            service: self.process.service_name,
        };
        write(|out| {
            list(out, self.spans.count, self.spans(), |out, view| {
                span(out, &Converted::new(self, &view, host, max_text_bytes))
            })
        })
    }
}

/// Who did or said something.
#[derive(Clone, Copy, Default)]
struct Endpoint<'a> {
    ipv4: i32,
    port: i16,
    service: &'a [u8],
}

impl Endpoint<'_> {
    const fn is_known(&self) -> bool {
        self.ipv4 != 0 || self.port != 0 || !self.service.is_empty()
    }
}

/// Something that happened within a span.
struct Annotation<'a> {
    timestamp_micros: i64,
    text: Cow<'a, [u8]>,
}

/// A fact about a span.
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
        // The uuid is a field of Go's process, not one of the tags that it appends here.
        let inherited = batch.process.tags().filter(|tag| tag.key != b"client-uuid");
        let (mut rpc, mut peer, mut tags) = (None, Endpoint::default(), Vec::new());
        for tag in view.tags().chain(inherited.filter(|_| first_in_process)) {
            match (tag.key, tag.value) {
                (b"span.kind", ValueView::Str(kind)) => rpc = Rpc::of(kind),
                (b"peer.ipv4", value) => peer.ipv4 = ipv4(value).unwrap_or(peer.ipv4),
                (b"peer.port", value) => peer.port = port(value).unwrap_or(peer.port),
                (b"peer.service", ValueView::Str(service)) => peer.service = service,
                (b"span.kind" | b"peer.service" | b"ip", _) => {}
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

/// What the two ends of a remote call are called.
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
        let start = view.start_time_micros;
        annotations.push(Annotation { timestamp_micros: start, text: rpc.start.into() });
        if view.duration_micros != 0 {
            let end = start.wrapping_add(view.duration_micros);
            annotations.push(Annotation { timestamp_micros: end, text: rpc.end.into() });
        }
    }
    annotations.extend(view.logs().map(|log| Annotation {
        timestamp_micros: log.timestamp_micros,
        text: cut(log_text(log), max),
    }));
    annotations
}

/// A log's event if it says nothing else, or a JSON object of its fields, sorted by key.
fn log_text(log: LogView<'_>) -> Cow<'_, [u8]> {
    let mut fields = BTreeMap::new();
    for TagView { key, value } in log.fields() {
        let value = match value {
            ValueView::Double(double) => fixed(double).into_bytes().into(),
            other => text(other),
        };
        fields.insert(key, value);
    }
    if fields.len() == 1
        && let Some(event) = fields.remove(b"event".as_slice())
    {
        return event;
    }
    let mut json = Vec::from(b"{");
    for (key, value) in &fields {
        if json.len() > 1 {
            json.push(b',');
        }
        json_string(&mut json, key);
        json.push(b':');
        json_string(&mut json, value);
    }
    json.push(b'}');
    json.into()
}

/// Appends a JSON string as Go's encoding/json writes it: safe within HTML, too.
fn json_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                '\u{8}' => out.extend_from_slice(b"\\b"),
                '\u{c}' => out.extend_from_slice(b"\\f"),
                '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    // Writing into a vector does not fail.
                    let _ = write!(out, "\\u{:04x}", u32::from(character));
                }
                other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        // One replacement for each byte that is no part of a character.
        chunk.invalid().iter().for_each(|_| out.extend_from_slice(b"\\ufffd"));
    }
    out.push(b'"');
}

fn fact<'a>(tag: TagView<'a>, max: usize) -> Fact<'a> {
    let (kind, value) = match tag.value {
        ValueView::Bool(truth) => (BOOL, vec![u8::from(truth)].into()),
        ValueView::Binary(bytes) => (BYTES, bytes[..bytes.len().min(max)].into()),
        other => (STRING, cut(text(other), max)),
    };
    Fact { key: tag.key, value, kind, host: None }
}

/// A value as Go's `%+v` shows it.
fn text(value: ValueView<'_>) -> Cow<'_, [u8]> {
    match value {
        ValueView::Str(text) => text.into(),
        ValueView::Double(double) => shortest(double).into_bytes().into(),
        ValueView::Bool(truth) => truth.to_string().into_bytes().into(),
        ValueView::Long(long) => long.to_string().into_bytes().into(),
        ValueView::Binary(bytes) => {
            let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
            format!("[{}]", numbers.join(" ")).into_bytes().into()
        }
    }
}

/// The shortest digits that name `value`; with an exponent below -4 or above 5, as Go's `%g`.
fn shortest(value: f64) -> String {
    if !value.is_finite() {
        return fixed(value);
    }
    let scientific = format!("{value:e}");
    match scientific.split_once('e').map(|(digits, exponent)| (digits, exponent.parse::<i32>())) {
        Some((digits, Ok(exponent))) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => value.to_string(),
    }
}

/// Six digits behind the point, as Go's `%f`.
fn fixed(value: f64) -> String {
    if value.is_infinite() {
        return String::from(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    format!("{value:.6}")
}

/// The first `max` bytes, less if a character would be torn.
fn cut(text: Cow<'_, [u8]>, max: usize) -> Cow<'_, [u8]> {
    if text.len() <= max {
        return text;
    }
    let is_inner = |at: &usize| text[*at] & 0xc0 == 0x80;
    // Bytes that go on for longer than a character does are none: those are cut where it says.
    let end = (0..=max).rev().take(4).find(|at| !is_inner(at)).unwrap_or(max);
    text[..end].to_vec().into()
}

fn ipv4(value: ValueView<'_>) -> Option<i32> {
    match value {
        ValueView::Str(b"localhost") => Some(0x7f00_0001),
        ValueView::Str(text) => {
            let octets: Option<Vec<u8>> =
                str::from_utf8(text).ok()?.split('.').map(|octet| octet.parse().ok()).collect();
            Some(i32::from_be_bytes(octets?.try_into().ok()?))
        }
        ValueView::Long(long) => {
            u32::try_from(long).map(u32::cast_signed).or_else(|_| i32::try_from(long)).ok()
        }
        _ => None,
    }
}

fn port(value: ValueView<'_>) -> Option<i16> {
    match value {
        ValueView::Str(text) => str::from_utf8(text).ok()?.parse().ok().map(u16::cast_signed),
        #[expect(clippy::cast_possible_truncation, reason = "as Go: the low 16 bits")]
        ValueView::Long(long) => Some(long as i16),
        _ => None,
    }
}

type Out<'a> = TBinaryOutputProtocol<&'a mut Vec<u8>>;

fn span(out: &mut Out<'_>, span: &Converted<'_>) -> thrift::Result<()> {
    const DEBUG: i32 = 2;
    let view = &span.view;
    structure(out, |out| {
        i64_field(out, 1, view.trace_id.low().cast_signed())?;
        bytes_field(out, 3, view.operation_name)?;
        i64_field(out, 4, view.span_id.get().cast_signed())?;
        if view.parent_span_id.get() != 0 {
            i64_field(out, 5, view.parent_span_id.get().cast_signed())?;
        }
        field(out, TType::List, 6, |out| {
            list(out, span.annotations.len(), span.annotations.iter(), |out, annotation| {
                structure(out, |out| {
                    i64_field(out, 1, annotation.timestamp_micros)?;
                    bytes_field(out, 2, &annotation.text)?;
                    endpoint(out, 3, &span.host)
                })
            })
        })?;
        field(out, TType::List, 8, |out| {
            list(out, span.facts.len(), span.facts.iter(), |out, fact| {
                structure(out, |out| {
                    bytes_field(out, 1, fact.key)?;
                    bytes_field(out, 2, &fact.value)?;
                    i32_field(out, 3, fact.kind)?;
                    fact.host.iter().try_for_each(|host| endpoint(out, 4, host))
                })
            })
        })?;
        if view.flags & DEBUG != 0 {
            field(out, TType::Bool, 9, |out| out.write_bool(true))?;
        }
        i64_field(out, 10, view.start_time_micros)?;
        i64_field(out, 11, view.duration_micros)?;
        if view.trace_id.high() != 0 {
            i64_field(out, 12, view.trace_id.high().cast_signed())?;
        }
        Ok(())
    })
}

fn endpoint(out: &mut Out<'_>, id: i16, endpoint: &Endpoint<'_>) -> thrift::Result<()> {
    field(out, TType::Struct, id, |out| {
        structure(out, |out| {
            i32_field(out, 1, endpoint.ipv4)?;
            field(out, TType::I16, 2, |out| out.write_i16(endpoint.port))?;
            bytes_field(out, 3, endpoint.service)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::view::List;
    use super::*;
    use crate::encoding::put_tag;

    #[test]
    fn numbers_read_as_go_prints_them() {
        let shown = [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.5, "0.5"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e100, "1e+100"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ];
        for (value, text) in shown {
            assert_eq!(shortest(value), text);
        }
        assert_eq!(fixed(-2.25), "-2.250000");
        assert_eq!(fixed(f64::INFINITY), "+Inf");
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        let mut out = Vec::new();
        json_string(&mut out, b"a\"\\\n\x01\x08<>&\xe2\x80\xa8\xc3\xa9\xff\xe2\x80");
        let expected = [
            br#""a\"\\\n\u0001\b\u003c\u003e\u0026\u2028"#.as_slice(),
            "\u{e9}".as_bytes(),
            br#"\ufffd\ufffd\ufffd""#,
        ];
        assert_eq!(out, expected.concat());
    }

    #[test]
    fn a_cut_falls_between_characters() {
        let cut_text = |text: &'static str, max| cut(text.as_bytes().into(), max).into_owned();
        assert_eq!(cut_text("x\u{e9}\u{e9}", 4), "x\u{e9}".as_bytes());
        assert_eq!(cut_text("x\u{e9}\u{e9}", 5), "x\u{e9}\u{e9}".as_bytes());
        assert_eq!(cut_text("\u{1f980}", 3), b"");
        assert_eq!(cut([0x80; 9].as_slice().into(), 5).len(), 5);
    }

    #[test]
    fn a_log_reads_as_its_event_or_as_json() {
        let mut fields = Vec::new();
        put_tag(&mut fields, TagView::new(b"event", ValueView::Str(b"<hi>")));
        assert_eq!(&*log_text(LogView::new(1, List::new(1, &fields))), b"<hi>");
        put_tag(&mut fields, TagView::new(b"a", ValueView::Binary(&[1, 2])));
        let json = log_text(LogView::new(1, List::new(2, &fields))).into_owned();
        assert_eq!(json, br#"{"a":"[1 2]","event":"\u003chi\u003e"}"#);
    }

    #[test]
    fn addresses_are_read_from_text_and_numbers() {
        assert_eq!(ipv4(ValueView::Str(b"10.1.2.3")), Some(0x0a01_0203));
        assert_eq!(ipv4(ValueView::Str(b"localhost")), Some(0x7f00_0001));
        assert_eq!(ipv4(ValueView::Long(-1)), Some(-1));
        for nonsense in ["", "10.1.2", "10.1.2.3.4", "10.1.2.256", "::1"] {
            assert_eq!(ipv4(ValueView::Str(nonsense.as_bytes())), None);
        }
        assert_eq!(port(ValueView::Str(b"65535")), Some(-1));
        assert_eq!(port(ValueView::Str(b"65536")), None);
    }
}
