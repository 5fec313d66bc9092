//! Maps and lists of text as carriers, and as headers.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use super::known::ExistingEntry;
use super::{CarrierKind, ExtractCarrier, InjectCarrier, KnownParts, is_same_name};

macro_rules! map_carrier {
    ($map:ident $(, $hasher:ident)?) => {
        impl$(<$hasher: BuildHasher>)? InjectCarrier for $map<String, String $(, $hasher)?> {
            fn set(&mut self, key: &str, value: &str) -> bool {
                if let Some(held) = self.get_mut(key) {
                    held.clear();
                    held.push_str(value);
                } else {
                    self.insert(key.to_owned(), value.to_owned());
                }
                true
            }

            fn remove_if(&mut self, is_stale: &mut dyn FnMut(&str) -> bool) {
                self.retain(|key, _| !is_stale(key));
            }

            fn set_known(&mut self, known: &KnownParts<'_>) -> bool {
                known.set_each(|key, value| self.set(key, value))
            }

            /// Each key is looked at once, which takes less than to look up one of them.
            fn replace_known(&mut self, known: &KnownParts<'_>) -> bool {
                let text = known.text().as_str();
                let (mut replaced, mut is_any_stale) = (0_u32, false);
                for (key, held) in self.iter_mut() {
                    match known.classify(key) {
                        ExistingEntry::Part(at) => {
                            held.clear();
                            held.push_str(known.value(text, at));
                            replaced |= 1 << at;
                        }
                        ExistingEntry::Stale => is_any_stale = true,
                        ExistingEntry::Other => {}
                    }
                }
                if is_any_stale {
                    self.retain(|key, _| known.classify(key) != ExistingEntry::Stale);
                }
                for (at, name, value) in known.values(text) {
                    if replaced & (1 << at) == 0 {
                        self.insert(name.to_owned(), value.to_owned());
                    }
                }
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

/// Lists of text or bytes, such as the headers of a message queue.
impl<V: for<'v> From<&'v str>> InjectCarrier for Vec<(String, V)> {
    fn set(&mut self, key: &str, value: &str) -> bool {
        let mut value = Some(V::from(value));
        self.retain_mut(|(existing, held)| {
            existing != key || value.take().map(|value| *held = value).is_some()
        });
        self.extend(value.map(|value| (key.to_owned(), value)));
        true
    }

    fn set_known(&mut self, known: &KnownParts<'_>) -> bool {
        known.set_each(|key, value| self.set(key, value))
    }

    fn remove_if(&mut self, is_stale: &mut dyn FnMut(&str) -> bool) {
        self.retain(|(key, _)| !is_stale(key));
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

/// Treats a plain map as HTTP headers: values are percent-encoded, keys are compared without regard
/// to case.
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
/// assert_eq!(headers.0[1], ("uberctx-who".to_owned(), "a%20b".to_owned()));
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a wrapper, and nothing else ever")]
pub struct HttpHeaders<T>(pub T);

impl<T: InjectCarrier> InjectCarrier for HttpHeaders<T> {
    fn set(&mut self, key: &str, value: &str) -> bool {
        self.0.remove_if(&mut |existing| existing != key && is_same_name(existing, key));
        self.0.set(key, value)
    }

    fn remove_if(&mut self, is_stale: &mut dyn FnMut(&str) -> bool) {
        self.0.remove_if(is_stale);
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
