//! Finds the driver who is there first.

use std::sync::Arc;

use http::StatusCode;
use jaeger_client::{Span, TraceFutureExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::clients::{Clients, Failed};
use crate::driver::proto::DriverLocation;
use crate::http_server::Refused;
use crate::log;
use crate::route::Route;

/// Dispatches rides.
#[derive(Debug)]
pub(super) struct Dispatcher {
    clients: Clients,
    /// As many routes are asked for at a time, of all rides together.
    workers: Arc<Semaphore>,
}

impl Dispatcher {
    pub(super) fn new(clients: Clients, workers: usize) -> Self {
        Self { clients, workers: Arc::new(Semaphore::new(workers)) }
    }

    /// The driver for a customer, and the time until then in nanoseconds.
    pub(super) async fn dispatch(&self, customer: u32) -> Result<(String, u64), Refused> {
        let span = Span::active();
        self.find(customer, span.as_ref()).await.map_err(|why| {
            log::error(span.as_ref(), &why.to_string(), &[]);
            let status = match why {
                Failed::NotFound(_) => StatusCode::NOT_FOUND,
                Failed::Other(_) => StatusCode::BAD_GATEWAY,
            };
            Refused(status, why.to_string())
        })
    }

    async fn find(&self, customer: u32, span: Option<&Span>) -> Result<(String, u64), Failed> {
        let customer = self.clients.customer(customer).await?;
        log::info(span, "customer found", &[("customer", (&*customer.name).into())]);
        // From here on whoever works on this ride knows for whom.
        if let Some(span) = span {
            span.set_baggage_item("customer", &customer.name);
        }
        let drivers = self.clients.drivers(&customer.location).await?;
        log::info(span, "drivers found", &[("drivers", drivers.len().into())]);
        let mut best: Option<(String, u64)> = None;
        for (driver, route) in self.routes(drivers, &customer.location).await {
            match route {
                Ok(Route { eta, .. }) if best.as_ref().is_none_or(|(_, least)| eta < *least) => {
                    best = Some((driver, eta));
                }
                Ok(_) => {}
                Err(why) => log::error(span, &why.to_string(), &[("driver", (&*driver).into())]),
            }
        }
        let (driver, eta) =
            best.ok_or_else(|| Failed::Other("no driver whose way is known".into()))?;
        let fields = [("driver", (&*driver).into()), ("eta.sec", (eta / SECOND).into())];
        log::info(span, "ride dispatched", &fields);
        Ok((driver, eta))
    }

    /// The ways of all drivers, a few at a time. Given up with the future.
    async fn routes(
        &self,
        drivers: Vec<DriverLocation>,
        to: &str,
    ) -> Vec<(String, Result<Route, Failed>)> {
        let mut requesting = JoinSet::new();
        for driver in drivers {
            let (clients, workers) = (self.clients.clone(), Arc::clone(&self.workers));
            let to = to.to_owned();
            // A task does not inherit what is active where it is started.
            let fetch = async move {
                let _worker = workers.acquire().await;
                (driver.driver_id, clients.route(&driver.location, &to).await)
            };
            requesting.spawn(fetch.in_active_span());
        }
        requesting.join_all().await
    }
}

/// A second in nanoseconds.
const SECOND: u64 = 1_000_000_000;
