//! Sends bursts of spans to a running server, and prints how many of them it has stored.
//!
//! ```text
//! cargo run --release -p interop --bin burst -- AGENT QUERY [SPANS…]
//! cargo run --release -p interop --bin burst -- AGENT METRICS flood [SECONDS [THREADS]]
//! cargo run --release -p interop --bin burst -- AGENT METRICS saturate [SECONDS [THREADS]]
//! ```
//!
//! `AGENT`, `QUERY` and `METRICS` are `host:port`. `PACING=off` disables pacing; `PACING=rate` does not
//! watch the agent's receive queue; `PACING=N` does not either, and sends N bytes a second. `RUNS` is the
//! number of runs, 1 by default. Jaeger v1 needs about 5 KB of memory for a span. `saturate` prints rows of
//! a table, one for each kind of pacing. For it, the server may be started with a small limit of traces, as
//! they are counted and not read back.

#![expect(clippy::disallowed_methods, reason = "a tool is told what to do by its environment")]

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use interop::burst::{LoadTest, Saturation};
use interop::opt_in::{StepResult, print_line};
use interop::query::Query;
use jaeger_client::PacingConfig;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            print_line(&format!("burst: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> StepResult<()> {
    let [agent, server, options @ ..] = arguments else {
        return Err("AGENT and QUERY or METRICS are needed, as host:port".to_owned());
    };
    let load = LoadTest { pacing: pacing()?, ..LoadTest::new(agent) };
    let runs = env::var("RUNS").map_or(Ok(1), |runs| number(&runs))?;
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    if let [test @ ("flood" | "saturate"), rest @ ..] = &options[..] {
        let seconds = rest.first().map_or(Ok(5), |seconds| number(seconds))?;
        let threads = rest.get(1).map_or(Ok(2), |threads| number(threads))?;
        let threads = usize::try_from(threads).map_err(|error| error.to_string())?;
        let time = Duration::from_secs(seconds);
        if *test == "saturate" {
            return saturate(&load, time, threads, server, runs);
        }
        for _ in 0..runs {
            let outcome = load.flood(time, threads, server)?;
            print_line(&format!("flood of {seconds} s: {outcome}"));
        }
        return Ok(());
    }
    let sizes = if options.is_empty() { vec!["2000", "10000", "50000"] } else { options };
    for spans in sizes {
        let spans = number(spans)?;
        for _ in 0..runs {
            print_line(&format!("{spans} spans: {}", load.burst(spans, &Query::new(server))?));
        }
    }
    Ok(())
}

/// Prints a table: a row for each kind of pacing and run.
fn saturate(
    load: &LoadTest<'_>,
    time: Duration,
    threads: usize,
    metrics: &str,
    runs: u64,
) -> StepResult<()> {
    let columns = Saturation::COLUMNS;
    let lines = "---:|".repeat(columns.split('|').count());
    print_line(&format!("| pacing | {columns} |\n|---|{lines}"));
    let unseen = PacingConfig { watch_receive_queue: false, ..PacingConfig::default() };
    for _ in 0..runs {
        for (name, pacing) in [
            ("by the agent's receive queue", PacingConfig::default()),
            ("by rate alone", unseen),
            ("none", PacingConfig::off()),
        ] {
            let saturation = LoadTest { pacing, ..*load }.saturate(time, threads, metrics)?;
            print_line(&format!("| {name} | {} |", saturation.row()));
        }
    }
    Ok(())
}

fn pacing() -> StepResult<PacingConfig> {
    let unseen = PacingConfig { watch_receive_queue: false, ..PacingConfig::default() };
    Ok(match env::var("PACING").as_deref() {
        Err(_) => PacingConfig::default(),
        Ok("off") => PacingConfig::off(),
        Ok("rate") => unseen,
        Ok(rate) => PacingConfig { bytes_per_second: number(rate)?, ..unseen },
    })
}

fn number(text: &str) -> StepResult<u64> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}
