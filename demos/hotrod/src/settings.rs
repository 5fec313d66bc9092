//! What can be chosen.

use std::time::Duration;

use clap::ValueEnum;

/// Which services run in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Which {
    /// All of them.
    All,
    /// The web page and the dispatch of rides.
    Frontend,
    /// Where customers are, from a database.
    Customer,
    /// Which drivers are near, from a cache.
    Driver,
    /// How long a way takes.
    Route,
}

impl Which {
    /// Returns whether `service` runs where this was chosen.
    #[must_use]
    pub fn includes(self, service: Self) -> bool {
        self == Self::All || self == service
    }
}

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Destination {
    /// To an agent in this process.
    Embedded,
    /// To the agent at `host:port`, in compact Thrift over UDP.
    Agent(String),
    /// To the server with this URL, in Zipkin's format.
    Zipkin(String),
}

/// All that can be chosen. A service that does not run here is expected at its port on loopback.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "written with struct update syntax")]
pub struct Settings {
    /// The port of the frontend; 0 takes a free one, here and below.
    pub frontend_port: u16,
    /// The port of the customer service.
    pub customer_port: u16,
    /// The port of the driver service.
    pub driver_port: u16,
    /// The port of the route service.
    pub route_port: u16,
    /// How long the database takes, on average.
    pub db_query_delay: Duration,
    /// Whether the database does one query at a time.
    pub db_mutex: bool,
    /// How long the driver service may take.
    pub driver_timeout: Duration,
    /// How many routes the frontend asks for at a time, of all rides together.
    pub route_workers: usize,
    /// Where spans go.
    pub destination: Destination,
    /// The user interface that shows traces; by default that of the destination.
    pub ui: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            frontend_port: 8080,
            customer_port: 8081,
            driver_port: 8082,
            route_port: 8083,
            db_query_delay: Duration::from_millis(300),
            db_mutex: true,
            driver_timeout: Duration::from_secs(1),
            route_workers: 3,
            destination: Destination::Embedded,
            ui: None,
        }
    }
}
