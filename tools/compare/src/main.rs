//! Compares spans that a Jaeger server has received both as Thrift and as OTLP.
//!
//! The server has two copies of each span of a service that sends both (`JAEGER_TRACES_EXPORTER=jaeger,otlp`).
//! This program reads traces, pairs the copies of each span, and reports their differences, missing copies, and
//! the services that can stop sending Thrift.
//!
//! - [`args`] is the command line
//! - [`query`] is a client of Jaeger's query API, with bounds
//! - [`span`] is a span of that API, and the differences of two
//! - [`sample`] selects traces, reads them, and waits for copies that are not stored yet
//! - [`compare`] pairs the copies and counts
//! - [`report`] is the output

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
            // An error here cannot be reported anywhere.
            let _ = writeln!(io::stderr(), "jaeger-client-compare: {error}");
            return ExitCode::from(COULD_NOT_COMPARE);
        }
    };
    match writeln!(io::stdout(), "{}", printed.trim_end()) {
        Ok(()) => ExitCode::from(code),
        // A report that could not be written is an error.
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
/// There is no result: wrong arguments, no response, no spans or too few.
const COULD_NOT_COMPARE: u8 = 2;
