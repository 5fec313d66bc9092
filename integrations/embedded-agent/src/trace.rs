//! A trace: the spans of one id that were received so far.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::time::Duration;

use jaeger_client::TraceId;

use crate::ReceivedSpan;
use crate::tree::{self, Kind};
use crate::waterfall::{self, WaterfallOptions};

/// The spans of one trace that were received so far.
///
/// A trace is a copy: spans that come later are in the next one that the store returns.
///
/// # Examples
///
/// ```
/// use jaeger_client::encoding::{BatchView, List, ProcessView, SpanView};
/// use jaeger_client::{SpanId, TraceId};
/// use jaeger_client_embedded_agent::{Protocol, Store};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut bytes = Vec::new();
/// let mut root = SpanView::default();
/// root.trace_id = TraceId::new(0, 7);
/// root.span_id = SpanId::new(7);
/// root.operation_name = b"GET /";
/// root.duration_micros = 1_000;
/// root.encode(&mut bytes);
/// let mut child = root;
/// child.span_id = SpanId::new(8);
/// child.parent_span_id = root.span_id;
/// child.operation_name = b"SELECT";
/// child.start_time_micros = 250;
/// child.duration_micros = 500;
/// child.encode(&mut bytes);
/// let batch = BatchView::new(ProcessView::new(b"shop", None), List::new(2, &bytes));
///
/// let store = Store::default();
/// store.receive(Protocol::Compact, &batch.to_message(1))?;
/// let trace = &store.traces()[0];
/// assert_eq!(trace.root().map(|span| span.operation_name().into_owned()).as_deref(), Some("GET /"));
/// assert_eq!(trace.waterfall(60), "\
/// trace 0000000000000007: 2 spans, 1 service, 1ms
/// shop: GET /         1ms ████████████████████████████████████
/// └╴shop: SELECT    500µs          ██████████████████
/// ");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    trace_id: TraceId,
    spans: Vec<ReceivedSpan>,
}

impl Trace {
    pub(crate) fn new(trace_id: TraceId, mut spans: Vec<ReceivedSpan>) -> Self {
        spans.sort_by_cached_key(|span| (span.view().start_time_micros, span.sequence()));
        Self { trace_id, spans }
    }

    /// Returns the trace id.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// Returns the spans, sorted by their start.
    #[must_use]
    pub fn spans(&self) -> &[ReceivedSpan] {
        &self.spans
    }

    /// The first span with this operation name.
    #[must_use]
    pub fn span(&self, operation: &str) -> Option<&ReceivedSpan> {
        self.spans.iter().find(|span| span.operation_name() == operation)
    }

    /// The span without a parent; the one that started first if there are several.
    ///
    /// `None` while the root has not come: clients report it last.
    #[must_use]
    pub fn root(&self) -> Option<&ReceivedSpan> {
        let nodes = tree::preorder(&self.views());
        nodes.iter().find(|node| node.kind == Kind::Root).map(|node| &self.spans[node.span])
    }

    /// The spans whose parent is this one, by the time they started.
    ///
    /// The parent is the one named by its id, or else by the first reference to a span that is in
    /// the trace.
    #[must_use]
    pub fn children(&self, of: &ReceivedSpan) -> Vec<&ReceivedSpan> {
        let views = self.views();
        let parents = tree::parents(&views);
        let of = self.spans.iter().position(|span| span.sequence() == of.sequence());
        let wanted = |span: &usize| of.is_some() && parents[*span] == of;
        (0..views.len()).filter(wanted).map(|span| &self.spans[span]).collect()
    }

    /// The names of its services, in alphabetical order.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        // Few processes make many spans, so each is turned into text once.
        let processes: HashSet<_> = self.spans.iter().map(ReceivedSpan::process_arc).collect();
        let names: BTreeSet<_> =
            processes.iter().map(|process| String::from_utf8_lossy(&process.service)).collect();
        names.into_iter().map(String::from).collect()
    }

    /// From the first start to the last finish, by the clocks of the clients.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let (start, end) = waterfall::extent(&self.views());
        Duration::from_micros(u64::try_from(end - start).unwrap_or(u64::MAX))
    }

    /// Returns how many spans are marked as failed.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.spans.iter().filter(|span| span.is_error()).count()
    }

    /// Draws its tree of spans with a bar for each on the trace's time line.
    ///
    /// # Shape and units
    ///
    /// `width` is in columns. A failed span has a `✗` before its duration. Control characters are
    /// shown escaped, so that a span cannot command the terminal.
    #[must_use]
    pub fn waterfall(&self, width: usize) -> String {
        self.waterfall_with(WaterfallOptions::new(width))
    }

    /// Draws the waterfall, with tags and logs if requested.
    #[must_use]
    pub fn waterfall_with(&self, options: WaterfallOptions) -> String {
        waterfall::draw(self, options)
    }

    pub(crate) fn views(&self) -> Vec<jaeger_client::encoding::SpanView<'_>> {
        self.spans.iter().map(ReceivedSpan::view).collect()
    }
}

/// The waterfall, as wide as [`WaterfallOptions::default`] has it.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.waterfall_with(WaterfallOptions::default()))
    }
}
