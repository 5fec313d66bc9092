//! The start of a span: what its builder has stored becomes a live span.
//!
//! Most spans have a name and perhaps a parent and tags, and no callbacks. All others take
//! [`UnstartedSpan::start_slow`], which applies in order: tail sampling · the sampler that defers ·
//! a priority · observers.

use std::borrow::Cow;
use std::sync::Arc;

use super::join;
use super::priority::set_priority;
use super::unstarted_tags::set_tag_cold;
use super::write::decide_by_tag;
use super::{deferred, tail};
use crate::encoding::{Key, ReferenceKind};
use crate::id::{self, SpanId};
use crate::span::active;
use crate::span::context::SpanContext;
use crate::span::counters::{SpanOrigin, Stripe};
use crate::span::observer::{self, Place, StartTags};
use crate::span::record::{self, OwnedRecord, ParentKind, Sampled, SpanRecord, Start};
use crate::span::repr::Span;
use crate::span::shared::{SpanShared, StartPath};
use crate::span::tag::TagValue;
use crate::tags::SAMPLING_PRIORITY;

/// Starts a span that joins the trace in its record, without callbacks, and wraps it where it is made.
#[inline(always)]
pub(super) fn start_joined<T>(
    mut owned: OwnedRecord,
    stripe: &Arc<Stripe>,
    wrap: impl FnOnce(Span) -> T,
) -> T {
    let record = &mut *owned;
    record.set_tracer(stripe);
    // Without a look for a generator: with one there are callbacks.
    record.ids.span = SpanId::new(id::random_id(stripe.id_source.salt));
    let is_recording = record.state.is_recording();
    mark_started(record, stripe, SpanOrigin::Joined, is_recording);
    wrap(Span::recorded(owned.into_shared()))
}

/// Draws the id of a span whose trace and parent are in its record.
#[inline]
fn draw_id(record: &mut SpanRecord, stripe: &Stripe) {
    record.ids.span = SpanId::new(stripe.id_source.next());
}

/// A span about to be started.
pub(in crate::span) struct UnstartedSpan<'a> {
    pub(super) stripe: &'a Arc<Stripe>,
    /// The span's record, to which options are written as they come: a struct in the builder would
    /// be moved at each of its steps.
    pub(in crate::span) record: OwnedRecord,
    pub(in crate::span) parent_kind: ParentKind,
    /// Whether the parent so far has a trace, which the span then joins.
    pub(in crate::span) joins: bool,
    pub(in crate::span) ignores_active: bool,
    /// Whether the record has any of the extras.
    pub(in crate::span) has_extras: bool,
}

impl<'a> UnstartedSpan<'a> {
    #[inline(always)]
    pub(in crate::span) fn new(stripe: &'a Arc<Stripe>, name: Cow<'static, str>) -> Self {
        let mut record = record::take();
        record.data.get_mut().draft.set_first_name(name);
        Self {
            stripe,
            record,
            parent_kind: ParentKind::None,
            joins: false,
            ignores_active: false,
            has_extras: false,
        }
    }

    /// Returns the name, for `Debug`.
    pub(in crate::span) fn name(&self) -> Cow<'static, str> {
        let name = self.record.data.try_lock().map(|data| data.draft.name().clone());
        name.unwrap_or_default()
    }

    #[inline]
    fn refer_to_active(&mut self) {
        if active::is_any_active() {
            let stripe = self.stripe;
            active::with_nearest(
                |span| span.belongs_to(stripe),
                |span| {
                    if let Some(record) = span.get() {
                        self.reference(ReferenceKind::ChildOf).add_record(record);
                    }
                },
            );
        }
    }

    /// Uses a context as the span's own, if it names a span.
    pub(in crate::span) fn set_itself(&mut self, context: Option<SpanContext>) {
        self.has_extras = true;
        self.record.extras().itself = context.filter(SpanContext::is_valid);
    }

    /// Sets a tag, by its key to be written and as text. Usual ones are written where this is inlined.
    #[inline(always)]
    pub(in crate::span) fn set_tag(&mut self, key: (impl Key, &str), value: TagValue<'_>) {
        let max_bytes = self.stripe.options.max_tag_value_length;
        if !self.record.data.get_mut().try_tag(key.0, value, max_bytes) {
            self.has_extras |= set_tag_cold(&mut self.record, self.stripe, key.1, value);
        }
    }

    /// Sets the start time, in nanoseconds since the Unix epoch.
    pub(in crate::span) fn set_start(&mut self, wall: i64) {
        self.record.data.get_mut().set_start(Start::Explicit { wall });
    }

    pub(in crate::span) fn stripe(&self) -> &'a Arc<Stripe> {
        self.stripe
    }

    #[inline(always)]
    pub(in crate::span) fn start(self) -> Span {
        self.start_as(|span| span)
    }

    /// Starts the span, and wraps it where it is made: moving a span costs as much as its reference to the
    /// tracer. The usual span of a builder joins the trace of its parent.
    #[inline(always)]
    pub(in crate::span) fn start_as<T>(self, wrap: impl FnOnce(Span) -> T) -> T {
        if !self.joins || self.is_slow() {
            return wrap(self.start_other());
        }
        start_joined(self.record, self.stripe, wrap)
    }

    /// Starts a span that begins a trace, has an active span as its parent, or takes the slow path.
    #[inline(never)]
    fn start_other(mut self) -> Span {
        if self.is_slow() {
            return self.start_slow();
        }
        if self.parent_kind == ParentKind::None && !self.ignores_active {
            self.refer_to_active();
        }
        let Self { stripe, record: mut owned, joins, .. } = self;
        let record = &mut *owned;
        record.set_tracer(stripe);
        let span_origin = begin_or_join(record, stripe, joins);
        let is_recording = record.state.is_recording();
        mark_started(record, stripe, span_origin, is_recording);
        Span::recorded(owned.into_shared())
    }

    #[inline(always)]
    pub(super) fn is_slow(&self) -> bool {
        self.has_extras
            || self.stripe.start.by_builder != StartPath::Fast
            || self.stripe.is_forked()
    }

    /// Starts a span with extras, or with callbacks at the start.
    #[cold]
    #[inline(never)]
    pub(super) fn start_slow(self) -> Span {
        self.start_slow_in(Place::New, &mut false)
    }

    /// Sets `is_recorded` to what was found when that was looked at. Not returned, as that would move the span.
    pub(super) fn start_slow_in(mut self, place: Place, is_recorded: &mut bool) -> Span {
        let extras = self.record.data.get_mut().extras.as_ref();
        let has_self_reference = extras
            .and_then(|extras| extras.start.as_ref())
            .is_some_and(|start| start.itself.is_some());
        if self.parent_kind == ParentKind::None && !has_self_reference && !self.ignores_active {
            self.refer_to_active();
        }
        if self.stripe.is_disabled() {
            self.start_disabled()
        } else if self.stripe.is_forked() {
            self.start_in_fork(is_recorded)
        } else if self.stripe.start.by_builder == StartPath::Observed && !self.has_extras {
            self.start_observed(is_recorded)
        } else {
            self.start_full(place, is_recorded)
        }
    }

    /// Starts a span without extras, of which observers are notified when it is finished.
    #[inline]
    fn start_observed(self, is_recorded: &mut bool) -> Span {
        let Self { stripe, record: mut owned, joins, .. } = self;
        let record = &mut *owned;
        record.set_tracer(stripe);
        let has_tags = record.data.get_mut().draft.tag_count() > 0;
        let span_origin = begin_or_join(record, stripe, joins);
        if joins && stripe.start.counts_first_spans {
            let max_bytes = stripe.options.max_tag_value_length;
            if join::is_first_in_process(record, None, max_bytes) {
                stripe.count_first(record.state.sampled());
            }
        }
        let is_recording = record.state.is_recording();
        observer::observe_built(record, stripe, has_tags, is_recording);
        let data = record.data.get_mut();
        if data.is_start_unknown() && !is_recording {
            data.start_now(stripe);
        }
        mark_started(record, stripe, span_origin, is_recording);
        *is_recorded = is_recording;
        Span::recorded(owned.into_shared())
    }

    /// Starts a span with everything that a start can have: extras, callbacks, metrics, tail sampling.
    fn start_full(self, place: Place, is_recorded: &mut bool) -> Span {
        let Self { stripe, record: mut owned, joins, .. } = self;
        let record = &mut *owned;
        let extras = record.data.get_mut().take_start_extras();
        record.set_tracer(stripe);
        let has_observers = !stripe.hooks.is_empty();
        let mut start_tags = StartTags::default();
        if stripe.hooks.want_tags() {
            start_tags = StartTags::take(&mut record.data.get_mut().draft);
        }
        let (span_origin, sampled, is_recording) = {
            let guard = StartGuard::of(record);
            let record = &mut *guard.0;
            let mut request = extras.request;
            let (span_origin, needs_decision) = match extras.itself {
                Some(itself) => (join::as_itself(record, itself), false),
                None if joins => {
                    if !stripe.options.zipkin_shared_rpc_span
                        || !join::parents_span(record, stripe, start_tags.list())
                    {
                        draw_id(record, stripe);
                    }
                    if stripe.sampling.decides_on_join
                        && request.is_empty()
                        && !record.shares_state()
                    {
                        join::let_sampler_override(record, stripe);
                    }
                    if !request.is_empty() {
                        join::decide_missing_or_debug(record, stripe, &mut request);
                    }
                    (SpanOrigin::Joined, request.lacks_decision)
                }
                None => {
                    request.throttle(stripe, record.data.get_mut().draft.name(), 0);
                    (
                        join::begin_trace(record, stripe, Some(&request)),
                        request.decision_for_new_trace.is_none(),
                    )
                }
            };
            if stripe.sampling.tail_sampler.is_some() {
                tail::track_start(record, stripe, span_origin);
            }
            if matches!(stripe.start.by_builder, StartPath::WithHooks | StartPath::Observed)
                || join::has_recorded_tracestate(record, stripe)
            {
                record.state.require_slow_path();
            }
            if stripe.sampling.may_defer {
                deferred::started(record, stripe, needs_decision);
            }
            if has_observers {
                observer::observe_finish(record, stripe);
                start_clock_of_observed(record, stripe);
            }
            if let Some(value) = extras.priority {
                let before = start_tags.before_last(&record.data.get_mut().draft);
                set_priority(record, stripe, value);
                start_tags.take_last(&mut record.data.get_mut().draft, before);
            }
            let sampled = record.state.sampled();
            // Read before the tags are discarded.
            if stripe.start.counts_first_spans
                && span_origin == SpanOrigin::Joined
                && join::is_first_in_process(
                    record,
                    start_tags.list(),
                    stripe.options.max_tag_value_length,
                )
            {
                stripe.count_first(sampled);
            }
            // Observers may yet have it recorded.
            let is_recording = !has_observers && start_clock_if_recording(record, stripe);
            (span_origin, sampled, is_recording)
        };
        record.data.get_mut().mark_started(stripe, span_origin, sampled);
        if stripe.sampling.tail_sampler.is_some() {
            tail::started(record, stripe);
        }
        let span = Span::recorded(owned.into_shared());
        *is_recorded =
            is_recording || (has_observers && notify_started(&span, stripe, &start_tags, place));
        span
    }
}

/// Notifies observers of a span that has its ids and its sampler's decision, and of its first tags.
/// The sampler that defers, and tail sampling, are called for the tags after them. Returns whether the span is
/// recorded.
fn notify_started(span: &Span, stripe: &Arc<Stripe>, start_tags: &StartTags, place: Place) -> bool {
    let Some(record) = span.existing_record() else { return false };
    if place == Place::New {
        observer::started(span, record, stripe, start_tags);
    }
    for (key, value) in start_tags.tags() {
        observer::tag_set(span, record, stripe, key, value);
        if key == SAMPLING_PRIORITY {
            continue;
        }
        decide_by_tag(record, stripe, key, value);
        if let Some(mut data) = record.lock().filter(|data| !data.finished) {
            // Counted as truncated when it was set.
            data.append_tag(key, value, stripe, stripe.options.max_tag_value_length);
        }
    }
    let Some(mut data) = record.lock() else { return false };
    start_tags.append_last(&mut data.draft);
    let is_recording = record.state.is_recording();
    if !is_recording {
        data.clear_tags();
    }
    is_recording
}

/// Begins a trace, or joins the one of the parent that the record has inherited from.
#[inline(always)]
pub(super) fn begin_or_join(record: &mut SpanRecord, stripe: &Stripe, joins: bool) -> SpanOrigin {
    if joins {
        draw_id(record, stripe);
        SpanOrigin::Joined
    } else {
        join::begin_trace(record, stripe, None)
    }
}

/// Marks the span as started, now if it is recorded. Done last, so that the span's duration excludes its
/// own start-up. Whether it is recorded is looked at once for a start, as another thread may change it
/// meanwhile: a tag that one part leaves to another is stored by neither otherwise.
#[inline(always)]
pub(super) fn mark_started(
    record: &mut SpanRecord,
    stripe: &Stripe,
    span_origin: SpanOrigin,
    is_recording: bool,
) {
    if is_recording {
        match span_origin {
            SpanOrigin::Trace => record.ids.encode_first(),
            SpanOrigin::Joined => record.ids.encode(),
        }
        start_unless_given(record, stripe);
        record.data.get_mut().mark_started(stripe, span_origin, Sampled::Yes);
    } else {
        join::discard_tags(record);
        record.data.get_mut().mark_started(stripe, span_origin, Sampled::No);
    }
}

/// Sets the start of a recorded span to now; discards the tags of any other. Returns whether it is recorded.
fn start_clock_if_recording(record: &mut SpanRecord, shared: &SpanShared) -> bool {
    let is_recording = record.state.is_recording();
    if is_recording {
        start_clock(record, shared);
    } else {
        join::discard_tags(record);
    }
    is_recording
}

/// Sets the start of a span to now, unless it was given, and encodes the ids.
#[inline(always)]
fn start_clock(record: &mut SpanRecord, shared: &SpanShared) {
    record.ids.encode();
    start_unless_given(record, shared);
}

#[inline(always)]
fn start_unless_given(record: &mut SpanRecord, shared: &SpanShared) {
    let data = record.data.get_mut();
    if data.is_start_unknown() {
        data.start_now(shared);
    }
}

/// Sets the start of an observed span to now: observers may keep handles on it, and want to know how
/// long it takes even if it is not recorded.
#[cold]
fn start_clock_of_observed(record: &mut SpanRecord, shared: &SpanShared) {
    start_clock(record, shared);
}

/// A record that is being started, and is written to as if it were a span. If a user callback panics
/// meanwhile, there was none.
struct StartGuard<'r>(&'r mut SpanRecord);

impl<'r> StartGuard<'r> {
    fn of(record: &'r mut SpanRecord) -> Self {
        record.data.get_mut().finished = false;
        Self(record)
    }
}

impl Drop for StartGuard<'_> {
    fn drop(&mut self) {
        self.0.data.get_mut().finished = true;
    }
}
