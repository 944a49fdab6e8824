//! Signals to the worker, as a file descriptor. Never a handler: nothing runs between two lines of ours.
//!
//! What a terminal or a user sends to whole groups (SIGINT, SIGHUP, SIGQUIT, SIGUSR1 …) stays blocked for ever and so
//! has no effect; commands get an empty mask of their own.

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The descriptor on which signals arrive.
pub(super) struct Signals {
    fd: SignalFd,
}

/// What has arrived since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arrived {
    /// A child has ended.
    pub(super) child: bool,
    /// SIGTERM.
    pub(super) terminate: bool,
    /// SIGTSTP.
    pub(super) freeze: bool,
    /// SIGCONT.
    pub(super) thaw: bool,
}

const SERVED: [Signal; 4] = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGTSTP, Signal::SIGCONT];
const WITHOUT_EFFECT: [Signal; 10] = [
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGPIPE,
    Signal::SIGALRM,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    // A file has reached its limit: the write fails, and the job is told.
    Signal::SIGXFSZ,
];

/// What glibc keeps for its threads. It leaves them ignored in what it spawns, so in us, and cannot be asked to change it.
const KEPT_BY_GLIBC: [libc::c_int; 2] = [32, 33];

impl Signals {
    /// Blocks the signals and opens the descriptor.
    pub(super) fn open() -> nix::Result<Signals> {
        let served: SigSet = SERVED.into_iter().collect();
        served.thread_block()?;
        WITHOUT_EFFECT.into_iter().collect::<SigSet>().thread_block()?;
        let by_default = SigAction::new(SigHandler::SigDfl, SaFlags::SA_NOCLDSTOP, SigSet::empty());
        // SAFETY: no handler is installed. The default is needed since with SIGCHLD ignored, as some parents leave it,
        // the system would reap our commands itself; and commands inherit what is ignored, which is right for what was
        // ignored before us (`nohup`), but SIGPIPE is ignored by Rust's runtime. Here it is blocked.
        unsafe {
            sigaction(Signal::SIGCHLD, &by_default)?;
            sigaction(Signal::SIGPIPE, &by_default)?;
        }
        KEPT_BY_GLIBC.into_iter().for_each(reset);
        Ok(Signals { fd: SignalFd::with_flags(&served, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)? })
    }

    /// What has arrived, with one system call.
    pub(super) fn take(&self) -> Arrived {
        const ROOM: usize = 8;
        let mut arrived = Arrived::default();
        let mut news = [const { std::mem::MaybeUninit::<libc::signalfd_siginfo>::zeroed() }; ROOM];
        // SAFETY: the buffer is as long as we say, and any bytes are a valid `signalfd_siginfo`.
        let size = unsafe { libc::read(self.fd.as_raw_fd(), news.as_mut_ptr().cast(), size_of_val(&news)) };
        let count = usize::try_from(size).unwrap_or(0) / size_of::<libc::signalfd_siginfo>();
        for info in &news[..count] {
            // SAFETY: zeroed at first, then filled by the system.
            let number = unsafe { info.assume_init_ref() }.ssi_signo;
            match Signal::try_from(number as i32) {
                Ok(Signal::SIGCHLD) => arrived.child = true,
                Ok(Signal::SIGTERM) => arrived.terminate = true,
                Ok(Signal::SIGTSTP) => arrived.freeze = true,
                Ok(Signal::SIGCONT) => arrived.thaw = true,
                _ => {}
            }
        }
        arrived
    }
}

/// Gives a signal its default again, past the C library.
fn reset(number: libc::c_int) {
    // Longer than what any Linux calls an action; all zeros is the default.
    let action = [0u64; 8];
    let set_bytes = size_of::<u64>();
    // SAFETY: the system reads an action, and writes nothing since there is no place for the old one.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, number, action.as_ptr(), std::ptr::null::<u64>(), set_bytes) };
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How a child of ours ended, and what it used.
pub(super) struct Reaped {
    pub(super) pid: i32,
    /// As `wait` gives it.
    pub(super) status: i32,
    pub(super) cpu_us: u64,
    pub(super) max_rss: u64,
}

/// What there is to reap.
pub(super) enum Reap {
    /// This one had ended.
    One(Reaped),
    /// There are children, none of which has ended.
    NoneYet,
    /// There are no children at all.
    Childless,
}

/// Reaps one child that has ended, if there is one.
pub(super) fn reap() -> Reap {
    let mut status = 0;
    // SAFETY: all-zero is a valid rusage, and both pointers are to variables of the right type.
    let (pid, usage) = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        (libc::wait4(-1, &mut status, libc::WNOHANG | libc::__WALL, &mut usage), usage)
    };
    match pid {
        0 => Reap::NoneYet,
        -1 if Errno::last() == Errno::EINTR => reap(),
        -1 => Reap::Childless,
        pid => Reap::One(Reaped {
            pid,
            status,
            cpu_us: micros(usage.ru_utime) + micros(usage.ru_stime),
            max_rss: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
        }),
    }
}

/// Whether this process has no children at all, so that nobody below it can come to have it as parent either.
pub(super) fn is_childless() -> bool {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT | WaitPidFlag::__WALL;
    waitid(Id::All, flags) == Err(Errno::ECHILD)
}

fn micros(time: libc::timeval) -> u64 {
    u64::try_from(time.tv_sec * 1_000_000 + time.tv_usec).unwrap_or(0)
}
