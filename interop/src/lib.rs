//! Helpers of the tests against real servers and the Go client.
//!
//! The tests start servers, so they are skipped by default: `INTEROP=run` runs those whose tools are
//! installed, `INTEROP=required` fails where a tool is missing. See [`opt_in`].
//!
//! - [`backend`] starts and stops a server
//! - [`query`], [`zipkin`] and [`otlp`] read traces back from a server
//! - [`otlp_client`] posts spans as OTLP
//! - [`generate`] generates traces with all kinds of tags, logs, references and times
//! - [`roundtrip`] sends generated traces by each protocol, and compares what the server returns
//! - [`conversions`] are the changes that a protocol and a server make to a span
//! - [`span`] is the expected content of a span, and its comparison
//! - [`parentage`] checks the parents of spans
//! - [`both_protocols`] sends a span as Thrift and as OTLP, and compares what the server returns
//! - [`peer`] runs another process that continues traces: `src/bin/peer.rs` in Rust, `go/` in Go
//! - [`burst`] sends spans at the maximum rate, and counts those that the server has stored
//! - [`browser`] controls a browser
//! - [`nginx`] starts nginx with HTTP/2
//! - [`demo`] builds and runs the programs in `demos/`
//! - [`command`] runs programs with a timeout

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "tests wait and start threads; a step that fails is a test that fails"
)]

pub mod backend;
pub mod both_protocols;
pub mod browser;
pub mod burst;
pub mod command;
pub mod conversions;
pub mod demo;
pub mod generate;
pub mod nginx;
pub mod opt_in;
pub mod otlp;
pub mod otlp_client;
pub mod parentage;
pub mod peer;
pub mod query;
pub mod roundtrip;
pub mod span;
pub mod zipkin;
