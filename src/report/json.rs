//! The record as one line of JSON: the line of `--json`, the row of the journal. Owns the order of its members
//! and their spelling (`docs/record.schema.json`); passes the worker's JSON through as the bytes it is.

use super::sink::Sink;
use crate::ids::WorkerId;
use crate::job::UserId;
use crate::json::{Counting, Json, push_bytes, push_hex, push_one_line};
use crate::record::{Printed, Rare, Record, Status};
use crate::time::Wall;
use std::time::Duration;

/// Appends the record as one line, with its line feed.
pub fn write_record(record: &Record, out: &mut Vec<u8>) {
    RecordWriter::default().write(record, out);
}

/// Writes records one after the other. Remembers the second of the last one: many share it, and the calendar
/// is the dearest part of a small record.
#[derive(Debug, Default)]
pub struct RecordWriter {
    /// The second whose text is kept; 0 stands for none as well, and its text is then made each time.
    second: u64,
    /// That second as in RFC 3339, up to the point before the milliseconds.
    text: [u8; TO_THE_SECOND],
    /// Of the last record, and how that was written: many that come together share all of it, down to how long they took.
    begun: Begun,
    duration: Duration,
    attempt: Vec<u8>,
    /// How much of that text is about the beginning.
    begun_bytes: usize,
    ids: Counting,
}

/// Where and when an attempt was begun.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Begun {
    worker: Option<WorkerId>,
    pid: Option<u32>,
    attempts: u32,
    start: Option<Wall>,
}

/// Bytes of `2026-11-22T08:00:00.`
const TO_THE_SECOND: usize = 20;

impl RecordWriter {
    /// Appends the record as one line, with its line feed.
    #[inline(always)]
    pub fn write(&mut self, record: &Record, out: &mut Vec<u8>) {
        self.push_head(record, out);
        push_raw(b",\"result\":", record.result.as_ref(), out);
        self.push_tail(record, out);
    }

    /// The same for a record whose result was taken out of it because it is large: its memory is handed on.
    pub(super) fn write_around(&mut self, record: &Record, result: Json, sink: &mut Sink) {
        self.push_head(record, sink.bytes());
        sink.bytes().extend_from_slice(b",\"result\":");
        sink.part(result.into_part());
        self.push_tail(record, sink.bytes());
    }

    /// What comes before the result.
    #[inline(always)]
    fn push_head(&mut self, record: &Record, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        match &record.id {
            UserId::Number(number) => self.ids.push(out, *number),
            UserId::Json(text) => push_one_line(out, text),
        }
        match record.status {
            Status::Ok => out.extend_from_slice(b",\"status\":\"ok\""),
            status => push_status(status, out),
        }
    }

    /// What follows the result.
    #[inline(always)]
    fn push_tail(&mut self, record: &Record, out: &mut Vec<u8>) {
        push_raw(b",\"error\":", record.error.as_deref(), out);
        if let Some(rare) = record.rare.as_deref() {
            push_printed(rare, out);
        }
        let &Record { worker, pid, attempts, start, duration, .. } = record;
        let begun = Begun { worker, pid, attempts, start };
        if begun != self.begun || duration != self.duration || self.attempt.is_empty() {
            self.write_attempt(begun, duration);
        }
        out.extend_from_slice(&self.attempt);
        if let Some(rare) = record.rare.as_deref() {
            push_rest(rare, out);
        }
        out.extend_from_slice(b"}\n");
    }

    #[inline(never)]
    fn write_attempt(&mut self, begun: Begun, duration: Duration) {
        let mut out = std::mem::take(&mut self.attempt);
        if begun == self.begun && !out.is_empty() {
            out.truncate(self.begun_bytes);
        } else {
            out.clear();
            self.write_begun(begun, &mut out);
            (self.begun, self.begun_bytes) = (begun, out.len());
        }
        out.extend_from_slice(b",\"seconds\":");
        push_seconds(duration, &mut out);
        (self.duration, self.attempt) = (duration, out);
    }

    fn write_begun(&mut self, begun: Begun, out: &mut Vec<u8>) {
        if let Some(worker) = begun.worker {
            push_number(b",\"worker\":", u64::from(worker.0), out);
        }
        if let Some(pid) = begun.pid {
            push_number(b",\"pid\":", u64::from(pid), out);
        }
        push_number(b",\"attempts\":", u64::from(begun.attempts), out);
        if let Some(start) = begun.start {
            self.push_start(start, out);
        }
    }

    fn push_start(&mut self, start: Wall, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"start\":\"");
        let (second, milliseconds) = (start.0 / 1000, start.0 % 1000);
        if second == self.second && second != 0 {
            out.extend_from_slice(&self.text);
            out.extend_from_slice(&three_digits(milliseconds as u32));
            out.push(b'Z');
        } else {
            let from = out.len();
            start.write_rfc3339(out);
            // A year of five digits has a longer text, which is not kept.
            if let Ok(text) = out[from..out.len() - 4].try_into() {
                (self.second, self.text) = (second, text);
            }
        }
        out.push(b'"');
    }
}

fn push_status(status: Status, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"status\":\"");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b'"');
}

#[inline(always)]
fn push_raw(name: &[u8], value: Option<&Json>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        push_one_line(out, value);
    }
}

/// What the function printed.
fn push_printed(rare: &Rare, out: &mut Vec<u8>) {
    let streams = [(&rare.stdout, "stdout"), (&rare.stderr, "stderr")];
    for (printed, name) in streams {
        if let Some(printed) = printed {
            push_name(name, "", out);
            push_bytes(out, &printed.bytes);
        }
    }
    let is_cut = |printed: &&Printed| printed.total > printed.bytes.len() as u64;
    if streams.iter().any(|(printed, _)| printed.as_ref().is_some_and(|printed| is_cut(&printed))) {
        out.extend_from_slice(b",\"truncated\":true");
    }
    for (printed, name) in streams {
        if let Some(printed) = printed.as_ref().filter(is_cut) {
            push_name(name, "_bytes", out);
            push_number(b"", printed.total, out);
        }
    }
}

/// What stands at the end of the few records that have it.
fn push_rest(rare: &Rare, out: &mut Vec<u8>) {
    if let Some(line) = rare.line {
        push_number(b",\"line\":", line, out);
    }
    push_raw(b",\"tags\":", rare.tags.as_ref(), out);
    if let Some(content) = rare.content {
        out.extend_from_slice(b",\"job\":\"");
        push_hex(out, &content.0);
        out.push(b'"');
    }
}

fn push_name(name: &str, after: &str, out: &mut Vec<u8>) {
    for part in [",\"", name, after, "\":"] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn push_number(name: &[u8], number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Seconds with microseconds, of which zeros beyond the milliseconds are left away.
fn push_seconds(duration: Duration, out: &mut Vec<u8>) {
    push_number(b"", duration.as_secs(), out);
    out.push(b'.');
    let micros = duration.subsec_micros();
    out.extend_from_slice(&three_digits(micros / 1000));
    if micros % 1000 != 0 {
        let beyond = three_digits(micros % 1000);
        let zeros = beyond.iter().rev().take_while(|&&digit| digit == b'0').count();
        out.extend_from_slice(&beyond[..beyond.len() - zeros]);
    }
}

/// A number below 1000, zeros in front.
fn three_digits(number: u32) -> [u8; 3] {
    [number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + digit as u8)
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
