//! What goes wrong in jaeger-client-go 2.30 and must not here, as far as no other test has it: the
//! numbers are those of PARITY.md, which names the test of each.

use std::collections::{BTreeMap, HashMap};
use std::net::UdpSocket;
#[cfg(feature = "remote-sampler")]
use std::sync::Arc;
use std::thread;

use crate::support::agent::Agent;
#[cfg(feature = "remote-sampler")]
use crate::support::agent::nobody;
use crate::support::read::{Batch, Value, finished};
use crate::support::transport::limited;
use crate::support::{SOON, builder};
#[cfg(feature = "remote-sampler")]
use jaeger_client::policy::{
    BaggageRestrictionManager, DebugThrottler, RemoteBaggageRestrictionManager, RemoteThrottler,
};
use jaeger_client::propagation::HttpHeaders;
use jaeger_client::{
    AgentProtocol, Destination, ExtractError, InMemoryReporter, SpanContext, SpanId, TraceId,
    Tracer,
};
#[cfg(feature = "remote-sampler")]
use jaeger_client::{BaggageRestrictionsConfig, ThrottlerConfig};

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

/// Defect 3: in Go each of these calls ends the process.
#[test]
fn a_context_of_a_debug_id_or_baggage_alone_has_every_accessor() {
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
fn what_zipkin_gets_changes_nothing_for_other_destinations() {
    let (agent, memory) = (Agent::start(), InMemoryReporter::new());
    let (tracer, closer) = builder()
        .agent(agent.address())
        .agent_protocol(AgentProtocol::ZipkinCompact)
        .add_destination(Destination::agent(agent.address(), AgentProtocol::ZipkinCompact))
        .add_destination(Destination::in_memory(&memory))
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

/// Defect 6: in Go a second close of a tracer that asks an agent panics. Here a tracer's closer is
/// used up by its close; what it asks may be closed any number of times.
#[cfg(feature = "remote-sampler")]
#[test]
fn pollers_may_be_closed_repeatedly() {
    let (host_port, service) = (nobody(), "svc");
    let baggage = BaggageRestrictionsConfig { host_port: host_port.clone(), ..Default::default() };
    let baggage = Arc::new(RemoteBaggageRestrictionManager::new(service, &baggage).unwrap());
    let throttler = ThrottlerConfig { host_port, ..Default::default() };
    let throttler = Arc::new(RemoteThrottler::new(service, &throttler).unwrap());
    for _ in 0..2 {
        let builder = builder().baggage_restriction_manager(Arc::clone(&baggage));
        let builder = builder.debug_throttler(Arc::clone(&throttler)).null_reporter();
        let (_tracer, closer) = builder.build().unwrap();
        let _ = closer.close(SOON);
        baggage.close();
        throttler.close();
    }
    assert!(baggage.restriction(service, "key").is_allowed);
    assert!(!throttler.is_allowed("op"));
}

/// Defect 19: in Go a span that fits but for the process is taken, is lost when it is sent, and the
/// span after it is blamed and lost too.
#[test]
fn the_process_counts_in_sizes_and_no_span_pays_for_another() {
    const MAX: usize = 65_000;
    let (transport, taken) = limited(MAX);
    let (tracer, closer) = builder()
        .max_tag_value_length(MAX)
        .tag("build", "p".repeat(30_000))
        .transport(transport)
        .build()
        .unwrap();
    for size in [1, 34_000, 1, 40_000, 1, 64_000, 1] {
        tracer.span("op").tag("t", "x".repeat(size)).start().finish();
    }
    let report = closer.close(SOON);
    let stats = report.stats;
    assert_eq!((stats.sent, stats.dropped.total(), stats.trimmed), (7, 0, 2), "{report}");
    assert!(taken.sizes().iter().all(|bytes| *bytes <= MAX), "{:?}", taken.sizes());
    let trimmed: Vec<_> =
        taken.spans().iter().map(|span| span.tag("jaeger.trimmed").is_some()).collect();
    assert_eq!(trimmed, [false, false, false, true, false, true, false]);
}

/// Defect 23: in Go a `hostname` of one's own is sent beside that of the host, an `ip` that is no
/// text panics at the start, and an agent with an IPv6 address cannot be named.
#[test]
fn tags_of_the_host_may_be_given_in_any_type_and_agents_have_ipv6_addresses() {
    let (transport, taken) = limited(65_000);
    let builder = builder().tag("hostname", "mine").tag("ip", 7).tag("jaeger.version", true);
    let (tracer, closer) = builder.transport(transport).build().unwrap();
    tracer.start_span("op").finish();
    let _ = closer.close(SOON);
    let process = &taken.batches()[0].tags;
    let given = [("hostname", "mine".into()), ("ip", Value::Long(7))];
    for (key, value) in given.into_iter().chain([("jaeger.version", Value::Bool(true))]) {
        let found: Vec<_> = process.iter().filter(|tag| tag.0 == key).collect();
        assert_eq!(found, [&(key.to_owned(), value)]);
    }

    // Where the machine has such addresses.
    let Ok(agent) = UdpSocket::bind("[::1]:0") else { return };
    agent.set_read_timeout(Some(SOON)).unwrap();
    let address = agent.local_addr().unwrap().to_string();
    assert!(address.starts_with("[::1]:"), "{address}");
    let (tracer, closer) = crate::support::builder().agent(address).build().unwrap();
    tracer.start_span("op").finish();
    assert_eq!(closer.close(SOON).stats.sent, 1);
    let mut datagram = vec![0; 65_536];
    let bytes = agent.recv(&mut datagram).unwrap();
    assert_eq!(Batch::read(&datagram[..bytes]).spans.len(), 1);
}
