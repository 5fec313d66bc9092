use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread;

use super::*;

/// Nanoseconds of a tick of the counter of these tests.
const TICK: u64 = 3;

fn reading(nanos: u64, ticks: u64) -> Reading {
    Reading { nanos, ticks, took: 0 }
}

/// A clock that has measured a counter.
fn measured() -> (FastClock, State) {
    let (clock, mut state) = (FastClock::new(), State::default());
    assert_eq!(clock.compare(&mut state, reading(1_000_000, 9)), (Some(SHORTEST), None));
    assert!(!clock.reads_counter());
    let now = reading(1_000_000 + SHORTEST_NANOS * TICK, 9 + SHORTEST_NANOS);
    let (again, change) = clock.compare(&mut state, now);
    assert_eq!((again, change), (Some(INTERVAL), Some(ClockChange::Counter)));
    assert!(clock.reads_counter());
    assert_eq!(clock.at(now.ticks), now.nanos);
    (clock, state)
}

fn last(state: State) -> Reading {
    match state {
        State::InUse(reading) => reading,
        other => panic!("{other:?}"),
    }
}

/// A clock that reads the real counter, or `None` where there is none to be trusted.
fn in_use() -> Option<FastClock> {
    let clock = FastClock::new();
    while let (Some(wait), _) = clock.discipline() {
        if clock.reads_counter() {
            return Some(clock);
        }
        thread::sleep(wait);
    }
    println!("there is no counter that is trusted here");
    None
}

#[test]
fn until_the_counter_is_measured_the_systems_clock_is_read() {
    let (clock, system) = (FastClock::new(), SystemClock::new());
    let (before, count) = (system.monotonic_nanos(), clock.monotonic_nanos());
    assert!(before <= count && count <= system.monotonic_nanos());
    assert!(!clock.reads_counter());
}

#[test]
fn a_drift_is_taken_back_within_a_second_and_the_count_never_jumps() {
    let (clock, mut state) = measured();
    // The system's clock is steered: it runs 100 ppm faster than was measured.
    let mut late = 0;
    for second in 1..=5 {
        let before = last(state);
        let ticks = before.ticks + INTERVAL_NANOS / TICK;
        let now = reading(before.nanos + INTERVAL_NANOS / TICK * TICK + 100_000, ticks);
        let count = clock.at(ticks);
        late = now.nanos.abs_diff(count);
        assert_eq!(clock.compare(&mut state, now), (Some(INTERVAL), None));
        assert!(clock.at(ticks) == count, "second {second}");
        assert!(clock.at(ticks + 1) > count, "second {second}");
    }
    assert!(late < 100, "{late} ns");
}

#[test]
fn the_count_stays_near_however_seldom_the_clocks_are_compared() {
    for seconds in [1, 2, 5, 20, 60] {
        let (clock, mut state) = measured();
        let mut largest = 0;
        for comparison in 1..=40_u64 {
            let before = last(state);
            // Neither clock is read at exactly the same moment.
            let noise = if comparison % 2 == 0 { 50 } else { 0 };
            let ticks = before.ticks + seconds * INTERVAL_NANOS / TICK;
            let now = reading(before.nanos + seconds * INTERVAL_NANOS / TICK * TICK + noise, ticks);
            if comparison > 2 {
                largest = largest.max(now.nanos.abs_diff(clock.at(ticks)));
            }
            assert_eq!(clock.compare(&mut state, now), (Some(INTERVAL), None), "{seconds} s");
        }
        assert!(largest < 1_000, "{largest} ns where they are compared every {seconds} s");
    }
}

#[test]
fn a_large_drift_is_taken_back_no_faster_than_clocks_are_steered() {
    for (count, system) in [(2_000_000_000, 1_000_000_000), (1_000_000_000, 2_000_000_000)] {
        let scale = 1_000_000;
        let (now, before) = (reading(system, 9), reading(system - INTERVAL_NANOS, 0));
        assert_eq!(corrected(scale, count, now, before).abs_diff(scale), 500, "{count}");
    }
}

#[test]
fn a_counter_that_changes_its_rate_is_not_read_any_more_and_the_count_goes_on() {
    type Jump = fn(Reading) -> Reading;
    let jumps: [(&str, Jump); 4] = [
        ("stopped", |at| reading(at.nanos + 1_000_000_000, at.ticks)),
        ("began anew", |at| reading(at.nanos + 1_000_000_000, 5)),
        ("faster", |at| reading(at.nanos + 1_000_000_000, at.ticks + 1_000_000_000)),
        ("was suspended", |at| reading(at.nanos + 1_000_000_000, at.ticks + 3_600_000_000_000)),
    ];
    for (name, jump) in jumps {
        let (clock, mut state) = measured();
        let now = jump(last(state));
        let count = clock.at(now.ticks);
        let given_up = (None, Some(ClockChange::System(CounterRefusal::Unsteady)));
        assert_eq!(clock.compare(&mut state, now), given_up, "{name}");
        assert!(!clock.reads_counter(), "{name}");
        let line = &clock.lines[clock.current.load(Ordering::Relaxed) % LINES];
        let ahead = line.nanos.load(Ordering::Relaxed);
        assert_eq!(ahead, count.saturating_sub(now.nanos), "{name}");
        assert_eq!(clock.compare(&mut state, now), (None, None), "{name}");
    }
}

#[test]
fn a_counter_that_is_the_systems_clock_is_of_no_use() {
    let (clock, mut state) = (FastClock::new(), State::default());
    let refused = (None, Some(ClockChange::System(CounterRefusal::Missing)));
    assert_eq!(clock.compare(&mut state, reading(5_000_000_000, 5_000_000_040)), refused);
}

#[test]
fn comparisons_that_follow_too_soon_change_nothing() {
    let (clock, mut state) = measured();
    let before = last(state);
    let now = reading(before.nanos + 1_000, before.ticks + 1);
    assert_eq!(clock.compare(&mut state, now), (Some(SHORTEST), None));
    assert_eq!(last(state).nanos, before.nanos);
}

#[test]
fn a_rate_is_not_taken_from_readings_that_took_long() {
    let (clock, mut state) = (FastClock::new(), State::default());
    let long = |nanos, ticks| Reading { took: MAX_NANOS_OF_READING, ..reading(nanos, ticks) };
    clock.compare(&mut state, long(1_000_000, 9));
    let ticks = SHORTEST_NANOS / TICK;
    let now = long(1_000_000 + SHORTEST_NANOS, 9 + ticks);
    assert_eq!(clock.compare(&mut state, now), (Some(SHORTEST), None));
    let now = long(1_000_000 + 20 * SHORTEST_NANOS, 9 + 20 * ticks);
    assert_eq!(clock.compare(&mut state, now), (Some(INTERVAL), Some(ClockChange::Counter)));
}

#[test]
fn only_the_counter_of_this_processor_is_one() {
    assert!(!is_counter("hpet\n") && !is_counter("kvm-clock") && !is_counter("acpi_pm"));
    assert!(!is_counter("") && !is_counter("tsc-early"));
    assert_eq!(is_counter("tsc\n"), cfg!(target_arch = "x86_64"));
    assert_eq!(is_counter("arch_sys_counter\n"), cfg!(target_arch = "aarch64"));
}

/// A thread's reading may be this much before one that it has seen of another thread: the processor
/// reads its counter ahead of instructions before it.
const READ_AHEAD: u64 = 1_000;

#[test]
fn no_thread_sees_time_run_back_while_lines_are_renewed() {
    let Some(clock) = in_use() else { return };
    let (latest, done) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let readers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut own = 0;
                    for _ in 0..200_000 {
                        let seen = latest.load(Ordering::Acquire);
                        let now = clock.monotonic_nanos();
                        assert!(now + READ_AHEAD >= seen, "{now} after {seen}");
                        assert!(now >= own, "{now} after {own} on one thread");
                        own = now;
                        latest.fetch_max(now, Ordering::AcqRel);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            // Lines are renewed far more often than in use.
            while !done.load(Ordering::Relaxed) {
                if let Some(counter) = clock.counter.get()
                    && let Some(now) = Reading::take(&clock.system, || counter.raw())
                {
                    let count = clock.at(now.ticks);
                    let line = &clock.lines[clock.current.load(Ordering::Relaxed) % LINES];
                    let scale = line.scale.load(Ordering::Relaxed);
                    clock.begin_line(now.ticks, count, scale);
                }
                thread::yield_now();
            }
        });
        let results: Vec<_> = readers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        results.into_iter().for_each(|result| result.unwrap());
    });
}

/// The difference to the system's clock, as both are read between two readings of the other.
fn drift(clock: &FastClock) -> u64 {
    let read = |_| {
        let before = clock.system.monotonic_nanos();
        let count = clock.monotonic_nanos();
        let after = clock.system.monotonic_nanos();
        let middle = before + (after - before) / 2;
        (after - before, count.abs_diff(middle))
    };
    (0..100).map(read).min().map_or(0, |(_, drift)| drift)
}

/// Compares the clocks as the reporter's thread does, and gives the largest difference.
fn largest_drift(clock: &FastClock, seconds: u32) -> u64 {
    let (send, wait) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while let (Some(again), _) = clock.discipline() {
                if wait.recv_timeout(again) != Err(mpsc::RecvTimeoutError::Timeout) {
                    break;
                }
            }
        });
        let drifts = (0..seconds * 20).map(|_| {
            thread::sleep(Duration::from_millis(50));
            drift(clock)
        });
        let largest = drifts.max().unwrap_or(0);
        drop(send);
        largest
    })
}

/// The stated bound.
const MAX_DRIFT_NANOS: u64 = 100_000;

#[test]
fn the_count_stays_near_the_systems_clock() {
    let Some(clock) = in_use() else { return };
    let drift = largest_drift(&clock, 3);
    assert!(clock.reads_counter() && drift <= MAX_DRIFT_NANOS, "{drift} ns");
}

#[test]
#[ignore = "takes five minutes"]
fn the_count_stays_near_the_systems_clock_for_minutes() {
    let Some(clock) = in_use() else { return };
    let drift = largest_drift(&clock, 300);
    println!("{drift} ns at most");
    assert!(clock.reads_counter() && drift <= MAX_DRIFT_NANOS, "{drift} ns");
}
