//! What a context is written to and read from: maps and headers.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

#[cfg(feature = "http")]
use super::header;
use super::header::KnownName;

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

macro_rules! map_carrier {
    ($map:ident $(, $hasher:ident)?) => {
        impl$(<$hasher: BuildHasher>)? InjectCarrier for $map<String, String $(, $hasher)?> {
            fn set(&mut self, key: &str, value: &str) -> bool {
                self.insert(key.to_owned(), value.to_owned());
                true
            }
        }

        impl<K: AsRef<str>, V: AsRef<[u8]> $(, $hasher: BuildHasher)?> ExtractCarrier
            for $map<K, V $(, $hasher)?>
        {
            fn visit(&self, visit: &mut dyn FnMut(&str, &[u8])) {
                self.iter().for_each(|(key, value)| visit(key.as_ref(), value.as_ref()));
            }
        }
    };
}

map_carrier!(BTreeMap);
map_carrier!(HashMap, S);

impl InjectCarrier for Vec<(String, String)> {
    fn set(&mut self, key: &str, value: &str) -> bool {
        self.push((key.to_owned(), value.to_owned()));
        true
    }
}

impl<K: AsRef<str>, V: AsRef<[u8]>> ExtractCarrier for Vec<(K, V)> {
    fn visit(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        self.as_slice().visit(visit);
    }
}

impl<K: AsRef<str>, V: AsRef<[u8]>> ExtractCarrier for [(K, V)] {
    fn visit(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        self.iter().for_each(|(key, value)| visit(key.as_ref(), value.as_ref()));
    }
}

/// Makes HTTP headers of a plain map: values are form-encoded, keys know no case.
///
/// # Examples
///
/// ```
/// use jaeger_client::{Tracer, propagation::HttpHeaders};
/// # let (tracer, _closer) = Tracer::builder("svc").null_reporter().build()?;
/// let mut headers = HttpHeaders(Vec::<(String, String)>::new());
/// let span = tracer.start_span("op");
/// span.set_baggage_item("who", "a b");
/// tracer.inject(&span.context(), &mut headers);
/// assert_eq!(headers.0[1], ("uberctx-who".to_owned(), "a+b".to_owned()));
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a wrapper, and nothing else ever")]
pub struct HttpHeaders<T>(pub T);

impl<T: InjectCarrier> InjectCarrier for HttpHeaders<T> {
    fn set(&mut self, key: &str, value: &str) -> bool {
        self.0.set(key, value)
    }

    fn kind(&self) -> CarrierKind {
        CarrierKind::HttpHeaders
    }
}

impl<T: ExtractCarrier> ExtractCarrier for HttpHeaders<T> {
    fn visit(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        self.0.visit(visit);
    }

    fn kind(&self) -> CarrierKind {
        CarrierKind::HttpHeaders
    }
}

#[cfg(feature = "http")]
impl InjectCarrier for http::HeaderMap {
    fn set(&mut self, key: &str, value: &str) -> bool {
        let name = http::HeaderName::from_bytes(key.as_bytes());
        match (name, header::value(value)) {
            (Ok(name), Some(value)) => self.try_insert(name, value).is_ok(),
            _ => false,
        }
    }

    fn set_known(&mut self, name: &KnownName, value: &str) -> bool {
        match (name.header(), header::value(value)) {
            (Some(name), Some(value)) => self.try_insert(name, value).is_ok(),
            _ => false,
        }
    }

    fn kind(&self) -> CarrierKind {
        CarrierKind::HttpHeaders
    }
}

#[cfg(feature = "http")]
impl ExtractCarrier for http::HeaderMap {
    fn visit(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        self.iter().for_each(|(name, value)| visit(name.as_str(), value.as_bytes()));
    }

    fn kind(&self) -> CarrierKind {
        CarrierKind::HttpHeaders
    }
}
