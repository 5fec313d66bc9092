//! Builds a tracer: checks the parts, starts the threads, and returns the closer.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock, Weak};

use super::builder::{Target, TracerBuilder};
use super::closer::BackgroundParts;
use super::{Closer, Shared, Tracer, process};
use crate::clock::{Anchor, ClockSource, TracerClock};
use crate::diag::{Cause, Diagnostics, StderrLogger};
use crate::error::ConfigError;
use crate::fork::ProcessOrigin;
use crate::id::{self, IdGenerator, IdSource};
use crate::metrics::{Instruments, Publisher, RpcMetrics};
use crate::panics::Callback;
use crate::propagation::{Format, JaegerFormat, check_keys};
#[cfg(feature = "saved-batches")]
use crate::reporter::FileSaver;
use crate::reporter::{
    Destination, ExporterOptions, MemorySink, NullSink, ReporterService, SaveSpans,
    UnstartedService, WorkerOptions,
};
use crate::sampler::Sampler;
use crate::saved::SavedBatchesConfig;
#[cfg(feature = "saved-batches")]
use crate::saved::SavedFile;
use crate::span::counters::Stripes;
use crate::span::shared::{
    BaggageLimits, Incidents, Output, OwnProcess, Sampling, Sink, SpanShared, StartPaths,
};
use crate::span::{Hooks, Observer, OpenList};
use crate::tail::TailSampler;
use crate::transport::CloseSignal;

impl TracerBuilder {
    /// Builds the tracer, and the closer that ends it.
    ///
    /// A forked process has none of its parent's threads, and so needs its own tracer. With
    /// its parent's tracer, no call waits and ids are unique, but nothing is sampled or sent, no
    /// callback is called, and one line is logged about it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the option, the value and what is allowed: an empty service name, an
    /// agent address without host or port, sizes out of range, names that are invalid or ambiguous
    /// as headers. An agent that cannot be reached, or whose name does not resolve, is no error:
    /// failures are counted, and retried.
    pub fn build(self) -> Result<(Tracer, Closer), ConfigError> {
        if self.service_name.trim().is_empty() {
            return Err(ConfigError::NoServiceName { noticed: Vec::new() });
        }
        if !(1..=MAX_SHARDS).contains(&self.shards) {
            return Err(out_of_range("shards", self.shards, "from 1 to 1024"));
        }
        let mut send = self.send.clone().checked()?;
        let trace_id_128bit = self.has_wide_trace_ids();
        let options = self.spans.clone().resolved();
        let records_tracestate = self.has_otlp_destination();
        let jaeger = JaegerFormat::new(self.headers.clone());
        check_keys(jaeger.keys())?;
        let format = self.format.unwrap_or_else(|| Box::new(jaeger));
        let logger = self.logger.unwrap_or_else(|| Box::new(StderrLogger));
        let origin = ProcessOrigin::here().map_err(|source| ConfigError::Thread { source })?;
        let diagnostics = Arc::new(Diagnostics::new(logger, origin.clone()));
        let panicked = ConfigError::Panicked { callback: Callback::FormatKeys.name() };
        diagnostics
            .call(Callback::FormatKeys, || check_keys(format.keys()))
            .unwrap_or(Err(panicked))?;
        // The instruments of `rpc_metrics` are the caller's too.
        let may_be_retained = !self.has_destructors
            && !self.rpc_metrics
            && self.baggage.is_none()
            && self.throttler.is_none();
        let next =
            |ids: &dyn IdGenerator| diagnostics.call(Callback::IdGeneratorNext, || ids.next());
        let own_id = self.ids.as_deref().and_then(next).unwrap_or_else(id::system_63);
        let uuid = process::client_uuid(&self.tags, own_id);
        let service_name = process::service_name(&self.service_name);
        let process = process::bytes(&service_name, &self.tags, &options, &uuid);
        let destinations = match (self.target, self.others) {
            (Target::InMemory(reporter), others) if others.is_empty() => {
                Err(Sink::Other(Box::new(MemorySink::new(reporter))))
            }
            (Target::Null, others) if others.is_empty() => {
                Err(Sink::Other(Box::new(NullSink::default())))
            }
            (target, others) => {
                let first = match target {
                    Target::Agent(address) => Destination::agent(address, send.agent_protocol),
                    Target::Transport(own) => {
                        Destination::boxed_transport(own, send.agent_protocol)
                    }
                    Target::InMemory(reporter) => Destination::in_memory(&reporter),
                    Target::Null => Destination::null(),
                    Target::Destination(destination) => destination,
                };
                Ok(std::iter::once(first).chain(others))
            }
        };
        let (sink, unstarted) = match destinations {
            Err(at_once) => (at_once, None),
            Ok(destinations) => {
                let close_signal = CloseSignal::default();
                let saver = saver(send.saved_batches.take(), &close_signal, &diagnostics)?;
                let options = ExporterOptions {
                    process: &process,
                    send: &send,
                    close_signal: &close_signal,
                    diagnostics: &diagnostics,
                    saver,
                };
                let (shards, unstarted) = ReporterService::prepare(WorkerOptions {
                    exporters: options.exporters(destinations)?,
                    shards: self.shards,
                    send: &send,
                    process_bytes: process.len(),
                    close_signal,
                    origin: origin.clone(),
                    diagnostics: Arc::clone(&diagnostics),
                });
                (Sink::ShardedBuffers(shards), Some(unstarted))
            }
        };
        let tail_sampler = self
            .tail_sampler
            .map(|config| TailSampler::new(&config, self.shards, &origin))
            .transpose()?;
        let mut observers = self.observers;
        let is_rpc_lost = self.rpc_metrics && self.metrics.is_none();
        if let Some(metrics) = self.metrics.as_ref().filter(|_| self.rpc_metrics) {
            let instruments = Instruments::new(Arc::clone(metrics), Arc::clone(&diagnostics));
            observers.push(Box::new(RpcMetrics::new(instruments)));
        }
        let with_interest = |observer: Box<dyn Observer>| {
            let interest = diagnostics.call(Callback::ObserverInterest, || observer.interest());
            let callback = Callback::ObserverInterest.name();
            interest.map(|interest| (observer, interest)).ok_or(ConfigError::Panicked { callback })
        };
        let observers: Vec<_> =
            observers.into_iter().map(with_interest).collect::<Result<_, _>>()?;
        let hooks = Hooks::new(observers, OpenList::of(options.track_open_spans, &origin));
        let debug_tag = self.headers.debug;
        let sampling =
            Sampling::new(self.sampler, tail_sampler, self.throttler, debug_tag, &options);
        let id_source = IdSource {
            generator: self.ids,
            salt: id::seed(),
            are_wide: trace_id_128bit,
            diagnostics: Arc::clone(&diagnostics),
        };
        let clock = TracerClock::new(self.clock, &diagnostics);
        let has_own_clock = clock.source() == ClockSource::Custom;
        let has_metrics = self.metrics.is_some();
        let start =
            StartPaths::new(&sampling, &id_source, &hooks, &options, has_metrics, has_own_clock);
        let span_shared = Arc::new(SpanShared {
            anchor: Anchor::new(&clock),
            clock,
            id_source,
            sampling,
            start: if self.disabled { start.all_full() } else { start },
            options,
            baggage: BaggageLimits {
                restrictions: self.baggage,
                max_value_bytes: MAX_BAGGAGE_VALUE_BYTES,
            },
            hooks,
            output: Output { sink, records_tracestate },
            disabled: self.disabled.then(Arc::default),
            tracer: OnceLock::new(),
            process: OwnProcess {
                service_name: service_name.as_ref().into(),
                origin,
                is_closed_in_fork: false.into(),
            },
            may_be_retained,
            diagnostics: Arc::clone(&diagnostics),
            incidents: Incidents::default(),
        });
        span_shared.renew_anchor();
        let status = span_shared.sampling.sampler.status();
        span_shared
            .diagnostics
            .info(&format!("tracing as {:?}, sampling {status}", self.service_name));
        if matches!(service_name, Cow::Owned(_)) {
            let name = &self.service_name;
            span_shared.diagnostics.info(&format!(
                "the service name {name:?} has control characters, and is sent as {service_name:?}"
            ));
        }
        if is_rpc_lost {
            span_shared.diagnostics.error(Cause::Metrics, || {
                "rpc_metrics are on, but the tracer was given no metrics to count them in"
                    .to_owned()
            });
        }
        let background = BackgroundParts::begin(&span_shared, uuid)?;
        let stripes = Stripes::new(&span_shared, self.shards);
        let metrics = self.metrics.map(|factory| {
            Publisher::new(&span_shared, &stripes, &Instruments::new(factory, diagnostics))
        });
        let start = |unstarted: UnstartedService| {
            let (renewed, disciplined) = (Arc::clone(&span_shared), Arc::clone(&span_shared));
            let discipline = move || disciplined.discipline_clock();
            unstarted.start(move || renewed.renew_anchor(), discipline, metrics.clone())
        };
        let reporter = unstarted.map(start).transpose()?;
        background.keep_running();
        let shared = Arc::new(Shared {
            stripes,
            span_shared,
            format,
            reporter,
            metrics,
            is_closed: false.into(),
        });
        let weak: Weak<Shared> = Arc::downgrade(&shared);
        let _ = shared.span_shared.tracer.set(weak);
        Ok((Tracer { shared: Arc::clone(&shared) }, Closer::new(shared, self.drop_timeout)))
    }
}

/// Returns the destination of spans that cannot be sent any more.
#[cfg(feature = "saved-batches")]
fn saver(
    config: Option<SavedBatchesConfig>,
    close_signal: &CloseSignal,
    diagnostics: &Arc<Diagnostics>,
) -> Result<Option<Arc<dyn SaveSpans>>, ConfigError> {
    let Some(config) = config else { return Ok(None) };
    SavedFile::check(&config.path).map_err(|error| {
        let allowed = "a file, or a name for one in a folder that is there";
        ConfigError::invalid("reporter.saved_batches", error.to_string(), allowed)
    })?;
    Ok(Some(Arc::new(FileSaver::new(config, close_signal, diagnostics))))
}

#[cfg(not(feature = "saved-batches"))]
fn saver(
    config: Option<SavedBatchesConfig>,
    _close_signal: &CloseSignal,
    _diagnostics: &Arc<Diagnostics>,
) -> Result<Option<Arc<dyn SaveSpans>>, ConfigError> {
    let (field, feature) = ("reporter.saved_batches", "saved-batches");
    if config.is_some() { Err(ConfigError::FeatureOff { field, feature }) } else { Ok(None) }
}

fn out_of_range(field: &'static str, value: usize, allowed: &'static str) -> ConfigError {
    ConfigError::invalid(field, value.to_string(), allowed)
}

const MAX_SHARDS: usize = 1024;
const MAX_BAGGAGE_VALUE_BYTES: usize = 2048;
