//! What goes wrong in jaeger-client-go 2.30 and must not here, as far as no other test has it: the
//! numbers are those of PARITY.md, which names the test of each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]
#![allow(clippy::disallowed_methods, reason = "helpers of tests wait and start threads")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::thread;

use jaeger_client::propagation::HttpHeaders;
use jaeger_client::{
    AgentProtocol, ExtractError, InMemoryReporter, Output, SpanContext, SpanId, TraceId, Tracer,
};
use support::agent::Agent;
use support::read::finished;
use support::{SOON, builder};

/// Defect 2: Go panics on the first, and reserves the memory of the second before it looks.
#[test]
fn lengths_that_no_binary_carrier_can_have_are_errors_and_reserve_nothing() {
    let (tracer, _closer) = builder().null_reporter().build().unwrap();
    let carrier = |length: i32| {
        let mut bytes = vec![0; 33];
        bytes[15] = 1;
        bytes[23] = 1;
        bytes.extend(1_i32.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes
    };
    for length in [-1, i32::MIN, i32::MAX, 1 << 20] {
        let bytes = carrier(length);
        let mut outcome = None;
        let taken = allocation_counter::measure(|| outcome = Some(tracer.extract_binary(&bytes)));
        assert!(matches!(outcome, Some(Err(ExtractError::Corrupted { .. }))), "{length}");
        assert!(taken.bytes_max < 10_000, "{length}: {} bytes", taken.bytes_max);
    }
    assert_eq!(tracer.stats().decoding_errors, 4);
}

/// Defect 3: in Go each of these questions ends the process.
#[test]
fn a_context_of_a_debug_id_or_baggage_alone_answers_every_question() {
    let (tracer, _closer) = builder().null_reporter().build().unwrap();
    for name in ["jaeger-debug-id", "uberctx-who"] {
        let headers = HashMap::from([(name.to_owned(), "ann".to_owned())]);
        let context = tracer.extract(&headers).unwrap();
        assert!(!context.is_sampled() && !context.is_debug() && !context.is_firehose(), "{name}");
        assert_eq!(context.flags(), 0);
        let _ = tracer.inject_binary(&context);
        tracer.inject(&context, &mut HttpHeaders(BTreeMap::new()));
        let itself = tracer.span("itself").self_reference(&context).start();
        assert!(itself.context().is_valid(), "{name}");
    }
}

/// Defect 11: in Go a span that Zipkin gets loses its kind and peer, and gains the process's tags,
/// for whoever gets it after.
#[test]
fn what_zipkin_gets_changes_nothing_for_other_outputs() {
    let (agent, memory) = (Agent::start(), InMemoryReporter::new());
    let (tracer, closer) = builder()
        .agent(agent.address())
        .agent_protocol(AgentProtocol::ZipkinCompact)
        .also_report_to(Output::agent(agent.address(), AgentProtocol::ZipkinCompact))
        .also_report_to(Output::in_memory(&memory))
        .tag("of.process", "p")
        .build()
        .unwrap();
    let given = [("span.kind", "server"), ("peer.service", "shop"), ("peer.ipv4", "10.0.0.1")];
    let span = given.iter().fold(tracer.span("op"), |span, (key, text)| span.tag(key, *text));
    span.start().finish();
    assert!(closer.close(SOON).complete);
    let [span] = &finished(&memory)[..] else { unreachable!("one span was made") };
    let keys: Vec<_> = span.own_tags().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, given.map(|(key, _)| key));
}

/// Defect 14: in Go `customerId` comes back as `customerid` from a plain map.
#[test]
fn baggage_keys_of_a_map_of_text_keep_their_case() {
    let (tracer, _closer) = builder().null_reporter().build().unwrap();
    let ids = (TraceId::new(0, 1), SpanId::new(2), SpanId::NONE);
    let context = SpanContext::new(ids.0, ids.1, ids.2, 1).with_baggage_item("customerId", "7");
    let mut map = HashMap::new();
    tracer.inject(&context, &mut map);
    assert_eq!(tracer.extract(&map).unwrap().baggage_item("customerId"), Some("7"));
}

/// Defect 22: in Go each child writes the id of the local root to what all children share. Here
/// nothing is written, so that children may be begun from one context on any number of threads.
#[test]
fn children_of_one_remote_context_may_be_begun_on_many_threads_at_once() {
    let memory = InMemoryReporter::new();
    let (tracer, _closer) = Tracer::builder("svc").in_memory(&memory).build().unwrap();
    let headers = HashMap::from([("uber-trace-id".to_owned(), "7:8:0:1".to_owned())]);
    let context = tracer.extract(&headers).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope
                .spawn(|| (0..500).for_each(|_| drop(tracer.span("c").child_of(&context).start())));
        }
    });
    let spans = memory.spans();
    let mut ids: Vec<_> = spans.iter().map(|span| span.view().span_id).collect();
    assert!(spans.iter().all(|span| span.view().parent_span_id == SpanId::new(8)));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2_000);
}

/// Defect 27: Go's wrapper for logs takes a failure to extract for a success, and the reverse.
#[test]
fn what_could_not_be_extracted_is_an_error_and_what_could_is_a_context() {
    let (tracer, _closer) = builder().null_reporter().build().unwrap();
    let map = |text: &str| HashMap::from([("uber-trace-id".to_owned(), text.to_owned())]);
    assert!(tracer.extract(&map("1:2:0:1")).is_ok());
    assert!(matches!(tracer.extract(&map("1:2:0")), Err(ExtractError::Malformed { parts: 3 })));
    let nothing = HashMap::<String, String>::new();
    assert!(matches!(tracer.extract(&nothing), Err(ExtractError::NotFound)));
}
