//! The remote sampler: its polls, the strategies that it applies, and the responses that it ignores.

#![cfg(feature = "remote-sampler")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::strategies::{Script, Strategies, StrategyResponse};
use crate::support::{MemoryLogger, SOON, eventually, timed};
use jaeger_client::encoding::ValueView;
use jaeger_client::sampler::{
    ConstSampler, Decision, FetchError, FetchOutcome, ManualSpan, OperationRule, PrioritySampler,
    ProbabilisticSampler, RateLimitingSampler, RemoteSampler, RemoteStatus, Rule, Sampler,
    SamplingParameters, StrategySource,
};
use jaeger_client::{
    Closer, Configuration, InMemoryReporter, Logger, NullLogger, SamplerConfig, SpanContext,
    SpanId, SystemClock, TraceId, Tracer,
};

const HALF: &str =
    r#"{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.5}}"#;
const ALL: &str = r#"{"probabilisticSampling":{"samplingRate":1}}"#;
const FIVE: &str = r#"{"strategyType":1,"rateLimitingSampling":{"maxTracesPerSecond":5}}"#;
const OFTEN: Duration = Duration::from_millis(20);
const NEVER: Duration = Duration::from_secs(3600);
/// Long enough for a response on a busy machine, and short enough to wait for its end.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

fn share(rate: f64) -> Rule {
    Rule::Probabilistic { rate }
}

fn remote(sampler: &dyn Sampler) -> RemoteStatus {
    sampler.status().remote.unwrap()
}

fn counts(status: &RemoteStatus) -> [u64; 4] {
    [status.queries_ok, status.queries_err, status.updates_ok, status.updates_err]
}

fn scripted(script: &Script) -> RemoteSampler {
    RemoteSampler::builder("svc").source(script.clone()).initial_rate(0.25).build().unwrap()
}

/// A tracer that asks this server, and its sampler.
fn requesting(server: &Strategies, every: Duration) -> (Tracer, Closer) {
    let configuration = Configuration {
        sampler: SamplerConfig {
            sampling_server_url: server.url(),
            sampling_refresh_interval: every,
            ..SamplerConfig::new("remote")
        },
        ..Configuration::new("shop & co")
    };
    configuration.new_tracer().unwrap()
}

#[test]
fn the_server_is_polled_at_once_and_then_at_each_interval() {
    let server = Strategies::start(HALF);
    let (tracer, _closer) = requesting(&server, NEVER);
    eventually(|| tracer.sampler_status().rule == share(0.5));
    assert_eq!(server.requested(), ["GET /sampling?service=shop%20%26%20co HTTP/1.1"]);

    let (tracer, _closer) = requesting(&server, OFTEN);
    eventually(|| tracer.sampler_status().rule == share(0.5));
    server.set_body(FIVE);
    eventually(|| {
        tracer.sampler_status().rule == Rule::RateLimiting { max_traces_per_second: 5.0 }
    });
    let status = tracer.sampler_status().remote.unwrap();
    assert_eq!((status.source.clone(), status.replaced), (server.url(), 1));
    assert_eq!(status.last_fetch.unwrap().outcome, FetchOutcome::Updated);
    assert!(status.last_update.is_some());
}

#[test]
fn until_there_is_a_response_the_initial_probability_is_in_force() {
    let server = Strategies::start(HALF);
    server.set(StrategyResponse::Silence);
    let (tracer, _closer) = requesting(&server, NEVER);
    eventually(|| !server.requested().is_empty());
    let status = tracer.sampler_status();
    assert_eq!(status.rule, share(0.001));
    assert_eq!(status.remote.unwrap().last_fetch, None);
    assert_eq!(SamplerConfig::new("remote").param, 0.001);
}

#[test]
fn an_agent_that_starts_late_is_found_before_the_interval_is_over() {
    let server = Strategies::start("");
    server.set(StrategyResponse::Body(503, "not yet".to_owned()));
    let (tracer, _closer) = requesting(&server, NEVER);
    eventually(|| !server.requested().is_empty());
    server.set_body(HALF);
    eventually(|| tracer.sampler_status().rule == share(0.5));
}

#[test]
fn responses_that_are_errors_or_too_long_or_missing_leave_the_strategy_as_it_is() {
    let server = Strategies::start(HALF);
    let sampler = RemoteSampler::builder("svc")
        .sampling_server_url(server.url())
        .fetch_timeout(FETCH_TIMEOUT)
        .build()
        .unwrap();
    assert_eq!(sampler.refresh(), FetchOutcome::Updated);

    let failed = |response, words: &str| {
        server.set(response);
        let (outcome, took) = timed(|| sampler.refresh());
        let FetchOutcome::Failed { error } = outcome else { panic!("{outcome:?}") };
        assert!(error.contains(words), "{error}");
        assert!(took < SOON / 2, "it took {took:?}");
        assert_eq!(sampler.status().rule, share(0.5));
    };
    failed(StrategyResponse::Body(500, "no strategy\n".to_owned()), "status 500: \"no strategy\"");
    failed(StrategyResponse::Endless(2 << 20), "longer than 1048576 bytes");
    failed(StrategyResponse::Silence, "timeout");
    assert_eq!(counts(&remote(&sampler)), [1, 3, 1, 0]);

    let nobody = RemoteSampler::builder("svc")
        .sampling_server_url(format!("http://{}", crate::support::agent::nobody()))
        .build()
        .unwrap();
    assert!(matches!(nobody.refresh(), FetchOutcome::Failed { .. }));
}

#[test]
fn responses_that_are_no_strategies_leave_the_strategy_as_it_is_and_are_counted() {
    let script = Script::default();
    let sampler = scripted(&script);
    script.then(Ok(HALF)).then(Ok("oops")).then(Ok("{}"));
    script.then(Ok(r#"{"operationSampling":{"perOperationStrategies":[{"operation":"a"}]}}"#));
    script.then(Ok(r#"{"probabilisticSampling":{"samplingRate":50}}"#)).then(Err("gone"));
    let outcomes: Vec<_> = (0..6).map(|_| sampler.refresh()).collect();
    assert!(matches!(outcomes[0], FetchOutcome::Updated));
    assert!(matches!(outcomes[1], FetchOutcome::Unreadable { .. }));
    assert!(outcomes[2..5].iter().all(|one| matches!(one, FetchOutcome::Refused { .. })));
    assert_eq!(outcomes[5], FetchOutcome::Failed { error: "gone".to_owned() });
    assert_eq!(sampler.status().rule, share(0.5));
    let status = remote(&sampler);
    // What could not be read counts as a refused update alone, as in Go.
    assert_eq!(counts(&status), [4, 1, 1, 4]);
    assert_eq!(status.last_fetch.unwrap().outcome, outcomes[5]);
}

#[test]
fn a_rate_out_of_range_is_refused_whatever_kind_is_in_force() {
    let script = Script::default();
    let sampler = scripted(&script);
    let broken = r#"{"probabilisticSampling":{"samplingRate":1.5}}"#;
    for before in [HALF, FIVE, r#"{"operationSampling":{"defaultSamplingProbability":0.1}}"#] {
        script.then(Ok(before)).then(Ok(broken));
        sampler.refresh();
        let rule = sampler.status().rule;
        assert!(matches!(sampler.refresh(), FetchOutcome::Refused { .. }));
        assert_eq!(sampler.status().rule, rule);
    }
}

#[test]
fn a_strategy_of_the_same_kind_does_not_give_the_allowance_out_anew() {
    let script = Script::default();
    let sampler = RemoteSampler::builder("svc")
        .source(script.clone())
        .initial(RateLimitingSampler::new(0.001).unwrap())
        .build()
        .unwrap();
    let sampled = |operation: &str| {
        let span = ManualSpan::new(TraceId::new(0, u64::MAX >> 1), operation);
        let mut span = span.with_clock(SystemClock::new());
        span.start(&sampler);
        span.is_sampled()
    };
    // At these rates the next trace would be sampled in minutes.
    assert!(sampled("op") && !sampled("op"));
    script.then(Ok(r#"{"rateLimitingSampling":{"maxTracesPerSecond":0.002}}"#));
    sampler.refresh();
    assert_eq!(sampler.status().rule, Rule::RateLimiting { max_traces_per_second: 0.002 });
    assert!(!sampled("op"));
    assert_eq!(remote(&sampler).replaced, 0);

    let operations = r#"{"operationSampling":{"defaultLowerBoundTracesPerSecond":0.001,
        "perOperationStrategies":[{"operation":"op","probabilisticSampling":{"samplingRate":0}}]}}"#;
    script.then(Ok(operations)).then(Ok(operations));
    sampler.refresh();
    assert!(sampled("op") && !sampled("op"));
    sampler.refresh();
    assert!(!sampled("op"));
    assert_eq!(remote(&sampler).replaced, 1);
    let Rule::PerOperation { operations, .. } = sampler.status().rule else { panic!() };
    assert_eq!(operations, [OperationRule::new("op", 0.0, 0.001)]);
}

/// Keeps the errors and, apart from them, what else a tracer says of itself.
#[derive(Debug, Default)]
struct Both {
    errors: MemoryLogger,
    log: MemoryLogger,
}

impl Logger for Both {
    fn error(&self, message: &str) {
        self.errors.error(message);
    }

    fn info(&self, message: &str) {
        self.log.error(message);
    }
}

#[test]
fn a_tracer_samples_the_very_traces_that_the_same_probability_would() {
    let script = Script::default();
    script.then(Ok(HALF));
    let remote = Arc::new(scripted(&script));
    assert_eq!(remote.refresh(), FetchOutcome::Updated);
    let half = ProbabilisticSampler::new(0.5).unwrap();
    let memory = InMemoryReporter::new();
    let builder = Tracer::builder("svc").sampler(Arc::clone(&remote)).logger(NullLogger);
    let (tracer, _closer) = builder.in_memory(&memory).build().unwrap();
    let mut sampled = 0;
    for _ in 0..1000 {
        let span = tracer.start_span("op");
        assert_eq!(span.is_sampled(), half.is_sampled(span.context().trace_id()));
        sampled += usize::from(span.is_sampled());
    }
    assert_eq!(memory.spans().len(), sampled);
    for span in memory.spans() {
        let tags: Vec<_> = span.view().tags().map(|tag| tag.value).collect();
        assert_eq!(tags, [ValueView::Str(b"probabilistic"), ValueView::Double(0.5)]);
    }
}

#[test]
fn a_shared_source_serves_two_samplers_under_its_name() {
    #[derive(Debug)]
    struct Half;
    impl StrategySource for Half {
        fn fetch(&self, _service_name: &str) -> Result<Vec<u8>, FetchError> {
            Ok(HALF.into())
        }
        fn name(&self) -> String {
            "a file".to_owned()
        }
    }
    let shared: Arc<dyn StrategySource> = Arc::new(Half);
    for _ in 0..2 {
        let builder = RemoteSampler::builder("svc").source(Arc::clone(&shared));
        let sampler = builder.build().unwrap();
        assert_eq!(sampler.refresh(), FetchOutcome::Updated);
        assert_eq!(sampler.status().remote.unwrap().source, "a file");
    }
}

#[test]
fn a_strategy_of_another_kind_decides_on_traces_that_the_probability_before_refused() {
    const ALL: [&str; 3] = [
        r#"{"rateLimitingSampling":{"maxTracesPerSecond":1000000}}"#,
        r#"{"operationSampling":{"defaultSamplingProbability":1,"perOperationStrategies":[]}}"#,
        r#"{"probabilisticSampling":{"samplingRate":1}}"#,
    ];
    let none = r#"{"probabilisticSampling":{"samplingRate":0}}"#;
    // The tracer is built last: it polls by itself.
    let sampled_after = |strategies: &[&'static str]| {
        let script = Script::default();
        let remote = scripted(&script);
        for strategy in strategies {
            script.then(Ok(strategy));
            assert_eq!(remote.refresh(), FetchOutcome::Updated, "{strategy}");
        }
        let builder = Tracer::builder("svc").sampler(remote).logger(NullLogger);
        let (tracer, _closer) = builder.null_reporter().build().unwrap();
        (0..100).filter(|_| tracer.start_span("op").is_sampled()).count()
    };
    assert_eq!(sampled_after(&[none]), 0);
    for all in ALL {
        assert_eq!(sampled_after(&[none, all]), 100, "{all}");
        assert_eq!(sampled_after(&[all, none]), 0, "{all}");
    }
}

#[test]
fn errors_are_logged_and_so_is_the_end_of_them() {
    let server = Strategies::start("oops");
    let log = Arc::<Both>::default();
    let sampler = RemoteSampler::builder("svc")
        .sampling_server_url(server.url())
        .refresh_interval(OFTEN)
        .build()
        .unwrap();
    let builder = Tracer::builder("svc").sampler(sampler).logger(Arc::clone(&log));
    let (tracer, _closer) = builder.null_reporter().build().unwrap();
    let updates_err = || tracer.sampler_status().remote.unwrap().updates_err;
    eventually(|| updates_err() >= 3);
    let errors = || log.errors.all().len();
    assert_eq!(errors(), 1, "at most once a minute: {:?}", log.errors.all());
    assert!(log.errors.has("unreadable response"));
    assert!(log.errors.has("still sampling probabilistic: 0.001 of traces"));
    server.set(StrategyResponse::Body(500, String::new()));
    eventually(|| errors() == 2);
    server.set_body(HALF);
    eventually(|| log.log.has("sampling now probabilistic: 0.5 of traces"));
}

/// Gives no response until it is let go.
#[derive(Debug)]
struct Gate {
    entered: Sender<()>,
    open: Mutex<Receiver<()>>,
    ended: Mutex<Option<Sender<()>>>,
}

thread_local! {
    /// Dropped when the thread ends that asked.
    static ENDED: RefCell<Option<Sender<()>>> = const { RefCell::new(None) };
}

impl StrategySource for Gate {
    fn fetch(&self, _service_name: &str) -> Result<Vec<u8>, FetchError> {
        if let Some(ended) = self.ended.lock().unwrap().take() {
            ENDED.set(Some(ended));
        }
        let _ = self.entered.send(());
        let _ = self.open.lock().unwrap().recv();
        Ok(ALL.as_bytes().to_vec())
    }
}

/// Returns a gate that is open, with receivers that are notified of each poll, and of the end of the polling
/// thread.
fn open_gate() -> (Gate, Receiver<()>, Receiver<()>) {
    let (entered, has_entered) = channel();
    let (ended, has_ended) = channel();
    let open = Mutex::new(channel().1);
    (Gate { entered, open, ended: Mutex::new(Some(ended)) }, has_entered, has_ended)
}

#[test]
fn a_close_does_not_wait_for_a_hanging_request_whose_response_is_then_dropped() {
    let (entered, has_entered) = channel();
    let (let_go, open) = channel();
    let (ended, has_ended) = channel();
    let gate = Gate { entered, open: Mutex::new(open), ended: Mutex::new(Some(ended)) };
    let sampler = Arc::new(RemoteSampler::builder("svc").source(gate).build().unwrap());
    let builder = Tracer::builder("svc").sampler(Arc::clone(&sampler)).logger(NullLogger);
    let (_tracer, closer) = builder.null_reporter().build().unwrap();
    has_entered.recv_timeout(SOON).unwrap();
    let (report, took) = timed(|| closer.close(Duration::from_secs(1)));
    assert!(report.complete && took < SOON / 2, "{took:?}");
    assert_eq!(has_ended.try_recv(), Err(TryRecvError::Empty), "it is still under way");

    let_go.send(()).unwrap();
    assert_eq!(has_ended.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected));
    assert_eq!(sampler.status().rule, share(0.001));
    assert_eq!(counts(&remote(&*sampler)), [0; 4]);
}

#[test]
fn a_close_ends_the_thread_while_it_waits_for_the_next_poll() {
    let (gate, has_entered, has_ended) = open_gate();
    let sampler = RemoteSampler::builder("svc").source(gate).refresh_interval(NEVER);
    let builder = Tracer::builder("svc").sampler(sampler.build().unwrap()).null_reporter();
    let (tracer, closer) = builder.build().unwrap();
    has_entered.recv_timeout(SOON).unwrap();
    eventually(|| tracer.sampler_status().rule == share(1.0));
    drop(closer);
    assert_eq!(has_ended.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected));
    assert!(tracer.start_span("op").is_sampled(), "the last rule stays in force");
}

#[test]
fn a_sampler_shared_by_tracers_polls_until_the_last_of_them_is_closed() {
    let (gate, has_entered, has_ended) = open_gate();
    let builder = RemoteSampler::builder("svc").source(gate).refresh_interval(OFTEN);
    let sampler = Arc::new(builder.build().unwrap());
    let tracer = || {
        let builder = Tracer::builder("svc").sampler(Arc::clone(&sampler));
        builder.null_reporter().logger(NullLogger).build().unwrap().1
    };
    let (first, second) = (tracer(), tracer());
    drop(first);
    has_entered.try_iter().for_each(drop);
    (0..3).for_each(|_| has_entered.recv_timeout(SOON).unwrap());
    drop(second);
    assert_eq!(has_ended.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn a_source_that_panics_costs_one_poll_and_not_the_thread() {
    #[derive(Debug, Default)]
    struct Panics(Mutex<u32>);

    impl StrategySource for Panics {
        fn fetch(&self, _service_name: &str) -> Result<Vec<u8>, FetchError> {
            let mut requested = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            *requested += 1;
            assert!(*requested > 1, "the first question");
            Ok(ALL.as_bytes().to_vec())
        }
    }

    let builder = RemoteSampler::builder("svc").source(Panics::default());
    let builder = Tracer::builder("svc")
        .sampler(builder.refresh_interval(OFTEN).build().unwrap())
        .logger(NullLogger);
    let (tracer, _closer) = builder.null_reporter().build().unwrap();
    eventually(|| tracer.sampler_status().rule == share(1.0));
    assert_eq!(tracer.sampler_status().remote.unwrap().queries_err, 1);
}

#[test]
fn a_remote_sampler_may_stand_behind_others() {
    let server = Strategies::start(ALL);
    let remote = RemoteSampler::builder("svc").sampling_server_url(server.url()).build().unwrap();
    let sampler = PrioritySampler::new().then(ConstSampler::new(false)).then(remote).build();
    let builder = Tracer::builder("svc").sampler(sampler.unwrap()).null_reporter();
    let (tracer, _closer) = builder.build().unwrap();
    eventually(|| tracer.sampler_status().remote.is_some_and(|remote| remote.updates_ok == 1));
    assert!(tracer.start_span("op").is_sampled());
}

/// Samples, and counts how often it was asked.
#[derive(Debug, Default)]
struct Requested(AtomicUsize);

impl Sampler for Requested {
    fn on_create_span(&self, _span: &mut SamplingParameters<'_>) -> Decision {
        self.0.fetch_add(1, Ordering::SeqCst);
        Decision::new(true)
    }
}

#[test]
fn no_sampler_is_called_for_contexts_that_were_made_elsewhere_or_by_hand() {
    let requested = Arc::new(Requested::default());
    let builder = Tracer::builder("svc").sampler(Arc::clone(&requested)).null_reporter();
    let (tracer, _closer) = builder.build().unwrap();
    let context = SpanContext::new(TraceId::new(0, 1), SpanId::new(2), SpanId::NONE, 0);
    let mut carrier = HashMap::new();
    tracer.inject(&context, &mut carrier);
    let extracted = tracer.extract(&carrier).unwrap();
    for span in [
        tracer.span("itself").self_reference(&context).start(),
        tracer.span("child").child_of(&context).start(),
        tracer.span("follower").follows_from(&extracted).start(),
    ] {
        assert!(!span.is_sampled());
    }
    assert_eq!(requested.0.load(Ordering::SeqCst), 0);
    assert!(tracer.start_span("root").is_sampled());
    assert_eq!(requested.0.load(Ordering::SeqCst), 1);
}

#[test]
fn an_unusable_url_is_refused_when_the_sampler_is_built() {
    let error = |builder: jaeger_client::sampler::RemoteSamplerBuilder| {
        builder.build().map(drop).unwrap_err().to_string()
    };
    let url = |url: &str| error(RemoteSampler::builder("svc").sampling_server_url(url));
    for wrong in ["", "ftp://host/x", "http://", "http://a b/", "http://[::1"] {
        let message = url(wrong);
        assert!(
            message.contains("sampling_server_url") && message.contains("5778"),
            "{wrong}: {message}"
        );
    }
    for right in ["localhost:5778", "http://[::1]:5778/sampling", "https://host/sampling?x=1"] {
        let built = RemoteSampler::builder("svc").sampling_server_url(right).build().map(drop);
        if right.starts_with("https:") && !cfg!(feature = "tls") {
            let message = built.unwrap_err().to_string();
            assert!(
                message.contains("sampling_server_url") && message.contains("`tls`"),
                "{message}"
            );
        } else {
            assert!(built.is_ok(), "{right}: {built:?}");
        }
    }
    assert!(error(RemoteSampler::builder("")).contains("service_name"));
    assert!(error(RemoteSampler::builder("svc").initial_rate(10.0)).contains("from 0 to 1"));
}
