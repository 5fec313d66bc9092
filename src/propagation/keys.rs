//! Which keys a format uses, so that what it wrote before can be replaced.

/// A key that a [`Format`](super::Format) reads or writes: the name of a header, or the beginning of
/// names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatKey {
    field: &'static str,
    text: String,
    is_prefix: bool,
    is_written: bool,
    is_always_written: bool,
}

impl FormatKey {
    /// The name of a header. `field` says what it is for, in errors: the option that sets it.
    #[must_use]
    pub fn name(field: &'static str, text: impl Into<String>) -> Self {
        Self {
            field,
            text: text.into(),
            is_prefix: false,
            is_written: true,
            is_always_written: false,
        }
    }

    /// What the names of some headers begin with.
    #[must_use]
    pub fn prefix(field: &'static str, text: impl Into<String>) -> Self {
        Self { is_prefix: true, ..Self::name(field, text) }
    }

    /// It is not replaced when a context is written: the format only reads it, or not always.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { is_written: false, ..self }
    }

    /// It is written for every context that names a span, and so need not be removed before.
    pub(super) fn always_written(self) -> Self {
        Self { is_always_written: true, ..self }
    }

    pub(super) fn is_prefix(&self) -> bool {
        self.is_prefix
    }

    pub(super) fn is_written(&self) -> bool {
        self.is_written
    }

    pub(super) fn is_always_written(&self) -> bool {
        self.is_always_written
    }

    /// Whether the name of a header is it, in any case, or begins with it.
    pub(super) fn is_of(&self, name: &str) -> bool {
        match self.is_prefix {
            true => begins_with(name, &self.text),
            false => name.eq_ignore_ascii_case(&self.text),
        }
    }

    /// Whether both have the same header, whatever either is for.
    fn is_read_alike(&self, other: &Self) -> bool {
        self.is_prefix == other.is_prefix && self.text.eq_ignore_ascii_case(&other.text)
    }
}

/// Whether a name begins with a prefix, in any case. With an empty one, none does: every header of a
/// request would be baggage.
pub(super) fn begins_with(name: &str, prefix: &str) -> bool {
    let head = name.as_bytes().get(..prefix.len());
    !prefix.is_empty() && head.is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// Whether any header is written by both.
pub(super) fn share_headers(some: &[FormatKey], others: &[FormatKey]) -> bool {
    let written = |keys| <[FormatKey]>::iter(keys).filter(|key| key.is_written);
    written(some).any(|key| written(others).any(|other| key.is_read_alike(other)))
}
