//! Runs other programs with a timeout.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The interval between checks of a condition that is waited for.
pub const INTERVAL: Duration = Duration::from_millis(10);

/// Runs `command` to its end and returns what it wrote to stdout.
///
/// # Errors
///
/// A message, if it could not be started, failed, or took longer than `limit`. It includes what the
/// program wrote to stderr.
pub fn output(command: &mut Command, limit: Duration) -> Result<String, String> {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{shown} did not start: {error}"))?;
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let Some(status) = wait(&mut child, limit) else {
        return Err(format!("{shown} took longer than {limit:?}"));
    };
    let text = |reader: thread::JoinHandle<String>| reader.join().unwrap_or_default();
    if status.success() {
        Ok(text(stdout))
    } else {
        Err(format!("{shown} failed, {status}: {}{}", text(stdout), text(stderr)))
    }
}

/// Waits until `child` has ended. Kills it and returns `None` after `limit`.
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(INTERVAL),
            Ok(None) | Err(_) => {
                // An error means that it has just ended.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

/// Reads a pipe to its end on its own thread, so that the program never blocks on a full pipe.
fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still shown.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        let began = Instant::now();
        let ended = output(Command::new("sleep").arg("600"), Duration::from_millis(50));
        assert!(ended.unwrap_err().contains("took longer"));
        assert!(began.elapsed() < Duration::from_secs(300));
    }

    #[test]
    fn a_program_that_fails_shows_what_it_wrote() {
        let mut command = Command::new("sh");
        let failed = output(command.args(["-c", "echo why >&2; exit 3"]), Duration::from_secs(60));
        assert!(failed.unwrap_err().contains("why"));
    }
}
