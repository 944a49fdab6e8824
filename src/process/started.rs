//! A process that [`super::Process`] has started: waiting for it, signalling it, reaping it, from any thread.

use super::sys;
use crate::status::ExitStatus;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a daemon may take to end after SIGTERM when its owner ends; then it is killed.
pub const DAEMON_GRACE: Duration = Duration::from_secs(2);

/// A process that was started; shared by its handle with the hook that runs when the program ends.
#[derive(Debug)]
pub(super) struct Started {
    pid: u32,
    /// Readable when the process has ended: a pidfd, or where there are none a pipe whose other end a thread closes.
    sentinel: OwnedFd,
    daemon: bool,
    /// Signals and reaping happen under this lock, so that no signal can go to a number that was reaped.
    end: Mutex<End>,
}

#[derive(Debug, Clone, Copy)]
enum End {
    /// It has not been reaped.
    Unknown,
    /// It was reaped here.
    Ended(ExitStatus),
    /// Somebody else reaped it.
    Stolen,
}

impl Started {
    /// Takes over a child that has just been started.
    pub(super) fn new(pid: u32, daemon: bool) -> io::Result<Self> {
        let sentinel = sentinel_of(pid).inspect_err(|_| {
            // Without a way to wait for it, it must not stay behind.
            sys::kill(pid, libc::SIGKILL).unwrap_or(());
            sys::peek(Some(pid), 0);
            sys::wait4(pid);
        })?;
        Ok(Started { pid, sentinel, daemon, end: Mutex::new(End::Unknown) })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Readable when it has ended.
    pub(super) fn sentinel(&self) -> BorrowedFd<'_> {
        self.sentinel.as_fd()
    }

    /// How it ended, when it has and nobody else has taken the status.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        self.look();
        match *self.end() {
            End::Ended(status) => Some(status),
            End::Unknown | End::Stolen => None,
        }
    }

    /// Waits for the end as long as told, and reaps.
    pub(super) fn join(&self, timeout: Option<Duration>) -> io::Result<bool> {
        if self.look() {
            return Ok(true);
        }
        // Not under the lock: others may join, and signal, meanwhile.
        Ok(sys::wait_readable(self.sentinel.as_fd(), timeout)? && self.look())
    }

    /// Reaps it if it is dead; says whether it has ended.
    pub(super) fn look(&self) -> bool {
        let mut end = self.end();
        if let End::Unknown = *end {
            *end = match sys::peek(Some(self.pid), libc::WNOHANG) {
                sys::Peek::NoneDead => return false,
                sys::Peek::NoChildren => End::Stolen,
                sys::Peek::Dead(_, status) => {
                    sys::wait4(self.pid);
                    End::Ended(status)
                }
            };
        }
        true
    }

    /// Sends signals, unless it has ended.
    pub(super) fn signal(&self, signals: &[i32]) -> io::Result<()> {
        let end = self.end();
        // The lock is held over look and signal, so that nobody here reaps in between.
        let unreaped =
            matches!(*end, End::Unknown) && sys::peek(Some(self.pid), libc::WNOHANG) != sys::Peek::NoChildren;
        if unreaped {
            for &signal in signals {
                sys::kill(self.pid, signal)?;
            }
        }
        Ok(())
    }

    /// Asks a daemon to end; other processes are let be.
    pub(super) fn dismiss(&self) {
        if self.daemon {
            // One that cannot be signalled (it runs as another user now) is waited for like any other.
            self.signal(&[libc::SIGTERM, libc::SIGCONT]).unwrap_or(());
        }
    }

    /// Waits for the end; a daemon is killed when it takes too long.
    pub(super) fn await_end(&self) {
        let ended = self.join(self.daemon.then_some(DAEMON_GRACE)).unwrap_or(false);
        if !ended {
            if self.daemon {
                self.signal(&[libc::SIGKILL]).unwrap_or(());
            }
            // `waitid` without a descriptor, in case it was `poll` that failed.
            sys::peek(Some(self.pid), 0);
            self.look();
        }
    }

    /// Sees it to its end.
    pub(super) fn finish(&self) {
        self.dismiss();
        self.await_end();
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A descriptor that becomes readable when a child of ours has ended.
fn sentinel_of(pid: u32) -> io::Result<OwnedFd> {
    match sys::pidfd_open(pid) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => sentinel_by_thread(pid),
        other => other,
    }
}

/// The same before Linux 5.3, or where a sandbox forbids pidfds: a thread waits, without reaping, and closes a pipe.
#[expect(
    clippy::disallowed_methods,
    reason = "without pidfds nothing else tells of one child without touching SIGCHLD"
)]
fn sentinel_by_thread(pid: u32) -> io::Result<OwnedFd> {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    std::thread::spawn(move || {
        sys::peek(Some(pid), 0);
        drop(writer);
    });
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Process;

    #[test]
    fn a_sentinel_without_pidfd_tells_of_the_end_and_leaves_the_status() {
        let mut process = Process::new("sh").args(["-c", "exit 7"]);
        process.start().unwrap();
        let sentinel = sentinel_by_thread(process.pid().unwrap()).unwrap();
        assert!(sys::wait_readable(sentinel.as_fd(), Some(Duration::from_secs(10))).unwrap());
        assert_eq!(process.exitcode(), Some(7));
    }
}
