//! The header `baggage`: items of the trace with percent-encoded values.

use crate::propagation::carrier::is_token;
use crate::propagation::limits::{BoundedBaggage, MAX_BYTES};
use crate::propagation::percent::{self, Decoding, decode_into, push_encoded};
use crate::span::BaggageItem;

/// The maximum number of items, by W3C.
const MAX_MEMBERS: usize = 64;

/// Returns the header's value, and how many items are left out: for want of room, or because their
/// key is not a token, which is never encoded.
pub(super) fn write<'b>(items: impl Iterator<Item = BaggageItem<'b>>) -> (String, usize) {
    let (mut text, mut members, mut dropped) = (String::new(), 0, 0);
    for BaggageItem { key, value, properties } in items {
        let before = text.len();
        if before > 0 {
            text.push(',');
        }
        text.push_str(key);
        text.push('=');
        push_encoded(&mut text, value, stays);
        if !properties.is_empty() {
            text.push(';');
            text.push_str(properties);
        }
        if is_token(key) && members < MAX_MEMBERS && text.len() <= MAX_BYTES {
            members += 1;
        } else {
            text.truncate(before);
            dropped += 1;
        }
    }
    (text, dropped)
}

/// Collects items from all headers with the name.
#[derive(Debug, Default)]
pub(super) struct Reader {
    baggage: BoundedBaggage,
    members: usize,
    /// The memory that values are decoded in.
    scratch: Vec<u8>,
}

impl Reader {
    pub(super) fn take(&mut self, header: &[u8]) {
        for member in header.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if member.is_empty() {
                continue;
            }
            self.members += 1;
            match item(member).filter(|_| self.members <= MAX_MEMBERS) {
                Some((key, value, properties)) => {
                    let value = decode_into(value, Decoding::Lenient, &mut self.scratch);
                    let value = &percent::text(value.unwrap_or_default());
                    self.baggage.put(BaggageItem { key, value, properties });
                }
                None => self.baggage.dropped += 1,
            }
        }
    }

    pub(super) fn into_bounded(self) -> BoundedBaggage {
        self.baggage
    }
}

/// Returns key, encoded value and properties of a member. Properties are forwarded as they are,
/// unless they are not valid in an ASCII header.
fn item(member: &[u8]) -> Option<(&str, &[u8], &str)> {
    let mut parts = member.splitn(2, |byte| *byte == b';');
    let (member, properties) = (parts.next()?, parts.next().unwrap_or_default().trim_ascii());
    let at = member.iter().position(|byte| *byte == b'=')?;
    let key = str::from_utf8(member[..at].trim_ascii_end()).ok()?;
    let plain = |text: &&str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let properties = str::from_utf8(properties).ok().filter(plain).unwrap_or_default();
    is_token(key).then_some((key, member[at + 1..].trim_ascii(), properties))
}

/// Returns whether W3C allows a byte in a value; the percent sign is encoded as well.
fn stays(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written<'b>(pairs: impl IntoIterator<Item = (&'b str, &'b str)>) -> (String, usize) {
        let item = |(key, value)| BaggageItem { key, value, properties: "" };
        write(pairs.into_iter().map(item))
    }

    fn taken(headers: &[&[u8]]) -> (Vec<(String, String)>, usize) {
        let mut reader = Reader::default();
        headers.iter().for_each(|header| reader.take(header));
        let baggage = reader.into_bounded();
        let dropped = baggage.dropped;
        let items = baggage.finish().map_or_else(Vec::new, |baggage| {
            baggage.items().map(|item| (item.key.to_owned(), item.value.to_owned())).collect()
        });
        (items, dropped)
    }

    #[test]
    fn items_are_read_without_their_properties() {
        let (items, dropped) =
            taken(&[b"k1=v1;p=1 , k2 = a%20b%zz+%2C;x;y=z", b"", b"k3=J%C3%BCrgen,empty="]);
        let items: Vec<_> = items.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(items, [("k1", "v1"), ("k2", "a b%zz+,"), ("k3", "J\u{fc}rgen"), ("empty", "")]);
        assert_eq!(dropped, 0);
    }

    #[test]
    fn properties_are_handed_on_as_they_came() {
        let mut reader = Reader::default();
        reader.take(b"k1=v1 ; p=1;q , k2=a%20b;x y=\"z\",k3=v;\xff,k4=v;,k5=v");
        let baggage = reader.into_bounded().finish().unwrap();
        let (text, dropped) = write(baggage.items());
        assert_eq!((text.as_str(), dropped), ("k1=v1;p=1;q,k2=a%20b;x y=\"z\",k3=v,k4=v,k5=v", 0));
    }

    #[test]
    fn what_is_no_item_is_left_out_and_counted() {
        let (items, dropped) = taken(&[b"novalue,=v,a b=c,\xff=1,ok=\xff%FF"]);
        assert_eq!(items, [("ok".to_owned(), "\u{fffd}\u{fffd}".to_owned())]);
        assert_eq!(dropped, 4);
    }

    #[test]
    fn there_are_64_items_and_8192_bytes_at_most_both_ways() {
        let items: Vec<_> = (0..70).map(|n| (format!("k{n}"), "v".to_owned())).collect();
        let pairs = || items.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let (text, dropped) = written(pairs());
        assert_eq!((text.split(',').count(), dropped), (64, 6));
        let all: Vec<_> = pairs().map(|(key, value)| format!("{key}={value}")).collect();
        let (read, dropped) = taken(&[all.join(",").as_bytes()]);
        assert_eq!((read.len(), dropped), (64, 6));

        let large = " ".repeat(3_000);
        let (text, dropped) = written([("large", large.as_str()), ("small", "v")]);
        assert_eq!((text.as_str(), dropped), ("small=v", 1));
        let huge = format!("a={},b=2", "x".repeat(9_000));
        assert_eq!(taken(&[huge.as_bytes()]), (vec![("b".to_owned(), "2".to_owned())], 1));
    }

    #[test]
    fn a_key_that_is_no_token_is_not_written() {
        let (text, dropped) = written([("a b", "v"), ("", "v"), ("a;b", "v"), ("ok", "v")]);
        assert_eq!((text.as_str(), dropped), ("ok=v", 3));
    }

    proptest! {
        #[test]
        fn law_reading_undoes_writing(
            items in prop::collection::btree_map("[a-zA-Z0-9%!~|.-]{1,9}", "\\PC{0,20}|.{0,9}", 0..9),
        ) {
            let pairs = items.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            let (text, dropped) = written(pairs);
            prop_assert_eq!(dropped, 0);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{}", text);
            let items: Vec<_> = items.into_iter().collect();
            prop_assert_eq!(taken(&[text.as_bytes()]), (items, 0));
        }

        #[test]
        fn law_any_bytes_are_taken(header in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = taken(&[&header]);
        }
    }
}
