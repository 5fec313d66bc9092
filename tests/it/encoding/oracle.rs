//! Our own code held to slower code that is known to be right: the `thrift` crate's writer, and the
//! plainest way to state a rule.

use crate::support::canonical::{our_tags, ours};
use crate::support::read::{Batch, Log, Span, Tag, Value};
use jaeger_client::encoding::{
    BatchView, ClientStats, DecodeError, ENCODINGS, List, ProcessView, SpanView,
};
use jaeger_client::sampler::ProbabilisticSampler;
use jaeger_client::{InMemoryReporter, SpanContext, SpanId, TraceId, Tracer};
use proptest::prelude::*;
use thrift::protocol::{
    TCompactOutputProtocol, TFieldIdentifier, TListIdentifier, TMessageIdentifier, TMessageType,
    TOutputProtocol, TStructIdentifier, TType,
};

/// The `thrift` crate's compact protocol, into a vector: into a slice it loses bytes with `Ok`.
struct Oracle<'v>(TCompactOutputProtocol<&'v mut Vec<u8>>);

impl Oracle<'_> {
    fn bytes_of(write: impl FnOnce(&mut Oracle<'_>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut Oracle(TCompactOutputProtocol::new(&mut bytes)));
        bytes
    }

    fn field(&mut self, kind: TType, id: i16, write: impl FnOnce(&mut Self)) {
        let field = TFieldIdentifier { name: None, field_type: kind, id: Some(id) };
        self.0.write_field_begin(&field).unwrap();
        write(self);
        self.0.write_field_end().unwrap();
    }

    fn long(&mut self, id: i16, value: i64) {
        self.field(TType::I64, id, |o| o.0.write_i64(value).unwrap());
    }

    fn int(&mut self, id: i16, value: i32) {
        self.field(TType::I32, id, |o| o.0.write_i32(value).unwrap());
    }

    fn bytes(&mut self, id: i16, value: &[u8]) {
        self.field(TType::String, id, |o| o.0.write_bytes(value).unwrap());
    }

    fn structure(&mut self, write: impl FnOnce(&mut Self)) {
        self.0.write_struct_begin(&TStructIdentifier { name: String::new() }).unwrap();
        write(self);
        self.0.write_field_stop().unwrap();
        self.0.write_struct_end().unwrap();
    }

    fn list<T>(&mut self, id: i16, items: &[T], mut element: impl FnMut(&mut Self, &T)) {
        self.field(TType::List, id, |o| {
            let size = i32::try_from(items.len()).unwrap();
            let list = TListIdentifier { element_type: TType::Struct, size };
            o.0.write_list_begin(&list).unwrap();
            items.iter().for_each(|item| o.structure(|o| element(o, item)));
            o.0.write_list_end().unwrap();
        });
    }

    fn tag(&mut self, (key, value): &Tag) {
        self.bytes(1, key.as_bytes());
        match value {
            Value::Str(text) => {
                self.int(2, 0);
                self.bytes(3, text.as_bytes());
            }
            Value::Double(double) => {
                self.int(2, 1);
                self.field(TType::Double, 4, |o| o.0.write_double(*double).unwrap());
            }
            Value::Bool(boolean) => {
                self.int(2, 2);
                self.field(TType::Bool, 5, |o| o.0.write_bool(*boolean).unwrap());
            }
            Value::Long(long) => {
                self.int(2, 3);
                self.long(6, *long);
            }
            Value::Binary(bytes) => {
                self.int(2, 4);
                self.bytes(7, bytes);
            }
        }
    }

    fn span(&mut self, span: &Span) {
        self.long(1, span.trace.1.cast_signed());
        self.long(2, span.trace.0.cast_signed());
        self.long(3, span.id.cast_signed());
        self.long(4, span.parent.cast_signed());
        self.bytes(5, span.name.as_bytes());
        self.list(6, &span.references, |o, (follows, trace, id)| {
            o.int(1, i32::from(*follows));
            o.long(2, trace.1.cast_signed());
            o.long(3, trace.0.cast_signed());
            o.long(4, id.cast_signed());
        });
        self.int(7, span.flags);
        self.long(8, span.start);
        self.long(9, span.duration);
        self.list(10, &span.tags, Self::tag);
        self.list(11, &span.logs, |o, log| {
            o.long(1, log.micros);
            o.list(2, &log.fields, Self::tag);
        });
    }
}

/// The oracle's bytes of a whole message.
fn message(spans: &[Span], tags: &[Tag], sequence: u32, lost: (i64, i64, i64)) -> Vec<u8> {
    Oracle::bytes_of(|o| {
        let name = "emitBatch".to_owned();
        let head = TMessageIdentifier::new(name, TMessageType::Call, sequence.cast_signed());
        o.0.write_message_begin(&head).unwrap();
        o.structure(|o| {
            o.field(TType::Struct, 1, |o| {
                o.structure(|o| {
                    o.field(TType::Struct, 1, |o| {
                        o.structure(|o| {
                            o.bytes(1, b"svc");
                            o.list(2, tags, Oracle::tag);
                        });
                    });
                    o.list(2, spans, Oracle::span);
                    o.long(3, i64::from(sequence));
                    o.field(TType::Struct, 4, |o| {
                        o.structure(|o| {
                            o.long(1, lost.0);
                            o.long(2, lost.1);
                            o.long(3, lost.2);
                        });
                    });
                });
            });
        });
        o.0.write_message_end().unwrap();
    })
}

fn long() -> impl Strategy<Value = i64> {
    let power = (0_u32..64).prop_map(|bit| (1_u64 << bit).wrapping_sub(1).cast_signed());
    let edge = prop::sample::select(vec![0, -1, 1, 63, 64, -64, -65, i64::MIN, i64::MAX]);
    prop_oneof![any::<i64>(), edge, power]
}

fn id() -> impl Strategy<Value = u64> {
    long().prop_map(i64::cast_unsigned)
}

fn text() -> impl Strategy<Value = String> {
    let long = (100_usize..400).prop_map(|n| "é".repeat(n));
    prop_oneof![8 => "\\PC{0,12}", 1 => Just(String::new()), 1 => long]
}

fn value() -> impl Strategy<Value = Value> {
    let odd = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MIN_POSITIVE];
    prop_oneof![
        text().prop_map(Value::Str),
        any::<f64>().prop_map(Value::Double),
        prop::sample::select(odd).prop_map(Value::Double),
        any::<bool>().prop_map(Value::Bool),
        long().prop_map(Value::Long),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Binary),
    ]
}

fn tags() -> impl Strategy<Value = Vec<Tag>> {
    prop::collection::vec((text(), value()), 0..40)
}

fn span() -> impl Strategy<Value = Span> {
    let fields = prop::collection::vec((text(), value()), 0..18);
    let log = (long(), fields).prop_map(|(micros, fields)| Log { micros, fields });
    let references = prop::collection::vec((any::<bool>(), (id(), id()), id()), 0..18);
    let ids = ((id(), id()), id(), id(), any::<bool>());
    let lists = (references, tags(), prop::collection::vec(log, 0..5));
    (ids, text(), any::<i32>(), (long(), long()), lists).prop_map(
        |((trace, id, parent, root), name, flags, (start, duration), (references, tags, logs))| {
            let id = if root { trace.1 } else { id };
            Span { trace, id, parent, name, flags, start, duration, references, tags, logs }
        },
    )
}

/// Few, or so many that a list's count takes its own byte.
fn spans() -> impl Strategy<Value = Vec<Span>> {
    prop_oneof![
        9 => prop::collection::vec(span(), 0..4),
        1 => prop::collection::vec(span(), 14..17),
    ]
}

/// As text, in which a NaN equals itself.
fn shown(span: &impl std::fmt::Debug) -> String {
    format!("{span:?}")
}

proptest! {
    #[test]
    fn law_our_span_is_the_thrift_crates_span_and_reads_back(span in span()) {
        let bytes = ours(&span);
        prop_assert_eq!(&bytes, &Oracle::bytes_of(|o| o.structure(|o| o.span(&span))));
        let (view, taken) = SpanView::parse(&bytes).unwrap();
        prop_assert_eq!(taken, bytes.len());
        prop_assert_eq!(shown(&Span::read(view)), shown(&span));
    }

    #[test]
    fn law_our_message_is_the_thrift_crates_message_and_reads_back(
        spans in spans(),
        tags in tags(),
        sequence: u32,
        lost in (long(), long(), long()),
    ) {
        let (tag_bytes, bytes) = (our_tags(&tags), spans.iter().flat_map(ours).collect::<Vec<_>>());
        let process = ProcessView::new(b"svc", Some(List::new(tags.len(), &tag_bytes)));
        let batch = BatchView::new(process, List::new(spans.len(), &bytes))
            .with_seq_no(Some(i64::from(sequence)))
            .with_stats(Some(ClientStats::new(lost.0, lost.1, lost.2)));
        let ours = batch.to_message(sequence);
        prop_assert_eq!(&ours, &message(&spans, &tags, sequence, lost));
        let read = Batch::read(&ours);
        prop_assert_eq!((read.seq_no, read.lost), (Some(i64::from(sequence)), Some(lost)));
        prop_assert_eq!((shown(&read.spans), shown(&read.tags)), (shown(&spans), shown(&tags)));
        for member in ENCODINGS {
            let is_otlp = member.name.starts_with("otlp");
            match (member.encode)(&batch) {
                // OTLP has no envelopes without spans, and no ids that are zero.
                Ok(bytes) => prop_assert!(!bytes.is_empty() || is_otlp && spans.is_empty()),
                Err(DecodeError::Unwritable { .. }) if is_otlp => {
                    prop_assert!(spans.iter().any(|span| span.trace == (0, 0) || span.id == 0));
                }
                Err(error) => prop_assert!(false, "{}: {error}", member.name),
            }
        }
        if let Ok(sequence_id) = i32::try_from(sequence) {
            let binary = batch.to_binary_message(sequence_id).unwrap();
            let names: Vec<_> = spans.iter().map(|span| span.name.clone()).collect();
            prop_assert_eq!(crate::support::binary::span_names(&binary), names);
        }
    }

    #[test]
    fn law_readers_take_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
    }

    #[test]
    fn law_readers_take_any_damage(
        span in span(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = message(&[span], &[], 1, (0, 0, 0));
        read_all(&whole[..cut.index(whole.len())]);
        prop_assert!(BatchView::parse_message(&whole[..cut.index(whole.len())]).is_err());
        let mut damaged = whole;
        for (at, byte) in changes {
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        read_all(&damaged);
    }

    #[test]
    fn law_sampled_traces_are_those_below_the_boundary(rate in 0.0..=1.0_f64, id: u64, high: u64) {
        let sampler = ProbabilisticSampler::new(rate).unwrap();
        // 2⁶³ shares, of which `rate` are sampled: what Go computes, in wide numbers.
        #[expect(clippy::cast_possible_truncation, reason = "from 0 to 2⁶³, cut as Go cuts it")]
        let boundary = (rate * 9_223_372_036_854_775_808.0) as u128;
        let naive = |id: u64| u128::from(id) % (1 << 63) <= boundary;
        prop_assert_eq!(u128::from(sampler.boundary()), boundary);
        let near = [sampler.boundary().saturating_sub(1), sampler.boundary(), sampler.boundary() + 1];
        for id in near.into_iter().chain([id, 0, u64::MAX]) {
            prop_assert_eq!(sampler.is_sampled(TraceId::new(high, id)), naive(id), "{:#x}", id);
        }
    }

    #[test]
    fn law_a_span_made_through_the_tracer_holds_what_it_was_given(
        tags in tags(),
        fields in prop::collection::vec((text(), value()), 0..8),
        ids in (1..u64::MAX, 1..u64::MAX),
    ) {
        let memory = InMemoryReporter::new();
        let builder = Tracer::builder("svc").max_tag_value_length(1 << 20).in_memory(&memory);
        let (tracer, _closer) = builder.build().unwrap();
        let parent = SpanContext::new(TraceId::new(0, ids.0), SpanId::new(ids.1), SpanId::NONE, 1);
        let mut builder = tracer.span("op").child_of(&parent);
        let (early, late) = tags.split_at(tags.len() / 2);
        for (key, value) in early {
            builder = builder.tag(key, borrowed(value));
        }
        let span = builder.start();
        for (key, value) in late {
            span.set_tag(key, borrowed(value));
        }
        let borrowed: Vec<_> = fields.iter().map(|(k, v)| (k.as_str(), borrowed(v))).collect();
        span.log(&borrowed);
        span.finish();
        let spans = memory.spans();
        let span = Span::read(spans[0].view());
        prop_assert_eq!(shown(&span.tags), shown(&as_sent(&tags)));
        prop_assert_eq!(shown(&span.logs[0].fields), shown(&as_sent(&fields)));
        prop_assert_eq!((span.trace.1, span.parent), ids);
        prop_assert_eq!(spans[0].bytes(), Oracle::bytes_of(|o| o.structure(|o| o.span(&span))));
    }
}

/// The tags as they leave a tracer: a double that JSON has no number for is text.
fn as_sent(tags: &[Tag]) -> Vec<Tag> {
    let word = |double: f64| match double.to_string().as_str() {
        "inf" => "+Inf".into(),
        "-inf" => "-Inf".into(),
        other => other.into(),
    };
    let sent = |(key, value): &Tag| match value {
        Value::Double(double) if !double.is_finite() => (key.clone(), word(*double)),
        _ => (key.clone(), value.clone()),
    };
    tags.iter().map(sent).collect()
}

fn borrowed(value: &Value) -> jaeger_client::TagValue<'_> {
    match value {
        Value::Str(text) => text.into(),
        Value::Double(double) => (*double).into(),
        Value::Bool(boolean) => (*boolean).into(),
        Value::Long(long) => (*long).into(),
        Value::Binary(bytes) => bytes.into(),
    }
}

/// Reads bytes as everything there is, and everything in what could be read.
fn read_all(bytes: &[u8]) {
    let walk = |span: SpanView<'_>| {
        let fields: usize = span.logs().map(|log| log.fields().count()).sum();
        let read = span.tags().count() + fields + span.references().count();
        assert!(read <= bytes.len(), "more elements than bytes");
        let mut again = Vec::new();
        span.encode(&mut again);
    };
    if let Ok((span, taken)) = SpanView::parse(bytes) {
        assert!(taken <= bytes.len());
        walk(span);
    }
    if let Ok((_, batch)) = BatchView::parse_message(bytes) {
        batch.spans().for_each(walk);
        for member in ENCODINGS {
            let _ = (member.encode)(&batch);
        }
    }
    let _ = ProcessView::parse(bytes);
}
