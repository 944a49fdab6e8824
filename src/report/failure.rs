//! Failures in words: the line that says which job did not end ok, and why. Owns the wording and the limits
//! that keep a thousand skipped jobs from hiding the one failure that matters.

use super::answer::{Fault, Leaked};
use super::escape;
use super::style::{PREFIX, Style, Tone};
use crate::record::{Record, Status};

/// Jobs that were skipped, or cancelled: so many are told one by one, the rest as a number.
const TOLD_FOLLOWERS: u64 = 3;
/// The same for lines that are no jobs: a list in the wrong format has them by the thousand.
const TOLD_INVALID: u64 = 10;
/// With `--json` the records hold it all, so that standard error only has to say that something is wrong.
const TOLD_BESIDE_RECORDS: u64 = 10;

/// Tells failures, within limits.
#[derive(Debug)]
pub(super) struct Failures {
    style: Style,
    limit: u64,
    told: [u64; Status::ALL.len()],
    untold: [u64; Status::ALL.len()],
}

impl Failures {
    /// `has_records` says that standard output holds the records.
    pub(super) fn new(style: Style, has_records: bool) -> Self {
        let limit = if has_records { TOLD_BESIDE_RECORDS } else { u64::MAX };
        Failures { style, limit, told: Default::default(), untold: Default::default() }
    }

    /// Whether this one is to be told; counts it either way.
    pub(super) fn admits(&mut self, status: Status) -> bool {
        let limit = match status {
            Status::Skipped | Status::Cancelled => TOLD_FOLLOWERS,
            Status::Invalid => TOLD_INVALID,
            Status::Ok | Status::Failed | Status::Timeout | Status::Crashed | Status::Oom => u64::MAX,
        };
        let total: u64 = self.told.iter().sum();
        let index = status as usize;
        if self.told[index] < limit && total < self.limit {
            self.told[index] += 1;
            return true;
        }
        self.untold[index] += 1;
        false
    }

    /// Appends one line: which job, how it ended, why.
    pub(super) fn push_line(&self, record: &Record, fault: &Fault<'_>, out: &mut Vec<u8>) {
        let message = fault.message();
        out.extend_from_slice(PREFIX.as_bytes());
        if record.status == Status::Invalid && record.rare().line.is_some() {
            push_invalid(record, &message, out);
        } else {
            push_job(record, out);
            out.push(b' ');
            self.push_end(record, &message, out);
        }
        out.push(b'\n');
    }

    /// Appends what was not told one by one.
    pub(super) fn push_untold(&self, out: &mut Vec<u8>) {
        for status in Status::ALL {
            let (told, untold) = (self.told[status as usize], self.untold[status as usize]);
            if untold > 0 {
                let more = if told > 0 { " more" } else { "" };
                let jobs = format!("{untold}{more} {}", if untold == 1 { "job" } else { "jobs" });
                let line = format!("{PREFIX}{jobs} ended the same way: {status}\n");
                out.extend_from_slice(line.as_bytes());
            }
        }
    }

    fn push_end(&self, record: &Record, message: &[u8], out: &mut Vec<u8>) {
        let (auxiliary, verb) = words(record.status);
        out.extend_from_slice(auxiliary.as_bytes());
        // The core's own messages often begin with the verb: "timed out after 5 s".
        let rest = message.strip_prefix(verb.as_bytes());
        self.style.push(tone(record.status), verb, out);
        if record.attempts > 1 {
            out.extend_from_slice(format!(" ({} attempts)", record.attempts).as_bytes());
        }
        match rest {
            Some(rest) => push_indented(rest, out),
            None => {
                out.extend_from_slice(b": ");
                push_indented(message, out);
            }
        }
    }
}

/// Appends `job 3 (label)`.
pub(super) fn push_job(record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(b"job ");
    escape::one_line(record.id.as_text().as_bytes(), out);
    if !record.rare().label.is_empty() {
        out.extend_from_slice(b" (");
        escape::one_line(&record.rare().label, out);
        out.push(b')');
    }
}

fn push_invalid(record: &Record, message: &[u8], out: &mut Vec<u8>) {
    let line = record.rare().line.unwrap_or_default();
    out.extend_from_slice(b"invalid job: ");
    if !message.starts_with(b"line ") {
        out.extend_from_slice(format!("line {line}: ").as_bytes());
    }
    push_indented(message, out);
}

/// Appends a message; further lines stand under the first, so that they are not taken for messages of ours.
fn push_indented(message: &[u8], out: &mut Vec<u8>) {
    for (number, line) in message.trim_ascii_end().split(|&byte| byte == b'\n').enumerate() {
        if number > 0 {
            out.extend_from_slice(b"\n    ");
        }
        escape::one_line(line.strip_suffix(b"\r").unwrap_or(line), out);
    }
}

fn words(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Ok => ("", "ended ok"),
        Status::Failed => ("", "failed"),
        Status::Timeout => ("", "timed out"),
        Status::Crashed => ("", "crashed"),
        Status::Oom => ("", "ran out of memory"),
        Status::Cancelled => ("was ", "cancelled"),
        Status::Skipped => ("was ", "skipped"),
        Status::Invalid => ("is ", "invalid"),
    }
}

/// The colour of a status.
pub(super) fn tone(status: Status) -> Tone {
    match status {
        Status::Ok => Tone::Good,
        Status::Failed | Status::Timeout | Status::Crashed | Status::Oom | Status::Invalid => Tone::Bad,
        Status::Cancelled | Status::Skipped => Tone::Warning,
    }
}

/// Says how many processes a job has left behind, and what became of them.
pub(super) fn leftovers(leaked: &[Leaked], are_kept: bool) -> Option<String> {
    const NAMED: usize = 3;
    if leaked.is_empty() {
        return None;
    }
    let named = |one: &Leaked| format!("{} (pid {})", escape::to_line(one.name.as_bytes()), one.pid);
    let names: Vec<String> = leaked.iter().take(NAMED).map(named).collect();
    let more = if leaked.len() > NAMED { ", …" } else { "" };
    let processes = if leaked.len() == 1 { "a process".into() } else { format!("{} processes", leaked.len()) };
    let fate = if are_kept { "" } else { ", now killed" };
    Some(format!("left {processes} behind{fate}: {}{more}", names.join(", ")))
}
