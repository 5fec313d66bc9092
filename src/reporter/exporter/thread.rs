//! A thread and a bounded queue for each exporter, for tracers with several destinations.
//!
//! The worker passes the same buffers to each thread, read-only, and never waits. So a destination
//! that is slow, hangs or fails loses only its own spans.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::Exporter;
use crate::buffers::{Buffer, Outcome, QueueLimits, ShardedBuffers, SpareMemory};
use crate::diag::{Cause, Diagnostics};
use crate::error::ConfigError;
use crate::panics;
use crate::reporter::command::Completion;
use crate::reporter::counts::{Account, Accounting};
use crate::threads::start_thread;

/// The parts that the threads of all destinations share.
#[derive(Clone)]
pub(crate) struct ThreadContext {
    pub(crate) diagnostics: Arc<Diagnostics>,
    pub(crate) buffers: Arc<ShardedBuffers>,
    pub(crate) spare: SpareMemory,
    /// The limits of each queue.
    pub(crate) limits: QueueLimits,
}

/// The worker's handle of an exporter's thread, which ends when it is closed, or when this is
/// dropped.
pub(crate) struct ExporterThread {
    commands: Sender<ExporterCommand>,
    /// Whether a tick is pending. A thread that is behind gets one, not one for each interval.
    has_tick: Arc<AtomicBool>,
    account: Arc<Account>,
    context: ThreadContext,
}

impl fmt::Debug for ExporterThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExporterThread").field("account", &self.account).finish_non_exhaustive()
    }
}

enum ExporterCommand {
    Export(Arc<Buffer>),
    Tick,
    Flush(Arc<Completion>),
    Close(Arc<Completion>),
}

impl ExporterThread {
    /// Starts the thread, which holds `alive` until it ends.
    pub(crate) fn start(
        exporter: Exporter,
        context: ThreadContext,
        alive: Arc<()>,
    ) -> Result<Self, ConfigError> {
        let (commands, received) = unbounded();
        let has_tick = Arc::new(AtomicBool::new(false));
        exporter.account.counts.set_limits(context.limits);
        let account = Arc::clone(&exporter.account);
        // No system accepts a name with a NUL.
        let name =
            format!("jaeger-client-{}", account.counts.name().replace(char::is_control, "-"));
        let (tick_of_thread, context_of_thread) = (Arc::clone(&has_tick), context.clone());
        let account_of_thread = Arc::clone(&account);
        let work = move || {
            let run = || run(exporter, &received, &tick_of_thread, &context_of_thread);
            if panics::catch(run).is_err() {
                // Counted before the callers of a flush are notified.
                account_of_thread.with(&context_of_thread.buffers).count_abandoned();
            }
            drop((received, alive));
        };
        start_thread(&name, work).map_err(|source| ConfigError::Thread { source })?;
        Ok(Self { commands, has_tick, account, context })
    }

    fn accounting(&self) -> Accounting<'_> {
        self.account.with(&self.context.buffers)
    }

    /// Passes the spans of a buffer to the thread, or counts them as dropped if the queue is full.
    pub(crate) fn enqueue(&self, buffer: &Arc<Buffer>) {
        let (accounting, spans) = (self.accounting(), buffer.spans);
        if !accounting.enter_queue(buffer.usage()) {
            accounting.record_outcome(spans, Outcome::QueueFull);
            self.context.diagnostics.error(Cause::QueueFull, || {
                let name = self.account.counts.name();
                format!("{spans} spans dropped because the queue to {name} was full")
            });
            return;
        }
        self.send(ExporterCommand::Export(Arc::clone(buffer)));
    }

    /// Makes the exporter send the spans that wait to be batched, unless a tick is pending.
    pub(crate) fn tick(&self) {
        if !self.has_tick.swap(true, Ordering::AcqRel) {
            self.send(ExporterCommand::Tick);
        }
    }

    pub(crate) fn flush(&self, completion: &Arc<Completion>) {
        self.send(ExporterCommand::Flush(Arc::clone(completion)));
    }

    pub(crate) fn close(&self, completion: &Arc<Completion>) {
        self.send(ExporterCommand::Close(Arc::clone(completion)));
    }

    /// Sends a command. If the thread is gone, its remaining spans are counted as lost.
    fn send(&self, command: ExporterCommand) {
        if self.commands.send(command).is_err() {
            self.accounting().count_abandoned();
        }
    }
}

fn run(
    mut exporter: Exporter,
    commands: &Receiver<ExporterCommand>,
    has_tick: &AtomicBool,
    context: &ThreadContext,
) {
    let ThreadContext { buffers, spare, .. } = context;
    let mut copy = Buffer::default();
    for command in commands {
        match command {
            ExporterCommand::Export(shared) => {
                let usage = shared.usage();
                copy.copy_from(&shared);
                spare.recycle_shared(shared);
                exporter.export(buffers, &mut copy);
                exporter.account.with(buffers).leave_queue(usage);
            }
            ExporterCommand::Tick => {
                has_tick.store(false, Ordering::Release);
                exporter.flush(buffers);
                exporter.tick();
            }
            // The callers are notified when the last thread has dropped the completion.
            ExporterCommand::Flush(_completion) => exporter.flush(buffers),
            ExporterCommand::Close(_completion) => return exporter.flush(buffers),
        }
    }
    exporter.flush(buffers);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::bounded;

    use super::super::ExporterKind;
    use super::*;
    use crate::diag::NullLogger;
    use crate::encoding::BatchView;
    use crate::error::TransportError;
    use crate::fork::ProcessOrigin;
    use crate::reporter::Reporter;
    use crate::reporter::counts::DestinationCounts;
    use crate::stats::Stats;

    /// Panics outside of every guard, once it is released.
    #[derive(Debug)]
    struct Panicking(Receiver<()>);

    impl Reporter for Panicking {
        fn report(&mut self, _batch: &BatchView<'_>) -> Result<(), TransportError> {
            let _ = self.0.recv();
            panic!("the exporter's thread ends here")
        }
    }

    #[test]
    fn spans_of_a_thread_that_is_gone_are_send_failed_and_nobody_waits_for_them() {
        let origin = ProcessOrigin::here().unwrap();
        let limits = QueueLimits { bytes: 1 << 20, spans: 25 };
        let (wake, _woken) = bounded(1);
        let (keep, spare) = bounded(1);
        let sizes = (1_000, 0, 0);
        let buffers = ShardedBuffers::new(1, sizes, limits, (wake, spare), &origin);
        let buffers = Arc::new(buffers);
        let context = ThreadContext {
            diagnostics: Arc::new(Diagnostics::new(Box::new(NullLogger), origin)),
            buffers: Arc::clone(&buffers),
            spare: SpareMemory::new(keep, 1_000),
            limits,
        };
        let (go_on, wait) = bounded(1);
        let account = Account {
            counts: Arc::new(DestinationCounts::new("bad".to_owned())),
            diagnostics: Arc::clone(&context.diagnostics),
            is_primary: true,
            process: Vec::new(),
            saver: None,
        };
        let kind = ExporterKind::Reporter(Box::new(Panicking(wait)));
        let exporter = Exporter { account: Arc::new(account), kind };
        let thread = ExporterThread::start(exporter, context, Arc::default()).unwrap();
        let end = buffers.headroom();
        let buffer = Arc::new(Buffer { bytes: vec![0; 1_000], end, spans: 10 });
        let dropped = || {
            let stats = thread.account.counts.read();
            let mut all = Stats::default();
            buffers.read(&mut all);
            assert_eq!((all.queued, all.dropped), (0, stats.dropped));
            (stats.taken, stats.queued, stats.dropped.send_failed, stats.dropped.queue_full)
        };

        thread.enqueue(&buffer);
        thread.enqueue(&buffer);
        let (reply, replied) = bounded(1);
        thread.flush(&Completion::new(vec![reply], None));
        go_on.send(()).unwrap();
        replied.recv_timeout(Duration::from_secs(60)).expect("the flush never ended");
        // Of the next messages, those before the thread is gone may still be queued.
        for _ in 0..20 {
            thread.enqueue(&buffer);
        }
        thread.tick();
        assert_eq!(dropped(), (220, 0, 220, 0), "taken, queued, send_failed, queue_full");
        let (reply, replied) = bounded(1);
        thread.close(&Completion::new(vec![reply], None));
        assert!(replied.try_recv().is_ok(), "nobody is left to wait for");
    }
}
