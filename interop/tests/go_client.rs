//! Traces that continue from jaeger-client-go in this client, and the other way round.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests wait and start threads; a step that fails is a test that fails"
)]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use interop::backend::Backend;
use interop::opt_in::{self, StepResult};
use interop::parentage;
use interop::peer::{self, Peer, in_query};
use interop::span;
use jaeger_client::propagation::HttpHeaders;
use jaeger_client::sampler::ConstSampler;
use jaeger_client::{Closer, Span, SpanContext, SpanId, TraceId, Tracer};
use serde_json::{Value, json};

#[test]
fn a_trace_begun_in_go_continues_in_rust() {
    let Some(both) = Both::start("go to rust", true, false) else { return };
    let baggage = in_query(&format!("user-id:{ODD}"));
    let next = in_query(&both.rust.url("/continue"));
    let go = both.go.post(&format!("/start?baggage={baggage}&baggage=plain:1&next={next}"));

    let rust = &go["next"];
    assert_eq!(rust["trace_id"], go["trace_id"], "{go}");
    assert_eq!(go["trace_id"].as_str().unwrap().len(), 32, "{go}");
    assert_eq!(rust["baggage"], json!({"user-id": ODD, "plain": "1"}), "{go}");
    assert_eq!(rust["baggage"], go["baggage"], "{go}");
    assert_eq!((&rust["sampled"], &rust["flags"]), (&json!(true), &json!(1)), "{go}");
    let wanted = [("go", "go-root"), ("go", "go-client"), ("rust", "rust-server")];
    let spans = both.stored(&go, &wanted);
    assert_eq!(spans[0]["span"], go["span_id"]);
    assert_eq!(spans[2]["span"], rust["span_id"]);
    assert_eq!(spans[1]["span"], rust["parent_id"]);
}

#[test]
fn a_trace_begun_in_rust_continues_in_go_and_comes_back() {
    let Some(both) = Both::start("rust to go", false, false) else { return };
    for wide in [false, true] {
        let (tracer, closer) = both.tracer(true, wide);
        let root = tracer.start_span("root");
        root.set_baggage_item("user-id", ODD);
        let go = both.through_go_to_rust(&tracer, &root);
        root.finish();
        assert!(closer.close(TIMEOUT).complete);

        let trace_id = root.context().trace_id().to_string();
        assert_eq!(trace_id.len(), if wide { 32 } else { 16 });
        for peer in [&go, &go["next"]] {
            assert_eq!(peer["trace_id"], trace_id.as_str(), "{go}");
            assert_eq!(peer["baggage"], json!({"user-id": ODD}), "{go}");
            assert_eq!(peer["flags"], 1, "{go}");
        }
        assert_eq!(go["parent_id"], root.context().span_id().to_string(), "{go}");
        let spans = both.stored(
            &go,
            &[("test", "root"), ("go", "go-server"), ("go", "go-client"), ("rust", "rust-server")],
        );
        assert_eq!(spans[3]["span"], go["next"]["span_id"]);
    }
}

#[test]
fn a_trace_that_is_not_sampled_stays_so_in_both() {
    let Some(both) = Both::start("not sampled", true, true) else { return };
    let next = in_query(&both.rust.url("/continue"));
    let from_go = both.go.post(&format!("/start?sampled=0&baggage=k:v&next={next}"));
    let (tracer, closer) = both.tracer(false, true);
    let root = tracer.start_span("root");
    root.set_baggage_item("k", "v");
    let from_rust = both.through_go_to_rust(&tracer, &root);
    root.finish();
    assert_eq!(closer.close(TIMEOUT).stats.sent, 0);

    for peer in [&from_go, &from_go["next"], &from_rust, &from_rust["next"]] {
        assert_eq!((&peer["sampled"], &peer["flags"]), (&json!(false), &json!(0)), "{peer}");
        assert_eq!(peer["baggage"], json!({"k": "v"}), "{peer}");
    }
    // A later trace through both is stored, so that the earlier ones would be, too.
    let later = both.go.post(&format!("/start?next={next}"));
    let _ = both.stored(&later, &[("go", "go-root"), ("go", "go-client"), ("rust", "rust-server")]);
    for trace in [&from_go, &from_rust] {
        let stored = both.backend.query().spans(trace["trace_id"].as_str().unwrap()).unwrap();
        assert!(stored.is_empty(), "{}", json!(stored));
    }
}

#[test]
fn the_debug_flag_passes_both_ways() {
    let Some(both) = Both::start("debug flag", false, false) else { return };
    let next = in_query(&both.rust.url("/continue"));
    let from_go = both.go.post(&format!("/start?debug=1&next={next}"));
    let (tracer, closer) = both.tracer(false, true);
    let remote = SpanContext::new(TraceId::new(0, 77), SpanId::new(78), SpanId::NONE, 3);
    let span = tracer.span("root").child_of(&remote).start();
    let from_rust = both.through_go_to_rust(&tracer, &span);
    span.finish();
    assert_eq!(closer.close(TIMEOUT).stats.sent, 1);

    for peer in [&from_go, &from_go["next"], &from_rust, &from_rust["next"]] {
        assert_eq!((&peer["debug"], &peer["flags"]), (&json!(true), &json!(3)), "{peer}");
    }
    let wanted = [("go", "go-root"), ("go", "go-client"), ("rust", "rust-server")];
    assert!(both.stored(&from_go, &wanted).iter().all(|span| span["flags"] == 3));
    let spans = both.backend.query().wait(&TraceId::new(0, 77).to_string(), 4, soon()).unwrap();
    assert_eq!(spans.len(), 4, "{}", json!(spans));
    assert!(spans.iter().all(|span| span["flags"] == 3));
}

#[test]
fn a_debug_id_begins_a_trace_that_both_sample() {
    let Some(both) = Both::start("debug id", false, false) else { return };
    for (first, second, wanted) in [
        (
            &both.rust,
            &both.go,
            [("rust", "rust-server"), ("rust", "rust-client"), ("go", "go-server")],
        ),
        (&both.go, &both.rust, [("go", "go-server"), ("go", "go-client"), ("rust", "rust-server")]),
    ] {
        let next = in_query(&second.url("/continue"));
        let header = ("jaeger-debug-id".to_owned(), "find me again".to_owned());
        let response = first.get(&format!("/continue?next={next}"), &[header]);
        assert_eq!(response["debug_id"], "find me again", "{response}");
        assert_eq!(response["next"]["debug_id"], "", "{response}");
        for peer in [&response, &response["next"]] {
            assert_eq!((&peer["debug"], &peer["flags"]), (&json!(true), &json!(3)), "{response}");
        }
        let spans = both.stored(&response, &wanted);
        assert_eq!(span::tag(&spans[0], "jaeger-debug-id"), "find me again");
        assert!(spans.iter().all(|span| span["flags"] == 3));
    }
}

/// Texts that must be encoded in headers.
#[test]
fn baggage_of_any_text_passes_through_go_and_comes_back_unchanged() {
    let peers = opt_in::set_up("baggage through Go", || {
        let rust = Path::new(env!("CARGO_BIN_EXE_peer"));
        Ok((
            Peer::start(&go_program()?, NOBODY, "go", false)?,
            Peer::start(rust, NOBODY, "rust", false)?,
        ))
    });
    let Some((go, rust)) = peers else { return };
    let (tracer, _closer) = Tracer::builder("test").null_reporter().build().unwrap();
    let texts = ["a b", " edges ", "a+b", "100%", "%20", "\u{159} \u{1f980}", "a\r\nb: c", ODD];
    let span = tracer.start_span("root");
    for (n, text) in texts.iter().enumerate() {
        span.set_baggage_item(&format!("key-{n}"), text);
    }
    let mut headers = HttpHeaders(Vec::<(String, String)>::new());
    tracer.inject(&span.context(), &mut headers);
    let has = |pair: (&str, &str)| headers.0.iter().any(|(k, v)| (k.as_str(), v.as_str()) == pair);
    assert!(has(("uberctx-key-0", "a%20b")) && has(("uberctx-key-2", "a%2Bb")), "{headers:?}");

    let next = in_query(&rust.url("/continue"));
    let response = go.get(&format!("/continue?next={next}"), &headers.0);
    assert_eq!(response["sent"]["uberctx-key-0"], "a+b", "what Go writes: {response}");
    for peer in [&response, &response["next"]] {
        for (n, text) in texts.iter().enumerate() {
            assert_eq!(peer["baggage"][format!("key-{n}")], *text, "{response}");
        }
    }
}

/// A Jaeger server, and a process with each client that sends its spans to it.
struct Both {
    go: Peer,
    rust: Peer,
    backend: Backend,
}

impl Both {
    /// Starts all three. The booleans are whether traces that begin in Go and in Rust are sampled.
    fn start(test: &str, go_samples: bool, rust_samples: bool) -> Option<Self> {
        opt_in::set_up(test, || {
            let program = go_program()?;
            let backend = Backend::jaeger_v1()?;
            let agent = backend.address("compact");
            let rust = Path::new(env!("CARGO_BIN_EXE_peer"));
            Ok(Self {
                go: Peer::start(&program, agent, "go", go_samples)?,
                rust: Peer::start(rust, agent, "rust", rust_samples)?,
                backend,
            })
        })
    }

    /// Returns a tracer of this process.
    fn tracer(&self, sample: bool, wide: bool) -> (Tracer, Closer) {
        Tracer::builder("test")
            .sampler(ConstSampler::new(sample))
            .agent(self.backend.address("compact"))
            .trace_id_128bit(wide)
            .build()
            .unwrap()
    }

    /// Calls Go from `span`, which calls Rust, and returns the response with both.
    fn through_go_to_rust(&self, tracer: &Tracer, span: &Span) -> Value {
        let mut headers = HttpHeaders(Vec::<(String, String)>::new());
        tracer.inject(&span.context(), &mut headers);
        let next = in_query(&self.rust.url("/continue"));
        self.go.get(&format!("/continue?next={next}"), &headers.0)
    }

    /// Waits for the spans of the trace in a peer's response, and asserts that they are this chain.
    fn stored(&self, response: &Value, wanted: &[(&str, &str)]) -> Vec<Value> {
        let trace_id = response["trace_id"].as_str().unwrap();
        let spans = self.backend.query().wait(trace_id, wanted.len(), soon()).unwrap();
        parentage::assert_chain(&spans, wanted)
    }
}

/// Returns the path of the Go peer, which is built once for all tests.
fn go_program() -> StepResult<PathBuf> {
    static PROGRAM: OnceLock<StepResult<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(|| peer::build_go(Path::new(env!("CARGO_TARGET_TMPDIR")))).clone()
}

fn soon() -> Instant {
    Instant::now() + TIMEOUT
}

/// A baggage value of characters that must be escaped in a header, or have a meaning in one.
const ODD: &str = "a b+c&d=e%20,ř 🦀;:\"q\"/\\";

/// An address without an agent, for traces that are not sampled.
const NOBODY: &str = "127.0.0.1:9";

const TIMEOUT: Duration = Duration::from_secs(60);
