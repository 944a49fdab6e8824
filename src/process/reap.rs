//! Who has died, and how.
//!
//! Everything that waits for children waits here. A death is shown while the process is still a zombie: until it is
//! reaped its number, and that of its group, cannot belong to anybody else, so what is left of its group can be killed
//! without hitting a stranger.

use super::sys::{self, Peek};
use crate::status::ExitStatus;
use std::time::Duration;

/// A child that has ended and is not reaped yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// Its process id, which stays its own until [`Reaper::reap`].
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
}

/// What a process used, with all descendants that were waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rusage {
    /// Processor time, user and system.
    pub cpu: Duration,
    /// Largest resident memory of one process, in bytes. The kernel counts the moment before `exec` too, so this is
    /// never less than what the starting process itself had.
    pub max_rss: u64,
}

/// Finds the dead among the children of this process. One per program: it sees every child, also those it was not told of.
#[derive(Debug, Default)]
pub struct Reaper {
    childless: bool,
}

impl Reaper {
    /// A reaper.
    pub fn new() -> Self {
        Reaper::default()
    }

    /// The next dead child, still a zombie. The same one again until it is reaped. To be called until it gives `None`
    /// on every SIGCHLD, since these signals coalesce.
    #[expect(clippy::should_implement_trait, reason = "not an iterator: the same death is given until it is reaped")]
    pub fn next(&mut self) -> Option<Death> {
        let found = sys::peek(None, libc::WNOHANG);
        self.childless = found == Peek::NoChildren;
        match found {
            Peek::Dead(pid, status) => Some(Death { pid, status }),
            Peek::NoneDead | Peek::NoChildren => None,
        }
    }

    /// Whether the last [`next`](Self::next) found that there are no children at all, dead or alive.
    pub fn is_childless(&self) -> bool {
        self.childless
    }

    /// Reaps a dead child and gives what it used. `None` when it is no dead child of ours; never waits.
    pub fn reap(&mut self, pid: u32) -> Option<Rusage> {
        reap(pid)
    }
}

/// Reaps a dead child and gives what it used. `None` when it is no dead child of ours; never waits.
pub(super) fn reap(pid: u32) -> Option<Rusage> {
    let usage = sys::wait4(pid)?;
    let cpu = span(usage.ru_utime) + span(usage.ru_stime);
    Some(Rusage { cpu, max_rss: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024 })
}

fn span(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}
