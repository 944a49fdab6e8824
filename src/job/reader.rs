//! Reads job lists: bytes are pushed in, jobs come out. Owns the bytes that are not jobs yet and the numbers of lines and
//! jobs. Does no I/O, and never holds more than one line above what was pushed.

use super::alike::Alike;
use super::array::Scanner;
use super::buffer::Buffer;
use super::detect::{Guess, Layout, guess};
use super::label::char_boundary;
use super::model::{Call, Invalid, Job, JobOptions, UserId};
use crate::config::InputFormat;
use crate::ids::JobId;

/// Longest line of a job list unless `--max-line` says otherwise. Far above what a command can be (2 MiB on Linux) and enough
/// for a document of 100 MB as a function's parameter, which stays in the memory of its line.
pub const LINE_BYTES_MAX_DEFAULT: usize = 128 << 20;

/// How much of a bad line is shown.
pub const EXCERPT_BYTES_MAX: usize = 80;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Up to here the start of a list is looked at again with each push; above, only when it has doubled or a line has ended.
const DETECT_BYTES_STEP: usize = 4096;

/// One piece of the list.
#[derive(Debug)]
pub enum Entry {
    /// A job.
    Job(Job),
    /// Something that should be one.
    Invalid(Invalid),
}

/// How the list ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All of it was read: a last line without a line end is a job.
    Complete,
    /// Reading failed: a last line without a line end may be half a job and is not taken for one.
    Torn,
}

/// Cuts a stream of bytes into jobs.
///
/// It is an iterator whose `None` means "push more": call it until it says so, or stop early, whatever was pushed is kept.
///
/// * Lines end at `\n`; one `\r` before it is dropped (not with [`InputFormat::Null`]). Lines of blanks only are skipped.
/// * With [`InputFormat::Null`] every byte between two NULs counts; only empty items are skipped; `line` counts items.
/// * A byte-order mark at the start is skipped (not with [`InputFormat::Null`]).
/// * A line above the limit is one [`Invalid`]; its rest is skipped without being stored.
#[derive(Debug)]
pub struct Reader {
    format: InputFormat,
    pub(super) max_line: usize,
    layout: Option<Layout>,
    pub(super) buffer: Buffer,
    pub(super) scanner: Scanner,
    pub(super) end: Option<End>,
    /// The rest of this line or element was already judged: it is only looked for its end.
    pub(super) skipping: bool,
    /// The line of JSON before was a large one.
    pub(super) was_large: bool,
    /// How the call before began.
    pub(super) alike: Alike,
    mark_checked: bool,
    /// Length at which the start of the list was last looked at in vain.
    guessed_at: usize,
    /// Place of the first unread byte; the column is kept for arrays only.
    pub(super) line: u64,
    pub(super) column: u64,
    /// Jobs so far, invalid ones included.
    count: u64,
}

/// What one look at the buffer brought.
pub(super) enum Step {
    Entry(Entry),
    Again,
    Starved,
}

impl Reader {
    /// A reader for one list. `max_line` is at least 1.
    pub fn new(format: InputFormat, max_line: usize) -> Self {
        let layout = match format {
            InputFormat::Lines => Some(Layout::Plain(b'\n')),
            InputFormat::Null => Some(Layout::Plain(0)),
            InputFormat::Auto | InputFormat::Json => None,
        };
        Reader {
            format,
            max_line: max_line.max(1),
            layout,
            buffer: Buffer::default(),
            scanner: Scanner::new(),
            end: None,
            skipping: false,
            was_large: false,
            alike: Alike::default(),
            mark_checked: format == InputFormat::Null,
            guessed_at: 0,
            line: 1,
            column: 1,
            count: 0,
        }
    }

    /// Takes what was read. Nothing may follow [`Reader::finish`].
    pub fn push(&mut self, bytes: &[u8]) {
        debug_assert!(self.end.is_none(), "bytes after the end of the list");
        self.buffer.push(bytes);
    }

    /// Says that nothing more will come, and why.
    pub fn finish(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    /// Bytes pushed that are not jobs yet, for backpressure.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Memory held, for tests of its bound.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    #[inline(always)]
    fn step(&mut self) -> Step {
        if !self.mark_checked {
            return self.check_mark();
        }
        match self.layout {
            None => self.detect(),
            Some(Layout::Plain(delimiter)) => self.plain(delimiter),
            Some(Layout::JsonLines) => self.json_line(),
            Some(Layout::JsonArray) => self.json_element(),
        }
    }

    fn check_mark(&mut self) -> Step {
        let unread = self.buffer.unread();
        if unread.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(unread) && self.end.is_none() {
            return Step::Starved;
        }
        if unread.starts_with(BYTE_ORDER_MARK) {
            self.buffer.take(BYTE_ORDER_MARK.len());
        }
        self.mark_checked = true;
        Step::Again
    }

    fn detect(&mut self) -> Step {
        let length = self.buffer.len();
        let unlikely = length > DETECT_BYTES_STEP && length < 2 * self.guessed_at && length <= self.max_line;
        if unlikely && self.end.is_none() && self.buffer.find(b'\n').is_none() {
            return Step::Starved;
        }
        let json_only = self.format == InputFormat::Json;
        match guess(self.buffer.unread(), self.end.is_some(), json_only, self.max_line) {
            Guess::Sure(layout) => self.layout = Some(layout),
            Guess::BlankLine(0) => return Step::Starved,
            Guess::BlankLine(length) => {
                self.buffer.take(length);
                self.line += 1;
            }
            Guess::Unsure => {
                self.guessed_at = length;
                return Step::Starved;
            }
        }
        Step::Again
    }

    /// Counts a job and hands it out.
    pub(super) fn job(&mut self, id: Option<UserId>, call: Call, options: Option<Box<JobOptions>>) -> Step {
        self.count += 1;
        let id = id.unwrap_or(UserId::Number(self.count));
        Step::Entry(Entry::Job(Job { number: JobId(self.count), id, call, options, past: None }))
    }

    /// Counts a fault and hands it out.
    #[cold]
    pub(super) fn invalid(&mut self, invalid: Invalid) -> Step {
        self.count += 1;
        Step::Entry(Entry::Invalid(Invalid { number: JobId(self.count), ..invalid }))
    }

    /// Counts a JSON text that is no job and hands the fault out.
    #[cold]
    pub(super) fn bad_json(&mut self, mut invalid: Invalid, id: Option<UserId>) -> Step {
        // Nobody said that it is JSON: it begins like that.
        if self.format == InputFormat::Auto && self.count == 0 {
            invalid.message.push_str("; if the list is no JSON, give --input lines");
        }
        self.invalid(Invalid { id, ..invalid })
    }

    /// The fault of what stands next being above the limit, a `line` or a `job`.
    #[cold]
    pub(super) fn too_long(&mut self, what: &str) -> Step {
        let limit = self.max_line;
        // The excerpt must not depend on how much has come so far.
        let bytes = &self.buffer.unread()[..self.buffer.len().min(limit)];
        let message = format!("this {what} is longer than {limit} bytes, the limit set by --max-line");
        let mut invalid = Span { bytes, line: self.line, column: self.column }.invalid(0, message);
        invalid.column += limit as u64;
        self.invalid(invalid)
    }

    /// The fault of the list breaking off inside of what stands next.
    #[cold]
    pub(super) fn broken_off(&mut self, message: &str) -> Step {
        let invalid =
            Span { bytes: self.buffer.unread(), line: self.line, column: self.column }.invalid(0, message.into());
        self.invalid(invalid)
    }
}

impl Iterator for Reader {
    type Item = Entry;

    /// The next piece of the list. `None` says that more bytes are needed, or that the list is over after [`Reader::finish`].
    fn next(&mut self) -> Option<Entry> {
        loop {
            match self.step() {
                Step::Entry(entry) => {
                    self.buffer.relieve();
                    return Some(entry);
                }
                Step::Again => {}
                Step::Starved => {
                    self.buffer.settle();
                    return None;
                }
            }
        }
    }
}

/// A piece of the list and where it starts.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) line: u64,
    pub(super) column: u64,
}

impl Span<'_> {
    /// A fault at this offset. Its number is given when it is counted.
    #[cold]
    pub(super) fn invalid(self, offset: usize, message: String) -> Invalid {
        let before = &self.bytes[..offset.min(self.bytes.len())];
        let (line, column) = after(before, self.line, self.column);
        let shown = char_boundary(self.bytes, EXCERPT_BYTES_MAX);
        Invalid { number: JobId(0), id: None, line, column, message, excerpt: self.bytes[..shown].into() }
    }
}

/// The place that follows these bytes when they start at this one.
pub(super) fn after(bytes: &[u8], line: u64, column: u64) -> (u64, u64) {
    match memchr::memrchr(b'\n', bytes) {
        None => (line, column + bytes.len() as u64),
        Some(last) => {
            let lines = memchr::memchr_iter(b'\n', bytes).count() as u64;
            (line + lines, (bytes.len() - last) as u64)
        }
    }
}
