//! A trace drawn in a terminal: its tree, with a bar for each span on the trace's time line.
//!
//! Span text comes from the network, so it is escaped before a terminal sees it, and no line is
//! longer than it was asked to be.

use std::fmt::Write as _;

use jaeger_client::encoding::{LogView, SpanView, TagView};

use crate::Trace;
use crate::text::{cut, human, printable, value_text};
use crate::tree::{self, Kind, Node};

/// Options of a waterfall.
///
/// # Examples
///
/// ```
/// use jaeger_client_embedded_agent::WaterfallOptions;
/// let options = WaterfallOptions::new(120).tags(true).logs(true);
/// assert_eq!(options.width, 120);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaterfallOptions {
    /// Columns to draw in; at least 40 and at most 1,000 are used.
    pub width: usize,
    /// Whether each span's tags are listed under it.
    pub tags: bool,
    /// Whether each span's logs are listed under it.
    pub logs: bool,
}

impl Default for WaterfallOptions {
    /// 100 columns, no tags, no logs.
    fn default() -> Self {
        Self::new(100)
    }
}

impl WaterfallOptions {
    /// A waterfall of `width` columns without tags and logs.
    #[must_use]
    pub const fn new(width: usize) -> Self {
        Self { width, tags: false, logs: false }
    }

    /// Lists each span's tags under it, or does not.
    #[must_use]
    pub const fn tags(self, tags: bool) -> Self {
        Self { tags, ..self }
    }

    /// Lists each span's logs under it, or does not.
    #[must_use]
    pub const fn logs(self, logs: bool) -> Self {
        Self { logs, ..self }
    }
}

/// The first start and the last finish, in microseconds since the Unix epoch.
pub(crate) fn extent(spans: &[SpanView<'_>]) -> (i128, i128) {
    let start = spans.iter().map(|span| i128::from(span.start_time_micros)).min();
    let end = spans.iter().map(end_of).max();
    (start.unwrap_or_default(), end.unwrap_or_default())
}

/// A negative duration, which only a broken client sends, ends a span where it starts.
fn end_of(span: &SpanView<'_>) -> i128 {
    i128::from(span.start_time_micros) + i128::from(span.duration_micros.max(0))
}

pub(crate) fn draw(trace: &Trace, options: WaterfallOptions) -> String {
    let views = trace.views();
    let parents = tree::parents(&views);
    let nodes = tree::preorder(&views);
    let (start, end) = extent(&views);
    let mut drawing = Drawing::new(options, start, end);
    drawing.header(trace);
    let label = |node: &Node| {
        let span = &trace.spans()[node.span];
        format!("{}: {}", printable(&span.service()), printable(&span.operation_name()))
    };
    let labels: Vec<_> = nodes.iter().map(label).collect();
    drawing.fit_labels(&nodes, &labels);
    // Whether a line runs down from each level above the current one.
    let mut open = Vec::new();
    for (node, label) in nodes.iter().zip(&labels) {
        open.truncate(node.depth);
        let span = &views[node.span];
        drawing.span(node, &open, label, span, trace.spans()[node.span].is_error());
        open.push(!node.last);
        drawing.notes(node, &open, span, parents[node.span].map(|parent| &views[parent]));
    }
    drawing.out
}

struct Drawing {
    out: String,
    options: WaterfallOptions,
    width: usize,
    start: i128,
    end: i128,
    /// Columns of the tree and its labels.
    label_width: usize,
    /// The number of levels that are drawn; deeper spans are marked instead of moved further.
    levels: usize,
}

/// Columns between label and bar: space, error mark, duration, space.
const MIDDLE: usize = 10;

/// Columns of a duration, right-aligned: `999.9ms`.
const DURATION: usize = 7;

impl Drawing {
    fn new(options: WaterfallOptions, start: i128, end: i128) -> Self {
        let width = options.width.clamp(40, 1_000);
        Self { out: String::new(), options, width, start, end, label_width: 0, levels: 0 }
    }

    fn header(&mut self, trace: &Trace) {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (spans, services) = (trace.spans().len(), trace.services().len());
        let mut line = format!(
            "trace {}: {spans} span{}, {services} service{}, {}",
            trace.trace_id(),
            plural(spans),
            plural(services),
            human(self.end - self.start),
        );
        let errors = trace.error_count();
        if errors > 0 {
            let _ = write!(line, ", {errors} failed");
        }
        self.line(&line);
    }

    /// Makes the label column as wide as the labels, but leaves half of the width to the bars.
    fn fit_labels(&mut self, nodes: &[Node], labels: &[String]) {
        let most = self.width / 2 - MIDDLE / 2;
        self.levels = most / 4;
        let needed = nodes.iter().zip(labels).map(|(node, label)| {
            let depth = node.depth.min(self.levels);
            2 * depth + usize::from(node.depth > depth) + label.chars().count()
        });
        self.label_width = needed.max().unwrap_or_default().clamp(10, most);
    }

    fn span(&mut self, node: &Node, open: &[bool], label: &str, span: &SpanView<'_>, error: bool) {
        let mut left = self.stem(open, node.depth);
        if node.depth > 0 {
            left.push_str(if node.last { "└╴" } else { "├╴" });
        }
        left.push_str(label);
        let line = format!(
            "{:<label$} {}{:>DURATION$} {}",
            cut(&left, self.label_width),
            if error { '✗' } else { ' ' },
            human(i128::from(span.duration_micros)),
            self.bar(span),
            label = self.label_width,
        );
        self.line(&line);
    }

    /// The lines that run down through a row, one for each level in `open` but the first: the
    /// roots have none.
    fn stem(&self, open: &[bool], depth: usize) -> String {
        let mut stem = String::new();
        let hidden = depth.saturating_sub(self.levels);
        if hidden > 0 {
            stem.push('…');
        }
        for open in open.iter().skip(1 + hidden) {
            stem.push_str(if *open { "│ " } else { "  " });
        }
        stem
    }

    fn bar(&self, span: &SpanView<'_>) -> String {
        let columns = self.width - self.label_width - MIDDLE;
        let wide = i128::try_from(columns).unwrap_or(i128::MAX);
        let total = (self.end - self.start).max(1);
        let from = (i128::from(span.start_time_micros) - self.start) * wide / total;
        let from = usize::try_from(from).unwrap_or_default().min(columns - 1);
        // Rounded up, so that a span that took any time has a column.
        let to = ((end_of(span) - self.start) * wide + total - 1) / total;
        let to = usize::try_from(to).unwrap_or_default().clamp(from + 1, columns);
        let ink = if span.duration_micros > 0 { "█" } else { "▏" };
        let length = if span.duration_micros > 0 { to - from } else { 1 };
        " ".repeat(from) + &ink.repeat(length)
    }

    /// Returns the lines below a span: oddities always, tags and logs if requested.
    fn notes(
        &mut self,
        node: &Node,
        open: &[bool],
        span: &SpanView<'_>,
        parent: Option<&SpanView<'_>>,
    ) {
        // The stem of the rows below: the branch of this span, and its own children's.
        let mut stem = self.stem(open, node.depth);
        stem.push_str(if node.has_children { "│ " } else { "  " });
        match node.kind {
            Kind::Orphan => self.note(
                &stem,
                &format!("! its parent {} has not been received", span.parent_span_id),
            ),
            Kind::Cycle => self.note(&stem, "! its parents form a cycle"),
            Kind::Root | Kind::Child => {}
        }
        if let (Kind::Child, Some(parent)) = (node.kind, parent) {
            let early = i128::from(parent.start_time_micros) - i128::from(span.start_time_micros);
            if early > 0 {
                self.note(&stem, &format!("! starts {} before its parent", human(early)));
            }
        }
        if self.options.tags {
            for tag in span.tags() {
                self.note(&stem, &key_value(&tag));
            }
        }
        if self.options.logs {
            for log in span.logs() {
                let text = self.log(span, &log);
                self.note(&stem, &text);
            }
        }
    }

    fn log(&self, span: &SpanView<'_>, log: &LogView<'_>) -> String {
        let after = i128::from(log.timestamp_micros) - i128::from(span.start_time_micros);
        let sign = if after < 0 { "" } else { "+" };
        let mut text = format!("• {sign}{}", human(after));
        for field in log.fields() {
            // Text beyond the line need not be assembled.
            if text.len() > 4 * self.width {
                break;
            }
            text.push(' ');
            text.push_str(&key_value(&field));
        }
        text
    }

    fn note(&mut self, stem: &str, text: &str) {
        let line = format!("{stem}  {text}");
        self.line(&line);
    }

    fn line(&mut self, line: &str) {
        self.out.push_str(cut(line, self.width).trim_end());
        self.out.push('\n');
    }
}

fn key_value(tag: &TagView<'_>) -> String {
    let key = printable(&String::from_utf8_lossy(tag.key));
    format!("{key}={}", value_text(&tag.value))
}
