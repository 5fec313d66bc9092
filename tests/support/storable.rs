//! What every server stores: the rules, and spans read from any format to be held to them.

use std::collections::BTreeMap;
#[cfg(feature = "otlp")]
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value as Json;
use thrift::protocol::{TBinaryInputProtocol, TCompactInputProtocol, TInputProtocol, TType};

/// A span as far as servers are particular about it.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    service: Vec<u8>,
    trace: (u64, u64),
    id: u64,
    references: Vec<((u64, u64), u64)>,
    start: i64,
    duration: i64,
    /// When its logs were made.
    logged: Vec<i64>,
    texts: Vec<Vec<u8>>,
    doubles: Vec<f64>,
    is_zipkin: bool,
    /// The first moment that is one.
    earliest: i64,
}

/// The latest moment, in microseconds, that has a number of nanoseconds in 63 bits.
const LATEST: i64 = i64::MAX / 1000;

impl Sent {
    /// Holds the span to the rules.
    pub(crate) fn check(&self) {
        let moments = self.earliest..=LATEST;
        assert!(moments.contains(&self.start), "start: {self:?}");
        assert!(self.duration >= 1, "duration: {self:?}");
        assert!(self.start <= LATEST - self.duration, "end: {self:?}");
        assert!(self.logged.iter().all(|micros| moments.contains(micros)), "log: {self:?}");
        assert!(self.doubles.iter().all(|double| double.is_finite()), "double: {self:?}");

        // Jaeger v2 takes a trace without an id for the end of its list: it finds none before it.
        assert!(self.trace != (0, 0) && self.id != 0, "ids: {self:?}");
        assert!(!self.is_zipkin || self.trace.1 != 0, "the lower half of the id: {self:?}");
        let valid = |(trace, span): &((u64, u64), u64)| *trace != (0, 0) && *span != 0;
        assert!(self.references.iter().all(valid), "references: {self:?}");

        let service = str::from_utf8(&self.service).expect("a service's name is UTF-8");
        assert!(!service.is_empty() && !service.contains(char::is_control), "{service:?}");
        for text in self.texts.iter().chain([&self.service]) {
            let text = str::from_utf8(text).expect("text is UTF-8");
            if self.is_zipkin {
                let separators = |letter| matches!(letter, '\u{2028}' | '\u{2029}');
                let others = |letter: char| !letter.is_ascii() && !separators(letter);
                let broken = text.contains(separators) && text.contains(others);
                assert!(!broken, "Zipkin's answers with it are no JSON: {text:?}");
            }
        }
    }
}

/// The spans of a message or body of the format of that name.
pub(crate) fn sent(format: &str, bytes: &[u8]) -> Vec<Sent> {
    let mut rest = bytes;
    let spans = match format {
        "thrift-compact" => {
            of_batch(&message(&mut TCompactInputProtocol::new(&mut rest), "emitBatch"))
        }
        "thrift-binary" => {
            of_batch(&message(&mut TBinaryInputProtocol::new(&mut rest, true), "emitBatch"))
        }
        "thrift-binary-batch" => {
            of_batch(&tree(&mut TBinaryInputProtocol::new(&mut rest, true), TType::Struct))
        }
        "zipkin-thrift" => {
            let list = tree(&mut TBinaryInputProtocol::new(&mut rest, true), TType::List);
            list.list().iter().map(of_zipkin).collect()
        }
        "zipkin-compact" => {
            let input = &mut TCompactInputProtocol::new(&mut rest);
            message(input, "emitZipkinBatch").list().iter().map(of_zipkin).collect()
        }
        "zipkin-json-v2" => {
            let list: Vec<Json> = serde_json::from_slice(rest).expect("a list in JSON");
            rest = &[];
            list.iter().map(of_json).collect()
        }
        #[cfg(feature = "otlp")]
        "otlp" => {
            let request = prost::Message::decode(rest).expect("a request");
            rest = &[];
            of_otlp(&request)
        }
        #[cfg(feature = "otlp")]
        "otlp-json" => {
            let request = super::otlp_json::read(rest);
            rest = &[];
            of_otlp(&request)
        }
        other => panic!("a format that the tests do not know: {other}"),
    };
    assert!(rest.is_empty(), "{format}: {} bytes are left", rest.len());
    spans
}

/// Anything that Thrift writes.
#[derive(Debug)]
enum Tree {
    Int(i64),
    Double(f64),
    Bytes(Vec<u8>),
    List(Vec<Self>),
    Fields(BTreeMap<i16, Self>),
}

impl Tree {
    fn field(&self, id: i16) -> Option<&Self> {
        let Self::Fields(fields) = self else { panic!("no structure: {self:?}") };
        fields.get(&id)
    }

    fn list(&self) -> &[Self] {
        let Self::List(list) = self else { panic!("no list: {self:?}") };
        list
    }

    fn listed(&self, id: i16) -> &[Self] {
        self.field(id).map_or(&[], Self::list)
    }

    fn int(&self, id: i16) -> i64 {
        match self.field(id) {
            Some(Self::Int(number)) => *number,
            None => 0,
            other => panic!("no number: {other:?}"),
        }
    }

    fn id(&self, id: i16) -> u64 {
        self.int(id).cast_unsigned()
    }

    fn bytes(&self, id: i16) -> Vec<u8> {
        match self.field(id) {
            Some(Self::Bytes(bytes)) => bytes.clone(),
            other => panic!("no bytes: {other:?}"),
        }
    }
}

fn message<P: TInputProtocol>(input: &mut P, name: &str) -> Tree {
    assert_eq!(input.read_message_begin().unwrap().name, name);
    let Tree::Fields(mut fields) = tree(input, TType::Struct) else { panic!("no structure") };
    input.read_message_end().unwrap();
    fields.remove(&1).expect("an argument")
}

fn tree<P: TInputProtocol>(input: &mut P, kind: TType) -> Tree {
    match kind {
        TType::Bool => Tree::Int(input.read_bool().unwrap().into()),
        TType::I08 => Tree::Int(input.read_i8().unwrap().into()),
        TType::I16 => Tree::Int(input.read_i16().unwrap().into()),
        TType::I32 => Tree::Int(input.read_i32().unwrap().into()),
        TType::I64 => Tree::Int(input.read_i64().unwrap()),
        TType::Double => Tree::Double(input.read_double().unwrap()),
        TType::String => Tree::Bytes(input.read_bytes().unwrap()),
        TType::List => {
            let head = input.read_list_begin().unwrap();
            let list = (0..head.size).map(|_| tree(input, head.element_type)).collect();
            input.read_list_end().unwrap();
            Tree::List(list)
        }
        TType::Struct => {
            let mut fields = BTreeMap::new();
            input.read_struct_begin().unwrap();
            loop {
                let field = input.read_field_begin().unwrap();
                if field.field_type == TType::Stop {
                    break;
                }
                fields.insert(field.id.unwrap(), tree(input, field.field_type));
                input.read_field_end().unwrap();
            }
            input.read_struct_end().unwrap();
            Tree::Fields(fields)
        }
        other => panic!("a type that no format has: {other:?}"),
    }
}

fn of_batch(batch: &Tree) -> Vec<Sent> {
    let process = batch.field(1).expect("a process");
    batch.listed(2).iter().map(|span| of_jaeger(process, span)).collect()
}

fn of_jaeger(process: &Tree, span: &Tree) -> Sent {
    let mut sent = Sent {
        service: process.bytes(1),
        trace: (span.id(2), span.id(1)),
        id: span.id(3),
        start: span.int(8),
        duration: span.int(9),
        ..Sent::default()
    };
    sent.texts.push(span.bytes(5));
    for reference in span.listed(6) {
        sent.references.push(((reference.id(3), reference.id(2)), reference.id(4)));
    }
    let logs = span.listed(11);
    sent.logged.extend(logs.iter().map(|log| log.int(1)));
    let fields = logs.iter().flat_map(|log| log.listed(2));
    for tag in process.listed(2).iter().chain(span.listed(10)).chain(fields) {
        sent.texts.push(tag.bytes(1));
        match tag.int(2) {
            0 => sent.texts.push(tag.bytes(3)),
            1 => match tag.field(4) {
                Some(Tree::Double(double)) => sent.doubles.push(*double),
                other => panic!("no double: {other:?}"),
            },
            _ => {}
        }
    }
    sent
}

fn of_zipkin(span: &Tree) -> Sent {
    const STRING: i64 = 6;
    let annotations = span.listed(6);
    let endpoint = annotations.iter().find_map(|annotation| annotation.field(3));
    let local = span.listed(8).iter().filter(|fact| fact.int(3) == STRING);
    let endpoint = endpoint.or_else(|| local.clone().find_map(|fact| fact.field(4)));
    let mut sent = Sent {
        // A span without a log that serves nobody names its service nowhere else.
        service: endpoint.map_or_else(|| b"none".to_vec(), |endpoint| endpoint.bytes(3)),
        trace: (span.id(12), span.id(1)),
        id: span.id(4),
        start: span.int(10),
        duration: span.int(11),
        logged: annotations.iter().map(|annotation| annotation.int(1)).collect(),
        is_zipkin: true,
        ..Sent::default()
    };
    sent.texts.push(span.bytes(3));
    sent.texts.extend(annotations.iter().map(|annotation| annotation.bytes(2)));
    sent.texts.extend(local.map(|fact| fact.bytes(2)));
    sent.texts.extend(span.listed(8).iter().map(|fact| fact.bytes(1)));
    sent
}

fn of_json(span: &Json) -> Sent {
    let hex = |id: &Json, lengths: &[usize]| {
        let text = id.as_str().expect("an id");
        let digits = text.bytes().all(|digit| b"0123456789abcdef".contains(&digit));
        assert!(digits && lengths.contains(&text.len()), "{text:?}");
        u128::from_str_radix(text, 16).unwrap()
    };
    let trace = hex(&span["traceId"], &[16, 32]);
    let id = hex(&span["id"], &[16]);
    if let Some(parent) = span.get("parentId") {
        assert_ne!(hex(parent, &[16]), 0);
    }
    if let Some(kind) = span.get("kind") {
        let kinds = ["CLIENT", "SERVER", "PRODUCER", "CONSUMER"];
        assert!(kinds.contains(&kind.as_str().unwrap()), "{kind}");
    }
    for endpoint in ["localEndpoint", "remoteEndpoint"].map(|name| &span[name]) {
        let address = |name: &str| endpoint.get(name).map(|address| address.as_str().unwrap());
        if let Some(address) = address("ipv4") {
            address.parse::<Ipv4Addr>().unwrap();
        }
        if let Some(address) = address("ipv6") {
            address.parse::<Ipv6Addr>().unwrap();
        }
        if let Some(port) = endpoint.get("port") {
            assert!((1..=65_535).contains(&port.as_u64().unwrap()), "{port}");
        }
    }
    // What Jaeger reads something else from, and refuses the list if it cannot.
    for annotation in span["annotations"].as_array().into_iter().flatten() {
        assert!(!annotation["value"].as_str().unwrap().contains('|'), "{annotation}");
    }
    for (key, _) in span["tags"].as_object().into_iter().flatten() {
        let theirs = ["service.name", "otlp.service.name.source"].contains(&key.as_str());
        assert!(!theirs && !key.starts_with("otlp.link."), "{key:?}");
    }
    let text = |json: &Json| json.as_str().expect("a text").as_bytes().to_vec();
    let annotations = span["annotations"].as_array().into_iter().flatten();
    let mut texts = vec![text(&span["name"])];
    texts.extend(annotations.clone().map(|annotation| text(&annotation["value"])));
    for (key, value) in span["tags"].as_object().into_iter().flatten() {
        texts.extend([key.as_bytes().to_vec(), text(value)]);
    }
    let half = |half: u128| u64::try_from(half & u128::from(u64::MAX)).unwrap();
    let mut sent = Sent {
        service: text(&span["localEndpoint"]["serviceName"]),
        trace: (half(trace >> 64), half(trace)),
        id: half(id),
        start: span["timestamp"].as_i64().expect("a time"),
        duration: span["duration"].as_i64().expect("a duration"),
        logged: annotations.map(|annotation| annotation["timestamp"].as_i64().unwrap()).collect(),
        texts,
        is_zipkin: true,
        // Jaeger's endpoint takes a log at 0 for one without a time.
        earliest: 1,
        ..Sent::default()
    };
    if sent.trace.1 == 0 {
        // As text, it is taken: only v1 has the halves as numbers.
        sent.trace = (0, sent.trace.0);
    }
    sent
}

#[cfg(feature = "otlp")]
fn of_otlp(request: &super::otlp::Request) -> Vec<Sent> {
    use super::otlp::{KeyValue, Value};

    let big_endian = |id: &[u8]| id.iter().fold(0_u128, |id, byte| id << 8 | u128::from(*byte));
    let half = |half: u128| u64::try_from(half & u128::from(u64::MAX)).unwrap();
    let trace = |id: &[u8]| (half(big_endian(id) >> 64), half(big_endian(id)));
    let micros = |nanos: u64| i64::try_from(nanos / 1_000).unwrap();
    let value = |attribute: &KeyValue| attribute.value.clone().and_then(|any| any.value).unwrap();
    let mut all = Vec::new();
    for of_resource in &request.resource_spans {
        let resource = &of_resource.resource.as_ref().expect("a resource").attributes;
        let service = resource.iter().find(|attribute| attribute.key == "service.name");
        let Value::Str(service) = value(service.expect("a service")) else { panic!("no name") };
        for of_scope in &of_resource.scope_spans {
            let scope = of_scope.scope.as_ref().expect("a scope");
            for span in &of_scope.spans {
                assert!(matches!(span.parent_span_id.len(), 0 | 8), "{span:?}");
                assert!((0..=5).contains(&span.kind), "{span:?}");
                let mut sent = Sent {
                    service: service.clone().into_bytes(),
                    trace: trace(&span.trace_id),
                    id: half(big_endian(&span.span_id)),
                    start: micros(span.start_time_unix_nano),
                    duration: micros(span.end_time_unix_nano - span.start_time_unix_nano),
                    logged: span.events.iter().map(|event| micros(event.time_unix_nano)).collect(),
                    ..Sent::default()
                };
                for link in &span.links {
                    sent.references.push((trace(&link.trace_id), half(big_endian(&link.span_id))));
                }
                let events = span.events.iter().map(|event| &event.attributes);
                let links = span.links.iter().map(|link| &link.attributes);
                let lists = [&span.attributes, resource].into_iter().chain(events).chain(links);
                for list in lists {
                    let keys: BTreeSet<_> = list.iter().map(|attribute| &attribute.key).collect();
                    assert_eq!(keys.len(), list.len(), "a key is there twice: {list:?}");
                    let doubles = list.iter().filter_map(|attribute| match value(attribute) {
                        Value::Double(double) => Some(double),
                        _ => None,
                    });
                    sent.doubles.extend(doubles);
                }
                // That strings are UTF-8 was seen when they were read.
                sent.texts = vec![scope.name.clone().into_bytes(), span.name.clone().into_bytes()];
                all.push(sent);
            }
        }
    }
    all
}
