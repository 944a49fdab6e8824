//! The worker processes as descriptors and pids: one entry a slot. Reads, writes and signals; decides nothing.

use super::outbox::{Outbox, Piece};
use super::poller::{Poller, Ready};
use super::shelf::Shelf;
use crate::edge::enlarge_pipe;
use crate::ids::{Generation, WorkerId};
use crate::part::LARGE_BYTES;
use crate::pool::Event;
use crate::process::cgroup::Group;
use crate::process::{Live, Spawned};
use crate::protocol::ShelfPlace;
use nix::errno::Errno;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// A worker's process.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) worker: WorkerId,
    pub(super) generation: Generation,
    pub(super) process: Live,
    /// The control group of what it guards.
    pub(super) group: Option<Group>,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    outbox: Outbox,
    /// What it had not read when its standard input broke.
    unread_at_break: usize,
    /// Bytes that were withheld from it, as everything after them is.
    withheld: usize,
    /// That this happened was not told yet.
    broken: bool,
    /// Standard input is to be closed once the outbox is empty.
    closing: bool,
    /// Room in its pipe is being waited for.
    waiting: bool,
    /// How many bytes were last said to wait for it.
    told_backlog: usize,
    /// How often a read of its standard output has filled the buffer, without a break.
    full_reads: usize,
    /// Bytes read from its standard output.
    received: u64,
    /// Bytes of its output handed to the core: those read, and those seen on its shelf before they come.
    delivered: u64,
    /// What it holds back, and how many bytes of output came before what is counted there.
    shelf: Option<(Shelf, u64)>,
}

/// Which of a worker's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// What one read brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// So many, and how many of them are new: they stand at the beginning of the buffer.
    Bytes(usize, usize),
    /// Nothing at the moment.
    Nothing,
    /// The stream has just ended.
    End,
}

impl Child {
    pub(super) fn new(worker: WorkerId, generation: Generation, spawned: Spawned, poller: &Poller) -> io::Result<Self> {
        poller.watch(&spawned.stdout, Ready::Stdout(worker, generation))?;
        poller.watch(&spawned.stderr, Ready::Stderr(worker, generation))?;
        Ok(Child {
            worker,
            generation,
            process: Live::new(spawned.pid),
            group: None,
            stdin: Some(spawned.stdin),
            stdout: Some(spawned.stdout),
            stderr: Some(spawned.stderr),
            outbox: Outbox::default(),
            unread_at_break: 0,
            withheld: 0,
            broken: false,
            closing: false,
            waiting: false,
            told_backlog: 0,
            full_reads: 0,
            received: 0,
            delivered: 0,
            shelf: None,
        })
    }

    /// Kills it with its group, and all that is in its control group.
    pub(super) fn kill(&self) {
        // They fail for a zombie only.
        let _ = self.process.signal_group(libc::SIGKILL);
        let _ = self.process.signal(libc::SIGKILL);
        self.group.iter().for_each(Group::kill);
    }

    /// Queues bytes and writes what the pipe takes now.
    pub(super) fn send(&mut self, piece: Piece, poller: &Poller) {
        if self.withheld > 0 {
            self.withheld += piece.len();
        } else if let Some(stdin) = &self.stdin {
            if piece.len() >= LARGE_BYTES {
                enlarge_pipe(stdin);
            }
            self.outbox.push(piece);
            self.flush(poller);
        } else {
            self.unread_at_break += piece.len();
        }
    }

    /// Does not send this, nor anything after it. What was sent before is still read; then it is as if its standard input
    /// were broken.
    pub(super) fn withhold(&mut self, piece: &Piece) {
        self.broken |= self.withheld == 0 && self.stdin.is_some();
        self.withheld += piece.len();
    }

    /// Closes standard input once everything is written.
    pub(super) fn close_stdin(&mut self, poller: &Poller) {
        self.closing = true;
        self.flush(poller);
    }

    /// Writes what the pipe takes, and waits for room if that was not all.
    pub(super) fn flush(&mut self, poller: &Poller) {
        let Some(stdin) = &self.stdin else { return };
        // A worker that reads no longer is about to end, or will be found out by its deadline: what it was sent is
        // dropped, and its death tells the rest.
        let waiting = self.outbox.len();
        let broken = self.outbox.flush(stdin).is_err();
        if broken || (self.closing && self.outbox.len() == 0) {
            if broken {
                self.unread_at_break = waiting + in_pipe(stdin);
                self.broken = true;
            }
            self.stdin = None;
            self.waiting = false;
            return;
        }
        let wait = self.outbox.len() > 0;
        if wait && !self.waiting {
            self.waiting = poller.watch(stdin, Ready::Stdin(self.worker, self.generation)).is_ok();
        } else if !wait && self.waiting {
            poller.forget(stdin);
            self.waiting = false;
        }
    }

    /// What is to be told of its standard input: that it broke, once, or that bytes wait for room.
    pub(super) fn news_of_stdin(&mut self) -> Event<'static> {
        let (worker, generation) = (self.worker, self.generation);
        match std::mem::take(&mut self.broken) {
            true if self.stdin.is_some() => Event::StdinBroken { worker, generation, unread: self.withheld },
            true => Event::StdinBroken { worker, generation, unread: self.unread_at_break },
            false => {
                self.told_backlog = self.outbox.len();
                Event::StdinBacklog { worker, generation, bytes: self.told_backlog }
            }
        }
    }

    /// The same, when it is no news that nothing waits.
    pub(super) fn fresh_news_of_stdin(&mut self) -> Option<Event<'static>> {
        let had_backlog = self.told_backlog > 0;
        let news = self.news_of_stdin();
        (had_backlog || !matches!(news, Event::StdinBacklog { bytes: 0, .. })).then_some(news)
    }

    /// Bytes of its output handed to the core.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Leaves out what was seen on the shelf before; how much is left.
    fn without_seen(&mut self, bytes: &mut [u8]) -> usize {
        self.received += bytes.len() as u64;
        let fresh =
            usize::try_from(self.received.saturating_sub(self.delivered)).unwrap_or(usize::MAX).min(bytes.len());
        self.delivered += fresh as u64;
        bytes.copy_within(bytes.len() - fresh.., 0);
        fresh
    }

    /// Opens the worker's shelf, which counts from the byte `from` of its output on; whether that worked.
    pub(super) fn take_shelf(&mut self, pid: u32, place: &ShelfPlace, from: u64) -> bool {
        self.shelf = Shelf::take(pid, place).ok().map(|shelf| (shelf, from));
        self.shelf.is_some()
    }

    /// Takes what the worker holds back and was not seen yet, as much as fits; how much that was.
    pub(super) fn read_shelf(&mut self, buffer: &mut [u8]) -> usize {
        let Some((shelf, from)) = &self.shelf else { return 0 };
        let count = shelf.read(self.delivered.saturating_sub(*from), buffer);
        self.delivered += count as u64;
        count
    }

    /// How many of the bytes sent to it it has not read.
    pub(super) fn unread(&self) -> usize {
        let sent = match &self.stdin {
            Some(stdin) => self.outbox.len() + in_pipe(stdin),
            None => self.unread_at_break,
        };
        sent + self.withheld
    }

    /// Reads once.
    pub(super) fn read(&mut self, stream: Stream, buffer: &mut [u8]) -> Got {
        let slot = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let Some(fd) = slot else { return Got::Nothing };
        loop {
            return match nix::unistd::read(&*fd, buffer) {
                Ok(0) => {
                    *slot = None;
                    Got::End
                }
                Ok(count) if stream == Stream::Stdout => {
                    self.full_reads = if count == buffer.len() { self.full_reads + 1 } else { 0 };
                    if self.full_reads * buffer.len() == LARGE_BYTES {
                        enlarge_pipe(fd);
                    }
                    Got::Bytes(count, self.without_seen(&mut buffer[..count]))
                }
                Ok(count) => Got::Bytes(count, count),
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => Got::Nothing,
                // A pipe has no other errors; if one came it would come for ever.
                Err(_) => {
                    *slot = None;
                    Got::End
                }
            };
        }
    }
}

/// Bytes in a pipe that nobody has read. They can be counted from the writing end, also when all readers are gone.
fn in_pipe(pipe: &OwnedFd) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int to where the pointer shows, which lives as long as the call.
    let asked = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &mut bytes) };
    if asked == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use nix::unistd::{pipe2, read};

    fn backlog(child: &mut Child) -> Option<usize> {
        match child.fresh_news_of_stdin()? {
            Event::StdinBacklog { bytes, .. } => Some(bytes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn that_nothing_waits_any_more_is_told_whatever_was_sent_last() {
        let flags = OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let ((other_end, stdin), (stdout, _w1), (stderr, _w2)) =
            (pipe2(flags).unwrap(), pipe2(flags).unwrap(), pipe2(flags).unwrap());
        let poller = Poller::new().unwrap();
        let spawned = Spawned { pid: std::process::id(), stdin, stdout, stderr };
        let mut child = Child::new(WorkerId(1), Generation(1), spawned, &poller).unwrap();
        child.send(Piece::Bytes(vec![b'x'; 10]), &poller);
        assert_eq!(backlog(&mut child), None);
        child.send(Piece::Bytes(vec![b'x'; 100_000]), &poller);
        assert!(backlog(&mut child).is_some_and(|bytes| bytes > 0), "more than a pipe holds");
        let mut buffer = vec![0; 200_000];
        while read(&other_end, &mut buffer).is_ok() {}
        child.send(Piece::Bytes(vec![b'x'; 10]), &poller);
        assert_eq!(backlog(&mut child), Some(0), "it went with the last piece");
        child.send(Piece::Bytes(vec![b'x'; 10]), &poller);
        assert_eq!(backlog(&mut child), None);
    }
}
