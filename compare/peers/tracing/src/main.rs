//! tracing with its registry and no layer: what it costs before spans go anywhere.

use std::hint::black_box;
use std::process::ExitCode;

use peer_harness::{Case, Peer, Setup, Target, Unsupported, Work};

fn main() -> ExitCode {
    peer_harness::run(Registry::start)
}

struct Registry;

impl Registry {
    fn start(setup: &Setup) -> Result<Self, Unsupported> {
        let Target::Discard = setup.target else { return Err("sends nothing") };
        peer_harness::tracing::install(tracing_subscriber::registry())?;
        Ok(Self)
    }
}

impl Peer for Registry {
    fn work(&self, case: Case) -> Result<Work<'_>, Unsupported> {
        peer_harness::tracing::work(case, |span| {
            black_box(span.id());
        })
    }

    fn drain(&self) {}

    fn close(self) -> Option<u64> {
        Some(0)
    }
}
