//! A span that has begun in time, and whose place in a trace is not known yet.
//!
//! For instrumentation facades, where a span is made before its parent is known.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::compact::CompactSpan;
use super::context::SpanContext;
use super::counters::Stripe;
use super::lifecycle::prepare::{start_fast_retaining, start_fast_storing};
use super::lifecycle::start::UnstartedSpan;
use super::lifecycle::unstarted_tags;
use super::owned::OwnedSpan;
use super::record::{self, OwnedRecord, ParentKind, SpanRecord, Start};
use super::reference::{Parent, ReferenceSink};
use super::repr::Span;
use super::set_tag::IntoTagValue;
use super::tag::TagValue;
use crate::diag::Brief;
use crate::encoding::{ReferenceKind, SpanDraft, TagKey};

/// A span that is not started, with its name, start time and tags. It is owned, and may be started on
/// another thread.
///
/// Its trace is determined when it is [started](Self::start): until then the sampler is not called, the
/// span has no ids, and it is not part of the [span accounting](crate::Stats). If it is dropped instead,
/// no span was started; a tag value beyond its limit counts as truncated all the same.
///
/// # Cost
///
/// A tag takes no lock. Nothing is allocated in steady state.
///
/// # Source
///
/// None of the clients has it.
///
/// # Examples
///
/// ```
/// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
/// # let caller = tracer.start_span("caller").context();
/// let mut prepared = tracer.prepare_span("serve");
/// prepared.set_tag("http.method", "GET");
/// // The request's headers are read later.
/// prepared.set_parent(&caller);
/// let span = prepared.start();
/// assert_eq!(span.context().trace_id(), caller.trace_id());
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[must_use = "a span is started by `start`"]
pub struct PreparedSpan {
    record: PreparedRecord,
    has_extras: bool,
    parent_kind: ParentKind,
    joins: bool,
    /// Boxed, as hardly any span has some, and prepared spans are moved.
    #[expect(clippy::box_collection, reason = "it is smaller")]
    follows_from: Option<Box<Vec<SpanContext>>>,
}

/// A record, which goes back to the pool if no span is started with it. There is one until then, and it refers to
/// the tracer.
struct PreparedRecord(Option<OwnedRecord>);

impl PreparedRecord {
    /// Takes a copy that has no parent.
    #[cold]
    fn without_parent(mut record: OwnedRecord, has_extras: &mut bool) -> Self {
        let extras = record.data.get_mut().extras.as_ref();
        *has_extras |= extras.is_some_and(|extras| extras.start.is_some());
        Self(Some(record))
    }
}

impl Drop for PreparedRecord {
    #[inline]
    fn drop(&mut self) {
        if let Some(record) = self.0.take() {
            record::recycle_unstarted(record);
        }
    }
}

impl PreparedSpan {
    /// Prepares a span that starts now.
    #[inline(always)]
    pub(crate) fn new(stripe: &Arc<Stripe>, name: Cow<'static, str>) -> Self {
        let mut record = record::take();
        record.set_tracer(stripe);
        let data = record.data.get_mut();
        data.draft.set_first_name(name);
        data.start_now(stripe);
        Self {
            record: PreparedRecord(Some(record)),
            has_extras: false,
            parent_kind: ParentKind::None,
            joins: false,
            follows_from: None,
        }
    }

    /// Sets a tag, as [`SpanBuilder::tag`](crate::SpanBuilder::tag) does.
    #[inline]
    pub fn set_tag(&mut self, key: &str, value: impl IntoTagValue) -> &mut Self {
        value.set_with(
            #[inline(always)]
            |value| self.tag(key, value),
        );
        self
    }

    /// Sets a tag whose key is encoded beforehand.
    #[inline(always)]
    pub fn set_keyed_tag(&mut self, key: &TagKey, value: impl IntoTagValue) -> &mut Self {
        value.set_with(
            #[inline(always)]
            |value| {
                let Self { record, has_extras, .. } = self;
                if let Some(record) = &mut record.0
                    && !unstarted_tags::try_tag(record, key, value)
                {
                    *has_extras |= unstarted_tags::set_prepared_cold(record, key.as_str(), value);
                }
            },
        );
        self
    }

    /// Sets several tags, as [`set_tag`](Self::set_tag) does each of them.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let mut prepared = tracer.prepare_span("query");
    /// prepared.set_tags(&[("db.type", "sql".into()), ("rows", 3.into())]);
    /// prepared.start().finish();
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn set_tags(&mut self, tags: &[(&str, TagValue<'_>)]) -> &mut Self {
        for (key, value) in tags {
            self.tag(key, *value);
        }
        self
    }

    #[inline(always)]
    fn tag(&mut self, key: &str, value: TagValue<'_>) {
        let Self { record, has_extras, .. } = self;
        if let Some(record) = &mut record.0
            && !unstarted_tags::try_tag(record, key, value)
        {
            *has_extras |= unstarted_tags::set_prepared_cold(record, key, value);
        }
    }

    fn draft(&mut self) -> Option<&mut SpanDraft> {
        Some(&mut self.record.0.as_mut()?.data.get_mut().draft)
    }

    /// Sets a tag and removes all earlier values of its key; `None` changes nothing.
    pub fn replace_tag(&mut self, key: &str, value: impl IntoTagValue) -> &mut Self {
        value.set_with(|value| {
            if let Some(draft) = self.draft() {
                draft.remove_tags(key.as_bytes(), &mut 0);
            }
            self.tag(key, value);
        });
        self
    }

    /// Renames the span.
    pub fn set_operation_name(&mut self, name: impl Into<Cow<'static, str>>) -> &mut Self {
        if let Some(draft) = self.draft() {
            draft.set_name(name.into());
        }
        self
    }

    /// Sets the start time, which is otherwise that of [`Tracer::prepare_span`](crate::Tracer::prepare_span),
    /// as [`SpanBuilder::start_time`](crate::SpanBuilder::start_time) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let mut prepared = tracer.prepare_span("handle");
    /// // It waited in a queue before, by its message's timestamp.
    /// prepared.set_start_time(SystemTime::now() - Duration::from_secs(2));
    /// prepared.start().finish();
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn set_start_time(&mut self, time: SystemTime) -> &mut Self {
        if let Some(record) = &mut self.record.0
            && let Some(stripe) = &record.stripe
        {
            let wall = stripe.checked_nanos("set_start_time", time);
            record.data.get_mut().set_start(Start::Explicit { wall });
        }
        self
    }

    /// Sets the parent, in place of one that was set before. Its baggage is read now, not at the start.
    pub fn set_parent(&mut self, parent: impl Parent) -> &mut Self {
        if self.parent_kind != ParentKind::None {
            self.remove_parent();
        }
        if let Some(record) = &mut self.record.0 {
            parent.add_to(&mut ReferenceSink {
                kind: ReferenceKind::ChildOf,
                record,
                parent_kind: &mut self.parent_kind,
                joins: &mut self.joins,
                extras: &mut self.has_extras,
            });
        }
        self
    }

    /// Goes on with a record that has everything but the parent.
    #[cold]
    fn remove_parent(&mut self) {
        if let Some(mut record) = self.record.0.take()
            && let SpanRecord { stripe: Some(stripe), data, .. } = &mut *record
        {
            let copy = record::copy_of(data.get_mut(), stripe);
            self.record = PreparedRecord::without_parent(copy, &mut self.has_extras);
            (self.parent_kind, self.joins) = (ParentKind::None, false);
            record::recycle_unstarted(record);
        }
    }

    /// Adds a `FOLLOWS_FROM` reference, as [`Span::add_follows_from`] does: the other span does not become
    /// the parent.
    pub fn add_follows_from(&mut self, to: impl Parent) -> &mut Self {
        self.follows_from.get_or_insert_default().extend(to.context());
        self
    }

    /// Starts the span: below its parent, and without one as the first of a trace, whatever span is
    /// active.
    pub fn start(mut self) -> Span {
        self.start_with(|span| (span.start(), None))
    }

    /// Starts the span, as [`start`](Self::start) does, with one owner, for which setting tags costs less.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let mut span = tracer.prepare_span("serve").start_owned();
    /// span.set_tag("http.status_code", 200);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    pub fn start_owned(self) -> OwnedSpan {
        OwnedSpan::new(self.start())
    }

    /// Starts the span, as [`start`](Self::start) does, and returns what it was prepared with, but for the
    /// parent, if it is not [recorded](Span::is_recording), and so has lost its tags: if its trace turns out
    /// to be another one, the span can be started again in that.
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
    /// let mut retained = retained.expect("it is not sampled");
    ///
    /// let caller: SpanContext = "a:b:0:1".parse()?;
    /// retained.set_parent(&caller);
    /// retained.start().finish();
    /// first.finish();
    /// assert_eq!(reporter.spans()[0].view().tags().count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_retaining(mut self) -> (Span, Option<Self>) {
        let span = self.start_retaining_here();
        let retained = self.is_retained().then_some(self);
        (span, retained)
    }

    /// Starts the span, as [`start_retaining`](Self::start_retaining) does. If the span is not recorded, this
    /// value keeps what it was prepared with and can be started again: [`is_retained`](Self::is_retained)
    /// tells. Otherwise later calls on it do nothing, and another start returns [`Span::none`].
    ///
    /// # Cost
    ///
    /// Less than that of `start_retaining`, as nothing is moved.
    #[inline]
    pub fn start_compact(&mut self) -> CompactSpan {
        self.start_retaining_here().into()
    }

    /// Starts the span, as [`start_compact`](Self::start_compact) does, if that calls nothing of the
    /// application: the sampler is constant or probabilistic, and there is no clock, generator of ids or observer.
    /// Otherwise returns `None` and changes nothing. For callers that hold a lock which a callback might wait for.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let mut prepared = tracer.prepare_span("serve");
    /// let span = prepared.try_start_compact().unwrap_or_else(|| prepared.start_compact());
    /// assert_eq!(tracer.stats().started, 1);
    /// # drop(span);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[inline]
    pub fn try_start_compact(&mut self) -> Option<CompactSpan> {
        if !self.runs_no_callbacks() {
            return None;
        }
        let Self { record, has_extras, parent_kind, joins, .. } = self;
        let mut taken = record.0.take()?;
        let stripe = taken.stripe.take()?;
        let (started, retained) = start_fast_retaining(taken, stripe, *joins);
        if let Some(retained) = retained {
            *record = PreparedRecord::without_parent(retained, has_extras);
            (*parent_kind, *joins) = (ParentKind::None, false);
        }
        Some(CompactSpan::recorded(started))
    }

    /// Starts the span, as [`try_start_compact`](Self::try_start_compact) does, and returns whether it is recorded. If
    /// it is not, it keeps what it was prepared with, and nothing is retained here:
    /// [`CompactSpan::prepared_again`] makes a copy where that is needed. What is kept is sent if the trace is recorded
    /// after all.
    #[doc(hidden)]
    #[inline]
    pub fn try_start_storing(&mut self) -> Option<(CompactSpan, bool)> {
        if !self.runs_no_callbacks() {
            return None;
        }
        let mut taken = self.record.0.take()?;
        let stripe = taken.stripe.take()?;
        let (started, is_recording) = start_fast_storing(taken, stripe, self.joins);
        Some((CompactSpan::recorded(started), is_recording))
    }

    /// Returns whether the start calls nothing of the application.
    #[inline(always)]
    fn runs_no_callbacks(&self) -> bool {
        let stripe = self.record.0.as_ref().and_then(|record| record.stripe.as_ref());
        let calls_nothing =
            |stripe: &Arc<Stripe>| stripe.start.runs_no_callbacks && !stripe.is_forked();
        stripe.is_some_and(calls_nothing) && !self.has_extras && self.follows_from.is_none()
    }

    /// Returns whether it can be started: it was not started before, or the span was not recorded.
    #[inline]
    #[must_use]
    pub fn is_retained(&self) -> bool {
        self.record.0.is_some()
    }

    #[inline(always)]
    pub(in crate::span) fn start_retaining_here(&mut self) -> Span {
        self.start_with(|span| span.start_retaining())
    }

    /// Does the same in the place of another span, whose observers continue with it.
    pub(in crate::span) fn start_in_place(&mut self) -> Span {
        self.start_with(|span| span.start_in_place_retaining())
    }

    /// Returns whether the span will be of the tracer.
    pub(in crate::span) fn belongs_to(&self, stripe: &Stripe) -> bool {
        let own = self.record.0.as_ref().and_then(|record| record.stripe.as_ref());
        own.is_some_and(|own| own.is_same(stripe))
    }

    #[inline(always)]
    fn start_with(
        &mut self,
        start: impl FnOnce(UnstartedSpan<'_>) -> (Span, Option<OwnedRecord>),
    ) -> Span {
        let Self { record, has_extras, parent_kind, joins, follows_from } = self;
        let Some(taken) = record.0.take() else { return Span::none() };
        let Some(stripe) = taken.stripe.clone() else { return Span::none() };
        let unstarted =
            UnstartedSpan::prepared(&stripe, taken, *has_extras, (*parent_kind, *joins));
        let (span, retained) = start(unstarted);
        for context in follows_from.iter().flat_map(|contexts| &**contexts) {
            span.add_follows_from(context);
        }
        if let Some(retained) = retained {
            *record = PreparedRecord::without_parent(retained, has_extras);
            (*parent_kind, *joins) = (ParentKind::None, false);
        }
        span
    }
}

impl CompactSpan {
    /// Returns a copy of what the span was prepared with, without a parent, if it was started by
    /// [`PreparedSpan::try_start_storing`] and is not recorded; `None` of a span without a tracer.
    #[doc(hidden)]
    #[must_use]
    pub fn prepared_again(&self) -> Option<PreparedSpan> {
        let record = self.handle().get()?;
        let stripe = record.stripe.as_ref()?;
        let copy = record::copy_of(&mut *record.lock()?, stripe);
        Some(PreparedSpan {
            record: PreparedRecord(Some(copy)),
            has_extras: false,
            parent_kind: ParentKind::None,
            joins: false,
            follows_from: None,
        })
    }
}

impl fmt::Debug for PreparedSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut span = f.debug_struct("PreparedSpan");
        let data = self.record.0.as_ref().and_then(|record| record.data.try_lock());
        if let Some(data) = data {
            span.field("operation", &Brief(data.draft.name()));
        }
        span.finish_non_exhaustive()
    }
}
