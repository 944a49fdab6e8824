//! What is to be written, collected until the turn of the reactor ends. Owns the order of bytes and files.

use crate::edge::Piece;
use crate::part::Part;
use std::fs::File;

/// Most memory that is asked for before it is known to be needed.
const RESERVE_MAX: usize = 64 << 10;

/// Bytes and files in the order in which they are to be written.
#[derive(Debug)]
pub(super) struct Sink {
    ready: Vec<Piece>,
    open: Vec<u8>,
    /// How many bytes there were the last times.
    before: usize,
    is_line_start: bool,
}

impl Default for Sink {
    fn default() -> Self {
        Sink { ready: Vec::new(), open: Vec::new(), before: 0, is_line_start: true }
    }
}

impl Sink {
    /// Where bytes are appended.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.open
    }

    /// Appends the first `length` bytes of a file.
    pub(super) fn file(&mut self, file: File, length: u64) {
        self.close_bytes();
        self.ready.push(Piece::File { file, length });
        // How it ends is not known here; a message that follows begins on a line of its own at worst.
        self.is_line_start = false;
    }

    /// Appends a text, some of it at least, in the memory it is in.
    pub(super) fn part(&mut self, part: Part) {
        self.close_bytes();
        self.is_line_start = part.ends_with('\n');
        self.ready.push(Piece::Part(part));
    }

    /// A file with `prefix` in front of each of its lines.
    pub(super) fn lines(&mut self, file: File, length: u64, prefix: &[u8]) {
        self.close_bytes();
        self.ready.push(Piece::Lines { file, length, prefix: prefix.into() });
        self.is_line_start = false;
    }

    /// Ends the line that a job left open, so that a message of ours begins on its own.
    pub(super) fn start_line(&mut self) {
        if !self.is_line_start() {
            self.open.push(b'\n');
        }
    }

    /// Says that what was appended last has led back to the beginning of an empty line.
    pub(super) fn set_line_start(&mut self) {
        self.close_bytes();
        self.is_line_start = true;
    }

    /// Whether the next byte begins a line.
    pub(super) fn is_line_start(&self) -> bool {
        self.open.last().map_or(self.is_line_start, |&byte| byte == b'\n')
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.open.is_empty()
    }

    /// Hands over all there is and begins anew in `buffer`, which should be empty.
    pub(super) fn drain(&mut self, buffer: Vec<u8>, mut take: impl FnMut(Piece)) {
        self.is_line_start = self.is_line_start();
        self.ready.drain(..).for_each(&mut take);
        if !self.open.is_empty() {
            let bytes = std::mem::replace(&mut self.open, buffer);
            // About as many will come again; a buffer that grows from nothing is copied over and over.
            self.before = bytes.len().max(self.before - self.before / 8);
            self.open.reserve(self.before.min(RESERVE_MAX));
            take(Piece::Bytes(bytes));
        }
    }

    fn close_bytes(&mut self) {
        if !self.open.is_empty() {
            self.ready.push(Piece::Bytes(std::mem::take(&mut self.open)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_files_keep_their_order_and_lines_are_ended() {
        let mut sink = Sink::default();
        assert!(sink.is_empty());
        sink.bytes().extend_from_slice(b"a");
        sink.file(File::open("/dev/null").unwrap(), 3);
        sink.start_line();
        sink.bytes().extend_from_slice(b"b");
        let mut kinds = Vec::new();
        sink.drain(Vec::new(), |piece| kinds.push(format!("{piece:?}").chars().take(17).collect::<String>()));
        assert_eq!(kinds, ["Bytes([97])", "File { file: File", "Bytes([10, 98])"]);
        assert!(sink.is_empty() && !sink.is_line_start());
        sink.start_line();
        sink.start_line();
        assert_eq!(sink.bytes(), b"\n");
    }
}
