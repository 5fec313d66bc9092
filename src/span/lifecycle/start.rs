//! How a span comes into a trace: it begins one, or joins one that is there.

use std::borrow::Cow;
use std::sync::Arc;

use crate::encoding::{List, ShortTags, TagBuffer, ValueView, tags_of};
use crate::id::{self, SpanId, TraceId};
use crate::sampler::{ById, Decision, ParentDecision, SAMPLER_TAGS, SamplingParameters, SpanTags};
use crate::span::baggage::Baggage;
use crate::span::builder::SpanBuilder;
use crate::span::context::SpanContext;
use crate::span::counters::{Counts, Sampled, Stripe};
use crate::span::record::{self, DEBUG, FIREHOSE, NonRecording, SAMPLED, SpanRecord, Start};
use crate::span::shared::SpanShared;
use crate::span::{Span, active};

/// How a span came into its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::span) enum SpanOrigin {
    /// It began the trace.
    Trace,
    /// It joined one that is there in this process or came from another.
    Joined,
}

/// What a context says of the sampling of a span that begins below it, besides its flags.
#[derive(Clone, Debug, Default)]
pub(in crate::span) struct SamplingRequest {
    debug_id: Option<Arc<str>>,
    /// Flags of a trace to begin, so that no sampler is asked.
    pub(in crate::span) decided: Option<u8>,
    /// Nobody has decided about the trace that it joins, so that the sampler is asked.
    pub(in crate::span) undecided: bool,
}

impl SamplingRequest {
    pub(in crate::span) fn of(context: &SpanContext) -> Self {
        Self {
            debug_id: context.debug_id.clone(),
            decided: context.decided.then_some(context.flags),
            undecided: context.undecided,
        }
    }

    pub(in crate::span) fn is_empty(&self) -> bool {
        self.debug_id.is_none() && self.decided.is_none() && !self.undecided
    }

    /// Leaves out the request for debugging, if there is one that is not allowed. The span then starts
    /// like any other. Nobody is asked about a trace that is debugged already.
    pub(in crate::span) fn throttle(&mut self, core: &SpanShared, operation: &str, flags: u8) {
        let asks = self.debug_id.is_some() || self.decided.is_some_and(|flags| flags & DEBUG != 0);
        if asks && flags & DEBUG == 0 && !core.is_debug_allowed(operation) {
            self.debug_id = None;
            self.decided = self.decided.filter(|flags| flags & DEBUG == 0);
        }
    }
}

/// Starts a span that has a name and nothing else, which most spans do: what a builder carries
/// costs more to move than such a span does.
#[inline]
pub(crate) fn plain(core: &Arc<Stripe>, name: impl Into<Cow<'static, str>>) -> Span {
    if active::is_any_active() || core.has_hooks || core.is_forked() {
        return built(core, name.into());
    }
    let trace_id = TraceId::new(core.next_high(), id::random_id(core.salt));
    match core.sampler.decide_by_id(trace_id).answer() {
        ById::No => match name.into() {
            Cow::Borrowed(name) => non_recording(core, trace_id, name),
            name => root(core, trace_id, name, 0, Tags::None),
        },
        ById::Yes(tags) => root(core, trace_id, name.into(), SAMPLED, Tags::Short(tags)),
        ById::Ask => asked(core, trace_id, name.into()),
    }
}

#[cold]
#[inline(never)]
fn built(core: &Arc<Stripe>, name: Cow<'static, str>) -> Span {
    if core.is_disabled()
        && !active::is_any_active()
        && let Cow::Borrowed(name) = name
    {
        return non_recording(core, TraceId::default(), name);
    }
    SpanBuilder::new(core, name).start()
}

/// The first span of a trace whose sampler wants to know more than the id.
#[inline(never)]
fn asked(core: &Arc<Stripe>, trace_id: TraceId, name: Cow<'static, str>) -> Span {
    let mut given = SpanTags::default();
    let flags = flags_of(decide(core, trace_id, &name, &mut given));
    match name {
        Cow::Borrowed(name) if flags == 0 => non_recording(core, trace_id, name),
        name => root(core, trace_id, name, flags, Tags::Given(&mut given)),
    }
}

/// The first span of a trace that is not recorded.
#[inline]
fn non_recording(core: &Arc<Stripe>, trace_id: TraceId, name: &'static str) -> Span {
    core.started(SpanOrigin::Trace).add(Sampled::No);
    Span::non_recording(NonRecording::new(Arc::clone(core), trace_id, name))
}

/// The first span of a trace, with a record.
#[inline]
fn root(
    core: &Arc<Stripe>,
    trace_id: TraceId,
    name: Cow<'static, str>,
    flags: u8,
    tags: Tags<'_>,
) -> Span {
    let mut record = record::take();
    if let Some(inner) = Arc::get_mut(&mut record) {
        inner.core = Some(Arc::clone(core));
        inner.begin_state(flags);
        inner.ids.set(trace_id, SpanId::new(trace_id.low()), SpanId::NONE);
        let data = inner.data.get_mut();
        data.draft.name = name;
        let counts = core.started(SpanOrigin::Trace);
        if flags == 0 {
            data.begin(counts, Sampled::No);
        } else {
            data.draft.tag_count = tags.append_to(&mut data.draft.tags);
            inner.ids.encode_all();
            data.start_now(core);
            data.begin(counts, Sampled::Yes);
        }
    }
    Span::recorded(record)
}

/// The tags of a sampler.
enum Tags<'a> {
    None,
    Short(&'a ShortTags),
    Given(&'a mut SpanTags),
}

impl Tags<'_> {
    /// Appends them to a span's, and gives how many they are.
    #[inline(always)]
    fn append_to(self, tags: &mut TagBuffer) -> usize {
        match self {
            Self::None => 0,
            Self::Short(short) => {
                tags.extend_short(short);
                SAMPLER_TAGS
            }
            Self::Given(given) => given.append_to(tags),
        }
    }
}

#[inline(never)]
fn decide(core: &SpanShared, trace_id: TraceId, name: &str, given: &mut SpanTags) -> Decision {
    let max = core.max_tag_value_bytes;
    core.sampler.on_create_span(&mut SamplingParameters::new(
        trace_id,
        name,
        given,
        max,
        &core.clock,
    ))
}

#[inline]
fn flags_of(decision: Decision) -> u8 {
    match (decision.sample, decision.firehose) {
        (false, _) => 0,
        (true, false) => SAMPLED,
        (true, true) => SAMPLED | FIREHOSE,
    }
}

/// Begins a trace, perhaps with the debug id and decision of a context that has no trace.
#[inline]
pub(in crate::span) fn trace(
    inner: &mut SpanRecord,
    core: &SpanShared,
    from: Option<&SamplingRequest>,
) -> SpanOrigin {
    inner.begin_state(0);
    let low = core.next_id();
    inner.ids.set(TraceId::new(core.next_high(), low), SpanId::new(low), SpanId::NONE);
    let decided = from.and_then(|from| from.decided);
    let debug_id = from.and_then(|from| from.debug_id.as_ref());
    let flags = decided_flags(inner, core, decided.is_none(), debug_id);
    inner.state.reset(flags | decided.unwrap_or_default());
    SpanOrigin::Trace
}

/// Decides on a trace that the span has joined: as nobody has done so, or because debugging is asked
/// for.
#[cold]
#[inline(never)]
pub(in crate::span) fn decide_on_joined(
    inner: &mut SpanRecord,
    core: &SpanShared,
    request: &mut SamplingRequest,
) {
    let flags = inner.state.flags();
    request.throttle(core, &inner.data.get_mut().draft.name, flags);
    let flags = decided_flags(inner, core, request.undecided, request.debug_id.as_ref());
    inner.state.add(flags);
}

/// Asks a sampler that decides about traces that go on here too. What it says takes the place of what
/// the caller decided.
#[cold]
#[inline(never)]
pub(in crate::span) fn decide_on_join(inner: &mut SpanRecord, core: &SpanShared) {
    let flags = inner.state.flags();
    let parent = ParentDecision::new(flags & SAMPLED != 0, flags & DEBUG != 0);
    let draft = &mut inner.data.get_mut().draft;
    let mut given = SpanTags::default();
    let max = core.max_tag_value_bytes;
    let mut span =
        SamplingParameters::new(inner.ids.trace, &draft.name, &mut given, max, &core.clock);
    let Some(decision) = core.sampler.on_join(&mut span, parent) else { return };
    if decision.sample {
        let first = if draft.tag_count == 0 { &mut draft.tags } else { &mut draft.first_tags };
        draft.tag_count += given.append_to(first);
        draft.extras |= draft.first_tags.len() > 0;
        inner.state.add(flags_of(decision));
    } else {
        // Both bits, as where a trace is stopped by its priority.
        inner.state.remove(SAMPLED | DEBUG);
    }
}

/// Starts a span of a disabled tracer, with what a builder has noted of its parent.
#[cold]
#[inline(never)]
pub(in crate::span) fn disabled(
    inner: &mut SpanRecord,
    without_caller: &Arc<Baggage>,
    caller: Option<SpanContext>,
) {
    forget(inner);
    inner.begin_state(0);
    inner.set_baggage(Some(match caller {
        Some(caller) => Baggage::of_caller(caller),
        None => Arc::clone(without_caller),
    }));
}

/// The context that a builder has noted as a parent's, as it was.
pub(in crate::span) fn parent_context(
    inner: &mut SpanRecord,
    request: SamplingRequest,
) -> SpanContext {
    SpanContext {
        trace_id: inner.ids.trace,
        span_id: inner.ids.parent,
        parent_id: inner.ids.grandparent,
        flags: inner.state.flags(),
        remote: true,
        decided: request.decided.is_some(),
        undecided: request.undecided,
        state: None,
        baggage: inner.data.get_mut().baggage.clone(),
        debug_id: request.debug_id,
    }
}

/// The flags that the sampler decides on, if it is asked, and a debug id. Their tags are added.
#[inline(always)]
fn decided_flags(
    inner: &mut SpanRecord,
    core: &SpanShared,
    asks: bool,
    debug_id: Option<&Arc<str>>,
) -> u8 {
    let draft = &mut inner.data.get_mut().draft;
    let mut given = SpanTags::default();
    let by_id = if !asks || core.may_defer {
        // One that may defer is asked when the span is there.
        ById::No
    } else if !core.asks_by_id {
        ById::Ask
    } else {
        core.sampler.decide_by_id(inner.ids.trace).answer()
    };
    let (mut flags, tags) = match by_id {
        ById::No => (0, Tags::None),
        ById::Yes(tags) => (SAMPLED, Tags::Short(tags)),
        ById::Ask => {
            let decision = decide(core, inner.ids.trace, &draft.name, &mut given);
            (flags_of(decision), Tags::Given(&mut given))
        }
    };
    let sample = flags != 0;
    // The sampler's tags come before those that the span was given.
    let first = if draft.tag_count == 0 { &mut draft.tags } else { &mut draft.first_tags };
    if sample {
        draft.tag_count += tags.append_to(first);
    }
    if let Some(debug_id) = debug_id {
        flags |= SAMPLED | DEBUG;
        // A sampler that defers has its tags before it, and is asked about the others alone.
        let to = if core.may_defer { &mut draft.first_tags } else { first };
        let value = core.within_limit(debug_id);
        to.tag(core.debug_tag.as_bytes(), ValueView::Str(value.as_bytes()));
        draft.tag_count += 1;
    }
    draft.extras |= draft.first_tags.len() > 0;
    flags
}

/// Continues the trace of the parent that the record has adopted.
#[inline]
pub(in crate::span) fn child(inner: &mut SpanRecord, core: &SpanShared) -> SpanOrigin {
    inner.ids.span = SpanId::new(core.next_id());
    SpanOrigin::Joined
}

/// Whether the span's `tracestate` is to be a tag of it, which is added where the slow path ends it. All
/// spans of its trace in this process share that.
pub(in crate::span) fn has_recorded_trace_state(inner: &mut SpanRecord, core: &SpanShared) -> bool {
    let baggage = inner.data.get_mut().baggage.as_ref();
    core.records_trace_state && baggage.is_some_and(|baggage| baggage.trace_state.is_some())
}

/// Lets a span come into a trace in a process that was forked from the one that built the tracer.
/// Nobody is asked about it, and its ids are drawn from the operating system: other processes that were
/// forked from the same one would draw the same otherwise.
#[cold]
pub(in crate::span) fn left(inner: &mut SpanRecord, core: &SpanShared, joins: bool) -> SpanOrigin {
    let id = id::system_63();
    if joins {
        inner.ids.span = SpanId::new(id);
        return SpanOrigin::Joined;
    }
    inner.begin_state(0);
    let high = if core.trace_id_128bit { id::system_63() } else { 0 };
    inner.ids.set(TraceId::new(high, id), SpanId::new(id), SpanId::NONE);
    SpanOrigin::Trace
}

/// Continues the trace of the parent, and its very span if this is the server's side of it.
#[cold]
pub(in crate::span) fn server(
    inner: &mut SpanRecord,
    core: &SpanShared,
    given: Option<List<'_>>,
) -> SpanOrigin {
    if !serves(inner, given, core.max_tag_value_bytes) {
        return child(inner, core);
    }
    inner.data.get_mut().draft.encode_parent_reference((inner.ids.trace, inner.ids.parent));
    inner.ids.share();
    SpanOrigin::Joined
}

/// Whether a span is started as the server's side of a call. Of several tags that say so, the last
/// one counts, even if it was cut to `max` bytes.
fn serves(inner: &mut SpanRecord, given: Option<List<'_>>, max: usize) -> bool {
    let draft = &inner.data.get_mut().draft;
    let given = given.unwrap_or_else(|| List::new(draft.tag_count, draft.tags.bytes()));
    let kind = tags_of(Some(given)).filter(|tag| tag.key == b"span.kind").last();
    let server = b"server";
    let cut = &server[..server.len().min(max)];
    kind.is_some_and(|tag| [server, cut].map(ValueView::Str).contains(&tag.value))
}

/// Makes it a span that begins now, if it is recorded. Last, so that what was done to start it is
/// not part of it.
#[inline(always)]
pub(in crate::span) fn begin(inner: &mut SpanRecord, core: &SpanShared, counts: &Counts) {
    if inner.state.is_recording() {
        record(inner, core);
        inner.data.get_mut().begin(counts, Sampled::Yes);
    } else {
        forget(inner);
        inner.data.get_mut().begin(counts, Sampled::No);
    }
}

/// Lets a span that is recorded begin now; of another, forgets what it was given.
pub(in crate::span) fn recording(inner: &mut SpanRecord, core: &SpanShared) {
    if inner.state.is_recording() {
        record(inner, core);
    } else {
        forget(inner);
    }
}

#[inline(always)]
fn record(inner: &mut SpanRecord, core: &SpanShared) {
    inner.ids.encode();
    let data = inner.data.get_mut();
    if matches!(data.start, Start::Unknown) {
        data.start_now(core);
    }
}

#[inline(always)]
fn forget(inner: &mut SpanRecord) {
    // Its trace may be forced yet, and what was taken over is no more than half of its ids.
    inner.ids.forget_fields();
    inner.data.get_mut().draft.forget_tags();
}

/// Whether a span that has joined a trace is the first of this process: it serves somebody, or has no
/// parent. Its tags may be cut after `max` bytes, and so its kind.
///
/// # Source
///
/// `firstInProcess` in jaeger-client-go, `tracer.go`.
pub(in crate::span) fn is_first_in_process(
    inner: &mut SpanRecord,
    given: Option<List<'_>>,
    max: usize,
) -> bool {
    inner.ids.parent == SpanId::NONE || serves(inner, given, max)
}

/// Lets a span begin that others are told of: they may keep handles on it, and want to know how long
/// it takes even if it is not recorded.
#[cold]
pub(in crate::span) fn watched(inner: &mut SpanRecord, core: &SpanShared) {
    inner.ids.encode();
    let data = inner.data.get_mut();
    if matches!(data.start, Start::Unknown) {
        data.start_now(core);
    }
}

/// Takes a context as the span's own.
#[cold]
pub(in crate::span) fn as_itself(inner: &mut SpanRecord, itself: SpanContext) -> SpanOrigin {
    let parent = (inner.ids.trace, inner.ids.parent);
    inner.data.get_mut().draft.encode_parent_reference(parent);
    inner.ids.set(itself.trace_id, itself.span_id, itself.parent_id);
    inner.set_baggage(itself.baggage);
    match itself.state {
        Some(state) => inner.join_state(state),
        None => inner.begin_state(itself.flags),
    }
    SpanOrigin::Joined
}
