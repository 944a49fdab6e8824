//! The standard streams, taken for the channel: lines in. Code of the user finds an empty input on descriptor 0, and
//! descriptor 1 leads to where 2 does.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::read;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// Bytes asked for at a time.
const CHUNK_BYTES: usize = 128 << 10;
/// Descriptors below are the user's business.
const PRIVATE_FROM: i32 = 10;

/// Moves the channel away from descriptors 0 and 1 and gives its two ends.
pub(super) fn take() -> io::Result<(OwnedFd, OwnedFd)> {
    let input = duplicate(io::stdin().as_fd())?;
    let output = duplicate(io::stdout().as_fd())?;
    let nothing = nix::fcntl::open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    nix::unistd::dup2_stdin(&nothing)?;
    nix::unistd::dup2_stdout(io::stderr())?;
    Ok((input, output))
}

fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let number = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(PRIVATE_FROM))?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// What comes in, in pieces of whole lines.
pub(super) struct Inbox {
    fd: OwnedFd,
    /// The beginning of a line whose end has not come yet.
    tail: Vec<u8>,
    /// Pieces that were read ahead.
    ahead: VecDeque<Vec<u8>>,
    /// A piece that was used up, to be filled again.
    spare: Vec<u8>,
    ended: bool,
}

impl Inbox {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Inbox { fd, tail: Vec::new(), ahead: VecDeque::new(), spare: Vec::new(), ended: false }
    }

    /// The next piece that was read already.
    pub(super) fn next_ahead(&mut self) -> Option<Vec<u8>> {
        self.ahead.pop_front()
    }

    /// Pieces read ahead.
    pub(super) fn ahead(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.ahead.iter()
    }

    /// Puts a piece at the end of those read ahead.
    pub(super) fn keep(&mut self, piece: Vec<u8>) {
        if !piece.is_empty() {
            self.ahead.push_back(piece);
        }
    }

    /// Gives a piece back whose memory can be used again.
    pub(super) fn give_back(&mut self, piece: Vec<u8>) {
        if piece.capacity() <= 8 * CHUNK_BYTES {
            self.spare = piece;
        }
    }

    /// Whether reading would bring something, or the end, at once.
    pub(super) fn is_readable(&self) -> bool {
        !self.ended && self.wait(PollTimeout::ZERO)
    }

    fn wait(&self, timeout: PollTimeout) -> bool {
        let mut polled = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, timeout).is_ok_and(|ready| ready > 0)
    }

    /// Reads, waiting for it, until there is a piece of whole lines. `None` at the end; a last line without its end is
    /// handed out before.
    pub(super) fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        while !self.ended {
            let searched = self.tail.len();
            let mut piece = std::mem::take(&mut self.tail);
            piece.resize(searched + CHUNK_BYTES, 0);
            let count = match read(&self.fd, &mut piece[searched..]) {
                Ok(count) => count,
                Err(errno @ (Errno::EINTR | Errno::EAGAIN)) => {
                    piece.truncate(searched);
                    self.tail = piece;
                    if errno == Errno::EAGAIN {
                        self.wait(PollTimeout::NONE);
                    }
                    continue;
                }
                Err(errno) => return Err(errno.into()),
            };
            piece.truncate(searched + count);
            self.ended = count == 0;
            let end = memchr::memrchr(b'\n', &piece[searched..]).map_or(0, |at| searched + at + 1);
            if end > 0 {
                self.tail = std::mem::take(&mut self.spare);
                self.tail.clear();
                self.tail.extend_from_slice(&piece[end..]);
                piece.truncate(end);
                return Ok(Some(piece));
            }
            self.tail = piece;
        }
        let last = std::mem::take(&mut self.tail);
        Ok((!last.is_empty()).then_some(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_with_lines_and_the_last_line_needs_no_end() {
        let (read, write) = nix::unistd::pipe().unwrap();
        let mut inbox = Inbox::new(read);
        nix::unistd::write(&write, b"one\ntwo\nthr").unwrap();
        assert_eq!(inbox.read().unwrap().unwrap(), b"one\ntwo\n");
        assert!(!inbox.is_readable());
        nix::unistd::write(&write, b"ee\nfour").unwrap();
        assert!(inbox.is_readable());
        assert_eq!(inbox.read().unwrap().unwrap(), b"three\n");
        drop(write);
        assert_eq!(inbox.read().unwrap().unwrap(), b"four");
        assert_eq!(inbox.read().unwrap(), None);
        assert_eq!(inbox.read().unwrap(), None);
    }
}
