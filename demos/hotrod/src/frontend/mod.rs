//! The frontend: the web page, and the dispatch of rides.

mod clients;
mod dispatch;

use std::sync::Arc;

use axum::extract::Query;
use axum::response::Html;
use axum::routing::get;
use axum::{Json, Router};
use jaeger_client::Span;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(crate) use self::clients::{Clients, Places};
use self::dispatch::Dispatcher;
use crate::customer::CUSTOMERS;
use crate::http_server::Refused;

/// Where a trace is shown.
#[derive(Clone, Debug)]
pub(crate) struct Ui {
    /// The user interface.
    pub(crate) url: String,
    /// What comes before a trace's id.
    pub(crate) trace: String,
}

#[derive(Deserialize)]
struct Requested {
    customer: u32,
}

/// A ride that was dispatched.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ride {
    driver: String,
    /// In nanoseconds.
    #[serde(rename = "ETA")]
    eta: u64,
    #[serde(rename = "TraceID")]
    trace_id: Option<String>,
}

/// Returns what is traced: dispatches.
pub(crate) fn traced(clients: Clients, workers: usize) -> Router {
    let dispatcher = Arc::new(Dispatcher::new(clients, workers));
    Router::new().route(
        "/dispatch",
        get(async move |Query(Requested { customer }): Query<Requested>| {
            let (driver, eta) = dispatcher.dispatch(customer).await?;
            let trace_id = Span::active().map(|span| span.context().trace_id().to_string());
            Ok::<_, Refused>(Json(Ride { driver, eta, trace_id }))
        }),
    )
}

/// Returns what is not: the page, and what it needs to know.
pub(crate) fn plain(ui: Ui) -> Router {
    let customers: Vec<_> =
        CUSTOMERS.iter().map(|(id, name, _)| json!({"id": id, "name": name})).collect();
    let config = json!({"jaeger": ui.url, "trace": ui.trace, "customers": customers});
    Router::new()
        .route("/", get(async || Html(include_str!("page.html"))))
        .route("/config", get(async move || Json(config)))
}
