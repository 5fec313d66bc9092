//! The start of a span that has only a name.

use std::borrow::Cow;
use std::sync::Arc;

use super::join::{self, Tags};
use super::start::UnstartedSpan;
use crate::id::{self, SpanId, TraceId};
use crate::sampler::{ById, ConstantDecision, SpanTags};
use crate::span::active;
use crate::span::counters::{SpanOrigin, Stripe};
use crate::span::observer;
use crate::span::record::{self, NonRecording, SAMPLED, Sampled};
use crate::span::repr::Span;
use crate::span::shared::{Sampling, SpanShared, StartPath};

/// Starts a span that has only a name, the most frequent case, on the thread that owns the stripe. Moving a builder
/// costs more than such a span.
#[inline]
pub(crate) fn start_plain(stripe: &Arc<Stripe>, name: impl Into<Cow<'static, str>>) -> Span {
    start_by::<true>(stripe, name)
}

/// Starts the same on a thread that may not own the stripe.
#[inline(never)]
pub(crate) fn start_plain_on_any_thread(stripe: &Arc<Stripe>, name: Cow<'static, str>) -> Span {
    start_by::<false>(stripe, name)
}

#[inline(always)]
fn start_by<const IS_OWNER: bool>(
    stripe: &Arc<Stripe>,
    name: impl Into<Cow<'static, str>>,
) -> Span {
    let shared: &SpanShared = stripe;
    if active::is_any_active() || shared.start.by_name != StartPath::Fast || shared.is_forked() {
        return built(stripe, name.into());
    }
    let trace_id = TraceId::new(shared.id_source.next_high(), id::random_id(shared.id_source.salt));
    match shared.sampling.decide_by_id(trace_id) {
        ById::No => match name.into() {
            Cow::Borrowed(name) => non_recording(stripe, trace_id, name),
            name => root_of::<false, false>(stripe, trace_id, name, 0, Tags::None),
        },
        ById::Yes(tags) => {
            let (name, tags) = (name.into(), Tags::Short(tags));
            root_of::<false, IS_OWNER>(stripe, trace_id, name, SAMPLED, tags)
        }
        ById::CallSampler => decided_by_call(stripe, trace_id, name.into()),
    }
}

#[cold]
#[inline(never)]
fn built(stripe: &Arc<Stripe>, name: Cow<'static, str>) -> Span {
    if stripe.start.by_name == StartPath::Observed
        && !active::is_any_active()
        && !stripe.is_forked()
    {
        return observed(stripe, name);
    }
    if stripe.is_disabled()
        && !active::is_any_active()
        && let Cow::Borrowed(name) = name
    {
        return non_recording(stripe, TraceId::default(), name);
    }
    UnstartedSpan::new(stripe, name).start()
}

impl Sampling {
    /// Returns the sampler's decision by the id alone.
    #[inline(always)]
    pub(super) fn decide_by_id(&self, trace_id: TraceId) -> ById<'_> {
        // First of all, as such a span has most to do yet.
        if let ConstantDecision::Yes(tags) = &self.constant {
            return ById::Yes(tags);
        }
        match &self.constant {
            ConstantDecision::No => ById::No,
            _ => self.sampler.decide_by_id(trace_id).outcome(),
        }
    }
}

/// Starts the first span of a trace, of which observers are notified when it is finished.
#[inline(always)]
fn observed(stripe: &Arc<Stripe>, name: Cow<'static, str>) -> Span {
    let trace_id = TraceId::new(stripe.id_source.next_high(), id::random_id(stripe.id_source.salt));
    match stripe.sampling.decide_by_id(trace_id) {
        ById::No => root_of::<true, false>(stripe, trace_id, name, 0, Tags::None),
        ById::Yes(tags) => {
            root_of::<true, false>(stripe, trace_id, name, SAMPLED, Tags::Short(tags))
        }
        ById::CallSampler => observed_by_call(stripe, trace_id, name),
    }
}

/// Starts the same if the sampler needs more than the id.
#[cold]
#[inline(never)]
fn observed_by_call(stripe: &Arc<Stripe>, trace_id: TraceId, name: Cow<'static, str>) -> Span {
    let mut sampler_tags = SpanTags::default();
    let flags = join::flags_of(join::decide(stripe, trace_id, &name, &mut sampler_tags));
    root_of::<true, false>(stripe, trace_id, name, flags, Tags::OfSampler(&mut sampler_tags))
}

/// Starts the first span of a trace whose sampler needs more than the id.
#[inline(never)]
fn decided_by_call(stripe: &Arc<Stripe>, trace_id: TraceId, name: Cow<'static, str>) -> Span {
    let mut sampler_tags = SpanTags::default();
    let flags = join::flags_of(join::decide(stripe, trace_id, &name, &mut sampler_tags));
    match name {
        Cow::Borrowed(name) if flags == 0 => non_recording(stripe, trace_id, name),
        name => {
            let tags = Tags::OfSampler(&mut sampler_tags);
            root_of::<false, false>(stripe, trace_id, name, flags, tags)
        }
    }
}

/// Starts the first span of a trace that is not recorded.
#[inline]
fn non_recording(stripe: &Arc<Stripe>, trace_id: TraceId, name: &'static str) -> Span {
    Span::non_recording(NonRecording::new(record::count_non_recording(stripe), trace_id, name))
}

/// Starts the first span of a trace, with a record. If it is observed, its start is read even if it is not
/// sampled.
#[inline(always)]
fn root_of<const IS_OBSERVED: bool, const IS_OWNER: bool>(
    stripe: &Arc<Stripe>,
    trace_id: TraceId,
    name: Cow<'static, str>,
    flags: u8,
    tags: Tags<'_>,
) -> Span {
    let mut owned = record::take();
    let record = &mut *owned;
    record.set_tracer(stripe);
    record.reset_own_state(flags);
    let data = record.data.get_mut();
    data.draft.set_first_name(name);
    if flags == 0 {
        record.ids.set(trace_id, SpanId::new(trace_id.low()), SpanId::NONE);
        if IS_OBSERVED {
            observer::observe_finish(record, stripe);
            record.data.get_mut().start_now(stripe);
        }
        record.data.get_mut().mark_started(stripe, SpanOrigin::Trace, Sampled::No);
    } else {
        record.ids.begin(trace_id);
        // There are none, which the compiler does not know.
        data.draft.tags.clear();
        let count = tags.append_to(&mut data.draft.tags);
        data.draft.set_tag_count(count);
        if IS_OBSERVED {
            observer::observe_finish(record, stripe);
        }
        let data = record.data.get_mut();
        data.start_now(stripe);
        data.mark_started_by::<IS_OWNER>(stripe, SpanOrigin::Trace, Sampled::Yes);
    }
    Span::recorded(owned.into_shared())
}
