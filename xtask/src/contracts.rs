//! `cargo xtask contracts`: measures the cost of the hot path, and compares it with its limits.

use std::process::ExitCode;

use crate::Outcome;
use crate::callgrind;
use crate::cases::{self, Case, Contract, MEASURED};

/// Measures all cases, or those whose name contains the first argument.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    if !callgrind::is_there() {
        eprintln!("valgrind is not installed, and instructions are counted by its callgrind tool.");
        eprintln!("Install it (on Debian: apt-get install valgrind) and run this again.");
        return Ok(ExitCode::from(3));
    }
    let wanted = arguments.first().map_or("", String::as_str);
    println!(
        "| {:<32} | {:>8} | {:>8} | {:>8} | {:>9} | {:>9} | {:>6} | {:>8} | {:>6} | verdict |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
        "case",
        "instr/op",
        "contract",
        "ceiling",
        "allocs/op",
        "locked/op",
        "bound",
        "steps/op",
        "bound",
    );
    let mut exceeded = false;
    for case in cases::all().filter(|case| case.name.contains(wanted)) {
        let operations = case.measured_operations();
        let callgrind::Counts { instructions, locked } =
            callgrind::own_counts(&["contract-case", case.name], MEASURED)?;
        let steps = case.time()?;
        let cost = Cost { instructions, locked, steps, allocations: case.run()?, operations };
        let verdict = cost.verdict(case);
        exceeded |= verdict == Verdict::Exceeded;
        let limit = |limit: fn(&Contract) -> u64| {
            let limit = case.contract.as_ref().map(limit).filter(|limit| *limit != u64::MAX);
            limit.map_or_else(String::new, |limit| format!("≤ {limit}"))
        };
        println!(
            "| {:<32} | {:>8} | {:>8} | {:>8} | {:>9.2} | {:>9.1} | {:>6} | {:>8.0} | {:>6} | {} |",
            case.name,
            instructions.div_ceil(operations),
            limit(|contract| contract.instructions),
            limit(|contract| contract.ceiling),
            per_operation(cost.allocations, operations),
            per_operation(cost.locked, operations),
            limit(|contract| contract.locked),
            cost.steps,
            limit(|contract| contract.steps),
            verdict.text(),
        );
    }
    Ok(if exceeded { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs one case without output: the process that callgrind measures.
pub(crate) fn run_case(arguments: &[String]) -> Outcome {
    let [name] = arguments else { return Err("one case is run at a time".into()) };
    let case = cases::all().find(|case| case.name == name).ok_or("no such case")?;
    case.run()?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few bursts")]
fn per_operation(count: u64, operations: u64) -> f64 {
    count as f64 / operations as f64
}

/// The cost of a case, the sum of all operations.
struct Cost {
    instructions: u64,
    locked: u64,
    /// Time of one operation, in steps of the reference.
    steps: f64,
    allocations: u64,
    operations: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Within,
    /// Above the goal, but not above the regression limit.
    Above,
    /// Above the regression limit.
    Exceeded,
    /// There is no contract.
    Shown,
}

impl Cost {
    fn verdict(&self, case: &Case) -> Verdict {
        let Some(contract) = &case.contract else { return Verdict::Shown };
        let within = |most: u64| {
            self.instructions <= most * self.operations
                && self.allocations <= contract.allocations * self.operations + BUFFERS
                && self.locked
                    <= contract.locked.saturating_mul(self.operations) + LOCKED_BY_BUFFERS
                && self.steps <= per_operation(contract.steps, 1)
        };
        match (within(contract.instructions), within(contract.ceiling)) {
            (true, _) => Verdict::Within,
            (false, true) => Verdict::Above,
            (false, false) => Verdict::Exceeded,
        }
    }
}

/// Allocations beside those of operations: while the reporter's thread still uses a full buffer, a new one is
/// allocated, once for hundreds of spans.
const BUFFERS: u64 = 4;

/// Locked instructions of pushing a full buffer to the queue, once for hundreds of spans.
const LOCKED_BY_BUFFERS: u64 = 100;

impl Verdict {
    const fn text(self) -> &'static str {
        match self {
            Self::Within => "within",
            Self::Above => "ABOVE the contract",
            Self::Exceeded => "CEILING EXCEEDED",
            Self::Shown => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_holds_up_to_its_last_instruction() {
        let case = cases::all().find(|case| case.name == "root + 3 tags").unwrap();
        let contract = case.contract.as_ref().unwrap();
        let (most, ceiling) = (contract.instructions * 10, contract.ceiling * 10);
        let (locked, steps) = (contract.locked * 10, per_operation(contract.steps, 1));
        let cost = |instructions, allocations| Cost {
            instructions,
            locked,
            steps,
            allocations,
            operations: 10,
        };
        let verdict = |instructions, allocations| cost(instructions, allocations).verdict(case);
        let stalls = Cost { steps: steps + 1.0, ..cost(most, 0) };
        assert_eq!(stalls.verdict(case), Verdict::Exceeded);
        let waits = Cost { locked: locked + LOCKED_BY_BUFFERS + 1, ..cost(most, 0) };
        assert_eq!(waits.verdict(case), Verdict::Exceeded);
        assert_eq!(verdict(most, 0), Verdict::Within);
        assert_eq!(verdict(ceiling + 1, 0), Verdict::Exceeded);
        assert_eq!(verdict(most, BUFFERS + 1), Verdict::Exceeded);
    }
}
