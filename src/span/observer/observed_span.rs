//! A finished span, as its observers see it.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::interest::WantedTags;
use crate::clock::system_time;
use crate::encoding::tags_found;
use crate::span::tag::TagValue;

/// A finished span, as an observer sees it that has asked for [finished
/// spans](crate::ObserverInterest::finished_spans).
///
/// # Source
///
/// Not from another client.
#[derive(Clone, Copy)]
pub struct ObservedSpan<'a> {
    parts: Parts<'a>,
    wanted: &'a WantedTags,
}

/// The parts of a span that all observers see.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) name: &'a str,
    /// The encoded tags, among others those that are wanted.
    pub(super) tags: &'a [u8],
    /// The start and the duration in nanoseconds.
    pub(super) times: (i64, u64),
    pub(super) is_sampled: bool,
}

impl<'a> ObservedSpan<'a> {
    pub(super) fn new(parts: Parts<'a>, wanted: &'a WantedTags) -> Self {
        Self { parts, wanted }
    }

    /// Returns the final name.
    #[must_use]
    pub fn operation_name(&self) -> &'a str {
        self.parts.name
    }

    /// Returns the start time, as read or given.
    #[must_use]
    pub fn start_time(&self) -> SystemTime {
        system_time(self.parts.times.0)
    }

    /// Returns the duration; zero if the end is before the start.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.parts.times.1)
    }

    /// Returns whether the trace is sampled so far. [Tail sampling](crate::TailSamplingConfig) may yet
    /// retain it, for the duration of this very span, or for a later one.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.parts.is_sampled
    }

    /// Returns the last value of a tag whose key the observer has asked for.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<TagValue<'a>> {
        self.values(key).last()
    }

    /// Returns the values of a tag whose key the observer has asked for, in the order in which they were
    /// set; see [`tags`](Self::tags).
    pub fn values(&self, key: &str) -> impl Iterator<Item = TagValue<'a>> {
        let key = self.wanted.find(key.as_bytes());
        let bytes = if key.is_some() { self.parts.tags } else { &[] };
        let key = key.unwrap_or_default().as_bytes();
        tags_found(bytes, move |found| (found == key).then_some(()))
            .map(|((), value)| TagValue::of(value))
    }

    /// Returns the tags whose keys the observer has asked for, in the order in which they were set.
    ///
    /// # Shape and units
    ///
    /// Values are as they are sent: an unsigned integer is a signed one, and a double that is not finite
    /// is text. But text and bytes are truncated only beyond 4,096 bytes, or the tracer's [maximum
    /// length](crate::TracerBuilder::max_tag_value_length) if that is more. A key that was set several times
    /// comes as often, without the values that [`Span::replace_tag`](crate::Span::replace_tag) removed;
    /// earlier values may be missing if the tags that any observer has asked for take more than 16 KiB
    /// together.
    pub fn tags(&self) -> impl Iterator<Item = (&'a str, TagValue<'a>)> {
        let wanted = self.wanted;
        tags_found(self.parts.tags, |key| wanted.find(key))
            .map(|(key, value)| (key, TagValue::of(value)))
    }
}

impl fmt::Debug for ObservedSpan<'_> {
    /// Shows no tags.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedSpan")
            .field("operation_name", &self.operation_name())
            .field("start_time", &self.start_time())
            .field("duration", &self.duration())
            .field("is_sampled", &self.is_sampled())
            .finish_non_exhaustive()
    }
}
