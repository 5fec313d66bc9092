//! The spans of a layer from their start to their end, whatever tracing calls in which order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use jaeger_client::{Clock, Span, SpanContext, SystemClock, Tracer};
use tracing::span::{Attributes, Record};

use crate::callsite::Names;
use crate::entered;
use crate::fields::Fields;
use crate::special::{Specials, Status};
use crate::stats::Counters;
use crate::table::{Pending, Slot, State, Table};
use crate::target::{Held, PlainFields, PlainTags, Tags};
use crate::visit::Visitor;

/// The options of a layer.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Whether spans can be disabled for this layer alone.
    pub(crate) is_filtered: bool,
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
    /// The number of this layer in the process.
    number: usize,
    clock: SystemClock,
}

impl Spans {
    pub(crate) fn new(tracer: Tracer, options: Options) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Self {
            tracer,
            options,
            counters: Counters::default(),
            table: Table::default(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
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

    /// A span that tracing has made, below a span that is there, or below the active one if it is not
    /// given. It starts at once.
    pub(crate) fn begin_child(&self, id: u64, attrs: &Attributes<'_>, parent: Option<&Span>) {
        let metadata = attrs.metadata();
        let mut slot = Slot::take();
        let names = Names::of(metadata);
        if names.for_start {
            let parent = parent.cloned().or_else(|| self.tracer.active_span());
            let parent = parent.map(|parent| parent.context());
            let pending = self.read(&mut slot, attrs, parent);
            slot.span = Some(self.start(&pending));
            pending.give_back();
        } else {
            let span = self.tracer.span(metadata.name()).child_of(parent).start();
            let counters = &self.counters;
            if !names.special {
                attrs.record(&mut Visitor::new(PlainTags { span: &span }, counters));
            } else {
                let mut specials = Specials::default();
                let target = Tags { span: &span, specials: &mut specials, replaces: false };
                attrs.record(&mut Visitor::new(target, counters));
                specials.note_status(&mut slot);
            }
            self.add_place(metadata, |key, value| {
                span.set_tag(key, value);
            });
            slot.span = Some(span);
        }
        slot.state = State::Live;
        self.insert(id, slot);
    }

    /// Begins a root span of tracing. It may yet be given a parent from elsewhere, so that the
    /// sampler is not called until it is used.
    pub(crate) fn begin_root(&self, id: u64, attrs: &Attributes<'_>) {
        let mut slot = Slot::take();
        let mut pending = self.read(&mut slot, attrs, None);
        pending.start = Some(self.now());
        slot.pending = Some(pending);
        self.insert(id, slot);
    }

    fn read(
        &self,
        slot: &mut Slot,
        attrs: &Attributes<'_>,
        parent: Option<SpanContext>,
    ) -> Box<Pending> {
        let metadata = attrs.metadata();
        let mut pending = slot.pending.take().unwrap_or_else(Pending::take);
        pending.name = metadata.name();
        pending.start = None;
        pending.parent = parent;
        let counters = &self.counters;
        if !Names::of(metadata).special {
            let target = PlainFields { fields: &mut pending.fields };
            attrs.record(&mut Visitor::new(target, counters));
        } else {
            let mut specials = Specials::default();
            let target = Held { fields: &mut pending.fields, specials: &mut specials };
            attrs.record(&mut Visitor::new(target, counters));
            pending.other_name = specials.name.take();
            pending.kind = specials.kind.take();
            specials.note_status(slot);
        }
        self.add_place(metadata, |key, value| pending.fields.push(key, value));
        pending
    }

    /// Adds the position in the source, and the thread, if requested.
    fn add_place(
        &self,
        metadata: &tracing::Metadata<'_>,
        mut add: impl FnMut(&'static str, jaeger_client::TagValue<'_>),
    ) {
        if self.options.location {
            if let Some(file) = metadata.file() {
                add("code.file.path", file.into());
            }
            if let Some(line) = metadata.line() {
                add("code.line.number", line.into());
            }
        }
        if self.options.thread
            && let Some(name) = std::thread::current().name()
        {
            add("thread.name", name.into());
        }
    }

    #[inline]
    fn insert(&self, id: u64, slot: Box<Slot>) {
        let before = self.table.shard(id).insert(id, slot);
        // There is none, unless a registry gives a number twice.
        drop(before);
    }

    /// Starts a span with what is known of it.
    fn start(&self, pending: &Pending) -> Span {
        let builder = match &pending.other_name {
            Some(name) => self.tracer.span(name.clone()),
            None => self.tracer.span(pending.name),
        };
        let mut builder = builder.ignore_active_span();
        if let Some(parent) = &pending.parent {
            builder = builder.child_of(parent);
        }
        if let Some(start) = pending.start {
            builder = builder.start_time(time(start));
        }
        if let Some(kind) = &pending.kind {
            builder = builder.tag(KIND, kind);
        }
        let span = builder.start();
        for (name, value) in pending.fields.iter() {
            span.set_tag(name, value);
        }
        for context in &pending.follows_from {
            span.add_follows_from(context);
        }
        span
    }

    /// A handle on a span, which is started if it was not. None if the layer does not know it, or if
    /// another thread takes too long to start it.
    #[inline]
    pub(crate) fn live(&self, id: u64) -> Option<Span> {
        self.with_live(id, Span::clone)
    }

    /// Calls `read` with a span that has begun, while the table is locked: no user callback may be called.
    #[inline]
    fn with_live<T>(&self, id: u64, read: impl Fn(&Span) -> T) -> Option<T> {
        if let Some(span) = &self.table.shard(id).get(&id)?.span {
            return Some(read(span));
        }
        self.start_now(id).map(|span| read(&span))
    }

    #[inline(never)]
    fn start_now(&self, id: u64) -> Option<Span> {
        for _ in 0..MAX_TRIES {
            let pending = {
                let mut shard = self.table.shard(id);
                let slot = shard.get_mut(&id)?;
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
            if let Some(pending) = pending {
                // Without the lock: a sampler is a user callback, and may use tracing itself.
                let span = self.start(&pending);
                self.put(id, span.clone(), pending);
                return Some(span);
            }
            std::thread::yield_now();
        }
        self.counters.count(&self.counters.not_started_in_time);
        None
    }

    /// Notes a span as started, and keeps what it was begun with if it may be needed again.
    fn put(&self, id: u64, span: Span, pending: Box<Pending>) {
        let (retained, pending) =
            if span.is_recording() { (None, Some(pending)) } else { (Some(pending), None) };
        let before = {
            let mut shard = self.table.shard(id);
            shard.get_mut(&id).map(|slot| {
                slot.state = State::Live;
                slot.pending = retained;
                slot.span.replace(span)
            })
        };
        // Its drop may call user callbacks.
        drop(before);
        if let Some(pending) = pending {
            pending.give_back();
        }
    }

    /// Fields that are recorded when the span is there. The last value of a field counts.
    pub(crate) fn record(&self, id: u64, values: &Record<'_>) {
        let mut specials = Specials::default();
        let counters = &self.counters;
        let started = match self.table.shard(id).get(&id) {
            Some(slot) if slot.pending.is_none() => slot.span.clone(),
            _ => None,
        };
        if let Some(span) = started {
            let target = Tags { span: &span, specials: &mut specials, replaces: true };
            values.record(&mut Visitor::new(target, counters));
            rename(&span, &specials);
        } else {
            // Read before the lock is taken: what is formatted may use tracing itself.
            let mut fields = Fields::take();
            let target = Held { fields: &mut fields, specials: &mut specials };
            values.record(&mut Visitor::new(target, counters));
            if let Some(span) = self.record_held(id, &fields, &specials) {
                for (name, value) in fields.iter() {
                    span.replace_tag(name, value);
                }
                rename(&span, &specials);
            }
            fields.give_back();
        }
        if specials.has_status() {
            let mut shard = self.table.shard(id);
            if let Some(slot) = shard.get_mut(&id) {
                specials.note_status(slot);
            }
        }
    }

    /// Notes fields where the span's are held, and gives the span if it has begun.
    fn record_held(&self, id: u64, fields: &Fields, specials: &Specials) -> Option<Span> {
        for _ in 0..MAX_TRIES {
            {
                let mut shard = self.table.shard(id);
                let slot = shard.get_mut(&id)?;
                if let Some(pending) = &mut slot.pending {
                    for (name, value) in fields.iter() {
                        pending.fields.replace(name.clone(), value);
                    }
                    let Specials { name, kind, .. } = specials;
                    pending.other_name = name.clone().or_else(|| pending.other_name.take());
                    pending.kind = kind.clone().or_else(|| pending.kind.take());
                }
                if slot.state != State::Starting {
                    return slot.span.clone();
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
            let mut shard = self.table.shard(id);
            let Some(slot) = shard.get_mut(&id) else { return };
            if let Some(pending) = &mut slot.pending {
                pending.follows_from.push(context.clone());
            }
            if slot.state == State::Pending {
                return;
            }
            slot.span.clone()
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
        let (span, retained) = {
            let mut shard = self.table.shard(id);
            match shard.get_mut(&id) {
                Some(slot) if slot.state == State::Pending => {
                    if let Some(pending) = &mut slot.pending {
                        pending.parent = Some(parent);
                    }
                    return;
                }
                Some(slot) => (slot.span.clone(), slot.pending.take()),
                None => (None, None),
            }
        };
        let Some(span) = span.or_else(|| self.live(id)) else {
            return self.counters.count(&self.counters.parents_refused);
        };
        if let Some(mut retained) = retained {
            // The tracer has kept nothing of it, but all of it is here.
            retained.parent = Some(parent);
            let next = self.start(&retained);
            span.finish();
            self.put(id, next, retained);
        } else {
            let own = span.context();
            if own.trace_id() == parent.trace_id() && own.parent_id() == parent.span_id() {
                return;
            }
            let Some(next) = span.restart_below(parent) else {
                return self.counters.count(&self.counters.parents_refused);
            };
            let before = {
                let mut shard = self.table.shard(id);
                shard.get_mut(&id).and_then(|slot| slot.span.replace(next))
            };
            drop(before);
        }
        entered::renew(self.number, id, |id| self.live(id));
    }

    /// The span that the thread has entered last, if it is this layer's: the tracer then has an active
    /// one.
    #[inline]
    pub(crate) fn entered_last(&self) -> Option<u64> {
        entered::last(self.number)
    }

    pub(crate) fn enter(&self, id: u64) {
        // Activated while the table is locked, which saves a handle: that calls nothing of users.
        if let Some(scope) = self.with_live(id, Span::activate) {
            entered::enter(self.number, id, scope);
        }
    }

    pub(crate) fn exit(&self, id: u64) {
        entered::exit(self.number, id);
        if self.options.ends_at_last_exit {
            let now = self.now();
            if let Some(slot) = self.table.shard(id).get_mut(&id) {
                slot.last_exit = Some(now);
            }
        }
    }

    pub(crate) fn change_id(&self, old: u64, new: u64) {
        let slot = self.table.shard(old).remove(&old);
        if let Some(slot) = slot {
            let _before = self.table.shard(new).insert(new, slot);
        }
    }

    pub(crate) fn close(&self, id: u64) {
        let slot = self.table.shard(id).remove(&id);
        if let Some(slot) = slot {
            self.end(slot);
        }
    }

    /// Ends all that is still open: the layer is about to go.
    pub(crate) fn close_all(&self) {
        self.table.take_all().into_iter().for_each(|slot| self.end(slot));
    }

    fn end(&self, mut slot: Box<Slot>) {
        if slot.state == State::Pending {
            slot.span = slot.pending.as_ref().map(|pending| self.start(pending));
        }
        let Some(span) = slot.span.take() else {
            return self.counters.count(&self.counters.not_started_in_time);
        };
        if slot.status.is_some() || slot.status_message.is_some() {
            set_status(&span, &slot);
        }
        if let Some(pending) = slot.pending.take() {
            pending.give_back();
        }
        let last_exit = slot.last_exit;
        slot.give_back();
        match last_exit {
            None => span.finish(),
            Some(nanos) => span.finish_at(time(nanos)),
        }
    }
}

#[cold]
fn set_status(span: &Span, slot: &Slot) {
    if let Some(status) = slot.status {
        let (is_error, code) = match status {
            Status::Ok => (false, "OK"),
            Status::Error => (true, "ERROR"),
        };
        span.replace_tag("error", is_error).set_tag("otel.status_code", code);
    }
    if let Some(message) = &slot.status_message {
        span.set_tag("otel.status_description", &**message);
    }
}

/// Sets the recorded name and kind of a span that has begun.
fn rename(span: &Span, specials: &Specials) {
    if let Some(name) = &specials.name {
        span.set_operation_name(name.clone());
    }
    if let Some(kind) = &specials.kind {
        span.replace_tag(KIND, kind);
    }
}

const KIND: &str = "span.kind";

/// A moment that a clock has shown.
fn time(nanos: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos.max(0).unsigned_abs())
}

/// The number of checks whether another thread has started a span, which takes microseconds.
const MAX_TRIES: usize = 10_000;
