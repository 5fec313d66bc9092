//! Reading a live span: its name, its start, its tags.

use std::borrow::Cow;
use std::time::SystemTime;

use super::record::{SpanData, Start};
use super::repr::Repr;
use super::tag::read_tags;
use super::{OwnedTagValue, Span, TagValue};
use crate::clock::system_time;
use crate::encoding::List;

impl Span {
    /// Returns the present name; empty for [`Span::none`](Self::none).
    #[must_use]
    pub fn operation_name(&self) -> Cow<'static, str> {
        let name = self
            .existing_record()
            .map(|record| record.lock().map(|data| data.draft.name().clone()));
        match (name, &self.repr) {
            (Some(name), _) => name.unwrap_or_default(),
            (None, Repr::NonRecording(span)) => Cow::Borrowed(span.name()),
            (None, Repr::Recorded(_)) => Cow::Borrowed(""),
        }
    }

    /// Returns the start time; `None` for a finished span, and for one that is not
    /// [recorded](Self::is_recording), as the clock is not read for it.
    #[must_use]
    pub fn start_time(&self) -> Option<SystemTime> {
        self.live(|data| match data.start() {
            Start::Read { wall, .. } | Start::Explicit { wall } => Some(system_time(wall)),
            Start::Unknown => None,
        })?
    }

    /// Returns the present value of a tag; of several, the last one. `None` for a span that is
    /// finished or not [recorded](Self::is_recording).
    ///
    /// # Cost
    ///
    /// Compares each tag that was set, with the span locked, and copies the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::{OwnedTagValue, Tracer};
    /// let (tracer, _closer) = Tracer::builder("svc").null_reporter().build()?;
    /// let span = tracer.start_span("get");
    /// span.set_tag("http.status_code", 102).set_tag("http.status_code", 200);
    /// assert_eq!(span.operation_name(), "get");
    /// assert_eq!(span.tag("http.status_code"), Some(OwnedTagValue::I64(200)));
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<OwnedTagValue> {
        self.live(|data| {
            let values = tags(data).filter(|(own, _)| *own == key);
            values.last().map(|(_, value)| OwnedTagValue::from(value))
        })?
    }

    /// Returns copies of the tags, in the order in which they were set, the sampler's included.
    /// Empty for a span that is finished or not [recorded](Self::is_recording).
    #[must_use]
    pub fn tags(&self) -> Vec<(String, OwnedTagValue)> {
        let copy = |(key, value): (&str, TagValue<'_>)| (key.to_owned(), value.into());
        self.live(|data| tags(data).map(copy).collect()).unwrap_or_default()
    }

    /// Reads the data of a span that is recorded and not finished.
    fn live<T>(&self, read: impl FnOnce(&SpanData) -> T) -> Option<T> {
        let data = self.recording_record()?.lock().filter(|data| !data.finished)?;
        Some(read(&data))
    }
}

/// Returns the tags of a span.
pub(super) fn tags(data: &SpanData) -> impl Iterator<Item = (&str, TagValue<'_>)> {
    let draft = &data.draft;
    let lists = [draft.first_tags(), draft.tags.bytes()];
    // There are no more elements than bytes; each list ends with its bytes.
    lists.into_iter().flat_map(|tags| read_tags(List::new(tags.len(), tags)))
}
