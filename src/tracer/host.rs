//! The view that a sampler has of its tracer.

use std::sync::{Arc, Weak};

use crate::clock::Clock;
use crate::diag::Cause;
use crate::panics::Callback;
use crate::sampler::{Host, SamplerHost};
use crate::span::shared::SpanShared;

impl Host for SpanShared {
    fn monotonic_nanos(&self) -> u64 {
        self.clock.monotonic_nanos()
    }

    fn report(&self, cause: Cause, message: &dyn Fn() -> String) {
        self.diagnostics.error(cause, message);
    }

    fn info(&self, message: &str) {
        self.diagnostics.info(message);
    }

    fn panicked(&self, callback: Callback, message: &str) {
        self.diagnostics.panicked(callback, message);
    }
}

/// Holds no strong reference: the sampler is part of the tracer.
pub(super) fn of(span_shared: &Arc<SpanShared>) -> SamplerHost {
    let host: Weak<SpanShared> = Arc::downgrade(span_shared);
    SamplerHost::new(host)
}
