//! Spans as fast as they go, or at a rate: what is delivered is counted by the sink.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Case, Peer, Propagation, Setup, Target, Unsupported};

/// Spans between two looks at the clock or at the stop sign.
const STEP: u64 = 64;

/// Root spans with three tags from several threads, as fast as they go.
pub(crate) fn flood<P: Peer>(
    start: impl Fn(&Setup) -> Result<P, Unsupported>,
    target: &str,
    producers: &str,
    seconds: &str,
) -> Result<(), Unsupported> {
    let producers: u64 = number(producers)?;
    let window = Duration::from_secs(number(seconds)?);
    load(start, target, window, producers, |operation, stop| {
        let mut started = 0;
        while !stop.load(Relaxed) {
            (0..STEP).for_each(|_| operation());
            started += STEP;
        }
        started
    })
}

/// The same from two threads, at a rate.
pub(crate) fn paced<P: Peer>(
    start: impl Fn(&Setup) -> Result<P, Unsupported>,
    target: &str,
    rate: &str,
    seconds: &str,
) -> Result<(), Unsupported> {
    const PRODUCERS: u64 = 2;
    let rate: u64 = number(rate)?;
    let window = Duration::from_secs(number(seconds)?);
    let gap = Duration::from_nanos(1_000_000_000 * STEP * PRODUCERS / rate.max(1));
    load(start, target, window, PRODUCERS, |operation, stop| {
        let begin = Instant::now();
        let mut steps = 0_u32;
        while !stop.load(Relaxed) {
            (0..STEP).for_each(|_| operation());
            steps += 1;
            // Against the start, so that a late step is made up for.
            if let Some(wait) = (gap * steps).checked_sub(begin.elapsed()) {
                thread::sleep(wait);
            }
        }
        u64::from(steps) * STEP
    })
}

fn load<P: Peer>(
    start: impl Fn(&Setup) -> Result<P, Unsupported>,
    target: &str,
    window: Duration,
    producers: u64,
    produce: impl Fn(&mut dyn FnMut(), &AtomicBool) -> u64 + Sync,
) -> Result<(), Unsupported> {
    let target = Target::parse(target)?;
    let peer = start(&Setup::new(true, Propagation::Jaeger, target))?;
    let _ = peer.work(Case::RootTags)?;
    let (stop, started) = (AtomicBool::new(false), AtomicU64::new(0));
    let cpu = cpu_seconds();
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..producers {
            scope.spawn(|| {
                if let Ok(mut operation) = peer.work(Case::RootTags) {
                    started.fetch_add(produce(&mut *operation, &stop), Relaxed);
                }
            });
        }
        thread::sleep(window);
        stop.store(true, Relaxed);
    });
    let produced = begin.elapsed();
    let closing = Instant::now();
    let dropped = peer.close();
    println!("started={}", started.load(Relaxed));
    println!("seconds={:.3}", produced.as_secs_f64());
    println!("close_seconds={:.3}", closing.elapsed().as_secs_f64());
    println!("cpu_seconds={:.3}", cpu_seconds() - cpu);
    println!("peak_kib={}", peak_memory_kib());
    if let Some(dropped) = dropped {
        println!("counted={dropped}");
    }
    Ok(())
}

fn number(text: &str) -> Result<u64, Unsupported> {
    text.parse().map_err(|_| "a number is expected")
}

/// Processor time of all threads so far, in hundredths of a second as Linux shows it.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok()).unwrap_or(0)
}
