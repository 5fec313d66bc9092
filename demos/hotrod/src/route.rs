//! The route service: how long a way takes, and for whom the time was spent finding out.

use std::time::Duration;

use axum::extract::Query;
use axum::routing::get;
use axum::{Json, Router};
use jaeger_client::Span;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::delay;
use crate::metrics::Metrics;

/// A way, and how long it takes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Route {
    pub(crate) pickup: String,
    pub(crate) dropoff: String,
    /// In nanoseconds.
    #[serde(rename = "ETA")]
    pub(crate) eta: u64,
}

#[derive(Deserialize)]
struct Ends {
    pickup: String,
    dropoff: String,
}

pub(crate) fn router(metrics: Metrics) -> Router {
    Router::new().route(
        "/route",
        get(async move |Query(ends): Query<Ends>| {
            let begun = Instant::now();
            let route = find(ends).await;
            let baggage = |key| Span::active().and_then(|span| span.baggage_item(key));
            metrics.route(begun.elapsed(), baggage("customer"), baggage("session"));
            Json(route)
        }),
    )
}

async fn find(Ends { pickup, dropoff }: Ends) -> Route {
    delay::about(WORK, 0.25).await;
    let eta = delay::normal(5 * MINUTE, 3 * MINUTE).max(2 * MINUTE);
    Route { pickup, dropoff, eta: u64::try_from(eta.as_nanos()).unwrap_or(u64::MAX) }
}

/// How long finding a route takes.
const WORK: Duration = Duration::from_millis(50);

const MINUTE: Duration = Duration::from_secs(60);
