//! Compares what a Jaeger got of the same spans by Thrift and by OTLP.
#![allow(dead_code, reason = "the command line comes with a later change")]
#![allow(clippy::disallowed_methods, reason = "a program waits, and asks for spans up to now")]

mod compare;
mod query;
mod sample;
mod span;

fn main() {}
