//! The database: one query at a time, unless configured otherwise.

use std::time::Duration;

use jaeger_client::{Span, Tracer};

use super::lock::Lock;
use super::{CUSTOMERS, Customer};
use crate::{delay, log};

/// A database of customers, as slow as a real one.
#[derive(Debug)]
pub(crate) struct Mysql {
    tracer: Tracer,
    lock: Option<Lock>,
    delay: Duration,
}

impl Mysql {
    /// With `mutex`, queries wait for each other.
    pub(crate) fn new(tracer: Tracer, delay: Duration, mutex: bool) -> Self {
        Self { tracer, lock: mutex.then(Lock::default), delay }
    }

    /// The customer with this number, if there is one.
    pub(crate) async fn customer(&self, id: u32) -> Option<Customer> {
        let span = self
            .tracer
            .span("SQL SELECT")
            .child_of(Span::active().as_ref())
            .tag("span.kind", "client")
            .tag("peer.service", "mysql")
            .tag("sql.query", &*format!("SELECT * FROM customer WHERE customer_id={id}"))
            .start();
        let _held = match &self.lock {
            Some(lock) => Some(lock.acquire(&span).await),
            None => None,
        };
        delay::about(self.delay, 0.1).await;
        let found = CUSTOMERS.iter().find(|(known, ..)| *known == id);
        if found.is_none() {
            log::failed(&span, "no such customer");
        }
        let (id, name, location) = *found?;
        Some(Customer { id, name: name.into(), location: location.into() })
    }
}
