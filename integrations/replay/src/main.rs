//! Sends the spans that a tracer saved in a file because they were not acknowledged before it was
//! closed.
//!
//! `jaeger-client-replay FILE [--collector URL | --otlp URL | --agent HOST:PORT] [--only NAME]`; the
//! README has what the options mean.

use std::error::Error;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use jaeger_client::{
    AgentProtocol, Configuration, Destination, HttpConfig, OtlpConfig, ReplayOptions, replay,
};

const USAGE: &str =
    "usage: jaeger-client-replay FILE [--collector URL | --otlp URL | --agent HOST:PORT] [--only NAME]

Sends the spans in a file of saved batches, where the options say, or else the JAEGER_* and OTEL_*
variables of the environment. What could not be sent stays in the file.";

/// The options of the command line.
#[derive(Debug, Default)]
struct Arguments {
    file: PathBuf,
    destination: Option<Destination>,
    only: Option<String>,
}

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1)) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "jaeger-client-replay: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: impl Iterator<Item = OsString>) -> Result<ExitCode, Box<dyn Error>> {
    let mut out = std::io::stdout();
    let Some(Arguments { file, destination, only }) = parse(arguments)? else {
        writeln!(out, "{USAGE}")?;
        return Ok(ExitCode::SUCCESS);
    };
    let destination = match destination {
        Some(destination) => destination,
        None => of_environment(only.as_deref())?,
    };
    let mut options = ReplayOptions::default();
    options.only = only;
    let report = replay(file, destination, options)?;
    writeln!(out, "{report}")?;
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The destination that the service's environment names: the one of that name, or the first.
fn of_environment(only: Option<&str>) -> Result<Destination, Box<dyn Error>> {
    let destinations = Configuration::from_env()?.destinations()?;
    let named = |destination: &Destination| only.is_none_or(|name| destination.name() == name);
    let position = destinations.iter().position(named).unwrap_or_default();
    destinations.into_iter().nth(position).ok_or_else(|| "no destination is configured".into())
}

/// Parses the command line; `None` if it requests help.
fn parse(
    mut arguments: impl Iterator<Item = OsString>,
) -> Result<Option<Arguments>, Box<dyn Error>> {
    let mut parsed = Arguments::default();
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        if matches!(text, "-h" | "--help") {
            return Ok(None);
        }
        if !text.starts_with("--") {
            if !parsed.file.as_os_str().is_empty() {
                return Err(format!("one file at a time\n\n{USAGE}").into());
            }
            parsed.file = argument.into();
            continue;
        }
        let value = arguments.next().and_then(|value| value.into_string().ok());
        let value = value.ok_or_else(|| format!("{text} needs a value\n\n{USAGE}"))?;
        let destination = match text {
            "--only" => {
                parsed.only = Some(value);
                continue;
            }
            "--collector" => Destination::collector(HttpConfig::new(value)),
            "--otlp" => Destination::otlp(OtlpConfig::new(value)),
            "--agent" => Destination::agent(value, AgentProtocol::Compact),
            _ => return Err(format!("no option is called {text}\n\n{USAGE}").into()),
        };
        if parsed.destination.replace(destination).is_some() {
            return Err(format!("one destination at a time\n\n{USAGE}").into());
        }
    }
    if parsed.file.as_os_str().is_empty() {
        return Err(USAGE.into());
    }
    Ok(Some(parsed))
}
