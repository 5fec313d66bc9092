//! Parts of a tracer with configured panics.

use std::collections::{BTreeMap, HashMap};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jaeger_client::encoding::{BatchView, ValueView};
use jaeger_client::metrics::{Counter, Gauge, MetricKind, MetricsFactory, MetricsHost, Timer};
use jaeger_client::policy::{
    BaggageRestriction, BaggageRestrictionManager, DebugThrottler, PolicyHost, Updates,
};
use jaeger_client::propagation::{
    CarrierKind, ExtractCarrier, Extracted, Format, FormatKey, InjectCarrier, JaegerFormat,
};
use jaeger_client::sampler::{
    Decision, ParentDecision, RemoteCounts, Rule, Sampler, SamplerHost, SamplerStatus,
    SamplingParameters,
};
use jaeger_client::transport::{Sent, Transport};
use jaeger_client::{
    Clock, ConfigError, ExtractError, HeadersConfig, IdGenerator, Logger, ObservedSpan, Observer,
    ObserverInterest, Reporter, Span, SpanFinish, SpanObserver, StartSpanOptions, TagValue,
    TransportError,
};

/// Which method panics, how often each was called, and what the logger was called.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Mutex<Option<&'static str>>,
    calls: Mutex<BTreeMap<&'static str, u64>>,
    pub(crate) messages: Mutex<Vec<String>>,
    now: AtomicU64,
    ids: AtomicU64,
}

/// Implements every trait, and panics in the method that is armed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Broken(pub(crate) Arc<Faults>);

impl Broken {
    pub(crate) fn call(&self, method: &'static str) {
        *self.0.calls.lock().unwrap().entry(method).or_default() += 1;
        let armed = *self.0.armed.lock().unwrap();
        if armed == Some(method) {
            resume_unwind(Box::new("on purpose"));
        }
    }

    pub(crate) fn arm(&self, method: Option<&'static str>) {
        *self.0.armed.lock().unwrap() = method;
    }

    pub(crate) fn calls(&self, method: &str) -> u64 {
        self.0.calls.lock().unwrap().get(method).copied().unwrap_or(0)
    }

    pub(crate) fn has_logged(&self, words: &str) -> bool {
        self.0.messages.lock().unwrap().iter().any(|line| line.contains(words))
    }
}

impl Sampler for Broken {
    fn on_create_span(&self, _span: &mut SamplingParameters<'_>) -> Decision {
        self.call("Sampler::on_create_span");
        Decision::retryable(false)
    }
    fn on_set_operation_name(&self, _span: &mut SamplingParameters<'_>) -> Decision {
        self.call("Sampler::on_set_operation_name");
        Decision::retryable(false)
    }
    fn on_set_tag(&self, _: &mut SamplingParameters<'_>, _: &str, _: ValueView<'_>) -> Decision {
        self.call("Sampler::on_set_tag");
        Decision::retryable(false)
    }
    fn on_finish(&self, _span: &mut SamplingParameters<'_>) -> Decision {
        self.call("Sampler::on_finish");
        Decision::new(true)
    }
    fn may_defer(&self) -> bool {
        self.call("Sampler::may_defer");
        true
    }
    fn decides_on_join(&self) -> bool {
        self.call("Sampler::decides_on_join");
        true
    }
    fn on_join(&self, _: &mut SamplingParameters<'_>, _: ParentDecision) -> Option<Decision> {
        self.call("Sampler::on_join");
        None
    }
    fn memory_bits(&self) -> u32 {
        self.call("Sampler::memory_bits");
        1
    }
    fn status(&self) -> SamplerStatus {
        self.call("Sampler::status");
        SamplerStatus::new(Rule::Const { sample: true })
    }
    fn remote_counts(&self) -> RemoteCounts {
        self.call("Sampler::remote_counts");
        RemoteCounts::default()
    }
    fn start(&self, _host: &SamplerHost) -> Result<(), ConfigError> {
        self.call("Sampler::start");
        Ok(())
    }
    fn close(&self) {
        self.call("Sampler::close");
    }
}

impl Clock for Broken {
    fn monotonic_nanos(&self) -> u64 {
        self.call("Clock::monotonic_nanos");
        self.0.now.fetch_add(1_000_000, Ordering::SeqCst)
    }
    fn wall_nanos(&self) -> i64 {
        self.call("Clock::wall_nanos");
        1_000_000_000_000
    }
}

impl IdGenerator for Broken {
    fn next(&self) -> u64 {
        self.call("IdGenerator::next");
        self.0.ids.fetch_add(1, Ordering::SeqCst) + 1
    }
    fn next_high(&self) -> u64 {
        self.call("IdGenerator::next_high");
        7
    }
}

impl Format for Broken {
    fn inject(&self, context: &jaeger_client::SpanContext, into: &mut dyn InjectCarrier) -> usize {
        let format = JaegerFormat::new(HeadersConfig::default());
        let refused = format.inject(context, into);
        self.call("Format::inject");
        refused
    }
    fn extract(&self, carrier: &dyn ExtractCarrier) -> Result<Extracted, ExtractError> {
        self.call("Format::extract");
        JaegerFormat::new(HeadersConfig::default()).extract(carrier)
    }
    fn keys(&self) -> &[FormatKey] {
        self.call("Format::keys");
        &[]
    }
}

pub(crate) struct Carrier<'b>(pub(crate) &'b Broken, pub(crate) HashMap<String, String>);

impl InjectCarrier for Carrier<'_> {
    fn set(&mut self, key: &str, value: &str) -> bool {
        self.0.call("InjectCarrier::set");
        self.1.insert(key.to_owned(), value.to_owned());
        true
    }
    fn remove_if(&mut self, is_stale: &mut dyn FnMut(&str) -> bool) {
        self.0.call("InjectCarrier::remove_if");
        self.1.remove_if(is_stale);
    }
    fn kind(&self) -> CarrierKind {
        self.0.call("InjectCarrier::kind");
        CarrierKind::TextMap
    }
}

impl ExtractCarrier for Carrier<'_> {
    fn visit(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        self.0.call("ExtractCarrier::visit");
        self.1.visit(visit);
    }
    fn kind(&self) -> CarrierKind {
        self.0.call("ExtractCarrier::kind");
        CarrierKind::TextMap
    }
}

impl BaggageRestrictionManager for Broken {
    fn restriction(&self, _service: &str, _key: &str) -> BaggageRestriction {
        self.call("BaggageRestrictionManager::restriction");
        BaggageRestriction::ALLOWED
    }
    fn start(&self, _host: &PolicyHost) -> Result<(), ConfigError> {
        self.call("BaggageRestrictionManager::start");
        Ok(())
    }
    fn close(&self) {
        self.call("BaggageRestrictionManager::close");
    }
    fn updates(&self) -> Updates {
        self.call("BaggageRestrictionManager::updates");
        Updates::default()
    }
}

impl DebugThrottler for Broken {
    fn is_allowed(&self, _operation: &str) -> bool {
        self.call("DebugThrottler::is_allowed");
        true
    }
    fn start(&self, _host: &PolicyHost) -> Result<(), ConfigError> {
        self.call("DebugThrottler::start");
        Ok(())
    }
    fn close(&self) {
        self.call("DebugThrottler::close");
    }
    fn updates(&self) -> Updates {
        self.call("DebugThrottler::updates");
        Updates::default()
    }
    fn throttled(&self) -> u64 {
        self.call("DebugThrottler::throttled");
        0
    }
}

impl Observer for Broken {
    fn interest(&self) -> ObserverInterest {
        self.call("Observer::interest");
        ObserverInterest::all()
    }
    fn on_start_span(
        &self,
        _span: &Span,
        _operation: &str,
        _options: &StartSpanOptions<'_>,
    ) -> Option<Box<dyn SpanObserver>> {
        self.call("Observer::on_start_span");
        Some(Box::new(self.clone()))
    }
}

/// An observer of finished spans alone.
#[derive(Debug)]
pub(crate) struct BrokenAtEnd(pub(crate) Broken);

impl Observer for BrokenAtEnd {
    fn interest(&self) -> ObserverInterest {
        ObserverInterest::finished_spans(["a"])
    }
    fn on_span_finished(&self, _span: &ObservedSpan<'_>) {
        self.0.call("Observer::on_span_finished");
    }
}

impl SpanObserver for Broken {
    fn on_set_operation_name(&self, _span: &Span, _name: &str) {
        self.call("SpanObserver::on_set_operation_name");
    }
    fn on_set_tag(&self, _span: &Span, _key: &str, _value: TagValue<'_>) {
        self.call("SpanObserver::on_set_tag");
    }
    fn on_finish(&self, _span: &Span, _finish: &SpanFinish) {
        self.call("SpanObserver::on_finish");
    }
}

impl Logger for Broken {
    fn error(&self, message: &str) {
        self.0.messages.lock().unwrap().push(message.to_owned());
        self.call("Logger::error");
    }
    fn info(&self, _message: &str) {
        self.call("Logger::info");
    }
}

impl MetricsFactory for Broken {
    fn counter(&self, _name: &str, _tags: &[(&str, &str)]) -> Box<dyn Counter> {
        self.call("MetricsFactory::counter");
        Box::new(self.clone())
    }
    fn gauge(&self, _name: &str, _tags: &[(&str, &str)]) -> Box<dyn Gauge> {
        self.call("MetricsFactory::gauge");
        Box::new(self.clone())
    }
    fn timer(&self, _name: &str, _tags: &[(&str, &str)]) -> Box<dyn Timer> {
        self.call("MetricsFactory::timer");
        Box::new(self.clone())
    }
    fn describe(&self, _kind: MetricKind, _name: &str, _help: &str) {
        self.call("MetricsFactory::describe");
    }
    fn start(&self, _host: &MetricsHost) {
        self.call("MetricsFactory::start");
    }
}

impl Counter for Broken {
    fn inc(&self, _delta: u64) {
        self.call("Counter::inc");
    }
}

impl Gauge for Broken {
    fn update(&self, _value: i64) {
        self.call("Gauge::update");
    }
}

impl Timer for Broken {
    fn record(&self, _duration: Duration) {
        self.call("Timer::record");
    }
}

impl Reporter for Broken {
    fn report(&mut self, _batch: &BatchView<'_>) -> Result<(), TransportError> {
        self.call("Reporter::report");
        Ok(())
    }
    fn flush(&mut self) {
        self.call("Reporter::flush");
    }
}

impl Transport for Broken {
    fn send(&mut self, _message: &[u8]) -> Result<Sent, TransportError> {
        self.call("Transport::send");
        Ok(Sent::OK)
    }
    fn max_message_bytes(&self) -> usize {
        self.call("Transport::max_message_bytes");
        65_000
    }
    fn take_late_refusal(&mut self) -> bool {
        self.call("Transport::take_late_refusal");
        false
    }
    fn receiver_drops(&mut self) -> Option<u64> {
        self.call("Transport::receiver_drops");
        Some(0)
    }
    fn tick(&mut self) {
        self.call("Transport::tick");
    }
}
