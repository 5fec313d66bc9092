//! The two actors of the article "Tracing HTTP request latency in Go with OpenTracing".
//!
//! The [`client`] asks the [`server`] for `/`, is sent on to `/gettime`, and prints the time. Each
//! step of it is a span, named and tagged as go-stdlib's `nethttp` names and tags it, and the HTTP
//! headers join those of both sides into one trace:
//!
//! ```text
//! client                  the actor's own span
//! └╴HTTP Client           the request as the caller sees it
//!   ├╴HTTP GET            / on the client's side
//!   │ └╴HTTP GET          / on the server's
//!   └╴HTTP GET            /gettime on the client's side
//!     └╴HTTP GET          /gettime on the server's
//! ```
//!
//! The hops of the client log what happened on the way, from `GetConn` to `ClosedBody`.
//!
//! The program in `main.rs` runs them and shows the trace; tests run them as it does.

pub mod client;
pub mod now;
pub mod server;
