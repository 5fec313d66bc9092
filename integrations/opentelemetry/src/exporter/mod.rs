//! A span exporter for the OpenTelemetry SDK that sends to Jaeger's own ports.

mod account;
mod completion;
mod convert;

pub use self::account::{ExporterAccount, ExporterDropped, ExporterStats};
