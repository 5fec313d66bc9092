//! The walk of a span: from a configuration to a datagram at an agent, and across two services.
//!
//! Read this first. Everything a tracer is for happens here once, and every field that arrives is
//! looked at.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::SOON;
use crate::support::agent::Agent;
use crate::support::read::{Log, Value};
use jaeger_client::{Configuration, ReporterConfig, SamplerConfig};

fn configured(service: &str, agent: &Agent) -> Configuration {
    Configuration {
        service_name: service.to_owned(),
        sampler: SamplerConfig { kind: "const".to_owned(), param: 1.0, ..SamplerConfig::default() },
        reporter: ReporterConfig {
            local_agent_host_port: agent.address(),
            // Long, so that what arrives was sent by the flush or the close.
            buffer_flush_interval: Duration::from_secs(3600),
            ..ReporterConfig::default()
        },
        ..Configuration::default()
    }
}

#[test]
fn a_span_and_its_child_arrive_at_the_agent_with_all_they_were_given() {
    let agent = Agent::start();
    let configuration = Configuration {
        trace_id_128bit: Some(true),
        tags: vec![("region".to_owned(), "eu".into()), ("replicas".to_owned(), 3.into())],
        ..configured("checkout", &agent)
    };
    let before = micros();
    let (tracer, closer) = configuration.new_tracer().unwrap();

    let parent = tracer.start_span("charge");
    parent.set_baggage_item("customer", "4711");
    let child = tracer
        .span("store")
        .child_of(&parent)
        .tag("span.kind", "client")
        .tag("text", "žluťoučký")
        .tag("yes", true)
        .tag("no", false)
        .tag("int", -5)
        .tag("uint", u64::MAX)
        .tag("double", 0.25)
        .tag("bytes", &[0_u8, 255, 7])
        .start();
    child.log(&[("event", "retry".into()), ("attempt", 2.into())]);
    child.set_operation_name("store order");
    assert_eq!(child.baggage_item("customer").as_deref(), Some("4711"));
    let (parent_context, child_context) = (parent.context(), child.context());
    child.finish();
    parent.finish();

    let report = tracer.flush(SOON);
    assert!(report.complete, "{report}");
    assert_eq!((report.stats.started, report.stats.sent), (2, 2), "{report}");
    let after = micros();

    let batch = agent.batch();
    assert_eq!((batch.sequence_id, batch.seq_no), (1, Some(1)));
    assert_eq!(batch.lost, Some((0, 0, 0)));
    assert_eq!(batch.service, "checkout");
    assert_eq!(batch.tag("region"), Some(&Value::from("eu")));
    assert_eq!(batch.tag("replicas"), Some(&Value::Long(3)));
    let version = concat!("Rust-", env!("CARGO_PKG_VERSION"));
    assert_eq!(batch.tag("jaeger.version"), Some(&Value::from(version)));
    assert!(matches!(batch.tag("hostname"), Some(Value::Str(name)) if !name.is_empty()));
    let Some(Value::Str(ip)) = batch.tag("ip") else { panic!("no ip") };
    assert!(ip.parse::<std::net::IpAddr>().is_ok(), "{ip}");
    let Some(Value::Str(uuid)) = batch.tag("client-uuid") else { panic!("no client-uuid") };
    assert!(u64::from_str_radix(uuid, 16).is_ok(), "{uuid}");

    let [store, charge] = batch.spans.as_slice() else { panic!("{:?}", batch.spans) };
    let trace = (parent_context.trace_id().high(), parent_context.trace_id().low());
    assert!(trace.0 != 0, "128 bits were asked for");
    assert_eq!((charge.trace, charge.id, charge.parent), (trace, trace.1, 0));
    assert_eq!((charge.name.as_str(), charge.flags), ("charge", 1));
    assert!(charge.references.is_empty());
    let sampler = [
        ("sampler.type".to_owned(), "const".into()),
        ("sampler.param".to_owned(), Value::Bool(true)),
    ];
    assert_eq!(charge.tags, sampler);
    let [baggage] = charge.logs.as_slice() else { panic!("{:?}", charge.logs) };
    let fields = [("event", "baggage"), ("key", "customer"), ("value", "4711")];
    let fields = fields.map(|(key, value)| (key.to_owned(), Value::from(value)));
    assert_eq!(baggage.fields, fields);

    assert_eq!((store.trace, store.parent), (trace, charge.id));
    assert_eq!(store.id, child_context.span_id().get());
    assert_eq!((store.name.as_str(), store.flags), ("store order", 1));
    assert_eq!(store.references, [(false, trace, charge.id)]);
    let tags = [
        ("span.kind", "client".into()),
        ("text", "žluťoučký".into()),
        ("yes", Value::Bool(true)),
        ("no", Value::Bool(false)),
        ("int", Value::Long(-5)),
        ("uint", Value::Long(-1)),
        ("double", Value::Double(0.25)),
        ("bytes", Value::Binary(vec![0, 255, 7])),
    ];
    assert_eq!(store.tags, tags.map(|(key, value)| (key.to_owned(), value)));
    let [Log { micros: logged, fields }] = store.logs.as_slice() else { panic!("{store:?}") };
    let expected = [("event", "retry".into()), ("attempt", Value::Long(2))];
    assert_eq!(*fields, expected.map(|(key, value)| (key.to_owned(), value)));

    for span in [charge, store] {
        assert!(before <= span.start && span.start + span.duration <= after, "{span:?}");
    }
    assert!(store.start <= *logged && *logged <= store.start + store.duration, "{store:?}");
    assert!(charge.start <= store.start && store.duration <= charge.duration);

    let report = closer.close(SOON);
    assert!(report.complete && report.stats.is_balanced(), "{report}");
    assert_eq!(report.stats.datagrams, 1, "there was nothing left to send");
    assert!(agent.rest().is_empty());
}

/// Microseconds since the Unix epoch.
fn micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

/// Calls another service: a client span, and headers to carry it.
#[cfg(feature = "http")]
fn call(tracer: &jaeger_client::Tracer) -> (jaeger_client::Span, http::HeaderMap) {
    let span = tracer.span("GET /stock").tag("span.kind", "client").start();
    span.set_baggage_item("user", "jan novák & co");
    let mut headers = http::HeaderMap::new();
    tracer.inject(&span.context(), &mut headers);
    (span, headers)
}

#[cfg(feature = "http")]
#[test]
fn a_trace_goes_on_in_the_next_service() {
    let agent = Agent::start();
    let (shop, shop_closer) = configured("shop", &agent).new_tracer().unwrap();
    let (stock, stock_closer) = configured("stock", &agent).new_tracer().unwrap();

    let (client, headers) = call(&shop);
    assert_eq!(headers["uber-trace-id"], client.context().to_string());
    assert_eq!(headers["uberctx-user"], "jan%20nov%C3%A1k%20%26%20co");

    let context = stock.extract(&headers).unwrap();
    assert!(context.is_remote() && context.is_sampled());
    let server = stock.span("stock").child_of(context).tag("span.kind", "server").start();
    assert_eq!(server.baggage_item("user").as_deref(), Some("jan novák & co"));
    drop((server, client));

    for closer in [stock_closer, shop_closer] {
        let report = closer.close(SOON);
        assert!(report.complete && report.stats.sent == 1, "{report}");
    }
    let (stock, shop) = (agent.batch(), agent.batch());
    assert_eq!((stock.service.as_str(), shop.service.as_str()), ("stock", "shop"));
    assert_ne!(stock.tag("client-uuid"), shop.tag("client-uuid"));
    let (server, client) = (&stock.spans[0], &shop.spans[0]);
    assert_eq!(server.trace, client.trace);
    assert_eq!((server.parent, client.parent), (client.id, 0));
    assert_eq!(server.references, [(false, client.trace, client.id)]);
    assert_eq!(client.trace.1, client.id, "the first span of a trace has its id");
    assert!(server.own_tags() == server.tags, "only the first service asks its sampler");
}
