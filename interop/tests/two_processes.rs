//! A trace across several processes is one trace in Jaeger.

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait and start threads; a step that fails is a test that fails"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use interop::backend::Backend;
use interop::peer::{Peer, in_query};
use interop::{opt_in, parentage};
use jaeger_client::Tracer;
use jaeger_client::propagation::HttpHeaders;
use jaeger_client::sampler::ConstSampler;
use serde_json::json;

#[test]
fn three_processes_make_one_trace() {
    let found = opt_in::set_up("two processes", || {
        let backend = Backend::jaeger_v1()?;
        // They sample no trace that they begin: the caller's decision must hold.
        let peer = |service| {
            let program = Path::new(env!("CARGO_BIN_EXE_peer"));
            Peer::start(program, backend.address("compact"), service, false)
        };
        Ok((peer("middle")?, peer("back")?, backend))
    });
    let Some((middle, back, backend)) = found else { return };

    let (tracer, closer) = Tracer::builder("front")
        .sampler(ConstSampler::new(true))
        .agent(backend.address("compact"))
        .trace_id_128bit(true)
        .build()
        .unwrap();
    let root = tracer.start_span("front");
    root.set_baggage_item("user", "Žofie & co, 100 %+");
    let call = tracer.span("call").child_of(&root).start();
    let mut headers = HttpHeaders(Vec::new());
    tracer.inject(&call.context(), &mut headers);
    let next = in_query(&back.url("/continue"));
    let response = middle.get(&format!("/continue?next={next}"), &headers.0);
    call.finish();
    root.finish();

    let trace_id = root.context().trace_id().to_string();
    for peer in [&response, &response["next"]] {
        assert_eq!(peer["trace_id"], trace_id.as_str(), "{response}");
        assert_eq!(peer["baggage"], json!({"user": "Žofie & co, 100 %+"}), "{response}");
        assert_eq!(peer["flags"], 1, "{response}");
    }
    assert_eq!(response["parent_id"], call.context().span_id().to_string(), "{response}");

    assert!(closer.close(TIMEOUT).complete);
    let spans = backend.query().wait(&trace_id, 5, Instant::now() + TIMEOUT).unwrap();
    let spans = parentage::assert_chain(
        &spans,
        &[
            ("front", "front"),
            ("front", "call"),
            ("middle", "rust-server"),
            ("middle", "rust-client"),
            ("back", "rust-server"),
        ],
    );
    assert_eq!(spans[2]["span"], response["span_id"]);
    assert_eq!(spans[4]["span"], response["next"]["span_id"]);
}

const TIMEOUT: Duration = Duration::from_secs(60);
