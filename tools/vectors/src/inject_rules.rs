//! Which baggage this client writes, where jaeger-client-go writes all, and how.

use crate::carrier::Baggage;

/// What this client writes for a value encoded by the Go client, in which `+` is a space alone.
pub(crate) fn spaces_encoded(escaped: &str) -> String {
    escaped.replace('+', "%20")
}

/// What a context is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// Headers, which know no case.
    Http,
    /// A map of text, which may become headers.
    TextMap,
    Binary,
}

/// The keys of those items that are written: what a header can hold and a reader takes.
pub(crate) fn kept(baggage: &Baggage, to: To) -> Vec<&str> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    let (mut kept, mut room) = (Vec::new(), 8_192);
    for (key, value) in baggage {
        let mut later = baggage.keys().skip_while(|other| *other != key).skip(1);
        let bytes = key.len() + value.len();
        let fits = match to {
            To::Binary => bytes <= 4_096,
            To::TextMap => key.bytes().all(token) && !value.iter().any(control),
            To::Http => {
                key.bytes().all(token) && !later.any(|other| other.eq_ignore_ascii_case(key))
            }
        };
        if fits && kept.len() < 180 && bytes <= room {
            room -= bytes;
            kept.push(key.as_str());
        }
    }
    kept
}
