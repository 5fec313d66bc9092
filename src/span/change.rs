//! Changes of a live span that are otherwise made at its start: references, times, and replaced tags.
//!
//! For instrumentation facades, which learn of these after their spans have started. Another parent is in
//! `lifecycle/restart.rs`.

use std::time::SystemTime;

use super::context::SpanContext;
use super::record::{SpanData, Start};
use super::reference::Parent;
use super::{IntoTagValue, Span, TagValue, observer};
use crate::encoding::ReferenceKind;
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
    /// [`SpanBuilder::start_time`](crate::SpanBuilder::start_time) does before its start.
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
    /// [`SpanBuilder::follows_from`](crate::SpanBuilder::follows_from) the other span never becomes its parent.
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
            data.draft.add_reference(ReferenceKind::FollowsFrom, ids, own_parent);
        });
        self
    }
}
