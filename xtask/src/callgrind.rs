//! Counts the instructions of one function, on the thread that calls it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Outcome;

/// Whether valgrind can be run here.
pub(crate) fn is_there() -> bool {
    let quiet = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// Runs this program with `arguments` below callgrind, and gives the instructions that its main
/// thread executed inside functions whose name contains `function`.
///
/// # Errors
///
/// If the program fails, if nothing was counted, or if another thread was inside the function.
pub(crate) fn instructions(arguments: &[&str], function: &str) -> Outcome<u64> {
    let folder = std::env::temp_dir().join(format!("xtask-callgrind-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let counted = run(arguments, function, &folder).and_then(|()| totals(&folder));
    fs::remove_dir_all(&folder)?;
    let (main, others) = counted?;
    if main == 0 {
        return Err(format!("callgrind counted nothing: no function matches *{function}*").into());
    }
    if others > 0 {
        return Err(format!("{others} instructions of other threads were counted").into());
    }
    Ok(main)
}

fn run(arguments: &[&str], function: &str, folder: &Path) -> Outcome<()> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--separate-threads=yes"])
        .arg(format!("--toggle-collect=*{function}*"))
        .arg(format!("--callgrind-out-file={}", folder.join("out").display()))
        .arg(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

/// Instructions of the main thread and of all others, from callgrind's files: one a thread.
fn totals(folder: &Path) -> Outcome<(u64, u64)> {
    let (mut main, mut others) = (0, 0);
    for file in fs::read_dir(folder)? {
        let (thread, instructions) = totals_of(&fs::read_to_string(file?.path())?);
        *(if thread == 1 { &mut main } else { &mut others }) += instructions;
    }
    Ok((main, others))
}

fn totals_of(text: &str) -> (u64, u64) {
    let number = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|number| number.trim().parse().ok())
    };
    (number("thread:").unwrap_or(1), number("totals:").unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_a_thread_is_read() {
        let text = "version: 1\nthread: 2\n\nevents: Ir\nfn=(1) a\n1 5\n\ntotals: 142\n";
        assert_eq!(totals_of(text), (2, 142));
        assert_eq!(totals_of("events: Ir\n"), (1, 0));
    }
}
