//! The tracer of a span.

#[cfg(doc)]
use super::Closer;
use super::{Shared, Tracer};
use crate::span::{OwnedSpan, Span};

impl Span {
    /// Returns the tracer that started the span, for code that was given a span alone; `None` once
    /// the tracer and its [`Closer`] are gone, and for [`Span::none`](Self::none).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::HashMap;
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// let span = tracer.start_span("call");
    /// let mut headers = HashMap::new();
    /// if let Some(tracer) = span.tracer() {
    ///     tracer.inject(&span, &mut headers);
    /// }
    /// assert!(headers.contains_key("uber-trace-id"));
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[must_use]
    pub fn tracer(&self) -> Option<Tracer> {
        let shared = self.shared()?.tracer.get()?.upgrade()?;
        shared.downcast::<Shared>().ok().map(|shared| Tracer { shared })
    }
}

impl OwnedSpan {
    /// Returns the tracer that started the span, as [`Span::tracer`] does.
    #[must_use]
    pub fn tracer(&self) -> Option<Tracer> {
        self.as_span().tracer()
    }
}
