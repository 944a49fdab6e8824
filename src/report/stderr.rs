//! Messages to standard error. Owns the promise that nobody waits for them: not a run whose reader of standard
//! error has stopped, nor the program before and after a run.

use super::style::{PREFIX, count};
use crate::edge::{Output, Piece, Standard, Wake, is_open_at_start, take_copy};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Bytes that may wait for a slow reader. Beyond it messages are dropped and counted: memory is bounded, and a
/// reader that has stopped for ever must not stop the run. Files do not count, they take no memory.
pub const BACKLOG_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Writes a message at once, if standard error takes it without waiting; drops it otherwise. For the time before
/// and after a run. `text` brings its own line feed.
pub fn say(text: &str) {
    let stderr = io::stderr();
    let mut polled = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if is_open_at_start(Standard::Error) && poll(&mut polled, PollTimeout::ZERO) == Ok(1) {
        // Nobody is left who could be told that telling failed.
        let _ = stderr.lock().write(text.as_bytes());
    }
}

/// Standard error during a run: an [`Output`] that drops what nobody reads, and says how much that was.
#[derive(Debug)]
pub struct Stderr {
    output: Output,
    dropped: u64,
}

impl Stderr {
    /// The process's standard error; if it is closed, everything is dropped.
    pub fn start(wake: Wake) -> Self {
        match take_copy(Standard::Error) {
            Ok(fd) => Self::with_fd(fd, wake),
            Err(error) => Stderr { output: Output::lost(&error, wake), dropped: 0 },
        }
    }

    /// Any other descriptor.
    pub fn with_fd(fd: OwnedFd, wake: Wake) -> Self {
        Stderr { output: Output::start(fd, wake), dropped: 0 }
    }

    /// Starts the thread now rather than with the first message.
    pub fn prepare(&mut self) {
        self.output.prepare();
    }

    /// Hands over messages; never waits. Errors hurt nobody.
    pub fn push(&mut self, piece: Piece) {
        let is_memory = matches!(piece, Piece::Bytes(_) | Piece::Part(_));
        if is_memory && self.output.memory().saturating_add(piece.weight()) > BACKLOG_BYTES_MAX {
            self.dropped += 1;
            return;
        }
        self.tell_dropped();
        self.output.push(piece);
    }

    /// Bytes that wait. Worth holding back new jobs for, as with standard output; never worth more.
    pub fn backlog(&self) -> usize {
        self.output.backlog()
    }

    /// An empty buffer, used before where there is one.
    pub fn buffer(&mut self) -> Vec<u8> {
        self.output.buffer()
    }

    /// Nothing more will be pushed; the bell rings when all is written.
    pub fn close(&mut self) {
        self.tell_dropped();
        self.output.close();
    }

    /// Whether there is nothing left to wait for.
    pub fn is_settled(&self) -> bool {
        self.output.is_settled()
    }

    /// Waits until all that was pushed so far is written, at most for `limit`.
    pub fn await_written(&self, limit: Duration) {
        self.output.await_written(limit);
    }

    /// Waits until all is written, at most for `deadline`.
    pub fn finish(&mut self, deadline: Duration) {
        self.tell_dropped();
        // A message that cannot be told is no failure of the run.
        let _ = self.output.finish(Some(deadline));
    }

    fn tell_dropped(&mut self) {
        if self.dropped > 0 {
            let lost = count(self.dropped, "message");
            let text = format!("\n{PREFIX}{lost} dropped here: standard error was not read fast enough\n");
            self.output.push(Piece::Bytes(text.into_bytes()));
            self.dropped = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::pipe;
    use std::fs::File;
    use std::io::Read;

    #[test]
    fn a_reader_that_stops_costs_messages_and_is_told_how_many() {
        let (read, write) = pipe().unwrap();
        let mut stderr = Stderr::with_fd(write, Wake::new().unwrap());
        let message = [vec![b'x'; 1_000_000], b"\n".to_vec()].concat();
        for _ in 0..10 {
            stderr.push(Piece::Bytes(message.clone()));
        }
        // The pipe has taken a part of the first, which counts until it is written: eight fit.
        let mut read = File::from(read);
        let mut got = vec![0; 7 * message.len()];
        read.read_exact(&mut got).unwrap();
        stderr.push(Piece::Bytes(b"last\n".to_vec()));
        stderr.close();
        drop(stderr);
        read.read_to_end(&mut got).unwrap();
        let text = String::from_utf8(got).unwrap();
        let tail: Vec<&str> = text.lines().filter(|line| !line.starts_with('x')).collect();
        assert_eq!(tail, ["", "supervisor: 2 messages dropped here: standard error was not read fast enough", "last"]);
    }

    #[test]
    fn a_broken_standard_error_hurts_nobody() {
        let (_, write) = pipe().unwrap();
        let mut stderr = Stderr::with_fd(write, Wake::new().unwrap());
        stderr.push(Piece::Bytes(b"text".to_vec()));
        stderr.finish(Duration::from_secs(20));
        stderr.push(Piece::Bytes(b"text".to_vec()));
        assert_eq!(stderr.backlog(), 0);
    }
}
