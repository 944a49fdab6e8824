//! The part of the [`Reader`] that reads a list written as one JSON array.

use super::array::Piece;
use super::json;
use super::reader::{EXCERPT_BYTES_MAX, End, Reader, Span, Step, after};
use std::ops::Range;

impl Reader {
    /// The next element of the array.
    pub(super) fn json_element(&mut self) -> Step {
        match self.scanner.next(self.buffer.unread(), self.end.is_some()) {
            Piece::Between(count) => {
                self.take_counted(count);
                Step::Again
            }
            Piece::Element(count) => self.whole_element(count),
            Piece::Inside => self.open_element(),
            Piece::Starved { open: true } if self.end == Some(End::Complete) => {
                self.scanner.give_up();
                self.broken_off("the array of jobs is not closed; was the end of the list cut off?")
            }
            Piece::Starved { .. } => Step::Starved,
            Piece::Fault(message) => self.not_an_array(message),
        }
    }

    /// Reports what cannot stand in an array, with the rest of its line as far as that is worth showing.
    fn not_an_array(&mut self, message: &str) -> Step {
        let unread = self.buffer.unread();
        let line_end = memchr::memchr(b'\n', unread);
        if line_end.is_none() && unread.len() <= EXCERPT_BYTES_MAX && self.end.is_none() {
            return Step::Starved;
        }
        let bytes = &unread[..line_end.unwrap_or(unread.len())];
        let invalid = Span { bytes, line: self.line, column: self.column }.invalid(0, message.into());
        self.scanner.give_up();
        self.invalid(invalid)
    }

    fn whole_element(&mut self, count: usize) -> Step {
        if self.skipping || count > self.max_line {
            let step = if self.skipping { Step::Again } else { self.too_long("job") };
            self.skipping = false;
            self.take_counted(count);
            return step;
        }
        let (line, column) = (self.line, self.column);
        let range = self.take_counted(count);
        let bytes = self.buffer.at(range);
        match json::parse(bytes) {
            Ok(parsed) => self.job(parsed.id, parsed.call, parsed.options),
            Err(fault) => {
                let invalid = Span { bytes, line, column }.invalid(fault.offset, fault.message);
                self.bad_json(invalid, fault.id)
            }
        }
    }

    fn open_element(&mut self) -> Step {
        let length = self.buffer.len();
        if self.skipping || length > self.max_line {
            let step = if self.skipping { Step::Starved } else { self.too_long("job") };
            self.skipping = true;
            self.take_counted(length);
            self.scanner.forget_scanned();
            return step;
        }
        let message = match self.end {
            None => return Step::Starved,
            Some(End::Complete) => "the job list ends inside this job; was its end cut off?",
            Some(End::Torn) => "reading the job list failed inside this job, which is not run as it may be cut short",
        };
        let step = self.broken_off(message);
        self.take_counted(length);
        self.scanner.give_up();
        step
    }

    /// Takes bytes and moves the place on.
    fn take_counted(&mut self, count: usize) -> Range<usize> {
        let range = self.buffer.take(count);
        (self.line, self.column) = after(self.buffer.at(range.clone()), self.line, self.column);
        range
    }
}
