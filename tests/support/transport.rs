//! Transports with configured results.

use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use jaeger_client::TransportError;
use jaeger_client::transport::{Sent, Transport};

use super::read::{Batch, Span};

pub(crate) type Outcome = Result<Sent, TransportError>;

/// Sends by calling a closure.
pub(crate) struct By<F>(pub(crate) F);

impl<F> fmt::Debug for By<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("By")
    }
}

impl<F: FnMut(&[u8]) -> Outcome + Send> Transport for By<F> {
    fn send(&mut self, message: &[u8]) -> Outcome {
        self.0(message)
    }
}

/// The datagrams that were taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken(Arc<Mutex<Vec<Vec<u8>>>>);

impl Taken {
    pub(crate) fn push(&self, message: &[u8]) {
        self.0.lock().unwrap().push(message.to_vec());
    }

    pub(crate) fn sizes(&self) -> Vec<usize> {
        self.0.lock().unwrap().iter().map(Vec::len).collect()
    }

    pub(crate) fn batches(&self) -> Vec<Batch> {
        self.0.lock().unwrap().iter().map(|message| Batch::read(message)).collect()
    }

    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.batches().into_iter().flat_map(|batch| batch.spans).collect()
    }
}

/// Returns a transport with a limit for messages that it does not report beforehand.
pub(crate) fn limited(limit: usize) -> (impl Transport + 'static, Taken) {
    let taken = Taken::default();
    let retained = taken.clone();
    let transport = By(move |message: &[u8]| {
        if message.len() > limit {
            return Err(TransportError::TooLarge { bytes: message.len() });
        }
        retained.push(message);
        Ok(Sent::OK)
    });
    (transport, taken)
}

/// Holds every message until it is let go.
pub(crate) struct Gate {
    /// Tells of each message that has come.
    pub(crate) entered: Receiver<()>,
    /// Lets one message go; dropped, lets all of them go.
    pub(crate) release: Sender<()>,
    pub(crate) taken: Taken,
}

pub(crate) fn gated() -> (impl Transport + 'static, Gate) {
    let (sender, entered) = channel();
    let (release, wait) = channel();
    let taken = Taken::default();
    let retained = taken.clone();
    let wait = Mutex::new(wait);
    let transport = By(move |message: &[u8]| {
        let _ = sender.send(());
        let _ = wait.lock().unwrap().recv();
        retained.push(message);
        Ok(Sent::OK)
    });
    (transport, Gate { entered, release, taken })
}
