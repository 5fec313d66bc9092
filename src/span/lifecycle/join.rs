//! The ways into a trace: a span begins one, or joins an existing one.

use std::sync::Arc;

use crate::encoding::{List, ShortTags, TagBuffer, ValueView, tags_of};
use crate::id::{self, SpanId, TraceId};
use crate::sampler::{ById, Decision, ParentDecision, SAMPLER_TAGS, SamplingParameters, SpanTags};
use crate::span::context::SpanContext;
use crate::span::counters::SpanOrigin;
use crate::span::record::{DEBUG, FIREHOSE, SAMPLED, SamplingRequest, SpanRecord};
use crate::span::shared::{SpanShared, StartPath};

/// The tags of a sampler.
pub(super) enum Tags<'a> {
    None,
    Short(&'a ShortTags),
    OfSampler(&'a mut SpanTags),
}

impl Tags<'_> {
    /// Appends the tags to a span's tags and returns how many there are.
    #[inline(always)]
    pub(super) fn append_to(self, tags: &mut TagBuffer) -> usize {
        match self {
            Self::None => 0,
            Self::Short(short) => {
                tags.extend_short(short);
                SAMPLER_TAGS
            }
            Self::OfSampler(sampler_tags) => sampler_tags.append_to(tags),
        }
    }
}

#[inline(never)]
pub(super) fn decide(
    shared: &SpanShared,
    trace_id: TraceId,
    name: &str,
    sampler_tags: &mut SpanTags,
) -> Decision {
    let max = shared.options.max_tag_value_length;
    shared.sampling.sampler.on_create_span(&mut SamplingParameters::new(
        trace_id,
        name,
        sampler_tags,
        max,
        &shared.clock,
    ))
}

#[inline]
pub(super) fn flags_of(decision: Decision) -> u8 {
    match (decision.sample, decision.firehose) {
        (false, _) => 0,
        (true, false) => SAMPLED,
        (true, true) => SAMPLED | FIREHOSE,
    }
}

/// Begins a trace, perhaps with the debug id and decision of a context without a trace.
#[inline]
pub(super) fn begin_trace(
    record: &mut SpanRecord,
    shared: &SpanShared,
    from: Option<&SamplingRequest>,
) -> SpanOrigin {
    record.reset_state(0);
    let low = shared.id_source.next();
    record.ids.set(TraceId::new(shared.id_source.next_high(), low), SpanId::new(low), SpanId::NONE);
    let decision = from.and_then(|from| from.decision_for_new_trace);
    let debug_id = from.and_then(|from| from.debug_id.as_ref());
    let flags = decided_flags(record, shared, decision.is_none(), debug_id);
    record.state.reset(flags | decision.unwrap_or_default());
    SpanOrigin::Trace
}

/// Decides on a trace that the span has joined: by the sampler if there is no decision, and by a debug id.
#[cold]
#[inline(never)]
pub(super) fn decide_missing_or_debug(
    record: &mut SpanRecord,
    shared: &SpanShared,
    request: &mut SamplingRequest,
) {
    let flags = record.state.flags();
    request.throttle(shared, record.data.get_mut().draft.name(), flags);
    let flags = decided_flags(record, shared, request.lacks_decision, request.debug_id.as_ref());
    record.state.add(flags);
}

/// Calls a sampler that decides about joined traces: its decision overrides the caller's.
#[cold]
#[inline(never)]
pub(super) fn let_sampler_override(record: &mut SpanRecord, shared: &SpanShared) {
    let flags = record.state.flags();
    let parent = ParentDecision::new(flags & SAMPLED != 0, flags & DEBUG != 0);
    let draft = &mut record.data.get_mut().draft;
    let mut sampler_tags = SpanTags::default();
    let max = shared.options.max_tag_value_length;
    let mut span = SamplingParameters::new(
        record.ids.trace,
        draft.name(),
        &mut sampler_tags,
        max,
        &shared.clock,
    );
    let Some(decision) = shared.sampling.sampler.on_join(&mut span, parent) else { return };
    if decision.sample {
        let count = sampler_tags.append_to(draft.sampler_tags(draft.tag_count()));
        draft.add_tags(count);
        record.state.add(flags_of(decision));
    } else {
        // Both bits, as where a trace is stopped by its priority.
        record.state.remove(SAMPLED | DEBUG);
    }
}

/// Starts a span of a disabled tracer, with the parent that a builder has stored.
#[cold]
#[inline(never)]
pub(super) fn disabled(
    record: &mut SpanRecord,
    without_caller: &Arc<SpanContext>,
    caller: Option<SpanContext>,
) {
    discard_tags(record);
    record.reset_state(0);
    record.ids.span = SpanId::NONE;
    record.set_caller(caller.map_or_else(|| Arc::clone(without_caller), Arc::new));
}

/// Returns the parent's context that a builder has stored.
pub(super) fn parent_context(record: &mut SpanRecord, request: SamplingRequest) -> SpanContext {
    SpanContext {
        trace_id: record.ids.trace,
        span_id: record.ids.parent,
        parent_id: record.ids.span,
        flags: record.state.flags(),
        remote: true,
        decision_for_new_trace: request.decision_for_new_trace.is_some(),
        lacks_decision: request.lacks_decision,
        state: None,
        baggage: record.data.get_mut().baggage().cloned(),
        debug_id: request.debug_id,
    }
}

/// Returns the flags from the sampler's decision, if it is called, and a debug id. Their tags are
/// added.
#[inline(always)]
fn decided_flags(
    record: &mut SpanRecord,
    shared: &SpanShared,
    needs_decision: bool,
    debug_id: Option<&Arc<str>>,
) -> u8 {
    let draft = &mut record.data.get_mut().draft;
    let mut sampler_tags = SpanTags::default();
    let by_id = if !needs_decision || shared.sampling.may_defer {
        // No flags and no tags yet: a sampler that may defer is called once the span exists.
        ById::No
    } else if !shared.sampling.decides_by_id {
        ById::CallSampler
    } else {
        shared.sampling.decide_by_id(record.ids.trace)
    };
    let (mut flags, tags) = match by_id {
        ById::No => (0, Tags::None),
        ById::Yes(tags) => (SAMPLED, Tags::Short(tags)),
        ById::CallSampler => {
            let decision = decide(shared, record.ids.trace, draft.name(), &mut sampler_tags);
            (flags_of(decision), Tags::OfSampler(&mut sampler_tags))
        }
    };
    let sample = flags != 0;
    // The sampler's tags come before the span's first tags.
    let before = draft.tag_count();
    if sample {
        let is_prepended = match &tags {
            // The tag of a debug id has to come behind them, and observers take the draft's tags for those of the
            // application.
            Tags::Short(short)
                if before > 0
                    && debug_id.is_none()
                    && shared.start.by_builder == StartPath::Fast =>
            {
                draft.tags.try_prepend(short)
            }
            _ => false,
        };
        let count =
            if is_prepended { SAMPLER_TAGS } else { tags.append_to(draft.sampler_tags(before)) };
        draft.add_tags(count);
    }
    if let Some(debug_id) = debug_id {
        flags |= SAMPLED | DEBUG;
        // A sampler that defers has its tags before them, and is called for the others alone.
        let to = if shared.sampling.may_defer {
            draft.has_rare_fields = true;
            &mut draft.lists_mut().first_tags
        } else {
            draft.sampler_tags(before)
        };
        shared.count_if_truncated(debug_id.len());
        let value = shared.truncate_to_limit(debug_id);
        to.tag(shared.sampling.debug_tag.as_bytes(), ValueView::Str(value.as_bytes()));
        draft.add_tags(1);
    }
    flags
}

/// Returns whether the span's `tracestate` is recorded as a tag, which is added where the slow path
/// ends the span. All spans of the trace in this process share it.
pub(super) fn has_recorded_tracestate(record: &mut SpanRecord, shared: &SpanShared) -> bool {
    let baggage = record.data.get_mut().baggage();
    shared.output.records_tracestate && baggage.is_some_and(|baggage| baggage.tracestate.is_some())
}

/// Brings a span into a trace in a forked process. No callback is called, and ids are from the
/// operating system: siblings of the process would generate the same ones otherwise.
#[cold]
pub(super) fn in_fork(record: &mut SpanRecord, shared: &SpanShared, joins: bool) -> SpanOrigin {
    let id = id::system_63();
    if joins {
        record.ids.span = SpanId::new(id);
        return SpanOrigin::Joined;
    }
    record.reset_state(0);
    let high = if shared.id_source.are_wide { id::system_63() } else { 0 };
    record.ids.set(TraceId::new(high, id), SpanId::new(id), SpanId::NONE);
    SpanOrigin::Trace
}

/// Continues the very span of the parent, if this is the server's side of it. Returns whether it is.
#[cold]
pub(super) fn parents_span(
    record: &mut SpanRecord,
    shared: &SpanShared,
    tags: Option<List<'_>>,
) -> bool {
    let is_server = serves(record, tags, shared.options.max_tag_value_length);
    if is_server {
        record.data.get_mut().draft.encode_parent_reference((record.ids.trace, record.ids.parent));
        record.ids.use_parent_ids();
    }
    is_server
}

/// Returns whether a span is started as the server's side of a call. Of several such tags, the last
/// one counts, even if it was truncated to `max` bytes.
fn serves(record: &mut SpanRecord, tags: Option<List<'_>>, max: usize) -> bool {
    let draft = &record.data.get_mut().draft;
    has_server_kind(tags.unwrap_or_else(|| List::new(draft.tag_count(), draft.tags.bytes())), max)
}

/// Returns whether tags are those of the server's side of a call, in the same way.
pub(super) fn has_server_kind(tags: List<'_>, max: usize) -> bool {
    let kind = tags_of(Some(tags)).filter(|tag| tag.key == b"span.kind").last();
    let server = b"server";
    let cut = &server[..server.len().min(max)];
    kind.is_some_and(|tag| [server, cut].map(ValueView::Str).contains(&tag.value))
}

#[inline(always)]
pub(super) fn discard_tags(record: &mut SpanRecord) {
    // The trace may be forced yet, and the inherited fields are only half of its ids.
    record.ids.clear_fields();
    record.data.get_mut().clear_tags();
}

/// Returns whether a span that has joined a trace is the first of this process: a server span, or
/// one without a parent. Its tags may be truncated to `max` bytes, and so its kind.
///
/// # Source
///
/// `firstInProcess` in jaeger-client-go, `tracer.go`.
pub(super) fn is_first_in_process(
    record: &mut SpanRecord,
    tags: Option<List<'_>>,
    max: usize,
) -> bool {
    let parent = record.ids.parent;
    parent == SpanId::NONE || serves(record, tags, max)
}

/// Uses a context as the span's own.
#[cold]
pub(super) fn as_itself(record: &mut SpanRecord, itself: SpanContext) -> SpanOrigin {
    let parent = (record.ids.trace, record.ids.parent);
    record.data.get_mut().draft.encode_parent_reference(parent);
    record.ids.set(itself.trace_id, itself.span_id, itself.parent_id);
    record.set_baggage(itself.baggage);
    match itself.state {
        Some(state) => record.join_state(state),
        None => record.reset_state(itself.flags),
    }
    SpanOrigin::Joined
}
