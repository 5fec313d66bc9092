//! Fields that mean something to a span besides being a tag of it.

use jaeger_client::TagValue;

use crate::table::Slot;

/// `otel.status_code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    Error,
}

/// A field that is not simply a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    Name,
    Kind,
    StatusCode,
    StatusMessage,
    Error,
}

impl Special {
    #[inline]
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "error" => Self::Error,
            "otel.name" => Self::Name,
            "otel.kind" | "span.kind" => Self::Kind,
            "otel.status_code" => Self::StatusCode,
            "otel.status_message" | "otel.status_description" => Self::StatusMessage,
            _ => return None,
        })
    }
}

/// The values of a span's special fields so far; the last one counts.
#[derive(Debug, Default)]
pub(crate) struct Specials {
    pub(crate) name: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) status: Option<Option<Status>>,
    pub(crate) status_message: Option<Box<str>>,
}

impl Specials {
    /// Notes what a field says. False if it is a tag all the same: it has no text.
    pub(crate) fn note(&mut self, special: Special, value: TagValue<'_>) -> bool {
        let TagValue::Str(text) = value else { return false };
        match special {
            Special::Name => self.name = Some(text.to_owned()),
            Special::Kind => self.kind = Some(text.to_ascii_lowercase()),
            Special::StatusMessage => self.status_message = Some(text.into()),
            Special::StatusCode => {
                self.status = Some(match text {
                    _ if text.eq_ignore_ascii_case("ok") => Some(Status::Ok),
                    _ if text.eq_ignore_ascii_case("error") => Some(Status::Error),
                    _ => None,
                });
            }
            Special::Error => return false,
        }
        true
    }

    pub(crate) fn has_status(&self) -> bool {
        self.status.is_some() || self.status_message.is_some()
    }

    /// Notes what is said of the status with the span.
    pub(crate) fn note_status(self, slot: &mut Slot) {
        slot.status = self.status.unwrap_or(slot.status);
        if self.status_message.is_some() {
            slot.status_message = self.status_message;
        }
    }
}
