//! The reporter's thread: takes buffers and gives them to the output, or hands them to the thread of
//! each where there are several.
//!
//! Walk step 7. It needs no runtime. It renews the clock's anchor, and takes partly filled buffers at
//! each flush interval. An output that panics loses one message, not the thread.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvError, Sender, TryRecvError, select};

use super::destination::{Completion, Destination, Surroundings};
use super::output::Outlet;
use super::remote::RemoteOptions;
use crate::buffers::{Buffer, QueueLimits, ShardedBuffers};
use crate::clock;
use crate::diag::Cause;
use crate::error::ConfigError;
use crate::metrics::Publisher;
use crate::span::shared::SpanShared;
use crate::stats::Dropped;
use crate::transport::MAX_PACKET_BYTES;

/// What the worker is asked for, and whom it tells when that is done.
pub(crate) enum Control {
    Flush(Sender<()>),
    Close(Sender<()>),
}

impl Control {
    fn asker(self) -> Sender<()> {
        let (Self::Flush(asker) | Self::Close(asker)) = self;
        asker
    }
}

/// Where buffers go.
#[derive(Debug)]
enum Outputs {
    /// To the only output, on this thread.
    One(Outlet),
    /// To several that have no thread yet.
    Unstarted(Vec<Outlet>),
    Several(Vec<Destination>),
}

pub(crate) struct Worker {
    shards: Arc<ShardedBuffers>,
    outputs: Outputs,
    /// Of the queue of each destination.
    limits: QueueLimits,
    flush_interval: Duration,
    /// Gets a message when there is something in the queue.
    woken: Receiver<()>,
    spare: Sender<Vec<u8>>,
    /// Gone when the worker is, however it ended, and before the requests: whoever is told by their
    /// end that nobody answers must find it gone.
    life: Arc<()>,
    requests: Receiver<Control>,
    /// The losses that were reported.
    reported: Dropped,
    /// Told after each interval, flush and close.
    metrics: Option<Arc<Publisher>>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("outputs", &self.outputs).finish_non_exhaustive()
    }
}

impl Worker {
    pub(crate) fn new(
        shards: Arc<ShardedBuffers>,
        options: RemoteOptions,
        woken: Receiver<()>,
        spare: Sender<Vec<u8>>,
        requests: Receiver<Control>,
    ) -> Self {
        let mut outlets = options.outlets;
        let outputs = match outlets.pop() {
            Some(only) if outlets.is_empty() => Outputs::One(only),
            last => {
                outlets.extend(last);
                Outputs::Unstarted(outlets)
            }
        };
        Self {
            shards,
            outputs,
            limits: options.queue,
            flush_interval: options.flush_interval,
            woken,
            spare,
            requests,
            reported: Dropped::default(),
            metrics: None,
            life: Arc::default(),
        }
    }

    /// What tells whether the worker still lives.
    pub(crate) fn life(&self) -> Weak<()> {
        Arc::downgrade(&self.life)
    }

    pub(crate) fn spawn(
        mut self,
        core: Arc<SpanShared>,
        metrics: Option<Arc<Publisher>>,
    ) -> Result<(), ConfigError> {
        self.metrics = metrics;
        if let Outputs::Unstarted(outlets) = &mut self.outputs {
            let around = Surroundings {
                core: Arc::clone(&core),
                shards: Arc::clone(&self.shards),
                spare: self.spare.clone(),
            };
            let start = |outlet| Destination::start(outlet, around.clone(), Arc::clone(&self.life));
            let several = outlets.drain(..).map(start).collect::<Result<_, _>>()?;
            self.outputs = Outputs::Several(several);
        }
        let run = move || self.run(&core);
        start_thread("jaeger-client-reporter", run).map_err(|source| ConfigError::Thread { source })
    }

    fn run(&mut self, core: &SpanShared) {
        let mut next_flush = clock::now() + self.flush_interval;
        loop {
            let request = match self.shards.next_queued() {
                Some(buffer) => {
                    self.send_buffer(core, buffer);
                    match self.requests.try_recv() {
                        Err(TryRecvError::Empty) => None,
                        Err(TryRecvError::Disconnected) => Some(Err(RecvError)),
                        Ok(request) => Some(Ok(request)),
                    }
                }
                None => {
                    let wait = next_flush.saturating_duration_since(clock::now());
                    select! {
                        recv(self.woken) -> _ => None,
                        recv(self.requests) -> request => Some(request),
                        default(wait) => None,
                    }
                }
            };
            match request {
                None => {}
                Some(Ok(Control::Flush(asker))) => self.flush(core, vec![asker]),
                Some(Ok(Control::Close(asker))) => return self.close(core, vec![asker]),
                // Nobody can ask for anything any more, so nobody will ever close it.
                Some(Err(RecvError)) => return self.close(core, Vec::new()),
            }
            // Also under load, when there is always a buffer to send and no wait ever ends.
            let now = clock::now();
            if now >= next_flush {
                next_flush = self.tick(core, now);
            }
        }
    }

    fn tick(&mut self, core: &SpanShared, now: Instant) -> Instant {
        // The clock may be foreign code, like the transport.
        let _ = catch_unwind(AssertUnwindSafe(|| core.renew_anchor()));
        self.send_all(core, false);
        match &mut self.outputs {
            Outputs::One(outlet) => {
                outlet.flush(core, &self.shards);
                outlet.tick();
            }
            Outputs::Several(destinations) => destinations.iter().for_each(Destination::tick),
            Outputs::Unstarted(_) => {}
        }
        if let Some(metrics) = &self.metrics {
            metrics.publish();
        }
        self.report_losses(core);
        now + self.flush_interval
    }

    /// Has everything sent that was finished before, and tells who asked when that is done.
    fn flush(&mut self, core: &SpanShared, askers: Vec<Sender<()>>) {
        self.send_all(core, false);
        self.finish(core, askers, Destination::flush);
    }

    /// The same for the last time.
    fn close(&mut self, core: &SpanShared, mut askers: Vec<Sender<()>>) {
        self.send_all(core, true);
        // Whoever asked meanwhile has what was asked for.
        askers.extend(self.requests.try_iter().map(Control::asker));
        self.finish(core, askers, Destination::close);
    }

    /// Has all outputs send what they hold back. `ask` does so where they have threads of their own.
    fn finish(
        &mut self,
        core: &SpanShared,
        askers: Vec<Sender<()>>,
        ask: fn(&Destination, &Arc<Completion>),
    ) {
        if let Outputs::One(outlet) = &mut self.outputs {
            outlet.flush(core, &self.shards);
        }
        self.report_losses(core);
        let destinations = match &self.outputs {
            Outputs::Several(destinations) => &destinations[..],
            Outputs::One(_) | Outputs::Unstarted(_) => &[],
        };
        let completion = Completion::of(destinations.len(), askers, self.metrics.clone());
        destinations.iter().for_each(|destination| ask(destination, &completion));
        completion.done();
    }

    /// Sends what lies in the queue, then what lies in the buffers.
    fn send_all(&mut self, core: &SpanShared, close: bool) {
        let mut partial = Vec::new();
        self.shards.take_partial(close, |buffer| partial.push(buffer));
        // Only as many as there are now: under load the queue never gets empty.
        for _ in 0..self.shards.queued_buffers() {
            let Some(buffer) = self.shards.next_queued() else { break };
            self.send_buffer(core, buffer);
        }
        for buffer in partial {
            self.send_buffer(core, buffer);
        }
    }

    /// Gives a buffer to the output, or shows it to each, and its memory back.
    fn send_buffer(&mut self, core: &SpanShared, mut buffer: Buffer) {
        match &mut self.outputs {
            Outputs::One(outlet) => {
                outlet.take(core, &self.shards, &mut buffer);
                give_back(buffer, &self.spare);
            }
            Outputs::Several(destinations) => {
                let shared = Arc::new(buffer);
                for destination in destinations {
                    destination.take(core, &self.shards, self.limits, &shared);
                }
                give_back_shared(shared, &self.spare);
            }
            Outputs::Unstarted(_) => {}
        }
    }

    fn report_losses(&mut self, core: &SpanShared) {
        let dropped = self.shards.dropped();
        let before = std::mem::replace(&mut self.reported, dropped);
        if dropped.queue_full > before.queue_full {
            core.diagnostics.error(Cause::QueueFull, || {
                format!("{} spans dropped so far because the queue was full", dropped.queue_full)
            });
        }
        if dropped.too_large > before.too_large {
            let last = self.shards.take_too_large();
            core.diagnostics.error(Cause::TooLarge, || {
                let last =
                    last.map_or_else(String::new, |span| format!(", the last of them: {span}"));
                format!("{} spans dropped so far as too large{last}", dropped.too_large)
            });
        }
    }
}

/// Keeps a buffer's memory for the next one.
fn give_back(buffer: Buffer, spare: &Sender<Vec<u8>>) {
    // One that grew for a large span must not stay as large for ever.
    if buffer.bytes.len() <= 2 * MAX_PACKET_BYTES {
        let _ = spare.try_send(buffer.bytes);
    }
}

/// The same once nobody reads it any more.
pub(super) fn give_back_shared(shared: Arc<Buffer>, spare: &Sender<Vec<u8>>) {
    if let Some(buffer) = Arc::into_inner(shared) {
        give_back(buffer, spare);
    }
}

/// Runs `work` on a thread of its own: for waits that must not hold a runtime's thread.
#[cfg(feature = "tokio")]
pub(crate) fn wait_aside(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    start_thread("jaeger-client-wait", work)
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts threads")]
pub(super) fn start_thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> std::io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
