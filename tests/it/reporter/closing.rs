//! Tracers that are closed from wherever they are known, and those that need no closing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::support::agent::Agent;
use crate::support::{SOON, builder, eventually, memory_logger, timed};
use jaeger_client::transport::{Sent, Transport};
use jaeger_client::{Closer, ConfigError, Span, Tracer, TransportError};

static TRACING: OnceLock<(Tracer, Closer)> = OnceLock::new();

#[test]
fn a_tracer_in_a_static_is_closed_through_itself() {
    let agent = Agent::start();
    let (tracer, _) = TRACING.get_or_init(|| builder().agent(agent.address()).build().unwrap());
    tracer.start_span("last").finish();
    let report = tracer.close(SOON);
    assert!(report.complete && report.stats.sent == 1, "{report}");
    assert_eq!(agent.spans(1)[0].name, "last");
    tracer.start_span("late").finish();
    let again = tracer.close(SOON);
    assert!(again.complete && again.stats.is_balanced(), "{again}");
    assert_eq!((again.stats.sent, again.stats.dropped.closed), (1, 1), "{again}");
}

#[test]
fn whichever_way_a_tracer_is_closed_the_others_find_it_closed() {
    let log = memory_logger();
    let (tracer, closer) = builder().logger(Arc::clone(&log)).build().unwrap();
    let open = tracer.start_span("open");
    let _ = tracer.close(SOON);
    let report = closer.close(SOON);
    assert!(report.complete, "{report}");
    drop(open);
    let warnings = log.all().iter().filter(|line| line.contains("still open")).count();
    assert_eq!(warnings, 1, "{:?}", log.all());
}

#[cfg(feature = "tokio")]
#[test]
fn a_tracer_and_its_closer_close_without_a_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (tracer, closer) = builder().null_reporter().build().unwrap();
    assert!(runtime.block_on(tracer.close_async(SOON)).complete);
    assert!(runtime.block_on(closer.close_async(SOON)).complete);
}

/// Hangs until it is let go.
#[derive(Debug, Default)]
struct Hanging(Arc<Mutex<()>>);

impl Transport for Hanging {
    fn send(&mut self, _message: &[u8]) -> Result<Sent, TransportError> {
        drop(self.0.lock());
        Ok(Sent::OK)
    }
}

#[test]
fn a_closer_whose_tracer_was_closed_does_not_wait_again_when_it_is_dropped() {
    let hanging = Hanging::default();
    let gate = Arc::clone(&hanging.0);
    let held = gate.lock().unwrap();
    let builder = builder().transport(hanging).drop_timeout(Duration::from_secs(3600));
    let (tracer, closer) = builder.build().unwrap();
    tracer.start_span("waits").finish();
    assert!(!tracer.close(Duration::from_millis(1)).complete);
    let ((), took) = timed(|| drop(closer));
    assert!(took < SOON, "it waited for {took:?}");
    drop(held);
    eventually(|| tracer.stats().sent == 1);
}

#[test]
fn a_disabled_tracer_needs_no_result_and_passes_contexts_on() {
    let tracer = Tracer::disabled();
    let headers = HashMap::from([("uber-trace-id".to_owned(), "a:b:0:1".to_owned())]);
    let span = tracer.span("serve").child_of(tracer.extract(&headers).ok()).start();
    span.set_tag("a", 1).log_event("e");
    let mut onward = HashMap::new();
    tracer.inject(&span, &mut onward);
    assert_eq!(onward["uber-trace-id"], "000000000000000a:000000000000000b:0000000000000000:1");
    assert!(!span.is_recording() && !tracer.start_span("root").is_sampled());
    assert_eq!(span.child("below").tracer().unwrap().stats().sent, 0);
    drop(span);
    assert!(tracer.flush(SOON).complete && Tracer::disabled().close(SOON).complete);
    // It goes on as before, for whoever else has it.
    let span = Tracer::disabled().start_span("after");
    let scope = span.activate();
    assert!(Span::active().is_some());
    drop(scope);
}

#[test]
fn a_literal_of_a_configuration_needs_only_what_differs() -> Result<(), ConfigError> {
    use jaeger_client::{Configuration, PacingConfig, ReporterConfig, SamplerConfig};
    let configuration = Configuration {
        sampler: SamplerConfig { param: 0.5, ..SamplerConfig::new("probabilistic") },
        reporter: ReporterConfig {
            pacing: PacingConfig { burst_bytes: 70_000, ..PacingConfig::default() },
            ..ReporterConfig::default()
        },
        ..Configuration::new("svc")
    };
    let shown = format!("{configuration:?}");
    assert!(shown.contains("burst_bytes: 70000"), "{shown}");
    drop(configuration.new_tracer()?);
    Ok(())
}
