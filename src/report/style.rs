//! Colours of our own messages. Owns the few escape sequences that we send on purpose.

/// Whether messages are coloured, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    is_colored: bool,
}

/// What a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// It went well.
    Good,
    /// It went wrong.
    Bad,
    /// Something to know.
    Warning,
    /// Of lesser weight than its surroundings.
    Faint,
}

impl Style {
    pub(super) fn new(is_colored: bool) -> Self {
        Style { is_colored }
    }

    /// Appends a word of ours in its colour.
    pub(super) fn push(self, tone: Tone, word: &str, out: &mut Vec<u8>) {
        if !self.is_colored {
            return out.extend_from_slice(word.as_bytes());
        }
        out.extend_from_slice(match tone {
            Tone::Good => b"\x1b[32m",
            Tone::Bad => b"\x1b[31m",
            Tone::Warning => b"\x1b[33m",
            Tone::Faint => b"\x1b[2m",
        });
        out.extend_from_slice(word.as_bytes());
        out.extend_from_slice(b"\x1b[0m");
    }
}

/// The beginning of each message of ours on standard error.
pub(super) const PREFIX: &str = "supervisor: ";

/// A number with its noun: `1 job`, `2 jobs`.
pub(super) fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A span for people: `12 ms`, `5.9 s`, `3 min 07 s`, `2 h 05 min`.
pub(super) fn span(span: std::time::Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 if span.as_millis() < 1000 && span.as_micros() < 999_500 => format!("{:.0} ms", span.as_secs_f64() * 1000.0),
        0..60 if span.as_secs_f64() < 59.95 => format!("{:.1} s", span.as_secs_f64()),
        0..3600 => format!("{} min {:02} s", seconds.max(60) / 60, seconds.max(60) % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn spans_are_short() {
        let text = |ms| span(Duration::from_millis(ms));
        assert_eq!(text(0), "0 ms");
        assert_eq!(text(12), "12 ms");
        assert_eq!(text(999), "999 ms");
        assert_eq!(text(5_930), "5.9 s");
        assert_eq!(text(59_990), "1 min 00 s");
        assert_eq!(text(187_000), "3 min 07 s");
        assert_eq!(text(7_500_000), "2 h 05 min");
        assert_eq!(span(Duration::from_micros(999_900)), "1.0 s");
    }

    #[test]
    fn colours_only_when_asked_for() {
        let mut out = Vec::new();
        Style::new(false).push(Tone::Bad, "failed", &mut out);
        Style::new(true).push(Tone::Bad, "failed", &mut out);
        assert_eq!(out, b"failed\x1b[31mfailed\x1b[0m");
        assert_eq!([count(1, "job"), count(0, "job")], ["1 job", "0 jobs"]);
    }
}
