//! A transport that is cancelled at the deadline of the close.

use std::fmt;
use std::io::{self, ErrorKind};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded, select};

use crate::clock;
use crate::error::{ConfigError, TransportError};
use crate::panics;
use crate::threads::start_thread;
use crate::transport::{CloseSignal, Sent, Transport};

/// Sends on its own thread. A message in flight at the deadline of the close signal, and all
/// later ones, fail, so that their spans can be saved; the thread ends by itself some time later.
pub(super) struct CancellableTransport {
    calls: Sender<Call>,
    close_signal: CloseSignal,
    max_message_bytes: usize,
    is_given_up: bool,
}

type Call = Box<dyn FnOnce(&mut dyn Transport) + Send>;

impl fmt::Debug for CancellableTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancellableTransport").finish_non_exhaustive()
    }
}

impl CancellableTransport {
    pub(super) fn start(
        mut transport: Box<dyn Transport>,
        close_signal: &CloseSignal,
    ) -> Result<Self, ConfigError> {
        let max_message_bytes = transport.max_message_bytes();
        let (calls, received) = bounded::<Call>(1);
        let work = move || {
            for call in received {
                // A missing result means a panic to the caller.
                let _ = panics::catch(|| call(&mut *transport));
            }
        };
        start_thread("jaeger-client-send", work)
            .map_err(|source| ConfigError::Thread { source })?;
        let close_signal = close_signal.clone();
        Ok(Self { calls, close_signal, max_message_bytes, is_given_up: false })
    }

    fn call<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut dyn Transport) -> T + Send + 'static,
    ) -> Result<T, TransportError> {
        if self.is_given_up {
            return Err(closed());
        }
        let (done, result) = bounded(1);
        let call = move |transport: &mut dyn Transport| {
            let _ = done.send(work(transport));
        };
        self.calls.send(Box::new(call)).map_err(|_| thread_ended())?;
        if self.close_signal.deadline().is_none() {
            select! {
                recv(result) -> result => return result.map_err(|_| thread_ended()),
                recv(self.close_signal.closed()) -> _ => {}
            }
        }
        let deadline = self.close_signal.deadline().unwrap_or_else(clock::now);
        result.recv_deadline(deadline).map_err(|error| {
            if error == RecvTimeoutError::Disconnected {
                return thread_ended();
            }
            self.is_given_up = true;
            TransportError::Unconfirmed { attempts: 1, source: Box::new(closed()) }
        })
    }
}

impl Transport for CancellableTransport {
    fn send(&mut self, message: &[u8]) -> Result<Sent, TransportError> {
        let message = message.to_vec();
        self.call(move |transport| transport.send(&message))?
    }

    fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    fn take_late_refusal(&mut self) -> bool {
        self.call(|transport| transport.take_late_refusal()).unwrap_or_default()
    }

    fn receiver_drops(&mut self) -> Option<u64> {
        self.call(|transport| transport.receiver_drops()).unwrap_or_default()
    }

    fn tick(&mut self) {
        let _ = self.call(|transport| transport.tick());
    }
}

fn closed() -> TransportError {
    let source = io::Error::new(ErrorKind::TimedOut, "the time to close was over");
    TransportError::Io { source }
}

fn thread_ended() -> TransportError {
    TransportError::panicked("transport", "no result")
}
