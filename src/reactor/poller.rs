//! Readiness: level-triggered epoll, so that reading a part and coming back loses nothing.

use crate::ids::{Generation, WorkerId};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// Most readiness events taken in a turn; the rest is there in the next one.
const EVENTS_PER_TURN: usize = 256;

/// What has become ready. The order is that in which a turn looks at them: what a worker says on standard error before
/// it answers is seen before the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ready {
    /// A signal has come.
    Signal,
    /// The job list, or the writers of results, have news.
    Edge,
    /// The job list can be read.
    Input,
    /// A worker's standard error.
    Stderr(WorkerId, Generation),
    /// A worker's standard output.
    Stdout(WorkerId, Generation),
    /// Room in a worker's standard input.
    Stdin(WorkerId, Generation),
    /// Somebody wants to come in.
    Door,
    /// A guest.
    Guest(u64),
}

impl Ready {
    fn token(self) -> u64 {
        let of = |kind: u64, worker: WorkerId, generation: Generation| {
            kind << 60 | u64::from(worker.0) << 32 | u64::from(generation.0)
        };
        match self {
            Ready::Signal => 0,
            Ready::Edge => 1 << 60,
            Ready::Stderr(worker, generation) => of(2, worker, generation),
            Ready::Stdout(worker, generation) => of(3, worker, generation),
            Ready::Stdin(worker, generation) => of(4, worker, generation),
            Ready::Door => 5 << 60,
            Ready::Input => 7 << 60,
            Ready::Guest(number) => 6 << 60 | number,
        }
    }

    fn from_token(token: u64) -> Self {
        let worker = WorkerId((token >> 32) as u32 & 0x0fff_ffff);
        let generation = Generation(token as u32);
        match token >> 60 {
            0 => Ready::Signal,
            1 => Ready::Edge,
            2 => Ready::Stderr(worker, generation),
            3 => Ready::Stdout(worker, generation),
            4 => Ready::Stdin(worker, generation),
            5 => Ready::Door,
            7 => Ready::Input,
            _ => Ready::Guest(token & !(15 << 60)),
        }
    }
}

/// The set of descriptors that are watched.
#[derive(Debug)]
pub(super) struct Poller {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Poller { epoll, events: vec![EpollEvent::empty(); EVENTS_PER_TURN] })
    }

    /// Watches a descriptor until it is closed.
    pub(super) fn watch(&self, fd: impl AsFd, ready: Ready) -> io::Result<()> {
        let interest = if matches!(ready, Ready::Stdin(..)) { EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
        Ok(self.epoll.add(fd, EpollEvent::new(interest, ready.token()))?)
    }

    /// Watches a descriptor no longer, though it stays open.
    pub(super) fn forget(&self, fd: impl AsFd) {
        // It is not an error that it was not watched.
        let _ = self.epoll.delete(fd);
    }

    /// Waits for something to become ready, at most for `limit`. Comes back early when a signal interrupts it.
    pub(super) fn wait(&mut self, limit: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let timeout = match limit {
            None => EpollTimeout::NONE,
            // Rounded up: waking a moment too early would only mean to wait again.
            Some(limit) => {
                let ms = limit.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
                EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX)
            }
        };
        ready.clear();
        match self.epoll.wait(&mut self.events, timeout) {
            Ok(count) => {
                ready.extend(self.events[..count].iter().map(|event| Ready::from_token(event.data())));
                ready.sort_unstable();
                Ok(())
            }
            Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
        let (worker, generation) = (WorkerId(10_000), Generation(u32::MAX));
        for ready in [
            Ready::Signal,
            Ready::Edge,
            Ready::Input,
            Ready::Stderr(worker, generation),
            Ready::Stdout(worker, generation),
            Ready::Stdin(worker, generation),
            Ready::Door,
            Ready::Guest(1 << 40 | 7),
        ] {
            assert_eq!(Ready::from_token(ready.token()), ready);
        }
    }
}
