//! Changes of a live span that are otherwise made at its start: its parent, references, times, and
//! replaced tags.
//!
//! For instrumentation facades, which learn of these after their spans have started.

use std::time::SystemTime;

use super::builder::{Parent, SpanBuilder};
use super::context::SpanContext;
use super::lifecycle::finish;
use super::observer::FinishClaim;
use super::record::{End, SpanData, SpanRecord, Start};
use super::{IntoTagValue, Span, TagValue, observer};
use crate::clock::Clock;
use crate::encoding::{List, ReferenceKind, ReferenceView, tags_of};
use crate::sampler::{SAMPLER_PARAM_TAG, SAMPLER_TYPE_TAG};
use crate::tags::SAMPLING_PRIORITY;

impl Span {
    /// Sets a tag and removes all earlier values of its key; `None` changes nothing.
    ///
    /// # Cost
    ///
    /// Compares each tag that was set before; [`set_tag`](Self::set_tag) does not.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::{InMemoryReporter, Tracer};
    /// let reporter = InMemoryReporter::new();
    /// let (tracer, _closer) = Tracer::builder("svc").in_memory(&reporter).build()?;
    /// let span = tracer.start_span("get");
    /// span.set_tag("http.status_code", 102).replace_tag("http.status_code", 200);
    /// span.finish();
    /// let spans = reporter.spans();
    /// let codes = spans[0].view().tags().filter(|tag| tag.key == b"http.status_code").count();
    /// assert_eq!(codes, 1);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn replace_tag(&self, key: &str, value: impl IntoTagValue) -> &Self {
        value.set_with(|value| self.replace(key, value));
        self
    }

    fn replace(&self, key: &str, value: TagValue<'_>) {
        if let Some(record) = self.existing_record()
            && let (true, Some(stripe)) = (record.state.is_observed(), &record.stripe)
        {
            observer::tag_replaced(record, stripe, key);
        }
        if let Some(record) = self.recording_record()
            && let Some(stripe) = &record.stripe
            && let Some(mut data) = record.lock().filter(|data| !data.finished)
        {
            let SpanData { draft, observed_from, .. } = &mut *data;
            draft.remove_tags(key.as_bytes(), observed_from);
            if !record.state.has_slow_end() && key != SAMPLING_PRIORITY {
                data.tag(key, value, stripe, stripe.options.max_tag_value_length);
                return;
            }
        }
        self.set_tag(key, value);
    }

    /// Changes the start time of a [recorded](Self::is_recording) span, as
    /// [`SpanBuilder::start_time`] does before its start.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let span = tracer.start_span("handle");
    /// // It waited in a queue before, by its message's timestamp.
    /// span.set_start_time(SystemTime::now() - Duration::from_secs(2));
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn set_start_time(&self, time: SystemTime) -> &Self {
        let wall = self.checked_nanos("set_start_time", time);
        self.with_recording_data("set_start_time", |data, _| {
            data.set_start(Start::Explicit { wall })
        });
        if let Some(record) =
            self.recording_record().filter(|record| record.state.is_on_slow_path())
        {
            observer::restarted(record);
        }
        self
    }

    /// Sets the end time of a [recorded](Self::is_recording) span in advance, whenever it is
    /// finished or its last handle is dropped. A time given [at the end](Self::finish_at) takes
    /// precedence.
    ///
    /// # Cost
    ///
    /// The spans of the trace in this process cost more from then on, as if they were observed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let began = SystemTime::now();
    /// let span = tracer.span("batch").start_time(began).start();
    /// span.set_finish_time(began + Duration::from_millis(5)); // as measured elsewhere
    /// drop(span);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn set_finish_time(&self, time: SystemTime) -> &Self {
        let wall = self.checked_nanos("set_finish_time", time);
        let record = self.recording_record();
        self.with_recording_data("set_finish_time", |data, _| {
            data.set_finish_wall(wall);
            record.into_iter().for_each(|record| record.state.require_slow_path());
        });
        self
    }

    /// Adds a callback for the moment before the span is finished, for any reason; what the
    /// callback does to the span is still part of it. Several are called in order, after
    /// [observers](crate::Observer), and never for [`Span::none`](Self::none).
    ///
    /// A panic of the callback is [counted](crate::panics). A callback that is added while the span
    /// is being finished is dropped, which counts as misuse.
    ///
    /// # Cost
    ///
    /// An allocation or two, and the spans of the trace in this process cost more from then on, as if they
    /// were observed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let (send, finished) = mpsc::channel();
    /// let span = tracer.start_span("work");
    /// span.on_finish(move |span| send.send(span.operation_name()).unwrap_or_default());
    /// drop(span);
    /// assert_eq!(finished.recv().as_deref(), Ok("work"));
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn on_finish(&self, callback: impl FnOnce(&Self) + Send + 'static) -> &Self {
        let Some((record, stripe)) = self.parts() else { return self.misused("on_finish") };
        if !observer::add_callback(record, stripe, Box::new(callback)) {
            stripe.report_misuse("on_finish");
        }
        self
    }

    /// Adds a `FOLLOWS_FROM` reference to a started span. In contrast to
    /// [`SpanBuilder::follows_from`] the other span never becomes its parent.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let (first, second) = (tracer.start_span("first"), tracer.start_span("second"));
    /// second.add_follows_from(&first);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn add_follows_from(&self, to: impl Parent) -> &Self {
        let Some(context) = to.context().filter(SpanContext::is_valid) else { return self };
        let Some(record) = self.recording_record() else { return self };
        let own_parent = (record.ids.trace, record.ids.parent);
        self.with_recording_data("add_follows_from", |data, _| {
            let ids = (context.trace_id, context.span_id);
            data.draft.add_reference(ReferenceKind::FollowsFrom, ids, Some(own_parent));
        });
        self
    }

    /// Puts the span below another parent by starting it anew there. The returned span has its
    /// name, start time, tags, logs and `FOLLOWS_FROM` references, and its span id if the parent
    /// names a span; trace, sampling and baggage are the parent's. This one has ended.
    ///
    /// Child spans that were started before stay in their trace. What was written to the old span
    /// while it was not recorded is lost. Returns `None` if the span was finished, which counts as
    /// misuse.
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
        let Some((record, stripe)) = self.parts() else {
            self.misused("restart_as_child_of");
            return None;
        };
        let name = match record.lock().filter(|data| !data.finished) {
            Some(data) => data.draft.name.clone(),
            None => {
                stripe.report_misuse("restart_as_child_of");
                return None;
            }
        };
        let parent = parent.context();
        let joins = parent.as_ref().is_some_and(SpanContext::is_valid);
        // Started without the lock: a sampler, a clock and observers are user callbacks.
        let mut next = SpanBuilder::new(stripe, name).ignore_active_span().child_of(parent).start();
        let is_ending = record.state.is_on_slow_path()
            && matches!(finish::claim(self, record, stripe, None), FinishClaim::Refused);
        // Read without the lock, as a clock may be a user callback.
        let now = if record.state.is_observed() { stripe.clock.monotonic_nanos() } else { 0 };
        let Some(mut data) = record.lock().filter(|data| !data.finished && !is_ending) else {
            // Another thread has finished it meanwhile.
            next.end_unsent();
            stripe.report_misuse("restart_as_child_of");
            return None;
        };
        let end = End::Read { monotonic_nanos: now };
        let observed = observer::CopiedSpan::take(&mut data, stripe, &record.state, end);
        let taken = Taken::from(&mut data, record);
        let observers = data.observers.take();
        finish::finish_unsent(record, stripe, &mut data);
        drop(data);
        drop(observers);
        if let Some(observed) = observed {
            observed.notify(stripe);
        }
        if joins {
            next.take_span_id(record);
        }
        taken.give_to(&next);
        Some(next)
    }

    /// Ends a span that is not to be sent.
    fn end_unsent(&self) {
        if let Some((record, stripe)) = self.parts()
            && let Some(mut data) = record.lock()
        {
            data.is_observed = false;
            finish::finish_unsent(record, stripe, &mut data);
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

/// The parts of a span that its successor takes over.
struct Taken {
    start: Start,
    finish_wall: Option<i64>,
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
        let draft = &data.draft;
        let mut tags = draft.first_tags().to_vec();
        tags.extend_from_slice(draft.tags.bytes());
        let references = draft.references(record.ids.trace, record.ids.parent);
        let follows_from = references.into_iter().filter(|reference| reference.follows_from);
        let context = |reference: ReferenceView| SpanContext {
            trace_id: reference.trace_id,
            span_id: reference.span_id,
            ..SpanContext::default()
        };
        let taken = Self {
            start,
            finish_wall,
            tag_count: draft.tag_count(),
            tags,
            logs: draft.logs().bytes.to_vec(),
            log_count: draft.logs().count,
            follows_from: follows_from.map(context).collect(),
        };
        // Buffered spans of the trace no longer need them.
        data.clear_tags();
        data.draft.clear_logs();
        taken
    }

    /// The sampler's tags about the trace that was left stay with the old span.
    fn give_to(self, next: &Span) {
        for tag in tags_of(Some(List::new(self.tag_count, &self.tags))) {
            let key = str::from_utf8(tag.key).unwrap_or_default();
            if key != SAMPLER_TYPE_TAG && key != SAMPLER_PARAM_TAG {
                next.set_tag(key, TagValue::of(tag.value));
            }
        }
        for context in &self.follows_from {
            next.add_follows_from(context);
        }
        let Some(mut data) = next.recording_record().and_then(SpanRecord::lock) else { return };
        if !matches!(self.start, Start::Unknown) {
            data.set_start(self.start);
        }
        if let Some(wall) = self.finish_wall {
            data.set_finish_wall(wall);
            next.recording_record().into_iter().for_each(|record| record.state.require_slow_path());
        }
        if self.log_count > 0 {
            let lists = data.draft.lists_mut();
            lists.logs.extend(&self.logs);
            lists.log_count += self.log_count;
            data.draft.has_rare_fields = true;
        }
    }
}
