//! The spans of a layer from their start to their end, whatever tracing calls in which order.

use jaeger_client::{
    Clock, CompactSpan, NumberedScopes, PreparedSpan, Span, SpanBuilder, SpanContext, SystemClock,
    Tracer,
};
use tracing::span::{Attributes, Record};

use crate::callsite::Callsite;
use crate::changes::{rename, replace_tags, set_status, time};
use crate::fields::Fields;
use crate::filter;
use crate::special::Specials;
use crate::stats::Counters;
use crate::table::{Slot, State, Table};
use crate::target::{PlainTags, Replaced, TagSink, Tags};
use crate::visit::Visitor;

/// Who disables spans for a layer alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FilteredBy {
    /// None of its own.
    #[default]
    None,
    /// A [`DefaultFilter`](crate::DefaultFilter).
    Default,
    Other,
}

impl Options {
    /// Returns whether there may be spans that the layer does not know of.
    #[inline]
    pub(crate) fn may_miss_spans(&self) -> bool {
        match self.filtered_by {
            FilteredBy::None => false,
            FilteredBy::Default => filter::has_refused_spans(),
            FilteredBy::Other => true,
        }
    }
}

/// The options of a layer.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Who decides which spans are disabled for this layer alone.
    pub(crate) filtered_by: FilteredBy,
    pub(crate) ends_at_last_exit: bool,
    pub(crate) no_error_events: bool,
    pub(crate) location: bool,
    pub(crate) thread: bool,
    pub(crate) clock: Option<Box<dyn Clock>>,
}

/// A layer as its handles share it.
#[derive(Debug)]
pub(crate) struct Spans {
    pub(crate) tracer: Tracer,
    pub(crate) options: Options,
    pub(crate) counters: Counters,
    table: Table,
    /// The spans that are entered, by their numbers, which mean something within a layer only.
    scopes: NumberedScopes,
    clock: SystemClock,
}

impl Spans {
    pub(crate) fn new(tracer: Tracer, options: Options) -> Self {
        Self {
            tracer,
            options,
            counters: Counters::default(),
            table: Table::default(),
            scopes: NumberedScopes::new(),
            clock: SystemClock::new(),
        }
    }

    pub(crate) fn pending(&self) -> u64 {
        self.table.pending()
    }

    fn now(&self) -> i64 {
        match &self.options.clock {
            None => self.clock.wall_nanos(),
            Some(clock) => clock.wall_nanos(),
        }
    }

    /// A span that tracing has made below the one that was entered last, which is the active one. It starts
    /// at once.
    pub(crate) fn begin_entered_child(&self, id: u64, attrs: &Attributes<'_>) {
        self.begin_child_by(id, attrs, None, |span| span.child_of(&self.scopes));
    }

    /// A span that tracing has made below a span that is there, or below the active one if it is not given.
    #[inline(never)]
    pub(crate) fn begin_child(&self, id: u64, attrs: &Attributes<'_>, parent: Option<&Span>) {
        self.begin_child_by(id, attrs, parent, |span| span.child_of(parent));
    }

    #[inline(always)]
    fn begin_child_by<'t>(
        &'t self,
        id: u64,
        attrs: &Attributes<'_>,
        parent: Option<&Span>,
        refer: impl FnOnce(SpanBuilder<'t>) -> SpanBuilder<'t>,
    ) {
        let metadata = attrs.metadata();
        let callsite = Callsite::of_span(metadata);
        if callsite.is_special {
            return self.begin_special_child(id, attrs, callsite, parent);
        }
        let mut span = refer(self.tracer.span(metadata.name())).start_owned();
        if span.wants_tags() || callsite.may_force {
            let target = PlainTags { span: &mut span, callsite };
            attrs.record(&mut Visitor::new(target, &self.counters));
            self.add_place(metadata, &mut span);
        }
        let span = span.into();
        self.insert(id, |slot| {
            slot.state = State::Live;
            slot.span = Some(span);
        });
    }

    /// Begins a child at a callsite with fields that are more than tags.
    #[inline(never)]
    fn begin_special_child(
        &self,
        id: u64,
        attrs: &Attributes<'_>,
        callsite: &'static Callsite,
        parent: Option<&Span>,
    ) {
        let metadata = attrs.metadata();
        let mut specials = Specials::default();
        let span: CompactSpan = if callsite.is_for_start {
            let parent = parent.cloned().or_else(|| self.tracer.active_span());
            let mut prepared = self.tracer.prepare_span(metadata.name());
            self.set_special_fields(&mut prepared, attrs, &mut specials);
            prepared.set_parent(parent.as_ref());
            prepared.start().into()
        } else {
            let mut span = self.tracer.span(metadata.name()).child_of(parent).start_owned();
            let target = Tags { span: &mut span, specials: &mut specials };
            attrs.record(&mut Visitor::new(target, &self.counters));
            self.add_place(metadata, &mut span);
            span.into()
        };
        self.insert(id, |slot| {
            slot.state = State::Live;
            slot.span = Some(span);
            specials.note_status(slot);
        });
    }

    #[inline(always)]
    fn insert(&self, id: u64, fill: impl FnOnce(&mut Slot)) {
        if let Some(mut slot) = self.table.insert_in_place(id) {
            return fill(&mut slot);
        }
        self.insert_slow(id, fill);
    }

    #[cold]
    #[inline(never)]
    fn insert_slow(&self, id: u64, fill: impl FnOnce(&mut Slot)) {
        let (mut slot, before) = self.table.insert_slow(id);
        fill(&mut slot);
        drop(slot);
        // There is none, unless a registry gives a number twice. Its drop may call user callbacks.
        drop(before);
    }

    /// Begins a root span of tracing. It may yet be given a parent from elsewhere, so that the
    /// sampler is not called until it is used.
    pub(crate) fn begin_root(&self, id: u64, attrs: &Attributes<'_>) {
        let metadata = attrs.metadata();
        let callsite = Callsite::of_span(metadata);
        if callsite.is_special {
            return self.begin_special_root(id, attrs);
        }
        let mut prepared = self.tracer.prepare_span(metadata.name());
        let target = PlainTags { span: &mut prepared, callsite };
        attrs.record(&mut Visitor::new(target, &self.counters));
        self.add_place(metadata, &mut prepared);
        self.insert(id, |slot| slot.pending = Some(prepared));
    }

    #[inline(never)]
    fn begin_special_root(&self, id: u64, attrs: &Attributes<'_>) {
        let mut prepared = self.tracer.prepare_span(attrs.metadata().name());
        let mut specials = Specials::default();
        self.set_special_fields(&mut prepared, attrs, &mut specials);
        self.insert(id, |slot| {
            slot.pending = Some(prepared);
            specials.note_status(slot);
        });
    }

    /// Sets the fields that a span is made with as its tags, name and kind, and notes its status.
    fn set_special_fields(
        &self,
        span: &mut PreparedSpan,
        attrs: &Attributes<'_>,
        specials: &mut Specials,
    ) {
        attrs.record(&mut Visitor::new(Tags { span, specials }, &self.counters));
        rename(span, specials);
        self.add_place(attrs.metadata(), span);
    }

    /// Adds the position in the source, and the thread, if requested.
    #[inline(always)]
    fn add_place(&self, metadata: &tracing::Metadata<'_>, span: &mut impl TagSink) {
        if self.options.location || self.options.thread {
            self.add_requested_place(metadata, span);
        }
    }

    #[inline(never)]
    fn add_requested_place(&self, metadata: &tracing::Metadata<'_>, span: &mut impl TagSink) {
        if self.options.location {
            if let Some(file) = metadata.file() {
                span.set_tag("code.file.path".into(), file.into());
            }
            if let Some(line) = metadata.line() {
                span.set_tag("code.line.number".into(), line.into());
            }
        }
        if self.options.thread
            && let Some(name) = std::thread::current().name()
        {
            span.set_tag("thread.name".into(), name.into());
        }
    }

    /// A handle on a span, which is started if it was not. None if the layer does not know it, or if
    /// another thread takes too long to start it.
    #[inline]
    pub(crate) fn live(&self, id: u64) -> Option<Span> {
        if let Some(span) = &self.table.get(id)?.span {
            return Some(span.span());
        }
        self.start_now(id).map(|span| span.span())
    }

    #[inline(never)]
    fn start_now(&self, id: u64) -> Option<CompactSpan> {
        for _ in 0..MAX_TRIES {
            let pending = {
                let mut slot = self.table.get(id)?;
                if let Some(span) = &slot.span {
                    return Some(span.clone());
                }
                if slot.state == State::Pending {
                    slot.state = State::Starting;
                    slot.pending.take()
                } else {
                    None
                }
            };
            if let Some(mut pending) = pending {
                // Without the lock: a sampler is a user callback, and may use tracing itself.
                let span = pending.start_compact();
                self.put(id, span.clone(), pending);
                return Some(span);
            }
            std::thread::yield_now();
        }
        self.counters.count(&self.counters.not_started_in_time);
        None
    }

    /// Notes a span as started, with what it was begun with if that may be needed again.
    #[inline]
    fn put(&self, id: u64, span: CompactSpan, prepared: PreparedSpan) {
        let before = self.table.get(id).and_then(|mut slot| {
            slot.state = State::Live;
            if prepared.is_retained() {
                slot.pending = Some(prepared);
            }
            slot.span.replace(span)
        });
        // Its drop may call user callbacks.
        drop(before);
    }

    /// Fields that are recorded when the span is there. The last value of a field counts.
    pub(crate) fn record(&self, id: u64, values: &Record<'_>) {
        let mut specials = Specials::default();
        let counters = &self.counters;
        let started = match self.table.get(id) {
            Some(slot) if !slot.has_retained() => slot.span.as_ref().map(CompactSpan::span),
            _ => None,
        };
        if let Some(mut span) = started {
            let target = Tags { span: &mut Replaced(&span), specials: &mut specials };
            values.record(&mut Visitor::new(target, counters));
            rename(&mut span, &specials);
        } else {
            // Read before the lock is taken: what is formatted may use tracing itself.
            let mut fields = Fields::take();
            let target = Tags { span: &mut *fields, specials: &mut specials };
            values.record(&mut Visitor::new(target, counters));
            if let Some(mut span) = self.record_held(id, &fields, &specials) {
                replace_tags(&mut span, &fields, &specials);
            }
            fields.recycle();
        }
        if specials.has_status()
            && let Some(mut slot) = self.table.get(id)
        {
            specials.note_status(&mut slot);
        }
    }

    /// Notes fields where the span's are held, and gives the span if it has begun.
    fn record_held(&self, id: u64, fields: &Fields, specials: &Specials) -> Option<Span> {
        for _ in 0..MAX_TRIES {
            {
                let mut slot = self.table.get(id)?;
                if let Some(pending) = slot.retained() {
                    replace_tags(pending, fields, specials);
                }
                if slot.state != State::Starting {
                    return slot.span.as_ref().map(CompactSpan::span);
                }
            }
            std::thread::yield_now();
        }
        self.counters.count(&self.counters.not_started_in_time);
        None
    }

    pub(crate) fn follows_from(&self, id: u64, follows: u64) {
        let Some(context) = self.live(follows).map(|span| span.context()) else {
            return self.counters.count(&self.counters.references_lost);
        };
        let span = {
            let Some(mut slot) = self.table.get(id) else { return };
            if let Some(pending) = slot.retained() {
                pending.add_follows_from(&context);
            }
            if slot.state == State::Pending {
                return;
            }
            slot.span.as_ref().map(CompactSpan::span)
        };
        match span.or_else(|| self.live(id)) {
            Some(span) => {
                span.add_follows_from(context);
            }
            None => self.counters.count(&self.counters.references_lost),
        }
    }

    /// Puts a span below a parent from elsewhere, whatever has become of it so far but its end.
    pub(crate) fn set_parent(&self, id: u64, parent: SpanContext) {
        let (span, retained) = match self.table.get(id) {
            Some(mut slot) if slot.state == State::Pending => {
                if let Some(pending) = &mut slot.pending {
                    pending.set_parent(parent);
                }
                return;
            }
            Some(mut slot) => (slot.span.as_ref().map(CompactSpan::span), slot.retained().take()),
            None => (None, None),
        };
        let Some(span) = span.or_else(|| self.live(id)) else {
            return self.counters.count(&self.counters.parents_refused);
        };
        // Another thread may just have started it.
        let retained = retained.or_else(|| self.table.get(id)?.retained().take());
        if let Some(mut retained) = retained {
            // The tracer has kept nothing of it, but all of it is here.
            retained.set_parent(parent);
            let Some(next) = retained.start_in_place_of(&span) else {
                return self.counters.count(&self.counters.parents_refused);
            };
            self.put(id, next.into(), retained);
        } else {
            let own = span.context();
            if own.trace_id() == parent.trace_id() && own.parent_id() == parent.span_id() {
                return;
            }
            let Some(next) = span.restart_as_child_of(parent) else {
                return self.counters.count(&self.counters.parents_refused);
            };
            let before = self.table.get(id).and_then(|mut slot| slot.span.replace(next.into()));
            drop(before);
        }
        if let Some(span) = self.live(id) {
            self.scopes.replace(id, &span.into());
        }
    }

    /// The spans of this layer that are entered.
    #[inline(always)]
    pub(crate) fn scopes(&self) -> &NumberedScopes {
        &self.scopes
    }

    pub(crate) fn enter(&self, id: u64) {
        if let Some(mut slot) = self.table.get_in_place(id) {
            if slot.span.is_none() {
                slot.try_start();
            }
            if let Some(span) = &slot.span {
                // Activated while the table is locked, which saves a handle: that calls nothing of users.
                return self.scopes.enter(id, span);
            }
        }
        self.enter_slow(id);
    }

    /// Enters a span whose start may call callbacks of users, or that has no place of its own.
    #[inline(never)]
    fn enter_slow(&self, id: u64) {
        let Some(mut slot) = self.table.get(id) else { return };
        let pending = if slot.state == State::Pending { slot.pending.take() } else { None };
        let span = if let Some(mut pending) = pending {
            slot.state = State::Starting;
            drop(slot);
            // Without the lock: a sampler is a user callback, and may use tracing itself.
            let span = pending.start_compact();
            self.put(id, span.clone(), pending);
            Some(span)
        } else {
            drop(slot);
            self.start_now(id)
        };
        if let Some(span) = span {
            self.scopes.enter_owned(id, span);
        }
    }

    pub(crate) fn exit(&self, id: u64) {
        self.scopes.exit(id);
        if self.options.ends_at_last_exit {
            self.record_exit(id);
        }
    }

    #[inline(never)]
    fn record_exit(&self, id: u64) {
        let now = self.now();
        if let Some(mut slot) = self.table.get(id) {
            slot.last_exit = Some(now);
        }
    }

    pub(crate) fn change_id(&self, old: u64, new: u64) {
        if let Some(contents) = self.table.remove(old) {
            self.insert(new, |slot| slot.replace_contents(contents));
        }
    }

    pub(crate) fn close(&self, id: u64) {
        match self.table.remove_plain(id) {
            Some(span) => span.finish(),
            None => self.close_slow(id),
        }
    }

    #[inline(never)]
    fn close_slow(&self, id: u64) {
        if let Some(slot) = self.table.remove(id) {
            self.end(slot);
        }
    }

    /// Ends all that is still open: the layer is about to go.
    pub(crate) fn close_all(&self) {
        self.table.take_all().into_iter().for_each(|slot| self.end(slot));
    }

    #[inline(never)]
    fn end(&self, mut slot: Slot) {
        if slot.state == State::Pending {
            slot.span = slot.pending.take().map(|pending| pending.start().into());
        }
        let Some(span) = slot.span.take() else {
            return self.counters.count(&self.counters.not_started_in_time);
        };
        if slot.status.is_some() || slot.status_message.is_some() {
            set_status(&span.span(), &slot);
        }
        match slot.last_exit {
            None => span.finish(),
            Some(nanos) => span.finish_at(time(nanos)),
        }
    }
}

/// The number of checks whether another thread has started a span, which takes microseconds.
const MAX_TRIES: usize = 10_000;
