//! What options take: each kind of value with its parser. A message always shows what would be right.

use crate::config::{Failures, Halt};
use crate::job::units;
use serde_json::value::RawValue;
use std::time::Duration;

/// Most worker processes: each takes three descriptors and a process or two; more is a slip of the finger.
pub(super) const WORKERS_MAX: u32 = 10_000;

/// Most jobs in flight in one worker.
pub(super) const CONCURRENCY_MAX: u32 = 10_000;

/// Shortest longest message: shorter, and not even `ready` would fit.
pub(super) const MESSAGE_BYTES_MIN: u64 = 1024;

/// How many workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Workers {
    /// This many.
    Count(u32),
    /// This share of the usable cores, in percent.
    Percent(u32),
}

impl Workers {
    /// The number of processes on a machine with so many usable cores: at least 1. They are counted only for a share.
    pub(super) fn on(self, cores: impl FnOnce() -> u32) -> u32 {
        match self {
            Workers::Count(count) => count,
            Workers::Percent(percent) => {
                let workers = u64::from(cores()) * u64::from(percent) / 100;
                workers.clamp(1, u64::from(WORKERS_MAX)) as u32
            }
        }
    }
}

pub(super) fn workers(text: &str) -> Result<Workers, String> {
    let bad = || {
        format!("expected a number of processes from 1 to {WORKERS_MAX} such as 4, or a share of the cores such as 50%")
    };
    let (digits, is_percent) = match text.strip_suffix('%') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let number: u32 = digits.parse().ok().filter(|number| (1..=WORKERS_MAX).contains(number)).ok_or_else(bad)?;
    Ok(if is_percent { Workers::Percent(number) } else { Workers::Count(number) })
}

pub(super) fn concurrency(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=CONCURRENCY_MAX).contains(number));
    number.ok_or_else(|| format!("expected a number of jobs from 1 to {CONCURRENCY_MAX} such as 8"))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).ok_or_else(|| format!("expected {}", units::DURATION_EXAMPLE))
}

pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|span| match span {
        Duration::ZERO => Err(format!("expected more than 0: {}", units::DURATION_EXAMPLE)),
        span => Ok(span),
    })
}

pub(super) fn size(text: &str) -> Result<usize, String> {
    let bytes = units::size(text).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| format!("expected {}", units::SIZE_EXAMPLE))
}

pub(super) fn positive_size(text: &str) -> Result<u64, String> {
    size_from(text, 1).map(|bytes| bytes as u64)
}

pub(super) fn line_size(text: &str) -> Result<usize, String> {
    size_from(text, 1)
}

pub(super) fn message_size(text: &str) -> Result<usize, String> {
    size_from(text, MESSAGE_BYTES_MIN as usize)
}

fn size_from(text: &str, least: usize) -> Result<usize, String> {
    let bytes = size(text)?;
    if bytes < least { Err(format!("expected at least {least} bytes: {}", units::SIZE_EXAMPLE)) } else { Ok(bytes) }
}

pub(super) fn halt(text: &str) -> Result<Halt, String> {
    const EXAMPLES: &str = "expected never, or when and after how many failures: now,fail=1 or soon,fail=10%";
    if text == "never" {
        return Ok(Halt::Never);
    }
    let (when, enough) = text.split_once(',').ok_or(EXAMPLES)?;
    let enough = enough.strip_prefix("fail=").ok_or(EXAMPLES)?;
    let failures = match enough.strip_suffix('%') {
        Some(share) => {
            let percent = share.parse().ok().filter(|percent| (1..=100).contains(percent));
            Failures::Percent(percent.ok_or("expected a share from 1% to 100% such as fail=10%")?)
        }
        None => {
            let count = enough.parse().ok().filter(|count| *count > 0);
            Failures::Count(
                count.ok_or("expected a number of failures from 1, or a share, such as fail=3 or fail=10%")?,
            )
        }
    };
    match when {
        "now" => Ok(Halt::Now(failures)),
        "soon" => Ok(Halt::Soon(failures)),
        _ => Err(EXAMPLES.into()),
    }
}

/// A request or notification of JSON-RPC 2.0 on one line.
pub(super) fn init(text: &str) -> Result<Box<RawValue>, String> {
    const EXAMPLE: &str = r#"{"method":"setup","params":["db"],"id":1}"#;
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("expected JSON such as {EXAMPLE}; {error}"))?;
    if value.get("method").and_then(serde_json::Value::as_str).is_none() {
        return Err(format!("expected a request with a \"method\" such as {EXAMPLE}"));
    }
    if value.get("jsonrpc").is_some_and(|version| version != "2.0") {
        return Err("expected \"jsonrpc\":\"2.0\", or none at all".into());
    }
    let line = text.trim().replace(['\n', '\r'], " ");
    RawValue::from_string(line).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_workers() {
        assert_eq!(workers("4"), Ok(Workers::Count(4)));
        assert_eq!(workers("150%"), Ok(Workers::Percent(150)));
        for bad in ["0", "0%", "-1", "x", "", "%", "10001", "1.5", "4x"] {
            assert!(workers(bad).unwrap_err().contains("such as 4"), "{bad}");
        }
        assert_eq!(Workers::Percent(50).on(|| 8), 4);
        assert_eq!(Workers::Percent(1).on(|| 8), 1);
        assert_eq!(Workers::Percent(10_000).on(|| 1 << 20), WORKERS_MAX);
        assert!(concurrency("0").is_err() && concurrency("8").is_ok());
    }

    #[test]
    fn halts() {
        assert_eq!(halt("never"), Ok(Halt::Never));
        assert_eq!(halt("now,fail=1"), Ok(Halt::Now(Failures::Count(1))));
        assert_eq!(halt("soon,fail=10%"), Ok(Halt::Soon(Failures::Percent(10))));
        for bad in
            ["", "now", "now,fail", "now,fail=0", "now,fail=0%", "now,fail=101%", "later,fail=1", "now,success=1"]
        {
            let message = halt(bad).unwrap_err();
            assert!(message.contains("fail="), "{bad}: {message}");
        }
    }

    #[test]
    fn durations_and_sizes_name_an_example() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("x").unwrap_err().contains("30s"));
        assert!(positive_duration("0").unwrap_err().contains("more than 0"));
        assert_eq!(size("64k"), Ok(65_536));
        assert!(size("x").unwrap_err().contains("512MiB"));
        assert!(message_size("1k").is_ok() && message_size("1023").is_err() && line_size("0").is_err());
    }

    #[test]
    fn messages_for_new_workers() {
        assert_eq!(init(" {\"method\":\n\"m\"} ").unwrap().get(), "{\"method\": \"m\"}");
        for bad in ["", "{", "7", "[]", "{\"method\":1}", "{\"id\":1}", "{\"method\":\"m\",\"jsonrpc\":\"1.0\"}"] {
            assert!(init(bad).is_err(), "{bad}");
        }
    }
}
