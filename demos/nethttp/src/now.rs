//! The time of day as the article's server writes it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The time of now in a zone.
#[must_use]
pub fn now(zone: &TimeZone) -> String {
    text(zone.to_datetime(Timestamp::now()))
}

/// A time in Go's layout `Mon Jan _2 15:04:05 2006`, that of C's `asctime`.
#[must_use]
pub fn text(time: DateTime) -> String {
    time.strftime(LAYOUT).to_string()
}

/// The day of the month is padded with a space, as Go's `_2` has it.
const LAYOUT: &str = "%a %b %e %H:%M:%S %Y";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_one_digit_is_padded_with_a_space() {
        let time = jiff::civil::date(2006, 1, 2).at(15, 4, 5, 0);
        assert_eq!(text(time), "Mon Jan  2 15:04:05 2006");
    }

    #[test]
    fn what_is_written_now_reads_back_as_a_time() {
        let written = now(&TimeZone::UTC);
        let read = DateTime::strptime(LAYOUT, &written).unwrap();
        assert_eq!(text(read), written);
    }
}
