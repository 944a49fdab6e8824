//! The system calls that neither std nor nix offers in the shape needed here, each made safe to call.
//!
//! Nothing here knows what it is used for.

use crate::status::ExitStatus;
use nix::poll::{PollFd, PollFlags};
use nix::sys::time::TimeSpec;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// The number of a process as the kernel takes it. Refuses what `kill` would read as a group (0, -1, -N) and init.
pub(super) fn pid_t(pid: u32) -> io::Result<libc::pid_t> {
    match libc::pid_t::try_from(pid) {
        Ok(number) if number > 1 => Ok(number),
        _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
    }
}

/// Turns the -1 of a system call into its error.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Bytes that nobody can know beforehand, for names and marks. Zeroes where the system has none to give, at once: who must
/// not meet another of the kind looks whether it is there.
pub fn random<const COUNT: usize>() -> [u8; COUNT] {
    let mut bytes = [0; COUNT];
    loop {
        // SAFETY: the kernel writes at most as many bytes as the buffer has.
        let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), COUNT, libc::GRND_NONBLOCK) };
        if got >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return bytes;
        }
    }
}

/// Sends a signal to one process by number.
pub(super) fn kill(pid: u32, signal: i32) -> io::Result<()> {
    let pid = pid_t(pid)?;
    // SAFETY: kill(2) touches no memory of ours.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// Sends a signal to a process group by number.
pub(super) fn killpg(group: u32, signal: i32) -> io::Result<()> {
    let group = pid_t(group)?;
    // SAFETY: kill(2) touches no memory of ours.
    check(unsafe { libc::kill(-group, signal) }.into()).map(drop)
}

/// Opens a descriptor of a process (Linux 5.3).
pub(super) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    let pid = pid_t(pid)?;
    // SAFETY: pidfd_open(2) takes two numbers and gives a descriptor, close-on-exec from the start.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sends a signal to the process of a descriptor; it cannot reach a later process with the same number.
pub(super) fn pidfd_send(fd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is allowed and means the same as with kill(2).
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, no_info, 0) }).map(drop)
}

/// What `waitid` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peek {
    /// This process is dead and still unreaped.
    Dead(u32, ExitStatus),
    /// There are children, and none of those asked for is dead.
    NoneDead,
    /// There is no such child.
    NoChildren,
}

/// Looks for a dead child without reaping it: any child, or the one named.
pub(super) fn peek(pid: Option<u32>, flags: i32) -> Peek {
    let (kind, id) = pid.map_or((libc::P_ALL, 0), |pid| (libc::P_PID, pid));
    loop {
        // SAFETY: an all-zero siginfo_t is a valid value of that plain C structure.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes one siginfo_t through a valid pointer.
        let result = unsafe { libc::waitid(kind, id, &mut info, libc::WEXITED | libc::WNOWAIT | flags) };
        if result == 0 {
            // SAFETY: waitid has filled in the fields of SIGCHLD, or left the zeroes we put there.
            let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
            let status =
                if info.si_code == libc::CLD_EXITED { ExitStatus::Code(status) } else { ExitStatus::Signal(status) };
            return if pid == 0 { Peek::NoneDead } else { Peek::Dead(pid as u32, status) };
        }
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return Peek::NoChildren;
        }
    }
}

/// Reaps a dead child. `None` when there is nothing to reap under that number.
pub(super) fn wait4(pid: u32) -> Option<libc::rusage> {
    let pid = pid_t(pid).ok()?;
    loop {
        let mut status = 0;
        // SAFETY: an all-zero rusage is a valid value of that plain C structure.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes one int and one rusage through valid pointers.
        let result = unsafe { libc::wait4(pid, &mut status, libc::WNOHANG, &mut usage) };
        if result == pid {
            return Some(usage);
        }
        if result == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return None;
        }
    }
}

/// Waits until a descriptor is readable or has ended; `false` when the time is over first. No limit when `None`.
pub(super) fn wait_readable(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    let deadline = timeout.and_then(|span| monotonic().checked_add(span));
    loop {
        let left = deadline.map(|deadline| TimeSpec::from_duration(deadline.saturating_duration_since(monotonic())));
        let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
        match nix::poll::ppoll(&mut fds, left, None) {
            Ok(count) => return Ok(count > 0),
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The clock of deadlines inside this module.
#[expect(
    clippy::disallowed_methods,
    reason = "the limits of sweeps and joins are real time, not the core's active time"
)]
pub(super) fn monotonic() -> Instant {
    Instant::now()
}

/// The symbol of an error number: `ENOENT`.
pub(super) fn errno_name(number: i32) -> String {
    match nix::errno::Errno::from_raw(number) {
        nix::errno::Errno::UnknownErrno => format!("errno {number}"),
        known => format!("{known:?}"),
    }
}

/// What the system says about an error number, without Rust's ` (os error N)`.
pub(super) fn errno_text(number: i32) -> &'static str {
    nix::errno::Errno::from_raw(number).desc()
}
