//! The sampling strategies of real servers, from a file and adaptive ones, are in force within one poll.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests wait and start threads; a step that fails is a test that fails"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use interop::backend::{Backend, Kind};
use interop::{opt_in, query, span};
use jaeger_client::sampler::{FetchOutcome, OperationRule, Rule};
use jaeger_client::{Closer, Configuration, ReporterConfig, SamplerConfig, Tracer};
use serde_json::{Value, json};

#[test]
fn strategies_of_a_file_on_jaeger_v1_are_in_force_within_one_poll() {
    // The agent's root path has the old form, with a number as `strategyType`.
    follows_the_file("sampling v1", Kind::JaegerV1, &["/sampling", "/"]);
}

#[test]
fn strategies_of_a_file_on_jaeger_v2_are_in_force_within_one_poll() {
    follows_the_file("sampling v2", Kind::JaegerV2, &["/sampling"]);
}

/// Changes the file several times; all tracers must apply each change.
fn follows_the_file(test: &str, kind: Kind, paths: &[&str]) {
    let file = File::new(test);
    file.write(&json!({"type": "probabilistic", "param": 0.25}));
    let option = format!("strategies={}", file.path.display());
    let found = opt_in::set_up(test, || Backend::start_with(kind, &[&option]));
    let Some(backend) = found else { return };
    let clients: Vec<_> = paths.iter().map(|path| Client::new(&backend, path)).collect();
    for client in &clients {
        client.follows(&Rule::Probabilistic { rate: 0.25 }, |response| {
            response["probabilisticSampling"]["samplingRate"] == 0.25
        });
    }

    file.write(&json!({"type": "ratelimiting", "param": 7}));
    for client in &clients {
        client.follows(&Rule::RateLimiting { max_traces_per_second: 7.0 }, |response| {
            response["rateLimitingSampling"]["maxTracesPerSecond"] == 7
        });
    }

    file.write(&json!({
        "type": "probabilistic",
        "param": 0.125,
        "operation_strategies": [
            {"operation": "always", "type": "probabilistic", "param": 1},
            {"operation": "never", "type": "probabilistic", "param": 0},
        ],
    }));
    for client in &clients {
        client.follows_operations();
    }

    file.write(&json!({"type": "probabilistic", "param": 1}));
    for client in clients {
        client.follows(&Rule::Probabilistic { rate: 1.0 }, |response| {
            response["operationSampling"].is_null()
        });
        client.names_itself_where_it_is_stored(&backend);
    }
}

/// A tracer that polls the server, and the URL that it polls.
struct Client {
    tracer: Tracer,
    closer: Closer,
    url: String,
}

impl Client {
    fn new(backend: &Backend, path: &str) -> Self {
        let url = format!("http://{}{path}", backend.address("sampling"));
        let configuration = Configuration {
            sampler: SamplerConfig {
                sampling_server_url: url.clone(),
                sampling_refresh_interval: POLL,
                ..SamplerConfig::new("remote")
            },
            reporter: ReporterConfig {
                local_agent_host_port: backend.address("compact").to_owned(),
                ..ReporterConfig::default()
            },
            ..Configuration::new(SERVICE)
        };
        let (tracer, closer) = configuration.new_tracer().unwrap();
        Self { tracer, closer, url }
    }

    fn rule(&self) -> Rule {
        self.tracer.sampler_status().rule
    }

    /// Waits until the server's response is as expected; then the rule must be in force soon.
    fn follows(&self, rule: &Rule, so: impl Fn(&Value) -> bool) {
        let requested = format!("{}?service={SERVICE}", self.url);
        wait("the server's own answer", || {
            let response = query::get(&requested, &[]).unwrap();
            so(&serde_json::from_str(&response.body).unwrap())
        });
        let changed = Instant::now();
        wait("the rule", || self.rule() == *rule);
        let took = changed.elapsed();
        opt_in::print_line(&format!("{} of {}: in force after {took:.1?}", rule, self.url));
        let remote = self.tracer.sampler_status().remote.unwrap();
        assert_eq!(remote.last_fetch.unwrap().outcome, FetchOutcome::Updated);
        assert_eq!((remote.queries_err, remote.updates_err), (0, 0));
    }

    fn follows_operations(&self) {
        let rule = wait_for("a rule per operation", || match self.rule() {
            Rule::PerOperation { default_rate, operations, .. } => Some((default_rate, operations)),
            _ => None,
        });
        let operations = ["always", "never"].map(|operation| {
            OperationRule::new(operation, f64::from(u8::from(operation == "always")), 0.0)
        });
        assert_eq!(rule, (0.125, operations.to_vec()));
        let sampled = |operation: &'static str| {
            (0..100).filter(|_| self.tracer.start_span(operation).is_sampled()).count()
        };
        assert_eq!((sampled("always"), sampled("never")), (100, 0));
        // 1,000 traces with a probability of 1/8. One of ten billion runs is outside of this.
        let other = (0..1000).filter(|_| self.tracer.start_span("other").is_sampled()).count();
        assert!((60..=200).contains(&other), "{other}");
    }

    /// Asserts that the stored root span has the sampler's tags.
    fn names_itself_where_it_is_stored(self, backend: &Backend) {
        let root = self.tracer.start_span("named");
        let trace_id = root.context().trace_id().to_string();
        root.finish();
        drop(root);
        assert!(self.closer.close(TIMEOUT).complete);
        let spans = backend.query().wait(&trace_id, 1, Instant::now() + TIMEOUT).unwrap();
        assert_eq!(span::tag(&spans[0], "sampler.type"), "probabilistic");
        assert_eq!(span::tag(&spans[0], "sampler.param"), 1.0);
    }
}

#[test]
fn adaptive_sampling_moves_the_share_of_a_busy_operation() {
    let start = || Backend::start_with(Kind::JaegerV1, &["sampling=adaptive"]);
    let Some(backend) = opt_in::set_up("adaptive sampling", start) else { return };
    let client = Client::new(&backend, "/sampling");
    let began = Instant::now();
    let share = |wanted: &str| match client.rule() {
        Rule::PerOperation { operations, .. } => {
            operations.into_iter().find(|rule| rule.operation == wanted).map(|rule| rule.rate)
        }
        _ => None,
    };
    // The server's target is one trace a second for each operation; the busy one has twenty.
    let moved = |from: f64| {
        wait_within(ADAPTIVE, "the share of the busy operation to move", || {
            for _ in 0..5 {
                drop(client.tracer.start_span("busy"));
            }
            thread::sleep(Duration::from_millis(240));
            share("busy").filter(|rate| *rate < from)
        })
    };
    let first = moved(1.0);
    let took = began.elapsed();
    let second = moved(first);
    opt_in::print_line(&format!(
        "adaptive: {first:.4} after {took:.1?}, {second:.4} after {:.1?}",
        began.elapsed()
    ));
    let remote = client.tracer.sampler_status().remote.unwrap();
    assert_eq!((remote.queries_err, remote.updates_err), (0, 0), "{remote}");
    let is_dropped = (0..1_000_000).any(|_| !client.tracer.start_span("busy").is_sampled());
    assert!(is_dropped, "the share in force is {second}");
    assert!(client.closer.close(TIMEOUT).complete);
}

/// The file of strategies, as Jaeger's `--sampling.strategies-file` has it.
struct File {
    path: PathBuf,
}

impl File {
    fn new(test: &str) -> Self {
        let name = format!("jaeger-client-{}-{}.json", test.replace(' ', "-"), process::id());
        Self { path: env::temp_dir().join(name) }
    }

    fn write(&self, strategy: &Value) {
        let mut service = strategy.clone();
        service["service"] = SERVICE.into();
        let all = json!({
            "service_strategies": [service],
            "default_strategy": {"type": "probabilistic", "param": 0.5},
        });
        // Atomically, as the server may read it at any moment.
        let part = Path::new(&self.path).with_extension("part");
        fs::write(&part, all.to_string()).unwrap();
        fs::rename(&part, &self.path).unwrap();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // A file that is left does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

fn wait(what: &str, so: impl Fn() -> bool) {
    wait_for(what, || so().then_some(()));
}

fn wait_for<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    wait_within(TIMEOUT, what, found)
}

fn wait_within<T>(limit: Duration, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

const SERVICE: &str = "sampled-by-server";
const POLL: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(60);

/// The server calculates from the spans of about the last half minute, and changes in steps.
const ADAPTIVE: Duration = Duration::from_secs(120);
