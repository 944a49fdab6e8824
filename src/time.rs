//! The clocks of the core: plain numbers handed in from outside.
//!
//! The core never asks the system what time it is. [`Time`] is *active* time: the shell stops it while the
//! run is suspended (Ctrl-Z), so no timer anywhere has to know about pausing.

use std::time::Duration;

/// Nanoseconds of active time since the run began. Never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Time(u64);

impl Time {
    /// The moment the run began.
    pub const ZERO: Time = Time(0);

    /// The moment `nanos` nanoseconds after the run began.
    pub const fn from_nanos(nanos: u64) -> Self {
        Time(nanos)
    }

    /// Nanoseconds since the run began.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved by `span`; saturates at the end of time (584 years).
    #[must_use]
    pub fn after(self, span: Duration) -> Time {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(nanos))
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z by the wall clock. Appears in records only; nothing is decided by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Wall(pub u64);

impl Wall {
    /// Appends the moment as RFC 3339 in UTC with milliseconds: `2026-11-22T08:00:00.120Z`.
    ///
    /// ```
    /// let mut text = Vec::new();
    /// supervisor::time::Wall(1_795_334_400_120).write_rfc3339(&mut text);
    /// assert_eq!(text, b"2026-11-22T08:00:00.120Z");
    /// ```
    pub fn write_rfc3339(self, out: &mut Vec<u8>) {
        let (days, ms_of_day) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil_from_days(days);
        let seconds = ms_of_day / 1000;
        for (value, width, after) in [
            (year, 4, b'-'),
            (month, 2, b'-'),
            (day, 2, b'T'),
            (seconds / 3600, 2, b':'),
            (seconds / 60 % 60, 2, b':'),
            (seconds % 60, 2, b'.'),
            (ms_of_day % 1000, 3, b'Z'),
        ] {
            push_padded(out, value, width);
            out.push(after);
        }
    }
}

/// Both clocks at one moment, as the shell reads them before it hands an event to the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Active time.
    pub time: Time,
    /// Wall-clock time, for records.
    pub wall: Wall,
}

fn push_padded(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    for digit in digits[..width].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits[..width]);
}

/// Days since 1970-01-01 to year, month, day of the proleptic Gregorian calendar.
/// The method is Howard Hinnant's `civil_from_days`: years begin in March, so the leap day is the last.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(ms: u64) -> String {
        let mut out = Vec::new();
        Wall(ms).write_rfc3339(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rfc3339_at_the_edges() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(text(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(text(1_709_251_199_000), "2024-02-29T23:59:59.000Z");
        assert_eq!(text(4_102_444_800_000), "2100-01-01T00:00:00.000Z");
    }

    #[test]
    fn active_time_saturates() {
        let late = Time::from_nanos(u64::MAX);
        assert_eq!(late.after(Duration::from_secs(1)), late);
        assert_eq!(Time::ZERO.since(late), Duration::ZERO);
    }
}
