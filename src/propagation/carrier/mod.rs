//! What a context is written to and read from: maps and headers.

mod header;
mod map;

pub use self::header::KnownName;
pub use self::map::HttpHeaders;

/// How a carrier's values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CarrierKind {
    /// Values are any text, keys keep their case.
    #[default]
    TextMap,
    /// Values are form-encoded, keys know no case.
    HttpHeaders,
}

/// Something a context can be written to.
pub trait InjectCarrier {
    /// Sets a key. False if the carrier cannot hold it.
    fn set(&mut self, key: &str, value: &str) -> bool;

    /// Sets a key that a format writes for every context.
    #[doc(hidden)]
    fn set_known(&mut self, name: &KnownName, value: &str) -> bool {
        self.set(name.text(), value)
    }

    /// How its values are to be written.
    fn kind(&self) -> CarrierKind {
        CarrierKind::TextMap
    }
}

/// Something a context can be read from.
pub trait ExtractCarrier {
    /// Calls `visit` for every key and value, in order.
    fn visit(&self, visit: &mut dyn FnMut(&str, &[u8]));

    /// How its values are written.
    fn kind(&self) -> CarrierKind {
        CarrierKind::TextMap
    }
}

impl<T: InjectCarrier + ?Sized> InjectCarrier for &mut T {
    fn set(&mut self, key: &str, value: &str) -> bool {
        (**self).set(key, value)
    }

    fn set_known(&mut self, name: &KnownName, value: &str) -> bool {
        (**self).set_known(name, value)
    }

    fn kind(&self) -> CarrierKind {
        (**self).kind()
    }
}

impl<T: ExtractCarrier + ?Sized> ExtractCarrier for &T {
    fn visit(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        (**self).visit(visit);
    }

    fn kind(&self) -> CarrierKind {
        (**self).kind()
    }
}
