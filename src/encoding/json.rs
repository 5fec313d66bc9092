//! A JSON writer: objects, strings, and bytes as base64.

use std::io::Write as _;

/// A JSON object that is being written.
pub(super) struct Object<'a> {
    pub(super) out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    pub(super) fn key(&mut self, key: &[u8]) {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        json_string(self.out, key);
        self.out.push(b':');
    }

    pub(super) fn raw(&mut self, key: &str, json: &[u8]) {
        self.key(key.as_bytes());
        self.out.extend_from_slice(json);
    }

    pub(super) fn number(&mut self, key: &str, number: impl ToString) {
        self.raw(key, number.to_string().as_bytes());
    }

    pub(super) fn text(&mut self, key: &str, text: &[u8]) {
        self.key(key.as_bytes());
        json_string(self.out, text);
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}

/// Appends a JSON string as Go's encoding/json writes it: safe within HTML, too.
pub(super) fn json_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                '\u{8}' => out.extend_from_slice(b"\\b"),
                '\u{c}' => out.extend_from_slice(b"\\f"),
                '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    // Writing into a vector does not fail.
                    let _ = write!(out, "\\u{:04x}", u32::from(character));
                }
                other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        // One replacement character for each invalid byte.
        chunk.invalid().iter().for_each(|_| out.extend_from_slice(b"\\ufffd"));
    }
    out.push(b'"');
}

/// Encodes bytes as base64, with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for n in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * n) & 63];
            out.push(if n <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        let mut out = Vec::new();
        json_string(&mut out, b"a\"\\\n\x01\x08<>&\xe2\x80\xa8\xc3\xa9\xff\xe2\x80");
        let expected = [
            br#""a\"\\\n\u0001\b\u003c\u003e\u0026\u2028"#.as_slice(),
            "\u{e9}".as_bytes(),
            br#"\ufffd\ufffd\ufffd""#,
        ];
        assert_eq!(out, expected.concat());
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let shown =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (text, encoded) in shown {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
        assert_eq!(base64(&[251, 255, 191]), "+/+/");
    }
}
