//! Durations and sizes as people write them. Shared by job lists and flags, so that `30s` means the same in both.

use std::time::Duration;

/// How a duration is asked for in messages.
pub const DURATION_EXAMPLE: &str = "a duration such as 500ms, 30s, 5m or 1h30m (a plain number is seconds)";

/// How a size is asked for in messages.
pub const SIZE_EXAMPLE: &str = "a size such as 64k, 10MB, 512MiB or 2GiB (a plain number is bytes)";

/// Reads `500ms`, `30s`, `5m`, `1.5h`, `1h30m`, `2d`; a plain number is seconds, as for timeout(1).
///
/// ```
/// # use supervisor::job::units::duration;
/// # use std::time::Duration;
/// assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
/// assert_eq!(duration("soon"), None);
/// ```
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut sum = Duration::ZERO;
    let mut alone = true;
    loop {
        let (number, after) = split_number(rest)?;
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let seconds = match unit {
            "" if alone && next.is_empty() => 1.0,
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        sum = sum.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        if next.is_empty() {
            return Some(sum);
        }
        (rest, alone) = (next, false);
    }
}

/// Reads `64k`, `10MB`, `2GiB`; a plain number is bytes. As in the coreutils `K` and `KiB` are 1024, `KB` is 1000;
/// upper and lower case are the same.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text.trim())?;
    let unit = unit.to_ascii_lowercase();
    let (prefix, base) = match unit.as_bytes() {
        [] | [b'b'] => (b'-', 1_u64),
        [prefix] | [prefix, b'i', b'b'] | [prefix, b'i'] => (*prefix, 1024),
        [prefix, b'b'] => (*prefix, 1000),
        _ => return None,
    };
    let power = match prefix {
        b'-' => 0,
        b'k' => 1,
        b'm' => 2,
        b'g' => 3,
        b't' => 4,
        _ => return None,
    };
    let bytes = number * base.pow(power) as f64;
    // Above 2^63 a float no longer says exactly what was meant, and no machine has that much.
    (bytes < 9.2e18).then_some(bytes as u64)
}

/// A size for people, in three digits or so: `1.5 GiB`.
pub fn size_text(bytes: u64) -> String {
    let mut amount = bytes as f64;
    let mut units = ["bytes", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if amount < 1024.0 {
            break;
        }
        (amount, unit) = (amount / 1024.0, next);
    }
    let digits = usize::from(amount < 100.0 && amount.fract() >= 0.05 && unit != "bytes");
    format!("{amount:.digits$} {unit}")
}

/// The decimal number at the start: digits, at most one point, no sign, no exponent.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let has_digit = number.bytes().any(|byte| byte.is_ascii_digit());
    has_digit.then_some(()).and_then(|()| number.parse().ok()).map(|number| (number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("0", 0),
            ("2", 2_000),
            ("0.25", 250),
            (".5", 500),
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("5min", 300_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            (" 1s ", 1_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in
            ["", "s", "-1", "1e3", "1x", "1s2", "inf", "NaN", ".", "1..5", "9999999999999999999999d", "1 s", "١s"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_for_people() {
        let shown = [0, 17, 1024, 1536, 10 << 20, 1 << 30, 3_000_000_000].map(size_text);
        assert_eq!(shown, ["0 bytes", "17 bytes", "1 KiB", "1.5 KiB", "10 MiB", "1 GiB", "2.8 GiB"]);
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("17B", 17),
            ("64k", 65_536),
            ("1KB", 1_000),
            ("1.5KiB", 1_536),
            ("512MiB", 512 << 20),
            ("10MB", 10_000_000),
            ("2GiB", 2 << 30),
            ("2g", 2 << 30),
            ("1T", 1 << 40),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "k", "-1", "1x", "1kb5", "1 GiB ", "99999999T", "1e3", "12bb"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
