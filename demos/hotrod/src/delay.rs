//! Work that takes about as long as it would take.

use std::time::Duration;

use rand_distr::{Distribution, Normal};

/// Sleeps for about `mean`, normally distributed with a deviation of this part of it.
pub(crate) async fn about(mean: Duration, deviation: f64) {
    tokio::time::sleep(normal(mean, mean.mul_f64(deviation))).await;
}

/// A duration, normally distributed; never negative.
pub(crate) fn normal(mean: Duration, deviation: Duration) -> Duration {
    // Neither number can be one that the distribution refuses: durations are finite.
    let Ok(normal) = Normal::new(mean.as_secs_f64(), deviation.as_secs_f64()) else { return mean };
    let seconds: f64 = normal.sample(&mut rand::rng());
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_durations_have_their_mean_and_are_never_negative() {
        let (mean, deviation) = (Duration::from_secs(5), Duration::from_secs(3));
        let sum: Duration = (0..10_000).map(|_| normal(mean, deviation)).sum();
        let average = sum / 10_000;
        // Thirty deviations of the average on either side, and what is cut off below zero.
        assert!(average.abs_diff(mean) < Duration::from_secs(1), "the average is {average:?}");
        assert_eq!(normal(mean, Duration::ZERO), mean);
    }
}
