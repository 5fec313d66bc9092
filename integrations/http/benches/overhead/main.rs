//! What a traced request costs beside one of the bare client: `cargo bench -p jaeger-client-http`.
//!
//! A request is sent over a connection that is kept, to a server on loopback in its own thread,
//! and its body is read. The bare client is that of hyper-util. Instructions are counted by callgrind
//! on the client's thread alone, and hardly differ from run to run; with an argument, the cases whose
//! name contains it are measured. Times are of rounds in turn, so that what else the machine does
//! meets all cases alike, and are shown as a ratio to the bare client's in the same round.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool talks to its terminal")]
#![allow(clippy::disallowed_methods, reason = "a tool measures time and starts threads")]

#[path = "../../../../xtask/src/callgrind.rs"]
#[allow(dead_code, unused_imports, reason = "its tests are run where it belongs")]
mod callgrind;
mod cases;
#[path = "../common/mod.rs"]
mod common;
mod server;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use self::cases::{BARE, CASES, Case, Subject};
use self::common::Outcome;

fn main() -> ExitCode {
    common::run("overhead", |[name]| run_case(name), report)
}

/// Requests that are counted together.
const REQUESTS: usize = 200;

/// How often a case is counted.
const RUNS: usize = 3;

/// Requests of a round whose time is taken, and rounds. Many short ones, as their median hardly
/// minds what else a machine does.
const TIMED: usize = 20;
const ROUNDS: usize = 400;

/// Measures all cases, or those whose name contains `wanted`, and the bare client.
fn report(wanted: &str) -> Outcome<ExitCode> {
    let cases = CASES.iter().filter(|case| case.name == BARE || case.name.contains(wanted));
    let cases: Vec<&Case> = cases.collect();
    let times = ratios(&cases)?;
    let counted = callgrind::is_there();
    println!("| a request | instructions | more than bare | time, bare = 1 | quartiles |");
    println!("|---|---:|---:|---:|---:|");
    let (mut bare, mut exceeded) = (None, false);
    for (case, times) in cases.into_iter().zip(times) {
        let instructions = if counted { Some(case.instructions()?) } else { None };
        bare = bare.or(instructions);
        let more =
            instructions.zip(bare).map(|(count, bare)| count.cast_signed() - bare.cast_signed());
        exceeded |= more.is_some_and(|more| more > case.ceiling);
        let shown = |count: Option<i64>| count.map_or_else(String::new, |count| count.to_string());
        println!(
            "| {} | {} | {} | {:.2} | {:.2}–{:.2} |",
            case.name,
            shown(instructions.map(u64::cast_signed)),
            shown(more.filter(|_| case.name != BARE)),
            times[1],
            times[0],
            times[2],
        );
    }
    if !counted {
        return Ok(common::without_valgrind());
    }
    if exceeded {
        eprintln!("A case takes more instructions than it may; see `CASES` in cases.rs.");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// For each case, the quartiles of its time in a round to that of the bare client in the same one.
fn ratios(cases: &[&Case]) -> Outcome<Vec<[f64; 3]>> {
    let url = server::start()?;
    let subjects = cases.iter().map(|case| case.subject(&url));
    let subjects: Vec<Subject> = subjects.collect::<Outcome<_>>()?;
    subjects.iter().try_for_each(|subject| subject.run(REQUESTS))?;
    let mut ratios = vec![Vec::new(); subjects.len()];
    for round in 0..ROUNDS {
        let mut times = vec![Duration::ZERO; subjects.len()];
        // Each is the first one now and then.
        for at in (0..subjects.len()).map(|at| (at + round) % subjects.len()) {
            let begun = Instant::now();
            subjects[at].run(TIMED)?;
            times[at] = begun.elapsed();
            subjects[at].flush()?;
        }
        for (ratios, time) in ratios.iter_mut().zip(&times) {
            ratios.push(time.as_secs_f64() / times[0].as_secs_f64());
        }
    }
    let quartiles = ratios.into_iter().map(|mut of| {
        of.sort_by(f64::total_cmp);
        [1, 2, 3].map(|quarter| of[of.len() * quarter / 4])
    });
    Ok(quartiles.collect())
}

/// Runs one case and says nothing: this is what callgrind watches.
fn run_case(name: &str) -> Outcome {
    let case = CASES.iter().find(|case| case.name == name).ok_or("no such case")?;
    let subject = case.subject(&server::start()?)?;
    subject.run(WARM_UP)?;
    subject.flush()?;
    let mut ended = Ok(());
    measured_requests(&mut || ended = subject.run(REQUESTS));
    ended
}

const WARM_UP: usize = 50;

/// What callgrind counts. Its name is what callgrind looks for.
#[inline(never)]
fn measured_requests(run: &mut dyn FnMut()) {
    run();
}

impl Case {
    /// Instructions of a request on the client's thread: the least of some runs, as it takes more of
    /// them where a response is late and has to be waited for.
    fn instructions(&self) -> Outcome<u64> {
        let mut least = u64::MAX;
        for _ in 0..RUNS {
            let all = callgrind::own_counts(&["case", self.name], "measured_requests")
                .map(|counts| counts.instructions)?;
            least = least.min(all.div_ceil(REQUESTS as u64));
        }
        Ok(least)
    }
}
