//! The bytes of the job list that were read but not yet taken. Owns their memory and remembers how far was searched,
//! so that a line that drips in byte by byte costs no more than one that comes whole. Knows nothing of jobs.

use crate::part::{LARGE_BYTES, roomier};
use std::ops::Range;

/// Memory above this is given back once it is no longer needed, so that one huge line does not cost the whole run.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// Unread bytes, in one piece.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    /// Bytes after `start` that are known not to hold what is looked for.
    searched: usize,
}

impl Buffer {
    /// Appends what was read. What is unread moves to the front only when at least as much was taken before it,
    /// so that every byte is moved at most about once.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.relieve();
        let left = self.len();
        if self.start > 0 && self.start >= left {
            self.bytes.copy_within(self.start.., 0);
            self.bytes.truncate(left);
            self.start = 0;
        }
        // What is there without an end turns out to be large, and mostly it is not the first.
        if left < LARGE_BYTES && left + chunk.len() >= LARGE_BYTES {
            let mut begun = std::mem::take(&mut self.bytes);
            begun.drain(..std::mem::take(&mut self.start));
            self.bytes = roomier(begun);
        }
        self.bytes.extend_from_slice(chunk);
    }

    /// Looks for the delimiter; the length of what stands before it.
    #[inline(always)]
    pub(super) fn find(&mut self, delimiter: u8) -> Option<usize> {
        let found = memchr::memchr(delimiter, &self.bytes[self.start + self.searched..]);
        match found {
            Some(at) => Some(self.searched + at),
            None => {
                self.searched = self.len();
                None
            }
        }
    }

    /// Takes the next bytes; [`Buffer::at`] still shows them until the next call of a method that changes the buffer.
    pub(super) fn take(&mut self, count: usize) -> Range<usize> {
        let start = self.start;
        self.start += count;
        self.searched = 0;
        start..self.start
    }

    /// Called when nothing more can be taken: gives back memory that is not needed.
    pub(super) fn settle(&mut self) {
        if self.start == self.bytes.len() {
            self.start = 0;
            if self.bytes.capacity() > KEPT_BYTES_MAX {
                self.bytes = Vec::new();
            } else {
                self.bytes.clear();
            }
        }
    }

    /// Called when what was taken is not looked at any more: the memory of a huge line that was copied is given back.
    #[inline]
    pub(super) fn relieve(&mut self) {
        let was_taken = self.start > 0;
        if was_taken && self.bytes.capacity() > KEPT_BYTES_MAX && self.len() <= self.bytes.capacity() / 4 {
            self.bytes = self.unread().to_vec();
            self.start = 0;
        }
    }

    /// Bytes that were taken, with their memory: they end with it, and where they begin in it is told as well. What was not
    /// taken yet moves to memory of its own, so there should be little of it.
    pub(super) fn part_with(&mut self, range: Range<usize>) -> (Vec<u8>, usize) {
        let unread = self.unread().to_vec();
        let mut bytes = std::mem::replace(&mut self.bytes, unread);
        bytes.truncate(range.end);
        self.start = 0;
        (bytes, range.start)
    }

    /// Bytes that were taken.
    pub(super) fn at(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// What was not taken yet.
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// How much was not taken yet.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Memory held, for tests of its bound.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
