//! The reporter: sends finished spans to destinations.
//!
//! Steps 6 and 7 in the life of a span. Spans are collected in datagram-sized
//! [buffers](crate::buffers), which a thread, the [`worker`], passes to the [`exporter`] of the
//! destination, or to a thread for each of several. The null reporter and the one in memory, if
//! they are alone, take spans where they are finished. All of them read the same canonical bytes.

#[cfg(feature = "saved-batches")]
mod cancellable;
mod command;
mod counts;
mod destination;
mod exporter;
#[cfg(feature = "saved-batches")]
mod file_saver;
mod guarded;
mod logging;
mod memory;
mod null;
mod options;
#[cfg(feature = "saved-batches")]
mod replay;
mod saver;
mod service;
mod worker;

use std::fmt;

pub use self::destination::Destination;
pub(crate) use self::exporter::{ExporterOptions, MIN_SPAN_ROOM};
#[cfg(feature = "saved-batches")]
pub(crate) use self::file_saver::FileSaver;
pub(crate) use self::memory::MemorySink;
pub use self::memory::{FinishedSpan, InMemoryReporter};
pub(crate) use self::null::NullSink;
pub(crate) use self::options::{MAX_WAIT, SendOptions};
#[cfg(feature = "saved-batches")]
pub use self::replay::{ReplayOptions, ReplayReport, replay};
pub(crate) use self::saver::SaveSpans;
pub(crate) use self::service::{ReporterService, UnstartedService, timed};
pub(crate) use self::worker::WorkerOptions;
use crate::encoding::BatchView;
use crate::error::TransportError;

/// A custom destination of finished spans.
///
/// A reporter is called on a thread of the tracer, never on one of the application, so it may
/// block, but meanwhile finished spans collect in its queue. Spans are read in place through
/// [`SpanView`](crate::encoding::SpanView)s; they cannot be changed, so destinations do not affect
/// each other. A reporter is dropped when the tracer is closed.
///
/// # Source
///
/// `Reporter` in jaeger-client-go, `reporter.go`.
///
/// # Examples
///
/// ```
/// use std::{sync::mpsc, time::Duration};
/// use jaeger_client::{Reporter, Tracer, TransportError, encoding::BatchView};
/// #[derive(Debug)]
/// struct Names(mpsc::Sender<String>);
/// impl Reporter for Names {
///     fn report(&mut self, batch: &BatchView<'_>) -> Result<(), TransportError> {
///         for span in batch.spans() {
///             self.0.send(span.operation_name().into_owned()).ok();
///         }
///         Ok(())
///     }
/// }
/// let (send, names) = mpsc::channel();
/// let (tracer, closer) = Tracer::builder("svc").destination(Names(send)).build()?;
/// tracer.start_span("op").finish();
/// assert_eq!(closer.close(Duration::from_secs(1)).stats.sent, 1);
/// assert_eq!(names.recv().as_deref(), Ok("op"));
/// # Ok::<(), jaeger_client::ConfigError>(())
/// ```
pub trait Reporter: fmt::Debug + Send {
    /// Processes some spans of a process. `Ok` counts them as sent.
    ///
    /// # Errors
    ///
    /// Any error counts the spans as `send_failed`, and is logged. A panic does the same.
    fn report(&mut self, batch: &BatchView<'_>) -> Result<(), TransportError>;

    /// Called after the last spans of each flush interval, and of each flush and close, before it
    /// returns.
    fn flush(&mut self) {}
}

impl<R: Reporter + ?Sized> Reporter for Box<R> {
    fn report(&mut self, batch: &BatchView<'_>) -> Result<(), TransportError> {
        (**self).report(batch)
    }

    fn flush(&mut self) {
        (**self).flush();
    }
}
