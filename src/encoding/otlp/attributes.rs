//! The attributes of OTLP: which tags become attributes, and with which values.
//!
//! Keys of attributes are unique in OTLP. Of several tags with one key the last one counts, as it
//! does where a server translates Thrift itself.

use std::borrow::Cow;
use std::ops::Range;

use crate::encoding::batch::ProcessView;
use crate::encoding::view::{TagView, ValueView, not_finite};

/// The tags of one or several lists, one after the other, and which of them become attributes.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    tags: Vec<Option<TagView<'a>>>,
    /// The start of the last list.
    start: usize,
    /// A filter of keys: a key whose bit is not set is new; any other is compared with the list.
    seen: [u64; 4],
    /// Used to sort the tags of a long list.
    places: Vec<usize>,
}

impl<'a> Attributes<'a> {
    /// Reuses the memory for other tags, with another lifetime.
    pub(super) fn recycle<'b>(self) -> Attributes<'b> {
        let Attributes { tags, start, seen, places } = self;
        Attributes { tags: recycle(tags), start, seen, places }
    }

    /// Removes all lists.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.tags.clear();
        self.start = 0;
        self.seen = [0; 4];
    }

    /// Removes the list that was not ended.
    #[inline(always)]
    pub(super) fn restart(&mut self) {
        self.tags.truncate(self.start);
        self.seen = [0; 4];
    }

    /// Adds the next tag; an earlier one with the same key is left out from now on. Returns the
    /// tag's index.
    #[inline(always)]
    pub(super) fn push(&mut self, tag: TagView<'a>) -> usize {
        let place = self.tags.len();
        if place - self.start < FEW {
            let hash = hash(tag.key);
            let (word, bit) = ((hash >> 62) as usize, 1 << (hash >> 56 & 63));
            if self.seen[word] & bit != 0 {
                self.leave_out_key(tag.key);
            }
            self.seen[word] |= bit;
        }
        self.tags.push(Some(tag));
        place
    }

    #[inline]
    pub(super) fn get(&self, place: usize) -> Option<ValueView<'a>> {
        self.tags.get(place)?.map(|tag| tag.value)
    }

    pub(super) fn leave_out(&mut self, place: usize) {
        if let Some(tag) = self.tags.get_mut(place) {
            *tag = None;
        }
    }

    /// Ends the list, and returns the indices of its tags.
    #[inline(always)]
    pub(super) fn end(&mut self) -> Range<usize> {
        if self.tags.len() - self.start > FEW {
            self.leave_out_repeated();
        }
        let list = self.start..self.tags.len();
        self.start = list.end;
        self.seen = [0; 4];
        list
    }

    /// Returns the tags of all lists that are not left out, in order.
    #[inline(always)]
    pub(super) fn all(&self) -> impl Iterator<Item = TagView<'a>> {
        self.tags.iter().flatten().copied()
    }

    /// Returns the tags of one list that are not left out.
    #[inline(always)]
    pub(super) fn of(&self, list: Range<usize>) -> impl Iterator<Item = TagView<'a>> {
        self.tags.get(list).unwrap_or_default().iter().flatten().copied()
    }

    #[cold]
    fn leave_out_key(&mut self, key: &[u8]) {
        let same = |tag: &&mut Option<TagView<'_>>| tag.is_some_and(|tag| tag.key == key);
        if let Some(tag) = self.tags[self.start..].iter_mut().find(same) {
            *tag = None;
        }
    }

    /// Finds duplicates among too many tags for comparing each with each: they are sorted.
    #[cold]
    fn leave_out_repeated(&mut self) {
        let Self { tags, places, .. } = self;
        let key = |place: usize| tags[place].map(|tag| tag.key);
        places.clear();
        places.extend((self.start..tags.len()).filter(|place| tags[*place].is_some()));
        places.sort_unstable_by(|a, b| key(*a).cmp(&key(*b)).then(a.cmp(b)));
        for at in 1..places.len() {
            let (earlier, later) = (places[at - 1], places[at]);
            if tags[earlier].map(|tag| tag.key) == tags[later].map(|tag| tag.key) {
                tags[earlier] = None;
            }
        }
    }
}

/// Reuses the memory of a vector for items with another lifetime.
///
/// Vectors are collected in place where items have the same layout; no item is converted.
pub(super) fn recycle<A, B>(mut items: Vec<A>) -> Vec<B> {
    items.clear();
    items.into_iter().filter_map(|_| None).collect()
}

/// The maximum number of tags that are compared each with each.
const FEW: usize = 64;

/// Hashes keys to 256 bits.
#[inline]
fn hash(key: &[u8]) -> u64 {
    let word = match key.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        None => key.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    (word ^ (key.len() as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Returns a text as a field of the type `string`: invalid UTF-8 is replaced.
#[inline]
pub(super) fn text(bytes: &[u8]) -> Cow<'_, [u8]> {
    if is_text(bytes) {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned(String::from_utf8_lossy(bytes).into_owned().into_bytes())
}

/// Returns whether bytes are UTF-8, with a fast path for short ASCII text.
#[inline]
pub(super) fn is_text(bytes: &[u8]) -> bool {
    const NOT_ASCII: u128 = 0x8080_8080_8080_8080_8080_8080_8080_8080;
    let len = bytes.len();
    let bits = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) if len <= 16 => {
            u128::from(u64::from_le_bytes(*first) | u64::from_le_bytes(*last))
        }
        (Some(_), Some(_)) => match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) if len <= 32 => {
                u128::from_le_bytes(*first) | u128::from_le_bytes(*last)
            }
            _ => NOT_ASCII,
        },
        _ => bytes.iter().fold(0, |bits, byte| bits | u128::from(*byte)),
    };
    bits & NOT_ASCII == 0 || std::str::from_utf8(bytes).is_ok()
}

/// Returns a value that OTLP may contain.
///
/// Text that is not UTF-8 becomes bytes, as in Jaeger's own sanitizer. Not-a-number becomes its
/// name: Jaeger stores the number, and responds with an error from then on where the trace is
/// requested.
#[inline]
pub(super) fn value(value: ValueView<'_>) -> ValueView<'_> {
    match value {
        ValueView::Str(text) if !is_text(text) => ValueView::Binary(text),
        ValueView::Double(double) if !double.is_finite() => {
            ValueView::Str(not_finite(double).as_bytes())
        }
        other => other,
    }
}

/// Visits the attributes of the resource of a process.
///
/// Two tags are renamed, as servers do when they translate Thrift; a tag that has such a name
/// already stays as it is, and the other one keeps its own name. A tag with the service's name
/// comes before the process's own name, if it is a valid name.
pub(super) fn of_process(process: &ProcessView<'_>, mut emit: impl FnMut(TagView<'_>)) {
    let mut attributes = Attributes::default();
    process.tags().for_each(|tag| {
        attributes.push(tag);
    });
    let list = attributes.end();
    let tags = || attributes.of(list.clone());
    let has = |key: &[u8]| tags().any(|tag| tag.key == key);
    let (has_host, has_version) = (has(HOST), has(EXPORTER_VERSION));
    let own_name = !tags().any(|tag| tag.key == SERVICE && is_name(tag.value));
    if own_name && !process.service_name.is_empty() {
        emit(TagView::new(SERVICE, ValueView::Str(process.service_name)));
    }
    for tag in tags() {
        match (tag.key, tag.value) {
            (SERVICE, _) if own_name => {}
            (b"hostname", value) if !has_host => emit(TagView::new(HOST, value)),
            (b"jaeger.version", ValueView::Str(version)) if !has_version => {
                let version = [b"Jaeger-", version].concat();
                emit(TagView::new(EXPORTER_VERSION, ValueView::Str(&version)));
            }
            _ => emit(tag),
        }
    }
    for (key, value) in SDK.iter().filter(|(key, _)| !has(key.as_bytes())) {
        emit(TagView::new(key.as_bytes(), ValueView::Str(value.as_bytes())));
    }
}

/// Returns whether servers can list a service under this value.
fn is_name(value: ValueView<'_>) -> bool {
    let ValueView::Str(text) = value else { return false };
    !text.is_empty() && str::from_utf8(text).is_ok_and(|text| !text.contains(char::is_control))
}

const SERVICE: &[u8] = b"service.name";
const HOST: &[u8] = b"host.name";
const EXPORTER_VERSION: &[u8] = b"opencensus.exporterversion";

/// The attributes of the SDK, by the semantic conventions of resources.
const SDK: [(&str, &str); 3] = [
    ("telemetry.sdk.name", super::NAME),
    ("telemetry.sdk.language", "rust"),
    ("telemetry.sdk.version", super::VERSION),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_tags_with_one_key_the_last_one_counts_however_many_there_are() {
        for (count, keys) in [(2, 1), (5, 2), (FEW, 7), (FEW + 1, 7), (1_000, 300), (20_000, 9)] {
            let keys: Vec<_> = (0..count).map(|n| format!("key-{}", n % keys)).collect();
            let mut attributes = Attributes::default();
            // Equal keys in an earlier list do not count.
            keys.iter().take(3).for_each(|key| {
                attributes.push(TagView::new(key.as_bytes(), ValueView::Bool(true)));
            });
            let before = attributes.end();
            let tags = attributes.of(before.clone()).count();
            for (place, key) in (0..).zip(&keys) {
                attributes.push(TagView::new(key.as_bytes(), ValueView::Long(place)));
            }
            let list = attributes.end();
            let left: Vec<_> = attributes.of(list).map(|tag| tag.value).collect();
            let last = (0..count).filter(|place| !keys[place + 1..].contains(&keys[*place]));
            let wanted: Vec<_> = last.map(|place| ValueView::Long(place as i64)).collect();
            assert_eq!(left, wanted);
            assert_eq!(attributes.of(before).count(), tags);
        }
    }

    #[test]
    fn keys_that_share_their_bit_are_distinguished() {
        let keys: Vec<_> = (0..FEW).map(|n| format!("{n:0>3}-of-a-long-key")).collect();
        let mut attributes = Attributes::default();
        keys.iter().for_each(|key| {
            attributes.push(TagView::new(key.as_bytes(), ValueView::Bool(true)));
        });
        let list = attributes.end();
        assert_eq!(attributes.of(list).count(), FEW);
    }

    #[test]
    fn memory_is_used_again() {
        let mut attributes = Attributes::default();
        for _ in 0..100 {
            attributes.push(TagView::new(b"k", ValueView::Bool(true)));
        }
        let at = attributes.tags.as_ptr().addr();
        let recycled: Attributes<'static> = attributes.recycle();
        assert_eq!((recycled.tags.as_ptr().addr(), recycled.tags.len()), (at, 0));
    }

    #[test]
    fn law_is_text_agrees_with_the_standard_library() {
        for len in 0..40 {
            let mut bytes = vec![b'a'; len];
            assert!(is_text(&bytes));
            for at in 0..len {
                bytes[at] = 0xff;
                assert!(!is_text(&bytes), "{len} bytes, wrong at {at}");
                bytes[at] = b'a';
            }
            assert!(is_text("é".repeat(len).as_bytes()));
        }
    }

    #[test]
    fn values_that_otlp_cannot_hold_have_another_kind() {
        assert_eq!(value(ValueView::Str(b"\xff")), ValueView::Binary(b"\xff"));
        assert_eq!(value(ValueView::Double(f64::NAN)), ValueView::Str(b"NaN"));
        assert_eq!(value(ValueView::Double(f64::INFINITY)), ValueView::Str(b"+Inf"));
        assert_eq!(value(ValueView::Double(f64::NEG_INFINITY)), ValueView::Str(b"-Inf"));
        assert_eq!(value(ValueView::Double(-0.0)), ValueView::Double(-0.0));
        assert_eq!(&*text(b"a\xffb"), "a\u{fffd}b".as_bytes());
    }
}
