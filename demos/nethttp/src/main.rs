//! The demo of Tracing HTTP request latency in Go with OpenTracing

fn main() {}
