//! What a request of reqwest costs with the middleware, beside one without:
//! `cargo bench -p jaeger-client-reqwest`.
//!
//! A request is sent over a connection that is kept, to a server on loopback in its own thread, and its
//! body is read. Instructions are counted by callgrind on the client's thread alone, allocations there by a
//! run without it. With an argument, the cases whose name contains it are measured. Exit 1 if a limit is
//! exceeded.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool talks to its terminal")]
#![allow(clippy::disallowed_methods, reason = "a tool starts threads")]

#[path = "../../../../xtask/src/callgrind.rs"]
#[allow(dead_code, unused_imports, reason = "its tests are run where it belongs")]
mod callgrind;
mod cases;
#[path = "../../../http/benches/common/mod.rs"]
mod common;
#[path = "../../../http/benches/overhead/server.rs"]
mod server;

use std::process::ExitCode;

use self::cases::{CASES, Case, Subject};
use self::common::Outcome;

fn main() -> ExitCode {
    common::run("overhead", |[name]| run_case(name), report)
}

/// Requests that are counted together, and before them.
const REQUESTS: u64 = 200;
const WARM_UP: u64 = 200;

/// How often a case is counted.
const RUNS: usize = 3;

/// Measures the first case, and those whose name contains `wanted`.
fn report(wanted: &str) -> Outcome<ExitCode> {
    if !callgrind::is_there() {
        return Ok(common::without_valgrind());
    }
    println!("| a request | instructions | more | allocations | more |");
    println!("|---|---:|---:|---:|---:|");
    let (mut bare, mut exceeded) = (None, false);
    for case in CASES.iter().filter(|case| case.limit == (0, 0) || case.name.contains(wanted)) {
        let (instructions, allocations) = (case.instructions()?, case.allocations()?);
        let bare = *bare.get_or_insert((instructions, allocations));
        let more = (instructions - bare.0, allocations - bare.1);
        exceeded |= more.0 > case.limit.0 || more.1 > case.limit.1;
        let shown = |more: i64| if case.limit == (0, 0) { String::new() } else { more.to_string() };
        println!(
            "| {} | {instructions} | {} | {allocations} | {} |",
            case.name,
            shown(more.0),
            shown(more.1),
        );
    }
    if exceeded {
        eprintln!("A case takes more than it may; see `CASES` in cases.rs.");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs one case and says nothing: this is what callgrind watches.
fn run_case(name: &str) -> Outcome {
    let case = CASES.iter().find(|case| case.name == name).ok_or("no such case")?;
    let subject = case.warm_subject()?;
    let mut ended = Ok(());
    measured_requests(&mut || ended = subject.run(REQUESTS));
    ended
}

/// What callgrind counts. Its name is what callgrind looks for.
#[inline(never)]
fn measured_requests(run: &mut dyn FnMut()) {
    run();
}

impl Case {
    /// A client that has a connection.
    fn warm_subject(&self) -> Outcome<Subject> {
        let subject = self.subject(server::start()?.to_string())?;
        subject.run(WARM_UP)?;
        subject.flush()?;
        Ok(subject)
    }

    /// Instructions of a request on the client's thread: the least of some runs, as it takes more of
    /// them where a response is late and has to be waited for.
    fn instructions(&self) -> Outcome<i64> {
        let mut least = u64::MAX;
        for _ in 0..RUNS {
            let counts = callgrind::own_counts(&["case", self.name], "measured_requests")?;
            least = least.min(counts.instructions.div_ceil(REQUESTS));
        }
        Ok(least.cast_signed())
    }

    /// Allocations of a request on the client's thread, the least of some runs.
    fn allocations(&self) -> Outcome<i64> {
        let subject = self.warm_subject()?;
        let mut least = u64::MAX;
        for _ in 0..RUNS {
            let mut ended = Ok(());
            let run = || ended = subject.run(REQUESTS);
            least = least.min(allocation_counter::measure(run).count_total / REQUESTS);
            ended?;
        }
        Ok(least.cast_signed())
    }
}
