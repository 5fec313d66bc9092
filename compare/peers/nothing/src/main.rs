//! No client at all: what the harness itself costs.

use std::hint::black_box;
use std::process::ExitCode;

use peer_harness::{Case, Peer, Unsupported, Work};

fn main() -> ExitCode {
    peer_harness::run(|_| Ok(Nothing))
}

struct Nothing;

impl Peer for Nothing {
    fn work(&self, case: Case) -> Result<Work<'_>, Unsupported> {
        Ok(Box::new(move || {
            black_box(case);
        }))
    }

    fn drain(&self) {}

    fn close(self) -> Option<u64> {
        Some(0)
    }
}
