//! One case on one thread: time, instructions, allocations.

use std::time::Instant;

use crate::{Case, Peer, Propagation, Setup, Target, Unsupported};

type Start<'a, P> = &'a dyn Fn(&Setup) -> Result<P, Unsupported>;

/// Times bursts, and counts the allocations of one.
pub(crate) fn time<P: Peer>(
    start: impl Fn(&Setup) -> Result<P, Unsupported>,
    name: &str,
) -> Result<(), Unsupported> {
    const BURSTS: usize = 60;
    with_work(&start, name, |peer, case, operation| {
        let operations = case.operations();
        let mut nanos = Vec::with_capacity(BURSTS);
        for _ in 0..BURSTS {
            let begin = Instant::now();
            measured_burst(operations, operation);
            nanos.push(begin.elapsed().as_nanos() as f64 / operations as f64);
            peer.drain();
        }
        let allocated = allocation_counter::measure(|| measured_burst(operations, operation));
        peer.drain();
        nanos.sort_by(f64::total_cmp);
        println!("ns={:.1}\nns_min={:.1}", nanos[BURSTS / 2], nanos[0]);
        println!("allocations={:.2}", allocated.count_total as f64 / operations as f64);
        println!("bytes={:.0}", allocated.bytes_total as f64 / operations as f64);
    })
}

/// Returns what callgrind watches; says how many operations it saw.
pub(crate) fn count<P: Peer>(
    start: impl Fn(&Setup) -> Result<P, Unsupported>,
    name: &str,
) -> Result<(), Unsupported> {
    const BURSTS: u64 = 10;
    with_work(&start, name, |peer, case, operation| {
        for _ in 0..BURSTS {
            measured_burst(case.operations(), operation);
            peer.drain();
        }
        println!("operations={}", BURSTS * case.operations());
    })
}

fn with_work<P: Peer>(
    start: Start<'_, P>,
    name: &str,
    measure: impl FnOnce(&P, Case, &mut dyn FnMut()),
) -> Result<(), Unsupported> {
    const WARM_UPS: usize = 3;
    let case = Case::named(name).ok_or("no such case")?;
    let propagation = Propagation::of_case(name);
    let peer = start(&Setup::new(case.is_sampled(), propagation, Target::Discard))?;
    {
        let mut operation = peer.work(case)?;
        for _ in 0..WARM_UPS {
            for _ in 0..case.operations() {
                operation();
            }
            peer.drain();
        }
        measure(&peer, case, &mut *operation);
    }
    peer.close();
    Ok(())
}

/// What is measured. Callgrind knows it by its name.
#[inline(never)]
fn measured_burst(operations: u64, operation: &mut dyn FnMut()) {
    for _ in 0..operations {
        operation();
    }
}
