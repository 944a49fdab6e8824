//! The thread behind an [`super::Output`]. Owns the descriptor; knows how pipes, files and terminals want to
//! be written to; never drops a byte and never writes one twice.

use super::copy::{self, Target};
use super::output::{Piece, Shared};
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

/// Up to this size a write to a pipe is all or nothing (pipe(7), `PIPE_BUF`).
pub(super) const PIPE_WHOLE_BYTES: usize = libc::PIPE_BUF;

/// Most bytes of one write: the backlog is told that often, however large a piece is.
const WRITE_BYTES_MAX: usize = 128 * 1024;

mod ioctl {
    nix::ioctl_read_bad!(bytes_readable, libc::FIONREAD, libc::c_int);
}

/// Takes pieces from the queue and writes them until the queue is closed or writing fails.
pub(super) struct Writer {
    output: File,
    shared: Arc<Shared>,
    target: Target,
    /// Bytes an empty pipe takes at once; 0 for what is no pipe.
    pipe_capacity: usize,
}

impl Writer {
    pub(super) fn new(fd: OwnedFd, shared: Arc<Shared>) -> Self {
        let kind = fstat(&fd).map(|facts| SFlag::from_bits_truncate(facts.st_mode & SFlag::S_IFMT.bits()));
        let target = match kind {
            Ok(SFlag::S_IFIFO) => Target::Pipe,
            Ok(SFlag::S_IFREG) => Target::Regular,
            _ => Target::Other,
        };
        let pipe_capacity = match target {
            Target::Pipe => fcntl(&fd, FcntlArg::F_GETPIPE_SZ).map_or(PIPE_WHOLE_BYTES, |size| size as usize),
            Target::Regular | Target::Other => 0,
        };
        Writer { output: File::from(fd), shared, target, pipe_capacity }
    }

    pub(super) fn run(mut self) {
        while let Some(pieces) = self.shared.take() {
            for piece in pieces {
                if let Err(error) = self.write_piece(piece) {
                    self.shared.fail(&error);
                    return;
                }
            }
        }
    }

    fn write_piece(&mut self, piece: Piece) -> io::Result<()> {
        match piece {
            Piece::Bytes(bytes) => {
                self.write_bytes(&bytes)?;
                self.shared.recycle(bytes);
                Ok(())
            }
            Piece::Part(part) => {
                self.write_bytes(part.as_bytes())?;
                self.shared.forget(part.len());
                Ok(())
            }
            Piece::File { file, length } => copy::whole(self, &file, length),
            Piece::Lines { file, length, prefix } => copy::lines(self, &file, length, &prefix),
        }
    }

    /// Writes bytes that are part of the backlog.
    pub(super) fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_each(bytes, Shared::written)
    }

    /// Writes bytes that the backlog does not know.
    pub(super) fn write_uncounted(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_each(bytes, |_, _| ())
    }

    /// So many bytes of the backlog have left on another way.
    pub(super) fn written(&self, bytes: usize) {
        self.shared.written(bytes);
    }

    pub(super) fn target(&self) -> Target {
        self.target
    }

    pub(super) fn output(&self) -> &File {
        &self.output
    }

    fn write_each(&mut self, mut rest: &[u8], written: impl Fn(&Shared, usize)) -> io::Result<()> {
        while !rest.is_empty() {
            let size = self.next_size(rest);
            match self.output.write(&rest[..size]) {
                Ok(0) => return Err(io::Error::from_raw_os_error(libc::EIO)),
                Ok(length) => {
                    rest = &rest[length..];
                    written(&self.shared, length);
                }
                Err(error) => self.mend(error)?,
            }
        }
        Ok(())
    }

    /// Waits where waiting helps; passes on every error where it does not.
    pub(super) fn mend(&self, error: io::Error) -> io::Result<()> {
        match error.kind() {
            ErrorKind::Interrupted => Ok(()),
            // Somebody who shares the descriptor has made it non-blocking; the flag is theirs.
            ErrorKind::WouldBlock => {
                let mut polled = [PollFd::new(self.output.as_fd(), PollFlags::POLLOUT)];
                // Whatever comes out, the next write says what to do.
                let _ = poll(&mut polled, PollTimeout::NONE);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// How much to write next. A write to a pipe that has to wait can be cut in the middle by a SIGKILL, and
    /// with it the line. So a pipe gets whole lines, in writes that either do not have to wait (the pipe is
    /// empty) or are all or nothing; only a line beyond [`PIPE_WHOLE_BYTES`] can be cut, as the last one.
    fn next_size(&self, rest: &[u8]) -> usize {
        let rest = &rest[..rest.len().min(WRITE_BYTES_MAX)];
        if self.pipe_capacity == 0 || rest.len() <= PIPE_WHOLE_BYTES {
            return rest.len();
        }
        let limit = if self.is_pipe_empty() { self.pipe_capacity } else { PIPE_WHOLE_BYTES };
        if rest.len() <= limit {
            return rest.len();
        }
        match memchr::memrchr(b'\n', &rest[..limit]) {
            Some(end) => end + 1,
            None => memchr::memchr(b'\n', &rest[limit..]).map_or(rest.len(), |end| limit + end + 1),
        }
    }

    fn is_pipe_empty(&self) -> bool {
        let mut bytes = 0;
        // SAFETY: FIONREAD writes one int to where the pointer shows, which lives as long as the call.
        let answer = unsafe { ioctl::bytes_readable(self.output.as_raw_fd(), &mut bytes) };
        answer.is_ok() && bytes == 0
    }
}
