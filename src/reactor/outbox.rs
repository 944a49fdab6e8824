//! What waits to be written to a worker whose pipe is full. Never blocks; loses and doubles nothing.

use crate::part::Part;
use nix::errno::Errno;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Deref;
use std::os::fd::AsFd;

/// Pieces written with one system call.
const PIECES_PER_WRITE: usize = 16;

/// Bytes on their way to a worker, in order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Piece>,
    /// How much of the first piece is written.
    written: usize,
    len: usize,
}

/// Some of them, in the memory they are in.
#[derive(Debug)]
pub(super) enum Piece {
    Bytes(Vec<u8>),
    Part(Part),
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Piece::Bytes(bytes) => bytes,
            Piece::Part(part) => part.as_bytes(),
        }
    }
}

impl Outbox {
    pub(super) fn push(&mut self, piece: Piece) {
        self.len += piece.len();
        if !piece.is_empty() {
            self.pieces.push_back(piece);
        }
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Writes as much as the pipe takes. `Err` when nobody will ever read it; what waits is then dropped.
    pub(super) fn flush(&mut self, pipe: impl AsFd) -> Result<(), Errno> {
        while self.len > 0 {
            let skip = self.written;
            let slices: Vec<IoSlice<'_>> = self
                .pieces
                .iter()
                .take(PIECES_PER_WRITE)
                .enumerate()
                .map(|(at, piece)| IoSlice::new(if at == 0 { &piece[skip..] } else { piece }))
                .collect();
            match nix::sys::uio::writev(pipe.as_fd(), &slices) {
                Ok(written) => self.advance(written),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(errno) => {
                    *self = Outbox::default();
                    return Err(errno);
                }
            }
        }
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        self.len -= written;
        while let Some(first) = self.pieces.front() {
            let left = first.len() - self.written;
            if written < left {
                self.written += written;
                return;
            }
            written -= left;
            self.written = 0;
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::unistd::{pipe2, read};
    use std::os::fd::AsFd;

    #[test]
    fn bytes_arrive_in_order_however_the_pipe_takes_them() {
        let (reader, writer) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).unwrap();
        let mut outbox = Outbox::default();
        let mut expected = Vec::new();
        for size in (0..500).map(|n| n * 7) {
            let piece: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            expected.extend_from_slice(&piece);
            outbox.push(Piece::Bytes(piece));
        }
        let mut got = Vec::new();
        let mut buffer = [0; 1000];
        while got.len() < expected.len() {
            outbox.flush(&writer).unwrap();
            while let Ok(count) = read(&reader, &mut buffer) {
                got.extend_from_slice(&buffer[..count]);
            }
        }
        assert_eq!(got, expected);
        assert_eq!(outbox.len(), 0);
        drop(reader);
        // A process that another test is just starting has a copy until it executes its program.
        let mut polled = [PollFd::new(writer.as_fd(), PollFlags::empty())];
        assert_eq!(poll(&mut polled, PollTimeout::from(10_000u16)), Ok(1), "the reader is not gone");
        outbox.push(Piece::Bytes(vec![1]));
        assert_eq!(outbox.flush(&writer), Err(Errno::EPIPE));
        assert_eq!(outbox.len(), 0);
    }
}
