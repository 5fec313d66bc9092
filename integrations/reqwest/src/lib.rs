//! Requests of reqwest as Jaeger spans: a middleware of [`reqwest_middleware`].
//!
//! ```no_run
//! use jaeger_client::Tracer;
//! use jaeger_client_reqwest::{JaegerMiddleware, trace_connections};
//! use reqwest_middleware::ClientBuilder;
//!
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! let (tracer, _closer) = Tracer::builder("shop").build()?;
//! let client = trace_connections(reqwest::Client::builder()).build()?;
//! let client = ClientBuilder::new(client).with(JaegerMiddleware::new(tracer)).build();
//!
//! let orders = client.get("http://localhost:8000/orders").send().await?.text().await?;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod connections;
mod error;
mod middleware;

pub use self::connections::{TracedDns, trace_connections};
pub use self::middleware::JaegerMiddleware;
pub use reqwest;
pub use reqwest_middleware;
