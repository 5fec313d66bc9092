//! What is set on a span after it was made: name, kind, status, recorded fields.

use std::time::{Duration, SystemTime};

use jaeger_client::{Span, TagValue};

use crate::fields::Fields;
use crate::special::{Specials, Status};
use crate::table::Slot;
use crate::target::Replace;

#[cold]
pub(crate) fn set_status(span: &Span, slot: &Slot) {
    if let Some(status) = slot.status {
        let (is_error, code) = match status {
            Status::Ok => (false, "OK"),
            Status::Error => (true, "ERROR"),
        };
        span.replace_tag("error", is_error).set_tag("otel.status_code", code);
    }
    if let Some(message) = &slot.status_message {
        span.set_tag("otel.status_description", &**message);
    }
}

/// Sets the recorded name and kind of a span.
pub(crate) fn rename(span: &mut impl Replace, specials: &Specials) {
    if let Some(name) = &specials.name {
        span.rename(name);
    }
    if let Some(kind) = &specials.kind {
        span.replace_tag(KIND, TagValue::Str(kind));
    }
}

/// Sets recorded fields of a span in place of earlier ones.
pub(crate) fn replace_tags(span: &mut impl Replace, fields: &Fields, specials: &Specials) {
    for (name, value) in fields.iter() {
        span.replace_tag(name, value);
    }
    rename(span, specials);
}

const KIND: &str = "span.kind";

/// A moment that a clock has shown.
pub(crate) fn time(nanos: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos.max(0).unsigned_abs())
}
