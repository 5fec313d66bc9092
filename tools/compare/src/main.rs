//! Compares what a Jaeger got of the same spans by Thrift and by OTLP.
#![allow(dead_code, reason = "the command line comes with a later change")]

mod compare;
mod span;

fn main() {}
