//! Random steps of spans, and what is seen of the spans meanwhile.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use super::path_inputs::{KINDS, NAMES, any_tag, configured, remote};
use super::random::moment;
use crate::support::Seeded;
use crate::support::read::{Span as Finished, finished};
use jaeger_client::{
    Closer, CompactSpan, Configuration, FinishOptions, InMemoryReporter, LogRecord, ManualClock,
    OwnedSpan, PreparedSpan, Span, SpanContext, SpanId, TraceId, Tracer, TracerBuilder,
};

enum Handle {
    Shared(Span),
    Owned(OwnedSpan),
    Compact(CompactSpan),
}

/// Two tracers whose spans refer to each other, and what is seen of these.
pub(super) struct Side {
    tracers: Vec<(Tracer, InMemoryReporter)>,
    closers: Vec<Closer>,
    clock: Arc<ManualClock>,
    has_clock: bool,
    handles: Vec<Option<Handle>>,
    prepared: Vec<Option<PreparedSpan>>,
    contexts: Vec<SpanContext>,
    names: HashMap<u64, u64>,
    seen: String,
}

const PLACES: u64 = 6;

/// Changes a span through a handle of either type.
macro_rules! change {
    ($span:expr, $random:ident) => {{
        let (key, value) = any_tag($random);
        match $random.below(20) {
            0..=6 => _ = $span.set_tag(key, value),
            7 => _ = $span.replace_tag(key, value),
            8 => _ = $span.set_tags(&[(key, value), any_tag($random), any_tag($random)]),
            9 => _ = $span.log(&[(key, value), any_tag($random)]),
            10 => _ = $span.log_at(moment($random), &[(key, value)]),
            11 => _ = $span.set_operation_name($random.pick(NAMES)),
            12 => _ = $span.set_baggage_item($random.pick(["a", "b"]), $random.pick(["", "v"])),
            13 => _ = $span.add_follows_from(remote($random)),
            14 => _ = $span.set_start_time(moment($random)),
            15 => _ = $span.set_finish_time(moment($random)),
            16 => _ = $span.retain_trace(),
            17 => _ = $span.enable_firehose(),
            18 => {
                $span.on_finish(|span| {
                    span.set_tag("at the end", 1);
                });
            }
            _ => _ = $span.log_event("an event"),
        }
    }};
}

impl Side {
    /// Makes two tracers, which `vary` has take other paths. It is called with the number of the tracer.
    pub(super) fn new(
        random: &mut Seeded,
        has_clock: bool,
        vary: impl Fn(TracerBuilder, u64) -> TracerBuilder,
    ) -> Self {
        let clock = Arc::new(ManualClock::new());
        clock.advance(Duration::from_secs(1));
        let (mut tracers, mut closers) = (Vec::new(), Vec::new());
        for number in 0..2 {
            let (memory, kind) = (InMemoryReporter::new(), random.below(KINDS + 1));
            let vary = |builder: TracerBuilder| match has_clock {
                true => vary(builder.clock(Arc::clone(&clock)), number),
                false => vary(builder, number),
            };
            let (tracer, closer) = if kind == KINDS {
                let off = Configuration { disabled: true, ..Configuration::new("off") };
                off.new_tracer_with(vary).unwrap()
            } else {
                vary(configured(kind)).in_memory(&memory).build().unwrap()
            };
            tracers.push((tracer, memory));
            closers.push(closer);
        }
        Self {
            tracers,
            closers,
            clock,
            has_clock,
            handles: std::iter::repeat_with(|| None).take(PLACES as usize).collect(),
            prepared: std::iter::repeat_with(|| None).take(PLACES as usize).collect(),
            contexts: Vec::new(),
            names: HashMap::new(),
            seen: String::new(),
        }
    }

    fn id(&mut self, id: u64) -> u64 {
        let next = 1_000_000 + self.names.len() as u64;
        if id < 1_000 { id } else { *self.names.entry(id).or_insert(next) }
    }

    fn see_context(&mut self, context: &SpanContext) {
        let (trace, span) = (context.trace_id(), context.span_id().get());
        let ids =
            [trace.high(), trace.low(), span, context.parent_id().get()].map(|id| self.id(id));
        let baggage: Vec<_> = context.baggage().collect();
        writeln!(
            self.seen,
            "  context {ids:?} {} {baggage:?} {:?} {:?}",
            context.flags(),
            context.debug_id(),
            context.trace_state()
        )
        .unwrap();
    }

    fn see(&mut self, place: usize) {
        let Some(handle) = self.handles[place].take() else { return };
        let span = match &handle {
            Handle::Shared(span) => span,
            Handle::Owned(span) => &span.share(),
            Handle::Compact(span) => &span.span(),
        };
        let started = span.start_time().filter(|_| self.has_clock);
        writeln!(
            self.seen,
            "  span {place} {:?} {} {} ⟨{started:?}⟩ {:?}",
            span.operation_name(),
            span.is_sampled(),
            span.is_recording(),
            span.tags()
        )
        .unwrap();
        let context = span.context();
        self.see_context(&context);
        self.handles[place] = Some(handle);
    }

    fn start(&mut self, random: &mut Seeded) -> Handle {
        let (at, name) = (random.below(2) as usize, random.pick(NAMES));
        let tracer = self.tracers[at].0.clone();
        let parent = random.below(PLACES) as usize;
        let is_active = random.below(4) == 0;
        let active = match &self.handles[parent] {
            Some(Handle::Shared(span)) if is_active => Some(span.activate()),
            Some(Handle::Compact(span)) if is_active => Some(span.activate()),
            _ => None,
        };
        let handle = match random.below(7) {
            0 => Handle::Shared(tracer.start_span(name)),
            1 => Handle::Owned(tracer.start_owned_span(name.to_owned())),
            2 => match &self.handles[parent] {
                Some(Handle::Shared(span)) => Handle::Shared(span.child(name)),
                Some(Handle::Owned(span)) => Handle::Owned(span.child(name)),
                Some(Handle::Compact(span)) => Handle::Compact(span.span().child(name).into()),
                None => Handle::Compact(tracer.start_span(name).into()),
            },
            step => {
                let mut builder = tracer.span(name);
                for _ in 0..random.below(3) {
                    let is_child = random.below(2) == 0;
                    let other = random.below(PLACES) as usize;
                    let context = match random.below(3) {
                        0 => Some(remote(random)),
                        1 => self.contexts.last().cloned(),
                        _ => None,
                    };
                    builder = match (context, &self.handles[other], is_child) {
                        (Some(context), _, true) => builder.child_of(context),
                        (Some(context), _, false) => builder.follows_from(context),
                        (None, Some(Handle::Shared(span)), true) => builder.child_of(span),
                        (None, Some(Handle::Shared(span)), false) => builder.follows_from(span),
                        (None, Some(Handle::Owned(span)), true) => builder.child_of(span),
                        (None, Some(Handle::Owned(span)), false) => builder.follows_from(span),
                        _ => builder,
                    };
                }
                for _ in 0..random.below(4) {
                    let (key, value) = any_tag(random);
                    builder = builder.tag(key, value);
                }
                if random.below(16) == 0 {
                    let parent = SpanId::new(random.below(2));
                    let itself = SpanContext::new(
                        TraceId::new(3, 4),
                        SpanId::new(5),
                        parent,
                        random.pick([0, 1]),
                    );
                    builder = builder.self_reference(itself);
                }
                if random.below(8) == 0 {
                    builder = builder.start_time(moment(random));
                }
                if random.below(8) == 0 {
                    builder = builder.ignore_active_span();
                }
                match step {
                    3 => Handle::Owned(builder.start_owned()),
                    4 => Handle::Compact(builder.start().into()),
                    _ => Handle::Shared(builder.start()),
                }
            }
        };
        drop(active);
        handle
    }

    fn prepare(&mut self, place: usize, random: &mut Seeded) {
        if self.prepared[place].is_none() {
            let tracer = self.tracers[random.below(2) as usize].0.clone();
            self.prepared[place] = Some(tracer.prepare_span(random.pick(NAMES)));
        }
        let Some(prepared) = &mut self.prepared[place] else { return };
        let (key, value) = any_tag(random);
        match random.below(9) {
            0..=2 => _ = prepared.set_tag(key, value),
            3 => _ = prepared.replace_tag(key, value),
            4 => _ = prepared.set_operation_name(random.pick(NAMES)),
            5 => _ = prepared.set_start_time(moment(random)),
            6 => _ = prepared.set_parent(remote(random)),
            7 => match &self.handles[random.below(PLACES) as usize] {
                Some(Handle::Shared(span)) => _ = prepared.set_parent(span),
                Some(Handle::Owned(span)) => _ = prepared.set_parent(span),
                _ => _ = prepared.set_parent(None::<SpanContext>),
            },
            _ => _ = prepared.add_follows_from(remote(random)),
        }
    }

    fn start_prepared(&mut self, place: usize, random: &mut Seeded) {
        let Some(mut prepared) = self.prepared[place].take() else { return };
        let other = random.below(PLACES) as usize;
        let handle = match random.below(8) {
            0 => Handle::Shared(prepared.start()),
            1 => Handle::Owned(prepared.start_owned()),
            2 => {
                let (span, retained) = prepared.start_retaining();
                self.prepared[place] = retained;
                Handle::Shared(span)
            }
            3 => {
                if let Some(Handle::Shared(replaced)) = &self.handles[other] {
                    let span = prepared.start_in_place_of(replaced);
                    self.prepared[place] = Some(prepared);
                    match span {
                        Some(span) => Handle::Shared(span),
                        None => return,
                    }
                } else {
                    self.prepared[place] = Some(prepared);
                    return;
                }
            }
            step => {
                let fast = if step < 6 { prepared.try_start_compact() } else { None };
                let span = fast.unwrap_or_else(|| prepared.start_compact());
                if prepared.is_retained() {
                    self.prepared[place] = Some(prepared);
                }
                Handle::Compact(span)
            }
        };
        self.handles[other] = Some(handle);
        self.see(other);
    }

    /// Takes a random step.
    pub(super) fn step(&mut self, random: &mut Seeded) {
        self.clock.advance(Duration::from_micros(random.below(50)));
        let place = random.below(PLACES) as usize;
        let step = random.below(20);
        writeln!(self.seen, "step {step} at {place}").unwrap();
        match step {
            0..=4 => {
                let handle = self.start(random);
                self.handles[place] = Some(handle);
                self.see(place);
            }
            5..=6 => self.prepare(place, random),
            7 => self.start_prepared(place, random),
            8 => self.handles[place] = None,
            9 => {
                if let Some(Handle::Shared(span)) = &self.handles[place] {
                    let span = span.clone();
                    self.handles[random.below(PLACES) as usize] = Some(Handle::Shared(span));
                }
            }
            10 => {
                if let Some(Handle::Shared(span)) = &self.handles[place] {
                    self.contexts.push(span.context());
                }
                if self.contexts.len() > 3 {
                    self.contexts.remove(0);
                }
            }
            11 => match self.handles[place].take() {
                Some(Handle::Owned(span)) if random.below(2) == 0 => {
                    let span = span.restart_as_child_of(remote(random));
                    self.handles[place] = Some(Handle::Owned(span));
                    self.see(place);
                }
                Some(Handle::Shared(span)) => {
                    let next = span.restart_as_child_of(remote(random));
                    self.handles[place] = Some(Handle::Shared(next.unwrap_or(span)));
                    self.see(place);
                }
                other => self.handles[place] = other,
            },
            12 => {
                let at = moment(random);
                let fields = [any_tag(random)];
                let log = LogRecord { timestamp: at, fields: &fields };
                let options = FinishOptions { log_records: &[log], ..Default::default() };
                match (self.handles[place].take(), random.below(3)) {
                    (Some(Handle::Owned(span)), 0) => span.finish_at(at),
                    (Some(Handle::Owned(span)), 1) => span.finish_with(options),
                    (Some(Handle::Owned(span)), _) => span.finish(),
                    (Some(Handle::Compact(span)), 0) => span.finish_at(at),
                    (Some(Handle::Compact(span)), _) => span.finish(),
                    (Some(Handle::Shared(span)), 0) => span.finish_at(at),
                    (Some(Handle::Shared(span)), 1) => span.finish_with(options),
                    (Some(Handle::Shared(span)), _) => {
                        // A finished span without a record is not known to be sampled later.
                        let is_sampled = span.is_sampled();
                        span.finish();
                        if is_sampled {
                            self.handles[place] = Some(Handle::Shared(span));
                        }
                    }
                    (None, _) => {}
                }
            }
            _ => {
                match &mut self.handles[place] {
                    Some(Handle::Owned(span)) => change!(span, random),
                    Some(Handle::Shared(span)) => change!(span, random),
                    Some(Handle::Compact(span)) => change!(span.span(), random),
                    None => {}
                }
                self.see(place);
            }
        }
        for (tracer, _) in &self.tracers {
            let stats = tracer.stats();
            assert!(stats.is_balanced() && stats.callback_panics == 0, "{stats:?}");
        }
    }

    /// Ends all spans, and returns what was seen.
    pub(super) fn end(&mut self, random: &mut Seeded) -> String {
        let closes = random.below(4) == 0;
        if closes {
            self.closers.clear();
        }
        self.prepared.clear();
        self.handles.clear();
        let contexts = std::mem::take(&mut self.contexts);
        for context in &contexts {
            self.see_context(context);
        }
        for at in 0..self.tracers.len() {
            let stats = self.tracers[at].0.stats();
            assert_eq!(stats.open, 0, "{stats:?}");
            writeln!(self.seen, "{stats:?}").unwrap();
            for mut span in finished(&self.tracers[at].1) {
                self.rename(&mut span);
                let times = (span.start, span.duration);
                (span.start, span.duration) = (0, 0);
                let logs: Vec<_> =
                    span.logs.iter_mut().map(|log| std::mem::take(&mut log.micros)).collect();
                writeln!(self.seen, "⟨{times:?} {logs:?}⟩ {span:?}").unwrap();
            }
        }
        std::mem::take(&mut self.seen)
    }

    fn rename(&mut self, span: &mut Finished) {
        if !self.has_clock {
            span.start = if span.start < 3_000_000 { span.start } else { -1 };
            span.duration = -1;
            for log in &mut span.logs {
                log.micros = if log.micros < 3_000_000 { log.micros } else { -1 };
            }
        }
        span.trace = (self.id(span.trace.0), self.id(span.trace.1));
        (span.id, span.parent) = (self.id(span.id), self.id(span.parent));
        for (_, trace, id) in &mut span.references {
            *trace = (self.id(trace.0), self.id(trace.1));
            *id = self.id(*id);
        }
    }
}
