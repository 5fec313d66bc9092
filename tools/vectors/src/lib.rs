//! Golden cases recorded from jaeger-client-go, run against `jaeger-client`.
//!
//! A file has cases of one kind. A kind is a module here, which executes a case's `input` and compares the
//! result, and an entry in `KINDS`. Where this client differs from Go's on purpose, `deviations` has what is
//! expected instead, by a case's input and never by its name.

mod carrier;
mod client;
mod config_env;
mod datagrams;
mod datagrams_made;
mod datagrams_zipkin;
mod described;
mod deviations;
mod extract;
mod inject;
mod json;
mod lifecycle;
mod lifecycle_options;
mod lifecycle_rules;
mod lifecycle_samplers;
mod model;
mod peroperation;
mod probabilistic;
mod ratelimit;
mod remote_sampling;
mod report;
mod server;
mod transport;
mod value;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use self::deviations::Rule;
use self::report::Checks;
pub use self::report::Report;

/// What this program reads.
const FORMAT: &str = "jaeger-client-golden/1";

/// How cases of one kind are run.
struct Kind {
    /// The file's own name for it.
    name: &'static str,
    /// Runs one case. An error means that the case is not understood.
    run: fn(&Value, &mut Checks) -> Result<(), String>,
    /// Why a response may differ from what was recorded.
    rules: &'static [Rule],
}

/// Every kind of file, one row each.
const KINDS: &[Kind] = &[
    Kind { name: "datagrams", run: datagrams::run, rules: datagrams::RULES },
    Kind { name: "transport", run: transport::run, rules: transport::RULES },
    Kind { name: "extract", run: extract::run, rules: extract::RULES },
    Kind { name: "inject", run: inject::run, rules: inject::RULES },
    Kind { name: "probabilistic", run: probabilistic::run, rules: probabilistic::RULES },
    Kind { name: "ratelimit", run: ratelimit::run, rules: ratelimit::RULES },
    Kind { name: "peroperation", run: peroperation::run, rules: peroperation::RULES },
    Kind { name: "remote_sampling", run: remote_sampling::run, rules: remote_sampling::RULES },
    Kind { name: "lifecycle", run: lifecycle::run, rules: lifecycle_rules::RULES },
    Kind { name: "config_env", run: config_env::run, rules: config_env::RULES },
];

/// Runs the cases of a file, and adds the results to `report`. If the file has a reviewed one (`ours/` beside
/// it), the differences from the recorded responses must be the reviewed ones.
///
/// # Errors
///
/// A message, if a file could not be read, is no file of golden cases, or has an unknown kind.
pub fn run_file(file: &Path, report: &mut Report) -> Result<(), String> {
    let reviewed = match fs::read_to_string(reviewed_file(file)) {
        Ok(text) => Some(serde_json::from_str(&text).map_err(|error| format!("ours/: {error}"))?),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(format!("ours/: {error}")),
    };
    run_text(&name_of(file), &read(file)?, reviewed.as_ref(), report).map(drop)
}

/// Runs the cases of a file by the rules alone, and writes the differences to its reviewed file. Review the
/// diff before it is committed.
///
/// # Errors
///
/// As [`run_file`]; also if the reviewed file cannot be written.
pub fn update_file(file: &Path, report: &mut Report) -> Result<(), String> {
    let found = run_text(&name_of(file), &read(file)?, None, report)?;
    let reviewed = reviewed_file(file);
    let text = reviewable(&found);
    let folder = reviewed.parent().unwrap_or_else(|| Path::new("."));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&reviewed, text));
    written.map_err(|error| format!("{}: {error}", reviewed.display()))
}

/// One line for each difference, so that a diff shows it whole.
fn reviewable(found: &Value) -> String {
    let members = |of: &Value| of.as_object().cloned().unwrap_or_default();
    let line = |(place, entry): (String, Value)| format!("    {}: {entry}", Value::from(place));
    let case = |(name, places): (String, Value)| {
        let lines: Vec<_> = members(&places).into_iter().map(line).collect();
        format!("  {}: {{\n{}\n  }}", Value::from(name), lines.join(",\n"))
    };
    let cases: Vec<_> = members(found).into_iter().map(case).collect();
    format!("{{\n{}\n}}\n", cases.join(",\n"))
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| error.to_string())
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

fn reviewed_file(file: &Path) -> PathBuf {
    file.with_file_name("ours").join(name_of(file))
}

/// Runs the cases in `text`, which reports call `name`. Returns the differences to review, by case.
///
/// # Errors
///
/// As [`run_file`].
pub fn run_text(
    name: &str,
    text: &str,
    reviewed: Option<&Value>,
    report: &mut Report,
) -> Result<Value, String> {
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
    let mut found = Map::new();
    let none = Map::new();
    for case in json::items(&file, "cases")? {
        let mut checks = Checks::default();
        if let Err(error) = (kind.run)(case, &mut checks) {
            checks.fail(format!("case not understood: {error}"));
        }
        let case_name = json::text(case, "name").unwrap_or("(no name)");
        let of_case =
            |reviewed: &Value| reviewed.get(case_name).and_then(Value::as_object).cloned();
        let reviewed = reviewed.map(|reviewed| of_case(reviewed).unwrap_or_else(|| none.clone()));
        let differences = checks.settle(case, kind.rules, reviewed.as_ref());
        if !differences.is_empty() {
            found.insert(case_name.to_owned(), differences.into());
        }
        report.add(name, case_name, checks);
    }
    Ok(found.into())
}

#[cfg(test)]
mod tests;
