//! Readings of a process and its sockets from Linux.

use std::fs;

/// Returns the CPU time of this process so far, in seconds.
pub(crate) fn cpu_seconds() -> Option<f64> {
    cpu_of(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// Returns the CPU time of all ended child processes, in seconds.
pub(crate) fn children_cpu_seconds() -> Option<f64> {
    cpu_in(&fs::read_to_string("/proc/self/stat").ok()?, 13)
}

/// Returns the peak resident memory of this process, in KiB.
pub(crate) fn peak_memory_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Returns the number of datagrams that the kernel dropped because the receive buffer of this UDP port was full.
pub(crate) fn socket_drops(port: u16) -> Option<u64> {
    drops_of(&fs::read_to_string("/proc/net/udp").ok()?, port)
}

/// Linux reports CPU time in hundredths of a second, whatever its own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

fn cpu_of(stat: &str) -> Option<f64> {
    cpu_in(stat, 11)
}

/// Returns the sum of two fields, counted from the state: the times in user mode and in the kernel.
fn cpu_in(stat: &str, first: usize) -> Option<f64> {
    // The name in parentheses may contain blanks and parentheses.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(first)? + ticks(first + 1)?) / TICKS_PER_SECOND)
}

fn drops_of(table: &str, port: u16) -> Option<u64> {
    let local = format!(":{port:04X}");
    let socket = table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(1)?.ends_with(&local).then_some(fields)
    })?;
    socket.last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_that_of_user_and_system() {
        let stat = "7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 5";
        assert_eq!(cpu_of(stat), Some(2.0));
        assert_eq!(cpu_in(stat, 13), Some(0.0));
    }

    #[test]
    fn drops_are_those_of_the_port() {
        let table = "  sl  local_address rem_address st … drops\n\
             1: 0100007F:1A85 00000000:0000 07 00000000:00000000 00:0 0 0 0 9 2 0 3\n\
             2: 0100007F:1A86 00000000:0000 07 00000000:00000000 00:0 0 0 0 9 2 0 42\n";
        assert_eq!(drops_of(table, 0x1a86), Some(42));
        assert_eq!(drops_of(table, 1), None);
    }

    #[test]
    fn this_process_is_described() {
        assert!(cpu_seconds().is_some() && peak_memory_kib().is_some_and(|kib| kib > 100));
    }
}
