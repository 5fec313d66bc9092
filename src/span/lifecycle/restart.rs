//! Spans that continue in the place of another, because their parent is known only after their start.
//!
//! The span that is replaced is finished without being sent, and is counted as not sampled. Its observers
//! continue with the span in its place: they are notified of one start and one end.

use std::borrow::Cow;
use std::sync::Arc;

use super::finish::finish_unsent;
use super::join::has_server_kind;
use super::priority::continue_priority;
use crate::encoding::{List, ReferenceView};
use crate::sampler::{SAMPLER_PARAM_TAG, SAMPLER_TYPE_TAG};
use crate::span::Span;
use crate::span::builder::SpanBuilder;
use crate::span::context::SpanContext;
use crate::span::counters::Stripe;
use crate::span::observer::{self, TakenObservers};
use crate::span::prepared::PreparedSpan;
use crate::span::record::{SpanData, SpanRecord, Start};
use crate::span::reference::Parent;
use crate::span::shared::SpanShared;
use crate::span::tag::read_tags;
use crate::tags::SAMPLING_PRIORITY;

impl Span {
    /// Puts the span below another parent by starting it anew there. The returned span has its
    /// name, times, tags, logs and `FOLLOWS_FROM` references, and its span id if the parent
    /// names a span; trace, sampling and baggage are the parent's, but a `sampling.priority` that had this span
    /// recorded takes effect there too. This one has ended.
    ///
    /// Child spans that were started before stay in their trace. What was written to the old span
    /// while it was not recorded is lost. [Observers](crate::Observer) and [callbacks](Self::on_finish)
    /// continue with the returned span, and are notified when that is finished. Returns `None` if the span
    /// was finished, which counts as misuse.
    ///
    /// # Shape and units
    ///
    /// The [accounts](crate::Stats) count two spans started; this one is finished as not sampled.
    ///
    /// # Cost
    ///
    /// That of a span with the same tags, and a copy of them. Setting the parent at the start is
    /// cheaper.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// # let caller = tracer.start_span("caller").context();
    /// let span = tracer.start_span("serve");
    /// let span = span.restart_as_child_of(&caller).unwrap_or(span);
    /// assert_eq!(span.context().trace_id(), caller.trace_id());
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[must_use = "it is the span that goes on"]
    pub fn restart_as_child_of(&self, parent: impl Parent) -> Option<Self> {
        const CALL: &str = "restart_as_child_of";
        let (record, stripe, name) = self.replaceable(CALL, |data| data.draft.name().clone())?;
        let parent = parent.context();
        let joins = parent.as_ref().is_some_and(SpanContext::is_valid);
        // Started without the lock: a sampler and a clock are user callbacks.
        let builder = SpanBuilder::new(stripe, name).ignore_active_span().child_of(parent);
        let mut next = builder.start_in_place();
        let Some((taken, observers)) = end_replaced(record, stripe, CALL, Taken::from) else {
            next.end_unsent();
            return None;
        };
        if joins {
            next.take_span_id(record);
        }
        taken.give_to(&next, stripe);
        if joins {
            taken.count_if_first(&next, stripe);
        }
        observers.give_to(&next, stripe);
        Some(next)
    }

    /// Returns the record of a span that is not finished, the tracer's stripe, and what is read of the span.
    /// Otherwise that counts as misuse.
    fn replaceable<T>(
        &self,
        call: &'static str,
        read: impl FnOnce(&SpanData) -> T,
    ) -> Option<(&SpanRecord, &Arc<Stripe>, T)> {
        let Some((record, stripe)) = self.parts() else {
            self.misused(call);
            return None;
        };
        let live = record.lock().filter(|data| !data.finished).map(|data| read(&data));
        if live.is_none() {
            stripe.report_misuse(call);
        }
        live.map(|read| (record.as_ref(), stripe, read))
    }

    /// Ends a span that is not to be sent, and that nobody was notified of.
    fn end_unsent(&self) {
        if let Some((record, stripe)) = self.parts()
            && let Some(mut data) = record.lock()
        {
            data.is_observed = false;
            finish_unsent(record, stripe, &mut data);
        }
    }

    /// Takes over the id of another span, if the own id cannot have been read yet.
    fn take_span_id(&mut self, of: &SpanRecord) {
        if let Some(own) = self.unshared_record() {
            let (trace, parent) = (own.ids.trace, own.ids.parent);
            own.ids.set(trace, of.ids.span, parent);
        }
    }
}

impl PreparedSpan {
    /// Ends `replaced`, which was started from this value before, and starts a span in its place, as
    /// [`start_compact`](Self::start_compact) does. [Observers](crate::Observer) and
    /// [callbacks](Span::on_finish) continue with the new span, as where a span is
    /// [restarted](Span::restart_as_child_of). What they know of tags is what the replaced span was given; of
    /// another name they are notified.
    ///
    /// Returns `None` if the replaced span was finished, or if nothing is [retained](Self::is_retained); both
    /// count as misuse. Nothing is started then, unless another thread finishes the replaced span meanwhile: a
    /// span that was started counts as not sampled.
    ///
    /// A replaced span of another tracer is finished as usual.
    ///
    /// # Shape and units
    ///
    /// The [accounts](crate::Stats) count two spans started; the replaced one is finished as not sampled.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::{InMemoryReporter, SpanContext, Tracer, sampler::ConstSampler};
    /// let reporter = InMemoryReporter::new();
    /// let (tracer, _closer) =
    ///     Tracer::builder("svc").in_memory(&reporter).sampler(ConstSampler::new(false)).build()?;
    /// let mut prepared = tracer.prepare_span("serve");
    /// prepared.set_tag("http.method", "GET");
    /// let (first, retained) = prepared.start_retaining();
    ///
    /// // The headers are read later: the caller's trace is sampled.
    /// let caller: SpanContext = "a:b:0:1".parse()?;
    /// let mut retained = retained.expect("it is not sampled");
    /// retained.set_parent(&caller);
    /// let span = retained.start_in_place_of(&first).expect("it is not finished");
    /// span.finish();
    /// assert_eq!(reporter.spans()[0].view().tags().count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_in_place_of(&mut self, replaced: &Span) -> Option<Span> {
        const CALL: &str = "start_in_place_of";
        let (record, stripe, ()) = replaced.replaceable(CALL, |_| ())?;
        if !self.is_retained() {
            stripe.report_misuse(CALL);
            return None;
        }
        if !self.belongs_to(stripe) {
            let next = self.start_retaining_here();
            replaced.finish();
            return Some(next);
        }
        let next = self.start_in_place();
        let is_followed = stripe.hooks.follow_spans();
        let name =
            |data: &mut SpanData, _: &SpanRecord| is_followed.then(|| data.draft.name().clone());
        let Some((name, observers)) = end_replaced(record, stripe, CALL, name) else {
            next.end_unsent();
            return None;
        };
        observers.give_to(&next, stripe);
        if let (Some(name), Some(record)) = (name, next.existing_record()) {
            let new_name = next.operation_name();
            if new_name != name {
                observer::renamed(&next, record, &new_name);
            }
        }
        Some(next)
    }
}

/// Ends a span that continues as another one. Returns what `take` has taken of it, and its observers; `None`
/// if another thread has finished it meanwhile, or is about to, which counts as misuse.
fn end_replaced<T>(
    record: &SpanRecord,
    stripe: &Stripe,
    call: &'static str,
    take: impl FnOnce(&mut SpanData, &SpanRecord) -> T,
) -> Option<(T, TakenObservers)> {
    if let Some(mut data) = record.lock().filter(|data| !data.finished)
        && let Some(observers) = TakenObservers::take(&mut data, stripe)
    {
        let taken = take(&mut data, record);
        finish_unsent(record, stripe, &mut data);
        return Some((taken, observers));
    }
    stripe.report_misuse(call);
    None
}

/// The parts of a span that its successor takes over.
struct Taken {
    name: Cow<'static, str>,
    start: Start,
    finish_wall: Option<i64>,
    /// Whether its trace is recorded, so that a priority among its tags is in force.
    is_sampled: bool,
    /// Whether the span is too large to be sent: there is nothing to take over of one of its lists then.
    is_too_large: bool,
    tags: Vec<u8>,
    tag_count: usize,
    logs: Vec<u8>,
    log_count: usize,
    follows_from: Vec<SpanContext>,
}

impl Taken {
    fn from(data: &mut SpanData, record: &SpanRecord) -> Self {
        data.close_logs();
        let (start, finish_wall) = (data.start(), data.finish_wall());
        let draft = &mut data.draft;
        let mut tags = draft.first_tags().to_vec();
        tags.extend_from_slice(draft.tags.bytes());
        let references = draft.references(record.ids.trace, record.ids.parent);
        let follows_from = references.into_iter().filter(|reference| reference.follows_from);
        let context = |reference: ReferenceView| SpanContext {
            trace_id: reference.trace_id,
            span_id: reference.span_id,
            ..SpanContext::default()
        };
        Self {
            name: draft.name().clone(),
            start,
            finish_wall,
            is_sampled: record.state.is_sampled(),
            is_too_large: draft.is_too_large(),
            tag_count: draft.tag_count(),
            tags,
            logs: draft.logs().bytes.to_vec(),
            log_count: draft.logs().count,
            follows_from: follows_from.map(context).collect(),
        }
    }

    fn tags(&self) -> List<'_> {
        List::new(self.tag_count, &self.tags)
    }

    /// Counts the span as the first of its trace in this process, if it is: it was started without its tags,
    /// and below a parent.
    fn count_if_first(&self, next: &Span, stripe: &Stripe) {
        if let Some(record) = next.existing_record()
            && stripe.start.counts_first_spans
            && has_server_kind(self.tags(), stripe.options.max_tag_value_length)
        {
            stripe.count_first(record.state.sampled());
        }
    }

    /// The sampler's tags about the trace that was left stay with the old span. A priority comes first, as at
    /// any start: if it forces the trace to be recorded, the other tags are.
    fn give_to(&self, next: &Span, shared: &SpanShared) {
        // It may have been renamed while the other was started.
        if next.operation_name() != self.name {
            next.set_operation_name(self.name.clone());
        }
        if self.is_sampled
            && let Some(record) = next.record()
        {
            for (_, value) in read_tags(self.tags()).filter(|(key, _)| *key == SAMPLING_PRIORITY) {
                continue_priority(record, shared, value);
            }
        }
        for (key, value) in read_tags(self.tags()) {
            if ![SAMPLER_TYPE_TAG, SAMPLER_PARAM_TAG, SAMPLING_PRIORITY].contains(&key) {
                next.set_tag(key, value);
            }
        }
        for context in &self.follows_from {
            next.add_follows_from(context);
        }
        let Some(record) = next.existing_record() else { return };
        let Some(mut data) = record.lock() else { return };
        // Observers see these times even if the span is not recorded.
        if !matches!(self.start, Start::Unknown) {
            data.set_start(self.start);
        }
        if let Some(wall) = self.finish_wall {
            data.set_finish_wall(wall);
            record.state.require_slow_path();
        }
        if self.log_count > 0 && record.state.is_recording() {
            let lists = data.draft.lists_mut();
            lists.logs.extend(&self.logs);
            lists.log_count += self.log_count;
            data.draft.has_rare_fields = true;
        }
        if self.is_too_large && record.state.is_recording() {
            data.draft.become_too_large();
        }
    }
}
