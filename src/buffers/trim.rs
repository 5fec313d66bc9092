//! Trims a span that is too large for a datagram, rather than losing it whole.
//!
//! Texts are truncated first, to ever smaller sizes: values, keys, the name. If that is not enough,
//! tags, logs and references are left out where they take the most room. A tag says what was
//! trimmed.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use crate::encoding::{
    List, LogView, ReferenceView, SpanView, TagView, ValueView, put_log, put_reference, put_tag,
};

/// The tag with what was trimmed from a span.
pub(crate) const TRIMMED_TAG: &[u8] = b"jaeger.trimmed";

/// The lengths that texts are truncated to, one after the other, as long as the span is too large:
/// the beginning of a text is still useful.
const TEXT_LIMITS: [usize; 5] = [16_384, 4_096, 1_024, 256, 64];

/// The maximum number of fields of a log where elements are left out.
const MAX_FIELDS: usize = 64;

impl SpanView<'_> {
    /// Encodes the span in at most `max_bytes`, so that it fits a message: texts are truncated
    /// first, then tags, logs and references are left out. The tag `jaeger.trimmed` says what was
    /// trimmed. `None` if not even its ids and that tag fit, which take less than 300 bytes.
    ///
    /// # Cost
    ///
    /// One pass over the span for each limit of texts, five at most. A span that fits is better
    /// encoded as it is.
    ///
    /// # Examples
    ///
    /// ```
    /// use jaeger_client::encoding::SpanView;
    /// let mut span = SpanView::default();
    /// span.operation_name = &[b'x'; 1_000];
    /// let bytes = span.trimmed_to(300).ok_or("too small")?;
    /// let (trimmed, _) = SpanView::parse(&bytes)?;
    /// assert!(bytes.len() <= 300 && trimmed.tag("jaeger.trimmed").is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn trimmed_to(&self, max_bytes: usize) -> Option<Vec<u8>> {
        to_fit(self, max_bytes)
    }
}

/// Returns the span's bytes, trimmed to at most `max_bytes`, or `None` if not even its ids and the
/// tag fit, which take less than 300.
pub(crate) fn to_fit(span: &SpanView<'_>, max_bytes: usize) -> Option<Vec<u8>> {
    for limit in TEXT_LIMITS {
        let bytes = Parts::new(span, limit, usize::MAX).encode(span);
        if bytes.len() <= max_bytes {
            return Some(bytes);
        }
    }
    let [.., limit] = TEXT_LIMITS;
    let mut parts = Parts::new(span, limit, MAX_FIELDS);
    parts.leave_out(span, max_bytes);
    let bytes = parts.encode(span);
    (bytes.len() <= max_bytes).then_some(bytes)
}

/// Returns the beginning of the span's name, and its size, for the log.
pub(crate) fn described(span: &SpanView<'_>) -> String {
    let name = beginning_of(span.operation_name);
    format!("span {name:?} of {} bytes", span.encoded_len())
}

/// Returns the beginning of a span's name, for the log.
pub(crate) fn beginning_of(name: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(text_within(name, 64))
}

/// Returns a text truncated to `max_bytes`, between characters.
pub(crate) fn text_within(text: &[u8], max_bytes: usize) -> &[u8] {
    if text.len() <= max_bytes {
        return text;
    }
    let end = (0..=max_bytes).rev().find(|at| text[*at] & 0xc0 != 0x80);
    &text[..end.unwrap_or(0)]
}

/// The elements of a list in their bytes, and which of them stay.
#[derive(Default)]
struct Elements {
    bytes: Vec<u8>,
    /// The end of each element.
    ends: Vec<usize>,
    /// The numbers of the elements that are left out.
    gap: Range<usize>,
}

impl Elements {
    fn collect<T>(elements: impl Iterator<Item = T>, mut put: impl FnMut(&mut Vec<u8>, T)) -> Self {
        let mut list = Self::default();
        for element in elements {
            put(&mut list.bytes, element);
            list.ends.push(list.bytes.len());
        }
        list
    }

    /// Returns the end of the first `count` elements.
    fn end(&self, count: usize) -> usize {
        count.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0)
    }

    /// Leaves all elements out but those within `front` bytes of the front and within `back` of the
    /// back.
    fn keep(&mut self, front: usize, back: usize) {
        if self.bytes.len() <= front.saturating_add(back) {
            self.gap = 0..0;
            return;
        }
        let first = self.ends.partition_point(|end| *end <= front);
        let back_at = self.bytes.len().saturating_sub(back).max(self.end(first));
        // The first element that begins there or later.
        let last =
            if back_at == 0 { 0 } else { self.ends.partition_point(|end| *end < back_at) + 1 };
        self.gap = first..last.clamp(first, self.ends.len());
    }

    fn leave_all_out(&mut self) {
        self.gap = 0..self.ends.len();
    }

    fn left_out(&self) -> usize {
        self.gap.len()
    }

    /// Returns the number and the bytes of the elements that stay.
    fn retained(&self) -> (usize, Vec<u8>) {
        let (first, last) = (self.end(self.gap.start), self.end(self.gap.end));
        let bytes = [&self.bytes[..first], &self.bytes[last..]].concat();
        (self.ends.len() - self.left_out(), bytes)
    }
}

/// A span's name and lists, with truncated texts.
struct Parts<'a> {
    limit: usize,
    name: &'a [u8],
    tags: Elements,
    logs: Elements,
    references: Elements,
    truncation: Truncation,
}

/// How much of a span was trimmed.
#[derive(Default)]
struct Truncation {
    values: usize,
    keys: usize,
    fields: usize,
}

impl<'a> Parts<'a> {
    fn new(span: &SpanView<'a>, limit: usize, max_fields: usize) -> Self {
        let mut truncation = Truncation::default();
        let tags = Elements::collect(span.tags(), |out, tag| {
            put_tag(out, truncation.truncate_tag(tag, limit))
        });
        let logs = Elements::collect(span.logs(), |out, log| {
            let mut fields = Vec::new();
            for field in log.fields().take(max_fields) {
                put_tag(&mut fields, truncation.truncate_tag(field, limit));
            }
            let count = log.fields.count.min(max_fields);
            truncation.fields += log.fields.count - count;
            put_log(out, LogView::new(log.timestamp_micros, List::new(count, &fields)));
        });
        let references = Elements::collect(span.references(), |out, reference: ReferenceView| {
            put_reference(out, reference);
        });
        let name = text_within(span.operation_name, limit);
        Self { limit, name, tags, logs, references, truncation }
    }

    /// Leaves elements out until the span has at most `max_bytes`. The lists share the room: one
    /// that needs less than its share stays whole. The first and the last tags stay, the last logs,
    /// and the first references, as the first is the parent.
    fn leave_out(&mut self, span: &SpanView<'_>, max_bytes: usize) {
        let mut lists = [&mut self.tags, &mut self.logs, &mut self.references];
        lists.iter_mut().for_each(|list| list.leave_all_out());
        // The tag at its longest, and the list headers at their longest.
        let fixed = self.encode(span).len() + 3 * LIST_HEADER_BYTES;
        let too_much = fixed.saturating_sub(max_bytes);
        self.name = text_within(self.name, self.name.len().saturating_sub(too_much));
        let mut room = max_bytes.saturating_sub(fixed);
        let mut lists = [&mut self.tags, &mut self.logs, &mut self.references];
        let mut shares = [0; 3];
        let mut by_size = [0, 1, 2];
        by_size.sort_by_key(|list| lists[*list].bytes.len());
        for (n, list) in by_size.into_iter().enumerate() {
            shares[list] = lists[list].bytes.len().min(room / (shares.len() - n));
            room -= shares[list];
        }
        let [tags, logs, references] = &mut lists;
        tags.keep(shares[0] / 2, shares[0] - shares[0] / 2);
        logs.keep(0, shares[1]);
        references.keep(shares[2], 0);
    }

    /// Returns what was trimmed from the span, as text.
    fn mark(&self, span: &SpanView<'_>) -> String {
        let Truncation { values, keys, fields } = self.truncation;
        let logs = self.logs.left_out();
        let mut mark =
            format!("{values} values cut to {} bytes, {logs} oldest logs dropped", self.limit);
        if self.name.len() < span.operation_name.len() {
            mark.push_str(", name cut");
        }
        for (count, what) in [
            (keys, "keys cut"),
            (fields, "fields of logs dropped"),
            (self.tags.left_out(), "tags dropped"),
            (self.references.left_out(), "references dropped"),
        ] {
            if count > 0 {
                // Writing into a string does not fail.
                let _ = write!(mark, ", {count} {what}");
            }
        }
        mark
    }

    fn encode(&self, span: &SpanView<'_>) -> Vec<u8> {
        let (mut tag_count, mut tags) = self.tags.retained();
        let mark = self.mark(span);
        put_tag(&mut tags, TagView::new(TRIMMED_TAG, ValueView::Str(mark.as_bytes())));
        tag_count += 1;
        let ((log_count, logs), (reference_count, references)) =
            (self.logs.retained(), self.references.retained());
        let mut trimmed = *span;
        trimmed.operation_name = self.name;
        trimmed.tags = Some(List::new(tag_count, &tags));
        trimmed.logs = Some(List::new(log_count, &logs));
        trimmed.references = Some(List::new(reference_count, &references));
        let mut bytes = Vec::new();
        trimmed.encode(&mut bytes);
        bytes
    }
}

/// The maximum growth of a list's header with the number of its elements, and of the tag by a
/// truncation of the name.
const LIST_HEADER_BYTES: usize = 8;

impl Truncation {
    /// Returns the tag with its key and its value truncated to `limit` bytes.
    fn truncate_tag<'a>(&mut self, tag: TagView<'a>, limit: usize) -> TagView<'a> {
        let key = text_within(tag.key, limit);
        self.keys += usize::from(key.len() < tag.key.len());
        let value = match tag.value {
            ValueView::Str(text) if text.len() > limit => ValueView::Str(text_within(text, limit)),
            ValueView::Binary(bytes) if bytes.len() > limit => ValueView::Binary(&bytes[..limit]),
            short => return TagView::new(key, short),
        };
        self.values += 1;
        TagView::new(key, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SpanId, TraceId};

    fn with(tags: &[(&str, &str)], logs: usize) -> Vec<u8> {
        let (mut tag_bytes, mut log_bytes) = (Vec::new(), Vec::new());
        for (key, value) in tags {
            let value = ValueView::Str(value.as_bytes());
            put_tag(&mut tag_bytes, TagView::new(key.as_bytes(), value));
        }
        for log in 0..logs {
            let mut fields = Vec::new();
            put_tag(&mut fields, TagView::new(b"n", ValueView::Long(log as i64)));
            put_log(&mut log_bytes, LogView::new(log as i64, List::new(1, &fields)));
        }
        let span = SpanView {
            operation_name: b"op",
            tags: Some(List::new(tags.len(), &tag_bytes)),
            logs: Some(List::new(logs, &log_bytes)),
            ..SpanView::default()
        };
        let mut bytes = Vec::new();
        span.encode(&mut bytes);
        bytes
    }

    #[test]
    fn the_largest_values_are_cut_first_and_the_span_says_so() {
        let (large, small) = ("é".repeat(5_000), "s".repeat(900));
        let bytes = with(&[("large", &large), ("small", &small)], 3);
        let trimmed = to_fit(&SpanView::parse(&bytes).unwrap().0, 6_000).unwrap();
        let span = SpanView::parse(&trimmed).unwrap().0;
        assert!(trimmed.len() <= 6_000);
        let Some(ValueView::Str(text)) = span.tag("large") else { panic!("cut away") };
        assert!(std::str::from_utf8(text).is_ok() && text.len() == 4_096);
        assert_eq!(span.tag("small"), Some(ValueView::Str(small.as_bytes())));
        assert_eq!(span.logs().count(), 3);
        let text = ValueView::Str(b"1 values cut to 4096 bytes, 0 oldest logs dropped");
        assert_eq!(span.tag("jaeger.trimmed"), Some(text));
    }

    #[test]
    fn the_oldest_logs_go_when_cutting_values_is_not_enough() {
        let bytes = with(&[("k", "v")], 1_000);
        let trimmed = to_fit(&SpanView::parse(&bytes).unwrap().0, 2_000).unwrap();
        let span = SpanView::parse(&trimmed).unwrap().0;
        let retained: Vec<_> = span.logs().map(|log| log.timestamp_micros).collect();
        assert!(trimmed.len() <= 2_000 && retained.len() > 50, "{} logs", retained.len());
        assert_eq!(retained.last(), Some(&999), "the newest stay");
    }

    /// Trims a span and returns the tag. The rest is as small as requested, and is read back.
    fn trimmed(bytes: &[u8], max_bytes: usize, look: impl FnOnce(SpanView<'_>)) -> String {
        let trimmed = to_fit(&SpanView::parse(bytes).unwrap().0, max_bytes).unwrap();
        assert!(trimmed.len() <= max_bytes, "{} of {max_bytes}", trimmed.len());
        let (span, taken) = SpanView::parse(&trimmed).unwrap();
        assert_eq!(taken, trimmed.len());
        look(span);
        let Some(ValueView::Str(mark)) = span.tag("jaeger.trimmed") else { panic!("no mark") };
        String::from_utf8(mark.to_vec()).unwrap()
    }

    #[test]
    fn a_long_name_and_long_keys_are_cut_and_nothing_else_is_lost() {
        let (name, key) = ("é".repeat(100_000), "k".repeat(100_000));
        let bytes = with(&[(&key, "v"), ("a", "b")], 3);
        let mut long = SpanView::parse(&bytes).unwrap().0;
        long.operation_name = name.as_bytes();
        let mut bytes = Vec::new();
        long.encode(&mut bytes);
        let mark = trimmed(&bytes, 60_000, |span| {
            assert_eq!(span.operation_name, &name.as_bytes()[..16_384]);
            assert_eq!(span.tag(&key[..16_384]), Some(ValueView::Str(b"v")));
            assert_eq!((span.tags().count(), span.logs().count()), (3, 3));
        });
        let wanted = "0 values cut to 16384 bytes, 0 oldest logs dropped, name cut, 1 keys cut";
        assert_eq!(mark, wanted);
    }

    #[test]
    fn many_tags_are_left_out_from_the_middle_and_small_lists_stay() {
        let keys: Vec<_> = (0..20_000).map(|n| format!("key-{n}")).collect();
        let tags: Vec<_> = keys.iter().map(|key| (key.as_str(), "v")).collect();
        let bytes = with(&tags, 3);
        let mark = trimmed(&bytes, 60_000, |span| {
            assert_eq!(span.logs().count(), 3);
            let retained = span.tags().count() - 1;
            assert!(retained > 3_000, "{retained}");
            assert!(span.tag("key-0").is_some() && span.tag("key-19999").is_some());
            assert!(span.tag("key-10000").is_none());
        });
        assert!(mark.ends_with("tags dropped") && !mark.contains("references"), "{mark}");
    }

    #[test]
    fn the_first_of_many_references_stay_beside_a_few_tags() {
        let mut references = Vec::new();
        for n in 1..=20_000 {
            let (trace, span) = (TraceId::new(1, n), SpanId::new(n));
            put_reference(&mut references, ReferenceView::new(true, trace, span));
        }
        let bytes = with(&[("k", "v")], 1);
        let mut many = SpanView::parse(&bytes).unwrap().0;
        many.references = Some(List::new(20_000, &references));
        let mut bytes = Vec::new();
        many.encode(&mut bytes);
        let mark = trimmed(&bytes, 60_000, |span| {
            assert_eq!((span.tags().count(), span.logs().count()), (2, 1));
            let first: Vec<_> =
                span.references().map(|reference| reference.span_id.get()).collect();
            assert!(first.len() > 2_000 && first.iter().copied().eq(1..=first.len() as u64));
        });
        assert!(mark.ends_with("references dropped"), "{mark}");
    }

    #[test]
    fn law_any_span_is_cut_to_any_size_that_has_room_for_its_ids_and_the_mark() {
        let mut dice = 7_u64;
        let mut below = |bound: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from((dice >> 33) % bound).unwrap()
        };
        for _ in 0..20 {
            let text = "aé🦀".repeat(5_000);
            let size = |below: &mut dyn FnMut(u64) -> usize| {
                let most = [3, 40, 300, 3_000][below(4)];
                text_within(text.as_bytes(), below(most)).to_vec()
            };
            let many = [0, 3, 30, 300];
            let (mut tags, mut logs, mut references) = (Vec::new(), Vec::new(), Vec::new());
            let counts = [(); 3].map(|()| many[below(4)]);
            for _ in 0..counts[0] {
                let (key, value) = (size(&mut below), size(&mut below));
                put_tag(&mut tags, TagView::new(&key, ValueView::Str(&value)));
            }
            for _ in 0..counts[1] {
                let (mut fields, count) = (Vec::new(), [1, 3, 90][below(3) * below(2)]);
                for _ in 0..count {
                    let value = size(&mut below);
                    put_tag(&mut fields, TagView::new(b"field", ValueView::Binary(&value)));
                }
                put_log(&mut logs, LogView::new(i64::MAX, List::new(count, &fields)));
            }
            for _ in 0..counts[2] {
                let (trace, span) = (TraceId::new(u64::MAX >> 1, 1 << 63), SpanId::new(1 << 63));
                put_reference(&mut references, ReferenceView::new(false, trace, span));
            }
            let name = size(&mut below);
            let span = SpanView {
                trace_id: TraceId::new(u64::MAX >> 1, 1 << 63),
                span_id: SpanId::new(1 << 63),
                parent_span_id: SpanId::new(1 << 62),
                operation_name: &name,
                flags: i32::MAX,
                start_time_micros: i64::MAX,
                duration_micros: i64::MAX,
                tags: Some(List::new(counts[0], &tags)),
                logs: Some(List::new(counts[1], &logs)),
                references: Some(List::new(counts[2], &references)),
            };
            let mut bytes = Vec::new();
            span.encode(&mut bytes);
            for max_bytes in [300, 301, 500, 1_000, 8_000, 64_000] {
                trimmed(&bytes, max_bytes, |view| {
                    let texts = view.tags().filter_map(|tag| match tag.value {
                        ValueView::Str(text) => Some(text),
                        _ => None,
                    });
                    let names = [view.operation_name].into_iter().chain(texts);
                    names.for_each(|text| assert!(str::from_utf8(text).is_ok()));
                });
            }
        }
    }

    #[test]
    fn a_span_for_which_there_is_no_room_at_all_is_given_up() {
        let span = SpanView { operation_name: b"name", ..SpanView::default() };
        assert_eq!(to_fit(&span, 20), None);
    }
}
