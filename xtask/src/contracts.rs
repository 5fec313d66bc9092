//! `cargo xtask contracts`: what the hot path costs, held against what it may cost.

use std::process::ExitCode;

use crate::Outcome;
use crate::callgrind;
use crate::cases::{CASES, Case, Contract, MEASURED};

/// Measures all cases, or those whose name contains the first argument.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    if !callgrind::is_there() {
        eprintln!("valgrind is not installed, and instructions are counted by its callgrind tool.");
        eprintln!("Install it (on Debian: apt-get install valgrind) and run this again.");
        return Ok(ExitCode::from(3));
    }
    let wanted = arguments.first().map_or("", String::as_str);
    println!(
        "| {:<32} | {:>8} | {:>8} | {:>8} | {:>9} | verdict |\n|---|---:|---:|---:|---:|---|",
        "case", "instr/op", "contract", "ceiling", "allocs/op"
    );
    let mut exceeded = false;
    for case in CASES.iter().filter(|case| case.name.contains(wanted)) {
        let operations = case.measured_operations();
        let instructions = callgrind::instructions(&["contract-case", case.name], MEASURED)?;
        let cost = Cost { instructions, allocations: case.run()?, operations };
        let verdict = cost.verdict(case);
        exceeded |= verdict == Verdict::Exceeded;
        let limit = |limit: fn(&Contract) -> u64| {
            case.contract.as_ref().map_or_else(String::new, |c| format!("≤ {}", limit(c)))
        };
        println!(
            "| {:<32} | {:>8} | {:>8} | {:>8} | {:>9.2} | {} |",
            case.name,
            instructions.div_ceil(operations),
            limit(|contract| contract.instructions),
            limit(|contract| contract.ceiling),
            per_operation(cost.allocations, operations),
            verdict.text(),
        );
    }
    Ok(if exceeded { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs one case and says nothing: this is what callgrind watches.
pub(crate) fn run_case(arguments: &[String]) -> Outcome {
    let [name] = arguments else { return Err("one case is run at a time".into()) };
    let case = CASES.iter().find(|case| case.name == name).ok_or("no such case")?;
    case.run()?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few bursts")]
fn per_operation(count: u64, operations: u64) -> f64 {
    count as f64 / operations as f64
}

/// What a case took, all operations together.
struct Cost {
    instructions: u64,
    allocations: u64,
    operations: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Kept,
    /// Above the contract, but not above what was reached before.
    Above,
    /// Above what was reached before.
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
        };
        match (within(contract.instructions), within(contract.ceiling)) {
            (true, _) => Verdict::Kept,
            (false, true) => Verdict::Above,
            (false, false) => Verdict::Exceeded,
        }
    }
}

/// Allocations that are none of the operation's: where the reporter's thread has not given a full
/// buffer back yet, the next one is made, once for hundreds of spans.
const BUFFERS: u64 = 4;

impl Verdict {
    const fn text(self) -> &'static str {
        match self {
            Self::Kept => "kept",
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
    fn a_contract_is_kept_up_to_its_last_instruction() {
        let case = CASES.iter().find(|case| case.name == "root + 3 tags").unwrap();
        let contract = case.contract.as_ref().unwrap();
        let (most, ceiling) = (contract.instructions * 10, contract.ceiling * 10);
        let verdict = |instructions, allocations| {
            Cost { instructions, allocations, operations: 10 }.verdict(case)
        };
        assert_eq!(verdict(most, 0), Verdict::Kept);
        assert_eq!(verdict(ceiling + 1, 0), Verdict::Exceeded);
        assert_eq!(verdict(most, BUFFERS + 1), Verdict::Exceeded);
    }
}
