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
const WITHOUT_EFFECT: [Signal; 9] = [
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGPIPE,
    Signal::SIGALRM,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

impl Signals {
    /// Blocks the signals and opens the descriptor.
    pub(super) fn open() -> nix::Result<Signals> {
        let by_default = SigAction::new(SigHandler::SigDfl, SaFlags::SA_NOCLDSTOP, SigSet::empty());
        // SAFETY: no handler is installed. The default is needed since with SIGCHLD ignored, as some parents leave it,
        // the system would reap our commands itself.
        unsafe { sigaction(Signal::SIGCHLD, &by_default)? };
        let served: SigSet = SERVED.into_iter().collect();
        served.thread_block()?;
        WITHOUT_EFFECT.into_iter().collect::<SigSet>().thread_block()?;
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

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The signals a command starts with at their default: all but those that were ignored when we started (`nohup`).
/// SIGPIPE is ignored by Rust's runtime, not by whoever started us.
pub(super) fn defaults_for_commands() -> libc::sigset_t {
    // SAFETY: a signal set is an array of bits, so all bits set is a value of it. Unlike sigfillset this includes the two
    // numbers that glibc keeps for itself and otherwise leaves ignored in the child. sigaction without a new action only
    // reads, and fails for those two, which leaves `old` at zero, the default.
    unsafe {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        set.as_mut_ptr().cast::<u8>().write_bytes(0xff, size_of::<libc::sigset_t>());
        let mut set = set.assume_init();
        for number in (1..=libc::SIGRTMAX()).filter(|&number| number != libc::SIGPIPE && number != libc::SIGCHLD) {
            let mut old = std::mem::zeroed::<libc::sigaction>();
            if libc::sigaction(number, std::ptr::null(), &mut old) == 0 && old.sa_sigaction == libc::SIG_IGN {
                libc::sigdelset(&mut set, number);
            }
        }
        set
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

fn micros(time: libc::timeval) -> u64 {
    u64::try_from(time.tv_sec * 1_000_000 + time.tv_usec).unwrap_or(0)
}
