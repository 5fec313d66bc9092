//! What a span is started with: references, tags, a start time.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::context::SpanContext;
use super::core::{CoreRef, Sampled};
use super::record::{Candidate, NewReference, Rare, SpanInner, Start, rare_of};
use super::reference::Parent;
use super::start::{self, Begun};
use super::write::{SAMPLING_PRIORITY, set_priority};
use super::{Span, TagValue, active, keep, late, record, watch};
use crate::diag::Brief;
use crate::encoding::FollowsFrom;

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
    core: &'a Arc<CoreRef>,
    /// The span's record, which takes what is given as it comes: what a builder carries would be
    /// moved at each of its steps.
    record: Arc<SpanInner>,
    candidate: Candidate,
    /// Whether the candidate has a trace, which the span then joins.
    joins: bool,
    ignore_active: bool,
    /// Whether the record holds something of what few spans are started with.
    rare: bool,
}

impl fmt::Debug for SpanBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.record.body.try_lock().map(|body| body.draft.name.clone());
        let name = name.unwrap_or_default();
        f.debug_struct("SpanBuilder").field("operation", &Brief(name)).finish_non_exhaustive()
    }
}

impl<'a> SpanBuilder<'a> {
    #[inline]
    pub(crate) fn new(core: &'a Arc<CoreRef>, name: Cow<'static, str>) -> Self {
        let mut record = record::take();
        if let Some(inner) = Arc::get_mut(&mut record) {
            inner.body.get_mut().draft.name = name;
        }
        Self {
            core,
            record,
            candidate: Candidate::None,
            joins: false,
            ignore_active: false,
            rare: false,
        }
    }

    #[inline(always)]
    fn reference(&mut self, follows_from: FollowsFrom, to: impl Parent) {
        let Self { record, candidate, joins, rare, .. } = self;
        if let Some(inner) = Arc::get_mut(record) {
            to.refer(&mut NewReference { follows_from, inner, candidate, joins, rare });
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
        if let Some(rare) = self.rare() {
            rare.itself = itself;
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
    pub fn tag<'v>(mut self, key: &str, value: impl Into<TagValue<'v>>) -> Self {
        let value = value.into();
        if key.len() == SAMPLING_PRIORITY.len() && key == SAMPLING_PRIORITY {
            self.set_priority(value);
        } else if let Some(inner) = Arc::get_mut(&mut self.record) {
            let max_bytes = self.core.max_start_tag_value_bytes;
            inner.body.get_mut().tag(key, value, self.core, max_bytes);
        }
        self
    }

    #[cold]
    fn set_priority(&mut self, value: TagValue<'_>) {
        if self.core.watchers.want_tags()
            && let Some(inner) = Arc::get_mut(&mut self.record)
        {
            inner.body.get_mut().tag(SAMPLING_PRIORITY, value, self.core, usize::MAX);
        }
        // Of other kinds it means nothing.
        let number = match value {
            TagValue::I64(number) => TagValue::I64(number),
            TagValue::U64(number) => TagValue::U64(number),
            TagValue::F64(number) => TagValue::F64(number),
            _ => return,
        };
        if let Some(rare) = self.rare() {
            rare.priority = Some(number);
        }
    }

    fn rare(&mut self) -> Option<&mut Rare> {
        self.rare = true;
        Arc::get_mut(&mut self.record).map(rare_of)
    }

    /// Lets the span begin at a moment given, in place of now. One that no server stores, before
    /// 1970 or after 2262, is moved to the nearest that they do, and
    /// [counted](crate::Stats::clamped_times).
    pub fn start_time(mut self, time: SystemTime) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.record) {
            let wall = self.core.given_nanos("start_time", time);
            inner.body.get_mut().start = Start::Given { wall };
        }
        self
    }

    /// Starts the span.
    #[inline(always)]
    pub fn start(mut self) -> Span {
        if self.rare || self.core.looks_closer || self.core.is_left() {
            return self.start_rarely();
        }
        if self.candidate == Candidate::None && !self.ignore_active {
            self.refer_to_active();
        }
        let Self { core, mut record, joins, .. } = self;
        if let Some(inner) = Arc::get_mut(&mut record) {
            inner.core = Some(Arc::clone(core));
            let begun =
                if joins { start::child(inner, core) } else { start::trace(inner, core, None) };
            start::begin(inner, core, core.started(begun));
        }
        Span::recorded(record)
    }

    /// The same with what few spans are started with, or where others are to be told or asked.
    #[cold]
    #[inline(never)]
    fn start_rarely(mut self) -> Span {
        let rare =
            Arc::get_mut(&mut self.record).and_then(|inner| inner.body.get_mut().rare.as_ref());
        let has_ids = rare.is_some_and(|rare| rare.itself.is_some());
        if self.candidate == Candidate::None && !has_ids && !self.ignore_active {
            self.refer_to_active();
        }
        let rare =
            Arc::get_mut(&mut self.record).and_then(|inner| inner.body.get_mut().rare.take());
        let rare = rare.map(|rare| *rare).unwrap_or_default();
        if self.core.is_left() && !self.core.is_disabled() {
            return self.start_left(rare.itself);
        }
        let Self { core, mut record, joins, candidate, .. } = self;
        if let (Some(without_caller), Some(inner)) = (&core.disabled, Arc::get_mut(&mut record)) {
            inner.core = Some(Arc::clone(core));
            let is_below = candidate != Candidate::None;
            let parent = is_below.then(|| start::parent_context(inner, rare.request));
            start::disabled(inner, without_caller, rare.itself.or(parent));
            let begun = if is_below { Begun::Joined } else { Begun::Trace };
            inner.body.get_mut().begin(core.started(begun), Sampled::No);
            return Span::recorded(record);
        }
        let is_watched = !core.watchers.is_empty();
        let mut given = watch::Given::default();
        if let Some(inner) = Arc::get_mut(&mut record) {
            inner.core = Some(Arc::clone(core));
            if core.watchers.want_tags() {
                given = watch::Given::take(inner.body.get_mut());
            }
            let (begun, sampled) = {
                let beginning = Beginning::of(inner);
                let inner = &mut *beginning.0;
                let mut request = rare.request;
                let (begun, asks) = match rare.itself {
                    Some(itself) => (start::as_itself(inner, itself), false),
                    None if joins => {
                        let begun = if core.shares_rpc_spans {
                            start::server(inner, core, given.list())
                        } else {
                            start::child(inner, core)
                        };
                        if !request.is_empty() {
                            start::decide_on_joined(inner, core, &mut request);
                        }
                        (begun, request.undecided)
                    }
                    None => {
                        let name = &inner.body.get_mut().draft.name;
                        request.throttle(core, name, 0);
                        (start::trace(inner, core, Some(&request)), request.decided.is_none())
                    }
                };
                if core.keep.is_some() {
                    keep::begun(inner, core, begun);
                }
                if core.careful {
                    inner.state.be_careful();
                }
                if core.may_defer {
                    late::started(inner, core, asks);
                }
                if is_watched {
                    start::watched(inner, core);
                }
                if let Some(value) = rare.priority {
                    given.aside(inner, |inner| set_priority(inner, core, value));
                }
                let sampled = inner.state.sampled();
                // Before its tags are forgotten.
                if core.counts_first
                    && begun == Begun::Joined
                    && start::is_first_in_process(inner, given.list(), core.max_tag_value_bytes)
                {
                    core.count_first(sampled);
                }
                if !is_watched {
                    start::recording(inner, core);
                }
                (begun, sampled)
            };
            inner.body.get_mut().begin(core.started(begun), sampled);
            if core.keep.is_some() {
                keep::started(inner, core);
            }
        }
        if is_watched {
            return watch::started(record, core, &given);
        }
        Span::recorded(record)
    }

    /// The same in a process that was forked from the one that built the tracer.
    #[cold]
    #[inline(never)]
    fn start_left(self, itself: Option<SpanContext>) -> Span {
        let Self { core, mut record, joins, .. } = self;
        core.leave();
        if let Some(inner) = Arc::get_mut(&mut record) {
            inner.core = Some(Arc::clone(core));
            let begun = match itself {
                Some(itself) => start::as_itself(inner, itself),
                None => start::left(inner, core, joins),
            };
            start::begin(inner, core, core.started(begun));
        }
        Span::recorded(record)
    }

    #[inline]
    fn refer_to_active(&mut self) {
        if active::is_any_active() {
            let core = self.core;
            let Self { record, candidate, joins, rare, .. } = self;
            let Some(inner) = Arc::get_mut(record) else { return };
            let mut reference = NewReference { follows_from: false, inner, candidate, joins, rare };
            active::with_nearest(|span| span.belongs_to(core), |span| span.refer(&mut reference));
        }
    }
}

/// A record that is to be a span, and is written to as if it were one. If foreign code panics
/// meanwhile there was none.
struct Beginning<'r>(&'r mut SpanInner);

impl<'r> Beginning<'r> {
    fn of(inner: &'r mut SpanInner) -> Self {
        inner.body.get_mut().finished = false;
        Self(inner)
    }
}

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        self.0.body.get_mut().finished = true;
    }
}
