//! The result of an export, as a future that any executor can wait for.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

#[derive(Debug, Default)]
struct State {
    result: Option<OTelSdkResult>,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Completes when its [`Completer`] does.
#[derive(Debug)]
pub(super) struct Completion(Arc<Shared>);

/// Completes a [`Completion`]; if it is dropped before, with an error.
#[derive(Debug)]
pub(super) struct Completer(Arc<Shared>);

/// Returns both ends of a result.
pub(super) fn completion() -> (Completer, Completion) {
    let shared = Arc::new(Shared::default());
    (Completer(Arc::clone(&shared)), Completion(shared))
}

impl Completer {
    pub(super) fn complete(self, result: OTelSdkResult) {
        self.set(result);
    }

    fn set(&self, result: OTelSdkResult) {
        let mut state = self.0.lock();
        if state.result.is_none() {
            state.result = Some(result);
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        self.set(Err(OTelSdkError::InternalFailure("the exporter's thread has ended".to_owned())));
    }
}

impl Future for Completion {
    type Output = OTelSdkResult;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<OTelSdkResult> {
        let mut state = self.0.lock();
        if let Some(result) = state.result.take() {
            return Poll::Ready(result);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
