//! What limits applications: which baggage may be set.

#![cfg(feature = "remote-sampler")]

use std::sync::Arc;
use std::time::Duration;

use crate::support::read::{Value, finished};
use crate::support::strategies::{Strategies, StrategyResponse};
use crate::support::{SOON, eventually, fastest_of_three, memory_logger};
use jaeger_client::policy::{
    BaggageRestriction, BaggageRestrictionManager, RemoteBaggageRestrictionManager,
};
use jaeger_client::{
    BaggageRestrictionsConfig, Configuration, InMemoryReporter, NullLogger, Span, Tracer,
};

const OFTEN: Duration = Duration::from_millis(20);
/// How long a request to the agent may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

fn restrictions(server: &Strategies) -> BaggageRestrictionsConfig {
    BaggageRestrictionsConfig {
        host_port: server.host_port(),
        refresh_interval: OFTEN,
        ..BaggageRestrictionsConfig::default()
    }
}

fn manager(config: &BaggageRestrictionsConfig) -> Arc<RemoteBaggageRestrictionManager> {
    Arc::new(RemoteBaggageRestrictionManager::new("a service", config).unwrap())
}

fn restricted(
    manager: impl BaggageRestrictionManager + 'static,
) -> (Tracer, jaeger_client::Closer, InMemoryReporter) {
    let reporter = InMemoryReporter::new();
    let builder = Tracer::builder("svc").logger(NullLogger).in_memory(&reporter);
    let (tracer, closer) = builder.baggage_restriction_manager(manager).build().unwrap();
    (tracer, closer, reporter)
}

/// The items of the span, in short.
fn items(span: &Span, keys: &[&str]) -> String {
    let item = |key: &&str| Some(format!("{key}={}", span.baggage_item(key)?));
    keys.iter().filter_map(item).collect::<Vec<_>>().join(",")
}

/// Returns what the only span logged, in short.
fn logged(reporter: &InMemoryReporter) -> Vec<String> {
    let field = |(key, value): &(String, Value)| match value {
        Value::Str(text) => format!("{key}={text}"),
        other => format!("{key}={other:?}"),
    };
    let line = |fields: &[(String, Value)]| fields.iter().map(field).collect::<Vec<_>>().join(" ");
    finished(reporter)[0].logs.iter().map(|log| line(&log.fields)).collect()
}

#[derive(Debug)]
struct OnlyTenant;

impl BaggageRestrictionManager for OnlyTenant {
    fn restriction(&self, service: &str, key: &str) -> BaggageRestriction {
        assert_eq!(service, "svc");
        if key == "tenant" { BaggageRestriction::up_to(4) } else { BaggageRestriction::DENIED }
    }
}

#[test]
fn what_may_not_be_set_is_not_stored_but_counted_and_logged_as_invalid() {
    let (tracer, _closer, reporter) = restricted(OnlyTenant);
    let span = tracer.start_span("op");
    span.set_baggage_item("tenant", "ab").set_baggage_item("tenant", "éééé");
    span.set_baggage_item("user", "me");
    assert_eq!(items(&span, &["tenant", "user"]), "tenant=éé");
    assert_eq!(tracer.stats().baggage_limited, 2);
    span.finish();
    assert_eq!(
        logged(&reporter),
        [
            "event=baggage key=tenant value=ab",
            "event=baggage key=tenant value=éé override=true truncated=true",
            "event=baggage key=user value=me invalid=true",
        ]
    );
}

#[test]
fn a_span_that_is_not_sampled_is_restricted_all_the_same() {
    let never = jaeger_client::sampler::ConstSampler::new(false);
    let builder = Tracer::builder("svc").sampler(never).null_reporter();
    let (tracer, _closer) = builder.baggage_restriction_manager(OnlyTenant).build().unwrap();
    let span = tracer.start_span("op");
    span.set_baggage_item("tenant", "abcdef").set_baggage_item("user", "me");
    assert_eq!(items(&span, &["tenant", "user"]), "tenant=abcd");
}

#[test]
fn after_the_first_response_only_listed_keys_may_be_set() {
    let server = Strategies::start(r#"[{"baggageKey":"tenant","maxValueLength":3}]"#);
    let manager = manager(&restrictions(&server));
    let (tracer, closer, _) = restricted(Arc::clone(&manager));
    eventually(|| manager.updates().ok > 0);
    let span = tracer.start_span("op");
    span.set_baggage_item("tenant", "abcdef").set_baggage_item("user", "me");
    assert_eq!(items(&span, &["tenant", "user"]), "tenant=abc");
    assert_eq!(server.requested()[0], "GET /baggageRestrictions?service=a%20service HTTP/1.1");

    server.set_body(r#"[{"baggageKey":"user","maxValueLength":9}]"#);
    eventually(|| manager.restriction("", "user").is_allowed);
    assert!(!manager.restriction("", "tenant").is_allowed);
    eventually(|| tracer.baggage_restriction_updates().ok >= 2);
    let _ = closer.close(SOON);
}

#[test]
fn before_the_first_response_all_or_no_keys_may_be_set_as_configured() {
    let server = Strategies::start("");
    server.set(StrategyResponse::Body(500, "not yet".into()));
    for denies in [false, true] {
        let manager = manager(&BaggageRestrictionsConfig {
            deny_baggage_on_initialization_failure: denies,
            ..restrictions(&server)
        });
        let (_tracer, _closer, _) = restricted(Arc::clone(&manager));
        eventually(|| manager.updates().err > 0);
        let allowed = manager.restriction("svc", "any");
        let expected =
            if denies { BaggageRestriction::DENIED } else { BaggageRestriction::up_to(2048) };
        assert_eq!(allowed, expected);
    }
}

#[test]
fn a_response_that_is_no_list_is_refused_counted_logged_and_the_last_list_stays() {
    let server = Strategies::start(r#"[{"baggageKey":"tenant","maxValueLength":3}]"#);
    let (manager, log) = (manager(&restrictions(&server)), memory_logger());
    let builder = Tracer::builder("svc").logger(Arc::clone(&log)).null_reporter();
    let (_tracer, _closer) =
        builder.baggage_restriction_manager(Arc::clone(&manager)).build().unwrap();
    eventually(|| manager.updates().ok > 0);
    for response in [
        // What later versions of Jaeger answer here.
        StrategyResponse::Body(200, r#"{"strategyType":"PROBABILISTIC"}"#.into()),
        StrategyResponse::Body(200, "<html>".into()),
        StrategyResponse::Body(503, "[]".into()),
        StrategyResponse::Endless(2 << 20),
    ] {
        server.set(response);
        // Two more, so that at least one was asked after the response had been put in.
        let before = manager.updates().err;
        eventually(|| manager.updates().err >= before + 2);
        assert_eq!(manager.restriction("", "tenant"), BaggageRestriction::up_to(3));
        assert!(!manager.restriction("", "user").is_allowed);
    }
    eventually(|| log.has("no baggage restrictions from http://127.0.0.1"));
    assert!(log.has("the response is not a list"), "{:?}", log.all());
}

#[test]
fn a_close_does_not_wait_for_an_agent_that_says_nothing() {
    let took = fastest_of_three(|| {
        let server = Strategies::start("");
        server.set(StrategyResponse::Silence);
        let (_tracer, closer, _) = restricted(manager(&restrictions(&server)));
        eventually(|| !server.requested().is_empty());
        let _ = closer.close(SOON);
    });
    assert!(took < FETCH_TIMEOUT, "{took:?}");
}

#[test]
fn polling_ends_when_the_last_tracer_is_closed() {
    let server = Strategies::start("[]");
    let manager = manager(&restrictions(&server));
    let (_first, first, _) = restricted(Arc::clone(&manager));
    let (_second, second, _) = restricted(Arc::clone(&manager));
    let _ = first.close(SOON);
    let requested = server.requested().len();
    eventually(|| server.requested().len() > requested + 1);
    let _ = second.close(SOON);
    // The thread held the other handle on what they share.
    eventually(|| {
        let before = server.requested().len();
        std::thread::sleep(OFTEN * 5);
        server.requested().len() == before
    });
}

#[test]
fn restrictions_come_from_configuration_too() {
    let server = Strategies::start(r#"[{"baggageKey":"k","maxValueLength":1}]"#);
    let configuration = Configuration {
        baggage_restrictions: Some(restrictions(&server)),
        ..Configuration::new("svc")
    };
    let (tracer, _closer) = configuration.new_tracer().unwrap();
    eventually(|| tracer.baggage_restriction_updates().ok > 0);
    let span = tracer.start_span("op");
    span.set_baggage_item("k", "vv").set_baggage_item("l", "v");
    assert_eq!(items(&span, &["k", "l"]), "k=v");

    let nowhere = BaggageRestrictionsConfig { host_port: String::new(), ..Default::default() };
    let configuration =
        Configuration { baggage_restrictions: Some(nowhere), ..Configuration::new("svc") };
    let error = configuration.new_tracer().map(drop).unwrap_err().to_string();
    assert!(error.contains("baggage_restrictions.host_port"), "{error}");
}
