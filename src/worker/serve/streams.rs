//! The standard streams, taken for the channel: lines in. Code of the user finds an empty input on descriptor 0, and
//! descriptor 1 leads to where 2 does.

use crate::edge::Lookout;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Instant;

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
    lookout: Lookout,
    ended: bool,
}

impl Inbox {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Inbox {
            fd,
            tail: Vec::new(),
            ahead: VecDeque::new(),
            spare: Vec::new(),
            lookout: Lookout::default(),
            ended: false,
        }
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

    /// Looks for a while without sleeping, where something is soon to come. While this worker waits nobody else has to.
    fn look_out(&self, since: Instant) {
        // The one job that runs is the one whose answer was just written.
        let span = self.lookout.span(1);
        while now().saturating_duration_since(since) < span && !self.wait(PollTimeout::ZERO) {
            // Whoever shares this core goes first.
            std::thread::yield_now();
        }
    }

    fn wait(&self, timeout: PollTimeout) -> bool {
        let mut polled = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, timeout).is_ok_and(|ready| ready > 0)
    }

    /// Reads, waiting for it, until there is a piece of whole lines. `None` at the end; a last line without its end is
    /// handed out before.
    pub(super) fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let begin = now();
        self.look_out(begin);
        while !self.ended {
            let searched = self.tail.len();
            let count = match append(&self.fd, &mut self.tail) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => {
                    self.wait(PollTimeout::NONE);
                    continue;
                }
                Err(errno) => return Err(errno.into()),
            };
            self.lookout.waited(now().saturating_duration_since(begin));
            self.lookout.moved(count);
            self.ended = count == 0;
            if let Some(end) = memchr::memrchr(b'\n', &self.tail[searched..]).map(|at| searched + at + 1) {
                let mut piece = std::mem::replace(&mut self.tail, std::mem::take(&mut self.spare));
                self.tail.clear();
                self.tail.extend_from_slice(&piece[end..]);
                piece.truncate(end);
                return Ok(Some(piece));
            }
        }
        let last = std::mem::take(&mut self.tail);
        Ok((!last.is_empty()).then_some(last))
    }
}

/// Reads up to [`CHUNK_BYTES`] behind what `bytes` has, where nothing has been written before. How many came; 0 at the end.
fn append(fd: &OwnedFd, bytes: &mut Vec<u8>) -> Result<usize, Errno> {
    bytes.reserve(CHUNK_BYTES);
    // SAFETY: so much room was just reserved behind what is there.
    let count = unsafe { libc::read(fd.as_raw_fd(), bytes.spare_capacity_mut().as_mut_ptr().cast(), CHUNK_BYTES) };
    let count = usize::try_from(Errno::result(count)?).expect("a count is not negative");
    // SAFETY: the kernel has written so many bytes there.
    unsafe { bytes.set_len(bytes.len() + count) };
    Ok(count)
}

#[expect(clippy::disallowed_methods, reason = "how long a wait took is all it is asked for")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_ends_though_nothing_comes() {
        let (read, write) = nix::unistd::pipe().unwrap();
        let mut inbox = Inbox::new(read);
        inbox.lookout.waited(std::time::Duration::ZERO);
        inbox.look_out(now());
        nix::unistd::write(&write, b"one\n").unwrap();
        inbox.look_out(now());
        assert_eq!(inbox.read().unwrap().unwrap(), b"one\n");
    }

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
