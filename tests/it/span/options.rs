//! Options of the builder that change what spans are given: the mark of a truncated tag, and Zipkin's way of
//! calls.

use std::backtrace::Backtrace;
use std::collections::HashMap;
use std::sync::mpsc::{Sender, channel};

use crate::support::read::{Span as Finished, Value, finished};
use crate::support::transport::limited;
use crate::support::{FollowedBy, SOON, builder};
use jaeger_client::encoding::{BatchView, ENCODINGS, ValueView};
use jaeger_client::transport::MemoryTransport;
use jaeger_client::{
    Closer, Configuration, IdGenerator, InMemoryReporter, Reporter, Span, SpanContext, SpanId,
    SpanObserver, SpanOptions, TraceId, Tracer, TransportError,
};

fn only(memory: &InMemoryReporter) -> Finished {
    let spans = finished(memory);
    assert_eq!(spans.len(), 1, "{spans:?}");
    spans.into_iter().next().unwrap()
}

#[test]
fn a_truncated_tag_is_marked_if_enabled_and_always_counted() {
    let text = "é".repeat(200);
    for (marks, retained) in [(false, 128), (true, 120)] {
        let memory = InMemoryReporter::new();
        let builder = Tracer::builder("svc").in_memory(&memory).mark_truncated_tags(marks);
        let (tracer, _closer) = builder.build().unwrap();
        let carrier = HashMap::from([("jaeger-debug-id", text.as_str())]);
        let span = tracer.span("op").child_of(tracer.extract(&carrier).ok());
        let span = span.tag("start", &text).tag("fits", &text[..256]).start();
        span.set_tag("live", &text).set_tag("bytes", &[7; 300][..]).set_tag("n", 1);
        span.log(&[("message", text.as_str().into())]);
        span.finish();
        let mark = if marks { "… [400 bytes]" } else { "" };
        let cut = Value::Str(format!("{}{mark}", "é".repeat(retained)));
        let span = only(&memory);
        for key in ["start", "live", "jaeger-debug-id"] {
            assert_eq!(span.tag(key), Some(&cut), "{key}");
        }
        assert_eq!(span.tag("fits"), Some(&text[..256].into()));
        assert_eq!(span.tag("bytes"), Some(&Value::Binary(vec![7; 256])));
        assert_eq!(span.logs[0].fields[0].1, text.as_str().into(), "logs are not cut");
        assert_eq!(tracer.stats().truncated_tags, 4);
    }
}

#[test]
fn a_limit_too_short_for_the_mark_cuts_without_it() {
    let memory = InMemoryReporter::new();
    let builder = Tracer::builder("svc").in_memory(&memory).mark_truncated_tags(true);
    let (tracer, _closer) = builder.max_tag_value_length(13).build().unwrap();
    tracer
        .start_span("op")
        .set_tag("k", "a text of 22 bytes long")
        .set_tag("l", "x".repeat(100).as_str());
    let span = only(&memory);
    assert_eq!(span.tag("k"), Some(&"a text of 22 ".into()), "the mark takes 14");
    assert_eq!(span.tag("l"), Some(&"x".repeat(13).as_str().into()));
}

/// A tracer for which both sides of a call are one span.
fn sharing() -> (Tracer, Closer, InMemoryReporter) {
    let memory = InMemoryReporter::new();
    let builder = Tracer::builder("svc").in_memory(&memory).zipkin_shared_rpc_span(true);
    let (tracer, closer) = builder.build().unwrap();
    (tracer, closer, memory)
}

#[test]
fn a_servers_span_shares_the_ids_of_its_parent_where_that_is_wanted() {
    let (tracer, _closer, memory) = sharing();
    let server = || tracer.span("op").tag("n", 1).tag("span.kind", "server");
    let remote = SpanContext::new(TraceId::new(7, 8), SpanId::new(9), SpanId::new(10), 1);
    let sides = [
        server().child_of(&remote).start(),
        // Of several, the last one counts, as it does in what Go's tracer is given.
        server().tag("span.kind", "client").tag("span.kind", "server").child_of(&remote).start(),
        server().follows_from(&remote).start(),
    ];
    for span in &sides {
        let context = span.context();
        assert_eq!((context.trace_id(), context.span_id()), (remote.trace_id(), remote.span_id()));
        assert_eq!((context.parent_id(), context.is_sampled()), (remote.parent_id(), true));
    }
    // A span of this process may be the parent too, and children of the server's side are children
    // of both.
    let root = tracer.span("root").start();
    let client = tracer.span("client").child_of(&root).start();
    let shared = server().child_of(&client).start();
    let below = tracer.span("below").child_of(&shared).start();
    let ids = |span: &Span| (span.context().span_id(), span.context().parent_id());
    assert_eq!(ids(&shared), (ids(&client).0, ids(&root).0));
    assert_eq!(ids(&below).1, ids(&client).0);
    let at_root = server().child_of(&root).start();
    assert_eq!(ids(&at_root), (ids(&root).0, SpanId::NONE));
    drop((at_root, below, shared, client, root, sides));

    let spans = finished(&memory);
    assert_eq!(spans.len(), 8);
    // The contexts are written as they are, with the reference to the parent beside them.
    let remotes: Vec<_> = spans.iter().filter(|span| span.trace == (7, 8)).collect();
    for span in &remotes {
        assert_eq!((span.id, span.parent), (9, 10), "{span:?}");
        assert_eq!((span.references[0].1, span.references[0].2), ((7, 8), 9), "{span:?}");
    }
    assert_eq!(remotes.len(), 3);
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (root, client) = (named("root"), named("client"));
    let local: Vec<_> = spans.iter().filter(|s| s.name == "op" && s.trace == root.trace).collect();
    let ids: Vec<_> = local.iter().map(|span| (span.id, span.parent)).collect();
    assert_eq!(ids, [(root.id, 0), (client.id, root.id)]);
}

#[test]
fn a_span_that_is_no_server_span_with_a_parent_has_its_own_id() {
    let (tracer, _closer, _) = sharing();
    let remote = SpanContext::new(TraceId::new(0, 8), SpanId::new(9), SpanId::new(10), 1);
    let is_shared = |span: &Span| span.context().span_id() == remote.span_id();
    let kinds: [&[&str]; 4] = [&[], &["client"], &["server", "client"], &["Server"]];
    for kinds in kinds {
        let mut builder = tracer.span("op").child_of(&remote);
        for kind in kinds {
            builder = builder.tag("span.kind", *kind);
        }
        let span = builder.start();
        assert!(!is_shared(&span), "{kinds:?}");
        assert_eq!(span.context().parent_id(), remote.span_id());
        span.set_tag("span.kind", "server");
        assert!(!is_shared(&span), "only what it starts with counts");
    }
    let root = tracer.span("op").tag("span.kind", "server").start().context();
    assert_eq!((root.span_id().get(), root.parent_id()), (root.trace_id().low(), SpanId::NONE));
    let baggage = SpanContext::default().with_baggage_item("k", "v");
    let root = tracer.span("op").tag("span.kind", "server").child_of(&baggage).start().context();
    assert_eq!(root.span_id().get(), root.trace_id().low());

    let (tracer, _closer) = builder().null_reporter().build().unwrap();
    let span = tracer.span("op").tag("span.kind", "server").child_of(&remote).start();
    assert!(!is_shared(&span), "nor is anything where it is not wanted");
}

/// Writes what it gets as Zipkin's JSON.
#[derive(Debug)]
struct Json(Sender<String>);

impl Reporter for Json {
    fn report(&mut self, batch: &BatchView<'_>) -> Result<(), TransportError> {
        let json = ENCODINGS.iter().find(|member| member.name == "zipkin-json-v2").unwrap();
        self.0.send(String::from_utf8((json.encode)(batch).unwrap()).unwrap()).unwrap();
        Ok(())
    }
}

#[test]
fn zipkins_json_says_of_a_shared_span_that_it_is_one() {
    for shared in [true, false] {
        let (sender, reported) = channel();
        let builder = builder().destination(Json(sender)).zipkin_shared_rpc_span(shared);
        let (tracer, closer) = builder.build().unwrap();
        let remote = SpanContext::new(TraceId::new(0, 8), SpanId::new(9), SpanId::new(10), 1);
        tracer.span("op").tag("span.kind", "server").child_of(&remote).start().finish();
        let _ = closer.close(SOON);
        let body = reported.recv().unwrap();
        assert_eq!(body.contains("\"shared\":true"), shared, "{body}");
        assert_eq!(body.contains("\"id\":\"0000000000000009\""), shared, "{body}");
    }
}

#[test]
fn truncated_tags_of_the_process_are_marked_too_if_configured() {
    let (transport, taken) = limited(65_000);
    let builder = builder().tag("build", "x".repeat(300)).mark_truncated_tags(true);
    let (tracer, closer) = builder.transport(transport).build().unwrap();
    tracer.start_span("op").finish();
    let _ = closer.close(SOON);
    let marked = format!("{}… [300 bytes]", "x".repeat(241));
    assert_eq!(taken.batches()[0].tag("build"), Some(&Value::Str(marked)));

    let spans = SpanOptions { mark_truncated_tags: true, ..SpanOptions::default() };
    let configuration = Configuration { spans, ..Configuration::new("svc") };
    assert!(configuration.new_tracer().is_ok());
}

/// A sampler that is called for each tag, so that the first tags of a span are held back for it.
#[derive(Clone, Debug)]
struct Watches;

impl SpanObserver for Watches {}

#[test]
fn observers_neither_hide_the_servers_side_nor_the_cut_of_a_tag() {
    let memory = InMemoryReporter::new();
    let builder =
        builder().observer(FollowedBy(Watches)).in_memory(&memory).mark_truncated_tags(true);
    let (tracer, _closer) = builder.zipkin_shared_rpc_span(true).build().unwrap();
    let remote = SpanContext::new(TraceId::new(0, 8), SpanId::new(9), SpanId::new(10), 1);
    let span = tracer.span("op").tag("long", "x".repeat(300)).tag("span.kind", "server");
    let span = span.child_of(&remote).start();
    assert_eq!(span.context().span_id(), remote.span_id());
    span.finish();
    let marked = format!("{}… [300 bytes]", "x".repeat(241));
    assert_eq!(only(&memory).tag("long"), Some(&Value::Str(marked)));
    assert_eq!(tracer.stats().truncated_tags, 1);
}

/// Every tag of the process is cut but the one that distinguishes tracers, as in jaeger-client-go.
#[test]
fn the_uuid_of_a_tracer_is_not_cut_with_the_tags_of_the_process() {
    #[derive(Debug)]
    struct Long;
    impl IdGenerator for Long {
        fn next(&self) -> u64 {
            0x0123_4567_89ab_cdef
        }
    }
    for (given, uuid) in
        [(None, "123456789abcdef"), (Some("a name of its own"), "a name of its own")]
    {
        let transport = MemoryTransport::new();
        let mut builder = builder().transport(transport.clone()).id_generator(Long);
        builder = builder.max_tag_value_length(10).tag("hostname", "a-long-host-name");
        if let Some(given) = given {
            builder = builder.tag("client-uuid", given);
        }
        let (tracer, closer) = builder.build().unwrap();
        tracer.start_span("op").finish();
        assert!(closer.close(SOON).complete);
        let message = &transport.messages()[0];
        let (_, batch) = BatchView::parse_message(message).unwrap();
        let tag = |key: &str| {
            let value = batch.process.tags().find(|tag| tag.key == key.as_bytes()).unwrap().value;
            let ValueView::Str(text) = value else { panic!("{value:?}") };
            String::from_utf8(text.to_vec()).unwrap()
        };
        assert_eq!(tag("client-uuid"), uuid);
        assert_eq!(tag("hostname"), "a-long-hos");
    }
}

#[test]
fn an_error_is_logged_with_its_call_stack_where_an_option_says_so() {
    let by_variable = |name: &str| match name {
        "JAEGER_SERVICE_NAME" => Some("svc"),
        "JAEGER_RECORD_BACKTRACES" => Some("true"),
        _ => None,
    };
    let spans = SpanOptions { record_backtraces: true, ..SpanOptions::default() };
    let in_data = Configuration { spans, ..Configuration::new("svc") };
    let in_environment = Configuration::default().with_variables(by_variable).unwrap();
    let memory = InMemoryReporter::new();
    let tracers = [
        Tracer::builder("svc").in_memory(&memory).record_backtraces(true).build(),
        in_data.new_tracer_with(|builder| builder.in_memory(&memory)),
        in_environment.new_tracer_with(|builder| builder.in_memory(&memory)),
        Tracer::builder("svc").in_memory(&memory).build(),
    ];
    for built in tracers {
        let (tracer, _closer) = built.unwrap();
        tracer.start_span("op").record_error(&std::fmt::Error);
    }
    let stacks: Vec<_> = finished(&memory)
        .into_iter()
        .map(|span| span.logs[0].fields.iter().find(|(key, _)| key == "stack").cloned())
        .collect();
    // Some linkers leave no names in a program without debug information.
    let here = "an_error_is_logged_with_its_call_stack";
    let is_named = Backtrace::force_capture().to_string().contains(here);
    for stack in &stacks[..3] {
        let Some((_, Value::Str(stack))) = stack else { panic!("no stack: {stack:?}") };
        assert_eq!(stack.contains(here), is_named, "{stack}");
        assert!(stack.lines().count() > 3, "{stack}");
        assert!(stack.len() <= 4096, "{} bytes", stack.len());
    }
    assert_eq!(stacks[3], None, "by default there is none");
}
