//! What a span is started with: references, tags, a start time.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use super::context::SpanContext;
use super::core::{Core, CoreRef};
use super::inner::{self, Body, SpanInner};
use super::state::{DEBUG, SAMPLED};
use super::{SAMPLING_PRIORITY, Span, TagValue, scope, set_priority};
use crate::clock::unix_nanos;
use crate::encoding::ReferenceView;
use crate::id::{SpanId, TraceId};
use crate::sampler::NewSpan;

/// What a span can refer to: a context, a span, or perhaps nothing.
pub trait Parent {
    /// The context referred to, if there is one.
    fn context(self) -> Option<SpanContext>;
}

impl Parent for SpanContext {
    fn context(self) -> Option<SpanContext> {
        Some(self)
    }
}

impl Parent for &SpanContext {
    fn context(self) -> Option<SpanContext> {
        Some(self.clone())
    }
}

impl Parent for &Span {
    fn context(self) -> Option<SpanContext> {
        Some(Span::context(self))
    }
}

impl<P: Parent> Parent for Option<P> {
    fn context(self) -> Option<SpanContext> {
        self.and_then(Parent::context)
    }
}

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
#[derive(Debug)]
#[must_use = "a span is started by `start`"]
pub struct SpanBuilder<'a> {
    core: &'a Arc<CoreRef>,
    /// The span's record, which takes what is given as it comes.
    record: Arc<SpanInner>,
    parent: Option<(Kind, SpanContext)>,
    itself: Option<Box<SpanContext>>,
    priority: Option<TagValue<'static>>,
    ignore_active: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    ChildOf,
    FollowsFrom,
}

impl<'a> SpanBuilder<'a> {
    #[inline]
    pub(crate) fn new(core: &'a Arc<CoreRef>, name: Cow<'static, str>) -> Self {
        let mut record = inner::take();
        if let Some(inner) = Arc::get_mut(&mut record) {
            inner.body.get_mut().name = name;
        }
        Self { core, record, parent: None, itself: None, priority: None, ignore_active: false }
    }

    /// The record's body, which nobody else has before the start.
    #[inline]
    fn body(&mut self) -> Option<&mut Body> {
        Arc::get_mut(&mut self.record).map(|inner| inner.body.get_mut())
    }

    #[inline]
    fn reference(&mut self, kind: Kind, to: impl Parent) {
        let Some(context) = to.context().filter(|context| !context.is_empty()) else { return };
        let follows = kind == Kind::FollowsFrom;
        if let Some(body) = self.body().filter(|_| context.is_valid()) {
            let view = ReferenceView::new(follows, context.trace_id, context.span_id);
            body.references.reference(view);
            body.reference_count += 1;
        }
        if !matches!(self.parent, Some((Kind::ChildOf, _))) {
            self.parent = Some((kind, context));
        }
    }

    /// Makes it a child: the parent waits for it. The first such reference is the parent.
    #[inline]
    pub fn child_of(mut self, parent: impl Parent) -> Self {
        self.reference(Kind::ChildOf, parent);
        self
    }

    /// Lets it follow from another span, which does not wait for it. It is the parent where there
    /// is nothing it is a child of; of several, the last one.
    pub fn follows_from(mut self, parent: impl Parent) -> Self {
        self.reference(Kind::FollowsFrom, parent);
        self
    }

    /// Takes the context as its own: ids, flags and baggage are as given, nothing is drawn and no
    /// sampler is asked. For spans that were begun elsewhere.
    ///
    /// # Source
    ///
    /// `SelfRef` in jaeger-client-go, reference type 99.
    pub fn self_reference(mut self, context: impl Parent) -> Self {
        self.itself = context.context().filter(SpanContext::is_valid).map(Box::new);
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
        if key == SAMPLING_PRIORITY {
            // Of other kinds it means nothing.
            self.priority = match value {
                TagValue::I64(number) => Some(TagValue::I64(number)),
                TagValue::U64(number) => Some(TagValue::U64(number)),
                TagValue::F64(number) => Some(TagValue::F64(number)),
                _ => self.priority,
            };
            return self;
        }
        let max_bytes = self.core.max_tag_value_bytes;
        if let Some(body) = self.body() {
            body.pending.tag(key.as_bytes(), value.view(max_bytes));
            body.pending_count += 1;
        }
        self
    }

    /// Lets the span begin at a moment given, in place of now.
    pub fn start_time(mut self, time: SystemTime) -> Self {
        if let Some(body) = self.body() {
            body.start_given = true;
            body.start_wall = unix_nanos(time);
        }
        self
    }

    /// Starts the span.
    #[inline]
    pub fn start(mut self) -> Span {
        let core = self.core;
        if self.parent.is_none() && self.itself.is_none() && !self.ignore_active {
            let active = scope::with_active(|span| span.belongs_to(core).then(|| span.context()));
            if let Some(context) = active {
                self.reference(Kind::ChildOf, context);
            }
        }
        core.lanes.of(inner::lane()).count_started();
        let Self { mut record, parent, itself, priority, .. } = self;
        if let Some(inner) = Arc::get_mut(&mut record) {
            inner.core = Some(Arc::clone(core));
            inner.body.get_mut().finished = false;
            join(inner, core, itself.map(|itself| *itself), parent.map(|(_, context)| context));
            if let Some(value) = priority {
                set_priority(inner, core, value);
            }
            if inner.state().is_sampled() {
                let body = inner.body.get_mut();
                if body.pending_count > 0 {
                    body.tags.extend(body.pending.bytes());
                    body.tag_count += body.pending_count;
                }
                // Last, so that what was done to start the span is not part of it.
                if body.start.is_none() && !body.start_given {
                    body.start_now(core);
                }
            }
        }
        Span::new(record)
    }
}

/// Starts a span that has a name and nothing else, which most spans do: what the builder carries
/// costs more to move than such a span does.
#[inline]
pub(crate) fn start_plain(core: &Arc<CoreRef>, name: Cow<'static, str>) -> Span {
    let active = scope::with_active(|span| span.belongs_to(core).then(|| span.context()));
    if active.is_some() {
        return SpanBuilder::new(core, name).child_of(active).start();
    }
    let mut record = inner::take();
    core.lanes.of(inner::lane()).count_started();
    if let Some(inner) = Arc::get_mut(&mut record) {
        inner.core = Some(Arc::clone(core));
        let body = inner.body.get_mut();
        body.finished = false;
        body.name = name;
        begin_trace(inner, core, None);
        if inner.own.is_sampled() {
            inner.body.get_mut().start_now(core);
        }
    }
    Span::new(record)
}

/// Begins a trace, perhaps with the debug id, baggage and decision of a context without a trace.
#[inline]
fn begin_trace(inner: &mut SpanInner, core: &Core, from: Option<&SpanContext>) {
    // First, so that a sampler that panics leaves nothing of the record's last life to report.
    inner.begin_state(0);
    let low = core.next_id();
    inner.trace_id = TraceId::new(core.next_high(), low);
    inner.span_id = SpanId::new(low);
    inner.parent_id = SpanId::NONE;
    let mut flags = 0;
    let body = inner.body.get_mut();
    if let Some(from) = from {
        body.baggage.clone_from(&from.baggage);
        if let Some(debug_id) = &from.debug_id {
            flags = SAMPLED | DEBUG;
            let value = TagValue::Str(debug_id).view(core.max_tag_value_bytes);
            body.tags.tag(core.debug_tag.as_bytes(), value);
            body.tag_count += 1;
        }
        if from.decided {
            inner.own.reset(flags | from.flags);
            return;
        }
    }
    let Body { name, tags, tag_count, .. } = body;
    let (before, count_before) = (tags.bytes().len(), *tag_count);
    let max = core.max_tag_value_bytes;
    let given = (&mut *tags, &mut *tag_count);
    let mut span = NewSpan::new(inner.trace_id, name, given, max, &*core.clock);
    if core.sampler.on_create_span(&mut span).sample {
        flags |= SAMPLED;
    } else {
        tags.truncate(before);
        *tag_count = count_before;
    }
    inner.own.reset(flags);
}

/// Continues the context that is taken as its own, or that of the parent; begins a trace where
/// there is neither.
#[inline]
fn join(
    inner: &mut SpanInner,
    core: &Core,
    itself: Option<SpanContext>,
    parent: Option<SpanContext>,
) {
    let context = match (itself, parent) {
        (Some(itself), _) => {
            inner.span_id = itself.span_id;
            inner.parent_id = itself.parent_id;
            itself
        }
        (None, Some(parent)) if parent.is_valid() => {
            inner.span_id = SpanId::new(core.next_id());
            inner.parent_id = parent.span_id;
            parent
        }
        (None, parent) => return begin_trace(inner, core, parent.as_ref()),
    };
    inner.trace_id = context.trace_id;
    inner.body.get_mut().baggage = context.baggage;
    match context.state {
        Some(state) => inner.joined = Some(state),
        None => inner.begin_state(context.flags),
    }
}
