//! A Jaeger agent inside the process: keeps spans in memory, for tests and laptops.
//!
//! [`EmbeddedAgent`] listens where a Jaeger agent listens, for both of its UDP protocols, and
//! stores received spans in a [`Store`] that a test reads and waits on. For people there is a
//! waterfall in the terminal ([`Trace::waterfall`]) and a small web page with Jaeger's query API.
//!
//! The agent runs on threads of the standard library, needs no container and no async runtime, and
//! treats input as hostile: every length is checked, memory is bounded, and nothing that arrives
//! makes it panic.
//!
//! # Examples
//!
//! A client sends a batch; the test waits for the span without sleeping.
//!
//! ```
//! use std::net::UdpSocket;
//! use std::time::Duration;
//!
//! use jaeger_client::encoding::{BatchView, List, ProcessView, SpanView};
//! use jaeger_client::{SpanId, TraceId};
//! use jaeger_client_embedded_agent::EmbeddedAgent;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let agent = EmbeddedAgent::start()?;
//!
//! let mut span = SpanView::default();
//! span.trace_id = TraceId::new(0, 0xabc);
//! span.span_id = SpanId::new(0xabc);
//! span.operation_name = b"GET /";
//! let mut bytes = Vec::new();
//! span.encode(&mut bytes);
//! let batch = BatchView::new(ProcessView::new(b"shop", None), List::new(1, &bytes));
//! UdpSocket::bind("127.0.0.1:0")?.send_to(&batch.to_message(1), agent.compact_addr())?;
//!
//! let spans = agent.wait_for_spans(1, Duration::from_secs(5))?;
//! assert_eq!(spans[0].service(), "shop");
//! assert_eq!(spans[0].operation_name(), "GET /");
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod agent;
mod batches;
mod binary;
mod http;
mod listen;
mod memory;
mod receive;
mod span;
mod store;
mod system;
mod text;
mod trace;
mod tree;
mod waterfall;

pub use self::agent::{Builder, EmbeddedAgent};
pub use self::batches::{BatchInfo, Stats, WaitError};
pub use self::receive::Protocol;
pub use self::span::ReceivedSpan;
pub use self::store::Store;
pub use self::trace::Trace;
pub use self::waterfall::WaterfallOptions;
