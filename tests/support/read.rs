//! Spans read whole, so that a test can compare them with plain values.

use jaeger_client::encoding::{BatchView, SpanView, TagView, ValueView};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Str(String),
    Double(f64),
    Bool(bool),
    Long(i64),
    Binary(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

pub(crate) type Tag = (String, Value);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Log {
    pub(crate) micros: i64,
    pub(crate) fields: Vec<Tag>,
}

/// Whether it follows from it, the trace's halves, and the span.
pub(crate) type Reference = (bool, (u64, u64), u64);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) trace: (u64, u64),
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) name: String,
    pub(crate) flags: i32,
    pub(crate) start: i64,
    pub(crate) duration: i64,
    pub(crate) references: Vec<Reference>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) logs: Vec<Log>,
}

impl Span {
    pub(crate) fn read(view: SpanView<'_>) -> Self {
        let half = |id: jaeger_client::TraceId| (id.high(), id.low());
        let logs = view.logs().map(|log| Log {
            micros: log.timestamp_micros,
            fields: log.fields().map(tag).collect(),
        });
        let references =
            view.references().map(|r| (r.follows_from, half(r.trace_id), r.span_id.get()));
        Self {
            trace: half(view.trace_id),
            id: view.span_id.get(),
            parent: view.parent_span_id.get(),
            name: view.operation_name().into_owned(),
            flags: view.flags,
            start: view.start_time_micros,
            duration: view.duration_micros,
            references: references.collect(),
            tags: view.tags().map(tag).collect(),
            logs: logs.collect(),
        }
    }

    /// The last value under this key.
    pub(crate) fn tag(&self, key: &str) -> Option<&Value> {
        self.tags.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Its tags without those that the sampler set.
    pub(crate) fn own_tags(&self) -> Vec<Tag> {
        let own = |tag: &&Tag| !tag.0.starts_with("sampler.");
        self.tags.iter().filter(own).cloned().collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text is UTF-8")
}

fn tag(tag: TagView<'_>) -> Tag {
    let value = match tag.value {
        ValueView::Str(bytes) => Value::Str(text(bytes)),
        ValueView::Double(double) => Value::Double(double),
        ValueView::Bool(boolean) => Value::Bool(boolean),
        ValueView::Long(long) => Value::Long(long),
        ValueView::Binary(bytes) => Value::Binary(bytes.to_vec()),
        other => panic!("a kind that the tests do not know: {other:?}"),
    };
    (text(tag.key), value)
}

#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) sequence_id: u32,
    pub(crate) service: String,
    pub(crate) tags: Vec<Tag>,
    pub(crate) seq_no: Option<i64>,
    /// Lost to a full queue, to their size, in sending.
    pub(crate) lost: Option<(i64, i64, i64)>,
    pub(crate) spans: Vec<Span>,
}

impl Batch {
    pub(crate) fn read(datagram: &[u8]) -> Self {
        let (sequence_id, view) = BatchView::parse_message(datagram).expect("a message");
        let lost = view.stats.map(|stats| {
            let too_large = stats.too_large_dropped_spans;
            (stats.full_queue_dropped_spans, too_large, stats.failed_to_emit_spans)
        });
        let batch = Self {
            sequence_id,
            service: text(view.process.service_name),
            tags: view.process.tags().map(tag).collect(),
            seq_no: view.seq_no,
            lost,
            spans: view.spans().map(Span::read).collect(),
        };
        assert_eq!(batch.spans.len(), view.spans.count, "every span can be read");
        batch
    }

    pub(crate) fn tag(&self, key: &str) -> Option<&Value> {
        self.tags.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

/// The spans of an in-memory reporter, in the order they were finished.
pub(crate) fn finished(reporter: &jaeger_client::InMemoryReporter) -> Vec<Span> {
    reporter.spans().iter().map(|span| Span::read(span.view())).collect()
}
