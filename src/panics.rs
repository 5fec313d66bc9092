//! Handling of panics of user callbacks.
//!
//! A user callback is code of an application, or of another crate, that a tracer calls: a method of
//! one of the traits below. The same rules hold for all of them:
//!
//! - The panic is caught. It neither reaches the call of the application that led to it, nor ends a
//!   thread of the tracer. The span that it happens to goes on.
//! - It is counted, in [`Stats::callback_panics`](crate::Stats::callback_panics), and logged with
//!   the name of the method and the panic's message, at most once a minute for each kind: samplers,
//!   clocks, id generators, formats, restriction managers, throttlers, observers, metrics,
//!   destinations.
//! - The default in the table replaces the result. Every lost span is counted.
//! - No lock of the tracer is held during a call, so that none is left locked, or poisoned.
//!
//! | callback | after a panic |
//! |---|---|
//! | `Sampler::on_create_span` | the sampler has no opinion: the trace is not sampled, or the decision stays deferred |
//! | `Sampler::on_set_operation_name` | the decision stays deferred |
//! | `Sampler::on_set_tag` | the decision stays deferred |
//! | `Sampler::on_finish` | the decision stays deferred |
//! | `Sampler::may_defer` | the sampler does not defer decisions |
//! | `Sampler::decides_on_join` | the sampler is not called for traces that continue here |
//! | `Sampler::on_join` | the caller's decision stands |
//! | `Sampler::memory_bits` | more bits than there are, so that a list with that sampler is refused |
//! | `Sampler::status` | the rule is unknown |
//! | `Sampler::remote_counts` | no polls |
//! | `Sampler::start` | the tracer is not built, `ConfigError::Panicked` |
//! | `Sampler::close` | the close goes on |
//! | `StrategySource::fetch` | the poll failed, and is counted as such in `RemoteStatus` |
//! | `StrategySource::name` | the source is unknown |
//! | `Clock::monotonic_nanos` | the latest reading |
//! | `Clock::wall_nanos` | wall time goes on from the last reading; before the first, it is the system's |
//! | `IdGenerator::next` | a random number |
//! | `IdGenerator::next_high` | a random number |
//! | `Format::inject` | the carrier has the keys written before |
//! | `Format::extract` | `ExtractError::Panicked`, which is counted as a decoding error |
//! | `Format::keys` | the tracer is not built, `ConfigError::Panicked`; later, as for `Format::inject` |
//! | `InjectCarrier::set` | as for `Format::inject` |
//! | `InjectCarrier::kind` | as for `Format::inject` |
//! | `InjectCarrier::remove_if` | as for `Format::inject` |
//! | `ExtractCarrier::visit` | as for `Format::extract` |
//! | `ExtractCarrier::kind` | as for `Format::extract` |
//! | `BaggageRestrictionManager::restriction` | the item is denied, and counted as such |
//! | `BaggageRestrictionManager::start` | the tracer is not built, `ConfigError::Panicked` |
//! | `BaggageRestrictionManager::close` | the close goes on |
//! | `BaggageRestrictionManager::updates` | no polls |
//! | `DebugThrottler::is_allowed` | the request for debugging is denied |
//! | `DebugThrottler::start` | the tracer is not built, `ConfigError::Panicked` |
//! | `DebugThrottler::close` | the close goes on |
//! | `DebugThrottler::updates` | no polls |
//! | `DebugThrottler::throttled` | no denials |
//! | `Observer::interest` | the tracer is not built, `ConfigError::Panicked` |
//! | `Observer::on_start_span` | that observer gets no further calls for the span; counted in `Stats::observer_panics` too |
//! | `Observer::on_span_finished` | the next observer is called; counted in `Stats::observer_panics` too |
//! | `SpanObserver::on_set_operation_name` | the next observer is called; counted in `Stats::observer_panics` too |
//! | `SpanObserver::on_set_tag` | the next observer is called; counted in `Stats::observer_panics` too |
//! | `SpanObserver::on_finish` | the next observer is called; counted in `Stats::observer_panics` too |
//! | `Span::on_finish` | the next callback is called; counted in `Stats::observer_panics` too |
//! | `Logger::error` | the message is lost |
//! | `Logger::info` | the message is lost |
//! | `MetricsFactory::counter` | an instrument that does nothing |
//! | `MetricsFactory::gauge` | an instrument that does nothing |
//! | `MetricsFactory::timer` | an instrument that does nothing |
//! | `MetricsFactory::describe` | the metric has no description |
//! | `MetricsFactory::start` | the factory does not update its instruments by itself |
//! | `Counter::inc` | that update is lost, and the other instruments are called |
//! | `Gauge::update` | that update is lost, and the other instruments are called |
//! | `Timer::record` | that update is lost, and the other instruments are called |
//! | `Reporter::report` | the spans are counted as `send_failed` |
//! | `Reporter::flush` | the flush goes on |
//! | `Transport::send` | the spans are counted as `send_failed` |
//! | `Transport::max_message_bytes` | 65,000 |
//! | `Transport::take_late_refusal` | no late refusal |
//! | `Transport::receiver_drops` | the last reading stays |
//! | `Transport::tick` | the work is left to the next tick |
//!
//! Code that runs as a part of the application's own call is not a callback, and its panics are not
//! caught: conversions of names and values (`Into`, [`IntoTagValue`](crate::IntoTagValue),
//! [`Parent`](crate::Parent)), closures given to [`wrap`](crate::wrap), and futures. They panic
//! before the tracer has begun, or after it is done. Panics of destructors are not caught either,
//! except those of span observers, which are dropped with each span.
//!
//! With `panic = "abort"` nothing is caught: any panic ends the process.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a user callback.
///
/// # Errors
///
/// The message of the panic.
#[inline]
pub(crate) fn catch<T>(callback: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(callback)).map_err(message)
}

#[cold]
fn message(payload: Box<dyn Any + Send>) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no message").to_owned();
    // The payload of the panic is dropped here, which may panic again.
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
    text
}

/// Names the callbacks whose panics are logged, by families with a rate limit each.
macro_rules! callbacks {
    ($($family:ident { $($variant:ident: $name:literal,)* })*) => {
        /// A method of a trait that users implement.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Callback {
            $($(#[doc = $name] $variant,)*)*
        }

        #[derive(Clone, Copy)]
        enum Family {
            $($family,)*
        }

        impl Callback {
            /// The number of families.
            pub(crate) const FAMILIES: usize = [$(Family::$family,)*].len();

            /// Returns the name in messages.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $($(Self::$variant => $name,)*)*
                }
            }

            /// Returns the number of the family.
            pub(crate) const fn family(self) -> usize {
                let family = match self {
                    $($(Self::$variant)|* => Family::$family,)*
                };
                family as usize
            }

            #[cfg(test)]
            const ALL: &'static [Self] = &[$($(Self::$variant,)*)*];
        }
    };
}

callbacks! {
    Sampler {
        SamplerOnCreateSpan: "Sampler::on_create_span",
        SamplerOnSetOperationName: "Sampler::on_set_operation_name",
        SamplerOnSetTag: "Sampler::on_set_tag",
        SamplerOnFinish: "Sampler::on_finish",
        SamplerMayDefer: "Sampler::may_defer",
        SamplerDecidesOnJoin: "Sampler::decides_on_join",
        SamplerOnJoin: "Sampler::on_join",
        SamplerMemoryBits: "Sampler::memory_bits",
        SamplerStatus: "Sampler::status",
        SamplerRemoteCounts: "Sampler::remote_counts",
        SamplerStart: "Sampler::start",
        SamplerClose: "Sampler::close",
    }
    Clock {
        ClockMonotonicNanos: "Clock::monotonic_nanos",
        ClockWallNanos: "Clock::wall_nanos",
    }
    IdGenerator {
        IdGeneratorNext: "IdGenerator::next",
        IdGeneratorNextHigh: "IdGenerator::next_high",
    }
    Format {
        FormatInject: "Format::inject",
        FormatExtract: "Format::extract",
        FormatKeys: "Format::keys",
    }
    RestrictionManager {
        RestrictionManagerRestriction: "BaggageRestrictionManager::restriction",
        RestrictionManagerStart: "BaggageRestrictionManager::start",
        RestrictionManagerClose: "BaggageRestrictionManager::close",
        RestrictionManagerUpdates: "BaggageRestrictionManager::updates",
    }
    Throttler {
        ThrottlerIsAllowed: "DebugThrottler::is_allowed",
        ThrottlerStart: "DebugThrottler::start",
        ThrottlerClose: "DebugThrottler::close",
        ThrottlerUpdates: "DebugThrottler::updates",
        ThrottlerThrottled: "DebugThrottler::throttled",
    }
    Observer {
        ObserverInterest: "Observer::interest",
        ObserverOnStartSpan: "Observer::on_start_span",
        ObserverOnSpanFinished: "Observer::on_span_finished",
        SpanObserverOnSetOperationName: "SpanObserver::on_set_operation_name",
        SpanObserverOnSetTag: "SpanObserver::on_set_tag",
        SpanObserverOnFinish: "SpanObserver::on_finish",
        SpanObserverDrop: "SpanObserver::drop",
        SpanOnFinish: "Span::on_finish",
    }
    Metrics {
        MetricsFactoryCounter: "MetricsFactory::counter",
        MetricsFactoryGauge: "MetricsFactory::gauge",
        MetricsFactoryTimer: "MetricsFactory::timer",
        MetricsFactoryDescribe: "MetricsFactory::describe",
        MetricsFactoryStart: "MetricsFactory::start",
        CounterInc: "Counter::inc",
        GaugeUpdate: "Gauge::update",
        TimerRecord: "Timer::record",
    }
    Output {
        ReporterReport: "Reporter::report",
        ReporterFlush: "Reporter::flush",
        TransportSend: "Transport::send",
        TransportMaxMessageBytes: "Transport::max_message_bytes",
        TransportTakeLateRefusal: "Transport::take_late_refusal",
        TransportReceiverDrops: "Transport::receiver_drops",
        TransportTick: "Transport::tick",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_panic_of_any_payload_is_shown() {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                std::panic::resume_unwind(Box::new("again"));
            }
        }
        let caught = |payload: Box<dyn Any + Send>| {
            catch(|| -> () { std::panic::resume_unwind(payload) }).unwrap_err()
        };
        assert_eq!(caught(Box::new("static")), "static");
        assert_eq!(caught(Box::new("owned".to_owned())), "owned");
        assert_eq!(caught(Box::new(Panics)), "no message");
        assert_eq!(catch(|| 7), Ok(7));
    }

    #[test]
    fn every_callback_is_on_the_page() {
        let page = include_str!("panics.rs");
        for callback in Callback::ALL {
            let name = callback.name();
            let is_there = page.contains(&format!("//! | `{name}` | "));
            assert!(is_there || *callback == Callback::SpanObserverDrop, "{name}");
        }
    }
}
