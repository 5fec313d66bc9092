//! Counts the instructions of one function, on the thread that calls it, and which of them are locked.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::Outcome;

/// Returns whether valgrind is installed.
pub(crate) fn is_there() -> bool {
    let quiet = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// The instructions that one thread executed within a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) instructions: u64,
    /// Those that lock the bus: with a `lock` prefix, and exchanges with memory. Each waits for the
    /// stores before it, and for other cores.
    pub(crate) locked: u64,
}

/// Runs this program with `arguments` by callgrind, and returns what its main thread executed within functions
/// whose name contains `function`.
///
/// # Errors
///
/// If the program fails, if nothing was counted, or if another thread called the function.
pub(crate) fn own_counts(arguments: &[&str], function: &str) -> Outcome<Counts> {
    Ok(counts(&std::env::current_exe()?, arguments, function)?.0)
}

/// Does the same for any program, and returns its output, too.
///
/// # Errors
///
/// As [`own_counts`], and if `objdump` cannot read the program.
pub(crate) fn counts(
    program: &Path,
    arguments: &[&str],
    function: &str,
) -> Outcome<(Counts, String)> {
    let folder = std::env::temp_dir().join(format!("xtask-callgrind-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let counted = run(program, arguments, function, &folder)
        .and_then(|output| Ok((totals(&folder)?, output)));
    fs::remove_dir_all(&folder)?;
    let ((main, others), output) = counted?;
    if main.instructions == 0 {
        return Err(format!("callgrind counted nothing: no function matches *{function}*").into());
    }
    if others > 0 {
        return Err(format!("{others} instructions of other threads were counted").into());
    }
    Ok((main, output))
}

fn run(program: &Path, arguments: &[&str], function: &str, folder: &Path) -> Outcome<String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--separate-threads=yes"])
        .args(["--dump-instr=yes", "--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--toggle-collect=*{function}*"))
        .arg(format!("--callgrind-out-file={}", folder.join("out").display()))
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)).into())
}

/// Reads callgrind's files, one for each thread: the counts of the main thread, and the instructions of all
/// others.
fn totals(folder: &Path) -> Outcome<(Counts, u64)> {
    let (mut main, mut others) = (Counts::default(), 0);
    for file in fs::read_dir(folder)? {
        let text = fs::read_to_string(file?.path())?;
        match totals_of(&text) {
            (1, instructions) => {
                main.instructions += instructions;
                for (object, address, executed) in executed(&text) {
                    main.locked += if is_locked(object, address) { executed } else { 0 };
                }
            }
            (_, instructions) => others += instructions,
        }
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

/// Returns the executed instructions: object file, address in it, and number of executions.
fn executed(text: &str) -> impl Iterator<Item = (&str, u64, u64)> {
    let (mut object, mut is_call) = ("", false);
    text.lines().filter_map(move |line| {
        if let Some(name) = line.strip_prefix("ob=") {
            object = name;
        } else if line.starts_with("calls=") {
            // The next line has the instructions of the called function.
            is_call = true;
        } else if let Some(cost) = line.strip_prefix("0x") {
            let mut fields = cost.split(' ');
            let address = u64::from_str_radix(fields.next()?, 16).ok()?;
            let executed = fields.nth(1)?.parse().ok()?;
            return (!std::mem::take(&mut is_call)).then_some((object, address, executed));
        }
        None
    })
}

/// Returns whether a locked instruction is at this address. Each object file is disassembled once.
fn is_locked(object: &str, address: u64) -> bool {
    static OBJECTS: Mutex<BTreeMap<String, HashSet<u64>>> = Mutex::new(BTreeMap::new());
    let mut objects = OBJECTS.lock().unwrap_or_else(PoisonError::into_inner);
    // An object without a file is the kernel's vDSO, or unknown to valgrind.
    let read = || locked_of(Path::new(object)).unwrap_or_default();
    if !objects.contains_key(object) {
        objects.insert(object.to_owned(), read());
    }
    objects.get(object).is_some_and(|locked| locked.contains(&address))
}

/// Returns the addresses of the locked instructions in an object file.
fn locked_of(object: &Path) -> Outcome<HashSet<u64>> {
    let output = Command::new("objdump").args(["-d", "--no-show-raw-insn"]).arg(object).output()?;
    if !output.status.success() {
        return Err(format!("objdump {}: {}", object.display(), output.status).into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(locked_at).collect())
}

/// Returns the address in a line of a disassembly, if it is a locked instruction.
fn locked_at(line: &str) -> Option<u64> {
    let (address, instruction) = line.trim_start().split_once(":\t")?;
    let locks = instruction.starts_with("lock ")
        || (instruction.starts_with("xchg ") && instruction.contains('('));
    locks.then(|| u64::from_str_radix(address, 16).ok())?
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

    #[test]
    fn what_was_executed_is_read_without_what_was_called() {
        let text = "ob=/bin/a\nfn=f\n0x10 3 7\ncfn=g\ncalls=1 0x40 9\n0x11 3 500\n0x12 4 1\n\
                    ob=/bin/b\nfn=g\n0x40 9 2\ntotals: 510\n";
        let all: Vec<_> = executed(text).collect();
        assert_eq!(all, [("/bin/a", 0x10, 7), ("/bin/a", 0x12, 1), ("/bin/b", 0x40, 2)]);
    }

    #[test]
    fn locked_instructions_are_those_with_the_prefix_and_exchanges_with_memory() {
        assert_eq!(locked_at("   1a2b:\tlock cmpxchg %cl,(%rdi)"), Some(0x1a2b));
        assert_eq!(locked_at("   1a2c:\txchg   %al,0x8(%rbx)"), Some(0x1a2c));
        assert_eq!(locked_at("   1a2d:\txchg   %ax,%ax"), None);
        assert_eq!(locked_at("   1a2e:\tmov    %al,(%rbx)"), None);
        assert_eq!(locked_at("0000000000001a2b <lock>:"), None);
    }
}
