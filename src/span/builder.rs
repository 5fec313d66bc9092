//! What a span is started with: references, tags, a start time.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use super::context::SpanContext;
use super::core::Core;
use super::inner::{self, Body, SpanInner};
use super::state::{DEBUG, SAMPLED};
use super::{SAMPLING_PRIORITY, Span, TagValue, scope, set_priority};
use crate::clock::unix_nanos;
use crate::encoding::{ReferenceView, put_reference};
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
    core: &'a Arc<Core>,
    name: Cow<'static, str>,
    first: Option<(Kind, SpanContext)>,
    more: Vec<(Kind, SpanContext)>,
    tags: [Option<(&'a str, TagValue<'a>)>; INLINE_TAGS],
    tag_count: usize,
    more_tags: Vec<(&'a str, TagValue<'a>)>,
    start_time: Option<SystemTime>,
    ignore_active: bool,
}

const INLINE_TAGS: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    ChildOf,
    FollowsFrom,
    Itself,
}

impl<'a> SpanBuilder<'a> {
    #[inline]
    pub(crate) fn new(core: &'a Arc<Core>, name: Cow<'static, str>) -> Self {
        Self {
            core,
            name,
            first: None,
            more: Vec::new(),
            tags: [None; INLINE_TAGS],
            tag_count: 0,
            more_tags: Vec::new(),
            start_time: None,
            ignore_active: false,
        }
    }

    #[inline]
    fn reference(mut self, kind: Kind, to: impl Parent) -> Self {
        if let Some(context) = to.context().filter(|context| !context.is_empty()) {
            if self.first.is_none() {
                self.first = Some((kind, context));
            } else {
                self.more.push((kind, context));
            }
        }
        self
    }

    /// Makes it a child: the parent waits for it. The first such reference is the parent.
    #[inline]
    pub fn child_of(self, parent: impl Parent) -> Self {
        self.reference(Kind::ChildOf, parent)
    }

    /// Lets it follow from another span, which does not wait for it. It is the parent where there
    /// is nothing it is a child of; of several, the last one.
    pub fn follows_from(self, parent: impl Parent) -> Self {
        self.reference(Kind::FollowsFrom, parent)
    }

    /// Takes the context as its own: ids, flags and baggage are as given, nothing is drawn and no
    /// sampler is asked. For spans that were begun elsewhere.
    ///
    /// # Source
    ///
    /// `SelfRef` in jaeger-client-go, reference type 99.
    pub fn self_reference(self, context: impl Parent) -> Self {
        self.reference(Kind::Itself, context)
    }

    /// Does not take the active span as parent where no other is given.
    pub fn ignore_active_span(mut self) -> Self {
        self.ignore_active = true;
        self
    }

    /// Sets a tag from the start on. `sampling.priority` acts before the others are stored.
    #[inline]
    pub fn tag(mut self, key: &'a str, value: impl Into<TagValue<'a>>) -> Self {
        match self.tags.get_mut(self.tag_count) {
            Some(slot) => {
                *slot = Some((key, value.into()));
                self.tag_count += 1;
            }
            None => self.more_tags.push((key, value.into())),
        }
        self
    }

    /// Lets the span begin at a moment given, in place of now.
    pub fn start_time(mut self, time: SystemTime) -> Self {
        self.start_time = Some(time);
        self
    }

    /// Starts the span.
    #[inline]
    pub fn start(mut self) -> Span {
        if self.first.is_none() && !self.ignore_active {
            let core = self.core;
            let active = scope::with_active(|span| span.belongs_to(core).then(|| span.context()));
            self.first = active.map(|context| (Kind::ChildOf, context));
        }
        let core = self.core;
        let mut record = inner::take();
        core.lanes.of(inner::lane()).count_started();
        if let Some(inner) = Arc::get_mut(&mut record) {
            self.fill(inner);
        }
        Span::new(record)
    }

    fn fill(self, inner: &mut SpanInner) {
        let core = self.core;
        inner.core = Some(Arc::clone(core));
        let body = inner.body.get_mut();
        body.finished = false;
        body.name = self.name;
        match &self.first {
            None => begin_trace(inner, core, None),
            Some(_) => join(inner, core, self.first.iter().chain(&self.more)),
        }
        if let Some(time) = self.start_time {
            let body = inner.body.get_mut();
            body.start_given = true;
            body.start_wall = unix_nanos(time);
        }
        let tags = self.tags[..self.tag_count].iter().flatten().chain(&self.more_tags);
        for (_, value) in tags.clone().filter(|(key, _)| *key == SAMPLING_PRIORITY) {
            set_priority(inner, core, *value);
        }
        if !inner.state().is_sampled() {
            return;
        }
        let body = inner.body.get_mut();
        for (key, value) in tags.filter(|(key, _)| *key != SAMPLING_PRIORITY) {
            body.tags.tag(key.as_bytes(), value.view(core.max_tag_value_bytes));
            body.tag_count += 1;
        }
        // Last, so that what was done to start the span is not part of it.
        if body.start.is_none() && !body.start_given {
            body.start_now(core);
        }
    }
}

/// Starts a span that has a name and nothing else, which most spans do: what the builder carries
/// costs more to move than such a span does.
#[inline]
pub(crate) fn start_plain(core: &Arc<Core>, name: Cow<'static, str>) -> Span {
    let active = scope::with_active(|span| span.belongs_to(core).then(|| span.context()));
    if active.is_some() {
        let mut builder = SpanBuilder::new(core, name);
        builder.first = active.map(|context| (Kind::ChildOf, context));
        return builder.start();
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

/// Begins a trace, perhaps with the debug id and baggage of a context that has no trace.
#[inline]
fn begin_trace(inner: &mut SpanInner, core: &Core, from: Option<&SpanContext>) {
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
    }
    let Body { name, tags, tag_count, .. } = body;
    let (before, count_before) = (tags.bytes().len(), *tag_count);
    let max = core.max_tag_value_bytes;
    let mut span = NewSpan::new(inner.trace_id, name, (&mut *tags, &mut *tag_count), max);
    if core.sampler.on_create_span(&mut span).sample {
        flags |= SAMPLED;
    } else {
        tags.truncate(before);
        *tag_count = count_before;
    }
    inner.begin_state(flags);
}

/// Continues what the references refer to.
fn join<'r>(
    inner: &mut SpanInner,
    core: &Core,
    references: impl Iterator<Item = &'r (Kind, SpanContext)>,
) {
    let mut parent: Option<(Kind, &SpanContext)> = None;
    let mut itself = None;
    let body = inner.body.get_mut();
    for (kind, context) in references {
        if *kind == Kind::Itself {
            itself = Some(context);
            continue;
        }
        if context.is_valid() {
            let follows = *kind == Kind::FollowsFrom;
            let view = ReferenceView::new(follows, context.trace_id, context.span_id);
            put_reference(&mut body.references, view);
            body.reference_count += 1;
        }
        if !matches!(parent, Some((Kind::ChildOf, _))) {
            parent = Some((*kind, context));
        }
    }
    let parent = parent.map(|(_, context)| context);
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
        (None, parent) => return begin_trace(inner, core, parent),
    };
    inner.trace_id = context.trace_id;
    inner.body.get_mut().baggage.clone_from(&context.baggage);
    match &context.state {
        Some(state) => inner.joined = Some(Arc::clone(state)),
        None => inner.begin_state(context.flags()),
    }
}
