//! Connectors and resolvers of other clients, made to tell the request that dials.

mod connect;
mod dial;
mod resolver;
mod tls;

pub use self::connect::{Connecting, ConnectorLayer, TracedConnector};
pub(crate) use self::dial::{DialLog, in_request};
pub use self::resolver::{ResolvingName, TracedResolver};
pub use self::tls::{TlsConnecting, TracedTlsConnector};
