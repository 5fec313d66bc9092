//! Golden cases recorded from jaeger-client-go, run against `jaeger-client`.
//!
//! A file holds cases of one kind. A kind is one module here, which knows how to do what a case's
//! `input` says and to compare what comes of it, and one row in `KINDS`. Where this client means
//! to differ from Go's, `deviations` says what is expected instead; a module asks it about a
//! case's input, never about its name.

mod b3_rules;
mod carrier;
mod client;
mod config_env;
mod config_env_rules;
mod datagrams;
mod datagrams_made;
mod described;
mod deviations;
mod extract;
mod extract_rules;
mod inject;
mod inject_rules;
mod json;
mod lifecycle;
mod lifecycle_control;
mod lifecycle_options;
mod lifecycle_rules;
mod lifecycle_samplers;
mod lifecycle_script;
mod lifecycle_span_rules;
mod lifecycle_spans;
mod lifecycle_start_rules;
mod model;
mod peroperation;
mod probabilistic;
mod ratelimit;
mod remote_rules;
mod remote_sampling;
mod report;
mod sampling_rules;
mod server;
mod transport;
mod transport_rules;
mod zipkin_rules;

use std::fs;
use std::path::Path;

use serde_json::Value;

use self::report::Checks;
pub use self::report::Report;

/// What this program reads.
const FORMAT: &str = "jaeger-client-golden/1";

/// How cases of one kind are run.
struct Kind {
    /// The file's own name for it.
    name: &'static str,
    /// Runs one case; an error says that the case could not be understood.
    run: fn(&Value, &mut Checks) -> Result<(), String>,
}

/// Every kind of file, one row each.
const KINDS: &[Kind] = &[
    Kind { name: "datagrams", run: datagrams::run },
    Kind { name: "transport", run: transport::run },
    Kind { name: "extract", run: extract::run },
    Kind { name: "inject", run: inject::run },
    Kind { name: "probabilistic", run: probabilistic::run },
    Kind { name: "ratelimit", run: ratelimit::run },
    Kind { name: "peroperation", run: peroperation::run },
    Kind { name: "remote_sampling", run: remote_sampling::run },
    Kind { name: "lifecycle", run: lifecycle::run },
    Kind { name: "config_env", run: config_env::run },
];

/// Runs the cases of a file and adds what came of them to `report`.
///
/// # Errors
///
/// Says why the file could not be read, is no file of golden cases, or is of an unknown kind.
pub fn run_file(file: &Path, report: &mut Report) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    run_text(&name, &text, report)
}

/// Runs the cases in `text`, which reports call `name`.
///
/// # Errors
///
/// As [`run_file`].
pub fn run_text(name: &str, text: &str, report: &mut Report) -> Result<(), String> {
    let file: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    match json::text(&file, "format") {
        Ok(FORMAT) => {}
        Ok(other) => return Err(format!("unknown format {other:?}, not {FORMAT:?}")),
        Err(error) => return Err(format!("unknown format: {error}")),
    }
    let kind_name = json::text(&file, "file")?;
    let kind = KINDS
        .iter()
        .find(|kind| kind.name == kind_name)
        .ok_or_else(|| format!("unknown kind of cases {kind_name:?}"))?;
    for case in json::items(&file, "cases")? {
        let mut checks = Checks::default();
        if let Err(error) = (kind.run)(case, &mut checks) {
            checks.fail(format!("case not understood: {error}"));
        }
        report.add(name, json::text(case, "name").unwrap_or("(no name)"), checks);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
