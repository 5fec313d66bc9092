//! A command-line program: its spans arrive whatever its exit code is.
//!
//! `cargo run --example cli -- README.md no-such-file`. `std::process::exit` drops nothing, so the tracer is
//! closed before it; a `main` that returns an `ExitCode` needs no `exit` at all.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to look at")]

use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use jaeger_client::{ConfigError, Configuration, Tracer};

/// Counts the lines of a file.
fn count(tracer: &Tracer, file: &str) -> Option<usize> {
    let span = tracer.start_span("count lines");
    span.set_tag("file", file);
    match fs::read_to_string(file) {
        Ok(text) => {
            span.set_tag("lines", text.lines().count());
            Some(text.lines().count())
        }
        Err(error) => {
            span.record_error(&error);
            None
        }
    }
}

fn main() -> Result<ExitCode, ConfigError> {
    let (tracer, closer) = Configuration::new("count").with_env()?.new_tracer()?;

    let command = tracer.start_span("count");
    let active = command.activate();
    let counts: Vec<_> = env::args().skip(1).map(|file| (count(&tracer, &file), file)).collect();
    drop(active);
    command.finish();

    for (lines, file) in &counts {
        match lines {
            Some(lines) => println!("{lines:>8} {file}"),
            None => println!("{:>8} {file}", "failed"),
        }
    }
    // At most two seconds: a command must end, whatever the agent does.
    println!("spans: {}", closer.close(Duration::from_secs(2)));
    let failed = counts.iter().any(|(lines, _)| lines.is_none());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
