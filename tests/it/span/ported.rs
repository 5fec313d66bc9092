//! What code that was written for another client needs when it is ported to this one.

use std::borrow::Cow;
use std::io;
use std::net::UdpSocket;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use jaeger_client::sampler::{
    ConstSampler, Decision, ParentDecision, Sampler, SamplingParameters, TokenBucket,
};
use jaeger_client::transport::{Sent, Transport, UdpTransport};
use jaeger_client::{
    InMemoryReporter, OwnedTagValue, Span, SpanContext, TagValue, TraceId, Tracer, TransportError,
};

use crate::support::{SOON, builder};

#[test]
fn each_tracer_finds_its_own_active_span_below_those_of_others() {
    let memory = InMemoryReporter::new();
    let (first, _closer) = builder().in_memory(&memory).build().unwrap();
    let (second, _closer) = builder().in_memory(&memory).build().unwrap();
    let (outer, inner) = (first.start_span("outer"), second.start_span("inner"));
    let (_outer_scope, _inner_scope) = (outer.activate(), inner.activate());
    assert_eq!(first.active_span().unwrap().context(), outer.context());
    assert_eq!(second.active_span().unwrap().context(), inner.context());
    assert_eq!(first.start_span("child").context().parent_id(), outer.context().span_id());
    assert_eq!(Span::active().unwrap().context(), inner.context());
}

#[test]
fn times_of_a_live_span_are_set_and_its_end_calls_back() {
    let memory = InMemoryReporter::new();
    let (tracer, _closer) = builder().in_memory(&memory).build().unwrap();
    let second = |count| SystemTime::UNIX_EPOCH + Duration::from_secs(count);
    let (ended, end) = mpsc::channel();
    let span = tracer.start_span("job");
    span.set_start_time(second(10)).set_finish_time(second(12));
    span.on_finish(move |span| ended.send(span.operation_name().into_owned()).unwrap());
    assert_eq!(span.start_time(), Some(second(10)));
    assert_eq!(span.set_tag("rows", 3).tag("rows"), Some(OwnedTagValue::I64(3)));
    drop(span);
    assert_eq!(end.try_recv().as_deref(), Ok("job"));
    let [span] = <[_; 1]>::try_from(memory.take()).unwrap();
    assert_eq!((span.start_time(), span.finish_time()), (second(10), second(12)));
    assert!(memory.is_empty(), "the reporter was drained");
}

/// Decides about traces of callers too, whatever their flags are.
#[derive(Debug)]
struct Passive;

impl Sampler for Passive {
    fn on_create_span(&self, _span: &mut SamplingParameters<'_>) -> Decision {
        Decision::new(false)
    }

    fn decides_on_join(&self) -> bool {
        true
    }

    fn on_join(
        &self,
        _span: &mut SamplingParameters<'_>,
        _parent: ParentDecision,
    ) -> Option<Decision> {
        Some(Decision::new(true))
    }
}

#[test]
fn a_sampler_may_decide_about_traces_that_are_continued() {
    let memory = InMemoryReporter::new();
    let (tracer, _closer) =
        Tracer::builder("svc").sampler(Passive).in_memory(&memory).build().unwrap();
    let unsampled: SpanContext = "a1b2:c3d4:0:0".parse().unwrap();
    tracer.span("continued").child_of(unsampled).start().finish();
    tracer.start_span("new").finish();
    assert_eq!(memory.take().len(), 1);
    // A custom sampler limits its rate by this.
    let mut bucket = TokenBucket::new(5.0, 1.0);
    assert!(bucket.check(1.0, 0) && !bucket.check(1.0, 0) && bucket.check(1.0, 200_000_000));
}

#[test]
fn any_value_is_a_tag_by_reference_and_ids_are_read_from_text() {
    fn tag<'a>(value: impl Into<TagValue<'a>>) -> OwnedTagValue {
        OwnedTagValue::from(value.into())
    }
    let owned = String::from("owned");
    let (number, text): (&i64, &&str) = (&4, &"text");
    assert_eq!(tag(number), OwnedTagValue::I64(4));
    assert_eq!(
        (tag(text), tag(&owned)),
        (OwnedTagValue::from("text"), OwnedTagValue::from("owned"))
    );
    assert_eq!(OwnedTagValue::from(Cow::Borrowed("text")), tag(*text));
    let context: SpanContext = "a1b2:c3d4:0:1".parse().unwrap();
    assert_eq!(
        (context.trace_id(), context.clone()),
        ("a1b2".parse::<TraceId>().unwrap(), context)
    );
}

/// A transport whose errors are those of the operating system.
#[derive(Debug)]
struct Broken;

impl Transport for Broken {
    fn send(&mut self, _message: &[u8]) -> Result<Sent, TransportError> {
        Err(io::Error::other("broken"))?
    }
}

#[test]
fn nothing_is_needed_where_there_is_no_tracer_and_a_static_closes() {
    static NONE: std::sync::LazyLock<Tracer> = std::sync::LazyLock::new(Tracer::disabled);
    NONE.start_span("nothing").child("below").set_tag("k", 1).finish();
    assert!(!Span::none().is_recording());

    let (tracer, closer) = builder().transport(Broken).build().unwrap();
    tracer.start_span("lost").finish();
    let report = tracer.close(SOON);
    assert!(report.complete && report.stats.dropped.send_failed == 1, "{report}");
    drop(closer);
}

#[test]
fn a_socket_is_bound_before_the_tracer_is_built() {
    let (agent, socket) =
        (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let from = socket.local_addr().unwrap();
    let transport = UdpTransport::from_socket(socket, agent.local_addr().unwrap()).unwrap();
    let builder = Tracer::builder("svc").sampler(ConstSampler::new(true)).track_open_spans(8);
    let (tracer, closer) = builder.transport(transport).build().unwrap();
    let span = tracer.start_span("sent");
    let open = tracer.open_spans();
    assert_eq!(open.spans.len(), 1);
    assert!(open.spans[0].start_time <= SystemTime::now());
    span.finish();
    agent.set_read_timeout(Some(SOON)).unwrap();
    let mut datagram = [0; 2048];
    assert!(closer.close(SOON).complete);
    assert_eq!(agent.recv_from(&mut datagram).unwrap().1, from);
}
