//! Runs golden cases recorded from jaeger-client-go against this client

fn main() {}
