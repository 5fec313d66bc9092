//! The Zipkin conversion of jaeger-client-go once more, from a case's input.
//!
//! Go converts the values that the application gave; this client converts canonical bytes, which
//! no longer say that a number was unsigned, a float short, a time in nanoseconds, or how a span
//! was started. The same rules run here with [`Knowledge::Go`], which must give the recorded
//! bytes, and with [`Knowledge::Canonical`], which must give this client's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jaeger_client::encoding::{TagView, ValueView};
use serde_json::Value;

use crate::json::{bits, int, integer, items, member, present, text, truth};
use crate::model::{self, Batch, text_or_hex};

/// What the conversion is made from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// The values as the application gave them.
    Go,
    /// What a span's canonical bytes hold.
    Canonical,
}

/// A value with as much of its Go type as the conversion looks at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Given {
    Text(Vec<u8>),
    Bool(bool),
    /// A whole number and its Go type; canonical numbers are of type `*`, which passes for any.
    Whole(i128, String),
    Float(f32),
    Double(f64),
    Bytes(Vec<u8>),
    /// Anything else, as `%+v` shows it, with its Go type.
    Other(Vec<u8>, String),
}

impl Given {
    /// A value with its type, or as a tag of the Thrift model has it.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        if present(value, "type").is_none() && present(value, "vType").is_some() {
            return model::tag_value(value);
        }
        let go_type = || text(value, "go_type").map(String::from).unwrap_or_default();
        Ok(match text(value, "type")? {
            "string" => Self::Text(model::string(value)?),
            "bool" => Self::Bool(truth(value, "value")?),
            "i64" | "integer" => Self::Whole(integer(value, "value")?, go_type()),
            "f32" => {
                let bits = u32::try_from(bits(value, "bits")?).map_err(|e| e.to_string())?;
                Self::Float(f32::from_bits(bits))
            }
            "f64" => Self::Double(f64::from_bits(bits(value, "bits")?)),
            "binary" => Self::Bytes(crate::json::bytes(value, "hex")?),
            "nil" => Self::Other(b"<nil>".to_vec(), String::from("nil")),
            "object" => Self::Other(text_or_hex(value, "rendered")?, go_type()),
            other => return Err(format!("unknown type of value {other:?}")),
        })
    }

    /// What is left of the value in a tag of a span.
    fn in_tag(self, max: usize) -> Self {
        match self {
            // Every text reaches the conversion as it was recorded, so a torn character is kept.
            Self::Text(text) | Self::Other(text, _) => {
                Self::Text(text[..text.len().min(max)].to_vec())
            }
            Self::Bytes(bytes) => Self::Bytes(bytes[..bytes.len().min(max)].to_vec()),
            other => other.canonical(),
        }
    }

    /// What is left of the value in a field of a log.
    fn in_log(self) -> Self {
        match self {
            Self::Bytes(_) => Self::Text(self.shown()),
            other => other.canonical(),
        }
    }

    fn canonical(self) -> Self {
        match self {
            #[expect(clippy::cast_possible_truncation, reason = "64 bits, of whatever sign")]
            Self::Whole(whole, _) => Self::Whole(i128::from(whole as i64), String::from("*")),
            Self::Float(float) => Self::Double(f64::from(float)),
            Self::Other(text, _) => Self::Text(text),
            other => other,
        }
    }

    /// As `%+v` shows it.
    pub(crate) fn shown(&self) -> Vec<u8> {
        match self {
            Self::Text(text) | Self::Other(text, _) => text.clone(),
            Self::Bool(truth) => truth.to_string().into_bytes(),
            Self::Whole(whole, _) => whole.to_string().into_bytes(),
            Self::Float(float) => go_g(format!("{float:e}"), float.to_string()),
            Self::Double(double) => go_g(format!("{double:e}"), double.to_string()),
            Self::Bytes(bytes) => {
                let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
                format!("[{}]", numbers.join(" ")).into_bytes()
            }
        }
    }

    /// As a log's JSON has it.
    fn logged(&self) -> Vec<u8> {
        match self {
            Self::Float(float) => go_f(f64::from(*float)),
            Self::Double(double) => go_f(*double),
            other => other.shown(),
        }
    }
}

fn go_g(scientific: String, plain: String) -> Vec<u8> {
    let exponent = scientific
        .split_once('e')
        .and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?)));
    match (exponent, plain.as_str()) {
        (_, "inf") => b"+Inf".to_vec(),
        (_, "-inf") => b"-Inf".to_vec(),
        (Some((digits, exponent)), _) if !(-4..=5).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs()).into_bytes()
        }
        _ => plain.into_bytes(),
    }
}

fn go_f(value: f64) -> Vec<u8> {
    match value {
        f64::INFINITY => b"+Inf".to_vec(),
        f64::NEG_INFINITY => b"-Inf".to_vec(),
        _ => format!("{value:.6}").into_bytes(),
    }
}

type Tags = Vec<(Vec<u8>, Given)>;

fn tags(list: &[Value]) -> Result<Tags, String> {
    list.iter().map(|tag| Ok((text_or_hex(tag, "key")?, Given::read(tag)?))).collect()
}

/// The bytes that the conversion gives for the case.
pub(crate) fn body(input: &Value, batch: &Batch, knowledge: Knowledge) -> Result<Vec<u8>, String> {
    let max = match int::<usize>(input, "max_tag_value_length")? {
        0 => 256,
        max => max,
    };
    let process: Tags = batch
        .process()
        .tags()
        .filter(|tag| tag.key != b"client-uuid")
        .map(|TagView { key, value, .. }| (key.to_vec(), held(value)))
        .collect();
    let ip = process.iter().find(|(key, _)| key == b"ip");
    let mut host = ip.and_then(|(_, value)| knowledge.ipv4(value)).unwrap_or_default();
    if host == 0 && knowledge == Knowledge::Go && max < RECORDED_IP.len() {
        // The tag was cut, the address in Go's tracer was not.
        host = ipv4(&Given::Text(RECORDED_IP.to_vec())).unwrap_or_default();
    }
    let host = Host { ipv4: host, port: 0, service: batch.service.clone() };
    let spans = items(input, "spans")?;
    let mut out = list_head(spans.len());
    for span in spans {
        Conversion { max, knowledge, host: &host, process: &process }.span(&mut out, span)?;
    }
    Ok(out)
}

/// The address of the host that the cases were recorded on.
const RECORDED_IP: &[u8] = b"10.1.2.3";

pub(crate) fn held(value: ValueView<'_>) -> Given {
    match value {
        ValueView::Double(double) => Given::Double(double),
        ValueView::Bool(truth) => Given::Bool(truth),
        ValueView::Long(long) => Given::Whole(i128::from(long), String::from("*")),
        ValueView::Binary(bytes) => Given::Bytes(bytes.to_vec()),
        ValueView::Str(text) => Given::Text(text.to_vec()),
        other => Given::Text(format!("{other:?}").into_bytes()),
    }
}

#[derive(Default, PartialEq)]
struct Host {
    ipv4: i32,
    port: i16,
    service: Vec<u8>,
}

struct Conversion<'a> {
    max: usize,
    knowledge: Knowledge,
    host: &'a Host,
    process: &'a Tags,
}

impl Conversion<'_> {
    fn span(&self, out: &mut Vec<u8>, span: &Value) -> Result<(), String> {
        let canonical = self.knowledge == Knowledge::Canonical;
        let (start, duration) = (integer(span, "start_unix_ns")?, integer(span, "duration_ns")?);
        let moment = |nanos| Ok::<_, String>(self.knowledge.moment(micros(nanos)?));
        let (start_micros, duration_micros) = (moment(start)?, micros(duration)?);
        let end_micros =
            if canonical { start_micros + duration_micros } else { micros(start + duration)? };
        let runs = if canonical { duration_micros > 0 } else { duration != 0 };
        let mut all = tags(items(span, "tags")?)?;
        if canonical {
            all = all.into_iter().map(|(key, value)| (key, value.in_tag(self.max))).collect();
        }
        let parent = bits(span, "parent_id")?;
        let is_kind = |tag: &&(Vec<u8>, Given)| tag.0 == b"span.kind";
        let server = if canonical {
            all.iter().rfind(is_kind).is_some_and(|(_, kind)| kind.shown() == b"server")
        } else {
            truth(span, "started_as_rpc_server")?
        };
        if server || parent == 0 {
            all.extend(self.process.iter().cloned());
        }

        let (mut kind, mut peer, mut rest) = (Vec::new(), Host::default(), Tags::new());
        for (key, value) in all {
            if self.knowledge.stays_a_tag(&key, &value) {
                rest.push((key, value));
                continue;
            }
            match (key.as_slice(), &value) {
                (b"span.kind", Given::Text(text)) => kind.clone_from(text),
                (b"span.kind", Given::Other(text, go_type)) if go_type == "ext.SpanKindEnum" => {
                    kind.clone_from(text);
                }
                (b"peer.ipv4", value) => {
                    peer.ipv4 = self.knowledge.ipv4(value).unwrap_or(peer.ipv4);
                }
                (b"peer.port", value) => peer.port = port(value).unwrap_or(peer.port),
                (b"peer.service", Given::Text(text)) => peer.service.clone_from(text),
                (b"span.kind" | b"peer.service" | b"ip", _) => {}
                _ => rest.push((key, value)),
            }
        }
        let rpc: Option<[&[u8]; 3]> = match kind.as_slice() {
            b"client" => Some([b"cs", b"cr", b"sa"]),
            b"server" => Some([b"sr", b"ss", b"ca"]),
            _ => None,
        };

        let mut annotations = Vec::new();
        if let Some([begin, end, _]) = rpc {
            annotations.push((start_micros, begin.to_vec()));
            if runs {
                annotations.push((end_micros, end.to_vec()));
            }
        }
        for log in items(span, "logs")? {
            let at = moment(integer(log, "timestamp_unix_ns")?)?;
            annotations.push((at, self.log(tags(items(log, "fields")?)?)));
        }

        let mut facts = Vec::new();
        match rpc {
            Some([_, _, label]) if peer != Host::default() => {
                facts.push((label.to_vec(), vec![1], 0, Some(&peer)));
            }
            Some(_) => {}
            None => {
                let component = rest.iter().find(|(key, _)| key == b"component");
                let value = component.map_or_else(|| self.host.service.clone(), |(_, v)| v.shown());
                facts.push((b"lc".to_vec(), value, 6, Some(self.host)));
            }
        }
        for (key, value) in rest {
            let (value, kind) = match value {
                Given::Bool(truth) => (vec![u8::from(truth)], 0),
                Given::Bytes(bytes) => (bytes[..bytes.len().min(self.max)].to_vec(), 1),
                other => (self.cut(other.shown()), 6),
            };
            facts.push((key, value, kind, None));
        }

        let show = |text: &[u8]| self.knowledge.shown(text);
        let (high, low) = (bits(span, "trace_id_high")?, bits(span, "trace_id_low")?);
        let (high, low) = if canonical && low == 0 { (0, high) } else { (high, low) };
        put_i64(out, 1, low.cast_signed());
        put_bytes(out, 3, &show(&model::string(member(span, "operation")?)?));
        put_i64(out, 4, bits(span, "span_id")?.cast_signed());
        if parent != 0 {
            put_i64(out, 5, parent.cast_signed());
        }
        out.extend([15, 0, 6]);
        out.extend(list_head(annotations.len()));
        for (at, text) in &annotations {
            put_i64(out, 1, *at);
            put_bytes(out, 2, &show(text));
            put_host(out, 3, self.host);
            out.push(0);
        }
        out.extend([15, 0, 8]);
        out.extend(list_head(facts.len()));
        for (key, value, kind, host) in &facts {
            put_bytes(out, 1, &show(key));
            put_bytes(out, 2, &if *kind == 6 { show(value) } else { value.clone() });
            out.extend([8, 0, 3, 0, 0, 0, *kind]);
            host.iter().for_each(|host| put_host(out, 4, host));
            out.push(0);
        }
        if integer(span, "flags")? & 2 != 0 {
            out.extend([2, 0, 9, 1]);
        }
        put_i64(out, 10, start_micros);
        put_i64(out, 11, duration_micros);
        if high != 0 {
            put_i64(out, 12, high.cast_signed());
        }
        out.push(0);
        Ok(())
    }

    fn log(&self, fields: Tags) -> Vec<u8> {
        let fields: BTreeMap<_, _> = fields
            .into_iter()
            .map(|(key, value)| match self.knowledge {
                Knowledge::Go => (key, value.logged()),
                Knowledge::Canonical => (key, value.in_log().logged()),
            })
            .collect();
        if let (1, Some(event)) = (fields.len(), fields.get(b"event".as_slice())) {
            return self.cut(event.clone());
        }
        let members: Vec<_> =
            fields.iter().map(|(key, value)| [json(key), json(value)].join(":")).collect();
        self.cut(format!("{{{}}}", members.join(",")).into_bytes())
    }

    fn cut(&self, text: Vec<u8>) -> Vec<u8> {
        if text.len() <= self.max {
            return text;
        }
        let cut = text[..self.max].to_vec();
        match self.knowledge {
            Knowledge::Go => cut,
            Knowledge::Canonical => whole_characters(cut),
        }
    }
}

/// The text without the start of a character whose end was cut off.
pub(crate) fn whole_characters(mut text: Vec<u8>) -> Vec<u8> {
    if let Err(error) = str::from_utf8(&text)
        && error.error_len().is_none()
    {
        text.truncate(error.valid_up_to());
    }
    text
}

fn json(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        let quoted = Value::from(chunk.valid()).to_string();
        out += quoted.trim_start_matches('"').strip_suffix('"').unwrap_or_default();
        out += &"\\ufffd".repeat(chunk.invalid().len());
    }
    for character in ['<', '>', '&', '\u{2028}', '\u{2029}'] {
        out = out.replace(character, &format!("\\u{:04x}", u32::from(character)));
    }
    out + "\""
}

/// What servers take, where that is asked for.
impl Knowledge {
    /// Microseconds since the epoch, not before it.
    fn moment(self, micros: i64) -> i64 {
        if self == Self::Canonical { micros.max(0) } else { micros }
    }

    /// Whether a tag that Go makes an endpoint of, or drops, is none.
    fn stays_a_tag(self, key: &[u8], value: &Given) -> bool {
        let port = || port(value).is_some_and(|port| port != 0) && port_in_range(value);
        self == Self::Canonical
            && match key {
                b"peer.ipv4" | b"ip" => self.ipv4(value).is_none(),
                b"peer.port" => !port(),
                _ => false,
            }
    }

    fn ipv4(self, value: &Given) -> Option<i32> {
        if self == Self::Go {
            return ipv4(value);
        }
        let address = match value {
            Given::Text(text) if text != b"localhost" => {
                match str::from_utf8(text).ok()?.parse::<IpAddr>().ok()?.to_canonical() {
                    IpAddr::V4(address) => address.to_bits().cast_signed(),
                    IpAddr::V6(_) => return None,
                }
            }
            other => ipv4(other)?,
        };
        (address != 0).then_some(address)
    }

    /// A text without what Zipkin cannot show: line separators beside others that are not ASCII.
    fn shown(self, text: &[u8]) -> Vec<u8> {
        let separators = ['\u{2028}', '\u{2029}'];
        let others = |letter: char| !letter.is_ascii() && !separators.contains(&letter);
        match str::from_utf8(text) {
            Ok(text) if self == Self::Canonical && text.contains(others) => {
                text.replace(separators, "\n").into_bytes()
            }
            _ => text.to_vec(),
        }
    }
}

/// Whether a port that is a number has no more than 16 bits.
fn port_in_range(value: &Given) -> bool {
    !matches!(value, Given::Whole(whole, _) if !(0..=65_535).contains(whole))
}

fn ipv4(value: &Given) -> Option<i32> {
    match value {
        Given::Text(text) if text == b"localhost" => Some(0x7f00_0001),
        Given::Text(text) => {
            let octets: Option<Vec<u8>> =
                str::from_utf8(text).ok()?.split('.').map(|octet| octet.parse().ok()).collect();
            Some(i32::from_be_bytes(octets?.try_into().ok()?))
        }
        Given::Whole(whole, go_type) if matches!(go_type.as_str(), "uint32" | "int32" | "*") => {
            u32::try_from(*whole).map(u32::cast_signed).or_else(|_| i32::try_from(*whole)).ok()
        }
        _ => None,
    }
}

fn port(value: &Given) -> Option<i16> {
    match value {
        Given::Text(text) => str::from_utf8(text).ok()?.parse().ok().map(u16::cast_signed),
        #[expect(clippy::cast_possible_truncation, reason = "as Go: the low 16 bits")]
        Given::Whole(whole, go_type) if matches!(go_type.as_str(), "uint16" | "int" | "*") => {
            Some(*whole as i16)
        }
        _ => None,
    }
}

/// Whole microseconds, towards zero.
fn micros(nanos: i128) -> Result<i64, String> {
    i64::try_from(nanos / 1000).map_err(|_| format!("{nanos} ns is no time"))
}

fn list_head(count: usize) -> Vec<u8> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    [[12].as_slice(), &count.to_be_bytes()].concat()
}

fn put_i64(out: &mut Vec<u8>, field: u8, value: i64) {
    out.extend([10, 0, field]);
    out.extend(value.to_be_bytes());
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.extend([11, 0, field]);
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(bytes);
}

fn put_host(out: &mut Vec<u8>, field: u8, host: &Host) {
    out.extend([12, 0, field, 8, 0, 1]);
    out.extend(host.ipv4.to_be_bytes());
    out.extend([6, 0, 2]);
    out.extend(host.port.to_be_bytes());
    put_bytes(out, 3, &host.service);
    out.push(0);
}
