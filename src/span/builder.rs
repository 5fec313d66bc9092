//! What a span is started with: references, tags, a start time.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::context::SpanContext;
use super::counters::{Sampled, Stripe};
use super::lifecycle::start::{self, SpanOrigin};
use super::lifecycle::write::{SAMPLING_PRIORITY, set_priority};
use super::lifecycle::{deferred, tail};
use super::record::{ParentKind, ReferenceSink, SpanRecord, Start, StartExtras, extras_of};
use super::reference::Parent;
use super::{IntoTagValue, Span, TagValue, active, observer, record};
use crate::diag::Brief;
use crate::encoding::FollowsFrom;
use crate::tags::{self, SpanKind};

/// A span about to be started.
///
/// # Examples
///
/// ```
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// let parent = tracer.start_span("parent");
/// let child = tracer.span("child").child_of(&parent).tag("span.kind", "client").start();
/// assert_eq!(child.context().trace_id(), parent.context().trace_id());
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[must_use = "a span is started by `start`"]
pub struct SpanBuilder<'a> {
    core: &'a Arc<Stripe>,
    /// The span's record, which takes what is given as it comes: what a builder carries would be
    /// moved at each of its steps.
    record: Arc<SpanRecord>,
    parent_kind: ParentKind,
    /// Whether the candidate has a trace, which the span then joins.
    joins: bool,
    ignore_active: bool,
    /// Whether the record holds something of what few spans are started with.
    extras: bool,
}

impl fmt::Debug for SpanBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.record.data.try_lock().map(|data| data.draft.name.clone());
        let name = name.unwrap_or_default();
        f.debug_struct("SpanBuilder").field("operation", &Brief(name)).finish_non_exhaustive()
    }
}

impl<'a> SpanBuilder<'a> {
    #[inline]
    pub(crate) fn new(core: &'a Arc<Stripe>, name: Cow<'static, str>) -> Self {
        let mut record = record::take();
        if let Some(inner) = Arc::get_mut(&mut record) {
            inner.data.get_mut().draft.name = name;
        }
        Self {
            core,
            record,
            parent_kind: ParentKind::None,
            joins: false,
            ignore_active: false,
            extras: false,
        }
    }

    #[inline(always)]
    fn reference(&mut self, follows_from: FollowsFrom, to: impl Parent) {
        let Self { record, parent_kind, joins, extras, .. } = self;
        if let Some(inner) = Arc::get_mut(record) {
            to.refer(&mut ReferenceSink { follows_from, inner, parent_kind, joins, extras });
        }
    }

    /// Makes it a child: the parent waits for it. The first such reference is the parent.
    #[inline(always)]
    pub fn child_of(mut self, parent: impl Parent) -> Self {
        self.reference(false, parent);
        self
    }

    /// Lets it follow from another span, which does not wait for it. It is the parent where there
    /// is nothing it is a child of; of several, the last one.
    pub fn follows_from(mut self, parent: impl Parent) -> Self {
        self.reference(true, parent);
        self
    }

    /// Takes the context as its own: ids, flags and baggage are as given, nothing is drawn and no
    /// sampler is asked. For spans that were begun elsewhere.
    ///
    /// # Source
    ///
    /// `SelfRef` in jaeger-client-go, reference type 99.
    pub fn self_reference(mut self, context: impl Parent) -> Self {
        let itself = context.context().filter(SpanContext::is_valid);
        if let Some(extras) = self.extras() {
            extras.itself = itself;
        }
        self
    }

    /// Does not take the active span as parent where no other is given.
    pub fn ignore_active_span(mut self) -> Self {
        self.ignore_active = true;
        self
    }

    /// Sets a tag from the start on. `sampling.priority` acts before the others are stored.
    #[inline]
    pub fn tag(mut self, key: &str, value: impl IntoTagValue) -> Self {
        value.set_with(
            #[inline(always)]
            |value| self.set_tag(key, value),
        );
        self
    }

    /// Sets the tag `span.kind`: the role of the span in a call.
    pub fn kind(self, kind: SpanKind) -> Self {
        self.tag(tags::SPAN_KIND, kind)
    }

    #[inline(always)]
    fn set_tag(&mut self, key: &str, value: TagValue<'_>) {
        if key.len() == SAMPLING_PRIORITY.len() && key == SAMPLING_PRIORITY {
            self.set_priority(value);
        } else if let Some(inner) = Arc::get_mut(&mut self.record) {
            let max_bytes = self.core.max_start_tag_value_bytes;
            inner.data.get_mut().tag(key, value, self.core, max_bytes);
        }
    }

    #[cold]
    fn set_priority(&mut self, value: TagValue<'_>) {
        if self.core.hooks.want_tags()
            && let Some(inner) = Arc::get_mut(&mut self.record)
        {
            inner.data.get_mut().tag(SAMPLING_PRIORITY, value, self.core, usize::MAX);
        }
        // Of other kinds it means nothing.
        let number = match value {
            TagValue::I64(number) => TagValue::I64(number),
            TagValue::U64(number) => TagValue::U64(number),
            TagValue::F64(number) => TagValue::F64(number),
            _ => return,
        };
        if let Some(extras) = self.extras() {
            extras.priority = Some(number);
        }
    }

    fn extras(&mut self) -> Option<&mut StartExtras> {
        self.extras = true;
        Arc::get_mut(&mut self.record).map(extras_of)
    }

    /// Lets the span begin at a moment given, in place of now. One that no server stores, before
    /// 1970 or after 2262, is moved to the nearest that they do, and
    /// [counted](crate::Stats::clamped_times).
    pub fn start_time(mut self, time: SystemTime) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.record) {
            let wall = self.core.given_nanos("start_time", time);
            inner.data.get_mut().start = Start::Given { wall };
        }
        self
    }

    /// Starts the span.
    #[inline(always)]
    pub fn start(mut self) -> Span {
        if self.extras || self.core.full_start || self.core.is_forked() {
            return self.start_with_extras();
        }
        if self.parent_kind == ParentKind::None && !self.ignore_active {
            self.refer_to_active();
        }
        let Self { core, mut record, joins, .. } = self;
        if let Some(inner) = Arc::get_mut(&mut record) {
            inner.core = Some(Arc::clone(core));
            let span_origin =
                if joins { start::child(inner, core) } else { start::trace(inner, core, None) };
            start::begin(inner, core, core.started(span_origin));
        }
        Span::recorded(record)
    }

    /// The same with what few spans are started with, or where others are to be told or asked.
    #[cold]
    #[inline(never)]
    fn start_with_extras(mut self) -> Span {
        let extras =
            Arc::get_mut(&mut self.record).and_then(|inner| inner.data.get_mut().extras.as_ref());
        let has_ids = extras.is_some_and(|extras| extras.itself.is_some());
        if self.parent_kind == ParentKind::None && !has_ids && !self.ignore_active {
            self.refer_to_active();
        }
        let extras =
            Arc::get_mut(&mut self.record).and_then(|inner| inner.data.get_mut().extras.take());
        let extras = extras.map(|extras| *extras).unwrap_or_default();
        if self.core.is_forked() && !self.core.is_disabled() {
            return self.start_in_fork(extras.itself);
        }
        let Self { core, mut record, joins, parent_kind, .. } = self;
        if let (Some(without_caller), Some(inner)) = (&core.disabled, Arc::get_mut(&mut record)) {
            inner.core = Some(Arc::clone(core));
            let is_below = parent_kind != ParentKind::None;
            let parent = is_below.then(|| start::parent_context(inner, extras.request));
            start::disabled(inner, without_caller, extras.itself.or(parent));
            let span_origin = if is_below { SpanOrigin::Joined } else { SpanOrigin::Trace };
            inner.data.get_mut().begin(core.started(span_origin), Sampled::No);
            return Span::recorded(record);
        }
        let has_observers = !core.hooks.is_empty();
        let mut given = observer::StartTags::default();
        if let Some(inner) = Arc::get_mut(&mut record) {
            inner.core = Some(Arc::clone(core));
            if core.hooks.want_tags() {
                given = observer::StartTags::take(inner.data.get_mut());
            }
            let (span_origin, sampled) = {
                let beginning = Beginning::of(inner);
                let inner = &mut *beginning.0;
                let mut request = extras.request;
                let (span_origin, asks) = match extras.itself {
                    Some(itself) => (start::as_itself(inner, itself), false),
                    None if joins => {
                        let span_origin = if core.shares_rpc_spans {
                            start::server(inner, core, given.list())
                        } else {
                            start::child(inner, core)
                        };
                        if core.asks_on_join && request.is_empty() && !inner.shares_state() {
                            start::decide_on_join(inner, core);
                        }
                        if !request.is_empty() {
                            start::decide_on_joined(inner, core, &mut request);
                        }
                        (span_origin, request.undecided)
                    }
                    None => {
                        let name = &inner.data.get_mut().draft.name;
                        request.throttle(core, name, 0);
                        (start::trace(inner, core, Some(&request)), request.decided.is_none())
                    }
                };
                if core.tail_sampler.is_some() {
                    tail::track_start(inner, core, span_origin);
                }
                if core.slow_path || start::has_recorded_trace_state(inner, core) {
                    inner.state.take_slow_path();
                }
                if core.may_defer {
                    deferred::started(inner, core, asks);
                }
                if has_observers {
                    start::watched(inner, core);
                }
                if let Some(value) = extras.priority {
                    given.collect(inner, |inner| set_priority(inner, core, value));
                }
                let sampled = inner.state.sampled();
                // Before its tags are forgotten.
                if core.counts_first
                    && span_origin == SpanOrigin::Joined
                    && start::is_first_in_process(inner, given.list(), core.max_tag_value_bytes)
                {
                    core.count_first(sampled);
                }
                if !has_observers {
                    start::recording(inner, core);
                }
                (span_origin, sampled)
            };
            inner.data.get_mut().begin(core.started(span_origin), sampled);
            if core.tail_sampler.is_some() {
                tail::started(inner, core);
            }
        }
        if has_observers {
            return observer::started(record, core, &given);
        }
        Span::recorded(record)
    }

    /// The same in a process that was forked from the one that built the tracer.
    #[cold]
    #[inline(never)]
    fn start_in_fork(self, itself: Option<SpanContext>) -> Span {
        let Self { core, mut record, joins, .. } = self;
        core.leave();
        if let Some(inner) = Arc::get_mut(&mut record) {
            inner.core = Some(Arc::clone(core));
            let span_origin = match itself {
                Some(itself) => start::as_itself(inner, itself),
                None => start::left(inner, core, joins),
            };
            start::begin(inner, core, core.started(span_origin));
        }
        Span::recorded(record)
    }

    #[inline]
    fn refer_to_active(&mut self) {
        if active::is_any_active() {
            let core = self.core;
            let Self { record, parent_kind, joins, extras, .. } = self;
            let Some(inner) = Arc::get_mut(record) else { return };
            let mut reference =
                ReferenceSink { follows_from: false, inner, parent_kind, joins, extras };
            active::with_nearest(|span| span.belongs_to(core), |span| span.refer(&mut reference));
        }
    }
}

/// A record that is to be a span, and is written to as if it were one. If a user callback panics
/// meanwhile there was none.
struct Beginning<'r>(&'r mut SpanRecord);

impl<'r> Beginning<'r> {
    fn of(inner: &'r mut SpanRecord) -> Self {
        inner.data.get_mut().finished = false;
        Self(inner)
    }
}

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        self.0.data.get_mut().finished = true;
    }
}
