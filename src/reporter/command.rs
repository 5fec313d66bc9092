//! The commands of a tracer to the reporter's threads.

use std::sync::Arc;
use std::thread;

use crossbeam_channel::Sender;

use crate::metrics::Publisher;

/// A command to the worker, and the channel to notify when it is done.
pub(super) enum Command {
    Flush(Sender<()>),
    Close(Sender<()>),
}

impl Command {
    pub(super) fn reply(self) -> Sender<()> {
        let (Self::Flush(reply) | Self::Close(reply)) = self;
        reply
    }
}

/// Notifies the callers of a flush or close when it is dropped: by the last thread that was to do
/// it, whether it did or ended.
pub(super) struct Completion {
    replies: Vec<Sender<()>>,
    metrics: Option<Arc<Publisher>>,
}

impl Completion {
    /// Publishes new values to `metrics` before it notifies.
    pub(super) fn new(replies: Vec<Sender<()>>, metrics: Option<Arc<Publisher>>) -> Arc<Self> {
        Arc::new(Self { replies, metrics })
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(metrics) = &self.metrics
            && !thread::panicking()
        {
            metrics.publish();
        }
        // The caller may have stopped waiting.
        for reply in &self.replies {
            let _ = reply.try_send(());
        }
    }
}
