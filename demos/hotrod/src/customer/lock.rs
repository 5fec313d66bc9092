//! A lock that tells who waits for whom, by the baggage `request`.

use std::collections::VecDeque;

use jaeger_client::Span;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::log;

/// A lock for one at a time, in order of arrival.
#[derive(Debug)]
pub(super) struct Lock {
    one: Semaphore,
    /// Who holds it, first, and who waits.
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    places: VecDeque<(u64, String)>,
    next: u64,
}

/// A place in the line; it is left by dropping it, also by a request that is given up.
#[derive(Debug)]
struct Place<'a> {
    lock: &'a Lock,
    number: u64,
}

/// The lock is held, until this is dropped.
#[derive(Debug)]
pub(super) struct Held<'a> {
    // First out of the line, then the next one's turn: it must not see us before it.
    _place: Place<'a>,
    _permit: SemaphorePermit<'a>,
}

impl Default for Lock {
    fn default() -> Self {
        Self { one: Semaphore::new(1), line: Mutex::default() }
    }
}

impl Lock {
    /// Waits for the lock, and logs to `span` for whom it waits, and who waits when it has it.
    pub(super) async fn acquire(&self, span: &Span) -> Held<'_> {
        let request = span.baggage_item("request").unwrap_or_default();
        span.set_tag("request", &*request);
        let (place, blockers) = self.line_up(request);
        if !blockers.is_empty() {
            let event = format!("Waiting for lock behind {} transactions", blockers.len());
            let blockers = format!("[{}]", blockers.join(" "));
            log::info(span, &event, &[("blockers", (&*blockers).into())]);
        }
        let permit = loop {
            // It is never closed, so the first turn ends the loop.
            if let Ok(permit) = self.one.acquire().await {
                break permit;
            }
        };
        let behind = self.line.lock().places.len() - 1;
        let event = format!("Acquired lock with {behind} transactions waiting behind");
        log::info(span, &event, &[]);
        Held { _place: place, _permit: permit }
    }

    fn line_up(&self, request: String) -> (Place<'_>, Vec<String>) {
        let mut line = self.line.lock();
        let blockers = line.places.iter().map(|(_, request)| request.clone()).collect();
        let number = line.next;
        line.next += 1;
        line.places.push_back((number, request));
        (Place { lock: self, number }, blockers)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.lock.line.lock().places.retain(|(number, _)| *number != self.number);
    }
}
