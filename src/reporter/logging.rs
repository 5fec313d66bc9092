//! The reporter that logs each finished span.

use std::sync::Arc;

use super::Reporter;
use crate::diag::Diagnostics;
use crate::encoding::{BatchView, SpanView};
use crate::error::TransportError;

/// Logs each span: its context and its name.
#[derive(Debug)]
pub(super) struct LoggingReporter {
    diagnostics: Arc<Diagnostics>,
}

impl LoggingReporter {
    pub(super) fn new(diagnostics: &Arc<Diagnostics>) -> Self {
        Self { diagnostics: Arc::clone(diagnostics) }
    }
}

impl Reporter for LoggingReporter {
    fn report(&mut self, batch: &BatchView<'_>) -> Result<(), TransportError> {
        batch.spans().for_each(|span| self.diagnostics.info(&line(&span)));
        Ok(())
    }
}

fn line(span: &SpanView<'_>) -> String {
    let SpanView { trace_id, span_id, flags, .. } = span;
    let parent = span.parent_span_id;
    format!("Reporting span {trace_id}:{span_id}:{parent}:{flags:x} {}", span.operation_name())
}
