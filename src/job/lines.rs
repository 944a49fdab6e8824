//! The part of the [`Reader`] that reads lists of one job a line (or between two NULs).

use super::detect::is_blank;
use super::json;
use super::model::{Call, FunctionCall};
use super::reader::{End, Reader, Span, Step};
use crate::part::{LARGE_BYTES, expect_large};
use std::ops::Range;

impl Reader {
    /// The next plain line.
    pub(super) fn plain(&mut self, delimiter: u8) -> Step {
        let mut range = match self.cut(delimiter) {
            Ok(range) => range,
            Err(step) => return step,
        };
        let bytes = self.buffer.at(range.clone());
        let is_line = delimiter == b'\n';
        let line = self.line;
        self.line += 1;
        if bytes.is_empty() || (is_line && is_blank_line(bytes)) {
            return Step::Again;
        }
        if is_line {
            if let Some(nul) = memchr::memchr(0, bytes) {
                const MESSAGE: &str = "a NUL byte cannot be part of a job; for a NUL-separated list give -0";
                let invalid = Span { bytes, line, column: 1 }.invalid(nul, MESSAGE.into());
                return self.invalid(invalid);
            }
            range.end -= usize::from(bytes.last() == Some(&b'\r'));
        }
        let call = Call::Line(self.buffer.at(range).into());
        self.job(None, call, None)
    }

    /// The next line of JSON.
    pub(super) fn json_line(&mut self) -> Step {
        if let Some(step) = self.line_like_before() {
            return step;
        }
        let range = match self.cut(b'\n') {
            Ok(range) => range,
            Err(step) => return step,
        };
        let bytes = self.buffer.at(range.clone());
        let line = self.line;
        self.line += 1;
        if is_blank_line(bytes) {
            return Step::Again;
        }
        if self.was_large != (bytes.len() >= LARGE_BYTES) {
            self.was_large = !self.was_large;
            expect_large(self.was_large);
        }
        if self.was_large {
            let (bytes, start) = self.buffer.part_with(range);
            return match json::parse_large(bytes, start) {
                Ok(parsed) => self.job(parsed.id, parsed.call, parsed.options),
                Err((fault, bytes)) => {
                    let invalid = Span { bytes: &bytes[start..], line, column: 1 }.invalid(fault.offset, fault.message);
                    self.bad_json(invalid, fault.id)
                }
            };
        }
        match json::parse_noting(bytes, |text, call| self.alike.note(text, call)) {
            Ok(parsed) => self.job(parsed.id, parsed.call, parsed.options),
            Err(fault) => {
                let invalid = Span { bytes, line, column: 1 }.invalid(fault.offset, fault.message);
                self.bad_json(invalid, fault.id)
            }
        }
    }

    /// The next line, where it is a short one that begins as the one before.
    #[inline(always)]
    fn line_like_before(&mut self) -> Option<Step> {
        if self.skipping || self.was_large {
            return None;
        }
        let like = self.alike.call(self.buffer.unread())?;
        if like.line_bytes > self.max_line {
            return None;
        }
        let call = Call::Function(FunctionCall::of_text(like.method, like.params));
        let taken = like.line_bytes;
        self.buffer.take(taken);
        self.line += 1;
        Some(self.job(None, call, None))
    }

    /// Takes the next line, its end left out. The caller counts it.
    #[inline(always)]
    fn cut(&mut self, delimiter: u8) -> Result<Range<usize>, Step> {
        let found = self.buffer.find(delimiter);
        let length = self.buffer.len();
        if self.skipping {
            self.buffer.take(found.map_or(length, |found| found + 1));
            self.skipping = found.is_none();
            self.line += u64::from(found.is_some());
            return Err(if self.skipping { Step::Starved } else { Step::Again });
        }
        if found.unwrap_or(length) > self.max_line {
            let step = self.too_long("line");
            self.skipping = true;
            return Err(step);
        }
        match (found, self.end) {
            (Some(found), _) => {
                let line = self.buffer.take(found + 1);
                Ok(line.start..line.end - 1)
            }
            (None, Some(End::Complete)) if length > 0 => Ok(self.buffer.take(length)),
            (None, Some(End::Torn)) if length > 0 => {
                let step = self.broken_off(
                    "reading the job list failed inside this line, which is not run as it may be cut short",
                );
                self.buffer.take(length);
                Err(step)
            }
            (None, _) => Err(Step::Starved),
        }
    }
}

/// Whether a line holds blanks only. Looking at its first byte is enough for nearly every line.
fn is_blank_line(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|first| is_blank(*first)) && bytes.iter().all(|byte| is_blank(*byte))
}
