//! Keeping on error: by whatever way a span comes into a trace that is held, it belongs to it. All of a
//! trace's spans are sent, or none of them.

use std::collections::{HashMap, HashSet};
use std::thread;

use jaeger_client::encoding::ValueView;
use jaeger_client::sampler::{ConstSampler, Decision, Sampler, SamplingParameters};
use jaeger_client::{
    Closer, InMemoryReporter, Span, SpanBuilder, SpanContext, SpanId, TailSamplingConfig, TraceId,
    Tracer,
};
use proptest::prelude::*;

/// Samples nothing, keeps what errs.
fn with_tail_sampling(sampler: impl Sampler + 'static) -> (Tracer, Closer, InMemoryReporter) {
    let memory = InMemoryReporter::new();
    let builder = crate::support::builder().sampler(sampler).zipkin_shared_rpc_span(true);
    let builder = builder.tail_sampling(TailSamplingConfig::default()).in_memory(&memory);
    let (tracer, closer) = builder.build().unwrap();
    (tracer, closer, memory)
}

fn names(memory: &InMemoryReporter) -> Vec<String> {
    let mut names: Vec<_> =
        memory.spans().iter().map(|span| span.view().operation_name().into_owned()).collect();
    names.sort();
    names
}

/// The context as another process would read it from headers.
fn extracted(tracer: &Tracer, context: &SpanContext) -> SpanContext {
    let mut headers = HashMap::<String, String>::new();
    tracer.inject(context, &mut headers);
    tracer.extract(&headers).unwrap()
}

#[test]
fn a_self_reference_to_an_open_root_that_is_buffered_shares_its_trace() {
    for ways in 0..4 {
        let (tracer, _closer, memory) = with_tail_sampling(ConstSampler::new(false));
        let a = tracer.start_span("a");
        tracer.span("x").child_of(&a).start().finish();
        let b = match ways {
            0 => tracer.span("b").self_reference(a.context()),
            1 => tracer.span("b").self_reference(&a),
            2 => tracer.span("b").child_of(&a).self_reference(&a),
            _ => tracer.span("b").self_reference(extracted(&tracer, &a.context())),
        };
        let b = b.start();
        tracer.span("y").child_of(&b).start().finish();
        a.set_tag("error", true);
        assert!(b.is_sampled());
        b.finish();
        a.finish();
        assert_eq!(names(&memory), ["a", "b", "x", "y"], "{ways}");
        let stats = tracer.stats();
        assert_eq!((stats.sent, stats.buffered, stats.not_sampled, stats.open), (4, 0, 0, 0));
    }
}

#[test]
fn the_span_that_joined_may_err_and_may_outlive_the_root() {
    let (tracer, _closer, memory) = with_tail_sampling(ConstSampler::new(false));
    let a = tracer.start_span("a");
    let header = extracted(&tracer, &a.context());
    let served = tracer.span("served").child_of(&header).start();
    a.finish();
    assert_eq!(tracer.stats().buffered, 1, "others of the trace are open");
    served.set_tag("error", true).finish();
    assert_eq!(names(&memory), ["a", "served"]);

    // The trace ends with its last span. A later span begins it anew, by the caller's decision.
    tracer.span("late").child_of(&header).start().finish();
    let stats = tracer.stats();
    assert_eq!(
        (stats.sent, stats.not_sampled, stats.buffered, stats.open),
        (2, 1, 0, 0),
        "{stats}"
    );
}

#[test]
fn a_context_that_comes_back_sampled_has_all_that_is_buffered_sent() {
    let (tracer, _closer, memory) = with_tail_sampling(ConstSampler::new(false));
    let a = tracer.start_span("a");
    tracer.span("x").child_of(&a).start().finish();
    // Somebody downstream forced the trace, and calls back.
    let forced = SpanContext::new(a.context().trace_id(), SpanId::new(7), SpanId::NONE, 3);
    tracer.span("called back").child_of(&forced).start().finish();
    assert!(a.is_sampled() && a.context().is_debug());
    a.finish();
    assert_eq!(names(&memory), ["a", "called back", "x"]);
}

/// Puts its decision off until a span is renamed.
#[derive(Debug)]
struct Renamed;

impl Sampler for Renamed {
    fn on_create_span(&self, _span: &mut SamplingParameters<'_>) -> Decision {
        Decision::retryable(false)
    }

    fn may_defer(&self) -> bool {
        true
    }

    fn on_set_operation_name(&self, span: &mut SamplingParameters<'_>) -> Decision {
        Decision::new(span.operation_name().starts_with("renamed"))
    }

    fn on_set_tag(&self, _: &mut SamplingParameters<'_>, _: &str, _: ValueView<'_>) -> Decision {
        Decision::retryable(false)
    }
}

/// One thing that is done. Numbers choose among the spans there are.
#[derive(Clone, Debug)]
enum Step {
    Root,
    /// A span that comes into the trace of another by one of the ways there are.
    Join {
        to: usize,
        way: usize,
        also: usize,
    },
    /// Keeps a context, for a span that may be started after its trace is over.
    Keep {
        of: usize,
        injected: bool,
    },
    JoinRetained {
        retained: usize,
        itself: bool,
    },
    Finish {
        span: usize,
        drops: bool,
    },
    Decide {
        span: usize,
        how: usize,
    },
}

const WAYS: usize = 10;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Root),
        8 => (any::<usize>(), 0..WAYS, any::<usize>())
            .prop_map(|(to, way, also)| Step::Join { to, way, also }),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(of, injected)| Step::Keep { of, injected }),
        3 => (any::<usize>(), any::<bool>())
            .prop_map(|(retained, itself)| Step::JoinRetained { retained, itself }),
        8 => (any::<usize>(), any::<bool>()).prop_map(|(span, drops)| Step::Finish { span, drops }),
        2 => (any::<usize>(), 0..4_usize).prop_map(|(span, how)| Step::Decide { span, how }),
    ]
}

/// What a context stands for in the model: the state that it shares, or the decision it was written
/// with.
#[derive(Clone, Copy, Debug)]
enum Inherited {
    State(usize),
    Header(bool),
}

/// A trace's part from when its first span was started until no span was open.
#[derive(Debug)]
struct Part {
    state: usize,
    open: usize,
    is_sent: bool,
}

struct Open {
    span: Span,
    name: String,
    part: usize,
}

/// The tracer, and what has to become of its spans.
struct Model {
    tracer: Tracer,
    open: Vec<Open>,
    retained: Vec<(SpanContext, TraceId, Inherited)>,
    /// Whether the traces' states are sampled, and whether their traces began here.
    states: Vec<bool>,
    began_here: Vec<bool>,
    parts: Vec<Part>,
    /// The part of a trace that began here and has open spans.
    live: HashMap<TraceId, usize>,
    finished: Vec<(String, usize)>,
    defers: bool,
}

impl Model {
    /// Starts a span and notes which part of which trace it is in.
    fn start(&mut self, builder: impl Fn(&Tracer, String) -> Span, reported: Option<Inherited>) {
        let name = format!("span {}", self.open.len() + self.finished.len());
        let span = builder(&self.tracer, name.clone());
        let trace_id = span.context().trace_id();
        let sampled = match reported {
            Some(Inherited::State(state)) => self.states[state],
            Some(Inherited::Header(sampled)) => sampled,
            None => false,
        };
        // The part whose state it shares, as long as a span of that is open; and else that of the trace,
        // if it began here.
        let own = match reported {
            Some(Inherited::State(state)) => {
                self.parts.iter().position(|part| part.state == state && part.open > 0)
            }
            _ => None,
        };
        let part = own.or_else(|| self.live.get(&trace_id).copied()).unwrap_or_else(|| {
            let (state, began_here) = match reported {
                Some(Inherited::State(state)) => (state, self.began_here[state]),
                _ => {
                    self.states.push(sampled);
                    self.began_here.push(reported.is_none());
                    (self.states.len() - 1, reported.is_none())
                }
            };
            self.parts.push(Part { state, open: 0, is_sent: false });
            let part = self.parts.len() - 1;
            if began_here {
                self.live.insert(trace_id, part);
            }
            part
        });
        self.parts[part].open += 1;
        self.states[self.parts[part].state] |= sampled;
        self.open.push(Open { span, name, part });
    }

    fn reported(&self, at: usize) -> Inherited {
        Inherited::State(self.parts[self.open[at].part].state)
    }

    fn header(&self, at: usize) -> Inherited {
        Inherited::Header(self.states[self.parts[self.open[at].part].state])
    }

    fn join(&mut self, to: usize, way: usize, also: usize) {
        let parent = self.open[to].span.clone();
        let other = self.open[also].span.clone();
        let context = parent.context();
        let written = extracted(&self.tracer, &context);
        let by_hand = SpanContext::new(
            context.trace_id(),
            context.span_id(),
            context.parent_id(),
            context.flags(),
        );
        let reported = if matches!(way, 5..9) { self.header(to) } else { self.reported(to) };
        let start = move |tracer: &Tracer, name: String| {
            let builder: SpanBuilder<'_> = tracer.span(name);
            let builder = match way {
                0 => builder.child_of(&parent),
                1 => builder.child_of(&context),
                2 => builder.follows_from(&parent),
                3 => builder.follows_from(&other).child_of(&parent),
                4 => builder.child_of(&parent).child_of(&other).self_reference(&context),
                5 => builder.child_of(&written),
                6 => builder.self_reference(&written),
                7 => builder.child_of(&by_hand).follows_from(&other),
                8 => builder.child_of(&written).tag("span.kind", "server"),
                _ => builder.child_of(&parent).tag("span.kind", "server"),
            };
            builder.start()
        };
        self.start(start, Some(reported));
    }

    fn finish(&mut self, at: usize, drops: bool) {
        let Open { span, name, part } = self.open.swap_remove(at);
        if drops {
            drop(span);
        } else {
            span.finish();
        }
        self.finished.push((name, part));
        let part_of = &mut self.parts[part];
        part_of.open -= 1;
        part_of.is_sent = self.states[part_of.state];
        if part_of.open == 0 {
            self.live.retain(|_, live| *live != part);
        }
    }

    fn decide(&mut self, at: usize, how: usize) {
        let Open { span, part, .. } = &self.open[at];
        match how {
            0 => span.set_tag("error", true),
            1 => span.set_tag("sampling.priority", 1),
            2 => span.retain_trace(),
            // A decision that came in a header stands.
            _ if self.defers && self.began_here[self.parts[*part].state] => {
                span.set_operation_name("renamed")
            }
            _ => return,
        };
        self.states[self.parts[*part].state] = true;
    }

    fn step(&mut self, step: &Step) {
        let count = self.open.len();
        match *step {
            Step::Root => self.start(|tracer, name| tracer.span(name).start(), None),
            Step::JoinRetained { retained, itself } if !self.retained.is_empty() => {
                let (context, _, reported) = self.retained[retained % self.retained.len()].clone();
                let start = move |tracer: &Tracer, name: String| {
                    let builder = tracer.span(name);
                    if itself {
                        builder.self_reference(&context)
                    } else {
                        builder.child_of(&context)
                    }
                    .start()
                };
                self.start(start, Some(reported));
            }
            _ if count == 0 => {}
            Step::Join { to, way, also } => self.join(to % count, way, also % count),
            Step::Keep { of, injected } => {
                let context = self.open[of % count].span.context();
                let trace_id = context.trace_id();
                self.retained.push(if injected {
                    (extracted(&self.tracer, &context), trace_id, self.header(of % count))
                } else {
                    (context, trace_id, self.reported(of % count))
                });
            }
            Step::Finish { span, drops } => self.finish(span % count, drops),
            Step::Decide { span, how } => self.decide(span % count, how),
            Step::JoinRetained { .. } => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn law_all_spans_of_a_trace_are_sent_or_none_whichever_way_they_came_into_it(
        steps in prop::collection::vec(step(), 1..60),
        defers: bool,
    ) {
        let (tracer, _closer, memory) =
            if defers { with_tail_sampling(Renamed) } else { with_tail_sampling(ConstSampler::new(false)) };
        let mut model = Model {
            tracer: tracer.clone(),
            open: Vec::new(),
            retained: Vec::new(),
            states: Vec::new(),
            began_here: Vec::new(),
            parts: Vec::new(),
            live: HashMap::new(),
            finished: Vec::new(),
            defers,
        };
        for step in &steps {
            model.step(step);
            let stats = tracer.stats();
            prop_assert!(stats.is_balanced() && stats.open == model.open.len() as u64, "{stats}");
        }
        while !model.open.is_empty() {
            model.finish(model.open.len() - 1, false);
        }
        let sent = |(_, part): &&(String, usize)| model.parts[*part].is_sent;
        let expected = model.finished.iter().filter(sent).count();
        let stats = tracer.stats();
        let all = model.finished.len();
        prop_assert_eq!(
            (stats.sent, stats.not_sampled, stats.buffered, stats.open, stats.evicted),
            (expected as u64, (all - expected) as u64, 0, 0, 0)
        );
        if !defers {
            let names: HashSet<_> = names(&memory).into_iter().collect();
            let expected: HashSet<_> =
                model.finished.iter().filter(sent).map(|(name, _)| name.clone()).collect();
            prop_assert_eq!(names, expected);
        }
    }
}

#[test]
fn a_trace_is_whole_whichever_threads_come_into_it_by_its_header() {
    let (tracer, _closer, memory) = with_tail_sampling(ConstSampler::new(false));
    for round in 0..200 {
        let errs = round % 2 == 0;
        let root = tracer.start_span("root");
        let header = extracted(&tracer, &root.context());
        thread::scope(|scope| {
            for n in 0..4 {
                let (tracer, header) = (&tracer, &header);
                scope.spawn(move || {
                    for m in 0..5 {
                        let served = tracer.span("served").child_of(header).start();
                        tracer.span("query").child_of(&served).start().finish();
                        if errs && (n, m) == (round / 2 % 4, 2) {
                            served.set_tag("error", true);
                        }
                    }
                });
            }
        });
        root.finish();
        assert_eq!(memory.len(), if errs { 41 } else { 0 }, "round {round}");
        memory.reset();
    }
    let stats = tracer.stats();
    assert_eq!((stats.sent, stats.not_sampled, stats.buffered, stats.open), (4_100, 4_100, 0, 0));
}
