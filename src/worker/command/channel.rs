//! The two ends of the channel to the supervisor: lines in, bytes out. Neither ever blocks the worker.
//!
//! The descriptors 0 and 1 may share their file description with others, so they are never made non-blocking; the
//! outgoing end is opened anew instead, which gives a description of its own.

use memchr::memchr;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{read, write};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A line longer than this ends the worker: nobody has a command like that, and memory has an end.
pub(super) const LINE_BYTES_MAX: usize = 256 << 20;
/// Empty buffers larger than some of these are freed.
const CHUNK_BYTES: usize = 64 << 10;
/// A pipe that is writable takes this much without blocking (`PIPE_BUF`).
const SURE_BYTES: usize = 4096;

/// What reading brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Something; all whole lines were handed out.
    Bytes,
    /// The end of the stream; the last line was handed out even without a line end.
    End,
    /// A line over [`LINE_BYTES_MAX`].
    TooLong,
}

/// Cuts the incoming stream into lines.
#[derive(Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// Bytes of the unfinished line that are known to hold no line end.
    searched: usize,
}

impl Lines {
    /// Reads once from descriptor 0, which must be readable, and hands out the whole lines. `room` is where bytes are
    /// read to: reading right behind the others would mean to clear that much memory first, for every single line.
    pub(super) fn read(&mut self, room: &mut [u8], take: impl FnMut(&[u8])) -> Input {
        let result = loop {
            match read(io::stdin(), room) {
                Err(Errno::EINTR) => {}
                other => break other,
            }
        };
        self.buffer.extend_from_slice(&room[..result.unwrap_or(0)]);
        match result {
            Ok(1..) | Err(Errno::EAGAIN) => self.cut(take),
            // An error can only mean that nothing more will come.
            Ok(0) | Err(_) => self.end(take),
        }
    }

    fn cut(&mut self, mut take: impl FnMut(&[u8])) -> Input {
        let mut begin = 0;
        while let Some(length) = memchr(b'\n', &self.buffer[begin.max(self.searched)..]) {
            let end = begin.max(self.searched) + length;
            take(&self.buffer[begin..end]);
            begin = end + 1;
        }
        self.buffer.drain(..begin);
        self.searched = self.buffer.len();
        if self.buffer.is_empty() && self.buffer.capacity() > 4 * CHUNK_BYTES {
            self.buffer = Vec::new();
        }
        if self.buffer.len() > LINE_BYTES_MAX { Input::TooLong } else { Input::Bytes }
    }

    fn end(&mut self, mut take: impl FnMut(&[u8])) -> Input {
        let last = std::mem::take(&mut self.buffer);
        take(&last);
        Input::End
    }
}

/// The outgoing bytes that the supervisor has not taken yet.
pub(super) struct Outbox {
    /// Answers are appended here.
    pub(super) bytes: Vec<u8>,
    written: usize,
    fd: OutFd,
}

enum OutFd {
    /// Writing never blocks, for it is a description of our own, or a file.
    Own(OwnedFd),
    /// Descriptor 1 itself: small pieces, and only when it is known to be writable.
    Shared,
    /// A file or a device, which cannot be polled and always takes what it is given.
    Plain,
}

/// How far a flush came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Everything is out.
    All,
    /// The rest goes out when the descriptor is writable again.
    Later,
    /// Nobody reads any more.
    Lost,
}

impl Outbox {
    /// Looks at descriptor 1.
    pub(super) fn open() -> Outbox {
        let kind =
            fstat(io::stdout()).map_or(SFlag::S_IFREG, |stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT);
        let fd = if kind == SFlag::S_IFIFO {
            let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            open("/proc/self/fd/1", flags, Mode::empty()).map_or(OutFd::Shared, OutFd::Own)
        } else if kind == SFlag::S_IFSOCK {
            OutFd::Shared
        } else {
            OutFd::Plain
        };
        Outbox { bytes: Vec::new(), written: 0, fd }
    }

    /// The descriptor to watch for being writable again.
    pub(super) fn watched(&self) -> Option<BorrowedFd<'_>> {
        match &self.fd {
            OutFd::Own(fd) => Some(fd.as_fd()),
            // The standard streams stay open as long as the process.
            OutFd::Shared => Some(STDOUT),
            OutFd::Plain => None,
        }
    }

    /// Bytes waiting.
    pub(super) fn backlog(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Writes as much as goes without waiting. `writable` says that the descriptor has just been reported so.
    pub(super) fn flush(&mut self, writable: bool) -> Flushed {
        let mut sure = writable;
        while self.backlog() > 0 {
            let rest = &self.bytes[self.written..];
            let result = match &self.fd {
                OutFd::Own(fd) => write(fd, rest),
                OutFd::Plain => write(STDOUT, rest),
                OutFd::Shared if !std::mem::take(&mut sure) && !is_writable() => return Flushed::Later,
                OutFd::Shared => write(STDOUT, &rest[..rest.len().min(SURE_BYTES)]),
            };
            match result {
                Ok(count) => self.written += count,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Flushed::Later,
                Err(_) => return Flushed::Lost,
            }
        }
        self.written = 0;
        self.bytes.clear();
        self.bytes.shrink_to(CHUNK_BYTES);
        Flushed::All
    }
}

// SAFETY: descriptor 1 is open from before main (Rust's runtime opens /dev/null on it when it was closed) to the end.
const STDOUT: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(1) };

fn is_writable() -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut polled = [PollFd::new(STDOUT, PollFlags::POLLOUT)];
    poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        for piece in pieces {
            lines.buffer.extend_from_slice(piece);
            lines.cut(|line| all.push(String::from_utf8_lossy(line).into_owned()));
        }
        lines.end(|line| all.push(format!("end:{}", String::from_utf8_lossy(line))));
        all
    }

    #[test]
    fn lines_are_the_same_however_the_stream_is_split() {
        let stream = b"one\n\ntwo\nthree";
        let expected = ["one", "", "two", "end:three"];
        assert_eq!(feed(&[stream]), expected);
        assert_eq!(feed(&stream.chunks(1).collect::<Vec<_>>()), expected);
        for at in 0..stream.len() {
            assert_eq!(feed(&[&stream[..at], &stream[at..]]), expected);
        }
    }
}
