use std::net::SocketAddr;

/// How a client is to be started.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Whether it samples all spans, or none.
    pub sampled: bool,
    pub propagation: Propagation,
    pub target: Target,
    /// Whether spans with one owner are made, by a client that has other ones as well.
    pub owned_spans: bool,
}

impl Setup {
    pub(crate) fn new(sampled: bool, propagation: Propagation, target: Target) -> Self {
        Self { sampled, propagation, target, owned_spans: false }
    }
}

/// Headers that a context is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// `uber-trace-id`.
    Jaeger,
    /// `x-b3-traceid` and its like.
    B3,
    /// `traceparent`.
    W3c,
}

impl Propagation {
    pub(crate) fn of_case(name: &str) -> Self {
        match name {
            "inject-b3" => Self::B3,
            "inject-w3c" => Self::W3c,
            _ => Self::Jaeger,
        }
    }
}

/// Where finished spans go.
#[derive(Clone, Debug)]
pub enum Target {
    /// A consumer in the process that takes and forgets them.
    Discard,
    /// An agent that reads Thrift compact from UDP.
    Agent(SocketAddr),
    /// A collector that reads OTLP in protobuf at this URL.
    Otlp(String),
}

impl Target {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with("http://") {
            return Ok(Self::Otlp(text.to_owned()));
        }
        text.parse().map(Self::Agent).map_err(|_| "the target is neither an address nor a URL")
    }
}
