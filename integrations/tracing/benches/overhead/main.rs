//! What tracing's spans cost with this layer, with tracing-opentelemetry, and with the bare registry:
//! `cargo bench -p jaeger-client-tracing`.
//!
//! Instructions are counted by callgrind on the calling thread alone, allocations by a run without it.
//! Nothing is sent: this layer's tracer encodes its spans and discards the messages, and
//! OpenTelemetry's provider has a processor that drops what it is given, so that it does not encode
//! anything. With an argument, the cases whose name contains it are measured. Exit 1 if what was
//! reached before is exceeded.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool talks to its terminal")]

#[path = "../../../../xtask/src/callgrind.rs"]
#[allow(dead_code, unused_imports, reason = "its tests are run where it belongs")]
mod callgrind;
mod cases;
#[path = "../../../http/benches/common/mod.rs"]
mod common;

use std::process::ExitCode;

use self::cases::{LAYERS, Layer, WORK, Work};
use self::common::Outcome;

fn main() -> ExitCode {
    common::run("overhead", |[layer, work]| run_case(layer, work), report)
}

/// Allocations of an operation that are no part of it: a buffer of the tracer holds hundreds of spans,
/// and is used again unless the reporter's thread is late.
const BUFFERS: f64 = 0.02;

/// Operations that are counted together, and before them.
const OPERATIONS: u64 = 1_000;
const WARM_UP: u64 = 2_000;

fn report(wanted: &str) -> Outcome<ExitCode> {
    if !callgrind::is_there() {
        return Ok(common::without_valgrind());
    }
    println!("| work | layer | instructions | of tracing-opentelemetry | ceiling | allocations |");
    println!("|---|---|---:|---:|---:|---:|");
    let mut exceeded = false;
    for work in WORK.iter().filter(|work| work.name.contains(wanted)) {
        let mut reference = None;
        for layer in LAYERS {
            let all = callgrind::own_counts(&["case", layer.name, work.name], "measured_work")
                .map(|counts| counts.instructions)?;
            let instructions = all.div_ceil(OPERATIONS);
            let reference = *reference.get_or_insert(instructions);
            let allocations = allocations(layer, work)?;
            exceeded |= layer.is_ours && (instructions > work.ceiling || allocations > BUFFERS);
            let ceiling =
                if layer.is_ours { format!("≤ {}", work.ceiling) } else { String::new() };
            #[expect(clippy::cast_precision_loss, reason = "they are some thousands")]
            let share = instructions as f64 / reference as f64;
            println!(
                "| {} | {} | {instructions} | {share:.2} | {ceiling} | {allocations:.1} |",
                work.name, layer.name
            );
        }
    }
    if exceeded {
        eprintln!("A case takes more than it may; see `WORK` in cases.rs.");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Allocations of an operation in steady state.
fn allocations(layer: &Layer, work: &Work) -> Outcome<f64> {
    let mut counted = 0;
    layer.with(work.sampled, &mut |flush| {
        (work.run)(WARM_UP);
        flush();
        counted = allocation_counter::measure(|| (work.run)(OPERATIONS)).count_total;
    })?;
    #[expect(clippy::cast_precision_loss, reason = "they are few")]
    Ok(counted as f64 / OPERATIONS as f64)
}

/// Runs one case and says nothing: this is what callgrind watches.
fn run_case(layer: &str, work: &str) -> Outcome {
    let layer = LAYERS.iter().find(|known| known.name == layer).ok_or("no such layer")?;
    let work = WORK.iter().find(|known| known.name == work).ok_or("no such work")?;
    layer.with(work.sampled, &mut |flush| {
        (work.run)(WARM_UP);
        flush();
        measured_work(work.run);
    })
}

/// What callgrind counts. Its name is what callgrind looks for.
#[inline(never)]
fn measured_work(run: fn(u64)) {
    run(OPERATIONS);
}
