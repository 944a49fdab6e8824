//! Signals that concern the run, as readiness. What they mean is decided elsewhere.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGUSR1};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// Signals by which a user or the system asks the run to stop or to pause. One that was ignored when we were started
/// (`nohup`, a background job of a plain shell) stays ignored.
const ASKED: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGTSTP];

/// The signals that have come. They are caught into flags and a pipe that wakes the poller.
#[derive(Debug)]
pub(super) struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
}

impl Signals {
    pub(super) fn watch() -> io::Result<Self> {
        let asked = ASKED.into_iter().filter(|&number| !is_ignored(number));
        let wanted: Vec<i32> = asked.chain([SIGCHLD, SIGCONT, SIGUSR1]).collect();
        let (read, write) = UnixStream::pair()?;
        Ok(Signals { delivery: SignalDelivery::with_pipe(read, write, SignalOnly, wanted)? })
    }

    /// The descriptor that becomes readable.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }

    /// What has come since the last call; each signal once.
    pub(super) fn take(&mut self) -> Vec<i32> {
        // `pending` empties the pipe before it looks at the flags: a signal that comes between is not lost.
        self.delivery.pending().collect()
    }
}

fn is_ignored(number: i32) -> bool {
    let Ok(signal) = Signal::try_from(number) else { return false };
    let mut current = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with no new action given, sigaction only fills in the current one, for which there is room.
    let asked = unsafe { libc::sigaction(signal as i32, std::ptr::null(), current.as_mut_ptr()) };
    // SAFETY: zeroed memory is a valid sigaction, and the call may have filled it in.
    asked == 0 && unsafe { current.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// Stops this process until somebody continues it (Ctrl-Z). By SIGTSTP with its own effect and not by SIGSTOP, since the
/// kernel knows when nobody is there who could continue us (an orphaned process group) and then does nothing.
pub(super) fn stop_self() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action runs no code; the handler that it replaces is put back below.
    let Ok(handler) = (unsafe { sigaction(Signal::SIGTSTP, &default) }) else { return };
    let _ = nix::sys::signal::raise(Signal::SIGTSTP);
    // SAFETY: this is the action that was there before.
    let _ = unsafe { sigaction(Signal::SIGTSTP, &handler) };
}

/// What a caller may have left in a state that would harm us: SIGCHLD ignored would reap our children behind our back,
/// and blocked signals would never come. Only SIGXFSZ stays away, which would kill us where a file has reached its limit
/// (`ulimit -f`): the write fails, and that is told.
pub(super) fn reset_inherited() {
    // SAFETY: no handler is installed, only the default disposition.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGCHLD, SigHandler::SigDfl) };
    let _ = SigSet::from(Signal::SIGXFSZ).thread_set_mask();
}
