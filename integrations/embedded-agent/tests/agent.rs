//! From a client's socket to a test's assertion, over both protocols. Read this first.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may")]

mod support;

use std::net::UdpSocket;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use jaeger_client::encoding::{BatchView, ClientStats, ProcessView, ValueView};
use jaeger_client::{SpanId, TraceId};
use jaeger_client_embedded_agent::{EmbeddedAgent, Protocol, Store};

use support::{Items, LONG, all_tags, batch, binary, compact, full_messages, span};

fn client() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

#[test]
fn a_span_is_received_field_for_field_by_both_protocols() {
    let agent = EmbeddedAgent::start().unwrap();
    let [compact, binary] = full_messages();
    let (_, sent) = BatchView::parse_message(&compact).unwrap();
    client().send_to(&compact, agent.compact_addr()).unwrap();
    let first = agent.wait_for_spans(2, LONG).unwrap();
    client().send_to(&binary, agent.binary_addr()).unwrap();
    let all = agent.wait_for_spans(4, LONG).unwrap();

    assert_eq!(agent.stats().malformed, 0, "{:?}", agent.last_error());
    assert_eq!(all[..2], first);
    assert_eq!(all[2..], first, "the protocol makes no difference");
    assert_eq!(all[0].protocol(), Protocol::Compact);
    assert_eq!(all[2].protocol(), Protocol::Binary);
    for (received, sent_span) in all.iter().zip(sent.spans().chain(sent.spans())) {
        assert_eq!(received.view(), sent_span);
        assert_eq!(received.process(), sent.process);
        let mut canonical = Vec::new();
        sent_span.encode(&mut canonical);
        assert_eq!(received.bytes(), canonical);
    }
    let received = &all[2];
    assert_eq!(received.service(), "service");
    assert_eq!(received.operation_name(), "everything");
    assert_eq!(received.trace_id(), TraceId::new(u64::MAX, 7));
    assert_eq!((received.span_id(), received.parent_span_id()), (SpanId::new(3), SpanId::new(1)));
    assert_eq!(received.duration(), Duration::from_millis(1));
    let start = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_000);
    assert_eq!(received.start(), start);
    assert_eq!(received.tag("long"), Some(ValueView::Long(i64::MIN)));
    assert_eq!(received.tag("absent"), None);
    assert_eq!(received.process_tag("yes"), Some(ValueView::Bool(true)));
    assert_eq!(received.view().logs().next().unwrap().fields().count(), 7);
    assert_eq!(agent.services(), ["service"]);
}

#[test]
fn the_old_binary_header_is_understood() {
    let spans = Items::default().span(&span(1, 1, 0, "op"));
    let strict = binary("svc", &spans);
    // Version and type, name, sequence id, arguments.
    let (name, rest) = strict[4..].split_at(4 + 9);
    let old = [name, &[1], rest].concat();
    let one_way = [name, &[4], rest].concat();
    let reply = [name, &[2], rest].concat();
    let store = Store::default();
    assert_eq!(store.receive(Protocol::Binary, &old), Ok(1));
    assert_eq!(store.receive(Protocol::Binary, &one_way), Ok(1));
    assert_eq!(store.receive(Protocol::Binary, &strict), Ok(1));
    let spans = store.spans();
    assert!(spans.iter().all(|span| *span == spans[0]));
    store.receive(Protocol::Binary, &reply).unwrap_err();
}

#[test]
fn a_burst_from_a_client_is_received_whole() {
    let agent = EmbeddedAgent::start().unwrap();
    let spans = (1..=400).fold(Items::default(), |all, id| {
        all.span(&span(1, id, 0, "an operation with a name of usual length, in a burst"))
    });
    let message = compact("svc", &spans);
    let client = client();
    for sent in 1..=50_u64 {
        client.send_to(&message, agent.compact_addr()).unwrap();
        // The kernel keeps only a handful of datagrams of this size, so the sender looks now and
        // then whether they are taken; it never waits for the last ones.
        if sent % 4 == 0 {
            assert!(agent.wait_for(LONG, |store| store.stats().datagrams + 2 >= sent));
        }
    }
    assert_eq!(agent.wait_for_spans(20_000, LONG).unwrap().len(), 20_000);
    let stats = agent.stats();
    assert_eq!((stats.datagrams, stats.batches, stats.spans), (50, 50, 20_000));
    assert_eq!((stats.malformed, stats.overflowed), (0, 0));
}

#[test]
fn counters_move_together() {
    let store = Store::default();
    let message = compact("svc", &Items::default().span(&span(1, 1, 0, "op")));
    let sender = store.clone();
    let sending = std::thread::spawn(move || {
        for _ in 0..5_000 {
            sender.receive(Protocol::Compact, &message).unwrap();
            sender.receive(Protocol::Compact, b"garbage").unwrap_err();
        }
    });
    // Polled by a thread that is not notified, and so between any two changes.
    while !sending.is_finished() {
        let stats = store.stats();
        assert_eq!(stats.datagrams, stats.batches + stats.malformed);
        assert_eq!(stats.spans, stats.batches);
    }
    sending.join().unwrap();
    assert_eq!((store.stats().datagrams, store.span_count()), (10_000, 5_000));
}

#[test]
fn what_cannot_be_read_is_counted_with_its_reason() {
    let agent = EmbeddedAgent::start().unwrap();
    client().send_to(b"\x82\x21garbage", agent.compact_addr()).unwrap();
    assert!(agent.wait_for(LONG, |store| store.stats().malformed == 1));
    assert!(agent.last_error().unwrap().starts_with("compact: "), "{:?}", agent.last_error());
    client().send_to(b"", agent.binary_addr()).unwrap();
    assert!(agent.wait_for(LONG, |store| store.stats().malformed == 2));
    assert_eq!(agent.last_error().unwrap(), "binary: input ends within a value, at byte 0");
    assert_eq!(agent.stats().datagrams, 2);

    let error = agent.wait_for_spans(1, Duration::ZERO).unwrap_err();
    assert_eq!((error.received, error.wanted), (0, 1));
    assert_eq!(
        error.to_string(),
        "0 of 1 spans received within 0ns; 2 datagrams were malformed, the last: \
         binary: input ends within a value, at byte 0"
    );
}

#[test]
fn the_last_batch_of_each_client_is_known() {
    let store = Store::default();
    let tags = Items::default().tag(b"client-uuid", ValueView::Str(b"abc"));
    let spans = Items::default().span(&span(1, 1, 0, "op"));
    let process = ProcessView::new(b"shop", Some(tags.view()));
    for seq_no in [1, 2] {
        let batch = BatchView::new(process, spans.view())
            .with_seq_no(Some(seq_no))
            .with_stats(Some(ClientStats::new(seq_no, 0, 5)));
        store.receive(Protocol::Compact, &batch.to_message(1)).unwrap();
    }
    store.receive(Protocol::Binary, &binary("other", &spans)).unwrap();
    let [shop, other] = &store.batches()[..] else { panic!("{:?}", store.batches()) };
    assert_eq!((shop.service.as_str(), shop.client_uuid.as_deref()), ("shop", Some("abc")));
    assert_eq!((shop.seq_no, shop.stats), (Some(2), Some(ClientStats::new(2, 0, 5))));
    assert_eq!((shop.batches, shop.spans), (2, 2));
    assert_eq!((other.service.as_str(), other.seq_no, other.stats), ("other", None, None));
    assert_eq!((other.client_uuid.as_deref(), other.protocol), (None, Protocol::Binary));
}

#[test]
fn a_reset_removes_everything() {
    let store = Store::default();
    store.receive(Protocol::Compact, &full_messages()[0]).unwrap();
    store.receive(Protocol::Compact, b"").unwrap_err();
    store.reset();
    assert_eq!((store.span_count(), store.trace_count(), store.bytes()), (0, 0, 0));
    assert!(store.spans().is_empty() && store.traces().is_empty() && store.services().is_empty());
    assert!(store.batches().is_empty() && store.last_error().is_none());
    assert_eq!(store.stats(), Store::default().stats());
}

#[test]
fn a_wait_ends_when_its_spans_come() {
    let agent = EmbeddedAgent::start().unwrap();
    let (compact_addr, trace) = (agent.compact_addr(), TraceId::new(0, 7));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| agent.wait_for_trace(trace, 2, LONG));
        let client = client();
        let one = |trace, id| compact("svc", &Items::default().span(&span(trace, id, 0, "op")));
        for message in [one(7, 1), one(8, 2), one(7, 3)] {
            client.send_to(&message, compact_addr).unwrap();
        }
        let trace = waiting.join().unwrap().unwrap();
        assert_eq!(trace.spans().len(), 2);
        assert_eq!(trace.spans()[1].span_id(), SpanId::new(3));
    });
    let error = agent.wait_for_trace(trace, 3, Duration::from_millis(1)).unwrap_err();
    assert_eq!((error.received, error.wanted), (2, 3));
    let absent = agent.wait_for_trace(TraceId::new(0, 9), 0, Duration::ZERO).unwrap_err();
    assert_eq!((absent.received, absent.wanted), (0, 1));
    assert!(agent.trace(TraceId::new(0, 9)).is_none());
}

#[test]
fn a_condition_may_read_the_agent_and_is_checked_once_more_at_the_end() {
    let agent = EmbeddedAgent::start().unwrap();
    let requested = AtomicUsize::new(0);
    let condition = |store: &Store| {
        agent.reset();
        requested.fetch_add(1, Ordering::Relaxed);
        store.spans().len() + agent.traces().len() > 0
    };
    assert!(!agent.wait_for(Duration::ZERO, condition));
    assert!(requested.load(Ordering::Relaxed) >= 1);
    assert!(agent.wait_for(Duration::MAX, |_| true), "no timeout is too long");
}

#[test]
fn dropping_ends_it_soon_and_frees_its_ports() {
    let agent = EmbeddedAgent::builder().http_addr(([127, 0, 0, 1], 0)).start().unwrap();
    let (compact_addr, binary_addr) = (agent.compact_addr(), agent.binary_addr());
    let http_addr = agent.http_addr().unwrap();
    let silent_client = std::net::TcpStream::connect(http_addr).unwrap();
    let store = agent.store().clone();
    let start = Instant::now();
    drop(agent);
    // A client that says nothing is given up after five seconds; a close does not wait for that.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop(silent_client);
    let again = EmbeddedAgent::builder()
        .compact_addr(compact_addr)
        .binary_addr(binary_addr)
        .http_addr(http_addr);
    // Another test may be given one of the ports in between, until it ends.
    let end = Instant::now() + LONG;
    let again = loop {
        match again.clone().start() {
            Ok(again) => break again,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(again.compact_addr(), compact_addr);
    assert_eq!(store.span_count(), 0, "the store outlives its agent");
}

#[test]
fn a_taken_port_is_an_error() {
    let agent = EmbeddedAgent::start().unwrap();
    EmbeddedAgent::builder().binary_addr(agent.compact_addr()).start().unwrap_err();
    assert_eq!(agent.http_addr(), None);
}

#[test]
fn agents_do_not_know_of_each_other() {
    let (one, other) = (EmbeddedAgent::start().unwrap(), EmbeddedAgent::start().unwrap());
    let spans = Items::default().span(&span(1, 1, 0, "op"));
    client().send_to(&compact("svc", &spans), one.compact_addr()).unwrap();
    one.wait_for_spans(1, LONG).unwrap();
    assert_eq!(other.span_count(), 0);
}

#[test]
fn processes_are_distinguished_by_their_tags() {
    let store = Store::default();
    let spans = Items::default().span(&span(1, 1, 0, "op"));
    let tags = all_tags();
    let tagged = BatchView::new(ProcessView::new(b"svc", Some(tags.view())), spans.view());
    store.receive(Protocol::Compact, &tagged.to_message(1)).unwrap();
    store.receive(Protocol::Compact, &batch("svc", &spans).to_message(1)).unwrap();
    let spans = store.spans();
    assert_ne!(spans[0], spans[1]);
    assert_eq!(store.services(), ["svc"]);
}
