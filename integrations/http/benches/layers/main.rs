//! What a request costs with the layers of this crate, beside the bare service and beside the `trace` of
//! tower-http: `cargo bench -p jaeger-client-http --bench layers`.
//!
//! The services respond at once and nothing is sent, so that only the layers are measured: instructions by
//! callgrind on the calling thread alone, allocations by a run without it. tower-http's spans and events
//! go to tracing's registry, which has no layer that would use them. With an argument, the cases whose name
//! contains it are measured, and those they are compared with. Exit 1 if a limit is exceeded.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool talks to its terminal")]

#[path = "../../../../xtask/src/callgrind.rs"]
#[allow(dead_code, unused_imports, reason = "its tests are run where it belongs")]
mod callgrind;
mod cases;
#[path = "../common/mod.rs"]
mod common;

use std::collections::HashMap;
use std::process::ExitCode;

use self::cases::{CASES, Case, Work};
use self::common::Outcome;

fn main() -> ExitCode {
    tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap_or_default();
    common::run("layers", |[name]| run_case(name), report)
}

/// Requests that are counted, and before them.
const REQUESTS: u64 = 1_000;
const WARM_UP: u64 = 2_000;

/// Requests between two flushes, whose spans fit the buffers that are in use.
const BURST: u64 = 100;

fn report(wanted: &str) -> Outcome<ExitCode> {
    if !callgrind::is_there() {
        return Ok(common::without_valgrind());
    }
    println!(
        "| a request to | instructions | more than bare | limit | allocations | more | limit |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let mut bare: HashMap<&str, [u64; 2]> = HashMap::new();
    let mut exceeded = false;
    for case in CASES.iter().filter(|case| case.limit.is_none() || case.name.contains(wanted)) {
        let counts = [case.instructions()?, case.allocations()?];
        bare.insert(case.name, counts);
        let Some((base, instructions, allocations)) = case.limit else {
            println!("| {} | {} | | | {} | | |", case.name, counts[0], counts[1]);
            continue;
        };
        let base = bare.get(base).ok_or("it is compared with a later case")?;
        let more = [0, 1].map(|at| counts[at].saturating_sub(base[at]));
        exceeded |= more[0] > instructions || more[1] > allocations;
        let shown = [instructions, allocations]
            .map(|limit| if limit == u64::MAX { String::new() } else { format!("≤ {limit}") });
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            case.name, counts[0], more[0], shown[0], counts[1], more[1], shown[1]
        );
    }
    if exceeded {
        eprintln!("A case takes more than it may; see `CASES` in cases.rs.");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

impl Case {
    fn instructions(&self) -> Outcome<u64> {
        let counts = callgrind::own_counts(&["case", self.name], "measured_requests")?;
        Ok(counts.instructions / REQUESTS)
    }

    /// Allocations of a request in steady state. A buffer of the tracer, which holds hundreds of spans, is
    /// none of them.
    fn allocations(&self) -> Outcome<u64> {
        self.with(|work, flush| {
            let mut allocations = 0;
            in_bursts(WARM_UP, flush, || repeat(work, BURST))?;
            in_bursts(REQUESTS, flush, || {
                allocations += allocation_counter::measure(|| repeat(work, BURST)).count_total;
            })?;
            Ok(allocations / REQUESTS)
        })
    }
}

/// Runs one case and says nothing: this is what callgrind watches.
fn run_case(name: &str) -> Outcome {
    let case = CASES.iter().find(|case| case.name == name).ok_or("no such case")?;
    case.with(|work, flush| {
        in_bursts(WARM_UP, flush, || repeat(work, BURST))?;
        in_bursts(REQUESTS, flush, || measured_requests(work))
    })
}

/// What callgrind counts. Its name is what callgrind looks for.
#[inline(never)]
fn measured_requests(work: &mut Work) {
    repeat(work, BURST);
}

/// Sends that many requests in bursts, and flushes the tracer after each burst.
fn in_bursts(requests: u64, flush: &dyn Fn() -> Outcome, mut burst: impl FnMut()) -> Outcome {
    (0..requests / BURST).try_for_each(|_| {
        burst();
        flush()
    })
}

fn repeat(work: &mut Work, times: u64) {
    (0..times).for_each(|_| work());
}
