//! Builds and runs the demos.

#[path = "../../xtask/src/package_variables.rs"]
mod package_variables;

use std::env;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::package_variables::remove_package_variables;
use crate::command;
use crate::opt_in::{self, StepResult};

/// The programs of the demos.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Programs {
    /// `nethttp`: a request that is redirected.
    pub nethttp: PathBuf,
    /// `hotrod`: rides on demand.
    pub hotrod: PathBuf,
}

impl Programs {
    /// Builds the programs from this repository, once for all tests of a process.
    ///
    /// # Errors
    ///
    /// A message, if they cannot be built.
    pub fn build() -> StepResult<Self> {
        static BUILT: Mutex<Option<StepResult<Programs>>> = Mutex::new(None);
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        built.get_or_insert_with(build).clone()
    }
}

fn build() -> StepResult<Programs> {
    // In one build, so that shared crates are compiled once.
    let [nethttp, hotrod] = programs(["nethttp", "hotrod"])?;
    Ok(Programs { nethttp, hotrod })
}

/// Builds these programs of the repository, and returns their paths.
///
/// # Errors
///
/// A message, if they cannot be built.
pub fn programs<const N: usize>(names: [&str; N]) -> StepResult<[PathBuf; N]> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // As members of the workspace, crates have the features that the tests were compiled with.
    cargo.args(["build", "--workspace"]);
    cargo.args(names.iter().flat_map(|name| ["--bin", name]));
    cargo.args(["--message-format", "json-render-diagnostics"]);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    remove_package_variables(&mut cargo);
    let reported = command::output(&mut cargo, BUILD_LIMIT)?;
    let messages: Vec<Value> =
        reported.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let path = |name: &str| {
        let is_it = |message: &&Value| message["target"]["name"] == name;
        let mut programs =
            messages.iter().filter(is_it).filter_map(|message| message["executable"].as_str());
        programs.next().map(PathBuf::from).ok_or_else(|| format!("cargo built no {name}"))
    };
    let mut paths = names.map(|_| PathBuf::new());
    for (slot, name) in paths.iter_mut().zip(names) {
        *slot = path(name)?;
    }
    Ok(paths)
}

/// A program that runs until it is terminated.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    /// Held open, as a program may end when its input is closed.
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    printed: String,
}

impl Running {
    /// Starts a program.
    ///
    /// # Errors
    ///
    /// A message, if it does not start.
    pub fn start(program: &Path, args: &[&str]) -> StepResult<Self> {
        Self::start_with(program, args, &[])
    }

    /// Starts a program with these variables in its environment.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(
        program: &Path,
        args: &[&str],
        variables: &[(&str, &str)],
    ) -> StepResult<Self> {
        let name = format!("{} {}", program.display(), args.join(" "));
        let mut child = Command::new(program)
            .args(args)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name} did not start: {error}"))?;
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take();
        thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|out| BufReader::new(out).lines()) {
                // Nothing is read after an error, and nobody receives after the end.
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        Ok(Self { name, child, input, lines, printed: String::new() })
    }

    /// Waits until the program has printed a line with this beginning, and returns the rest of the line.
    ///
    /// # Errors
    ///
    /// What it has printed, if that takes too long.
    pub fn wait_for_line(&mut self, beginning: &str) -> StepResult<String> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let matching = self.printed.lines().find_map(|line| line.strip_prefix(beginning));
            if let Some(rest) = matching {
                return Ok(rest.to_owned());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.keep(&line),
                Err(_) => {
                    let Self { name, printed, .. } = self;
                    return Err(format!("{name} did not print `{beginning}`: {printed}"));
                }
            }
        }
    }

    /// Sends SIGTERM, as the system does when it shuts down, and does not wait.
    ///
    /// # Errors
    ///
    /// A message, if that is not possible.
    pub fn terminate(&self) -> StepResult<()> {
        let pid = self.child.id().to_string();
        command::output(Command::new("sh").args(["-c", "kill -TERM $0", &pid]), END_LIMIT)?;
        Ok(())
    }

    /// Sends SIGTERM, waits for the end, and returns all that it has printed.
    ///
    /// # Errors
    ///
    /// A message, if it fails, or does not end in time.
    pub fn end(mut self) -> StepResult<String> {
        self.terminate()?;
        let status = command::wait(&mut self.child, END_LIMIT);
        // The reading thread ends with the pipe, which ends with the program.
        while let Ok(line) = self.lines.recv_timeout(END_LIMIT) {
            self.keep(&line);
        }
        match status {
            Some(status) if status.success() => Ok(std::mem::take(&mut self.printed)),
            Some(status) => Err(format!("{}: {status}: {}", self.name, self.printed)),
            None => Err(format!("{} had to be killed: {}", self.name, self.printed)),
        }
    }

    fn keep(&mut self, line: &str) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.printed, "{line}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.input.take());
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        // A test has failed, or does not need the output.
        let killed = self.child.kill().and_then(|()| self.child.wait());
        if let Err(why) = killed {
            opt_in::print_line(&format!("{} was not ended: {why}", self.name));
        }
    }
}

/// Returns the numbers of spans that a program has sent, from the flush reports that it printed.
///
/// # Panics
///
/// If a report is not complete.
#[must_use]
pub fn sent(printed: &str) -> Vec<(String, u64)> {
    let reports = printed.lines().filter(|line| line.contains("finished = not sampled"));
    reports
        .map(|line| {
            let service = line.split_once(": complete after ").map(|(service, _)| service);
            let sent = line.split_once("+ sent ").and_then(|(_, rest)| rest.split(' ').next());
            let sent = sent.and_then(|sent| sent.parse().ok());
            match (service, sent) {
                (Some(service), Some(sent)) => (service.to_owned(), sent),
                _ => panic!("no report of all spans: {line}"),
            }
        })
        .collect()
}

const BUILD_LIMIT: Duration = Duration::from_secs(600);
const START_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(60);
