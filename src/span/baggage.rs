//! Baggage: the items that are propagated with a trace.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault};
use std::sync::Arc;

use foldhash::quality::RandomState;

use crate::id::IdHasher;

/// The baggage of a trace, in the order in which its items were first set.
///
/// Data that only W3C's headers carry is stored here too: a trace without any pays nothing for it,
/// and spans inherit it as they do baggage.
///
/// # Cost
///
/// Keys and values are in one piece of text, so that a copy takes a few allocations, however many
/// items there are. Setting an item compares it with all others while there are few, and uses an
/// index from then on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Baggage {
    /// The text of the items, one after the other; also of those that were replaced or removed
    /// since.
    text: String,
    /// The items; a removed one is empty.
    items: Vec<Option<Item>>,
    /// The number of items.
    len: usize,
    /// The length of all items in bytes.
    bytes: usize,
    /// If there are many items, their positions.
    index: Option<Index>,
    /// Other vendors' members of `tracestate`, never empty.
    pub(crate) tracestate: Option<Arc<str>>,
    /// Whether the caller has marked the trace id as random.
    pub(crate) random: bool,
}

/// An item of baggage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BaggageItem<'b> {
    pub(crate) key: &'b str,
    pub(crate) value: &'b str,
    /// The properties in W3C's header, which no other has a place for; unchanged, mostly empty.
    pub(crate) properties: &'b str,
}

impl BaggageItem<'_> {
    /// Returns the length that counts towards limits.
    pub(crate) fn bytes(self) -> usize {
        self.key.len() + self.value.len() + self.properties.len()
    }
}

/// The positions of items by the hashes of their keys; those of removed items stay. Of two keys with the
/// same hash it has the last one.
#[derive(Clone, Debug, Default)]
struct Index {
    /// Its seed is random, for each index, so that nobody can choose keys whose hashes of 64 bits are the same.
    hasher: RandomState,
    positions: HashMap<u64, usize, BuildHasherDefault<IdHasher>>,
    /// Whether two keys have the same hash all the same. From then on a key that is not found is compared
    /// with all items.
    has_collision: bool,
}

impl Index {
    /// Adds the position of an item that has none.
    fn add(&mut self, hash: u64, at: usize, items: &[Option<Item>]) {
        let before = self.positions.insert(hash, at);
        self.has_collision |= before.is_some_and(|at| items.get(at).is_some_and(Option::is_some));
    }
}

/// The position of an item's key, value and properties, one after the other.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// Differs for most keys, and is compared before them.
    mark: u32,
    start: usize,
    key_len: usize,
    value_len: usize,
    properties_len: usize,
}

impl Item {
    fn len(self) -> usize {
        self.key_len + self.value_len + self.properties_len
    }
}

impl Baggage {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.item(key).map(|item| item.value)
    }

    pub(crate) fn item(&self, key: &str) -> Option<BaggageItem<'_>> {
        let item = self.items.get(self.find(key)?)?.as_ref()?;
        Some(self.at(*item))
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = BaggageItem<'_>> {
        self.items.iter().flatten().map(|item| self.at(*item))
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the length of all items in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn has_items(&self) -> bool {
        self.len > 0
    }

    /// Returns whether there is nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0 && self.tracestate.is_none() && !self.random
    }

    /// Sets an item, even to an empty value, as extraction does. An existing one keeps its
    /// position.
    pub(crate) fn set(&mut self, given: BaggageItem<'_>) {
        self.set_within(given, usize::MAX, usize::MAX);
    }

    /// Sets an item unless there were then more items or bytes than given, and returns whether it did.
    pub(crate) fn set_within(
        &mut self,
        given: BaggageItem<'_>,
        max_items: usize,
        max_bytes: usize,
    ) -> bool {
        let (len, bytes) = (self.len + 1, self.bytes + given.bytes());
        let is_within = len <= max_items && bytes <= max_bytes;
        if let Some(index) = &mut self.index {
            // No item has the key if none has its hash.
            let hash = index.hasher.hash_one(given.key);
            if is_within && let Entry::Vacant(entry) = index.positions.entry(hash) {
                entry.insert(self.items.len());
                self.push(given, len, bytes);
                return true;
            }
        }
        if let Some(at) = self.find(given.key) {
            return self.replace(at, given, max_bytes);
        }
        if is_within {
            self.push(given, len, bytes);
            self.index_last();
        }
        is_within
    }

    /// Adds an item, with which there are so many and so many bytes.
    #[inline]
    fn push(&mut self, given: BaggageItem<'_>, len: usize, bytes: usize) {
        if self.items.len() == self.items.capacity() {
            self.items.reserve(much(self.items.len()).max(1));
        }
        let item = self.write(given);
        self.items.push(Some(item));
        (self.len, self.bytes) = (len, bytes);
    }

    /// Replaces an item, unless there were then more bytes than given.
    fn replace(&mut self, at: usize, given: BaggageItem<'_>, max_bytes: usize) -> bool {
        let before = self.items.get(at).copied().flatten().map_or(0, Item::len);
        let bytes = self.bytes - before + given.bytes();
        if bytes > max_bytes {
            return false;
        }
        let item = self.write(given);
        if let Some(slot) = self.items.get_mut(at) {
            *slot = Some(item);
            self.bytes = bytes;
        }
        self.compact();
        true
    }

    /// Appends the text of an item. Memory grows to four times as much as there is, so that many items take
    /// a few allocations, or by no more than twice where that is no longer little.
    #[inline]
    fn write(&mut self, given: BaggageItem<'_>) -> Item {
        let BaggageItem { key, value, properties } = given;
        let start = self.text.len();
        if self.text.capacity() - start < given.bytes() {
            self.text.reserve(given.bytes().max(much(start)));
        }
        self.text.push_str(key);
        self.text.push_str(value);
        if !properties.is_empty() {
            self.text.push_str(properties);
        }
        Item {
            mark: mark(key),
            start,
            key_len: key.len(),
            value_len: value.len(),
            properties_len: properties.len(),
        }
    }

    pub(crate) fn remove(&mut self, key: &str) {
        let found = self.find(key).and_then(|at| self.items.get_mut(at)).and_then(Option::take);
        let Some(item) = found else { return };
        self.len -= 1;
        self.bytes -= item.len();
        self.compact();
    }

    /// Returns a copy with the item set, or removed if `value` is empty; `None` if nothing is left.
    pub(crate) fn with(baggage: Option<&Arc<Self>>, key: &str, value: &str) -> Option<Arc<Self>> {
        let mut copy = baggage.map(Arc::clone);
        Self::change(&mut copy, key, value);
        copy
    }

    /// Sets the item, or removes it if `value` is empty, in baggage that may be shared: the others'
    /// copy does not change.
    pub(crate) fn change(baggage: &mut Option<Arc<Self>>, key: &str, value: &str) {
        if !value.is_empty() {
            let item = BaggageItem { key, value, properties: "" };
            Arc::make_mut(baggage.get_or_insert_default()).set(item);
        } else if let Some(some) = baggage.as_mut().filter(|some| some.get(key).is_some()) {
            let own = Arc::make_mut(some);
            own.remove(key);
            if own.is_empty() {
                *baggage = None;
            }
        }
    }

    fn at(&self, item: Item) -> BaggageItem<'_> {
        let value = item.start + item.key_len;
        let properties = value + item.value_len;
        let text = |from, to| self.text.get(from..to).unwrap_or_default();
        BaggageItem {
            key: text(item.start, value),
            value: text(value, properties),
            properties: text(properties, properties + item.properties_len),
        }
    }

    /// Returns the position of the item with a key.
    fn find(&self, key: &str) -> Option<usize> {
        let mark = mark(key);
        let is_of = |item: &Option<Item>| {
            item.is_some_and(|item| {
                item.mark == mark && item.key_len == key.len() && self.at(item).key == key
            })
        };
        match self.find_in_index(key, is_of) {
            Some(found) => found,
            None => self.items.iter().position(is_of),
        }
    }

    /// Looks a key up in the index. `None` if that does not tell, as there is no index, or keys collide.
    #[inline]
    fn find_in_index(
        &self,
        key: &str,
        is_of: impl Fn(&Option<Item>) -> bool,
    ) -> Option<Option<usize>> {
        let index = self.index.as_ref()?;
        let Some(at) = index.positions.get(&index.hasher.hash_one(key)) else {
            return Some(None);
        };
        if self.items.get(*at).is_some_and(is_of) {
            return Some(Some(*at));
        }
        // The hash is that of an item that was removed, or of another key.
        if index.has_collision { None } else { Some(None) }
    }

    /// Adds the last item to the index, which is made when there are many.
    fn index_last(&mut self) {
        if let (Some(index), Some(Some(item))) = (&mut self.index, self.items.last()) {
            let key = self.text.get(item.start..item.start + item.key_len).unwrap_or_default();
            index.add(index.hasher.hash_one(key), self.items.len() - 1, &self.items);
        } else if self.items.len() > MAX_SCANNED {
            self.make_index();
        }
    }

    fn make_index(&mut self) {
        let mut index = Index::default();
        // There is room for all items that are read from a carrier.
        index.positions.reserve(self.items.len().max(INDEX_ROOM));
        for (at, item) in self.items.iter().enumerate() {
            if let Some(item) = item {
                index.add(index.hasher.hash_one(self.at(*item).key), at, &self.items);
            }
        }
        self.index = Some(index);
    }

    /// Frees the text of replaced and removed items, if it is most of it.
    #[inline]
    fn compact(&mut self) {
        let wasted = self.text.len() - self.bytes;
        let empty = self.items.len() - self.len;
        if wasted > self.bytes.max(MIN_WASTED_BYTES) || empty > self.len.max(MAX_SCANNED) {
            self.rebuild();
        }
    }

    #[cold]
    fn rebuild(&mut self) {
        let mut text = String::with_capacity(self.bytes);
        for item in self.items.iter_mut().flatten() {
            let start = text.len();
            text.push_str(self.text.get(item.start..item.start + item.len()).unwrap_or_default());
            item.start = start;
        }
        self.text = text;
        self.items.retain(Option::is_some);
        self.index = None;
        if self.items.len() > MAX_SCANNED {
            self.make_index();
        }
    }
}

/// Returns how much is reserved for more where there is so much.
fn much(len: usize) -> usize {
    (3 * len).min(MAX_SPARE)
}

/// Returns a number that differs for most keys: of their ends, as many begin or end alike.
#[inline]
fn mark(key: &str) -> u32 {
    let key = key.as_bytes();
    match (key.first_chunk(), key.last_chunk()) {
        (Some(first), Some(last)) => {
            u32::from_le_bytes(*first).rotate_left(7) ^ u32::from_le_bytes(*last)
        }
        _ => key.iter().fold(0, |mark, byte| (mark << 8) | u32::from(*byte)),
    }
}

/// The number of items from which on there is an index.
const MAX_SCANNED: usize = 24;

/// The number of items for which an index has room from the start: as many as its table of 256 places takes.
const INDEX_ROOM: usize = 224;

/// The most that is reserved beyond what is needed, in items or bytes; memory doubles from then on.
const MAX_SPARE: usize = 4_096;

/// The minimum that is freed.
const MIN_WASTED_BYTES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns an item with properties as long as its value.
    fn item<'b>(key: &'b str, value: &'b str) -> BaggageItem<'b> {
        BaggageItem { key, value, properties: value }
    }

    #[test]
    fn a_copy_takes_a_few_allocations_however_many_items_there_are() {
        let mut baggage = None;
        (0..64).for_each(|n| Baggage::change(&mut baggage, &format!("key {n}"), "some value"));
        let shared = baggage.clone();
        let info = allocation_counter::measure(|| Baggage::change(&mut baggage, "one", "more"));
        assert!(info.count_total <= 10, "{info:?}");
        assert_eq!(shared.map(|before| before.len()), Some(64), "others keep what they have");
        let info = allocation_counter::measure(|| Baggage::change(&mut baggage, "key 7", "other"));
        assert!(info.count_total <= 2, "nobody else has it now: {info:?}");
    }

    #[test]
    fn what_is_replaced_or_removed_takes_no_memory_for_ever() {
        let mut baggage = Baggage::default();
        let value = "v".repeat(100);
        for n in 0..10_000 {
            baggage.set(item("same", &value));
            baggage.set(item(&n.to_string(), &value));
            baggage.remove(&n.to_string());
        }
        assert_eq!((baggage.len(), baggage.bytes()), (1, 204));
        assert!(baggage.text.len() < 4 * MIN_WASTED_BYTES, "{}", baggage.text.len());
        assert!(baggage.items.len() <= 2 * MAX_SCANNED, "{}", baggage.items.len());
    }

    #[test]
    fn an_item_that_was_removed_is_not_looked_for_among_all_others() {
        let mut baggage = Baggage::default();
        let keys: Vec<_> = (0..1_000).map(|n| format!("key {n}")).collect();
        keys.iter().for_each(|key| baggage.set(item(key, "v")));
        for key in keys.iter().step_by(3) {
            baggage.remove(key);
            let found = baggage.find_in_index(key, |_| false);
            assert_eq!(found, Some(None), "{key}");
            assert_eq!(baggage.get(key), None);
        }
        keys.iter().step_by(3).for_each(|key| baggage.set(item(key, "again")));
        assert_eq!(baggage.len(), 1_000);
        let again = keys.iter().filter(|key| baggage.get(key) == Some("again"));
        assert_eq!(again.count(), 334);
        assert!(baggage.index.is_some_and(|index| !index.has_collision));
    }

    #[test]
    fn keys_with_the_same_hash_are_distinguished() {
        let mut baggage = Baggage::default();
        (0..100).for_each(|n| baggage.set(item(&format!("key {n}"), &n.to_string())));
        let mut index = baggage.index.take().unwrap();
        let hash = index.hasher.hash_one("key 7");
        index.add(hash, 50, &baggage.items);
        assert!(index.has_collision);
        baggage.index = Some(index);
        assert_eq!(baggage.get("key 7"), Some("7"));
        baggage.set(item("key 7", "other"));
        baggage.remove("key 50");
        assert_eq!((baggage.get("key 7"), baggage.get("key 50")), (Some("other"), None));
        assert_eq!(baggage.len(), 99);
    }

    proptest! {
        #[test]
        fn law_it_is_a_map_that_keeps_the_order_of_its_keys(
            steps in prop::collection::vec((0..90_u8, prop::option::of("\\PC{0,9}")), 0..300),
        ) {
            let mut baggage = Baggage::default();
            let mut model = Vec::<(String, String)>::new();
            for (key, value) in steps {
                let key = format!("é{key}");
                match value {
                    None => {
                        baggage.remove(&key);
                        model.retain(|(known, _)| *known != key);
                    }
                    Some(value) => {
                        baggage.set(item(&key, &value));
                        match model.iter_mut().find(|(known, _)| *known == key) {
                            Some((_, before)) => *before = value,
                            None => model.push((key, value)),
                        }
                    }
                }
            }
            let expected: Vec<_> = model.iter().map(|(key, value)| item(key, value)).collect();
            prop_assert_eq!(baggage.items().collect::<Vec<_>>(), expected);
            prop_assert_eq!(baggage.len(), model.len());
            let bytes: usize = baggage.items().map(BaggageItem::bytes).sum();
            prop_assert_eq!(baggage.bytes(), bytes);
            for (key, value) in &model {
                prop_assert_eq!(baggage.get(key), Some(value.as_str()));
            }
            prop_assert_eq!(baggage.get("none"), None);
        }
    }
}
