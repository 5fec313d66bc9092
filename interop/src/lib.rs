//! Tests of the client against real servers and the Go client: what they share.
//!
//! The tests start servers, so they run only when asked: `INTEROP=run` runs those whose tools are
//! here, `INTEROP=required` fails where a tool is missing. See [`gate`].
//!
//! - [`backend`] starts a server and stops it again
//! - [`query`], [`zipkin`] and [`otlp`] read traces back from it
//! - [`post`] posts spans as OTLP
//! - [`round`] sends spans all ways there are and compares what comes back, by the [`rules`]
//! - [`span`] says how a span must look when it is read back
//! - [`peer`] runs another process that continues our traces: `src/bin/peer.rs` in Rust, `go/` in Go
//! - [`chain`] checks which of them is whose child
//! - [`doors`] sends a span as Thrift and as OTLP, and says how what comes back differs
//! - [`grow`] makes traces that have everything a span can have
//! - [`burst`] makes spans as fast as they can be made, and counts what a server holds of them
//! - [`browser`] drives a real browser
//! - [`nginx`] starts nginx, which speaks HTTP/2
//! - [`demo`] builds and runs the programs in `demos/`
//! - [`command`] runs programs with a limit of time

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
