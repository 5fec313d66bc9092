use super::*;

#[test]
fn the_system_clock_does_not_run_backwards() {
    let clock = SystemClock::new();
    let first = clock.monotonic_nanos();
    assert!(clock.monotonic_nanos() >= first);
}

/// Wraps a clock as a tracer does.
fn read_by(clock: impl Clock + 'static) -> TracerClock {
    let origin = crate::fork::ProcessOrigin::here().unwrap();
    let diagnostics = Diagnostics::new(Box::new(crate::diag::NullLogger), origin);
    TracerClock::new(ClockChoice::Custom(Box::new(clock)), &Arc::new(diagnostics))
}

#[test]
fn an_anchor_follows_a_stepped_wall_clock_only_when_renewed() {
    let clock = Arc::new(ManualClock::new());
    let read = read_by(Arc::clone(&clock));
    let anchor = Anchor::new(&read);
    clock.advance(Duration::from_nanos(10));
    clock.set_wall(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    assert_eq!(anchor.wall(clock.monotonic_nanos()), 10);
    anchor.renew(&read);
    assert_eq!(anchor.wall(clock.monotonic_nanos()), 1_000_000_000);
}

#[test]
fn clocks_are_read_again_if_the_thread_was_interrupted_between_them() {
    /// Its readings; the wall clock is a second ahead of the monotonic one.
    #[derive(Debug)]
    struct Interrupted(std::sync::Mutex<Vec<u64>>);
    impl Clock for Interrupted {
        fn monotonic_nanos(&self) -> u64 {
            self.0.lock().unwrap().remove(0)
        }
        fn wall_nanos(&self) -> i64 {
            self.monotonic_nanos().cast_signed() + 1_000_000_000
        }
    }
    let ms = 1_000_000;
    for (readings, expected) in [
        (vec![5, 6, 7], 5),
        (vec![0, 8 * ms, 9 * ms, 10 * ms, 10 * ms + 40, 10 * ms + 90], 10 * ms),
        // The shortest one where all are interrupted.
        ((0..10).flat_map(|n| [n * ms, n * ms, n * ms + (100 - n) * 1_000]).collect(), 9 * ms),
    ] {
        let clock = Interrupted(readings.into());
        assert_eq!(read_together(&clock).0, expected);
    }
}

#[test]
fn whatever_clocks_show_an_anchor_gives_times_that_servers_store() {
    #[derive(Debug)]
    struct Fixed(u64, i64);
    impl Clock for Fixed {
        fn monotonic_nanos(&self) -> u64 {
            self.0
        }
        fn wall_nanos(&self) -> i64 {
            self.1
        }
    }
    for wall in [i64::MIN, -1, 0, 1, MAX_CLOCK_NANOS, MAX_CLOCK_NANOS + 1, i64::MAX] {
        for count in [0, 1, MAX_COUNT, u64::MAX] {
            let clock = read_by(Fixed(count, wall));
            let anchor = Anchor::default();
            let moved = anchor.renew(&clock);
            assert_eq!(moved.is_some(), !(0..=MAX_CLOCK_NANOS).contains(&wall), "{wall}");
            for later in [count.min(MAX_COUNT), MAX_COUNT] {
                let wall = anchor.wall(later);
                assert!((0..=LATEST_NANOS).contains(&wall), "{wall} at {later}");
            }
        }
    }
}

#[test]
fn times_that_servers_do_not_store_are_moved_to_the_nearest() {
    let at = |nanos| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
    let latest = LATEST_NANOS.cast_unsigned();
    assert_eq!(storable_nanos(at(0)), Ok(0));
    assert_eq!(storable_nanos(at(latest)), Ok(LATEST_NANOS));
    assert_eq!(storable_nanos(at(latest + 1)), Err(LATEST_NANOS));
    assert_eq!(storable_nanos(at(u64::MAX)), Err(LATEST_NANOS));
    let before = SystemTime::UNIX_EPOCH - Duration::from_nanos(1);
    assert_eq!(storable_nanos(before), Err(0));
}

#[test]
fn a_manual_clock_stops_at_the_end_of_time() {
    let clock = ManualClock::new();
    clock.advance(Duration::MAX);
    clock.advance(Duration::MAX);
    assert_eq!((clock.monotonic_nanos(), clock.wall_nanos()), (u64::MAX, i64::MAX));
}

#[test]
fn times_before_the_epoch_are_negative() {
    let before = SystemTime::UNIX_EPOCH - Duration::from_nanos(1500);
    assert_eq!(unix_nanos(before), -1500);
    assert_eq!(system_time(-1500), before);
    assert_eq!(unix_nanos(system_time(1_700_000_000_000_000_001)), 1_700_000_000_000_000_001);
}
