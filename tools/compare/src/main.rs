//! Compares what a Jaeger got of the same spans by Thrift and by OTLP.
//!
//! A service that sends its spans by both (`JAEGER_TRACES_EXPORTER=jaeger,otlp`) has each span twice in
//! the server. This program reads traces back, pairs the two copies of each span, and says where they
//! differ, which are missing, and for which services Thrift can be stopped.
//!
//! - [`args`] is the command line
//! - [`query`] asks a Jaeger's query API, with bounds
//! - [`span`] is a span as that API shows it, and how two of them differ
//! - [`sample`] chooses traces, reads them, and waits for copies that are still on their way
//! - [`compare`] pairs the copies and counts
//! - [`report`] is what is printed

#![allow(clippy::disallowed_methods, reason = "a program waits, and asks for spans up to now")]

mod args;
mod compare;
mod query;
mod report;
mod sample;
mod span;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::query::QueryError;
use crate::report::Report;

fn main() -> ExitCode {
    let args = Args::parse();
    let (printed, code) = match run(&args) {
        Ok(report) if args.json => (report.json(), report.exit_code()),
        Ok(report) => (report.to_string(), report.exit_code()),
        Err(error) if args.json => (report::json_error(&error.to_string()), COULD_NOT_COMPARE),
        Err(error) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(io::stderr(), "jaeger-client-compare: {error}");
            return ExitCode::from(COULD_NOT_COMPARE);
        }
    };
    match writeln!(io::stdout(), "{}", printed.trim_end()) {
        Ok(()) => ExitCode::from(code),
        // A verdict that nobody got is none.
        Err(_) => ExitCode::from(COULD_NOT_COMPARE),
    }
}

fn run(args: &Args) -> Result<Report, QueryError> {
    let servers = args.servers()?;
    let sampled = sample::run(&servers, &args.options())?;
    Ok(Report::new(sampled, args.min_spans, &args.service))
}

/// Every service can stop sending Thrift.
const SAFE: u8 = 0;
/// One of them cannot.
const NOT_SAFE: u8 = 1;
/// Nothing can be said: wrong arguments, no response, no or too few spans.
const COULD_NOT_COMPARE: u8 = 2;
