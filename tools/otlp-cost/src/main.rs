//! CPU time of spans delivered by OTLP over HTTP, beside opentelemetry-otlp:
//! `cargo run --release -p otlp-cost [SPANS] [ROUNDS]`.
//!
//! Each run is its own process, which makes spans at a steady pace, sends them to a server in the
//! first process, and prints its CPU time from start to end. The server counts the received spans: a run that
//! lost one is invalid. Clients take turns, so that other load on the machine is the same for all of them.

#![allow(clippy::disallowed_methods, reason = "a program measures time, and has threads")]
#![allow(clippy::print_stdout, reason = "a program that prints")]

mod clients;
mod server;

use std::error::Error;
use std::process::{Command, Stdio};

use crate::clients::Client;
use crate::server::Server;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, client, spans, url] = &*arguments
        && word == "run"
    {
        let client = Client::named(client).ok_or("no such client")?;
        client.run(spans.parse()?, url)?;
        println!("{}", cpu_seconds());
        return Ok(());
    }
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (spans, rounds) = (number(0, 200_000)?, number(1, 5)?);
    compare(spans, rounds)
}

/// Runs all clients in turn, and prints the median of each.
fn compare(spans: u64, rounds: u64) -> Outcome<()> {
    let server = Server::start()?;
    let mut measured: Vec<(Client, Vec<Run>)> =
        Client::ALL.iter().map(|client| (*client, Vec::new())).collect();
    for _ in 0..rounds {
        for (client, runs) in &mut measured {
            runs.push(run(*client, spans, &server)?);
        }
    }
    println!("{spans} spans of root + 3 tags, {rounds} runs of each client in turn; medians\n");
    println!(
        "| client | CPU s per million spans | least to most | ratio | bytes a span | requests |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    let mut first = None;
    for (client, runs) in &mut measured {
        runs.sort_by(|one, other| one.cpu_seconds.total_cmp(&other.cpu_seconds));
        let (Some(least), Some(most)) = (runs.first(), runs.last()) else { continue };
        let Some(median) = runs.get(runs.len() / 2) else { continue };
        let per_million = |run: &Run| run.cpu_seconds * 1e6 / as_f64(spans);
        let of_first = *first.get_or_insert(median.cpu_seconds);
        println!(
            "| {} | {:.2} | {:.2} to {:.2} | {:.2} | {:.0} | {} |",
            client.title(),
            per_million(median),
            per_million(least),
            per_million(most),
            median.cpu_seconds / of_first,
            as_f64(median.bytes) / as_f64(spans),
            median.requests,
        );
    }
    Ok(())
}

/// The measurements of a run.
struct Run {
    cpu_seconds: f64,
    bytes: u64,
    requests: u64,
}

/// Runs a client in a process of its own.
fn run(client: Client, spans: u64, server: &Server) -> Outcome<Run> {
    let _ = server.take_counts();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["run", client.name(), &spans.to_string(), server.url()]);
    let output = command.stderr(Stdio::inherit()).output()?;
    let printed = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        return Err(format!("{}: {}", client.title(), output.status).into());
    }
    let counts = server.take_counts();
    if counts.spans != spans {
        return Err(format!("{}: {} of {spans} spans arrived", client.title(), counts.spans).into());
    }
    let cpu_seconds = printed.trim().parse()?;
    Ok(Run { cpu_seconds, bytes: counts.bytes, requests: counts.requests })
}

/// Returns the CPU time of this process, all its threads together.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "seconds of a process")]
    let seconds = time.tv_sec as f64;
    #[expect(clippy::cast_precision_loss, reason = "less than a billion")]
    let rest = time.tv_nsec as f64 / 1e9;
    seconds + rest
}

#[expect(clippy::cast_precision_loss, reason = "numbers of spans and bytes")]
fn as_f64(number: u64) -> f64 {
    number as f64
}
