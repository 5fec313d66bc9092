//! Reads the fields of spans and events: each value as the type it has, texts of bounded length.
//!
//! A `Debug` or `Display` of the application may panic, log, open spans, or write without end. It is
//! called without a lock held, and all that it can do to the layer is to give a text.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jaeger_client::{FieldText, TagValue};
use tracing::field::{Field, Visit};

use crate::fields::{recycle_text, take_text};
use crate::stats::Counters;

/// Takes the fields that a [`Visitor`] reads.
pub(crate) trait Target {
    fn put(&mut self, field: &Field, value: TagValue<'_>);

    /// Takes a value that has to be formatted, if the target can format it where it goes.
    #[inline(always)]
    fn try_format(
        &mut self,
        _field: &Field,
        _value: fmt::Arguments<'_>,
        _counters: &Counters,
    ) -> bool {
        false
    }

    /// The sources of an error, the nearest first.
    fn put_sources(&mut self, field: &Field, sources: &str);

    /// Returns whether a value is needed that has to be formatted.
    fn wants_text(&self, _field: &Field) -> bool {
        true
    }
}

/// Passes the fields that it visits to a target.
pub(crate) struct Visitor<'v, T> {
    pub(crate) target: T,
    counters: &'v Counters,
}

impl<'v, T> Visitor<'v, T> {
    #[inline]
    pub(crate) fn new(target: T, counters: &'v Counters) -> Self {
        Self { target, counters }
    }
}

impl<T: Target> Visitor<'_, T> {
    /// A number as far as Jaeger has one, which is signed, and else its text: wrapped it would be
    /// another number.
    #[inline]
    fn put_number<N: Copy + fmt::Display + TryInto<i64>>(&mut self, field: &Field, value: N) {
        match value.try_into() {
            Ok(number) => self.target.put(field, TagValue::I64(number)),
            Err(_) => self.put_formatted(field, format_args!("{value}")),
        }
    }

    #[inline(never)]
    fn put_formatted(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.target.try_format(field, value, self.counters) || !self.target.wants_text(field) {
            return;
        }
        let mut text = take_text();
        format_to(&mut text, value, self.counters);
        self.target.put(field, TagValue::Str(&text));
        recycle_text(text);
    }
}

impl<T: Target> Visit for Visitor<'_, T> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.target.put(field, TagValue::I64(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put_number(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.put_number(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put_number(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.target.put(field, TagValue::F64(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.target.put(field, TagValue::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.target.put(field, TagValue::Str(value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.target.put(field, TagValue::Bytes(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put_formatted(field, format_args!("{value}"));
        if !self.target.wants_text(field) {
            return;
        }
        let mut text = take_text();
        sources(&mut text, value, self.counters);
        if !text.is_empty() {
            self.target.put_sources(field, &text);
        }
        recycle_text(text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_formatted(field, format_args!("{value:?}"));
    }
}

/// Writes the sources of an error, each separated from the next by `: `.
fn sources(text: &mut String, error: &(dyn Error + 'static), counters: &Counters) {
    fn source<'e>(
        of: &'e (dyn Error + 'static),
    ) -> std::thread::Result<Option<&'e (dyn Error + 'static)>> {
        catch_unwind(AssertUnwindSafe(|| of.source()))
    }
    let mut next = source(error);
    for depth in 0..MAX_SOURCES {
        let error = match next {
            Ok(Some(error)) => error,
            Ok(None) => return,
            Err(_) => return counters.count(&counters.field_panics),
        };
        if depth > 0 {
            text.push_str(": ");
        }
        format_to(text, format_args!("{error}"), counters);
        next = source(error);
    }
}

/// An error may be its own source.
const MAX_SOURCES: usize = 32;

/// What a value is formatted into.
pub(crate) trait Text: fmt::Write {
    /// Removes what was written of the value.
    fn clear(&mut self);
}

impl Text for FieldText<'_> {
    fn clear(&mut self) {
        FieldText::clear(self);
    }
}

/// Appends a value, and in place of one that panics a word.
#[inline]
pub(crate) fn format(text: &mut impl Text, value: fmt::Arguments<'_>, counters: &Counters) {
    // An error is either of the value's own or says that there is no more room: what was written stays.
    if catch_unwind(AssertUnwindSafe(|| text.write_fmt(value).is_ok())).is_err() {
        text.clear();
        let _ = text.write_str(PANICKED);
        counters.count(&counters.field_panics);
    }
}

/// Appends a value to other text in the same way.
fn format_to(text: &mut String, value: fmt::Arguments<'_>, counters: &Counters) {
    let from = text.len();
    format(&mut Bounded { from, end: from + MAX_TEXT_BYTES, text }, value, counters);
}

/// Stands for a value whose `Debug` or `Display` panicked.
const PANICKED: &str = "<panicked>";

/// The longest text of a value. A tracer cuts tags much sooner.
pub(crate) const MAX_TEXT_BYTES: usize = 64 * 1024;

/// A text that takes no more than it may.
struct Bounded<'t> {
    text: &'t mut String,
    from: usize,
    end: usize,
}

impl Text for Bounded<'_> {
    fn clear(&mut self) {
        self.text.truncate(self.from);
    }
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = self.end.saturating_sub(self.text.len());
        if more.len() <= room {
            self.text.push_str(more);
            return Ok(());
        }
        let end = (0..=room).rev().find(|end| more.is_char_boundary(*end)).unwrap_or(0);
        self.text.push_str(more.get(..end).unwrap_or_default());
        // Stops a `Debug` implementation that writes without an end.
        Err(fmt::Error)
    }
}
