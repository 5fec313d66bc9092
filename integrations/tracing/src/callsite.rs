//! The meaning of the fields of a callsite, determined once.

use std::cell::Cell;
use std::ptr;

use tracing::Metadata;

use crate::special::Special;

/// The kinds of fields that a callsite has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Names {
    /// Whether some fields have a meaning for a span.
    pub(crate) special: bool,
    /// Whether some fields have a meaning for the start of a span.
    pub(crate) for_start: bool,
    /// An event has a message.
    pub(crate) message: bool,
    /// A field has the name that the message of a log has.
    pub(crate) event: bool,
    /// Records of the crate `log` come by it.
    pub(crate) log: bool,
}

impl Names {
    #[inline]
    pub(crate) fn of(metadata: &'static Metadata<'static>) -> Self {
        let address = ptr::from_ref(metadata).addr();
        let found = RECENT.try_with(|recent| {
            let slot = recent.get(address / LINE % RECENT_CALLSITES)?;
            Some(slot.get()).filter(|(known, _)| *known == address)
        });
        match found {
            Ok(Some((_, names))) => names,
            _ => Self::note(metadata, address),
        }
    }

    #[cold]
    #[inline(never)]
    fn note(metadata: &'static Metadata<'static>, address: usize) -> Self {
        let mut names = Self { log: metadata.target() == "log", ..Self::default() };
        for field in metadata.fields() {
            let special = Special::of(field.name());
            names.special |= special.is_some();
            names.for_start |= matches!(special, Some(Special::Name | Special::Kind));
            names.message |= field.name() == "message";
            names.event |= field.name() == "event";
        }
        let _ = RECENT.try_with(|recent| {
            if let Some(slot) = recent.get(address / LINE % RECENT_CALLSITES) {
                slot.set((address, names));
            }
        });
        names
    }
}

/// Callsites are static, and lie at least so many bytes apart.
const LINE: usize = 32;
const RECENT_CALLSITES: usize = 64;

thread_local! {
    /// The callsites that a thread has come to last, by their address.
    static RECENT: [Cell<(usize, Names)>; RECENT_CALLSITES] =
        const { [const { Cell::new((0, NONE)) }; RECENT_CALLSITES] };
}

const NONE: Names =
    Names { special: false, for_start: false, message: false, event: false, log: false };
