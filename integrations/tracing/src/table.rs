//! The layer's data of each span, by its number in the registry.
//!
//! The table is here and not in the registry's extensions: those allocate for every span, and have
//! a lock that other layers hold while they call user callbacks.

#![expect(clippy::vec_box, reason = "a slot goes to the table and back to the pool as it lies")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;

use jaeger_client::{Span, SpanContext};
use parking_lot::{Mutex, MutexGuard};

use crate::fields::Fields;
use crate::special::Status;

/// A span of tracing.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) state: State,
    /// The span, once it has begun.
    pub(crate) span: Option<Span>,
    /// The data for the start. It stays for the first span of an unsampled trace, which may yet
    /// become part of a sampled one.
    pub(crate) pending: Option<Box<Pending>>,
    pub(crate) status: Option<Status>,
    pub(crate) status_message: Option<Box<str>>,
    /// In nanoseconds since the Unix epoch, where it is asked for.
    pub(crate) last_exit: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// The tracer does not know of it yet.
    #[default]
    Pending,
    /// A thread is about to start it.
    Starting,
    /// The span has begun.
    Live,
}

thread_local! {
    /// The thread's free entries, so that in steady state nothing is allocated.
    static SLOTS: RefCell<Vec<Box<Slot>>> = const { RefCell::new(Vec::new()) };
}

impl Slot {
    #[inline]
    pub(crate) fn take() -> Box<Self> {
        SLOTS.try_with(|slots| slots.borrow_mut().pop()).ok().flatten().unwrap_or_default()
    }

    /// Returns an entry to the thread's free ones, once its span is gone.
    #[inline]
    pub(crate) fn give_back(mut self: Box<Self>) {
        self.state = State::Pending;
        self.status = None;
        self.status_message = None;
        self.last_exit = None;
        let _ = SLOTS.try_with(|slots| {
            let mut slots = slots.borrow_mut();
            if slots.len() < MAX_POOLED {
                slots.push(self);
            }
        });
    }
}

/// The data for the start of a span.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) name: &'static str,
    /// In nanoseconds since the Unix epoch; now, if it is none.
    pub(crate) start: Option<i64>,
    pub(crate) parent: Option<SpanContext>,
    pub(crate) follows_from: Vec<SpanContext>,
    /// As `otel.name` and the kind have it.
    pub(crate) other_name: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) fields: Fields,
}

thread_local! {
    /// The thread's free entries, so that in steady state nothing is allocated.
    static POOL: RefCell<Vec<Box<Pending>>> = const { RefCell::new(Vec::new()) };
}

impl Pending {
    pub(crate) fn take() -> Box<Self> {
        POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten().unwrap_or_default()
    }

    pub(crate) fn give_back(mut self: Box<Self>) {
        self.parent = None;
        self.follows_from.clear();
        self.other_name = None;
        self.kind = None;
        self.fields.clear();
        if !self.fields.is_small() {
            return;
        }
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < MAX_POOLED {
                pool.push(self);
            }
        });
    }
}

const MAX_POOLED: usize = 32;

/// The spans of a layer.
#[derive(Debug)]
pub(crate) struct Table {
    shards: Vec<Mutex<Shard>>,
}

type Shard = HashMap<u64, Box<Slot>, BuildHasherDefault<IdHasher>>;

impl Default for Table {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

/// A power of two.
const SHARDS: u64 = 16;

impl Table {
    /// Locks the part of the table that a span is in. No code of users may be called meanwhile.
    #[inline]
    pub(crate) fn shard(&self, id: u64) -> MutexGuard<'_, Shard> {
        let at = spread(id) >> 60;
        let shard = usize::try_from(at % SHARDS).ok().and_then(|at| self.shards.get(at));
        // There are as many as the number can be.
        shard.unwrap_or(&self.shards[0]).lock()
    }

    pub(crate) fn pending(&self) -> u64 {
        let count = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard.values().filter(|slot| slot.state == State::Pending).count() as u64
        };
        self.shards.iter().map(count).sum()
    }

    /// All that is left.
    pub(crate) fn take_all(&self) -> Vec<Box<Slot>> {
        let take = |shard: &Mutex<Shard>| mem::take(&mut *shard.lock()).into_values();
        self.shards.iter().flat_map(take).collect()
    }
}

/// A registry's numbers differ in their lowest bits, and a map looks at the highest too.
#[inline]
const fn spread(id: u64) -> u64 {
    id.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Hashes the number of a span, and nothing else.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = spread(self.0 ^ u64::from(*byte)));
    }

    #[inline]
    fn write_u64(&mut self, id: u64) {
        self.0 = spread(id).rotate_left(32);
    }
}
