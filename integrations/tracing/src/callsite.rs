//! What is known of a callsite, determined once: the meaning of its fields, and what is the same in each of
//! its spans or events, encoded.

use std::array;
use std::ptr;
use std::sync::OnceLock;

use jaeger_client::{EncodedFields, TagKey};
use tracing::Metadata;
use tracing::field::Field;

use crate::special::Special;

/// A place in the source that makes spans or events.
#[derive(Debug)]
pub(crate) struct Callsite {
    /// The address of its metadata, and in the lowest bit what it is used as.
    id: usize,
    /// The next one in its bucket.
    next: Bucket,
    /// Whether some fields have a meaning for a span.
    pub(crate) is_special: bool,
    /// Whether some fields have a meaning for the start of a span.
    pub(crate) is_for_start: bool,
    /// Whether a field may have its trace recorded.
    pub(crate) may_force: bool,
    /// The keys that the fields get in tags or logs, by their index.
    keys: Box<[TagKey]>,
    /// Whether it makes the events of the records of the crate `log`.
    pub(crate) is_of_log_crate: bool,
    /// The fields of a log before those of the event. It is empty for a span, as are the next two.
    pub(crate) log_head: EncodedFields,
    /// The level, which is behind the event's fields.
    pub(crate) level: EncodedFields,
    /// The level and the target.
    pub(crate) log_tail: EncodedFields,
}

/// A field of a record of the crate `log` that comes by an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OfLog {
    /// Where the record comes from.
    Target,
    /// The location, which is not asked for.
    Location,
}

/// What a callsite is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Span,
    Log,
}

impl OfLog {
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "log.target" => Some(Self::Target),
            "log.module_path" | "log.file" | "log.line" => Some(Self::Location),
            _ => None,
        }
    }
}

impl Callsite {
    /// Returns the callsite of a span.
    #[inline]
    pub(crate) fn of_span(metadata: &'static Metadata<'static>) -> &'static Self {
        Self::of(metadata, Use::Span)
    }

    /// Returns the callsite of what is logged, whatever its metadata says that it is.
    #[inline]
    pub(crate) fn of_log(metadata: &'static Metadata<'static>) -> &'static Self {
        Self::of(metadata, Use::Log)
    }

    #[inline(always)]
    fn of(metadata: &'static Metadata<'static>, used_as: Use) -> &'static Self {
        let address = ptr::from_ref(metadata).addr();
        // Metadata is aligned, so that the lowest bit of its address is free.
        let id = address | used_as as usize;
        let bucket = KNOWN.get(address / DISTANCE % BUCKETS).unwrap_or(&OVERFLOW);
        match bucket.get() {
            Some(first) if first.id == id => first,
            _ => Self::search(metadata, used_as, id, bucket),
        }
    }

    /// Searches a bucket, and adds the callsite to it if it is not there.
    #[cold]
    #[inline(never)]
    fn search(
        metadata: &'static Metadata<'static>,
        used_as: Use,
        id: usize,
        mut bucket: &'static Bucket,
    ) -> &'static Self {
        let mut new = None;
        loop {
            if let Some(known) = bucket.get() {
                if known.id == id {
                    return known;
                }
                bucket = &known.next;
            } else {
                // Allocated while no lock is held: an allocator may use tracing itself. If another thread
                // or the allocator adds one first, the loop goes on with that one.
                let make = || Box::new(Self::new(metadata, used_as, id));
                new = bucket.set(new.take().unwrap_or_else(make)).err();
            }
        }
    }

    fn new(metadata: &'static Metadata<'static>, used_as: Use, id: usize) -> Self {
        let names = || metadata.fields().iter().map(|field| field.name());
        let specials = || names().filter_map(Special::of);
        let has_event = names().any(|name| name == "event");
        let key = |name| {
            // Jaeger shows the field `event` of a log first.
            let is_message = name == "message" && used_as == Use::Log && !has_event;
            TagKey::new(if is_message { "event" } else { name })
        };
        let [mut log_head, mut level, mut log_tail] = array::from_fn(|_| EncodedFields::new());
        if used_as == Use::Log {
            if !has_event && !names().any(|name| name == "message") {
                log_head.push_named("event", metadata.name());
            }
            level.push_named("level", metadata.level().as_str());
            log_tail.extend(&level);
            log_tail.push_named("target", metadata.target());
        }
        Self {
            id,
            next: OnceLock::new(),
            is_special: specials().next().is_some(),
            is_for_start: specials().any(|it| matches!(it, Special::Name | Special::Kind)),
            may_force: names().any(|name| name == "sampling.priority"),
            keys: names().map(key).collect(),
            is_of_log_crate: metadata.target() == "log",
            log_head,
            level,
            log_tail,
        }
    }

    /// Returns the key that a field gets in a tag or log.
    #[inline]
    pub(crate) fn key(&self, field: &Field) -> Option<&TagKey> {
        self.keys.get(field.index())
    }
}

/// The callsites with the same remainder of their addresses, each linked to the next.
type Bucket = OnceLock<Box<Callsite>>;

/// All callsites so far, by their addresses. They are static, and so is what is known of them: nothing is removed,
/// and threads read without a lock.
static KNOWN: [Bucket; BUCKETS] = [const { OnceLock::new() }; BUCKETS];

/// For an index out of bounds, which there is not.
static OVERFLOW: Bucket = OnceLock::new();

/// More than most programs have callsites, so that few share a bucket.
const BUCKETS: usize = 1024;

/// Callsites lie at least so many bytes apart.
const DISTANCE: usize = 32;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use std::sync::Barrier;
    use std::thread;

    use tracing::field::FieldSet;
    use tracing::metadata::Kind;
    use tracing::subscriber::Interest;
    use tracing::{Level, callsite};

    use super::*;

    struct Source;

    impl callsite::Callsite for Source {
        fn set_interest(&self, _: Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            &SPANS[0]
        }
    }

    static SOURCE: Source = Source;

    const SPAN: Metadata<'static> = {
        let fields = FieldSet::new(&["user", "message"], callsite::Identifier(&SOURCE));
        Metadata::new("op", "test", Level::INFO, None, None, None, fields, Kind::SPAN)
    };

    /// Next to each other, as the compiler places those of a program.
    static SPANS: [Metadata<'static>; 250] = [SPAN; 250];

    /// Returns whether a callsite of spans is found at the first look, as [`Callsite::of`] inlines it.
    fn is_first(metadata: &'static Metadata<'static>) -> bool {
        let address = ptr::from_ref(metadata).addr();
        let bucket = &KNOWN[address / DISTANCE % BUCKETS];
        bucket.get().is_some_and(|first| first.id == address)
    }

    #[test]
    fn callsites_in_rotation_are_found_at_the_first_look() {
        let spans = &SPANS[..150];
        let of_all =
            || spans.iter().map(|it| ptr::from_ref(Callsite::of_span(it))).collect::<Vec<_>>();
        let first = of_all();
        // A few may share a bucket with those of other tests.
        let searched = spans.iter().filter(|it| !is_first(it)).count();
        assert!(searched <= 7, "{searched} are searched");
        assert_eq!(of_all(), first, "each is made once");
    }

    #[test]
    fn threads_that_come_to_new_callsites_at_once_get_the_same_ones() {
        let spans = &SPANS[150..];
        let barrier = Barrier::new(8);
        let found = thread::scope(|scope| {
            let of_all = || {
                barrier.wait();
                spans.iter().map(Callsite::of_span).collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(of_all)).collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>()
        });
        for (at, metadata) in spans.iter().enumerate() {
            let first = found[0][at];
            assert_eq!(first.id, ptr::from_ref(metadata).addr());
            assert!(found.iter().all(|all| ptr::eq(all[at], first)), "callsite {at}");
        }
    }
}
