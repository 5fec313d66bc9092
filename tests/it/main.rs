//! The behaviour of the client as its users see it, in the folders of `src`.
//!
//! What needs a separate process is a separate program beside this folder.

#![allow(
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::float_cmp,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests stop where something fails, read clocks and start threads"
)]
// What no test uses is found where all features are on: without one, its tests are left out.
#![cfg_attr(
    not(all(
        feature = "remote-sampler",
        feature = "otlp-gzip",
        feature = "tls",
        feature = "http",
        feature = "saved-batches",
        feature = "serde"
    )),
    allow(dead_code, unused_imports)
)]

#[path = "../support/mod.rs"]
mod support;

mod config;
mod documents;
mod encoding;
mod metrics;
mod policy;
mod propagation;
mod reporter;
mod sampler;
mod span;
mod tail;
mod transport;
