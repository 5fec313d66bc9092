//! Tags on their way from a sampler to a span.

use std::cell::Cell;

use crate::encoding::{ShortTags, TagBuffer, ValueView};

/// The tags that a sampler has set on a span, until the decision is known: only a sampled span has
/// a record to write them to.
#[derive(Debug, Default)]
pub(crate) struct SpanTags {
    /// The first tags, if they were encoded beforehand.
    short: Option<ShortTags>,
    /// All other tags.
    more: Option<TagBuffer>,
    count: usize,
}

thread_local! {
    /// A buffer that is reused for the tags of samplers that encode none beforehand.
    static SPARE: Cell<Option<TagBuffer>> = const { Cell::new(None) };
}

impl SpanTags {
    #[inline]
    pub(super) fn extend_short(&mut self, tags: &ShortTags, count: usize) {
        if self.count > 0 {
            return self.extend(tags.bytes(), count);
        }
        self.short = Some(*tags);
        self.count = count;
    }

    pub(super) fn extend(&mut self, tags: &[u8], count: usize) {
        self.more().extend(tags);
        self.count += count;
    }

    pub(super) fn set(&mut self, key: &str, value: &str) {
        self.more().tag(key.as_bytes(), ValueView::Str(value.as_bytes()));
        self.count += 1;
    }

    fn more(&mut self) -> &mut TagBuffer {
        self.more.get_or_insert_with(|| {
            let mut spare = SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default();
            spare.clear();
            spare
        })
    }

    /// Appends the tags to a span's tags and returns how many there are.
    #[inline(always)]
    pub(crate) fn append_to(&mut self, tags: &mut TagBuffer) -> usize {
        if let Some(short) = &self.short {
            tags.extend_short(short);
        }
        if self.more.is_some() {
            self.append_more(tags);
        }
        self.count
    }

    #[cold]
    #[inline(never)]
    fn append_more(&mut self, tags: &mut TagBuffer) {
        if let Some(more) = self.more.take() {
            tags.extend(more.bytes());
            let _ = SPARE.try_with(|spare| spare.set(Some(more)));
        }
    }
}
