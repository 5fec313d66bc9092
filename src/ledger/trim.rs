//! Makes a span that is too large for a datagram small enough, rather than losing it whole.
//!
//! The largest values are cut first, then the oldest logs go. A tag says what was cut, so that
//! nobody takes the rest for the whole.

use crate::encoding::{List, LogView, SpanView, TagView, ValueView, put_log, put_tag};

/// The tag that says what was cut from a span.
pub(crate) const TRIMMED_TAG: &[u8] = b"jaeger.trimmed";

/// The span's bytes, cut to at most `max_bytes`; none if not even that helps.
pub(crate) fn to_fit(span: &SpanView<'_>, max_bytes: usize) -> Option<Vec<u8>> {
    let (tags, logs): (Vec<_>, Vec<_>) = (span.tags().collect(), span.logs().collect());
    // Values are cut to ever smaller sizes before a log is given up: a shortened value still says
    // what it was about.
    for limit in [16_384, 4_096, 1_024, 256, 64] {
        if let Some(bytes) = attempt(span, &tags, &logs, limit, max_bytes) {
            return Some(bytes);
        }
    }
    // The number of logs kept, found by halving: fewer logs never take more bytes.
    let (mut fits, mut too_many) = (None, logs.len());
    let mut low = 0;
    while low < too_many {
        let keep = low + (too_many - low) / 2;
        match attempt(span, &tags, &logs[logs.len() - keep..], 64, max_bytes) {
            Some(bytes) => {
                fits = Some(bytes);
                low = keep + 1;
            }
            None => too_many = keep,
        }
    }
    fits.or_else(|| attempt(span, &tags, &[], 64, max_bytes))
}

fn attempt(
    span: &SpanView<'_>,
    tags: &[TagView<'_>],
    logs: &[LogView<'_>],
    limit: usize,
    max_bytes: usize,
) -> Option<Vec<u8>> {
    let mut cut = 0_usize;
    let mut tag_bytes = Vec::new();
    for tag in tags {
        put_tag(&mut tag_bytes, shorten(*tag, limit, &mut cut));
    }
    let mut log_bytes = Vec::new();
    for log in logs {
        let mut fields = Vec::new();
        log.fields().for_each(|field| put_tag(&mut fields, shorten(field, limit, &mut cut)));
        let fields = List::new(log.fields.count, &fields);
        put_log(&mut log_bytes, LogView::new(log.timestamp_micros, fields));
    }
    let lost = span.logs.map_or(0, |all| all.count) - logs.len();
    let what = format!("{cut} values cut to {limit} bytes, {lost} oldest logs dropped");
    put_tag(&mut tag_bytes, TagView::new(TRIMMED_TAG, ValueView::Str(what.as_bytes())));
    let mut trimmed = *span;
    trimmed.tags = Some(List::new(tags.len() + 1, &tag_bytes));
    trimmed.logs = Some(List::new(logs.len(), &log_bytes));
    let mut bytes = Vec::new();
    trimmed.encode(&mut bytes);
    (bytes.len() <= max_bytes).then_some(bytes)
}

fn shorten<'a>(tag: TagView<'a>, limit: usize, cut: &mut usize) -> TagView<'a> {
    let value = match tag.value {
        ValueView::Str(text) if text.len() > limit => {
            *cut += 1;
            let end = (0..=limit).rev().find(|at| text[*at] & 0xc0 != 0x80).unwrap_or(0);
            ValueView::Str(&text[..end])
        }
        ValueView::Binary(bytes) if bytes.len() > limit => {
            *cut += 1;
            ValueView::Binary(&bytes[..limit])
        }
        other => other,
    };
    TagView::new(tag.key, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(tags: &[(&str, &str)], logs: usize) -> Vec<u8> {
        let (mut tag_bytes, mut log_bytes) = (Vec::new(), Vec::new());
        for (key, value) in tags {
            let value = ValueView::Str(value.as_bytes());
            put_tag(&mut tag_bytes, TagView::new(key.as_bytes(), value));
        }
        for log in 0..logs {
            let mut fields = Vec::new();
            put_tag(&mut fields, TagView::new(b"n", ValueView::Long(log as i64)));
            put_log(&mut log_bytes, LogView::new(log as i64, List::new(1, &fields)));
        }
        let span = SpanView {
            operation_name: b"op",
            tags: Some(List::new(tags.len(), &tag_bytes)),
            logs: Some(List::new(logs, &log_bytes)),
            ..SpanView::default()
        };
        let mut bytes = Vec::new();
        span.encode(&mut bytes);
        bytes
    }

    #[test]
    fn the_largest_values_are_cut_first_and_the_span_says_so() {
        let (large, small) = ("é".repeat(5_000), "s".repeat(900));
        let bytes = with(&[("large", &large), ("small", &small)], 3);
        let trimmed = to_fit(&SpanView::parse(&bytes).unwrap().0, 6_000).unwrap();
        let span = SpanView::parse(&trimmed).unwrap().0;
        assert!(trimmed.len() <= 6_000);
        let Some(ValueView::Str(text)) = span.tag("large") else { panic!("cut away") };
        assert!(std::str::from_utf8(text).is_ok() && text.len() == 4_096);
        assert_eq!(span.tag("small"), Some(ValueView::Str(small.as_bytes())));
        assert_eq!(span.logs().count(), 3);
        let said = ValueView::Str(b"1 values cut to 4096 bytes, 0 oldest logs dropped");
        assert_eq!(span.tag("jaeger.trimmed"), Some(said));
    }

    #[test]
    fn the_oldest_logs_go_when_cutting_values_is_not_enough() {
        let bytes = with(&[("k", "v")], 1_000);
        let trimmed = to_fit(&SpanView::parse(&bytes).unwrap().0, 2_000).unwrap();
        let span = SpanView::parse(&trimmed).unwrap().0;
        let kept: Vec<_> = span.logs().map(|log| log.timestamp_micros).collect();
        assert!(trimmed.len() <= 2_000 && kept.len() > 50, "{} logs", kept.len());
        assert_eq!(kept.last(), Some(&999), "the newest stay");
    }

    #[test]
    fn a_span_whose_name_alone_is_too_large_is_given_up() {
        let name = vec![b'n'; 3_000];
        let span = SpanView { operation_name: &name, ..SpanView::default() };
        assert_eq!(to_fit(&span, 2_000), None);
    }
}
