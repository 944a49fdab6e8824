//! Line framing: cuts a stream of bytes into lines, whatever pieces it comes in.

use crate::part::{LARGE_BYTES, expect_large, roomier};

/// Cuts a stream into lines. A line that lies whole in one piece is borrowed from it; only a cut one is copied.
#[derive(Debug, Clone)]
pub struct LineDecoder {
    /// The beginning of a line whose end has not come yet; or, when `spent`, the line handed out last.
    tail: Vec<u8>,
    spent: bool,
    /// The line before was a large one.
    was_large: bool,
    line_bytes_max: usize,
}

/// A line longer than the limit. The stream cannot be trusted after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong<'a> {
    /// The first bytes of the line.
    pub excerpt: &'a [u8],
}

/// How many bytes of an offending line are kept to be shown.
const EXCERPT_BYTES: usize = 200;

impl LineDecoder {
    /// A decoder for lines of at most `line_bytes_max` bytes, their end not counted.
    pub fn new(line_bytes_max: usize) -> Self {
        LineDecoder { tail: Vec::new(), spent: false, was_large: false, line_bytes_max }
    }

    /// Takes the next whole line off the front of `input`, without its `\n` (and a `\r` before it).
    /// `None` when `input` is used up; what is left of it has been kept.
    #[inline(always)]
    pub fn next<'a, 'b: 'a>(&'a mut self, input: &mut &'b [u8]) -> Option<Result<&'a [u8], TooLong<'a>>> {
        if self.spent {
            self.spent = false;
            // A huge line is not worth keeping memory for.
            if self.tail.capacity() > 1 << 20 { self.tail = Vec::new() } else { self.tail.clear() }
        }
        let bytes = *input;
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            *input = &[];
            let room = (self.line_bytes_max + 1).saturating_sub(self.tail.len());
            self.make_room(bytes.len());
            self.tail.extend_from_slice(&bytes[..bytes.len().min(room)]);
            return (self.tail.len() > self.line_bytes_max).then(|| Err(too_long(&self.tail)));
        };
        *input = &bytes[end + 1..];
        if self.tail.len() + end > self.line_bytes_max {
            self.tail.extend_from_slice(&bytes[..end.min(EXCERPT_BYTES)]);
            return Some(Err(too_long(&self.tail)));
        }
        if self.was_large != (self.tail.len() >= LARGE_BYTES) {
            self.was_large = !self.was_large;
            expect_large(self.was_large);
        }
        if self.tail.is_empty() {
            return Some(Ok(without_carriage_return(&bytes[..end])));
        }
        self.tail.extend_from_slice(&bytes[..end]);
        self.spent = true;
        Some(Ok(without_carriage_return(&self.tail)))
    }

    /// The moment the line turns out to be a large one, which mostly is not the first.
    fn make_room(&mut self, more: usize) {
        let len = self.tail.len();
        if len < LARGE_BYTES && len + more >= LARGE_BYTES {
            self.tail = roomier(std::mem::take(&mut self.tail));
        }
    }

    /// The line handed out last, in the memory it is in; `None` when it was borrowed from the input.
    pub fn take_line(&mut self) -> Option<Vec<u8>> {
        if !self.spent {
            return None;
        }
        self.spent = false;
        let mut line = std::mem::take(&mut self.tail);
        line.truncate(without_carriage_return(&line).len());
        Some(line)
    }
}

fn without_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn too_long(line: &[u8]) -> TooLong<'_> {
    TooLong { excerpt: &line[..line.len().min(EXCERPT_BYTES)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines of `stream`, fed in pieces of `size` bytes; `Err` ends the list.
    fn lines(stream: &[u8], size: usize, max: usize) -> (Vec<Result<Vec<u8>, ()>>, Vec<u8>) {
        let mut decoder = LineDecoder::new(max);
        let mut found = Vec::new();
        for piece in stream.chunks(size) {
            let mut input = piece;
            while let Some(line) = decoder.next(&mut input) {
                let stop = line.is_err();
                found.push(line.map(<[u8]>::to_vec).map_err(|_| ()));
                if stop {
                    return (found, Vec::new());
                }
            }
        }
        (found, decoder.tail)
    }

    #[test]
    fn whole_and_byte_by_byte_and_with_a_tail() {
        let stream = b"one\n\ntwo\r\nthree\xff\nfour";
        for size in [1, 2, 3, 5, stream.len()] {
            let (found, rest) = lines(stream, size, 100);
            let expected: Vec<_> = [&b"one"[..], b"", b"two", b"three\xff"].iter().map(|l| Ok(l.to_vec())).collect();
            assert_eq!(found, expected, "pieces of {size}");
            assert_eq!(rest, b"four", "pieces of {size}");
        }
    }

    #[test]
    fn a_line_at_the_limit_passes_and_one_over_it_does_not() {
        for size in [1, 4, 100] {
            assert_eq!(lines(b"12345\nx\n", size, 5).0, vec![Ok(b"12345".to_vec()), Ok(b"x".to_vec())]);
            assert_eq!(lines(b"ok\n123456\nx\n", size, 5).0, vec![Ok(b"ok".to_vec()), Err(())]);
        }
    }

    #[test]
    fn a_line_of_its_own_can_be_taken_with_its_memory() {
        let mut decoder = LineDecoder::new(100);
        let mut input = &b"one\ntw"[..];
        assert_eq!(decoder.next(&mut input), Some(Ok(&b"one"[..])));
        assert_eq!(decoder.take_line(), None, "it is the input's");
        assert!(decoder.next(&mut input).is_none());
        input = b"o\r\nthree";
        assert_eq!(decoder.next(&mut input), Some(Ok(&b"two"[..])));
        assert_eq!(decoder.take_line(), Some(b"two".to_vec()));
        assert!(decoder.next(&mut input).is_none());
        assert_eq!(decoder.tail, b"three");
    }

    #[test]
    fn a_line_without_end_is_stopped_at_the_limit_and_held_no_longer() {
        let mut decoder = LineDecoder::new(1000);
        let piece = [b'x'; 64];
        let mut fed = 0;
        loop {
            let mut input = &piece[..];
            fed += piece.len();
            if decoder.next(&mut input).is_some() {
                break;
            }
            assert!(fed <= 1064);
        }
        assert!(decoder.tail.len() <= 1001);
    }
}
