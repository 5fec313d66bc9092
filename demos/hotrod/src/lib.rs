//! Rides on demand: six services that trace, in one program or in four.
//!
//! A dispatch asks the customer service where the customer is, the driver service who is near, and
//! the route service how long each of them takes. [`start()`] runs the services; the binary is what
//! gives it the command line.

mod customer;
mod delay;
mod driver;
mod frontend;
mod http_server;
mod log;
mod metrics;
mod route;
mod settings;
mod start;
mod tracers;

pub use self::settings::{Destination, Settings, Which};
pub use self::start::{Running, StartError, start};
