//! A layer over a tracer that keeps its spans, and what is read of them.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use std::fmt;
use std::sync::Arc;

use jaeger_client::encoding::{SpanView, ValueView};
use jaeger_client::{Closer, InMemoryReporter, SpanId, TraceId, Tracer, TracerBuilder};
use jaeger_client_tracing::{DefaultFilter, JaegerLayer, JaegerLayerBuilder, LayerHandle};
use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

/// A tracer, its spans, and a subscriber that fills them.
pub(crate) struct Traced {
    pub(crate) tracer: Tracer,
    pub(crate) reporter: InMemoryReporter,
    pub(crate) handle: LayerHandle,
    pub(crate) dispatch: Dispatch,
    _closer: Closer,
}

impl Default for Traced {
    fn default() -> Self {
        Self::with(Tracer::builder("svc"), |layer| layer)
    }
}

impl Traced {
    /// With a tracer and a layer of the test's choice. All levels are on.
    pub(crate) fn with(
        tracer: TracerBuilder,
        layer: impl FnOnce(JaegerLayerBuilder<DefaultFilter>) -> JaegerLayerBuilder<DefaultFilter>,
    ) -> Self {
        let reporter = InMemoryReporter::new();
        let (tracer, closer) = tracer.in_memory(&reporter).build().unwrap();
        let builder = JaegerLayer::builder(tracer.clone());
        let builder = layer(builder.filter(DefaultFilter::new(LevelFilter::TRACE)));
        let layer = builder.build();
        let handle = layer.inner().handle();
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer.boxed()));
        Self { tracer, reporter, handle, dispatch, _closer: closer }
    }

    /// Runs with the subscriber, and gives the spans that were finished.
    pub(crate) fn run(&self, work: impl FnOnce()) -> Spans {
        tracing::dispatcher::with_default(&self.dispatch, work);
        self.spans()
    }

    /// The spans that are finished. The accounting holds, and nothing is open.
    pub(crate) fn spans(&self) -> Spans {
        let stats = self.tracer.stats();
        assert!(stats.is_balanced(), "{stats}");
        Spans(self.reporter.spans().iter().map(|span| Seen::of(&span.view())).collect())
    }
}

/// Finished spans, in the order in which they ended.
#[derive(Debug)]
pub(crate) struct Spans(pub(crate) Vec<Seen>);

impl Spans {
    pub(crate) fn named(&self, name: &str) -> &Seen {
        let mut found = self.0.iter().filter(|span| span.name == name);
        let span = found.next().unwrap_or_else(|| panic!("no span {name}: {self:?}"));
        assert!(found.next().is_none(), "several spans {name}: {self:?}");
        span
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|span| span.name.as_str()).collect()
    }
}

/// A finished span.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) trace: TraceId,
    pub(crate) id: SpanId,
    pub(crate) parent: SpanId,
    pub(crate) start: i64,
    pub(crate) duration: i64,
    pub(crate) tags: Vec<(String, Value)>,
    pub(crate) logs: Vec<Vec<(String, Value)>>,
    /// Whether each follows from what it refers to, and the span that is.
    pub(crate) references: Vec<(bool, SpanId)>,
}

/// A value of a tag or log field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Bool(bool),
    Long(i64),
    Double(f64),
    Binary(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Seen {
    fn of(view: &SpanView<'_>) -> Self {
        let pair = |tag: jaeger_client::encoding::TagView<'_>| {
            let key = String::from_utf8(tag.key.to_vec()).unwrap();
            let value = match tag.value {
                ValueView::Str(text) => Value::Text(String::from_utf8(text.to_vec()).unwrap()),
                ValueView::Bool(boolean) => Value::Bool(boolean),
                ValueView::Long(number) => Value::Long(number),
                ValueView::Double(number) => Value::Double(number),
                ValueView::Binary(bytes) => Value::Binary(bytes.to_vec()),
                other => panic!("{other:?}"),
            };
            (key, value)
        };
        Self {
            name: view.operation_name().into_owned(),
            trace: view.trace_id,
            id: view.span_id,
            parent: view.parent_span_id,
            start: view.start_time_micros,
            duration: view.duration_micros,
            tags: view.tags().map(pair).filter(|(key, _)| !key.starts_with("sampler.")).collect(),
            logs: view.logs().map(|log| log.fields().map(pair).collect()).collect(),
            references: view.references().map(|to| (to.follows_from, to.span_id)).collect(),
        }
    }

    /// The only value of a key.
    pub(crate) fn tag(&self, key: &str) -> Option<&Value> {
        let mut found = self.tags.iter().filter(|(known, _)| known == key);
        let value = found.next().map(|(_, value)| value);
        assert!(found.next().is_none(), "several {key}: {self:?}");
        value
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        match self.tag(key) {
            Some(Value::Text(text)) => text,
            other => panic!("{key} is {other:?}: {self:?}"),
        }
    }

    /// The only value of a field in the only log, or the log of that number.
    pub(crate) fn log(&self, number: usize, key: &str) -> Option<&Value> {
        self.logs[number].iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    pub(crate) fn is_child_of(&self, parent: &Self) -> bool {
        self.trace == parent.trace && self.parent == parent.id
    }

    pub(crate) fn is_root(&self) -> bool {
        self.parent == SpanId::NONE
    }
}

/// A context that came from elsewhere.
pub(crate) fn remote(trace: u64, flags: u8) -> jaeger_client::SpanContext {
    jaeger_client::SpanContext::new(TraceId::new(0, trace), SpanId::new(77), SpanId::NONE, flags)
}

/// Lines that a layer has written.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<parking_lot::Mutex<Vec<u8>>>);

impl Lines {
    pub(crate) fn all(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Does something whenever it is shown.
pub(crate) struct Shown<F>(pub(crate) F);

impl<F: Fn() -> &'static str> fmt::Debug for Shown<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str((self.0)())
    }
}
