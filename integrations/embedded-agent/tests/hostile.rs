//! Input nobody vouches for: bounded in time and memory, counted, and never a panic.
#![allow(clippy::unwrap_used, reason = "tests may")]

mod support;

use jaeger_client::encoding::{BatchView, DecodeError, ProcessView, SpanView};
use jaeger_client_embedded_agent::{Protocol, Store, Trace, WaterfallOptions};
use proptest::prelude::*;

use support::{Items, all_tags, binary, compact, full_messages, span};

const PROTOCOLS: [Protocol; 2] = [Protocol::Compact, Protocol::Binary];

/// Takes a message and then does with the store everything that reads what was kept.
fn take(protocol: Protocol, bytes: &[u8]) -> Result<usize, DecodeError> {
    let store = Store::with_limits(1 << 20, 1_000);
    let taken = store.receive(protocol, bytes);
    let stats = store.stats();
    assert_eq!(stats.datagrams, 1);
    assert_eq!(stats.malformed, u64::from(taken.is_err()));
    assert_eq!(store.last_error().is_some(), taken.is_err());
    assert!(store.bytes() <= 1 << 20);
    let retained: usize = store.spans().iter().map(|span| span.bytes().len()).sum();
    assert!(retained <= 2 * bytes.len(), "{retained} bytes kept of {}", bytes.len());
    for span in store.spans() {
        let (view, length) = SpanView::parse(span.bytes()).unwrap();
        assert_eq!(length, span.bytes().len());
        assert_eq!(view.tags().count(), view.tags.unwrap_or_default().count);
        assert_eq!(view.logs().count(), view.logs.unwrap_or_default().count);
        let _ = (span.start(), span.duration(), format!("{span:?}"));
    }
    for trace in store.traces() {
        draw(&trace);
    }
    let _ = (store.batches(), store.services());
    taken
}

fn draw(trace: &Trace) {
    let drawn = trace.waterfall_with(WaterfallOptions::new(80).tags(true).logs(true));
    for line in drawn.lines() {
        assert!(line.chars().count() <= 80, "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    let _ = (trace.root(), trace.duration(), trace.services(), trace.error_count());
}

#[test]
fn a_message_cut_anywhere_is_refused() {
    for (protocol, message) in PROTOCOLS.into_iter().zip(full_messages()) {
        assert_eq!(take(protocol, &message), Ok(2));
        // The last byte ends the arguments; nothing of value is behind the one before.
        for length in 0..message.len() {
            take(protocol, &message[..length]).unwrap_err();
        }
    }
}

#[test]
fn a_message_of_the_other_protocol_is_refused() {
    let [compact, binary] = full_messages();
    take(Protocol::Compact, &binary).unwrap_err();
    take(Protocol::Binary, &compact).unwrap_err();
}

#[test]
fn more_than_a_datagram_is_refused() {
    let spans = Items::default().span(&span(1, 1, 0, "op"));
    for (protocol, mut message) in
        PROTOCOLS.into_iter().zip([compact("svc", &spans), binary("svc", &spans)])
    {
        message.resize(65_535, 0);
        assert_eq!(take(protocol, &message), Ok(1), "what is behind the message is ignored");
        message.push(0);
        let error = take(protocol, &message).unwrap_err();
        assert_eq!(error, DecodeError::TooLong { claimed: 65_536, left: 65_535 });
    }
}

/// The binary message up to its arguments.
fn binary_head() -> Vec<u8> {
    [b"\x80\x01\x00\x01\x00\x00\x00\x09emitBatch".as_slice(), &[0; 4]].concat()
}

/// The compact message up to its arguments.
const COMPACT_HEAD: &[u8] = b"\x82\x21\x01\x09emitBatch";

#[test]
fn a_list_of_ninety_million_spans_is_refused_before_it_is_begun() {
    // Field 1 is the batch, whose field 2 is the list of spans.
    let count = 90_000_000_u32.to_be_bytes();
    let list = [binary_head(), b"\x0c\x00\x01\x0f\x00\x02\x0c".to_vec(), count.to_vec()].concat();
    let error = take(Protocol::Binary, &list).unwrap_err();
    assert_eq!(error, DecodeError::TooLong { claimed: 90_000_000, left: 0 });
    let list = [COMPACT_HEAD, b"\x1c\x29\xfc\x80\x95\xf5\x2a"].concat();
    let error = take(Protocol::Compact, &list).unwrap_err();
    assert_eq!(error, DecodeError::TooLong { claimed: 90_000_000, left: 0 });
}

#[test]
fn a_string_of_two_gigabytes_is_refused() {
    let name = b"\x0c\x00\x01\x0c\x00\x01\x0b\x00\x01\x7f\xff\xff\xff".to_vec();
    let error = take(Protocol::Binary, &[binary_head(), name].concat()).unwrap_err();
    assert_eq!(error, DecodeError::TooLong { claimed: 0x7fff_ffff, left: 0 });
    let method = take(Protocol::Binary, b"\x7f\xff\xff\xff").unwrap_err();
    assert_eq!(method, DecodeError::TooLong { claimed: 0x7fff_ffff, left: 0 });
    let name = [COMPACT_HEAD, b"\x1c\x1c\x18\xff\xff\xff\xff\x07"].concat();
    let error = take(Protocol::Compact, &name).unwrap_err();
    assert_eq!(error, DecodeError::TooLong { claimed: 0x7fff_ffff, left: 0 });
}

#[test]
fn negative_sizes_are_refused() {
    let negative = [
        // The method's name, a list, a string, an unknown string, list, set and map.
        b"\x80\x01\x00\x01\xff\xff\xff\xff".to_vec(),
        [binary_head(), b"\x0c\x00\x01\x0f\x00\x02\x0c\xff\xff\xff\xff".to_vec()].concat(),
        [binary_head(), b"\x0c\x00\x01\x0c\x00\x01\x0b\x00\x01\x80\x00\x00\x00".to_vec()].concat(),
        [binary_head(), b"\x0b\x00\x09\xff\xff\xff\xfe".to_vec()].concat(),
        [binary_head(), b"\x0f\x00\x09\x0c\xff\xff\xff\xfe".to_vec()].concat(),
        [binary_head(), b"\x0e\x00\x09\x0c\xff\xff\xff\xfe".to_vec()].concat(),
        [binary_head(), b"\x0d\x00\x09\x0c\x0c\xff\xff\xff\xfe".to_vec()].concat(),
    ];
    for message in negative {
        let error = take(Protocol::Binary, &message).unwrap_err();
        assert_eq!(error, DecodeError::UnknownMessage { what: "a negative size" });
    }
    take(Protocol::Binary, b"\xff\xff\xff\xff\xff\xff\xff\xff").unwrap_err();
}

#[test]
fn a_bomb_of_nested_structures_is_refused() {
    for (head, level) in [
        (binary_head(), b"\x0c\x00\x09".as_slice()),
        (binary_head(), b"\x0f\x00\x09\x0f\x00\x00\x00\x01"),
        ([binary_head(), b"\x0f\x00\x09".to_vec()].concat(), b"\x0f\x00\x00\x00\x01"),
        ([binary_head(), b"\x0d\x00\x09".to_vec()].concat(), b"\x03\x0d\x00\x00\x00\x01\x00"),
        ([binary_head(), b"\x0e\x00\x09".to_vec()].concat(), b"\x0e\x00\x00\x00\x01"),
    ] {
        let bomb = [head, level.repeat(60_000 / level.len())].concat();
        take(Protocol::Binary, &bomb).unwrap_err();
    }
    let structures = [binary_head(), b"\x0c\x00\x09".repeat(20_000)].concat();
    assert_eq!(take(Protocol::Binary, &structures), Err(DecodeError::TooDeep));
    let lists = [binary_head(), b"\x0f\x00\x09".to_vec(), b"\x0f\x00\x00\x00\x01".repeat(12_000)];
    assert_eq!(take(Protocol::Binary, &lists.concat()), Err(DecodeError::TooDeep));
    let structures = [COMPACT_HEAD, &b"\x9c".repeat(60_000)].concat();
    assert_eq!(take(Protocol::Compact, &structures), Err(DecodeError::TooDeep));
}

#[test]
fn fields_of_a_later_model_are_skipped() {
    let spans = Items::default().span(&span(1, 1, 0, "op"));
    let message = binary("svc", &spans);
    let (head, arguments) = message.split_at(binary_head().len());
    let unknown = [
        b"\x02\x00\x63\x01".as_slice(),
        b"\x03\x00\x63\x01",
        b"\x04\x00\x63\x01\x02\x03\x04\x05\x06\x07\x08",
        b"\x06\x00\x63\x01\x02",
        b"\x08\x00\x63\x01\x02\x03\x04",
        b"\x0a\x00\x63\x01\x02\x03\x04\x05\x06\x07\x08",
        b"\x0b\x00\x63\x00\x00\x00\x02hi",
        b"\x0c\x00\x63\x03\x00\x01\x07\x00",
        b"\x0d\x00\x63\x0b\x08\x00\x00\x00\x01\x00\x00\x00\x01k\x00\x00\x00\x01",
        b"\x0d\x00\x63\x00\x00\x00\x00\x00\x00",
        b"\x0e\x00\x63\x03\x00\x00\x00\x02ab",
        b"\x0f\x00\x63\x0c\x00\x00\x00\x02\x00\x00",
        b"\x10\x00\x630123456789abcdef",
    ];
    for field in unknown {
        let later = [head, field, arguments].concat();
        assert_eq!(take(Protocol::Binary, &later), Ok(1), "{field:x?}");
    }
    let wrong = [head, b"\x05\x00\x63", arguments].concat();
    assert_eq!(take(Protocol::Binary, &wrong), Err(DecodeError::WrongType { found: 5 }));
}

#[test]
fn times_at_the_ends_of_the_range_are_drawn() {
    let extremes = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
    let mut spans = Items::default();
    for (index, start) in extremes.into_iter().enumerate() {
        for duration in extremes {
            let mut view = span(1, index as u64 + 1, index as u64, "op");
            view.start_time_micros = start;
            view.duration_micros = duration;
            spans = spans.span(&view);
        }
    }
    assert_eq!(take(Protocol::Compact, &compact("svc", &spans)), Ok(49));
    assert_eq!(take(Protocol::Binary, &binary("svc", &spans)), Ok(49));
}

/// A valid message with some of its bytes changed, cut out or doubled.
fn mutated(message: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8, 1..12_usize);
    prop::collection::vec(change, 1..6).prop_map(move |changes| {
        let mut bytes = message.clone();
        for (at, byte, kind, length) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            let end = (at + length).min(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => drop(bytes.drain(at..end)),
                _ => {
                    let copy = bytes[at..end].to_vec();
                    drop(bytes.splice(at..at, copy));
                }
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_500) })]

    #[test]
    fn law_random_bytes_are_no_danger(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for protocol in PROTOCOLS {
            let _ = take(protocol, &bytes);
        }
    }

    #[test]
    fn law_random_arguments_are_no_danger(bytes in prop::collection::vec(0..20_u8, 0..600)) {
        let _ = take(Protocol::Binary, &[binary_head(), bytes.clone()].concat());
        let _ = take(Protocol::Compact, &[COMPACT_HEAD, &bytes].concat());
    }

    #[test]
    fn law_mutated_compact_messages_are_no_danger(bytes in mutated(full_messages()[0].clone())) {
        let _ = take(Protocol::Compact, &bytes);
    }

    #[test]
    fn law_mutated_binary_messages_are_no_danger(bytes in mutated(full_messages()[1].clone())) {
        let _ = take(Protocol::Binary, &bytes);
    }

    #[test]
    fn law_both_protocols_say_the_same(
        ids in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..20),
        times in (any::<i64>(), any::<i64>(), any::<i32>()),
        name in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let tags = all_tags();
        let logs = Items::default().log(times.0, &tags);
        let mut spans = Items::default();
        for (trace, id, parent) in &ids {
            let mut view = span(*trace, *id, *parent, "");
            let references = Items::default().reference(id % 2 == 0, *parent, *trace);
            view.operation_name = &name;
            (view.start_time_micros, view.duration_micros, view.flags) = times;
            view.references = Some(references.view());
            view.tags = (id % 3 > 0).then(|| tags.view());
            view.logs = Some(logs.view());
            spans = spans.span(&view);
        }
        let batch = BatchView::new(ProcessView::new(&name, Some(tags.view())), spans.view());
        let store = Store::default();
        store.receive(Protocol::Compact, &batch.to_message(1)).unwrap();
        store.receive(Protocol::Binary, &batch.to_binary_message(1).unwrap()).unwrap();
        let received = store.spans();
        let (compact, binary) = received.split_at(ids.len());
        prop_assert_eq!(compact, binary);
        for (received, sent) in binary.iter().zip(batch.spans()) {
            prop_assert_eq!(received.view(), sent);
        }
    }
}
