//! Writing a short span, as most are: through a window of fixed size, so that there is one check of the room.

use super::elements::OVERHANG;
use super::ids::{ALL_FIELDS, IdFields};
use super::key::Key;
use super::lists::SpanLists;
use super::tag_buffer::{SHORT_LIST, TagBuffer};
use super::timestamp::Timestamp;
use super::{ReferenceKind, SpanDraft, SpanParts};
use crate::encoding::MAX_FIXED_BYTES;
use crate::encoding::writer::{FIELD, FixedWindow, SHORT, STOP};

/// The memory that a short span is written into, which is longer than any of them.
pub(crate) type ShortRoom = [u8; MAX_FIXED_BYTES];

impl SpanParts<'_> {
    /// Returns whether the span is short: it has a short name, few tags and logs, at most the reference to its
    /// parent, and usual flags and times.
    #[inline(always)]
    pub(crate) fn is_short(self) -> bool {
        self.draft.has_short_lists()
            && self.ids.encoded().is_some()
            && self.flags < 0x40
            && Timestamp::is_usual(self.start_nanos)
    }

    /// Writes the span, which must be [short](Self::is_short), at the start of `room`, and returns its length.
    /// What is behind its end is overwritten. There is no way back to the general writer from here, for which
    /// the parts of the span would have to be kept. What cannot happen leaves the rest out.
    #[inline(always)]
    pub(crate) fn write_short(self, room: &mut ShortRoom) -> usize {
        let Self { flags, draft, .. } = self;
        let Some(ids) = self.ids.encoded() else { return 0 };
        let Some(mut to) = FixedWindow::<ALL_FIELDS>::at(room, 0) else { return 0 };
        ids.write(&mut to);
        let mut at = to.at;
        at += write_name(room, at, draft.name.as_bytes());
        at += write_references(room, at, draft.parent, ids);

        let Some(mut to) = FixedWindow::<TIMES>::at(room, at) else { return at };
        // The fourth byte is the first one of the start.
        to.first_of(&[0x15, flags << 1, FIELD, 0], 3);
        to.array(Timestamp::eight_bytes(self.start_nanos));
        to.byte(FIELD);
        to.number(self.duration_micros() << 1);
        to.short_list_head(draft.tag_count());
        at += to.at;
        let Some(lists) = draft.rare_lists() else {
            at += copy_list(room, at, &draft.tags);
            return at + put_no_logs(room, at);
        };
        at += copy_list(room, at, &lists.first_tags);
        at += copy_list(room, at, &draft.tags);
        if lists.log_count == 0 {
            return at + put_no_logs(room, at);
        }
        at += put(room, at, [0x19, log_list_head(lists.log_count)]);
        at += copy_list(room, at, &lists.logs);
        at + put(room, at, [STOP])
    }
}

/// Writes the list of logs and the end of a span without logs, and returns their length.
#[inline(always)]
fn put_no_logs(room: &mut ShortRoom, at: usize) -> usize {
    put(room, at, [0x19, 0x0c, STOP, 0]) - 1
}

/// Returns the header of a list of fewer than 15 logs.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "below 15")]
fn log_list_head(count: usize) -> u8 {
    ((count as u8) << 4) | 12
}

/// Writes bytes at an offset, and returns how many there are.
#[inline(always)]
fn put<const N: usize>(room: &mut ShortRoom, at: usize, bytes: [u8; N]) -> usize {
    if let Some(to) = room.get_mut(at..at + N) {
        to.copy_from_slice(&bytes);
    }
    N
}

/// Writes a name of at most [`SHORT`] bytes, and returns the length with its header. The mask gives the compiler a
/// limit.
#[inline(always)]
fn write_name(room: &mut ShortRoom, at: usize, name: &[u8]) -> usize {
    let name = name.get(..name.len() & (2 * SHORT - 1)).unwrap_or_default();
    let Some(mut to) = FixedWindow::<MAX_NAME>::at(room, at) else { return 0 };
    name.write_short(&mut to);
    to.at
}

/// Writes the list of references, and returns its length.
#[inline(always)]
fn write_references(
    room: &mut ShortRoom,
    at: usize,
    parent: Option<ReferenceKind>,
    ids: &IdFields,
) -> usize {
    let Some(kind) = parent else { return put(room, at, [0x19, 0x0c]) };
    let Some(mut to) = FixedWindow::<REFERENCE>::at(room, at) else { return 0 };
    to.array([0x19, 0x1c, 0x15, u8::from(kind.is_follows_from()) << 1]);
    ids.write_trace(&mut to);
    ids.write_parent(&mut to);
    to.byte(STOP);
    to.at
}

/// Copies a list of less than [`SHORT_LIST`] bytes by moves of fixed size, some beyond its end, and returns its length.
/// The mask gives the compiler a limit.
#[inline(always)]
fn copy_list(room: &mut ShortRoom, at: usize, list: &TagBuffer) -> usize {
    let to = room.get_mut(at..at + SHORT_LIST).and_then(<[u8]>::first_chunk_mut::<SHORT_LIST>);
    if let (Some(from), Some(to)) = (list.short_list(), to) {
        to[..HALF].copy_from_slice(&from[..HALF]);
        if list.len() > HALF {
            to[HALF..].copy_from_slice(&from[HALF..]);
        }
    }
    list.len() & (SHORT_LIST - 1)
}

impl SpanDraft {
    /// Returns the lists that few spans have.
    #[inline(always)]
    fn rare_lists(&self) -> Option<&SpanLists> {
        if self.has_rare_fields { self.lists.as_deref() } else { None }
    }

    /// Returns whether the name is short and the lists are, all tags together, and there is no list of references. A
    /// long name is a rare field.
    #[inline(always)]
    fn has_short_lists(&self) -> bool {
        self.tags.len() < SHORT_LIST
            && self.tag_count < 15
            && (!self.has_rare_fields || self.are_rare_fields_short())
    }

    #[inline(always)]
    fn are_rare_fields_short(&self) -> bool {
        let are_short = |lists: &SpanLists| {
            lists.reference_count == 0
                && lists.first_tags.len() + self.tags.len() < SHORT_LIST
                && lists.log_count < 15
                && lists.logs.len() < SHORT_LIST
        };
        self.name.len() <= SHORT && self.lists.as_deref().is_none_or(are_short)
    }
}

/// The size of one of the two moves that copy a list.
const HALF: usize = SHORT_LIST / 2;

/// The size of a name with its header, which is longer than that of a short one.
const MAX_NAME: usize = 2 + 2 * SHORT;

/// The size of the list with the reference to the parent, and of what its moves have beyond it.
const REFERENCE: usize = 4 + 31 + OVERHANG + 1;

/// The size of the fields between the references and the tags.
const TIMES: usize = 2 + 1 + 8 + 1 + 10 + 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Ids;
    use crate::id::{SpanId, TraceId};

    const START: i64 = 1_700_000_000_000_000_000;

    /// Checks a span against the general writer. Returns whether it is short.
    fn check(ids: &Ids, draft: &SpanDraft, flags: u8, times: (i64, u64)) -> bool {
        let span = SpanParts::new(ids, flags, times, draft);
        if span.is_short() {
            let (mut general, mut short) = (vec![0; 4096], [0xaa; MAX_FIXED_BYTES]);
            let len = span.write(&mut general);
            assert_eq!(span.write_short(&mut short), len, "{span:?}");
            assert_eq!(short[..len], general[..len], "{span:?}");
        }
        span.is_short()
    }

    /// Returns encoded tags of that many bytes, at least 15.
    fn tags(to: &mut TagBuffer, bytes: usize) {
        to.tag_text(b"key", "v".repeat(bytes - 10).as_bytes());
        assert_eq!(to.len(), bytes);
    }

    fn ids(trace: TraceId, span: u64, parent: u64) -> Ids {
        let mut ids = Ids::default();
        ids.set(trace, SpanId::new(span), SpanId::new(parent));
        ids.encode();
        ids
    }

    fn named(name: &str) -> SpanDraft {
        let mut draft = SpanDraft::default();
        draft.set_first_name(name.to_owned().into());
        draft
    }

    #[test]
    fn a_short_span_has_the_bytes_of_the_general_writer_up_to_each_limit() {
        let widest = ids(TraceId::new(u64::MAX >> 1, u64::MAX >> 1), u64::MAX >> 1, u64::MAX >> 1);
        for len in 0..=SHORT + 1 {
            let draft = named(&"n".repeat(len));
            assert_eq!(check(&widest, &draft, 1, (START, 7)), len <= SHORT, "{len}");
        }
        for parent in [None, Some(ReferenceKind::ChildOf), Some(ReferenceKind::FollowsFrom)] {
            for (first, rest, logs) in
                [(0, 127, 127), (20, 107, 127), (107, 20, 15), (0, 0, 0), (0, 64, 65), (0, 65, 64)]
            {
                let mut draft = named(&"n".repeat(SHORT));
                draft.parent = parent;
                if first > 0 {
                    tags(draft.sampler_tags(1), first);
                    draft.add_tags(1);
                }
                if rest > 0 {
                    tags(&mut draft.tags, rest);
                    draft.add_tags(1);
                }
                if logs > 0 {
                    tags(&mut draft.lists_mut().logs, logs);
                    draft.lists_mut().log_count = 14;
                    draft.has_rare_fields = true;
                }
                assert!(check(&widest, &draft, 0x3f, (START, u64::MAX)), "{first} {rest} {logs}");
            }
        }
    }

    #[test]
    fn a_span_beyond_a_limit_is_not_short() {
        let root = ids(TraceId::new(0, 5), 5, 0);
        let (plain, times) = (named("op"), (START, 64_000));
        assert!(check(&root, &plain, 1, times));
        assert!(!check(&root, &plain, 0x40, times));
        assert!(!check(&Ids::default(), &plain, 1, times));
        let earliest = (1 << 48) * 1000;
        assert!(check(&root, &plain, 1, (earliest, 0)));
        assert!(check(&root, &plain, 1, (i64::MAX, 0)));
        assert!(!check(&root, &plain, 1, (earliest - 1, 0)));
        assert!(!check(&root, &plain, 1, (-1, 0)));
        let mut large = named("op");
        tags(&mut large.tags, 128);
        assert!(!check(&root, &large, 1, times));
        let mut many = named("op");
        many.add_tags(15);
        assert!(!check(&root, &many, 1, times));
        let mut both = named("op");
        tags(&mut both.tags, 64);
        tags(both.sampler_tags(1), 64);
        assert!(!check(&root, &both, 1, times));
        let mut logged = named("op");
        tags(&mut logged.lists_mut().logs, 128);
        logged.has_rare_fields = true;
        assert!(!check(&root, &logged, 1, times));
        logged.lists_mut().logs.clear();
        logged.lists_mut().log_count = 15;
        assert!(!check(&root, &logged, 1, times));
    }

    #[test]
    fn each_duration_has_the_bytes_of_the_general_writer() {
        let (root, draft) = (ids(TraceId::new(0, 1 << 62), 1 << 62, 0), named("op"));
        for bit in 0..64 {
            for duration in [(1_u64 << bit) - 1, 1 << bit] {
                assert!(check(&root, &draft, 1, (START, duration)));
            }
        }
    }
}
