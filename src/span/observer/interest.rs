//! What observers are to be notified of.

/// What an [`Observer`](crate::Observer) is to be notified of. A tracer asks for it once, when it is
/// built.
///
/// # Cost
///
/// An observer of finished spans alone costs about a fifth of what one costs that is called for each step,
/// and two fifths where the span is not sampled; see [`finished_spans`](Self::finished_spans).
///
/// # Source
///
/// Not from another client.
#[derive(Clone, Debug)]
pub struct ObserverInterest {
    kind: InterestKind,
}

#[derive(Clone, Debug)]
enum InterestKind {
    All,
    FinishedSpans(WantedTags),
}

impl ObserverInterest {
    /// Everything: the start of each span, its names and tags as they are set, and its end. The default.
    /// The observer is called by [`Observer::on_start_span`](crate::Observer::on_start_span).
    #[must_use]
    pub const fn all() -> Self {
        Self { kind: InterestKind::All }
    }

    /// Finished spans alone, with the values of tags with these keys. The observer is called once for each
    /// span, by [`Observer::on_span_finished`](crate::Observer::on_span_finished).
    ///
    /// # Cost
    ///
    /// If all observers of a tracer want only this, sampled spans are started and changed on the fast
    /// path, with these exceptions, in which they cost about as much as with an observer that is called for
    /// each step:
    ///
    /// - all spans of a tracer that samples tails, has a sampler that may defer a decision or decides on traces
    ///   that continue here, limits logs, lists open spans, or shares Zipkin's RPC spans;
    /// - the start of a span with `sampling.priority`, a debug id or ids of its own, or with a wanted tag whose
    ///   value exceeds the maximum length, and the spans of its trace from then on;
    /// - the spans of a trace once a wanted tag with such a value, or a wanted `sampling.priority`, is set on one
    ///   of them, or [`Span::on_finish`](crate::Span::on_finish) or
    ///   [`Span::set_finish_time`](crate::Span::set_finish_time) is called, or it is forced to be recorded.
    ///
    /// On spans that are not sampled, each tag with such a key takes a lock and is stored. Nothing is
    /// allocated in steady state.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use jaeger_client::{ObservedSpan, Observer, ObserverInterest, TagValue, Tracer};
    ///
    /// /// The names of spans that failed.
    /// #[derive(Debug, Default)]
    /// struct Failed(Mutex<Vec<String>>);
    ///
    /// impl Observer for Failed {
    ///     fn interest(&self) -> ObserverInterest {
    ///         ObserverInterest::finished_spans(["error"])
    ///     }
    ///
    ///     fn on_span_finished(&self, span: &ObservedSpan<'_>) {
    ///         if span.tag("error") == Some(TagValue::Bool(true)) {
    ///             self.0.lock().unwrap().push(span.operation_name().to_owned());
    ///         }
    ///     }
    /// }
    ///
    /// let failed = std::sync::Arc::new(Failed::default());
    /// let (tracer, _closer) =
    ///     Tracer::builder("svc").observer(failed.clone()).null_reporter().build()?;
    /// tracer.start_span("charge").set_tag("error", true).finish();
    /// tracer.start_span("refund").finish();
    /// assert_eq!(*failed.0.lock().unwrap(), ["charge"]);
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[must_use]
    pub fn finished_spans(keys: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut wanted = WantedTags::default();
        keys.into_iter().for_each(|key| wanted.add(key.as_ref()));
        Self { kind: InterestKind::FinishedSpans(wanted) }
    }

    /// Returns the wanted tags, if finished spans alone are wanted.
    pub(super) fn into_wanted_tags(self) -> Option<WantedTags> {
        match self.kind {
            InterestKind::All => None,
            InterestKind::FinishedSpans(wanted) => Some(wanted),
        }
    }
}

/// The keys of wanted tags.
#[derive(Clone, Debug, Default)]
pub(super) struct WantedTags {
    keys: Vec<Box<str>>,
    /// A bit for each length of a key, so that most others are told apart by their lengths.
    lengths: u64,
}

impl WantedTags {
    fn add(&mut self, key: &str) {
        self.lengths |= length_bit(key.as_bytes());
        if !self.contains(key.as_bytes()) {
            self.keys.push(key.into());
        }
    }

    /// Adds the keys of others.
    pub(super) fn add_all(&mut self, others: &Self) {
        others.keys.iter().for_each(|key| self.add(key));
    }

    #[inline]
    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.find(key).is_some()
    }

    /// Returns a key that is wanted.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<&str> {
        if self.lengths & length_bit(key) == 0 {
            return None;
        }
        self.keys.iter().map(|wanted| &**wanted).find(|wanted| wanted.as_bytes() == key)
    }
}

/// Returns the bit of the key's length; longer keys share one.
#[inline]
fn length_bit(key: &[u8]) -> u64 {
    1 << key.len().min(63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_any_length_are_found() {
        let long = "k".repeat(100);
        let mut wanted = WantedTags::default();
        for key in ["", "error", long.as_str(), "error"] {
            wanted.add(key);
        }
        assert_eq!(wanted.keys.len(), 3);
        for key in ["", "error", long.as_str()] {
            assert!(wanted.contains(key.as_bytes()), "{key}");
        }
        for key in ["other", "errors", &long[1..], &"x".repeat(100)] {
            assert!(!wanted.contains(key.as_bytes()), "{key}");
        }
    }
}
