//! What is known of a callsite, determined once: the meaning of its fields, and what is the same in each of
//! its spans or events, encoded.

use std::cell::Cell;
use std::collections::HashMap;
use std::ptr;
use std::sync::LazyLock;

use jaeger_client::{EncodedFields, TagKey};
use parking_lot::Mutex;
use tracing::Metadata;
use tracing::field::Field;

use crate::special::Special;

/// A place in the source that makes spans or events.
#[derive(Debug)]
pub(crate) struct Callsite {
    address: usize,
    /// Whether some fields have a meaning for a span.
    pub(crate) is_special: bool,
    /// Whether some fields have a meaning for the start of a span.
    pub(crate) is_for_start: bool,
    /// Whether a field may have its trace recorded.
    pub(crate) may_force: bool,
    /// The fields, by their index.
    fields: Box<[FieldKey]>,
    /// The fields of a log before those of the event.
    pub(crate) log_head: EncodedFields,
    /// The level, which is behind the event's fields.
    pub(crate) level: EncodedFields,
    /// The level and the target.
    pub(crate) log_tail: EncodedFields,
}

/// A field of a callsite.
#[derive(Debug)]
pub(crate) struct FieldKey {
    /// The name that the field gets in a tag or log.
    pub(crate) key: TagKey,
    /// What the field says of a record of the crate `log`, if it does.
    pub(crate) of_log: Option<OfLog>,
}

/// A field of a record of the crate `log` that comes by an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OfLog {
    /// Where the record comes from.
    Target,
    /// The location, which is not asked for.
    Location,
}

impl OfLog {
    fn of(name: &str) -> Option<Self> {
        match name {
            "log.target" => Some(Self::Target),
            "log.module_path" | "log.file" | "log.line" => Some(Self::Location),
            _ => None,
        }
    }
}

impl Callsite {
    /// Returns the callsite of a span or an event.
    #[inline]
    pub(crate) fn of(metadata: &'static Metadata<'static>) -> &'static Self {
        let address = ptr::from_ref(metadata).addr();
        let found = RECENT.try_with(|recent| {
            recent.get(address / LINE % RECENT_CALLSITES)?.get().filter(|it| it.address == address)
        });
        match found {
            Ok(Some(callsite)) => callsite,
            _ => Self::look_up(metadata, address),
        }
    }

    #[cold]
    #[inline(never)]
    fn look_up(metadata: &'static Metadata<'static>, address: usize) -> &'static Self {
        let mut known = KNOWN.lock();
        let new = || &*Box::leak(Box::new(Self::new(metadata, address)));
        let callsite = *known.entry(address).or_insert_with(new);
        drop(known);
        let _ = RECENT.try_with(|recent| {
            if let Some(slot) = recent.get(address / LINE % RECENT_CALLSITES) {
                slot.set(Some(callsite));
            }
        });
        callsite
    }

    fn new(metadata: &'static Metadata<'static>, address: usize) -> Self {
        let names = || metadata.fields().iter().map(|field| field.name());
        let specials = || names().filter_map(Special::of);
        let is_log = metadata.target() == "log";
        let has_event = names().any(|name| name == "event");
        let field = |name| FieldKey {
            // Jaeger shows the field `event` of a log first.
            key: TagKey::new(match name {
                "message" if metadata.is_event() && !has_event => "event",
                name => name,
            }),
            of_log: OfLog::of(name).filter(|_| is_log),
        };
        let [mut log_head, mut level] = [EncodedFields::new(), EncodedFields::new()];
        if !has_event && !names().any(|name| name == "message") {
            log_head.push_named("event", metadata.name());
        }
        level.push_named("level", metadata.level().as_str());
        let mut log_tail = EncodedFields::new();
        log_tail.extend(&level);
        log_tail.push_named("target", metadata.target());
        Self {
            address,
            is_special: specials().next().is_some(),
            is_for_start: specials().any(|it| matches!(it, Special::Name | Special::Kind)),
            may_force: names().any(|name| name == "sampling.priority"),
            fields: names().map(field).collect(),
            log_head,
            level,
            log_tail,
        }
    }

    /// Returns what is known of a field.
    #[inline]
    pub(crate) fn field(&self, field: &Field) -> Option<&FieldKey> {
        self.fields.get(field.index())
    }
}

/// All callsites so far. They are static, and so is what is known of them.
static KNOWN: LazyLock<Mutex<HashMap<usize, &'static Callsite>>> = LazyLock::new(Mutex::default);

/// Callsites lie at least so many bytes apart.
const LINE: usize = 32;
const RECENT_CALLSITES: usize = 64;

thread_local! {
    /// The callsites that a thread has come to last, by their address.
    static RECENT: [Cell<Option<&'static Callsite>>; RECENT_CALLSITES] =
        const { [const { Cell::new(None) }; RECENT_CALLSITES] };
}
