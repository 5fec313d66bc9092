//! Runs other programs, never for longer than a given time.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at again while waiting for it.
pub const INTERVAL: Duration = Duration::from_millis(10);

/// Runs `command` to its end and gives what it wrote to stdout.
///
/// # Errors
///
/// Says what happened if it could not be started, failed, or took longer than `limit`; what it
/// wrote to stderr is part of that.
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

/// Waits until `child` has ended; ends it and gives nothing if that takes longer than `limit`.
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(INTERVAL),
            Ok(None) | Err(_) => {
                // It may have ended just now, which is as good.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

/// Reads a pipe to its end on its own thread, so that a full pipe stops nobody.
fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before the error is still worth showing.
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
        let ended = output(Command::new("sleep").arg("20"), Duration::from_millis(50));
        assert!(ended.unwrap_err().contains("took longer"));
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_program_that_fails_shows_what_it_wrote() {
        let mut command = Command::new("sh");
        let failed = output(command.args(["-c", "echo why >&2; exit 3"]), Duration::from_secs(10));
        assert!(failed.unwrap_err().contains("why"));
    }
}
