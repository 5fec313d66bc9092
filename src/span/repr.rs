//! The type [`Span`], a handle on a live span: what it contains, and access to the parts of the span.

use std::fmt;
use std::sync::Arc;

use super::context::SpanContext;
use super::counters::Stripe;
use super::record::{NonRecording, SharedRecord, SpanRecord};
use super::shared::SpanShared;
use crate::diag::Brief;

/// A live span.
///
/// Handles are cheap to clone and may be used from any thread; all clones refer to the same span.
/// The span is finished by [`finish`](Self::finish), or when the last handle is dropped. Later
/// calls on it do nothing, and are counted as misuse (tags and logs only if it is sampled:
/// otherwise they do nothing in any case).
///
/// # Cost
///
/// Setting a tag on a sampled span takes one uncontended lock and writes the tag's bytes; on one
/// that is not sampled it is a comparison. Nothing is allocated in steady state.
///
/// # Source
///
/// `Span` in jaeger-client-go, `span.go`; finishing once only is from the Java client.
///
/// # Examples
///
/// ```
/// use jaeger_client::{InMemoryReporter, Tracer};
/// let reporter = InMemoryReporter::new();
/// let (tracer, _closer) = Tracer::builder("svc").in_memory(&reporter).build()?;
/// let span = tracer.start_span("get");
/// span.set_tag("http.status_code", 200).log_event("cache miss");
/// span.finish();
/// assert_eq!(reporter.spans()[0].view().operation_name(), "get");
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[must_use = "a span ends when its last handle is dropped"]
pub struct Span {
    pub(super) repr: Repr,
}

/// The contents of a handle. Each variant ends its span by its own drop, in place: moving it first
/// would cost more than the rest.
///
/// There is no variant for a span without a tracer: the two are told apart by a name's pointer that is null,
/// and a third would need 8 bytes of each handle.
pub(super) enum Repr {
    /// The span's record, which all handles on it share, or a span without a tracer.
    Recorded(RecordHandle),
    /// The only handle on the first span of an unsampled trace. It gets a record when it is shared.
    NonRecording(NonRecording),
}

/// A share in a span's record, or none of a span without a tracer. Dropping the last one finishes the
/// span; the drop is in `lifecycle/finish.rs`.
pub(super) struct RecordHandle(Option<SharedRecord>);

impl RecordHandle {
    #[inline(always)]
    pub(super) fn new(record: SharedRecord) -> Self {
        Self(Some(record))
    }

    #[inline(always)]
    pub(super) fn get(&self) -> Option<&SharedRecord> {
        self.0.as_ref()
    }

    /// Makes a handle on the span.
    #[inline]
    pub(super) fn to_span(&self) -> Span {
        Span { repr: Repr::Recorded(self.clone()) }
    }

    #[inline]
    pub(super) fn belongs_to(&self, stripe: &Stripe) -> bool {
        let own = self.get().and_then(|record| record.stripe.as_ref());
        own.is_some_and(|own| own.is_same(stripe))
    }

    /// Returns whether there is no other handle, and the span is not finished.
    #[inline(always)]
    pub(super) fn is_last_of_live(&mut self) -> bool {
        let record = self.0.as_mut().and_then(SharedRecord::get_mut);
        record.is_some_and(|record| !record.data.get_mut().finished)
    }

    /// Drops a handle that is hardly ever the last one, without a call where it is not.
    #[inline(always)]
    pub(super) fn drop_shared(mut self) {
        if !self.0.as_ref().is_some_and(SharedRecord::is_unique) {
            drop(self.0.take());
        }
    }

    /// Takes the record out, so that the drop of the handle does nothing.
    #[inline(always)]
    pub(super) fn take(&mut self) -> Option<SharedRecord> {
        self.0.take()
    }
}

impl Span {
    #[inline]
    pub(super) fn recorded(record: SharedRecord) -> Self {
        Self { repr: Repr::Recorded(RecordHandle::new(record)) }
    }

    /// Returns a span without a tracer, which does nothing.
    pub fn none() -> Self {
        Self { repr: Repr::Recorded(RecordHandle(None)) }
    }

    /// Returns a share in the record, made now if there is none.
    #[inline]
    pub(super) fn record_handle(&self) -> RecordHandle {
        match &self.repr {
            Repr::Recorded(record) => record.clone(),
            Repr::NonRecording(span) => RecordHandle(Some(span.share())),
        }
    }

    /// Converts the handle to a share in the record, made now if there is none.
    #[inline(always)]
    pub(super) fn into_record_handle(self) -> RecordHandle {
        match self.repr {
            Repr::Recorded(record) => record,
            repr => Self { repr }.record_handle(),
        }
    }

    /// Takes the record out, so that the drop of the handle ends nothing.
    pub(super) fn take_record(&mut self) -> Option<SharedRecord> {
        match &mut self.repr {
            Repr::Recorded(record) => record.take(),
            Repr::NonRecording(_) => None,
        }
    }

    /// Returns the record, if no other handle shares it.
    pub(super) fn unshared_record(&mut self) -> Option<&mut SpanRecord> {
        match &mut self.repr {
            Repr::Recorded(record) => record.0.as_mut().and_then(SharedRecord::get_mut),
            Repr::NonRecording(_) => None,
        }
    }

    /// Returns whether there is no other handle, and the span is not finished.
    #[inline]
    pub(super) fn is_last_of_live(&mut self) -> bool {
        match &mut self.repr {
            Repr::NonRecording(span) => span.is_untouched(),
            Repr::Recorded(record) => record.is_last_of_live(),
        }
    }

    #[inline]
    pub(super) fn non_recording(span: NonRecording) -> Self {
        Self { repr: Repr::NonRecording(span) }
    }

    /// Returns the record, made now if there is none; `None` if the span was finished before it had
    /// one.
    #[inline]
    pub(super) fn record(&self) -> Option<&SharedRecord> {
        match &self.repr {
            Repr::Recorded(record) => record.get(),
            Repr::NonRecording(span) => span.promote(),
        }
    }

    /// Returns the record, if there is one.
    #[inline]
    pub(super) fn existing_record(&self) -> Option<&SharedRecord> {
        match &self.repr {
            Repr::Recorded(record) => record.get(),
            Repr::NonRecording(span) => span.record(),
        }
    }

    /// Returns the record, made now if there is none, even if the span was finished before. `None` also in a
    /// forked process that may never get a lock: a context is without one then.
    #[inline]
    pub(super) fn record_or_promote(&self) -> Option<&SharedRecord> {
        match &self.repr {
            Repr::Recorded(record) => record.get(),
            Repr::NonRecording(span) => span.record_or_promote(),
        }
    }

    /// Returns the record of a span whose tags and logs are recorded.
    #[inline(always)]
    pub(super) fn recording_record(&self) -> Option<&SpanRecord> {
        self.existing_record().filter(|record| record.state.is_recording()).map(|record| &**record)
    }

    /// Returns the record of a span on the fast path.
    #[inline(always)]
    pub(super) fn fast_path_record(&self) -> Option<&SpanRecord> {
        self.existing_record()
            .filter(|record| record.state.is_on_fast_path())
            .map(|record| &**record)
    }

    /// Returns the context, for which a non-recording span needs no record.
    #[inline]
    pub(super) fn context_or_empty(&self) -> SpanContext {
        match &self.repr {
            Repr::Recorded(record) => {
                record.get().map(|record| record.context()).unwrap_or_default()
            }
            Repr::NonRecording(span) => span.context(),
        }
    }

    #[inline]
    pub(super) fn stripe(&self) -> Option<&Arc<Stripe>> {
        match &self.repr {
            Repr::Recorded(record) => record.get()?.stripe.as_ref(),
            Repr::NonRecording(span) => span.stripe(),
        }
    }

    /// Returns the record, made now if there is none, and the tracer's stripe; `None` if the span
    /// was finished before it had a record.
    #[inline]
    pub(super) fn parts(&self) -> Option<(&SharedRecord, &Arc<Stripe>)> {
        let record = self.record()?;
        Some((record, record.stripe.as_ref()?))
    }

    /// Returns the part that the tracer's spans share.
    pub(crate) fn shared(&self) -> Option<&SpanShared> {
        self.stripe().map(|stripe| &***stripe)
    }

    /// Counts a call on a span that was finished before it had a record.
    #[cold]
    pub(super) fn misused(&self, call: &'static str) -> &Self {
        // Not finished, but the lock is that of a thread which this forked process does not have.
        let is_live = matches!(&self.repr, Repr::NonRecording(span) if !span.is_finished());
        if let Some(shared) = self.shared().filter(|_| !is_live) {
            shared.report_misuse(call);
        }
        self
    }
}

impl Clone for RecordHandle {
    #[inline]
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Clone for Span {
    fn clone(&self) -> Self {
        Self { repr: Repr::Recorded(self.record_handle()) }
    }
}

impl fmt::Debug for Span {
    /// Makes no record, takes no lock, and shows no tags or logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut span = f.debug_struct("Span");
        let record = match &self.repr {
            Repr::Recorded(record) => record.get(),
            Repr::NonRecording(span) => span.made_record(),
        };
        match (record, &self.repr) {
            (Some(record), _) => {
                let name = record.data.try_lock().map(|data| data.draft.name().clone());
                let (trace, id, parent) = (record.ids.trace, record.ids.span, record.ids.parent);
                let flags = record.state.flags();
                if let Some(name) = name {
                    span.field("operation", &Brief(name));
                }
                span.field("ids", &format_args!("{trace}:{id}:{parent}:{flags:x}"));
            }
            (None, Repr::NonRecording(non_recording)) => {
                span.field("operation", &Brief(non_recording.name()));
                span.field("ids", &format_args!("{}", non_recording.ids()));
            }
            (None, Repr::Recorded(_)) => {}
        }
        span.finish_non_exhaustive()
    }
}
