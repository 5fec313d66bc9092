//! What becomes of exported spans: messages, counts, errors, the SDK's life cycle.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

mod support;

use std::net::UdpSocket;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use jaeger_client::encoding::BatchView;
use jaeger_client::transport::{MAX_PACKET_BYTES, MemoryTransport, Sent};
use jaeger_client::{AgentProtocol, TransportError};
use jaeger_client_opentelemetry::JaegerExporter;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter};

use self::support::{Responding, count, names, span, spans, tags, wait};

fn to_memory(memory: &MemoryTransport) -> JaegerExporter {
    JaegerExporter::builder().transport(memory.clone(), AgentProtocol::Compact).build().unwrap()
}

fn exporter_with(
    response: impl FnMut(usize, &[u8]) -> Result<Sent, TransportError> + Send + 'static,
) -> JaegerExporter {
    let transport = Responding::by(response);
    JaegerExporter::builder().transport(transport, AgentProtocol::Compact).build().unwrap()
}

fn status_error(status: u16) -> TransportError {
    TransportError::Status { address: "there".to_owned(), status, body: String::new() }
}

#[test]
fn a_provider_exports_to_an_agent_over_udp() {
    let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
    agent.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let address = agent.local_addr().unwrap().to_string();
    let exporter = JaegerExporter::builder().agent(address).build().unwrap();
    let account = exporter.account();
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder_empty().with_service_name("svc").build())
        .with_batch_exporter(exporter)
        .build();
    provider.tracer("lib").in_span("parent", |_| provider.tracer("lib").in_span("child", |_| ()));
    provider.shutdown().unwrap();

    let mut datagram = vec![0; MAX_PACKET_BYTES];
    let length = agent.recv(&mut datagram).unwrap();
    datagram.truncate(length);
    assert_eq!(names(&[datagram.clone()]), ["child", "parent"]);
    let (_, batch) = BatchView::parse_message(&datagram).unwrap();
    assert_eq!(batch.process.service_name, b"svc");
    let read: Vec<_> = batch.spans().collect();
    assert_eq!(read[0].parent_span_id, read[1].span_id);
    assert_eq!(read[0].trace_id, read[1].trace_id);
    let stats = account.stats();
    assert_eq!((stats.exported, stats.sent, stats.queued, stats.messages), (2, 2, 0, 1));
    assert!(stats.is_balanced());
}

#[test]
fn batches_are_cut_to_the_limit_in_order_and_numbered() {
    let memory = MemoryTransport::new();
    let builder = JaegerExporter::builder().transport(memory.clone(), AgentProtocol::Compact);
    let exporter = builder.max_message_bytes(2_000).build().unwrap();
    wait(exporter.export(spans(1))).unwrap();
    wait(exporter.export(spans(500))).unwrap();
    let messages = memory.messages().split_off(1);
    assert!(messages.iter().all(|message| message.len() <= 2_000));
    assert!((10..=12).contains(&messages.len()), "{} messages for 19 kB", messages.len());
    let expected: Vec<_> = (0..500).map(|n| format!("op {n}")).collect();
    assert_eq!(names(&messages), expected);
    let numbers: Vec<_> = messages
        .iter()
        .map(|message| BatchView::parse_message(message).unwrap().1.seq_no.unwrap())
        .collect();
    assert_eq!(numbers, (2..=messages.len() as i64 + 1).collect::<Vec<_>>());
    assert_eq!(exporter.account().stats().messages, messages.len() as u64 + 1);
}

#[test]
fn the_binary_protocol_keeps_to_the_limit_too() {
    let memory = MemoryTransport::new();
    let builder = JaegerExporter::builder().transport(memory.clone(), AgentProtocol::Binary);
    let exporter = builder.max_message_bytes(4_000).build().unwrap();
    wait(exporter.export(spans(500))).unwrap();
    assert!(memory.messages().iter().all(|message| message.len() <= 4_000));
    let stats = exporter.account().stats();
    assert_eq!((stats.sent, stats.trimmed), (500, 0));
}

#[test]
fn a_span_larger_than_a_datagram_is_trimmed_and_those_beside_it_are_whole() {
    let memory = MemoryTransport::new();
    let exporter = to_memory(&memory);
    let mut large = span("large");
    large.attributes = vec![KeyValue::new("key", "x".repeat(200_000))];
    wait(exporter.export(vec![span("before"), large, span("after")])).unwrap();
    let messages = memory.messages();
    assert_eq!(names(&messages), ["before", "large", "after"]);
    let mut trimmed = Vec::new();
    for message in &messages {
        assert!(message.len() <= MAX_PACKET_BYTES);
        let (_, batch) = BatchView::parse_message(message).unwrap();
        let marked = |tags: &[(String, String)]| tags.iter().any(|tag| tag.0 == "jaeger.trimmed");
        trimmed.extend(batch.spans().map(|span| marked(&tags(&span))));
    }
    assert_eq!(trimmed, [false, true, false]);
    let stats = exporter.account().stats();
    assert_eq!((stats.sent, stats.trimmed), (3, 1));
}

#[test]
fn a_smaller_limit_is_learned_without_loss() {
    let passed = Arc::new(Mutex::new(Vec::new()));
    let messages = Arc::clone(&passed);
    let exporter = exporter_with(move |_, message| {
        if message.len() > 5_000 {
            return Err(TransportError::TooLarge { bytes: message.len() });
        }
        messages.lock().unwrap().push(message.to_vec());
        Ok(Sent::OK)
    });
    for _ in 0..2 {
        wait(exporter.export(spans(500))).unwrap();
    }
    assert_eq!(names(&passed.lock().unwrap()).len(), 1_000);
    assert_eq!(exporter.account().stats().sent, 1_000);
}

#[test]
fn a_receiver_that_takes_nothing_ends_in_counts_of_what_was_too_large() {
    let exporter =
        exporter_with(|_, message| Err(TransportError::TooLarge { bytes: message.len() }));
    let error = wait(exporter.export(spans(100))).unwrap_err().to_string();
    assert!(error.contains("100 of 100 spans were not sent"), "{error}");
    let stats = exporter.account().stats();
    assert_eq!((stats.dropped.too_large, stats.sent), (100, 0));
    assert!(stats.is_balanced());
}

#[test]
fn a_failure_is_counted_and_reported_with_its_cause() {
    let exporter = exporter_with(|number, _| match number {
        0 => Err(TransportError::Refused { address: "there:1".to_owned() }),
        _ => Ok(Sent::OK),
    });
    let error = wait(exporter.export(spans(3))).unwrap_err().to_string();
    assert!(error.contains("3 of 3 spans were not sent: nothing listens at there:1"), "{error}");
    wait(exporter.export(spans(2))).unwrap();
    let stats = exporter.account().stats();
    assert_eq!((stats.exported, stats.sent, stats.dropped.send_failed), (5, 2, 3));
    let text = stats.to_string();
    assert!(text.contains("exported 5 = queued 0 + sent 2 + dropped 3"), "{text}");
}

#[test]
fn a_late_refusal_is_counted() {
    let exporter = exporter_with(|number, _| match number {
        1 => Ok(Sent::PREVIOUS_REFUSED),
        _ => Ok(Sent::OK),
    });
    wait(exporter.export(spans(3))).unwrap();
    assert_eq!(exporter.account().stats().sent, 3);
    wait(exporter.export(spans(2))).unwrap();
    let stats = exporter.account().stats();
    assert_eq!((stats.sent, stats.dropped.send_failed), (2, 3));
    assert!(stats.is_balanced());
}

#[test]
fn one_span_that_a_server_refuses_does_not_take_the_others_with_it() {
    let exporter = exporter_with(|_, message| {
        let bad = names(&[message.to_vec()]).contains(&"op 37".to_owned());
        if bad { Err(status_error(400)) } else { Ok(Sent::OK) }
    });
    wait(exporter.export(spans(100))).unwrap_err();
    let stats = exporter.account().stats();
    assert_eq!((stats.sent, stats.dropped.send_failed), (99, 1));
}

#[test]
fn a_server_that_refuses_everything_does_not_get_a_request_for_each_span() {
    let transport = Responding::by(|_: usize, _: &[u8]| Err(status_error(400)));
    let calls = Arc::clone(&transport.calls);
    let builder = JaegerExporter::builder().transport(transport, AgentProtocol::Compact);
    let exporter = builder.build().unwrap();
    wait(exporter.export(spans(500))).unwrap_err();
    assert_eq!(exporter.account().stats().dropped.send_failed, 500);
    assert!(calls.load(Ordering::Relaxed) < 100, "{calls:?}");
}

#[test]
fn a_panic_of_a_transport_is_an_error_and_the_thread_goes_on() {
    let exporter = exporter_with(|number, _| match number {
        0 => panic!("a bug"),
        _ => Ok(Sent::OK),
    });
    let error = wait(exporter.export(spans(2))).unwrap_err().to_string();
    assert!(error.contains("panicked"), "{error}");
    wait(exporter.export(spans(1))).unwrap();
    let stats = exporter.account().stats();
    assert_eq!((stats.sent, stats.dropped.send_failed, stats.queued), (1, 2, 0));
}

#[test]
fn what_is_left_when_the_time_has_passed_is_counted() {
    let transport = Responding::by(|_: usize, _: &[u8]| {
        // Longer than the whole export may take, however loaded the machine is.
        std::thread::sleep(Duration::from_millis(50));
        Ok(Sent::OK)
    });
    let exporter = JaegerExporter::builder()
        .transport(transport, AgentProtocol::Compact)
        .max_message_bytes(1_024)
        .export_timeout(Duration::from_millis(40))
        .build()
        .unwrap();
    let error = wait(exporter.export(spans(500))).unwrap_err().to_string();
    assert!(error.contains("time for the export has passed"), "{error}");
    let stats = exporter.account().stats();
    assert!(stats.dropped.timed_out > 0 && stats.is_balanced() && stats.queued == 0, "{stats}");
}

/// An exporter whose transport waits until it is let go, and what lets it go.
fn blocked() -> (JaegerExporter, mpsc::Sender<()>) {
    let (release, wait) = mpsc::channel::<()>();
    let exporter = exporter_with(move |_, _| {
        let _ = wait.recv();
        Ok(Sent::OK)
    });
    (exporter, release)
}

#[test]
fn exports_that_nobody_waits_for_are_bounded_and_counted() {
    let (exporter, release) = blocked();
    for _ in 0..40 {
        drop(exporter.export(spans(1)));
    }
    let stats = exporter.account().stats();
    assert_eq!((stats.exported, stats.dropped.queue_full), (40, 24));
    assert!(stats.is_balanced());
    drop(release);
    exporter.shutdown_with_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(exporter.account().stats().sent, 16);
}

#[test]
fn flush_and_shutdown_end_in_time_and_say_so() {
    let (exporter, release) = blocked();
    drop(exporter.export(spans(1)));
    let timeout = Duration::from_millis(10);
    let result = exporter.shutdown_with_timeout(timeout);
    assert!(matches!(result, Err(OTelSdkError::Timeout(given)) if given == timeout), "{result:?}");
    drop(release);
    exporter.force_flush().unwrap();
    assert_eq!(exporter.account().stats().sent, 1);
}

#[test]
fn after_a_shutdown_spans_are_refused_and_counted() {
    let memory = MemoryTransport::new();
    let exporter = to_memory(&memory);
    exporter.shutdown().unwrap();
    let result = wait(exporter.export(spans(2)));
    assert!(matches!(result, Err(OTelSdkError::AlreadyShutdown)), "{result:?}");
    assert!(matches!(exporter.shutdown(), Err(OTelSdkError::AlreadyShutdown)));
    let stats = exporter.account().stats();
    assert_eq!((stats.exported, stats.dropped.shut_down), (2, 2));
    assert!(memory.messages().is_empty() && stats.is_balanced());
}

#[test]
fn several_resources_share_one_destination() {
    let memory = MemoryTransport::new();
    let exporter = to_memory(&memory);
    let provider = |service: &'static str| {
        SdkTracerProvider::builder()
            .with_resource(Resource::builder_empty().with_service_name(service).build())
            .with_simple_exporter(exporter.clone())
            .build()
    };
    let (first, second) = (provider("first"), provider("second"));
    first.tracer("t").in_span("a", |_| ());
    first.shutdown().unwrap();
    second.tracer("t").in_span("b", |_| ());
    let services: Vec<_> = memory
        .messages()
        .iter()
        .map(|message| BatchView::parse_message(message).unwrap().1.process.service_name.to_vec())
        .collect();
    assert_eq!(services, [b"first".to_vec(), b"second".to_vec()]);
    assert_eq!(exporter.account().stats().sent, 2);
}

#[test]
fn agents_get_the_number_of_losses() {
    let memory = MemoryTransport::new();
    let other = memory.clone();
    let exporter = exporter_with(move |number, message| {
        if number == 0 {
            return Err(TransportError::Refused { address: String::new() });
        }
        jaeger_client::transport::Transport::send(&mut other.clone(), message)
    });
    wait(exporter.export(spans(7))).unwrap_err();
    wait(exporter.export(spans(1))).unwrap();
    let message = memory.messages().remove(0);
    assert_eq!(count(&message), 1);
    let stats = BatchView::parse_message(&message).unwrap().1.stats.unwrap();
    assert_eq!(stats.failed_to_emit_spans, 7);
}

#[test]
fn an_empty_export_sends_nothing() {
    let memory = MemoryTransport::new();
    wait(to_memory(&memory).export(Vec::new())).unwrap();
    assert!(memory.messages().is_empty());
}

#[test]
fn an_address_that_is_none_is_refused() {
    let error = JaegerExporter::builder().agent("nowhere").build().unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
}
