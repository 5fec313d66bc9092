//! The recipes run, and show the trace they promise.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]
#![allow(dead_code, unreachable_pub, reason = "each recipe is a program as well")]

use jaeger_client::encoding::{LogView, ValueView};
use jaeger_client_embedded_agent::{ReceivedSpan, Trace};

#[path = "../examples/axum.rs"]
mod axum_recipe;
#[path = "../examples/reqwest.rs"]
mod reqwest_recipe;
#[path = "../examples/tonic.rs"]
mod tonic_recipe;

/// Service and operation of the spans as a tree, each below the span it is a child of.
fn tree(trace: &Trace) -> Vec<String> {
    fn below(trace: &Trace, span: &ReceivedSpan, depth: usize, tree: &mut Vec<String>) {
        tree.push(format!("{}{}: {}", " ".repeat(depth), span.service(), span.operation_name()));
        for child in trace.children(span) {
            below(trace, child, depth + 1, tree);
        }
    }
    let mut tree = Vec::new();
    below(trace, trace.root().unwrap(), 0, &mut tree);
    tree
}

fn events(span: &ReceivedSpan) -> Vec<String> {
    let name = |log: LogView<'_>| match log.fields().next().unwrap().value {
        ValueView::Str(name) => String::from_utf8(name.to_vec()).unwrap(),
        other => format!("{other:?}"),
    };
    span.view().logs().map(name).collect()
}

fn tag<'a>(span: &'a ReceivedSpan, key: &str) -> ValueView<'a> {
    span.tag(key).unwrap_or_else(|| unreachable!("no tag {key}"))
}

#[test]
fn axum_continues_the_trace_and_its_handlers_have_the_span_active() {
    let trace = axum_recipe::run().unwrap();
    let expected = [
        "client: HTTP Client",
        " client: HTTP GET",
        "  shop: GET /orders/{number}",
        "   shop: look into the stock",
    ];
    assert_eq!(tree(&trace), expected, "{trace}");
    assert_eq!(trace.error_count(), 0, "{trace}");
}

#[test]
fn reqwest_carries_the_trace_and_reports_what_is_visible() {
    let trace = reqwest_recipe::run().unwrap();
    let hop = [" client: HTTP GET", "  server: GET /time"];
    let expected = [&["client: ask twice"][..], &hop, &hop].concat();
    assert_eq!(tree(&trace), expected, "{trace}");
    let hops = trace.children(trace.root().unwrap());
    let dialed = ["DNSStart", "DNSDone", "ConnectStart", "ConnectDone", "ClosedBody"];
    assert_eq!(events(hops[0]), dialed);
    assert_eq!(events(hops[1]), ["ClosedBody"], "reused");
    for hop in hops {
        assert_eq!(tag(hop, "http.status_code"), ValueView::Long(200));
    }
}

#[test]
fn tonic_carries_the_trace_and_marks_calls_that_failed() {
    let trace = tonic_recipe::run().unwrap();
    let call = [" client: /hello.Greeter/Greet", "  greeter: /hello.Greeter/Greet"];
    let expected = [&["client: greet"][..], &call, &call].concat();
    assert_eq!(tree(&trace), expected, "{trace}");
    let calls = trace.children(trace.root().unwrap());
    for (call, failed) in calls.into_iter().zip([false, true]) {
        let code = if failed { 3 } else { 0 };
        let served = trace.children(call)[0];
        for side in [call, served] {
            assert_eq!(tag(side, "rpc.grpc.status_code"), ValueView::Long(code));
        }
        // An invalid argument is an error of who sent it.
        assert_eq!((call.is_error(), served.is_error()), (failed, false), "{trace}");
    }
}
