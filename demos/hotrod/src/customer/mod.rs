//! The customer service: who a customer is, from a database.

mod lock;
mod mysql;

use std::sync::Arc;

use axum::extract::Query;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};

pub(crate) use self::mysql::Mysql;
use crate::http_server::Refused;

/// A customer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Customer {
    #[serde(rename = "ID")]
    pub(crate) id: u32,
    pub(crate) name: String,
    /// A point of the map, `x,y`.
    pub(crate) location: String,
}

/// The customers there are: number, name, where they are.
pub(crate) const CUSTOMERS: [(u32, &str, &str); 4] = [
    (123, "Harbour Ferry Line", "118,302"),
    (392, "Old Mill Theatre", "574,86"),
    (567, "Nightjar Coffee", "233,719"),
    (731, "Glasshouse Gardens", "641,455"),
];

#[derive(Deserialize)]
struct Requested {
    customer: u32,
}

pub(crate) fn router(mysql: Mysql) -> Router {
    let mysql = Arc::new(mysql);
    Router::new().route(
        "/customer",
        get(async move |Query(Requested { customer }): Query<Requested>| {
            let found = mysql.customer(customer).await;
            let nobody = || Refused(StatusCode::NOT_FOUND, format!("no customer {customer}"));
            found.map(Json).ok_or_else(nobody)
        }),
    )
}
