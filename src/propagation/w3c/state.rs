//! The header `tracestate`: one member per vendor; Jaeger's is `jaeger`.
//!
//! `jaeger={span}:{parent}:{flags}`, in hex. The span's id says for which span the member was
//! written: if a tracer in between has made further spans, the parent's id is out of date; the
//! flags, which belong to the trace, are not.

use std::sync::Arc;

use super::parent::lower_hex;
use crate::id::{IdText, SpanId, read_lower_hex_16};
use crate::span::SAMPLED;
use crate::span::SpanContext;

const OURS: &[u8; 6] = b"jaeger";

/// The maximum number of members, by W3C.
const MAX_MEMBERS: usize = 32;

/// The maximum length of other vendors' members that are forwarded. W3C requires at least 512.
const MAX_BYTES: usize = 2_048;

/// Members that are longer are dropped first, by W3C.
const LONG: usize = 128;

/// The member `jaeger`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ours {
    span_id: SpanId,
    parent_id: SpanId,
    flags: u8,
}

/// Collects members from all headers with the name.
#[derive(Debug, Default)]
pub(super) struct StateReader {
    others: String,
    members: usize,
    ours: Option<Ours>,
    broken: bool,
}

impl StateReader {
    pub(super) fn take(&mut self, header: &[u8]) {
        // Most headers have nothing but what this client has written.
        if let (0, Some(ours)) = (self.members, canonical(header)) {
            (self.members, self.ours) = (1, Some(ours));
            return;
        }
        for member in header.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if self.broken || member.is_empty() {
                continue;
            }
            self.members += 1;
            // What can be read of Jaeger's consists of hex digits and colons, and so is well-formed.
            let ours = member.strip_prefix(OURS).and_then(|after| read(after.strip_prefix(b"=")?));
            if ours.is_some() && self.members <= MAX_MEMBERS {
                self.ours = self.ours.or(ours);
                continue;
            }
            let text = str::from_utf8(member).ok();
            let well_formed = text.and_then(well_formed);
            let Some(key) = well_formed.filter(|_| self.members <= MAX_MEMBERS) else {
                self.broken = true;
                continue;
            };
            if key.as_bytes() == OURS {
                // It is not one that a client of Jaeger's writes.
                continue;
            }
            if !self.others.is_empty() {
                self.others.push(',');
            }
            self.others.push_str(text.unwrap_or_default());
        }
    }

    /// Returns the members of other vendors and Jaeger's; neither if a part is malformed.
    pub(super) fn finish(self) -> (Option<Arc<str>>, Option<Ours>) {
        if self.broken {
            return (None, None);
        }
        let others =
            if self.others.len() > MAX_BYTES { shortened(&self.others) } else { self.others };
        ((!others.is_empty()).then(|| others.into()), self.ours)
    }
}

/// Returns the key of a member that W3C allows.
fn well_formed(member: &str) -> Option<&str> {
    let (key, value) = member.split_once('=')?;
    let mut letters = key.bytes();
    let begins = letters.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let goes_on =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte);
    let printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    let whole = begins && letters.all(goes_on) && value.bytes().all(printable);
    (whole && key.len() <= 256 && value.len() <= 256).then_some(key)
}

/// Drops members beyond the limit: the long ones first, then those from the end.
fn shortened(others: &str) -> String {
    let mut over = others.len() - MAX_BYTES;
    let mut retained: Vec<&str> = others.split(',').collect();
    for long in [true, false] {
        for at in (0..retained.len()).rev() {
            if over > 0 && (retained[at].len() > LONG || !long) {
                over = over.saturating_sub(retained.remove(at).len() + 1);
            }
        }
    }
    retained.join(",")
}

/// Reads a header with no other member, as it is written.
fn canonical(header: &[u8]) -> Option<Ours> {
    let (ids, flags) = header.split_first_chunk::<41>()?;
    let (name, ids) = ids.split_first_chunk()?;
    let ids: &[u8; 35] = ids.try_into().ok()?;
    if (name, ids[0], ids[17], ids[34]) != (OURS, b'=', b':', b':') {
        return None;
    }
    let id = |at: usize| read_lower_hex_16(ids.get(at..)?.first_chunk()?).map(SpanId::new);
    let flags = u8::try_from(lower_hex(flags)?).ok()?;
    Some(Ours { span_id: id(1)?, parent_id: id(18)?, flags })
}

fn read(value: &[u8]) -> Option<Ours> {
    let mut parts = value.split(|byte| *byte == b':');
    let mut next = || lower_hex(parts.next()?);
    let (span_id, parent_id) = (SpanId::new(next()?), SpanId::new(next()?));
    let flags = u8::try_from(next()?).ok()?;
    parts.next().is_none().then_some(Ours { span_id, parent_id, flags })
}

/// Returns the parent's id and the flags of a span, from the member `jaeger` and the caller's
/// decision.
pub(super) fn joined(ours: Option<Ours>, span_id: SpanId, sampled: bool) -> (SpanId, u8) {
    let decision = u8::from(sampled) * SAMPLED;
    match ours {
        Some(Ours { span_id: of, parent_id, flags }) => {
            (if of == span_id { parent_id } else { SpanId::NONE }, flags & !SAMPLED | decision)
        }
        None => (SpanId::NONE, decision),
    }
}

/// Appends the member `jaeger`, if it adds to `traceparent`. The flags are those of the context.
#[inline]
pub(super) fn write(text: &mut IdText, context: &SpanContext, flags: u8) {
    if context.parent_id == SpanId::NONE && flags & !SAMPLED == 0 {
        return;
    }
    text.push(*OURS);
    text.push([b'=']);
    text.span_id(context.span_id);
    text.push([b':']);
    text.span_id(context.parent_id);
    text.push([b':']);
    text.flags(flags);
}

/// Returns the header's value of Jaeger's member, which may be empty, and those of other vendors.
pub(super) fn with_others(ours: &str, others: &str) -> String {
    if ours.is_empty() {
        return others.to_owned();
    }
    let mut text = ours.to_owned();
    for member in others.split(',').take(MAX_MEMBERS - 1) {
        text.push(',');
        text.push_str(member);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TraceId;
    use proptest::prelude::*;

    fn taken(headers: &[&str]) -> (Option<Arc<str>>, Option<Ours>) {
        let mut reader = StateReader::default();
        headers.iter().for_each(|header| reader.take(header.as_bytes()));
        reader.finish()
    }

    #[test]
    fn members_are_unchanged_and_in_their_order() {
        let (others, ours) = taken(&["rojo=00f0,, congo=t61 x~!\"", "\t", "0tenant@system=a/b "]);
        assert_eq!(others.as_deref(), Some("rojo=00f0,congo=t61 x~!\",0tenant@system=a/b"));
        assert_eq!(ours, None);
    }

    #[test]
    fn what_is_malformed_drops_the_whole() {
        let key = "k".repeat(257);
        for broken in [
            "a",
            "=1",
            "A=1",
            "a b=1",
            "-a=1",
            "a=1=2",
            "a=\u{e9}",
            "a=\u{7f}",
            &format!("{key}=1"),
        ] {
            assert_eq!(taken(&["fine=1", broken]), (None, None), "{broken}");
        }
        let long = format!("a={}", "v".repeat(257));
        assert_eq!(taken(&[&long]), (None, None));
    }

    #[test]
    fn there_are_32_members_and_2048_bytes_at_most() {
        let many = |count| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert!(taken(&[&many(32)]).0.is_some());
        assert!(taken(&[&many(33)]).0.is_none());
        let long = format!("long={}", "v".repeat(200));
        let short = |n: usize| format!("s{n}={}", "v".repeat(95));
        let members: Vec<_> = (0..20).map(short).chain([long]).chain((20..22).map(short)).collect();
        let retained = taken(&[&members.join(",")]).0.unwrap();
        assert!(retained.len() <= MAX_BYTES && !retained.contains("long="), "{}", retained.len());
        assert!(
            retained.starts_with("s0=") && retained.contains(",s19=") && !retained.contains("s21=")
        );
    }

    #[test]
    fn our_member_is_in_front_and_only_where_it_says_something() {
        let others = (0..32).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        let written = |parent, flags| {
            let ids = (TraceId::new(0, 1), SpanId::new(2), SpanId::new(parent));
            let mut ours = IdText::new();
            write(&mut ours, &SpanContext::new(ids.0, ids.1, ids.2, flags), flags);
            with_others(ours.as_str(), &others)
        };
        assert_eq!(written(0, 1), others);
        let text = written(3, 9);
        assert!(text.starts_with("jaeger=0000000000000002:0000000000000003:9,k0=v,"), "{text}");
        assert!(text.ends_with(",k30=v"), "one goes, so that there are 32: {text}");
    }

    #[test]
    fn a_member_of_another_span_keeps_its_flags_and_loses_its_parent() {
        let ours = taken(&["jaeger=2:3:b"]).1;
        assert_eq!(joined(ours, SpanId::new(2), true), (SpanId::new(3), 11));
        assert_eq!(joined(ours, SpanId::new(4), false), (SpanId::NONE, 10));
        for broken in ["jaeger=1", "jaeger=2:3:100", "jaeger=2:3:1:4", "jaeger=2:z:1"] {
            assert_eq!(taken(&[broken, "a=1"]), (Some("a=1".into()), None), "{broken}");
        }
    }

    proptest! {
        #[test]
        fn law_the_fast_parser_reads_what_the_general_parser_reads(
            ids: (u64, u64), flags: u8, at in 0..43_usize, byte in 0..128_u8, length in 38..46_usize,
        ) {
            let mut text = format!("jaeger={:016x}:{:016x}:{flags:x}", ids.0, ids.1).into_bytes();
            if let Some(changed) = text.get_mut(at) {
                *changed = byte;
            }
            text.resize(length.max(text.len() - 2), b'0');
            let Ok(text) = String::from_utf8(text) else { return Ok(()) };
            // An empty member, which changes nothing, makes it another form.
            prop_assert_eq!(taken(&[&text]), taken(&[&format!(",{text}")]));
        }

        #[test]
        fn law_any_headers_are_accepted_and_the_result_is_accepted_again(
            headers in prop::collection::vec("([a-z0-9@=,:; \\PC]{0,20},?){0,40}", 0..3),
        ) {
            let headers: Vec<_> = headers.iter().map(String::as_str).collect();
            let (others, _) = taken(&headers);
            if let Some(others) = others {
                prop_assert!(others.len() <= MAX_BYTES);
                prop_assert_eq!(taken(&[&others]).0, Some(others));
            }
        }
    }
}
